//! What log lines are collected: the configurations of other collectors, read from where the settings name them, and who carries them out.

use std::path::Path;
use std::sync::Arc;

use watchfire_collect::discovery::glob::Lookup;
use watchfire_collect::logs::promtail::{self, Parsed};
use watchfire_collect::logs::{Collected, Collector, Surroundings, filebeat};
use watchfire_ingest::gate::Gate;
use watchfire_model::document::{Finding, Node, Severity, parse_yaml};
use watchfire_model::meter::Meter;
use watchfire_model::state::StateStore;
use watchfire_model::time::SharedClock;
use watchfire_net::tasks::Tasks;

use crate::settings::{Environment, ForeignFile, Settings};

/// The configurations that are read, in the order in which they are looked for.
const KEYS: [&str; 2] = ["promtail", "filebeat"];

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
    let whole = |message: String| Finding { severity: Severity::Error, file: name.as_str().into(), line: 0, column: 0, message };
    let node = match std::fs::read_to_string(path) {
        Ok(text) => parse_yaml(&name, &text).map_err(|finding| *finding),
        Err(error) => Err(whole(format!("cannot read the file: {error}"))),
    };
    match node {
        Ok(node) => read_node(key, &name, &node, path, monitoring_dir, environment),
        Err(finding) => Parsed { config: None, findings: vec![finding] },
    }
}

/// Reads a document of one kind.
pub(crate) fn read_node(key: &str, name: &str, node: &Node, path: &Path, monitoring_dir: Option<&Path>, environment: &Environment) -> Parsed {
    match key {
        "filebeat" => {
            let environment = |name: &str| environment.get(name).map(str::to_owned);
            filebeat::parse_node(name, node, &filebeat::Outside { environment: &environment, host: &super::host_name() })
        }
        _ => promtail::parse_node(name, node, &Lookup::beside(path, monitoring_dir)),
    }
}

/// A collector that reads nothing until a configuration is applied.
pub(super) fn open(gate: &Arc<Gate>, state: Arc<dyn StateStore>, clock: &SharedClock, meter: &Meter, tasks: &Tasks) -> Arc<Collector> {
    Arc::new(Collector::new(Surroundings::new(gate.clone(), state, clock.clone(), meter), tasks.clone()))
}
