//! Log entries in memory: what is added can be read at once, in every order of the seam. It keeps everything and judges nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{PoisonError, RwLock};

use watchfire_model::labels::Labels;
use watchfire_model::level;
use watchfire_model::logs::{LogEntry, LogLine, LogOrder, LogSelection, LogSource, LogVisitor, Nanos, StreamEntries, StreamVolume};
use watchfire_model::read::{Budget, ReadError};

/// Streams in memory.
#[derive(Default)]
pub struct Logs {
    streams: RwLock<BTreeMap<Labels, Vec<LogEntry>>>,
    /// Whether entries are left out that hints say are not needed. Answers must not depend on it.
    honours_hints: bool,
}

impl Logs {
    /// An empty source that gives whatever matchers select.
    pub fn new() -> Logs {
        Logs::default()
    }
    /// The same, but what the hints do not need is left out.
    pub fn honouring_hints() -> Logs {
        Logs { honours_hints: true, ..Logs::default() }
    }
    /// Adds entries, behind those of the same time.
    pub fn add(&self, added: StreamEntries) {
        let mut streams = self.streams.write().unwrap_or_else(PoisonError::into_inner);
        let entries = streams.entry(added.labels).or_default();
        entries.extend(added.entries);
        entries.sort_by_key(|entry| entry.time);
    }
    /// Adds one line.
    pub fn add_line(&self, labels: &Labels, time: Nanos, line: &str, metadata: &Labels) {
        self.add(StreamEntries { labels: labels.clone(), entries: vec![LogEntry { time, line: line.into(), metadata: metadata.clone() }] });
    }

    /// Visits what is selected, in order.
    fn each(&self, selection: &LogSelection, visit: &mut LogVisitor<'_>) -> Result<(), ReadError> {
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        let mut selected: Vec<(&Labels, &LogEntry)> = Vec::new();
        for (labels, entries) in streams.iter() {
            let of_time = entries.iter().filter(|e| selection.start <= e.time && e.time < selection.end);
            selected.extend(of_time.filter(|e| fits(selection, labels, e) && (!self.honours_hints || needed(selection, labels, e))).map(|e| (labels, e)));
        }
        match selection.order {
            LogOrder::Any => {}
            LogOrder::Forward => selected.sort_by_key(|(_, e)| e.time),
            LogOrder::Backward => {
                selected.sort_by_key(|(_, e)| e.time);
                selected.reverse();
            }
        }
        for (labels, entry) in selected {
            let lines = selection.lines || (selection.lines_without_level && entry.metadata.get(level::LABEL).is_none());
            let text: &str = if lines || !self.honours_hints { &entry.line } else { "" };
            let line = LogLine { labels, time: entry.time, line: text, metadata: &entry.metadata };
            if visit(line)?.is_break() {
                return Ok(());
            }
        }
        Ok(())
    }
}

fn fits(selection: &LogSelection, labels: &Labels, entry: &LogEntry) -> bool {
    let value = |name: &str| labels.get(name).or_else(|| entry.metadata.get(name)).unwrap_or("");
    selection.matchers.iter().all(|m| m.matches_value(value(&m.name)))
}

fn needed(selection: &LogSelection, labels: &Labels, entry: &LogEntry) -> bool {
    let noted = entry.metadata.get(level::LABEL).filter(|_| labels.get(level::LABEL).is_none());
    selection.contains.iter().all(|text| entry.line.contains(text.as_str()))
        && selection.metadata.iter().all(|(name, value)| entry.metadata.get(name) == Some(value.as_str()))
        && noted.is_none_or(|noted| selection.levels.iter().all(|m| m.matches_value(noted)))
}

impl LogSource for Logs {
    fn select_logs(&self, selection: &LogSelection, budget: &Budget, visit: &mut LogVisitor<'_>) -> Result<(), ReadError> {
        budget.check()?;
        self.each(selection, visit)
    }

    fn log_volume(&self, selection: &LogSelection, _budget: &Budget) -> Result<Vec<StreamVolume>, ReadError> {
        let mut volumes: BTreeMap<Labels, StreamVolume> = BTreeMap::new();
        self.each(selection, &mut |line| {
            let empty = || StreamVolume { labels: line.labels.clone(), entries: 0, bytes: 0, chunks: 1 };
            let volume = volumes.entry(line.labels.clone()).or_insert_with(empty);
            volume.entries += 1;
            volume.bytes += (line.line.len() + line.metadata.iter().map(|(n, v)| n.len() + v.len()).sum::<usize>()) as u64;
            Ok(std::ops::ControlFlow::Continue(()))
        })?;
        Ok(volumes.into_values().collect())
    }

    fn log_label_names(&self, selection: &LogSelection, _budget: &Budget) -> Result<Vec<String>, ReadError> {
        let mut names = BTreeSet::new();
        self.each(selection, &mut |line| {
            names.extend(line.labels.iter().map(|(name, _)| name.to_owned()));
            Ok(std::ops::ControlFlow::Continue(()))
        })?;
        Ok(names.into_iter().collect())
    }

    fn log_label_values(&self, name: &str, selection: &LogSelection, _budget: &Budget) -> Result<Vec<String>, ReadError> {
        let mut values = BTreeSet::new();
        self.each(selection, &mut |line| {
            values.extend(line.labels.get(name).or_else(|| line.metadata.get(name)).map(str::to_owned));
            Ok(std::ops::ControlFlow::Continue(()))
        })?;
        Ok(values.into_iter().collect())
    }
}
