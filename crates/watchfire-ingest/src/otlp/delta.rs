//! Delta points → cumulative ones: for every series the sum of what came so far. The sums live in memory and are bounded;
//! after a restart, or when a series was silent for long, they begin at zero again, which every reader takes for the
//! counter reset that it is. A point that comes a second time (the sender saw no answer) gives the same sum again.

use std::time::Duration;

use hashbrown::HashMap;
use watchfire_model::labels::Labels;
use watchfire_model::write::Reason;

use super::merge::merge;
use super::native::{Exponents, SCALE_MIN};

/// The most series whose sums are kept.
const SERIES_MAX: usize = 100_000;
/// The most numbers in all of these sums together: 16 MiB.
const CELLS_MAX: usize = 2 << 20;
/// A series that was silent for so long is forgotten.
const IDLE: Duration = Duration::from_secs(3600);
/// How often a full table is searched for such series.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// Why a point is not taken.
pub(super) type Refusal = (Reason, String);

/// When a point begins and ends, in nanoseconds since 1970, and two words of its content to know it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) start_ns: u64,
    pub(super) time_ns: u64,
    pub(super) content: [u64; 2],
}

/// What came so far.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Sum {
    /// Of a sum.
    Number(f64),
    /// Of an explicit histogram.
    Explicit(Explicit),
    /// Of an exponential histogram.
    Exponential(Exponents),
}

/// An explicit histogram without its labels and times.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Explicit {
    pub(super) bounds: Vec<f64>,
    pub(super) counts: Vec<u64>,
    pub(super) count: u64,
    pub(super) sum: Option<f64>,
}

impl Sum {
    /// Numbers that it holds.
    fn cells(&self) -> usize {
        match self {
            Sum::Number(_) => 1,
            Sum::Explicit(h) => h.bounds.len() + h.counts.len(),
            Sum::Exponential(h) => h.positive.counts.len() + h.negative.counts.len(),
        }
    }

    /// This sum and one more point; `None` when they cannot be added because they are of different kinds or bounds.
    fn plus(&self, point: &Sum) -> Result<Option<Sum>, Refusal> {
        Ok(match (self, point) {
            (Sum::Number(a), Sum::Number(b)) => Some(Sum::Number(a + b)),
            (Sum::Explicit(a), Sum::Explicit(b)) if a.bounds == b.bounds && a.counts.len() == b.counts.len() => Some(Sum::Explicit(Explicit {
                bounds: a.bounds.clone(),
                counts: a.counts.iter().zip(&b.counts).map(|(a, b)| a.saturating_add(*b)).collect(),
                count: a.count.saturating_add(b.count),
                sum: a.sum.zip(b.sum).map(|(a, b)| a + b),
            })),
            (Sum::Exponential(a), Sum::Exponential(b)) => {
                let merged = merge(a, b);
                if merged.scale < SCALE_MIN {
                    return Err((Reason::InvalidHistogram, format!("its range and the one before need scale {}", merged.scale)));
                }
                Some(Sum::Exponential(merged))
            }
            _ => None,
        })
    }
}

/// A sum with what is needed to judge the next point.
struct Entry {
    sum: Sum,
    /// When the sum began.
    began_ns: u64,
    last: Mark,
    seen: Duration,
}

/// The table of sums.
#[derive(Default)]
pub(super) struct Sums {
    series: HashMap<Labels, Entry>,
    cells: usize,
    swept: Duration,
}

impl Sums {
    /// The number of series.
    pub(super) fn len(&self) -> usize {
        self.series.len()
    }

    /// Adds a point to its series; gives the sum and when it began.
    pub(super) fn add(&mut self, series: &Labels, mark: Mark, point: Sum, now: Duration) -> Result<(&Sum, u64), Refusal> {
        if now.saturating_sub(self.swept) > IDLE / 4 {
            self.sweep(now);
        }
        if let Some(known) = self.series.get(series)
            && known.last == mark
        {
            return Ok((&self.series[series].sum, self.series[series].began_ns));
        }
        let (sum, began_ns) = match self.series.get(series) {
            None => (point, mark.start_ns),
            Some(known) => {
                let refuse = |words: &str| Err((Reason::OutOfOrder, words.to_owned()));
                if mark.time_ns <= known.last.time_ns {
                    return refuse("a delta that ends no later than the one before");
                }
                if mark.start_ns != 0 && mark.start_ns < known.began_ns {
                    return refuse("a delta that begins before the sum it belongs to");
                }
                match known.sum.plus(&point)? {
                    Some(sum) => (sum, known.began_ns),
                    None => (point, mark.start_ns),
                }
            }
        };
        self.make_room(series, &sum, now)?;
        let before = self.series.get(series).map_or(0, |e| e.sum.cells());
        self.cells = self.cells + sum.cells() - before;
        let entry = Entry { sum, began_ns, last: mark, seen: now };
        self.series.insert(series.clone(), entry);
        let entry = &self.series[series];
        Ok((&entry.sum, entry.began_ns))
    }

    fn make_room(&mut self, series: &Labels, sum: &Sum, now: Duration) -> Result<(), Refusal> {
        let full = |table: &Sums| {
            let known = table.series.get(series);
            (known.is_none() && table.series.len() >= SERIES_MAX) || table.cells + sum.cells() > CELLS_MAX + known.map_or(0, |e| e.sum.cells())
        };
        if full(self) && now.saturating_sub(self.swept) >= SWEEP_EVERY {
            self.sweep(now);
        }
        if full(self) {
            return Err((Reason::SeriesLimit, format!("more than {SERIES_MAX} series with deltas, or too many buckets in them")));
        }
        Ok(())
    }

