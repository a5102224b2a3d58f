//! Bytes → lines. What is not text becomes text with replacements, which are counted; a line that is too long loses its end.

use super::super::Figures;

/// How the bytes of a line become text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8; everything else in it is replaced.
    #[default]
    Utf8,
    /// ISO 8859-1: each byte is a character.
    Latin1,
}
impl Encoding {
    /// An encoding by one of its names.
    pub fn from_name(name: &str) -> Option<Encoding> {
        match name.to_ascii_lowercase().as_str() {
            "" | "utf-8" | "utf8" | "plain" | "utf-8-bom" => Some(Encoding::Utf8),
            "latin1" | "iso8859-1" | "iso-8859-1" | "iso_8859-1" => Some(Encoding::Latin1),
            _ => None,
        }
    }
    /// The text of a line.
    pub(super) fn text(self, bytes: &[u8], figures: &Figures) -> String {
        match self {
            Encoding::Latin1 => bytes.iter().map(|b| char::from(*b)).collect(),
            Encoding::Utf8 => match std::str::from_utf8(bytes) {
                Ok(text) => text.to_owned(),
                Err(_) => {
                    figures.replaced.inc();
                    String::from_utf8_lossy(bytes).into_owned()
                }
            },
        }
    }
}

/// What one look at the bytes gave.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Split {
    /// The bytes that are done with.
    pub(super) used: usize,
    /// Whether what follows is the rest of a line whose begin was given already.
    pub(super) skipping: bool,
}

/// Visits the complete lines of some bytes with their places. `full` says that no more bytes can be had before these are used, so that a
/// line without an end is too long; `last` says that no more will ever come.
pub(super) fn split(bytes: &[u8], skipping: bool, full: bool, last: bool, line_max: usize, visit: &mut dyn FnMut(usize, &[u8], bool)) -> Split {
    let mut out = Split { used: 0, skipping };
    while let Some(rest) = bytes.get(out.used..).filter(|rest| !rest.is_empty()) {
        match rest.iter().position(|b| *b == b'\n') {
            Some(end) => {
                if !out.skipping {
                    let line = rest.get(..end).unwrap_or(rest);
                    give(out.used, line.strip_suffix(b"\r").unwrap_or(line), line_max, visit);
                }
                out.used += end + 1;
                out.skipping = false;
            }
            None if last || full || rest.len() > line_max => {
                if !out.skipping {
                    give(out.used, rest, line_max, visit);
                }
                out.used = bytes.len();
                out.skipping = !last;
            }
            None => break,
        }
    }
    out
}

fn give(at: usize, line: &[u8], line_max: usize, visit: &mut dyn FnMut(usize, &[u8], bool)) {
    // A file that was emptied under a writer that kept its place begins with a hole.
    let hole = line.iter().take_while(|b| **b == 0).count();
    let line = line.get(hole..).unwrap_or(line);
    match line.get(..line_max) {
        Some(cut) if line.len() > line_max => visit(at, whole_characters(cut), true),
        _ => visit(at, line, false),
    }
}

/// Without the begin of a character that was cut.
fn whole_characters(cut: &[u8]) -> &[u8] {
    match std::str::from_utf8(cut) {
        Err(error) if error.error_len().is_none() => cut.get(..error.valid_up_to()).unwrap_or(cut),
        _ => cut,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(bytes: &[u8], skipping: bool, full: bool, last: bool, max: usize) -> (Vec<String>, Split) {
        let mut found = Vec::new();
        let split = split(bytes, skipping, full, last, max, &mut |at, line, cut| {
            found.push(format!("{at}:{}{}", String::from_utf8_lossy(line), if cut { "…" } else { "" }));
        });
        (found, split)
    }

    #[test]
    fn lines_and_their_ends() {
        assert_eq!(all(b"a\r\nb\nc", false, false, false, 9), (vec!["0:a".into(), "3:b".into()], Split { used: 5, skipping: false }));
        assert_eq!(all(b"c", false, false, true, 9), (vec!["0:c".into()], Split { used: 1, skipping: false }));
        assert_eq!(all(b"abcdef", false, true, false, 3), (vec!["0:abc…".into()], Split { used: 6, skipping: true }));
        assert_eq!(all(b"gh\nx\n", true, false, false, 3), (vec!["3:x".into()], Split { used: 5, skipping: false }));
        assert_eq!(all("é\n".as_bytes(), false, false, false, 1), (vec!["0:…".into()], Split { used: 3, skipping: false }));
        assert_eq!(all(b"\0\0x\n", false, false, false, 9).0, ["0:x"]);
        assert_eq!(all(b"\n\n", false, false, false, 9).0, ["0:", "1:"]);
    }

    proptest! {
        /// Any bytes in any portions give the same lines.
        #[test]
        fn portions_do_not_matter(bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'a'), any::<u8>()], 0..200), portion in 1usize..50) {
            let whole = all(&bytes, false, false, true, 1_000).0.len();
            let (mut from, mut to, mut lines) = (0, 0, 0);
            while to < bytes.len() {
                to = (to + portion).min(bytes.len());
                let (found, split) = all(&bytes[from..to], false, false, to == bytes.len(), 1_000);
                lines += found.len();
                from += split.used;
            }
            prop_assert_eq!(lines, whole);
        }
    }
}
