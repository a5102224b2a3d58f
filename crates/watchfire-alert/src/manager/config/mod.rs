//! `alertmanager.yml`: read strictly, checked as a whole, every finding with its place. It starts nothing and asks nobody; files
//! with secrets are read when they are used, files with templates here.

mod global;
mod hide;
mod inhibit;
pub mod intervals;
pub mod matcher;
mod receivers;
mod route;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use global::{Global, Smtp};
pub use inhibit::InhibitRule;
pub use intervals::Interval;
pub use receivers::{Configured, Receiver};
pub use route::{GroupBy, Route};
use watchfire_model::document::{Context, Finding, Node, Reader, Severity, parse_yaml};
use watchfire_model::time::SharedClock;

use crate::receivers::{KINDS, Making};
use crate::template::{Templates, notification_functions};

/// The most template files.
const TEMPLATE_FILES_MAX: usize = 1_000;
/// The most bytes of one.
const TEMPLATE_BYTES_MAX: u64 = 1 << 20;

/// A configuration that can run.
pub struct Config {
    /// What receivers fall back to.
    pub global: Global,
    /// The root of the routing tree.
    pub route: Arc<Route>,
    /// Which alerts keep which others quiet.
    pub inhibit_rules: Vec<InhibitRule>,
    /// Who can be told.
    pub receivers: Vec<Receiver>,
    /// Named intervals.
    pub intervals: BTreeMap<String, Vec<Interval>>,
    /// Templates of the files and of the kinds of receivers.
    pub templates: Templates,
    /// The document as it may be shown.
    pub shown: String,
}

/// What reading needs from outside the file.
pub struct Surroundings<'a> {
    /// The files that a pattern names, ascending.
    pub files: &'a dyn Fn(&str) -> Vec<PathBuf>,
    /// Where one file is.
    pub file: &'a dyn Fn(&str) -> PathBuf,
    /// The time, for templates that ask it.
    pub clock: SharedClock,
}

/// A configuration if it can run, and everything there is to say about it.
pub struct Parsed {
    /// Missing when a finding is an error.
    pub config: Option<Config>,
    /// In the order of the file.
    pub findings: Vec<Finding>,
}

/// Reads a text.
pub fn parse(file: &str, text: &str, surroundings: &Surroundings<'_>) -> Parsed {
    match parse_yaml(file, text) {
        Ok(node) => parse_node(file, &node, surroundings),
        Err(finding) => Parsed { config: None, findings: vec![*finding] },
    }
}

/// Reads a document.
pub fn parse_node(file: &str, root: &Node, surroundings: &Surroundings<'_>) -> Parsed {
    let context = Context::new(file);
    let (config, mut more) = read(&context, root, surroundings);
    let mut findings = context.into_findings();
    findings.append(&mut more);
    let failed = findings.iter().any(|f| f.severity == Severity::Error);
    Parsed { config: config.filter(|_| !failed), findings }
}

impl Config {
    /// Whether any route leads to a receiver that somebody hears.
    pub fn tells_somebody(&self) -> bool {
        let mut routes = vec![&self.route];
        while let Some(route) = routes.pop() {
            if self.receiver(&route.receiver).is_some_and(|receiver| !receiver.integrations.is_empty()) {
                return true;
            }
            routes.extend(&route.routes);
        }
        false
    }
    /// What runs when nothing is configured: alerts are grouped and shown, and nobody is told.
    pub fn unconfigured(clock: SharedClock) -> Config {
        let receiver = "default";
        Config {
            global: Global::default(),
            route: route::single(receiver),
            inhibit_rules: Vec::new(),
            receivers: vec![Receiver { name: receiver.to_owned(), integrations: Vec::new(), undelivered: Vec::new() }],
            intervals: BTreeMap::new(),
            templates: Templates::new("", notification_functions(clock)),
            shown: format!("route:\n  receiver: {receiver}\n  group_by:\n  - alertname\nreceivers:\n- name: {receiver}\n"),
        }
    }
    /// A receiver by its name.
    pub fn receiver(&self, name: &str) -> Option<&Receiver> {
        self.receivers.iter().find(|r| r.name == name)
    }
}

