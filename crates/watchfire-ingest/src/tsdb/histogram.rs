//! Histogram chunks: the number of samples, a byte of flags, the layout (schema, zero threshold, spans, custom bounds), then
//! the samples. Integer counts are written as deltas of deltas, float counts as differences (XOR).

use std::sync::Arc;

use watchfire_model::histogram::{CUSTOM_SCHEMA, CounterReset, Histogram, Span};
use watchfire_model::sample::{HistogramSample, is_stale};
use watchfire_model::time::Timestamp;

use super::bits::{BitReader, BitWriter, Xor};
use super::counters::{Cut, cut};
use super::{CHUNK_SAMPLES_MAX, Chunk, ChunkError, ChunkSamples, Encoding};

/// Bytes of a chunk before its bits: the number of samples and the flags.
const HEADER: usize = 3;
const FLAG_RESET: u8 = 0b1000_0000;
const FLAG_NOT_RESET: u8 = 0b0100_0000;
const FLAG_GAUGE: u8 = 0b1100_0000;
/// Custom bounds up to this one, in thousandths, are written as whole numbers.
const BOUND_THOUSANDTHS_MAX: f64 = 33_554_430.0;

/// Encodes neighbouring histograms of one series as chunks.
pub(super) fn encode(histograms: &[HistogramSample], chunks: &mut Vec<Chunk>) {
    let mut rest = histograms;
    let mut why = Cut::Unknown;
    while let Some(first) = rest.first() {
        let mut end = Cut::Unknown;
        let goes_on = |pair: &&[HistogramSample]| {
            end = cut(&pair[0].value, &pair[1].value);
            end == Cut::None
        };
        let len = 1 + rest.windows(2).take(CHUNK_SAMPLES_MAX - 1).take_while(goes_on).count();
        let (now, later) = rest.split_at(len);
        let flags = match first.value.reset {
            CounterReset::Gauge => FLAG_GAUGE,
            CounterReset::Reset => FLAG_RESET,
            CounterReset::NotReset => FLAG_NOT_RESET,
            CounterReset::Unknown if why == Cut::Reset => FLAG_RESET,
            CounterReset::Unknown if why == Cut::None => FLAG_NOT_RESET,
            CounterReset::Unknown => 0,
        };
        chunks.push(chunk(now, flags));
        (rest, why) = (later, end);
    }
}

fn chunk(samples: &[HistogramSample], flags: u8) -> Chunk {
    let (first, last) = (&samples[0], &samples[samples.len() - 1]);
    let count = (samples.len() as u16).to_be_bytes();
    let mut out = BitWriter::after(vec![count[0], count[1], flags]);
    // A staleness marker has no layout, whatever stands in it.
    let empty = Histogram::default();
    write_layout(if first.value.is_stale() { &empty } else { &first.value }, &mut out);
    let integer = first.value.integer && !first.value.is_stale();
    if integer {
        Integers::default().write(samples, &mut out);
    } else {
        write_floats(samples, &mut out);
    }
    let encoding = if integer { Encoding::Histogram } else { Encoding::FloatHistogram };
    Chunk { encoding, start: first.time.millis(), end: last.time.millis(), data: out.into_bytes() }
}

fn write_layout(histogram: &Histogram, out: &mut BitWriter) {
    write_threshold(histogram.zero_threshold, out);
    out.number(histogram.schema.into());
    for spans in [&histogram.positive_spans, &histogram.negative_spans] {
        out.count(spans.len() as u64);
        for span in spans {
            out.count(span.length.into());
            out.number(span.offset.into());
        }
    }
    if histogram.has_custom_bounds() {
        out.count(histogram.custom_bounds.len() as u64);
        for bound in &*histogram.custom_bounds {
            let thousandths = (bound * 1000.0).round();
            if (0.0..=BOUND_THOUSANDTHS_MAX).contains(&thousandths) && thousandths / 1000.0 == *bound && bound.is_sign_positive() {
                out.count(thousandths as u64 + 1);
            } else {
                out.bit(false);
                out.bits(bound.to_bits(), 64);
            }
        }
    }
}

/// A power of two from 2^-243 to 2^10 is one byte, as is zero.
fn write_threshold(threshold: f64, out: &mut BitWriter) {
    let bits = threshold.to_bits();
    let exponent = (bits >> 52) as i64 - 1022;
    if threshold == 0.0 {
        out.bits(0, 8);
    } else if threshold > 0.0 && bits << 12 == 0 && (-242..=11).contains(&exponent) {
        out.bits((exponent + 243).cast_unsigned(), 8);
    } else {
        out.bits(255, 8);
        out.bits(bits, 64);
    }
}

/// The deltas between neighbouring buckets of both sides, which is what integer chunks hold.
fn bucket_deltas(histogram: &Histogram) -> impl Iterator<Item = i64> {
    [&histogram.positive_buckets, &histogram.negative_buckets].into_iter().flat_map(|buckets| {
        buckets.iter().scan(0i64, |before, count| {
            let count = *count as i64;
            Some(count.wrapping_sub(std::mem::replace(before, count)))
        })
    })
}

