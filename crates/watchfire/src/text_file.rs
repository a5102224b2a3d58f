//! The text of a configuration file for whoever wrote it: what cannot be read is a finding, with its place where it has one. What the text means is
//! for others.

use std::io::Read;
use std::path::Path;

use watchfire_model::document::{Finding, Severity};

/// The largest configuration file.
const BYTES_MAX: u64 = 64 << 20;

/// Reads one.
pub(crate) fn read(path: &Path) -> Result<String, Box<Finding>> {
    let cannot = |line, column, reason: String| {
        let message = format!("cannot read the file: {reason}");
        Box::new(Finding { severity: Severity::Error, file: path.display().to_string().into(), line, column, message })
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut bytes));
    file.map_err(|error| cannot(0, 0, error.to_string()))?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(cannot(0, 0, format!("it is larger than {BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let (good, bad) = error.as_bytes().split_at(error.utf8_error().valid_up_to());
        let before = String::from_utf8_lossy(good);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        cannot(line, column, format!("byte 0x{:02x} is not UTF-8; save it in that encoding", bad.first().copied().unwrap_or_default()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_has_a_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.yml");
        let said = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            read(&path).map_err(|finding| finding.to_string().rsplit('/').next().unwrap_or_default().to_owned())
        };
        assert_eq!(said("a: ü\n".as_bytes()).unwrap(), "a: ü\n");
        assert_eq!(
            said(b"a: 1\n\xc3\xbcb: \"k\xfcche\"\n").unwrap_err(),
            "a.yml:2:7: error: cannot read the file: byte 0xfc is not UTF-8; save it in that encoding"
        );
        assert_eq!(said(b"a: \xc3").unwrap_err(), "a.yml:1:4: error: cannot read the file: byte 0xc3 is not UTF-8; save it in that encoding");
        std::fs::remove_file(&path).unwrap();
        assert!(read(&path).unwrap_err().message.contains("No such file"));
        assert!(read(dir.path()).is_err());
        std::fs::File::create(&path).unwrap().set_len(BYTES_MAX + 1).unwrap();
        assert!(read(&path).unwrap_err().message.contains("larger"));
    }
}