fn read(context: &Context, root: &Node, surroundings: &Surroundings<'_>) -> (Option<Config>, Vec<Finding>) {
    let reader = Reader::new(context, root, "");
    let global = Global::read(&reader, surroundings.file);
    let (templates, more) = read_templates(&reader, surroundings);
    let making = Making { global: &global, locate: surroundings.file, templates: &templates };
    let receivers = receivers::read(&reader, &making);
    let intervals = read_intervals(&reader);
    let interval_names: HashSet<String> = intervals.keys().cloned().collect();
    let names = route::Names { receivers: &receivers::names(root), intervals: &interval_names };
    let route = route::read(&reader, &names);
    let inhibit_rules = inhibit::read(&reader);
    if reader.raw("tracing").is_some() {
        reader.warning_at("tracing", "is read but not carried out: spans of the Alertmanager inside are not sent anywhere");
    }
    if let Some(route) = &route {
        warn_unused(&reader, route, &receivers, &intervals);
    }
    reader.finish();
    let shown = hide::shown(root);
    (route.map(|route| Config { global, route, inhibit_rules, receivers, intervals, templates, shown }), more)
}

fn read_intervals(reader: &Reader<'_>) -> BTreeMap<String, Vec<Interval>> {
    let mut all = BTreeMap::new();
    for key in ["mute_time_intervals", "time_intervals"] {
        for item in reader.maps(key) {
            let name = item.required_text("name");
            let read = intervals::read(&item);
            if all.insert(name.clone(), read).is_some() {
                item.error_at("name", format!("time interval {name:?} is not unique"));
            }
            item.finish();
        }
    }
    all
}

/// What stands in the file and nothing refers to.
fn warn_unused(reader: &Reader<'_>, route: &Arc<Route>, receivers: &[Receiver], intervals: &BTreeMap<String, Vec<Interval>>) {
    let routes = route.all();
    for (node, receiver) in reader.list("receivers").iter().zip(receivers) {
        if !routes.iter().any(|r| r.receiver == receiver.name) && !receiver.name.is_empty() {
            reader.context().warning(node.line, node.column, format!("no route names the receiver {:?}: nobody is told by it", receiver.name));
        }
    }
    for key in ["mute_time_intervals", "time_intervals"] {
        for node in reader.list(key) {
            let name = node.get("name").and_then(Node::text).unwrap_or("");
            let used = routes.iter().any(|r| r.mute.iter().chain(&r.active).any(|n| n == name));
            if intervals.contains_key(name) && !used {
                reader.context().warning(node.line, node.column, format!("no route names the time interval {name:?}"));
            }
        }
    }
}

/// The templates of the kinds, then those of the files, which may replace them.
fn read_templates(reader: &Reader<'_>, surroundings: &Surroundings<'_>) -> (Templates, Vec<Finding>) {
    let mut templates = Templates::new("", notification_functions(surroundings.clock.clone()));
    let mut findings = Vec::new();
    for kind in KINDS.iter().filter(|kind| !kind.templates.is_empty()) {
        if let Err(error) = templates.parse(kind.name, kind.templates) {
            reader.error_at("receivers", format!("BUG: the templates of {} cannot be parsed: {error}", kind.name));
        }
    }
    let patterns = reader.texts("templates", false);
    for (node, pattern) in reader.list("templates").iter().zip(&patterns) {
        let files = (surroundings.files)(pattern);
        if files.is_empty() {
            reader.context().warning(node.line, node.column, format!("templates: there is no file {pattern:?}"));
        }
        if files.len() > TEMPLATE_FILES_MAX {
            reader.context().error(node.line, node.column, format!("templates: {pattern:?} names more than {TEMPLATE_FILES_MAX} files"));
            continue;
        }
        for path in files {
            if let Err(message) = add_template_file(&mut templates, &path) {
                let file = path.display().to_string().into();
                findings.push(Finding { severity: Severity::Error, file, line: 0, column: 0, message });
            }
        }
    }
    (templates, findings)
}

fn add_template_file(templates: &mut Templates, path: &Path) -> Result<(), String> {
    let mut text = String::new();
    let cannot = |e: std::io::Error| format!("cannot read the template file: {e}");
    let file = std::fs::File::open(path).map_err(cannot)?;
    let read = file.take(TEMPLATE_BYTES_MAX + 1).read_to_string(&mut text).map_err(cannot)?;
    if read as u64 > TEMPLATE_BYTES_MAX {
        return Err(format!("cannot read the template file: it is larger than {TEMPLATE_BYTES_MAX} bytes"));
    }
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    templates.parse(&name, &text).map_err(|e| e.to_string())
}
