//! What log lines are collected: the configurations of other collectors, read from where the settings name them, and who carries them out.

use std::path::Path;
use std::sync::Arc;

use watchfire_collect::discovery::glob::Lookup;
use watchfire_collect::logs::otlp::Outputs;
use watchfire_collect::logs::outputs::Output;
use watchfire_collect::logs::promtail::{self, Parsed};
use watchfire_collect::logs::{Collected, Collector, Surroundings, alloy, filebeat};
use watchfire_forward::entries::{EntryForwarder, Kind};
use watchfire_forward::write::Parts;
use watchfire_ingest::gate::Gate;
use watchfire_model::document::{Node, parse_yaml};
use watchfire_model::meter::Meter;
use watchfire_model::state::StateStore;
use watchfire_model::time::SharedClock;
use watchfire_net::tasks::Tasks;

use crate::settings::{Environment, ForeignFile, Settings};

/// The configurations that are read, in the order in which they are looked for.
const KEYS: [&str; 3] = ["promtail", "filebeat", "alloy"];

/// Reads the configurations that the settings name; nothing is collected when they name none.
pub(crate) fn read(settings: &Settings, environment: &Environment) -> Parsed {
    let monitoring_dir = settings.monitoring_dir.as_deref();
    let (mut collected, mut failed, mut findings) = (Collected::default(), false, Vec::new());
    for key in KEYS {
        let parsed = match settings.foreign_of(key).map(|f| &f.source) {
            Some(ForeignFile::Path(path)) => read_file(key, path, monitoring_dir, environment),
            Some(ForeignFile::Content(node)) => read_node(key, &settings.file.display().to_string(), node, &settings.file, monitoring_dir, environment),
            None => continue,
        };
        findings.extend(parsed.findings);
        match parsed.config {
            Some(more) => collected.add(more),
            None => failed = true,
        }
    }
    Parsed { config: (!failed).then_some(collected), findings }
}

fn read_file(key: &str, path: &Path, monitoring_dir: Option<&Path>, environment: &Environment) -> Parsed {
    let name = path.display().to_string();
    match crate::text_file::read(path) {
        Ok(text) => read_text(key, &name, &text, path, monitoring_dir, environment),
        Err(finding) => Parsed { config: None, findings: vec![*finding] },
    }
}

/// Reads the text of one kind.
pub(crate) fn read_text(key: &str, name: &str, text: &str, path: &Path, monitoring_dir: Option<&Path>, environment: &Environment) -> Parsed {
    if key == "alloy" {
        let lookup = Lookup::beside(path, monitoring_dir);
        let environment = |name: &str| environment.get(name).map(str::to_owned);
        return alloy::parse(name, text, &alloy::Outside { environment: &environment, host: &super::host_name(), lookup });
    }
    match parse_yaml(name, text) {
        Ok(node) => read_node(key, name, &node, path, monitoring_dir, environment),
        Err(finding) => Parsed { config: None, findings: vec![*finding] },
    }
}

/// Reads a document of one kind. Alloy's is one text.
pub(crate) fn read_node(key: &str, name: &str, node: &Node, path: &Path, monitoring_dir: Option<&Path>, environment: &Environment) -> Parsed {
    match key {
        "alloy" => {
            let mut parsed = read_text(key, name, node.text().unwrap_or_default(), path, monitoring_dir, environment);
            // The text is read as it is, because line ends in it count; its places are those of the file around it.
            for finding in parsed.findings.iter_mut().filter(|finding| finding.line > 0) {
                finding.line += node.line.saturating_sub(1);
                finding.column += node.column.saturating_sub(1);
            }
            parsed
        }
        "filebeat" => {
            let environment = |name: &str| environment.get(name).map(str::to_owned);
            filebeat::parse_node(name, node, &filebeat::Outside { environment: &environment, host: &super::host_name() })
        }
        _ => promtail::parse_node(name, node, &Lookup::beside(path, monitoring_dir)),
    }
}

/// A collector that reads nothing until a configuration is applied.
pub(super) fn open(gate: &Arc<Gate>, state: Arc<dyn StateStore>, clock: &SharedClock, meter: &Meter, tasks: &Tasks, trusted: &[String]) -> Arc<Collector> {
    let surroundings = Surroundings::new(gate.clone(), state, clock.clone(), meter).trusting(trusted.iter().filter_map(|text| text.parse().ok()));
    Arc::new(Collector::new(surroundings, tasks.clone()))
}

/// Who sends lines, spans and metrics on to other places.
pub(crate) struct Sending {
    lines: EntryForwarder,
    spans: EntryForwarder,
    metrics: EntryForwarder,
    /// The places that our own settings name.
    own: Outputs,
    own_ports: Vec<u16>,
}

impl Sending {
    /// `parts` makes what each of them works with.
    pub(super) fn new(parts: impl Fn() -> Parts, settings: &Settings, own_ports: Vec<u16>) -> Sending {
        let forwarder = |kind| EntryForwarder::new(kind, parts());
        let mut own = settings.forward.otlp.clone();
        own.traces.splice(0..0, settings.traces.forward.iter().cloned());
        Sending { lines: forwarder(Kind::Logs), spans: forwarder(Kind::Spans), metrics: forwarder(Kind::Metrics), own, own_ports }
    }

    /// Makes the outputs of a configuration and our own the ones that everything goes to. What leads to ourselves would go in circles: it is
    /// here already.
    pub(super) fn apply(&self, collected: &Collected) {
        let none = Vec::new();
        let of_kinds = [
            (&self.lines, &self.own.logs, &collected.outputs),
            (&self.spans, &self.own.traces, &collected.span_outputs),
            (&self.metrics, &self.own.metrics, &none),
        ];
        for (forwarder, own, collected) in of_kinds {
            let outputs: Vec<Output> = own.iter().chain(collected).filter(|output| !output.leads_to(&self.own_ports)).cloned().collect();
            if let Err(error) = forwarder.apply(&outputs) {
                tracing::error!(%error, "not everything is sent on; the next reload tries again");
            }
        }
    }

    pub(super) fn stop(&self) {
        self.lines.stop();
        self.spans.stop();
        self.metrics.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alloys_text_within_our_own_file_has_its_places() {
        let file = "alloy: |\n  // a comment\n  loki.write \"w\" {\n    endpoint { url = 1 + }\n  }\n";
        let node = parse_yaml("watchfire.yml", file).unwrap();
        let parsed = read_node("alloy", "watchfire.yml", node.get("alloy").unwrap(), Path::new("watchfire.yml"), None, &Environment::default());
        assert_eq!(parsed.findings[0].to_string(), "watchfire.yml:4:26: error: expected a value, not }");
    }
}
