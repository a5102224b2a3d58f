//! The bounded buffer of observations: a sum per counter, the newest value per gauge, a list per histogram. It sends nothing.

use std::collections::HashMap;

/// The most series of counters and gauges that are held.
pub const SERIES_MAX: usize = 2_000;
/// The most observations of histograms that are held.
pub const OBSERVATIONS_MAX: usize = 10_000;
/// The most items of one message; the server takes twice as many.
pub(super) const MESSAGE_MAX: usize = 5_000;

/// A series as callers name it; a label without a value is no label.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) labels: Vec<(&'static str, String)>,
}
impl Key {
    fn new(name: &'static str, labels: &[(&'static str, &str)]) -> Key {
        Key { name, labels: labels.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (*name, (*value).to_owned())).collect() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Level {
    Counter(f64),
    Gauge(f64),
}

/// What is sent at once.
#[derive(Debug, Default)]
pub(super) struct Message {
    levels: Vec<(Key, Level)>,
    observations: Vec<(Key, f64)>,
}
impl Message {
    pub(super) fn len(&self) -> usize {
        self.levels.len() + self.observations.len()
    }
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The series with the value to record for each.
    pub(super) fn items(&self) -> impl Iterator<Item = (&Key, f64)> {
        let levels = self.levels.iter().map(|(key, level)| match level {
            Level::Counter(value) | Level::Gauge(value) => (key, *value),
        });
        levels.chain(self.observations.iter().map(|(key, value)| (key, *value)))
    }
}

#[derive(Default)]
pub(super) struct Buffer {
    levels: HashMap<Key, Level>,
    observations: Vec<(Key, f64)>,
}
impl Buffer {
    pub(super) fn is_empty(&self) -> bool {
        self.levels.is_empty() && self.observations.is_empty()
    }
    /// Adds to a counter. This and the following return whether there was room.
    pub(super) fn add(&mut self, name: &'static str, labels: &[(&'static str, &str)], value: f64) -> bool {
        self.put(Key::new(name, labels), Level::Counter(value))
    }
    pub(super) fn set(&mut self, name: &'static str, labels: &[(&'static str, &str)], value: f64) -> bool {
        self.put(Key::new(name, labels), Level::Gauge(value))
    }
    pub(super) fn observe(&mut self, name: &'static str, labels: &[(&'static str, &str)], value: f64) -> bool {
        let room = self.observations.len() < OBSERVATIONS_MAX;
        if room {
            self.observations.push((Key::new(name, labels), value));
        }
        room
    }
    fn put(&mut self, key: Key, level: Level) -> bool {
        let room = self.levels.len() < SERIES_MAX;
        match (self.levels.get_mut(&key), level) {
            (Some(Level::Counter(sum)), Level::Counter(value)) => *sum += value,
            (Some(held), level) => *held = level,
            (None, level) if room => {
                self.levels.insert(key, level);
            }
            (None, _) => return false,
        }
        true
    }
    /// The next message; empty when there is nothing.
    pub(super) fn take(&mut self) -> Message {
        let first: Vec<Key> = self.levels.keys().take(MESSAGE_MAX).cloned().collect();
        let levels: Vec<(Key, Level)> = first.into_iter().filter_map(|key| self.levels.remove_entry(&key)).collect();
        let room = (MESSAGE_MAX - levels.len()).min(self.observations.len());
        let observations = self.observations.drain(..room).collect();
        Message { levels, observations }
    }
    /// Takes a message back that could not be sent; returns how many of its items had no room.
    pub(super) fn put_back(&mut self, message: Message) -> u64 {
        let mut lost = 0;
        for (key, level) in message.levels {
            match (level, self.levels.get(&key)) {
                // What was set since is newer.
                (Level::Gauge(_), Some(_)) => {}
                (level, _) => lost += u64::from(!self.put(key, level)),
            }
        }
        let room = OBSERVATIONS_MAX.saturating_sub(self.observations.len());
        lost += message.observations.len().saturating_sub(room) as u64;
        let newer = std::mem::take(&mut self.observations);
        self.observations = message.observations.into_iter().take(room).chain(newer).collect();
        lost
    }
}