    fn sweep(&mut self, now: Duration) {
        self.swept = now;
        self.series.retain(|_, entry| now.saturating_sub(entry.seen) <= IDLE);
        self.cells = self.series.values().map(|e| e.sum.cells()).sum();
        if self.series.capacity() > 4 * self.series.len() + 64 {
            self.series.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::points::Buckets;
    use watchfire_model::labels;

    const NOW: Duration = Duration::from_secs(1000);

    fn mark(start_ns: u64, time_ns: u64, content: u64) -> Mark {
        Mark { start_ns, time_ns, content: [content, 0] }
    }

    #[test]
    fn numbers_add_up() {
        let mut sums = Sums::default();
        let series = labels!("__name__" => "a");
        let mut check = |mark: Mark, value: f64, expected: Result<(f64, u64), Reason>| {
            let found = sums.add(&series, mark, Sum::Number(value), NOW);
            let found = found.map(|(sum, began)| (if let Sum::Number(n) = sum { *n } else { f64::NAN }, began)).map_err(|(reason, _)| reason);
            assert_eq!(found, expected, "{mark:?}");
        };
        check(mark(10, 20, 1), 5.0, Ok((5.0, 10)));
        check(mark(20, 30, 2), 2.0, Ok((7.0, 10)));
        check(mark(20, 30, 2), 2.0, Ok((7.0, 10)));
        check(mark(20, 30, 3), 9.0, Err(Reason::OutOfOrder));
        check(mark(5, 40, 4), 9.0, Err(Reason::OutOfOrder));
        // A gap is no reason to begin anew.
        check(mark(100, 110, 5), -1.0, Ok((6.0, 10)));
    }

    #[test]
    fn explicit_histograms_add_up_and_new_bounds_begin_anew() {
        let mut sums = Sums::default();
        let series = labels!("__name__" => "h");
        let point =
            |bounds: &[f64], counts: &[u64], sum| Sum::Explicit(Explicit { bounds: bounds.to_vec(), counts: counts.to_vec(), count: counts.iter().sum(), sum });
        sums.add(&series, mark(1, 2, 0), point(&[1.0], &[1, 2], Some(3.0)), NOW).unwrap();
        let (sum, began) = sums.add(&series, mark(2, 3, 0), point(&[1.0], &[0, 5], Some(1.5)), NOW).unwrap();
        assert_eq!((sum, began), (&point(&[1.0], &[1, 7], Some(4.5)), 1));
        let (sum, _) = sums.add(&series, mark(3, 4, 0), point(&[1.0], &[1, 0], None), NOW).unwrap();
        assert_eq!(sum, &point(&[1.0], &[2, 7], None));
        let (sum, began) = sums.add(&series, mark(4, 5, 0), point(&[2.0], &[1, 0], Some(1.0)), NOW).unwrap();
        assert_eq!((sum, began), (&point(&[2.0], &[1, 0], Some(1.0)), 4));
        let (sum, _) = sums.add(&series, mark(5, 6, 0), Sum::Number(2.0), NOW).unwrap();
        assert_eq!(sum, &Sum::Number(2.0));
        assert_eq!(sums.cells, 1);
    }

    #[test]
    fn a_range_that_no_scale_holds_is_refused_and_changes_nothing() {
        let mut sums = Sums::default();
        let series = labels!("__name__" => "e");
        let point = |offset| Sum::Exponential(Exponents { scale: 0, count: 1, positive: Buckets { offset, counts: vec![1] }, ..Exponents::default() });
        sums.add(&series, mark(1, 2, 0), point(0), NOW).unwrap();
        assert_eq!(sums.add(&series, mark(2, 3, 0), point(i32::MAX), NOW).unwrap_err().0, Reason::InvalidHistogram);
        let (sum, _) = sums.add(&series, mark(2, 3, 1), point(1), NOW).unwrap();
        let Sum::Exponential(sum) = sum else { panic!("{sum:?}") };
        assert_eq!((sum.count, &sum.positive), (2, &Buckets { offset: 0, counts: vec![1, 1] }));
    }

    #[test]
    fn the_table_is_bounded_and_forgets_idle_series() {
        let mut sums = Sums::default();
        let series = |n: usize| Labels::from_pairs([("__name__", "a"), ("n", &n.to_string())]);
        for n in 0..SERIES_MAX {
            sums.add(&series(n), mark(1, 2, 0), Sum::Number(1.0), NOW).unwrap();
        }
        assert_eq!(sums.add(&series(SERIES_MAX), mark(1, 2, 0), Sum::Number(1.0), NOW).unwrap_err().0, Reason::SeriesLimit);
        assert!(sums.add(&series(0), mark(2, 3, 0), Sum::Number(1.0), NOW).is_ok(), "those that are known go on");
        let later = NOW + IDLE + Duration::from_secs(1);
        assert!(sums.add(&series(SERIES_MAX), mark(1, 2, 0), Sum::Number(1.0), later).is_ok());
        assert_eq!((sums.len(), sums.cells), (1, 1));
        let wide = Sum::Explicit(Explicit { bounds: Vec::new(), counts: vec![1; CELLS_MAX + 1], count: 0, sum: None });
        assert_eq!(sums.add(&series(5), mark(1, 2, 0), wide, later).unwrap_err().0, Reason::SeriesLimit);
    }
}
