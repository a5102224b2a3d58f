//! A stream as HLS offers it: its playlist is asked for again and again, and each newest segment is fetched to see that it is there. Nothing
//! is decoded. Only the host that the configuration names is asked; credentials go nowhere else.

pub mod playlist;
#[cfg(test)]
mod tests;

use std::time::Duration;

use url::Url;
use watchfire_model::time::Timestamp;
use watchfire_net::client::ClientError;
use watchfire_net::inflate::InflateError;

use self::playlist::{Playlist, PlaylistError, Segment, Segments};
use super::figures::{Arrived, Now, Totals};
use super::web::{Asker, WebError};

/// Bytes of a segment that are fetched.
const SEGMENT_BYTES_MAX: u64 = 64 << 20;
/// How often the playlist is asked for: twice in the time of a segment, within these limits.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// A stream whose playlist shows nothing new for so many segments stands still.
const TARGETS: f64 = 3.0;

/// Why a stream cannot be followed.
#[derive(Debug, thiserror::Error)]
pub(super) enum HlsError {
    #[error(transparent)]
    Web(#[from] WebError),
    #[error(transparent)]
    Playlist(#[from] PlaylistError),
    #[error("cannot follow the playlist: {0}")]
    Content(&'static str),
}
impl HlsError {
    /// The reason as a label has it.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            HlsError::Web(error) => error.reason(),
            HlsError::Playlist(_) => "protocol",
            HlsError::Content(_) => "description",
        }
    }
}

/// What one look at the playlist showed.
#[derive(Debug, Default)]
pub(super) struct Poll {
    requests: u64,
    target: f64,
    newest: Option<Segment>,
    /// The bytes of the newest segment, if it was fetched.
    bytes: Option<u64>,
    quality: Quality,
}

/// What is declared of the stream.
#[derive(Clone, Debug, Default, PartialEq)]
struct Quality {
    bandwidth: u64,
    size: Option<(u32, u32)>,
    fps: Option<f64>,
}

/// Follows one stream.
pub(super) struct Follower<'a> {
    asker: Asker<'a>,
    /// The playlist with the segments, once it is known, and what is declared of it.
    media: Option<(Url, Quality)>,
    fetched: Option<u64>,
    requests: u64,
    target: f64,
}

impl<'a> Follower<'a> {
    pub(super) fn new(asker: Asker<'a>) -> Follower<'a> {
        Follower { asker, media: None, fetched: None, requests: 0, target: 0.0 }
    }

    /// How long to wait before the next look.
    pub(super) fn pause(&self) -> Duration {
        Duration::from_secs_f64(self.target / 2.0).clamp(PAUSE_MIN, PAUSE_MAX)
    }

    /// Looks once.
    pub(super) async fn poll(&mut self) -> Result<Poll, HlsError> {
        self.requests = 0;
        let segments = self.segments().await?;
        if segments.ended {
            return Err(HlsError::Content("it says that the stream is over"));
        }
        self.target = segments.target;
        let mut poll =
            Poll { target: segments.target, quality: self.media.as_ref().map(|(_, quality)| quality.clone()).unwrap_or_default(), ..Poll::default() };
        if let (Some(newest), Some((base, _))) = (&segments.newest, self.media.clone())
            && self.fetched != Some(newest.number)
            && let Some(url) = Asker::within(&base, &newest.address)
        {
            poll.bytes = Some(self.count(&url).await?);
            self.fetched = Some(newest.number);
        }
        poll.newest = segments.newest;
        poll.requests = self.requests;
        Ok(poll)
    }

    async fn segments(&mut self) -> Result<Segments, HlsError> {
        if let Some((url, _)) = self.media.clone() {
            return match self.playlist(&url).await? {
                (_, Playlist::Segments(segments)) => Ok(segments),
                (_, Playlist::Streams(_)) => Err(HlsError::Content("it named segments before and names streams now")),
            };
        }
        let root = self.asker.root("the playlist")?;
        let (base, streams) = match self.playlist(&root).await? {
            (at, Playlist::Segments(segments)) => {
                self.media = Some((at, Quality::default()));
                return Ok(segments);
            }
            (at, Playlist::Streams(streams)) => (at, streams),
        };
        // The smallest stream stops when the large ones do, and costs the least.
        let smallest = streams.iter().min_by_key(|stream| stream.bandwidth).ok_or(HlsError::Content("it names no stream"))?;
        let url = Asker::within(&base, &smallest.address).ok_or(HlsError::Content("it names streams at another host, which is not asked"))?;
        let quality = Quality { bandwidth: smallest.bandwidth, size: smallest.size, fps: smallest.fps };
        match self.playlist(&url).await? {
            (at, Playlist::Segments(segments)) => {
                self.media = Some((at, quality));
                Ok(segments)
            }
            (_, Playlist::Streams(_)) => Err(HlsError::Content("its streams name streams in turn")),
        }
    }

    /// A playlist with the address that it was found at.
    async fn playlist(&mut self, url: &Url) -> Result<(Url, Playlist), HlsError> {
        self.requests += 1;
        let (url, body) = self.asker.get("the playlist", url, playlist::BYTES_MAX).await?;
        Ok((url, playlist::parse(&body)?))
    }

    /// The bytes of a segment as they come. They are counted and let go piece by piece: many cameras' segments at once are much.
    async fn count(&mut self, url: &Url) -> Result<u64, HlsError> {
        const WHAT: &str = "a segment";
        let (_, mut answer) = self.asker.open(WHAT, url).await?;
        let mut bytes = 0;
        while let Some(piece) = answer.chunk().await.map_err(|error| WebError::failed(WHAT, &error.into()))? {
            bytes += piece.len() as u64;
            if bytes > SEGMENT_BYTES_MAX {
                return Err(WebError::failed(WHAT, &ClientError::Body(InflateError::Compressed(SEGMENT_BYTES_MAX as usize)).into()).into());
            }
        }
        Ok(bytes)
    }
}

/// What is known of a stream.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) totals: Totals,
    connected: bool,
    target: f64,
    /// Since when a newer segment is waited for.
    waiting_since: Option<Duration>,
    /// The number of the newest segment, and when it was first seen.
    newest: Option<(u64, Timestamp)>,
    taken: Option<Timestamp>,
    bits_per_second: Option<f64>,
    quality: Quality,
}

