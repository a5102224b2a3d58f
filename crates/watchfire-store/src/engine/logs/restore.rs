//! Reading log entries back after a start. Frames that segments have already are read for what they say about streams and about
//! entries that may come again.

use crate::logs::head::{LogHead, seal};
use crate::logs::piece::{self, Defined, Piece, entry_hash};
use crate::logs::recent::Recent;
use crate::options::LogOptions;

/// From a file of the log on: the place before which segments have its entries.
pub(in crate::engine) type Mark = (u64, (u64, u64));

/// Puts frames of the log back into the head.
pub(in crate::engine) struct RestoreLogs<'a> {
    head: &'a mut LogHead,
    recent: &'a mut Recent,
    options: &'a LogOptions,
    /// Everything in frames before is in segments.
    before: (u64, u64),
    /// The same for files from a number on, where it is not the same for all; ascending.
    marks: Vec<Mark>,
    defined: Defined,
    pub(in crate::engine) entries: u64,
    pub(in crate::engine) orphans: u64,
}

impl<'a> RestoreLogs<'a> {
    pub(in crate::engine) fn new(head: &'a mut LogHead, recent: &'a mut Recent, options: &'a LogOptions, before: (u64, u64)) -> RestoreLogs<'a> {
        RestoreLogs { head, recent, options, before, marks: Vec::new(), defined: Defined::new(), entries: 0, orphans: 0 }
    }

    /// Says from which file on everything before another place is in segments.
    pub(in crate::engine) fn mark(&mut self, marks: Vec<Mark>) {
        self.marks = marks;
    }
    fn is_in_segments(&self, at: (u64, u64)) -> bool {
        let mark = self.marks.iter().rev().find(|(first, _)| *first <= at.0);
        at < mark.map_or(self.before, |(_, before)| *before)
    }

    /// Stream numbers mean something else from now on.
    pub(in crate::engine) fn begin_epoch(&mut self) {
        self.defined.clear();
    }

    /// Takes a frame that stands at a place; returns whether it could be read.
    pub(in crate::engine) fn frame(&mut self, at: (u64, u64), payload: &[u8]) -> bool {
        let Some(record) = piece::decode(payload, &mut self.defined) else { return false };
        record.moved.iter().for_each(|name| self.head.note_moved(name));
        record.hashes.iter().for_each(|hash| {
            self.recent.note(*hash);
        });
        note(self.recent, &record.piece);
        self.orphans += record.orphans;
        if self.is_in_segments(at) {
            return true;
        }
        self.entries += record.piece.len() as u64;
        self.head.push(record.piece, self.options.unit_bytes);
        while let Some((number, pieces)) = self.head.to_seal(u64::MAX) {
            match seal(&pieces, self.options.block_bytes) {
                Ok(blocks) => self.head.sealed(number, blocks.into()),
                Err(error) => {
                    tracing::error!(%error, "cannot bring log entries into blocks; they stay as they came");
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
