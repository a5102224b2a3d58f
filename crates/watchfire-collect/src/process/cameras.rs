//! FFmpeg processes of cameras under the names of the video management pack: processor share, memory, age, restarts. It reads nothing.

use std::collections::{HashMap, HashSet};

use super::groups::Counts;
use super::proc::{Identity, Stat};
use crate::gather::Gather;

/// A camera without a process for so many polls is forgotten, so that names which nobody uses any more leave room.
const IDLE_MAX: u32 = 1_000;
/// Cameras at once.
pub(super) const CAMERAS_MAX: usize = 300;
const MEBIBYTE: f64 = 1_048_576.0;

#[derive(Default)]
struct Camera {
    now: HashSet<Identity>,
    before: HashSet<Identity>,
    /// Processes that ended and that no other has followed yet.
    ended: u64,
    restarts: u64,
    cpu_seconds: f64,
    resident_bytes: f64,
    oldest: Option<f64>,
    /// Polls since it last had a process.
    idle: u32,
}

/// All cameras that had a process here lately.
#[derive(Default)]
pub(super) struct Cameras {
    cameras: HashMap<String, Camera>,
}

impl Cameras {
    /// Begins a poll.
    pub(super) fn begin(&mut self) {
        self.cameras.retain(|_, camera| camera.idle <= IDLE_MAX);
        for camera in self.cameras.values_mut() {
            camera.idle = if camera.now.is_empty() { camera.idle.saturating_add(1) } else { 0 };
            camera.before = std::mem::take(&mut camera.now);
            (camera.cpu_seconds, camera.resident_bytes, camera.oldest) = (0.0, 0.0, None);
        }
    }

    /// Adds a process of a camera; false when there are too many cameras.
    pub(super) fn add(&mut self, name: &str, identity: Identity, stat: &Stat, counted: &Counts, started: f64) -> bool {
        if !self.cameras.contains_key(name) && self.cameras.len() >= CAMERAS_MAX {
            return false;
        }
        let camera = self.cameras.entry(name.to_owned()).or_default();
        camera.now.insert(identity);
        camera.cpu_seconds += counted.user + counted.system;
        camera.resident_bytes += stat.resident_bytes;
        camera.oldest = Some(camera.oldest.map_or(started, |oldest| oldest.min(started)));
        true
    }

    /// Ends a poll: counts restarts and puts the figures. `elapsed` is the time since the poll before, if there was one.
    pub(super) fn put(&mut self, now: f64, elapsed: Option<f64>, out: &mut Gather<'_>) {
        for (name, camera) in &mut self.cameras {
            camera.ended += camera.before.difference(&camera.now).count() as u64;
            // Only what takes the place of one that ended was started again: a second process beside the first is none of that.
            let followed = (camera.now.difference(&camera.before).count() as u64).min(camera.ended);
            camera.ended -= followed;
            camera.restarts += followed;
            let labels = [("camera_id", name.as_str())];
            let help = "Times a camera's FFmpeg process was started again.";
            out.counter("ffmpeg_process_restarts_total", &help, &labels, camera.restarts as f64);
            let Some(oldest) = camera.oldest else { continue };
            out.gauge("ffmpeg_process_memory_mb", &"Memory of a camera's FFmpeg process.", &labels, camera.resident_bytes / MEBIBYTE);
            out.gauge("ffmpeg_process_uptime_seconds", &"Time since a camera's FFmpeg process was started.", &labels, (now - oldest).max(0.0));
            if let Some(elapsed) = elapsed.filter(|elapsed| *elapsed > 0.0) {
                out.gauge("ffmpeg_process_cpu_percent", &"CPU share of a camera's FFmpeg process.", &labels, camera.cpu_seconds * 100.0 / elapsed);
            }
        }
    }
}
