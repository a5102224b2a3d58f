//! The configuration as it takes effect: what the user wrote, with inherited and default settings filled in, in the order
//! in which Prometheus shows them. It is for people and tools that ask `/api/v1/status/config`; nothing is read from it.

use std::sync::Arc;

use watchfire_model::document::{Key, Node, Value};
use watchfire_model::duration::format_millis;

use super::global::{Global, Protocol};
use super::job::ScrapeConfig;

/// The whole tree, with jobs from further files among `scrape_configs`.
pub(super) fn of(root: &Node, global: &Global, jobs: &[Arc<ScrapeConfig>]) -> Node {
    let mut entries: Vec<(Key, Node)> = vec![(key("global"), global_section(root.get("global"), global))];
    for (k, v) in root.entries().unwrap_or(&[]) {
        if !matches!(&*k.text, "global" | "scrape_configs") {
            entries.push((k.clone(), v.clone()));
        }
    }
    if !jobs.is_empty() {
        let list = jobs.iter().map(|job| job_section(job)).collect();
        entries.push((key("scrape_configs"), node(Value::List(list))));
    }
    node(Value::Map(entries))
}

fn global_section(written: Option<&Node>, global: &Global) -> Node {
    let mut section = Section::new(written);
    section.set("scrape_interval", text(&format_millis(global.scrape_interval_ms)));
    section.set("scrape_timeout", text(&format_millis(global.scrape_timeout_ms)));
    section.default("scrape_protocols", || protocols(global.protocols.as_deref().unwrap_or(&Protocol::DEFAULT)));
    section.set("evaluation_interval", text(&format_millis(global.evaluation_interval_ms)));
    let labels = global.external_labels.iter().map(|(n, v)| (key(n), node(Value::Scalar { text: v.into(), plain: false }))).collect();
    if !global.external_labels.is_empty() {
        section.set("external_labels", node(Value::Map(labels)));
    }
    section.finish()
}

fn job_section(job: &ScrapeConfig) -> Node {
    let mut section = Section::new(Some(&job.source));
    section.set("job_name", node(Value::Scalar { text: job.name.as_str().into(), plain: false }));
    section.default("honor_timestamps", || text("true"));
    section.default("track_timestamps_staleness", || text("false"));
    section.set("scrape_interval", text(&format_millis(job.interval_ms)));
    section.set("scrape_timeout", text(&format_millis(job.timeout_ms)));
    section.default("scrape_protocols", || protocols(&job.protocols));
    section.default("metrics_path", || text(&job.metrics_path));
    section.default("scheme", || text(&job.scheme));
    section.default("enable_compression", || text("true"));
    section.default("follow_redirects", || text("true"));
    section.default("enable_http2", || text("true"));
    section.finish()
}

fn protocols(list: &[Protocol]) -> Node {
    node(Value::List(list.iter().map(|p| text(p.name())).collect()))
}

/// A mapping that puts certain keys first and keeps the rest as written.
struct Section {
    written: Vec<(Key, Node)>,
    first: Vec<(Key, Node)>,
}
impl Section {
    fn new(written: Option<&Node>) -> Section {
        Section { written: written.and_then(Node::entries).unwrap_or(&[]).to_vec(), first: Vec::new() }
    }
    fn take(&mut self, name: &str) -> Option<Node> {
        let at = self.written.iter().position(|(k, _)| &*k.text == name)?;
        Some(self.written.remove(at).1)
    }
    fn set(&mut self, name: &str, value: Node) {
        self.take(name);
        self.first.push((key(name), value));
    }
    fn default(&mut self, name: &str, value: impl FnOnce() -> Node) {
        let value = self.take(name).filter(|n| !n.is_null()).unwrap_or_else(value);
        self.first.push((key(name), value));
    }
    fn finish(mut self) -> Node {
        self.first.append(&mut self.written);
        node(Value::Map(self.first))
    }
}

fn key(text: &str) -> Key {
    Key { text: text.into(), line: 0, column: 0 }
}
fn text(text: &str) -> Node {
    node(Value::Scalar { text: text.into(), plain: true })
}
fn node(value: Value) -> Node {
    Node { value, line: 0, column: 0 }
}
