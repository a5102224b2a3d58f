//! The head of an RTP packet (RFC 3550). Nothing is put in order and nothing decoded here.

/// A packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// What it carries.
    pub payload_type: u8,
    /// Whether it ends a picture.
    pub marker: bool,
    /// Its number, which wraps.
    pub sequence: u16,
    /// When what it carries was taken, in ticks; wraps.
    pub time: u32,
    /// Who sends.
    pub source: u32,
    /// What it carries.
    pub payload: &'a [u8],
}

/// Reads a packet; nothing if it is none.
pub fn parse(bytes: &[u8]) -> Option<Packet<'_>> {
    let (head, rest) = bytes.split_at_checked(12)?;
    let [first, second, s0, s1, t0, t1, t2, t3, r0, r1, r2, r3] = *head else { return None };
    if first >> 6 != 2 {
        return None;
    }
    let mut rest = rest.get(usize::from(first & 0x0f) * 4..)?;
    if first & 0x10 != 0 {
        let [_, _, high, low, after @ ..] = rest else { return None };
        rest = after.get(usize::from(u16::from_be_bytes([*high, *low])) * 4..)?;
    }
    if first & 0x20 != 0 {
        let padding = usize::from(*rest.last()?);
        rest = rest.get(..rest.len().checked_sub(padding)?)?;
    }
    Some(Packet {
        payload_type: second & 0x7f,
        marker: second & 0x80 != 0,
        sequence: u16::from_be_bytes([s0, s1]),
        time: u32::from_be_bytes([t0, t1, t2, t3]),
        source: u32::from_be_bytes([r0, r1, r2, r3]),
        payload: rest,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn heads_with_everything() {
        let mut bytes = vec![0xb1, 0xe0, 0x12, 0x34, 0, 0, 0, 9, 0, 0, 0, 7];
        bytes.extend([1, 1, 1, 1]); // one contributor
        bytes.extend([0xbe, 0xde, 0, 1, 2, 2, 2, 2]); // an extension of one word
        bytes.extend([5, 6, 0, 2]); // two bytes, two of padding
        let packet = parse(&bytes).unwrap();
        assert_eq!((packet.payload_type, packet.marker, packet.sequence, packet.time, packet.source), (0x60, true, 0x1234, 9, 7));
        assert_eq!(packet.payload, [5, 6]);
        for cut in 0..23 {
            parse(&bytes[..cut]);
        }
        assert_eq!(parse(&bytes[..11]), None);
        assert_eq!(parse(&[0x40; 12]), None);
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Some(packet) = parse(&bytes) {
                prop_assert!(packet.payload.len() + 12 <= bytes.len());
            }
        }
    }
}
