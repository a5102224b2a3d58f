//! Remote write 1.0: a `prometheus.WriteRequest` in protobuf becomes a batch. Decoded by hand, because this is a hot path
//! and five small messages are all there is. Input is already decompressed; sockets and headers are the face's business.
//!
//! Field numbers: WriteRequest { 1: TimeSeries*, 3: MetricMetadata* }, TimeSeries { 1: Label*, 2: Sample*, 3: Exemplar*,
//! 4: Histogram* }, Label { 1: name, 2: value }, Sample { 1: double, 2: int64 ms }, MetricMetadata { 1: type, 2: family,
//! 4: help, 5: unit }.

#[cfg(test)]
mod tests;

use watchfire_model::batch::{Batch, Metadata, MetricType, Origin, Samples, SeriesSamples};
use watchfire_model::labels::Labels;
use watchfire_model::sample::Sample;
use watchfire_model::time::Timestamp;
use watchfire_model::write::{Reason, Written};

use crate::protobuf::{self, Message, Value, WireError};

/// The most labels of one series that are looked at; the gate allows fewer.
const LABELS_MAX: usize = 256;

/// Why a message cannot be read. Nothing of it was taken.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// It is not the protobuf message that it should be.
    #[error("cannot read the write request: {0}")]
    Wire(#[from] WireError),
}

/// What a message held.
#[derive(Debug)]
pub struct Decoded {
    /// Series and metadata.
    pub batch: Batch,
    /// What is refused here already: series whose labels cannot be, and native histograms, which this version does not keep.
    pub refused: Written,
    /// Exemplars, which this version does not keep.
    pub exemplars: u64,
}

/// Reads a `WriteRequest`.
pub fn decode(message: &[u8], origin: Origin) -> Result<Decoded, DecodeError> {
    let mut decoded = Decoded { batch: Batch::new(origin), refused: Written::default(), exemplars: 0 };
    // Neighbouring series mostly have one sample each; both buffers are used again for every series.
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    let mut samples: Vec<Sample> = Vec::new();
    for field in Message::new(message) {
        match field? {
            (1, Value::Bytes(series)) => take_series(series, &mut pairs, &mut samples, &mut decoded)?,
            (3, Value::Bytes(metadata)) => decoded.batch.metadata.extend(take_metadata(metadata)?),
            _ => {}
        }
    }
    Ok(decoded)
}

fn take_series<'a>(message: &'a [u8], pairs: &mut Vec<(&'a str, &'a str)>, samples: &mut Vec<Sample>, out: &mut Decoded) -> Result<(), WireError> {
    pairs.clear();
    samples.clear();
    let (mut histograms, mut problem) = (0, None);
    for field in Message::new(message) {
        match field? {
            (1, Value::Bytes(_)) if pairs.len() >= LABELS_MAX => problem = Some(format!("a series with more than {LABELS_MAX} labels")),
            (1, Value::Bytes(label)) => match take_label(label) {
                Err(WireError::Utf8) => problem = Some("a label that is not UTF-8".to_owned()),
                pair => pairs.push(pair?),
            },
            (2, Value::Bytes(sample)) => samples.push(take_sample(sample)?),
            (3, Value::Bytes(_)) => out.exemplars += 1,
            (4, Value::Bytes(_)) => histograms += 1,
            _ => {}
        }
    }
    if histograms > 0 {
        out.refuse(Reason::UnsupportedType, histograms, "a native histogram");
    }
    if samples.is_empty() {
        return Ok(());
    }
    if !pairs.windows(2).all(|w| w[0].0 < w[1].0) {
        pairs.sort_unstable();
        if let Some(twice) = pairs.windows(2).find(|w| w[0].0 == w[1].0) {
            problem = Some(format!("a series with two labels {:?}", twice[0].0));
        }
    }
    if let Some(problem) = problem {
        out.refuse(Reason::InvalidLabels, samples.len() as u64, &problem);
        return Ok(());
    }
    let samples = match samples[..] {
        [one] => Samples::One(one),
        _ => Samples::Many(samples.clone()),
    };
    out.batch.series.push(SeriesSamples { labels: Labels::from_sorted(pairs), samples });
    Ok(())
}

impl Decoded {
    fn refuse(&mut self, reason: Reason, count: u64, example: &str) {
        self.refused.reject(reason, count);
        self.refused.example.get_or_insert_with(|| example.to_owned());
    }
}

fn take_label(message: &[u8]) -> Result<(&str, &str), WireError> {
    let (mut name, mut value) = ("", "");
    for field in Message::new(message) {
        match field? {
            (1, Value::Bytes(text)) => name = protobuf::text(text)?,
            (2, Value::Bytes(text)) => value = protobuf::text(text)?,
            _ => {}
        }
    }
    Ok((name, value))
}

fn take_sample(message: &[u8]) -> Result<Sample, WireError> {
    let mut sample = Sample { time: Timestamp(0), value: 0.0 };
    for field in Message::new(message) {
        match field? {
            (1, Value::Fixed64(bits)) => sample.value = f64::from_bits(bits),
            (2, Value::Varint(ms)) => sample.time = Timestamp(ms.cast_signed()),
            _ => {}
        }
    }
    Ok(sample)
}

fn take_metadata(message: &[u8]) -> Result<Option<Metadata>, WireError> {
    const TYPES: [MetricType; 8] = [
        MetricType::Unknown,
        MetricType::Counter,
        MetricType::Gauge,
        MetricType::Histogram,
        MetricType::GaugeHistogram,
        MetricType::Summary,
        MetricType::Info,
        MetricType::StateSet,
    ];
    let (mut kind, mut family, mut help, mut unit) = (MetricType::Unknown, "", "", "");
    for field in Message::new(message) {
        match field? {
            (1, Value::Varint(number)) => kind = usize::try_from(number).ok().and_then(|n| TYPES.get(n).copied()).unwrap_or_default(),
            (2, Value::Bytes(text)) => family = protobuf::text(text)?,
            (4, Value::Bytes(text)) => help = protobuf::text(text)?,
            (5, Value::Bytes(text)) => unit = protobuf::text(text)?,
            _ => {}
        }
    }
    Ok((!family.is_empty()).then(|| Metadata { family: family.into(), kind, help: help.into(), unit: unit.into() }))
}
