//! The text formats: samples with the unit that was said before them, and the lines about when counts began.

use std::hash::{DefaultHasher, Hash, Hasher};

use watchfire_ingest::exposition::{Entry, Format, Parser, RawExemplar, RawSample, SampleNames};
use watchfire_ingest::prometheus_proto::Content;
use watchfire_model::batch::MetricType;
use watchfire_model::labels::METRIC_NAME;

use super::super::cache::Known;
use super::families::{set, set_text};
use super::{Found, Intake, IntakeError, Round};

/// What stands behind the family's name in the names of its series.
pub(super) const SUFFIXES: [&str; 8] = ["_total", "_created", "_bucket", "_count", "_sum", "_gcount", "_gsum", "_info"];
/// A byte that stands in no text: keys with a unit begin with it.
const UNIT_MARK: u8 = 0xfe;

impl Intake {
    pub(super) fn read_text(&mut self, body: &[u8], format: Format, round: &mut Round<'_>) -> Result<(), IntakeError> {
        // Who asks for nothing special pays for nothing special.
        let named = round.job.extras.type_and_unit_labels || round.job.histograms.custom;
        let mut entries = Parser::from_bytes(format, body)?;
        while let Some(entry) = entries.next_expecting(self.cache.expected()) {
            match entry? {
                Entry::Sample(sample) => self.text_sample(&sample, format, round)?,
                Entry::Type { family, kind } => {
                    self.begin_family(&family, named, round)?;
                    self.families.change(&family, |m| set(&mut m.kind, kind));
                }
                Entry::Help { family, help } => {
                    self.begin_family(&family, named, round)?;
                    self.families.change(&family, |m| set_text(&mut m.help, &help));
                }
                Entry::Unit { family, unit } => {
                    self.begin_family(&family, named, round)?;
                    if named {
                        unit.clone_into(&mut self.family.1);
                    }
                    self.families.change(&family, |m| set_text(&mut m.unit, unit));
                }
            }
        }
        self.finish_classic(round)
    }

    fn begin_family(&mut self, family: &str, named: bool, round: &mut Round<'_>) -> Result<(), IntakeError> {
        if named && self.family.0 != family {
            self.finish_classic(round)?;
            family.clone_into(&mut self.family.0);
            self.family.1.clear();
        }
        Ok(())
    }

    #[inline]
    fn text_sample(&mut self, sample: &RawSample<'_>, format: Format, round: &mut Round<'_>) -> Result<(), IntakeError> {
        let job = round.job;
        if job.histograms.custom && self.collect_classic(sample, round)? && !job.histograms.classic_too {
            return Ok(());
        }
        if job.extras.created_timestamps && format == Format::OpenMetrics && self.take_created(sample, round)? {
            return Ok(());
        }
        let exemplar = sample.exemplar.map(RawExemplar::Text);
        let mut found = Found {
            key: sample.series.as_bytes(),
            kind: sample.kind,
            about: (MetricType::Unknown, ""),
            content: Content::Float(sample.value),
            time: sample.time,
            created: 0,
            exemplars: exemplar.as_slice(),
            expected: sample.expected,
        };
        let names = || sample.names().map_err(IntakeError::from);
        if !job.extras.type_and_unit_labels {
            return self.sample(found, names, round);
        }
        // The type and the unit of another family are not this sample's.
        let belongs = of_family(bare_name(sample.series), &self.family.0);
        let unit = std::mem::take(&mut self.family.1);
        let mut key = std::mem::take(&mut self.key);
        if belongs {
            found.about = (sample.kind, &unit);
        }
        if belongs && !unit.is_empty() {
            key.clear();
            key.push(UNIT_MARK);
            key.extend_from_slice(unit.as_bytes());
            key.push(UNIT_MARK);
            key.extend_from_slice(found.key);
            (found.key, found.expected) = (&key, false);
        }
        let done = self.sample(found, names, round);
        (self.family.1, self.key) = (unit, key);
        done
    }

    /// Takes a `_created` line, which says when the counts of its siblings began instead of being a series.
    fn take_created(&mut self, sample: &RawSample<'_>, round: &mut Round<'_>) -> Result<bool, IntakeError> {
        let may = matches!(sample.kind, MetricType::Counter | MetricType::Histogram | MetricType::Summary);
        if !may || !bare_name(sample.series).ends_with("_created") {
            return Ok(false);
        }
        let known = match self.cache.find(sample.series.as_bytes(), sample.kind, sample.expected) {
            Some((known, _)) => known,
            None => {
                let group = group_of(&sample.names()?);
                self.cache.insert_created(sample.series.as_bytes(), sample.kind, group)
            }
        };
        if let Known::Created(group) = known
            && sample.value.is_finite()
        {
            round.zeros.begin(group, (sample.value * 1000.0) as i64);
        }
        Ok(true)
    }
}

/// The name in front of the labels; of a quoted one nothing is known here.
fn bare_name(series: &str) -> &str {
    series.split(['{', ' ', '\t']).next().unwrap_or("")
}

/// Whether a series of this name is one of the family's.
fn of_family(name: &str, family: &str) -> bool {
    name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || SUFFIXES.contains(&rest))
}

/// What the series of one metric have in common: its name without a suffix, and its labels but bound and quantile.
pub(super) fn group_of(names: &SampleNames<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (name, value) in names.iter().filter(|(name, _)| !matches!(*name, "le" | "quantile")) {
        let value = if name == METRIC_NAME { SUFFIXES.iter().find_map(|s| value.strip_suffix(s)).unwrap_or(value) } else { value };
        (name, value).hash(&mut hasher);
    }
    // 0 is no group.
    hasher.finish().max(1)
}
