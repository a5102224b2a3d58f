//! OTLP traces: an `ExportTraceServiceRequest` becomes spans, which are entries of the streams of their resource, scope, name and kind.

use std::borrow::Cow;

use hashbrown::HashMap;
use watchfire_model::batch::Origin;
use watchfire_model::logs::Nanos;
use watchfire_model::spans::{Event, Link, NewSpan, Pair, SpanId, SpanKind, SpanStream, StatusCode, TraceId};
use watchfire_model::write::Reason;

use super::gathering::{Gathering, Kind, ReceivedEntries};
use super::value::{pair, typed};
use super::{DecodeError, Format, Otlp, OtlpError, json};
use crate::protobuf::{Message, Value, text};

/// A batch goes to the gate when it holds so many spans.
pub(super) const BATCH_SPANS: usize = 10_000;
/// More attributes than this has no resource, scope, span, event or link; SDKs leave out all beyond 128.
const ATTRIBUTES_MAX: usize = 1_024;
/// More events and links than this has no span; SDKs leave out all beyond 128 of each.
const EVENTS_MAX: usize = 4_096;
/// The name of the service where the resource has none.
const UNKNOWN_SERVICE: &str = "unknown_service";
const SERVICE_NAME: &str = "service.name";

impl Otlp {
    /// Takes traces. Spans that cannot be kept are counted; the others are stored when this returns.
    pub fn traces(&self, body: &[u8], format: Format, origin: Origin) -> Result<ReceivedEntries, OtlpError> {
        let message = format.protobuf(body, &json::TRACES_REQUEST)?;
        let mut reading = Reading(Gathering::new(&self.gate, origin, Kind::Spans, BATCH_SPANS));
        reading.run(&message)?;
        reading.0.finish()
    }
}

struct Reading<'a>(Gathering<'a>);

/// Why a span is refused.
type Refusal = (Reason, String);

/// A scope with its resource.
#[derive(Default)]
struct Scope<'a> {
    resource: &'a [Pair<'a>],
    name: &'a str,
    version: &'a str,
    attributes: Vec<Pair<'a>>,
}

