//! The detector: takes pictures out of the detection queue, compares each with the one before, and puts what moved into batches for
//! the analysis queue. A picture's job is done only when its batch is in that queue, so that a death in between loses nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use watchfire_sdk::metrics::hsi;
use watchfire_sdk::queue::{Fate, Job, Producer, QueueError, Report, Worker};

use crate::Run;
use crate::crew::Member;
use crate::jobs::{BatchJob, Detection, PictureJob};
use crate::ledger::Book;
use crate::motion;
use crate::picture::{Picture, PictureError};
use crate::traces::{Context, Kind, Span};

/// A batch goes on its way after so long …
const BATCH_WINDOW: Duration = Duration::from_secs(9);
/// … or with so many detections.
const BATCH_MAX: usize = 32;
/// What counts as lately when other cameras are looked at.
const LATELY: Duration = Duration::from_secs(60);

/// Works until it is over; then what is begun goes on its way.
pub(crate) fn work(run: &Run, member: &Member) -> Result<(), QueueError> {
    let settings = run.queue_settings(&run.detection_queue, &member.name, 8);
    let worker = Worker::start(settings).map_err(|error| QueueError::Away(error.to_string()))?;
    let producer = Producer::new(&run.queue_settings(&run.analysis_queue, &member.name, 1));
    let mut batches = Batches::default();
    loop {
        let over = run.detecting_over.has_rung();
        for job in worker.lease_patiently()? {
            look(run, member, job, &mut batches);
        }
        batches.close(run, &producer, over);
        if over {
            return Ok(());
        }
    }
}

/// What one picture showed.
struct Seen {
    camera: String,
    width: usize,
    detection: Option<Detection>,
}

fn look(run: &Run, member: &Member, job: Job, batches: &mut Batches) {
    let Some(told) = serde_json::from_slice::<PictureJob>(job.payload()).ok().filter(|told| told.demo == run.id) else {
        run.meet_stranger(job);
        return;
    };
    let mut span = Span::begin(&run.clock, "demo-detector", "detect", Kind::Consumer, told.traceparent.as_deref().and_then(Context::parse));
    span.set("camera_id", told.camera_id.as_str());
    span.set("messaging.destination.name", run.detection_queue.as_str());
    let context = span.context();
    let began = run.clock.monotonic();
    let seen = compare(&told);
    run.metrics.observe_stage_duration("detect", (run.clock.monotonic().saturating_sub(began)).as_secs_f64());
    match &seen {
        Ok(seen) => span.set("detections", u64::from(seen.detection.is_some())),
        Err(error) => span.fail(&error.to_string()),
    }
    run.spans.end(&run.clock, span);
    match seen {
        Ok(Seen { camera, width, detection: Some(mut detection) }) => {
            detection.usual_share = run.history.usual(&camera, run.clock.monotonic(), &run.metrics).share;
            member.succeeded();
            run.ledger.detections.one();
            run.metrics.increment(&hsi::DETECTIONS_PROCESSED_TOTAL, []);
            run.metrics.record_detection_by_class("unknown");
            run.metrics.observe(&hsi::DETECTION_CONFIDENCE, [], detection.motion.confidence);
            batches.put(run.clock.monotonic(), camera, width, detection, (job, context));
        }
        Ok(_) => {
            member.succeeded();
            done(run, &run.ledger.detection, job);
        }
        Err(error) => {
            member.failed();
            run.metrics.increment(&hsi::PIPELINE_ERRORS_TOTAL, [error.class()]);
            fail(run, &run.ledger.detection, job, &Report::new(error.class(), error));
        }
    }
}

fn compare(told: &PictureJob) -> Result<Seen, PictureError> {
    let now = Picture::read(Path::new(&told.file_path))?;
    let motion = match &told.previous_path {
        Some(previous) => motion::between(&Picture::read(Path::new(previous))?, &now),
        None => None,
    };
    let detection =
        motion.map(|motion| Detection { taken_at_ms: told.taken_at_ms, motion, brightness: now.brightness(), contrast: now.contrast(), usual_share: 0.0 });
    Ok(Seen { camera: told.camera_id.clone(), width: now.width, detection })
}

