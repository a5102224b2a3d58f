//! The rounds in which files are looked for and read. One round reads a portion of every file that has something new, hands the lines
//! over together, and keeps the positions. While the sink takes nothing, nothing more is read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use watchfire_model::batch::{Batch, Origin};
use watchfire_net::backoff::Backoff;

use super::super::collector::origin;
use super::super::stages::Surroundings as Around;
use super::super::{Delivery, Surroundings};
use super::find::successor;
use super::known::{self, Known};
use super::position::{self, Id, Position};
use super::reading::{Reading, is_foreign, is_gzip};
use super::tail::{Copied, Hands, Stamps, Tail};
use super::{CHUNK_BYTES, COMPRESSED_MAX, DELIVERY_BYTES_MAX, FILES_MAX, Glob, KIND, LINGER, SCAN_EVERY, Source};

/// The pause between two rounds, unless there is more to read at once. Each round that gives out times keeps them, which is a sync of
/// the state: no more than one in a second.
const PAUSE: Duration = Duration::from_secs(1);
/// How long lines may be with the sink before it is asked to put them on the medium, so that positions behind them can be kept; and how
/// many lines and bytes that may be, because the store knows only so many of the newest ones when they come again.
const SYNC_EVERY: Duration = Duration::from_secs(5);
const UNSYNCED_LINES_MAX: usize = 30_000;
const UNSYNCED_BYTES_MAX: usize = 16 << 20;
/// How long a file rests that could not be read.
const FAILURE_REST: Duration = Duration::from_secs(10);
/// How often positions of files that are gone are looked for.
const FORGET_EVERY: Duration = Duration::from_secs(3_600);
/// Pauses while the sink takes nothing.
const REFUSED: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// All files of all sources.
pub struct Files {
    parts: Surroundings,
    /// By source.
    origins: Vec<Origin>,
    sources: Vec<Source>,
    tails: BTreeMap<(usize, Id), Tail>,
    /// Files that are done with; their lines are on the way.
    closing: Vec<Tail>,
    /// Their positions, until they are kept.
    late: Vec<((usize, Id), Position)>,
    /// Positions of files that are not open.
    known: Known,
    stamps: Stamps,
    delivery: Delivery,
    /// What the sink did not take yet.
    waiting: Vec<Batch>,
    backoff: Backoff,
    buffer: Vec<u8>,
    next_scan: Duration,
    next_forget: Duration,
    scanned_before: bool,
    /// What the sink took since it was last asked to sync.
    unsynced: Unsynced,
}

/// Lines that the sink has and a power cut may take.
#[derive(Clone, Copy, Debug, Default)]
struct Unsynced {
    since: Option<Duration>,
    lines: usize,
    bytes: usize,
}

impl Files {
    /// Reads the positions of the sources. Nothing is opened yet.
    pub fn new(parts: Surroundings, sources: Vec<Source>) -> Files {
        let (now, monotonic) = (parts.clock.now().millis(), parts.clock.monotonic());
        let mut known = known::load(&*parts.state, &sources);
        known::forget(&*parts.state, &sources, &mut known, now, |_| false);
        Files {
            parts,
            origins: sources.iter().map(|source| Origin::new(&origin(KIND, &source.name))).collect(),
            sources,
            tails: BTreeMap::new(),
            closing: Vec::new(),
            late: Vec::new(),
            known,
            stamps: Stamps::default(),
            delivery: Delivery::default(),
            waiting: Vec::new(),
            backoff: Backoff::new(REFUSED.0, REFUSED.1, now.unsigned_abs()),
            buffer: Vec::new(),
            next_scan: Duration::ZERO,
            next_forget: monotonic.saturating_add(FORGET_EVERY),
            scanned_before: false,
            unsynced: Unsynced::default(),
        }
    }

