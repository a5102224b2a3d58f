//! What is written about a job that died: `JobFailure` as the replaced program wrote it into its dead letter lists, and the wrapper of a
//! job that had to leave a full queue. A payload goes in and comes out byte for byte; nothing here decides whether a job is dead.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use watchfire_model::time::Timestamp;

use super::mask;
use super::name::{DeadQueue, QueueName};

/// The longest error text that is kept, in bytes.
pub const ERROR_BYTES_MAX: usize = 4096;
/// The longest stack trace that is kept, in bytes, its mark of omission included.
pub const STACK_TRACE_BYTES_MAX: usize = 4096;
/// The longest answer of a service that is kept, in bytes.
pub const RESPONSE_BODY_BYTES_MAX: usize = 2048;
/// The largest context that is kept, in bytes of JSON.
pub const CONTEXT_BYTES_MAX: usize = 4096;
/// Waits between attempts that are kept.
pub const DELAYS_MAX: usize = 32;
/// The largest entry that is unpacked, in bytes.
pub const ENTRY_BYTES_MAX: usize = 8 << 20;

/// How texts end that were cut.
const CUT: &str = "... [truncated]";
/// How the replaced program marks entries that it compressed: this, then base64 of a zstd frame.
const PACKED: &[u8] = b"Z:";

/// What a worker says about a failed attempt.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// What went wrong, in words.
    pub error: String,
    /// The class of the error.
    pub error_type: Option<String>,
    /// Where it went wrong.
    pub stack_trace: Option<String>,
    /// The status of a service's answer.
    pub http_status: Option<u16>,
    /// The begin of that answer.
    pub response_body: Option<String>,
    /// Anything else: a JSON object.
    pub context: Option<Map<String, Value>>,
    /// Whether another attempt makes sense; `None` leaves it to the policy.
    pub retry: Option<bool>,
}

/// What a job went through so far. Stored; see `docs/formats/queues.md`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Failed attempts since the job was last put into its queue.
    #[serde(default)]
    pub failed: u32,
    /// Failed attempts before it was put back from the dead letters.
    #[serde(default)]
    pub failed_before: u32,
    /// When it failed first, in milliseconds since 1970.
    #[serde(default)]
    pub first_failed_ms: Option<i64>,
    /// The waits between attempts, in seconds.
    #[serde(default)]
    pub delays: Vec<f64>,
}

/// Why a job is dead: everything of a `JobFailure` but the job. Stored; see `docs/formats/queues.md`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    error: String,
    attempt_count: u32,
    first_failed_at: String,
    last_failed_at: String,
    queue_name: String,
    error_type: Option<String>,
    stack_trace: Option<String>,
    http_status: Option<u16>,
    response_body: Option<String>,
    retry_delays: Vec<f64>,
    context: Map<String, Value>,
}

impl Failure {
    /// What is written when a job dies. Texts are cut and freed of secrets.
    pub fn new(queue: &QueueName, report: &Report, history: &History, context: Map<String, Value>, now: Timestamp) -> Failure {
        let clean = |text: &str, max| cut(&mask::text(text), max);
        let mut own = context;
        if let Some(theirs) = &report.context {
            let mut theirs = Value::Object(theirs.clone());
            mask::value(&mut theirs);
            if let Value::Object(theirs) = theirs
                && theirs.iter().map(|(k, v)| k.len() + v.to_string().len()).sum::<usize>() <= CONTEXT_BYTES_MAX
            {
                own.extend(theirs);
            } else {
                own.insert("context_omitted".to_owned(), format!("larger than {CONTEXT_BYTES_MAX} bytes").into());
            }
        }
        Failure {
            error: clean(&report.error, ERROR_BYTES_MAX),
            attempt_count: history.failed,
            first_failed_at: history.first_failed_ms.map_or(now, Timestamp).rfc3339(),
            last_failed_at: now.rfc3339(),
            queue_name: queue.to_string(),
            error_type: report.error_type.as_deref().map(|t| cut(t, 256)),
            stack_trace: report.stack_trace.as_deref().map(|t| clean(t, STACK_TRACE_BYTES_MAX)),
            http_status: report.http_status,
            response_body: report.response_body.as_deref().map(|t| clean(t, RESPONSE_BODY_BYTES_MAX)),
            retry_delays: history.delays.clone(),
            context: own,
        }
    }

    /// How often the job was tried.
    pub fn attempts(&self) -> u32 {
        self.attempt_count
    }

