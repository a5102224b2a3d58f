//! Calls of the AI services: measured, traced, and not made for a while after too many failed in a row.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::part::Part;
use crate::telling::{CLIENT, Span, Telling};
use crate::{clock, http};

/// Failures in a row that open a breaker, and for how long.
const FAILURES: u32 = 5;
const OPEN_MS: f64 = 3_000.0;
const TIMEOUT: Duration = Duration::from_secs(15);
const SECONDS: &[f64] = &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];

/// Why a call brought nothing: what the catalog calls it, and the words.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) class: String,
    pub(crate) words: String,
}

pub(crate) struct Services {
    part: Arc<Part>,
    telling: Telling,
    breakers: Mutex<BTreeMap<&'static str, (u32, Option<Instant>)>>,
}

impl Services {
    pub(crate) fn new(part: Arc<Part>, telling: Telling) -> Services {
        for service in ["yolo26", "nemotron", "enrichment"] {
            part.metrics.set("hsi_circuit_breaker_state", &[("service", service)], 0.0);
            part.metrics.add("hsi_circuit_breaker_trips_total", &[("service", service)], 0.0);
        }
        Services { part, telling, breakers: Mutex::default() }
    }
    /// Asks a service of a part.
    pub(crate) fn call(&self, service: &'static str, part: &str, path: &str, body: &[u8]) -> Result<Value, Failure> {
        let failure = |class: &str, words: String| Failure { class: class.to_owned(), words };
        if self.is_open(service) {
            return Err(failure("connection_error", format!("{service} is not asked: too many calls failed")));
        }
        let span = Span::begin(&format!("POST {path}"), CLIENT, "");
        let began = clock::now();
        let traced = span.header();
        let headers = [("traceparent", traced.as_str()), ("content-type", "application/json")];
        let answer = http::ask_with(&self.part.plan.address(part), "POST", path, &headers, body, TIMEOUT);
        self.part.metrics.observe("hsi_ai_request_duration_seconds", SECONDS, &[("service", service)], began.elapsed().as_secs_f64());
        let done = match answer {
            Ok((200, body)) => serde_json::from_slice(&body).map_err(|error| failure("malformed_response", error.to_string())),
            // A picture that is none says nothing about the service.
            Ok((422, _)) => Err(failure("invalid_image", format!("{service} takes this for no picture"))),
            Ok((status, _)) => Err(failure(&format!("{service}_server_error"), format!("{service} answered {status}"))),
            Err(error) => Err(failure(&format!("{service}_connection_error"), format!("cannot ask {service}: {error}"))),
        };
        self.note(service, done.as_ref().err());
        self.telling.end(&self.part, &span, done.as_ref().err().map(|failure| failure.words.as_str()));
        let trace = span.trace_id();
        match &done {
            Ok(_) => self.telling.line(&self.part, "INFO", &format!("{service} answered trace_id={trace}"), &[]),
            Err(failure) => self.telling.line(&self.part, "ERROR", &format!("{} trace_id={trace}", failure.words), &[]),
        }
        done
    }
    fn is_open(&self, service: &'static str) -> bool {
        let mut breakers = self.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        let breaker = breakers.entry(service).or_default();
        match breaker.1 {
            Some(since) if clock::ms_since(since) < OPEN_MS => true,
            Some(_) => {
                // Half open: the next call tells.
                breaker.1 = None;
                self.part.metrics.set("hsi_circuit_breaker_state", &[("service", service)], 2.0);
                false
            }
            None => false,
        }
    }
    fn note(&self, service: &'static str, failure: Option<&Failure>) {
        let mut breakers = self.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        let breaker = breakers.entry(service).or_default();
        let label: &[(&str, &str)] = &[("service", service)];
        if failure.is_none_or(|failure| failure.class == "invalid_image") {
            *breaker = (0, None);
            self.part.metrics.set("hsi_circuit_breaker_state", label, 0.0);
            return;
        }
        breaker.0 += 1;
        if breaker.0 >= FAILURES {
            breaker.1 = Some(clock::now());
            self.part.metrics.set("hsi_circuit_breaker_state", label, 1.0);
            self.part.metrics.add("hsi_circuit_breaker_trips_total", label, 1.0);
        }
    }
}
