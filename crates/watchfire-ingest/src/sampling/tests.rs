//! Tests of tail sampling: each policy, shares within what chance allows, late spans, the room, and that nothing is counted wrong.

use std::collections::BTreeMap;

use watchfire_model::logs::Nanos;
use watchfire_model::spans::{NewSpan, Pair, SpanId, SpanKind, SpanStream, StatusCode, Value};
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_model::write::Written;

use super::*;
use crate::gate::{Gate, Limits};

const NOW: Timestamp = Timestamp(1_767_089_700_000);
const WAIT: Duration = Duration::from_secs(10);

/// Keeps the spans that come.
#[derive(Default)]
struct Kept {
    spans: Mutex<Vec<(TraceId, SpanId)>>,
    busy: Mutex<bool>,
}
impl Sink for Kept {
    fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        if *self.busy.lock().unwrap() {
            return Err(WriteError::Busy("it is said so".to_owned()));
        }
        let mut written = Written::default();
        for stream in &batch.spans {
            for entry in &stream.entries {
                let row = SpanRow::from_parts(&stream.labels, entry);
                self.spans.lock().unwrap().push((row.trace(), row.span()));
                written.spans.stored += 1;
            }
        }
        Ok(written)
    }
}

struct Bench {
    kept: Arc<Kept>,
    sampler: Arc<Sampler>,
    gate: Gate,
    clock: Arc<ManualClock>,
    meter: Meter,
}

fn bench(settings: SamplingSettings) -> Bench {
    let (kept, clock, meter) = (Arc::new(Kept::default()), ManualClock::new(NOW), Meter::new());
    let sampler = Arc::new(Sampler::new(settings, kept.clone(), clock.clone(), &meter));
    let gate = Gate::new(kept.clone(), clock.clone(), &meter, Limits::default()).with_sampler(sampler.clone());
    Bench { kept, sampler, gate, clock, meter }
}

fn policies(policies: Policies) -> Bench {
    bench(SamplingSettings { policies, ..SamplingSettings::default() })
}

#[derive(Clone, Default)]
struct Is {
    parent: u64,
    ms: u64,
    failed: bool,
    name: &'static str,
    path: &'static str,
    flags: u32,
    state: &'static str,
}

