//! Text that must never be printed: passwords, tokens, keys. Not encryption: the text lies in memory as it is.

use std::fmt;
use std::path::Path;

use subtle::ConstantTimeEq;

/// A secret file larger than this is surely not a secret.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// A text that shows itself only through `expose`. `Debug` and `Display` print `<secret>`.
#[derive(Clone, Default)]
pub struct Secret(String);

/// Why a secret could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file could not be read.
    #[error("cannot read the secret file {path}")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is too large or no text.
    #[error("cannot use {path} as a secret: it is {problem}")]
    Unfit {
        /// The file.
        path: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }
    /// Reads a file; white space around the text is dropped, as Prometheus does. Blocks.
    pub fn from_file(path: &Path) -> Result<Secret, SecretError> {
        use std::io::Read;
        let named = || path.display().to_string();
        let read = || {
            let mut bytes = Vec::new();
            std::fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().map_err(|source| SecretError::Read { path: named(), source })?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(SecretError::Unfit { path: named(), problem: "larger than 64 KiB" });
        }
        let text = String::from_utf8(bytes).map_err(|_| SecretError::Unfit { path: named(), problem: "not UTF-8 text" })?;
        Ok(Secret(text.trim().to_owned()))
    }
    /// The text itself. Never log, label or render what comes from here.
    pub fn expose(&self) -> &str {
        &self.0
    }
    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}
impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}
/// Compares in a time that depends on the length only.
impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}
impl Eq for Secret {}
impl From<&str> for Secret {
    fn from(text: &str) -> Secret {
        Secret(text.to_owned())
    }
}
impl From<String> for Secret {
    fn from(text: String) -> Secret {
        Secret(text)
    }
}
impl Drop for Secret {
    fn drop(&mut self) {
        // `fill` through `black_box` keeps the compiler from dropping a write that nobody reads.
        let mut bytes = std::mem::take(&mut self.0).into_bytes();
        bytes.fill(0);
        std::hint::black_box(&bytes);
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secret = Secret::new("canary-3f9a");
        for text in [format!("{secret}"), format!("{secret:?}"), format!("{:#?}", Some(&secret))] {
            assert!(text.contains("<secret>") && !text.contains("canary"), "{text}");
        }
        assert_eq!(secret.expose(), "canary-3f9a");
    }

    #[test]
    fn equality() {
        for (a, b, same) in [("x", "x", true), ("x", "y", false), ("", "", true), ("x", "xx", false)] {
            assert_eq!(Secret::new(a) == Secret::new(b), same, "{a} {b}");
        }
    }

    #[test]
    fn files_are_trimmed_and_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, " abc\n").unwrap();
        assert_eq!(Secret::from_file(&path).unwrap().expose(), "abc");
        std::fs::write(&path, vec![b'a'; 70_000]).unwrap();
        assert!(Secret::from_file(&path).unwrap_err().to_string().contains("larger than 64 KiB"));
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(Secret::from_file(&path).is_err());
        assert!(Secret::from_file(&dir.path().join("absent")).is_err());
    }
}
