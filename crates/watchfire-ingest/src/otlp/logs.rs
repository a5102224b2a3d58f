//! OTLP logs: an `ExportLogsServiceRequest` becomes log entries as Loki makes them. A few attributes of the resource are the stream; the others,
//! those of scope and record, severity and the ids of trace and span are structured metadata; the body is the line.

use std::borrow::Cow;
use std::sync::Arc;

use watchfire_model::batch::Origin;
use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogEntry, Nanos};
use watchfire_model::write::Reason;

use super::gathering::{Gathering, Kind, ReceivedEntries};
use super::labels::check_size;
use super::value::{as_text, pair};
use super::{DecodeError, Format, Otlp, OtlpError, json};
use crate::label_bytes::{LABELS_MAX, TooManyBytes};
use crate::label_names::label_name;
use crate::protobuf::{Message, Value, text};

/// Attributes of the resource that are labels of the stream.
pub(super) const STREAM: [&str; 18] = [
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
pub(super) const BATCH_ENTRIES: usize = 20_000;
/// What a pair takes in memory beside its texts: at least a digit for the length of each.
const PAIR_BYTES: usize = 2;

impl Otlp {
    /// Takes logs. Records that cannot be kept are counted; the others are stored when this returns.
    pub fn logs(&self, body: &[u8], format: Format, origin: Origin) -> Result<ReceivedEntries, OtlpError> {
        let message = format.protobuf(body, &json::LOGS_REQUEST)?;
        let now = Nanos::from_millis(self.clock.now().millis());
        let mut reading = Reading { now, gathering: Gathering::new(&self.gate, origin, Kind::Logs, BATCH_ENTRIES) };
        reading.run(&message)?;
        reading.gathering.finish()
    }
}

/// Attributes as they came: a key and the bytes of its value. Empty ones count like others.
#[derive(Default)]
struct Attributes<'a> {
    /// As many as are looked at.
    pairs: Vec<(&'a str, &'a [u8])>,
    count: usize,
    bytes: usize,
}
impl<'a> Attributes<'a> {
    fn read(&mut self, bytes: &'a [u8]) -> Result<(), DecodeError> {
        let (key, value) = pair(bytes)?;
        self.count += 1;
        self.bytes += key.len() + value.len();
        if self.count <= LABELS_MAX {
            self.pairs.push((key, value));
        }
        Ok(())
    }
    /// Names and values of metadata.
    fn named(&self) -> Result<Pairs<'a>, DecodeError> {
        self.pairs.iter().map(|(key, value)| Ok((label_name(key), as_text(value)?))).collect()
    }
}

/// Names and values of metadata.
type Pairs<'a> = Vec<(String, Cow<'a, str>)>;

/// What all records of a resource or a scope share. It is read once and copied by nobody but the records.
struct Shared<'a> {
    pairs: Pairs<'a>,
    count: usize,
    bytes: usize,
}

struct Reading<'a> {
    now: Nanos,
    gathering: Gathering<'a>,
}

impl Reading<'_> {
    /// ExportLogsServiceRequest { 1: ResourceLogs* }.
    fn run(&mut self, message: &[u8]) -> Result<(), OtlpError> {
        for field in Message::new(message) {
            if let (1, Value::Bytes(bytes)) = field.map_err(DecodeError::Wire)? {
                self.resource(bytes)?;
            }
        }
        Ok(())
    }

    /// ResourceLogs { 1: Resource { 1: attribute* }, 2: ScopeLogs* }.
    fn resource(&mut self, bytes: &[u8]) -> Result<(), OtlpError> {
        let mut attributes = Attributes::default();
        for field in Message::new(bytes) {
            let (1, Value::Bytes(resource)) = field.map_err(DecodeError::Wire)? else { continue };
            for field in Message::new(resource) {
                let (1, Value::Bytes(attribute)) = field.map_err(DecodeError::Wire)? else { continue };
                attributes.read(attribute)?;
            }
        }
        if let Err((reason, words)) = fits(attributes.count, attributes.bytes) {
            for field in Message::new(bytes) {
                if let (2, Value::Bytes(scope)) = field.map_err(DecodeError::Wire)? {
                    self.gathering.refuse(reason, records(scope)?, &words);
                }
            }
            return Ok(());
        }
        let count = attributes.count;
        let (mut stream, mut pairs) = (Pairs::new(), Pairs::new());
        for ((key, _), named) in attributes.pairs.iter().zip(attributes.named()?) {
            if STREAM.contains(key) { stream.push(named) } else { pairs.push(named) }
        }
        if !stream.iter().any(|(name, value)| name == "service_name" && !value.is_empty()) {
            stream.push(("service_name".to_owned(), Cow::Borrowed("unknown_service")));
        }
        let stream = Labels::from_pairs(stream);
        let shared = Shared { count, bytes: size(&pairs) + stream.packed().len(), pairs };
        for field in Message::new(bytes) {
            if let (2, Value::Bytes(scope)) = field.map_err(DecodeError::Wire)? {
                self.scope(scope, &stream, &shared)?;
            }
        }
        Ok(())
    }

    /// ScopeLogs { 1: Scope { 1: name, 2: version, 3: attribute* }, 2: LogRecord* }.
    fn scope(&mut self, bytes: &[u8], stream: &Labels, resource: &Shared<'_>) -> Result<(), OtlpError> {
        let (mut name, mut version, mut attributes) = (None, None, Attributes::default());
        for field in Message::new(bytes) {
            let (1, Value::Bytes(scope)) = field.map_err(DecodeError::Wire)? else { continue };
            for field in Message::new(scope) {
                match field.map_err(DecodeError::Wire)? {
                    (1, Value::Bytes(text)) => name = Some(text),
                    (2, Value::Bytes(text)) => version = Some(text),
                    (3, Value::Bytes(attribute)) => attributes.read(attribute)?,
                    _ => {}
                }
            }
        }
        if let Err((reason, words)) = fits(resource.count + attributes.count, resource.bytes + attributes.bytes) {
            self.gathering.refuse(reason, records(bytes)?, &words);
            return Ok(());
        }
        let mut pairs = Pairs::new();
        for (label, bytes) in [("scope_name", name), ("scope_version", version)] {
            if let Some(bytes) = bytes {
                pairs.push((label.to_owned(), text(bytes).map_err(DecodeError::Wire)?.into()));
            }
        }
        pairs.extend(attributes.named()?);
        let shared = [resource, &Shared { count: attributes.count, bytes: size(&pairs), pairs }];
        for field in Message::new(bytes) {
            if let (2, Value::Bytes(record)) = field.map_err(DecodeError::Wire)? {
                self.record(record, stream, shared)?;
            }
        }
        Ok(())
    }

    /// Takes a record. What stands once and is meant by every record is counted before it is copied.
    fn record(&mut self, bytes: &[u8], stream: &Labels, shared: [&Shared<'_>; 2]) -> Result<(), OtlpError> {
        let record = Record::read(bytes)?;
        let (count, bytes) = shared.iter().fold((0, 0), |(count, bytes), part| (count + part.count, bytes + part.bytes));
        if let Err((reason, words)) = fits(count + record.attributes.count, bytes + record.attributes.bytes) {
            self.gathering.refuse(reason, 1, &words);
            return Ok(());
        }
        let own = record.metadata()?;
        let bytes = bytes + size(&own);
        if let Err(error) = self.gathering.labels.take(bytes) {
            self.gathering.refuse(if matches!(error, TooManyBytes::Series(_)) { Reason::MetadataSize } else { Reason::LabelBytes }, 1, &error.to_string());
            return Ok(());
        }
        // Of several attributes of one name the innermost counts, which comes last.
        let pairs = shared.iter().flat_map(|part| &part.pairs).chain(&own);
        let metadata = Labels::from_pairs(pairs.map(|(name, value)| (name.as_str(), value.as_ref())));
        let time = [record.time, record.observed].into_iter().find(|t| *t > 0).map_or(self.now, |t| Nanos(i64::try_from(t).unwrap_or(i64::MAX)));
        let line = as_text(record.body)?;
        let bytes = line.len() + bytes;
        let at = self.gathering.place(stream).unwrap_or_else(|| self.gathering.begin(stream.clone()));
        self.gathering.add(at, LogEntry { time, line: Arc::from(line), metadata }, bytes)?;
        Ok(())
    }
}