/// The state of an integer chunk: the numbers of the last sample and their last deltas.
#[derive(Default)]
struct Integers {
    time: (i64, i64),
    count: (i64, i64),
    zero_count: (i64, i64),
    buckets: Vec<(i64, i64)>,
}
impl Integers {
    fn write(&mut self, samples: &[HistogramSample], out: &mut BitWriter) {
        let mut sum = Xor::first(0.0);
        for (i, sample) in samples.iter().enumerate() {
            let histogram = &*sample.value;
            let (count, zero_count) = (histogram.count as u64, histogram.zero_count as u64);
            if i == 0 {
                out.number(sample.time.millis());
                out.count(count);
                out.count(zero_count);
                out.bits(histogram.sum.to_bits(), 64);
                sum = Xor::first(histogram.sum);
                (self.time.0, self.count.0, self.zero_count.0) = (sample.time.millis(), count.cast_signed(), zero_count.cast_signed());
                for value in bucket_deltas(histogram) {
                    out.number(value);
                    self.buckets.push((value, 0));
                }
                continue;
            }
            step(&mut self.time, sample.time.millis(), out);
            step(&mut self.count, count.cast_signed(), out);
            step(&mut self.zero_count, zero_count.cast_signed(), out);
            sum.write(histogram.sum, out);
            for (state, value) in self.buckets.iter_mut().zip(bucket_deltas(histogram)) {
                step(state, value, out);
            }
        }
    }
}

/// Writes a number as the delta of its delta. The delta before the second sample counts as zero.
fn step(state: &mut (i64, i64), value: i64, out: &mut BitWriter) {
    let delta = value.wrapping_sub(state.0);
    out.number(delta.wrapping_sub(state.1));
    *state = (value, delta);
}
/// Reads it back.
fn step_back(state: &mut (i64, i64), reader: &mut BitReader<'_>) -> Result<i64, ChunkError> {
    let delta = state.1.wrapping_add(reader.number()?);
    *state = (state.0.wrapping_add(delta), delta);
    Ok(state.0)
}

/// The numbers of a float sample in the order in which they are written.
fn floats(histogram: &Histogram) -> impl Iterator<Item = f64> {
    let buckets = histogram.positive_buckets.iter().chain(&histogram.negative_buckets).copied();
    [histogram.count, histogram.zero_count, histogram.sum].into_iter().chain(if histogram.is_stale() { None } else { Some(buckets) }.into_iter().flatten())
}

fn write_floats(samples: &[HistogramSample], out: &mut BitWriter) {
    let mut time = (0, 0);
    let mut state: Vec<Xor> = Vec::new();
    for (i, sample) in samples.iter().enumerate() {
        if i == 0 {
            time.0 = sample.time.millis();
            out.number(time.0);
            for value in floats(&sample.value) {
                out.bits(value.to_bits(), 64);
                state.push(Xor::first(value));
            }
            continue;
        }
        step(&mut time, sample.time.millis(), out);
        for (xor, value) in state.iter_mut().zip(floats(&sample.value)) {
            xor.write(value, out);
        }
    }
}

/// Decodes a chunk and appends its samples.
pub(super) fn decode(data: &[u8], integer: bool, out: &mut ChunkSamples) -> Result<(), ChunkError> {
    let (header, rest) = data.split_first_chunk::<HEADER>().ok_or(ChunkError::Truncated)?;
    let (count, flags) = (u16::from_be_bytes([header[0], header[1]]), header[2] & FLAG_GAUGE);
    let mut reader = BitReader::new(rest);
    if count == 0 {
        return Ok(());
    }
    let layout = read_layout(&mut reader)?;
    let mut source = if integer { Source::Integers(Integers::default(), Xor::first(0.0)) } else { Source::Floats { time: (0, 0), state: Vec::new() } };
    for i in 0..count {
        let (time, numbers) = source.read(i == 0, &layout, &mut reader)?;
        let reset = match flags {
            FLAG_GAUGE => CounterReset::Gauge,
            _ if i > 0 => CounterReset::NotReset,
            FLAG_RESET => CounterReset::Reset,
            // That the chunk before it went on to this one says nothing when the chunk before is not there.
            _ => CounterReset::Unknown,
        };
        let histogram = assemble(&layout, &numbers, integer, reset);
        histogram.check().map_err(|error| ChunkError::Invalid(error.to_string()))?;
        out.histograms.push(HistogramSample { time: Timestamp(time), value: Arc::new(histogram) });
    }
    Ok(())
}

fn assemble(layout: &Histogram, numbers: &[f64], integer: bool, reset: CounterReset) -> Histogram {
    let sum = numbers[2];
    if is_stale(sum) {
        return Histogram { integer, ..Histogram::stale() };
    }
    let (positive, negative) = numbers[3..].split_at(layout.positive_buckets.len());
    Histogram {
        integer,
        reset,
        count: numbers[0],
        zero_count: numbers[1],
        sum,
        positive_buckets: positive.to_vec(),
        negative_buckets: negative.to_vec(),
        ..layout.clone()
    }
}

