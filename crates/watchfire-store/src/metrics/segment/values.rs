//! Float values of one chunk to bytes and back, bit for bit: constant, decimal integers, pco, or as they are.

use pco::ChunkConfig;
use pco::standalone::{simple_compress, simple_decompress_into};

use crate::encoding::{Input, put_double, put_varint};
use crate::ints;

const CONSTANT: u8 = 0;
const DECIMAL: u8 = 1;
const RAW: u8 = 2;
const PCO: u8 = 3;

/// The most decimal places that are tried.
const PLACES_MAX: usize = 14;
/// Powers of ten that doubles hold exactly.
const POWERS: [f64; PLACES_MAX + 1] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14];
/// Below this pco's own header costs more than it saves.
const PCO_VALUES_MIN: usize = 8;
const PCO_LEVEL: usize = 6;

/// Memory that is used again from chunk to chunk.
#[derive(Default)]
pub(super) struct Scratch {
    ints: Vec<i64>,
    floats: Vec<f64>,
}

/// Appends the values of a chunk.
pub(super) fn encode(out: &mut Vec<u8>, bits: &[u64], scratch: &mut Scratch) {
    let first = bits.first().copied().unwrap_or(0);
    if bits.iter().all(|b| *b == first) {
        out.push(CONSTANT);
        return put_double(out, first);
    }
    if encode_decimal(out, bits, scratch) {
        return;
    }
    let floats = &mut scratch.floats;
    floats.clear();
    floats.extend(bits.iter().map(|b| f64::from_bits(*b)));
    if bits.len() >= PCO_VALUES_MIN
        && let Ok(packed) = simple_compress(floats, &ChunkConfig::default().with_compression_level(PCO_LEVEL))
        && packed.len() < bits.len() * 8
    {
        out.push(PCO);
        put_varint(out, packed.len() as u64);
        out.extend_from_slice(&packed);
        return;
    }
    out.push(RAW);
    bits.iter().for_each(|b| out.extend_from_slice(&b.to_le_bytes()));
}

/// The value as an integer of 10^-places, if that is exact.
#[inline]
fn scaled(bits: u64, places: usize) -> Option<i64> {
    let value = f64::from_bits(bits);
    let scaled = value * POWERS[places];
    // Beyond 2^53 only whole numbers are exact, and those are exact as they are.
    let limit = if places == 0 { 9.2e18 } else { 9_007_199_254_740_992.0 };
    if scaled.is_nan() || scaled.abs() >= limit {
        return None;
    }
    let integer = (scaled + 0.5f64.copysign(scaled)) as i64;
    let integer = if places == 0 { scaled as i64 } else { integer };
    ((integer as f64 / POWERS[places]).to_bits() == bits).then_some(integer)
}

/// The least number of decimal places with which all values but a few are exact.
fn places(bits: &[u64], exceptions_max: usize) -> Option<usize> {
    let mut places = 0;
    let mut exceptions = 0;
    for value in bits {
        if scaled(*value, places).is_some() {
            continue;
        }
        match (places + 1..=PLACES_MAX).find(|p| scaled(*value, *p).is_some()) {
            Some(more) => places = more,
            None => {
                exceptions += 1;
                if exceptions > exceptions_max {
                    return None;
                }
            }
        }
    }
    Some(places)
}

/// Decimal integers, with single values that do not fit (a staleness marker, -0.0) beside them.
fn encode_decimal(out: &mut Vec<u8>, bits: &[u64], scratch: &mut Scratch) -> bool {
    let exceptions_max = 1 + bits.len() / 24;
    let Some(places) = places(bits, exceptions_max) else { return false };
    scratch.ints.clear();
    let mut exceptions: Vec<(usize, u64)> = Vec::new();
    let mut last = bits.iter().find_map(|b| scaled(*b, places)).unwrap_or(0);
    for (i, value) in bits.iter().enumerate() {
        match scaled(*value, places) {
            Some(integer) => last = integer,
            None => exceptions.push((i, *value)),
        }
        scratch.ints.push(last);
    }
    if exceptions.len() > exceptions_max {
        return false;
    }
    out.push(DECIMAL);
    out.push(places as u8);
    put_varint(out, exceptions.len() as u64);
    for (at, value) in exceptions {
        put_varint(out, at as u64);
        out.extend_from_slice(&value.to_le_bytes());
    }
    ints::encode(out, &scratch.ints);
    true
}

