//! Version 2.0: texts stand once, in the table of symbols, and series refer to them.
//!
//! Request { 4: symbols*, 5: TimeSeries* }, TimeSeries { 1: label references uint32*, 2: Sample*, 3: Histogram*,
//! 4: Exemplar*, 5: Metadata, 6: created int64 ms }, Sample { 1: double, 2: int64 ms, 3: start int64 ms },
//! Exemplar { 1: label references*, 2: double, 3: int64 ms }, Metadata { 1: type, 3: help reference, 4: unit reference }.

use hashbrown::HashSet;
use watchfire_model::batch::{Metadata, MetricType};
use watchfire_model::histogram::{CounterReset, Histogram};
use watchfire_model::labels::{Labels, METRIC_NAME, METRIC_TYPE, METRIC_UNIT};
use watchfire_model::sample::{Exemplar, HistogramSample, Sample};
use watchfire_model::time::Timestamp;

use super::created::Created;
use super::series::{Pieces, read_sample};
use super::{DecodeError, Decoded, LABELS_MAX, Options, SYMBOLS_MAX, Version, histogram, wire};
use crate::label_bytes::LabelBytes;
use crate::protobuf::{Message, Value, WireError, numbers, text};

/// An exemplar whose labels are longer than this in bytes has more than the 128 characters that it may have.
const EXEMPLAR_BYTES_MAX: usize = 512;
/// Help and units are cut to this length in bytes: one long text could be named by every series.
const ABOUT_BYTES_MAX: usize = 4096;

/// What is the same for all series of a message.
struct Reading<'a, 'c> {
    /// The texts; `None` for one that is not UTF-8.
    symbols: Vec<Option<&'a str>>,
    options: Options,
    created: &'c Created,
    /// Families whose metadata are in the batch.
    families: HashSet<&'a str>,
    refs: Vec<u32>,
    /// Beginnings of the floats and of the histograms of one series, with the time of what they began.
    starts: [Vec<(i64, i64)>; 2],
}

/// Reads a `Request`.
pub(super) fn decode(message: &[u8], options: Options, created: &Created, out: &mut Decoded) -> Result<(), DecodeError> {
    let mut symbols = Vec::new();
    for field in Message::new(message) {
        match field? {
            (4, Value::Bytes(_)) if symbols.len() >= SYMBOLS_MAX => return Err(DecodeError::TooLarge("a million symbols")),
            (4, Value::Bytes(symbol)) => symbols.push(text(symbol).ok()),
            // Where version 1.0 has its fields, this version has nothing.
            (1..=3, _) => return Err(DecodeError::OtherVersion(Version::V2)),
            _ => {}
        }
    }
    let mut reading = Reading { symbols, options, created, families: HashSet::new(), refs: Vec::new(), starts: Default::default() };
    let mut pieces = Pieces::default();
    for field in Message::new(message) {
        if let (5, Value::Bytes(series)) = field? {
            reading.take_series(series, &mut pieces, out)?;
        }
    }
    Ok(())
}

/// `Metadata` of a series.
#[derive(Default)]
struct About<'a> {
    kind: MetricType,
    help: &'a str,
    unit: &'a str,
}

