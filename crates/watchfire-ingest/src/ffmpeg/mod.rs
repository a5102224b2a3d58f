//! FFmpeg's `-progress http://…`: one endless body for each camera, whose blocks become series of that camera. A body is read as it comes; of
//! many blocks in a short time the newest is stored. It serves no route.

mod block;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hashbrown::HashMap;
use watchfire_model::batch::{Batch, Metadata, MetricType, Origin, Samples, SeriesSamples};
use watchfire_model::labels::{Labels, METRIC_NAME};
use watchfire_model::meter::{Counter, Meter};
use watchfire_model::sample::{Sample, stale_nan};
use watchfire_model::time::{SharedClock, Timestamp};
use watchfire_model::write::{Sink, WriteError};

use self::block::{Block, Blocks};
use crate::gate::Gate;

/// Cameras that are known at once.
pub const CAMERAS_MAX: usize = 500;
/// Bodies that are read at once.
pub const STREAMS_MAX: usize = 128;
/// The longest name of a camera.
const CAMERA_BYTES_MAX: usize = 128;
/// How often the figures of a camera are stored; FFmpeg tells them twice a second.
const STORE_EVERY: Duration = Duration::from_secs(5);
/// How long a camera is shown as not connected.
const KEEP: Duration = Duration::from_secs(86_400);
const JOB: &str = "ffmpeg";

/// What is stored of a block: name, type, help.
const SERIES: [(&str, MetricType, &str); 9] = [
    ("camera_fps", MetricType::Gauge, "Frames a camera delivers per second."),
    ("camera_bitrate", MetricType::Gauge, "Bits a camera delivers per second."),
    ("camera_frames_dropped_total", MetricType::Counter, "Frames of a camera that were lost."),
    ("ffmpeg_progress_fps", MetricType::Gauge, "Frames per second since FFmpeg began, as it says."),
    ("ffmpeg_progress_speed_ratio", MetricType::Gauge, "How fast FFmpeg works: 1 keeps up with the camera."),
    ("ffmpeg_progress_frames_total", MetricType::Counter, "Frames that FFmpeg has written."),
    ("ffmpeg_progress_duplicated_frames_total", MetricType::Counter, "Frames that FFmpeg has written twice."),
    ("ffmpeg_progress_out_time_seconds", MetricType::Gauge, "Length of what FFmpeg has written."),
    ("ffmpeg_progress_output_bytes_total", MetricType::Counter, "Bytes that FFmpeg has written."),
];
const LAST_FRAME: (&str, MetricType, &str) = ("camera_last_frame_timestamp", MetricType::Gauge, "When the latest frame of a camera arrived (Unix time).");
const CONNECTED: (&str, MetricType, &str) =
    ("ffmpeg_progress_connected", MetricType::Gauge, "Whether a camera's FFmpeg tells its progress at the moment: 1 yes, 0 no.");
const ENDS: (&str, MetricType, &str) = ("ffmpeg_progress_ends_total", MetricType::Counter, "Ends of a camera's progress, by reason.");

/// Why a body is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// FFmpeg said that it had finished, or closed in good order.
    Finished,
    /// The connection broke.
    BrokenOff,
    /// Nothing came for long.
    Silent,
    /// What came is no progress of FFmpeg.
    Malformed,
}
impl End {
    const ALL: [End; 4] = [End::Finished, End::BrokenOff, End::Silent, End::Malformed];
    fn name(self) -> &'static str {
        match self {
            End::Finished => "finished",
            End::BrokenOff => "broken_off",
            End::Silent => "silent",
            End::Malformed => "malformed",
        }
    }
}

/// Why a body is not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOpened {
    /// The name cannot be a camera's.
    #[error("a camera's name has 1 to {CAMERA_BYTES_MAX} bytes and no control characters")]
    Name,
    /// There are too many of something.
    #[error("cannot read the progress of more than {0}")]
    TooMany(&'static str),
}

#[derive(Default)]
struct Camera {
    streams: u32,
    ends: [u64; End::ALL.len()],
    /// When its last stream began or ended.
    seen: Duration,
}

#[derive(Default)]
struct Known {
    cameras: HashMap<Box<str>, Camera>,
    streams: usize,
}

/// Takes the progress of FFmpeg. Share it in an `Arc`.
pub struct Ffmpeg {
    gate: Arc<Gate>,
    clock: SharedClock,
    known: Mutex<Known>,
    blocks: Counter,
    strange: Counter,
    refused: Counter,
    failed: Counter,
}

