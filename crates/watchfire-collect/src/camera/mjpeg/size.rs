//! How large a JPEG is, found in its header as its bytes come by. Nothing is kept and nothing decoded. Bytes come from strangers.

/// Where in the header the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// So many bytes of the mark at the very beginning were there.
    Begin(u8),
    /// Before the 0xff of a marker.
    Gap,
    /// Before the kind of a marker.
    Marker,
    /// In the length of a segment that is skipped, or that tells the size.
    Length { told: bool, high: Option<u8> },
    /// So many bytes of a segment are left.
    Skip(u16),
    /// Within what tells the size.
    Frame { bytes: [u8; 5], read: u8 },
    /// The size is known, or is not to be found.
    Over,
}

/// Reads the header of one picture.
#[derive(Clone, Copy, Debug)]
pub struct SizeReader {
    at: At,
    jpeg: bool,
    size: Option<(u32, u32)>,
}

impl Default for SizeReader {
    fn default() -> SizeReader {
        SizeReader { at: At::Begin(0), jpeg: false, size: None }
    }
}

impl SizeReader {
    /// The next bytes.
    pub fn read(&mut self, bytes: &[u8]) {
        let mut bytes = bytes;
        while let [first, rest @ ..] = bytes {
            bytes = match self.at {
                At::Over => return,
                At::Skip(left) => {
                    let taken = usize::from(left).min(bytes.len());
                    let left = left.saturating_sub(u16::try_from(taken).unwrap_or(left));
                    self.at = if left == 0 { At::Gap } else { At::Skip(left) };
                    bytes.get(taken..).unwrap_or(&[])
                }
                at => {
                    self.at = self.step(at, *first);
                    rest
                }
            };
        }
    }

    fn step(&mut self, at: At, byte: u8) -> At {
        match (at, byte) {
            (At::Begin(0), 0xff) => At::Begin(1),
            (At::Begin(1), 0xd8) => {
                self.jpeg = true;
                At::Gap
            }
            // Any number of 0xff may stand before a marker.
            (At::Gap | At::Marker, 0xff) => At::Marker,
            // Markers without a segment.
            (At::Marker, 0x01 | 0xd0..=0xd8) => At::Gap,
            // The picture itself, or its end.
            (At::Marker, 0 | 0xd9 | 0xda) => At::Over,
            (At::Marker, kind) => At::Length { told: matches!(kind, 0xc0..=0xcf) && !matches!(kind, 0xc4 | 0xc8 | 0xcc), high: None },
            (At::Length { told, high: None }, high) => At::Length { told, high: Some(high) },
            (At::Length { told: true, .. }, _) => At::Frame { bytes: [0; 5], read: 0 },
            // A length counts itself.
            (At::Length { high: Some(high), .. }, low) => match u16::from_be_bytes([high, low]).checked_sub(2) {
                None => At::Over,
                Some(0) => At::Gap,
                Some(left) => At::Skip(left),
            },
            (At::Frame { mut bytes, read }, byte) => {
                if let Some(place) = bytes.get_mut(usize::from(read)) {
                    *place = byte;
                }
                if read < 4 {
                    return At::Frame { bytes, read: read + 1 };
                }
                let [_, h1, h0, w1, w0] = bytes;
                let size = (u32::from(u16::from_be_bytes([w1, w0])), u32::from(u16::from_be_bytes([h1, h0])));
                self.size = (size.0 > 0 && size.1 > 0).then_some(size);
                At::Over
            }
            _ => At::Over,
        }
    }

    /// Whether it began as a JPEG does.
    pub fn is_jpeg(&self) -> bool {
        self.jpeg
    }

    /// Width and height, once they were read.
    pub fn size(&self) -> Option<(u32, u32)> {
        self.size
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A header as encoders write it, before bytes that differ from picture to picture.
    pub(crate) fn jpeg(width: u16, height: u16, rest: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0xff, 0xd8, 0xff, 0xe0, 0, 6, 1, 2, 3, 4, 0xff, 0xff, 0xdb, 0, 2, 0xff, 0xc0, 0, 17, 8];
        bytes.extend(height.to_be_bytes());
        bytes.extend(width.to_be_bytes());
        bytes.extend([3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1, 0xff, 0xda]);
        bytes.extend(rest);
        bytes
    }

    fn read(bytes: &[u8], piece: usize) -> (bool, Option<(u32, u32)>) {
        let mut reader = SizeReader::default();
        bytes.chunks(piece).for_each(|piece| reader.read(piece));
        (reader.is_jpeg(), reader.size())
    }

    #[test]
    fn sizes_in_pieces_of_any_length() {
        let whole = jpeg(1_920, 1_080, &[0xff, 0xc0, 0, 0]);
        for piece in [1, 2, 3, 7, 100] {
            assert_eq!(read(&whole, piece), (true, Some((1_920, 1_080))));
        }
        // A thumbnail within a segment is not the picture.
        let inner = jpeg(160, 120, &[]);
        let mut outer = vec![0xff, 0xd8, 0xff, 0xe1];
        outer.extend((inner.len() as u16 + 2).to_be_bytes());
        outer.extend(&inner);
        outer.extend(&jpeg(640, 480, &[])[2..]);
        assert_eq!(read(&outer, 5), (true, Some((640, 480))));
        for (bytes, is_jpeg) in [(&b"<html>"[..], false), (&[0xff, 0xd8, 0xff, 0xe0, 0, 0, 1], true), (&[0xff, 0xd8, 0xff, 0xda], true), (&[], false)] {
            assert_eq!(read(bytes, 3), (is_jpeg, None), "{bytes:?}");
        }
        assert_eq!(read(&jpeg(0, 480, &[]), 3), (true, None));
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in prop::collection::vec(prop_oneof![Just(0xffu8), Just(0xc0), Just(0), any::<u8>()], 0..200), piece in 1usize..9) {
            let bytes = [&[0xff, 0xd8][..], &bytes].concat();
            prop_assert_eq!(read(&bytes, piece), read(&bytes, 1_000));
        }
    }
}
