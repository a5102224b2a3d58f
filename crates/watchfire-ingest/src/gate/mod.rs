//! The gate: the one door to the store. Every batch, whoever brings it, is judged here item by item against limits, and
//! every item is accounted for: received = stored + duplicates + the sum of rejected, at all times. It rewrites nothing
//! and keeps no data; relabelling and sanitising happen before it, ordering and duplicates are the store's business.

mod account;
mod limits;
mod logs;
#[cfg(test)]
mod logs_tests;
mod origins;
mod rate;

use std::sync::{Arc, PoisonError, RwLock};

use watchfire_model::batch::{Batch, Origin, Samples, SeriesSamples};
use watchfire_model::labels::{Labels, METRIC_NAME};
use watchfire_model::logs::{LogEntry, StreamEntries};
use watchfire_model::meter::Meter;
use watchfire_model::sample::Sample;
use watchfire_model::time::{SharedClock, Timestamp};
use watchfire_model::write::{Reason, Sink, WriteError, Written};

pub use account::origin_kind;
pub use limits::Limits;
pub use logs::{LogLimits, LogTap, LogTaps};
pub use origins::{OverLimit, Whose};
pub use rate::Rate;

use crate::sampling::Sampler;
use account::Account;
use logs::Refused;
use origins::{Admission, Locked, Met, Origins};
use rate::Rates;

/// So many series of a batch at most are taken for those that say how their source is doing.
const VITAL_MAX: usize = 16;

/// Judges batches and hands what passes to the next sink.
pub struct Gate {
    inner: Arc<dyn Sink>,
    clock: SharedClock,
    limits: Limits,
    origins: Arc<Origins>,
    streams: Origins,
    span_streams: Origins,
    profile_streams: Origins,
    /// Those of `limits` at the start, and others after a reload.
    log_limits: RwLock<Arc<LogLimits>>,
    rates: Rates,
    taps: LogTaps,
    span_taps: LogTaps,
    sampler: Option<Arc<Sampler>>,
    account: Account,
}

impl Gate {
    /// A gate before a sink. Its counters exist, with zeros, from now on.
    pub fn new(inner: Arc<dyn Sink>, clock: SharedClock, meter: &Meter, limits: Limits) -> Gate {
        let account = Account::new(meter);
        let origins = Arc::new(Origins::new(limits.series_per_origin_max, limits.series_of_parts_max, limits.series_idle_ms));
        account::tell_over(meter, origins.clone(), clock.clone());
        let streams = Origins::new(limits.logs.streams_per_origin_max, 0, limits.series_idle_ms);
        let span_streams = Origins::new(limits.spans.streams_per_origin_max, 0, limits.series_idle_ms);
        let profile_streams = Origins::new(limits.profiles.streams_per_origin_max, 0, limits.series_idle_ms);
        let log_limits = RwLock::new(Arc::new(limits.logs.clone()));
        Gate {
            inner,
            clock,
            limits,
            origins,
            streams,
            span_streams,
            profile_streams,
            log_limits,
            rates: Rates::default(),
            taps: LogTaps::default(),
            span_taps: LogTaps::default(),
            sampler: None,
            account,
        }
    }

    /// The same gate, where spans wait until it is decided which traces are kept.
    pub fn with_sampler(self, sampler: Arc<Sampler>) -> Gate {
        Gate { sampler: Some(sampler), ..self }
    }

