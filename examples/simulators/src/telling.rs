//! Log lines and spans of a part on their way to the server: lines as Loki's senders push them, spans as OTLP in JSON. They wait in lists that
//! are sent now and then; what finds no room there, or is not taken, is counted.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::part::Part;
use crate::{clock, http};

/// Lines, and spans, that wait at most.
const WAITING_MAX: usize = 2_000;
const TIMEOUT: Duration = Duration::from_secs(5);
/// What OTLP calls them.
pub(crate) const SERVER: u8 = 2;
pub(crate) const CLIENT: u8 = 3;

/// What waits.
#[derive(Clone, Default)]
pub(crate) struct Telling(Arc<Mutex<(Vec<Value>, Vec<Value>)>>);

/// A span that has begun.
pub(crate) struct Span {
    name: String,
    kind: u8,
    trace: u128,
    id: u64,
    parent: u64,
    began: Instant,
    began_ms: u64,
}

/// A number that nobody else has.
fn random() -> u64 {
    // A new state has keys of its own; zero would be no id.
    RandomState::new().hash_one(std::process::id()).max(1)
}

impl Span {
    /// Begins a span; `parent` is a header `traceparent` or nothing.
    pub(crate) fn begin(name: &str, kind: u8, parent: &str) -> Span {
        let mut words = parent.split('-').skip(1);
        let trace = words.next().and_then(|trace| u128::from_str_radix(trace, 16).ok()).filter(|trace| *trace != 0);
        let parent = words.next().and_then(|span| u64::from_str_radix(span, 16).ok()).filter(|_| trace.is_some()).unwrap_or(0);
        let trace = trace.unwrap_or_else(|| u128::from(random()) << 64 | u128::from(random()));
        Span { name: name.to_owned(), kind, trace, id: random(), parent, began: clock::now(), began_ms: clock::unix_ms() }
    }
    /// The header that carries it on.
    pub(crate) fn header(&self) -> String {
        format!("00-{:032x}-{:016x}-01", self.trace, self.id)
    }
    pub(crate) fn trace_id(&self) -> String {
        format!("{:032x}", self.trace)
    }
    fn message(&self, error: Option<&str>) -> Value {
        let began = u128::from(self.began_ms) * 1_000_000;
        let parent = if self.parent == 0 { String::new() } else { format!("{:016x}", self.parent) };
        json!({
            "traceId": self.trace_id(), "spanId": format!("{:016x}", self.id), "parentSpanId": parent, "name": self.name, "kind": self.kind,
            "startTimeUnixNano": began.to_string(), "endTimeUnixNano": (began + self.began.elapsed().as_nanos()).to_string(),
            "status": error.map_or_else(|| json!({}), |why| json!({"code": 2, "message": why})),
        })
    }
}

impl Telling {
    fn put(&self, part: &Part, what: &'static str, value: Value) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let list = if what == "line" { &mut waiting.0 } else { &mut waiting.1 };
        if list.len() < WAITING_MAX {
            list.push(value);
        } else {
            part.metrics.add("simulator_lost_total", &[("what", what), ("reason", "full")], 1.0);
        }
    }
    /// A line of the part's log, with labels beside those of its container.
    pub(crate) fn line(&self, part: &Part, level: &str, text: &str, more: &[(&str, &str)]) {
        let mut labels = json!({"container": part.name, "level": level});
        more.iter().for_each(|(name, value)| labels[*name] = (*value).into());
        let at = (u128::from(clock::unix_ms()) * 1_000_000).to_string();
        self.put(part, "line", json!({"stream": labels, "values": [[at, format!("{level} {text}")]]}));
    }
    /// A span is over.
    pub(crate) fn end(&self, part: &Part, span: &Span, error: Option<&str>) {
        self.put(part, "span", span.message(error));
    }
    /// Sends what waits, again and again.
    pub(crate) fn run(&self, part: &Arc<Part>) -> std::io::Result<()> {
        let telling = self.clone();
        part.every(1_000, move |part| telling.send(part))
    }
    fn send(&self, part: &Part) {
        let (lines, spans) = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let post = |target: &str, body: &Value| {
            let json = [("content-type", "application/json")];
            let answer = http::ask_with(&part.plan.watchfire, "POST", target, &json, body.to_string().as_bytes(), TIMEOUT);
            answer.is_ok_and(|(status, _)| status < 300)
        };
        if !lines.is_empty() && !post("/loki/api/v1/push", &json!({"streams": lines})) {
            part.metrics.add("simulator_lost_total", &[("what", "line"), ("reason", "not_taken")], lines.len() as f64);
        }
        let service = json!([{"key": "service.name", "value": {"stringValue": part.name}}]);
        if !spans.is_empty() && !post("/v1/traces", &json!({"resourceSpans": [{"resource": {"attributes": service}, "scopeSpans": [{"spans": spans}]}]})) {
            part.metrics.add("simulator_lost_total", &[("what", "span"), ("reason", "not_taken")], spans.len() as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_goes_on_from_a_header_and_from_nothing_else() {
        let root = Span::begin("a", CLIENT, "");
        let child = Span::begin("b", SERVER, &root.header());
        assert_eq!((child.trace, child.parent), (root.trace, root.id));
        assert_eq!(child.message(Some("no"))["status"]["code"], 2);
        for nonsense in ["00", "00-xyz-1-01", "00-0-1-01", "--"] {
            assert_eq!(Span::begin("c", SERVER, nonsense).parent, 0, "{nonsense}");
        }
    }
}
