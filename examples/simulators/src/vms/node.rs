//! A recording node: takes its cameras' streams, writes recordings to its disk, hands out pictures and recordings.

use std::io::{Error, Result};
use std::sync::Arc;

use serde_json::json;

use super::disk::{self, Disk};
use super::live;
use super::recorder::Recorder;
use crate::faults::Known;
use crate::http::{Request, Response};
use crate::part::Part;
use crate::plan::Plan;
use crate::{clock, host};

const SEGMENT_SECONDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

const FAULTS: &[Known] = &[
    disk::SLOW,
    disk::STUCK,
    disk::LOW,
    disk::FULL,
    host::BUSY,
    host::LEAK,
    ("hoard", "a camera's ffmpeg also makes a mosaic that needs more than a gigabyte (of=CAMERA)"),
];

pub(crate) fn run(name: &str, plan: Plan) -> Result<()> {
    let part = Part::new(name, plan, FAULTS);
    let disk = Arc::new(Disk::open(part.plan.dir.join(name).join("recordings"))?);
    let mut recorders = Vec::new();
    for (camera, node) in part.plan.all_cameras() {
        if node == name {
            let recorder = Recorder::new(&camera);
            recorder.run(&part, part.plan.stream_url(&camera, &node))?;
            recorders.push(recorder);
        }
    }
    let recorders: Arc<[Arc<Recorder>]> = recorders.into();
    for interface in ["network_bytes_sent_total", "network_bytes_received_total", "network_errors_total", "network_drops_total"] {
        part.metrics.add(interface, &[("interface", "eth0")], 0.0);
    }
    let (writing, on) = (recorders.clone(), disk.clone());
    part.every(500, move |part| writing.iter().for_each(|recorder| write(part, &on, recorder)))?;
    let kept = disk.clone();
    part.every(200, move |part| {
        // A disk that cannot be tidied is tidied with the next round; how full it is stands in the metrics.
        drop(kept.keep(part));
        kept.tell(part);
    })?;
    let telling = recorders.clone();
    part.every(250, move |part| telling.iter().for_each(|recorder| recorder.tell(part)))?;
    host::serve(&part)?;
    let of = part.clone();
    part.serve("/metrics", move |request| answer(&of, &recorders, &disk, request))?;
    part.live()
}

/// Writes what waits of a camera as one recording.
fn write(part: &Part, disk: &Disk, recorder: &Recorder) {
    let frames = recorder.waiting();
    let (Some(first), Some(last)) = (frames.first(), frames.last()) else { return };
    let began = clock::now();
    let bytes = frames.iter().map(|frame| frame.picture.as_slice()).collect::<Vec<_>>().concat();
    let camera: &[(&str, &str)] = &[("camera_id", &recorder.camera)];
    if disk.record(part, &recorder.camera, (first.stamp_ms, last.stamp_ms), &bytes).is_err() {
        // Pictures that could not be written are gone: to a viewer of recordings they were dropped.
        part.metrics.add("camera_frames_dropped_total", camera, frames.len() as f64);
    }
    part.metrics.observe("segment_processing_seconds", SEGMENT_SECONDS, camera, began.elapsed().as_secs_f64());
}

fn answer(part: &Arc<Part>, recorders: &[Arc<Recorder>], disk: &Disk, request: &Request) -> Option<Response> {
    let rest = request.path.strip_prefix('/')?;
    let (kind, rest) = rest.split_once('/')?;
    let (camera, name) = rest.split_once('/').map_or((rest, None), |(camera, name)| (camera, Some(name)));
    let recorder = recorders.iter().find(|recorder| recorder.camera == camera)?.clone();
    let response = match (kind, name) {
        ("live", None) => live(part.clone(), recorder),
        ("frame", None) => recorder.ring.last().map(|frame| Response::bytes(frame.picture.clone()))?,
        ("segments", None) => {
            let list: Vec<_> = disk.recordings(camera).iter().map(|s| json!({"name": s.name(), "first_ms": s.first_ms, "last_ms": s.last_ms})).collect();
            Response::json(&json!(list))
        }
        ("segments", Some(name)) => Response::bytes(disk.read(part, camera, name)?),
        _ => return None,
    };
    part.metrics.add("network_bytes_sent_total", &[("interface", "eth0")], response.length() as f64);
    Some(response)
}

/// Pictures as they come, from now on.
fn live(part: Arc<Part>, recorder: Arc<Recorder>) -> Response {
    Response::stream(Box::new(move |out| {
        let mut number = recorder.ring.end();
        loop {
            // A camera that shows nothing for a while is no reason to leave; a reader who has gone is.
            let Some((frame, next)) = recorder.ring.next(number) else {
                if out.take_error()?.is_some() {
                    return Err(Error::other("cannot write on: the reader has gone"));
                }
                continue;
            };
            live::write(out, &frame)?;
            part.metrics.add("network_bytes_sent_total", &[("interface", "eth0")], frame.picture.len() as f64);
            number = next;
        }
    }))
}
