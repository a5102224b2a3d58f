//! The bytes of a file, plain or compressed, by their place in what is unpacked. Compressed bytes come in order only; who asks for
//! earlier ones begins anew. It knows no lines.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

/// Bytes by their place.
pub(super) trait Bytes {
    /// Exactly so many bytes, or an error.
    fn at(&mut self, from: u64, length: u64) -> io::Result<Vec<u8>>;
}

/// The most compressed bytes that are unpacked only to come to a place, at once.
const SKIP_BYTES: u64 = 8 << 20;
/// So many used bytes stay, for who looks at what stands before a place: to unpack them once more would start from the first byte.
const HISTORY_BYTES: u64 = 1 << 20;
/// So many first bytes stay.
const HEAD_BYTES: u64 = 1_024;

/// An open file.
pub(super) enum Reading {
    Plain(File),
    Gzip(Box<Gzip>),
}

/// A compressed file that is read in order.
pub(super) struct Gzip {
    path: PathBuf,
    decoder: MultiGzDecoder<BufReader<File>>,
    at: u64,
    /// The bytes before `at`: those that were not used yet, and before them some that were.
    kept: Vec<u8>,
    /// The first bytes, once they were asked for.
    head: Vec<u8>,
    ended: bool,
}

/// What a read gave.
pub(super) struct Portion {
    /// How many bytes are in the buffer.
    pub(super) length: usize,
    /// Whether nothing can ever follow.
    pub(super) last: bool,
    /// Whether there is no more at the moment.
    pub(super) end: bool,
}

/// Whether a name says that the file is compressed in the way that we read.
pub(super) fn is_gzip(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "gz")
}
/// Whether a name says that the file is compressed in another way.
pub(super) fn is_foreign(path: &Path) -> bool {
    path.extension().is_some_and(|e| ["bz2", "xz", "zst", "lz4", "Z", "zip", "z"].iter().any(|known| e == *known))
}