    /// What log entries may look like now.
    pub fn log_limits(&self) -> Arc<LogLimits> {
        Arc::clone(&self.log_limits.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes what log entries may look like from now on.
    pub fn set_log_limits(&self, limits: LogLimits) {
        self.streams.set_max(limits.streams_per_origin_max);
        *self.log_limits.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(limits);
    }

    /// Where log entries can be heard as they come in.
    pub fn log_taps(&self) -> LogTaps {
        self.taps.clone()
    }

    /// Where spans can be heard as they come in.
    pub fn span_taps(&self) -> LogTaps {
        self.span_taps.clone()
    }

    /// The number of series that an origin has delivered lately.
    pub fn active_series(&self, origin: &str) -> usize {
        self.origins.active(origin)
    }

    /// Origins that have sent more series than they may lately.
    pub fn over_limit(&self) -> Vec<OverLimit> {
        self.origins.over(self.clock.monotonic()).0
    }

    /// Whether a series of an origin came in lately: after a batch, those of its series that were not refused here.
    pub fn is_active(&self, origin: &Origin, labels: &Labels) -> bool {
        self.origins.knows(&origin.0, labels.hash_value())
    }

    /// Judges the labels of a series before there is a sample of it, for those who keep series in memory.
    pub fn check_labels(&self, labels: &Labels) -> Result<(), (Reason, String)> {
        self.limits.check(labels)
    }

    /// Judges one log entry for those who answer for each, but for the number of streams.
    pub fn check_log(&self, labels: &Labels, entry: &LogEntry) -> Result<(), (Reason, String)> {
        self.log_limits().check(labels, entry, self.clock.now())
    }

    /// Books samples that a decoder or a collector refused before they could come here, so that the books hold them too.
    pub fn book_refused(&self, origin: &Origin, refused: &Written) {
        let rejected = Written { rejected: refused.rejected.clone(), ..Written::default() };
        self.account.settled(origin_kind(&origin.0), rejected.rejected_total(), &rejected);
        self.account.logs_settled(origin_kind(&origin.0), refused.logs.rejected_total(), 0, &refused.logs);
        self.account.spans_settled(origin_kind(&origin.0), refused.spans.rejected_total(), 0, &refused.spans);
        self.account.profiles_settled(origin_kind(&origin.0), refused.profiles.rejected_total(), 0, &refused.profiles);
    }

    /// Takes the items of a batch that are refused out of it and counts them.
    fn judge(&self, batch: &mut Batch) -> Written {
        let now = self.clock.now();
        let latest = now.plus_ms(self.limits.future_ms_max);
        let mut refused = Written::default();
        let monotonic = self.clock.monotonic();
        let origin = self.origins.of(&batch.origin, monotonic);
        let mut locked = origin.lock(monotonic, batch.part);
        let mut series = std::mem::take(&mut batch.series);
        let ordinary = series.len().saturating_sub(batch.vital.min(VITAL_MAX));
        let mut at = 0;
        batch.vital = 0;
        series.retain_mut(|item| {
            let vital = at >= ordinary;
            at += 1;
            drop_future(item, latest, &mut refused);
            if item.samples.is_empty() {
                return false;
            }
            match self.admission(&mut locked, &item.labels, &batch.origin, vital) {
                Ok(()) => {
                    batch.vital += usize::from(vital);
                    true
                }
                Err((reason, words)) => {
                    refuse(&mut refused, reason, item.samples.len() as u64, &item.labels, &words);
                    false
                }
            }
        });
        batch.series = series;
        let histograms = std::mem::take(&mut batch.histograms);
        for mut item in histograms {
            let before = item.samples.len();
            item.samples.retain(|s| s.time <= latest);
            if item.samples.len() < before {
                let words = format!("later than {}", latest.rfc3339());
                refuse(&mut refused, Reason::TooFarFuture, (before - item.samples.len()) as u64, &item.labels, &words);
            }
            let wrong = item.samples.iter().find_map(|s| s.value.check().err());
            if let Some(wrong) = wrong {
                let before = item.samples.len();
                item.samples.retain(|s| s.value.check().is_ok());
                refuse(&mut refused, Reason::InvalidHistogram, (before - item.samples.len()) as u64, &item.labels, &wrong.to_string());
            }
            if item.samples.is_empty() {
                continue;
            }
            match self.admission(&mut locked, &item.labels, &batch.origin, false) {
                Ok(()) => batch.histograms.push(item),
                Err((reason, words)) => refuse(&mut refused, reason, item.samples.len() as u64, &item.labels, &words),
            }
        }
        batch.exemplars.retain_mut(|item| {
            item.exemplars.retain(|e| e.time <= latest && limits::exemplar_fits(e));
            !item.exemplars.is_empty() && self.limits.check(&item.labels).is_ok()
        });
        drop(locked);
        if !batch.logs.is_empty() {
            let streams = self.streams.of(&batch.origin, monotonic);
            let limits = self.log_limits();
            let mut refused = Refused { counts: &mut refused.logs, example: &mut refused.example };
            limits.judge(&mut batch.logs, &mut streams.lock(monotonic, 0), &batch.origin, &limits.window(now), &mut refused);
        }
        if !batch.spans.is_empty() {
            let streams = self.span_streams.of(&batch.origin, monotonic);
            let limits = &self.limits.spans;
            let mut refused = Refused { counts: &mut refused.spans, example: &mut refused.example };
            limits.judge(&mut batch.spans, &mut streams.lock(monotonic, 0), &batch.origin, &limits.window(now), &mut refused);
        }
        if !batch.profiles.is_empty() {
            let streams = self.profile_streams.of(&batch.origin, monotonic);
            let limits = &self.limits.profiles;
            let mut refused = Refused { counts: &mut refused.profiles, example: &mut refused.example };
            limits.judge(&mut batch.profiles, &mut streams.lock(monotonic, 0), &batch.origin, &limits.window(now), &mut refused);
        }
        refused
    }

    /// The spans of a batch that are not certain to be kept.
    fn withhold(&self, batch: &mut Batch) -> Result<Vec<StreamEntries>, WriteError> {
        match &self.sampler {
            Some(sampler) if !batch.spans.is_empty() => sampler.withhold(&mut batch.spans),
            _ => Ok(Vec::new()),
        }
    }

    /// Gives those over to sampling. Who listens hears of all of them: what is derived from spans is not to depend on sampling.
    fn sample(&self, withheld: Vec<StreamEntries>, written: &mut Written) {
        let Some(sampler) = self.sampler.as_ref().filter(|_| !withheld.is_empty()) else { return };
        let heard = self.span_taps.heard(&withheld);
        let taken = sampler.take(withheld);
        written.spans.sampling += taken.sampling;
        written.spans.duplicates += taken.duplicates;
        if let Some(streams) = heard.filter(|_| taken.sampling > 0) {
            self.span_taps.publish(&without(streams, &taken.left_out));
        }
    }

    /// Whether a series may come in; if so, it counts among those of its origin from now on. One that says how a part of the origin is
    /// doing always may: there are few, and whoever waits for `up == 0` must hear it above all when a source goes wrong.
    fn admission(&self, origin: &mut Locked<'_>, labels: &Labels, from: &Origin, vital: bool) -> Result<(), (Reason, String)> {
        match origin.look(labels.hash_value()) {
            Admission::Known => return Ok(()),
            Admission::New => self.limits.check(labels)?,
            Admission::Full(_) if vital => self.limits.check(labels)?,
            Admission::Full(met) => {
                self.limits.check(labels)?;
                let words = met_limit(&met, &from.0);
                if origin.refuse(met) {
                    // Said once: it goes on until somebody changes something, and the doctor and a metric say it, too.
                    tracing::warn!(source = &*from.0, limit = met.limit, "{words}: new ones are refused");
                }
                return Err((Reason::SourceSeriesLimit, words));
            }
        }
        origin.admit(labels.hash_value());
        Ok(())
    }
}

impl Sink for Gate {
    fn sync(&self) -> Result<(), WriteError> {
        self.inner.sync()
    }
    fn write(&self, mut batch: Batch) -> Result<Written, WriteError> {
        let kind = origin_kind(&batch.origin.0);
        let received = batch.sample_count() as u64;
        let exemplars: u64 = batch.exemplars.iter().map(|e| e.exemplars.len() as u64).sum();
        let (entries, bytes) = entries_size(&batch.logs);
        let (spans, span_bytes) = entries_size(&batch.spans);
        let (profiles, profile_bytes) = entries_size(&batch.profiles);
        if entries > 0
            && let Err(error) = self.log_limits().keep_pace(&self.rates, &batch.logs, self.clock.monotonic())
        {
            self.account.turned_away(&error, received, [entries, spans, profiles]);
            return Err(error);
        }
        let refused = self.judge(&mut batch);
        self.limits.trim_metadata(&mut batch.metadata);
        let withheld = self.withhold(&mut batch);
        let heard = self.taps.heard(&batch.logs);
        let heard_spans = self.span_taps.heard(&batch.spans);
        let outcome = withheld.and_then(|withheld| Ok((withheld, if batch.is_empty() { Written::default() } else { self.inner.write(batch)? })));
        match outcome {
            Ok((withheld, mut written)) => {
                let left_out = [&mut written.logs, &mut written.spans].map(|counts| std::mem::take(&mut counts.left_out));
                written.add(refused);
                self.sample(withheld, &mut written);
                self.account.settled(kind, received, &written);
                self.account.exemplars(kind, exemplars, written.exemplars);
                self.account.logs_settled(kind, entries, bytes, &written.logs);
                self.account.spans_settled(kind, spans, span_bytes, &written.spans);
                self.account.profiles_settled(kind, profiles, profile_bytes, &written.profiles);
                // Entries that came before were heard before.
                if let Some(streams) = heard.filter(|_| written.logs.stored > 0) {
                    self.taps.publish(&without(streams, &left_out[0]));
                }
                if let Some(streams) = heard_spans.filter(|_| written.spans.stored > 0) {
                    self.span_taps.publish(&without(streams, &left_out[1]));
                }
                Ok(written)
            }
            Err(error) => {
                // Nothing was taken; the sender still has everything, so nothing counts as received.
                self.account.turned_away(&error, received, [entries, spans, profiles]);
                Err(error)
            }
        }
    }
}

/// A limit that is met, in words.
fn met_limit(met: &Met, from: &str) -> String {
    let limit = met.limit;
    match met.whose {
        Whose::Origin => format!("more than {limit} series (storage.source_series_max) from {from}"),
        Whose::Part => format!("more than {limit} series (storage.source_series_max) from one target of {from}"),
        Whose::AllParts => format!("more than {limit} series (half of storage.series_max) from all targets of {from}"),
    }
}

fn refuse(refused: &mut Written, reason: Reason, count: u64, labels: &Labels, words: &str) {
    refused.reject(reason, count);
    if refused.example.is_none() {
        refused.example = Some(example(reason, words, labels));
    }
}

/// A refusal in words, with as much of the labels as fits.
fn example(reason: Reason, words: &str, labels: &Labels) -> String {
    format!("{reason}: {words}: {}", shown(labels))
}

/// As much of labels as fits.
fn shown(labels: &Labels) -> String {
    let mut series = labels.to_string();
    if series.len() > EXAMPLE_BYTES_MAX {
        series.truncate(series.floor_char_boundary(EXAMPLE_BYTES_MAX));
        series.push('…');
    }
    series
}

/// Streams without the entries at some places, which ascend and are counted through all of them.
fn without(streams: Arc<[StreamEntries]>, left_out: &[u32]) -> Arc<[StreamEntries]> {
    if left_out.is_empty() {
        return streams;
    }
    let (mut left_out, mut at) = (left_out.iter().copied().peekable(), 0);
    let mut kept = streams.to_vec();
    kept.retain_mut(|stream| {
        stream.entries.retain(|_| {
            at += 1;
            left_out.next_if_eq(&(at - 1)).is_none()
        });
        !stream.entries.is_empty()
    });
    kept.into()
}

/// How many entries there are, and the bytes of their lines and structured metadata.
fn entries_size(streams: &[StreamEntries]) -> (u64, u64) {
    let entries = streams.iter().flat_map(|stream| &stream.entries);
    entries.fold((0, 0), |(count, bytes), entry| (count + 1, bytes + (entry.line.len() + entry.metadata.packed().len()) as u64))
}

/// The most of a series that stands in an example.
const EXAMPLE_BYTES_MAX: usize = 256;

/// Removes samples later than the latest time allowed.
fn drop_future(item: &mut SeriesSamples, latest: Timestamp, refused: &mut Written) {
    let late = |sample: &Sample| sample.time > latest;
    let count = item.samples.as_slice().iter().filter(|s| late(s)).count();
    if count == 0 {
        return;
    }
    let words = format!("later than {}", latest.rfc3339());
    refuse(refused, Reason::TooFarFuture, count as u64, &item.labels, &words);
    match &mut item.samples {
        Samples::Many(samples) => samples.retain(|s| !late(s)),
        Samples::One(_) => item.samples = Samples::Many(Vec::new()),
    }
}

/// Whether a label set has a name: a series without one cannot be asked for.
fn has_name(labels: &Labels) -> bool {
    labels.get(METRIC_NAME).is_some()
}

#[cfg(test)]
mod tests;
