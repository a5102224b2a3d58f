//! The backend: takes pictures from cameras, runs the workers, and has the pages that its documents name.

use std::collections::VecDeque;
use std::io::Result;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use watchfire_sdk::queue::{Outcome, Producer, QueueError, Worker};

use super::cameras::CAMERAS;
use super::cost::CUT;
use super::pipeline::{Pipeline, queue};
use crate::faults::Known;
use crate::http::{Request, Response};
use crate::part::Part;
use crate::plan::Plan;
use crate::telling::Telling;
use crate::{clock, http};

/// Pictures that wait for the queue; the oldest go.
const UPLOADS_MAX: usize = 200;
/// How long figures of events are good.
const CACHE_MS: f64 = 2_000.0;
const TIMEOUT: Duration = Duration::from_secs(2);

/// Lines of a flood in each round of 50 ms.
const FLOOD_LINES: usize = 20;

const FAULTS: &[Known] = &[("worker-dies", "a worker ends after every job and is started again"), ("log-flood", "four hundred lines a second are logged"), CUT];

struct Backend {
    part: Arc<Part>,
    began: Instant,
    uploads: Mutex<VecDeque<Vec<u8>>>,
    health: Mutex<Value>,
    cache: Mutex<Option<(Instant, Value)>>,
    /// Whether somebody got figures that were no longer good.
    stale: AtomicBool,
    pipeline: Pipeline,
}

pub(crate) fn run(plan: Plan) -> Result<()> {
    let part = Part::new("backend", plan, FAULTS);
    let telling = Telling::default();
    telling.run(&part)?;
    let flooding = telling.clone();
    part.every(50, move |part| {
        if part.faults.is("log-flood") {
            (0..FLOOD_LINES).for_each(|i| flooding.line(part, "DEBUG", &format!("nothing happened for the {i}th time"), &[]));
        }
    })?;
    let backend = Arc::new(Backend {
        part: part.clone(),
        began: clock::now(),
        uploads: Mutex::default(),
        health: Mutex::new(json!({"status": "unhealthy", "services": {}})),
        cache: Mutex::default(),
        stale: AtomicBool::new(false),
        pipeline: Pipeline::new(part.clone(), telling),
    });
    part.metrics.add("hsi_queue_overflow_total", &[("queue_name", "uploads"), ("policy", "drop_oldest")], 0.0);
    for counter in ["hsi_queue_items_moved_to_dlq_total", "hsi_queue_items_dropped_total", "hsi_queue_items_rejected_total"] {
        part.metrics.add(counter, &[("queue_name", "uploads")], 0.0);
    }
    for counter in ["hsi_cache_hits_total", "hsi_cache_misses_total", "hsi_cache_stale_hits_total"] {
        part.metrics.add(counter, &[("cache_type", "event_stats")], 0.0);
    }
    part.metrics.add("hsi_cache_invalidations_total", &[("cache_type", "event_stats"), ("reason", "event_created")], 0.0);
    let pushing = backend.clone();
    let producer = Producer::new(&queue(&part, "detection_queue", "hsi-camera"));
    part.every(20, move |_| pushing.push(&producer))?;
    worker(&backend, "detection_queue", "hsi-detector", Backend::detect)?;
    worker(&backend, "analysis_queue", "hsi-analyser", |backend, payload| backend.pipeline.analyse(payload))?;
    let (saving, checking, refreshing) = (backend.clone(), backend.clone(), backend.clone());
    part.every(100, move |_| refreshing.refresh_stale())?;
    part.every(200, move |part| saving.save(part))?;
    part.every(1_000, move |_| checking.check())?;
    part.serve("/api/metrics", move |request| backend.answer(request))?;
    part.live()
}

