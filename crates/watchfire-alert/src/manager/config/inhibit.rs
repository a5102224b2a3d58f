//! `inhibit_rules`: which alerts keep quiet while which others fire. What fires is known elsewhere.

use std::collections::HashSet;

use watchfire_model::document::Reader;
use watchfire_model::matcher::Matcher;

use super::route::read_matchers;

/// The most rules.
const RULES_MAX: usize = 1_000;

/// A rule.
#[derive(Clone, Debug)]
pub struct InhibitRule {
    /// Which alerts make others quiet.
    pub source: Vec<Matcher>,
    /// Which alerts keep quiet.
    pub target: Vec<Matcher>,
    /// Labels that both must have with one value; missing on both sides is equal.
    pub equal: Vec<String>,
}

/// Reads `inhibit_rules`.
pub(super) fn read(root: &Reader<'_>) -> Vec<InhibitRule> {
    let rules = root.maps("inhibit_rules");
    if rules.len() > RULES_MAX {
        root.error_at("inhibit_rules", format!("more than {RULES_MAX} rules"));
        return Vec::new();
    }
    rules.into_iter().map(read_one).collect()
}

fn read_one(reader: Reader<'_>) -> InhibitRule {
    // The newest original gives its rules names, for its own metrics.
    reader.text("name");
    let rule = InhibitRule {
        source: read_matchers(&reader, "source_match", "source_match_re", "source_matchers"),
        target: read_matchers(&reader, "target_match", "target_match_re", "target_matchers"),
        equal: reader.texts("equal", false),
    };
    let mut seen = HashSet::new();
    for name in &rule.equal {
        if name.is_empty() || !seen.insert(name) {
            reader.warning_at("equal", format!("the label {name:?} stands here twice or has no name"));
        }
    }
    let node = reader.node();
    for (matchers, side) in [(&rule.source, "source"), (&rule.target, "target")] {
        if matchers.is_empty() {
            reader.context().warning(node.line, node.column, format!("an inhibition rule without {side} matchers takes every alert for its {side}"));
        }
    }
    reader.finish();
    rule
}
