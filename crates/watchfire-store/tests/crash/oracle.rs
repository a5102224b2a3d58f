//! What is written, and what must be found: every batch is known by its number alone.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use watchfire_model::batch::{Batch, Metadata, MetricType, Origin, Samples, SeriesHistograms, SeriesSamples};
use watchfire_model::histogram::{CounterReset, Histogram, Span};
use watchfire_model::labels::Labels;
use watchfire_model::matcher::Matcher;
use watchfire_model::read::{Budget, Selection, Source};
use watchfire_model::sample::{HistogramSample, Sample, stale_nan};
use watchfire_model::state::{Change, INSTALLATION};
use watchfire_model::time::{SystemClock, Timestamp};
use watchfire_store::Store;

use crate::logs;
use crate::writer::open;

pub(crate) const START: i64 = 1_700_000_000_000;
pub(crate) const STEP: i64 = 1000;
const SERIES: u64 = 20;
/// Every so many batches the small durable state changes.
const STATE_EVERY: u64 = 10;
/// Before every batch of a multiple of this, old samples of one series are deleted.
const DELETE_EVERY: u64 = 100;
/// So many batches before the present one are not deleted.
const KEPT: u64 = 20;
/// What a sample is, compared by bits. What is known of a counter reset depends on the neighbours and is left out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Float(u64),
    Histogram(Box<Histogram>),
}

/// Batch `n`: some series in every batch, some that come and go, values of every kind.
pub(crate) fn batch(n: u64) -> Vec<(Labels, i64, Value)> {
    let time = START + n as i64 * STEP;
    let float = |value: f64| Value::Float(value.to_bits());
    let mut samples: Vec<_> = (0..SERIES).map(|s| (series("steady", s), time, float(value(n, s)))).collect();
    samples.push((series("passing", n / 50), time, float(n as f64)));
    if n % 10 == 9 {
        samples.push((series("late", 0), time - 5 * STEP, float(n as f64)));
    } else {
        samples.push((series("late", 1), time, float(n as f64)));
    }
    samples.push((series("histogram", 0), time, histogram(n, true)));
    let late = if n % 10 == 9 { time - 5 * STEP } else { time };
    samples.push((series("histogram", 1 + n % 10 / 9), late, histogram(n, false)));
    samples.push((series("deleted", 0), time, float(n as f64)));
    // A series that is a float now and a histogram then.
    samples.push((series("mixed", 0), time, if n % 20 < 10 { float(n as f64) } else { histogram(n, true) }));
    samples
}

/// The first batch whose sample of the series with deletions is there when batch `n` is acknowledged.
fn first_kept(n: u64) -> u64 {
    (n / DELETE_EVERY * DELETE_EVERY).saturating_sub(KEPT)
}

/// Deletes what batch `n` asks for. A deletion that was not acknowledged is done again.
pub(crate) fn delete(store: &Store, n: u64) -> std::io::Result<()> {
    if n == 0 || !n.is_multiple_of(DELETE_EVERY) {
        return Ok(());
    }
    let matchers = vec![Matcher::equal("__name__", "crash_deleted")];
    let end = START + (first_kept(n) as i64 - 1) * STEP;
    store.delete_series(&[matchers], Timestamp::MIN, Timestamp(end))?;
    logs::delete(store, first_kept(n))?;
    if n.is_multiple_of(3 * DELETE_EVERY) {
        store.clean_tombstones()?;
    }
    Ok(())
}

fn histogram(n: u64, integer: bool) -> Value {
    if n % 31 == 30 {
        return Value::Histogram(Box::new(Histogram::stale()));
    }
    let buckets: Vec<f64> = (0..1 + n % 50 / 9).map(|b| (n % 40 * b) as f64 / if integer { 1.0 } else { 4.0 }).collect();
    Value::Histogram(Box::new(Histogram {
        schema: (n % 100 / 30) as i8,
        integer,
        count: buckets.iter().sum(),
        sum: value(n, 1),
        negative_spans: vec![Span { offset: 3, length: buckets.len() as u32 }],
        negative_buckets: buckets,
        ..Histogram::default()
    }))
}

