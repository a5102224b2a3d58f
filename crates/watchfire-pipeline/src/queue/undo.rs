//! Files that hold what was cleared, so that a slip of the hand costs nothing. Written and synced before anything is deleted; bounded: the
//! oldest files go. They hold jobs as they were sent, so they are readable by us only.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use watchfire_model::order::Order as _;
use watchfire_model::time::Timestamp;

use super::backend::{DeadEntry, PAGE_BYTES_MAX, QueueError};

/// The first word of each file and its version.
const MAGIC: &str = "watchfire dead letters 1";
/// Files that are kept.
const FILES_MAX: usize = 50;
/// How a file is named that was restored already.
const RESTORED: &str = ".restored";
/// The longest line that is read back.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// A file with cleared dead letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndoFile {
    /// Its name, with which it is restored.
    pub name: String,
    /// The place that was cleared.
    pub queue: String,
    /// When, RFC 3339.
    pub cleared_at: String,
    /// Its bytes.
    pub bytes: u64,
    /// Whether it was restored already.
    pub restored: bool,
}

#[derive(Serialize, Deserialize)]
struct Head {
    format: String,
    queue: String,
    cleared_at: String,
}
#[derive(Serialize, Deserialize)]
struct Line {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry_base64: Option<String>,
}

/// The directory of these files.
pub(super) struct UndoFiles {
    dir: PathBuf,
    bytes_max: u64,
}

/// A file that is being written.
pub(super) struct Writing {
    pub(super) name: String,
    file: fs::File,
}
impl Writing {
    /// Adds entries; they are on the medium when this returns. Blocks.
    pub(super) fn add(&mut self, entries: &[DeadEntry]) -> io::Result<()> {
        let mut text = Vec::new();
        for one in entries {
            let Some(entry) = &one.entry else { continue };
            let plain = std::str::from_utf8(entry).ok().map(str::to_owned);
            let packed = plain.is_none().then(|| BASE64.encode(entry));
            serde_json::to_writer(&mut text, &Line { id: one.id.clone(), entry: plain, entry_base64: packed })?;
            text.push(b'\n');
        }
        self.file.write_all(&text)?;
        self.file.sync_data()
    }
}

impl UndoFiles {
    pub(super) fn new(dir: PathBuf, bytes_max: u64) -> UndoFiles {
        UndoFiles { dir, bytes_max }
    }
    /// Begins a file. Its header is on the medium when this returns, and older files have made room. Blocks.
    pub(super) fn begin(&self, queue: &str, now: Timestamp) -> Result<Writing, QueueError> {
        let failed = |e: io::Error| QueueError::Undo(e.to_string());
        fs::create_dir_all(&self.dir).map_err(failed)?;
        self.make_room().map_err(failed)?;
        let stem: String = queue.chars().map(|c| if c == ':' { '-' } else { c }).collect();
        let mut at = now.millis();
        let (name, mut file) = loop {
            let name = format!("{stem}-{at}.jsonl");
            match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.dir.join(&name)) {
                Ok(file) => break (name, file),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => at += 1,
                Err(error) => return Err(failed(error)),
            }
        };
        let head = Head { format: MAGIC.to_owned(), queue: queue.to_owned(), cleared_at: now.rfc3339() };
        let mut text = serde_json::to_vec(&head).unwrap_or_default();
        text.push(b'\n');
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)?;
        fs::File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(failed)?;
        Ok(Writing { name, file })
    }
    /// Removes a file that holds nothing. Blocks.
    pub(super) fn discard(&self, writing: Writing) {
        drop(fs::remove_file(self.dir.join(writing.name)));
    }
    /// All files, newest first. Blocks.
    pub(super) fn list(&self) -> io::Result<Vec<UndoFile>> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(head) = head(&entry.path()) else { continue };
            let (bytes, restored) = (entry.metadata()?.len(), name.ends_with(RESTORED));
            found.push(UndoFile { name, queue: head.queue, cleared_at: head.cleared_at, bytes, restored });
        }
        found.order_by(|a, b| (&b.cleared_at, &b.name).cmp(&(&a.cleared_at, &a.name)));
        Ok(found)
    }
    /// Reads a file piece by piece. Gives the place that it belongs to. Blocks.
    pub(super) fn read(&self, name: &str) -> Result<Reading, QueueError> {
        let unknown = || QueueError::UnknownUndo(name.to_owned());
        let known = self.list().map_err(|e| QueueError::Undo(e.to_string()))?.into_iter().find(|f| f.name == name && !f.restored).ok_or_else(unknown)?;
        let file = fs::File::open(self.dir.join(&known.name)).map_err(|_| unknown())?;
        let mut reader = BufReader::new(file);
        line(&mut reader).map_err(|_| unknown())?;
        Ok(Reading { queue: known.queue, reader })
    }
    /// Marks a file as restored, so that it is not restored twice. Blocks.
    pub(super) fn finish(&self, name: &str) -> io::Result<()> {
        fs::rename(self.dir.join(name), self.dir.join(format!("{name}{RESTORED}")))
    }
    fn make_room(&self) -> io::Result<()> {
        let mut files = self.list()?;
        let mut bytes: u64 = files.iter().map(|f| f.bytes).sum();
        while files.len() >= FILES_MAX || bytes > self.bytes_max {
            let Some(oldest) = files.pop() else { break };
            tracing::warn!(file = oldest.name, "an old undo file of dead letters makes room");
            fs::remove_file(self.dir.join(&oldest.name))?;
            bytes -= oldest.bytes;
        }
        Ok(())
    }
}

