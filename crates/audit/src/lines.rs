//! Files of lines that are only ever appended to.

use crate::{AuditError, MAX_LINE, MAX_LINES};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

/// Where lines go; a disk but in tests.
pub(crate) trait Sink: Send {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()>;
    fn sync(&mut self) -> std::io::Result<()>;
}

impl Sink for File {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.write_all(bytes)
    }
    fn sync(&mut self) -> std::io::Result<()> {
        self.sync_data()
    }
}

/// Says whether a disk is full, in tests of what a node does then.
#[cfg(feature = "faults")]
pub(crate) type Full = std::sync::Arc<dyn Fn() -> bool + Send + Sync>;

/// The end of an append-only file.
pub(crate) struct Lines {
    pub(crate) path: PathBuf,
    pub(crate) sink: Box<dyn Sink>,
    pub(crate) length: u64,
    #[cfg(feature = "faults")]
    pub(crate) full: Option<Full>,
}

/// What a file held.
#[derive(Default)]
pub(crate) struct Scan {
    /// Bytes of complete lines.
    pub(crate) whole: u64,
    /// Complete lines.
    pub(crate) lines: u64,
    /// What follows the last complete line.
    pub(crate) torn: Vec<u8>,
}

/// Reads lines without their ends, in bounded memory. A missing file is an empty one. `take` gets the line, its number from 1, and where it begins. A last
/// line that `take` finds damaged counts as torn: after a crash, a disk may have made a file longer without having written all of it.
pub(crate) fn scan(
    path: &Path,
    mut take: impl FnMut(&[u8], u64, u64) -> Result<(), AuditError>,
) -> Result<Scan, AuditError> {
    let failed = AuditError::io("reading", path);
    let mut scan = Scan::default();
    let file = match File::open(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(scan),
        other => other.map_err(&failed)?,
    };
    let (mut reader, mut line) = (BufReader::new(file), Vec::new());
    let damaged = |line, problem: String| AuditError::Damaged { file: path.into(), line, problem };
    let mut wrong: Option<AuditError> = None;
    loop {
        line.clear();
        let read = reader.by_ref().take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line).map_err(&failed)?;
        if line.last() != Some(&b'\n') {
            if read > MAX_LINE {
                return Err(damaged(scan.lines + 1, format!("longer than {MAX_LINE} bytes")));
            }
            scan.torn.extend_from_slice(&line);
            return Ok(scan);
        }
        if let Some(error) = wrong {
            return Err(error);
        }
        if scan.lines == MAX_LINES {
            return Err(damaged(scan.lines + 1, format!("more than {MAX_LINES} lines")));
        }
        match take(&line[..line.len() - 1], scan.lines + 1, scan.whole) {
            Ok(()) => {
                scan.lines += 1;
                scan.whole += read as u64;
            }
            Err(error @ AuditError::Damaged { .. }) => {
                scan.torn.clone_from(&line);
                wrong = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
}

/// A line as text.
pub(crate) fn text<'a>(path: &Path, line: &'a [u8], number: u64) -> Result<&'a str, AuditError> {
    std::str::from_utf8(line).map_err(|_| AuditError::Damaged {
        file: path.into(),
        line: number,
        problem: "not text".into(),
    })
}

/// A file that only its owner reads.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// That a file is in its directory survives a crash only once the directory is written.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), AuditError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(AuditError::io("writing", dir))
}

/// Opens a file to append to it, and changes nothing of it. Whoever may have lost the log looks at its lock between this and [`Lines::behind`]: a file that
/// was opened before the log was taken over is the successor's no more.
pub(crate) fn end_of(path: &Path) -> Result<File, AuditError> {
    private().append(true).open(path).map_err(AuditError::io("opening", path))
}

impl Lines {
    /// The end of a file that was opened with [`end_of`], behind `whole` bytes: what is there beyond is cut off.
    pub(crate) fn behind(path: PathBuf, file: File, whole: u64) -> Result<Lines, AuditError> {
        let failed = AuditError::io("opening", &path);
        if file.metadata().map_err(&failed)?.len() > whole {
            file.set_len(whole).map_err(&failed)?;
        }
        file.sync_all().map_err(&failed)?;
        Ok(Lines {
            path,
            sink: Box::new(file),
            length: whole,
            #[cfg(feature = "faults")]
            full: None,
        })
    }
    /// Appends a line; it is on the disk when this returns.
    pub(crate) fn append(&mut self, line: &str) -> Result<(), AuditError> {
        let failed = AuditError::io("writing", &self.path);
        let bytes = [line.as_bytes(), b"\n"].concat();
        #[cfg(feature = "faults")]
        if self.full.as_ref().is_some_and(|full| full()) {
            // A part of it fits.
            self.sink.write(&bytes[..bytes.len() / 2]).map_err(&failed)?;
            return Err(failed(std::io::ErrorKind::StorageFull.into()));
        }
        self.sink.write(&bytes).map_err(&failed)?;
        self.sink.sync().map_err(&failed)?;
        self.length += bytes.len() as u64;
        Ok(())
    }
}
