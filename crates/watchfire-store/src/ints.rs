//! Integers to few bytes: the best of four transforms, then bit packing in groups of 32 with patched outliers (PFOR).
//! Wrapping arithmetic throughout, so every sequence of `i64` survives.

use crate::encoding::{Input, put_signed, put_varint, unzigzag, zigzag};

/// Values that share one bit width.
const GROUP: usize = 32;
/// In a group's first byte: outliers follow.
const PATCHED: u8 = 0x80;

/// How residuals are made of the values; the number is in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transform {
    /// Distance to the least value.
    Reference = 0,
    /// Difference to the value before, minus the least difference.
    DeltaReference = 1,
    /// Difference to the value before.
    Delta = 2,
    /// Change of the difference.
    DeltaOfDelta = 3,
}

const TRANSFORMS: [Transform; 4] = [Transform::Reference, Transform::DeltaReference, Transform::Delta, Transform::DeltaOfDelta];

/// So many groups of a long list say which transform is best for all.
const SAMPLED_GROUPS: usize = 16;

/// Appends at least one value, with the transform that is best for a part of a long list: four times faster, and hardly larger.
pub(crate) fn encode_quick(out: &mut Vec<u8>, values: &[i64]) {
    let sample = SAMPLED_GROUPS * GROUP + 1;
    if values.len() < 2 * sample {
        return encode(out, values);
    }
    let middle = (values.len() - sample) / 2;
    encode_with(out, values, &values[middle..middle + sample]);
}

/// Appends at least one value.
pub(crate) fn encode(out: &mut Vec<u8>, values: &[i64]) {
    encode_with(out, values, values);
}

fn encode_with(out: &mut Vec<u8>, values: &[i64], sample: &[i64]) {
    let Some(first) = values.first().copied() else { return };
    let spread = values.iter().fold(0, |bits, v| bits | v.wrapping_sub(first));
    let shift = if spread == 0 { 0 } else { spread.trailing_zeros() };
    let relative = |values: &[i64]| values.iter().map(|v| v.wrapping_sub(first) >> shift).collect::<Vec<i64>>();
    let sampled = relative(sample);
    let mut best: Option<(usize, Transform, i64, Vec<u64>)> = None;
    for transform in TRANSFORMS {
        let (base, residuals) = residuals(transform, &sampled);
        let cost: usize = residuals.chunks(GROUP).map(|group| plan(group).1).sum();
        if best.as_ref().is_none_or(|(least, ..)| cost < *least) {
            best = Some((cost, transform, base, residuals));
        }
    }
    let Some((_, transform, mut base, mut residuals)) = best else { return };
    if sample.len() < values.len() {
        (base, residuals) = self::residuals(transform, &relative(values));
    }
    out.push(transform as u8 | (shift as u8) << 2);
    put_signed(out, first);
    put_signed(out, base);
    residuals.chunks(GROUP).for_each(|group| pack(out, group));
}

/// Base and residuals of all values but the first, which is zero.
fn residuals(transform: Transform, relative: &[i64]) -> (i64, Vec<u64>) {
    let deltas = || relative.windows(2).map(|w| w[1].wrapping_sub(w[0]));
    match transform {
        Transform::Reference => {
            let base = relative.iter().skip(1).copied().min().unwrap_or(0);
            (base, relative.iter().skip(1).map(|v| v.wrapping_sub(base) as u64).collect())
        }
        Transform::DeltaReference => {
            let base = deltas().min().unwrap_or(0);
            (base, deltas().map(|d| d.wrapping_sub(base) as u64).collect())
        }
        Transform::Delta => (0, deltas().map(zigzag).collect()),
        Transform::DeltaOfDelta => {
            let base = deltas().next().unwrap_or(0);
            let mut last = base;
            (base, deltas().map(|d| zigzag(d.wrapping_sub(std::mem::replace(&mut last, d)))).collect())
        }
    }
}

/// Reads `count` values; `None` on nonsense.
pub(crate) fn decode(input: &mut Input<'_>, count: usize, out: &mut Vec<i64>) -> Option<()> {
    out.clear();
    if count == 0 {
        return Some(());
    }
    let head = input.u8()?;
    let transform = *TRANSFORMS.get(usize::from(head & 3))?;
    let shift = u32::from(head >> 2);
    let first = input.signed()?;
    let base = input.signed()?;
    out.reserve(count);
    out.push(first);
    let mut group = [0u64; GROUP];
    let (mut value, mut delta) = (0i64, base);
    let mut left = count - 1;
    while left > 0 {
        let len = left.min(GROUP);
        let group = &mut group[..len];
        unpack(input, group)?;
        // One loop per transform: a decision per value would cost more than the sum itself.
        match transform {
            Transform::Reference => out.extend(group.iter().map(|r| first.wrapping_add(base.wrapping_add(*r as i64) << shift))),
            Transform::DeltaReference => out.extend(group.iter().map(|r| {
                value = value.wrapping_add(base).wrapping_add(*r as i64);
                first.wrapping_add(value << shift)
            })),
            Transform::Delta => out.extend(group.iter().map(|r| {
                value = value.wrapping_add(unzigzag(*r));
                first.wrapping_add(value << shift)
            })),
            Transform::DeltaOfDelta => out.extend(group.iter().map(|r| {
                delta = delta.wrapping_add(unzigzag(*r));
                value = value.wrapping_add(delta);
                first.wrapping_add(value << shift)
            })),
        }
        left -= len;
    }
    Some(())
}

