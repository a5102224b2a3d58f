//! Why a store cannot be opened. Errors of reading and writing are those of the seams in `watchfire_model`.

use std::io;
use std::path::{Path, PathBuf};

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process works in the directory.
    #[error("cannot open {0}: another process is using it")]
    Locked(PathBuf),
    /// The data were written by a newer version; nothing has been touched.
    #[error("cannot open {path}: it has format version {found}, this program knows versions up to {known}")]
    Newer {
        /// The file that is too new.
        path: PathBuf,
        /// The major version that was found.
        found: u16,
        /// The newest major version that is known.
        known: u16,
    },
    /// The operating system refused something.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Whoever wanted it open does not any more.
    #[error("opening was stopped")]
    Stopped,
    /// The state file cannot be used.
    #[error("cannot open the state file: {0}")]
    State(String),
}

impl OpenError {
    /// Makes a closure for `map_err` that says what was tried with which file.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError + use<> {
        let path = path.to_owned();
        move |source| OpenError::Io { doing, path, source }
    }
}
