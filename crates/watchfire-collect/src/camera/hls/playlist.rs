//! HLS playlists (RFC 8216): which streams there are, which segments a stream has now, and when they were taken. Only what watching needs is
//! read. Bytes come from strangers.

use watchfire_model::time::Timestamp;

/// Bytes of a playlist that are read.
pub const BYTES_MAX: usize = 1 << 20;
/// Segments and streams that are read; of more segments the newest count.
const LINES_MAX: usize = 50_000;
const STREAMS_MAX: usize = 64;
/// The longest address.
const ADDRESS_BYTES_MAX: usize = 4 << 10;
/// The longest segment, in seconds.
const SECONDS_MAX: f64 = 3_600.0;

/// Why a text is no playlist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the playlist: it does not begin with #EXTM3U")]
pub struct PlaylistError;

/// A playlist.
#[derive(Clone, Debug, PartialEq)]
pub enum Playlist {
    /// One that names others.
    Streams(Vec<Stream>),
    /// One that names segments.
    Segments(Segments),
}

/// A stream in one quality.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stream {
    /// Where its playlist is, relative to this one.
    pub address: String,
    /// Bits per second, as declared.
    pub bandwidth: u64,
    /// Width and height, if they are declared.
    pub size: Option<(u32, u32)>,
    /// Pictures per second, if they are declared.
    pub fps: Option<f64>,
}

/// The segments that a stream has now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Segments {
    /// The longest that a segment is, in seconds.
    pub target: f64,
    /// How many segments there are.
    pub count: usize,
    /// The newest segment, if there is one.
    pub newest: Option<Segment>,
    /// Whether nothing more will come.
    pub ended: bool,
}

/// One segment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Segment {
    /// Its number.
    pub number: u64,
    /// Where it is, relative to the playlist.
    pub address: String,
    /// How long it is, in seconds.
    pub seconds: f64,
    /// When its first picture was taken, as far as the playlist tells.
    pub taken: Option<Timestamp>,
}

/// Reads a playlist.
pub fn parse(bytes: &[u8]) -> Result<Playlist, PlaylistError> {
    let text = String::from_utf8_lossy(bytes.get(..BYTES_MAX).unwrap_or(bytes));
    let mut lines = text.trim_start_matches('\u{feff}').lines().map(str::trim).filter(|line| !line.is_empty());
    if lines.next() != Some("#EXTM3U") {
        return Err(PlaylistError);
    }
    let mut reading = Reading::default();
    lines.take(LINES_MAX).for_each(|line| reading.line(line));
    Ok(reading.done())
}

#[derive(Default)]
struct Reading {
    streams: Vec<Stream>,
    /// What the last `#EXT-X-STREAM-INF` said of the address that follows.
    announced: Option<Stream>,
    segments: Segments,
    number: u64,
    seconds: Option<f64>,
    /// When the next segment was taken.
    taken: Option<Timestamp>,
}

impl Reading {
    fn line(&mut self, line: &str) {
        if !line.starts_with('#') {
            return self.address(line);
        }
        let (tag, value) = line.split_once(':').unwrap_or((line, ""));
        match tag {
            "#EXT-X-STREAM-INF" => self.announced = Some(stream(value)),
            "#EXT-X-TARGETDURATION" => self.segments.target = seconds(value).unwrap_or_default(),
            "#EXT-X-MEDIA-SEQUENCE" => self.number = value.parse().unwrap_or_default(),
            "#EXT-X-PROGRAM-DATE-TIME" => self.taken = Timestamp::parse(&with_colon(value)),
            "#EXT-X-ENDLIST" => self.segments.ended = true,
            "#EXTINF" => self.seconds = seconds(value.split(',').next().unwrap_or_default()),
            _ => {}
        }
    }

    fn address(&mut self, line: &str) {
        let fits = line.len() <= ADDRESS_BYTES_MAX;
        if let Some(announced) = self.announced.take() {
            if fits && self.streams.len() < STREAMS_MAX {
                self.streams.push(Stream { address: line.to_owned(), ..announced });
            }
            return;
        }
        let Some(seconds) = self.seconds.take() else { return };
        self.segments.count += 1;
        let address = if fits { line.to_owned() } else { String::new() };
        self.segments.newest = Some(Segment { number: self.number, address, seconds, taken: self.taken });
        self.number = self.number.saturating_add(1);
        // A segment without a time of its own follows the one before.
        self.taken = self.taken.map(|taken| taken.plus_ms((seconds * 1_000.0) as i64));
    }