fn series(kind: &str, n: u64) -> Labels {
    Labels::from_pairs([("__name__", format!("crash_{kind}")), ("n", n.to_string())])
}

fn value(n: u64, s: u64) -> f64 {
    match s {
        0 => 1.0,
        1 => f64::from_bits(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        2 if n.is_multiple_of(7) => stale_nan(),
        3 => -0.0,
        _ => n as f64 * s as f64 / 8.0,
    }
}

/// Batch `n` as it is sent.
pub(crate) fn request(n: u64) -> Batch {
    let mut request = Batch::new(Origin::new("crash"));
    for (labels, time, value) in batch(n) {
        let time = Timestamp(time);
        match value {
            Value::Float(bits) => request.series.push(SeriesSamples { labels, samples: Samples::One(Sample { time, value: f64::from_bits(bits) }) }),
            Value::Histogram(h) => request.histograms.push(SeriesHistograms { labels, samples: vec![HistogramSample { time, value: Arc::new(*h) }] }),
        }
    }
    request.logs = logs::streams(n);
    request.metadata.push(Metadata { family: format!("crash_{}", n / 100).into(), kind: MetricType::Gauge, help: "".into(), unit: "".into() });
    request
}

/// Some batches come with a change of the small durable state.
fn state_key(n: u64) -> Option<String> {
    n.is_multiple_of(STATE_EVERY).then(|| format!("crash/{n:08}"))
}

/// Commits what batch `n` asks for.
pub(crate) fn commit_state(store: &Store, n: u64) -> Result<(), String> {
    let Some(key) = state_key(n) else { return Ok(()) };
    store.state().commit(&[Change::Put(INSTALLATION, key, n.to_string().into_bytes())]).map_err(|e| e.to_string())
}

/// What a writer has said about a directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    /// So many batches were acknowledged.
    pub(crate) acknowledged: u64,
    /// So many must be there, whatever happened.
    pub(crate) required: u64,
    /// The small durable state of so many must be there.
    pub(crate) state_required: u64,
    /// So many were acknowledged at some time, by this or an earlier writer; a power cut may have taken the last of them.
    pub(crate) highest: u64,
    /// From this one on, batches may have been written again after a deletion had removed samples of them.
    pub(crate) again_from: u64,
}
impl Account {
    /// The same where every writer went on where the one before had ended.
    pub(crate) fn exact(acknowledged: u64) -> Account {
        Account { acknowledged, required: acknowledged, state_required: acknowledged, highest: acknowledged, again_from: u64::MAX }
    }
    /// Notes that the next writer begins with this batch, although more may be there.
    pub(crate) fn begin_with(&mut self, n: u64) {
        self.acknowledged = n;
        if n < first_kept(self.highest) {
            self.again_from = self.again_from.min(n);
        }
    }
    /// Notes that a writer went on to this batch. Where it came by the last deletion that there was, that has removed again what was written again.
    pub(crate) fn heard(&mut self, acknowledged: u64) {
        let last = acknowledged.saturating_sub(1) / DELETE_EVERY * DELETE_EVERY;
        if last >= self.acknowledged && last >= self.highest / DELETE_EVERY * DELETE_EVERY {
            self.again_from = u64::MAX;
        }
        self.acknowledged = acknowledged;
        self.highest = self.highest.max(acknowledged);
    }
}

pub(crate) type Everything = BTreeMap<Labels, BTreeMap<i64, Value>>;

pub(crate) fn everything(store: &Store) -> Everything {
    let selection = Selection { matchers: vec![], start: Timestamp::MIN, end: Timestamp::MAX };
    let mut all = Everything::new();
    let read = store.select(&selection, &Budget::unlimited(SystemClock::shared()), &mut |s| {
        let floats = s.times.iter().copied().zip(s.values.iter().map(|v| Value::Float(v.to_bits())));
        let plain = |h: &Histogram| Value::Histogram(Box::new(Histogram { reset: CounterReset::Unknown, ..h.clone() }));
        all.insert(s.labels, floats.chain(s.histograms.iter().map(|h| (h.time.0, plain(&h.value)))).collect());
        Ok(ControlFlow::Continue(()))
    });
    read.expect("a readable store");
    all
}

