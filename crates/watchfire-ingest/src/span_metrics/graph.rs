//! Which service calls which: the span of a caller and that of who was called become one edge. One waits for the other for a while; what
//! calls a database, or somebody who makes no spans, is an edge to a node without a service behind it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use watchfire_model::labels::LabelsBuilder;
use watchfire_model::logs::{LogEntry, Nanos, StreamEntries};
use watchfire_model::meter::{Counter, Gauge, Meter};
use watchfire_model::spans::{SpanId, SpanKind, StatusCode, TraceId, key};

use super::red::OVERFLOW;
use super::table::{Families, Table};
use super::{Counted, GraphSettings, clipped};

const FAMILIES: Families = Families {
    counters: &[
        ("traces_service_graph_request_total", "", "Calls from one service to another."),
        ("traces_service_graph_request_failed_total", "", "Calls from one service to another that failed on either side."),
    ],
    histograms: &[
        ("traces_service_graph_request_server_seconds", "seconds", "How long calls took for who was called."),
        ("traces_service_graph_request_client_seconds", "seconds", "How long calls took for the caller."),
    ],
};
const REQUESTS: usize = 0;
const FAILED: usize = 1;
const SERVER: usize = 0;
const CLIENT: usize = 1;

const DATABASE: &str = "database";
const MESSAGING: &str = "messaging_system";
const VIRTUAL: &str = "virtual_node";
/// Who calls a service that nobody calls.
const USER: &str = "user";

/// Attributes that say what is called, the most telling first; with one of the latter it is a database.
const PEERS: [&str; 8] = [
    "peer.service",
    "server.address",
    "net.peer.name",
    "messaging.destination.name",
    "messaging.system",
    "http.host",
    "net.sock.peer.addr",
    "network.peer.address",
];
const DATABASES: [&str; 4] = ["db.namespace", "db.name", "db.system.name", "db.system"];

/// One side of a call.
#[derive(Clone)]
struct Half {
    service: Arc<str>,
    seconds: f64,
    failed: bool,
    called: bool,
    messaging: bool,
    /// Who is called, as far as the caller says.
    peer: Option<Arc<str>>,
    /// Whether it has found its other side; of messages there may be more.
    paired: bool,
    end: Nanos,
}

/// The span of the caller, by its trace.
type Key = (TraceId, SpanId);

/// The edges, and the spans that wait.
pub(super) struct Graph {
    table: Table,
    waiting: HashMap<Key, Half>,
    order: VecDeque<(Duration, Key)>,
    wait: Duration,
    waiting_max: usize,
    key: String,
    unpaired: [Counter; 2],
    evicted: Counter,
    overflowed: Counter,
    waits: Gauge,
}

impl Graph {
    pub(super) fn new(settings: &GraphSettings, instance: &str, meter: &Meter) -> Graph {
        let unpaired = |side| {
            let help = "Spans of calls whose other side did not come, and that do not say who it is.";
            meter.counter("watchfire_service_graph_unpaired_spans_total", help, &[("side", side)])
        };
        let evicted_help = "Spans that waited for the other side of their call when there were more of them than may be.";
        let overflow_help = "Calls that were counted as those of other services, because there are as many series of them as may be.";
        Graph {
            table: Table::new(FAMILIES, instance, &settings.buckets, settings.series_max, settings.idle),
            waiting: HashMap::new(),
            order: VecDeque::new(),
            wait: settings.wait,
            waiting_max: settings.waiting_max,
            key: String::new(),
            unpaired: [unpaired("client"), unpaired("server")],
            evicted: meter.counter("watchfire_service_graph_evicted_spans_total", evicted_help, &[]),
            overflowed: meter.counter("watchfire_service_graph_overflow_calls_total", overflow_help, &[]),
            waits: meter.gauge("watchfire_service_graph_waiting_spans", "Spans that wait for the other side of their call.", &[]),
        }
    }

    pub(super) fn table(&mut self) -> &mut Table {
        &mut self.table
    }

    /// Looks at the spans of a stream.
    pub(super) fn observe(&mut self, stream: &StreamEntries, now: Duration) {
        let kind = stream.labels.get(key::KIND).and_then(SpanKind::from_name).unwrap_or_default();
        let called = match kind {
            SpanKind::Client | SpanKind::Producer => false,
            SpanKind::Server | SpanKind::Consumer => true,
            SpanKind::Internal | SpanKind::Unspecified => return,
        };
        let service: Arc<str> = clipped(stream.labels.get(key::SERVICE).unwrap_or("")).into();
        let messaging = matches!(kind, SpanKind::Producer | SpanKind::Consumer);
        for entry in &stream.entries {
            let span = Counted::of(entry);
            let (seconds, failed, end) = (span.seconds(), span.status == StatusCode::Error, span.end());
            let half = Half { service: service.clone(), seconds, failed, called, messaging, peer: None, paired: false, end };
            self.span(&span, half, now);
        }
    }

