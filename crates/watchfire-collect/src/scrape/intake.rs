//! One body → one batch: samples with the target's labels, staleness markers for what has ended, and the series that
//! report about the scrape itself. Synchronous; it fetches nothing and writes nothing.

use std::collections::HashMap;
use std::sync::Arc;

use watchfire_ingest::exposition::{Entry, Format, Parser, RawSample};
use watchfire_ingest::relabel::{self, Verdict};
use watchfire_model::batch::{Batch, Metadata, MetricType, Origin, Samples, SeriesSamples};
use watchfire_model::labels::{Labels, LabelsBuilder, METRIC_NAME, is_classic_label_name, is_classic_metric_name};
use watchfire_model::sample::{Sample, stale_nan};
use watchfire_model::time::Timestamp;

use super::cache::{Cache, Known, SeriesNumber};
use super::config::{NameValidation, ScrapeConfig};
use super::target::Target;

/// Families of which metadata is remembered for one target; further ones are not reported.
pub const FAMILIES_MAX: usize = 10_000;

/// Why a scrape whose body arrived is a failed one.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The body is no exposition.
    #[error("cannot parse the exposition: {0}")]
    Parse(#[from] watchfire_ingest::exposition::ParseError),
    /// More samples than `sample_limit`.
    #[error("sample limit exceeded: more than {0} samples")]
    SampleLimit(u64),
    /// A series beyond the limits of labels.
    #[error("label limit exceeded: {0}")]
    LabelLimit(String),
    /// Relabelling took the metric's name away or made it invalid.
    #[error("relabelling left a series without a valid name: {0}")]
    Name(String),
}

/// What a body held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Samples in the body.
    pub(super) scraped: u64,
    /// Samples that relabelling left.
    pub(super) kept: u64,
    /// Series that are new.
    pub(super) added: u64,
    /// Samples left out because their series already had one.
    pub(super) duplicates: u64,
}

/// What is reported about a scrape beside its samples.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    /// Whether it went well.
    pub(super) up: bool,
    /// How long it took.
    pub(super) seconds: f64,
    /// Bytes of the body after decompression; `-1` when there were too many.
    pub(super) body_bytes: i64,
}

/// Turns the bodies of one target into batches.
pub(super) struct Intake {
    cache: Cache,
    families: Families,
    reports: Vec<Labels>,
    origin: Origin,
    /// How many series the last batch had: the capacity of the next one.
    expected: usize,
}

struct Family {
    metadata: Metadata,
    changed: bool,
}

impl Intake {
    /// Begins with a target that nothing is known about.
    pub(super) fn new(job: &ScrapeConfig, target: &Target) -> Intake {
        let origin = Origin::new(&format!("scrape/{}", job.name));
        Intake { cache: Cache::new(), families: Families::default(), reports: report_labels(job, target), origin, expected: 0 }
    }
    /// Goes on after the job's settings have changed: texts mean something new, series that were alive are still known.
    pub(super) fn with_new_rules(mut self, job: &ScrapeConfig, target: &Target) -> Intake {
        self.cache.clear_texts();
        self.reports = report_labels(job, target);
        self
    }
    /// The number of series that are known.
    pub(super) fn series(&self) -> usize {
        self.cache.len()
    }

    /// Takes a body. When it is refused, the batch holds the staleness markers of everything that was alive.
    pub(super) fn take(
        &mut self,
        body: &[u8],
        format: Format,
        time: Timestamp,
        job: &ScrapeConfig,
        target: &Target,
    ) -> (Batch, Counts, Result<(), IntakeError>) {
        let mut batch = self.batch();
        let mut counts = Counts::default();
        let read = self.read(body, format, time, job, target, &mut batch, &mut counts);
        match &read {
            Ok(()) => {
                self.cache.commit(|labels| batch.series.push(stale(labels, time)));
                self.families.take(&mut batch.metadata);
            }
            Err(_) => {
                batch.series.clear();
                self.cache.fail(|labels| batch.series.push(stale(labels, time)));
            }
        }
        (batch, counts, read)
    }
    /// The batch of a scrape that brought no body.
    pub(super) fn nothing(&mut self, time: Timestamp) -> Batch {
        let mut batch = self.batch();
        self.cache.fail(|labels| batch.series.push(stale(labels, time)));
        batch
    }
    /// The batch after the last scrape: everything ends, the reports too.
    pub(super) fn end(&mut self, time: Timestamp) -> Batch {
        let mut batch = self.nothing(time);
        batch.series.extend(self.reports.iter().map(|labels| stale(labels, time)));
        batch
    }
    /// Adds the series that report about the scrape.
    pub(super) fn report(&mut self, batch: &mut Batch, time: Timestamp, counts: Counts, facts: Facts, job: &ScrapeConfig, target: &Target) {
        let values = [
            if facts.up { 1.0 } else { 0.0 },
            facts.seconds,
            counts.scraped as f64,
            counts.kept as f64,
            counts.added as f64,
            target.timeout_ms as f64 / 1000.0,
            job.limits.samples as f64,
            facts.body_bytes as f64,
        ];
        // Without the extra metrics there are fewer labels than values.
        batch.series.extend(self.reports.iter().zip(values).map(|(labels, value)| one(labels.clone(), time, value)));
        self.expected = batch.series.len();
    }

