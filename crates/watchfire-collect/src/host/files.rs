//! Reads the small text files under `/proc`, `/sys` and `/etc` through a root path, with one buffer that is used again
//! and again. Not a parser: collectors know what stands in their files.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::HostError;

/// No kernel text file that we read is bigger; what is beyond is cut off.
const FILE_BYTES_MAX: u64 = 8 << 20;
/// The most directory entries that are looked at in one place.
const ENTRIES_MAX: usize = 4096;

/// The file trees of a host, and the buffer for what is read from them.
pub(crate) struct Files {
    root: PathBuf,
    bytes: Vec<u8>,
    /// Counts polls, for collectors that share what they read.
    pub(crate) poll: u64,
}

impl Files {
    /// The trees below a root, which is `/` outside tests.
    pub(crate) fn new(root: &Path) -> Files {
        Files { root: root.to_owned(), bytes: Vec::new(), poll: 0 }
    }

    /// Whether these are the trees of the machine we run on.
    pub(crate) fn is_live(&self) -> bool {
        self.root == Path::new("/")
    }

    /// The place of an absolute path below the root.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The whole text of a file; bytes that are not UTF-8 are replaced.
    pub(crate) fn text(&mut self, path: &str) -> Result<&str, HostError> {
        self.load(path).map_err(|source| HostError::Read { path: path.to_owned(), source })?;
        if std::str::from_utf8(&self.bytes).is_err() {
            self.bytes = String::from_utf8_lossy(&self.bytes).into_owned().into_bytes();
        }
        Ok(std::str::from_utf8(&self.bytes).unwrap_or_default())
    }

    /// The text of a file without white space around it, or `None` when it cannot be read.
    pub(crate) fn line(&mut self, path: &str) -> Option<&str> {
        self.text(path).ok().map(str::trim)
    }

    /// The number that a file holds, decimal or hexadecimal with `0x`.
    pub(crate) fn number(&mut self, path: &str) -> Option<f64> {
        number(self.line(path)?)
    }

    /// The names in a directory, sorted; none when it cannot be read.
    pub(crate) fn names(&self, path: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.at(path)) else { return Vec::new() };
        let mut names: Vec<String> = entries.take(ENTRIES_MAX).flatten().filter_map(|e| e.file_name().into_string().ok()).collect();
        names.sort_unstable();
        names
    }

    /// Whether something is there.
    pub(crate) fn exists(&self, path: &str) -> bool {
        self.at(path).exists()
    }

    fn load(&mut self, path: &str) -> std::io::Result<()> {
        self.bytes.clear();
        File::open(self.at(path))?.take(FILE_BYTES_MAX).read_to_end(&mut self.bytes)?;
        Ok(())
    }
}

/// A number as kernel files write it.
pub(crate) fn number(text: &str) -> Option<f64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok().map(|n| n as f64),
        None => text.parse().ok(),
    }
}
