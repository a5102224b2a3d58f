//! What can be seen of a picture without decoding it: whether it stands by itself, and how large it is. H.264 (RFC 6184), H.265
//! (RFC 7798), JPEG (RFC 2435), MPEG-4 (RFC 6416), VP8 (RFC 7741). Bytes come from strangers.

/// A codec that is looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// H.264.
    H264,
    /// H.265.
    H265,
    /// JPEG.
    Jpeg,
    /// MPEG-4 visual.
    Mpeg4,
    /// VP8.
    Vp8,
    /// Another one: its packets are counted only.
    Other,
}

/// What one packet shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Whether it belongs to a picture that stands by itself.
    pub key: bool,
    /// Width and height, if they are told.
    pub size: Option<(u32, u32)>,
}
impl Seen {
    fn add(&mut self, other: Seen) {
        self.key |= other.key;
        self.size = other.size.or(self.size);
    }
}

impl Codec {
    /// The codec of a description.
    pub fn named(encoding: &str) -> Codec {
        match encoding {
            "H264" => Codec::H264,
            "H265" | "HEVC" => Codec::H265,
            "JPEG" => Codec::Jpeg,
            "MP4V-ES" => Codec::Mpeg4,
            "VP8" => Codec::Vp8,
            _ => Codec::Other,
        }
    }

    /// Looks into a packet's payload.
    pub fn look(self, payload: &[u8]) -> Seen {
        match self {
            Codec::H264 => h264(payload),
            Codec::H265 => h265(payload),
            Codec::Jpeg => jpeg(payload),
            Codec::Mpeg4 => Seen { key: mpeg4(payload), size: None },
            Codec::Vp8 => Seen { key: vp8(payload).unwrap_or(false), size: None },
            Codec::Other => Seen::default(),
        }
    }

    /// Looks into one unit that a description carries, such as a parameter set.
    pub fn look_at_unit(self, unit: &[u8]) -> Seen {
        match self {
            Codec::H264 => h264_unit(unit),
            Codec::H265 => h265_unit(unit),
            _ => Seen::default(),
        }
    }
}

fn h264(payload: &[u8]) -> Seen {
    match payload {
        // Several units in one packet.
        [first, rest @ ..] if first & 0x1f == 24 => units(rest, h264_unit),
        // A piece of a unit.
        [first, head, ..] if matches!(first & 0x1f, 28 | 29) => Seen { key: head & 0x1f == 5, size: None },
        _ => h264_unit(payload),
    }
}

fn h264_unit(unit: &[u8]) -> Seen {
    match unit.first().map(|first| first & 0x1f) {
        Some(5) => Seen { key: true, size: None },
        Some(7) => Seen { key: false, size: unit.get(1..).and_then(|set| h264_size(&without_escapes(set))) },
        _ => Seen::default(),
    }
}

fn h265(payload: &[u8]) -> Seen {
    let kind = |byte: u8| byte >> 1 & 0x3f;
    match payload {
        [first, _, rest @ ..] if kind(*first) == 48 => units(rest, h265_unit),
        [first, _, head, ..] if kind(*first) == 49 => Seen { key: (16..=21).contains(&(head & 0x3f)), size: None },
        _ => h265_unit(payload),
    }
}

fn h265_unit(unit: &[u8]) -> Seen {
    match unit.first().map(|first| first >> 1 & 0x3f) {
        Some(16..=21) => Seen { key: true, size: None },
        Some(33) => Seen { key: false, size: unit.get(2..).and_then(|set| h265_size(&without_escapes(set))) },
        _ => Seen::default(),
    }
}

/// Units with their lengths before them.
fn units(mut rest: &[u8], look: fn(&[u8]) -> Seen) -> Seen {
    let mut seen = Seen::default();
    while let [high, low, after @ ..] = rest {
        let Some((unit, after)) = after.split_at_checked(usize::from(u16::from_be_bytes([*high, *low]))) else { break };
        seen.add(look(unit));
        rest = after;
    }
    seen
}

fn jpeg(payload: &[u8]) -> Seen {
    let size = match payload {
        [_, 0, 0, 0, _, _, width, height, ..] if *width > 0 && *height > 0 => Some((u32::from(*width) * 8, u32::from(*height) * 8)),
        _ => None,
    };
    Seen { key: true, size }
}

/// A picture begins with 00 00 01 b6, and its kind is in the next two bits.
fn mpeg4(payload: &[u8]) -> bool {
    payload.windows(5).any(|w| matches!(w, [0, 0, 1, 0xb6, kind] if kind >> 6 == 0))
}