impl Ffmpeg {
    /// A receiver that writes through the gate.
    pub fn new(gate: Arc<Gate>, clock: SharedClock, meter: &Meter) -> Ffmpeg {
        let counter = |name, help| meter.counter(name, help, &[]);
        Ffmpeg {
            gate,
            clock,
            known: Mutex::default(),
            blocks: counter("watchfire_ffmpeg_blocks_total", "Blocks of FFmpeg's progress that were read."),
            strange: counter("watchfire_ffmpeg_lines_ignored_total", "Lines of FFmpeg's progress that say nothing that is understood."),
            refused: counter("watchfire_ffmpeg_streams_refused_total", "Bodies with FFmpeg's progress that were not read."),
            failed: counter("watchfire_ffmpeg_batches_failed_total", "Figures of FFmpeg's progress that the store did not take."),
        }
    }

    /// Begins to read the body of a camera. May block.
    pub fn open(self: &Arc<Ffmpeg>, camera: &str) -> Result<Stream, NotOpened> {
        let opened = self.admit(camera);
        match &opened {
            Ok(_) => self.show(camera),
            Err(_) => self.refused.inc(),
        }
        opened
    }

    fn admit(self: &Arc<Ffmpeg>, camera: &str) -> Result<Stream, NotOpened> {
        if camera.is_empty() || camera.len() > CAMERA_BYTES_MAX || camera.chars().any(char::is_control) {
            return Err(NotOpened::Name);
        }
        let now = self.clock.monotonic();
        let mut known = self.lock();
        if known.streams >= STREAMS_MAX {
            return Err(NotOpened::TooMany("128 processes at once"));
        }
        if !known.cameras.contains_key(camera) && known.cameras.len() >= CAMERAS_MAX {
            return Err(NotOpened::TooMany("500 cameras"));
        }
        let of = known.cameras.entry_ref(camera).or_default();
        of.streams += 1;
        of.seen = now;
        known.streams += 1;
        drop(known);
        Ok(Stream::new(self.clone(), camera))
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores again which cameras are connected, which would be forgotten otherwise. May block.
    pub fn repeat(&self) {
        let now = self.clock.monotonic();
        let mut batch = Batch::new(Origin::new(JOB));
        {
            let mut known = self.lock();
            known.cameras.retain(|_, camera| camera.streams > 0 || now.saturating_sub(camera.seen) <= KEEP);
            known.cameras.iter().for_each(|(name, camera)| self.add_state(name, camera, &mut batch));
        }
        self.write(batch);
    }

    /// Stores whether one camera is connected.
    fn show(&self, name: &str) {
        let mut batch = Batch::new(Origin::new(JOB));
        if let Some(camera) = self.lock().cameras.get(name) {
            self.add_state(name, camera, &mut batch);
        }
        self.write(batch);
    }

    fn add_state(&self, name: &str, camera: &Camera, batch: &mut Batch) {
        let now = self.clock.now();
        add(batch, CONNECTED, &[("camera_id", name)], now, f64::from(u8::from(camera.streams > 0)));
        for (reason, count) in End::ALL.into_iter().zip(camera.ends) {
            add(batch, ENDS, &[("camera_id", name), ("reason", reason.name())], now, count as f64);
        }
    }

    fn write(&self, batch: Batch) {
        if batch.series.is_empty() {
            return;
        }
        if let Err(error) = self.gate.write(batch) {
            self.failed.inc();
            if !matches!(error, WriteError::Busy(_)) {
                tracing::warn!(%error, "cannot store the progress of FFmpeg");
            }
        }
    }
}

fn add(batch: &mut Batch, (name, kind, help): (&str, MetricType, &str), labels: &[(&str, &str)], time: Timestamp, value: f64) {
    if !batch.metadata.iter().any(|known| *known.family == *name) {
        batch.metadata.push(Metadata { family: name.into(), kind, help: help.into(), unit: "".into() });
    }
    let labels = Labels::from_pairs(labels.iter().copied().chain([("job", JOB), (METRIC_NAME, name)]));
    batch.series.push(SeriesSamples { labels, samples: Samples::One(Sample { time, value }) });
}

/// One body. Its methods may block. When it is dropped without an end, it broke off.
pub struct Stream {
    all: Arc<Ffmpeg>,
    camera: Box<str>,
    blocks: Blocks,
    newest: Option<Block>,
    /// What was stored last, and when.
    stored: Option<(Block, Duration)>,
    last_frame: Option<Timestamp>,
    /// The series that have a value that still counts.
    shown: Vec<(&'static str, MetricType, &'static str)>,
    ended: bool,
}

impl Stream {
    fn new(all: Arc<Ffmpeg>, camera: &str) -> Stream {
        Stream { all, camera: camera.into(), blocks: Blocks::default(), newest: None, stored: None, last_frame: None, shown: Vec::new(), ended: false }
    }
    /// Whether anything that came was progress of FFmpeg.
    pub fn is_progress(&self) -> bool {
        self.newest.is_some()
    }

