//! Range aggregations: lines of the selected streams, through their pipeline, into series with one number per step. Counts and sizes
//! keep two numbers per step, not lines; values of `unwrap` are kept until their windows are done.

use std::ops::ControlFlow;

use hashbrown::HashMap;
use watchfire_model::labels::Labels;
use watchfire_model::level;
use watchfire_model::logs::{LogLine, LogOrder, LogSelection, LogSource, Nanos};
use watchfire_model::matcher::Matcher;
use watchfire_model::read::{Budget, ReadError};
use watchfire_model::sample::stale_nan;

use super::super::ast::{Conversion, Grouping, RangeAggregation, RangeOp, Unwrap};
use super::super::error::LogqlError;
use super::super::fields::{ERROR, ERROR_DETAILS, Fields};
use super::super::pipeline::{LabelTest, Needs, Pipeline, Scratch, errors, level_matchers, pushed};
use super::super::units;
use super::window::{Grid, aggregate};
use crate::pace::{ENTRY_WORK, Pace};

/// One series with a number per step, or the staleness marker where there is none.
pub(super) struct LeafSeries {
    pub(super) labels: Labels,
    pub(super) values: Vec<f64>,
}

/// Evaluates a range aggregation at all steps. `grouping` is its own, or that of a sum around it.
pub(super) fn evaluate(
    source: &dyn LogSource,
    range: &RangeAggregation,
    grouping: Option<&Grouping>,
    grid: Grid,
    budget: &Budget,
) -> Result<Vec<LeafSeries>, LogqlError> {
    let needs = if range.op == RangeOp::Absent {
        Needs::of(Some(&Grouping { without: false, labels: Vec::new() }), range.unwrap.as_ref())
    } else {
        Needs::of(grouping, range.unwrap.as_ref())
    };
    let pipeline = Pipeline::new(&range.selection, &needs, grid.now)?;
    let mut job = Job {
        range,
        grid,
        budget,
        grouping,
        extraction: range.unwrap.as_ref().map(Extraction::new).transpose()?,
        levels: level_matchers(&range.selection),
        series: Vec::new(),
        by_key: HashMap::new(),
        by_stream: HashMap::new(),
        last: None,
        sets: Vec::new(),
        next: 0,
        key: Vec::new(),
        charged: 0,
        failed: None,
    };
    let pushed = pushed(&range.selection);
    let selection = LogSelection {
        matchers: pushed.matchers,
        start: Nanos(grid.start.saturating_sub(range.offset).saturating_sub(range.range).saturating_add(1)),
        end: Nanos(grid.last().saturating_sub(range.offset).saturating_add(1)),
        order: if matches!(range.op, RangeOp::First | RangeOp::Last | RangeOp::RateCounter) { LogOrder::Forward } else { LogOrder::Any },
        contains: pushed.contains,
        metadata: Vec::new(),
        lines: pipeline.needs_lines() || matches!(range.op, RangeOp::Bytes | RangeOp::BytesRate),
        lines_without_level: pipeline.needs_level(),
        levels: pushed.levels,
    };
    let untouched = pipeline.has_no_stages() && job.extraction.is_none() && job.levels.is_empty();
    let mut scratch = Scratch::default();
    let pace = Pace::new(budget);
    source.select_logs(&selection, budget, &mut |entry| {
        pace.check(ENTRY_WORK + std::mem::take(&mut scratch.work))?;
        let done = if untouched && !pipeline.needs_level() && entry.metadata.is_empty() {
            job.plain(entry)
        } else if untouched && (!pipeline.needs_level() || entry.metadata.get(level::LABEL).is_some()) {
            job.noted(entry)
        } else {
            pipeline.run(entry, &mut scratch, |fields, line| job.entry(fields, line, entry.time)).unwrap_or(Ok(()))
        };
        match done {
            Ok(()) => Ok(ControlFlow::Continue(())),
            Err(LogqlError::Read(error)) => Err(error),
            Err(error) => {
                job.failed = Some(error);
                Ok(ControlFlow::Break(()))
            }
        }
    })?;
    job.finish()
}

/// `unwrap`, ready.
struct Extraction {
    label: String,
    conversion: Conversion,
    filters: Vec<LabelTest>,
}
impl Extraction {
    fn new(unwrap: &Unwrap) -> Result<Extraction, LogqlError> {
        let filters = unwrap.filters.iter().map(LabelTest::new).collect::<Result<_, String>>().map_err(LogqlError::Invalid)?;
        Ok(Extraction { label: unwrap.label.clone(), conversion: unwrap.conversion, filters })
    }

