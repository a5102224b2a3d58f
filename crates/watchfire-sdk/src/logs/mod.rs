//! Log lines: one JSON object a line with time, level, message, target, the ids of its request and its trace, and the event's own
//! fields. Lines are written by a thread of their own; a reader who is slow costs lines, which are counted, and no time.

mod layer;
mod line;
#[cfg(test)]
pub(crate) mod tests;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use crate::background::{Background, Limits};

pub(crate) use layer::LogLayer;
pub use layer::{Ids, current_ids};

/// The most bytes of lines that wait to be written.
pub const LINES_BYTES_MAX: usize = 8 << 20;
/// A longer line loses its end, which is said in it.
pub const MESSAGE_BYTES_MAX: usize = 64 << 10;
const LIMITS: Limits = Limits { bytes_max: LINES_BYTES_MAX, batch_max: 1_000, wake_at: 1, interval: Duration::from_secs(1) };

/// Where lines go.
#[derive(Default)]
pub enum Output {
    /// Standard error.
    #[default]
    StandardError,
    /// Standard output.
    StandardOutput,
    /// The end of a file, which is made when it is not there.
    File(PathBuf),
    /// Something else.
    Writer(Box<dyn Write + Send>),
}
impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Output::StandardError => f.write_str("StandardError"),
            Output::StandardOutput => f.write_str("StandardOutput"),
            Output::File(path) => write!(f, "File({})", path.display()),
            Output::Writer(_) => f.write_str("Writer"),
        }
    }
}
impl Output {
    fn open(self) -> std::io::Result<Box<dyn Write + Send>> {
        Ok(match self {
            Output::StandardError => Box::new(std::io::stderr()),
            Output::StandardOutput => Box::new(std::io::stdout()),
            Output::File(path) => Box::new(OpenOptions::new().create(true).append(true).open(path)?),
            Output::Writer(writer) => writer,
        })
    }
}

/// Starts the thread that writes.
pub(crate) fn start(output: Output) -> std::io::Result<Background<String>> {
    let mut output = output.open()?;
    Background::start("watchfire-logs", LIMITS, move |lines: Vec<String>| {
        // Who cannot log has nobody to tell.
        drop(output.write_all(lines.concat().as_bytes()));
        drop(output.flush());
    })
}