impl Reading<'_> {
    /// ExportTraceServiceRequest { 1: ResourceSpans* }.
    fn run(&mut self, message: &[u8]) -> Result<(), OtlpError> {
        for field in Message::new(message) {
            if let (1, Value::Bytes(bytes)) = field.map_err(DecodeError::Wire)? {
                self.resource(bytes)?;
            }
        }
        Ok(())
    }

    /// ResourceSpans { 1: Resource { 1: attribute* }, 2: ScopeSpans* }.
    fn resource(&mut self, bytes: &[u8]) -> Result<(), OtlpError> {
        let mut attributes = Vec::new();
        let mut fits = true;
        for field in Message::new(bytes) {
            let (1, Value::Bytes(resource)) = field.map_err(DecodeError::Wire)? else { continue };
            for field in Message::new(resource) {
                if let (1, Value::Bytes(attribute)) = field.map_err(DecodeError::Wire)? {
                    fits &= add_attribute(&mut attributes, attribute)?;
                }
            }
        }
        if !attributes.iter().any(|(name, value): &Pair<'_>| name == SERVICE_NAME && !value.as_text().is_empty()) {
            attributes.retain(|(name, _)| name != SERVICE_NAME);
            attributes.push((SERVICE_NAME.into(), watchfire_model::spans::Value::text(UNKNOWN_SERVICE)));
        }
        for field in Message::new(bytes) {
            let (2, Value::Bytes(scope)) = field.map_err(DecodeError::Wire)? else { continue };
            if fits { self.scope(scope, &attributes)? } else { self.refuse(spans_of(scope)?, too_many_attributes("the resource")) }
        }
        Ok(())
    }

    /// ScopeSpans { 1: Scope { 1: name, 2: version, 3: attribute* }, 2: Span* }.
    fn scope(&mut self, bytes: &[u8], resource: &[Pair<'_>]) -> Result<(), OtlpError> {
        let mut scope = Scope { resource, ..Scope::default() };
        let mut fits = true;
        for field in Message::new(bytes) {
            let (1, Value::Bytes(inner)) = field.map_err(DecodeError::Wire)? else { continue };
            for field in Message::new(inner) {
                match field.map_err(DecodeError::Wire)? {
                    (1, Value::Bytes(name)) => scope.name = text(name).map_err(DecodeError::Wire)?,
                    (2, Value::Bytes(version)) => scope.version = text(version).map_err(DecodeError::Wire)?,
                    (3, Value::Bytes(attribute)) => fits &= add_attribute(&mut scope.attributes, attribute)?,
                    _ => {}
                }
            }
        }
        if !fits {
            self.refuse(spans_of(bytes)?, too_many_attributes("the scope"));
            return Ok(());
        }
        // Spans of one name and kind follow each other seldom, but come again and again.
        let mut places: HashMap<(&str, SpanKind), usize> = HashMap::new();
        for field in Message::new(bytes) {
            let (2, Value::Bytes(span)) = field.map_err(DecodeError::Wire)? else { continue };
            let (name, kind, new) = match read_span(span)? {
                Ok(read) => read,
                Err(refusal) => {
                    self.refuse(1, refusal);
                    continue;
                }
            };
            let at = match places.get(&(name, kind)) {
                Some(at) => *at,
                None => match self.place(&scope, name, kind) {
                    Ok(at) => *places.entry((name, kind)).or_insert(at),
                    Err(refusal) => {
                        self.refuse(1, refusal);
                        continue;
                    }
                },
            };
            let entry = new.entry();
            let bytes = entry.line.len() + entry.metadata.packed().len();
            if self.0.add(at, entry, bytes)? {
                places.clear();
            }
        }
        Ok(())
    }

    /// Where the stream of such spans is in the batch.
    fn place(&mut self, scope: &Scope<'_>, name: &str, kind: SpanKind) -> Result<usize, Refusal> {
        let stream = SpanStream { resource: scope.resource, scope: scope.name, scope_version: scope.version, scope_attributes: &scope.attributes, name, kind };
        let labels = stream.labels();
        if let Some(at) = self.0.place(&labels) {
            return Ok(at);
        }
        self.0.labels.take(labels.packed().len()).map_err(|error| (Reason::LabelBytes, error.to_string()))?;
        Ok(self.0.begin(labels))
    }

    fn refuse(&mut self, spans: u64, (reason, words): Refusal) {
        self.0.refuse(reason, spans, &words);
    }
}

/// How many spans a scope has.
fn spans_of(scope: &[u8]) -> Result<u64, DecodeError> {
    Message::new(scope).try_fold(0, |count, field| Ok(count + u64::from(matches!(field?, (2, Value::Bytes(_))))))
}

fn too_many_attributes(of: &str) -> Refusal {
    (Reason::MetadataSize, format!("{of} has more than {ATTRIBUTES_MAX} attributes"))
}

/// Adds an attribute; says whether there is room for it.
fn add_attribute<'a>(attributes: &mut Vec<Pair<'a>>, bytes: &'a [u8]) -> Result<bool, DecodeError> {
    let (key, value) = pair(bytes)?;
    if attributes.len() >= ATTRIBUTES_MAX {
        return Ok(false);
    }
    if let Some(value) = typed(value)? {
        attributes.push((Cow::Borrowed(key), value));
    }
    Ok(true)
}

/// The bytes of an id, if they are as many as they should be and not all zero.
fn id<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok().filter(|id| *id != [0; N])
}

/// A span's name and kind, and the rest.
type ReadSpan<'a> = Result<(&'a str, SpanKind, NewSpan<'a>), Refusal>;

