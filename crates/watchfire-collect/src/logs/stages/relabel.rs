//! The stage that applies Prometheus' rules to the labels of a line. A line without labels has no stream, so it is dropped.

use watchfire_ingest::relabel::{self, RelabelConfig};
use watchfire_model::labels::LabelsBuilder;

use super::{Step, Surroundings, Verdict};
use crate::logs::Entry;

/// Applies rules.
#[derive(Clone, Debug)]
pub struct Relabel(pub Vec<RelabelConfig>);
impl Step for Relabel {
    fn name(&self) -> &'static str {
        "relabel"
    }
    fn apply(&self, entry: &mut Entry, _around: &Surroundings<'_>) -> Verdict {
        let mut builder = LabelsBuilder::new();
        for (name, value) in &entry.labels {
            builder.set(name, value);
        }
        if relabel::apply(&self.0, &mut builder) == relabel::Verdict::Drop {
            return Verdict::Drop("relabel".into());
        }
        entry.labels = builder.pairs().filter(|(name, _)| !name.starts_with("__")).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        if entry.labels.is_empty() { Verdict::Drop("no_labels".into()) } else { Verdict::Keep }
    }
}
