//! Version 1.0.
//!
//! WriteRequest { 1: TimeSeries*, 3: MetricMetadata* }, TimeSeries { 1: Label*, 2: Sample*, 3: Exemplar*, 4: Histogram* },
//! Label { 1: name, 2: value }, Sample { 1: double, 2: int64 ms }, Exemplar { 1: Label*, 2: double, 3: int64 ms },
//! MetricMetadata { 1: type, 2: family, 4: help, 5: unit }.

use watchfire_model::batch::Metadata;
use watchfire_model::labels::Labels;
use watchfire_model::sample::Exemplar;
use watchfire_model::time::Timestamp;

use super::known::{Fresh, Kept, leading_labels};
use super::series::{Pieces, read_sample};
use super::{DecodeError, Decoded, LABELS_MAX, Version, histogram, wire};
use crate::protobuf::{Message, Value, WireError, label_pair, text};

/// Reads a `WriteRequest`.
pub(super) fn decode(message: &[u8], known: &Kept, out: &mut Decoded) -> Result<(), DecodeError> {
    let mut pieces = Pieces::default();
    for field in Message::new(message) {
        match field? {
            (1, Value::Bytes(series)) => take_series(series, known, &mut pieces, out)?,
            (3, Value::Bytes(metadata)) => out.batch.metadata.extend(read_metadata(metadata)?),
            // Where version 2.0 has its symbols and series, this version has nothing.
            (4 | 5, Value::Bytes(_)) => return Err(DecodeError::OtherVersion(Version::V1)),
            _ => {}
        }
    }
    Ok(())
}

fn take_series<'a>(message: &'a [u8], known: &Kept, pieces: &mut Pieces<'a>, out: &mut Decoded) -> Result<(), WireError> {
    let (labels, rest) = leading_labels(message);
    let found = known.find(labels);
    if let Ok(labels) = &found {
        take_pieces(rest, pieces, out)?;
        // A label behind the samples would make it another series.
        if pieces.pairs.is_empty() && pieces.problem.is_none() {
            pieces.book(out);
            pieces.store(labels.clone(), out);
            return Ok(());
        }
    }
    take_pieces(message, pieces, out)?;
    if let Some(labels) = pieces.labels(out) {
        out.fresh.extend(found.err().map(|hash| Fresh { hash, labels: labels.clone() }));
        pieces.store(labels, out);
    }
    Ok(())
}

fn take_pieces<'a>(message: &'a [u8], pieces: &mut Pieces<'a>, out: &mut Decoded) -> Result<(), WireError> {
    pieces.clear();
    for field in Message::new(message) {
        match field? {
            (1, Value::Bytes(label)) => match label_pair(label) {
                Ok((name, value)) => pieces.add_pair(name, value),
                Err(WireError::Utf8) => pieces.problem = Some("a label that is not UTF-8".to_owned()),
                Err(error) => return Err(error),
            },
            (2, Value::Bytes(sample)) => pieces.samples.push(read_sample(sample)?.0),
            (3, Value::Bytes(exemplar)) => match read_exemplar(exemplar)? {
                Some(exemplar) => pieces.exemplars.push(exemplar),
                None => pieces.exemplars_refused += 1,
            },
            (4, Value::Bytes(message)) => match histogram::read(message, &mut out.buckets_left)? {
                Ok((sample, _)) => pieces.histograms.push(sample),
                Err(words) => pieces.add_wrong(words),
            },
            _ => {}
        }
    }
    Ok(())
}

/// `None` for one whose labels cannot be.
fn read_exemplar(message: &[u8]) -> Result<Option<Exemplar>, WireError> {
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    let (mut value, mut time, mut good) = (0.0, 0, true);
    for field in Message::new(message) {
        match field? {
            (1, Value::Bytes(label)) => match label_pair(label) {
                Ok(pair) if pairs.len() < LABELS_MAX => pairs.push(pair),
                Ok(_) | Err(WireError::Utf8) => good = false,
                Err(error) => return Err(error),
            },
            (2, Value::Fixed64(bits)) => value = f64::from_bits(bits),
            (3, Value::Varint(ms)) => time = ms.cast_signed(),
            _ => {}
        }
    }
    Ok(good.then(|| Exemplar { labels: Labels::from_pairs(pairs), time: Timestamp(time), value }))
}

fn read_metadata(message: &[u8]) -> Result<Option<Metadata>, WireError> {
    let (mut kind, mut family, mut help, mut unit) = (0, "", "", "");
    for field in Message::new(message) {
        match field? {
            (1, Value::Varint(number)) => kind = number,
            (2, Value::Bytes(bytes)) => family = text(bytes)?,
            (4, Value::Bytes(bytes)) => help = text(bytes)?,
            (5, Value::Bytes(bytes)) => unit = text(bytes)?,
            _ => {}
        }
    }
    Ok((!family.is_empty()).then(|| Metadata { family: family.into(), kind: wire::type_of(kind), help: help.into(), unit: unit.into() }))
}