/// A layout is a histogram without counts: all its buckets are zero.
fn read_layout(reader: &mut BitReader<'_>) -> Result<Histogram, ChunkError> {
    let zero_threshold = match reader.bits(8)? as i32 {
        0 => 0.0,
        255 => f64::from_bits(reader.bits(64)?),
        exponent => 2f64.powi(exponent - 244),
    };
    let schema = i8::try_from(reader.number()?).map_err(|_| ChunkError::Invalid("the schema of a histogram is out of range".to_owned()))?;
    let (positive_spans, positive) = read_spans(reader)?;
    let (negative_spans, negative) = read_spans(reader)?;
    // Every bucket takes at least one bit of the first sample: what claims more is not allocated.
    if positive.saturating_add(negative) > reader.left() as u64 {
        return Err(ChunkError::Truncated);
    }
    let mut bounds = Vec::new();
    if schema == CUSTOM_SCHEMA {
        let count = reader.count()?;
        if count > reader.left() as u64 {
            return Err(ChunkError::Truncated);
        }
        for _ in 0..count {
            bounds.push(match reader.count()? {
                0 => f64::from_bits(reader.bits(64)?),
                thousandths => (thousandths - 1) as f64 / 1000.0,
            });
        }
    }
    Ok(Histogram {
        schema,
        zero_threshold,
        positive_spans,
        negative_spans,
        positive_buckets: vec![0.0; positive as usize],
        negative_buckets: vec![0.0; negative as usize],
        custom_bounds: bounds.into(),
        ..Histogram::default()
    })
}

/// Spans, and how many buckets they have.
fn read_spans(reader: &mut BitReader<'_>) -> Result<(Vec<Span>, u64), ChunkError> {
    let invalid = || ChunkError::Invalid("a span of a histogram is out of range".to_owned());
    let count = reader.count()?;
    if count > reader.left() as u64 {
        return Err(ChunkError::Truncated);
    }
    let (mut spans, mut buckets) = (Vec::new(), 0u64);
    for _ in 0..count {
        let length = u32::try_from(reader.count()?).map_err(|_| invalid())?;
        let offset = i32::try_from(reader.number()?).map_err(|_| invalid())?;
        buckets += u64::from(length);
        spans.push(Span { offset, length });
    }
    Ok((spans, buckets))
}

/// Where the numbers of the next sample come from.
enum Source {
    Integers(Integers, Xor),
    Floats { time: (i64, i64), state: Vec<Xor> },
}
impl Source {
    /// The time, then count, zero count, sum and the buckets of both sides as absolute counts.
    fn read(&mut self, first: bool, layout: &Histogram, reader: &mut BitReader<'_>) -> Result<(i64, Vec<f64>), ChunkError> {
        match self {
            Source::Integers(state, sum) => state.read(first, sum, layout, reader),
            Source::Floats { time, state } => {
                let buckets = layout.positive_buckets.len() + layout.negative_buckets.len();
                if first {
                    time.0 = reader.number()?;
                    let numbers = (0..3 + buckets).map(|_| reader.bits(64).map(f64::from_bits)).collect::<Result<Vec<f64>, _>>()?;
                    state.extend(numbers.iter().map(|n| Xor::first(*n)));
                    return Ok((time.0, numbers));
                }
                let at = step_back(time, reader)?;
                let mut numbers = Vec::with_capacity(3 + buckets);
                for (i, xor) in state.iter_mut().enumerate() {
                    // A staleness marker has no buckets.
                    if i == 3 && is_stale(numbers[2]) {
                        break;
                    }
                    numbers.push(xor.read(reader)?);
                }
                Ok((at, numbers))
            }
        }
    }
}
impl Integers {
    fn read(&mut self, first: bool, sum: &mut Xor, layout: &Histogram, reader: &mut BitReader<'_>) -> Result<(i64, Vec<f64>), ChunkError> {
        if first {
            self.time.0 = reader.number()?;
            self.count.0 = reader.count()?.cast_signed();
            self.zero_count.0 = reader.count()?.cast_signed();
            *sum = Xor::first(f64::from_bits(reader.bits(64)?));
        } else {
            step_back(&mut self.time, reader)?;
            step_back(&mut self.count, reader)?;
            step_back(&mut self.zero_count, reader)?;
            sum.read(reader)?;
        }
        let mut numbers = vec![self.count.0.cast_unsigned() as f64, self.zero_count.0.cast_unsigned() as f64, sum.value()];
        if is_stale(sum.value()) && !first {
            return Ok((self.time.0, numbers));
        }
        for (side, len) in [(0, layout.positive_buckets.len()), (layout.positive_buckets.len(), layout.negative_buckets.len())] {
            let mut absolute = 0i64;
            for i in side..side + len {
                let delta = if first {
                    self.buckets.push((reader.number()?, 0));
                    self.buckets[i].0
                } else {
                    step_back(&mut self.buckets[i], reader)?
                };
                absolute = absolute.wrapping_add(delta);
                numbers.push(absolute as f64);
            }
        }
        Ok((self.time.0, numbers))
    }
}
