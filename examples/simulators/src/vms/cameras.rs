//! The cameras: one ffmpeg each, which draws a moving picture and pushes it as RTSP to the camera's recording node.

use std::collections::BTreeMap;
use std::io::Result;
use std::process::{Command, Stdio};

use crate::faults::Known;
use crate::part::Part;
use crate::plan::Plan;
use crate::process::{self, Running};

/// Pictures per second of a camera, and of one that is slow.
const FPS: u32 = 25;
const SLOW_FPS: u32 = 10;

const FAULTS: &[Known] =
    &[("stop", "the camera's process is killed and not started again (of=CAMERA)"), ("slow", "the camera takes only 10 pictures per second (of=CAMERA)")];

pub(crate) fn run(plan: Plan) -> Result<()> {
    let part = Part::new("cameras", plan, FAULTS);
    let mut running: BTreeMap<String, (u32, Running)> = BTreeMap::new();
    part.serve("/metrics", |_| None)?;
    part.every(100, move |part| {
        for (camera, node) in part.plan.all_cameras() {
            let fps = if part.faults.is_of("slow", &camera) { SLOW_FPS } else { FPS };
            if part.faults.is_of("stop", &camera) {
                running.remove(&camera);
            } else if running.get_mut(&camera).is_none_or(|(now, process)| *now != fps || process.has_ended()) {
                running.remove(&camera);
                // One that cannot be started is tried again with the next round.
                if let Ok(process) = Running::start(&mut film(fps, &part.plan.stream_url(&camera, &node))) {
                    running.insert(camera, (fps, process));
                }
            }
        }
    })?;
    part.live()
}

fn film(fps: u32, url: &str) -> Command {
    let scene = format!("testsrc=size=160x120:rate={fps}");
    let mut command = process::bound("ffmpeg");
    command.args(["-nostdin", "-loglevel", "quiet", "-re", "-f", "lavfi", "-i", &scene]);
    // Both tables are written, or a reader of RTP takes the picture for broken.
    command.args(["-c:v", "mjpeg", "-huffman", "default", "-force_duplicated_matrix", "1", "-pix_fmt", "yuvj420p", "-q:v", "8", "-threads", "1"]);
    command.args(["-f", "rtsp", "-rtsp_transport", "tcp", url]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}
