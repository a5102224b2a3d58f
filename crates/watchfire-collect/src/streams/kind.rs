//! The kinds of streaming servers, and what is made of their pages. Bytes come from strangers: what is not as expected is left out.

mod frigate;
mod go2rtc;
mod mediamtx;
mod nginx_rtmp;

/// A kind of server.
#[derive(Debug)]
pub struct Kind {
    /// The word in the configuration.
    pub name: &'static str,
    /// What is fetched, beneath the address that is configured.
    pub pages: &'static [Page],
    /// Reads the pages, in their order; nothing if they are not what they should be.
    pub read: fn(&[Option<&[u8]>]) -> Option<Found>,
}
impl PartialEq for Kind {
    fn eq(&self, other: &Kind) -> bool {
        self.name == other.name
    }
}

/// A page of a server.
#[derive(Debug)]
pub struct Page {
    /// Its path.
    pub path: &'static str,
    /// Whether a server may do without it.
    pub optional: bool,
}

/// All kinds.
pub const KINDS: [&Kind; 4] = [&mediamtx::KIND, &go2rtc::KIND, &frigate::KIND, &nginx_rtmp::KIND];

/// Streams and sessions of one server that are looked at.
pub const STREAMS_MAX: usize = 1_000;
const SESSIONS_MAX: usize = 10_000;

/// What a server says.
#[derive(Debug, Default, PartialEq)]
pub struct Found {
    /// Its streams.
    pub streams: Vec<Stream>,
    /// Its WebRTC sessions, if it tells them.
    pub sessions: Option<Vec<Session>>,
}

/// One stream.
#[derive(Debug, Default, PartialEq)]
pub struct Stream {
    /// What it is called, which is the camera.
    pub camera: String,
    /// Whether pictures come.
    pub active: bool,
    /// Who looks at it.
    pub viewers: Option<u64>,
    /// Bytes that came in since it began.
    pub bytes_in: Option<u64>,
    /// Bytes that went out since it began.
    pub bytes_out: Option<u64>,
    /// Bits per second that come in, as the server counts them.
    pub bits_per_second: Option<f64>,
    /// Pictures per second.
    pub fps: Option<f64>,
    /// Pictures per second that are left out.
    pub skipped_fps: Option<f64>,
    /// The share of a processor that its FFmpeg takes, in percent.
    pub ffmpeg_cpu_percent: Option<f64>,
}

/// One session.
#[derive(Debug, Default, PartialEq)]
pub struct Session {
    /// Its name.
    pub id: String,
    /// Whether the two sides found each other.
    pub established: bool,
}

fn object(page: Option<&[u8]>) -> Option<serde_json::Map<String, serde_json::Value>> {
    match serde_json::from_slice(page?) {
        Ok(serde_json::Value::Object(object)) => Some(object),
        _ => None,
    }
}
