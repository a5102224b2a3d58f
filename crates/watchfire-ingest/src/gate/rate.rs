//! How many bytes of log lines may come in within a second: of all senders together, and of each stream. What is too much is turned away
//! whole and may come again, so nothing is lost by it. It keeps a few numbers for each stream that was written to lately.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hashbrown::HashMap;
use watchfire_model::labels::Labels;
use watchfire_model::logs::StreamEntries;

/// The most streams whose rates are known; those that were quiet for long enough are forgotten first, then all.
const STREAMS_MAX: usize = 100_000;

/// Bytes a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// In the long run.
    pub per_second: f64,
    /// At once.
    pub burst: f64,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: Duration,
}
impl Bucket {
    fn full(rate: Rate, now: Duration) -> Bucket {
        Bucket { left: rate.burst, at: now }
    }
    fn fill(&mut self, rate: Rate, now: Duration) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.left = (self.left + passed * rate.per_second).min(rate.burst);
        self.at = now;
    }
    /// Whether so much may be taken. What is more than there is at once may be taken when nothing was for a while: it would never come in
    /// otherwise.
    fn has(&self, bytes: f64, rate: Rate) -> bool {
        bytes <= self.left || self.left >= rate.burst
    }
}

/// What was taken lately.
#[derive(Default)]
pub(super) struct Rates(Mutex<State>);
#[derive(Default)]
struct State {
    all: Option<Bucket>,
    streams: HashMap<u64, Bucket>,
}

/// What is too fast.
pub(super) enum TooFast<'a> {
    /// All senders together.
    All { lines: usize, bytes: usize },
    /// One stream.
    Stream { labels: &'a Labels, bytes: usize },
}

fn size(stream: &StreamEntries) -> usize {
    stream.entries.iter().map(|entry| entry.line.len() + entry.metadata.packed().len()).sum()
}

impl Rates {
    /// Takes a batch into account, unless it is too much.
    pub(super) fn take<'a>(&self, streams: &'a [StreamEntries], all: Option<Rate>, each: Option<Rate>, now: Duration) -> Result<(), TooFast<'a>> {
        if all.is_none() && each.is_none() {
            return Ok(());
        }
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: usize = streams.iter().map(size).sum();
        if let Some(rate) = all {
            let bucket = state.all.get_or_insert(Bucket::full(rate, now));
            bucket.fill(rate, now);
            if !bucket.has(bytes as f64, rate) {
                let lines = streams.iter().map(|stream| stream.entries.len()).sum();
                return Err(TooFast::All { lines, bytes });
            }
        }
        if let Some(rate) = each {
            state.make_room(streams.len(), rate, now);
            for stream in streams {
                let bucket = state.streams.entry(stream.labels.hash_value()).or_insert(Bucket::full(rate, now));
                bucket.fill(rate, now);
                let bytes = size(stream);
                if !bucket.has(bytes as f64, rate) {
                    return Err(TooFast::Stream { labels: &stream.labels, bytes });
                }
            }
            for stream in streams {
                if let Some(bucket) = state.streams.get_mut(&stream.labels.hash_value()) {
                    bucket.left -= size(stream) as f64;
                }
            }
        }
        if let Some(bucket) = state.all.as_mut().filter(|_| all.is_some()) {
            bucket.left -= bytes as f64;
        }
        Ok(())
    }
}

impl State {
    fn make_room(&mut self, wanted: usize, rate: Rate, now: Duration) {
        if self.streams.len() + wanted <= STREAMS_MAX {
            return;
        }
        self.streams.retain(|_, bucket| {
            bucket.fill(rate, now);
            bucket.left < rate.burst
        });
        if self.streams.len() + wanted > STREAMS_MAX {
            self.streams.clear();
        }
    }
}
