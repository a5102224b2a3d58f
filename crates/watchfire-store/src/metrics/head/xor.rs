//! The codec of samples in memory: Gorilla's XOR scheme, which appends a sample in nanoseconds and holds most series at one
//! to three bytes per sample. Not the codec of files: that one sees whole chunks and packs tighter.

/// Bits that encode a change of the interval: prefix length and width, by growing magnitude.
const DOD_CLASSES: [(u32, u64, u32); 4] = [(2, 0b10, 8), (3, 0b110, 16), (4, 0b1110, 24), (5, 0b11110, 34)];

/// A chunk that grows.
#[derive(Clone, Debug, Default)]
pub(crate) struct XorChunk {
    bytes: Vec<u8>,
    /// Unused bits in the last byte.
    free: u8,
    leading: u8,
    trailing: u8,
    count: u16,
    first: i64,
    last: i64,
    interval: i64,
    bits: u64,
}

impl XorChunk {
    pub(crate) fn count(&self) -> u16 {
        self.count
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }
    /// The time of the first sample; meaningless when empty.
    pub(crate) fn first(&self) -> i64 {
        self.first
    }
    /// The time of the last sample; meaningless when empty.
    pub(crate) fn last(&self) -> i64 {
        self.last
    }
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Appends a sample; the time must be after the last one.
    pub(crate) fn push(&mut self, time: i64, bits: u64) {
        if self.count == 0 {
            self.first = time;
            self.bytes.reserve_exact(40);
            self.put(time as u64, 64);
            self.put(bits, 64);
            self.leading = u8::MAX;
        } else {
            self.push_time(time);
            self.push_value(bits);
        }
        self.last = time;
        self.bits = bits;
        self.count += 1;
    }

    fn push_time(&mut self, time: i64) {
        let interval = time.wrapping_sub(self.last);
        let change = interval.wrapping_sub(self.interval);
        self.interval = interval;
        if change == 0 {
            return self.put(0, 1);
        }
        for (prefix_bits, prefix, width) in DOD_CLASSES {
            let half = 1i64 << (width - 1);
            if (-half..half).contains(&change) {
                self.put(prefix, prefix_bits);
                return self.put((change as u64) & ((1 << width) - 1), width);
            }
        }
        self.put(0b11111, 5);
        self.put(change as u64, 64);
    }

    fn push_value(&mut self, bits: u64) {
        let xor = bits ^ self.bits;
        if xor == 0 {
            return self.put(0, 1);
        }
        let leading = (xor.leading_zeros() as u8).min(31);
        let trailing = xor.trailing_zeros() as u8;
        if self.leading != u8::MAX && leading >= self.leading && trailing >= self.trailing {
            self.put(0b10, 2);
            let width = 64 - u32::from(self.leading) - u32::from(self.trailing);
            return self.put(xor >> self.trailing, width);
        }
        self.leading = leading;
        self.trailing = trailing;
        let width = 64 - u32::from(leading) - u32::from(trailing);
        self.put(0b11, 2);
        self.put(u64::from(leading), 5);
        self.put(u64::from(width - 1), 6);
        self.put(xor >> trailing, width);
    }

    /// Appends the lowest bits of a value, at most 64.
    #[inline]
    fn put(&mut self, value: u64, width: u32) {
        let value = if width == 64 { value } else { value & ((1 << width) - 1) };
        let used = if self.free == 0 { 0 } else { 8 - u32::from(self.free) };
        // What the last byte holds already, then the value: together they are whole bytes and a rest.
        let held = if used == 0 { 0 } else { self.bytes.pop().map_or(0, |last| u128::from(last >> self.free)) };
        let bits = used + width;
        let word = (held << width | u128::from(value)) << (128 - bits);
        self.bytes.extend_from_slice(&word.to_be_bytes()[..bits.div_ceil(8) as usize]);
        self.free = (bits.next_multiple_of(8) - bits) as u8;
    }
}

/// Reads a chunk back, calling `each` with time and bits until it says stop.
pub(crate) fn decode(bytes: &[u8], count: u16, mut each: impl FnMut(i64, u64) -> bool) {
    let mut reader = BitReader { bytes, at: 0, window: 0, held: 0 };
    let mut time = reader.get(64) as i64;
    let mut bits = reader.get(64);
    let mut interval = 0i64;
    let (mut leading, mut trailing) = (0u32, 0u32);
    for i in 0..count {
        if i > 0 {
            interval = interval.wrapping_add(reader.change());
            time = time.wrapping_add(interval);
            if reader.get(1) == 1 {
                if reader.get(1) == 1 {
                    leading = reader.get(5) as u32;
                    trailing = 64u32.saturating_sub(leading + reader.get(6) as u32 + 1);
                }
                bits ^= reader.get(64 - leading - trailing) << trailing;
            }
        }
        if !each(time, bits) {
            return;
        }
    }
}

struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
    window: u64,
    /// Valid bits at the top of the window.
    held: u32,
}

impl BitReader<'_> {
    #[inline]
    fn get(&mut self, width: u32) -> u64 {
        if width > 32 {
            let high = self.get(width - 32);
            return high << 32 | self.get(32);
        }
        if width == 0 {
            return 0;
        }
        while self.held < width {
            let byte = self.bytes.get(self.at).copied().unwrap_or(0);
            self.at += 1;
            self.window |= u64::from(byte) << (56 - self.held);
            self.held += 8;
        }
        let value = self.window >> (64 - width);
        self.window <<= width;
        self.held -= width;
        value
    }
    #[inline]
    fn change(&mut self) -> i64 {
        if self.get(1) == 0 {
            return 0;
        }
        for (_, _, width) in DOD_CLASSES {
            if self.get(1) == 0 {
                let raw = self.get(width);
                return ((raw << (64 - width)) as i64) >> (64 - width);
            }
        }
        self.get(64) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(samples: &[(i64, u64)]) -> Vec<(i64, u64)> {
        let mut chunk = XorChunk::default();
        for (time, bits) in samples {
            chunk.push(*time, *bits);
        }
        let mut out = Vec::new();
        decode(chunk.bytes(), chunk.count(), |t, b| {
            out.push((t, b));
            true
        });
        out
    }

    #[test]
    fn regular_samples_are_small() {
        let mut chunk = XorChunk::default();
        for i in 0..120 {
            chunk.push(1_700_000_000_000 + i * 15_000, 1.0f64.to_bits());
        }
        assert!(chunk.bytes().len() < 52, "{}", chunk.bytes().len());
    }

    proptest! {
        #[test]
        fn any_bits_survive(values in proptest::collection::vec(any::<u64>(), 1..50), mut times in proptest::collection::vec(any::<i64>(), 50)) {
            times.sort_unstable();
            let samples: Vec<_> = times.into_iter().zip(values).collect();
            prop_assert_eq!(round_trip(&samples), samples);
        }
        #[test]
        fn real_looking_series_survive(deltas in proptest::collection::vec((1i64..40_000, -1000i64..1000), 1..200)) {
            let (mut time, mut value) = (1_700_000_000_000i64, 0i64);
            let samples: Vec<_> = deltas.into_iter().map(|(dt, dv)| { time += dt; value += dv; (time, (value as f64 / 10.0).to_bits()) }).collect();
            prop_assert_eq!(round_trip(&samples), samples);
        }
    }
}
