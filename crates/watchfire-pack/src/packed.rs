//! A file of a shipped pack as our own build packed it. What it means is read elsewhere.

use std::io::Read;

use flate2::read::GzDecoder;

/// One file.
#[derive(Clone, Copy, Debug)]
pub struct PackedText {
    /// The pack that it belongs to.
    pub pack: &'static str,
    /// Where it lies in the repository.
    pub path: &'static str,
    /// What stands in it, packed by gzip when this was built.
    packed: &'static [u8],
}
impl PackedText {
    /// What stands in it.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // It was packed by our own build, and a test reads each of them.
        let _whole = GzDecoder::new(self.packed).read_to_string(&mut text);
        text
    }
    /// For the lists that our build writes.
    pub(crate) const fn new(pack: &'static str, path: &'static str, packed: &'static [u8]) -> PackedText {
        PackedText { pack, path, packed }
    }
}
