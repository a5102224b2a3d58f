//! How far a file was read, and what tells it from others: device and inode, the hash of its first bytes and of those before the
//! position. Kept as JSON in the state store.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use watchfire_model::state::{Change, Table};

use super::reading::Bytes;

/// How far log files were read: source, device and inode → JSON.
pub(crate) const LOG_FILES: Table = Table("log_files");

/// So many first bytes tell one file from another.
const HEAD_BYTES: u64 = 1_024;
/// So many bytes before the position tell a copy from a file that only begins alike.
const BEFORE_BYTES: u64 = 256;
/// A file with less is not taken for a copy: rather a line twice than none.
const COPY_BYTES_MIN: u64 = 256;
/// The most spans that are kept.
pub(super) const SPANS_MAX: usize = 64;

/// A file on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Id {
    pub(super) device: u64,
    pub(super) inode: u64,
}
impl Id {
    pub(super) fn of(about: &Metadata) -> Id {
        Id { device: about.dev(), inode: about.ino() }
    }
    fn parse(text: &str) -> Option<Id> {
        let (device, inode) = text.split_once(':')?;
        Some(Id { device: u64::from_str_radix(device, 16).ok()?, inode: u64::from_str_radix(inode, 16).ok()? })
    }
}

/// The hash of some bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Print {
    pub(super) length: u64,
    hash: u64,
}
impl Print {
    fn of(bytes: &[u8]) -> Print {
        // FNV-1a: short texts, and nobody gains anything by a collision.
        let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        Print { length: bytes.len() as u64, hash }
    }
    fn matches(self, bytes: &mut dyn Bytes, at: u64) -> bool {
        self.length == 0 || bytes.at(at, self.length).is_ok_and(|found| Print::of(&found) == self)
    }
}

/// Bytes whose lines have times that follow from their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) base: i64,
}

/// What is kept of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Position {
    /// Where the file was last.
    pub(super) path: PathBuf,
    /// The path that its lines name: the one under which it was found first.
    pub(super) shown: PathBuf,
    /// Everything before this was taken by the sink.
    pub(super) offset: u64,
    /// Whether what follows is the rest of a line that was too long.
    pub(super) skipping: bool,
    /// The first bytes.
    pub(super) head: Print,
    /// The bytes before the position.
    pub(super) before: Print,
    /// Times of lines from the position on that were given out already.
    pub(super) spans: Vec<Span>,
    /// The size of a compressed file that was read to its end.
    pub(super) done: Option<u64>,
    /// When this was last kept, in milliseconds.
    pub(super) kept: i64,
}

impl Position {
    /// Whether a file is the one that this was kept of.
    pub(super) fn is_of(&self, bytes: &mut dyn Bytes) -> bool {
        self.head.matches(bytes, 0)
    }
    /// Whether a file is a copy of it, or what became of it: it has the same bytes up to the position.
    pub(super) fn is_copy(&self, bytes: &mut dyn Bytes) -> bool {
        self.offset.max(self.head.length) >= COPY_BYTES_MIN && self.goes_on_in(bytes)
    }
    /// The same for a file that may well be it: few bytes are enough.
    pub(super) fn goes_on_in(&self, bytes: &mut dyn Bytes) -> bool {
        self.head.length > 0 && self.head.matches(bytes, 0) && self.before_matches(bytes)
    }
    pub(super) fn before_matches(&self, bytes: &mut dyn Bytes) -> bool {
        self.before.matches(bytes, self.offset.saturating_sub(self.before.length))
    }
    /// Notes the bytes that tell the file, once it is read up to `offset`.
    pub(super) fn take_prints(&mut self, bytes: &mut dyn Bytes) {
        (self.head, self.before) = self.prints_at(self.offset, bytes);
    }
    /// The bytes that tell the file, if it is read up to a place: the first ones, and those before.
    pub(super) fn prints_at(&self, place: u64, bytes: &mut dyn Bytes) -> (Print, Print) {
        let length = place.min(HEAD_BYTES);
        let head = if self.head.length < length { bytes.at(0, length).map_or(self.head, |found| Print::of(&found)) } else { self.head };
        let length = place.min(BEFORE_BYTES);
        (head, bytes.at(place - length, length).map_or_else(|_| Print::default(), |found| Print::of(&found)))
    }
    /// The time of a line, if it was given out before.
    pub(super) fn time_at(&self, place: u64) -> Option<i64> {
        let span = self.spans.iter().find(|span| (span.from..span.to).contains(&place))?;
        Some(span.base.saturating_add_unsigned(place - span.from))
    }
    /// The first place from `place` on whose time was not given out.
    pub(super) fn free_from(&self, place: u64) -> u64 {
        self.spans.iter().map(|span| span.to).max().unwrap_or(0).max(place)
    }
    /// Notes times that are given out; those of lines before `safe` are needed by nobody any more.
    pub(super) fn give_out(&mut self, span: Span, safe: u64) {
        self.spans.retain(|span| span.to > safe);
        if self.spans.len() >= SPANS_MAX {
            self.spans.remove(0);
        }
        self.spans.push(span);
    }
}