/// Compares what is stored with what may be there: a whole number of batches, at least those that are required and at most one
/// more than was acknowledged, and all acknowledged state. Returns how many batches are stored.
pub(crate) fn verify(dir: &Path, account: Account) -> Result<u64, String> {
    // Three kills while the log is read back, after three others, look like a log that kills.
    if dir.join("offline").exists() {
        std::fs::rename(dir.join("offline"), dir.join("returned")).map_err(|e| e.to_string())?;
    }
    let store = open(dir, "kill").map_err(|e| format!("cannot open: {e}"))?;
    let stats = store.stats();
    if stats.quarantined > 0 || stats.state_reset || stats.damaged_blocks > 0 {
        return Err(format!("a crash must not damage anything: {stats:?}"));
    }
    let found = everything(&store);
    let found_logs = logs::everything(&store)?;
    let state = store.state().scan(INSTALLATION, "crash/").map_err(|e| e.to_string())?;
    store.close();
    verify_state(&state, account)?;
    let stored = found.get(&series("steady", 0)).map_or(0, BTreeMap::len) as u64;
    if stored < account.required || stored > account.highest.max(account.acknowledged) + 1 {
        return Err(format!("{stored} batches are stored: {account:?}"));
    }
    let heard_of = account.highest.max(account.acknowledged);
    let (gone, perhaps) = (first_kept(stored.saturating_sub(1)), first_kept(heard_of));
    let (gone, perhaps) = (gone.min(account.again_from), perhaps.max(gone));
    compare(found, stored, gone, perhaps)?;
    logs::compare(found_logs, stored, account.required, gone, perhaps)?;
    Ok(stored)
}

fn verify_state(state: &[(String, Vec<u8>)], account: Account) -> Result<(), String> {
    let possible = account.highest.max(account.acknowledged) + 1;
    let wanted: Vec<_> = (0..possible).filter_map(|n| Some((n, state_key(n)?, n.to_string().into_bytes()))).collect();
    for (n, key, value) in &wanted {
        match state.iter().find(|(k, _)| k == key) {
            Some((_, found)) if found == value => {}
            Some(_) => return Err(format!("state changed: {key}")),
            None if *n >= account.state_required => {}
            None => return Err(format!("state lost: {key}, the last one there is {:?}: {account:?}", state.last().map(|(key, _)| key))),
        }
    }
    match state.iter().find(|(key, _)| !wanted.iter().any(|(_, k, _)| k == key)) {
        Some((key, _)) => Err(format!("state invented: {key}: {account:?}")),
        None => Ok(()),
    }
}

/// Whether exactly the first `stored` batches are there. Of one series, those before `gone` are deleted for good, and those before
/// `perhaps` by a deletion that nobody has heard of yet.
fn compare(mut found: Everything, stored: u64, gone: u64, perhaps: u64) -> Result<(), String> {
    for n in 0..stored {
        for (labels, time, value) in batch(n) {
            let deleted = labels == series("deleted", 0) && n < gone;
            let perhaps = labels == series("deleted", 0) && n < perhaps;
            match found.get_mut(&labels).and_then(|s| s.remove(&time)) {
                Some(_) if deleted => return Err(format!("not deleted: {labels} at {time}, batch {n} of {stored}")),
                Some(found) if found == value => {}
                None if deleted || perhaps => {}
                Some(found) => return Err(format!("changed: {labels} at {time}: {value:?} became {found:?}")),
                None => return Err(format!("lost: {labels} at {time}, batch {n} of {stored}")),
            }
        }
    }
    match found.iter().find_map(|(labels, samples)| Some((labels, samples.iter().next()?))) {
        Some((labels, (time, value))) => Err(format!("invented, or of a batch that is there in part: {labels} at {time}: {value:?}, {stored} batches")),
        None => Ok(()),
    }
}

/// Whether exactly the first `written` batches are there, where nothing was ever deleted.
pub(crate) fn verify_written(store: &Store, written: u64) -> Result<(), String> {
    logs::compare(logs::everything(store)?, written, written, 0, 0)?;
    compare(everything(store), written, 0, 0)
}
