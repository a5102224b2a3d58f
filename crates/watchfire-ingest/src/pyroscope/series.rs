//! Profiles of a request on their way to the gate: gathered by series, handed over in batches, counted.

use watchfire_model::batch::{Batch, Origin};
use watchfire_model::labels::Labels;
use watchfire_model::logs::{Nanos, StreamEntries};
use watchfire_model::profiles::{Frames, NewProfile, StackTree, TooLarge};
use watchfire_model::write::{Reason, Sink, WriteError, Written};

use super::{DecodeError, Dropped, PushError, Received};
use crate::gate::Gate;

/// A batch goes to the gate when its profiles have so many bytes.
const BATCH_BYTES: usize = 8 << 20;

/// Why a profile is not read to its end.
pub(super) enum Stop {
    /// The request is nothing that can be read.
    Malformed(DecodeError),
    /// This one profile is too large.
    TooLarge(TooLarge),
}
impl From<TooLarge> for Stop {
    fn from(error: TooLarge) -> Stop {
        Stop::TooLarge(error)
    }
}
impl From<DecodeError> for Stop {
    fn from(error: DecodeError) -> Stop {
        Stop::Malformed(error)
    }
}

/// The samples of a profile, and those that are in none.
pub(super) struct Counted<'a> {
    samples: &'a mut u64,
    dropped: &'a Dropped,
}
impl Counted<'_> {
    /// Counts a sample of a stack with a value.
    pub(super) fn sample(&mut self, node: u32, value: i64) {
        *self.samples += 1;
        if node == StackTree::ROOT {
            self.dropped.unknown.inc();
        } else if value < 0 {
            self.dropped.negative.inc();
        }
    }
}

/// The profiles of one request.
pub(super) struct Gathering<'g> {
    gate: &'g Gate,
    batch: Batch,
    bytes: usize,
    now: Nanos,
    samples: u64,
    dropped: Dropped,
    written: Written,
    refused: Written,
}

impl<'g> Gathering<'g> {
    pub(super) fn new(gate: &'g Gate, origin: Origin, now: Nanos, dropped: Dropped) -> Gathering<'g> {
        Gathering { gate, batch: Batch::new(origin), bytes: 0, now, samples: 0, dropped, written: Written::default(), refused: Written::default() }
    }
    /// The present.
    pub(super) fn now(&self) -> Nanos {
        self.now
    }
    /// How many samples were read.
    pub(super) fn samples(&self) -> u64 {
        self.samples
    }
    /// Where samples are counted.
    pub(super) fn counted(&mut self) -> Counted<'_> {
        Counted { samples: &mut self.samples, dropped: &self.dropped }
    }

    /// Reads a profile of one series.
    pub(super) fn series<'f>(
        &mut self,
        labels: Labels,
        new: &NewProfile<'_>,
        fill: impl FnOnce(&mut Frames<'f>, &mut StackTree, &mut Counted<'_>) -> Result<(), Stop>,
    ) -> Result<(), PushError> {
        let (mut frames, mut tree) = (Frames::default(), StackTree::default());
        match fill(&mut frames, &mut tree, &mut self.counted()) {
            Ok(()) => self.add(labels, new, &frames, &tree),
            Err(Stop::Malformed(error)) => Err(error.into()),
            Err(Stop::TooLarge(error)) => {
                self.refuse(1, &error);
                Ok(())
            }
        }
    }

    /// Adds a profile of a series; one without a value is none.
    pub(super) fn add(&mut self, labels: Labels, new: &NewProfile<'_>, frames: &Frames<'_>, tree: &StackTree) -> Result<(), PushError> {
        match new.entry(frames, tree) {
            Err(error) => self.refuse(1, &error),
            Ok(None) => {}
            Ok(Some(entry)) => {
                self.bytes += entry.line.len() + entry.metadata.packed().len() + labels.packed().len();
                self.batch.profiles.push(StreamEntries { labels, entries: vec![entry] });
                if self.bytes >= BATCH_BYTES {
                    self.flush()?;
                }
            }
        }
        Ok(())
    }

    /// Counts profiles that are refused before they are one.
    pub(super) fn refuse(&mut self, profiles: u64, error: &TooLarge) {
        self.refused.profiles.reject(Reason::SampleLimit, profiles);
        self.refused.example.get_or_insert_with(|| format!("{}: {error}", Reason::SampleLimit));
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        if self.batch.profiles.is_empty() {
            return Ok(());
        }
        let next = Batch::new(self.batch.origin.clone());
        let batch = std::mem::replace(&mut self.batch, next);
        self.bytes = 0;
        self.written.add(self.gate.write(batch)?);
        Ok(())
    }

    /// Hands the rest over. What is refused counts once it is certain that the request will not come again.
    pub(super) fn finish(mut self) -> Result<Received, WriteError> {
        self.flush()?;
        self.gate.book_refused(&self.batch.origin, &self.refused);
        self.written.add(self.refused);
        Ok(Received { profiles: self.written.profiles, example: self.written.example })
    }
}
