//! Prometheus' own storage formats, read and written by their published descriptions (`tsdb/docs/format`): chunks here, whole
//! blocks in `block`. Our own segments are the store's business; nothing here touches a file.
//!
//! A chunk holds neighbouring samples of one series: floats (XOR), native histograms with integer counts, or with float counts.

mod bits;
pub mod block;
mod checksum;
mod counters;
mod histogram;
#[cfg(test)]
mod tests;
mod xor;

use watchfire_model::sample::HistogramSample;

pub use checksum::castagnoli;

/// The most samples of one chunk that we write, as Prometheus cuts them.
pub const CHUNK_SAMPLES_MAX: usize = 120;

/// How a chunk is encoded. The numbers are those of Prometheus' files and messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Floats.
    Xor = 1,
    /// Native histograms with integer counts.
    Histogram = 2,
    /// Native histograms with float counts.
    FloatHistogram = 3,
}
impl Encoding {
    /// Reads the number.
    pub fn from_number(number: u8) -> Option<Encoding> {
        [Encoding::Xor, Encoding::Histogram, Encoding::FloatHistogram].into_iter().find(|e| *e as u8 == number)
    }
}

/// Why a chunk cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// It ends before its last sample.
    #[error("the chunk ends within a sample")]
    Truncated,
    /// An encoding that is not known.
    #[error("the chunk has an unknown encoding {0}")]
    Encoding(u8),
    /// Something in it cannot be.
    #[error("the chunk is not valid: {0}")]
    Invalid(String),
}

/// One encoded chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// How it is encoded.
    pub encoding: Encoding,
    /// The time of its first sample, in milliseconds.
    pub start: i64,
    /// The time of its last sample.
    pub end: i64,
    /// The bytes.
    pub data: Vec<u8>,
}

/// Samples of one series: floats, and native histograms beside them. Times ascend in each list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChunkSamples {
    /// Times of floats, in milliseconds.
    pub times: Vec<i64>,
    /// As many values.
    pub values: Vec<f64>,
    /// Native histograms.
    pub histograms: Vec<HistogramSample>,
}

/// Encodes all samples of a series as chunks in the order of time. Times must ascend strictly in each list.
pub fn encode(times: &[i64], values: &[f64], histograms: &[HistogramSample]) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    let (mut floats, mut rest) = (0, histograms);
    while floats < times.len() || !rest.is_empty() {
        // The next run of one kind ends where the other kind has an earlier sample.
        let until = rest.first().map_or(i64::MAX, |h| h.time.millis());
        let end = floats + times[floats..].iter().take_while(|t| **t < until || rest.is_empty()).count();
        for (times, values) in times[floats..end].chunks(CHUNK_SAMPLES_MAX).zip(values[floats..end].chunks(CHUNK_SAMPLES_MAX)) {
            chunks.push(Chunk { encoding: Encoding::Xor, start: times[0], end: times[times.len() - 1], data: xor::encode(times, values) });
        }
        floats = end;
        let until = times.get(floats).copied().unwrap_or(i64::MAX);
        let (now, later) = rest.split_at(rest.iter().take_while(|h| h.time.millis() <= until).count());
        histogram::encode(now, &mut chunks);
        rest = later;
    }
    chunks
}

/// Decodes one chunk and appends its samples.
pub fn decode(encoding: u8, data: &[u8], out: &mut ChunkSamples) -> Result<(), ChunkError> {
    match Encoding::from_number(encoding) {
        Some(Encoding::Xor) => xor::decode(data, out),
        Some(Encoding::Histogram) => histogram::decode(data, true, out),
        Some(Encoding::FloatHistogram) => histogram::decode(data, false, out),
        None => Err(ChunkError::Encoding(encoding)),
    }
}
