//! A span as an entry of a stream, and back. Names that begin with a colon are the span's own fields; those of attributes are kept as
//! they came (a colon at their beginning is doubled), those of resource and scope with a prefix. Types that are not text stand beside
//! their values, a letter for each. Layout: `docs/formats/spans.md`.

use std::borrow::Cow;
use std::sync::Arc;

use super::value::TEXT;
use super::{Event, Link, Pair, SpanId, SpanKind, StatusCode, TraceId, Value};
use crate::labels::Labels;
use crate::logs::{LogEntry, LogLine, Nanos};

/// The names of a span's fields, for those who select.
pub mod key {
    /// The id of the trace, 32 hexadecimal digits.
    pub const TRACE: &str = ":trace";
    /// The id of the span, 16 hexadecimal digits.
    pub const SPAN: &str = ":span";
    /// The id of the span that this one belongs to.
    pub const PARENT: &str = ":parent";
    /// The name.
    pub const NAME: &str = ":name";
    /// The kind; unspecified ones have none.
    pub const KIND: &str = ":kind";
    /// How long it took, in nanoseconds.
    pub const DURATION: &str = ":duration";
    /// How it ended; unset ones have none.
    pub const STATUS: &str = ":status";
    /// Why it ended so.
    pub const MESSAGE: &str = ":message";
    /// The name of the scope.
    pub const SCOPE: &str = ":scope";
    /// The version of the scope.
    pub const SCOPE_VERSION: &str = ":scope_version";
    /// The service that it comes from.
    pub const SERVICE: &str = ":resource.service.name";
    pub(super) const STATE: &str = ":state";
    pub(super) const FLAGS: &str = ":flags";
    pub(super) const DROPPED: &str = ":dropped";
    pub(super) const TYPES: &str = ":types";
    pub(super) const RESOURCE_TYPES: &str = ":resource_types";
    pub(super) const SCOPE_TYPES: &str = ":scope_types";
    pub(super) const RESOURCE: &str = ":resource.";
    pub(super) const IN_SCOPE: &str = ":scope.";

    /// The name of an attribute of the resource.
    pub fn resource(name: &str) -> String {
        format!("{RESOURCE}{name}")
    }
    /// The name of an attribute of the scope.
    pub fn scope(name: &str) -> String {
        format!("{IN_SCOPE}{name}")
    }
    /// The name of an attribute of the span.
    pub fn attribute(name: &str) -> std::borrow::Cow<'_, str> {
        if name.starts_with(':') { format!(":{name}").into() } else { name.into() }
    }
}

/// In a line an event begins with this, a link with the other.
const EVENT: &str = "@";
const LINK: &str = "&";
const LINE_NAME: &str = ":name";
const LINE_STATE: &str = ":state";

/// What spans share: they are one stream.
#[derive(Clone, Debug, Default)]
pub struct SpanStream<'a> {
    /// Who the spans come from.
    pub resource: &'a [Pair<'a>],
    /// The name of the library that made them.
    pub scope: &'a str,
    /// Its version.
    pub scope_version: &'a str,
    /// More about it.
    pub scope_attributes: &'a [Pair<'a>],
    /// The name of the spans.
    pub name: &'a str,
    /// Their kind.
    pub kind: SpanKind,
}

impl SpanStream<'_> {
    /// The labels of the stream.
    pub fn labels(&self) -> Labels {
        let mut pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::with_capacity(self.resource.len() + self.scope_attributes.len() + 6);
        let (resource, resource_types) = prefixed(self.resource, key::RESOURCE);
        let (scope, scope_types) = prefixed(self.scope_attributes, key::IN_SCOPE);
        pairs.extend(resource.into_iter().chain(scope));
        for (name, value) in [(key::SCOPE, self.scope), (key::SCOPE_VERSION, self.scope_version), (key::NAME, self.name)] {
            pairs.push((name.into(), value.into()));
        }
        if self.kind != SpanKind::Unspecified {
            pairs.push((key::KIND.into(), self.kind.name().into()));
        }
        for (name, types) in [(key::RESOURCE_TYPES, resource_types), (key::SCOPE_TYPES, scope_types)] {
            pairs.push((name.into(), types.into()));
        }
        Labels::from_pairs(pairs)
    }
}

/// Pairs as they are kept, ascending, and the letters of their types if one of them is not text.
type Kept<'a> = (Vec<(Cow<'a, str>, Cow<'a, str>)>, String);

