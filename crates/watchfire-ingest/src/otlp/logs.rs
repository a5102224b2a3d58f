//! OTLP logs: an `ExportLogsServiceRequest` becomes log entries as Loki makes them. A few attributes of the resource are the stream; the others,
//! those of scope and record, severity and the ids of trace and span are structured metadata; the body is the line.

use std::borrow::Cow;
use std::sync::Arc;

use hashbrown::HashMap;
use watchfire_model::batch::{Batch, Origin};
use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogEntry, Nanos, StreamEntries};
use watchfire_model::write::{LogsWritten, Reason, Sink, Written};

use super::value::{as_text, pair};
use super::{DecodeError, Format, Otlp, OtlpError, json};
use crate::label_bytes::{LabelBytes, TooManyBytes};
use crate::protobuf::{Message, Value, Writer, text};

/// Attributes of the resource that are labels of the stream.
const STREAM: [&str; 18] = [
    "service.name",
    "service.namespace",
    "service.instance.id",
    "deployment.environment",
    "deployment.environment.name",
    "cloud.region",
    "cloud.availability_zone",
    "k8s.cluster.name",
    "k8s.namespace.name",
    "k8s.pod.name",
    "k8s.container.name",
    "k8s.replicaset.name",
    "k8s.deployment.name",
    "k8s.statefulset.name",
    "k8s.daemonset.name",
    "k8s.cronjob.name",
    "k8s.job.name",
    "container.name",
];
/// A batch goes to the gate when it holds so many entries.
const BATCH_ENTRIES: usize = 20_000;
/// A batch goes to the gate when its lines have so many bytes.
const BATCH_BYTES: usize = 8 << 20;

/// What became of a request.
#[derive(Clone, Debug, Default)]
pub struct ReceivedLogs {
    /// The records, by what became of them.
    pub logs: LogsWritten,
    /// One example of a refusal in words.
    pub example: Option<String>,
}

impl ReceivedLogs {
    /// The answer: an `ExportLogsServiceResponse`, which is empty when everything was kept.
    pub fn answer(&self, format: Format) -> Vec<u8> {
        let rejected = self.logs.rejected_total();
        match (format, rejected) {
            (Format::Protobuf, 0) => Vec::new(),
            (Format::Json, 0) => b"{}".to_vec(),
            (Format::Protobuf, rejected) => {
                let mut out = Writer::new();
                out.message(1, |partial| {
                    partial.uint(1, rejected);
                    partial.text(2, &self.message());
                });
                out.into_bytes()
            }
            (Format::Json, rejected) => {
                let partial = serde_json::json!({"rejectedLogRecords": rejected.to_string(), "errorMessage": self.message()});
                serde_json::json!({"partialSuccess": partial}).to_string().into_bytes()
            }
        }
    }

    /// What was refused, in words.
    pub fn message(&self) -> String {
        let reasons: Vec<String> = self.logs.rejected.iter().map(|(reason, count)| format!("{reason}: {count}")).collect();
        let example = self.example.as_deref().map(|e| format!("; for example {e}")).unwrap_or_default();
        let rejected = self.logs.rejected_total();
        let total = rejected + self.logs.stored + self.logs.duplicates;
        format!("{rejected} of {total} log records were refused ({}){example}", reasons.join(", "))
    }
}

impl Otlp {
    /// Takes logs. Records that cannot be kept are counted; the others are stored when this returns.
    pub fn logs(&self, body: &[u8], format: Format, origin: Origin) -> Result<ReceivedLogs, OtlpError> {
        let transcoded;
        let message = match format {
            Format::Protobuf => body,
            Format::Json => {
                transcoded = json::transcode(body, &json::LOGS_REQUEST).map_err(DecodeError::Json)?;
                &transcoded
            }
        };
        let mut reading = Reading {
            sink: &*self.gate,
            now: Nanos::from_millis(self.clock.now().millis()),
            batch: Batch::new(origin.clone()),
            places: HashMap::new(),
            entries: 0,
            bytes: 0,
            labels: LabelBytes::default(),
            written: Written::default(),
            refused: Written::default(),
        };
        let outcome = reading.run(message);
        self.gate.book_refused(&origin, &reading.refused);
        let mut all = std::mem::take(&mut reading.written);
        all.add(reading.refused);
        outcome?;
        Ok(ReceivedLogs { logs: all.logs, example: all.example })
    }
}