    /// The number of an entry; none where the label is missing or a filter says so.
    fn value(&self, fields: &mut Fields<'_>) -> Option<f64> {
        let text = fields.get(&self.label).filter(|text| !text.is_empty())?;
        let read = match self.conversion {
            Conversion::Number => units::number(text),
            Conversion::Duration | Conversion::DurationSeconds => units::duration_nanos(text).map(|n| n as f64 / 1e9),
            Conversion::Bytes => units::bytes(text),
        };
        let value = match read {
            Some(value) => value,
            None => {
                let what = match self.conversion {
                    Conversion::Number => "number",
                    Conversion::Duration | Conversion::DurationSeconds => "duration",
                    Conversion::Bytes => "size",
                };
                let message = format!("cannot read {text:?} of label {} as a {what}", self.label);
                fields.fail(errors::SAMPLE, &message);
                0.0
            }
        };
        self.filters.iter().all(|filter| filter.passes(fields)).then_some(value)
    }
}

/// So many streams are known by their labels, however many there are: a sum of a million streams needs no memory for each.
const STREAMS_KNOWN_MAX: usize = 16_384;

/// So many streams with metadata are known by where they lie in memory.
const SETS_KNOWN_MAX: usize = 16;

/// Puts a text behind a key so that no other texts make the same key: its length stands before it.
fn push_text(key: &mut Vec<u8>, text: &str) {
    key.extend_from_slice(&(text.len() as u64).to_le_bytes());
    key.extend_from_slice(text.as_bytes());
}

/// What is kept of one series while entries come in.
struct Growing {
    labels: Labels,
    /// Changes of the number of entries in the windows, from step to step.
    counts: Vec<i64>,
    /// The same of their bytes.
    bytes: Vec<i64>,
    times: Vec<i64>,
    values: Vec<f64>,
}

struct Job<'a> {
    range: &'a RangeAggregation,
    grid: Grid,
    budget: &'a Budget,
    grouping: Option<&'a Grouping>,
    extraction: Option<Extraction>,
    levels: Vec<Matcher>,
    series: Vec<Growing>,
    by_key: HashMap<Vec<u8>, usize>,
    by_stream: HashMap<Labels, usize>,
    last: Option<(Labels, usize)>,
    /// Streams with metadata that were seen lately, and the one that gives way next.
    sets: Vec<(Labels, Labels, usize)>,
    next: usize,
    key: Vec<u8>,
    /// What the series hold of the budget.
    charged: u64,
    failed: Option<LogqlError>,
}

