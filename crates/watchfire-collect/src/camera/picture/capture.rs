//! Puts the pieces of one picture that stands by itself together, as its packets bring them: H.264 and H.265 with the parameter sets that go
//! before it. What has a hole is thrown away. Bytes come from strangers.

use crate::camera::rtsp::codec::Codec;
use crate::camera::rtsp::rtp::Packet;

/// Bytes of one picture.
pub const PICTURE_BYTES_MAX: usize = 4 << 20;
/// Parameter sets that are kept, and bytes of one.
const SETS_MAX: usize = 16;
const SET_BYTES_MAX: usize = 4 << 10;
const START: [u8; 4] = [0, 0, 0, 1];

/// A picture on its way.
#[derive(Debug)]
pub struct Capture {
    codec: Codec,
    /// Parameter sets by their kind, each with its bytes.
    sets: Vec<(u8, Vec<u8>)>,
    time: Option<u32>,
    next: u16,
    bytes: Vec<u8>,
    key: bool,
    broken: bool,
    /// Whether a unit is in pieces.
    open: bool,
}

impl Capture {
    /// Begins, with the units that the description carries.
    pub fn new(codec: Codec, units: &[Vec<u8>]) -> Capture {
        let mut capture = Capture { codec, sets: Vec::new(), time: None, next: 0, bytes: Vec::new(), key: false, broken: true, open: false };
        for unit in units {
            capture.keep(unit);
        }
        capture
    }

    /// Takes a packet; gives a whole picture when one is complete: its parameter sets and itself, with start codes. While none is `wanted`
    /// only parameter sets are kept, and a picture that is under way is let go.
    pub fn take(&mut self, packet: &Packet<'_>, wanted: bool) -> Option<Vec<u8>> {
        let gap = packet.sequence != self.next;
        self.next = packet.sequence.wrapping_add(1);
        if self.time != Some(packet.time) {
            self.time = Some(packet.time);
            self.bytes.clear();
            (self.key, self.open) = (false, false);
            // After a gap the beginning of the picture may be missing.
            self.broken = gap;
        } else {
            self.broken |= gap;
        }
        if !wanted {
            // What is missing of a picture does not come again.
            self.broken = true;
            self.bytes = Vec::new();
        }
        match self.codec {
            Codec::H264 => self.h264(packet.payload),
            Codec::H265 => self.h265(packet.payload),
            _ => return None,
        }
        if !packet.marker || self.broken || self.open || !self.key {
            return None;
        }
        let mut whole = Vec::new();
        for (_, set) in &self.sets {
            whole.extend(START);
            whole.extend(set);
        }
        whole.append(&mut self.bytes);
        self.broken = true;
        Some(whole)
    }

    fn h264(&mut self, payload: &[u8]) {
        match payload {
            [first, rest @ ..] if first & 0x1f == 24 => self.units(rest),
            [first, head, rest @ ..] if first & 0x1f == 28 => {
                let unit = [first & 0xe0 | head & 0x1f];
                self.piece(*head, &unit, rest);
            }
            [_, ..] => self.unit(payload),
            [] => {}
        }
    }

    fn h265(&mut self, payload: &[u8]) {
        match payload {
            [first, _, rest @ ..] if first >> 1 & 0x3f == 48 => self.units(rest),
            [first, second, head, rest @ ..] if first >> 1 & 0x3f == 49 => {
                let unit = [first & 0x81 | (head & 0x3f) << 1, *second];
                self.piece(*head, &unit, rest);
            }
            [_, ..] => self.unit(payload),
            [] => {}
        }
    }

    fn units(&mut self, mut rest: &[u8]) {
        while let [high, low, after @ ..] = rest {
            let Some((unit, after)) = after.split_at_checked(usize::from(u16::from_be_bytes([*high, *low]))) else {
                self.broken = true;
                return;
            };
            self.unit(unit);
            rest = after;
        }
    }

    /// A piece of a unit: `head` says whether it is the first or the last, `unit` is how the whole begins.
    fn piece(&mut self, head: u8, unit: &[u8], rest: &[u8]) {
        if head & 0x80 != 0 {
            self.open = true;
            self.key |= self.is_key(unit);
            self.add(&[&START, unit]);
        } else if !self.open {
            self.broken = true;
        }
        self.add(&[rest]);
        if head & 0x40 != 0 {
            self.open = false;
        }
    }

    fn unit(&mut self, unit: &[u8]) {
        if !self.keep(unit) {
            self.key |= self.is_key(unit);
            self.add(&[&START, unit]);
        }
    }

    fn add(&mut self, parts: &[&[u8]]) {
        for part in parts {
            if self.broken {
                return;
            }
            if self.bytes.len() + part.len() > PICTURE_BYTES_MAX {
                self.broken = true;
                return;
            }
            self.bytes.extend_from_slice(part);
        }
    }