    fn span(&mut self, span: &Counted<'_>, mut half: Half, now: Duration) {
        let id = if half.called { span.parent } else { span.span };
        // Damaged ids are those of no trace and no span.
        let trace = trace_of(span.trace);
        if half.called && id.is_empty() {
            return self.edge(trace, (USER, None), (&half.service, Some(&half)), VIRTUAL, now);
        }
        if !half.called {
            let (database, peer) = called_by(span.entry);
            if let Some(database) = database {
                return self.edge(trace, (&half.service, Some(&half)), (database, None), DATABASE, now);
            }
            half.peer = peer.map(Arc::from);
        }
        self.pair((trace, SpanId(u64::from_str_radix(id, 16).unwrap_or(0).to_be_bytes())), half, now);
    }

    /// Finds the other side of a call, or waits for it.
    fn pair(&mut self, key: Key, half: Half, now: Duration) {
        if let Entry::Occupied(mut found) = self.waiting.entry(key)
            && found.get().called != half.called
        {
            // Who sends a message may have many receivers.
            let other = if found.get().messaging && !found.get().called {
                found.get_mut().paired = true;
                found.get().clone()
            } else {
                found.remove()
            };
            let (client, server) = if half.called { (&other, &half) } else { (&half, &other) };
            let connection = if half.messaging { MESSAGING } else { "" };
            return self.edge(key.0, (&client.service, Some(client)), (&server.service, Some(server)), connection, now);
        }
        if self.waiting.len() >= self.waiting_max
            && let Some((_, oldest)) = self.order.pop_front()
            && let Some(half) = self.waiting.remove(&oldest)
        {
            self.evicted.inc();
            self.alone(oldest.0, &half, now);
        }
        if let Some(before) = self.waiting.insert(key, half) {
            // Two receivers of a message whose sender has not come yet: the first one waits no longer.
            self.alone(key.0, &before, now);
        }
        self.order.push_back((now.saturating_add(self.wait), key));
    }

    /// Gives those up whose other side did not come in time.
    pub(super) fn expire(&mut self, now: Duration) {
        while let Some((_, key)) = self.order.pop_front_if(|(deadline, _)| *deadline <= now) {
            if let Some(half) = self.waiting.remove(&key) {
                self.alone(key.0, &half, now);
            }
        }
        self.waits.set(self.waiting.len() as f64);
    }

    fn alone(&mut self, trace: TraceId, half: &Half, now: Duration) {
        if half.paired {
            return;
        }
        match &half.peer {
            Some(peer) => {
                let connection = if half.messaging { MESSAGING } else { VIRTUAL };
                self.edge(trace, (&half.service, Some(half)), (peer, None), connection, now);
            }
            None => self.unpaired[usize::from(half.called)].inc(),
        }
    }

    /// Counts a call. Of a node without a service only one side is known.
    fn edge(&mut self, trace: TraceId, client: (&str, Option<&Half>), server: (&str, Option<&Half>), connection: &'static str, now: Duration) {
        let (mut names, halves) = ((client.0, server.0), (client.1, server.1));
        let mut more = 0;
        if self.table_key(names, connection, now) {
            self.overflowed.inc();
            (names, more) = ((OVERFLOW, OVERFLOW), OVERFLOW_ROWS);
            self.table_key(names, connection, now);
        }
        let labels = || {
            let mut labels = LabelsBuilder::new();
            labels.set("client", names.0).set("server", names.1).set("connection_type", connection);
            labels
        };
        let Some((row, bounds)) = self.table.row(&self.key, more, now, labels) else { return };
        row.count(REQUESTS, 1.0);
        if [halves.0, halves.1].into_iter().flatten().any(|half| half.failed) {
            row.count(FAILED, 1.0);
        }
        for (histogram, half, other) in [(SERVER, halves.1, halves.0), (CLIENT, halves.0, halves.1)] {
            // What is known of one side only is all that is known of the call.
            if let Some(half) = half.or(other) {
                row.observe(histogram, half.seconds, bounds, || trace.to_string().into(), half.end);
            }
        }
    }

    /// Makes the key of an edge; tells whether there is no room for it.
    fn table_key(&mut self, names: (&str, &str), connection: &str, now: Duration) -> bool {
        self.key.clear();
        [names.0, "\0", names.1, "\0", connection].into_iter().for_each(|part| self.key.push_str(part));
        self.table.known(&self.key, now).is_none() && self.table.is_full()
    }
}

/// One overflow row for each type of connection.
const OVERFLOW_ROWS: usize = 4;

/// The id of a trace that is kept as 32 digits.
fn trace_of(text: &str) -> TraceId {
    let half = |range| text.get(range).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0);
    TraceId((u128::from(half(0..16)) << 64 | u128::from(half(16..32))).to_be_bytes())
}

/// The database that a span calls, and whom else it says that it calls.
fn called_by(entry: &LogEntry) -> (Option<&str>, Option<&str>) {
    let mut databases = [None; DATABASES.len()];
    let mut peers = [None; PEERS.len()];
    // What stands for empty text says nothing.
    for (name, value) in entry.metadata.iter().filter(|(_, value)| *value != "-") {
        if let Some(at) = PEERS.iter().position(|peer| *peer == name) {
            peers[at] = Some(clipped(value));
        } else if let Some(at) = DATABASES.iter().position(|database| *database == name) {
            databases[at] = Some(clipped(value));
        }
    }
    let database = databases.into_iter().flatten().next();
    // The first of the peers is how a service calls its database.
    (database.map(|database| peers[0].unwrap_or(database)), peers.into_iter().flatten().next())
}