    /// Takes some bytes. After an end there is nothing more to come. It does not block.
    pub fn take(&mut self, bytes: &[u8]) -> Option<End> {
        let mut blocks = Vec::new();
        let taken = self.blocks.take(bytes, &mut blocks);
        self.all.strange.add(std::mem::take(&mut self.blocks.strange));
        self.all.blocks.add(blocks.len() as u64);
        let now = self.all.clock.now();
        for block in blocks {
            if block.frames > self.newest.and_then(|newest| newest.frames) {
                self.last_frame = Some(now);
            }
            self.newest = Some(block);
            if block.end {
                return Some(End::Finished);
            }
        }
        taken.is_err().then_some(End::Malformed)
    }

    /// Whether it is time to store what was taken.
    pub fn is_due(&self) -> bool {
        let waited = |(_, at): (Block, Duration)| self.all.clock.monotonic().saturating_sub(at) >= STORE_EVERY;
        self.newest.is_some() && self.stored.is_none_or(waited)
    }

    /// Stores the newest block. May block.
    pub fn store(&mut self) {
        let Some(block) = self.newest else { return };
        let (now, at) = (self.all.clock.now(), self.all.clock.monotonic());
        // What FFmpeg calls frames per second is a mean since it began, which hides that a camera has become slow.
        let fps = self.stored.and_then(|(before, began)| {
            let seconds = at.saturating_sub(began).as_secs_f64();
            let frames = block.frames? - before.frames?;
            (seconds >= 1.0 && frames >= 0.0).then(|| frames / seconds)
        });
        let values = [fps, block.bits_per_second, block.dropped, block.fps, block.speed, block.frames, block.duplicated, block.seconds, block.bytes];
        let mut batch = Batch::new(Origin::new(JOB));
        let last_frame = (LAST_FRAME, self.last_frame.map(|at| at.secs_f64()));
        for (series, value) in SERIES.into_iter().zip(values).chain([last_frame]) {
            let Some(value) = value else { continue };
            add(&mut batch, series, &[("camera_id", &self.camera)], now, value);
            if !self.shown.iter().any(|known| known.0 == series.0) {
                self.shown.push(series);
            }
        }
        self.stored = Some((block, at));
        self.all.write(batch);
    }

    /// Says that nothing has come for a while: what was true then is not known any more. May block.
    pub fn quiet(&mut self) {
        // Two values of one moment would be a contradiction.
        let now = self.all.clock.now().plus_ms(1);
        let mut batch = Batch::new(Origin::new(JOB));
        for series in self.shown.drain(..) {
            add(&mut batch, series, &[("camera_id", &self.camera)], now, stale_nan());
        }
        self.all.write(batch);
    }

    /// Ends it. May block.
    pub fn end(mut self, how: End) {
        self.store();
        // Of two for one camera the other goes on.
        if self.close(how) == 0 {
            self.quiet();
        }
        self.all.show(&self.camera);
    }

    /// Books the end, and tells how many streams the camera has left.
    fn close(&mut self, how: End) -> u32 {
        self.ended = true;
        let mut known = self.all.lock();
        known.streams = known.streams.saturating_sub(1);
        let Some(camera) = known.cameras.get_mut(&*self.camera) else { return 0 };
        camera.streams = camera.streams.saturating_sub(1);
        camera.seen = self.all.clock.monotonic();
        camera.ends[how as usize] += 1;
        camera.streams
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // Whoever drops it may not block; the next repetition shows the end.
        if !self.ended {
            self.close(End::BrokenOff);
        }
    }
}
