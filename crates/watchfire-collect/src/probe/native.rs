//! `probes:` of our own configuration: each entry becomes a scrape job whose targets are answered in this process, so that scheduling,
//! staleness, limits and the list of targets are those of scraping. It makes no probe itself.

use std::sync::Arc;

use watchfire_model::document::{Node, Reader};
use watchfire_model::duration::format_millis;
use watchfire_model::labels::quoted;

use crate::scrape::config::ScrapeConfig;

/// Entries of `probes:`.
pub const ENTRIES_MAX: usize = 1_000;
/// Targets of all entries.
pub const TARGETS_MAX: usize = 10_000;
/// The address that stands for this process in the jobs: nobody can have it, and nothing is connected to.
pub const HERE: &str = "watchfire.invalid";
const INTERVAL_MS: u64 = 15_000;
const SHORTEST_MS: u64 = 1_000;
/// The longest that a probe may take unless its module says less.
const TIMEOUT_MS: u64 = 10_000;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The job.
    pub name: String,
    /// The module.
    pub module: String,
    /// The targets.
    pub targets: Vec<String>,
    /// How often, in milliseconds.
    pub interval_ms: u64,
    /// How long a probe may take, in milliseconds.
    pub timeout_ms: u64,
    /// Labels of all its series.
    pub labels: Vec<(String, String)>,
}

/// Reads `probes:` from among other keys.
pub fn read(root: &Reader<'_>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut targets = 0;
    for item in root.maps("probes") {
        let node = item.node();
        let entry = read_entry(item);
        targets += entry.targets.len();
        let wrong = |message: String| root.context().error(node.line, node.column, message);
        if entries.iter().any(|known| known.name == entry.name) {
            wrong(format!("there is more than one entry of probes with the name {:?}", entry.name));
        } else if entries.len() >= ENTRIES_MAX || targets > TARGETS_MAX {
            wrong(format!("probes has more than {ENTRIES_MAX} entries or {TARGETS_MAX} targets"));
            break;
        }
        entries.push(entry);
    }
    entries
}

fn read_entry(item: Reader<'_>) -> Entry {
    let module = item.required_text("module");
    let name = item.text("name").filter(|n| !n.is_empty()).unwrap_or_else(|| format!("probe-{module}"));
    let targets = item.texts("targets", true);
    if targets.iter().all(String::is_empty) {
        item.error_at("targets", "names no target");
    }
    let interval_ms = item.duration_ms("interval").unwrap_or(INTERVAL_MS);
    if interval_ms < SHORTEST_MS {
        item.error_at("interval", "must be at least 1s");
    }
    let interval_ms = interval_ms.max(SHORTEST_MS);
    let timeout_ms = item.duration_ms("timeout").filter(|ms| *ms > 0).unwrap_or_else(|| TIMEOUT_MS.min(interval_ms));
    if timeout_ms > interval_ms {
        item.error_at("timeout", "must not be longer than the interval");
    }
    let labels = item.text_map("labels");
    for (label, _) in &labels {
        if !watchfire_model::labels::is_classic_label_name(label) || label.starts_with("__") {
            item.error_at("labels", format!("{label:?} is no name of a label"));
        }
    }
    item.finish();
    Entry { name, module, targets, interval_ms, timeout_ms: timeout_ms.min(interval_ms), labels }
}

impl Entry {
    /// The scrape job.
    pub fn job(&self) -> Result<Arc<ScrapeConfig>, String> {
        let list = |texts: &[String]| texts.iter().map(|t| quoted(t)).collect::<Vec<_>>().join(", ");
        let labels = self.labels.iter().map(|(name, value)| format!("{}: {}", quoted(name), quoted(value))).collect::<Vec<_>>().join(", ");
        let targets = self.targets.iter().map(|t| format!("{{targets: [{HERE}], labels: {{{}}}}}", of_target(t, &labels))).collect::<Vec<_>>().join(", ");
        let text = format!(
            "{{job_name: {}, scrape_interval: {}, scrape_timeout: {}, metrics_path: /blackbox/probe, params: {{module: [{}]}}, static_configs: [{targets}]}}",
            quoted(&self.name),
            format_millis(self.interval_ms),
            format_millis(self.timeout_ms),
            list(std::slice::from_ref(&self.module)),
        );
        ScrapeConfig::from_yaml(&text).map(Arc::new)
    }
}

fn of_target(target: &str, labels: &str) -> String {
    let own = format!("__param_target: {}, instance: {}", quoted(target), quoted(&watchfire_net::client::without_credentials(target)));
    if labels.is_empty() { own } else { format!("{own}, {labels}") }
}

/// What stands for `probes:` in a document, to be compared.
pub fn section(root: &Node) -> Option<&Node> {
    root.get("probes")
}
