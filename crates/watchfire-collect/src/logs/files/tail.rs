//! One file that is being read: its bytes, its position, its stages. What is read when is decided by the round.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use watchfire_model::logs::Nanos;

use super::super::stages::{Pipeline, Surroundings as Around};
use super::super::{Delivery, Entry, Figures};
use super::lines::split;
use super::position::{Id, Position, Print, SPANS_MAX, Span};
use super::reading::Reading;
use super::{CHUNK_LINES, Group, Source};

/// The times of lines that tell none themselves. No time is given out twice.
#[derive(Debug, Default)]
pub(super) struct Stamps {
    last: i64,
}
impl Stamps {
    /// The first of so many nanoseconds, not before now.
    fn give_out(&mut self, now_ms: i64, count: u64) -> i64 {
        let base = now_ms.saturating_mul(1_000_000).max(self.last.saturating_add(1));
        self.last = base.saturating_add_unsigned(count);
        base
    }
}

/// A place up to which the file was read, with what tells the file there.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Next {
    offset: u64,
    skipping: bool,
    prints: (Print, Print),
}

/// What a file is that was taken for a copy of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Copied {
    /// The same, up to this place.
    Up(u64),
    /// That cannot be told now.
    Unclear,
    /// Another file.
    Differs,
}

/// A file that is being read.
pub(super) struct Tail {
    pub(super) id: Id,
    pub(super) source: usize,
    pub(super) group: usize,
    pub(super) reading: Reading,
    pub(super) position: Position,
    /// Everything before this went through the stages.
    pub(super) read_to: u64,
    pub(super) skipping: bool,
    pub(super) pipeline: Pipeline,
    /// The file that this is a copy of, while that one is read itself.
    pub(super) copy_of: Option<Id>,
    /// Whether it is still under its name, as far as the last search saw.
    pub(super) listed: bool,
    /// Since when it has been gone.
    pub(super) gone_since: Option<Duration>,
    /// Not before this is it looked at again.
    pub(super) rests_until: Duration,
    /// Whether the position must be kept.
    pub(super) dirty: bool,
    /// Whether nothing can follow.
    pub(super) ended: bool,
    /// What tells the file at the place up to which it was read.
    prints: (Print, Print),
    /// The position once the sink has taken everything.
    next: Next,
    /// The position that may be kept: everything before is on the medium.
    safe: Next,
    /// Whether the file was found emptied, and what was held of it is on its way.
    emptied: bool,
    /// Whether times were given out that must be kept before their lines are handed over.
    pub(super) stamped: bool,
    /// When it was last written to, as far as the last look saw.
    changed: Option<std::time::SystemTime>,
    /// Whether something was read since the sink took everything.
    pub(super) touched: bool,
    labels: BTreeMap<String, String>,
}

/// What the first lines of a batch need.
pub(super) struct Hands<'a> {
    pub(super) source: &'a Source,
    pub(super) stamps: &'a mut Stamps,
    pub(super) delivery: &'a mut Delivery,
    pub(super) figures: &'a Figures,
    pub(super) around: &'a Around<'a>,
}

/// What reading a portion came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// Bytes that were used.
    pub(super) bytes: u64,
    /// Whether there is more to read at once.
    pub(super) more: bool,
}

/// As much of some bytes as has so many lines.
fn first_lines(bytes: &[u8], most: usize) -> &[u8] {
    let end = memchr::memchr_iter(b'\n', bytes).nth(most.saturating_sub(1));
    end.and_then(|end| bytes.get(..=end)).unwrap_or(bytes)
}

impl Tail {
    pub(super) fn new(id: Id, at: (usize, usize), reading: Reading, position: Position, source: &Source, group: &Group) -> Tail {
        let mut labels = group.labels_of(&position.shown).unwrap_or_default();
        let prints = (position.head, position.before);
        let safe = Next { offset: position.offset, skipping: position.skipping, prints };
        if let Some(name) = &source.path_label {
            labels.insert(name.clone(), position.shown.to_string_lossy().into_owned());
        }
        Tail {
            id,
            source: at.0,
            group: at.1,
            reading,
            read_to: position.offset,
            skipping: position.skipping,
            position,
            pipeline: Pipeline::new(&source.stages),
            copy_of: None,
            listed: true,
            gone_since: None,
            rests_until: Duration::ZERO,
            dirty: false,
            ended: false,
            prints,
            next: Next::default(),
            safe,
            emptied: false,
            stamped: false,
            changed: None,
            touched: false,
            labels,
        }
    }