    /// Does one round and tells how long to wait before the next. Blocks.
    pub fn round(&mut self) -> Duration {
        if !self.waiting.is_empty()
            && let Some(wait) = self.hand_over()
        {
            return wait;
        }
        if !self.closing.is_empty() && !self.settle() {
            return self.backoff.next_wait();
        }
        let now = self.parts.clock.monotonic();
        if now >= self.next_scan {
            self.scan();
            self.next_scan = now + SCAN_EVERY;
        }
        if now >= self.next_forget {
            let tails = &self.tails;
            known::forget(&*self.parts.state, &self.sources, &mut self.known, self.parts.clock.now().millis(), |at| tails.contains_key(at));
            self.next_forget = now + FORGET_EVERY;
        }
        self.buffer.resize(CHUNK_BYTES, 0);
        let (mut any, mut more) = (false, false);
        let keys: Vec<(usize, Id)> = self.tails.keys().copied().collect();
        for key in keys {
            let Some(mut tail) = self.tails.remove(&key) else { continue };
            let looked = self.look_at(&mut tail, now);
            any |= looked.any;
            more |= looked.more;
            if looked.ended {
                self.closing.push(tail);
            } else {
                self.tails.insert(key, tail);
            }
            if self.delivery.bytes() >= DELIVERY_BYTES_MAX
                && let Some(wait) = self.deliver()
            {
                return wait;
            }
        }
        if let Some(wait) = self.deliver() {
            return wait;
        }
        if !any {
            // Memory is for those who work.
            self.buffer = Vec::new();
        }
        self.parts.figures.files.set(self.tails.len() as f64);
        self.sync_if_due(now);
        if more { Duration::ZERO } else { PAUSE }
    }

    /// Keeps everything that can be kept, for who goes on after this.
    pub fn rest(&mut self) {
        if self.sync() {
            self.keep_positions();
        }
    }

    fn sync_if_due(&mut self, now: Duration) {
        let Unsynced { since, lines, bytes } = self.unsynced;
        let due = since.is_some_and(|since| now.saturating_sub(since) >= SYNC_EVERY) || lines >= UNSYNCED_LINES_MAX || bytes >= UNSYNCED_BYTES_MAX;
        if due || self.tails.values().any(Tail::is_full) {
            self.sync();
        }
    }

    /// Has everything that the sink took put on the medium; only then may positions behind it be kept. Whether that went well.
    fn sync(&mut self) -> bool {
        if let Err(error) = self.parts.sink.sync() {
            self.parts.figures.positions_failed.inc();
            tracing::warn!(%error, "log lines that were stored cannot be put on the medium; their positions are not kept");
            self.unsynced.since = Some(self.parts.clock.monotonic());
            return false;
        }
        self.unsynced = Unsynced::default();
        self.tails.values_mut().for_each(Tail::is_safe);
        true
    }

    /// Reads a portion of one file.
    fn look_at(&mut self, tail: &mut Tail, now: Duration) -> Looked {
        if now < tail.rests_until || self.follows_its_original(tail) {
            return Looked::default();
        }
        let size = tail.size();
        let emptied = size.is_some_and(|size| tail.was_emptied(size));
        let gone = is_gone(tail, now);
        let around = Around { now: self.parts.clock.now(), monotonic: now, figures: &self.parts.figures };
        let mut hands =
            Hands { source: &self.sources[tail.source], stamps: &mut self.stamps, delivery: &mut self.delivery, figures: &self.parts.figures, around: &around };
        if emptied {
            // What stages hold of the old content is handed over first; the position must not jump over it.
            if tail.flush(true, &mut hands) {
                return Looked { any: true, more: true, ended: false };
            }
            // What was read of it is nowhere else any more.
            if !self.sync() {
                return Looked::default();
            }
            self.emptied(tail);
            return Looked { any: true, more: true, ended: false };
        }
        if size.is_some_and(|size| size == tail.read_to) && !gone {
            return Looked { any: tail.flush(false, &mut hands), ..Looked::default() };
        }
        match tail.read(&mut self.buffer, gone, &mut hands) {
            Ok(progress) => {
                let rest = tail.pipeline.pause(&around);
                tail.rests_until = now + rest;
                if progress.bytes > 0 && !tail.listed {
                    tail.gone_since = Some(now);
                }
                let ended = tail.ended || (gone && !progress.more && progress.bytes == 0);
                let flushed = tail.flush(ended, &mut hands);
                Looked { any: progress.bytes > 0 || flushed, more: progress.more && rest.is_zero(), ended }
            }
            Err(error) => {
                hands.figures.failed.inc();
                tracing::warn!(path = %tail.path().display(), %error, "a log file cannot be read; it is tried again");
                tail.rests_until = now + FAILURE_REST;
                Looked { any: tail.flush(gone, &mut hands), more: false, ended: gone }
            }
        }
    }

