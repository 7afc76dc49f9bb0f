//! `privity share`: files and keys in shares.

use crate::error::CliError;
use clap::{Args, Subcommand};
use privity_shamir::{Parameters, combine, split};
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Split a file or a key into shares, or put it together again.
#[derive(Subcommand)]
pub enum Share {
    /// Split a file into shares, of which so many give it back and fewer say nothing but its length. Give each to another keeper, and
    /// remove them and the file here.
    Split(SplitArgs),
    /// Put a file together from enough of its shares. Altered shares are told by name and left out.
    Combine(CombineArgs),
    /// Keys in shares that every holder can check alone, renew with the others, and hand over to other holders.
    #[command(subcommand)]
    Key(crate::key::Key),
}

/// Arguments of `privity share split`.
#[derive(Args)]
pub struct SplitArgs {
    /// What is to be split; `-` for standard input.
    file: PathBuf,
    /// Shares that are to be enough, at least 2.
    #[arg(long)]
    threshold: usize,
    /// Shares to make, at most 255.
    #[arg(long)]
    shares: usize,
    /// Where the shares go. Default: beside the file, or here.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Arguments of `privity share combine`.
#[derive(Args)]
pub struct CombineArgs {
    /// The shares.
    #[arg(required = true)]
    shares: Vec<PathBuf>,
    /// Where the file goes, which must not exist; `-` for standard output.
    #[arg(long)]
    out: PathBuf,
}

/// Runs it.
pub fn run(share: &Share) -> Result<(), CliError> {
    match share {
        Share::Split(args) => split_file(args),
        Share::Combine(args) => combine_files(args),
        Share::Key(key) => crate::key::run(key),
    }
}

fn split_file(args: &SplitArgs) -> Result<(), CliError> {
    let parameters = Parameters::new(args.threshold, args.shares)?;
    let piped = args.file == Path::new("-");
    let name = if piped { "secret".into() } else { args.file.file_name().unwrap_or_default().to_string_lossy() };
    let beside = args.file.parent().filter(|_| !piped).filter(|folder| !folder.as_os_str().is_empty());
    let folder = args.out.as_deref().or(beside).unwrap_or(Path::new("."));
    let mut source: Box<dyn Read> = match piped {
        true => Box::new(std::io::stdin().lock()),
        false => {
            Box::new(BufReader::new(File::open(&args.file).map_err(CliError::system("reading the file to split"))?))
        }
    };
    let writing = CliError::system("writing a share");
    std::fs::create_dir_all(folder).map_err(&writing)?;
    let paths: Vec<PathBuf> =
        (1..=args.shares).map(|i| folder.join(format!("{name}.share-{i}-of-{}", args.shares))).collect();
    if let Some(taken) = paths.iter().find(|path| path.exists()) {
        return Err(CliError::Exists(taken.clone()));
    }
    // Readable by their owner only, and gone unless all are complete.
    let made = paths.iter().map(|_| NamedTempFile::new_in(folder)).collect::<Result<Vec<_>, _>>().map_err(&writing)?;
    let mut outputs: Vec<BufWriter<&File>> = made.iter().map(|file| BufWriter::new(file.as_file())).collect();
    split(parameters, &mut source, &mut outputs)?;
    drop(outputs);
    for (file, path) in made.into_iter().zip(&paths) {
        keep(file, path)?;
    }
    println!("any {} of these {} give the file back, fewer say nothing but its length:", args.threshold, args.shares);
    paths.iter().for_each(|path| println!("{}", path.display()));
    Ok(())
}

/// A file that is complete gets its name, unless there is one of that name.
pub fn keep(file: NamedTempFile, path: &Path) -> Result<(), CliError> {
    file.as_file().sync_all().map_err(CliError::system("writing a file"))?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(e) if e.error.kind() == std::io::ErrorKind::AlreadyExists => Err(CliError::Exists(path.into())),
        Err(e) => Err(CliError::system("writing a file")(e.error)),
    }
}

fn combine_files(args: &CombineArgs) -> Result<(), CliError> {
    let piped = args.out == Path::new("-");
    if !piped && args.out.exists() {
        return Err(CliError::Exists(args.out.clone()));
    }
    let open = |path: &PathBuf| {
        let failed = |e: std::io::Error| CliError::System {
            action: "reading a share",
            problem: format!("{}: {e}", path.display()),
        };
        Ok(BufReader::new(File::open(path).map_err(failed)?))
    };
    let mut inputs = args.shares.iter().map(open).collect::<Result<Vec<_>, CliError>>()?;
    let done = if piped {
        combine(&mut inputs, &mut std::io::stdout().lock())?
    } else {
        let folder = args.out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = NamedTempFile::new_in(folder).map_err(CliError::system("writing the file"))?;
        let mut output = BufWriter::new(file.as_file());
        let done = combine(&mut inputs, &mut output)?;
        output.flush().map_err(CliError::system("writing the file"))?;
        drop(output);
        keep(file, &args.out)?;
        done
    };
    for (index, why) in &done.ignored {
        eprintln!("privity: left out: {} {why}", args.shares[*index].display());
    }
    if !piped {
        println!("{} bytes in {}", done.length, args.out.display());
    }
    Ok(())
}