impl Figures {
    /// A look showed something.
    pub(super) fn polled(&mut self, poll: &Poll, now: Arrived) {
        self.connected = true;
        self.totals.playlist_requests += poll.requests;
        self.target = poll.target;
        if self.quality.size.is_some() && poll.quality.size.is_some() && self.quality.size != poll.quality.size {
            self.totals.size_changes += 1;
        }
        self.quality = poll.quality.clone();
        self.waiting_since.get_or_insert(now.monotonic);
        let Some(newest) = &poll.newest else { return };
        if self.newest.is_none_or(|(number, _)| number != newest.number) {
            self.newest = Some((newest.number, now.wall));
            self.waiting_since = Some(now.monotonic);
            self.totals.segments += 1;
        }
        self.taken = newest.taken;
        if let Some(bytes) = poll.bytes {
            self.totals.bytes += bytes;
            self.bits_per_second = (newest.seconds > 0.0).then(|| bytes as f64 * 8.0 / newest.seconds);
        }
    }

    /// The stream cannot be followed any more.
    pub(super) fn end(&mut self) {
        self.connected = false;
        self.waiting_since = None;
        self.bits_per_second = None;
    }

    /// What the label `quality` says.
    pub(super) fn quality(&self) -> String {
        self.quality.size.map_or_else(|| "source".to_owned(), |(_, height)| format!("{height}p"))
    }

    /// The figures now.
    pub(super) fn now(&self, frozen_after: Duration, now: Arrived) -> Now {
        let age = self.waiting_since.map(|since| now.monotonic.saturating_sub(since));
        let patience = frozen_after.max(Duration::from_secs_f64(self.target * TARGETS));
        let latency = self.taken.filter(|_| self.connected).and_then(|taken| u64::try_from(now.wall.millis().saturating_sub(taken.millis())).ok());
        Now {
            connected: self.connected,
            frozen: self.connected && age.is_some_and(|age| age >= patience),
            fps: None,
            bits_per_second: self.bits_per_second,
            jitter: None,
            key_gap: None,
            last_frame: self.newest.map(|(_, seen)| seen),
            size: self.quality.size,
            latency: latency.map(Duration::from_millis),
            segment_age: age.filter(|_| self.newest.is_some()),
            totals: self.totals,
        }
    }
}
