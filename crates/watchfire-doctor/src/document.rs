//! Documents of a site, and what each claims to be by what stands in it. It reads trees, not files, and judges nothing.

use std::sync::Arc;

use watchfire_model::document::Node;

use crate::report::{Code, Diagnosis};

/// A parsed YAML or JSON file.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its name as the user knows it.
    pub name: Arc<str>,
    /// What stands in it.
    pub node: Node,
}

/// What a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `prometheus.yml`, or a bare list of scrape configurations.
    Prometheus,
    /// `alertmanager.yml`.
    Alertmanager,
    /// Groups of rules.
    Rules,
    /// A dashboard of Grafana, or a list of panels.
    Dashboard,
    /// Promtail's configuration.
    Promtail,
    /// Loki's configuration.
    Loki,
    /// Filebeat's configuration.
    Filebeat,
    /// A Compose file.
    Compose,
    /// Nothing that is checked here.
    Other,
}

impl Document {
    /// What it is.
    pub fn kind(&self) -> Kind {
        let has = |key: &str| self.node.get(key).is_some();
        let items = |key: &str| items(&self.node, key);
        if has("scrape_configs") && (has("clients") || has("positions") || self.is_of_lines()) {
            Kind::Promtail
        } else if has("scrape_configs") || has("rule_files") || self.node.items().is_some_and(|l| l.iter().any(|i| i.get("job_name").is_some())) {
            Kind::Prometheus
        } else if has("route") && has("receivers") {
            Kind::Alertmanager
        } else if items("groups").iter().any(|g| g.get("rules").is_some()) {
            Kind::Rules
        } else if has("schema_config") || (has("limits_config") && !has("receivers")) {
            Kind::Loki
        } else if has("filebeat.inputs") || has("filebeat") {
            Kind::Filebeat
        } else if self.is_dashboard() {
            Kind::Dashboard
        } else if self.node.get("services").and_then(Node::entries).is_some_and(|s| s.iter().any(|(_, n)| n.get("image").is_some() || n.get("build").is_some()))
        {
            Kind::Compose
        } else {
            Kind::Other
        }
    }

    /// Whether its jobs read log files: who has Watchfire read them needs neither clients nor positions.
    fn is_of_lines(&self) -> bool {
        let named = self.name.rsplit('/').next().is_some_and(|name| name.starts_with("promtail"));
        let path = |group: &Node| group.get("labels").is_some_and(|labels| labels.get("__path__").is_some());
        let reads = |job: &Node| job.get("pipeline_stages").is_some() || job.get("journal").is_some() || items(job, "static_configs").iter().any(path);
        named || items(&self.node, "scrape_configs").iter().any(reads)
    }

    /// Whether it is a dashboard: by itself, as the API gives it, or in an object of Grafana's newer interface.
    fn is_dashboard(&self) -> bool {
        let inside = |node: &Node, keys: &[&str]| keys.iter().any(|key| node.get(key).is_some());
        let newer = text(&self.node, "apiVersion").is_some_and(|version| version.starts_with("dashboard.grafana.app/"));
        let wrapped = self.node.get("dashboard").is_some_and(|d| inside(d, &["panels", "rows", "spec"]));
        inside(&self.node, &["panels", "rows"]) || wrapped || (newer && inside(&self.node, &["spec"]))
    }

    /// A finding at a node.
    pub(crate) fn say(&self, at: &Node, code: Code, subject: &str, message: String, suggestion: Option<String>) -> Diagnosis {
        Diagnosis { code, file: self.name.clone(), line: at.line, column: at.column, subject: subject.to_owned(), message, suggestion }
    }
}

/// The items of a list under a key.
pub(crate) fn items<'a>(node: &'a Node, key: &str) -> &'a [Node] {
    node.get(key).and_then(Node::items).unwrap_or(&[])
}

/// The text under a key.
pub(crate) fn text<'a>(node: &'a Node, key: &str) -> Option<&'a str> {
    node.get(key)?.text()
}

/// The host of a URL, with its port, and nothing else of it: user, path and query may be secrets. Nothing where it cannot be told
/// for sure which part is the host.
pub(crate) fn host_of_url(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let (authority, behind) = rest.split_at_checked(end)?;
    let host = authority.rsplit('@').next()?;
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    // A sign for users behind the host means that the split went through a password.
    let sure = scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')) && !behind.contains('@');
    (sure && !host.is_empty() && host.chars().all(is_host)).then_some(host)
}

/// At most so many names, for a message.
pub(crate) fn some_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 4;
    let all: Vec<&str> = names.into_iter().collect();
    let more = all.len().saturating_sub(SHOWN);
    let shown = all.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}
