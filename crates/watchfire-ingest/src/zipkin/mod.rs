//! Zipkin's spans, version 2 in JSON: a list of them becomes spans as they are kept. Where a client and a server share one span, the
//! server's gets an id of its own. Sockets and paths are the business of the face.

mod span;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;

use hashbrown::HashMap;
use serde::Deserialize;
use watchfire_model::batch::Origin;
use watchfire_model::spans::{Pair, SpanId, SpanStream, TraceId, Value};
use watchfire_model::write::{Reason, WriteError};

use crate::gate::Gate;
use crate::otlp::{Gathering, Kind, OtlpError, ReceivedEntries};
use span::{JsonSpan, SHARED, read};

/// A batch goes to the gate when it holds so many spans.
const BATCH_SPANS: usize = 10_000;
/// The name of the service of spans that do not say it.
const UNKNOWN_SERVICE: &str = "unknown_service";

/// Why nothing of a request was taken.
#[derive(Debug, thiserror::Error)]
pub enum ZipkinError {
    /// Sending it again will not help.
    #[error("cannot read the spans as Zipkin's JSON, version 2: {0}")]
    Malformed(String),
    /// It can be sent again later.
    #[error(transparent)]
    Later(WriteError),
}

impl From<OtlpError> for ZipkinError {
    fn from(error: OtlpError) -> ZipkinError {
        match error {
            OtlpError::Later(error) => ZipkinError::Later(error),
            OtlpError::Malformed(error) => ZipkinError::Malformed(error.to_string()),
        }
    }
}

/// Takes Zipkin's spans.
pub struct Zipkin {
    gate: Arc<Gate>,
}

impl Zipkin {
    /// A receiver that writes through the gate.
    pub fn new(gate: Arc<Gate>) -> Zipkin {
        Zipkin { gate }
    }

    /// Takes a list of spans. Those that cannot be kept are counted; the others are stored when this returns.
    pub fn spans(&self, body: &[u8], origin: Origin) -> Result<ReceivedEntries, ZipkinError> {
        let spans = List::read(body)?;
        let mut gathering = Gathering::new(&self.gate, origin, Kind::Spans, BATCH_SPANS);
        let shared = shared_of(&spans);
        for json in &spans {
            let (name, kind, mut new) = match read(json) {
                Ok(read) => read,
                Err((reason, words)) => {
                    gathering.refuse(reason, 1, &words);
                    continue;
                }
            };
            if json.shared {
                (new.parent, new.span) = (Some(new.span), own_id(new.span));
            } else if let Some(parent) = new.parent.filter(|parent| shared.get(&(new.trace, *parent)) == Some(&json.service())) {
                // What a server does below a span that it shares is done below its own.
                new.parent = Some(own_id(parent));
            }
            let service = json.service().unwrap_or(UNKNOWN_SERVICE);
            let resource: [Pair<'_>; 1] = [("service.name".into(), Value::text(service))];
            let (scope, scope_version) = json.scope();
            let labels = SpanStream { resource: &resource, scope, scope_version, name: &name, kind, ..SpanStream::default() }.labels();
            let at = match gathering.place(&labels) {
                Some(at) => at,
                None => match gathering.labels.take(labels.packed().len()) {
                    Ok(()) => gathering.begin(labels),
                    Err(error) => {
                        gathering.refuse(Reason::LabelBytes, 1, &error.to_string());
                        continue;
                    }
                },
            };
            let entry = new.entry();
            let bytes = entry.line.len() + entry.metadata.packed().len();
            gathering.add(at, entry, bytes)?;
        }
        Ok(gathering.finish()?)
    }
}

/// A request: a list of spans.
#[derive(Deserialize)]
#[serde(transparent)]
struct List<'a>(#[serde(borrow)] Vec<JsonSpan<'a>>);

impl<'a> List<'a> {
    fn read(body: &'a [u8]) -> Result<Vec<JsonSpan<'a>>, ZipkinError> {
        let List(spans) = serde_json::from_slice(body).map_err(|error| ZipkinError::Malformed(error.to_string()))?;
        Ok(spans)
    }
}

/// The spans of a request that servers share with their clients, and whose servers they are.
fn shared_of<'a>(spans: &'a [JsonSpan<'_>]) -> HashMap<(TraceId, SpanId), Option<&'a str>> {
    let ids = |span: &JsonSpan<'_>| TraceId::parse(&span.trace_id).zip(SpanId::parse(&span.id));
    spans.iter().filter(|span| span.shared).filter_map(|span| Some((ids(span)?, span.service()))).collect()
}

/// The id of the server's part of a shared span: the same for whoever tells of it, and another one than that of the client's.
fn own_id(shared: SpanId) -> SpanId {
    let mixed = u64::from_be_bytes(shared.0).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) ^ SHARED;
    SpanId(if mixed == 0 { SHARED } else { mixed }.to_be_bytes())
}

/// Text that is borrowed where it has no escapes.
type Text<'a> = Cow<'a, str>;
