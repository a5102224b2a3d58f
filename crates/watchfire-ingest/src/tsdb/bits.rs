//! Bit streams, most significant bit first, and the variable-width numbers of Prometheus' chunks in them.

use super::ChunkError;

/// Bytes under construction.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// Unused bits of the last byte.
    free: u32,
}
impl BitWriter {
    /// Begins behind whole bytes.
    pub(super) fn after(bytes: Vec<u8>) -> BitWriter {
        BitWriter { bytes, free: 0 }
    }
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
    pub(super) fn bit(&mut self, bit: bool) {
        self.bits(u64::from(bit), 1);
    }
    /// The lowest `count` bits of a number, 64 at most.
    pub(super) fn bits(&mut self, value: u64, count: u32) {
        let mut left = count;
        while left > 0 {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            let take = self.free.min(left);
            let piece = (value >> (left - take)) as u8 & (0xff >> (8 - take));
            if let Some(last) = self.bytes.last_mut() {
                *last |= piece << (self.free - take);
            }
            self.free -= take;
            left -= take;
        }
    }
    /// A number in groups of seven bits, lowest first, as Go's `binary.PutUvarint`.
    pub(super) fn uvarint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bits(value & 0x7f | 0x80, 8);
            value >>= 7;
        }
        self.bits(value, 8);
    }
    /// The same with the sign in the lowest bit.
    pub(super) fn varint(&mut self, value: i64) {
        self.uvarint(((value << 1) ^ (value >> 63)).cast_unsigned());
    }
    /// A delta of deltas of times in a float chunk.
    pub(super) fn time(&mut self, value: i64) {
        match value {
            0 => self.bit(false),
            v if fits(v, 14) => self.marked(0b10, 2, v, 14),
            v if fits(v, 17) => self.marked(0b110, 3, v, 17),
            v if fits(v, 20) => self.marked(0b1110, 4, v, 20),
            v => self.marked(0b1111, 4, v, 64),
        }
    }
    /// A signed number of a histogram chunk.
    pub(super) fn number(&mut self, value: i64) {
        match CLASSES.iter().find(|width| fits(value, **width)) {
            _ if value == 0 => self.bit(false),
            found => self.class(found, value.cast_unsigned()),
        }
    }
    /// An unsigned number of a histogram chunk.
    pub(super) fn count(&mut self, value: u64) {
        match CLASSES.iter().find(|width| value >> **width == 0) {
            _ if value == 0 => self.bit(false),
            found => self.class(found, value),
        }
    }
    /// As many ones as the class has before it, a zero, and the number; the class of 64 bits has no zero.
    fn class(&mut self, found: Option<&u32>, value: u64) {
        let place = found.map_or(CLASSES.len() as u32, |width| CLASSES.iter().take_while(|w| *w < width).count() as u32);
        for _ in 0..=place {
            self.bit(true);
        }
        if let Some(width) = found {
            self.bit(false);
            return self.bits(value, *width);
        }
        // Eight ones: the loop has written as many as there are classes, plus one.
        self.bits(value, 64);
    }
    fn marked(&mut self, mark: u64, mark_bits: u32, value: i64, width: u32) {
        self.bits(mark, mark_bits);
        self.bits(value.cast_unsigned(), width);
    }
}

/// The widths of numbers in histogram chunks; larger ones take 64 bits.
const CLASSES: [u32; 7] = [3, 6, 9, 12, 18, 25, 56];

/// Whether a number has a place among `width` bits. The range leans to the positive side, as in Prometheus.
fn fits(value: i64, width: u32) -> bool {
    let half = 1i64 << (width - 1);
    (1 - half..=half).contains(&value)
}

/// Bits as a signed number of that range.
fn signed(bits: u64, width: u32) -> i64 {
    if width < 64 && bits > 1 << (width - 1) { bits.wrapping_sub(1 << width).cast_signed() } else { bits.cast_signed() }
}

