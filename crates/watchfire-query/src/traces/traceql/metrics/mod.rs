//! Numbers over time. Where spans can be judged alone they are read once and none is kept; else whole traces are read, some at a time.

mod cells;
mod compare;

use std::ops::ControlFlow;

use watchfire_model::logs::{LogSelection, LogSource, Nanos};
use watchfire_model::order::Order as _;
use watchfire_model::read::{Budget, ReadError};
use watchfire_model::spans::SpanRow;

use self::cells::Cells;
use self::compare::Differences;
use super::super::Range;
use super::ast::{Measure, Metrics, Query, Rank, Then};
use super::error::TraceqlError;
use super::field::At;
use super::forest::Forest;
use super::plan::Plan;
use super::search::Scan;
use super::spanset::Run;
use super::value::{Val, compare};
use crate::pace::{ENTRY_WORK, Pace};

/// The most moments of an answer.
pub const STEPS_MAX: usize = 11_000;
/// The most series of an answer.
pub const SERIES_MAX: usize = 2_000;

/// The moments for which numbers are wanted: each is the end of a step.
#[derive(Clone, Copy, Debug)]
pub struct Steps {
    start: Nanos,
    step: i64,
    count: usize,
}
impl Steps {
    /// Steps from one moment to another, the last one whole.
    pub fn new(start: Nanos, end: Nanos, step_ns: i64) -> Result<Steps, TraceqlError> {
        if end <= start || step_ns <= 0 {
            return Err(TraceqlError::Invalid("the range and the step of a query must be longer than nothing".to_owned()));
        }
        let length = i128::from(end.0) - i128::from(start.0);
        let count = usize::try_from((length + i128::from(step_ns) - 1) / i128::from(step_ns)).unwrap_or(usize::MAX);
        if count > STEPS_MAX {
            return Err(TraceqlError::Invalid(format!("the query would give {count} points of each series, more than {STEPS_MAX}: choose a longer step")));
        }
        Ok(Steps { start, step: step_ns, count })
    }
    /// One step.
    pub fn whole(start: Nanos, end: Nanos) -> Result<Steps, TraceqlError> {
        Steps::new(start, end, end.0.saturating_sub(start.0))
    }
    fn range(&self) -> Range {
        Range { start: self.start, end: self.moment(self.count) }
    }
    fn moment(&self, steps: usize) -> Nanos {
        Nanos(self.start.0.saturating_add(self.step.saturating_mul(steps as i64)))
    }
    /// The step in which a moment is.
    fn place(&self, time: Nanos) -> Option<usize> {
        let place = usize::try_from(time.0.checked_sub(self.start.0)? / self.step).ok()?;
        (time >= self.start && place < self.count).then_some(place)
    }
    fn seconds(&self) -> f64 {
        self.step as f64 / 1e9
    }
}

/// Numbers over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What tells it from others.
    pub labels: Vec<(String, Val<'static>)>,
    /// Milliseconds since 1970 and the number, ascending.
    pub samples: Vec<(i64, f64)>,
}

/// Takes spans that match.
enum Take<'q> {
    Cells(Cells<'q>),
    Differences(Differences<'q>),
}
impl Take<'_> {
    fn add(&mut self, at: &At<'_, '_>, place: usize, budget: &Budget) -> Result<(), TraceqlError> {
        match self {
            Take::Cells(cells) => cells.add(at, place, budget),
            Take::Differences(differences) => Ok(differences.add(at, place, budget)?),
        }
    }
}

