//! The read seam: query engines, rules and faces read through `Source`, wherever the data are.
//! It selects by matchers and time and streams series; it knows no query language.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::batch::Metadata;
use crate::labels::Labels;
use crate::matcher::Matcher;
use crate::time::{SharedClock, Timestamp};

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

/// One series with its samples, times strictly ascending. Staleness markers are included.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Its labels.
    pub labels: Labels,
    /// Times in milliseconds, ascending.
    pub times: Vec<i64>,
    /// As many values.
    pub values: Vec<f64>,
}

/// What a read may cost, shared by all parts of one query. Cheap to clone.
#[derive(Clone)]
pub struct Budget(Arc<BudgetInner>);
struct BudgetInner {
    samples_max: u64,
    samples: AtomicU64,
    memory_max: u64,
    memory: AtomicU64,
    cancelled: AtomicBool,
    clock: SharedClock,
    deadline: Duration,
    timeout: Duration,
}
impl Budget {
    /// A budget that begins now.
    pub fn new(clock: SharedClock, timeout: Duration, samples_max: u64, memory_max: u64) -> Budget {
        let deadline = clock.monotonic().saturating_add(timeout);
        Budget(Arc::new(BudgetInner {
            samples_max,
            samples: AtomicU64::new(0),
            memory_max,
            memory: AtomicU64::new(0),
            cancelled: AtomicBool::new(false),
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
        if total > self.0.memory_max { Err(ReadError::TooMuchMemory(self.0.memory_max)) } else { Ok(()) }
    }
    /// Gives memory back.
    pub fn release_memory(&self, bytes: u64) {
        self.0.memory.fetch_sub(bytes, Ordering::Relaxed);
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
    /// The data cannot be read.
    #[error("cannot read stored data: {0}")]
    Storage(String),
}

/// Receives the series of a selection; breaking ends the read early without an error.
/// The source has charged the samples to the budget; who receives them releases them when it lets go of them.
pub type Visitor<'a> = dyn FnMut(Series) -> Result<ControlFlow<()>, ReadError> + 'a;

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

    /// What sources said about metric families, in ascending order of name.
    fn metadata(&self) -> Vec<Metadata> {
        Vec::new()
    }
}
