//! What the command prints, to readers that may leave early: `privity plan job.toml | head`.
//!
//! The standard library's macros panic then. Letting SIGPIPE end the process, as for other commands, would not do: the process of a party or a node
//! writes to sockets too, and others count on it whoever reads what it prints. So a reader that left is no failure, and whatever else keeps standard
//! output from being written, such as a full disk, is told at the end.

use crate::error::CliError;
use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::sync::OnceLock;

/// What stopped standard output first. Nothing is written after it.
static STOPPED: OnceLock<(ErrorKind, String)> = OnceLock::new();

/// In place of the standard library's.
macro_rules! print {
    ($($what:tt)*) => { $crate::output::out(format_args!($($what)*)) };
}

/// In place of the standard library's.
macro_rules! println {
    () => { $crate::output::out(format_args!("\n")) };
    ($($what:tt)*) => { $crate::output::out(format_args!("{}\n", format_args!($($what)*))) };
}

/// In place of the standard library's.
macro_rules! eprintln {
    ($($what:tt)*) => { $crate::output::err(format_args!($($what)*)) };
}

/// Writes to standard output.
pub fn out(what: Arguments) {
    note(if STOPPED.get().is_none() { io::stdout().write_fmt(what) } else { Ok(()) });
}

/// Writes a line to standard error. There is nobody to tell if that fails.
pub fn err(what: Arguments) {
    let _ = writeln!(io::stderr(), "{what}");
}

/// Whether nobody reads standard output any more.
pub fn reader_left() -> bool {
    STOPPED.get().is_some_and(|(kind, _)| *kind == ErrorKind::BrokenPipe)
}

/// Writes what is left.
///
/// # Errors
/// Standard output could not be written, though it has a reader.
pub fn finish() -> Result<(), CliError> {
    note(io::stdout().flush());
    match STOPPED.get() {
        Some((kind, problem)) if *kind != ErrorKind::BrokenPipe => {
            Err(CliError::System { action: "writing standard output", problem: problem.clone() })
        }
        _ => Ok(()),
    }
}

fn note(written: io::Result<()>) {
    if let Err(e) = written {
        let _ = STOPPED.set((e.kind(), e.to_string()));
    }
}
