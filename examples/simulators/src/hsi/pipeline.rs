//! The pipeline's work: a picture's job becomes what is found in it, what is found becomes a batch, a batch becomes a prompt and an event. Jobs
//! lie in the server's queues, which give them again, or to the dead letters, when they fail.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use watchfire_sdk::queue::{Outcome, Producer, Report, Settings};

use super::cost::{CUT, Costs};
use super::services::{Failure, Services};
use crate::part::Part;
use crate::telling::Telling;
use crate::{clock, http};

/// Pictures that make a batch, and how long it waits for them.
const BATCH_PICTURES: usize = 10;
const BATCH_MS: f64 = 4_000.0;
/// Things of one picture that are looked at more closely.
const ENRICHED_MAX: usize = 3;
/// Words that the model takes at most, and the share of them that is told of.
const WINDOW_WORDS: usize = 700;
const HIGH: f64 = 0.8;
/// Events that wait while the database is away; the oldest go.
const EVENTS_MAX: usize = 1_000;
/// Times of a stage of which the page tells.
const LATENCIES: usize = 200;
const TIMEOUT: Duration = Duration::from_secs(5);
const STAGE_SECONDS: &[f64] = &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
const ENRICHED_SECONDS: &[f64] = &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];
const CONFIDENCE: &[f64] = &[0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99];
const RISK: &[f64] = &[10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0];
const UTILIZATION: &[f64] = &[0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0];
const WORDS: &[f64] = &[100.0, 250.0, 500.0, 750.0, 1_000.0, 1_500.0, 2_000.0, 2_500.0, 3_000.0, 3_500.0, 4_000.0];

/// Settings of a queue of the server.
pub(crate) fn queue(part: &Part, queue: &str, worker: &str) -> Settings {
    let url = format!("http://{}", part.plan.watchfire);
    Settings { count: 5, wait: Duration::from_secs(1), patience: Duration::from_secs(10), ..Settings::new(&url, queue, worker) }
}

pub(crate) struct Pipeline {
    part: Arc<Part>,
    services: Services,
    costs: Costs,
    analysis: Producer,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    batches: BTreeMap<String, Batch>,
    latencies: BTreeMap<&'static str, VecDeque<f64>>,
    /// Events that are not in the database yet.
    events: VecDeque<Value>,
}

struct Batch {
    began: Instant,
    pictures: usize,
    found: Vec<Value>,
}

