//! The assistant: judges a prompt, looks into its cache, uses a tool or the engine, and writes every conversation into its memory. Its page
//! of metrics is the one that its documents describe.

use std::collections::BTreeMap;
use std::io::{Error, Result, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::prompts;
use super::recent::Recent;
use crate::faults::Known;
use crate::http::{self, Request, Response};
use crate::part::Part;
use crate::plan::Plan;
use crate::{clock, host};

const CACHE_MAX: usize = 64;
/// Lines of the memory; the older half goes.
const MEMORY_LINES_MAX: usize = 1_000;
/// How long the engine may take, and how long it may take to say that it is well.
const INFERENCE: Duration = Duration::from_secs(60);
const HEALTH: Duration = Duration::from_secs(1);
/// Questions that are longer are long.
const LONG_BYTES: usize = 40;
/// How long a slow memory takes for each conversation.
const SLOW_MS: u64 = 1_300;
const RESPONSE_MS: &[f64] = &[5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0];
const INFERENCE_MS: &[f64] = &[100.0, 250.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0, 30_000.0, 60_000.0];

const FAULTS: &[Known] = &[
    ("memory-slow", "writing a conversation down takes 1.3 s, one after the other"),
    ("memory-gone", "the directory of the memory is moved away, so requests fail"),
    host::BUSY,
    host::LEAK,
];

struct Assistant {
    part: Arc<Part>,
    cache: Mutex<BTreeMap<String, String>>,
    memory: Mutex<()>,
    active: AtomicUsize,
    responses: Recent,
    inferences: Recent,
    judgements: Recent,
}

pub(crate) fn run(plan: Plan) -> Result<()> {
    let part = Part::new("assistant", plan, FAULTS);
    let assistant = Arc::new(Assistant {
        part: part.clone(),
        cache: Mutex::default(),
        memory: Mutex::default(),
        active: AtomicUsize::new(0),
        responses: Recent::default(),
        inferences: Recent::default(),
        judgements: Recent::default(),
    });
    COUNTERS.iter().for_each(|counter| part.metrics.add(counter, &[], 0.0));
    part.metrics.set("app_version_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    part.metrics.set("http_requests_active", &[], 0.0);
    std::fs::create_dir_all(assistant.memory_dir())?;
    let (here, away) = (assistant.memory_dir(), part.plan.dir.join("assistant").join("memory-away"));
    part.every(50, move |part| {
        let (from, to) = if part.faults.is("memory-gone") { (&here, &away) } else { (&away, &here) };
        // It is where it should be already, most of the time.
        std::fs::rename(from, to).ok();
    })?;
    let (began, asking) = (clock::now(), assistant.clone());
    part.every(500, move |part| {
        part.metrics.set("app_uptime_seconds", &[], began.elapsed().as_secs_f64());
        let well = http::ask(&part.plan.address("engine"), "GET", "/health", b"", HEALTH).is_ok_and(|(status, _)| status == 200);
        part.metrics.set("inference_healthy", &[], f64::from(u8::from(well)));
        part.metrics.set("cache_size", &[], asking.cache.lock().unwrap_or_else(PoisonError::into_inner).len() as f64);
    })?;
    host::serve(&part)?;
    part.serve("/metrics/prometheus", move |request| assistant.answer(request))?;
    part.live()
}

const COUNTERS: &[&str] = &[
    "http_requests_success_total",
    "http_requests_client_error_total",
    "http_requests_server_error_total",
    "inference_requests_success_total",
    "inference_requests_failed_total",
    "cache_hits_total",
    "cache_misses_total",
    "security_prompt_injection_attempts_total",
    "security_jailbreak_attempts_total",
    "security_system_prompt_leak_attempts_total",
    "security_blocked_requests_total",
    "security_prompt_analyses_total",
];

impl Assistant {
    fn memory_dir(&self) -> PathBuf {
        self.part.plan.dir.join("assistant").join("memory")
    }
    fn answer(&self, request: &Request) -> Option<Response> {
        if request.path != "/v1/chat" {
            return None;
        }
        let metrics = &self.part.metrics;
        let began = clock::now();
        metrics.set("http_requests_active", &[], (self.active.fetch_add(1, Ordering::Relaxed) + 1) as f64);
        let (status, value) = match request.json()["message"].as_str() {
            Some(message) => self.chat(message),
            None => (400, json!({"error": "there is no message"})),
        };
        metrics.set("http_requests_active", &[], (self.active.fetch_sub(1, Ordering::Relaxed) - 1) as f64);
        let ms = clock::ms_since(began);
        metrics.add("http_requests_total", &[("status", &status.to_string())], 1.0);
        let outcome = match status / 100 {
            2 => "http_requests_success_total",
            4 => "http_requests_client_error_total",
            _ => "http_requests_server_error_total",
        };
        metrics.add(outcome, &[], 1.0);
        metrics.observe("http_response_time_ms", RESPONSE_MS, &[], ms);
        metrics.set("http_response_time_avg_ms", &[], self.responses.mean_with(ms));
        Some(Response::status_json(status, &value))
    }
    fn chat(&self, message: &str) -> (u16, Value) {
        let began = clock::now();
        let threat = prompts::judge(message);
        self.part.metrics.add("security_prompt_analyses_total", &[], 1.0);
        self.part.metrics.set("security_prompt_analysis_avg_us", &[], self.judgements.mean_with(clock::ms_since(began) * 1_000.0));
        if let Some(threat) = threat {
            self.part.metrics.add(threat.counter(), &[], 1.0);
            self.part.metrics.add("security_blocked_requests_total", &[], 1.0);
            return (403, json!({"error": "this is not answered"}));
        }
        match self.find(message) {
            Err(error) => (502, json!({"error": error.to_string()})),
            Ok(answer) => match self.remember(message, &answer) {
                Ok(()) => (200, json!({"answer": answer})),
                Err(error) => (500, json!({"error": error.to_string()})),
            },
        }
    }
    /// From the cache, a tool, or the engine.
    fn find(&self, message: &str) -> Result<String> {
        let known = self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(message).cloned();
        self.part.metrics.add(if known.is_some() { "cache_hits_total" } else { "cache_misses_total" }, &[], 1.0);
        if let Some(known) = known {
            return Ok(known);
        }
        let answer = match message.split_once(": ") {
            Some(("calculate", sum)) => calculate(sum).ok_or_else(|| Error::other("cannot calculate that"))?,
            Some(("search", words)) => self.search(words)?,
            Some(("recall", word)) => recall(&self.memory_dir(), word),
            _ => self.infer(message)?,
        };
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= CACHE_MAX {
            cache.pop_first();
        }
        cache.insert(message.to_owned(), answer.clone());
        Ok(answer)
    }
    fn search(&self, words: &str) -> Result<String> {
        let target = format!("/search/{}", words.replace(' ', "-"));
        let (status, body) = http::ask(&self.part.plan.address("search"), "GET", &target, b"", INFERENCE)?;
        match status {
            200 => Ok(String::from_utf8_lossy(&body).into_owned()),
            _ => Err(Error::other(format!("cannot search: it answered {status}"))),
        }
    }
    fn infer(&self, message: &str) -> Result<String> {
        let metrics = &self.part.metrics;
        let began = clock::now();
        // Long questions go to the model that answers at length.
        let model: &[(&str, &str)] = &[("model", if message.len() > LONG_BYTES { "words-long" } else { "words" })];
        metrics.add("inference_requests_total", model, 1.0);
        let asked = json!({"prompt": message, "model": model[0].1});
        let answered = http::ask(&self.part.plan.address("engine"), "POST", "/infer", asked.to_string().as_bytes(), INFERENCE);
        let answer = match answered {
            Ok((200, body)) => serde_json::from_slice::<Value>(&body).map_err(Error::from),
            Ok((status, _)) => Err(Error::other(format!("cannot infer: the engine answered {status}"))),
            Err(error) => Err(error),
        };
        let ms = clock::ms_since(began);
        metrics.observe("inference_time_ms", INFERENCE_MS, &[], ms);
        metrics.set("inference_time_avg_ms", &[], self.inferences.mean_with(ms));
        metrics.add(if answer.is_ok() { "inference_requests_success_total" } else { "inference_requests_failed_total" }, &[], 1.0);
        let answer = answer?;
        metrics.add("inference_tokens_total", model, answer["tokens"].as_f64().unwrap_or(0.0));
        Ok(answer["text"].as_str().unwrap_or_default().to_owned())
    }
    /// Writes a conversation down, one at a time.
    fn remember(&self, message: &str, answer: &str) -> Result<()> {
        let _one = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if self.part.faults.is("memory-slow") {
            clock::pause_ms(SLOW_MS);
        }
        let path = self.memory_dir().join("conversations.jsonl");
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        if written.lines().count() >= MEMORY_LINES_MAX {
            let kept: String = written.lines().skip(MEMORY_LINES_MAX / 2).map(|line| format!("{line}\n")).collect();
            std::fs::write(&path, kept)?;
        }
        let line = json!({"at_ms": clock::unix_ms(), "message": message, "answer": answer});
        let file = std::fs::File::options().create(true).append(true).open(path);
        let failed = |error: Error| Error::new(error.kind(), format!("cannot write the conversation down: {error}"));
        file.map_err(failed)?.write_all(format!("{line}\n").as_bytes()).map_err(failed)
    }
}

/// How often something was spoken of.
fn recall(memory: &Path, word: &str) -> String {
    let written = std::fs::read_to_string(memory.join("conversations.jsonl")).unwrap_or_default();
    format!("{word} was spoken of {} times", written.lines().filter(|line| line.contains(word)).count())
}

/// A sum of two numbers.
fn calculate(sum: &str) -> Option<String> {
    let (left, right) = sum.split_once('+')?;
    let number = |text: &str| text.trim().parse::<i64>().ok();
    Some(number(left)?.checked_add(number(right)?)?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_calculated_and_other_things_are_not() {
        assert_eq!(calculate("2 + 3"), Some("5".to_owned()));
        assert_eq!((calculate("2 * 3"), calculate("a + 1"), calculate(&format!("{} + 1", i64::MAX))), (None, None, None));
        assert_eq!(recall(Path::new("/nonexistent"), "cat"), "cat was spoken of 0 times");
    }
}
