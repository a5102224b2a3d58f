//! What is known of a camera right now, for faces that show it, and of those that answered when cameras were looked for. Its history is in
//! the store.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::time::Timestamp;

/// How one camera is doing. What is not known is `None`, never zero.
#[derive(Clone, Debug, PartialEq)]
pub struct CameraStatus {
    /// What it is called in labels.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Where it is, without name and password.
    pub url: String,
    /// How its pictures come: `tcp` and `udp` by RTSP; `hls`, `mjpeg`, `snapshot` by HTTP, `http` while that is not known.
    pub transport: &'static str,
    /// Whether there is a session with it.
    pub connected: bool,
    /// Whether there is a session without new pictures.
    pub frozen: bool,
    /// How its pictures are encoded.
    pub codec: Option<String>,
    /// The width of its pictures.
    pub width: Option<u32>,
    /// Their height.
    pub height: Option<u32>,
    /// Pictures per second.
    pub fps: Option<f64>,
    /// Pictures per second that there should be.
    pub expected_fps: Option<f64>,
    /// What it sends.
    pub bits_per_second: Option<f64>,
    /// How unevenly its packets arrive.
    pub jitter: Option<Duration>,
    /// The time between the last two pictures that stand by themselves.
    pub keyframe_interval: Option<Duration>,
    /// Packets that arrived.
    pub packets: u64,
    /// Packets that did not.
    pub packets_lost: u64,
    /// Pictures that are missing or have holes.
    pub frames_dropped: u64,
    /// Sessions that were begun again.
    pub reconnects: u64,
    /// When the last picture arrived.
    pub last_frame: Option<Timestamp>,
    /// How old a picture is when it can be seen, as the stream tells it.
    pub latency: Option<Duration>,
    /// What is wrong with its pictures, as far as they are looked at: `black`, `covered`, `blurred`, `moved`, `identical`.
    pub faults: Vec<&'static str>,
    /// Whether there is a picture to be shown.
    pub picture: bool,
    /// Why there is no session, or why pictures are not looked at.
    pub error: Option<String>,
}

/// How one streaming server is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamServerStatus {
    /// What it is called.
    pub name: String,
    /// What it is.
    pub kind: &'static str,
    /// Where it is, without name and password.
    pub url: String,
    /// Whether it tells its streams.
    pub up: bool,
    /// Streams that run.
    pub streams: u64,
    /// Who looks at them.
    pub viewers: u64,
    /// Why it does not.
    pub error: Option<String>,
}

/// A device that says it is a camera. All texts are its own words, and so those of a stranger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CameraFound {
    /// Where its answer came from.
    pub address: Ipv4Addr,
    /// What it calls itself.
    pub name: Option<String>,
    /// The model.
    pub hardware: Option<String>,
    /// Where it says it hangs.
    pub location: Option<String>,
    /// Its page for devices, if that is at the same address; nobody has asked there.
    pub service: Option<String>,
    /// The id of the camera at this address that is watched already.
    pub watched_as: Option<String>,
    /// Lines for `watchfire.yml`.
    pub snippet: String,
}

/// What came of looking for cameras.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CameraSearch {
    /// Devices, ascending by address.
    pub found: Vec<CameraFound>,
    /// Our addresses, each of which asked its own network.
    pub asked_from: Vec<Ipv4Addr>,
    /// Answers that are none, are of something else, or were too many.
    pub left_out: u64,
}
