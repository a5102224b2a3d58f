//! Frames: a version, a letter, and what the letter says: `W` a window, `J` an event in JSON, `D` one in pairs of texts, `C` packed frames.
//! They come in pieces of any size. A packed frame is kept until it is whole, and unpacked piece by piece; an event that is too long is passed
//! over without being kept.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use watchfire_net::inflate::{self, Encoding, InflateError, Limits};

use super::SessionError;

/// The longest event. Lines are bounded more tightly at the gate; this one is read so that it can be refused alone.
pub(super) const EVENT_BYTES_MAX: usize = 1 << 20;
/// The largest packed frame.
pub(super) const PACKED_BYTES_MAX: usize = 16 << 20;
/// The most bytes that a packed frame may become. They are never there all at once.
pub(super) const UNPACKED_BYTES_MAX: usize = 256 << 20;
/// The most pairs of an event.
const PAIRS_MAX: u32 = 1_024;
/// A buffer that grew beyond this is given back.
const KEPT_BYTES: usize = 64 << 10;
/// The most bytes of begun frames, over all connections.
pub(super) const HELD_BYTES_MAX: usize = 64 << 20;

/// Why bytes are no frames.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Another version, or another protocol: TLS, HTTP.
    #[error("version {0:?} is neither 1 nor 2")]
    Version(char),
    /// A letter that says nothing.
    #[error("no frame has the letter {0:?}")]
    Letter(char),
    /// A frame that is larger than any may be.
    #[error("a packed frame of {0} bytes, more than {PACKED_BYTES_MAX}")]
    Packed(usize),
    /// An event of more pairs than any may have.
    #[error("an event of {0} pairs, more than {PAIRS_MAX}")]
    Pairs(u32),
    /// An event in pairs that is too long. Where it ends is known only by reading it all, so it cannot be passed over.
    #[error("an event in pairs of more than {EVENT_BYTES_MAX} bytes")]
    Event,
    /// Packed frames in a packed frame, or a part of a frame at its end.
    #[error("a packed frame holds {0}")]
    Inside(&'static str),
    /// It cannot be unpacked.
    #[error(transparent)]
    Inflate(#[from] InflateError),
    /// It cannot be unpacked to its end.
    #[error("cannot unpack a frame: {0}")]
    Unpack(std::io::Error),
}

/// A frame.
pub(super) enum Frame<'a> {
    Window { version: u8, events: u32 },
    Json { sequence: u32, text: &'a [u8] },
    Pairs { sequence: u32, pairs: Vec<(String, String)> },
    TooLong { sequence: u32 },
}

/// Bytes of begun frames over all connections.
#[derive(Default)]
pub(super) struct Held(AtomicUsize);

/// What one connection holds of them.
struct Share {
    all: Arc<Held>,
    bytes: usize,
}
impl Share {
    fn set(&mut self, bytes: usize) -> Result<(), SessionError> {
        let more = |before: usize| (before - self.bytes).checked_add(bytes).filter(|sum| *sum <= HELD_BYTES_MAX || bytes <= self.bytes);
        self.all.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).map_err(|_| SessionError::Memory(bytes))?;
        self.bytes = bytes;
        Ok(())
    }
}
impl Drop for Share {
    fn drop(&mut self) {
        self.all.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What comes next.
pub(super) enum Next<'a> {
    /// Nothing before more bytes come.
    More,
    Frame(Frame<'a>),
    Packed(Packed),
}

/// The frames of a connection.
pub(super) struct Frames {
    /// The beginning of a frame.
    begun: Vec<u8>,
    /// The frame that was handed out last.
    whole: Vec<u8>,
    /// Bytes of an event that is too long, still to come.
    skip: usize,
    texts: Texts,
    share: Share,
}

/// What the first bytes of a frame say.
enum Head {
    /// More of them are needed.
    Short,
    Window {
        version: u8,
        events: u32,
    },
    /// An event in JSON: its number, and where the text begins and how long it is.
    Json {
        sequence: u32,
        length: usize,
    },
    Packed {
        length: usize,
    },
    Pairs {
        sequence: u32,
        count: u32,
    },
}

const HEAD_BYTES: usize = 6;
const JSON_HEAD_BYTES: usize = 10;

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk::<4>().map(|four| u32::from_be_bytes(*four))
}

fn head(bytes: &[u8]) -> Result<Head, FrameError> {
    let [version, rest @ ..] = bytes else { return Ok(Head::Short) };
    if !matches!(version, b'1' | b'2') {
        return Err(FrameError::Version(char::from(*version)));
    }
    let Some(letter) = rest.first() else { return Ok(Head::Short) };
    if !matches!(letter, b'W' | b'J' | b'C' | b'D') {
        return Err(FrameError::Letter(char::from(*letter)));
    }
    let Some(first) = number(bytes, 2) else { return Ok(Head::Short) };
    let length = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    match (letter, number(bytes, HEAD_BYTES)) {
        (b'W', _) => Ok(Head::Window { version: *version, events: first }),
        (b'C', _) if length(first) > PACKED_BYTES_MAX => Err(FrameError::Packed(length(first))),
        (b'C', _) => Ok(Head::Packed { length: length(first) }),
        (_, None) => Ok(Head::Short),
        (b'J', Some(second)) => Ok(Head::Json { sequence: first, length: length(second) }),
        (_, Some(second)) if second > PAIRS_MAX => Err(FrameError::Pairs(second)),
        (_, Some(second)) => Ok(Head::Pairs { sequence: first, count: second }),
    }
}

/// How far the texts of an event in pairs were looked through.
#[derive(Default)]
struct Texts {
    at: usize,
    count: usize,
}

impl Texts {
    /// Goes on as far as texts are there. The answer is how many bytes the event needs at least, which is its length when all are there.
    fn look(&mut self, bytes: &[u8], count: u32) -> Result<usize, FrameError> {
        self.at = self.at.max(JSON_HEAD_BYTES);
        while self.count < 2 * usize::try_from(count).unwrap_or(usize::MAX) {
            let Some(length) = number(bytes, self.at) else { return Ok(self.at + 4) };
            let end = usize::try_from(length).ok().and_then(|length| length.checked_add(self.at + 4)).filter(|end| *end <= EVENT_BYTES_MAX);
            let end = end.ok_or(FrameError::Event)?;
            if bytes.len() < end {
                return Ok(end);
            }
            (self.at, self.count) = (end, self.count + 1);
        }
        Ok(self.at)
    }
}

/// The pairs of an event that is whole.
fn pairs(bytes: &[u8]) -> Vec<(String, String)> {
    let mut at = JSON_HEAD_BYTES;
    let mut text = || {
        let length = usize::try_from(number(bytes, at)?).ok()?;
        let found = bytes.get(at + 4..at + 4 + length)?;
        at += 4 + length;
        Some(String::from_utf8_lossy(found).into_owned())
    };
    std::iter::from_fn(|| Some((text()?, text()?))).collect()
}

impl Frames {
    pub(super) fn new(all: Arc<Held>) -> Frames {
        Frames { begun: Vec::new(), whole: Vec::new(), skip: 0, texts: Texts::default(), share: Share { all, bytes: 0 } }
    }