    fn done(self) -> Playlist {
        if self.streams.is_empty() { Playlist::Segments(self.segments) } else { Playlist::Streams(self.streams) }
    }
}

fn seconds(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|seconds: &f64| (0.0..=SECONDS_MAX).contains(seconds))
}

/// `2024-01-01T00:00:00+0000` is what many write for `+00:00`.
fn with_colon(text: &str) -> String {
    let text = text.trim();
    match text.len().checked_sub(5).and_then(|at| text.split_at_checked(at)) {
        Some((time, offset)) if offset.starts_with(['+', '-']) && !offset.contains(':') => {
            let (hours, minutes) = offset.split_at_checked(3).unwrap_or((offset, ""));
            format!("{time}{hours}:{minutes}")
        }
        _ => text.to_owned(),
    }
}

fn stream(attributes: &str) -> Stream {
    let mut found = Stream::default();
    for (name, value) in attributes_of(attributes) {
        match name.as_str() {
            "BANDWIDTH" => found.bandwidth = value.parse().unwrap_or_default(),
            "RESOLUTION" => found.size = value.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?))),
            "FRAME-RATE" => found.fps = value.parse().ok().filter(|fps: &f64| *fps > 0.0 && *fps <= 1_000.0),
            _ => {}
        }
    }
    found
}

/// `NAME=value,NAME="value, with a comma"`
fn attributes_of(text: &str) -> Vec<(String, String)> {
    let (mut found, mut part, mut quoted) = (Vec::new(), String::new(), false);
    for c in text.chars().chain([',']) {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => {
                if let Some((name, value)) = part.split_once('=') {
                    found.push((name.trim().to_owned(), value.trim().to_owned()));
                }
                part.clear();
            }
            _ => part.push(c),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn segments(text: &str) -> Segments {
        match parse(text.as_bytes()) {
            Ok(Playlist::Segments(segments)) => segments,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn streams_of_several_qualities() {
        let text = "\u{feff}#EXTM3U\r\n#EXT-X-STREAM-INF:BANDWIDTH=1280000,CODECS=\"avc1.4d,mp4a\",RESOLUTION=1280x720,FRAME-RATE=25.000\r\nlow/index.m3u8\r\n\
            #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"x\"\r\n#EXT-X-STREAM-INF:BANDWIDTH=x\r\nhigh.m3u8\r\n";
        let Ok(Playlist::Streams(streams)) = parse(text.as_bytes()) else { panic!() };
        assert_eq!(streams[0], Stream { address: "low/index.m3u8".to_owned(), bandwidth: 1_280_000, size: Some((1_280, 720)), fps: Some(25.0) });
        assert_eq!((streams.len(), streams[1].bandwidth, streams[1].address.as_str()), (2, 0, "high.m3u8"));
    }

    #[test]
    fn segments_with_their_times() {
        let text = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:2680\n#EXT-X-PROGRAM-DATE-TIME:2024-01-01T00:00:00.500+0100\n#EXTINF:4.000,\na.ts\n#EXTINF:3.5,title\nb.ts?x=1\n";
        let found = segments(text);
        assert_eq!((found.target, found.count, found.ended), (4.0, 2, false));
        let newest = found.newest.unwrap();
        assert_eq!((newest.number, newest.address.as_str(), newest.seconds), (2_681, "b.ts?x=1", 3.5));
        assert_eq!(newest.taken, Timestamp::parse("2023-12-31T23:00:04.500Z"));
        assert!(segments("#EXTM3U\n#EXT-X-ENDLIST\n").ended);
    }

    #[test]
    fn what_is_wrong_is_left_out() {
        assert_eq!(parse(b"<html>"), Err(PlaylistError));
        let found = segments(
            "#EXTM3U\n#EXT-X-TARGETDURATION:-1\n#EXT-X-MEDIA-SEQUENCE:18446744073709551615\n#EXT-X-PROGRAM-DATE-TIME:soon\n#EXTINF:nan,\na\n#EXTINF:2,\nb\n",
        );
        assert_eq!((found.target, found.count), (0.0, 1));
        assert_eq!(found.newest.unwrap(), Segment { number: u64::MAX, address: "b".to_owned(), seconds: 2.0, taken: None });
        assert_eq!(with_colon("+0"), "+0");
    }

    proptest! {
        #[test]
        fn any_text(text in "(#EXTM3U\n)?(#EXT[-A-Z:=,\"0-9.x]{0,30}\n|[a-z.]{0,9}\n){0,20}") {
            drop(parse(text.as_bytes()));
            with_colon(&text);
        }
    }
}
