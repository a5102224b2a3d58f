//! Delta points → cumulative ones: for every series the sum of what came so far. The sums live in memory and are bounded;
//! after a restart, or when a series was silent for long, they begin at zero again, which every reader takes for the
//! counter reset that it is. A point that comes a second time (the sender saw no answer) gives the same sum again.
//!
//! What is added for a batch that is not stored in the end is taken back, so that the sender can send it again. It is
//! added at once, not when the batch is stored: two requests under way at the same time must add up.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hashbrown::HashMap;
use watchfire_model::labels::Labels;
use watchfire_model::write::Reason;

use super::merge::merge;
use super::native::{Exponents, SCALE_MIN};

/// The most series whose sums are kept.
const SERIES_MAX: usize = 100_000;
/// The most bytes of all of these series together, with their labels, which nobody else has judged yet.
const BYTES_MAX: usize = 64 << 20;
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
    /// Bytes of its buckets.
    fn bytes(&self) -> usize {
        const NUMBER_BYTES: usize = 8;
        let numbers = match self {
            Sum::Number(_) => 0,
            Sum::Explicit(h) => h.bounds.len() + h.counts.len(),
            Sum::Exponential(h) => h.positive.counts.len() + h.negative.counts.len(),
        };
        numbers * NUMBER_BYTES
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
#[derive(Debug)]
struct Entry {
    sum: Sum,
    /// When the sum began.
    began_ns: u64,
    last: Mark,
    seen: Duration,
    /// Whether a batch with this sum is stored.
    stored: bool,
}
impl Entry {
    fn bytes(&self, series: &Labels) -> usize {
        series.memory() + size_of::<(Labels, Entry)>() + self.sum.bytes()
    }
}

/// What one point changed.
#[derive(Debug)]
struct Added {
    series: Labels,
    mark: Mark,
    before: Before,
}
#[derive(Debug)]
enum Before {
    /// The point was there already.
    Same,
    /// This sum stood there, or none.
    Other(Option<Entry>),
}

/// The table of sums.
#[derive(Default)]
pub(super) struct Sums {
    series: HashMap<Labels, Entry>,
    bytes: usize,
    swept: Duration,
}

impl Sums {
    /// The number of series.
    pub(super) fn len(&self) -> usize {
        self.series.len()
    }

    /// Adds a point to its series; gives the sum and when it began.
    fn add(&mut self, series: &Labels, mark: Mark, point: Sum, now: Duration, added: &mut Vec<Added>) -> Result<(&Sum, u64), Refusal> {
        if now.saturating_sub(self.swept) > IDLE / 4 {
            self.sweep(now);
        }
        if let Some(known) = self.series.get(series)
            && known.last == mark
        {
            added.push(Added { series: series.clone(), mark, before: Before::Same });
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
        let entry = Entry { sum, began_ns, last: mark, seen: now, stored: false };
        self.make_room(series, &entry, now)?;
        let before = self.put(series.clone(), entry);
        added.push(Added { series: series.clone(), mark, before: Before::Other(before) });
        let entry = &self.series[series];
        Ok((&entry.sum, entry.began_ns))
    }

    fn put(&mut self, series: Labels, entry: Entry) -> Option<Entry> {
        let before = self.take(&series);
        self.bytes += entry.bytes(&series);
        self.series.insert(series, entry);
        before
    }
    fn take(&mut self, series: &Labels) -> Option<Entry> {
        let entry = self.series.remove(series)?;
        self.bytes -= entry.bytes(series);
        Some(entry)
    }

    /// Notes that the sums with these points are stored.
    fn settle(&mut self, added: Vec<Added>) {
        for Added { series, mark, .. } in added {
            if let Some(entry) = self.series.get_mut(&series).filter(|e| e.last == mark) {
                entry.stored = true;
            }
        }
    }

    /// Takes points back, the last one first. One on which others built in the meantime stays, and so does one that came in
    /// a second request, too, which stored it.
    fn undo(&mut self, added: Vec<Added>) {
        for Added { series, mark, before } in added.into_iter().rev() {
            let Before::Other(before) = before else { continue };
            if self.series.get(&series).is_none_or(|e| e.last != mark || e.stored) {
                continue;
            }
            self.take(&series);
            if let Some(before) = before {
                self.put(series, before);
            }
        }
    }

    fn make_room(&mut self, series: &Labels, entry: &Entry, now: Duration) -> Result<(), Refusal> {
        let bytes = entry.bytes(series);
        let full = |table: &Sums| {
            let known = table.series.get(series);
            (known.is_none() && table.series.len() >= SERIES_MAX) || table.bytes + bytes > BYTES_MAX + known.map_or(0, |e| e.bytes(series))
        };
        if full(self) && now.saturating_sub(self.swept) >= SWEEP_EVERY {
            self.sweep(now);
        }
        if full(self) {
            return Err((Reason::SeriesLimit, format!("more than {SERIES_MAX} series with deltas, or too many labels and buckets in them")));
        }
        Ok(())
    }

    fn sweep(&mut self, now: Duration) {
        self.swept = now;
        self.series.retain(|_, entry| now.saturating_sub(entry.seen) <= IDLE);
        self.bytes = self.series.iter().map(|(series, entry)| entry.bytes(series)).sum();
        if self.series.capacity() > 4 * self.series.len() + 64 {
            self.series.shrink_to_fit();
        }
    }
}

/// Points that were added up for a batch that is not stored yet. Those that are not settled are taken back in the end.
pub(super) struct Unstored<'a> {
    sums: &'a Mutex<Sums>,
    added: Vec<Added>,
}
impl<'a> Unstored<'a> {
    pub(super) fn new(sums: &'a Mutex<Sums>) -> Unstored<'a> {
        Unstored { sums, added: Vec::new() }
    }
    /// Adds a point to its series; gives the sum and when it began.
    pub(super) fn add(&mut self, series: &Labels, mark: Mark, point: Sum, now: Duration) -> Result<(Sum, u64), Refusal> {
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        sums.add(series, mark, point, now, &mut self.added).map(|(sum, began_ns)| (sum.clone(), began_ns))
    }
    /// Notes that all of them are stored.
    pub(super) fn settle(&mut self) {
        if !self.added.is_empty() {
            self.sums.lock().unwrap_or_else(PoisonError::into_inner).settle(std::mem::take(&mut self.added));
        }
    }
}
impl Drop for Unstored<'_> {
    fn drop(&mut self) {
        if !self.added.is_empty() {
            self.sums.lock().unwrap_or_else(PoisonError::into_inner).undo(std::mem::take(&mut self.added));
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
            let found = sums.add(&series, mark, Sum::Number(value), NOW, &mut Vec::new());
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
        sums.add(&series, mark(1, 2, 0), point(&[1.0], &[1, 2], Some(3.0)), NOW, &mut Vec::new()).unwrap();
        let (sum, began) = sums.add(&series, mark(2, 3, 0), point(&[1.0], &[0, 5], Some(1.5)), NOW, &mut Vec::new()).unwrap();
        assert_eq!((sum, began), (&point(&[1.0], &[1, 7], Some(4.5)), 1));
        let (sum, _) = sums.add(&series, mark(3, 4, 0), point(&[1.0], &[1, 0], None), NOW, &mut Vec::new()).unwrap();
        assert_eq!(sum, &point(&[1.0], &[2, 7], None));
        let (sum, began) = sums.add(&series, mark(4, 5, 0), point(&[2.0], &[1, 0], Some(1.0)), NOW, &mut Vec::new()).unwrap();
        assert_eq!((sum, began), (&point(&[2.0], &[1, 0], Some(1.0)), 4));
        let (sum, _) = sums.add(&series, mark(5, 6, 0), Sum::Number(2.0), NOW, &mut Vec::new()).unwrap();
        assert_eq!(sum, &Sum::Number(2.0));
    }

    #[test]
    fn a_range_that_no_scale_holds_is_refused_and_changes_nothing() {
        let mut sums = Sums::default();
        let series = labels!("__name__" => "e");
        let point = |offset| Sum::Exponential(Exponents { scale: 0, count: 1, positive: Buckets { offset, counts: vec![1] }, ..Exponents::default() });
        sums.add(&series, mark(1, 2, 0), point(0), NOW, &mut Vec::new()).unwrap();
        assert_eq!(sums.add(&series, mark(2, 3, 0), point(i32::MAX), NOW, &mut Vec::new()).unwrap_err().0, Reason::InvalidHistogram);
        let (sum, _) = sums.add(&series, mark(2, 3, 1), point(1), NOW, &mut Vec::new()).unwrap();
        let Sum::Exponential(sum) = sum else { panic!("{sum:?}") };
        assert_eq!((sum.count, &sum.positive), (2, &Buckets { offset: 0, counts: vec![1, 1] }));
    }

    #[test]
    fn the_table_is_bounded_and_forgets_idle_series() {
        let mut sums = Sums::default();
        let series = |n: usize| Labels::from_pairs([("__name__", "a"), ("n", &n.to_string())]);
        for n in 0..SERIES_MAX {
            sums.add(&series(n), mark(1, 2, 0), Sum::Number(1.0), NOW, &mut Vec::new()).unwrap();
        }
        assert_eq!(sums.add(&series(SERIES_MAX), mark(1, 2, 0), Sum::Number(1.0), NOW, &mut Vec::new()).unwrap_err().0, Reason::SeriesLimit);
        assert!(sums.add(&series(0), mark(2, 3, 0), Sum::Number(1.0), NOW, &mut Vec::new()).is_ok(), "those that are known go on");
        let later = NOW + IDLE + Duration::from_secs(1);
        assert!(sums.add(&series(SERIES_MAX), mark(1, 2, 0), Sum::Number(1.0), later, &mut Vec::new()).is_ok());
        assert_eq!(sums.len(), 1);
        let wide = Sum::Explicit(Explicit { bounds: Vec::new(), counts: vec![1; BYTES_MAX / 8], count: 0, sum: None });
        assert_eq!(sums.add(&series(5), mark(1, 2, 0), wide, later, &mut Vec::new()).unwrap_err().0, Reason::SeriesLimit);
    }

    #[test]
    fn labels_count_among_the_bytes() {
        let mut sums = Sums::default();
        let long = "x".repeat(200 << 10);
        let series = |n: usize| Labels::from_pairs([("__name__", long.as_str()), ("n", &n.to_string())]);
        let taken = (0..1_000).take_while(|n| sums.add(&series(*n), mark(1, 2, 0), Sum::Number(1.0), NOW, &mut Vec::new()).is_ok()).count();
        let held: usize = sums.series.keys().map(Labels::memory).sum();
        assert!((200..1_000).contains(&taken) && held <= BYTES_MAX, "{taken} {held}");
        assert!(sums.add(&series(0), mark(2, 3, 0), Sum::Number(1.0), NOW, &mut Vec::new()).is_ok(), "those that are known go on");
    }

    #[test]
    fn what_is_not_stored_is_taken_back() {
        let sums = Mutex::new(Sums::default());
        let series = labels!("__name__" => "a");
        let add = |request: &mut Unstored<'_>, start: u64, value: f64| {
            let (sum, _) = request.add(&series, mark(start, start + 1, start), Sum::Number(value), NOW).unwrap();
            let Sum::Number(sum) = sum else { panic!("{sum:?}") };
            sum
        };
        let request = || Unstored::new(&sums);
        let mut first = request();
        assert_eq!((add(&mut first, 1, 1.0), add(&mut first, 2, 2.0)), (1.0, 3.0));
        drop(first);
        let held = sums.lock().map(|sums| (sums.len(), sums.bytes)).unwrap();
        assert_eq!(held, (0, 0));
        let mut again = request();
        assert_eq!((add(&mut again, 1, 1.0), add(&mut again, 2, 2.0)), (1.0, 3.0));
        again.settle();
        assert_eq!(add(&mut again, 3, 4.0), 7.0);
        drop(again);
        // A request that comes twice at the same time, of which one is stored.
        let (mut lost, mut kept) = (request(), request());
        assert_eq!((add(&mut lost, 3, 4.0), add(&mut kept, 3, 4.0)), (7.0, 7.0));
        kept.settle();
        drop(lost);
        assert_eq!(add(&mut request(), 4, 1.0), 8.0);
        // A request on whose sum another one built.
        let (mut lost, mut kept) = (request(), request());
        assert_eq!((add(&mut lost, 4, 1.0), add(&mut kept, 5, 1.0)), (8.0, 9.0));
        drop(lost);
        kept.settle();
        assert_eq!(add(&mut request(), 6, 1.0), 10.0);
    }
}