    /// A copy of a file that is read itself has nothing new, until that one is emptied or gone.
    fn follows_its_original(&mut self, tail: &mut Tail) -> bool {
        let Some(original) = tail.copy_of else { return false };
        let path_label = self.sources[tail.source].path_label.as_deref();
        if let Some(original) = self.tails.get_mut(&(tail.source, original)) {
            match original.is_still_in(tail) {
                Copied::Up(to) => tail.start_at(to),
                Copied::Unclear => {}
                Copied::Differs => tail.go_alone(path_label),
            }
            return tail.copy_of.is_some();
        }
        match self.known.get(&(tail.source, original)) {
            Some(known) if known.goes_on_in(&mut tail.reading) => {
                tail.start_at(known.offset);
                (tail.copy_of, tail.dirty) = (None, true);
            }
            _ => tail.go_alone(path_label),
        }
        false
    }

    /// A file was emptied, or emptied and written anew: what was not read of it may be in a copy.
    fn emptied(&mut self, tail: &mut Tail) {
        self.parts.figures.truncated.inc();
        let old = tail.position.clone();
        let path_label = self.sources[tail.source].path_label.as_deref();
        let mut goes_on: Option<Id> = None;
        for copy in self.tails.values_mut().filter(|other| other.source == tail.source && other.copy_of == Some(tail.id)) {
            match goes_on {
                _ if old.offset > 0 && !old.goes_on_in(&mut copy.reading) => copy.go_alone(path_label),
                // One copy is enough.
                Some(first) => copy.copy_of = Some(first),
                None => {
                    copy.start_at(old.offset);
                    (copy.copy_of, copy.dirty) = (None, true);
                    goes_on = Some(copy.id);
                }
            }
        }
        if goes_on.is_none() {
            self.follow(tail.source, tail.group, &old, None);
        }
        tail.begin_anew();
    }

    /// Opens what became of a file and reads the rest of it. Where another file had its inode before, what became of that one is next:
    /// the inode told its position, and nobody else would look for it.
    fn follow(&mut self, source: usize, group: usize, old: &Position, id: Option<Id>) {
        let mut replaced = self.follow_one(source, group, old, id);
        while let Some(old) = replaced {
            let groups = &self.sources[source].groups;
            let group = groups.iter().position(|group| group.paths.iter().any(|glob| glob.matches(&old.shown))).unwrap_or(group);
            replaced = self.follow_one(source, group, &old, None);
        }
    }

    /// The position of another file that had the inode of what was found.
    fn follow_one(&mut self, source: usize, group: usize, old: &Position, id: Option<Id>) -> Option<Position> {
        // A file that is known by its inode may also be where it was.
        let but = if id.is_some() { Path::new("") } else { old.path.as_path() };
        let mut found = successor(old, id, but)?;
        if self.tails.contains_key(&(source, found.id)) {
            return None;
        }
        let known = self.known.remove(&(source, found.id));
        let replaced = known.filter(|other| other != old && !(other.is_of(&mut found.reading) && other.before_matches(&mut found.reading)));
        let position = Position { path: found.path, done: None, ..old.clone() };
        let settings = &self.sources[source];
        let mut tail = Tail::new(found.id, (source, group), found.reading, position, settings, &settings.groups[group]);
        (tail.listed, tail.dirty) = (false, true);
        self.tails.insert((source, found.id), tail);
        replaced
    }

    /// Hands over what was gathered. The time to wait when it was not taken.
    fn deliver(&mut self) -> Option<Duration> {
        if self.delivery.is_empty() {
            self.settle();
            self.keep_positions();
            return None;
        }
        // Times that are given out are kept before the lines are: lines that are read again must be the same.
        self.tails.values_mut().for_each(|tail| tail.dirty |= std::mem::take(&mut tail.stamped));
        self.late.extend(self.closing.iter().map(|tail| ((tail.source, tail.id), tail.safe_position())));
        self.unsynced.since.get_or_insert(self.parts.clock.monotonic());
        self.unsynced.lines += self.delivery.lines();
        self.unsynced.bytes += self.delivery.bytes();
        self.waiting = self.delivery.take(&self.origins);
        self.hand_over()
    }

