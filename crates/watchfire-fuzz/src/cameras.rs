//! Cameras and streaming servers: RTSP with the packets between its answers, descriptions, playlists, streams of pictures, answers to searches,
//! pages of servers.

use watchfire_collect::camera::hls::playlist;
use watchfire_collect::camera::mjpeg::parts::{Parts, Piece as Part};
use watchfire_collect::camera::mjpeg::size::SizeReader;
use watchfire_collect::camera::onvif::answer;
use watchfire_collect::camera::rtsp::codec::Codec;
use watchfire_collect::camera::rtsp::message::{self, Piece};
use watchfire_collect::camera::rtsp::{authenticate, rtp, sdp};
use watchfire_collect::streams::kind::KINDS;

/// A connection from its beginning: answers are read, packets looked into with every codec.
pub(crate) fn rtsp(bytes: &[u8]) {
    let mut rest = bytes;
    while let Ok(Some((piece, length))) = message::next(rest) {
        assert!(length > 0 && length <= rest.len(), "a piece is not what was there");
        match piece {
            Piece::Packet { bytes, .. } => packet(bytes),
            Piece::Message(answer) => {
                authenticate::choose(answer.headers("www-authenticate"));
                drop(sdp::parse(&answer.body));
            }
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    packet(bytes);
}

fn packet(bytes: &[u8]) {
    let Some(packet) = rtp::parse(bytes) else { return };
    for codec in [Codec::H264, Codec::H265, Codec::Jpeg, Codec::Mpeg4, Codec::Vp8] {
        codec.look(packet.payload);
        codec.look_at_unit(packet.payload);
    }
}

pub(crate) fn sdp(bytes: &[u8]) {
    let Ok(found) = sdp::parse(bytes) else { return };
    for media in found.media {
        assert!(media.clock > 0, "times of a clock without ticks cannot be told");
        let _whatever_is_there = media.parameter("sprop-parameter-sets");
    }
}

pub(crate) fn hls_playlist(bytes: &[u8]) {
    drop(playlist::parse(bytes));
}

/// The first byte says whose page it is; the pages of one server are divided by a zero.
pub(crate) fn stream_pages(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else { return };
    let pages: Vec<Option<&[u8]>> = rest.split(|byte| *byte == 0).map(Some).take(4).collect();
    drop((KINDS[usize::from(*first) % KINDS.len()].read)(&pages));
}

/// The first byte says whether a boundary is told; how the stream is cut must not matter.
pub(crate) fn mjpeg(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else { return };
    let content_type = if first & 1 == 0 { "multipart/x-mixed-replace; boundary=frame" } else { "multipart/x-mixed-replace" };
    let read = |piece: usize| {
        let (mut parts, mut size, mut found) = (Parts::new(content_type), SizeReader::default(), Vec::new());
        let mut length = 0;
        for bytes in rest.chunks(piece) {
            let fed = parts.feed(bytes, &mut |part| match part {
                Part::Bytes(bytes) => {
                    length += bytes.len();
                    size.read(bytes);
                }
                Part::End => found.push((std::mem::take(&mut length), std::mem::take(&mut size).size())),
            });
            if fed.is_err() {
                return (found, fed.err());
            }
        }
        (found, None)
    };
    assert_eq!(read(1 + usize::from(*first)), read(rest.len().max(1)), "a cut changes what is read");
}

pub(crate) fn onvif(bytes: &[u8]) {
    const QUESTION: &str = "0a1b2c3d-0000-4000-a000-000000000001";
    let Some(device) = answer::read(bytes, QUESTION) else { return };
    for text in [device.name, device.hardware, device.location].into_iter().flatten() {
        assert!(text.len() <= 128 && !text.contains(char::is_control), "a text may not be shown");
    }
}