    /// The entry of a dead letter list: a JSON object that begins with the job.
    pub fn entry(&self, payload: &[u8]) -> Bytes {
        let facts = serde_json::to_string(self).unwrap_or_else(|_| "{}".to_owned());
        let mut entry = Vec::with_capacity(payload.len() + facts.len() + 32);
        entry.extend_from_slice(b"{\"original_job\":");
        let exact = embed(payload, &mut entry);
        if !exact {
            entry.extend_from_slice(format!(",\"original_job_base64\":\"{}\"", BASE64.encode(payload)).as_bytes());
        }
        if facts.len() > 2 {
            entry.push(b',');
        }
        entry.extend_from_slice(facts.as_bytes().get(1..).unwrap_or_default());
        entry.into()
    }
}

/// The entry of a job that had to leave a full queue, in the form of the replaced program: the job as a JSON text.
pub fn overflow_entry(queue: &QueueName, payload: &[u8], now: Timestamp) -> Bytes {
    let mut entry = json!({
        "original_queue": queue.as_str(),
        "data": std::str::from_utf8(payload).ok(),
        "reason": "queue_overflow",
        "overflow_policy": "dlq",
        "moved_at": now.rfc3339(),
    });
    if let (Value::Object(map), Err(_)) = (&mut entry, std::str::from_utf8(payload)) {
        map.insert("data_base64".to_owned(), BASE64.encode(payload).into());
    }
    entry.to_string().into()
}

/// Writes a payload as a JSON value, in its own bytes where it is JSON. Says whether the payload can be told from it exactly.
fn embed(payload: &[u8], out: &mut Vec<u8>) -> bool {
    let Ok(text) = std::str::from_utf8(payload) else {
        out.extend_from_slice(b"null");
        return false;
    };
    // A text stands for its content (so payloads that are no JSON are readable), so a payload that is a JSON text is
    // wrapped once more; and null stands for no payload.
    let raw = serde_json::from_str::<&RawValue>(text).is_ok_and(|raw| raw.get().len() == text.len() && !text.starts_with('"') && text != "null");
    match raw {
        true => out.extend_from_slice(payload),
        false => out.extend_from_slice(Value::from(text).to_string().as_bytes()),
    }
    true
}

#[derive(Deserialize)]
struct Parts<'a> {
    #[serde(borrow, alias = "data")]
    original_job: Option<&'a RawValue>,
    #[serde(alias = "data_base64")]
    original_job_base64: Option<String>,
}

/// An entry as it was before the replaced program compressed it.
fn unpack(entry: &[u8]) -> Option<Cow<'_, [u8]>> {
    let Some(packed) = entry.strip_prefix(PACKED) else { return Some(Cow::Borrowed(entry)) };
    let frame = BASE64.decode(packed).ok()?;
    zstd::bulk::decompress(&frame, ENTRY_BYTES_MAX).ok().map(Cow::Owned)
}

/// The payload that an entry holds, byte for byte; `None` when nobody can tell.
pub fn payload_of(entry: &[u8]) -> Option<Bytes> {
    let entry = unpack(entry)?;
    let parts: Parts<'_> = serde_json::from_slice(&entry).ok()?;
    if let Some(exact) = parts.original_job_base64 {
        return BASE64.decode(exact).ok().map(Bytes::from);
    }
    let raw = parts.original_job?.get();
    match raw.starts_with('"') {
        true => serde_json::from_str::<String>(raw).ok().map(Bytes::from),
        false => Some(Bytes::copy_from_slice(raw.as_bytes())),
    }
}

/// What an entry says about why its job is dead; used when an entry comes back from a file.
pub fn failure_of(entry: &[u8]) -> Option<Failure> {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Loose {
        error: String,
        attempt_count: u32,
        first_failed_at: String,
        last_failed_at: String,
        queue_name: String,
        error_type: Option<String>,
        stack_trace: Option<String>,
        http_status: Option<u16>,
        response_body: Option<String>,
        retry_delays: Option<Vec<f64>>,
        context: Option<Map<String, Value>>,
    }
    let entry = unpack(entry)?;
    let l: Loose = serde_json::from_slice(&entry).ok()?;
    Some(Failure {
        error: l.error,
        attempt_count: l.attempt_count,
        first_failed_at: l.first_failed_at,
        last_failed_at: l.last_failed_at,
        queue_name: l.queue_name,
        error_type: l.error_type,
        stack_trace: l.stack_trace,
        http_status: l.http_status,
        response_body: l.response_body,
        retry_delays: l.retry_delays.unwrap_or_default(),
        context: l.context.unwrap_or_default(),
    })
}

