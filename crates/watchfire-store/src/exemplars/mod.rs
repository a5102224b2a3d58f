//! Exemplars: recent examples of what series count, in memory within limits of number and bytes, the oldest going first. They
//! come back after a restart from the log and from a file that is written whenever the log is cut. They are extras: nothing is
//! refused because of them, and they do not count as samples.

mod file;

use std::collections::VecDeque;

use hashbrown::HashMap;
use watchfire_model::batch::SeriesExemplars;
use watchfire_model::labels::Labels;
use watchfire_model::matcher::{Matcher, matches_all};
use watchfire_model::sample::Exemplar;

pub(crate) use file::{FILE, FileError, decode, encode};

/// The most characters in the names and values of an exemplar's labels, as OpenMetrics has it.
const LABEL_CHARACTERS_MAX: usize = 128;
/// The most exemplars of one series; one busy series must not push out everybody else's.
const PER_SERIES_MAX: usize = 1000;
/// What an exemplar costs beside its labels.
const OVERHEAD_BYTES: usize = 64;

/// Why an exemplar is not kept; the name is the `reason` of our own counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dropped {
    Duplicate,
    OutOfOrder,
    LabelsTooLong,
    TooFarFuture,
    /// More than a few of one series in one batch.
    TooMany,
    /// Its series has no sample.
    UnknownSeries,
    /// None are to be kept.
    Disabled,
}
impl Dropped {
    pub(crate) const ALL: [Dropped; 7] =
        [Dropped::Duplicate, Dropped::OutOfOrder, Dropped::LabelsTooLong, Dropped::TooFarFuture, Dropped::TooMany, Dropped::UnknownSeries, Dropped::Disabled];
    pub(crate) fn name(self) -> &'static str {
        match self {
            Dropped::Duplicate => "duplicate",
            Dropped::OutOfOrder => "out_of_order",
            Dropped::LabelsTooLong => "labels_too_long",
            Dropped::TooFarFuture => "too_far_future",
            Dropped::TooMany => "too_many",
            Dropped::UnknownSeries => "unknown_series",
            Dropped::Disabled => "disabled",
        }
    }
}

/// Whether an exemplar may follow another one of its series. One of the same time may, for another bucket of a histogram.
pub(crate) fn may_follow(newest: Option<&Exemplar>, exemplar: &Exemplar) -> Result<(), Dropped> {
    let characters: usize = exemplar.labels.iter().map(|(name, value)| name.chars().count() + value.chars().count()).sum();
    if characters > LABEL_CHARACTERS_MAX {
        return Err(Dropped::LabelsTooLong);
    }
    let Some(newest) = newest else { return Ok(()) };
    if newest == exemplar {
        return Err(Dropped::Duplicate);
    }
    let order = exemplar.time.cmp(&newest.time).then(exemplar.value.total_cmp(&newest.value)).then_with(|| exemplar.labels.cmp(&newest.labels));
    if order.is_lt() { Err(Dropped::OutOfOrder) } else { Ok(()) }
}

#[derive(Default)]
struct Series {
    kept: VecDeque<Exemplar>,
    /// Places in the order of arrival whose exemplars went before their turn.
    gone: usize,
}

/// Recent exemplars.
#[derive(Default)]
pub(crate) struct Exemplars {
    series: HashMap<Labels, Series>,
    /// The series of each exemplar, in the order of arrival.
    order: VecDeque<Labels>,
    bytes: usize,
    count: usize,
    count_max: usize,
    bytes_max: usize,
    /// Something has come or gone since the file was written.
    pub(crate) changed: bool,
}

fn memory(exemplar: &Exemplar) -> usize {
    exemplar.labels.memory() + OVERHEAD_BYTES
}

impl Exemplars {
    pub(crate) fn new(count_max: usize, bytes_max: usize) -> Exemplars {
        Exemplars { count_max, bytes_max, ..Exemplars::default() }
    }
    /// Whether none are kept.
    pub(crate) fn is_disabled(&self) -> bool {
        self.count_max == 0
    }
    pub(crate) fn len(&self) -> usize {
        self.count
    }
    /// Bytes of memory, about.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
    /// The newest exemplar of a series.
    pub(crate) fn newest(&self, series: &Labels) -> Option<&Exemplar> {
        self.series.get(series)?.kept.back()
    }

    /// Adds an exemplar that may follow the newest one, and lets the oldest go that no longer fit.
    pub(crate) fn push(&mut self, labels: &Labels, exemplar: Exemplar) {
        if self.is_disabled() {
            return;
        }
        self.changed = true;
        self.bytes += memory(&exemplar);
        self.count += 1;
        self.order.push_back(labels.clone());
        let series = match self.series.get_mut(labels) {
            Some(series) => series,
            None => {
                self.bytes += labels.memory();
                self.series.entry(labels.clone()).or_default()
            }
        };
        series.kept.push_back(exemplar);
        if series.kept.len() > PER_SERIES_MAX
            && let Some(oldest) = series.kept.pop_front()
        {
            series.gone += 1;
            self.bytes -= memory(&oldest);
            self.count -= 1;
        }
        while self.count > self.count_max || self.bytes > self.bytes_max || self.order.len() > self.count_max.saturating_mul(2) {
            self.let_oldest_go();
        }
    }