impl Reading {
    pub(super) fn open(path: &Path) -> io::Result<Reading> {
        if is_gzip(path) { Ok(Reading::Gzip(Box::new(Gzip::open(path)?))) } else { File::open(path).map(Reading::Plain) }
    }
    pub(super) fn file(&self) -> &File {
        match self {
            Reading::Plain(file) => file,
            Reading::Gzip(gzip) => gzip.decoder.get_ref().get_ref(),
        }
    }
    pub(super) fn is_compressed(&self) -> bool {
        matches!(self, Reading::Gzip(_))
    }
    /// Fills the buffer with the bytes from a place on.
    pub(super) fn portion(&mut self, from: u64, buffer: &mut [u8]) -> io::Result<Portion> {
        match self {
            Reading::Plain(file) => {
                let mut length = 0;
                while let Some(room) = buffer.get_mut(length..).filter(|room| !room.is_empty()) {
                    match file.read_at(room, from + length as u64) {
                        Ok(0) => break,
                        Ok(more) => length += more,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(Portion { length, last: false, end: length < buffer.len() })
            }
            Reading::Gzip(gzip) => gzip.portion(from, buffer),
        }
    }
}

impl Bytes for Reading {
    fn at(&mut self, from: u64, length: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        match self {
            Reading::Plain(file) => file.read_exact_at(&mut bytes, from)?,
            Reading::Gzip(gzip) => bytes.copy_from_slice(&gzip.look(from, length)?),
        }
        Ok(bytes)
    }
}

impl Gzip {
    fn open(path: &Path) -> io::Result<Gzip> {
        let decoder = MultiGzDecoder::new(BufReader::new(File::open(path)?));
        Ok(Gzip { path: path.to_path_buf(), decoder, at: 0, kept: Vec::new(), head: Vec::new(), ended: false })
    }

    /// Some bytes, from memory where they are there. The place in the middle of the file stays as it is.
    fn look(&mut self, from: u64, length: u64) -> io::Result<Vec<u8>> {
        let begin = self.at - self.kept.len() as u64;
        let to = from.saturating_add(length);
        if to <= HEAD_BYTES && (self.head.len() as u64) < to {
            let mut head = Vec::new();
            MultiGzDecoder::new(BufReader::new(File::open(&self.path)?)).take(HEAD_BYTES).read_to_end(&mut head)?;
            self.head = head;
        }
        let part = |bytes: &[u8], first: u64| {
            let from = usize::try_from(from.checked_sub(first)?).ok()?;
            Some(bytes.get(from..from + usize::try_from(length).ok()?)?.to_vec())
        };
        if let Some(found) = part(&self.head, 0).or_else(|| part(&self.kept, begin)) {
            return Ok(found);
        }
        let mut again = MultiGzDecoder::new(BufReader::new(File::open(&self.path)?));
        let skipped = io::copy(&mut again.by_ref().take(from), &mut io::sink())?;
        let mut bytes = Vec::new();
        if skipped < from || again.take(length).read_to_end(&mut bytes)? as u64 != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(bytes)
    }

    fn portion(&mut self, from: u64, buffer: &mut [u8]) -> io::Result<Portion> {
        let begin = self.at - self.kept.len() as u64;
        if from < begin {
            *self = Gzip::open(&self.path)?;
        } else {
            let history = usize::try_from((from - begin).saturating_sub(HISTORY_BYTES).min(self.kept.len() as u64)).unwrap_or(0);
            self.kept.drain(..history);
        }
        if self.at < from {
            self.kept.clear();
            let skipped = io::copy(&mut self.decoder.by_ref().take((from - self.at).min(SKIP_BYTES)), &mut io::sink());
            let skipped = skipped.inspect_err(|_| self.begin_anew())?;
            self.at += skipped;
            // The file is shorter than it was: there is nothing to read from that place on.
            let last = skipped == 0;
            return Ok(Portion { length: 0, last, end: last });
        }
        let used = usize::try_from(from - (self.at - self.kept.len() as u64)).unwrap_or(0);
        while !self.ended && self.kept.len() - used < buffer.len() {
            let mut room = [0u8; 16 << 10];
            let most = room.len().min(buffer.len() - (self.kept.len() - used));
            let read = self.decoder.read(room.get_mut(..most).unwrap_or(&mut []));
            match read.inspect_err(|_| self.begin_anew()) {
                Ok(0) => self.ended = true,
                Ok(more) => {
                    self.at += more as u64;
                    self.kept.extend_from_slice(room.get(..more).unwrap_or(&[]));
                }
                // It is still being written, perhaps.
                Err(error) => return Err(error),
            }
        }
        let fresh = self.kept.get(used..).unwrap_or(&[]);
        let length = fresh.len().min(buffer.len());
        buffer.iter_mut().zip(fresh).for_each(|(to, from)| *to = *from);
        Ok(Portion { length, last: self.ended, end: self.ended })
    }

    /// After an error, the decoder is of no use: the next portion starts from the first byte.
    fn begin_anew(&mut self) {
        if let Ok(fresh) = Gzip::open(&self.path) {
            *self = fresh;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn what_was_unpacked_lately_is_not_unpacked_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.gz");
        let text: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
        let mut encoder = flate2::write::GzEncoder::new(File::create(&path).unwrap(), flate2::Compression::fast());
        encoder.write_all(&text).unwrap();
        encoder.finish().unwrap();
        let mut reading = Reading::open(&path).unwrap();
        assert_eq!(reading.at(0, 700).unwrap(), &text[..700]);
        // Whoever begins anew does not find the file any more.
        std::fs::remove_file(&path).unwrap();
        let mut buffer = vec![0; 100_000];
        let mut from = 0;
        loop {
            let portion = reading.portion(from as u64, &mut buffer).unwrap();
            assert_eq!(&buffer[..portion.length], &text[from..from + portion.length], "{from}");
            // A part of it is used, as where a line is not complete yet.
            from += portion.length - portion.length / 10;
            for (at, length) in [(0, 1_024), (from.saturating_sub(256), 256.min(from)), (from.saturating_sub(500_000), 256)] {
                assert_eq!(reading.at(at as u64, length as u64).unwrap(), &text[at..at + length], "{at} {length}");
            }
            if portion.last && portion.length < 10 {
                break;
            }
        }
        assert!(reading.at(1_000_000, 256).is_err());
    }
}