impl Job<'_> {
    /// An entry of which nothing but its stream and its line matters.
    fn plain(&mut self, entry: LogLine<'_>) -> Result<(), LogqlError> {
        let at = self.of_stream(entry.labels)?;
        self.add(at, entry.time, entry.line.len(), None)
    }

    /// The same of an entry with structured metadata; most have those of one of the last few.
    fn noted(&mut self, entry: LogLine<'_>) -> Result<(), LogqlError> {
        let same = |(stream, metadata, _): &&(Labels, Labels, usize)| metadata.is_copy_of(entry.metadata) && stream.is_copy_of(entry.labels);
        if let Some((.., at)) = self.sets.iter().find(same) {
            return self.add(*at, entry.time, entry.line.len(), None);
        }
        let mut buffers = super::super::fields::Buffers::default();
        let fields = Fields::new(entry.labels, entry.metadata, &mut buffers);
        let at = self.of_key(&fields)?;
        let set = (entry.labels.clone(), entry.metadata.clone(), at);
        match self.sets.get_mut(self.next) {
            Some(old) => *old = set,
            None => self.sets.push(set),
        }
        self.next = (self.next + 1) % SETS_KNOWN_MAX;
        self.add(at, entry.time, entry.line.len(), None)
    }

    /// The series of a stream whose labels nothing has changed.
    fn of_stream(&mut self, labels: &Labels) -> Result<usize, LogqlError> {
        if let Some((known, at)) = &self.last
            && known.is_copy_of(labels)
        {
            return Ok(*at);
        }
        let at = match self.by_stream.get(labels) {
            Some(at) => *at,
            None => {
                let empty = Labels::empty();
                let mut buffers = super::super::fields::Buffers::default();
                let fields = Fields::new(labels, &empty, &mut buffers);
                let at = self.of_key(&fields)?;
                // The entries of a stream come mostly together, so those of further streams are found by their keys.
                if self.by_stream.len() < STREAMS_KNOWN_MAX {
                    self.charge((labels.memory() + 64) as u64)?;
                    self.by_stream.insert(labels.clone(), at);
                }
                at
            }
        };
        self.last = Some((labels.clone(), at));
        Ok(at)
    }

    /// An entry that has come through its pipeline.
    fn entry(&mut self, fields: &mut Fields<'_>, line: &str, time: Nanos) -> Result<(), LogqlError> {
        if !self.levels.iter().all(|m| m.matches_value(fields.get(&m.name).unwrap_or(""))) {
            return Ok(());
        }
        let value = match &self.extraction {
            Some(extraction) => match extraction.value(fields) {
                Some(value) => Some(value),
                None => return Ok(()),
            },
            None => None,
        };
        if let Some(kind) = fields.error().filter(|_| !fields.error_is_wanted()) {
            return Err(LogqlError::Pipeline { kind: kind.to_owned(), series: fields.labels().to_string() });
        }
        let at = if fields.untouched() && fields.metadata.is_empty() { self.of_stream(fields.stream)? } else { self.of_key(fields)? };
        self.add(at, time, line.len(), value)
    }

    /// The series that an entry belongs to, by the labels that tell series apart.
    fn of_key(&mut self, fields: &Fields<'_>) -> Result<usize, LogqlError> {
        self.key.clear();
        if self.range.op == RangeOp::Absent {
            return self.found(fields);
        }
        match self.grouping {
            Some(Grouping { without: false, labels }) => {
                for name in labels.iter().map(String::as_str).chain(self.error_labels(fields).iter().copied()) {
                    push_text(&mut self.key, fields.get(name).unwrap_or(""));
                }
            }
            _ => {
                let mut pairs: Vec<(&str, &str)> = Vec::new();
                fields.each(&mut |name, value, _| {
                    if !value.is_empty() && self.stays(name) {
                        pairs.push((name, value));
                    }
                });
                pairs.sort_unstable();
                for (name, value) in pairs {
                    push_text(&mut self.key, name);
                    push_text(&mut self.key, value);
                }
            }
        }
        self.found(fields)
    }

    /// The labels of an error stay beside those that the aggregation itself names; a sum around it names its own.
    fn error_labels(&self, fields: &Fields<'_>) -> &'static [&'static str] {
        if fields.error().is_some() && self.range.grouping.is_some() { &[ERROR, ERROR_DETAILS] } else { &[] }
    }

    fn found(&mut self, fields: &Fields<'_>) -> Result<usize, LogqlError> {
        if let Some(at) = self.by_key.get(&self.key) {
            return Ok(*at);
        }
        let labels = self.labels(fields);
        let counts = self.extraction.is_none() || self.range.op == RangeOp::Absent;
        let sized = matches!(self.range.op, RangeOp::Bytes | RangeOp::BytesRate);
        let length = self.grid.count + 1;
        let steps = |wanted: bool| if wanted { vec![0; length] } else { Vec::new() };
        let numbers = (usize::from(counts) + usize::from(sized) + 1) * length * 8;
        self.charge((numbers + labels.memory() + self.key.len() + size_of::<Growing>()) as u64)?;
        self.series.push(Growing { labels, counts: steps(counts), bytes: steps(sized), times: Vec::new(), values: Vec::new() });
        self.by_key.insert(self.key.clone(), self.series.len() - 1);
        Ok(self.series.len() - 1)
    }

    /// Whether a label tells series apart where none are named by `by`.
    fn stays(&self, name: &str) -> bool {
        let unwrapped = self.extraction.as_ref().is_some_and(|e| e.label == name);
        !unwrapped && !self.grouping.is_some_and(|g| g.labels.iter().any(|l| l == name))
    }

    fn labels(&self, fields: &Fields<'_>) -> Labels {
        match (self.range.op, self.grouping) {
            (RangeOp::Absent, _) => absent_labels(self.range),
            (_, Some(Grouping { without: false, labels })) => {
                let names = labels.iter().map(String::as_str).chain(self.error_labels(fields).iter().copied());
                Labels::from_pairs(names.map(|name| (name, fields.get(name).unwrap_or(""))))
            }
            _ => {
                let all = fields.labels();
                let kept: Vec<(&str, &str)> = all.iter().filter(|(name, _)| self.stays(name)).collect();
                Labels::from_sorted(&kept)
            }
        }
    }

    fn charge(&mut self, bytes: u64) -> Result<(), LogqlError> {
        self.charged += bytes;
        Ok(self.budget.charge_memory(bytes)?)
    }

    fn add(&mut self, at: usize, time: Nanos, bytes: usize, value: Option<f64>) -> Result<(), LogqlError> {
        let time = time.0.saturating_add(self.range.offset);
        if let Some(value) = value.filter(|_| self.range.op != RangeOp::Absent) {
            self.charge(16)?;
            let series = &mut self.series[at];
            series.times.push(time);
            series.values.push(value);
            return Ok(());
        }
        let (first, behind) = self.grid.steps(time, self.range.range);
        let series = &mut self.series[at];
        if first < behind {
            series.counts[first] += 1;
            series.counts[behind] -= 1;
            if let Some(slot) = series.bytes.get_mut(first) {
                *slot += bytes as i64;
                series.bytes[behind] -= bytes as i64;
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<LeafSeries>, LogqlError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if self.range.op == RangeOp::Absent {
            return Ok(vec![self.absent()]);
        }
        let series = std::mem::take(&mut self.series);
        let finished = series.into_iter().map(|series| if self.extraction.is_some() { self.of_values(series) } else { Ok(self.of_counts(&series)) });
        finished.collect()
    }

    fn absent(&self) -> LeafSeries {
        let mut present = 0;
        let values = (0..self.grid.count).map(|i| {
            present += self.series.first().and_then(|s| s.counts.get(i)).copied().unwrap_or(0);
            if present == 0 { 1.0 } else { stale_nan() }
        });
        LeafSeries { values: values.collect(), labels: absent_labels(self.range) }
    }

    fn of_counts(&self, series: &Growing) -> LeafSeries {
        let seconds = self.range.range as f64 / 1e9;
        let (mut entries, mut bytes) = (0i64, 0i64);
        let values = (0..self.grid.count).map(|i| {
            entries += series.counts[i];
            bytes += series.bytes.get(i).copied().unwrap_or(0);
            match self.range.op {
                _ if entries == 0 => stale_nan(),
                RangeOp::Count => entries as f64,
                RangeOp::Rate => entries as f64 / seconds,
                RangeOp::Bytes => bytes as f64,
                _ => bytes as f64 / seconds,
            }
        });
        LeafSeries { values: values.collect(), labels: series.labels.clone() }
    }

    fn of_values(&self, series: Growing) -> Result<LeafSeries, LogqlError> {
        let Growing { labels, mut times, mut values, .. } = series;
        if !times.is_sorted() {
            // Entries of one time stay in their order.
            let mut order: Vec<usize> = (0..times.len()).collect();
            order.sort_by_key(|i| times[*i]);
            values = order.iter().map(|i| values[*i]).collect();
            times = order.iter().map(|i| times[*i]).collect();
        }
        let mut scratch = Vec::new();
        let (mut from, mut to) = (0, 0);
        let mut steps = Vec::with_capacity(self.grid.count);
        for i in 0..self.grid.count {
            let end = self.grid.time(i);
            let start = end.saturating_sub(self.range.range);
            while times.get(to).is_some_and(|t| *t <= end) {
                to += 1;
            }
            while times.get(from).is_some_and(|t| *t <= start) {
                from += 1;
            }
            if i % 64 == 0 {
                self.budget.check()?;
            }
            let (times, values) = (times.get(from..to).unwrap_or(&[]), values.get(from..to).unwrap_or(&[]));
            let number = if values.is_empty() {
                stale_nan()
            } else {
                aggregate(self.range.op, self.range.param.unwrap_or(0.0), times, values, start, end, &mut scratch)
            };
            steps.push(number);
        }
        Ok(LeafSeries { labels, values: steps })
    }
}

impl Drop for Job<'_> {
    fn drop(&mut self) {
        self.budget.release_memory(self.charged);
    }
}

/// The labels of what is absent: those whose value the selector says, once each.
fn absent_labels(range: &RangeAggregation) -> Labels {
    let matchers = &range.selection.matchers;
    let once = |m: &&Matcher| matchers.iter().filter(|other| other.name == m.name).count() == 1;
    let named = matchers.iter().filter(|m| m.op == watchfire_model::matcher::MatchOp::Equal).filter(once);
    Labels::from_pairs(named.map(|m| (m.name.as_str(), m.value.as_str())))
}

/// What a part of an answer holds, as it is charged.
pub(super) fn memory(series: &[LeafSeries]) -> u64 {
    series.iter().map(|s| (s.values.len() * 8 + s.labels.memory() + size_of::<LeafSeries>()) as u64).sum()
}

/// Charges it; whoever lets go of it releases it.
pub(super) fn charge(series: &[LeafSeries], budget: &Budget) -> Result<u64, ReadError> {
    let bytes = memory(series);
    budget.charge_memory(bytes).map(|()| bytes)
}