    /// The size of a plain file now; nothing where that does not matter.
    pub(super) fn size(&self) -> Option<u64> {
        self.about().map(|about| about.len())
    }
    fn about(&self) -> Option<std::fs::Metadata> {
        if self.reading.is_compressed() { None } else { self.reading.file().metadata().ok() }
    }

    /// Whether the file is another one than it was, under the same name and inode.
    pub(super) fn was_emptied(&mut self, size: u64) -> bool {
        let changed = self.about().and_then(|about| about.modified().ok());
        let fresh = std::mem::replace(&mut self.changed, changed) != changed || size != self.read_to;
        self.emptied |= size < self.read_to || (fresh && !(self.position.is_of(&mut self.reading) && self.position.before_matches(&mut self.reading)));
        self.emptied
    }

    /// Up to where another file, which was taken for a copy of this one, has the same bytes as far as this one was read.
    pub(super) fn is_still_in(&mut self, copy: &mut Tail) -> Copied {
        // In this order: whoever copies writes less than there is.
        let (copied, size) = (copy.size(), self.size());
        if size.is_some_and(|size| size < self.read_to) {
            // It was emptied meanwhile; what becomes of its copies is seen when it is looked at.
            return Copied::Unclear;
        }
        let place = self.read_to.min(copied.unwrap_or(u64::MAX));
        if place != copy.read_to {
            let prints = if place == self.read_to { self.prints } else { self.position.prints_at(place, &mut self.reading) };
            let here = Position { offset: place, head: prints.0, before: prints.1, ..Position::default() };
            if !here.goes_on_in(&mut copy.reading) {
                return if self.is_unchanged() { Copied::Differs } else { Copied::Unclear };
            }
        }
        // Bytes that the original does not have are none of it.
        let longer = size.zip(copied).is_some_and(|(size, copied)| copied > size) && self.is_unchanged();
        if longer { Copied::Differs } else { Copied::Up(place) }
    }

    /// Whether the file still has what was read of it.
    fn is_unchanged(&mut self) -> bool {
        let here = Position { offset: self.read_to, head: self.prints.0, before: self.prints.1, ..Position::default() };
        self.size().is_none_or(|size| size >= self.read_to) && here.is_of(&mut self.reading) && here.before_matches(&mut self.reading)
    }

    /// It is no copy of anything after all: what follows was read nowhere else.
    pub(super) fn go_alone(&mut self, path_label: Option<&str>) {
        self.copy_of = None;
        self.position.shown.clone_from(&self.position.path);
        self.position.spans.clear();
        self.dirty = true;
        if let Some(name) = path_label {
            self.labels.insert(name.to_owned(), self.position.shown.to_string_lossy().into_owned());
        }
    }

    /// Begins with the first byte again.
    pub(super) fn begin_anew(&mut self) {
        self.position = Position { path: self.position.path.clone(), shown: self.position.shown.clone(), ..Position::default() };
        (self.read_to, self.skipping, self.dirty, self.ended, self.touched, self.emptied) = (0, false, true, false, false, false);
        (self.prints, self.safe) = ((Print::default(), Print::default()), Next::default());
    }

    /// What stands before a place was read elsewhere.
    pub(super) fn start_at(&mut self, place: u64) {
        if self.read_to != place {
            (self.read_to, self.skipping, self.dirty) = (place, false, true);
            (self.position.offset, self.position.skipping) = (place, false);
            self.position.take_prints(&mut self.reading);
            self.prints = (self.position.head, self.position.before);
            self.is_safe();
        }
    }