/// Works on a queue for ever; a worker that ends is started again.
fn worker(backend: &Arc<Backend>, name: &'static str, worker: &'static str, work: fn(&Backend, &[u8]) -> Outcome) -> Result<()> {
    let (backend, part) = (backend.clone(), backend.part.clone());
    let label: [(&str, &str); 1] = [("worker_name", worker)];
    part.metrics.add("hsi_pipeline_worker_restarts_total", &[("worker_name", worker), ("reason_category", "exception")], 0.0);
    part.metrics.add("hsi_worker_restarts_total", &label, 0.0);
    part.metrics.add("hsi_worker_crashes_total", &label, 0.0);
    let mut starts = 0;
    part.every(200, move |part| {
        if starts > 0 {
            part.metrics.add("hsi_pipeline_worker_restarts_total", &[("worker_name", worker), ("reason_category", "exception")], 1.0);
            part.metrics.add("hsi_worker_restarts_total", &label, 1.0);
        }
        starts += 1;
        let began = clock::now();
        part.metrics.set("hsi_pipeline_worker_state", &label, 1.0);
        part.metrics.set("hsi_worker_status", &label, 1.0);
        let mut failures = 0.0;
        if let Ok(running) = Worker::start(queue(part, name, worker)) {
            let done = running.run(|job| {
                let outcome = work(&backend, job.payload());
                failures = if outcome == Outcome::Done { 0.0 } else { failures + 1.0 };
                part.metrics.set("hsi_pipeline_worker_consecutive_failures", &label, failures);
                part.metrics.set("hsi_pipeline_worker_uptime_seconds", &label, began.elapsed().as_secs_f64());
                if part.faults.is("worker-dies") {
                    running.stop();
                }
                outcome
            });
            // While the server is away there is nothing to do; the next round tries again.
            drop::<std::result::Result<(), QueueError>>(done);
        }
        part.metrics.set("hsi_pipeline_worker_state", &label, 2.0);
        part.metrics.add("hsi_worker_crashes_total", &label, 1.0);
    })
}

