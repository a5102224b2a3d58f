//! What a recording rule stores of what it computed: the rule's name and labels over those of the result.

use std::collections::HashSet;

use watchfire_model::labels::{Labels, LabelsBuilder, METRIC_NAME};
use watchfire_query::promql::Sample;

use super::evaluate::RuleError;
use super::file::Rule;

/// The samples under the names that they are stored by.
pub(super) fn named(rule: &Rule, samples: Vec<Sample>, limit: usize) -> Result<Vec<Sample>, RuleError> {
    let mut seen: HashSet<Labels> = HashSet::with_capacity(samples.len());
    let mut stored = Vec::with_capacity(samples.len());
    for sample in samples {
        let mut labels = LabelsBuilder::from(&sample.labels);
        labels.set(METRIC_NAME, &rule.name);
        for (name, value) in &rule.labels {
            labels.set(name, value);
        }
        let labels = labels.build();
        if !seen.insert(labels.clone()) {
            return Err(RuleError::SameLabels("rule"));
        }
        stored.push(Sample { labels, ..sample });
    }
    if limit > 0 && stored.len() > limit {
        return Err(RuleError::TooManySeries { limit, series: stored.len() });
    }
    Ok(stored)
}