fn prefixed<'a>(pairs: &'a [Pair<'a>], prefix: &str) -> Kept<'a> {
    kept(pairs, |name| Cow::Owned(format!("{prefix}{name}")))
}

/// Of two pairs with one name the first counts; those without a name cannot be kept.
fn kept<'a>(pairs: &'a [Pair<'a>], named: impl Fn(&'a str) -> Cow<'a, str>) -> Kept<'a> {
    let mut sorted: Vec<&Pair<'a>> = pairs.iter().filter(|(name, _)| !name.is_empty()).collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    sorted.dedup_by(|later, first| later.0 == first.0);
    let mut types = String::new();
    if sorted.iter().any(|(_, value)| value.letter() != TEXT) {
        types.extend(sorted.iter().map(|(_, value)| char::from(value.letter())));
    }
    (sorted.into_iter().map(|(name, value)| (named(name), value.kept())).collect(), types)
}

/// What is a new span's own.
#[derive(Clone, Debug, Default)]
pub struct NewSpan<'a> {
    /// The trace.
    pub trace: TraceId,
    /// The span.
    pub span: SpanId,
    /// The span that it belongs to.
    pub parent: Option<SpanId>,
    /// The state that goes along with the context.
    pub state: &'a str,
    /// The flags of the context.
    pub flags: u32,
    /// When it began.
    pub start: Nanos,
    /// How long it took, in nanoseconds.
    pub duration: u64,
    /// How it ended.
    pub status: StatusCode,
    /// Why it ended so.
    pub message: &'a str,
    /// More about it.
    pub attributes: Vec<Pair<'a>>,
    /// What happened in it.
    pub events: Vec<Event<'a>>,
    /// What has to do with it.
    pub links: Vec<Link<'a>>,
    /// How many attributes, events and links the sender left out.
    pub dropped: [u32; 3],
}

impl NewSpan<'_> {
    /// The entry of the stream.
    pub fn entry(&self) -> LogEntry {
        let (attributes, types) = kept(&self.attributes, key::attribute);
        let trace = self.trace.to_string();
        let span = self.span.to_string();
        let parent = self.parent.map_or_else(String::new, |parent| parent.to_string());
        let duration = self.duration.to_string();
        let flags = if self.flags == 0 { String::new() } else { self.flags.to_string() };
        let dropped = if self.dropped == [0; 3] { String::new() } else { self.dropped.map(|n| n.to_string()).join(",") };
        let status = if self.status == StatusCode::Unset { "" } else { self.status.name() };
        // In ascending order, which attributes do not always fit into: names may begin with what is less than a colon.
        let own = [
            (key::DROPPED, dropped.as_str()),
            (key::DURATION, duration.as_str()),
            (key::FLAGS, flags.as_str()),
            (key::MESSAGE, self.message),
            (key::PARENT, parent.as_str()),
            (key::SPAN, span.as_str()),
            (key::STATE, self.state),
            (key::STATUS, status),
            (key::TRACE, trace.as_str()),
            (key::TYPES, types.as_str()),
        ];
        let own = own.iter().filter(|(_, value)| !value.is_empty()).copied();
        let mut pairs: Vec<(&str, &str)> = Vec::with_capacity(attributes.len() + 10);
        let before = attributes.partition_point(|(name, _)| name.as_ref() < ":");
        pairs.extend(attributes[..before].iter().map(|(name, value)| (name.as_ref(), value.as_ref())));
        pairs.extend(own);
        pairs.extend(attributes[before..].iter().map(|(name, value)| (name.as_ref(), value.as_ref())));
        // Those with a doubled colon stand before the fields: they are few, and sorting finds them.
        LogEntry { time: self.start, line: self.line(), metadata: Labels::from_sorted(&pairs) }
    }

    fn line(&self) -> Arc<str> {
        if self.events.is_empty() && self.links.is_empty() {
            return Arc::from("");
        }
        let mut line = String::new();
        for event in &self.events {
            Labels::push_packed(&mut line, EVENT, &event.time.0.wrapping_sub(self.start.0).to_string());
            Labels::push_packed(&mut line, LINE_NAME, event.name);
            push_attributes(&mut line, &event.attributes);
        }
        for link in &self.links {
            Labels::push_packed(&mut line, LINK, &format!("{}{}", link.trace, link.span));
            Labels::push_packed(&mut line, LINE_STATE, link.state);
            push_attributes(&mut line, &link.attributes);
        }
        line.into()
    }
}

