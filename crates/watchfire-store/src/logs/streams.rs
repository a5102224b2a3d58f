//! The streams that are written to, their numbers in the log, and which of their labels are none: names of high cardinality become
//! structured metadata of the entries, so that an id in a label does not make a stream for every line.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use watchfire_model::labels::{Labels, LabelsBuilder};

use super::tokens::hash;

/// So many names of labels are watched; further ones are moved at once.
const NAMES_MAX: usize = 1_000;
/// Within this time values are counted.
const WATCH_MS: i64 = 3_600_000;
/// What a stream costs beside its labels.
const STREAM_BYTES: usize = 64;

/// A stream as the log knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream {
    pub(crate) number: u64,
    /// The epoch of the log that has defined the number.
    pub(crate) defined_in: u64,
    /// The flush after which it was last written to.
    generation: u32,
}

/// All streams that are written to.
pub(crate) struct Streams {
    known: HashMap<Labels, Stream>,
    next: u64,
    generation: u32,
    bytes: usize,
    mover: Mover,
}

impl Streams {
    pub(crate) fn new(moved: &[String], values_max: usize) -> Streams {
        Streams { known: HashMap::new(), next: 0, generation: 0, bytes: 0, mover: Mover::new(moved, values_max) }
    }
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }
    /// Bytes of memory, about.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
    /// A stream, noted as in use.
    pub(crate) fn used(&mut self, labels: &Labels) -> Option<Stream> {
        let generation = self.generation;
        self.known.get_mut(labels).map(|stream| {
            stream.generation = generation;
            *stream
        })
    }
    /// Adds a stream that is not there yet; it is not defined in the log.
    pub(crate) fn add(&mut self, labels: Labels) -> Stream {
        let stream = Stream { number: self.next, defined_in: u64::MAX, generation: self.generation };
        self.next += 1;
        self.bytes += labels.memory() + STREAM_BYTES;
        self.known.insert(labels, stream);
        stream
    }
    /// Notes the epoch that has defined a stream.
    pub(crate) fn define(&mut self, labels: &Labels, epoch: u64) {
        if let Some(stream) = self.known.get_mut(labels) {
            stream.defined_in = epoch;
        }
    }
    /// Forgets a stream again that was never written.
    pub(crate) fn remove(&mut self, labels: &Labels) {
        if self.known.remove(labels).is_some() {
            self.bytes -= labels.memory() + STREAM_BYTES;
        }
    }
    /// Forgets the streams that were not written to since the flush before: their numbers are not given again.
    pub(crate) fn flushed(&mut self) {
        let generation = self.generation;
        self.known.retain(|labels, stream| {
            let keep = stream.generation == generation;
            if !keep {
                self.bytes -= labels.memory() + STREAM_BYTES;
            }
            keep
        });
        if self.known.capacity() > 4 * self.known.len() + 1024 {
            self.known.shrink_to_fit();
        }
        self.generation = self.generation.wrapping_add(1);
    }
    /// Takes the labels out that do not make streams. `None` when there are none.
    pub(crate) fn move_labels(&mut self, labels: &Labels, now: i64) -> Option<(Labels, Labels)> {
        // A stream that is known is one.
        if self.known.contains_key(labels) { None } else { self.mover.move_labels(labels, now) }
    }
}

/// Decides which names do not make streams.
struct Mover {
    names: HashSet<String>,
    /// Beginnings of names.
    beginnings: Vec<String>,
    /// Names that turned out to have too many values.
    learnt: HashSet<Arc<str>>,
    /// The values of each name in the present hour, by their hashes.
    seen: HashMap<Arc<str>, HashSet<u64>>,
    hour: i64,
    values_max: usize,
}

impl Mover {
    fn new(moved: &[String], values_max: usize) -> Mover {
        let (beginnings, names): (Vec<_>, Vec<_>) = moved.iter().cloned().partition(|name| name.ends_with('*'));
        Mover {
            names: names.into_iter().collect(),
            beginnings: beginnings.into_iter().map(|name| name.trim_end_matches('*').to_owned()).collect(),
            learnt: HashSet::new(),
            seen: HashMap::new(),
            hour: 0,
            values_max,
        }
    }

    fn moves(&self, name: &str) -> bool {
        self.names.contains(name) || self.learnt.contains(name) || self.beginnings.iter().any(|b| name.starts_with(b.as_str()))
    }

    fn move_labels(&mut self, labels: &Labels, now: i64) -> Option<(Labels, Labels)> {
        let hour = now.div_euclid(WATCH_MS);
        if hour != self.hour {
            self.hour = hour;
            self.seen.clear();
        }
        for (name, value) in labels {
            if !self.moves(name) {
                self.watch(name, value);
            }
        }
        if !labels.iter().any(|(name, _)| self.moves(name)) {
            return None;
        }
        let (mut kept, mut moved) = (LabelsBuilder::new(), LabelsBuilder::new());
        for (name, value) in labels {
            if self.moves(name) {
                moved.set(name, value)
            } else {
                kept.set(name, value)
            };
        }
        Some((kept.build(), moved.build()))
    }

    fn watch(&mut self, name: &str, value: &str) {
        let room = self.seen.len() < NAMES_MAX;
        if room && !self.seen.contains_key(name) {
            self.seen.insert(name.into(), HashSet::new());
        }
        let full = self.seen.get_mut(name).is_none_or(|values| {
            values.insert(hash(value.as_bytes()));
            values.len() > self.values_max
        });
        if full && self.learnt.len() < NAMES_MAX {
            tracing::warn!(
                label = name,
                values = self.values_max,
                "a label has more values in an hour than streams may come of; it becomes structured metadata"
            );
            self.seen.remove(name);
            self.learnt.insert(name.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use watchfire_model::labels;

    use super::*;

    #[test]
    fn names_of_high_cardinality_make_no_streams() {
        let mut streams = Streams::new(&["trace_id".into(), "duration*".into()], 5);
        let (kept, moved) = streams.move_labels(&labels!("app" => "a", "trace_id" => "1", "duration_ms" => "3"), 0).unwrap();
        assert_eq!((kept, moved), (labels!("app" => "a"), labels!("trace_id" => "1", "duration_ms" => "3")));
        for n in 0..5 {
            assert_eq!(streams.move_labels(&labels!("app" => "a", "pod" => n.to_string().as_str()), 0), None);
        }
        let (kept, moved) = streams.move_labels(&labels!("app" => "a", "pod" => "6"), 0).unwrap();
        assert_eq!((kept, moved), (labels!("app" => "a"), labels!("pod" => "6")), "learnt");
        for n in 0..20 {
            assert_eq!(streams.move_labels(&labels!("app" => n.to_string().as_str()), n * WATCH_MS), None, "each hour is counted alone");
        }
    }

    #[test]
    fn idle_streams_are_forgotten() {
        let mut streams = Streams::new(&[], 100);
        let (a, b) = (labels!("n" => "a"), labels!("n" => "b"));
        assert_eq!((streams.add(a.clone()).number, streams.add(b.clone()).number), (0, 1));
        streams.flushed();
        assert!(streams.used(&a).is_some());
        streams.flushed();
        assert!(streams.used(&b).is_none() && streams.used(&a).is_some());
        assert_eq!(streams.add(b.clone()).number, 2);
        streams.remove(&a);
        streams.remove(&b);
        assert_eq!((streams.len(), streams.bytes()), (0, 0));
    }
}
