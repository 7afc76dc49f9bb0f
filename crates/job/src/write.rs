//! Results appear under their name whole or not at all.

use crate::JobError;
use std::io::Write;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

fn failed(file: &Path) -> impl Fn(std::io::Error) -> JobError {
    move |e| JobError::Output { file: file.into(), problem: e.to_string() }
}

/// Makes the directory and proves, before the job starts, that results of `bytes` in all can be written into it.
pub(crate) fn reserve(folder: &Path, bytes: usize) -> Result<(), JobError> {
    std::fs::create_dir_all(folder).map_err(failed(folder))?;
    let mut probe = NamedTempFile::new_in(folder).map_err(failed(folder))?;
    std::io::copy(&mut std::io::Read::take(std::io::repeat(0), bytes as u64), &mut probe).map_err(failed(folder))?;
    probe.flush().map_err(failed(folder))
}

/// Writes a file through a temporary one beside it.
///
/// # Errors
/// The system refuses; whatever stood under the name before is untouched then.
pub(crate) fn atomically(folder: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf, JobError> {
    let path = folder.join(name);
    let mut file = NamedTempFile::new_in(folder).map_err(failed(&path))?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(failed(&path))?;
    file.persist(&path).map_err(|e| failed(&path)(e.error))?;
    Ok(path)
}

/// Appends a record as a line of JSON; on disk when this returns.
pub(crate) fn append(path: &Path, record: &impl serde::Serialize) -> Result<(), JobError> {
    let mut line = serde_json::to_vec(record).map_err(|e| JobError::Internal(e.to_string()))?;
    line.push(b'\n');
    let opened = std::fs::OpenOptions::new().create(true).append(true).open(path);
    opened.and_then(|mut file| file.write_all(&line).and_then(|()| file.sync_data())).map_err(failed(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_place_of_the_directory_is_refused_before_the_start() {
        let folder = tempfile::tempdir().expect("a scratch directory");
        let occupied = atomically(folder.path(), "occupied", b"x").expect("written");
        assert!(matches!(reserve(&occupied, 10), Err(JobError::Output { .. })));
        reserve(&folder.path().join("new/deep"), 10).expect("made");
        assert_eq!(std::fs::read_dir(folder.path().join("new/deep")).expect("there").count(), 0);
    }
}