    fn is_key(&self, unit: &[u8]) -> bool {
        self.codec.look_at_unit(unit).key
    }

    /// Keeps a parameter set; whether it was one.
    fn keep(&mut self, unit: &[u8]) -> bool {
        let kind = match (self.codec, unit.first()) {
            (Codec::H264, Some(first)) => first & 0x1f,
            (Codec::H265, Some(first)) => first >> 1 & 0x3f,
            _ => return false,
        };
        let is_set = match self.codec {
            Codec::H264 => matches!(kind, 7 | 8),
            _ => matches!(kind, 32..=34),
        };
        if !is_set {
            return false;
        }
        // Sets of one kind may be several; the same one again replaces itself.
        if unit.len() <= SET_BYTES_MAX && !self.sets.iter().any(|(_, known)| known == unit) {
            if self.sets.len() >= SETS_MAX {
                self.sets.clear();
            }
            self.sets.push((kind, unit.to_vec()));
            self.sets.sort_by_key(|(kind, _)| *kind);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(sequence: u16, time: u32, marker: bool, payload: &[u8]) -> Packet<'_> {
        Packet { payload_type: 96, marker, sequence, time, source: 1, payload }
    }

    #[test]
    fn pictures_of_whole_units_and_of_pieces() {
        let mut capture = Capture::new(Codec::H264, &[vec![0x68, 9], vec![0x67, 8]]);
        // What came before nobody knows.
        assert_eq!(capture.take(&packet(10, 1, true, &[0x65, 1]), true), None);
        assert_eq!(capture.take(&packet(11, 2, false, &[0x7c, 0x85, 1]), true), None);
        assert_eq!(capture.take(&packet(12, 2, false, &[0x7c, 0x05, 2]), true), None);
        let whole = capture.take(&packet(13, 2, true, &[0x7c, 0x45, 3]), true).unwrap();
        assert_eq!(whole, [0, 0, 0, 1, 0x67, 8, 0, 0, 0, 1, 0x68, 9, 0, 0, 0, 1, 0x65, 1, 2, 3]);
        // A picture that needs others is none.
        assert_eq!(capture.take(&packet(14, 3, true, &[0x41, 1]), true), None);
        // Several units in one packet, a new parameter set among them.
        let whole = capture.take(&packet(15, 4, true, &[0x78, 0, 2, 0x67, 7, 0, 2, 0x65, 4]), true).unwrap();
        assert!(whole.ends_with(&[0, 0, 0, 1, 0x65, 4]) && whole.windows(2).any(|w| w == [0x67, 7]));
        // A hole.
        assert_eq!(capture.take(&packet(16, 5, false, &[0x7c, 0x85, 1]), true), None);
        assert_eq!(capture.take(&packet(18, 5, true, &[0x7c, 0x45, 3]), true), None);

        // While no picture is wanted nothing is copied but parameter sets; one that is under way is not begun in its middle.
        assert_eq!(capture.take(&packet(19, 6, false, &[0x7c, 0x85, 1]), true), None);
        assert!(capture.bytes.capacity() > 0);
        assert_eq!(capture.take(&packet(20, 6, true, &[0x7c, 0x45, 2]), false), None);
        assert_eq!(capture.take(&packet(21, 7, false, &[0x67, 6]), false), None);
        assert_eq!(capture.take(&packet(22, 7, true, &[0x65, 5]), false), None);
        assert_eq!((capture.bytes.capacity(), capture.take(&packet(23, 8, false, &[0x7c, 0x85, 1]), false)), (0, None));
        assert_eq!(capture.take(&packet(24, 8, true, &[0x7c, 0x45, 2]), true), None);
        let whole = capture.take(&packet(25, 9, true, &[0x65, 7]), true).unwrap();
        assert!(whole.ends_with(&[0, 0, 0, 1, 0x65, 7]) && whole.windows(2).any(|w| w == [0x67, 6]));

        let mut capture = Capture::new(Codec::H265, &[]);
        capture.take(&packet(1, 1, true, &[0x02, 1]), true);
        capture.take(&packet(2, 2, false, &[0x42, 1, 5]), true);
        capture.take(&packet(3, 2, false, &[0x62, 1, 0x93, 6]), true);
        assert_eq!(capture.take(&packet(4, 2, true, &[0x62, 1, 0x53, 7]), true), Some(vec![0, 0, 0, 1, 0x42, 1, 5, 0, 0, 0, 1, 0x26, 1, 6, 7]));
    }

    proptest! {
        #[test]
        fn any_payloads(payloads in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..12), any::<bool>(), 0u32..3), 0..20)) {
            for codec in [Codec::H264, Codec::H265, Codec::Jpeg] {
                let mut capture = Capture::new(codec, &[]);
                for (sequence, (payload, marker, time)) in payloads.iter().enumerate() {
                    drop(capture.take(&packet(sequence as u16, *time, *marker, payload), true));
                }
            }
        }
    }
}