/// Bytes that are read bit by bit.
#[derive(Debug)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// Bits that were read.
    at: usize,
}
impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> BitReader<'a> {
        BitReader { bytes, at: 0 }
    }
    /// Bits that are left.
    pub(super) fn left(&self) -> usize {
        self.bytes.len() * 8 - self.at
    }
    pub(super) fn bit(&mut self) -> Result<bool, ChunkError> {
        Ok(self.bits(1)? == 1)
    }
    pub(super) fn bits(&mut self, count: u32) -> Result<u64, ChunkError> {
        if count as usize > self.left() {
            return Err(ChunkError::Truncated);
        }
        let (mut value, mut left) = (0u64, count);
        while left > 0 {
            let used = (self.at % 8) as u32;
            let take = (8 - used).min(left);
            let byte = self.bytes[self.at / 8] << used >> (8 - take);
            value = value << take | u64::from(byte);
            self.at += take as usize;
            left -= take;
        }
        Ok(value)
    }
    pub(super) fn uvarint(&mut self) -> Result<u64, ChunkError> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = self.bits(8)?;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= (byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(ChunkError::Invalid("a number has more than 64 bits".to_owned()))
    }
    pub(super) fn varint(&mut self) -> Result<i64, ChunkError> {
        let value = self.uvarint()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }
    /// How many ones come before a zero, at most `most`.
    fn ones(&mut self, most: usize) -> Result<usize, ChunkError> {
        for count in 0..most {
            if !self.bit()? {
                return Ok(count);
            }
        }
        Ok(most)
    }
    pub(super) fn time(&mut self) -> Result<i64, ChunkError> {
        let width = [0, 14, 17, 20, 64][self.ones(4)?];
        Ok(signed(self.bits(width)?, width.max(1)))
    }
    pub(super) fn number(&mut self) -> Result<i64, ChunkError> {
        let width = self.width()?;
        Ok(signed(self.bits(width)?, width.max(1)))
    }
    pub(super) fn count(&mut self) -> Result<u64, ChunkError> {
        let width = self.width()?;
        self.bits(width)
    }
    fn width(&mut self) -> Result<u32, ChunkError> {
        Ok(match self.ones(CLASSES.len() + 1)? {
            0 => 0,
            n => CLASSES.get(n - 1).copied().unwrap_or(64),
        })
    }
}

/// The state of a float that is written as the difference (XOR) to the one before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Xor {
    bits: u64,
    /// Leading and trailing zeros of the last difference that brought its own; `None` before the first.
    window: Option<(u32, u32)>,
}
impl Xor {
    /// The first value, which was written whole.
    pub(super) fn first(value: f64) -> Xor {
        Xor { bits: value.to_bits(), window: None }
    }
    /// The last value.
    pub(super) fn value(self) -> f64 {
        f64::from_bits(self.bits)
    }
    pub(super) fn write(&mut self, value: f64, out: &mut BitWriter) {
        let difference = value.to_bits() ^ self.bits;
        self.bits = value.to_bits();
        out.bit(difference != 0);
        if difference == 0 {
            return;
        }
        // Five bits hold the number of leading zeros.
        let (leading, trailing) = (difference.leading_zeros().min(31), difference.trailing_zeros());
        match self.window {
            Some((l, t)) if leading >= l && trailing >= t => {
                out.bit(false);
                out.bits(difference >> t, 64 - l - t);
            }
            _ => {
                self.window = Some((leading, trailing));
                let width = 64 - leading - trailing;
                out.bit(true);
                out.bits(u64::from(leading), 5);
                // A width of 64 is written as 0 in its six bits.
                out.bits(u64::from(width), 6);
                out.bits(difference >> trailing, width);
            }
        }
    }
    pub(super) fn read(&mut self, reader: &mut BitReader<'_>) -> Result<f64, ChunkError> {
        if reader.bit()? {
            let own = reader.bit()?;
            let (leading, trailing) = if own {
                let leading = reader.bits(5)? as u32;
                let width = match reader.bits(6)? as u32 {
                    0 => 64,
                    width => width,
                };
                if leading + width > 64 {
                    return Err(ChunkError::Invalid("a value has more than 64 bits".to_owned()));
                }
                (leading, 64 - leading - width)
            } else {
                self.window.unwrap_or((0, 0))
            };
            self.window = Some((leading, trailing));
            self.bits ^= reader.bits(64 - leading - trailing)? << trailing;
        }
        Ok(f64::from_bits(self.bits))
    }
}