/// Says that a job is done, and counts it.
pub(crate) fn done(run: &Run, book: &Book, job: Job) {
    match job.done() {
        Ok(()) => book.done.one(),
        // It comes back to a worker when its lease ends.
        Err(error) => run.voice.say(&error.to_string()),
    }
}

/// Says that an attempt failed, and counts what follows.
pub(crate) fn fail(run: &Run, book: &Book, job: Job, report: &Report) {
    match job.fail(report) {
        Ok(Fate::Retry { .. }) => book.retried.one(),
        Ok(Fate::Dead { place }) => {
            book.dead.one();
            run.voice.say(&format!("a job is a dead letter in {place}: {}", report.error));
        }
        Ok(Fate::Unknown) => {}
        Err(error) => run.voice.say(&error.to_string()),
    }
}

/// A batch that is still open.
struct Open {
    since: Duration,
    width: usize,
    detections: Vec<Detection>,
    jobs: Vec<Job>,
    contexts: Vec<Context>,
}

/// Open batches by camera. Dropped, they give their jobs back.
#[derive(Default)]
struct Batches(BTreeMap<String, Open>);

impl Batches {
    fn put(&mut self, now: Duration, camera: String, width: usize, detection: Detection, (job, context): (Job, Context)) {
        let open = self.0.entry(camera).or_insert_with(|| Open { since: now, width, detections: Vec::new(), jobs: Vec::new(), contexts: Vec::new() });
        open.detections.push(detection);
        open.jobs.push(job);
        open.contexts.push(context);
    }
    /// Sends on its way what is due, or everything.
    fn close(&mut self, run: &Run, producer: &Producer, all: bool) {
        let now = run.clock.monotonic();
        let due = |open: &Open| all || open.detections.len() >= BATCH_MAX || now.saturating_sub(open.since) >= BATCH_WINDOW;
        let cameras: Vec<String> = self.0.iter().filter(|(_, open)| due(open)).map(|(camera, _)| camera.clone()).collect();
        for camera in cameras {
            if let Some(open) = self.0.remove(&camera) {
                send(run, producer, &camera, open, now);
            }
        }
    }
}

fn send(run: &Run, producer: &Producer, camera: &str, open: Open, now: Duration) {
    let usual = run.history.usual(camera, now, &run.metrics);
    open.detections.iter().for_each(|d| run.history.note(camera, now, d.motion.share));
    // The batch belongs to the trace of its first picture; it knows those of the others.
    let (first, others) = open.contexts.split_first().map_or((None, &[][..]), |(first, others)| (Some(*first), others));
    let mut span = Span::begin(&run.clock, "demo-detector", "batch", Kind::Producer, first);
    span.link(others.iter().copied());
    span.set("camera_id", camera);
    span.set("detections", open.detections.len());
    span.set("messaging.destination.name", run.analysis_queue.as_str());
    let job = BatchJob {
        demo: run.id.clone(),
        batch: run.next_batch(),
        camera_id: camera.to_owned(),
        picture_width: open.width,
        detections: open.detections,
        usual_movements: usual.movements,
        usual_share: usual.share,
        elsewhere: run.history.elsewhere(camera, now, LATELY),
        traceparent: Some(span.context().header()),
    };
    let book = &run.ledger.analysis;
    let pushed = serde_json::to_vec(&job).map_err(|e| QueueError::Away(e.to_string())).and_then(|payload| producer.push(&payload));
    if let Err(error) = &pushed {
        span.fail(&error.to_string());
    }
    run.spans.end(&run.clock, span);
    match pushed {
        Ok(_) => {
            book.pushed.one();
            run.metrics.observe_stage_duration("batch", now.saturating_sub(open.since).as_secs_f64());
            open.jobs.into_iter().for_each(|job| done(run, &run.ledger.detection, job));
        }
        Err(error) => {
            match error {
                QueueError::Unanswered(_) => book.uncertain.one(),
                _ => book.refused.one(),
            }
            run.metrics.increment(&hsi::PIPELINE_ERRORS_TOTAL, ["connection_error"]);
            let report = Report::new("connection_error", error);
            open.jobs.into_iter().for_each(|job| fail(run, &run.ledger.detection, job, &report));
        }
    }
}
