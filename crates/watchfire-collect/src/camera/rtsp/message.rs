//! RTSP on the wire (RFC 2326): answers, requests of the camera, and the interleaved packets between them. It only cuts and reads; what an
//! answer means is not known here. Bytes come from strangers: every length has a limit.

use std::fmt::Write;

/// Bytes of a head that are read.
pub const HEAD_BYTES_MAX: usize = 16 << 10;
/// Bytes of a body that are read.
pub const BODY_BYTES_MAX: usize = 256 << 10;
/// Header lines that are read.
const HEADERS_MAX: usize = 100;

/// Why bytes are no RTSP.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The head does not end.
    #[error("cannot read a head of more than {HEAD_BYTES_MAX} bytes")]
    HeadTooLarge,
    /// The body is too large.
    #[error("cannot read a body of {0} bytes")]
    BodyTooLarge(usize),
    /// Something else came.
    #[error("cannot read what the camera sends as RTSP")]
    NotRtsp,
}

/// What stands at the front of the bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A packet on a channel.
    Packet {
        /// The channel.
        channel: u8,
        /// The packet.
        bytes: &'a [u8],
    },
    /// An answer or a request.
    Message(Message),
}

/// An answer, or a request of the camera.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The status of an answer; none for a request.
    pub status: Option<u16>,
    /// Headers, their names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Message {
    /// The first header of a name, which is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// All headers of a name.
    pub fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Cuts the next piece off; tells how many bytes it took. Nothing when more bytes are needed.
pub fn next(bytes: &[u8]) -> Result<Option<(Piece<'_>, usize)>, MessageError> {
    let blank = bytes.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    if blank > HEAD_BYTES_MAX {
        return Err(MessageError::NotRtsp);
    }
    let rest = bytes.get(blank..).unwrap_or_default();
    let found = match rest {
        [] => None,
        [b'$', channel, high, low, packet @ ..] => {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            packet.get(..length).map(|bytes| (Piece::Packet { channel: *channel, bytes }, 4 + length))
        }
        [b'$', ..] => None,
        _ => message(rest)?.map(|(message, length)| (Piece::Message(message), length)),
    };
    Ok(found.map(|(piece, length)| (piece, blank + length)))
}

fn message(bytes: &[u8]) -> Result<Option<(Message, usize)>, MessageError> {
    if bytes.first().is_some_and(|b| !b.is_ascii_uppercase()) {
        return Err(MessageError::NotRtsp);
    }
    let Some((head, begin)) = head_of(bytes) else {
        return if bytes.len() > HEAD_BYTES_MAX { Err(MessageError::HeadTooLarge) } else { Ok(None) };
    };
    let mut lines = head.split(|b| *b == b'\n').map(|line| String::from_utf8_lossy(line.trim_ascii()).into_owned());
    let first = lines.next().unwrap_or_default();
    let status = match first.strip_prefix("RTSP/") {
        Some(rest) => Some(rest.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or(MessageError::NotRtsp)?),
        None if first.contains(" RTSP/") => None,
        None => return Err(MessageError::NotRtsp),
    };
    let pairs = lines.take(HEADERS_MAX).filter_map(|line| line.split_once(':').map(|(n, v)| (n.trim().to_ascii_lowercase(), v.trim().to_owned())));
    let mut message = Message { status, headers: pairs.collect(), body: Vec::new() };
    let length = message.header("content-length").map_or(Ok(0), |text| text.parse().map_err(|_| MessageError::NotRtsp))?;
    if length > BODY_BYTES_MAX {
        return Err(MessageError::BodyTooLarge(length));
    }
    let Some(body) = bytes.get(begin..begin + length) else { return Ok(None) };
    message.body = body.to_vec();
    Ok(Some((message, begin + length)))
}