/// Span { 1: trace id, 2: span id, 3: state, 4: parent, 5: name, 6: kind, 7: start, 8: end, 9: attribute*, 10: dropped attributes,
/// 11: event*, 12: dropped events, 13: link*, 14: dropped links, 15: Status { 2: message, 3: code }, 16: flags }.
fn read_span(bytes: &[u8]) -> Result<ReadSpan<'_>, DecodeError> {
    let mut span = NewSpan::default();
    let (mut name, mut kind, mut end) = ("", SpanKind::Unspecified, 0u64);
    let (mut trace, mut own, mut start) = (None, None, 0u64);
    let (mut fits, mut few) = (true, true);
    for field in Message::new(bytes) {
        match field? {
            (1, Value::Bytes(bytes)) => trace = id(bytes),
            (2, Value::Bytes(bytes)) => own = id(bytes),
            (3, Value::Bytes(state)) => span.state = text(state)?,
            (4, Value::Bytes(bytes)) => span.parent = id(bytes).map(SpanId),
            (5, Value::Bytes(bytes)) => name = text(bytes)?,
            (6, Value::Varint(number)) => kind = SpanKind::from_number(number),
            (7, Value::Fixed64(nanos)) => start = nanos,
            (8, Value::Fixed64(nanos)) => end = nanos,
            (9, Value::Bytes(attribute)) => fits &= add_attribute(&mut span.attributes, attribute)?,
            (10, Value::Varint(count)) => span.dropped[0] = count as u32,
            (11, Value::Bytes(event)) if span.events.len() < EVENTS_MAX => fits &= add_event(&mut span.events, event)?,
            (13, Value::Bytes(link)) if span.links.len() < EVENTS_MAX => fits &= add_link(&mut span.links, link)?,
            (11 | 13, Value::Bytes(_)) => few = false,
            (12, Value::Varint(count)) => span.dropped[1] = count as u32,
            (14, Value::Varint(count)) => span.dropped[2] = count as u32,
            (15, Value::Bytes(status)) => (span.status, span.message) = read_status(status)?,
            (16, Value::Fixed32(flags)) => span.flags = flags,
            _ => {}
        }
    }
    let Some((trace, own)) = trace.zip(own) else {
        return Ok(Err((Reason::InvalidId, format!("span {:?} has no valid ids of trace and span", name.get(..100).unwrap_or(name)))));
    };
    let Some(begin) = i64::try_from(start).ok().filter(|start| *start > 0) else {
        return Ok(Err((Reason::InvalidValue, format!("span {:?} has no start time", SpanId(own)))));
    };
    if !fits {
        return Ok(Err(too_many_attributes("a span, or one of its events or links,")));
    }
    if !few {
        return Ok(Err((Reason::MetadataSize, format!("a span has more than {EVENTS_MAX} events or links"))));
    }
    (span.trace, span.span, span.start) = (TraceId(trace), SpanId(own), Nanos(begin));
    // Clocks that were set back in between make spans that end before they begin.
    span.duration = end.saturating_sub(start);
    Ok(Ok((name, kind, span)))
}

fn read_status(bytes: &[u8]) -> Result<(StatusCode, &str), DecodeError> {
    let (mut code, mut message) = (StatusCode::Unset, "");
    for field in Message::new(bytes) {
        match field? {
            (2, Value::Bytes(bytes)) => message = text(bytes)?,
            (3, Value::Varint(number)) => code = StatusCode::from_number(number),
            _ => {}
        }
    }
    Ok((code, message))
}

/// Event { 1: time, 2: name, 3: attribute* }.
fn add_event<'a>(events: &mut Vec<Event<'a>>, bytes: &'a [u8]) -> Result<bool, DecodeError> {
    let mut event = Event { time: Nanos(0), name: "", attributes: Vec::new() };
    let mut fits = true;
    for field in Message::new(bytes) {
        match field? {
            (1, Value::Fixed64(nanos)) => event.time = Nanos(i64::try_from(nanos).unwrap_or(i64::MAX)),
            (2, Value::Bytes(name)) => event.name = text(name)?,
            (3, Value::Bytes(attribute)) => fits &= add_attribute(&mut event.attributes, attribute)?,
            _ => {}
        }
    }
    events.push(event);
    Ok(fits)
}

/// Link { 1: trace id, 2: span id, 3: state, 4: attribute* }. One that leads nowhere is left out.
fn add_link<'a>(links: &mut Vec<Link<'a>>, bytes: &'a [u8]) -> Result<bool, DecodeError> {
    let (mut trace, mut span, mut state, mut attributes) = (None, None, "", Vec::new());
    let mut fits = true;
    for field in Message::new(bytes) {
        match field? {
            (1, Value::Bytes(bytes)) => trace = id(bytes).map(TraceId),
            (2, Value::Bytes(bytes)) => span = id(bytes).map(SpanId),
            (3, Value::Bytes(bytes)) => state = text(bytes)?,
            (4, Value::Bytes(attribute)) => fits &= add_attribute(&mut attributes, attribute)?,
            _ => {}
        }
    }
    if let Some((trace, span)) = trace.zip(span) {
        links.push(Link { trace, span, state, attributes });
    }
    Ok(fits)
}
