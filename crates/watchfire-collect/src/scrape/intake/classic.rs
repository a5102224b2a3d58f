//! Classic histograms of a text, collected line by line and made native ones with custom bounds. Lines belong together as
//! long as their labels without `le` stay the same; whatever else comes ends the collecting.

use std::borrow::Cow;

use watchfire_ingest::exposition::{Classic, RawExemplar, RawSample, SampleNames};
use watchfire_ingest::prometheus_proto::Content;
use watchfire_model::batch::MetricType;
use watchfire_model::labels::METRIC_NAME;
use watchfire_model::time::Timestamp;

use super::{Found, Intake, IntakeError, Round};

/// A byte that stands in no text: keys of converted histograms begin with it.
const MARK: u8 = 0xfd;

/// A histogram that is being collected.
#[derive(Default)]
pub(super) struct Collecting {
    active: bool,
    classic: Classic,
    /// The labels of the histogram, its name (without a suffix) among them.
    labels: Vec<(String, String)>,
    time: Option<Timestamp>,
    exemplars: Vec<String>,
    key: Vec<u8>,
}

/// What a line is of its histogram.
enum Part {
    Bucket(f64),
    Count,
    Sum,
}

impl Intake {
    /// Takes a line if it is one of a classic histogram.
    pub(super) fn collect_classic(&mut self, sample: &RawSample<'_>, round: &mut Round<'_>) -> Result<bool, IntakeError> {
        if sample.kind != MetricType::Histogram {
            self.finish_classic(round)?;
            return Ok(false);
        }
        let names = sample.names()?;
        let Some(part) = part_of(&names, &self.family.0) else {
            self.finish_classic(round)?;
            return Ok(false);
        };
        let mut collecting = self.classic.take().unwrap_or_default();
        if collecting.active && !collecting.is_of(&names) {
            self.classic = Some(collecting);
            self.finish_classic(round)?;
            collecting = self.classic.take().unwrap_or_default();
        }
        if !collecting.active {
            collecting.begin(&names, &self.family, sample.time);
        }
        match part {
            Part::Bucket(bound) => collecting.classic.bucket(bound, sample.value),
            Part::Count => collecting.classic.count(sample.value),
            Part::Sum => collecting.classic.sum(sample.value),
        }
        collecting.exemplars.extend(sample.exemplar.map(str::to_owned));
        self.classic = Some(collecting);
        Ok(true)
    }

    /// Ends the collecting: the histogram becomes a sample, if it is one.
    pub(super) fn finish_classic(&mut self, round: &mut Round<'_>) -> Result<(), IntakeError> {
        let Some(mut collecting) = self.classic.take_if(|c| c.active) else { return Ok(()) };
        collecting.active = false;
        let converted = collecting.classic.convert();
        let unit = self.family.1.clone();
        let done = match converted {
            Ok(histogram) => {
                let exemplars: Vec<RawExemplar<'_>> = collecting.exemplars.iter().map(|e| RawExemplar::Text(e)).collect();
                let found = Found {
                    key: &collecting.key,
                    kind: MetricType::Histogram,
                    about: (MetricType::Histogram, &unit),
                    content: Content::Histogram(histogram.into()),
                    time: collecting.time,
                    created: 0,
                    exemplars: &exemplars,
                    expected: false,
                };
                self.sample(found, || Ok(collecting.names()), round)
            }
            Err(wrong) => {
                tracing::debug!(job = round.job.name, %wrong, "a classic histogram cannot become a native one");
                round.counts.unconverted += 1;
                Ok(())
            }
        };
        self.classic = Some(collecting);
        done
    }
}

impl Collecting {
    fn begin(&mut self, names: &SampleNames<'_>, (family, unit): &(String, String), time: Option<Timestamp>) {
        self.active = true;
        self.classic.clear();
        self.exemplars.clear();
        self.time = time;
        self.labels.clear();
        self.labels.push((METRIC_NAME.to_owned(), family.clone()));
        self.labels.extend(further(names).map(|(n, v)| (n.to_owned(), v.to_owned())));
        self.key.clear();
        self.key.push(MARK);
        for text in std::iter::once(unit).chain(self.labels.iter().flat_map(|(n, v)| [n, v])) {
            self.key.extend_from_slice(&(text.len() as u32).to_le_bytes());
            self.key.extend_from_slice(text.as_bytes());
        }
    }
    fn is_of(&self, names: &SampleNames<'_>) -> bool {
        further(names).eq(self.labels.iter().skip(1).map(|(n, v)| (n.as_str(), v.as_str())))
    }
    fn names(&self) -> SampleNames<'_> {
        let mut pairs: Vec<_> = self.labels.iter().map(|(n, v)| (Cow::Borrowed(n.as_str()), Cow::Borrowed(v.as_str()))).collect();
        pairs.sort_unstable();
        SampleNames::from_sorted(pairs)
    }
}

/// All labels but the name and the bound.
fn further<'a>(names: &'a SampleNames<'_>) -> impl Iterator<Item = (&'a str, &'a str)> {
    names.iter().filter(|(name, _)| !matches!(*name, METRIC_NAME | "le"))
}

/// What a line is of the family's histogram, if it is anything.
fn part_of(names: &SampleNames<'_>, family: &str) -> Option<Part> {
    let get = |wanted: &str| names.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value);
    match get(METRIC_NAME)?.strip_prefix(family)? {
        "_count" => Some(Part::Count),
        "_sum" => Some(Part::Sum),
        "_bucket" => Some(Part::Bucket(get("le")?.parse().ok().filter(|bound: &f64| !bound.is_nan())?)),
        _ => None,
    }
}
