//! Log queries: the lines of the selected streams that come through the pipeline, in order, up to a limit.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogLine, LogOrder, LogSelection, LogSource, Nanos};
use watchfire_model::matcher::Matcher;
use watchfire_model::read::Budget;

use super::super::ast::LogExpr;
use super::super::error::LogqlError;
use super::super::fields::{Category, Fields};
use super::super::pipeline::{Needs, Pipeline, Scratch, level_matchers, pushed};
use super::Engine;
use crate::pace::{ENTRY_WORK, Pace};

/// Which lines come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Direction {
    /// The oldest.
    Forward,
    /// The newest.
    #[default]
    Backward,
}

/// Which lines are wanted: `start <= time < end`.
#[derive(Clone, Debug)]
pub struct LinesRequest {
    /// First moment, inclusive.
    pub start: Nanos,
    /// Last moment, exclusive.
    pub end: Nanos,
    /// At most so many.
    pub limit: usize,
    /// Which come first when there are more.
    pub direction: Direction,
    /// No two lines nearer to each other than this; zero is all.
    pub interval: Duration,
}

/// One line of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When it was written.
    pub time: Nanos,
    /// The line as the pipeline leaves it.
    pub line: Arc<str>,
    /// What is left of the labels of its stream.
    pub stream: Labels,
    /// What is left of its structured metadata.
    pub metadata: Labels,
    /// What the pipeline has set.
    pub parsed: Labels,
    /// Labels that the pipeline has set to nothing.
    pub empty: Vec<String>,
}
impl Line {
    /// All its labels.
    pub fn labels(&self) -> Labels {
        if self.metadata.is_empty() && self.parsed.is_empty() {
            return self.stream.clone();
        }
        Labels::from_pairs(self.stream.iter().chain(&self.metadata).chain(&self.parsed))
    }

    fn of(fields: &Fields<'_>, line: &str, time: Nanos) -> Line {
        let line = Arc::from(line);
        if fields.untouched() && fields.metadata.iter().all(|(name, _)| fields.stream.get(name).is_none()) {
            return Line { time, line, stream: fields.stream.clone(), metadata: fields.metadata.clone(), parsed: Labels::empty(), empty: Vec::new() };
        }
        let (mut stream, mut metadata, mut parsed, mut empty) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        fields.each(&mut |name, value, category| {
            if value.is_empty() {
                empty.push(name.to_owned());
                return;
            }
            match category {
                Category::Stream => stream.push((name, value)),
                Category::Metadata => metadata.push((name, value)),
                Category::Parsed => parsed.push((name, value)),
            }
        });
        empty.sort_unstable();
        Line { time, line, stream: Labels::from_pairs(stream), metadata: Labels::from_pairs(metadata), parsed: Labels::from_pairs(parsed), empty }
    }

    fn memory(&self) -> u64 {
        (self.line.len() + self.metadata.memory() + self.parsed.memory() + size_of::<Line>()) as u64
    }
}

/// Lines with one label set, in the order of the answer.
#[derive(Clone, Debug)]
pub struct Stream<'a> {
    /// The labels.
    pub labels: Labels,
    /// Labels that are there and say nothing.
    pub empty: &'a [String],
    /// The lines.
    pub lines: Vec<&'a Line>,
}

/// The answer to a log query, in the order that was asked for.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    /// The lines.
    pub list: Vec<Line>,
    /// What is probably wrong.
    pub warnings: Vec<String>,
}
impl Lines {
    /// The lines put together by all their labels, ascending.
    pub fn streams(&self) -> Vec<Stream<'_>> {
        self.grouped(Line::labels, |line| &line.empty)
    }
    /// The lines put together by the labels of their streams only: structured metadata and parsed labels stay with each line.
    pub fn streams_categorized(&self) -> Vec<Stream<'_>> {
        self.grouped(|line| line.stream.clone(), |_| &[])
    }

    fn grouped<'a>(&'a self, labels: impl Fn(&Line) -> Labels, empty: impl Fn(&'a Line) -> &'a [String]) -> Vec<Stream<'a>> {
        let mut groups: BTreeMap<(Labels, &[String]), Vec<&Line>> = BTreeMap::new();
        for line in &self.list {
            groups.entry((labels(line), empty(line))).or_default().push(line);
        }
        groups.into_iter().map(|((labels, empty), lines)| Stream { labels, empty, lines }).collect()
    }
}

