//! Spans of the demo, as OTLP in JSON: what a program without an OpenTelemetry library can do, too. The context goes along with the jobs of
//! both queues as W3C writes it, so a picture, its detection, the batch and the model's call are one trace. It blocks nobody: spans wait in
//! a list that is sent now and then, and what finds no room there is counted.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use watchfire_model::time::SharedClock;

use crate::http::Http;

/// Spans that wait at most.
const WAITING_MAX: usize = 4_096;
/// Spans of one request.
const SENT_MAX: usize = 512;
const TIMEOUT: Duration = Duration::from_secs(5);

/// What a span is to others, numbered as in OTLP.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Client = 3,
    Producer = 4,
    Consumer = 5,
}

/// Where one is in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Context {
    trace: u128,
    span: u64,
}

/// A number that nobody else has.
fn random() -> u64 {
    // A new state has keys of its own; zero would be no id.
    RandomState::new().hash_one(std::process::id()).max(1)
}

impl Context {
    /// The header `traceparent`: version, trace, span, and that it is recorded.
    pub(crate) fn header(self) -> String {
        format!("00-{:032x}-{:016x}-01", self.trace, self.span)
    }
    /// Reads it; whatever else it says, this demo records all.
    pub(crate) fn parse(text: &str) -> Option<Context> {
        let mut parts = text.split('-').skip(1);
        let (trace, span) = (parts.next().filter(|t| t.len() == 32)?, parts.next().filter(|s| s.len() == 16)?);
        let context = Context { trace: u128::from_str_radix(trace, 16).ok()?, span: u64::from_str_radix(span, 16).ok()? };
        (context.trace != 0 && context.span != 0).then_some(context)
    }
}

/// A span that has begun.
pub(crate) struct Span {
    service: &'static str,
    name: &'static str,
    kind: Kind,
    context: Context,
    parent: Option<u64>,
    links: Vec<Context>,
    began_ms: i64,
    began: Duration,
    attributes: Vec<(&'static str, Value)>,
    failed: Option<String>,
}

impl Span {
    /// Begins a span of a service, within another one or a trace of its own.
    pub(crate) fn begin(clock: &SharedClock, service: &'static str, name: &'static str, kind: Kind, parent: Option<Context>) -> Span {
        let trace = parent.map_or_else(|| u128::from(random()) << 64 | u128::from(random()), |parent| parent.trace);
        Span {
            service,
            name,
            kind,
            context: Context { trace, span: random() },
            parent: parent.map(|parent| parent.span),
            links: Vec::new(),
            began_ms: clock.now().millis(),
            began: clock.monotonic(),
            attributes: Vec::new(),
            failed: None,
        }
    }
    pub(crate) fn context(&self) -> Context {
        self.context
    }
    pub(crate) fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        self.attributes.push((key, value.into()));
    }
    /// Other spans that it has to do with.
    pub(crate) fn link(&mut self, others: impl IntoIterator<Item = Context>) {
        self.links.extend(others);
    }
    pub(crate) fn fail(&mut self, why: &str) {
        self.failed = Some(why.to_owned());
    }

    fn message(self, now: Duration) -> Value {
        let began = i128::from(self.began_ms) * 1_000_000;
        let ended = began + now.saturating_sub(self.began).as_nanos() as i128;
        let any = |value: &Value| match value {
            Value::Number(number) if number.is_f64() => json!({"doubleValue": number}),
            Value::Number(number) => json!({"intValue": number.to_string()}),
            Value::Bool(value) => json!({"boolValue": value}),
            other => json!({"stringValue": other.as_str().unwrap_or_default()}),
        };
        let attributes: Vec<Value> = self.attributes.iter().map(|(key, value)| json!({"key": key, "value": any(value)})).collect();
        let links: Vec<Value> = self.links.iter().map(|c| json!({"traceId": format!("{:032x}", c.trace), "spanId": format!("{:016x}", c.span)})).collect();
        json!({
            "traceId": format!("{:032x}", self.context.trace),
            "spanId": format!("{:016x}", self.context.span),
            "parentSpanId": self.parent.map(|parent| format!("{parent:016x}")).unwrap_or_default(),
            "name": self.name,
            "kind": self.kind as u8,
            "startTimeUnixNano": began.to_string(),
            "endTimeUnixNano": ended.to_string(),
            "attributes": attributes,
            "links": links,
            "status": self.failed.map_or_else(|| json!({}), |why| json!({"code": 2, "message": why})),
        })
    }
}

/// Spans that wait to be sent.
#[derive(Default)]
pub(crate) struct Spans(Mutex<List>);