/// The first packet of a picture says in its last bit whether it needs the one before.
fn vp8(payload: &[u8]) -> Option<bool> {
    let (&first, mut rest) = payload.split_first()?;
    if first & 0x10 == 0 || first & 0x0f != 0 {
        return None;
    }
    if first & 0x80 != 0 {
        let (&more, after) = rest.split_first()?;
        rest = after;
        if more & 0x80 != 0 {
            let long = rest.first()? & 0x80 != 0;
            rest = rest.get(if long { 2 } else { 1 }..)?;
        }
        rest = rest.get(usize::from(more & 0x40 != 0) + usize::from(more & 0x30 != 0)..)?;
    }
    Some(rest.first()? & 1 == 0)
}

/// The bytes of a parameter set without those that only keep start codes away.
fn without_escapes(bytes: &[u8]) -> Vec<u8> {
    // What tells the size stands at the front.
    let mut out = Vec::with_capacity(bytes.len().min(512));
    for byte in bytes.iter().take(512) {
        if !(*byte == 3 && out.ends_with(&[0, 0])) {
            out.push(*byte);
        }
    }
    out
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}
impl Bits<'_> {
    fn bit(&mut self) -> Option<u32> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(u32::from(bit))
    }
    fn take(&mut self, count: u32) -> Option<u32> {
        (0..count.min(32)).try_fold(0u32, |value, _| Some(value << 1 | self.bit()?))
    }
    fn skip(&mut self, count: usize) {
        self.at = self.at.saturating_add(count);
    }
    /// An exponential Golomb code.
    fn number(&mut self) -> Option<u32> {
        let zeros = (0..32).take_while(|_| self.bit() == Some(0)).count() as u32;
        if zeros >= 32 {
            return None;
        }
        Some((1u32 << zeros) - 1 + self.take(zeros)?)
    }
    /// The same with a sign, which is read over.
    fn skip_signed(&mut self) -> Option<()> {
        self.number().map(|_| ())
    }
}

/// The size that a sequence parameter set of H.264 tells (7.3.2.1.1 of the standard).
fn h264_size(set: &[u8]) -> Option<(u32, u32)> {
    let mut bits = Bits { bytes: set, at: 0 };
    let profile = bits.take(8)?;
    bits.skip(16);
    bits.number()?;
    let mut chroma = 1;
    if matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135) {
        chroma = bits.number()?;
        if chroma == 3 {
            bits.skip(1);
        }
        bits.number()?;
        bits.number()?;
        bits.skip(1);
        if bits.bit()? == 1 {
            skip_scaling_lists(&mut bits, if chroma == 3 { 12 } else { 8 })?;
        }
    }
    bits.number()?;
    match bits.number()? {
        0 => {
            bits.number()?;
        }
        1 => {
            bits.skip(1);
            bits.skip_signed()?;
            bits.skip_signed()?;
            for _ in 0..bits.number()?.min(255) {
                bits.skip_signed()?;
            }
        }
        _ => {}
    }
    bits.number()?;
    bits.skip(1);
    let width = bits.number()?.checked_add(1)?.checked_mul(16)?;
    let units = bits.number()?.checked_add(1)?;
    let whole = bits.bit()?;
    if whole == 0 {
        bits.skip(1);
    }
    let height = units.checked_mul(16)?.checked_mul(2 - whole)?;
    bits.skip(1);
    if bits.bit()? == 0 {
        return within(width, height);
    }
    let (left, right, top, bottom) = (bits.number()?, bits.number()?, bits.number()?, bits.number()?);
    let (x, y) = (if matches!(chroma, 1 | 2) { 2 } else { 1 }, if chroma == 1 { 2 } else { 1 } * (2 - whole));
    let cut = |whole: u32, a: u32, b: u32, unit: u32| whole.checked_sub(a.checked_add(b)?.checked_mul(unit)?);
    within(cut(width, left, right, x)?, cut(height, top, bottom, y)?)
}

fn skip_scaling_lists(bits: &mut Bits<'_>, lists: usize) -> Option<()> {
    for list in 0..lists {
        if bits.bit()? == 0 {
            continue;
        }
        let (mut last, mut next) = (8i64, 8i64);
        for _ in 0..if list < 6 { 16 } else { 64 } {
            if next != 0 {
                let code = i64::from(bits.number()?);
                let delta = if code % 2 == 1 { (code + 1) / 2 } else { -(code / 2) };
                next = (last + delta).rem_euclid(256);
            }
            last = if next == 0 { last } else { next };
        }
    }
    Some(())
}

