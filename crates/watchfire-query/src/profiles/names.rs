//! What there is to ask for: types, series, names and values of labels.

use std::collections::BTreeSet;

use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogSelection, LogSource};
use watchfire_model::matcher::Matcher;
use watchfire_model::profiles::key;
use watchfire_model::read::{Budget, ReadError};

use crate::traces::Range;

/// Series that satisfy all matchers of one of the sets; all series when there is no set.
fn selections(sets: &[Vec<Matcher>], range: Range) -> Vec<LogSelection> {
    let everything = [Vec::new()];
    let sets = if sets.is_empty() { &everything } else { sets };
    sets.iter().map(|matchers| LogSelection::new(matchers.clone(), range.start, range.end)).collect()
}

/// The types of profiles, ascending.
pub fn types(source: &dyn LogSource, sets: &[Vec<Matcher>], range: Range, budget: &Budget) -> Result<Vec<String>, ReadError> {
    label_values(source, key::PROFILE_TYPE, sets, range, budget)
}

/// The names of labels, ascending.
pub fn label_names(source: &dyn LogSource, sets: &[Vec<Matcher>], range: Range, budget: &Budget) -> Result<Vec<String>, ReadError> {
    let mut names = BTreeSet::new();
    for selection in selections(sets, range) {
        names.extend(source.log_label_names(&selection, budget)?);
    }
    Ok(names.into_iter().collect())
}

/// The values of a label, ascending.
pub fn label_values(source: &dyn LogSource, name: &str, sets: &[Vec<Matcher>], range: Range, budget: &Budget) -> Result<Vec<String>, ReadError> {
    let mut values = BTreeSet::new();
    for selection in selections(sets, range) {
        values.extend(source.log_label_values(name, &selection, budget)?);
    }
    Ok(values.into_iter().collect())
}

/// The label sets of series, ascending, reduced to some names where names are given.
pub fn series(source: &dyn LogSource, sets: &[Vec<Matcher>], names: &[String], range: Range, budget: &Budget) -> Result<Vec<Labels>, ReadError> {
    let mut found = BTreeSet::new();
    for selection in selections(sets, range) {
        for volume in source.log_volume(&selection, budget)? {
            let labels = volume.labels;
            let wanted = || Labels::from_pairs(labels.iter().filter(|(name, _)| names.iter().any(|wanted| wanted == name)));
            found.insert(if names.is_empty() { labels.clone() } else { wanted() });
        }
    }
    Ok(found.into_iter().collect())
}
