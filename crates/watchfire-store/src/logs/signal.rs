//! What is kept as entries of streams: each signal has its own directory, head, segments and limits, and shares the log. It does not say
//! what stands in entries: that is the signal's own.

use std::ops::{Index, IndexMut};

use watchfire_model::batch::Batch;
use watchfire_model::logs::StreamEntries;
use watchfire_model::write::{LogsWritten, Written};

use crate::wal::{SIGNAL_LOGS, SIGNAL_PROFILES, SIGNAL_SPANS};

/// A kind of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Lines of logs.
    Logs,
    /// Spans of traces.
    Spans,
    /// Profiles.
    Profiles,
}

impl Signal {
    /// All of them.
    pub(crate) const ALL: [Signal; 3] = [Signal::Logs, Signal::Spans, Signal::Profiles];

    /// The directory of its segments, and its name in our own metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Signal::Logs => "logs",
            Signal::Spans => "traces",
            Signal::Profiles => "profiles",
        }
    }
    /// What people call its entries.
    pub(crate) fn entries(self) -> &'static str {
        match self {
            Signal::Logs => "log entries",
            Signal::Spans => "spans",
            Signal::Profiles => "profiles",
        }
    }
    /// The name of structured metadata whose values are indexed in each segment: what entries are asked for most.
    pub(crate) fn indexed(self) -> Option<&'static str> {
        match self {
            Signal::Spans => Some(watchfire_model::spans::key::TRACE),
            Signal::Logs | Signal::Profiles => None,
        }
    }
    /// Its number in the write-ahead log.
    pub(crate) fn number(self) -> u8 {
        match self {
            Signal::Logs => SIGNAL_LOGS,
            Signal::Spans => SIGNAL_SPANS,
            Signal::Profiles => SIGNAL_PROFILES,
        }
    }
    /// Its entries in a batch.
    pub(crate) fn of(self, batch: &Batch) -> &[StreamEntries] {
        match self {
            Signal::Logs => &batch.logs,
            Signal::Spans => &batch.spans,
            Signal::Profiles => &batch.profiles,
        }
    }
    /// What became of its entries.
    pub(crate) fn outcome(self, written: &mut Written) -> &mut LogsWritten {
        match self {
            Signal::Logs => &mut written.logs,
            Signal::Spans => &mut written.spans,
            Signal::Profiles => &mut written.profiles,
        }
    }
    /// The signal with a number in the write-ahead log.
    pub(crate) fn from_number(number: u8) -> Option<Signal> {
        Signal::ALL.into_iter().find(|signal| signal.number() == number)
    }
}

/// One of a thing for each signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PerSignal<T>([T; Signal::ALL.len()]);

impl<T> PerSignal<T> {
    /// Makes each.
    pub(crate) fn from_fn(make: impl FnMut(Signal) -> T) -> PerSignal<T> {
        PerSignal(Signal::ALL.map(make))
    }
    /// Makes each, if all can be made.
    pub(crate) fn try_from_fn<E>(mut make: impl FnMut(Signal) -> Result<T, E>) -> Result<PerSignal<T>, E> {
        Ok(PerSignal([make(Signal::Logs)?, make(Signal::Spans)?, make(Signal::Profiles)?]))
    }
    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }
    /// All of them, to be changed.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (Signal, &mut T)> {
        Signal::ALL.into_iter().zip(&mut self.0)
    }
    /// Each by itself.
    pub(crate) fn into_each(self) -> impl Iterator<Item = (Signal, T)> {
        Signal::ALL.into_iter().zip(self.0)
    }
    /// Makes another of each, if all can be made.
    pub(crate) fn try_map<U, E>(self, mut make: impl FnMut(Signal, T) -> Result<U, E>) -> Result<PerSignal<U>, E> {
        let PerSignal([logs, spans, profiles]) = self;
        Ok(PerSignal([make(Signal::Logs, logs)?, make(Signal::Spans, spans)?, make(Signal::Profiles, profiles)?]))
    }
    /// Makes another of each.
    pub(crate) fn map<U>(self, mut make: impl FnMut(Signal, T) -> U) -> PerSignal<U> {
        let PerSignal([logs, spans, profiles]) = self;
        PerSignal([make(Signal::Logs, logs), make(Signal::Spans, spans), make(Signal::Profiles, profiles)])
    }
}
impl<T> Index<Signal> for PerSignal<T> {
    type Output = T;
    fn index(&self, signal: Signal) -> &T {
        &self.0[signal as usize]
    }
}
impl<T> IndexMut<Signal> for PerSignal<T> {
    fn index_mut(&mut self, signal: Signal) -> &mut T {
        &mut self.0[signal as usize]
    }
}