    /// Reads some lines. `last` says that the writer is gone, so that a line without an end is complete.
    pub(super) fn read(&mut self, buffer: &mut [u8], last: bool, hands: &mut Hands<'_>) -> std::io::Result<Progress> {
        let portion = self.reading.portion(self.read_to, buffer)?;
        let all = buffer.get(..portion.length).unwrap_or(&[]);
        let bytes = first_lines(all, CHUNK_LINES);
        let whole = bytes.len() == all.len();
        let last = whole && (portion.last || (last && portion.end));
        let mut base = None;
        let from = self.read_to;
        let free = self.position.free_from(from);
        let now_ms = hands.around.now.millis();
        let line_max = hands.source.line_bytes_max;
        let (mut out, mut any_given) = (Vec::new(), false);
        let result = split(bytes, self.skipping, whole && portion.length == buffer.len(), last, line_max, &mut |at, line, shortened| {
            let place = from + at as u64;
            hands.figures.lines.inc();
            if shortened {
                hands.figures.shortened.inc();
            }
            if line.is_empty() && hands.source.skip_empty {
                return;
            }
            let time = self.position.time_at(place).unwrap_or_else(|| {
                let base = base.get_or_insert_with(|| hands.stamps.give_out(now_ms, bytes.len() as u64));
                base.saturating_add_unsigned(place.saturating_sub(free))
            });
            let entry = Entry::new(Nanos(time), hands.source.encoding.text(line, hands.figures), &self.labels, place);
            self.pipeline.process(entry, hands.around, &mut out);
            for entry in out.drain(..) {
                // Lines that tell their own times need none of ours.
                any_given |= base.is_some_and(|base| (base..=base.saturating_add(bytes.len() as i64)).contains(&entry.time.0));
                hands.delivery.add_of(self.source, entry);
            }
        });
        if let Some(base) = base {
            let to = from + result.used as u64;
            self.position.give_out(Span { from: free, to, base }, self.safe.offset);
            self.stamped |= any_given || self.pipeline.held().is_some();
        }
        hands.figures.bytes.add(result.used as u64);
        self.read_to += result.used as u64;
        self.skipping = result.skipping;
        self.touched |= result.used > 0 || base.is_some();
        if result.used > 0 {
            // Now, and not when the sink has taken the lines: the file may be another one by then.
            self.prints = self.position.prints_at(self.read_to, &mut self.reading);
        }
        self.ended = portion.last && result.used == portion.length;
        Ok(Progress { bytes: result.used as u64, more: !(whole && portion.end) && (result.used > 0 || portion.length == 0) })
    }

    /// Lets stages give out what they hold: all of it, or what has waited long enough.
    pub(super) fn flush(&mut self, all: bool, hands: &mut Hands<'_>) -> bool {
        let mut out = Vec::new();
        self.pipeline.flush(all, hands.around, &mut out);
        let any = !out.is_empty();
        self.touched |= any;
        if self.touched {
            self.next = match self.pipeline.held() {
                Some(held) if held == self.position.offset => {
                    Next { offset: held, skipping: self.position.skipping, prints: (self.position.head, self.position.before) }
                }
                Some(held) => Next { offset: held, skipping: false, prints: self.position.prints_at(held, &mut self.reading) },
                None => Next { offset: self.read_to, skipping: self.skipping, prints: self.prints },
            };
        }
        out.into_iter().for_each(|entry| hands.delivery.add_of(self.source, entry));
        any
    }

    /// Everything that the sink took is on the medium: the position may be kept.
    pub(super) fn is_safe(&mut self) {
        let safe = Next { offset: self.position.offset, skipping: self.position.skipping, prints: (self.position.head, self.position.before) };
        self.dirty |= safe != self.safe;
        self.safe = safe;
    }
    /// The position as it may be kept.
    pub(super) fn safe_position(&self) -> Position {
        let Next { offset, skipping, prints: (head, before) } = self.safe;
        // The first bytes tell the file though nothing of it may be behind the position yet.
        let head = if self.prints.0.length > head.length { self.prints.0 } else { head };
        Position { offset, skipping, head, before, ..self.position.clone() }
    }
    /// Whether hardly more times can be noted before the position is safe.
    pub(super) fn is_full(&self) -> bool {
        self.position.spans.len() >= SPANS_MAX - 4
    }

    /// Moves the position to where everything before was taken by the sink.
    pub(super) fn taken(&mut self) {
        if !self.touched {
            return;
        }
        let Next { offset, skipping, prints } = self.next;
        (self.position.offset, self.position.skipping) = (offset, skipping);
        (self.position.head, self.position.before) = prints;
        self.touched = false;
    }

    /// The path where it is at the moment.
    pub(super) fn path(&self) -> &Path {
        &self.position.path
    }
    pub(super) fn moved_to(&mut self, path: PathBuf) {
        if self.position.path != path {
            self.position.path = path;
            self.dirty = true;
        }
    }
}
