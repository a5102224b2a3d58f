//! Tail sampling: spans wait until their trace is likely complete, then policies decide which traces are kept. What waits is in memory
//! and nowhere else, which is the one exception to what an acknowledgement means; therefore nothing waits unless that was asked for. It
//! looks at no protocol, and the metrics that are derived from spans hear all of them.

mod policy;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hashbrown::HashMap;
use watchfire_model::batch::{Batch, Origin};
use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogEntry, StreamEntries};
use watchfire_model::meter::{Counter, Gauge, Meter};
use watchfire_model::spans::{SpanRow, TraceId};
use watchfire_model::time::SharedClock;
use watchfire_model::write::{Sink, WriteError};

pub use policy::Policies;
use policy::{Seen, Verdict};

/// A span takes so much in memory beside its bytes.
const SPAN_OVERHEAD: usize = 128;
/// So many spans of one trace are looked at; a trace that has more is decided at once, by these.
const SPANS_OF_TRACE_MAX: usize = 2_000;
/// So many traces whose fate is decided are remembered for spans that come late.
const DECIDED_MAX: usize = 50_000;
/// Kept spans go to the store in batches of so many.
const BATCH_SPANS: usize = 5_000;

/// How it is decided, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplingSettings {
    /// Which traces are kept.
    pub policies: Policies,
    /// How long the spans of a trace wait after the first one.
    pub decision_wait: Duration,
    /// The most traces that wait.
    pub traces_max: usize,
    /// The most bytes that wait.
    pub bytes_max: usize,
}
impl Default for SamplingSettings {
    fn default() -> SamplingSettings {
        SamplingSettings { policies: Policies::default(), decision_wait: Duration::from_secs(10), traces_max: 10_000, bytes_max: 16 << 20 }
    }
}

/// A trace that waits.
#[derive(Default)]
struct Waiting {
    seen: Seen,
    spans: Vec<(Labels, LogEntry)>,
    bytes: usize,
}

#[derive(Default)]
struct State {
    traces: HashMap<TraceId, Waiting>,
    /// By the end of their wait.
    order: VecDeque<(Duration, TraceId)>,
    decided: HashMap<TraceId, Verdict>,
    decided_order: VecDeque<TraceId>,
    /// Spans that are kept and wait for the store.
    kept: VecDeque<(Labels, LogEntry)>,
    /// Of all that waits.
    bytes: usize,
    spans: usize,
    /// What is left of the limit per second, and since when.
    allowance: Option<(f64, Duration)>,
}

struct Counters {
    spans: [Counter; Verdict::ALL.len()],
    traces: [Counter; Verdict::ALL.len()],
    early: Counter,
    duplicates: Counter,
    stored: Counter,
    rejected: Counter,
    waiting: [Gauge; 3],
}

/// What became of spans that were given over.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// How many wait or were dropped.
    pub(crate) sampling: u64,
    /// How many were waiting already.
    pub(crate) duplicates: u64,
    /// The places of the latter, counted through all streams.
    pub(crate) left_out: Vec<u32>,
}

/// Decides which traces are kept. Spans that are go to the sink.
pub struct Sampler {
    settings: SamplingSettings,
    sink: Arc<dyn Sink>,
    clock: SharedClock,
    state: Mutex<State>,
    /// One writes at a time, so that what the store did not take is put back in order.
    writing: Mutex<()>,
    counters: Counters,
}