/// A record. Of a field that stands there twice the last counts.
#[derive(Default)]
struct Record<'a> {
    time: u64,
    observed: u64,
    severity_number: u64,
    severity_text: Option<&'a [u8]>,
    body: &'a [u8],
    attributes: Attributes<'a>,
    trace_id: &'a [u8],
    span_id: &'a [u8],
    event_name: Option<&'a [u8]>,
}
impl<'a> Record<'a> {
    /// LogRecord { 1: time, 2: severity number, 3: severity text, 5: body, 6: attribute*, 9: trace id, 10: span id, 11: observed time,
    /// 12: event name }.
    fn read(bytes: &'a [u8]) -> Result<Record<'a>, DecodeError> {
        let mut record = Record::default();
        for field in Message::new(bytes) {
            match field? {
                (1, Value::Fixed64(nanos)) => record.time = nanos,
                (11, Value::Fixed64(nanos)) => record.observed = nanos,
                (2, Value::Varint(number)) => record.severity_number = number,
                (3, Value::Bytes(severity)) => record.severity_text = Some(severity),
                (5, Value::Bytes(body)) => record.body = body,
                (6, Value::Bytes(attribute)) => record.attributes.read(attribute)?,
                (9, Value::Bytes(id)) => record.trace_id = id,
                (10, Value::Bytes(id)) => record.span_id = id,
                (12, Value::Bytes(event)) => record.event_name = Some(event),
                _ => {}
            }
        }
        Ok(record)
    }

    /// The structured metadata that is its own.
    fn metadata(&self) -> Result<Pairs<'a>, DecodeError> {
        let mut own = Pairs::new();
        if self.severity_number > 0 {
            own.push(("severity_number".to_owned(), self.severity_number.to_string().into()));
        }
        if let Some(severity) = self.severity_text {
            own.push(("severity_text".to_owned(), text(severity)?.into()));
        }
        own.extend(self.attributes.named()?);
        for (name, id) in [("trace_id", self.trace_id), ("span_id", self.span_id)] {
            if id.iter().any(|b| *b != 0) {
                own.push((name.to_owned(), hex(id).into()));
            }
        }
        if let Some(event) = self.event_name {
            own.push(("event_name".to_owned(), text(event)?.into()));
        }
        Ok(own)
    }
}

/// How many records a scope has.
fn records(scope: &[u8]) -> Result<u64, DecodeError> {
    Message::new(scope).try_fold(0, |count, field| Ok(count + u64::from(matches!(field?, (2, Value::Bytes(_))))))
}

/// Refuses metadata by what it would be made of. For entries it is their structured metadata that is too much, whatever it has too much of.
fn fits(count: usize, bytes: usize) -> Result<(), (Reason, String)> {
    check_size(count, bytes).map_err(|(_, words)| (Reason::MetadataSize, words))
}

/// Names and values take room even where they are empty.
fn size(pairs: &Pairs<'_>) -> usize {
    pairs.iter().map(|(name, value)| name.len() + value.len() + PAIR_BYTES).sum()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
