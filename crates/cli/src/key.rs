//! `privity share key`: keys in verifiable shares.

use crate::error::CliError;
use crate::share::keep;
use clap::{Args, Subcommand};
use privity_prim::Secret;
use privity_shamir::vss::{Committee, KeyShare, LONGEST, Part, Purpose, Sharing, accept, combine, deal};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

/// Keys in shares that every holder can check alone, renew with the others, and hand over to other holders.
#[derive(Subcommand)]
pub enum Key {
    /// Make a fresh key in shares, of which so many give it back and fewer say nothing. Give each to another holder, and remove them here.
    Deal(DealArgs),
    /// Check shares, and parts of new ones; print the fingerprint that is to be the same at all holders.
    Verify {
        /// Shares or parts.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Put the key together from enough of its shares. Wrong shares are told by name and left out.
    Combine(CombineArgs),
    /// Deal what this holder gives to all holders, itself included, for new shares with which the old ones are useless.
    Refresh(RefreshArgs),
    /// Deal what this holder gives to the members of another committee, for shares of the same key.
    Reshare(ReshareArgs),
    /// Make a new share from the parts that enough holders dealt to this one. All must take those of the same holders.
    Accept(AcceptArgs),
}

/// Arguments of `privity share key deal`.
#[derive(Args)]
pub struct DealArgs {
    /// Shares that are to be enough, at least 2.
    #[arg(long)]
    threshold: usize,
    /// Holders, at most 31.
    #[arg(long)]
    holders: usize,
    /// Where the shares go.
    #[arg(long)]
    out: PathBuf,
    /// Where the key goes, too: 64 hexadecimal digits; `-` for standard output. Default: nowhere.
    #[arg(long)]
    key: Option<PathBuf>,
}

/// Arguments of `privity share key combine`.
#[derive(Args)]
pub struct CombineArgs {
    /// The shares.
    #[arg(required = true)]
    shares: Vec<PathBuf>,
    /// Where the key goes, 64 hexadecimal digits; the file must not exist; `-` for standard output.
    #[arg(long)]
    out: PathBuf,
}

/// Arguments of `privity share key refresh`.
#[derive(Args)]
pub struct RefreshArgs {
    /// This holder's share.
    share: PathBuf,
    /// Where the parts go.
    #[arg(long)]
    out: PathBuf,
}

/// Arguments of `privity share key reshare`.
#[derive(Args)]
pub struct ReshareArgs {
    /// This holder's share.
    share: PathBuf,
    /// Shares that are to be enough in the new committee, at least 2.
    #[arg(long)]
    threshold: usize,
    /// Its members, at most 31.
    #[arg(long)]
    holders: usize,
    /// Where the parts go.
    #[arg(long)]
    out: PathBuf,
}

/// Arguments of `privity share key accept`.
#[derive(Args)]
pub struct AcceptArgs {
    /// The parts, one of each holder whose parts all take.
    #[arg(required = true)]
    parts: Vec<PathBuf>,
    /// The share that is renewed; not for shares that are handed over.
    #[arg(long)]
    share: Option<PathBuf>,
    /// Where the new share goes; the file must not exist.
    #[arg(long)]
    out: PathBuf,
}

/// Runs it.
pub fn run(key: &Key) -> Result<(), CliError> {
    match key {
        Key::Deal(args) => deal_key(args),
        Key::Verify { files } => verify(files),
        Key::Combine(args) => combine_key(args),
        Key::Refresh(args) => {
            let share = share(&args.share)?;
            parts_out(&share.deal_refresh()?, &args.out)
        }
        Key::Reshare(args) => {
            let after = Committee::new(args.threshold, args.holders)?;
            let share = share(&args.share)?;
            parts_out(&share.deal_reshare(after)?, &args.out)
        }
        Key::Accept(args) => accept_parts(args),
    }
}

/// All of a small file; of a longer one just so much that it is seen to be none.
pub fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, CliError> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST + 1));
    let read = File::open(path).and_then(|file| file.take(LONGEST as u64 + 1).read_to_end(&mut bytes));
    let failed =
        |e: std::io::Error| CliError::System { action: "reading", problem: format!("{}: {e}", path.display()) };
    read.map(|_| bytes).map_err(failed)
}

/// Several.
pub fn read_all(paths: &[PathBuf]) -> Result<Vec<Zeroizing<Vec<u8>>>, CliError> {
    paths.iter().map(|path| read(path)).collect()
}

fn share(path: &Path) -> Result<KeyShare, CliError> {
    KeyShare::decode(&read(path)?).map_err(|problem| CliError::KeyShare { file: path.into(), problem })
}

/// Writes secret files that only their owner can read, all or none, over no other.
pub fn write(folder: &Path, files: &[(String, Zeroizing<Vec<u8>>)]) -> Result<Vec<PathBuf>, CliError> {
    let writing = CliError::system("writing a share");
    std::fs::create_dir_all(folder).map_err(&writing)?;
    let paths: Vec<PathBuf> = files.iter().map(|(name, _)| folder.join(name)).collect();
    if let Some(taken) = paths.iter().find(|path| path.exists()) {
        return Err(CliError::Exists(taken.clone()));
    }
    let mut made = Vec::new();
    for (_, bytes) in files {
        let mut file = NamedTempFile::new_in(folder).map_err(&writing)?;
        file.write_all(bytes).map_err(&writing)?;
        made.push(file);
    }
    made.into_iter().zip(&paths).try_for_each(|(file, path)| keep(file, path))?;
    Ok(paths)
}

