//! The traces that are sent: a shop of four services, eight spans to a trace, about six attributes to a span. The same number is always
//! the same trace.

use std::collections::BTreeMap;

use crate::otlp::{KeyValue, Request, Resource, ResourceSpans, Scope, ScopeSpans, Span, Status, int, text};

/// Nanoseconds that the traces are spread over: an hour.
pub(crate) const SPAN_NANOS: u64 = 3_600_000_000_000;
/// Spans of a trace.
pub(crate) const SPANS: u64 = 8;
/// Traces of a request.
pub(crate) const BATCH: u64 = 50;
pub(crate) const SERVICES: [&str; 4] = ["frontend", "checkout", "payment", "inventory"];

const INTERNAL: i32 = 1;
const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const ROUTES: [&str; 5] = ["/api/orders", "/api/cart", "/api/checkout", "/api/search", "/api/products/{id}"];
const METHODS: [&str; 3] = ["GET", "POST", "PUT"];
const STATUSES: [i64; 12] = [200, 200, 200, 200, 200, 200, 201, 204, 302, 400, 404, 500];
const TABLES: [&str; 4] = ["orders", "users", "carts", "items"];
/// Which service a span belongs to, which span it is a child of, and its kind.
const SHAPE: [(usize, Option<usize>, i32); 8] = [
    (0, None, SERVER),
    (0, Some(0), CLIENT),
    (1, Some(1), SERVER),
    (1, Some(2), CLIENT),
    (1, Some(2), CLIENT),
    (2, Some(4), SERVER),
    (1, Some(2), INTERNAL),
    (3, Some(6), SERVER),
];

/// A small random generator.
struct Random(u64);
impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
    fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

/// How many traces there are, and when the last of them begins.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) traces: u64,
    pub(crate) end_nanos: u64,
}

impl Plan {
    pub(crate) fn start_nanos(&self) -> u64 {
        self.end_nanos - SPAN_NANOS
    }

    pub(crate) fn spans(&self) -> u64 {
        self.traces * SPANS
    }

    pub(crate) fn requests(&self) -> u64 {
        self.traces.div_ceil(BATCH)
    }

