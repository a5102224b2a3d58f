//! The labels of series: the target's added, metric relabelling done, limits kept.

use watchfire_ingest::exposition::SampleNames;
use watchfire_ingest::relabel::{self, Verdict};
use watchfire_model::batch::MetricType;
use watchfire_model::labels::{Labels, LabelsBuilder, METRIC_NAME, METRIC_TYPE, METRIC_UNIT, is_classic_label_name, is_classic_metric_name};
use watchfire_model::order::Order as _;

use super::super::config::{NameValidation, ScrapeConfig};
use super::super::target::Target;
use super::IntakeError;

/// The labels of the reporting series, in the order of the values in `report`.
pub(super) fn report_labels(job: &ScrapeConfig, target: &Target) -> Vec<Labels> {
    const ALWAYS: [&str; 5] = ["up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling", "scrape_series_added"];
    const EXTRA: [&str; 3] = ["scrape_timeout_seconds", "scrape_sample_limit", "scrape_body_size_bytes"];
    let extra = if job.extra_scrape_metrics { &EXTRA[..] } else { &[] };
    ALWAYS.iter().chain(extra).map(|name| target.labels.with(METRIC_NAME, name)).collect()
}

/// Whether a series of the body says how the target is doing, as those that report about the scrape do: a prober's own, with no label but
/// the target's, so that a target has each of them once.
pub(super) fn is_vital(labels: &Labels, target: &Target) -> bool {
    const NAMES: [&str; 2] = ["probe_success", "probe_duration_seconds"];
    let name = labels.metric_name();
    NAMES.contains(&name) && labels.len() == target.labels.len() + 1 && target.labels.iter().all(|(name, value)| labels.get(name) == Some(value))
}

/// The labels of a new series: the target's added, metric relabelling done, limits kept. `None` when it is dropped.
pub(super) fn labels_of(names: &SampleNames<'_>, (kind, unit): (MetricType, &str), job: &ScrapeConfig, target: &Target) -> Result<Option<Labels>, IntakeError> {
    let mut labels = LabelsBuilder::new();
    for (name, value) in names.iter() {
        labels.set(name, value);
    }
    if job.extras.type_and_unit_labels {
        // They win over labels of these names that the target shows; what is not known takes nothing away.
        let kind = if kind == MetricType::Unknown { "" } else { kind.name() };
        for (name, value) in [(METRIC_TYPE, kind), (METRIC_UNIT, unit)].into_iter().filter(|(_, value)| !value.is_empty()) {
            labels.set(name, value);
        }
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
    conflicts.order_by_key(|(name, _)| name.len());
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