/// A file that is being read.
pub(super) struct Reading {
    pub(super) queue: String,
    reader: BufReader<fs::File>,
}
impl Reading {
    /// The next entries, fewer than asked for when they are large. A last line that was cut off is passed over: nothing was deleted for it.
    pub(super) fn next(&mut self, limit: usize) -> io::Result<Vec<DeadEntry>> {
        let (mut entries, mut bytes) = (Vec::new(), 0);
        while entries.len() < limit && bytes < PAGE_BYTES_MAX {
            let text = line(&mut self.reader)?;
            bytes += text.len();
            if text.is_empty() {
                break;
            }
            let Ok(line) = serde_json::from_slice::<Line>(&text) else { continue };
            let entry = line.entry.map(String::into_bytes).or_else(|| BASE64.decode(line.entry_base64?).ok());
            entries.push(DeadEntry { id: line.id, entry: entry.map(Into::into) });
        }
        Ok(entries)
    }
}

fn line(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    io::Read::take(reader, LINE_BYTES_MAX).read_until(b'\n', &mut text)?;
    Ok(text)
}

fn head(path: &Path) -> Option<Head> {
    let mut reader = BufReader::new(fs::File::open(path).ok()?);
    let mut text = Vec::new();
    io::Read::take(&mut reader, 4096).read_until(b'\n', &mut text).ok()?;
    serde_json::from_slice::<Head>(&text).ok().filter(|h| h.format == MAGIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(n: usize) -> DeadEntry {
        let bytes = if n.is_multiple_of(3) { vec![0xff, n as u8] } else { format!("{{\"n\": {n}}}").into_bytes() };
        DeadEntry { id: n.to_string(), entry: Some(bytes.into()) }
    }
    const NOW: Timestamp = Timestamp(1_767_089_700_000);

    #[test]
    fn what_was_written_comes_back_byte_for_byte() {
        let dir = tempfile::tempdir().unwrap();
        let files = UndoFiles::new(dir.path().join("undo"), 1 << 20);
        assert_eq!(files.list().unwrap(), []);
        let mut writing = files.begin("dlq:detection_queue", NOW).unwrap();
        let entries: Vec<_> = (0..10).map(entry).collect();
        writing.add(&entries[..7]).unwrap();
        writing.add(&entries[7..]).unwrap();
        let name = writing.name.clone();
        drop(writing);
        // A line that a crash cut off.
        let path = dir.path().join("undo").join(&name);
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend_from_slice(b"{\"id\": \"x\", \"ent");
        fs::write(&path, bytes).unwrap();
        let mut reading = files.read(&name).unwrap();
        assert_eq!(reading.queue, "dlq:detection_queue");
        let mut all = reading.next(4).unwrap();
        all.extend(reading.next(100).unwrap());
        assert_eq!(all, entries);
        assert_eq!(reading.next(1).unwrap(), []);
        files.finish(&name).unwrap();
        assert!(files.read(&name).is_err());
        assert!(files.list().unwrap()[0].restored);
        for bad in ["../x", "", "none"] {
            assert!(files.read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn files_are_bounded_by_number_and_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let files = UndoFiles::new(dir.path().to_owned(), 2_000);
        for n in 0..60 {
            files.begin("dlq:a", NOW.plus_ms(n * 1000)).unwrap().add(&[entry(1)]).unwrap();
        }
        let kept = files.list().unwrap();
        assert!(kept.len() <= FILES_MAX && kept.iter().map(|f| f.bytes).sum::<u64>() <= 2_000 + kept[0].bytes, "{}", kept.len());
        assert_eq!(kept[0].cleared_at, NOW.plus_ms(59_000).rfc3339());
    }
}