#[derive(Default)]
struct List {
    /// With the service that each is of.
    waiting: Vec<(&'static str, Value)>,
    lost: u64,
}

impl Spans {
    fn list(&self) -> std::sync::MutexGuard<'_, List> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Takes a span that is over.
    pub(crate) fn end(&self, clock: &SharedClock, span: Span) {
        let (service, message) = (span.service, span.message(clock.monotonic()));
        self.put(vec![(service, message)]);
    }
    fn put(&self, mut spans: Vec<(&'static str, Value)>) {
        let mut list = self.list();
        let room = WAITING_MAX.saturating_sub(list.waiting.len());
        list.lost += spans.len().saturating_sub(room) as u64;
        spans.truncate(room);
        list.waiting.append(&mut spans);
    }
    /// Sends what waits; what is not taken because nobody answers waits again.
    pub(crate) fn send(&self, http: &Http) {
        loop {
            let spans: Vec<_> = {
                let mut list = self.list();
                let count = list.waiting.len().min(SENT_MAX);
                list.waiting.drain(..count).collect()
            };
            if spans.is_empty() {
                return;
            }
            match http.post("/v1/traces", &request(&spans), &[], TIMEOUT) {
                Ok(answer) if answer.status == 200 => {}
                Ok(answer) if answer.status < 500 && answer.status != 429 => self.list().lost += spans.len() as u64,
                Ok(_) | Err(_) => return self.put(spans),
            }
        }
    }
    /// How many never arrived, with those that still wait.
    pub(crate) fn lost(&self) -> u64 {
        let list = self.list();
        list.lost + list.waiting.len() as u64
    }
}

fn request(spans: &[(&'static str, Value)]) -> Value {
    let mut services: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    spans.iter().for_each(|(service, span)| services.entry(service).or_default().push(span));
    let resources: Vec<Value> = services
        .into_iter()
        .map(|(service, spans)| {
            let attributes = json!([{"key": "service.name", "value": {"stringValue": service}}]);
            json!({"resource": {"attributes": attributes}, "scopeSpans": [{"scope": {"name": "watchfire-demo"}, "spans": spans}]})
        })
        .collect();
    json!({ "resourceSpans": resources })
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchfire_model::time::SystemClock;

    #[test]
    fn contexts_go_along_as_headers() {
        let clock = SystemClock::shared();
        let root = Span::begin(&clock, "a", "root", Kind::Producer, None);
        let header = root.context().header();
        assert_eq!((header.len(), Context::parse(&header)), (55, Some(root.context())));
        let child = Span::begin(&clock, "b", "child", Kind::Consumer, Context::parse(&header));
        assert_eq!((child.context().trace, child.parent), (root.context().trace, Some(root.context().span)));
        for none in ["", "00", "00-0-0-01", &format!("00-{:032}-{:016}-01", 0, 0), "00-xyz-1-01"] {
            assert_eq!(Context::parse(none), None, "{none}");
        }
    }

    #[test]
    fn spans_wait_within_their_limit_and_the_others_are_counted() {
        let (clock, spans) = (SystemClock::shared(), Spans::default());
        for _ in 0..WAITING_MAX + 3 {
            spans.end(&clock, Span::begin(&clock, "a", "work", Kind::Client, None));
        }
        assert_eq!(spans.list().waiting.len(), WAITING_MAX);
        assert_eq!(spans.list().lost, 3);
        // Nobody is there: they wait on.
        spans.send(&Http::new("http://127.0.0.1:1", None));
        assert_eq!(spans.lost(), WAITING_MAX as u64 + 3);
    }

    #[test]
    fn a_request_has_services_with_their_spans() {
        let clock = SystemClock::shared();
        let mut span = Span::begin(&clock, "demo-camera", "take picture", Kind::Producer, None);
        span.set("camera_id", "demo_front_door");
        span.set("share", 0.5);
        span.fail("torn");
        span.link([Context { trace: 1, span: 2 }]);
        let spans = [("demo-camera", span.message(clock.monotonic())), ("demo-detector", json!({}))];
        let told = request(&spans);
        let first = &told["resourceSpans"][0];
        assert_eq!(first["resource"]["attributes"][0]["value"]["stringValue"], "demo-camera");
        let span = &first["scopeSpans"][0]["spans"][0];
        assert_eq!((span["kind"].as_u64(), span["status"]["code"].as_u64(), span["links"][0]["spanId"].as_str()), (Some(4), Some(2), Some("0000000000000002")));
        assert_eq!(span["attributes"][1]["value"]["doubleValue"], 0.5);
        assert_eq!(told["resourceSpans"][1]["resource"]["attributes"][0]["value"]["stringValue"], "demo-detector");
    }
}
