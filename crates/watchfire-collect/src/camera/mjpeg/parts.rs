//! `multipart/x-mixed-replace` read as it comes: which bytes are those of a part, and where it ends. Cameras are careless with it, so it is
//! taken as they send it: with and without lengths, with dashes that are part of the boundary or not, with line ends of either kind. No
//! part is kept. Bytes come from strangers.

/// Bytes of one part.
pub const PART_BYTES_MAX: u64 = 16 << 20;
/// Bytes between parts.
const BETWEEN_BYTES_MAX: usize = 1 << 20;
/// Bytes of a line of a header that are looked at.
const LINE_BYTES_MAX: usize = 256;
/// Lines of one header, and its bytes.
const LINES_MAX: u32 = 64;
const HEADER_BYTES_MAX: usize = 64 << 10;
/// The longest boundary (RFC 2046 allows 70).
const BOUNDARY_BYTES_MAX: usize = 200;
/// Dashes that may stand before a boundary, and with the line end before them.
const DASHES_MAX: usize = 6;
const BEFORE_MAX: usize = DASHES_MAX + 2;

/// Why what comes is no stream of parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartsError {
    /// Nothing divides it.
    #[error("no boundary is found in {BETWEEN_BYTES_MAX} bytes")]
    NoBoundary,
    /// A header does not end.
    #[error("a part has more than {LINES_MAX} lines or {HEADER_BYTES_MAX} bytes of header")]
    Header,
    /// A part is too large, or says that it will be.
    #[error("a part is larger than {PART_BYTES_MAX} bytes")]
    TooLarge,
    /// It says that nothing follows.
    #[error("the stream says that it is over")]
    Over,
}

/// What a part gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Some of its bytes.
    Bytes(&'a [u8]),
    /// Its end. Parts without bytes are none.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before a boundary; so many bytes were skipped.
    Between(usize),
    /// In a header: the length that it told, its lines, and its bytes.
    Header { length: Option<u64>, lines: u32, bytes: usize },
    /// In a part of which so many bytes are left.
    Counted(u64),
    /// In a part that ends at the next boundary; so many bytes of it were there.
    Open(u64),
}

/// Reads a stream of parts.
#[derive(Debug)]
pub struct Parts {
    /// Without the dashes before it; empty while nobody has told it.
    boundary: Vec<u8>,
    state: State,
    /// The beginning of the line that is being read.
    line: Vec<u8>,
    /// The end of an open part that may be the beginning of a boundary.
    held: Vec<u8>,
    /// Whether the part has given bytes.
    given: bool,
}