/// Attributes in a line: the letter of the type before the name.
fn push_attributes(line: &mut String, attributes: &[Pair<'_>]) {
    for (name, value) in attributes {
        Labels::push_packed(line, &format!("{}{name}", char::from(value.letter())), &value.kept());
    }
}

/// A span as it was kept. Nothing is unpacked before it is asked for.
#[derive(Clone, Copy, Debug)]
pub struct SpanRow<'a> {
    labels: &'a Labels,
    metadata: &'a Labels,
    line: &'a str,
    start: Nanos,
}

impl<'a> SpanRow<'a> {
    /// Looks at an entry as a span.
    pub fn new(line: LogLine<'a>) -> SpanRow<'a> {
        SpanRow { labels: line.labels, metadata: line.metadata, line: line.line, start: line.time }
    }
    /// The same from its parts.
    pub fn from_parts(labels: &'a Labels, entry: &'a LogEntry) -> SpanRow<'a> {
        SpanRow { labels, metadata: &entry.metadata, line: &entry.line, start: entry.time }
    }

    /// The labels of its stream.
    pub fn labels(&self) -> &'a Labels {
        self.labels
    }
    /// The bytes that it takes, without those that it shares.
    pub fn bytes(&self) -> usize {
        self.metadata.packed().len() + self.line.len()
    }

    /// Whether all that spans share is with the stream: then spans of equal labels are of one resource and one scope.
    pub fn shares_all(&self) -> bool {
        let shared = |name: &str| name.starts_with(key::RESOURCE) || name.starts_with(key::SCOPE);
        !self.metadata.iter().any(|(name, _)| shared(name) || name == key::RESOURCE_TYPES)
    }

    /// A field: names of streams may have become names of entries.
    fn field(&self, name: &str) -> Option<&'a str> {
        self.labels.get(name).or_else(|| self.metadata.get(name))
    }

    /// The id of the trace. Every span has one; damaged ones have that of no trace.
    pub fn trace(&self) -> TraceId {
        self.metadata.get(key::TRACE).and_then(TraceId::parse).unwrap_or_default()
    }
    /// The same as it is kept.
    pub fn trace_text(&self) -> &'a str {
        self.metadata.get(key::TRACE).unwrap_or("")
    }
    /// The id of the span.
    pub fn span(&self) -> SpanId {
        self.metadata.get(key::SPAN).and_then(SpanId::parse).unwrap_or_default()
    }
    /// The span that it belongs to.
    pub fn parent(&self) -> Option<SpanId> {
        self.metadata.get(key::PARENT).and_then(SpanId::parse)
    }
    /// The name.
    pub fn name(&self) -> &'a str {
        self.field(key::NAME).unwrap_or("")
    }
    /// The kind.
    pub fn kind(&self) -> SpanKind {
        self.field(key::KIND).and_then(SpanKind::from_name).unwrap_or_default()
    }
    /// The service that it comes from.
    pub fn service(&self) -> &'a str {
        self.field(key::SERVICE).unwrap_or("")
    }
    /// When it began.
    pub fn start(&self) -> Nanos {
        self.start
    }
    /// How long it took, in nanoseconds.
    pub fn duration(&self) -> u64 {
        self.metadata.get(key::DURATION).and_then(|text| text.parse().ok()).unwrap_or(0)
    }
    /// When it ended.
    pub fn end(&self) -> Nanos {
        Nanos(self.start.0.saturating_add_unsigned(self.duration()))
    }
    /// How it ended.
    pub fn status(&self) -> StatusCode {
        self.metadata.get(key::STATUS).and_then(StatusCode::from_name).unwrap_or_default()
    }
    /// Why it ended so.
    pub fn message(&self) -> &'a str {
        self.metadata.get(key::MESSAGE).unwrap_or("")
    }
    /// The state that went along with the context.
    pub fn state(&self) -> &'a str {
        self.metadata.get(key::STATE).unwrap_or("")
    }
    /// The flags of the context.
    pub fn flags(&self) -> u32 {
        self.metadata.get(key::FLAGS).and_then(|text| text.parse().ok()).unwrap_or(0)
    }
    /// How many attributes, events and links the sender left out.
    pub fn dropped(&self) -> [u32; 3] {
        let mut counts = self.metadata.get(key::DROPPED).unwrap_or("").split(',').map(|text| text.parse().unwrap_or(0));
        [(); 3].map(|()| counts.next().unwrap_or(0))
    }
    /// The name and the version of the scope.
    pub fn scope(&self) -> (&'a str, &'a str) {
        (self.field(key::SCOPE).unwrap_or(""), self.field(key::SCOPE_VERSION).unwrap_or(""))
    }

    /// The attributes of the span, ascending.
    pub fn attributes(&self) -> Vec<Pair<'a>> {
        let types = self.metadata.get(key::TYPES).unwrap_or("");
        let own = |name: &str| name.starts_with(':') && !name.starts_with("::");
        let pairs = self.metadata.iter().filter(|(name, _)| !own(name)).map(|(name, value)| (plain(name), value));
        let mut pairs: Vec<(&str, &str)> = pairs.collect();
        // The letters stand in the order of the names as they came.
        pairs.sort_unstable();
        typed(pairs.into_iter(), types)
    }
    /// One attribute of the span.
    pub fn attribute(&self, name: &str) -> Option<Value<'a>> {
        let value = self.metadata.get(&key::attribute(name))?;
        match self.metadata.get(key::TYPES) {
            None => Some(Value::text(value)),
            Some(_) => self.attributes().into_iter().find(|(n, _)| n == name).map(|(_, value)| value),
        }
    }
    /// The attributes of the resource, ascending.
    pub fn resource(&self) -> Vec<Pair<'a>> {
        self.with_prefix(key::RESOURCE, key::RESOURCE_TYPES)
    }
    /// One attribute of the resource.
    pub fn resource_attribute(&self, name: &str) -> Option<Value<'a>> {
        let value = self.field(&key::resource(name))?;
        match self.field(key::RESOURCE_TYPES) {
            None => Some(Value::text(value)),
            Some(_) => self.resource().into_iter().find(|(n, _)| n == name).map(|(_, value)| value),
        }
    }
    /// The attributes of the scope, ascending.
    pub fn scope_attributes(&self) -> Vec<Pair<'a>> {
        self.with_prefix(key::IN_SCOPE, key::SCOPE_TYPES)
    }

    fn with_prefix(&self, prefix: &str, types: &str) -> Vec<Pair<'a>> {
        let all = self.labels.iter().chain(self.metadata);
        let mut pairs: Vec<(&str, &str)> = all.filter_map(|(name, value)| Some((name.strip_prefix(prefix)?, value))).collect();
        pairs.sort_unstable();
        typed(pairs.into_iter(), self.field(types).unwrap_or(""))
    }

    /// What happened in it.
    pub fn events(&self) -> Vec<Event<'a>> {
        let mut events: Vec<Event<'a>> = Vec::new();
        let mut within = false;
        for (name, value) in Labels::iter_packed(self.line) {
            match (name, events.last_mut()) {
                (EVENT, _) => {
                    within = true;
                    let time = Nanos(self.start.0.wrapping_add(value.parse().unwrap_or(0)));
                    events.push(Event { time, name: "", attributes: Vec::new() });
                }
                (LINK, _) => within = false,
                (LINE_NAME, Some(event)) if within => event.name = value,
                (name, Some(event)) if within => event.attributes.extend(line_attribute(name, value)),
                _ => {}
            }
        }
        events
    }
    /// What has to do with it.
    pub fn links(&self) -> Vec<Link<'a>> {
        let mut links: Vec<Link<'a>> = Vec::new();
        let mut within = false;
        for (name, value) in Labels::iter_packed(self.line) {
            match (name, links.last_mut()) {
                (EVENT, _) => within = false,
                (LINK, _) => {
                    within = true;
                    let id = |range| value.get(range).unwrap_or("");
                    let (trace, span) = (TraceId::parse(id(0..32)).unwrap_or_default(), SpanId::parse(id(32..48)).unwrap_or_default());
                    links.push(Link { trace, span, state: "", attributes: Vec::new() });
                }
                (LINE_STATE, Some(link)) if within => link.state = value,
                (name, Some(link)) if within => link.attributes.extend(line_attribute(name, value)),
                _ => {}
            }
        }
        links
    }
}

/// The name of an attribute as it came.
fn plain(name: &str) -> &str {
    name.strip_prefix(':').filter(|rest| rest.starts_with(':')).unwrap_or(name)
}

fn typed<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>, types: &str) -> Vec<Pair<'a>> {
    let letter = |at: usize| types.as_bytes().get(at).copied().unwrap_or(TEXT);
    pairs.enumerate().map(|(at, (name, value))| (Cow::Borrowed(name), Value::read(letter(at), value))).collect()
}

fn line_attribute<'a>(name: &'a str, value: &'a str) -> Option<Pair<'a>> {
    let (letter, name) = (*name.as_bytes().first()?, name.get(1..)?);
    Some((Cow::Borrowed(name), Value::read(letter, value)))
}