fn span(trace: u64, id: u64, is: &Is) -> StreamEntries {
    let resource: [Pair<'_>; 1] = [("service.name".into(), Value::text("api"))];
    let stream = SpanStream { resource: &resource, name: is.name, kind: SpanKind::Server, ..SpanStream::default() };
    let new = NewSpan {
        trace: id_of(trace),
        span: SpanId(id.to_be_bytes()),
        parent: (is.parent > 0).then(|| SpanId(is.parent.to_be_bytes())),
        state: is.state,
        flags: is.flags,
        start: Nanos::from_millis(NOW.0 - 1_000),
        duration: is.ms * 1_000_000,
        status: if is.failed { StatusCode::Error } else { StatusCode::Unset },
        attributes: if is.path.is_empty() { Vec::new() } else { vec![("url.path".into(), Value::text(is.path))] },
        ..NewSpan::default()
    };
    StreamEntries { labels: stream.labels(), entries: vec![new.entry()] }
}

fn id_of(trace: u64) -> TraceId {
    TraceId([[0; 8], trace.to_be_bytes()].concat().try_into().unwrap())
}

impl Bench {
    fn send(&self, spans: Vec<StreamEntries>) -> Written {
        let mut batch = Batch::new(Origin::new("otlp/x"));
        batch.spans = spans;
        self.gate.write(batch).unwrap()
    }
    fn later(&self) {
        self.clock.advance(WAIT);
        self.sampler.tend().unwrap();
    }
    /// Traces that are kept, with the number of their spans.
    fn kept(&self) -> BTreeMap<TraceId, usize> {
        self.kept.spans.lock().unwrap().iter().fold(BTreeMap::new(), |mut all, (trace, _)| {
            *all.entry(*trace).or_default() += 1;
            all
        })
    }
    fn own(&self, name: &str, labels: &str) -> f64 {
        let families = self.meter.gather();
        let points = families.iter().filter(|f| &*f.name == name).flat_map(|f| &f.points);
        points.filter(|(l, _)| l.to_string().contains(labels)).map(|(_, v)| v).sum()
    }
    /// Everything that was received is somewhere.
    fn books_hold(&self) {
        let own = |name: &str| self.own(&format!("watchfire_{name}"), "");
        let received = own("ingest_spans_received_total");
        assert_eq!(
            received,
            own("ingest_spans_stored_total") + own("ingest_spans_duplicate_total") + own("ingest_spans_sampling_total") + own("ingest_spans_rejected_total")
        );
        let dropped = self.own("watchfire_sampling_spans_total", "decision=\"dropped\"");
        let stored = own("sampling_stored_spans_total") + own("sampling_rejected_spans_total");
        assert_eq!(own("ingest_spans_sampling_total"), dropped + stored + own("sampling_waiting_spans"));
    }
}

#[test]
fn trc_21_errors_and_slow_traces_are_kept_and_health_checks_dropped() {
    let wanted = Policies { latency: Some(Duration::from_secs(2)), drop_endpoints: vec!["/health*".to_owned()], rate: 0.0, ..Policies::default() };
    let bench = policies(wanted);
    let is = Is::default();
    bench.send(vec![span(1, 1, &is), span(1, 2, &Is { parent: 1, failed: true, ..is })]);
    bench.send(vec![span(2, 1, &Is { ms: 1_999, ..Is::default() }), span(3, 1, &Is { ms: 2_000, ..Is::default() })]);
    let health = Is { path: "/healthz?full=1", ms: 5_000, ..Is::default() };
    bench.send(vec![span(4, 1, &health), span(4, 2, &Is { parent: 1, ..Is::default() })]);
    // A health check that fails is kept, and so is a slow page that asks for the health of another service.
    bench.send(vec![span(5, 1, &Is { failed: true, ..health.clone() })]);
    bench.send(vec![span(6, 1, &Is { ms: 2_500, ..Is::default() }), span(6, 2, &Is { parent: 1, ..health.clone() })]);
    bench.send(vec![span(7, 1, &Is { name: "GET /health", ms: 9_000, ..Is::default() })]);
    assert_eq!(bench.kept().len(), 0, "everything waits");
    bench.later();
    assert_eq!(bench.kept(), [(id_of(1), 2), (id_of(3), 1), (id_of(5), 1), (id_of(6), 2)].into());
    let dropped = |policy: &str| bench.own("watchfire_sampling_traces_total", &format!("decision=\"dropped\", policy=\"{policy}\""));
    assert_eq!((dropped("rate"), dropped("drop_endpoints")), (1.0, 2.0));
    bench.books_hold();
    // Spans that come late go where their trace went.
    let written = bench.send(vec![span(1, 3, &Is { parent: 1, ..Is::default() }), span(4, 3, &Is { parent: 1, failed: true, ..Is::default() })]);
    assert_eq!((written.spans.stored, written.spans.sampling), (1, 1));
    bench.later();
    assert_eq!((bench.kept().get(&id_of(1)), bench.kept().get(&id_of(4))), (Some(&3), None));
    bench.books_hold();
}

#[test]
fn trc_21_rates_keep_the_share_that_they_say() {
    const TRACES: u64 = 5_000;
    for (rate, least, most) in [(0.0, 0, 0), (1.0, 5_000, 5_000), (0.1, 415, 585)] {
        // Four standard deviations of a binomial distribution are 85 of 5,000 at a tenth.
        let bench = policies(Policies { rate, ..Policies::default() });
        for trace in 1..=TRACES {
            bench.send(vec![span(trace, 1, &Is::default()), span(trace, 2, &Is { parent: 1, ..Is::default() })]);
        }
        bench.later();
        let kept = bench.kept();
        assert!((least..=most).contains(&kept.len()), "{rate}: {}", kept.len());
        assert!(kept.values().all(|spans| *spans == 2), "traces are kept whole");
        bench.books_hold();
    }
}

#[test]
fn trc_21_what_the_head_decided_is_respected() {
    let bench = policies(Policies { rate: 1.0, ..Policies::default() });
    let unsampled = Is { flags: 0x100, ..Is::default() };
    bench.send(vec![span(1, 1, &unsampled), span(2, 1, &Is { failed: true, ..unsampled.clone() }), span(3, 1, &Is { flags: 0x101, ..unsampled.clone() })]);
    bench.later();
    assert_eq!(bench.kept().into_keys().collect::<Vec<_>>(), [id_of(2), id_of(3)]);
    // Of what the head sampled at one half, a rate of one half takes nothing more.
    let bench = policies(Policies { rate: 0.5, ..Policies::default() });
    for trace in 1..=100u64 {
        bench.send(vec![span(trace, 1, &Is { state: "ot=th:8;rv:80000000000001", ..Is::default() })]);
    }
    bench.later();
    assert_eq!(bench.kept().len(), 100);
}

#[test]
fn a_second_has_room_for_so_many_traces() {
    let bench = policies(Policies { traces_per_second: Some(3.0), ..Policies::default() });
    let many = |from: u64| bench.send((from..from + 50).map(|trace| span(trace, 1, &Is { failed: trace % 50 == 7, ..Is::default() })).collect());
    many(1_000);
    bench.later();
    assert_eq!(bench.kept().len(), 4, "three and the one that failed");
    many(2_000);
    bench.later();
    assert_eq!(bench.kept().len(), 8);
    assert_eq!(bench.own("watchfire_sampling_traces_total", "traces_per_second"), 92.0);
    bench.books_hold();
}

#[test]
fn spans_that_come_again_are_one_and_sending_again_after_a_failure_costs_nothing() {
    let bench = policies(Policies::default());
    let heard = Arc::new(Mutex::new(0));
    let tap = {
        let heard = heard.clone();
        bench.gate.span_taps().listen(move |streams| *heard.lock().unwrap() += streams.iter().map(|s| s.entries.len()).sum::<usize>())
    };
    let both = || vec![span(1, 1, &Is::default()), span(1, 2, &Is { parent: 1, ..Is::default() })];
    assert_eq!(bench.send(both()).spans.sampling, 2);
    let written = bench.send([both(), vec![span(1, 3, &Is::default())]].concat()).spans;
    assert_eq!((written.sampling, written.duplicates, *heard.lock().unwrap()), (1, 2, 3));
    *bench.kept.busy.lock().unwrap() = true;
    bench.clock.advance(WAIT);
    assert!(bench.sampler.tend().is_err());
    assert_eq!(bench.own("watchfire_sampling_waiting_spans", ""), 3.0);
    *bench.kept.busy.lock().unwrap() = false;
    bench.sampler.tend().unwrap();
    assert_eq!(
        (bench.kept(), bench.own("watchfire_sampling_waiting_spans", ""), bench.own("watchfire_sampling_waiting_bytes", "")),
        ([(id_of(1), 3)].into(), 0.0, 0.0)
    );
    bench.books_hold();
    drop(tap);
}

#[test]
fn what_waits_is_bounded_and_the_oldest_are_decided_early() {
    let bench = bench(SamplingSettings { traces_max: 3, ..SamplingSettings::default() });
    for trace in 1..=10 {
        bench.send(vec![span(trace, 1, &Is::default())]);
    }
    bench.sampler.tend().unwrap();
    assert_eq!(
        (bench.own("watchfire_sampling_waiting_traces", ""), bench.own("watchfire_sampling_early_decisions_total", ""), bench.kept().len()),
        (3.0, 7.0, 7)
    );
    bench.sampler.finish().unwrap();
    assert_eq!(bench.kept().len(), 10, "what waits when we end is decided");
    bench.books_hold();

    let small = self::bench(SamplingSettings { bytes_max: 2_000, ..SamplingSettings::default() });
    *small.kept.busy.lock().unwrap() = true;
    for trace in 1..=20 {
        let mut batch = Batch::new(Origin::new("otlp/x"));
        batch.spans = vec![span(trace, 1, &Is::default())];
        drop(small.gate.write(batch));
    }
    let waiting = small.own("watchfire_sampling_waiting_bytes", "");
    assert!(waiting < 3_000.0, "{waiting}: when the store takes nothing, we take nothing");
    assert!(small.own("watchfire_ingest_spans_turned_away_total", "busy") > 5.0);
    small.books_hold();
    // One trace with very many spans.
    let long = self::bench(SamplingSettings::default());
    for id in 1..=2_100 {
        long.send(vec![span(1, id, &Is { parent: 9_999, ..Is::default() })]);
    }
    long.later();
    assert_eq!((long.kept()[&id_of(1)], long.own("watchfire_sampling_early_decisions_total", "")), (2_100, 1.0));
    long.books_hold();
}
