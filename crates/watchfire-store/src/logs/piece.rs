//! Entries as they came, in one buffer: what the log's frames hold and what the newest entries are in memory. Each frame can be
//! read by itself, except that streams are numbers which an earlier frame of the same epoch has defined. Layout: `docs/formats/wal.md`.

use std::sync::Arc;

use hashbrown::HashMap;
use watchfire_model::labels::Labels;

use super::block::Row;
use super::tokens::{hash, join};
use crate::encoding::{Input, put_signed, put_text, put_varint};
use crate::wal::PAYLOAD_BYTES_MAX;

/// Items of a record.
const ITEM_MOVED: u8 = 1;
const ITEM_STREAM: u8 = 2;
const ITEM_ENTRIES: u8 = 3;
const ITEM_HASHES: u8 = 4;
const ITEM_SOURCE: u8 = 5;
/// How the items are stored.
const FORM_PLAIN: u8 = 0;
const FORM_ZSTD: u8 = 1;
/// Smaller records are not compressed.
const COMPRESS_BYTES_MIN: usize = 512;
/// No record is larger when unpacked.
const RAW_BYTES_MAX: usize = 64 << 20;

/// Where an entry stands in its piece.
#[derive(Clone, Copy, Debug)]
struct Entry {
    stream: u32,
    time: i64,
    line: (u32, u32),
    metadata: (u32, u32),
}

/// Bytes that one entry occupies beside its text.
pub(crate) const ENTRY_BYTES: usize = std::mem::size_of::<Entry>();

/// Entries of some streams, in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Piece {
    bytes: Vec<u8>,
    pub(crate) streams: Vec<Labels>,
    entries: Vec<Entry>,
}

impl Piece {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
    pub(crate) fn memory(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * ENTRY_BYTES + self.streams.capacity() * std::mem::size_of::<Labels>()
    }
    /// Bytes of the record.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }
    /// The stream of an entry, by its place in `streams`, and the entry.
    pub(crate) fn get(&self, at: usize) -> Option<(u32, Row<'_>)> {
        let entry = self.entries.get(at)?;
        Some((entry.stream, Row { time: entry.time, line: self.text(entry.line), metadata: self.text(entry.metadata) }))
    }
    pub(crate) fn rows(&self) -> impl Iterator<Item = (u32, Row<'_>)> {
        (0..self.len()).filter_map(|at| self.get(at))
    }
    /// Stream and time of each entry.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (u32, i64)> {
        self.entries.iter().map(|e| (e.stream, e.time))
    }
    pub(crate) fn times(&self) -> impl Iterator<Item = i64> {
        self.entries.iter().map(|e| e.time)
    }
    fn text(&self, (from, len): (u32, u32)) -> &str {
        let bytes = self.bytes.get(from as usize..from as usize + len as usize);
        bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or("")
    }

    /// Adds an entry that is not in a record: its text is copied behind the others.
    pub(crate) fn push(&mut self, stream: u32, time: i64, line: &[u8], metadata: &str) {
        let from = self.bytes.len() as u32;
        self.bytes.extend_from_slice(line);
        self.bytes.extend_from_slice(metadata.as_bytes());
        let line = (from, line.len() as u32);
        self.entries.push(Entry { stream, time, line, metadata: (from + line.1, metadata.len() as u32) });
    }

    /// Adds everything of another piece behind what is here.
    pub(crate) fn append(&mut self, other: &Piece) {
        let (bytes, streams) = (self.bytes.len() as u32, self.streams.len() as u32);
        self.bytes.extend_from_slice(&other.bytes);
        self.streams.extend_from_slice(&other.streams);
        let shifted = |(from, len): (u32, u32)| (from + bytes, len);
        self.entries.extend(other.entries.iter().map(|e| Entry {
            stream: e.stream + streams,
            time: e.time,
            line: shifted(e.line),
            metadata: shifted(e.metadata),
        }));
    }

    /// Keeps the entries for which a predicate holds.
    pub(crate) fn retain(&mut self, keep: impl Fn(&Labels, Row<'_>) -> bool) {
        let entries = std::mem::take(&mut self.entries);
        let kept = |entry: &Entry| {
            let row = Row { time: entry.time, line: self.text(entry.line), metadata: self.text(entry.metadata) };
            self.streams.get(entry.stream as usize).is_some_and(|labels| keep(labels, row))
        };
        let entries = entries.into_iter().filter(kept).collect();
        self.entries = entries;
    }

    /// Gives back what was reserved and is not used.
    pub(crate) fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.entries.shrink_to_fit();
        self.streams.shrink_to_fit();
    }
}

/// The hash by which an entry that comes again is known.
pub(crate) fn entry_hash(stream: &Labels, time: i64, line: &str, metadata: &str) -> u64 {
    let labels = join(stream.hash_value(), hash(metadata.as_bytes()));
    join(join(labels, time as u64), hash(line.as_bytes()))
}