    /// Takes what belongs to the next frame off the front of some bytes.
    pub(super) fn next<'a>(&'a mut self, bytes: &mut &[u8]) -> Result<Next<'a>, SessionError> {
        if self.whole.capacity() > KEPT_BYTES {
            self.whole = Vec::new();
        }
        let skipped = self.skip.min(bytes.len());
        *bytes = bytes.get(skipped..).unwrap_or(&[]);
        self.skip -= skipped;
        loop {
            let wanted = match head(&self.begun)? {
                Head::Short => self.begun.len() + 1,
                Head::Window { version, events } => {
                    self.begun.clear();
                    return Ok(Next::Frame(Frame::Window { version, events }));
                }
                Head::Json { sequence, length } if length > EVENT_BYTES_MAX => {
                    self.skip = length.min(bytes.len());
                    *bytes = bytes.get(self.skip..).unwrap_or(&[]);
                    self.skip = length - self.skip;
                    self.reset()?;
                    return Ok(Next::Frame(Frame::TooLong { sequence }));
                }
                Head::Json { sequence, length } if self.begun.len() == JSON_HEAD_BYTES + length => {
                    std::mem::swap(&mut self.begun, &mut self.whole);
                    self.reset()?;
                    return Ok(Next::Frame(Frame::Json { sequence, text: self.whole.get(JSON_HEAD_BYTES..).unwrap_or(&[]) }));
                }
                Head::Json { length, .. } => JSON_HEAD_BYTES + length,
                Head::Packed { length } if self.begun.len() == HEAD_BYTES + length => {
                    let packed = Packed(std::mem::take(&mut self.begun));
                    self.reset()?;
                    return Ok(Next::Packed(packed));
                }
                Head::Packed { length } => HEAD_BYTES + length,
                Head::Pairs { sequence, count } => {
                    let wanted = self.texts.look(&self.begun, count)?;
                    if wanted == self.begun.len() {
                        let pairs = pairs(&self.begun);
                        self.reset()?;
                        return Ok(Next::Frame(Frame::Pairs { sequence, pairs }));
                    }
                    wanted
                }
            };
            if bytes.is_empty() {
                return Ok(Next::More);
            }
            let taken = (wanted - self.begun.len()).min(bytes.len());
            let (more, rest) = bytes.split_at(taken);
            self.share.set(self.begun.len() + taken)?;
            self.begun.extend_from_slice(more);
            *bytes = rest;
        }
    }

    fn reset(&mut self) -> Result<(), SessionError> {
        self.texts = Texts::default();
        self.begun.clear();
        if self.begun.capacity() > KEPT_BYTES {
            self.begun = Vec::new();
        }
        self.share.set(0)
    }
}

