//! A node's directory: configuration, keys, database, audit log, results.
//!
//! ```text
//! node.toml          configuration
//! root/              the organisation's root, if it is in files: certificate and key
//! policy.cedar       what it says to manifests; none: people decide
//! budgets/           privacy budgets, a file for each project: docs/POLICY.md
//! questions/         public questions that jobs with a distillation ask
//! identity/          the node's certificate, renewed before it ends, and its key
//! node.db            what the node remembers
//! audit/             the audit log
//! jobs/<digest>/     results and checkpoints
//! admin.token        what this organisation's tools show at the admin address
//! ```

use crate::NodeError;
use crate::config::{Config, FILE};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The node's certificate and key.
pub fn identity(home: &Path) -> PathBuf {
    home.join("identity")
}
/// The privacy budget of a project. Names of projects are names of files.
pub fn budget(home: &Path, project: &str) -> PathBuf {
    budgets(home).join(format!("{project}.toml"))
}
/// Where they are.
pub(crate) fn budgets(home: &Path) -> PathBuf {
    home.join("budgets")
}
/// Files of public questions, which jobs name.
pub fn questions(home: &Path) -> PathBuf {
    home.join("questions")
}
/// The audit log.
pub fn audit(home: &Path) -> PathBuf {
    home.join("audit")
}
/// Results and checkpoints of a job.
pub fn job(home: &Path, digest: &str) -> PathBuf {
    home.join("jobs").join(digest)
}
/// Encrypts the root key under another passphrase, or none: `to` is what `keys` of the configuration is to be from now on.
///
/// # Errors
/// As [`privity_keys::change_passphrase`].
pub fn change_passphrase(home: &Path, to: &str) -> Result<(), NodeError> {
    let from = Config::load(home)?.keys;
    privity_keys::change_passphrase(&from, to, home).map_err(|e| NodeError::Keys(e.to_string()))
}
/// The token of this organisation's tools.
pub fn token(home: &Path) -> PathBuf {
    home.join("admin.token")
}

/// Makes a node's directory, readable by its owner only, with configuration and token. Keys are made by the caller.
///
/// # Errors
/// It is there already, or cannot be made.
pub fn create(home: &Path, config: &Config) -> Result<(), NodeError> {
    let failed = |action| move |e: std::io::Error| NodeError::file(home, action, e);
    if home.join(FILE).exists() {
        return Err(NodeError::State(format!("{} is a node's directory already", home.display())));
    }
    std::fs::create_dir_all(home).map_err(failed("making"))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(home, std::fs::Permissions::from_mode(0o700)).map_err(failed("protecting"))?;
    }
    let text = toml::to_string(config).map_err(|e| NodeError::Config { problem: e.to_string() })?;
    secret(&token(home), &random_hex(32)?)?;
    // Last, so that an interrupted start can be made again.
    std::fs::write(home.join(FILE), text).map_err(failed("writing"))
}

/// Writes a file that only its owner may read.
pub(crate) fn secret(path: &Path, text: &str) -> Result<(), NodeError> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let failed = |e: std::io::Error| NodeError::file(path, "writing", e);
    let mut file = options.open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}

/// Puts a text in the place of a file, all of it or nothing. Only its owner may read it. One at a time for a path.
pub(crate) fn replace(path: &Path, text: &str) -> Result<(), NodeError> {
    let fresh = path.with_extension("new");
    let failed = |e: std::io::Error| NodeError::file(path, "replacing", e);
    secret(&fresh, text)?;
    let sync = |path: &Path| std::fs::File::open(path).and_then(|file| file.sync_all());
    sync(&fresh).map_err(failed)?;
    std::fs::rename(&fresh, path).map_err(failed)?;
    path.parent().map_or(Ok(()), sync).map_err(failed)
}

/// So many random bytes of the system, in hexadecimal.
pub(crate) fn random_hex(bytes: usize) -> Result<String, NodeError> {
    let mut out = vec![0; bytes];
    getrandom::fill(&mut out).map_err(|e| NodeError::Keys(format!("drawing randomness: {e}")))?;
    Ok(privity_api::hex(&out))
}