    fn hand_over(&mut self) -> Option<Duration> {
        if !self.keep_positions() {
            return Some(self.backoff.next_wait());
        }
        while let Some(batch) = self.waiting.last().cloned() {
            match self.parts.sink.write(batch) {
                Ok(written) => {
                    if let Some(example) = written.example.filter(|_| written.logs.rejected_total() > 0) {
                        tracing::warn!(example, rejected = written.logs.rejected_total(), "log lines were refused");
                    }
                    self.waiting.pop();
                }
                Err(error) => {
                    self.parts.figures.refused.inc();
                    tracing::warn!(%error, "log lines wait; they are handed over again");
                    return Some(self.backoff.next_wait());
                }
            }
        }
        self.backoff.reset();
        self.settle();
        None
    }

    /// Everything that was read is with the sink now, but for what stages hold. Files that are done with are so only when their lines
    /// are on the medium; whether that is so.
    fn settle(&mut self) -> bool {
        self.tails.values_mut().filter(|tail| tail.touched).for_each(Tail::taken);
        if self.closing.is_empty() {
            return true;
        }
        if !self.sync() {
            return false;
        }
        for mut tail in std::mem::take(&mut self.closing) {
            tail.taken();
            if tail.reading.is_compressed() {
                tail.position.done = tail.reading.file().metadata().ok().map(|about| about.len());
            }
            self.late.push(((tail.source, tail.id), tail.position.clone()));
            self.known.insert((tail.source, tail.id), tail.position);
        }
        true
    }

    /// Whether that went well.
    fn keep_positions(&mut self) -> bool {
        let now = self.parts.clock.now().millis();
        let mut changes = Vec::new();
        for ((source, id), position) in &mut self.late {
            position.kept = now;
            changes.push(position::put(&self.sources[*source].name, *id, position));
        }
        // A copy has no position of its own before it is read itself.
        for tail in self.tails.values_mut().filter(|tail| tail.dirty && tail.copy_of.is_none()) {
            tail.position.kept = now;
            changes.push(position::put(&self.sources[tail.source].name, tail.id, &tail.safe_position()));
        }
        if changes.is_empty() {
            return true;
        }
        match self.parts.state.commit(&changes) {
            Ok(()) => {
                self.late.clear();
                self.tails.values_mut().filter(|tail| tail.copy_of.is_none()).for_each(|tail| tail.dirty = false);
                true
            }
            Err(error) => {
                self.parts.figures.positions_failed.inc();
                tracing::error!(%error, "positions of log files cannot be kept; lines wait until they can be");
                false
            }
        }
    }

    /// Looks patterns up.
    fn scan(&mut self) {
        self.tails.values_mut().for_each(|tail| tail.listed = false);
        for source in 0..self.sources.len() {
            for group in 0..self.sources[source].groups.len() {
                let wanted = &self.sources[source].groups[group];
                let meant = |path: &PathBuf| {
                    !is_foreign(path)
                        && !wanted.excludes.iter().any(|glob| glob.matches(path))
                        && !wanted.exclude_patterns.iter().any(|p| p.is_match(&path.to_string_lossy()))
                        && wanted.labels_of(path).is_some()
                };
                let paths: Vec<PathBuf> = wanted.paths.iter().flat_map(Glob::files).filter(meant).collect();
                paths.into_iter().for_each(|path| self.found(source, group, path));
            }
        }
        if !std::mem::replace(&mut self.scanned_before, true) {
            let away: Vec<((usize, Id), Position)> = self.known.iter().filter(|(_, p)| p.done.is_none()).map(|(at, p)| (*at, p.clone())).collect();
            for ((source, id), position) in away {
                let groups = &self.sources[source].groups;
                let group = groups.iter().position(|group| group.paths.iter().any(|glob| glob.matches(&position.shown)));
                if let Some(group) = group {
                    self.follow(source, group, &position, Some(id));
                }
            }
        }
    }