impl<'a> Reading<'a, '_> {
    fn take_series(&mut self, message: &'a [u8], pieces: &mut Pieces<'a>, out: &mut Decoded) -> Result<(), WireError> {
        pieces.clear();
        self.refs.clear();
        self.starts.iter_mut().for_each(Vec::clear);
        let (mut about, mut created) = (About::default(), 0);
        for field in Message::new(message) {
            match field? {
                (1, value) => self.add_refs(value)?,
                (2, Value::Bytes(message)) => {
                    let (sample, start) = read_sample(message)?;
                    self.note_start(0, start, sample.time);
                    pieces.samples.push(sample);
                }
                (3, Value::Bytes(message)) => match histogram::read(message, &mut out.buckets_left)? {
                    Ok((sample, start)) => {
                        self.note_start(1, start, sample.time);
                        pieces.histograms.push(sample);
                    }
                    Err(words) => pieces.add_wrong(words),
                },
                (4, Value::Bytes(message)) => match self.read_exemplar(message, &mut out.labels)? {
                    Some(exemplar) => pieces.exemplars.push(exemplar),
                    None => pieces.exemplars_refused += 1,
                },
                (5, Value::Bytes(message)) => about = self.read_about(message)?,
                (6, Value::Varint(ms)) => created = ms.cast_signed(),
                _ => {}
            }
        }
        self.resolve(pieces);
        let family = self.note_about(&about, pieces, out);
        if self.options.type_and_unit_labels {
            set_type_and_unit(&about, &mut pieces.pairs);
        }
        let Some(labels) = pieces.labels(out) else {
            // What is said about a family by a series that cannot be is not kept either.
            if let Some(family) = family {
                self.families.remove(family);
                out.batch.metadata.pop();
            }
            return Ok(());
        };
        if self.options.created_timestamps {
            self.add_zeros(created, &labels, pieces, out);
        }
        pieces.store(labels, out);
        Ok(())
    }

    /// Takes references to labels, two more than are allowed at most.
    fn add_refs(&mut self, value: Value<'_>) -> Result<(), WireError> {
        numbers(value, |n| {
            if self.refs.len() < 2 * LABELS_MAX + 2 {
                self.refs.push(u32::try_from(n).unwrap_or(u32::MAX));
            }
        })
    }

    /// Looks the labels up.
    fn resolve(&self, pieces: &mut Pieces<'a>) {
        let (pairs, rest) = self.refs.as_chunks::<2>();
        if !rest.is_empty() {
            pieces.problem = Some("an odd number of label references".to_owned());
        }
        for [name, value] in pairs {
            match (self.symbol(*name), self.symbol(*value)) {
                (Ok(name), Ok(value)) => pieces.add_pair(name, value),
                (Err(problem), _) | (_, Err(problem)) => pieces.problem = Some(problem),
            }
        }
    }
    fn symbol(&self, number: u32) -> Result<&'a str, String> {
        match self.symbols.get(number as usize) {
            Some(Some(text)) => Ok(text),
            Some(None) => Err("a label that is not UTF-8".to_owned()),
            None => Err(format!("a label reference {number}, where there are {} symbols", self.symbols.len())),
        }
    }

    /// `None` for one whose labels cannot be. Their bytes are taken from `budget`.
    fn read_exemplar(&self, message: &[u8], budget: &mut LabelBytes) -> Result<Option<Exemplar>, WireError> {
        let mut refs: Vec<u32> = Vec::new();
        let (mut value, mut time) = (0.0, 0);
        for field in Message::new(message) {
            match field? {
                (1, list) => numbers(list, |n| {
                    if refs.len() <= 2 * LABELS_MAX {
                        refs.push(u32::try_from(n).unwrap_or(u32::MAX));
                    }
                })?,
                (2, Value::Fixed64(bits)) => value = f64::from_bits(bits),
                (3, Value::Varint(ms)) => time = ms.cast_signed(),
                _ => {}
            }
        }
        let (pairs, rest) = refs.as_chunks::<2>();
        let pairs: Option<Vec<(&str, &str)>> = pairs.iter().map(|[n, v]| Some((self.symbol(*n).ok()?, self.symbol(*v).ok()?))).collect();
        let pairs = pairs.filter(|pairs| {
            let bytes = pairs.iter().map(|(n, v)| n.len() + v.len()).sum();
            rest.is_empty() && bytes <= EXEMPLAR_BYTES_MAX && budget.take(bytes).is_ok()
        });
        Ok(pairs.map(|pairs| Exemplar { labels: Labels::from_pairs(pairs), time: Timestamp(time), value }))
    }

    fn read_about(&self, message: &[u8]) -> Result<About<'a>, WireError> {
        let mut about = About::default();
        let look = |number: u64| u32::try_from(number).ok().and_then(|n| self.symbol(n).ok()).unwrap_or("");
        for field in Message::new(message) {
            match field? {
                (1, Value::Varint(number)) => about.kind = wire::type_of(number),
                (3, Value::Varint(number)) => about.help = look(number),
                (4, Value::Varint(number)) => about.unit = look(number),
                _ => {}
            }
        }
        Ok(about)
    }

    /// Passes metadata on, once per family and message. Gives the family when this series was the first of it.
    fn note_about(&mut self, about: &About<'a>, pieces: &Pieces<'a>, out: &mut Decoded) -> Option<&'a str> {
        if about.kind == MetricType::Unknown && about.help.is_empty() && about.unit.is_empty() {
            return None;
        }
        let (_, name) = pieces.pairs.iter().find(|(n, _)| *n == METRIC_NAME)?;
        let native = !pieces.histograms.is_empty();
        let family = if native { name } else { family_of(name, about.kind) };
        if family.is_empty() || !self.families.insert(family) {
            return None;
        }
        let cut = |text: &'a str| text.get(..text.floor_char_boundary(ABOUT_BYTES_MAX)).unwrap_or(text);
        out.batch.metadata.push(Metadata { family: family.into(), kind: about.kind, help: cut(about.help).into(), unit: cut(about.unit).into() });
        Some(family)
    }

    fn note_start(&mut self, kind: usize, start: i64, time: Timestamp) {
        if start != 0 && self.options.created_timestamps {
            self.starts[kind].push((start, time.millis()));
        }
    }

    /// Puts a zero where a count began, unless that is known already.
    fn add_zeros(&mut self, created: i64, labels: &Labels, pieces: &mut Pieces<'_>, out: &mut Decoded) {
        let [floats, histograms] = &mut self.starts;
        if created != 0 {
            floats.extend(pieces.samples.first().map(|s| (created, s.time.millis())));
            histograms.extend(pieces.histograms.first().map(|h| (created, h.time.millis())));
        }
        let mut known = i64::MIN;
        let mut news = |(start, time): &(i64, i64)| {
            let news = start < time && *start > known && self.created.is_news(labels.hash_value(), *start);
            known = if news { *start } else { known };
            news
        };
        let zeros: Vec<i64> = floats.iter().filter(|s| news(s)).map(|s| s.0).collect();
        for start in zeros.iter().rev() {
            pieces.samples.insert(0, Sample { time: Timestamp(*start), value: 0.0 });
            out.zeros.push((labels.hash_value(), *start));
        }
        let zeros: Vec<i64> = histograms.iter().filter(|s| news(s)).map(|s| s.0).collect();
        let Some(like) = pieces.histograms.first().map(|h| h.value.clone()) else { return };
        for start in zeros.iter().rev() {
            pieces.histograms.insert(0, HistogramSample { time: Timestamp(*start), value: empty_like(&like).into() });
            out.zeros.push((labels.hash_value(), *start));
        }
    }
}