/// A record under construction, which becomes a frame and a piece.
#[derive(Default)]
pub(crate) struct RecordWriter {
    piece: Piece,
    /// The stream whose entries are being written, and the time of the last one.
    open: Option<(u64, i64)>,
    /// Who brought the entries; it is said at the begin of a record that has some.
    source: Option<Arc<str>>,
}

impl RecordWriter {
    /// A record of entries that somebody brought.
    pub(crate) fn of(source: Option<Arc<str>>) -> RecordWriter {
        RecordWriter { source, ..RecordWriter::default() }
    }
    pub(crate) fn source(&self) -> Option<Arc<str>> {
        self.source.clone()
    }
    pub(crate) fn bytes(&self) -> usize {
        self.piece.bytes.len()
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.piece.bytes.is_empty()
    }
    fn close(&mut self) {
        if let Some(source) = self.source.as_ref().filter(|_| self.piece.bytes.is_empty()) {
            self.piece.bytes.push(ITEM_SOURCE);
            put_text(&mut self.piece.bytes, source);
        }
        if self.open.take().is_some() {
            put_varint(&mut self.piece.bytes, 0);
        }
    }
    /// Says that a name was moved from labels to structured metadata.
    pub(crate) fn moved(&mut self, name: &str) {
        self.close();
        self.piece.bytes.push(ITEM_MOVED);
        put_text(&mut self.piece.bytes, name);
    }
    /// Defines the number of a stream.
    pub(crate) fn stream(&mut self, number: u64, labels: &Labels) {
        self.close();
        self.piece.bytes.push(ITEM_STREAM);
        put_varint(&mut self.piece.bytes, number);
        put_text(&mut self.piece.bytes, labels.packed());
    }
    /// The hashes of entries of earlier epochs that may come again.
    pub(crate) fn hashes(&mut self, hashes: impl ExactSizeIterator<Item = u64>) {
        self.close();
        self.piece.bytes.push(ITEM_HASHES);
        put_varint(&mut self.piece.bytes, hashes.len() as u64);
        hashes.for_each(|hash| self.piece.bytes.extend_from_slice(&hash.to_le_bytes()));
    }
    /// Adds an entry of a stream that is defined.
    pub(crate) fn entry(&mut self, number: u64, labels: &Labels, time: i64, line: &str, metadata: &str) {
        if self.open.is_none_or(|(open, _)| open != number) {
            self.close();
            self.piece.bytes.push(ITEM_ENTRIES);
            put_varint(&mut self.piece.bytes, number);
            self.piece.streams.push(labels.clone());
            self.open = Some((number, 0));
        }
        let last = self.open.map_or(0, |(_, time)| time);
        self.open = Some((number, time));
        let out = &mut self.piece.bytes;
        put_varint(out, line.len() as u64 + 1);
        put_signed(out, time.wrapping_sub(last));
        let from = out.len() as u32;
        out.extend_from_slice(line.as_bytes());
        put_varint(out, metadata.len() as u64);
        let behind = out.len() as u32;
        out.extend_from_slice(metadata.as_bytes());
        let stream = self.piece.streams.len() as u32 - 1;
        self.piece.entries.push(Entry { stream, time, line: (from, line.len() as u32), metadata: (behind, metadata.len() as u32) });
    }

    /// Ends the record.
    pub(crate) fn finish(mut self) -> Piece {
        self.close();
        self.piece
    }
}

/// Appends a record to a frame's payload.
pub(crate) fn encode(out: &mut Vec<u8>, record: &Piece, compressor: &mut zstd::bulk::Compressor<'_>) {
    let raw = &record.bytes;
    let stored = if raw.len() < COMPRESS_BYTES_MIN { None } else { compressor.compress(raw).ok().filter(|stored| stored.len() < raw.len()) };
    match stored {
        Some(stored) => {
            out.push(FORM_ZSTD);
            put_varint(out, raw.len() as u64);
            out.extend_from_slice(&stored);
        }
        None => {
            out.push(FORM_PLAIN);
            out.extend_from_slice(raw);
        }
    }
    debug_assert!(raw.len() < PAYLOAD_BYTES_MAX, "BUG: a record is larger than a frame");
}

/// What a record says.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) moved: Vec<String>,
    pub(crate) hashes: Vec<u64>,
    pub(crate) piece: Piece,
    /// Who brought its entries, if it says so.
    pub(crate) source: Option<Arc<str>>,
    /// Entries whose stream no frame has defined.
    pub(crate) orphans: u64,
}

/// The streams of an epoch by their numbers.
pub(crate) type Defined = HashMap<u64, Labels>;

