//! A camera: ffmpeg draws a scene with boxes that move, in real time, and its pictures come as grey pixels through a pipe. Each becomes a
//! file and a job of the detection queue. Every so often a file is torn on purpose, as from a camera that lost its connection.

use std::collections::VecDeque;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use watchfire_sdk::queue::{Producer, QueueError};

use crate::Run;
use crate::jobs::PictureJob;
use crate::picture::Picture;
use crate::traces::{Kind, Span};

pub(crate) const WIDTH: usize = 160;
pub(crate) const HEIGHT: usize = 120;
/// One picture in so many is torn.
const TORN_EVERY: u64 = 40;
/// Files of pictures that a camera keeps; a job that waits longer finds none, and fails.
const FILES_MAX: usize = 600;

/// What a camera looks at: a plain wall with a little noise, and a box that crosses it, pauses out of sight, and comes again.
pub(crate) struct Scene {
    pub(crate) camera: &'static str,
    wall: &'static str,
    thing: &'static str,
    size: (u32, u32),
    /// Seconds from one crossing to the next, and how long one takes.
    period: f64,
    crossing: f64,
    y: &'static str,
}

/// The cameras of the demo.
pub(crate) const SCENES: [Scene; 2] = [
    Scene { camera: "demo_front_door", wall: "0x303030", thing: "0xd0d0d0", size: (22, 44), period: 12.0, crossing: 8.0, y: "60" },
    Scene { camera: "demo_back_yard", wall: "0x606060", thing: "0x101010", size: (16, 12), period: 9.0, crossing: 5.0, y: "40+20*sin(t*2)" },
];