/// A log query that is applied to entries one by one, as they come in: for live tails and rules of deletion.
pub struct LinePipeline {
    pipeline: Pipeline,
    matchers: Vec<Matcher>,
    levels: Vec<Matcher>,
    scratch: Scratch,
}
impl LinePipeline {
    /// Compiles a query; `now` is what `now` is in its templates.
    pub fn new(log: &LogExpr, now: Nanos) -> Result<LinePipeline, LogqlError> {
        let levels = level_matchers(log);
        let matchers = log.matchers.iter().filter(|m| !levels.contains(m)).cloned().collect();
        Ok(LinePipeline { pipeline: Pipeline::new(log, &Needs::All, now)?, matchers, levels, scratch: Scratch::default() })
    }

    /// The line that an entry becomes, if its stream is one of the selected and it comes through.
    pub fn line(&mut self, entry: LogLine<'_>) -> Option<Line> {
        let value = |name: &str| entry.labels.get(name).or_else(|| entry.metadata.get(name)).unwrap_or("");
        if !self.matchers.iter().all(|m| m.matches_value(value(&m.name))) {
            return None;
        }
        self.selected(entry)
    }

    /// The same of an entry that the store has selected.
    fn selected(&mut self, entry: LogLine<'_>) -> Option<Line> {
        let levels = &self.levels;
        self.pipeline.run(entry, &mut self.scratch, |fields, line| {
            levels.iter().all(|m| m.matches_value(fields.get(&m.name).unwrap_or(""))).then(|| Line::of(fields, line, entry.time))
        })?
    }
}

impl Engine {
    /// Answers a log query.
    pub fn lines(&self, source: &dyn LogSource, log: &LogExpr, request: &LinesRequest, budget: &Budget) -> Result<Lines, LogqlError> {
        if request.limit > self.entries_max {
            return Err(LogqlError::TooManyEntries { asked: request.limit, limit: self.entries_max });
        }
        let mut pipeline = LinePipeline::new(log, request.end)?;
        let pushed = pushed(log);
        let selection = LogSelection {
            matchers: pushed.matchers,
            start: request.start,
            end: request.end,
            order: if request.direction == Direction::Forward { LogOrder::Forward } else { LogOrder::Backward },
            contains: pushed.contains,
            metadata: Vec::new(),
            lines: true,
            lines_without_level: false,
            levels: pushed.levels,
        };
        let interval = i64::try_from(request.interval.as_nanos()).unwrap_or(i64::MAX);
        let mut lines = Lines::default();
        let (mut charged, mut last) = (0u64, None::<i64>);
        let pace = Pace::new(budget);
        let mut read = || {
            if request.limit == 0 || request.end <= request.start {
                return Ok(());
            }
            source.select_logs(&selection, budget, &mut |entry| {
                pace.check(ENTRY_WORK + std::mem::take(&mut pipeline.scratch.work))?;
                let Some(line) = pipeline.selected(entry) else { return Ok(ControlFlow::Continue(())) };
                if interval > 0 && last.is_some_and(|last| entry.time.0.abs_diff(last) < interval.unsigned_abs()) {
                    return Ok(ControlFlow::Continue(()));
                }
                last = Some(entry.time.0);
                charged += line.memory();
                budget.charge_memory(line.memory())?;
                lines.list.push(line);
                Ok(if lines.list.len() >= request.limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            })
        };
        let outcome = read();
        budget.release_memory(charged);
        outcome?;
        lines.warnings = budget.warnings();
        Ok(lines)
    }
}
