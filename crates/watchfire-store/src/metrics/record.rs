//! What metrics write into the log: definitions of series, samples, metadata. Each frame can be read by itself, except that
//! series are numbers which an earlier frame of the same epoch has defined.

use std::sync::Arc;

use watchfire_model::batch::{Metadata, MetricType};
use watchfire_model::histogram::Histogram;
use watchfire_model::labels::Labels;
use watchfire_model::sample::Exemplar;
use watchfire_model::time::Timestamp;

use super::histogram::{put_row, read_row};
use crate::encoding::{Input, put_double, put_signed, put_text, put_varint};
use crate::wal::{SIGNAL_EXEMPLARS, SIGNAL_HISTOGRAMS, SIGNAL_METRICS};

/// All samples of the frame have one time, which is written once.
const FLAG_SHARED_TIME: u8 = 1;

/// A sample on its way into the log and the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) slot: u32,
    pub(crate) time: i64,
    pub(crate) bits: u64,
}

/// A native histogram on its way into the log and the head.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HistogramEntry {
    pub(crate) slot: u32,
    pub(crate) time: i64,
    pub(crate) value: Arc<Histogram>,
}

/// Appends a frame's payload.
pub(crate) fn encode(out: &mut Vec<u8>, definitions: &[(u32, Labels)], metadata: &[&Metadata], entries: &[Entry]) {
    put_varint(out, definitions.len() as u64);
    for (slot, labels) in definitions {
        put_varint(out, u64::from(*slot));
        put_text(out, labels.packed());
    }
    put_varint(out, metadata.len() as u64);
    for item in metadata {
        put_text(out, &item.family);
        put_text(out, item.kind.name());
        put_text(out, &item.help);
        put_text(out, &item.unit);
    }
    put_varint(out, entries.len() as u64);
    let Some(first) = entries.first() else { return };
    let shared = entries.iter().all(|e| e.time == first.time);
    out.push(if shared { FLAG_SHARED_TIME } else { 0 });
    let mut slot = 0;
    for entry in entries {
        put_signed(out, i64::from(entry.slot) - slot);
        slot = i64::from(entry.slot);
    }
    let mut time = 0i64;
    for entry in if shared { &entries[..1] } else { entries } {
        put_signed(out, entry.time.wrapping_sub(time));
        time = entry.time;
    }
    encode_values(out, entries);
}

/// Values: for each the number of bytes up to the last non-zero one (two such numbers per byte), then these bytes.
/// Whole numbers, which most metrics are, end in many zero bytes.
fn encode_values(out: &mut Vec<u8>, entries: &[Entry]) {
    let significant = |bits: u64| 8 - bits.trailing_zeros() as usize / 8;
    for pair in entries.chunks(2) {
        let high = pair.get(1).map_or(0, |e| significant(e.bits));
        out.push((significant(pair[0].bits) | high << 4) as u8);
    }
    for entry in entries {
        out.extend_from_slice(&entry.bits.to_be_bytes()[..significant(entry.bits)]);
    }
}

/// What a frame says.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Record {
    pub(crate) definitions: Vec<(u32, Labels)>,
    pub(crate) metadata: Vec<Metadata>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) histograms: Vec<HistogramEntry>,
    /// Exemplars with the numbers of their series.
    pub(crate) exemplars: Vec<(u32, Exemplar)>,
}

impl Record {
    /// The number of samples.
    pub(crate) fn samples(&self) -> usize {
        self.entries.len() + self.histograms.len()
    }
}

/// Reads the payload of a frame of one of our signals; `None` when it is not one of ours.
pub(crate) fn decode(signal: u8, payload: &[u8]) -> Option<Record> {
    let mut input = Input::new(payload);
    match signal {
        SIGNAL_METRICS => decode_floats(&mut input),
        SIGNAL_HISTOGRAMS => {
            let record = decode_floats(&mut input)?;
            Some(Record { histograms: decode_histograms(&mut input)?, ..record })
        }
        SIGNAL_EXEMPLARS => Some(Record { exemplars: decode_exemplars(&mut input)?, ..Record::default() }),
        _ => None,
    }
}

/// Appends the payload of a frame of exemplars.
pub(crate) fn encode_exemplars<'a>(out: &mut Vec<u8>, exemplars: impl Iterator<Item = (u32, &'a Exemplar)>) {
    let (mut slot, mut time) = (0i64, 0i64);
    for (number, exemplar) in exemplars {
        put_signed(out, i64::from(number) - slot);
        put_signed(out, exemplar.time.millis().wrapping_sub(time));
        put_double(out, exemplar.value.to_bits());
        put_text(out, exemplar.labels.packed());
        (slot, time) = (i64::from(number), exemplar.time.millis());
    }
}

fn decode_exemplars(input: &mut Input<'_>) -> Option<Vec<(u32, Exemplar)>> {
    let mut exemplars = Vec::new();
    let (mut slot, mut time) = (0i64, 0i64);
    while input.remaining() > 0 {
        slot = slot.checked_add(input.signed()?)?;
        time = time.wrapping_add(input.signed()?);
        let value = f64::from_bits(input.double()?);
        exemplars.push((u32::try_from(slot).ok()?, Exemplar { labels: Labels::unpack(input.text()?)?, time: Timestamp(time), value }));
    }
    Some(exemplars)
}