impl Sampler {
    /// Nothing waits yet. `sink` is where kept spans go: behind the gate, which they have passed.
    pub fn new(settings: SamplingSettings, sink: Arc<dyn Sink>, clock: SharedClock, meter: &Meter) -> Sampler {
        let by_verdict = |name: &'static str, help: &'static str| {
            Verdict::ALL.map(|verdict| {
                let (decision, policy) = verdict.names();
                meter.counter(name, help, &[("decision", decision), ("policy", policy)])
            })
        };
        let counters = Counters {
            spans: by_verdict("watchfire_sampling_spans_total", "Spans that tail sampling decided about, by what was decided and which policy did."),
            traces: by_verdict("watchfire_sampling_traces_total", "Traces that tail sampling decided about, by what was decided and which policy did."),
            early: meter.counter(
                "watchfire_sampling_early_decisions_total",
                "Traces that were decided about before their wait was over, for want of room.",
                &[],
            ),
            duplicates: meter.counter("watchfire_sampling_duplicate_spans_total", "Spans that came while they waited already.", &[]),
            stored: meter.counter("watchfire_sampling_stored_spans_total", "Spans that were kept and are in the store.", &[]),
            rejected: meter.counter("watchfire_sampling_rejected_spans_total", "Spans that were kept, but the store refused them or had them.", &[]),
            waiting: [
                meter.gauge("watchfire_sampling_waiting_spans", "Spans that wait for a decision or for the store.", &[]),
                meter.gauge("watchfire_sampling_waiting_traces", "Traces that wait for a decision.", &[]),
                meter.gauge("watchfire_sampling_waiting_bytes", "Bytes of spans that wait.", &[]),
            ],
        };
        Sampler { settings, sink, clock, state: Mutex::default(), writing: Mutex::default(), counters }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the spans out of a batch that are not certain to be kept. An error means that nothing more is taken for now.
    pub(crate) fn withhold(&self, spans: &mut Vec<StreamEntries>) -> Result<Vec<StreamEntries>, WriteError> {
        let state = self.state();
        if !state.kept.is_empty() && state.bytes >= self.settings.bytes_max {
            return Err(WriteError::Busy("spans that are kept wait for the store".to_owned()));
        }
        let mut withheld = Vec::new();
        spans.retain_mut(|stream| {
            let StreamEntries { labels, entries } = stream;
            let is_kept = |entry: &LogEntry| state.decided.get(&SpanRow::from_parts(labels, entry).trace()).is_some_and(|verdict| verdict.keeps());
            let others: Vec<LogEntry> = entries.extract_if(.., |entry| !is_kept(entry)).collect();
            if !others.is_empty() {
                withheld.push(StreamEntries { labels: stream.labels.clone(), entries: others });
            }
            !stream.entries.is_empty()
        });
        Ok(withheld)
    }

    /// Takes spans over: those of traces that are dropped go, the others wait.
    pub(crate) fn take(&self, withheld: Vec<StreamEntries>) -> Taken {
        let now = self.clock.monotonic();
        let mut taken = Taken::default();
        let mut state = self.state();
        for (at, (labels, entry)) in
            withheld.into_iter().flat_map(|stream| stream.entries.into_iter().map(move |entry| (stream.labels.clone(), entry))).enumerate()
        {
            if self.hold(&mut state, labels, entry, now) {
                taken.sampling += 1;
            } else {
                taken.duplicates += 1;
                taken.left_out.push(at as u32);
            }
        }
        self.counters.duplicates.add(taken.duplicates);
        self.decide_due(&mut state, now);
        taken
    }

    /// Returns whether the span is new.
    fn hold(&self, state: &mut State, labels: Labels, entry: LogEntry, now: Duration) -> bool {
        let row = SpanRow::from_parts(&labels, &entry);
        let trace = row.trace();
        let bytes = row.bytes() + labels.packed().len() + SPAN_OVERHEAD;
        if let Some(verdict) = state.decided.get(&trace).copied() {
            self.counters.spans[verdict as usize].inc();
            if verdict.keeps() {
                state.kept.push_back((labels, entry));
                (state.bytes, state.spans) = (state.bytes + bytes, state.spans + 1);
            }
            return true;
        }
        let waiting = state.traces.entry(trace).or_insert_with(|| {
            state.order.push_back((now.saturating_add(self.settings.decision_wait), trace));
            Waiting::default()
        });
        if !waiting.seen.add(&row, &self.settings.policies) {
            return false;
        }
        waiting.spans.push((labels, entry));
        waiting.bytes += bytes;
        (state.bytes, state.spans) = (state.bytes + bytes, state.spans + 1);
        if waiting.spans.len() >= SPANS_OF_TRACE_MAX {
            self.counters.early.inc();
            self.decide(state, trace, now);
        }
        true
    }

    /// Decides about all traces whose wait is over, and about the oldest ones while there are too many.
    fn decide_due(&self, state: &mut State, now: Duration) {
        while let Some((deadline, trace)) = state.order.front().copied() {
            let waits = state.traces.contains_key(&trace);
            let full = state.traces.len() > self.settings.traces_max || state.bytes > self.settings.bytes_max;
            if deadline > now && !full {
                break;
            }
            state.order.pop_front();
            if waits {
                self.counters.early.add(u64::from(deadline > now));
                self.decide(state, trace, now);
            }
        }
        self.show(state);
    }

    fn show(&self, state: &State) {
        let figures = [state.spans, state.traces.len(), state.bytes];
        self.counters.waiting.iter().zip(figures).for_each(|(gauge, figure)| gauge.set(figure as f64));
    }

    fn decide(&self, state: &mut State, trace: TraceId, now: Duration) {
        let Some(waiting) = state.traces.remove(&trace) else { return };
        let mut verdict = waiting.seen.judge(trace, &self.settings.policies);
        if verdict == Verdict::Rate && !state.allows(self.settings.policies.traces_per_second, now) {
            verdict = Verdict::TooMany;
        }
        self.counters.traces[verdict as usize].inc();
        self.counters.spans[verdict as usize].add(waiting.spans.len() as u64);
        state.remember(trace, verdict);
        if verdict.keeps() {
            state.kept.extend(waiting.spans);
        } else {
            state.bytes = state.bytes.saturating_sub(waiting.bytes);
            state.spans = state.spans.saturating_sub(waiting.spans.len());
        }
    }

    /// Decides what is due, and gives what is kept to the store. What the store does not take now waits for the next call.
    pub fn tend(&self) -> Result<(), WriteError> {
        let now = self.clock.monotonic();
        self.decide_due(&mut self.state(), now);
        self.store()
    }

    /// Decides about everything that waits: nothing more will come.
    pub fn finish(&self) -> Result<(), WriteError> {
        let now = self.clock.monotonic();
        {
            let mut state = self.state();
            let all: Vec<TraceId> = std::mem::take(&mut state.order).into_iter().map(|(_, trace)| trace).collect();
            all.into_iter().for_each(|trace| self.decide(&mut state, trace, now));
        }
        self.store()
    }

    fn store(&self) -> Result<(), WriteError> {
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let spans: Vec<(Labels, LogEntry)> = {
                let mut state = self.state();
                let count = state.kept.len().min(BATCH_SPANS);
                state.kept.drain(..count).collect()
            };
            if spans.is_empty() {
                return Ok(());
            }
            let outcome = self.sink.write(batch_of(&spans));
            let mut state = self.state();
            match outcome {
                Ok(written) => {
                    self.counters.stored.add(written.spans.stored);
                    self.counters.rejected.add(written.spans.duplicates + written.spans.rejected_total());
                    let bytes: usize =
                        spans.iter().map(|(labels, entry)| SpanRow::from_parts(labels, entry).bytes() + labels.packed().len() + SPAN_OVERHEAD).sum();
                    state.bytes = state.bytes.saturating_sub(bytes);
                    state.spans = state.spans.saturating_sub(spans.len());
                    self.show(&state);
                }
                Err(error) => {
                    spans.into_iter().rev().for_each(|span| state.kept.push_front(span));
                    return Err(error);
                }
            }
        }
    }
}