    /// Takes the first place in the order of arrival.
    fn let_oldest_go(&mut self) {
        let Some(labels) = self.order.pop_front() else { return };
        let Some(series) = self.series.get_mut(&labels) else { return };
        if series.gone > 0 {
            series.gone -= 1;
        } else if let Some(oldest) = series.kept.pop_front() {
            self.bytes -= memory(&oldest);
            self.count -= 1;
        }
        if series.kept.is_empty() && series.gone == 0 {
            self.series.remove(&labels);
            self.bytes -= labels.memory();
        }
    }

    /// The exemplars of the series that satisfy all matchers, between two times; series ascend.
    pub(crate) fn select(&self, matchers: &[Matcher], start: i64, end: i64) -> Vec<SeriesExemplars> {
        let within = |e: &&Exemplar| e.time.millis() >= start && e.time.millis() <= end;
        let chosen = self.series.iter().filter(|(labels, _)| matches_all(matchers, labels));
        let found = chosen.map(|(labels, series)| SeriesExemplars { labels: labels.clone(), exemplars: series.kept.iter().filter(within).cloned().collect() });
        let mut found: Vec<_> = found.filter(|s| !s.exemplars.is_empty()).collect();
        found.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        found
    }

    /// Forgets the exemplars of the series that satisfy all matchers, between two times.
    pub(crate) fn delete(&mut self, matchers: &[Matcher], start: i64, end: i64) {
        for (_, series) in self.series.iter_mut().filter(|(labels, _)| matches_all(matchers, labels)) {
            let before = series.kept.len();
            let bytes = &mut self.bytes;
            series.kept.retain(|e| {
                let keep = e.time.millis() < start || e.time.millis() > end;
                if !keep {
                    *bytes -= memory(e);
                }
                keep
            });
            let gone = before - series.kept.len();
            series.gone += gone;
            self.count -= gone;
            self.changed |= gone > 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use watchfire_model::labels;
    use watchfire_model::time::Timestamp;

    fn exemplar(time: i64, value: f64, trace: &str) -> Exemplar {
        Exemplar { labels: labels!("trace_id" => trace), time: Timestamp(time), value }
    }

    #[test]
    fn order_within_a_series() {
        let newest = exemplar(10, 2.0, "b");
        let check = |e: Exemplar, expected| assert_eq!(may_follow(Some(&newest), &e), expected, "{e:?}");
        check(exemplar(11, 1.0, "a"), Ok(()));
        check(exemplar(10, 2.0, "b"), Err(Dropped::Duplicate));
        check(exemplar(10, 2.0, "c"), Ok(()));
        check(exemplar(10, 2.0, "a"), Err(Dropped::OutOfOrder));
        check(exemplar(10, 3.0, "a"), Ok(()));
        check(exemplar(9, 9.0, "z"), Err(Dropped::OutOfOrder));
        check(exemplar(11, 1.0, &"x".repeat(121)), Err(Dropped::LabelsTooLong));
        assert_eq!(may_follow(None, &exemplar(1, 1.0, &"ä".repeat(120))), Ok(()), "characters count, not bytes");
    }

    proptest! {
        #[test]
        fn limits_hold_and_the_newest_stay(
            pushed in proptest::collection::vec((0u8..6, 0u8..20), 0..300),
            count_max in 1usize..40,
            bytes_max in 500usize..5000,
            deleted in proptest::option::of(0i64..300),
        ) {
            let mut exemplars = Exemplars::new(count_max, bytes_max);
            let series = |n: u8| labels!("n" => &n.to_string());
            for (time, (n, trace)) in (0i64..).zip(&pushed) {
                exemplars.push(&series(*n), exemplar(time, 1.0, &trace.to_string()));
                prop_assert!(exemplars.len() <= count_max && exemplars.bytes() <= bytes_max.max(1));
            }
            if let Some(before) = deleted {
                exemplars.delete(&[], 0, before);
            }
            let all = exemplars.select(&[], i64::MIN, i64::MAX);
            let mut times: Vec<i64> = all.iter().flat_map(|s| s.exemplars.iter().map(|e| e.time.0)).collect();
            times.sort_unstable();
            prop_assert_eq!(times.len(), exemplars.len());
            // What is left is the end of what came.
            let first = times.first().copied().unwrap_or(pushed.len() as i64);
            prop_assert_eq!(times, (first..pushed.len() as i64).collect::<Vec<_>>());
            let mut copy = Exemplars::new(count_max, bytes_max);
            for (labels, exemplar) in decode(&encode(&exemplars).unwrap()).unwrap() {
                copy.push(&labels, exemplar);
            }
            prop_assert_eq!(copy.select(&[], i64::MIN, i64::MAX), all);
            for n in 0..6 {
                exemplars.delete(&[Matcher::equal("n", &n.to_string())], i64::MIN, i64::MAX);
            }
            prop_assert_eq!(exemplars.len(), 0);
            while !exemplars.order.is_empty() {
                exemplars.let_oldest_go();
            }
            prop_assert_eq!(exemplars.bytes(), 0, "everything is given back");
        }
    }
}
