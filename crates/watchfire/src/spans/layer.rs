//! The life of a span, from when it is opened to when it is closed. It sends nothing.

use std::fmt::Debug;
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;
use watchfire_model::spans::{SpanId, SpanKind, StatusCode, TraceId};

use super::{Attribute, Place, Span, Spans};
use crate::logging::Inherited;

/// What tells a span of ours from one that only lends its ids to log lines.
const KIND: &str = "otel.kind";

pub(crate) struct SpanLayer(pub(crate) Arc<Spans>);

/// What the fields of a span say.
#[derive(Default)]
struct Said {
    name: Option<String>,
    kind: SpanKind,
    parent: String,
    state: String,
    status: Option<StatusCode>,
    message: Option<String>,
    attributes: Vec<(&'static str, Attribute)>,
}
impl Said {
    fn put(&mut self, field: &Field, value: Attribute) {
        self.attributes.push((field.name(), value));
    }
}
impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        let text = || watchfire_model::text::shortened(value).into_owned();
        match field.name() {
            "otel.name" => self.name = Some(text()),
            KIND => self.kind = SpanKind::from_name(value).unwrap_or_default(),
            "otel.parent" => value.clone_into(&mut self.parent),
            "otel.state" => value.clone_into(&mut self.state),
            "otel.status_code" => self.status = StatusCode::from_name(&value.to_ascii_lowercase()),
            "otel.status_description" => self.message = Some(text()),
            _ => self.put(field, Attribute::Text(text())),
        }
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Attribute::Bool(value));
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Attribute::Int(value));
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, Attribute::Int(i64::try_from(value).unwrap_or(i64::MAX)));
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, Attribute::Double(value));
    }
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

impl SpanLayer {
    fn now(&self) -> i64 {
        i64::try_from(self.0.clock.monotonic().as_nanos()).unwrap_or(i64::MAX)
    }

    fn open(&self, metadata: &Metadata<'_>, said: Said, around: Option<&Span>) -> Span {
        let began = self.now();
        let anchor = || self.0.clock.now().millis().saturating_mul(1_000_000).saturating_sub(began);
        let span = SpanId(random());
        let (place, parent, anchor) = match (Place::parse(&said.parent, &said.state), around) {
            (Some(remote), _) => (Place { span, ..remote.clone() }, Some(remote.span), anchor()),
            (None, Some(around)) => (Place { span, ..around.place.clone() }, Some(around.place.span), around.anchor),
            (None, None) => {
                let trace = TraceId(random());
                (Place { trace, span, sampled: self.0.keeps(trace), state: "".into() }, None, anchor())
            }
        };
        let mut span = Span {
            place,
            parent,
            anchor,
            began,
            ended: began,
            name: metadata.name().to_owned(),
            kind: SpanKind::Internal,
            status: StatusCode::Unset,
            message: String::new(),
            attributes: Vec::new(),
        };
        span.kind = said.kind;
        span.take_over(said);
        span
    }
}

impl Span {
    fn take_over(&mut self, said: Said) {
        if let Some(name) = said.name {
            self.name = name;
        }
        self.status = said.status.unwrap_or(self.status);
        if let Some(message) = said.message {
            self.message = message;
        }
        self.attributes.extend(said.attributes);
    }
}

/// Random bytes that are not all zero. Without randomness they are all ones: the spans are sent, though they are hard to tell apart.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if getrandom::fill(&mut bytes).is_err() || bytes == [0; N] {
        bytes = [1; N];
    }
    bytes
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for SpanLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if attributes.metadata().fields().field(KIND).is_none() {
            return;
        }
        let Some(entry) = context.span(id) else { return };
        let mut said = Said::default();
        attributes.record(&mut said);
        let around = entry.scope().skip(1).find_map(|around| around.extensions().get::<Span>().cloned());
        let span = self.open(attributes.metadata(), said, around.as_ref());
        let mut extensions = entry.extensions_mut();
        // Lines within it carry its ids.
        if let Some(ids) = extensions.get_mut::<Inherited>() {
            ids.0.insert("trace_id", span.place.trace.to_string());
            ids.0.insert("span_id", span.place.span.to_string());
        }
        extensions.insert(span);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(entry) = context.span(id) else { return };
        if let Some(span) = entry.extensions_mut().get_mut::<Span>() {
            let mut said = Said::default();
            values.record(&mut said);
            span.take_over(said);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(entry) = context.span(&id) else { return };
        let finished = entry.extensions_mut().remove::<Span>();
        if let Some(span) = finished.filter(|span| span.place.sampled) {
            self.0.finished(Span { ended: self.now(), ..span });
        }
    }
}