/// A packed frame that is whole.
pub(super) struct Packed(Vec<u8>);
impl Packed {
    pub(super) fn open(&self) -> Result<Inside<'_>, FrameError> {
        let limits = Limits { compressed: PACKED_BYTES_MAX, decompressed: UNPACKED_BYTES_MAX };
        let inner = inflate::reader(Encoding::Deflate, self.0.get(HEAD_BYTES..).unwrap_or(&[]), limits)?;
        Ok(Inside { inner: Box::new(inner), bytes: Vec::new() })
    }
}

/// The frames within a packed one.
pub(super) struct Inside<'a> {
    inner: Box<dyn Read + 'a>,
    /// The frame that is read.
    bytes: Vec<u8>,
}

impl Inside<'_> {
    /// The next frame.
    pub(super) fn next(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        self.bytes.clear();
        if self.more(HEAD_BYTES)? == 0 {
            return Ok(None);
        }
        loop {
            match head(&self.bytes)? {
                Head::Short if self.bytes.len() < JSON_HEAD_BYTES => self.exactly(JSON_HEAD_BYTES - self.bytes.len())?,
                Head::Short => return Err(FrameError::Inside("half a frame")),
                Head::Packed { .. } => return Err(FrameError::Inside("a packed frame")),
                Head::Window { version, events } => return Ok(Some(Frame::Window { version, events })),
                Head::Json { sequence, length } if length > EVENT_BYTES_MAX => {
                    self.pass_over(length)?;
                    return Ok(Some(Frame::TooLong { sequence }));
                }
                Head::Json { sequence, length } => {
                    self.exactly(length)?;
                    return Ok(Some(Frame::Json { sequence, text: self.bytes.get(JSON_HEAD_BYTES..).unwrap_or(&[]) }));
                }
                Head::Pairs { sequence, count } => return self.pairs(sequence, count).map(Some),
            }
        }
    }

    fn pairs(&mut self, sequence: u32, count: u32) -> Result<Frame<'static>, FrameError> {
        let mut texts = Texts::default();
        loop {
            let wanted = texts.look(&self.bytes, count)?;
            if wanted == self.bytes.len() {
                return Ok(Frame::Pairs { sequence, pairs: pairs(&self.bytes) });
            }
            self.exactly(wanted - self.bytes.len())?;
        }
    }

    /// Reads so many bytes more, if there are so many.
    fn more(&mut self, count: usize) -> Result<usize, FrameError> {
        let read = self.inner.by_ref().take(count as u64).read_to_end(&mut self.bytes).map_err(FrameError::Unpack)?;
        Ok(read)
    }

    fn exactly(&mut self, count: usize) -> Result<(), FrameError> {
        if self.more(count)? < count { Err(FrameError::Inside("half a frame")) } else { Ok(()) }
    }

    fn pass_over(&mut self, count: usize) -> Result<(), FrameError> {
        let passed = std::io::copy(&mut self.inner.by_ref().take(count as u64), &mut std::io::sink()).map_err(FrameError::Unpack)?;
        if passed < count as u64 { Err(FrameError::Inside("half a frame")) } else { Ok(()) }
    }
}
