//! Reading entries of a signal back after a start. Frames that segments have already are read for what they say about streams and about
//! entries that may come again.

use super::SharedLogs;
use crate::logs::head::seal;
use crate::logs::piece::{self, Defined, Piece, entry_hash};
use crate::logs::recent::Recent;
use crate::logs::{PerSignal, Signal};
use crate::options::Options;

/// Places of the log: everything in frames before is in segments.
pub(in crate::engine) type Before = PerSignal<(u64, u64)>;
/// From a file of the log on: the places before which segments have its entries.
pub(in crate::engine) type Mark = (u64, Before);

/// Puts frames of the log back into the heads.
pub(in crate::engine) struct RestoreEntries<'a> {
    entries: &'a mut PerSignal<SharedLogs>,
    recent: &'a mut PerSignal<Recent>,
    options: &'a Options,
    before: Before,
    /// The same for files from a number on, where it is not the same for all; ascending.
    marks: Vec<Mark>,
    /// Nothing of these is to be read but what is known when it comes again.
    skipped: PerSignal<bool>,
    defined: PerSignal<Defined>,
    pub(in crate::engine) counts: PerSignal<u64>,
    pub(in crate::engine) orphans: u64,
}

impl<'a> RestoreEntries<'a> {
    pub(in crate::engine) fn new(
        entries: &'a mut PerSignal<SharedLogs>,
        recent: &'a mut PerSignal<Recent>,
        options: &'a Options,
        before: Before,
    ) -> RestoreEntries<'a> {
        let (defined, counts) = (PerSignal::from_fn(|_| Defined::new()), PerSignal::default());
        RestoreEntries { entries, recent, options, before, marks: Vec::new(), skipped: PerSignal::default(), defined, counts, orphans: 0 }
    }

    /// Says from which file on everything before other places is in segments.
    pub(in crate::engine) fn mark(&mut self, marks: Vec<Mark>) {
        self.marks = marks;
    }
    fn is_in_segments(&self, signal: Signal, at: (u64, u64)) -> bool {
        let mark = self.marks.iter().rev().find(|(first, _)| *first <= at.0);
        at < mark.map_or(self.before, |(_, before)| *before)[signal]
    }

    /// Says which signals' entries are in segments altogether.
    pub(in crate::engine) fn skip(&mut self, skipped: PerSignal<bool>) {
        self.skipped = skipped;
    }

    /// Stream numbers mean something else from now on.
    pub(in crate::engine) fn begin_epoch(&mut self) {
        self.defined.iter_mut().for_each(|(_, defined)| defined.clear());
    }

    /// Takes a frame that stands at a place; returns whether it could be read.
    pub(in crate::engine) fn frame(&mut self, signal: Signal, at: (u64, u64), payload: &[u8]) -> bool {
        let Some(record) = piece::decode(payload, &mut self.defined[signal]) else { return false };
        let is_in_segments = self.skipped[signal] || self.is_in_segments(signal, at);
        let (head, recent, options) = (&mut self.entries[signal].head, &mut self.recent[signal], self.options.entries(signal));
        record.moved.iter().for_each(|name| head.note_moved(name));
        record.hashes.iter().for_each(|hash| {
            recent.note(*hash);
        });
        note(recent, &record.piece);
        self.orphans += record.orphans;
        if is_in_segments {
            return true;
        }
        self.counts[signal] += record.piece.len() as u64;
        head.push(record.piece, options.unit_bytes);
        while let Some((number, pieces)) = head.to_seal(u64::MAX) {
            match seal(&pieces, options.block_bytes, signal.indexed()) {
                Ok(blocks) => head.sealed(number, blocks.into()),
                Err(error) => {
                    tracing::error!(%error, "cannot bring {} into blocks; they stay as they came", signal.entries());
                    break;
                }
            }
        }
        true
    }
}

fn note(recent: &mut Recent, piece: &Piece) {
    for (stream, row) in piece.rows() {
        if let Some(labels) = piece.streams.get(stream as usize) {
            recent.note(entry_hash(labels, row.time, row.line, row.metadata));
        }
    }
}