impl State {
    fn remember(&mut self, trace: TraceId, verdict: Verdict) {
        if self.decided.insert(trace, verdict).is_none() {
            self.decided_order.push_back(trace);
        }
        if self.decided_order.len() > DECIDED_MAX
            && let Some(oldest) = self.decided_order.pop_front()
        {
            self.decided.remove(&oldest);
        }
    }

    /// Takes one trace from the limit per second, if there is one and something is left of it.
    fn allows(&mut self, per_second: Option<f64>, now: Duration) -> bool {
        let Some(per_second) = per_second else { return true };
        let most = per_second.max(1.0);
        let (left, since) = self.allowance.unwrap_or((most, now));
        let left = (left + now.saturating_sub(since).as_secs_f64() * per_second).min(most);
        let allowed = left >= 1.0;
        self.allowance = Some((if allowed { left - 1.0 } else { left }, now));
        allowed
    }
}

/// Spans by stream.
fn batch_of(spans: &[(Labels, LogEntry)]) -> Batch {
    let mut batch = Batch::new(Origin::new("sampling"));
    let mut places: HashMap<&Labels, usize> = HashMap::new();
    for (labels, entry) in spans {
        let at = *places.entry(labels).or_insert_with(|| {
            batch.spans.push(StreamEntries { labels: labels.clone(), entries: Vec::new() });
            batch.spans.len() - 1
        });
        if let Some(stream) = batch.spans.get_mut(at) {
            stream.entries.push(entry.clone());
        }
    }
    batch
}
