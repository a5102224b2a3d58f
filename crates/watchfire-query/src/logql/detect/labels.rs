//! Labels of streams, and how many values each has. Labels of nothing but ids help nobody to choose and are left out.

use std::collections::{BTreeMap, HashSet};

use watchfire_model::logs::{LogSelection, LogSource, Nanos};
use watchfire_model::matcher::Matcher;
use watchfire_model::read::{Budget, ReadError};

/// Labels with fewer values are kept, whatever these look like.
const IDS_MIN: usize = 2;

/// A label and the number of its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetectedLabel {
    /// The name.
    pub name: String,
    /// How many values it has.
    pub cardinality: usize,
}

/// The labels of the selected streams, ascending by name.
pub fn detected_labels(source: &dyn LogSource, matchers: &[Matcher], start: Nanos, end: Nanos, budget: &Budget) -> Result<Vec<DetectedLabel>, ReadError> {
    let streams = source.log_volume(&LogSelection::new(matchers.to_vec(), start, end), budget)?;
    let mut values: BTreeMap<&str, HashSet<&str>> = BTreeMap::new();
    for stream in &streams {
        budget.check()?;
        for (name, value) in &stream.labels {
            values.entry(name).or_default().insert(value);
        }
    }
    let useful = values.into_iter().filter(|(_, values)| values.len() < IDS_MIN || !values.iter().all(|v| is_id(v)));
    Ok(useful.map(|(name, values)| DetectedLabel { name: name.to_owned(), cardinality: values.len() }).collect())
}

/// A number or a UUID.
fn is_id(value: &str) -> bool {
    let uuid = value.len() == 36 && value.split('-').map(str::len).eq([8, 4, 4, 4, 12]) && value.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit());
    uuid || (!value.is_empty() && value.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
}
