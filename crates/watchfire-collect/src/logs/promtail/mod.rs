//! `promtail.yml`, the whole of it, read as strictly as Promtail reads it. What is valid but not carried out here is a warning with its
//! place. It opens no log file; the positions that Promtail kept are looked up, so that nothing is read twice.

mod scrape;
pub(crate) mod stages;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use watchfire_model::document::{Context, Finding, Node, Reader, Severity, parse_yaml};

use super::outputs::{self, Output};
use super::{Collected, files};
use crate::discovery::glob::Lookup;

/// The most scrape configurations of one file.
const JOBS_MAX: usize = 1_000;
/// The most bytes of a positions file.
const POSITIONS_BYTES_MAX: u64 = 16 << 20;

/// What came of reading.
pub struct Parsed {
    /// What is to be collected; `None` when a finding is an error.
    pub config: Option<Collected>,
    /// Errors and warnings in the order of the file.
    pub findings: Vec<Finding>,
}

/// Reads a configuration from its text.
pub fn parse(file: &str, text: &str, lookup: &Lookup) -> Parsed {
    match parse_yaml(file, text) {
        Ok(root) => parse_node(file, &root, lookup),
        Err(finding) => Parsed { config: None, findings: vec![*finding] },
    }
}

/// Reads a configuration from a document that is already a tree.
pub fn parse_node(file: &str, root: &Node, lookup: &Lookup) -> Parsed {
    let context = Context::new(file);
    let config = read(&context, root, lookup);
    let findings = context.into_findings();
    let failed = findings.iter().any(|f| f.severity == Severity::Error);
    Parsed { config: (!failed).then_some(config), findings }
}

fn read(context: &Context, root: &Node, lookup: &Lookup) -> Collected {
    let root = Reader::new(context, root, "");
    // Our own faces stand in for Promtail's server.
    root.allow(&["server"]);
    for key in ["global", "target_config", "options", "tracing", "wal"] {
        if root.raw(key).is_some() {
            root.warning_at(key, "is not used here");
        }
    }
    let positions = read_positions(&root, lookup);
    let line_bytes_max = read_limits(&root);
    let outputs = read_clients(&root, lookup);
    let jobs = root.maps("scrape_configs");
    if jobs.len() > JOBS_MAX {
        root.error_at("scrape_configs", format!("{} scrape configurations are more than {JOBS_MAX}", jobs.len()));
    }
    let mut collected = Collected { outputs, ..Collected::default() };
    for job in jobs.into_iter().take(JOBS_MAX) {
        scrape::read(job, &positions, line_bytes_max, &mut collected);
    }
    root.finish();
    collected
}

/// What Promtail has read already: path → bytes. A file that is not there says nothing.
fn read_positions(root: &Reader<'_>, lookup: &Lookup) -> BTreeMap<String, String> {
    let Some(positions) = root.map("positions") else { return BTreeMap::new() };
    let filename = positions.text("filename").unwrap_or_else(|| "/var/log/positions.yaml".to_owned());
    positions.allow(&["sync_period", "ignore_invalid_yaml"]);
    positions.finish();
    kept_positions(&lookup.join(&filename))
}

/// The entries of a positions file.
pub(crate) fn kept_positions(path: &Path) -> BTreeMap<String, String> {
    let small = std::fs::metadata(path).is_ok_and(|about| about.is_file() && about.len() <= POSITIONS_BYTES_MAX);
    let text = if small { std::fs::read_to_string(path).unwrap_or_default() } else { String::new() };
    let Ok(node) = parse_yaml("positions", &text) else { return BTreeMap::new() };
    let entries = node.get("positions").and_then(Node::entries).unwrap_or(&[]);
    entries.iter().filter_map(|(key, value)| Some((key.text.to_string(), value.text()?.to_owned()))).collect()
}

/// Those of files.
pub(crate) fn positions_of_files(kept: &BTreeMap<String, String>) -> BTreeMap<PathBuf, u64> {
    kept.iter().filter_map(|(path, bytes)| Some((PathBuf::from(path), bytes.parse().ok()?))).collect()
}

fn read_limits(root: &Reader<'_>) -> usize {
    let Some(limits) = root.map("limits_config") else { return files::LINE_BYTES_MAX };
    let size = limits.bytes("max_line_size").filter(|n| *n > 0).map_or(files::LINE_BYTES_MAX, |n| n as usize);
    limits.allow(&["max_line_size_truncate"]);
    for key in ["readline_rate", "readline_burst", "readline_rate_enabled", "readline_rate_drop", "max_streams"] {
        if limits.raw(key).is_some() {
            limits.warning_at(key, "is not used here");
        }
    }
    limits.finish();
    if size > files::LINE_BYTES_MAX {
        root.warning_at("limits_config", format!("lines of more than {} bytes lose their end here", files::LINE_BYTES_MAX));
    }
    size.min(files::LINE_BYTES_MAX)
}

/// Where lines go on to; they are kept here in any case.
fn read_clients(root: &Reader<'_>, lookup: &Lookup) -> Vec<Output> {
    if root.raw("client").is_some() {
        root.warning_at("client", "is not read any more; use clients");
    }
    let clients = root.list("clients").iter().enumerate();
    clients.filter_map(|(i, client)| outputs::read(root.context(), client, &format!("clients[{i}]"), lookup)).collect()
}