impl Scene {
    fn graph(&self, fps: u32) -> String {
        let Scene { wall, thing, size: (w, h), period, crossing, y, .. } = self;
        let phase = format!("mod(t,{period})/{crossing}");
        // Beyond the crossing the box is out of the picture.
        let x = format!("if(lt({phase},1),{phase}*(W+w)-w,-w)");
        format!(
            "color=c={wall}:s={WIDTH}x{HEIGHT}:r={fps}[wall];color=c={thing}:s={w}x{h}:r={fps}[thing];\
             [wall][thing]overlay=x='{x}':y='{y}':eval=frame,noise=alls=4:allf=t,format=gray"
        )
    }
    fn start(&self, fps: u32, log: &Path) -> std::io::Result<Child> {
        Command::new("ffmpeg")
            .args(["-nostdin", "-loglevel", "error", "-re", "-f", "lavfi", "-i", &self.graph(fps)])
            .args(["-an", "-f", "rawvideo", "-pix_fmt", "gray", "pipe:1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(log)?)
            // Ctrl-C is for the demo, which ends its cameras first.
            .process_group(0)
            .spawn()
    }
}

/// A camera that runs.
pub(crate) struct Camera<'a> {
    scene: &'a Scene,
    child: Child,
    folder: PathBuf,
    log: PathBuf,
    files: VecDeque<PathBuf>,
    intact: Option<PathBuf>,
    taken: u64,
}

/// Why a camera ended before its time.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CameraError {
    #[error("cannot start ffmpeg: {0}")]
    Start(#[source] std::io::Error),
    #[error("cannot get further pictures from ffmpeg: {0}")]
    Ended(String),
    #[error("cannot write the picture: {0}")]
    Write(#[source] std::io::Error),
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// Whether there is an ffmpeg, so that nothing else is begun without one.
pub(crate) fn look_for_ffmpeg() -> Result<(), CameraError> {
    let nothing = || Stdio::null();
    Command::new("ffmpeg").arg("-version").stdin(nothing()).stdout(nothing()).stderr(nothing()).status().map(drop).map_err(CameraError::Start)
}

impl<'a> Camera<'a> {
    /// Starts a camera that keeps its pictures in a folder of its own.
    pub(crate) fn start(scene: &'a Scene, fps: u32, folder: &Path) -> Result<Camera<'a>, CameraError> {
        let folder = folder.join(scene.camera);
        std::fs::create_dir_all(&folder).map_err(CameraError::Write)?;
        let log = folder.join("ffmpeg.log");
        let child = scene.start(fps, &log).map_err(CameraError::Start)?;
        Ok(Camera { scene, child, folder, log, files: VecDeque::new(), intact: None, taken: 0 })
    }
    /// Takes pictures until it is over.
    pub(crate) fn run(&mut self, run: &Run, producer: &Producer) -> Result<(), CameraError> {
        let mut pipe = self.child.stdout.take().ok_or_else(|| CameraError::Ended("it has no pipe".to_owned()))?;
        let mut pixels = vec![0; WIDTH * HEIGHT];
        while !run.cameras_over.has_rung() {
            pipe.read_exact(&mut pixels).map_err(|error| CameraError::Ended(self.last_words(&error)))?;
            let mut span = Span::begin(&run.clock, "demo-camera", "take picture", Kind::Producer, None);
            span.set("camera_id", self.scene.camera);
            span.set("messaging.destination.name", run.detection_queue.as_str());
            let picture = Picture { width: WIDTH, height: HEIGHT, pixels: pixels.clone() };
            let mut job = self.keep(&picture, run)?;
            job.traceparent = Some(span.context().header());
            let pushed = self.push(&job, run, producer);
            if let Err(error) = &pushed {
                span.fail(&error.to_string());
            }
            run.spans.end(&run.clock, span);
            pushed?;
        }
        Ok(())
    }
    fn last_words(&self, error: &std::io::Error) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().last().map_or_else(|| error.to_string(), str::to_owned)
    }
    /// Writes the file and forgets the oldest.
    fn keep(&mut self, picture: &Picture, run: &Run) -> Result<PictureJob, CameraError> {
        self.taken += 1;
        let path = self.folder.join(format!("{:08}.pgm", self.taken));
        let torn = self.taken.is_multiple_of(TORN_EVERY);
        picture.write(&path, if torn { WIDTH * HEIGHT / 2 } else { WIDTH * HEIGHT }).map_err(CameraError::Write)?;
        let job = PictureJob {
            demo: run.id.clone(),
            camera_id: self.scene.camera.to_owned(),
            file_path: path.display().to_string(),
            previous_path: self.intact.as_ref().map(|p| p.display().to_string()),
            taken_at_ms: run.clock.now().millis(),
            traceparent: None,
        };
        if torn {
            run.ledger.torn.one();
        } else {
            self.intact = Some(path.clone());
        }
        self.files.push_back(path);
        if self.files.len() > FILES_MAX
            && let Some(oldest) = self.files.pop_front()
        {
            // One that cannot be removed goes with the folder.
            drop(std::fs::remove_file(oldest));
        }
        Ok(job)
    }
    fn push(&self, job: &PictureJob, run: &Run, producer: &Producer) -> Result<(), CameraError> {
        let book = &run.ledger.detection;
        let payload = serde_json::to_vec(job).map_err(|error| CameraError::Write(error.into()))?;
        match producer.push(&payload) {
            Ok(_) => book.pushed.one(),
            Err(QueueError::Unanswered(_)) => book.uncertain.one(),
            Err(QueueError::Refused { code, .. }) if code == "queue_full" => book.refused.one(),
            Err(error) => {
                book.refused.one();
                return Err(error.into());
            }
        }
        Ok(())
    }
}
impl Drop for Camera<'_> {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::motion;

    /// Reads pictures straight from ffmpeg, without waiting for real time.
    fn pictures(scene: &Scene, fps: u32, many: usize) -> Vec<Picture> {
        let args = [
            "-nostdin",
            "-loglevel",
            "error",
            "-f",
            "lavfi",
            "-i",
            &scene.graph(fps),
            "-frames:v",
            &many.to_string(),
            "-f",
            "rawvideo",
            "-pix_fmt",
            "gray",
            "pipe:1",
        ];
        let output = Command::new("ffmpeg").args(args).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout.chunks_exact(WIDTH * HEIGHT).map(|p| Picture { width: WIDTH, height: HEIGHT, pixels: p.to_vec() }).collect()
    }

    #[test]
    fn the_detector_follows_the_boxes_of_both_scenes_and_rests_when_they_do() {
        if Command::new("ffmpeg").arg("-version").output().is_err() {
            eprintln!("SKIPPED: ffmpeg is not installed");
            return;
        }
        for scene in &SCENES {
            let fps = 4;
            let all = pictures(scene, fps, scene.period as usize * fps as usize);
            let seen: Vec<Option<motion::Motion>> = all.windows(2).map(|w| motion::between(&w[0], &w[1])).collect();
            let crossing = (scene.crossing * f64::from(fps)) as usize;
            let (moving, still) = (&seen[2..crossing - 2], &seen[crossing + 1..]);
            assert!(moving.iter().all(Option::is_some), "{}: {seen:?}", scene.camera);
            assert!(still.iter().all(Option::is_none), "{}: {seen:?}", scene.camera);
            let boxes: Vec<usize> = moving.iter().flatten().map(|m| m.x).collect();
            assert!(boxes.last() > boxes.first() && boxes.last().unwrap() - boxes[0] > WIDTH / 3, "{}: {boxes:?}", scene.camera);
        }
    }
}
