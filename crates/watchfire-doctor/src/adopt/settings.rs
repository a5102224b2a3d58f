//! Settings, ports, names and files of containers that go, as they arrive at the one service of ours. The table of what becomes what is
//! beside; nothing is written here.

use watchfire_model::document::{Node, Value};

use super::Report;
use super::becomes::{Becomes, becomes, is_secret, spelled};
use super::component::Component;
use super::service::Service;
use super::variables::defaulted;

/// Keys of a service whose lists are given to ours as they are.
pub(super) const CARRIED_AS_THEY_ARE: [&str; 5] = ["cap_add", "devices", "dns", "extra_hosts", "group_add"];
/// Flags that never have a value behind a blank.
const ALONE: [&str; 8] = [
    "web.enable-lifecycle",
    "web.enable-admin-api",
    "agent",
    "e",
    "web.enable-remote-write-receiver",
    "auto-discover-databases",
    "disable-default-metrics",
    "disable-settings-metrics",
];

/// One setting and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// As the user wrote it, without secrets.
    pub written: String,
    /// What becomes of it.
    pub outcome: Outcome,
}

/// What becomes of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A key of `watchfire.yml` with a value.
    Key(&'static str, String),
    /// The variable keeps its name; it sets this.
    Variable(&'static str),
    /// A file or a port, which is taken over.
    TakenOver,
    /// It is so anyway.
    Already(&'static str),
    /// Not honoured, and why.
    NotHonoured(String),
}

/// What our service gets from all that go.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Variables, in the order in which they came.
    pub(super) environment: Vec<(String, String)>,
    pub(super) ports: Vec<String>,
    pub(super) mounts: Vec<Given>,
    /// Entries of `configs`: the name of each, and where it is seen.
    pub(super) configs: Vec<(String, String)>,
    /// Entries of `secrets`, as they are written again.
    pub(super) secrets: Vec<String>,
    pub(super) names: Vec<String>,
    pub(super) networks: Vec<String>,
    /// Programs whose configuration is taken over, and of which service.
    pub(super) configured: Vec<(&'static str, String)>,
    /// Keys with lists that are carried as they are.
    pub(super) more: Vec<(&'static str, Vec<String>)>,
    /// Something of it is for the administrator's eyes only.
    pub(super) root: bool,
}

/// A mount of ours.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) source: String,
    pub(super) target: String,
    pub(super) mode: String,
}
impl Taken {
    pub(super) fn port(&mut self, outside: &str, ours: u16) {
        once(&mut self.ports, format!("{outside}{ours}"));
    }
    pub(super) fn names(&mut self, names: &[String]) {
        names.iter().for_each(|name| once(&mut self.names, name.clone()));
    }
    pub(super) fn networks(&mut self, networks: &[String]) {
        networks.iter().for_each(|name| once(&mut self.networks, name.clone()));
    }
    /// Notes a variable; gives the value that stood there before, if it is another.
    fn variable(&mut self, name: String, value: String) -> Option<&str> {
        match self.environment.iter().position(|(n, _)| *n == name) {
            Some(at) => Some(self.environment[at].1.as_str()).filter(|before| **before != value),
            None => {
                self.environment.push((name, value));
                None
            }
        }
    }
}

pub(super) fn once(all: &mut Vec<String>, one: String) {
    if !all.contains(&one) {
        all.push(one);
    }
}

/// The variable that sets a key.
pub(super) fn variable_of(key: &str) -> String {
    format!("WATCHFIRE_{}", key.replace('.', "_").to_uppercase())
}

/// A flag: its name without hyphens, its value, how it is written, and its place.
pub(super) struct Flag {
    pub(super) name: String,
    pub(super) value: Option<String>,
    written: String,
    line: usize,
    column: usize,
}

pub(super) fn flags(service: &Service<'_>) -> Vec<Flag> {
    let mut out: Vec<Flag> = Vec::new();
    let mut words = service.words.iter().peekable();
    while let Some((word, node)) = words.next() {
        let Some(rest) = word.strip_prefix('-') else { continue };
        let rest = rest.strip_prefix('-').unwrap_or(rest);
        let (name, mut value) = rest.split_once('=').map_or((rest, None), |(n, v)| (n, Some(v.to_owned())));
        let mut written = word.clone();
        if value.is_none() && !ALONE.contains(&name) {
            value = words.next_if(|(next, _)| !next.starts_with('-')).map(|(next, _)| next.clone());
            written.extend(value.iter().flat_map(|v| [" ", v.as_str()]));
        }
        // Filebeat and Elasticsearch take settings behind -E.
        let (name, value) = match (name, &value) {
            ("E", Some(pair)) => pair.split_once('=').map_or((pair.clone(), None), |(n, v)| (n.to_owned(), Some(v.to_owned()))),
            _ => (name.to_owned(), value),
        };
        out.push(Flag { name, value, written, line: node.line, column: node.column });
    }
    out
}

/// The port inside the container, where a flag or a variable moved it.
pub(super) fn inside_port(service: &Service<'_>, component: &Component) -> Option<u16> {
    let moved = flags(service).into_iter().find(|f| f.name == component.listen).and_then(|f| f.value).or_else(|| service.variable(component.listen))?;
    defaulted(&moved).rsplit(':').next()?.parse().ok()
}

/// Every flag and variable of a container that goes.
pub(super) fn of(service: &Service<'_>, component: &Component, taken: &mut Taken, report: &mut Report<'_>) -> Vec<Carried> {
    let name = &service.key.text;
    let mut out = Vec::new();
    for flag in flags(service) {
        let shown = match (is_secret(&flag.name), &flag.value) {
            (true, Some(_)) => format!("--{}=…", flag.name),
            _ => flag.written.clone(),
        };
        let mut outcome = one(component, &flag.name, flag.value.as_deref(), None, taken);
        let names_config = becomes(component.name, &flag.name) == Some(Becomes::Config);
        if let Some(path) = flag.value.as_deref().filter(|path| names_config && !is_mounted(service, path)) {
            outcome = Outcome::NotHonoured(format!("no mount holds {path}; put the file into the monitoring directory"));
        }
        tell(report, (flag.line, flag.column), name, &shown, &outcome);
        out.push(Carried { written: shown, outcome });
    }
    for variable in &service.environment {
        let outcome = match &*variable.name {
            // Our variable is for the address beside it; without one it is the exporter's alone.
            "REDIS_PASSWORD" if service.variable("REDIS_ADDR").is_none() => {
                let value = variable.value.clone().unwrap_or_else(|| "${REDIS_PASSWORD}".to_owned());
                one(component, "redis.password", Some(&value), None, taken)
            }
            name => one(component, name, variable.value.as_deref(), Some(name), taken),
        };
        let value = match &variable.value {
            Some(_) if is_secret(&variable.name) => "=…".to_owned(),
            Some(value) => format!("={value}"),
            None => String::new(),
        };
        let shown = format!("{}{value}", variable.name);
        tell(report, (variable.at.line, variable.at.column), name, &shown, &outcome);
        out.push(Carried { written: shown, outcome });
    }
    for key in CARRIED_AS_THEY_ARE {
        let listed = listed(service.node.get(key));
        if !listed.is_empty() {
            match taken.more.iter_mut().find(|(k, _)| *k == key) {
                Some((_, all)) => listed.into_iter().for_each(|one| once(all, one)),
                None => taken.more.push((key, listed)),
            }
        }
    }
    out
}

/// Texts of a list, of a lone value, or of a mapping as Compose writes it in a list.
fn listed(node: Option<&Node>) -> Vec<String> {
    let Some(node) = node else { return Vec::new() };
    match &node.value {
        Value::Map(entries) => entries.iter().filter_map(|(key, value)| Some(format!("{}:{}", key.text, value.text()?))).collect(),
        Value::List(items) => items.iter().filter_map(|n| n.text().map(str::to_owned)).collect(),
        _ => node.text().map(str::to_owned).into_iter().collect(),
    }
}

/// Whether a path inside the container comes from outside.
fn is_mounted(service: &Service<'_>, path: &str) -> bool {
    let holds = |target: &str| path.strip_prefix(target.trim_end_matches('/')).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    service.mounts.iter().any(|m| m.is_path() && holds(&m.target)) || service.configs.iter().any(|c| holds(&c.target))
}

fn tell(report: &mut Report<'_>, (line, column): (usize, usize), service: &str, shown: &str, outcome: &Outcome) {
    if let Outcome::NotHonoured(reason) = outcome {
        report.warn(line, column, format!("{service}: {shown} is not honoured: {reason}"));
    }
}

fn one(component: &Component, name: &str, value: Option<&str>, variable: Option<&str>, taken: &mut Taken) -> Outcome {
    let not = |reason: &str| Outcome::NotHonoured(reason.to_owned());
    let Some(becomes) = becomes(component.name, name) else { return not("nothing is known of it") };
    let (key, value) = match becomes {
        Becomes::Already(reason) => return Outcome::Already(reason),
        Becomes::No(reason) => return not(reason),
        Becomes::Config | Becomes::Port => return Outcome::TakenOver,
        Becomes::Variable(sets) => {
            // Without a value Compose passes on what its own environment holds.
            let name = variable.unwrap_or(name).to_owned();
            let value = value.map_or_else(|| format!("${{{name}}}"), str::to_owned);
            return match taken.variable(name, value) {
                None => Outcome::Variable(sets),
                Some(_) => not("another container sets it to another value"),
            };
        }
        Becomes::Switch(key) => match value.unwrap_or("true") {
            "true" => (key, "true".to_owned()),
            _ => return Outcome::Already("it is off unless it is asked for"),
        },
        Becomes::Key(key) => {
            let Some(value) = value else { return not("it has no value here") };
            let Some(spelled) = spelled(key, value) else { return not("its value has no counterpart") };
            (key, spelled)
        }
    };
    match taken.variable(variable_of(key), value.clone()) {
        None if is_secret(key) => Outcome::Key(key, "…".to_owned()),
        None => Outcome::Key(key, value),
        Some(_) if is_secret(key) => not("another container sets it to another value"),
        Some(before) => Outcome::NotHonoured(format!("{key} is {before} already")),
    }
}
