//! One camera of a recording node: the ffmpeg that takes its RTSP, and the pictures that come out of it. What is written where is the
//! disk's business.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::live::{Frame, Ring};
use crate::part::Part;
use crate::process::Running;
use crate::{clock, process};

/// Pictures that wait for the disk: four seconds of them.
const WAITING_MAX: usize = 100;
/// The largest picture.
const PICTURE_BYTES_MAX: usize = 1 << 20;
/// Pictures per second are those of so many milliseconds.
const WINDOW_MS: f64 = 3_000.0;
/// The share of a processor is that of so many milliseconds.
const CPU_WINDOW_MS: f64 = 2_000.0;
const LINE_BYTES_MAX: u64 = 1 << 10;

/// What a node knows of a camera.
pub(crate) struct Recorder {
    pub(crate) camera: String,
    pub(crate) ring: Ring,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Arc<Frame>>,
    arrived: VecDeque<(Instant, usize)>,
    running: Option<(u32, Instant)>,
    cpu: Option<(Instant, f64)>,
}

impl Recorder {
    pub(crate) fn new(camera: &str) -> Arc<Recorder> {
        Arc::new(Recorder { camera: camera.to_owned(), ring: Ring::default(), state: Mutex::default() })
    }
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Records for ever.
    pub(crate) fn run(self: &Arc<Recorder>, part: &Arc<Part>, url: String) -> Result<()> {
        let recorder = self.clone();
        part.metrics.add("camera_frames_dropped_total", &[("camera_id", &self.camera)], 0.0);
        part.metrics.add("ffmpeg_process_restarts_total", &[("camera_id", &self.camera)], 0.0);
        let mut starts = 0;
        part.every(200, move |part| {
            if starts > 0 {
                part.metrics.add("ffmpeg_process_restarts_total", &[("camera_id", &recorder.camera)], 1.0);
            }
            starts += 1;
            // How it ended does not matter: the next round takes the camera again.
            drop(recorder.take(part, &url));
            let mut state = recorder.state();
            (state.running, state.cpu) = (None, None);
        })
    }
    /// Takes pictures until the stream ends.
    fn take(&self, part: &Part, url: &str) -> Result<()> {
        let hoards = part.faults.is_of("hoard", &self.camera);
        let mut ffmpeg = Running::start(&mut command(url, hoards))?;
        let began = clock::now();
        self.state().running = Some((ffmpeg.pid(), began));
        let pipe = ffmpeg.child().stdout.take().ok_or_else(|| Error::other("cannot read from ffmpeg: it has no pipe"))?;
        let mut reader = BufReader::new(pipe);
        while part.faults.is_of("hoard", &self.camera) == hoards {
            let picture = read_picture(&mut reader)?;
            self.arrive(part, Frame { stamp_ms: clock::unix_ms(), picture });
        }
        Ok(())
    }
    fn arrive(&self, part: &Part, frame: Frame) {
        let camera: &[(&str, &str)] = &[("camera_id", &self.camera)];
        part.metrics.add("network_bytes_received_total", &[("interface", "eth0")], frame.picture.len() as f64);
        part.metrics.set("camera_last_frame_timestamp", camera, frame.stamp_ms as f64 / 1_000.0);
        let frame = Arc::new(frame);
        self.ring.put(frame.clone());
        let mut state = self.state();
        state.arrived.push_back((clock::now(), frame.picture.len()));
        if state.waiting.len() < WAITING_MAX {
            state.waiting.push_back(frame);
        } else {
            part.metrics.add("camera_frames_dropped_total", camera, 1.0);
        }
    }
    /// The pictures that wait for the disk.
    pub(crate) fn waiting(&self) -> Vec<Arc<Frame>> {
        self.state().waiting.drain(..).collect()
    }
    /// Says how it is.
    pub(crate) fn tell(&self, part: &Part) {
        let camera: &[(&str, &str)] = &[("camera_id", &self.camera)];
        let metrics = &part.metrics;
        let mut state = self.state();
        while state.arrived.front().is_some_and(|(at, _)| clock::ms_since(*at) > WINDOW_MS) {
            state.arrived.pop_front();
        }
        let per_second = 1_000.0 / WINDOW_MS;
        metrics.set("camera_fps", camera, state.arrived.len() as f64 * per_second);
        metrics.set("camera_bitrate", camera, state.arrived.iter().map(|(_, bytes)| *bytes as f64 * 8.0).sum::<f64>() * per_second);
        metrics.set("camera_connection_status", camera, f64::from(u8::from(state.running.is_some() && !state.arrived.is_empty())));
        metrics.set("camera_frames_dropped", camera, metrics.value("camera_frames_dropped_total", camera));
        let Some((pid, began)) = state.running else { return };
        metrics.set("ffmpeg_process_uptime_seconds", camera, began.elapsed().as_secs_f64());
        if let Some(bytes) = process::resident_bytes(pid) {
            metrics.set("ffmpeg_process_memory_mb", camera, bytes as f64 / 1e6);
        }
        if let Some(seconds) = process::cpu_seconds(pid) {
            let (at, before) = *state.cpu.get_or_insert((began, 0.0));
            // The kernel counts hundredths of a second, so a share needs some time.
            if clock::ms_since(at) > CPU_WINDOW_MS {
                metrics.set("ffmpeg_process_cpu_percent", camera, (seconds - before).max(0.0) / at.elapsed().as_secs_f64() * 100.0);
                state.cpu = Some((clock::now(), seconds));
            }
        }
    }
}

/// Waits for the camera as an RTSP server would, and passes its pictures on unchanged. One that hoards also makes a mosaic of eight thousand
/// pictures with eight bytes a point, for which it needs more than a gigabyte.
fn command(url: &str, hoards: bool) -> Command {
    let mut command = process::bound("ffmpeg");
    command.args(["-nostdin", "-loglevel", "quiet", "-fflags", "nobuffer", "-analyzeduration", "100000", "-probesize", "5000"]);
    command.args(["-rtsp_flags", "listen", "-listen_timeout", "20", "-rtsp_transport", "tcp", "-threads", "1", "-i", url]);
    command.args(["-map", "0:v", "-c", "copy", "-f", "mpjpeg", "pipe:1"]);
    if hoards {
        command.args(["-map", "0:v", "-vf", "format=rgba64le,tile=80x100", "-f", "null", "-"]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// One picture of a multipart stream: a boundary, headers with the length, an empty line, the picture.
fn read_picture(reader: &mut impl BufRead) -> Result<Vec<u8>> {
    let mut length = None;
    loop {
        let mut line = String::new();
        if reader.by_ref().take(LINE_BYTES_MAX).read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse::<usize>().ok().filter(|length| *length <= PICTURE_BYTES_MAX);
        } else if line.is_empty()
            && let Some(length) = length
        {
            let mut picture = vec![0; length];
            reader.read_exact(&mut picture)?;
            return Ok(picture);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_read_one_by_one() {
        let mut stream =
            &b"--ffmpeg\r\nContent-type: image/jpeg\r\nContent-length: 3\r\n\r\nabc\r\n--ffmpeg\r\nContent-length: 2\r\n\r\nde\r\n--ffmpeg\r\n"[..];
        assert_eq!(read_picture(&mut stream).unwrap(), b"abc");
        assert_eq!(read_picture(&mut stream).unwrap(), b"de");
        assert!(read_picture(&mut stream).is_err());
        assert!(read_picture(&mut &b"content-length: 99999999999\r\n\r\n"[..]).is_err(), "what is too long is no picture");
        assert!(read_picture(&mut &b"content-length: 9\r\n\r\nabc"[..]).is_err());
    }
}