fn decode_floats(input: &mut Input<'_>) -> Option<Record> {
    let mut record = Record::default();
    for _ in 0..input.size()? {
        record.definitions.push((u32::try_from(input.varint()?).ok()?, Labels::unpack(input.text()?)?));
    }
    for _ in 0..input.size()? {
        record.metadata.push(Metadata {
            family: input.text()?.into(),
            kind: MetricType::from_name(input.text()?)?,
            help: input.text()?.into(),
            unit: input.text()?.into(),
        });
    }
    let count = input.size()?;
    if count == 0 {
        return Some(record);
    }
    if count > input.remaining() {
        return None;
    }
    let shared = input.u8()? & FLAG_SHARED_TIME != 0;
    let mut slot = 0i64;
    for _ in 0..count {
        slot = slot.checked_add(input.signed()?)?;
        record.entries.push(Entry { slot: u32::try_from(slot).ok()?, time: 0, bits: 0 });
    }
    let mut time = 0i64;
    for (i, entry) in record.entries.iter_mut().enumerate() {
        if i == 0 || !shared {
            time = time.wrapping_add(input.signed()?);
        }
        entry.time = time;
    }
    decode_values(input, &mut record.entries)?;
    Some(record)
}

fn decode_values(input: &mut Input<'_>, entries: &mut [Entry]) -> Option<()> {
    let lengths = input.take(entries.len().div_ceil(2))?;
    for (i, entry) in entries.iter_mut().enumerate() {
        let len = usize::from(lengths[i / 2] >> (i % 2 * 4) & 15);
        let mut bytes = [0; 8];
        bytes.get_mut(..len)?.copy_from_slice(input.take(len)?);
        entry.bits = u64::from_be_bytes(bytes);
    }
    Some(())
}

/// Appends native histograms to a frame's payload: as many as fit into `bytes_max`, at least one. Returns how many.
pub(crate) fn encode_histograms(out: &mut Vec<u8>, entries: &[HistogramEntry], bytes_max: usize) -> usize {
    let start = out.len();
    let (mut slot, mut time) = (0i64, 0i64);
    for (i, entry) in entries.iter().enumerate() {
        if out.len() - start > bytes_max {
            return i;
        }
        put_signed(out, i64::from(entry.slot) - slot);
        put_signed(out, entry.time.wrapping_sub(time));
        put_row(out, &entry.value, entry.value.reset, None);
        (slot, time) = (i64::from(entry.slot), entry.time);
    }
    entries.len()
}

fn decode_histograms(input: &mut Input<'_>) -> Option<Vec<HistogramEntry>> {
    let mut entries = Vec::new();
    let (mut slot, mut time) = (0i64, 0i64);
    while input.remaining() > 0 {
        slot = slot.checked_add(input.signed()?)?;
        time = time.wrapping_add(input.signed()?);
        entries.push(HistogramEntry { slot: u32::try_from(slot).ok()?, time, value: Arc::new(read_row(input, None)?) });
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::histogram::samples::any_histogram;
    use proptest::prelude::*;
    use watchfire_model::labels;

    proptest! {
        #[test]
        fn records_survive(raw in proptest::collection::vec((any::<u32>(), any::<i64>(), any::<u64>()), 0..40), one_time: bool) {
            let entries: Vec<_> = raw.iter().map(|(slot, time, bits)| Entry { slot: *slot, time: if one_time { 5 } else { *time }, bits: *bits }).collect();
            let definitions = vec![(7, labels!("__name__" => "up", "job" => "a"))];
            let meta = Metadata { family: "up".into(), kind: MetricType::Gauge, help: "Is it?".into(), unit: "".into() };
            let mut out = Vec::new();
            encode(&mut out, &definitions, &[&meta], &entries);
            prop_assert_eq!(decode(SIGNAL_METRICS, &out).unwrap(), Record { definitions, metadata: vec![meta], entries, ..Record::default() });
        }
        #[test]
        fn histograms_survive(raw in proptest::collection::vec((any::<u32>(), any::<i64>(), any_histogram()), 1..10), bytes_max in 0usize..500) {
            let entries: Vec<_> = raw.into_iter().map(|(slot, time, value)| HistogramEntry { slot, time, value: Arc::new(value) }).collect();
            let mut found = Vec::new();
            while found.len() < entries.len() {
                let mut out = Vec::new();
                let float = Entry { slot: 1, time: 2, bits: 3 };
                encode(&mut out, &[], &[], &[float]);
                let len = encode_histograms(&mut out, &entries[found.len()..], bytes_max);
                let record = decode(SIGNAL_HISTOGRAMS, &out).unwrap();
                prop_assert_eq!(record.entries, [float]);
                let frame = record.histograms;
                prop_assert_eq!(frame.len(), len);
                prop_assert!(len > 0);
                found.extend(frame);
            }
            prop_assert_eq!(found, entries);
        }
        #[test]
        fn exemplars_survive(raw in proptest::collection::vec((any::<u32>(), any::<i64>(), any::<u64>(), "[a-c]{0,3}"), 1..20)) {
            let exemplar = |time, bits, id: &str| Exemplar { labels: labels!("trace_id" => id), time: Timestamp(time), value: f64::from_bits(bits) };
            let exemplars: Vec<_> = raw.iter().map(|(number, time, bits, id)| (*number, exemplar(*time, *bits, id))).collect();
            let mut out = Vec::new();
            encode_exemplars(&mut out, exemplars.iter().map(|(number, e)| (*number, e)));
            prop_assert_eq!(decode(SIGNAL_EXEMPLARS, &out).unwrap().exemplars, exemplars);
        }
        #[test]
        fn nonsense_does_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ignored = (decode(SIGNAL_EXEMPLARS, &bytes), decode(SIGNAL_METRICS, &bytes), decode(SIGNAL_HISTOGRAMS, &bytes));
        }
    }
}