fn bit_length(value: u64) -> u32 {
    64 - value.leading_zeros()
}

/// The best bit width for a group, and its cost in bytes.
fn plan(group: &[u64]) -> (u32, usize) {
    let mut counts = [0u8; 65];
    let mut present = 0u128;
    for value in group {
        let length = bit_length(*value);
        counts[length as usize] += 1;
        present |= 1 << length;
    }
    let mut best = (64, usize::MAX);
    let mut candidates = present | 1;
    while candidates != 0 {
        let width = candidates.trailing_zeros();
        candidates &= candidates - 1;
        let mut cost = 1 + (group.len() * width as usize).div_ceil(8);
        let mut longer = present & !((2u128 << width) - 1);
        if longer != 0 {
            cost += 1;
        }
        while longer != 0 {
            let length = longer.trailing_zeros();
            longer &= longer - 1;
            cost += usize::from(counts[length as usize]) * (1 + (length - width).div_ceil(7) as usize);
        }
        if cost < best.1 {
            best = (width, cost);
        }
    }
    best
}

fn pack(out: &mut Vec<u8>, group: &[u64]) {
    let (width, _) = plan(group);
    let outliers = group.iter().filter(|v| bit_length(**v) > width).count();
    out.push(width as u8 | if outliers > 0 { PATCHED } else { 0 });
    let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
    let (mut held, mut bits) = (0u128, 0u32);
    for value in group {
        held |= u128::from(value & mask) << bits;
        bits += width;
        while bits >= 8 {
            out.push(held as u8);
            held >>= 8;
            bits -= 8;
        }
    }
    if bits > 0 {
        out.push(held as u8);
    }
    if outliers > 0 {
        out.push(outliers as u8);
        for (i, value) in group.iter().enumerate().filter(|(_, v)| bit_length(**v) > width) {
            out.push(i as u8);
            put_varint(out, value >> width);
        }
    }
}

fn unpack(input: &mut Input<'_>, group: &mut [u64]) -> Option<()> {
    let head = input.u8()?;
    let width = u32::from(head & !PATCHED);
    if width > 64 {
        return None;
    }
    let bytes = input.take((group.len() * width as usize).div_ceil(8))?;
    if width == 0 {
        group.fill(0);
    } else if width <= 56 {
        unpack_narrow(bytes, width, group);
    } else {
        unpack_wide(bytes, width, group);
    }
    if head & PATCHED != 0 {
        for _ in 0..input.u8()? {
            let at = usize::from(input.u8()?);
            *group.get_mut(at)? |= input.varint()?.checked_shl(width)?;
        }
    }
    Some(())
}

fn unpack_narrow(bytes: &[u8], width: u32, group: &mut [u64]) {
    // With room behind the end every value is one load, also in the short groups of narrow values.
    let mut padded = [0u8; GROUP * 7 + 8];
    padded[..bytes.len()].copy_from_slice(bytes);
    let mask = (1u64 << width) - 1;
    let mut bit = 0;
    for value in group {
        let mut word = [0u8; 8];
        word.copy_from_slice(&padded[bit / 8..bit / 8 + 8]);
        *value = u64::from_le_bytes(word) >> (bit % 8) & mask;
        bit += width as usize;
    }
}

fn unpack_wide(bytes: &[u8], width: u32, group: &mut [u64]) {
    let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
    let (mut held, mut bits, mut at) = (0u128, 0u32, 0);
    for value in group {
        while bits < width {
            held |= u128::from(bytes.get(at).copied().unwrap_or(0)) << bits;
            at += 1;
            bits += 8;
        }
        *value = held as u64 & mask;
        held >>= width;
        bits -= width;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(values: &[i64]) -> usize {
        let mut out = Vec::new();
        encode(&mut out, values);
        let mut back = Vec::new();
        let mut input = Input::new(&out);
        decode(&mut input, values.len(), &mut back).unwrap();
        assert_eq!(back, values);
        assert!(input.is_empty());
        out.len()
    }

    #[test]
    fn sizes() {
        assert!(check(&(0..240).map(|i| 1_700_000_000_000 + i * 15_000).collect::<Vec<_>>()) <= 20);
        assert!(check(&(0..240).map(|i| (i % 7) * 4096).collect::<Vec<_>>()) <= 110);
        let mut outlier: Vec<i64> = (0..240).map(|i| i * 3).collect();
        outlier[100] = i64::MAX;
        assert!(check(&outlier) <= 60);
    }

    proptest! {
        #[test]
        fn a_sample_is_enough(values in proptest::collection::vec(any::<i64>(), 1000..1500)) {
            let mut out = Vec::new();
            encode_quick(&mut out, &values);
            let mut back = Vec::new();
            decode(&mut Input::new(&out), values.len(), &mut back).unwrap();
            prop_assert_eq!(back, values);
        }
        #[test]
        fn any_values_survive(values in proptest::collection::vec(any::<i64>(), 1..100)) {
            check(&values);
        }
        #[test]
        fn mixed_magnitudes_survive(values in proptest::collection::vec((any::<i64>(), 0u32..64), 1..100)) {
            check(&values.iter().map(|(v, s)| v >> s).collect::<Vec<_>>());
        }
        #[test]
        fn nonsense_does_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), count in 0usize..300) {
            let _ignored = decode(&mut Input::new(&bytes), count, &mut Vec::new());
        }
    }
}