/// An entry for people: the keys of a `JobFailure`, without secrets. What cannot be read says so.
pub fn view(dead: &DeadQueue, entry: &[u8]) -> Map<String, Value> {
    let unreadable = |why: String| {
        let whole = json!({ "original_job": null, "error": why, "attempt_count": null, "first_failed_at": null, "last_failed_at": null, "queue_name": dead.origin().as_str(), "unreadable": true });
        if let Value::Object(map) = whole { map } else { Map::new() }
    };
    let Some(plain) = unpack(entry) else { return unreadable("cannot unpack the entry".to_owned()) };
    let mut map = match serde_json::from_slice::<Value>(&plain) {
        Ok(Value::Object(map)) => map,
        Ok(_) => return unreadable("cannot read the entry: it is no JSON object".to_owned()),
        Err(error) => return unreadable(format!("cannot read the entry: {error}")),
    };
    let exact = map.contains_key("original_job_base64") || map.contains_key("data_base64");
    if let DeadQueue::Overflow(queue) = dead {
        map = overflow_view(queue, map);
    }
    if let Some(job) = map.get_mut("original_job") {
        open_text(job);
    }
    for binary in ["original_job_base64", "data_base64"] {
        map.shift_remove(binary);
    }
    if exact {
        map.insert("binary".to_owned(), true.into());
    }
    let mut whole = Value::Object(map);
    mask::value(&mut whole);
    if let Value::Object(map) = whole { map } else { Map::new() }
}

/// A job that was sent as text is shown as the JSON that it is.
fn open_text(job: &mut Value) {
    if let Value::String(text) = &*job
        && let Some(plain) = unpack(text.as_bytes())
        && let Ok(inner) = serde_json::from_slice(&plain)
    {
        *job = inner;
    }
}

fn overflow_view(queue: &QueueName, mut entry: Map<String, Value>) -> Map<String, Value> {
    let mut map = Map::new();
    let moved = entry.get("moved_at").cloned().unwrap_or(Value::Null);
    map.insert("original_job".to_owned(), entry.shift_remove("data").unwrap_or(Value::Null));
    map.insert("error".to_owned(), "the queue was full".into());
    map.insert("attempt_count".to_owned(), 0.into());
    map.insert("first_failed_at".to_owned(), moved.clone());
    map.insert("last_failed_at".to_owned(), moved);
    map.insert("queue_name".to_owned(), entry.get("original_queue").cloned().unwrap_or_else(|| queue.as_str().into()));
    map.extend(entry);
    map
}