/// The key of a position.
fn key(source: &str, id: Id) -> String {
    format!("{source}\n{:x}:{:x}", id.device, id.inode)
}

/// The source in a key.
pub(super) fn source_of(key: &str) -> Option<&str> {
    Some(key.rsplit_once('\n')?.0)
}

/// The change that keeps a position.
pub(super) fn put(source: &str, id: Id, position: &Position) -> Change {
    let print = |p: Print| json!([p.length, format!("{:x}", p.hash)]);
    let spans: Vec<Value> = position.spans.iter().map(|s| json!([s.from, s.to, s.base])).collect();
    let value = json!({
        "path": text(&position.path), "shown": text(&position.shown), "offset": position.offset, "skipping": position.skipping,
        "head": print(position.head), "before": print(position.before), "spans": spans, "done": position.done, "kept": position.kept,
    });
    Change::Put(LOG_FILES, key(source, id), value.to_string().into_bytes())
}

/// The change that forgets one.
pub(super) fn delete(source: &str, id: Id) -> Change {
    Change::Delete(LOG_FILES, key(source, id))
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Reads what [`put`] wrote; nothing for what is damaged.
pub(super) fn read(key: &str, value: &[u8]) -> Option<(Id, Position)> {
    let id = Id::parse(key.rsplit_once('\n')?.1)?;
    let value: Value = serde_json::from_slice(value).ok()?;
    let print = |name: &str| {
        let pair = value.get(name)?.as_array()?;
        Some(Print { length: pair.first()?.as_u64()?, hash: u64::from_str_radix(pair.get(1)?.as_str()?, 16).ok()? })
    };
    let span = |v: &Value| Some(Span { from: v.get(0)?.as_u64()?, to: v.get(1)?.as_u64()?, base: v.get(2)?.as_i64()? });
    let path = |name: &str| Some(PathBuf::from(value.get(name)?.as_str()?));
    let position = Position {
        path: path("path")?,
        shown: path("shown")?,
        offset: value.get("offset")?.as_u64()?,
        skipping: value.get("skipping")?.as_bool()?,
        head: print("head")?,
        before: print("before")?,
        spans: value.get("spans")?.as_array()?.iter().filter_map(span).take(SPANS_MAX).collect(),
        done: value.get("done").and_then(Value::as_u64),
        kept: value.get("kept").and_then(Value::as_i64).unwrap_or(0),
    };
    Some((id, position))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_can_be_read() {
        let mut position = Position { path: "/a".into(), shown: "/b".into(), offset: 7, skipping: true, done: Some(3), kept: 5, ..Position::default() };
        position.head = Print::of(b"abc");
        position.give_out(Span { from: 7, to: 20, base: 1_000 }, 7);
        let id = Id { device: 16, inode: 255 };
        let Change::Put(_, key, value) = put("promtail/x", id, &position) else { panic!("no put") };
        assert_eq!(key, "promtail/x\n10:ff");
        assert_eq!(read(&key, &value), Some((id, position.clone())));
        assert_eq!(read(&key, b"{"), None);
        assert_eq!((position.time_at(8), position.time_at(20), position.free_from(7)), (Some(1_001), None, 20));
    }
}