/// A histogram without observations in the layout of another one.
fn empty_like(like: &Histogram) -> Histogram {
    Histogram {
        schema: like.schema,
        integer: like.integer,
        reset: CounterReset::Reset,
        zero_threshold: like.zero_threshold,
        custom_bounds: like.custom_bounds.clone(),
        ..Histogram::default()
    }
}

/// The family of a series: complex metrics have several series with suffixes.
fn family_of(name: &str, kind: MetricType) -> &str {
    let suffixes: &[&str] = match kind {
        MetricType::Histogram => &["_bucket", "_count", "_sum"],
        MetricType::GaugeHistogram => &["_bucket", "_gcount", "_gsum", "_count", "_sum"],
        MetricType::Summary => &["_count", "_sum"],
        _ => &[],
    };
    suffixes.iter().find_map(|s| name.strip_suffix(s)).unwrap_or(name)
}

/// Type and unit as labels; they win over labels of these names that came.
fn set_type_and_unit<'a>(about: &About<'a>, pairs: &mut Vec<(&'a str, &'a str)>) {
    let kind = if about.kind == MetricType::Unknown { "" } else { about.kind.name() };
    for (name, value) in [(METRIC_TYPE, kind), (METRIC_UNIT, about.unit)] {
        if !value.is_empty() {
            pairs.retain(|(n, _)| *n != name);
            pairs.push((name, value));
        }
    }
}