/// Reads `count` values into `out`; `None` on nonsense.
pub(super) fn decode(input: &mut Input<'_>, count: usize, out: &mut Vec<u64>, scratch: &mut Scratch) -> Option<()> {
    out.clear();
    match input.u8()? {
        CONSTANT => {
            let bits = input.double()?;
            out.resize(count, bits);
        }
        DECIMAL => decode_decimal(input, count, out, &mut scratch.ints)?,
        RAW => {
            let bytes = input.take(count.checked_mul(8)?)?;
            out.extend(bytes.chunks_exact(8).map(|b| u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]])));
        }
        PCO => {
            let len = input.size()?;
            let packed = input.take(len)?;
            scratch.floats.clear();
            scratch.floats.resize(count, 0.0);
            let progress = simple_decompress_into(packed, &mut scratch.floats).ok()?;
            if progress.n_processed != count {
                return None;
            }
            out.extend(scratch.floats.iter().map(|v| v.to_bits()));
        }
        _ => return None,
    }
    Some(())
}

fn decode_decimal(input: &mut Input<'_>, count: usize, out: &mut Vec<u64>, integers: &mut Vec<i64>) -> Option<()> {
    let power = *POWERS.get(usize::from(input.u8()?))?;
    let mut exceptions = Vec::new();
    for _ in 0..input.size()? {
        exceptions.push((input.size()?, input.u64()?));
    }
    ints::decode(input, count, integers)?;
    if power == 1.0 {
        out.extend(integers.iter().map(|i| (*i as f64).to_bits()));
    } else {
        out.extend(integers.iter().map(|i| (*i as f64 / power).to_bits()));
    }
    for (at, value) in exceptions {
        *out.get_mut(at)? = value;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use watchfire_model::sample::STALE_NAN_BITS;

    fn check(bits: &[u64]) -> usize {
        let mut out = Vec::new();
        encode(&mut out, bits, &mut Scratch::default());
        let mut back = Vec::new();
        let mut input = Input::new(&out);
        decode(&mut input, bits.len(), &mut back, &mut Scratch::default()).unwrap();
        assert_eq!(back, bits);
        assert!(input.is_empty());
        out.len()
    }

    #[test]
    fn every_kind_of_value() {
        let ends_stale: Vec<u64> = (0..100).map(|i| f64::from(i).to_bits()).chain([STALE_NAN_BITS]).collect();
        assert!(check(&ends_stale) < 40, "{}", check(&ends_stale));
        check(&[0.0f64, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 5e-324, f64::MAX, 0.1, 1e300].map(f64::to_bits));
        check(&[18_446_744_073_709_551_615.0f64, 1.0, 2.0, -9.0, 9.3e18, 9.1e18].map(f64::to_bits));
        check(&[f64::NAN.to_bits(), 0x7ff8_0000_0000_0001, STALE_NAN_BITS, 0xfff0_0000_0000_0001]);
    }

    proptest! {
        #[test]
        fn any_bits_survive(bits in proptest::collection::vec(any::<u64>(), 1..100)) {
            check(&bits);
        }
        #[test]
        fn decimals_survive(raw in proptest::collection::vec(-1_000_000i64..1_000_000, 1..100), places in 0usize..8) {
            check(&raw.iter().map(|v| (*v as f64 / POWERS[places]).to_bits()).collect::<Vec<_>>());
        }
        #[test]
        fn nonsense_does_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), count in 0usize..300) {
            let _ignored = decode(&mut Input::new(&bytes), count, &mut Vec::new(), &mut Scratch::default());
        }
    }
}
