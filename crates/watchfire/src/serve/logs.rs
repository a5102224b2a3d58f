//! What log lines are collected: the configurations of other collectors, read from where the settings name them, and who carries them out.

use std::path::Path;
use std::sync::Arc;

use watchfire_collect::discovery::glob::Lookup;
use watchfire_collect::logs::promtail::{Parsed, parse, parse_node};
use watchfire_collect::logs::{Collected, Collector, Surroundings};
use watchfire_ingest::gate::Gate;
use watchfire_model::document::{Finding, Node, Severity};
use watchfire_model::meter::Meter;
use watchfire_model::state::StateStore;
use watchfire_model::time::SharedClock;
use watchfire_net::tasks::Tasks;

use crate::settings::{ForeignFile, Settings};

/// Reads the configurations that the settings name; nothing is collected when they name none.
pub(crate) fn read(settings: &Settings) -> Parsed {
    let monitoring_dir = settings.monitoring_dir.as_deref();
    match settings.foreign_of("promtail").map(|f| &f.source) {
        Some(ForeignFile::Path(path)) => read_file(path, monitoring_dir),
        Some(ForeignFile::Content(node)) => read_node(&settings.file.display().to_string(), node, &settings.file, monitoring_dir),
        None => Parsed { config: Some(Collected::default()), findings: Vec::new() },
    }
}

fn read_file(path: &Path, monitoring_dir: Option<&Path>) -> Parsed {
    let name = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&name, &text, &Lookup::beside(path, monitoring_dir)),
        Err(error) => {
            let message = format!("cannot read the file: {error}");
            Parsed { config: None, findings: vec![Finding { severity: Severity::Error, file: name.into(), line: 0, column: 0, message }] }
        }
    }
}

/// Reads a document.
pub(crate) fn read_node(name: &str, node: &Node, path: &Path, monitoring_dir: Option<&Path>) -> Parsed {
    parse_node(name, node, &Lookup::beside(path, monitoring_dir))
}

/// A collector that reads nothing until a configuration is applied.
pub(super) fn open(gate: &Arc<Gate>, state: Arc<dyn StateStore>, clock: &SharedClock, meter: &Meter, tasks: &Tasks) -> Arc<Collector> {
    Arc::new(Collector::new(Surroundings::new(gate.clone(), state, clock.clone(), meter), tasks.clone()))
}