    fn batch(&self) -> Batch {
        let mut batch = Batch::new(self.origin.clone());
        batch.series.reserve(self.expected + self.expected / 16 + 16);
        batch
    }

    #[expect(clippy::too_many_arguments, reason = "a body, where it goes, and the rules; a struct would only rename them")]
    fn read(
        &mut self,
        body: &[u8],
        format: Format,
        time: Timestamp,
        job: &ScrapeConfig,
        target: &Target,
        batch: &mut Batch,
        counts: &mut Counts,
    ) -> Result<(), IntakeError> {
        let mut entries = Parser::from_bytes(format, body)?;
        while let Some(entry) = entries.next_expecting(self.cache.expected()) {
            match entry? {
                Entry::Sample(sample) => self.sample(&sample, time, job, target, batch, counts)?,
                Entry::Type { family, kind } => self.families.change(&family, |m| set(&mut m.kind, kind)),
                Entry::Help { family, help } => self.families.change(&family, |m| set_text(&mut m.help, &help)),
                Entry::Unit { family, unit } => self.families.change(&family, |m| set_text(&mut m.unit, unit)),
            }
        }
        match job.limits.samples {
            limit if limit > 0 && batch.series.len() as u64 > limit => Err(IntakeError::SampleLimit(limit)),
            _ => Ok(()),
        }
    }

    fn sample(
        &mut self,
        sample: &RawSample<'_>,
        time: Timestamp,
        job: &ScrapeConfig,
        target: &Target,
        batch: &mut Batch,
        counts: &mut Counts,
    ) -> Result<(), IntakeError> {
        counts.scraped += 1;
        let (known, added) = match self.cache.find(sample.series, sample.kind, sample.expected) {
            Some(found) => found,
            None => {
                let labels = labels_of(sample, job, target)?;
                (self.cache.insert(sample.series, sample.kind, labels), true)
            }
        };
        let Known::Series(number) = known else { return Ok(()) };
        counts.kept += 1;
        self.push(number, sample, time, job, batch, counts, added);
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "a body, where it goes, and the rules; a struct would only rename them")]
    fn push(&mut self, number: SeriesNumber, sample: &RawSample<'_>, time: Timestamp, job: &ScrapeConfig, batch: &mut Batch, counts: &mut Counts, added: bool) {
        let own_time = sample.time.filter(|_| job.honor_timestamps);
        let first = self.cache.touch(number, own_time.is_none() || job.track_timestamps_staleness);
        if !first && own_time.is_none() {
            counts.duplicates += 1;
            return;
        }
        counts.added += u64::from(added);
        batch.series.push(one(self.cache.labels(number).clone(), own_time.unwrap_or(time), sample.value));
    }
}

/// What a target says about its metric families. They come in the same order each time, so the next one is guessed first.
#[derive(Default)]
struct Families {
    all: Vec<Family>,
    by_name: HashMap<Arc<str>, usize>,
    /// The family that came last.
    last: usize,
    changed: bool,
}
impl Families {
    fn change(&mut self, name: &str, change: impl FnOnce(&mut Metadata) -> bool) {
        let is = |at: &usize| self.all.get(*at).is_some_and(|f| *f.metadata.family == *name);
        let known = [self.last, self.last + 1, 0].into_iter().find(is).or_else(|| self.by_name.get(name).copied());
        if let Some(at) = known {
            self.last = at;
            let family = &mut self.all[at];
            let changed = change(&mut family.metadata);
            family.changed |= changed;
            self.changed |= changed;
        } else if self.all.len() < FAMILIES_MAX {
            let name: Arc<str> = name.into();
            let mut metadata = Metadata { family: name.clone(), kind: MetricType::Unknown, help: "".into(), unit: "".into() };
            change(&mut metadata);
            self.last = self.all.len();
            self.by_name.insert(name, self.last);
            self.all.push(Family { metadata, changed: true });
            self.changed = true;
        }
    }
    /// What is new since the last call.
    fn take(&mut self, metadata: &mut Vec<Metadata>) {
        if !std::mem::take(&mut self.changed) {
            return;
        }
        for family in self.all.iter_mut().filter(|f| f.changed) {
            family.changed = false;
            metadata.push(family.metadata.clone());
        }
    }
}

