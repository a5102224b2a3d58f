//! What an item may look like. All figures in one place, with the defaults of a small machine.

use std::sync::Arc;

use watchfire_model::batch::Metadata;
use watchfire_model::labels::Labels;
use watchfire_model::sample::Exemplar;
use watchfire_model::text::cut;
use watchfire_model::write::Reason;

use super::{LogLimits, has_name};

/// More metadata than this in one batch is left out; it comes again with the next scrape.
const METADATA_PER_BATCH_MAX: usize = 20_000;

/// The most characters that the labels of an exemplar may have together, names included, as OpenMetrics says.
const EXEMPLAR_CHARS_MAX: usize = 128;

/// Whether an exemplar is as small as one must be.
pub(super) fn exemplar_fits(exemplar: &Exemplar) -> bool {
    exemplar.labels.iter().map(|(name, value)| name.chars().count() + value.chars().count()).sum::<usize>() <= EXEMPLAR_CHARS_MAX
}

/// The limits of the gate.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// How far ahead of our clock a sample may be, in milliseconds.
    pub future_ms_max: i64,
    /// The most labels of a series, its name included.
    pub labels_max: usize,
    /// The longest label name or metric name, in bytes.
    pub name_bytes_max: usize,
    /// The longest label value, in bytes.
    pub value_bytes_max: usize,
    /// The most series one origin may have active; of one with parts, such as a scrape job with its targets, each part.
    pub series_per_origin_max: usize,
    /// The most series all parts of one origin may have active together, where that is more.
    pub series_of_parts_max: usize,
    /// A series that an origin has not sent for so long is no longer active, in milliseconds.
    pub series_idle_ms: u64,
    /// What log entries may look like.
    pub logs: LogLimits,
    /// What spans may look like, which are entries, too.
    pub spans: LogLimits,
    /// What profiles may look like, which are entries, too.
    pub profiles: LogLimits,
}
impl Default for Limits {
    fn default() -> Limits {
        Limits {
            future_ms_max: 600_000,
            labels_max: 40,
            name_bytes_max: 256,
            value_bytes_max: 4096,
            series_per_origin_max: 10_000,
            series_of_parts_max: 50_000,
            series_idle_ms: 3_600_000,
            logs: LogLimits::default(),
            spans: LogLimits::for_spans(),
            profiles: LogLimits::for_profiles(),
        }
    }
}
impl Limits {
    /// Judges the labels of a series.
    pub(super) fn check(&self, labels: &Labels) -> Result<(), (Reason, String)> {
        if !has_name(labels) {
            return Err((Reason::InvalidLabels, "no metric name".to_owned()));
        }
        let count = labels.len();
        if count > self.labels_max {
            return Err((Reason::LabelCount, format!("{count} labels, more than {}", self.labels_max)));
        }
        for (name, value) in labels {
            let metric_name = name == watchfire_model::labels::METRIC_NAME;
            if name.is_empty() {
                return Err((Reason::InvalidLabels, "a label without a name".to_owned()));
            }
            if name.len() > self.name_bytes_max || (metric_name && value.len() > self.name_bytes_max) {
                return Err((
                    Reason::LabelNameLength,
                    format!("a name of {} bytes, more than {}", name.len().max(if metric_name { value.len() } else { 0 }), self.name_bytes_max),
                ));
            }
            if value.len() > self.value_bytes_max {
                return Err((Reason::LabelValueLength, format!("label {name} has {} bytes, more than {}", value.len(), self.value_bytes_max)));
            }
        }
        Ok(())
    }

    /// Leaves out metadata of impossible names and cuts long texts.
    pub(super) fn trim_metadata(&self, metadata: &mut Vec<Metadata>) {
        metadata.truncate(METADATA_PER_BATCH_MAX);
        metadata.retain(|m| !m.family.is_empty() && m.family.len() <= self.name_bytes_max);
        for item in metadata {
            for text in [&mut item.help, &mut item.unit] {
                if text.len() > self.value_bytes_max {
                    *text = Arc::from(cut(text, self.value_bytes_max));
                }
            }
        }
    }
}
