//! The read seam: query engines, rules and faces read through `Source`, wherever the data are.
//! It selects by matchers and time and streams series; it knows no query language.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::batch::{Metadata, SeriesExemplars};
use crate::labels::Labels;
use crate::matcher::Matcher;
use crate::sample::HistogramSample;
use crate::time::{SharedClock, Timestamp};
use crate::windows::{Kept, WindowSeries, reduce, window_start};

/// What to read: series that satisfy all matchers, samples with `start <= time <= end`.
#[derive(Clone, Debug)]
pub struct Selection {
    /// All must hold. An empty list selects every series.
    pub matchers: Vec<Matcher>,
    /// First moment, inclusive.
    pub start: Timestamp,
    /// Last moment, inclusive.
    pub end: Timestamp,
}

/// One series with its samples: floats, and native histograms beside them. Times ascend strictly in each list, and no time is in
/// both. Staleness markers are included.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Its labels.
    pub labels: Labels,
    /// Times in milliseconds, ascending.
    pub times: Vec<i64>,
    /// As many values.
    pub values: Vec<f64>,
    /// Native histograms, ascending.
    pub histograms: Vec<HistogramSample>,
}
impl Series {
    /// How many samples it counts for in a [`Budget`]: a histogram counts for several.
    pub fn cost(&self) -> u64 {
        self.times.len() as u64 + self.histograms.iter().map(|h| h.value.cost()).sum::<u64>()
    }
}

/// How many warnings one query remembers.
const WARNINGS_MAX: usize = 100;

