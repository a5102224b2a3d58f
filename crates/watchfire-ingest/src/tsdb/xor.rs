//! Float chunks: the number of samples, the first time and value whole, then times as deltas of deltas and values as
//! differences.

use super::bits::{BitReader, BitWriter, Xor};
use super::{ChunkError, ChunkSamples};

/// Bytes of a chunk before its bits: the number of samples.
const HEADER: usize = 2;

/// Encodes samples, at most 65535.
pub(super) fn encode(times: &[i64], values: &[f64]) -> Vec<u8> {
    let mut out = BitWriter::after((times.len() as u16).to_be_bytes().to_vec());
    let mut samples = times.iter().zip(values);
    let Some((first, value)) = samples.next() else { return out.into_bytes() };
    out.varint(*first);
    out.bits(value.to_bits(), 64);
    let mut xor = Xor::first(*value);
    let (mut before, mut delta) = (*first, None);
    for (time, value) in samples {
        let now = time.wrapping_sub(before);
        match delta {
            None => out.uvarint(now.cast_unsigned()),
            Some(delta) => out.time(now.wrapping_sub(delta)),
        }
        xor.write(*value, &mut out);
        (before, delta) = (*time, Some(now));
    }
    out.into_bytes()
}

/// Decodes a chunk and appends its samples.
pub(super) fn decode(data: &[u8], samples: &mut ChunkSamples) -> Result<(), ChunkError> {
    let (count, rest) = data.split_first_chunk::<HEADER>().ok_or(ChunkError::Truncated)?;
    let count = u16::from_be_bytes(*count);
    let mut reader = BitReader::new(rest);
    if count == 0 {
        return Ok(());
    }
    let mut time = reader.varint()?;
    let mut value = f64::from_bits(reader.bits(64)?);
    let mut xor = Xor::first(value);
    let mut delta = 0i64;
    for i in 0..count {
        if i > 0 {
            delta = if i == 1 { reader.uvarint()?.cast_signed() } else { delta.wrapping_add(reader.time()?) };
            time = time.wrapping_add(delta);
            value = xor.read(&mut reader)?;
        }
        samples.times.push(time);
        samples.values.push(value);
    }
    Ok(())
}