/// The size that a sequence parameter set of H.265 tells (7.3.2.2.1 of the standard).
fn h265_size(set: &[u8]) -> Option<(u32, u32)> {
    let mut bits = Bits { bytes: set, at: 0 };
    bits.skip(4);
    let layers = bits.take(3)?;
    bits.skip(1);
    bits.skip(88 + 8);
    let mut present = Vec::new();
    for _ in 0..layers {
        present.push((bits.bit()? == 1, bits.bit()? == 1));
    }
    if layers > 0 {
        bits.skip(2 * (8 - layers as usize));
    }
    for (profile, level) in present {
        bits.skip(if profile { 88 } else { 0 } + if level { 8 } else { 0 });
    }
    bits.number()?;
    let chroma = bits.number()?;
    if chroma == 3 {
        bits.skip(1);
    }
    let (width, height) = (bits.number()?, bits.number()?);
    if bits.bit()? == 0 {
        return within(width, height);
    }
    let (left, right, top, bottom) = (bits.number()?, bits.number()?, bits.number()?, bits.number()?);
    let (x, y) = (if matches!(chroma, 1 | 2) { 2 } else { 1 }, if chroma == 1 { 2 } else { 1 });
    let cut = |whole: u32, a: u32, b: u32, unit: u32| whole.checked_sub(a.checked_add(b)?.checked_mul(unit)?);
    within(cut(width, left, right, x)?, cut(height, top, bottom, y)?)
}

/// A size that a camera may have.
fn within(width: u32, height: u32) -> Option<(u32, u32)> {
    let sides = 1..=32_768;
    (sides.contains(&width) && sides.contains(&height)).then_some((width, height))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(hex.get(at..at + 2).unwrap(), 16).unwrap()).collect()
    }

    /// Parameter sets that x264 and x265 made for pictures of these sizes.
    #[test]
    fn sizes_of_parameter_sets() {
        for (codec, set, size) in [
            (Codec::H264, "6742c00bd90141fb0110000003001000000300a0f142a480", (320, 240)),
            (Codec::H264, "67640028acd940780227e5c044000003000400000300283c60c658", (1920, 1080)),
            (Codec::H264, "67f40016919b281485fc7cf808800000030080000005078b16cb", (642, 362)),
            (Codec::H264, "67640016acd940b424d8088000000300800000050f8a14cb", (720, 576)),
            (Codec::H265, "42010101600000030090000003000003003fa00502016965959a4932bc05a020000003002000000300a1", (640, 360)),
            (Codec::H265, "4201010408000003009d0800000300005db00280802d1f6d96566924caf016808000000300800000030284", (1280, 718)),
            (Codec::H265, "420101016000000300900000030000030096a001402005a165959a4932bc05a020000003002000000300a1", (2560, 1440)),
        ] {
            assert_eq!(codec.look_at_unit(&bytes(set)), Seen { key: false, size: Some(size) }, "{set}");
        }
    }

    #[test]
    fn pictures_that_stand_by_themselves() {
        for (codec, payload, key) in [
            (Codec::H264, vec![0x65, 1], true),
            (Codec::H264, vec![0x41, 1], false),
            (Codec::H264, vec![0x7c, 0x85, 1], true),
            (Codec::H264, vec![0x7c, 0x81, 1], false),
            (Codec::H264, vec![0x78, 0, 2, 0x09, 0x10, 0, 1, 0x65], true),
            (Codec::H264, vec![0x78, 0, 9, 0x65], false),
            (Codec::H264, vec![], false),
            (Codec::H265, vec![0x26, 1, 0], true),
            (Codec::H265, vec![0x02, 1, 0], false),
            (Codec::H265, vec![0x62, 1, 0x93], true),
            (Codec::H265, vec![0x60, 1, 0, 1, 0x02, 0, 1, 0x26], true),
            (Codec::Jpeg, vec![0, 0, 0, 0, 1, 80, 40, 30], true),
            (Codec::Mpeg4, vec![0, 0, 1, 0xb6, 0x10], true),
            (Codec::Mpeg4, vec![0, 0, 1, 0xb6, 0x50], false),
            (Codec::Vp8, vec![0x10, 0x10], true),
            (Codec::Vp8, vec![0x90, 0x80, 0x81, 0x01, 0x11], false),
            (Codec::Vp8, vec![0x00, 0x10], false),
            (Codec::Other, vec![0x65], false),
        ] {
            assert_eq!(codec.look(&payload).key, key, "{codec:?} {payload:x?}");
        }
        assert_eq!(Codec::Jpeg.look(&[0, 0, 0, 0, 1, 80, 40, 30]).size, Some((320, 240)));
        assert_eq!(Codec::named("HEVC"), Codec::H265);
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            for codec in [Codec::H264, Codec::H265, Codec::Jpeg, Codec::Mpeg4, Codec::Vp8] {
                codec.look(&bytes);
                codec.look_at_unit(&bytes);
            }
            h264_size(&bytes);
            h265_size(&bytes);
        }
    }
}