/// What a read may cost, shared by all parts of one query. Cheap to clone.
#[derive(Clone)]
pub struct Budget(Arc<BudgetInner>);
struct BudgetInner {
    samples_max: u64,
    samples: AtomicU64,
    memory_max: u64,
    memory: AtomicU64,
    pool: Option<MemoryPool>,
    cancelled: AtomicBool,
    warnings: Mutex<Vec<String>>,
    clock: SharedClock,
    deadline: Duration,
    timeout: Duration,
}
/// Memory that all queries share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct MemoryPool(Arc<PoolInner>);
#[derive(Debug)]
struct PoolInner {
    max: u64,
    used: AtomicU64,
}
impl MemoryPool {
    /// A pool of so many bytes.
    pub fn new(max: u64) -> MemoryPool {
        MemoryPool(Arc::new(PoolInner { max, used: AtomicU64::new(0) }))
    }
    /// What queries hold now.
    pub fn used(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }
    fn charge(&self, bytes: u64) -> Result<(), ReadError> {
        let total = self.0.used.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if total > self.0.max { Err(ReadError::MemoryBusy(self.0.max)) } else { Ok(()) }
    }
    fn release(&self, bytes: u64) {
        self.0.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for BudgetInner {
    fn drop(&mut self) {
        // A query that failed gives nothing back on its way out.
        if let Some(pool) = &self.pool {
            pool.release(self.memory.load(Ordering::Relaxed));
        }
    }
}

impl Budget {
    /// A budget that begins now.
    pub fn new(clock: SharedClock, timeout: Duration, samples_max: u64, memory_max: u64) -> Budget {
        Budget::within(None, clock, timeout, samples_max, memory_max)
    }
    /// The same, and what it charges comes out of a pool, too.
    pub fn within(pool: Option<MemoryPool>, clock: SharedClock, timeout: Duration, samples_max: u64, memory_max: u64) -> Budget {
        let deadline = clock.monotonic().saturating_add(timeout);
        Budget(Arc::new(BudgetInner {
            samples_max,
            samples: AtomicU64::new(0),
            memory_max,
            memory: AtomicU64::new(0),
            pool,
            cancelled: AtomicBool::new(false),
            warnings: Mutex::default(),
            clock,
            deadline,
            timeout,
        }))
    }
    /// A budget without limits, for tests and tools.
    pub fn unlimited(clock: SharedClock) -> Budget {
        Budget::new(clock, Duration::from_secs(u64::from(u32::MAX)), u64::MAX, u64::MAX)
    }
    /// Makes every later check fail: the asker has gone.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
    }
    /// Fails when cancelled or late. Call it in every loop that can be long.
    pub fn check(&self) -> Result<(), ReadError> {
        if self.0.cancelled.load(Ordering::Relaxed) {
            return Err(ReadError::Cancelled);
        }
        if self.0.clock.monotonic() > self.0.deadline {
            return Err(ReadError::Timeout(self.0.timeout));
        }
        Ok(())
    }
    /// Notes what the asker should know although the read goes on: a part of the data could not be had. Each text once.
    pub fn warn(&self, text: String) {
        let mut warnings = self.0.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if warnings.len() < WARNINGS_MAX && !warnings.contains(&text) {
            warnings.push(text);
        }
    }
    /// What was noted so far.
    pub fn warnings(&self) -> Vec<String> {
        self.0.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    /// Charges samples that were read into memory.
    pub fn charge_samples(&self, count: u64) -> Result<(), ReadError> {
        let total = self.0.samples.fetch_add(count, Ordering::Relaxed).saturating_add(count);
        if total > self.0.samples_max { Err(ReadError::TooManySamples(self.0.samples_max)) } else { self.charge_memory(count.saturating_mul(16)) }
    }
    /// Gives back samples that are no longer held.
    pub fn release_samples(&self, count: u64) {
        self.0.samples.fetch_sub(count, Ordering::Relaxed);
        self.release_memory(count.saturating_mul(16));
    }
    /// Charges memory in bytes.
    pub fn charge_memory(&self, bytes: u64) -> Result<(), ReadError> {
        let total = self.0.memory.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        let pooled = self.0.pool.as_ref().map_or(Ok(()), |pool| pool.charge(bytes));
        if total > self.0.memory_max { Err(ReadError::TooMuchMemory(self.0.memory_max)) } else { pooled }
    }
    /// Gives memory back.
    pub fn release_memory(&self, bytes: u64) {
        self.0.memory.fetch_sub(bytes, Ordering::Relaxed);
        if let Some(pool) = &self.0.pool {
            pool.release(bytes);
        }
    }
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The asker has gone.
    #[error("query was cancelled")]
    Cancelled,
    /// It took too long.
    #[error("query timed out after {0:?}")]
    Timeout(Duration),
    /// It would hold too many samples at once.
    #[error("query would load more than {0} samples into memory")]
    TooManySamples(u64),
    /// It would need too much memory.
    #[error("query would need more than {0} bytes of memory")]
    TooMuchMemory(u64),
    /// All queries together would need too much memory.
    #[error("queries would need more than {0} bytes of memory together; try again when others are done")]
    MemoryBusy(u64),
    /// The data cannot be read.
    #[error("cannot read stored data: {0}")]
    Storage(String),
}

/// Receives the series of a selection; breaking ends the read early without an error.
/// The source has charged the samples to the budget; who receives them releases them when it lets go of them.
pub type Visitor<'a> = dyn FnMut(Series) -> Result<ControlFlow<()>, ReadError> + 'a;

/// The same for windows.
pub type WindowVisitor<'a> = dyn FnMut(WindowSeries) -> Result<ControlFlow<()>, ReadError> + 'a;

/// The moments that the windows cover which begin within a selection's range; `None` when there is none.
pub fn window_range(selection: &Selection, resolution_ms: i64) -> Option<(Timestamp, Timestamp)> {
    if resolution_ms <= 0 {
        return None;
    }
    let before = window_start(selection.start.0, resolution_ms);
    let start = if before < selection.start.0 { before.saturating_add(resolution_ms) } else { before };
    let end = window_start(selection.end.0, resolution_ms).saturating_add(resolution_ms - 1);
    (start <= end && start <= selection.end.0).then_some((Timestamp(start), Timestamp(end)))
}

/// Gives stored data back. Calls may block; series come in no particular order, each exactly once.
pub trait Source: Send + Sync {
    /// Streams the selected series that have at least one sample in the time range.
    fn select(&self, selection: &Selection, budget: &Budget, visit: &mut Visitor<'_>) -> Result<(), ReadError>;

    /// The label sets of the selected series that exist in the time range, without samples (the range may be widened to block borders).
    fn series(&self, selection: &Selection, budget: &Budget) -> Result<Vec<Labels>, ReadError>;

    /// The names of labels in use, ascending; all series when there are no matchers.
    fn label_names(&self, selection: &Selection, budget: &Budget) -> Result<Vec<String>, ReadError> {
        let mut names = std::collections::BTreeSet::new();
        for labels in self.series(selection, budget)? {
            for (name, _) in &labels {
                if !names.contains(name) {
                    names.insert(name.to_owned());
                }
            }
        }
        Ok(names.into_iter().collect())
    }

    /// The values of one label, ascending.
    fn label_values(&self, name: &str, selection: &Selection, budget: &Budget) -> Result<Vec<String>, ReadError> {
        let mut values = std::collections::BTreeSet::new();
        for labels in self.series(selection, budget)? {
            if let Some(value) = labels.get(name)
                && !values.contains(value)
            {
                values.insert(value.to_owned());
            }
        }
        Ok(values.into_iter().collect())
    }

    /// The values of one label, ascending, if they are so few and so near that nobody has to be waited for: then the question need
    /// not leave the thread that it came to. `None` means that it has to be asked the other way.
    fn label_values_at_once(&self, _name: &str, _selection: &Selection) -> Option<Vec<String>> {
        None
    }

    /// The exemplars of the selected series in the time range, ascending by time within each series.
    fn exemplars(&self, _selection: &Selection, _budget: &Budget) -> Result<Vec<SeriesExemplars>, ReadError> {
        Ok(Vec::new())
    }

    /// The windows that are kept longer than samples, ascending by their length; none where there are only samples.
    fn kept_windows(&self) -> Vec<Kept> {
        Vec::new()
    }

    /// Streams the selected series of floats as windows of one length, those that begin within the range: exactly what their
    /// samples tell, also where only the windows are left. Native histograms have none; a series that has some says so.
    fn windows(&self, selection: &Selection, resolution_ms: i64, budget: &Budget, visit: &mut WindowVisitor<'_>) -> Result<(), ReadError> {
        let Some((start, end)) = window_range(selection, resolution_ms) else { return Ok(()) };
        let whole = Selection { start, end, ..selection.clone() };
        self.select(&whole, budget, &mut |series| {
            let cost = series.cost();
            let windows = reduce(&series.times, &series.values, resolution_ms);
            let found = WindowSeries { labels: series.labels, resolution_ms, windows, histograms: !series.histograms.is_empty() };
            budget.release_samples(cost);
            budget.charge_samples(found.cost())?;
            if found.windows.is_empty() && !found.histograms { Ok(ControlFlow::Continue(())) } else { visit(found) }
        })
    }

    /// What sources said about metric families, in ascending order of name.
    fn metadata(&self) -> Vec<Metadata> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_noted_once_by_all_parts_of_a_query() {
        let budget = Budget::unlimited(crate::time::ManualClock::new(crate::time::Timestamp::from_millis(0)));
        for text in ["a", "b", "a"] {
            budget.clone().warn(text.to_owned());
        }
        assert_eq!(budget.warnings(), ["a", "b"]);
    }

    #[test]
    fn queries_share_a_pool_and_give_back_what_they_held() {
        let clock: SharedClock = crate::time::ManualClock::new(crate::time::Timestamp::from_millis(0));
        let pool = MemoryPool::new(100);
        let budget = || Budget::within(Some(pool.clone()), clock.clone(), Duration::from_secs(1), u64::MAX, 80);
        let (first, second) = (budget(), budget());
        first.charge_memory(70).unwrap();
        assert!(matches!(second.charge_memory(40), Err(ReadError::MemoryBusy(100))));
        drop(second);
        assert_eq!(pool.used(), 70, "also of a query that failed nothing stays");
        first.release_memory(50);
        budget().charge_memory(80).unwrap();
        assert!(matches!(first.charge_memory(61), Err(ReadError::TooMuchMemory(80))));
        drop(first);
        assert_eq!(pool.used(), 0);
    }
}