/// The head without its empty line, and where what follows begins. Some cameras end lines with `\n` alone.
fn head_of(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let searched = bytes.get(..HEAD_BYTES_MAX).unwrap_or(bytes);
    let ends: Vec<usize> = memchr::memchr_iter(b'\n', searched).collect();
    ends.windows(2).find_map(|pair| {
        let [before, after] = pair else { return None };
        let between = searched.get(before + 1..*after)?;
        matches!(between, b"" | b"\r").then(|| Some((searched.get(..*before)?, after + 1))).flatten()
    })
}

/// A request as it is sent. What is `None` is left out.
pub fn request(method: &str, url: &str, number: u32, headers: &[(&str, Option<&str>)]) -> String {
    let mut text = format!("{method} {url} RTSP/1.0\r\nCSeq: {number}\r\nUser-Agent: {}\r\n", watchfire_net::client::AGENT);
    for (name, value) in headers.iter().filter_map(|(name, value)| value.map(|v| (name, v))) {
        let _infallible = write!(text, "{name}: {value}\r\n");
    }
    text.push_str("\r\n");
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn first(bytes: &[u8]) -> (Message, usize) {
        match next(bytes) {
            Ok(Some((Piece::Message(message), length))) => (message, length),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn answers_packets_and_what_is_missing() {
        let text = b"\r\nRTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Length: 3\r\n\r\nv=0$\x01\x00\x02ab";
        for cut in 0..49 {
            assert_eq!(next(&text[..cut]), Ok(None), "{cut}");
        }
        let (message, length) = first(text);
        assert_eq!((message.status, message.header("cseq"), message.body.as_slice()), (Some(200), Some("2"), b"v=0".as_slice()));
        assert_eq!(next(&text[length..]), Ok(Some((Piece::Packet { channel: 1, bytes: b"ab" }, 6))));
        let (message, _) = first(b"RTSP/1.0 401 Unauthorized\nWWW-Authenticate: Basic realm=\"a\"\nWWW-Authenticate: Digest realm=\"b\"\n\n");
        assert_eq!(message.headers("www-authenticate").collect::<Vec<_>>(), ["Basic realm=\"a\"", "Digest realm=\"b\""]);
        assert_eq!(first(b"OPTIONS * RTSP/1.0\r\nCSeq: 9\r\n\r\n").0.status, None);
    }

    #[test]
    fn what_is_no_rtsp_ends() {
        assert_eq!(next(b"HTTP/1.1 200 OK\r\n\r\n"), Err(MessageError::NotRtsp));
        assert_eq!(next(b"\x80\x60"), Err(MessageError::NotRtsp));
        assert_eq!(next(b"RTSP/1.0 many\r\n\r\n"), Err(MessageError::NotRtsp));
        assert_eq!(next(b"RTSP/1.0 200 OK\r\nContent-Length: x\r\n\r\n"), Err(MessageError::NotRtsp));
        assert_eq!(next(b"RTSP/1.0 200 OK\r\nContent-Length: 9999999\r\n\r\n"), Err(MessageError::BodyTooLarge(9_999_999)));
        assert_eq!(next(&vec![b'R'; HEAD_BYTES_MAX + 1]), Err(MessageError::HeadTooLarge));
        assert_eq!(next(&vec![b'\n'; HEAD_BYTES_MAX + 1]), Err(MessageError::NotRtsp));
    }

    #[test]
    fn requests_are_one_head() {
        let text = request("SETUP", "rtsp://h/a", 3, &[("Transport", Some("RTP/AVP")), ("Session", None)]);
        assert!(text.starts_with("SETUP rtsp://h/a RTSP/1.0\r\nCSeq: 3\r\nUser-Agent: Watchfire/") && text.ends_with("Transport: RTP/AVP\r\n\r\n"), "{text}");
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in prop::collection::vec(prop::sample::select(b"RTSP/1.0 20\r\n:$\x00\xff".to_vec()), 0..200)) {
            if let Ok(Some((_, length))) = next(&bytes) {
                prop_assert!(length > 0 && length <= bytes.len());
            }
        }
    }
}