    /// A file that a pattern names: one that is open, one that was read before, or a new one.
    fn found(&mut self, source: usize, group: usize, path: PathBuf) {
        let Ok(about) = std::fs::metadata(&path) else { return };
        let key = (source, Id::of(&about));
        if let Some(tail) = self.tails.get_mut(&key) {
            tail.listed = true;
            // A file of two names keeps the first.
            if std::fs::metadata(tail.path()).ok().map(|there| Id::of(&there)) != Some(key.1) {
                tail.moved_to(path);
            }
            return;
        }
        let known = self.known.get(&key);
        if known.is_some_and(|position| position.done == Some(about.len())) {
            return;
        }
        let settings = &self.sources[source].groups[group];
        let age =
            about.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok()).map(|at| self.parts.clock.now().secs_f64() - at.as_secs_f64());
        if known.is_none() && settings.ignore_older.is_some_and(|most| age.is_some_and(|age| age > most.as_secs_f64())) {
            return;
        }
        if self.tails.len() >= FILES_MAX {
            self.parts.figures.left_out.inc();
            return;
        }
        // The next search finds it again.
        if is_gzip(&path) && self.tails.values().filter(|tail| tail.reading.is_compressed()).count() >= COMPRESSED_MAX {
            return;
        }
        let opened = Reading::open(&path).and_then(|reading| Ok((reading.file().metadata()?, reading)));
        let (about, reading) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.parts.figures.failed.inc();
                tracing::debug!(path = %path.display(), %error, "a log file cannot be opened");
                return;
            }
        };
        // It may have been replaced since we looked.
        self.begin((source, Id::of(&about)), group, path, reading, about.len());
    }

    fn begin(&mut self, key: (usize, Id), group: usize, path: PathBuf, mut reading: Reading, size: u64) {
        let (source, id) = key;
        let mut copy_of = None;
        let compressed = reading.is_compressed();
        let mut position = Position { path: path.clone(), shown: path.clone(), ..Position::default() };
        match self.known.remove(&key) {
            Some(known) if known.is_of(&mut reading) && known.before_matches(&mut reading) && (compressed || known.offset <= size) => {
                position = Position { path, done: None, ..known }
            }
            other => {
                let fresh = other.is_none();
                if let Some(old) = other {
                    // Another file has the inode now, or this one was emptied while nobody looked.
                    self.parts.figures.truncated.inc();
                    self.follow(source, group, &old, None);
                }
                if let Some((original, known)) = self.original_of(source, &path, &mut reading) {
                    copy_of = Some(original);
                    position = Position { path, shown: known.shown.clone(), done: None, ..known };
                } else if let Some(offset) = self.sources[source].foreign_positions.get(&path).filter(|offset| fresh && **offset <= size && !compressed) {
                    position.offset = *offset;
                } else if fresh && self.sources[source].groups[group].from_end && !compressed && !self.scanned_before {
                    position.offset = size;
                }
            }
        }
        if position.offset > 0 && position.head.length == 0 {
            position.take_prints(&mut reading);
        }
        let settings = &self.sources[source];
        let mut tail = Tail::new(id, (source, group), reading, position, settings, &settings.groups[group]);
        (tail.copy_of, tail.dirty) = (copy_of, true);
        self.tails.insert(key, tail);
    }

    /// The file that one is a copy of, among those in the same directory that are or were read.
    fn original_of(&self, source: usize, path: &Path, reading: &mut Reading) -> Option<(Id, Position)> {
        let open = self.tails.iter().map(|(key, tail)| (key, &tail.position));
        let mut near = open.chain(&self.known).filter(|((of, _), position)| *of == source && position.path.parent() == path.parent());
        near.find(|(_, position)| position.is_copy(reading)).map(|((_, id), position)| (*id, position.clone()))
    }
}

/// What a look at a file came to.
#[derive(Clone, Copy, Debug, Default)]
struct Looked {
    any: bool,
    more: bool,
    ended: bool,
}

/// Whether a file is gone from its name and has been left alone for a while.
fn is_gone(tail: &mut Tail, now: Duration) -> bool {
    if tail.listed {
        tail.gone_since = None;
        return false;
    }
    let since = *tail.gone_since.get_or_insert(now);
    now.saturating_sub(since) >= LINGER
}