    /// The id of a trace.
    pub(crate) fn id(n: u64) -> [u8; 16] {
        let mut random = Random(n.wrapping_mul(0x1234_5678_9abc_def1));
        let (high, low) = (random.next(), random.next());
        (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
    }

    /// The spans of a trace with the numbers of their services.
    pub(crate) fn trace(&self, n: u64) -> Vec<(usize, Span)> {
        let mut random = Random(n ^ 0x5851_f42d_4c95_7f2d);
        let began = self.start_nanos() + (u128::from(SPAN_NANOS) * u128::from(n) / u128::from(self.traces.max(1))) as u64;
        let trace_id = Self::id(n).to_vec();
        let ids: Vec<Vec<u8>> = SHAPE.iter().map(|_| random.next().to_be_bytes().to_vec()).collect();
        // One in twenty is slow: a long tail as real services have it.
        let whole = (5 + random.below(200) + if random.below(20) == 0 { random.below(2_000) } else { 0 }) * 1_000_000;
        let mut windows: Vec<(u64, u64)> = Vec::with_capacity(SHAPE.len());
        let mut spans = Vec::with_capacity(SHAPE.len());
        for (i, (service, parent, kind)) in SHAPE.into_iter().enumerate() {
            let (start, length) = parent.map_or((began, whole), |parent| {
                let (start, length) = windows[parent];
                let part = length * (30 + random.below(60)) / 100;
                (start + random.below(length - part + 1), part)
            });
            windows.push((start, length));
            let (name, attributes) = described(i, kind, &mut random);
            let failed = attributes.iter().any(|a| *a == int("http.response.status_code", 500));
            spans.push((
                service,
                Span {
                    trace_id: trace_id.clone(),
                    span_id: ids[i].clone(),
                    parent_span_id: parent.map(|p| ids[p].clone()).unwrap_or_default(),
                    name,
                    kind,
                    start_time_unix_nano: start,
                    end_time_unix_nano: start + length,
                    attributes,
                    status: failed.then(|| Status { message: String::new(), code: 2 }),
                },
            ));
        }
        spans
    }

    /// The request of so many traces, the spans of a service together, as a collector sends them.
    pub(crate) fn request(&self, request: u64) -> Request {
        let mut by_service: BTreeMap<usize, Vec<Span>> = BTreeMap::new();
        for n in request * BATCH..((request + 1) * BATCH).min(self.traces) {
            for (service, span) in self.trace(n) {
                by_service.entry(service).or_default().push(span);
            }
        }
        let resource_spans = by_service.into_iter().map(|(service, spans)| ResourceSpans {
            resource: Some(Resource {
                attributes: vec![
                    text("service.name", SERVICES[service]),
                    text("service.version", "1.4.2"),
                    text("deployment.environment", "production"),
                    text("host.name", format!("node-{service}")),
                ],
            }),
            scope_spans: vec![ScopeSpans { scope: Some(Scope { name: "shop".into(), version: "0.9.0".into() }), spans }],
        });
        Request { resource_spans: resource_spans.collect() }
    }
}

fn described(i: usize, kind: i32, random: &mut Random) -> (String, Vec<KeyValue>) {
    let (method, route, status) = (random.one_of(&METHODS), random.one_of(&ROUTES), random.one_of(&STATUSES));
    match (i, kind) {
        (3, _) => {
            let table = random.one_of(&TABLES);
            let query = format!("SELECT * FROM {table} WHERE id = {}", random.below(100_000));
            (
                format!("SELECT {table}"),
                vec![text("db.system", "postgresql"), text("db.name", "shop"), text("db.statement", query), text("server.address", "db-1")],
            )
        }
        (_, INTERNAL) => ("reserve".into(), vec![int("items", random.below(20) as i64), text("user.id", format!("u{}", random.below(50_000)))]),
        (_, SERVER) => (
            format!("{method} {route}"),
            vec![
                text("http.request.method", method),
                text("http.route", route),
                int("http.response.status_code", status),
                text("url.path", route.replace("{id}", &random.below(10_000).to_string())),
                text("client.address", format!("10.0.{}.{}", random.below(256), random.below(256))),
                text("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64)"),
                text("user.id", format!("u{}", random.below(50_000))),
            ],
        ),
        _ => (
            method.to_owned(),
            vec![
                text("http.request.method", method),
                text("url.full", format!("http://checkout:8080{route}?u={}", random.below(50_000))),
                int("http.response.status_code", status),
                text("server.address", "checkout"),
                int("server.port", 8080),
                int("http.request.body.size", random.below(4_096) as i64),
            ],
        ),
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    #[test]
    fn traces_are_the_same_every_time_and_about_as_large_as_real_ones() {
        let plan = Plan { traces: 1_000, end_nanos: 1_767_052_800_000_000_000 };
        assert_eq!(plan.request(7), plan.request(7));
        let (mut bytes, mut spans, mut attributes) = (0, 0, 0);
        for request in 0..plan.requests() {
            let body = plan.request(request);
            bytes += body.encoded_len();
            for span in body.resource_spans.iter().flat_map(|r| &r.scope_spans).flat_map(|s| &s.spans) {
                spans += 1;
                attributes += span.attributes.len();
                assert!(span.start_time_unix_nano <= span.end_time_unix_nano && span.start_time_unix_nano < plan.end_nanos + SPAN_NANOS);
            }
        }
        assert_eq!(spans, plan.spans());
        assert!((200..330).contains(&(bytes as u64 / spans)) && (5..7).contains(&((attributes as u64).div_ceil(spans))), "{bytes} {attributes} {spans}");
        assert_eq!(Request::decode(plan.request(3).encode_to_vec().as_slice()).unwrap(), plan.request(3));
    }
}