/// At most so many bytes, with a mark where the rest was; never in the middle of a character.
fn cut(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    format!("{}{CUT}", watchfire_model::text::cut(text, max.saturating_sub(CUT.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> QueueName {
        QueueName::new("detection_queue").unwrap()
    }
    const NOW: Timestamp = Timestamp(1_767_088_890_000);

    fn failure(report: &Report) -> Failure {
        let history = History { failed: 3, failed_before: 0, first_failed_ms: Some(NOW.0 - 90_000), delays: vec![1.1, 2.2] };
        Failure::new(&queue(), report, &history, Map::new(), NOW)
    }

    #[test]
    fn dlq_02_a_failure_has_the_documented_fields() {
        let report =
            Report { error: "Connection timeout to RT-DETRv2".into(), error_type: Some("TimeoutError".into()), http_status: Some(504), ..Report::default() };
        let payload = br#"{"file_path": "/export/foscam/front_door/image001.jpg", "camera_id": "front_door"}"#;
        let entry = failure(&report).entry(payload);
        let seen: Value = serde_json::from_slice(&entry).unwrap();
        let expected = json!({
            "original_job": {"file_path": "/export/foscam/front_door/image001.jpg", "camera_id": "front_door"},
            "error": "Connection timeout to RT-DETRv2",
            "attempt_count": 3,
            "first_failed_at": "2025-12-30T10:00:00Z",
            "last_failed_at": "2025-12-30T10:01:30Z",
            "queue_name": "detection_queue",
            "error_type": "TimeoutError",
            "stack_trace": null,
            "http_status": 504,
            "response_body": null,
            "retry_delays": [1.1, 2.2],
            "context": {},
        });
        assert_eq!(seen, expected);
        assert_eq!(seen.as_object().unwrap().keys().next().unwrap(), "original_job");
        assert_eq!(failure_of(&entry).unwrap(), failure(&report));
        assert_eq!(payload_of(&entry).unwrap(), &payload[..]);
    }

    #[test]
    fn dlq_03_the_job_keeps_the_name_of_its_queue() {
        let dead = DeadQueue::Failed(queue());
        let entry = failure(&Report::default()).entry(b"{}");
        assert_eq!(view(&dead, &entry)["queue_name"], "detection_queue");
        assert_eq!(dead.to_string(), "dlq:detection_queue");
    }

    #[test]
    fn entries_of_the_replaced_program_are_read() {
        let python = br#"{"original_job": {"a": 1,  "b": [1.0, 2]}, "error": "x", "attempt_count": 3, "first_failed_at": "2025-12-30T10:00:00", "last_failed_at": "2025-12-30T10:01:30", "queue_name": "detection_queue"}"#;
        assert_eq!(payload_of(python).unwrap(), &br#"{"a": 1,  "b": [1.0, 2]}"#[..]);
        let packed = format!("Z:{}", BASE64.encode(zstd::bulk::compress(python, 3).unwrap()));
        assert_eq!(payload_of(packed.as_bytes()), payload_of(python));
        assert_eq!(view(&DeadQueue::Failed(queue()), packed.as_bytes())["original_job"], json!({"a": 1, "b": [1.0, 2]}));
        let overflow = br#"{"original_queue": "detection_queue", "data": "{\"a\": 1}", "reason": "queue_overflow", "overflow_policy": "dlq"}"#;
        assert_eq!(payload_of(overflow).unwrap(), &br#"{"a": 1}"#[..]);
        let seen = view(&DeadQueue::Overflow(queue()), overflow);
        assert_eq!((&seen["original_job"], &seen["reason"]), (&json!({"a": 1}), &json!("queue_overflow")));
    }

    #[test]
    fn what_cannot_be_read_says_so() {
        let dead = DeadQueue::Failed(queue());
        for bad in [&b"no json"[..], b"[1]", b"\xff\xfe", b"Z:!!", b"Z:AAAA", b""] {
            let seen = view(&dead, bad);
            assert_eq!((&seen["unreadable"], &seen["queue_name"]), (&json!(true), &json!("detection_queue")), "{bad:?}");
            assert_eq!(payload_of(bad), None, "{bad:?}");
        }
        // A bomb is not unpacked.
        let bomb = zstd::bulk::compress(&vec![b' '; ENTRY_BYTES_MAX + 1], 3).unwrap();
        assert_eq!(view(&dead, format!("Z:{}", BASE64.encode(bomb)).as_bytes())["unreadable"], true);
    }

    #[test]
    fn long_texts_are_cut_within_their_limit() {
        let report = Report { error: "ü".repeat(9000), stack_trace: Some("s".repeat(9000)), response_body: Some("r".repeat(9000)), ..Report::default() };
        let f = failure(&report);
        assert!(f.error.len() <= ERROR_BYTES_MAX && f.error.ends_with(CUT));
        assert_eq!(f.stack_trace.unwrap().len(), STACK_TRACE_BYTES_MAX);
        assert_eq!(f.response_body.unwrap().len(), RESPONSE_BODY_BYTES_MAX);
        let context = json!({"big": "x".repeat(5000)}).as_object().cloned();
        assert!(failure(&Report { context, ..Report::default() }).context.contains_key("context_omitted"));
    }

    #[test]
    fn r57_no_secret_reaches_a_dead_letter_or_its_view() {
        let report = Report {
            error: "cannot reach http://admin:canary@host/".into(),
            stack_trace: Some("token=canary".into()),
            response_body: Some("{\"api_key\": \"canary\"}".into()),
            context: json!({"password": "canary", "url": "rtsp://u:canary@cam/"}).as_object().cloned(),
            ..Report::default()
        };
        let entry = failure(&report).entry(br#"{"url": "rtsp://u:canary@cam/", "token": "canary"}"#);
        let facts = serde_json::to_string(&failure(&report)).unwrap();
        assert!(!facts.contains("canary"), "{facts}");
        let seen = serde_json::to_string(&view(&DeadQueue::Failed(queue()), &entry)).unwrap();
        assert!(!seen.contains("canary"), "{seen}");
        assert!(payload_of(&entry).unwrap().windows(6).any(|w| w == b"canary"), "the job itself stays as it was sent");
    }

    proptest::proptest! {
        #[test]
        fn any_payload_comes_back_byte_for_byte(payload in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..60)) {
            let entry = failure(&Report::default()).entry(&payload);
            proptest::prop_assert_eq!(payload_of(&entry).unwrap(), &payload[..]);
            let entry = overflow_entry(&queue(), &payload, NOW);
            proptest::prop_assert_eq!(payload_of(&entry).unwrap(), &payload[..]);
        }

        #[test]
        fn json_payloads_come_back_byte_for_byte(payload in r#" ?(\{"a": ?[0-9.]{1,3}e?[0-9]?\}|"[a-z\\"]{0,4}"|\[1 ,2\]|null|Z:[a-zA-Z]{4}|"Z:[a-z]{4}"| )"#) {
            let entry = failure(&Report::default()).entry(payload.as_bytes());
            proptest::prop_assert_eq!(payload_of(&entry).unwrap(), payload.as_bytes());
            let entry = overflow_entry(&queue(), payload.as_bytes(), NOW);
            proptest::prop_assert_eq!(payload_of(&entry).unwrap(), payload.as_bytes());
        }

        #[test]
        fn foreign_bytes_never_panic(entry in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            for dead in [DeadQueue::Failed(queue()), DeadQueue::Overflow(queue())] {
                let _seen = view(&dead, &entry);
            }
            let _payload = payload_of(&entry);
        }
    }
}