impl Pipeline {
    pub(crate) fn new(part: Arc<Part>, telling: Telling) -> Pipeline {
        let metrics = &part.metrics;
        for counter in ["hsi_events_created_total", "hsi_detections_processed_total", "hsi_prompts_high_utilization_total", "hsi_prompts_truncated_total"] {
            metrics.add(counter, &[], 0.0);
        }
        metrics.add("hsi_enrichment_partial_batches_total", &[], 0.0);
        for error in ["invalid_image", "connection_error", "file_not_found"] {
            metrics.add("hsi_pipeline_errors_total", &[("error_type", error)], 0.0);
        }
        let analysis = Producer::new(&queue(&part, "analysis_queue", "hsi-detector"));
        Pipeline { services: Services::new(part.clone(), telling), costs: Costs::default(), analysis, state: Mutex::default(), part }
    }
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn stage(&self, stage: &'static str, began: Instant) {
        self.part.metrics.observe("hsi_stage_duration_seconds", STAGE_SECONDS, &[("stage", stage)], began.elapsed().as_secs_f64());
        let mut state = self.state();
        let latest = state.latencies.entry(stage).or_default();
        latest.push_back(clock::ms_since(began));
        if latest.len() > LATENCIES {
            latest.pop_front();
        }
    }
    /// Says what of the budgets is spent.
    pub(crate) fn tell(&self) {
        self.costs.tell(&self.part.metrics, self.part.faults.is(CUT.0));
    }
    /// Mean and quantiles of the latest times of each stage.
    pub(crate) fn latencies(&self) -> Value {
        let state = self.state();
        let mut told = json!({});
        for (stage, latest) in &state.latencies {
            let mut sorted: Vec<f64> = latest.iter().copied().collect();
            sorted.sort_by(f64::total_cmp);
            let at = |share: f64| sorted.get(((sorted.len() - 1) as f64 * share) as usize).copied().unwrap_or(0.0);
            told[*stage] = json!({"avg_ms": sorted.iter().sum::<f64>() / sorted.len() as f64, "p95_ms": at(0.95), "p99_ms": at(0.99)});
        }
        told
    }
    fn failed(&self, failure: Failure) -> Outcome {
        self.part.metrics.add("hsi_pipeline_errors_total", &[("error_type", &failure.class)], 1.0);
        Outcome::Failed(Report::new(&failure.class, failure.words))
    }
    /// A picture.
    pub(crate) fn detect(&self, payload: &[u8]) -> Outcome {
        let began = clock::now();
        let job: Value = serde_json::from_slice(payload).unwrap_or_default();
        let (camera, path) = (job["camera_id"].as_str().unwrap_or("unknown"), job["file_path"].as_str().unwrap_or_default());
        let found = std::fs::read(path)
            .map_err(|error| Failure { class: "file_not_found".to_owned(), words: format!("cannot read {path}: {error}") })
            .and_then(|picture| self.services.call("yolo26", "ai-yolo26", "/detect", &picture));
        let mut found = match found {
            Ok(found) => found,
            Err(failure) => return self.failed(failure),
        };
        self.costs.card(&self.part.metrics, "yolo26", found["gpu_seconds"].as_f64().unwrap_or(0.0));
        let mut list: Vec<Value> = found["detections"].as_array_mut().map(std::mem::take).unwrap_or_default();
        for one in &list {
            self.part.metrics.add("hsi_detections_processed_total", &[], 1.0);
            self.part.metrics.add("hsi_detections_by_class_total", &[("object_class", one["class"].as_str().unwrap_or("unknown"))], 1.0);
            self.part.metrics.observe("hsi_detection_confidence", CONFIDENCE, &[], one["confidence"].as_f64().unwrap_or(0.0));
        }
        self.enrich(&mut list);
        self.stage("detect", began);
        match self.batch(camera, list) {
            Some(batch) => self.hand_on(camera, batch),
            None => Outcome::Done,
        }
    }
    /// Looks more closely at the first things that were found.
    fn enrich(&self, found: &mut [Value]) {
        let metrics = &self.part.metrics;
        let (mut good, mut bad) = (0.0, 0.0);
        for one in found.iter_mut().take(ENRICHED_MAX) {
            let model = match one["class"].as_str() {
                Some("person") => "clothing",
                Some("car") => "vehicle",
                _ => "pet",
            };
            let began = clock::now();
            let answer = self.services.call("enrichment", "ai-enrichment", &format!("/enrich/{model}"), one.to_string().as_bytes());
            let label: &[(&str, &str)] = &[("model", model)];
            metrics.add("hsi_enrichment_model_calls_total", label, 1.0);
            metrics.add("hsi_enrichment_model_errors_total", label, f64::from(u8::from(answer.is_err())));
            metrics.observe("hsi_enrichment_model_duration_seconds", ENRICHED_SECONDS, label, began.elapsed().as_secs_f64());
            let (calls, errors) = (metrics.value("hsi_enrichment_model_calls_total", label), metrics.value("hsi_enrichment_model_errors_total", label));
            metrics.set("hsi_enrichment_success_rate", label, 1.0 - errors / calls);
            match answer {
                Ok(more) => {
                    one["more"] = more;
                    good += 1.0;
                }
                Err(_) => bad += 1.0,
            }
        }
        let status = match (good > 0.0, bad > 0.0) {
            (_, false) => "full",
            (true, true) => "partial",
            (false, true) => "failed",
        };
        metrics.add("hsi_enrichment_batch_status_total", &[("status", status)], 1.0);
        metrics.add("hsi_enrichment_partial_batches_total", &[], f64::from(u8::from(status == "partial")));
    }
    /// Puts what was found to the rest of its camera; the batch when it is whole.
    fn batch(&self, camera: &str, found: Vec<Value>) -> Option<Batch> {
        let mut state = self.state();
        let batch = state.batches.entry(camera.to_owned()).or_insert_with(|| Batch { began: clock::now(), pictures: 0, found: Vec::new() });
        batch.pictures += 1;
        batch.found.extend(found);
        let whole = batch.pictures >= BATCH_PICTURES || clock::ms_since(batch.began) > BATCH_MS;
        if whole { state.batches.remove(camera) } else { None }
    }
    fn hand_on(&self, camera: &str, batch: Batch) -> Outcome {
        self.stage("batch", batch.began);
        if batch.found.is_empty() {
            return Outcome::Done;
        }
        let payload = json!({"camera_id": camera, "detections": batch.found}).to_string();
        match self.analysis.push(payload.as_bytes()) {
            Ok(_) => Outcome::Done,
            Err(error) => self.failed(Failure { class: "connection_error".to_owned(), words: error.to_string() }),
        }
    }
    /// A batch.
    pub(crate) fn analyse(&self, payload: &[u8]) -> Outcome {
        let began = clock::now();
        let metrics = &self.part.metrics;
        let job: Value = serde_json::from_slice(payload).unwrap_or_default();
        let camera = job["camera_id"].as_str().unwrap_or("unknown");
        let prompt = self.prompt(camera, &job["detections"]);
        let answer = match self.services.call("nemotron", "ai-llm", "/v1/completions", json!({"prompt": prompt}).to_string().as_bytes()) {
            Ok(answer) => answer,
            Err(failure) => return self.failed(failure),
        };
        let count = |key: &str| answer["usage"][key].as_f64().unwrap_or(0.0);
        let (input, output, seconds) = (count("prompt_tokens"), count("completion_tokens"), answer["gpu_seconds"].as_f64().unwrap_or(0.0));
        metrics.add("hsi_nemotron_tokens_input_total", &[("camera_id", camera)], input);
        metrics.add("hsi_nemotron_tokens_output_total", &[("camera_id", camera)], output);
        metrics.set("hsi_nemotron_tokens_per_second", &[], (input + output) / seconds.max(1e-6));
        self.costs.card(metrics, "nemotron", seconds);
        self.costs.tokens(metrics, camera, input, output);
        let risk = answer["risk_score"].as_f64().unwrap_or(0.0);
        let level = ["low", "medium", "high", "critical"].get((risk / 25.0) as usize).unwrap_or(&"critical");
        metrics.add("hsi_events_created_total", &[], 1.0);
        metrics.add("hsi_events_by_risk_level_total", &[("level", level)], 1.0);
        metrics.observe("hsi_risk_score", RISK, &[], risk);
        let mut state = self.state();
        state.events.push_back(json!({"camera_id": camera, "risk_score": risk}));
        if state.events.len() > EVENTS_MAX {
            state.events.pop_front();
            metrics.add("hsi_pipeline_errors_total", &[("error_type", "database_error")], 1.0);
        }
        drop(state);
        self.stage("analyze", began);
        Outcome::Done
    }
    /// The prompt, cut where the model takes no more.
    fn prompt(&self, camera: &str, found: &Value) -> String {
        let metrics = &self.part.metrics;
        let mut lines = vec![format!("how dangerous is what {camera} saw, from 0 to 100")];
        for one in found.as_array().into_iter().flatten() {
            let text = |key: &str| one[key].to_string();
            lines.push(format!(
                "class={} confidence={} area={} at {},{} {}",
                text("class"),
                text("confidence"),
                text("area"),
                text("x"),
                text("y"),
                one["more"]
            ));
        }
        let words: usize = lines.iter().map(|line| line.split_whitespace().count()).sum();
        let filled = words as f64 / WINDOW_WORDS as f64;
        metrics.observe("hsi_llm_context_utilization", UTILIZATION, &[], filled);
        metrics.set("hsi_llm_context_utilization_ratio", &[("model", "nemotron")], filled);
        metrics.observe("hsi_prompt_tokens", WORDS, &[], words as f64);
        if filled > HIGH {
            metrics.add("hsi_prompts_high_utilization_total", &[], 1.0);
        }
        if words > WINDOW_WORDS {
            metrics.add("hsi_prompts_truncated_total", &[], 1.0);
            let mut left = WINDOW_WORDS;
            lines.retain(|line| {
                let fits = line.split_whitespace().count() <= left;
                left -= if fits { line.split_whitespace().count() } else { 0 };
                fits
            });
        }
        lines.join("\n")
    }
    /// Writes events down that wait. Whether all could be.
    pub(crate) fn save(&self) -> bool {
        loop {
            let Some(event) = self.state().events.front().cloned() else { return true };
            let saved = http::ask(&self.part.plan.address("postgres"), "POST", "/events", event.to_string().as_bytes(), TIMEOUT);
            if !saved.is_ok_and(|(status, _)| status == 200) {
                return false;
            }
            self.state().events.pop_front();
        }
    }
}
