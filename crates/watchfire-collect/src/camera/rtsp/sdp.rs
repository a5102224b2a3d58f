//! What a camera says of its streams (SDP, RFC 8866): media, payload types, codecs, where each is controlled. Only what watching needs is
//! read, and nothing is written. Bytes come from strangers.

/// Lines that are read.
const LINES_MAX: usize = 2_000;
/// Streams that are read.
const MEDIA_MAX: usize = 32;
/// Bytes of one value that are kept.
const VALUE_BYTES_MAX: usize = 8 << 10;

/// Why a text is no description.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the description of the streams: it does not begin with v=0")]
pub struct SdpError;

/// A description.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Description {
    /// Where all streams are controlled together.
    pub control: Option<String>,
    /// The streams.
    pub media: Vec<Media>,
}

/// One stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Media {
    /// `video`, `audio`, `application`.
    pub kind: String,
    /// The payload type of its packets.
    pub payload: u8,
    /// The codec in upper case: `H264`, `JPEG`.
    pub encoding: String,
    /// Ticks of its timestamps per second.
    pub clock: u32,
    /// Where it is controlled.
    pub control: Option<String>,
    /// Pictures per second, as the camera declares them.
    pub framerate: Option<f64>,
    /// Parameters of the codec.
    pub parameters: String,
}

impl Media {
    /// One parameter of the codec.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let pairs = self.parameters.split(';').filter_map(|pair| pair.trim().split_once('='));
        pairs.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

/// Reads a description.
pub fn parse(bytes: &[u8]) -> Result<Description, SdpError> {
    let mut lines = bytes.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    if lines.next().is_none_or(|first| !first.starts_with(b"v=0")) {
        return Err(SdpError);
    }
    let mut found = Description::default();
    // Lines of streams beyond the limit must not be taken for those of the last one.
    let mut beyond = false;
    for line in lines.take(LINES_MAX) {
        let Some((kind, value)) = std::str::from_utf8(line).ok().and_then(|line| line.split_once('=')).filter(|(_, v)| v.len() <= VALUE_BYTES_MAX) else {
            continue;
        };
        match kind {
            "m" if found.media.len() >= MEDIA_MAX => beyond = true,
            "m" => found.media.push(media(value)),
            "a" if !beyond => attribute(&mut found, value),
            _ => {}
        }
    }
    Ok(found)
}

fn media(value: &str) -> Media {
    let mut words = value.split_ascii_whitespace();
    let kind = words.next().unwrap_or_default().to_owned();
    let payload = words.nth(2).and_then(|text| text.parse().ok()).unwrap_or_default();
    // Payload types that need no line of their own (RFC 3551).
    let (encoding, clock) = match payload {
        26 => ("JPEG", 90_000),
        32 => ("MPV", 90_000),
        33 => ("MP2T", 90_000),
        34 => ("H263", 90_000),
        _ => ("", 90_000),
    };
    Media { kind, payload, encoding: encoding.to_owned(), clock, ..Media::default() }
}

fn attribute(found: &mut Description, text: &str) {
    let (name, value) = text.split_once(':').unwrap_or((text, ""));
    let Some(media) = found.media.last_mut() else {
        if name == "control" {
            found.control = Some(value.to_owned());
        }
        return;
    };
    let of_payload = || value.split_once(' ').filter(|(payload, _)| payload.parse() == Ok(media.payload)).map(|(_, rest)| rest.trim());
    match name {
        "control" => media.control = Some(value.to_owned()),
        "framerate" => media.framerate = value.trim().parse().ok().filter(|fps: &f64| *fps > 0.0 && *fps <= 1_000.0),
        "rtpmap" => {
            if let Some((encoding, clock)) = of_payload().and_then(|rest| rest.split_once('/')) {
                media.encoding = encoding.to_ascii_uppercase();
                let ticks = clock.split('/').next().and_then(|text| text.parse().ok());
                media.clock = ticks.filter(|ticks| *ticks > 0).unwrap_or(90_000);
            }
        }
        "fmtp" => {
            if let Some(rest) = of_payload() {
                media.parameters = rest.to_owned();
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_camera_with_sound() {
        let text = "v=0\r\no=- 1 1 IN IP4 10.0.0.5\r\ns=Session\r\na=control:*\r\na=framerate:9\r\nm=video 0 RTP/AVP 96\r\n\
            a=rtpmap:96 h264/90000\r\na=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z0I=,aM4=\r\na=framerate:25.0\r\n\
            a=control:trackID=1\r\nm=audio 0 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000/1\r\na=control:trackID=2\r\n";
        let found = parse(text.as_bytes()).unwrap();
        assert_eq!(found.control.as_deref(), Some("*"));
        let [video, audio] = &found.media[..] else { panic!("{found:?}") };
        assert_eq!((video.kind.as_str(), video.payload, video.encoding.as_str(), video.clock), ("video", 96, "H264", 90_000));
        assert_eq!((video.framerate, video.control.as_deref()), (Some(25.0), Some("trackID=1")));
        assert_eq!(video.parameter("sprop-parameter-sets"), Some("Z0I=,aM4="));
        assert_eq!((audio.encoding.as_str(), audio.clock, audio.control.as_deref()), ("PCMA", 8_000, Some("trackID=2")));
    }

    #[test]
    fn what_is_usual_needs_no_line_and_what_is_wrong_is_left_out() {
        let found = parse(b"v=0\nm=video 0 RTP/AVP 26\na=framerate:-1\na=rtpmap:97 H264/90000\nm=\n\xff\n").unwrap();
        assert_eq!((found.media[0].encoding.as_str(), found.media[0].framerate), ("JPEG", None));
        assert_eq!(found.media.len(), 2);
        assert_eq!(parse(b"<html>"), Err(SdpError));
        let many = format!("v=0\n{}a=control:last\n", "m=video 0 RTP/AVP 26\n".repeat(40));
        let found = parse(many.as_bytes()).unwrap();
        assert_eq!((found.media.len(), found.media.last().and_then(|m| m.control.clone())), (32, None));
        assert_eq!(parse(b"v=0\nm=video 0 RTP/AVP 96\na=rtpmap:96 H264/0\n").unwrap().media[0].clock, 90_000);
    }

    proptest! {
        #[test]
        fn any_text(text in "(v=0\n)?([ma]=[a-z0-9/: ;=*]{0,20}\n){0,20}") {
            drop(parse(text.as_bytes()));
        }
    }
}