impl Parts {
    /// Begins, with the value of the header `Content-Type`. Without a boundary in it the first line with dashes is one.
    pub fn new(content_type: &str) -> Parts {
        let named = content_type.split(';').skip(1).find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"').trim().as_bytes())
        });
        let boundary = named.map(undashed).filter(|boundary| boundary.len() <= BOUNDARY_BYTES_MAX).unwrap_or_default();
        Parts { boundary: boundary.to_vec(), state: State::Between(0), line: Vec::new(), held: Vec::new(), given: false }
    }

    /// Takes the next bytes of the stream, and gives those of parts on.
    pub fn feed(&mut self, bytes: &[u8], take: &mut dyn FnMut(Piece<'_>)) -> Result<(), PartsError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match self.state {
                State::Counted(left) => self.counted(left, rest, take),
                State::Open(before) => self.open(before, rest, take)?,
                State::Between(_) | State::Header { .. } => self.lines(rest)?,
            };
        }
        Ok(())
    }

    fn give(&mut self, bytes: &[u8], take: &mut dyn FnMut(Piece<'_>)) {
        if !bytes.is_empty() {
            self.given = true;
            take(Piece::Bytes(bytes));
        }
    }

    fn end(&mut self, take: &mut dyn FnMut(Piece<'_>)) {
        if std::mem::take(&mut self.given) {
            take(Piece::End);
        }
        self.state = State::Between(0);
    }

    fn counted<'a>(&mut self, left: u64, bytes: &'a [u8], take: &mut dyn FnMut(Piece<'_>)) -> &'a [u8] {
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let (part, rest) = bytes.split_at_checked(taken).unwrap_or((bytes, &[]));
        self.give(part, take);
        match left.saturating_sub(taken as u64) {
            0 => self.end(take),
            left => self.state = State::Counted(left),
        }
        rest
    }

    /// A part without a length: it ends at a line that is the boundary. What may be its beginning is held back.
    fn open<'a>(&mut self, before: u64, bytes: &'a [u8], take: &mut dyn FnMut(Piece<'_>)) -> Result<&'a [u8], PartsError> {
        let known = self.held.len();
        // Only so much goes in at once that what is held stays small.
        let taken = bytes.len().min(64 << 10);
        let (now, rest) = bytes.split_at_checked(taken).unwrap_or((bytes, &[]));
        let mut all = std::mem::take(&mut self.held);
        all.extend_from_slice(now);
        if let Some((begin, end)) = find(&all, &self.boundary, before == 0) {
            self.give(all.get(..begin).unwrap_or(&[]), take);
            self.end(take);
            // The rest of the boundary's line is read like any other one.
            self.line = all.get(begin..end).unwrap_or(&[]).to_vec();
            while self.line.first().is_some_and(|byte| matches!(byte, b'\r' | b'\n')) {
                self.line.remove(0);
            }
            let used = end.saturating_sub(known);
            return Ok(bytes.get(used..).unwrap_or(&[]));
        }
        let kept = (self.boundary.len() + BEFORE_MAX).min(all.len());
        let (give, hold) = all.split_at_checked(all.len() - kept).unwrap_or((&all, &[]));
        let before = before + give.len() as u64;
        if before > PART_BYTES_MAX {
            return Err(PartsError::TooLarge);
        }
        self.give(give, take);
        self.held = hold.to_vec();
        self.state = State::Open(before);
        Ok(rest)
    }

    /// Reads as far as the next end of a line.
    fn lines<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], PartsError> {
        let end = memchr::memchr(b'\n', bytes);
        let (part, rest) = bytes.split_at_checked(end.unwrap_or(bytes.len())).unwrap_or((bytes, &[]));
        let room = LINE_BYTES_MAX.saturating_sub(self.line.len()).min(part.len());
        self.line.extend_from_slice(part.get(..room).unwrap_or(&[]));
        if let State::Between(skipped) = self.state {
            if skipped > BETWEEN_BYTES_MAX {
                return Err(PartsError::NoBoundary);
            }
            self.state = State::Between(skipped + part.len() + usize::from(end.is_some()));
        }
        if let State::Header { bytes, .. } = &mut self.state {
            *bytes = bytes.saturating_add(part.len());
            if *bytes > HEADER_BYTES_MAX {
                return Err(PartsError::Header);
            }
        }
        if end.is_none() {
            return Ok(&[]);
        }
        let line = std::mem::take(&mut self.line);
        self.line(line.trim_ascii_end())?;
        Ok(rest.get(1..).unwrap_or(&[]))
    }

    fn line(&mut self, line: &[u8]) -> Result<(), PartsError> {
        match self.state {
            State::Between(_) => {
                if self.boundary.is_empty() && line.starts_with(b"--") && !undashed(line).is_empty() {
                    self.boundary = undashed(line).get(..BOUNDARY_BYTES_MAX).unwrap_or(undashed(line)).to_vec();
                }
                let Some(after) = undashed(line).strip_prefix(self.boundary.as_slice()) else { return Ok(()) };
                if self.boundary.is_empty() || !line.starts_with(b"--") && !after.is_empty() {
                    return Ok(());
                }
                if after.starts_with(b"--") {
                    return Err(PartsError::Over);
                }
                self.state = State::Header { length: None, lines: 0, bytes: 0 };
            }
            State::Header { length, .. } if line.is_empty() => {
                self.state = match length {
                    Some(0) => State::Between(0),
                    Some(length) => State::Counted(length),
                    None => State::Open(0),
                };
            }
            State::Header { length, lines, bytes } => {
                if lines >= LINES_MAX {
                    return Err(PartsError::Header);
                }
                let told = std::str::from_utf8(line).ok().and_then(|line| line.split_once(':'));
                let told = told.filter(|(name, _)| name.trim().eq_ignore_ascii_case("content-length")).and_then(|(_, value)| value.trim().parse::<u64>().ok());
                if told.is_some_and(|length| length > PART_BYTES_MAX) {
                    return Err(PartsError::TooLarge);
                }
                self.state = State::Header { length: told.or(length), lines: lines + 1, bytes };
            }
            State::Counted(_) | State::Open(_) => {}
        }
        Ok(())
    }
}

fn undashed(text: &[u8]) -> &[u8] {
    text.get(text.iter().take_while(|byte| **byte == b'-').count()..).unwrap_or(&[])
}

/// Where the line of a boundary begins, its line end included, and where the boundary ends.
fn find(bytes: &[u8], boundary: &[u8], at_begin: bool) -> Option<(usize, usize)> {
    memchr::memmem::find_iter(bytes, boundary).find_map(|at| {
        let before = bytes.get(..at)?;
        let dashes = before.iter().rev().take_while(|byte| **byte == b'-').count();
        let line = before.get(..at - dashes)?;
        let end = at + boundary.len();
        match line {
            _ if !(2..=DASHES_MAX).contains(&dashes) => None,
            [.., b'\r', b'\n'] => Some((line.len() - 2, end)),
            [.., b'\n'] => Some((line.len() - 1, end)),
            [] if at_begin => Some((0, end)),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(content_type: &str, stream: &[u8], piece: usize) -> (Vec<Vec<u8>>, Result<(), PartsError>) {
        let (mut parts, mut whole, mut now) = (Parts::new(content_type), Vec::new(), Vec::new());
        for piece in stream.chunks(piece.max(1)) {
            let fed = parts.feed(piece, &mut |piece| match piece {
                Piece::Bytes(bytes) => now.extend_from_slice(bytes),
                Piece::End => whole.push(std::mem::take(&mut now)),
            });
            if fed.is_err() {
                return (whole, fed);
            }
        }
        (whole, Ok(()))
    }

    const COUNTED: &[u8] = b"\r\n--x\r\nContent-Type: image/jpeg\r\ncontent-length: 3\r\n\r\nabc\r\n--x\r\nContent-Length: 4\r\n\r\n\n--x\r\n--x\r\n";
    const OPEN: &[u8] = b"--x\nContent-Type: image/jpeg\n\nab\r\n-x--xcd\n--y\r\n--x\n\n\n--x\n\nsecond\r\n--x\n";

    #[test]
    fn parts_with_and_without_lengths_in_pieces() {
        for piece in [1, 2, 3, 5, 1_000] {
            assert_eq!(read("multipart/x-mixed-replace; boundary=x", COUNTED, piece), (vec![b"abc".to_vec(), b"\n--x".to_vec()], Ok(())), "{piece}");
            assert_eq!(
                read("multipart/x-mixed-replace;boundary=\"x\"", OPEN, piece),
                (vec![b"ab\r\n-x--xcd\n--y".to_vec(), b"second".to_vec()], Ok(())),
                "{piece}"
            );
        }
    }

    #[test]
    fn careless_cameras() {
        for (content_type, stream) in [
            // Dashes that are part of the boundary, twice or not at all.
            ("multipart/x-mixed-replace; boundary=--cam", &b"--cam\r\nContent-Length: 2\r\n\r\nhi\r\n--cam\r\n"[..]),
            ("multipart/x-mixed-replace; boundary=--cam", b"----cam\r\n\r\nhi\r\n----cam\r\n"),
            ("multipart/x-mixed-replace; boundary=cam", b"cam\r\nContent-Length: 2\r\n\r\nhicam\r\n"),
            // Nobody tells it.
            ("multipart/x-mixed-replace", b"\r\n--anything\r\n\r\nhi\r\n--anything\r\n"),
            // A length that is too small: what is left over is skipped.
            ("multipart/x-mixed-replace;BOUNDARY=cam", b"--cam\r\nContent-Length: 2\r\n\r\nhi there\nyou\r\n--cam\r\n"),
            // No line end before the next boundary, no number for a length.
            ("multipart/x-mixed-replace;boundary=cam", b"--cam\nContent-Length: 2\n\nhi--cam\n"),
            ("multipart/x-mixed-replace;boundary=cam", b"--cam\nContent-Length: many\n\nhi\n--cam\n"),
        ] {
            for piece in [1, 4, 1_000] {
                assert_eq!(read(content_type, stream, piece), (vec![b"hi".to_vec()], Ok(())), "{}", String::from_utf8_lossy(stream));
            }
        }
    }

    #[test]
    fn what_has_no_end_is_refused() {
        let kind = "multipart/x-mixed-replace; boundary=x";
        let lines = [b"--x\n".to_vec(), b"a: b\n".repeat(100)].concat();
        let open = [b"--x\n\n".to_vec(), vec![b'.'; PART_BYTES_MAX as usize + 1_000]].concat();
        for (stream, error) in [
            (vec![b'.'; 3 << 20], PartsError::NoBoundary),
            (b"\n".repeat(3 << 20), PartsError::NoBoundary),
            (lines, PartsError::Header),
            // Lines that do not end, in one header or within the last line that there may be.
            ([b"--x\n".to_vec(), vec![b'.'; 1 << 20]].concat(), PartsError::Header),
            ([b"--x\n".to_vec(), b"a: b\n".repeat(60), vec![b'.'; 1 << 20]].concat(), PartsError::Header),
            (b"--x\nContent-Length: 99999999999\n\n".to_vec(), PartsError::TooLarge),
            (open, PartsError::TooLarge),
            (b"--x\nContent-Length: 1\n\na\n--x--\n".to_vec(), PartsError::Over),
        ] {
            assert_eq!(read(kind, &stream, 1 << 16).1, Err(error));
        }
    }

    proptest! {
        /// How a stream is cut does not matter.
        #[test]
        fn any_bytes(stream in prop::collection::vec(prop_oneof![Just(b'-'), Just(b'x'), Just(b'\n'), Just(b'\r'), any::<u8>()], 0..300), piece in 1usize..9) {
            for content_type in ["multipart/x-mixed-replace; boundary=x", "multipart/x-mixed-replace"] {
                let whole = read(content_type, &stream, 1_000);
                prop_assert_eq!(read(content_type, &stream, piece), whole);
            }
        }
    }
}