/// Reads a frame's payload and notes the streams that it defines; `None` when it is not one of ours.
pub(crate) fn decode(payload: &[u8], defined: &mut Defined) -> Option<Record> {
    let (form, rest) = payload.split_first()?;
    let bytes = match *form {
        FORM_PLAIN => rest.to_vec(),
        FORM_ZSTD => {
            let mut input = Input::new(rest);
            let raw = input.size().filter(|raw| *raw <= RAW_BYTES_MAX)?;
            let stored = input.take(input.remaining())?;
            zstd::bulk::decompress(stored, raw).ok().filter(|bytes| bytes.len() == raw)?
        }
        _ => return None,
    };
    let mut record = Record::default();
    let mut entries = Vec::new();
    let mut input = Input::new(&bytes);
    while input.remaining() > 0 {
        match input.u8()? {
            ITEM_MOVED => record.moved.push(input.text()?.to_owned()),
            ITEM_SOURCE => record.source = Some(input.text()?.into()),
            ITEM_STREAM => {
                let number = input.varint()?;
                defined.insert(number, Labels::unpack(input.text()?)?);
            }
            ITEM_HASHES => {
                for _ in 0..input.size()? {
                    record.hashes.push(input.u64()?);
                }
            }
            ITEM_ENTRIES => {
                let stream = defined.get(&input.varint()?);
                if let Some(labels) = stream {
                    record.piece.streams.push(labels.clone());
                }
                let read = decode_entries(&mut input, bytes.len(), record.piece.streams.len().wrapping_sub(1) as u32, &mut entries)?;
                if stream.is_none() {
                    entries.truncate(entries.len() - read);
                    record.orphans += read as u64;
                }
            }
            _ => return None,
        }
    }
    record.piece.bytes = bytes;
    record.piece.entries = entries;
    Some(record)
}

/// Reads the entries of one stream; returns how many there are.
fn decode_entries(input: &mut Input<'_>, len: usize, stream: u32, entries: &mut Vec<Entry>) -> Option<usize> {
    let (mut time, before) = (0i64, entries.len());
    loop {
        let Some(line) = input.size()?.checked_sub(1) else { return Some(entries.len() - before) };
        time = time.wrapping_add(input.signed()?);
        let from = (len - input.remaining()) as u32;
        std::str::from_utf8(input.take(line)?).ok()?;
        let metadata = input.size()?;
        let behind = (len - input.remaining()) as u32;
        std::str::from_utf8(input.take(metadata)?).ok()?;
        entries.push(Entry { stream, time, line: (from, line as u32), metadata: (behind, metadata as u32) });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use watchfire_model::labels;
    use zstd::bulk::Compressor;

    use super::*;

    proptest! {
        #[test]
        fn records_survive(raw in proptest::collection::vec((0u64..3, any::<i64>(), ".{0,80}", "[a-c]{0,3}"), 1..40)) {
            let mut writer = RecordWriter::of(Some("files/a".into()));
            let streams: Vec<Labels> = (0..3).map(|n| labels!("n" => n.to_string().as_str())).collect();
            writer.moved("trace_id");
            writer.hashes([7, u64::MAX].into_iter());
            streams.iter().enumerate().for_each(|(n, labels)| writer.stream(n as u64, labels));
            let metadata: Vec<Labels> = raw.iter().map(|(.., m)| labels!("m" => m.as_str())).collect();
            for ((n, time, line, _), metadata) in raw.iter().zip(&metadata) {
                writer.entry(*n, &streams[*n as usize], *time, line, metadata.packed());
            }
            let piece = writer.finish();
            let mut payload = Vec::new();
            encode(&mut payload, &piece, &mut Compressor::new(1).unwrap());
            let record = decode(&payload, &mut Defined::new()).unwrap();
            prop_assert_eq!(&record.moved, &["trace_id"]);
            prop_assert_eq!(record.source.as_deref(), Some("files/a"));
            prop_assert_eq!(&record.hashes, &[7, u64::MAX]);
            let mut twice = record.piece.clone();
            twice.append(&piece);
            for (at, ((n, time, line, _), metadata)) in raw.iter().zip(&metadata).enumerate() {
                for (piece, at) in [(&piece, at), (&record.piece, at), (&twice, at), (&twice, at + raw.len())] {
                    let (stream, row) = piece.get(at).unwrap();
                    prop_assert_eq!(&piece.streams[stream as usize], &streams[*n as usize]);
                    prop_assert_eq!((row.time, row.line, row.metadata), (*time, line.as_str(), metadata.packed()));
                }
            }
        }
        #[test]
        fn nonsense_does_not_panic(mut bytes in proptest::collection::vec(any::<u8>(), 1..200), form in 0u8..3) {
            bytes[0] = form;
            let _ignored = decode(&bytes, &mut Defined::new()).is_some();
        }
    }

    #[test]
    fn entries_without_a_stream_are_counted() {
        let mut writer = RecordWriter::default();
        writer.entry(9, &Labels::empty(), 1, "a", "");
        writer.entry(9, &Labels::empty(), 2, "b", "");
        let mut payload = Vec::new();
        encode(&mut payload, &writer.finish(), &mut Compressor::new(1).unwrap());
        let record = decode(&payload, &mut Defined::new()).unwrap();
        assert_eq!((record.orphans, record.piece.len()), (2, 0));
    }
}
