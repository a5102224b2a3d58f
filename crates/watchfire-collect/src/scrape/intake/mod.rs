//! One body → one batch: samples with the target's labels, staleness markers for what has ended, and the series that
//! report about the scrape itself. Synchronous; it fetches nothing and writes nothing.
//!
//! What text and protobuf have in common is a `Found` sample with a key; its labels are made only when the key is new.
//! `text` and `proto` bring samples in, `classic` collects classic histograms that become native ones, `families` keeps
//! metadata, `labels` makes labels, `store` fills the batch.

mod classic;
mod families;
mod labels;
mod proto;
mod store;
mod text;

use watchfire_ingest::exposition::{ParseError, RawExemplar};
use watchfire_ingest::prometheus_proto::{Content, ProtoError};
use watchfire_model::batch::{Batch, MetricType, Origin, SeriesSamples};
use watchfire_model::labels::Labels;
use watchfire_model::time::Timestamp;

use super::cache::{Cache, Known};
use super::config::ScrapeConfig;
use super::format::Encoding;
use super::target::Target;
use classic::Collecting;
use families::Families;
use labels::{is_vital, labels_of, report_labels};
use store::{one, stale};

/// Families of which metadata is remembered for one target; further ones are not reported.
pub const FAMILIES_MAX: usize = 10_000;

/// Why a scrape whose body arrived is a failed one.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The body is no exposition.
    #[error("cannot parse the exposition: {0}")]
    Parse(#[from] ParseError),
    /// The body is no protobuf exposition.
    #[error("{0}")]
    Proto(#[from] ProtoError),
    /// A native histogram that cannot be computed with.
    #[error("invalid native histogram: {0}")]
    Histogram(String),
    /// More samples than `sample_limit`.
    #[error("sample limit exceeded: more than {0} samples")]
    SampleLimit(u64),
    /// More buckets than `native_histogram_bucket_limit` even at the coarsest resolution.
    #[error("histogram bucket limit exceeded: more than {0} buckets")]
    BucketLimit(u64),
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
    /// Classic histograms that could not become native ones.
    pub(super) unconverted: u64,
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
    /// Samples of the body that say how the target is doing; they go to the end of the batch.
    vital: Vec<SeriesSamples>,
    origin: Origin,
    part: u32,
    /// How many series the last batch had: the capacity of the next one.
    expected: usize,
    /// The family that a text speaks of and its unit.
    family: (String, String),
    classic: Option<Box<Collecting>>,
    /// A key that is put together, used again for the next one.
    key: Vec<u8>,
}

/// One scrape under way.
struct Round<'a> {
    job: &'a ScrapeConfig,
    target: &'a Target,
    time: Timestamp,
    batch: Batch,
    counts: Counts,
    /// Samples of value 0 at the beginning of a count; they come to the batch when all went well.
    zeros: store::Zeros,
}

/// A sample as it was found.
struct Found<'a> {
    /// Tells series apart, together with the type.
    key: &'a [u8],
    kind: MetricType,
    /// Type and unit, as far as they are to become labels.
    about: (MetricType, &'a str),
    content: Content,
    time: Option<Timestamp>,
    /// When its counts began, in milliseconds, or 0.
    created: i64,
    exemplars: &'a [RawExemplar<'a>],
    /// Whether the key is the one that the cache expects next.
    expected: bool,
}