/// The numbers that a query asks for.
pub fn measure(source: &dyn LogSource, query: &Query, steps: &Steps, budget: &Budget) -> Result<Vec<Series>, TraceqlError> {
    let Some(metrics) = &query.metrics else {
        return Err(TraceqlError::Invalid("the query selects traces but measures nothing: add for example | rate()".to_owned()));
    };
    let mut take = match &metrics.measure {
        Measure::Compare { selection, top, start, end } => Take::Differences(Differences::new(selection, *top, (*start, *end), steps.count)),
        _ => Take::Cells(Cells::new(metrics, steps.count)),
    };
    let plan = Plan::of(query);
    // What ends a read early for a reason of its own.
    let mut failed = None;
    let mut add = |at: &At<'_, '_>, failed: &mut Option<TraceqlError>| match steps.place(at.row.start()) {
        Some(place) => match take.add(at, place, budget) {
            Ok(()) => true,
            Err(error) => {
                *failed = Some(error);
                false
            }
        },
        None => true,
    };
    match &plan.alone {
        Some(filters) => {
            let pace = Pace::new(budget);
            let range = steps.range();
            let lines = plan.lines || matches!(metrics.measure, Measure::Compare { .. });
            let selection = LogSelection { lines, ..LogSelection::new(plan.matchers.clone(), range.start, range.end) };
            source.select_logs(&selection, budget, &mut |line| {
                let row = SpanRow::new(line);
                pace.check(ENTRY_WORK + row.bytes() as u64)?;
                let at = At::alone(row);
                let going = !filters.iter().all(|filter| at.value(filter).holds()) || add(&at, &mut failed);
                Ok(if going { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
            })?;
        }
        None => of_traces(source, query, &plan, steps, budget, &mut |at| add(at, &mut failed))?,
    }
    if let Some(error) = failed {
        return Err(error);
    }
    let mut series = match take {
        Take::Cells(cells) => cells.series(metrics, steps),
        Take::Differences(differences) => differences.series(steps),
    };
    then(metrics, &mut series);
    Ok(series)
}

/// Visits the matching spans of whole traces until one of them is not taken.
fn of_traces(
    source: &dyn LogSource,
    query: &Query,
    plan: &Plan<'_>,
    steps: &Steps,
    budget: &Budget,
    add: &mut dyn FnMut(&At<'_, '_>) -> bool,
) -> Result<(), ReadError> {
    let pace = Pace::new(budget);
    let mut scan = Scan::new(plan, steps.range());
    let mut going = true;
    while going {
        let more = scan.each(source, usize::MAX, budget, &mut |trace| {
            let forest = Forest::new(trace);
            let sets = Run { forest: &forest, pace: &pace }.all(&query.pipeline)?;
            let mut spans: Vec<usize> = sets.into_iter().flat_map(|set| set.spans).collect();
            spans.sort_unstable();
            spans.dedup();
            for at in spans {
                going = going && At::of(&forest, at).is_none_or(|at| add(&at));
            }
            Ok(())
        })?;
        going &= more;
    }
    Ok(())
}

/// Carries out what follows the measure.
fn then(metrics: &Metrics, series: &mut Vec<Series>) {
    for step in &metrics.then {
        match step {
            Then::Rank(rank, count) => ranked(*rank, *count, series),
            Then::Compare(op, value) => {
                for one in series.iter_mut() {
                    one.samples.retain(|(_, sample)| compare(*op, &Val::Float(*sample), &Val::Float(*value)).holds());
                }
            }
        }
        series.retain(|one| !one.samples.is_empty());
    }
}

/// Of each moment the greatest or the least numbers stay; of equal ones those of the first series.
fn ranked(rank: Rank, count: usize, series: &mut [Series]) {
    let mut moments: std::collections::BTreeMap<i64, Vec<(f64, usize)>> = std::collections::BTreeMap::new();
    for (at, one) in series.iter().enumerate() {
        for (time, value) in &one.samples {
            moments.entry(*time).or_default().push((*value, at));
        }
    }
    let mut stay: hashbrown::HashSet<(i64, usize)> = hashbrown::HashSet::new();
    for (time, mut values) in moments {
        values.order_by(|(a, _), (b, _)| if rank == Rank::Top { b.total_cmp(a) } else { a.total_cmp(b) });
        stay.extend(values.iter().take(count).map(|(_, at)| (time, *at)));
    }
    for (at, one) in series.iter_mut().enumerate() {
        one.samples.retain(|(time, _)| stay.contains(&(*time, at)));
    }
}
