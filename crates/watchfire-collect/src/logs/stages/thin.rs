//! Stages that thin lines out: a rate, and a share.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{Step, Surroundings, Verdict};
use crate::logs::Entry;

/// The longest pause for a rate.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Lets so many lines a second through.
#[derive(Debug)]
pub struct Limit {
    /// Lines a second.
    pub rate: f64,
    /// Lines at once.
    pub burst: f64,
    /// Whether lines that are too many are dropped; else reading is slowed down.
    pub drop: bool,
    /// The label whose values have a rate each.
    pub by_label: Option<String>,
    /// The most values of it that are known at once.
    pub values_max: usize,
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Duration,
}

impl Limit {
    /// Such a stage.
    pub fn new(rate: f64, burst: f64, drop: bool, by_label: Option<String>, values_max: usize) -> Limit {
        Limit { rate, burst, drop, by_label, values_max, buckets: Mutex::default() }
    }
    fn fill(&self, bucket: &mut Bucket, now: Duration) {
        bucket.tokens = (bucket.tokens + now.saturating_sub(bucket.at).as_secs_f64() * self.rate).min(self.burst);
        bucket.at = now;
    }
}
impl Step for Limit {
    fn name(&self) -> &'static str {
        "limit"
    }
    fn apply(&self, entry: &mut Entry, around: &Surroundings<'_>) -> Verdict {
        let key = match &self.by_label {
            None => String::new(),
            // Lines without the label are not limited.
            Some(name) => match entry.labels.get(name) {
                None => return Verdict::Keep,
                Some(value) => value.clone(),
            },
        };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= self.values_max.max(1) && !buckets.contains_key(&key) {
            buckets.clear();
        }
        let bucket = buckets.entry(key).or_insert(Bucket { tokens: self.burst, at: around.monotonic });
        self.fill(bucket, around.monotonic);
        if bucket.tokens < 1.0 && self.drop {
            return Verdict::Drop("limit".into());
        }
        bucket.tokens -= 1.0;
        Verdict::Keep
    }
    fn pause(&self, around: &Surroundings<'_>) -> Duration {
        if self.drop || self.rate <= 0.0 {
            return Duration::ZERO;
        }
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let debt = buckets.values_mut().map(|bucket| {
            self.fill(bucket, around.monotonic);
            -bucket.tokens
        });
        Duration::try_from_secs_f64(debt.fold(0.0, f64::max) / self.rate).unwrap_or(PAUSE_MAX).min(PAUSE_MAX)
    }
}

/// Lets a share of lines through. Which ones follows from the line's time and text, so that a line which is read again has the same lot.
#[derive(Clone, Debug)]
pub struct Sampling {
    /// From 0 to 1.
    pub rate: f64,
    /// Under which reason the others are counted.
    pub reason: std::sync::Arc<str>,
}
impl Step for Sampling {
    fn name(&self) -> &'static str {
        "sampling"
    }
    fn apply(&self, entry: &mut Entry, _around: &Surroundings<'_>) -> Verdict {
        let seed = (entry.time.0 as u64) ^ entry.place.rotate_left(32);
        let mut lot = entry.line.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        lot = (lot ^ (lot >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        lot = (lot ^ (lot >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let share = ((lot ^ (lot >> 31)) >> 11) as f64 / (1u64 << 53) as f64;
        if share < self.rate { Verdict::Keep } else { Verdict::Drop(self.reason.clone()) }
    }
}
