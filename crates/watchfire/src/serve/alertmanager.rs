//! The Alertmanager inside at work: its configuration read from where the settings name it, its state opened, its loop started.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use watchfire_alert::manager::Manager;
use watchfire_alert::manager::config::{Config, Parsed, Surroundings, parse, parse_node};
use watchfire_alert::manager::engine::Parts;
use watchfire_collect::discovery::glob::Lookup;
use watchfire_model::document::Node;
use watchfire_model::time::SystemClock;
use watchfire_net::client::Caller;

use crate::settings::{ForeignFile, Settings};

/// Reads the configuration that the settings name; one that tells nobody when they name none.
pub(crate) fn read(settings: &Settings) -> Parsed {
    let monitoring_dir = settings.monitoring_dir.as_deref();
    match settings.foreign_of("alertmanager").map(|f| &f.source) {
        Some(ForeignFile::Path(path)) => read_file(path, monitoring_dir),
        Some(ForeignFile::Content(node)) => read_node(&settings.file.display().to_string(), node, &settings.file, monitoring_dir),
        None => Parsed { config: Some(Config::unconfigured(SystemClock::shared())), findings: Vec::new() },
    }
}

/// Reads one file.
pub(crate) fn read_file(path: &Path, monitoring_dir: Option<&Path>) -> Parsed {
    let name = path.display().to_string();
    match crate::text_file::read(path) {
        Ok(text) => with(path, monitoring_dir, |surroundings| parse(&name, &text, surroundings)),
        Err(finding) => Parsed { config: None, findings: vec![*finding] },
    }
}

/// Reads a document.
pub(crate) fn read_node(name: &str, node: &Node, path: &Path, monitoring_dir: Option<&Path>) -> Parsed {
    with(path, monitoring_dir, |surroundings| parse_node(name, node, surroundings))
}

fn with(path: &Path, monitoring_dir: Option<&Path>, read: impl FnOnce(&Surroundings<'_>) -> Parsed) -> Parsed {
    let lookup = Lookup::beside(path, monitoring_dir);
    read(&Surroundings { files: &|pattern| lookup.files(pattern), file: &|path| lookup.file(path), clock: SystemClock::shared() })
}

/// Takes up where the last process ended.
pub(super) fn open(parts: Parts, caller: Arc<Caller>) -> Result<Arc<Manager>> {
    Ok(Arc::new(Manager::open(parts, caller).context("cannot start the Alertmanager inside")?))
}