impl Backend {
    fn detect(&self, payload: &[u8]) -> Outcome {
        self.pipeline.detect(payload)
    }
    /// A camera's upload; when too many wait, the oldest goes.
    fn take(&self, body: &[u8]) {
        let mut uploads = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        uploads.push_back(body.to_vec());
        if uploads.len() > UPLOADS_MAX {
            uploads.pop_front();
            self.part.metrics.add("hsi_queue_overflow_total", &[("queue_name", "uploads"), ("policy", "drop_oldest")], 1.0);
            self.part.metrics.add("hsi_queue_items_dropped_total", &[("queue_name", "uploads")], 1.0);
        }
    }
    fn push(&self, producer: &Producer) {
        loop {
            let Some(next) = self.uploads.lock().unwrap_or_else(PoisonError::into_inner).pop_front() else { return };
            match producer.push(&next) {
                Ok(_) => {}
                Err(QueueError::Away(_)) => {
                    // It surely did not arrive, so it goes first again.
                    self.uploads.lock().unwrap_or_else(PoisonError::into_inner).push_front(next);
                    return;
                }
                Err(_) => self.part.metrics.add("hsi_queue_items_rejected_total", &[("queue_name", "detection_queue")], 1.0),
            }
        }
    }
    fn save(&self, part: &Part) {
        let before = part.metrics.value("hsi_events_created_total", &[]);
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.as_ref().is_some_and(|(_, value)| value["created"].as_f64() != Some(before)) {
            *cache = None;
            part.metrics.add("hsi_cache_invalidations_total", &[("cache_type", "event_stats"), ("reason", "event_created")], 1.0);
        }
        drop(cache);
        self.pipeline.tell();
        // What could not be saved waits for the next round.
        self.pipeline.save();
    }
    /// Asks everybody how they are.
    fn check(&self) {
        let plan = &self.part.plan;
        let word = |is: bool| if is { "healthy" } else { "unhealthy" };
        let well = |address: &str, path: &str| http::ask(address, "GET", path, b"", TIMEOUT).is_ok_and(|(status, _)| status == 200);
        let of = |part: &str| well(&plan.address(part), "/health");
        let (database, redis, ai) = (of("postgres"), well(&plan.watchfire, "/api/queues"), of("ai-yolo26") && of("ai-llm"));
        let status = match (database, redis, ai) {
            (true, true, true) => "healthy",
            (false, false, false) => "unhealthy",
            _ => "degraded",
        };
        let told =
            json!({"status": status, "services": {"database": {"status": word(database)}, "redis": {"status": word(redis)}, "ai": {"status": word(ai)}}});
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) = told;
    }
    fn answer(&self, request: &Request) -> Option<Response> {
        let health = || self.health.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let metrics = &self.part.metrics;
        Some(match request.path.as_str() {
            "/api/ingest" => {
                self.take(&request.body);
                Response::json(&json!({}))
            }
            "/api/system/health" | "/health" => Response::json(&health()),
            "/api/system/health/ready" => {
                let ready = health()["status"] != "unhealthy";
                Response::status_json(if ready { 200 } else { 503 }, &json!({"status": if ready { "ready" } else { "not_ready" }}))
            }
            "/api/system/stats" => Response::json(&json!({
                "total_cameras": CAMERAS.len(), "total_events": metrics.total("hsi_events_created_total"),
                "total_detections": metrics.total("hsi_detections_processed_total"), "uptime_seconds": self.began.elapsed().as_secs_f64(),
            })),
            "/api/system/telemetry" => {
                let queues: Value = self.fetch(&self.part.plan.watchfire, "/api/queues")?;
                let waiting =
                    |name: &str| queues.as_array().into_iter().flatten().find(|q| q["name"] == name || q["queue"] == name).map(|q| q["waiting"].clone());
                let depths = json!({"detection_queue": waiting("detection_queue"), "analysis_queue": waiting("analysis_queue")});
                Response::json(&json!({"queues": depths, "latencies": self.pipeline.latencies()}))
            }
            "/api/system/gpu" => Response::json(&self.fetch(&self.part.plan.address("ai-yolo26"), "/health")?),
            "/api/events/stats" => Response::json(&self.stats()?),
            _ => return None,
        })
    }
    fn fetch(&self, address: &str, path: &str) -> Option<Value> {
        let (_, body) = http::ask(address, "GET", path, b"", TIMEOUT).ok()?;
        serde_json::from_slice(&body).ok()
    }
    /// Figures of events: from the cache while they are good, and once more after that while new ones are fetched.
    fn stats(&self) -> Option<Value> {
        let label: &[(&str, &str)] = &[("cache_type", "event_stats")];
        let count = |counter| self.part.metrics.add(counter, label, 1.0);
        let known = self.cache.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            Some((at, value)) if clock::ms_since(at) < CACHE_MS => {
                count("hsi_cache_hits_total");
                Some(value)
            }
            Some((_, value)) => {
                count("hsi_cache_stale_hits_total");
                self.stale.store(true, Ordering::Relaxed);
                Some(value)
            }
            None => {
                count("hsi_cache_misses_total");
                self.refresh()
            }
        }
    }
    /// Fetches figures anew.
    fn refresh(&self) -> Option<Value> {
        let created = self.part.metrics.value("hsi_events_created_total", &[]);
        let mut value = self.fetch(&self.part.plan.address("postgres"), "/events/stats")?;
        value["created"] = created.into();
        *self.cache.lock().unwrap_or_else(PoisonError::into_inner) = Some((clock::now(), value.clone()));
        Some(value)
    }
    /// Fetches in the background what somebody got although it was old.
    fn refresh_stale(&self) {
        if self.stale.swap(false, Ordering::Relaxed) {
            let status = if self.refresh().is_some() { "success" } else { "failure" };
            self.part.metrics.add("hsi_cache_background_refresh_total", &[("cache_type", "event_stats"), ("status", status)], 1.0);
        }
    }
}