/// Names and values of metadata.
type Pairs<'a> = Vec<(String, Cow<'a, str>)>;

struct Reading<'a> {
    sink: &'a dyn Sink,
    now: Nanos,
    batch: Batch,
    places: HashMap<Labels, usize>,
    entries: usize,
    bytes: usize,
    labels: LabelBytes,
    written: Written,
    refused: Written,
}

impl Reading<'_> {
    /// ExportLogsServiceRequest { 1: ResourceLogs* }.
    fn run(&mut self, message: &[u8]) -> Result<(), OtlpError> {
        for field in Message::new(message) {
            if let (1, Value::Bytes(bytes)) = field.map_err(DecodeError::Wire)? {
                self.resource(bytes)?;
            }
        }
        self.flush()
    }

    /// ResourceLogs { 1: Resource { 1: attribute* }, 2: ScopeLogs* }.
    fn resource(&mut self, bytes: &[u8]) -> Result<(), OtlpError> {
        let (mut stream, mut shared) = (Vec::new(), Pairs::new());
        for field in Message::new(bytes) {
            let (1, Value::Bytes(resource)) = field.map_err(DecodeError::Wire)? else { continue };
            for field in Message::new(resource) {
                let (1, Value::Bytes(attribute)) = field.map_err(DecodeError::Wire)? else { continue };
                let (key, value) = pair(attribute).map_err(DecodeError::Wire)?;
                let (name, value) = (label_name(key), as_text(value)?);
                if STREAM.contains(&key) { stream.push((name, value)) } else { shared.push((name, value)) }
            }
        }
        if !stream.iter().any(|(name, value)| name == "service_name" && !value.is_empty()) {
            stream.push(("service_name".to_owned(), Cow::Borrowed("unknown_service")));
        }
        let stream = Labels::from_pairs(stream);
        for field in Message::new(bytes) {
            if let (2, Value::Bytes(scope)) = field.map_err(DecodeError::Wire)? {
                self.scope(scope, &stream, &shared)?;
            }
        }
        Ok(())
    }

    /// ScopeLogs { 1: Scope { 1: name, 2: version, 3: attribute* }, 2: LogRecord* }.
    fn scope(&mut self, bytes: &[u8], stream: &Labels, resource: &Pairs<'_>) -> Result<(), OtlpError> {
        let mut shared = resource.clone();
        for field in Message::new(bytes) {
            let (1, Value::Bytes(scope)) = field.map_err(DecodeError::Wire)? else { continue };
            for field in Message::new(scope) {
                match field.map_err(DecodeError::Wire)? {
                    (1, Value::Bytes(name)) => shared.push(("scope_name".to_owned(), text(name).map_err(DecodeError::Wire)?.into())),
                    (2, Value::Bytes(version)) => shared.push(("scope_version".to_owned(), text(version).map_err(DecodeError::Wire)?.into())),
                    (3, Value::Bytes(attribute)) => shared.push(attribute_pair(attribute)?),
                    _ => {}
                }
            }
        }
        let shared_bytes = size(&shared) + stream.packed().len();
        for field in Message::new(bytes) {
            if let (2, Value::Bytes(record)) = field.map_err(DecodeError::Wire)? {
                self.record(record, stream, &shared, shared_bytes)?;
            }
        }
        Ok(())
    }

    /// LogRecord { 1: time, 2: severity number, 3: severity text, 5: body, 6: attribute*, 9: trace id, 10: span id, 11: observed time,
    /// 12: event name }.
    fn record(&mut self, bytes: &[u8], stream: &Labels, shared: &Pairs<'_>, shared_bytes: usize) -> Result<(), OtlpError> {
        let (mut time, mut observed, mut line, mut own) = (0u64, 0u64, Cow::Borrowed(""), Pairs::new());
        for field in Message::new(bytes) {
            match field.map_err(DecodeError::Wire)? {
                (1, Value::Fixed64(nanos)) => time = nanos,
                (11, Value::Fixed64(nanos)) => observed = nanos,
                (2, Value::Varint(number)) if number > 0 => own.push(("severity_number".to_owned(), number.to_string().into())),
                (3, Value::Bytes(severity)) => own.push(("severity_text".to_owned(), text(severity).map_err(DecodeError::Wire)?.into())),
                (5, Value::Bytes(body)) => line = as_text(body)?,
                (6, Value::Bytes(attribute)) => own.push(attribute_pair(attribute)?),
                (9, Value::Bytes(id)) if id.iter().any(|b| *b != 0) => own.push(("trace_id".to_owned(), hex(id).into())),
                (10, Value::Bytes(id)) if id.iter().any(|b| *b != 0) => own.push(("span_id".to_owned(), hex(id).into())),
                (12, Value::Bytes(event)) => own.push(("event_name".to_owned(), text(event).map_err(DecodeError::Wire)?.into())),
                _ => {}
            }
        }
        // What stands once and is meant by every record is counted before it is copied.
        let bytes = shared_bytes + size(&own);
        match self.labels.take(bytes) {
            Ok(()) => {}
            Err(error) => {
                self.refuse(if matches!(error, TooManyBytes::Series(_)) { Reason::MetadataSize } else { Reason::LabelBytes }, &error);
                return Ok(());
            }
        }
        // The record's own attribute counts where the resource has one of the same name.
        let metadata =
            Labels::from_pairs(shared.iter().filter(|(name, _)| !own.iter().any(|(o, _)| o == name)).chain(&own).map(|(n, v)| (n.as_str(), v.as_ref())));
        let time = [time, observed].into_iter().find(|t| *t > 0).map_or(self.now, |t| Nanos(i64::try_from(t).unwrap_or(i64::MAX)));
        self.bytes += line.len() + bytes;
        self.add(stream, LogEntry { time, line: Arc::from(line), metadata })
    }

    fn refuse(&mut self, reason: Reason, error: &TooManyBytes) {
        self.refused.logs.reject(reason, 1);
        self.refused.example.get_or_insert_with(|| format!("{reason}: {error}"));
    }

    fn add(&mut self, stream: &Labels, entry: LogEntry) -> Result<(), OtlpError> {
        let at = match self.places.get(stream) {
            Some(at) => *at,
            None => {
                self.batch.logs.push(StreamEntries { labels: stream.clone(), entries: Vec::new() });
                self.places.insert(stream.clone(), self.batch.logs.len() - 1);
                self.batch.logs.len() - 1
            }
        };
        if let Some(stream) = self.batch.logs.get_mut(at) {
            stream.entries.push(entry);
        }
        self.entries += 1;
        if self.entries >= BATCH_ENTRIES || self.bytes >= BATCH_BYTES || self.labels.fill_a_batch() { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), OtlpError> {
        if self.entries == 0 {
            return Ok(());
        }
        let next = Batch::new(self.batch.origin.clone());
        let batch = std::mem::replace(&mut self.batch, next);
        self.places.clear();
        (self.entries, self.bytes) = (0, 0);
        self.labels.next_batch();
        self.written.add(self.sink.write(batch)?);
        Ok(())
    }
}

fn attribute_pair(bytes: &[u8]) -> Result<(String, Cow<'_, str>), DecodeError> {
    let (key, value) = pair(bytes)?;
    Ok((label_name(key), as_text(value)?))
}

fn size(pairs: &Pairs<'_>) -> usize {
    pairs.iter().map(|(name, value)| name.len() + value.len()).sum()
}

/// A name as queries can write it: other characters become underscores.
fn label_name(key: &str) -> String {
    let mut name: String = key.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
