//! Rules of one file that write the same series: valid, and hardly ever meant.

use std::collections::HashMap;

use watchfire_model::document::Context;
use watchfire_model::labels::Labels;

use super::{Place, RuleGroup};

/// Whether it is an alert, its name and its labels.
type Identity<'a> = (bool, &'a str, &'a [(String, String)]);

/// Warns at every rule whose name and labels an earlier rule of the file has, as `promtool check rules` does.
pub(super) fn warn_duplicates(context: &Context, groups: &[RuleGroup]) {
    let mut seen: HashMap<Identity<'_>, Place> = HashMap::new();
    for rule in groups.iter().flat_map(|g| &g.rules) {
        match seen.get(&(rule.kind.is_alert(), &rule.name, &rule.labels)) {
            Some(first) => {
                let what = if rule.kind.is_alert() { "alert" } else { "recording rule" };
                let labels = Labels::from_pairs(rule.labels.iter().map(|(n, v)| (n.as_str(), v.as_str())));
                let message = format!("duplicate {what} {}{labels}: the one in line {} has the same name and labels", rule.name, first.line);
                context.warning(rule.at.line, rule.at.column, message);
            }
            None => {
                seen.insert((rule.kind.is_alert(), &rule.name, &rule.labels), rule.at);
            }
        }
    }
}