fn set<T: PartialEq>(place: &mut T, value: T) -> bool {
    let changed = *place != value;
    *place = value;
    changed
}
fn set_text(place: &mut Arc<str>, value: &str) -> bool {
    let changed = **place != *value;
    if changed {
        *place = value.into();
    }
    changed
}

fn one(labels: Labels, time: Timestamp, value: f64) -> SeriesSamples {
    SeriesSamples { labels, samples: Samples::One(Sample { time, value }) }
}
fn stale(labels: &Labels, time: Timestamp) -> SeriesSamples {
    one(labels.clone(), time, stale_nan())
}

/// The labels of the reporting series, in the order of the values in `report`.
fn report_labels(job: &ScrapeConfig, target: &Target) -> Vec<Labels> {
    const ALWAYS: [&str; 5] = ["up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling", "scrape_series_added"];
    const EXTRA: [&str; 3] = ["scrape_timeout_seconds", "scrape_sample_limit", "scrape_body_size_bytes"];
    let extra = if job.extra_scrape_metrics { &EXTRA[..] } else { &[] };
    ALWAYS.iter().chain(extra).map(|name| target.labels.with(METRIC_NAME, name)).collect()
}

/// The labels of a new series: the target's added, metric relabelling done, limits kept. `None` when it is dropped.
fn labels_of(sample: &RawSample<'_>, job: &ScrapeConfig, target: &Target) -> Result<Option<Labels>, IntakeError> {
    let names = sample.names()?;
    let mut labels = LabelsBuilder::new();
    for (name, value) in names.iter() {
        labels.set(name, value);
    }
    if job.honor_labels {
        // A label that is there with an empty value counts as there: that is how a target says "no instance".
        for (name, value) in target.labels.iter().filter(|(name, _)| !names.iter().any(|(n, _)| n == *name)) {
            labels.set(name, value);
        }
    } else {
        add_over_exposed(&mut labels, &target.labels);
    }
    if relabel::apply(&job.metric_relabel, &mut labels) == Verdict::Drop {
        return Ok(None);
    }
    let labels = labels.build();
    if labels.is_empty() {
        return Ok(None);
    }
    check_names(&labels, job.validation)?;
    check_limits(&labels, job)?;
    Ok(Some(labels))
}

/// The target's labels win; what the exposition had under the same name is kept as `exported_…`.
fn add_over_exposed(labels: &mut LabelsBuilder, own: &Labels) {
    let mut conflicts: Vec<(String, String)> = Vec::new();
    for (name, value) in own {
        let exposed = labels.get(name);
        if !exposed.is_empty() {
            conflicts.push((name.to_owned(), exposed.to_owned()));
        }
        labels.set(name, value);
    }
    conflicts.sort_by_key(|(name, _)| name.len());
    for (name, value) in conflicts {
        let mut renamed = format!("exported_{name}");
        while !labels.get(&renamed).is_empty() {
            renamed.insert_str(0, "exported_");
        }
        labels.set(&renamed, &value);
    }
}

fn check_names(labels: &Labels, validation: NameValidation) -> Result<(), IntakeError> {
    let name = labels.metric_name();
    let valid = match validation {
        NameValidation::Utf8 => !name.is_empty(),
        NameValidation::Legacy => is_classic_metric_name(name) && labels.iter().all(|(n, _)| is_classic_label_name(n)),
    };
    if valid { Ok(()) } else { Err(IntakeError::Name(labels.to_string())) }
}

fn check_limits(labels: &Labels, job: &ScrapeConfig) -> Result<(), IntakeError> {
    let limits = &job.limits;
    let over = |limit: u64, size: usize| limit > 0 && size as u64 > limit;
    if over(limits.labels, labels.len()) {
        return Err(IntakeError::LabelLimit(format!("{} has {} labels, the limit is {}", labels.metric_name(), labels.len(), limits.labels)));
    }
    for (name, value) in labels {
        if over(limits.label_name_bytes, name.len()) {
            return Err(IntakeError::LabelLimit(format!(
                "the name of label {name:?} of {} has more than {} bytes",
                labels.metric_name(),
                limits.label_name_bytes
            )));
        }
        if over(limits.label_value_bytes, value.len()) {
            return Err(IntakeError::LabelLimit(format!(
                "the value of label {name:?} of {} has more than {} bytes",
                labels.metric_name(),
                limits.label_value_bytes
            )));
        }
    }
    Ok(())
}