impl Intake {
    /// Begins with a target that nothing is known about.
    pub(super) fn new(job: &ScrapeConfig, target: &Target) -> Intake {
        Intake {
            cache: Cache::new(),
            families: Families::default(),
            reports: report_labels(job, target),
            vital: Vec::new(),
            origin: Origin::new(&format!("scrape/{}", job.name)),
            part: part_of(target),
            expected: 0,
            family: Default::default(),
            classic: None,
            key: Vec::new(),
        }
    }
    /// Goes on after the job's settings have changed: texts mean something new, series that were alive are still known.
    pub(super) fn with_new_rules(mut self, job: &ScrapeConfig, target: &Target) -> Intake {
        self.cache.clear_texts();
        self.reports = report_labels(job, target);
        self.part = part_of(target);
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
        encoding: Encoding,
        time: Timestamp,
        job: &ScrapeConfig,
        target: &Target,
    ) -> (Batch, Counts, Result<(), IntakeError>) {
        let mut round = Round { job, target, time, batch: self.batch(), counts: Counts::default(), zeros: store::Zeros::default() };
        self.family.0.clear();
        self.family.1.clear();
        self.vital.clear();
        let read = match encoding {
            Encoding::Text(format) => self.read_text(body, format, &mut round),
            Encoding::Protobuf => self.read_proto(body, &mut round),
        };
        let read = read.and_then(|()| round.check_sample_limit(self.vital.len()));
        let mut batch = round.batch;
        match &read {
            Ok(()) => {
                round.zeros.settle(&mut self.cache, &mut batch);
                self.cache.commit(|labels, histogram| stale(labels, histogram, time, &mut batch));
                self.families.take(&mut batch.metadata);
            }
            Err(_) => {
                self.vital.clear();
                batch.series.clear();
                batch.histograms.clear();
                batch.exemplars.clear();
                self.cache.fail(|labels, histogram| stale(labels, histogram, time, &mut batch));
            }
        }
        (batch, round.counts, read)
    }
    /// The batch of a scrape that brought no body.
    pub(super) fn nothing(&mut self, time: Timestamp) -> Batch {
        let mut batch = self.batch();
        self.cache.fail(|labels, histogram| stale(labels, histogram, time, &mut batch));
        batch
    }
    /// The batch after the last scrape: everything ends, the reports too.
    pub(super) fn end(&mut self, time: Timestamp) -> Batch {
        let mut batch = self.nothing(time);
        self.reports.iter().for_each(|labels| stale(labels, false, time, &mut batch));
        batch.vital = self.reports.len();
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
        batch.vital = self.vital.len() + self.reports.len();
        // They keep no room between scrapes: thousands of targets would.
        batch.series.extend(std::mem::take(&mut self.vital));
        // Without the extra metrics there are fewer labels than values.
        batch.series.extend(self.reports.iter().zip(values).map(|(labels, value)| one(labels.clone(), time, value)));
        self.expected = batch.series.len();
    }

    fn batch(&self) -> Batch {
        let mut batch = Batch::new(self.origin.clone());
        batch.part = self.part;
        batch.series.reserve(self.expected + self.expected / 16 + 16);
        batch
    }

    /// Takes a sample; `names` are asked for when its key is new.
    #[inline]
    fn sample<'n, N>(&mut self, found: Found<'_>, names: N, round: &mut Round<'_>) -> Result<(), IntakeError>
    where
        N: FnOnce() -> Result<watchfire_ingest::exposition::SampleNames<'n>, IntakeError>,
    {
        round.counts.scraped += 1;
        let (known, added) = match self.cache.find(found.key, found.kind, found.expected) {
            Some(known) => known,
            None => {
                let names = names()?;
                let labels = labels_of(&names, found.about, round.job, round.target)?;
                let group = if round.job.extras.created_timestamps { text::group_of(&names) } else { 0 };
                let vital = labels.as_ref().is_some_and(|labels| is_vital(labels, round.target));
                let known = self.cache.insert(found.key, found.kind, labels, group);
                if let (true, Known::Series(number)) = (vital, known) {
                    self.cache.set_vital(number);
                }
                (known, true)
            }
        };
        let Known::Series(number) = known else { return Ok(()) };
        round.counts.kept += 1;
        self.store(number, found, added, round)
    }
}

/// The number by which the gate tells targets of one job apart: some of the key's bits, never 0.
fn part_of(target: &Target) -> u32 {
    (target.key as u32).max(1)
}

impl Round<'_> {
    fn check_sample_limit(&self, vital: usize) -> Result<(), IntakeError> {
        let samples = (self.batch.series.len() + vital + self.batch.histograms.len()) as u64;
        match self.job.limits.samples {
            limit if limit > 0 && samples > limit => Err(IntakeError::SampleLimit(limit)),
            _ => Ok(()),
        }
    }
}
