//! Pictures that a camera gives by HTTP: as a stream of JPEGs that never ends (`multipart/x-mixed-replace`), or one at each question.
//! `parts` divides the stream, `size` reads how large a picture is. Pictures are counted, hashed and let go; one is kept only when
//! somebody wants to look at it.

pub mod parts;
pub mod size;
#[cfg(test)]
pub(super) mod tests;

use std::time::Duration;

use bytes::Bytes;
use watchfire_net::client::{ClientError, Stream};

use self::parts::{PART_BYTES_MAX, Parts, PartsError, Piece};
use self::size::SizeReader;
use super::picture::capture::PICTURE_BYTES_MAX;
use super::web::WebError;

const STREAM: &str = "the stream";
const PICTURE: &str = "the picture";

/// How a camera gives what it gives by HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// By playlists.
    Hls,
    /// As a stream of pictures.
    Mjpeg,
    /// One picture at each question.
    Snapshot,
}

impl Form {
    /// The words in the configuration.
    pub const WORDS: [&str; 3] = ["hls", "mjpeg", "snapshot"];

    /// The form of a word.
    pub fn of_word(word: &str) -> Form {
        match word {
            "mjpeg" => Form::Mjpeg,
            "snapshot" => Form::Snapshot,
            _ => Form::Hls,
        }
    }

    /// The word in the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Form::Hls => "hls",
            Form::Mjpeg => "mjpeg",
            Form::Snapshot => "snapshot",
        }
    }
}

/// An answer that begins: its first bytes may have been looked at.
pub(super) struct Beginning {
    answer: Stream,
    first: Option<Bytes>,
}

impl Beginning {
    pub(super) fn new(answer: Stream) -> Beginning {
        Beginning { answer, first: None }
    }

    /// What it is: as it calls itself, else as it begins. What is neither a picture nor a stream of pictures is taken for a playlist.
    pub(super) async fn form(&mut self) -> Result<Form, MjpegError> {
        let kind = self.answer.header("content-type").unwrap_or_default().trim_start().to_ascii_lowercase();
        if kind.starts_with("multipart/") {
            return Ok(Form::Mjpeg);
        }
        if kind.starts_with("image/") {
            return Ok(Form::Snapshot);
        }
        self.first = self.answer.chunk().await.map_err(|error| WebError::failed(STREAM, &error.into()))?;
        let first = self.first.as_deref().unwrap_or_default().trim_ascii_start();
        Ok(match first {
            [b'-', b'-', ..] => Form::Mjpeg,
            [0xff, 0xd8, ..] => Form::Snapshot,
            _ => Form::Hls,
        })
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, ClientError> {
        match self.first.take() {
            Some(first) => Ok(Some(first)),
            None => self.answer.chunk().await,
        }
    }
}

/// Why no pictures come.
#[derive(Debug, thiserror::Error)]
pub(super) enum MjpegError {
    #[error(transparent)]
    Web(#[from] WebError),
    #[error("cannot read the stream: {0}")]
    Parts(#[from] PartsError),
    #[error("cannot get pictures: {0}")]
    Content(&'static str),
    #[error("cannot get pictures: the camera ended the stream")]
    Closed,
    #[error("no byte came for {0:?}")]
    Stalled(Duration),
}

impl MjpegError {
    /// The reason as a label has it.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            MjpegError::Web(error) => error.reason(),
            MjpegError::Parts(PartsError::Over) | MjpegError::Closed => "closed",
            MjpegError::Parts(_) => "protocol",
            MjpegError::Content(_) => "description",
            MjpegError::Stalled(_) => "stalled",
        }
    }
}

/// A whole picture that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Whole {
    pub(super) bytes: u64,
    /// By which pictures with the same bytes are found.
    pub(super) hash: u64,
    pub(super) size: Option<(u32, u32)>,
    /// The picture itself, if somebody wanted it.
    pub(super) kept: Option<Vec<u8>>,
}

/// A picture on its way.
#[derive(Debug)]
struct Arriving {
    bytes: u64,
    hash: u64,
    size: SizeReader,
    kept: Option<Vec<u8>>,
}

impl Arriving {
    fn begin(wanted: bool) -> Arriving {
        Arriving { bytes: 0, hash: 0xcbf2_9ce4_8422_2325, size: SizeReader::default(), kept: wanted.then(Vec::new) }
    }

    fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.hash = bytes.iter().fold(self.hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        self.size.read(bytes);
        if let Some(kept) = self.kept.as_mut() {
            if kept.len() + bytes.len() > PICTURE_BYTES_MAX {
                // It is too large to be looked at, and counts all the same.
                self.kept = None;
            } else {
                kept.extend_from_slice(bytes);
            }
        }
    }

    /// The picture, if it is one.
    fn end(self) -> Option<Whole> {
        let Arriving { bytes, hash, size, kept } = self;
        size.is_jpeg().then(|| Whole { bytes, hash, size: size.size(), kept })
    }
}

/// What watches pictures.
pub(super) trait Watch {
    /// Whether the next picture is to be kept.
    fn wants(&self) -> bool;
    /// A picture came, or something that is none.
    fn came(&mut self, picture: Option<Whole>);
}

/// Receives a stream until it ends. Nothing for so long is a stall.
pub(super) async fn receive(mut beginning: Beginning, stalled_after: Duration, watch: &mut (dyn Watch + Send)) -> Result<(), MjpegError> {
    let mut parts = Parts::new(beginning.answer.header("content-type").unwrap_or_default());
    let mut arriving = None::<Arriving>;
    loop {
        beginning.answer.wait_at_most(stalled_after);
        let bytes = match beginning.chunk().await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Err(MjpegError::Closed),
            Err(ClientError::Timeout(after)) => return Err(MjpegError::Stalled(after)),
            Err(_) => return Err(MjpegError::Closed),
        };
        parts.feed(&bytes, &mut |piece| match piece {
            Piece::Bytes(bytes) => arriving.get_or_insert_with(|| Arriving::begin(watch.wants())).add(bytes),
            Piece::End => watch.came(arriving.take().and_then(Arriving::end)),
        })?;
    }
}

/// Reads one picture to its end.
pub(super) async fn take(mut beginning: Beginning, wanted: bool) -> Result<Whole, MjpegError> {
    let mut arriving = Arriving::begin(wanted);
    while let Some(bytes) = beginning.chunk().await.map_err(|error| WebError::failed(PICTURE, &error.into()))? {
        arriving.add(&bytes);
        if arriving.bytes > PART_BYTES_MAX {
            return Err(MjpegError::Parts(PartsError::TooLarge));
        }
    }
    arriving.end().ok_or(MjpegError::Content("what comes is no JPEG"))
}

/// What is asked for, in messages.
pub(super) fn what(form: Option<Form>) -> &'static str {
    if form == Some(Form::Snapshot) { PICTURE } else { STREAM }
}