fn hex(bytes: &[u8; 32]) -> Zeroizing<String> {
    // The key is one of these: its digits are written into room that is erased, by arithmetic instead of a table.
    let digit = |nibble: u8| char::from(b'0' + nibble + (((9u8.wrapping_sub(nibble)) >> 7) * 39));
    let mut text = Zeroizing::new(String::with_capacity(64));
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).for_each(|nibble| text.push(digit(nibble)));
    text
}

/// Writes a key as a line of text.
fn key_out(key: &Secret, path: &Path) -> Result<(), CliError> {
    let mut line = Zeroizing::new(Vec::with_capacity(65));
    line.extend_from_slice(hex(key.expose()).as_bytes());
    line.push(b'\n');
    if path == Path::new("-") {
        return std::io::stdout().write_all(&line).map_err(CliError::system("writing the key"));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    write(folder, &[(name, line)]).map(|_| ())
}

/// What holders compare.
fn describe(sharing: &Sharing) -> String {
    let (threshold, holders) = (sharing.committee().threshold(), sharing.committee().holders());
    format!(
        "{threshold} of {holders} shares, generation {}; key {}, fingerprint {}",
        sharing.generation(),
        *hex(&sharing.key_id()),
        *hex(&sharing.fingerprint())
    )
}

fn deal_key(args: &DealArgs) -> Result<(), CliError> {
    let committee = Committee::new(args.threshold, args.holders)?;
    if let Some(taken) = args.key.as_deref().filter(|path| path.exists()) {
        return Err(CliError::Exists(taken.into()));
    }
    let (key, shares) = deal(committee)?;
    let name = |share: &KeyShare| format!("key.share-{}-of-{}", share.holder(), args.holders);
    let files: Vec<_> = shares.iter().map(|share| (name(share), share.encode())).collect();
    let paths = write(&args.out, &files)?;
    if let Some(path) = &args.key {
        key_out(&key, path)?;
    }
    let mut lines = vec![describe(shares[0].sharing())];
    lines.extend(paths.iter().map(|path| path.display().to_string()));
    say(&lines.join("\n"), args.key.as_deref());
    Ok(())
}

/// News go where no key goes.
fn say(news: &str, key: Option<&Path>) {
    match key == Some(Path::new("-")) {
        true => eprintln!("{news}"),
        false => println!("{news}"),
    }
}

fn verify(files: &[PathBuf]) -> Result<(), CliError> {
    let mut first_wrong = None;
    for path in files {
        let bytes = read(path)?;
        let said = match KeyShare::decode(&bytes) {
            Ok(share) => Ok(format!("share of holder {}: {}", share.holder(), describe(share.sharing()))),
            // Not a share: a part, perhaps.
            Err(no_share) => match Part::decode(&bytes) {
                Ok(part) => Ok(describe_part(&part)),
                Err(no_part) => Err(if privity_shamir::vss::is_part(&bytes) { no_part } else { no_share }),
            },
        };
        match said {
            Ok(said) => println!("{}: sound; {said}", path.display()),
            Err(problem) => {
                eprintln!("privity: {}: {problem}", path.display());
                first_wrong = first_wrong.or(Some(CliError::KeyShare { file: path.clone(), problem }));
            }
        }
    }
    first_wrong.map_or(Ok(()), Err)
}

fn describe_part(part: &Part) -> String {
    let what = match part.purpose() {
        Purpose::Refresh => "renewing",
        Purpose::Reshare => "handing over",
    };
    let (dealer, receiver, after) = (part.dealer(), part.receiver(), part.after());
    let to = format!("to holder {receiver} of {} with threshold {}", after.holders(), after.threshold());
    format!("part from holder {dealer} {to}, {what}: {}", describe(part.before()))
}

fn combine_key(args: &CombineArgs) -> Result<(), CliError> {
    if args.out != Path::new("-") && args.out.exists() {
        return Err(CliError::Exists(args.out.clone()));
    }
    let shares = read_all(&args.shares)?;
    let done = combine(&shares.iter().map(|share| &share[..]).collect::<Vec<_>>())?;
    key_out(&done.key, &args.out)?;
    for (index, why) in &done.ignored {
        eprintln!("privity: left out: {} {why}", args.shares[*index].display());
    }
    say(&describe(&done.sharing), Some(&args.out));
    Ok(())
}

fn parts_out(parts: &[Part], folder: &Path) -> Result<(), CliError> {
    let name = |part: &Part| {
        let what = match part.purpose() {
            Purpose::Refresh => "refresh",
            Purpose::Reshare => "reshare",
        };
        format!("{what}-{}-from-{}-to-{}", part.before().generation(), part.dealer(), part.receiver())
    };
    let files: Vec<_> = parts.iter().map(|part| (name(part), part.encode())).collect();
    let paths = write(folder, &files)?;
    println!("give each of these, in private, to the holder that it is to, and remove it here:");
    paths.iter().for_each(|path| println!("{}", path.display()));
    Ok(())
}

fn accept_parts(args: &AcceptArgs) -> Result<(), CliError> {
    let parts = read_all(&args.parts)?;
    let parts: Vec<&[u8]> = parts.iter().map(|part| &part[..]).collect();
    let new = match &args.share {
        Some(old) => share(old)?.refresh(&parts)?,
        None => accept(&parts)?,
    };
    let folder = args.out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = args.out.file_name().unwrap_or_default().to_string_lossy().into_owned();
    write(folder, &[(name, new.encode())])?;
    println!("share of holder {}: {}", new.holder(), describe(new.sharing()));
    println!("compare this with all holders; only then remove the parts and every old share");
    Ok(())
}
