//! Which containers of a Compose file can go: what Watchfire takes over of each, what it does not and why, the memory that becomes free, and
//! the smallest edit of the file. It reads a text and gives a report; files are others' business.

mod becomes;
mod component;
mod diff;
mod edit;
mod extends;
mod mounts;
mod neighbours;
#[cfg(test)]
mod odd_files;
mod service;
mod settings;
#[cfg(test)]
mod tests;
mod unsaid;
mod variables;

use watchfire_model::document::{Finding, Node, Severity, parse_yaml};

pub use becomes::promised;
pub use component::Sign;
use component::{Component, by_image, by_port, is_own, recognise};
use extends::Whole;
use service::Service;
pub use settings::{Carried, Outcome};

/// What there is to say of a Compose file.
#[derive(Debug)]
pub struct Adoption {
    /// Its services, in the order of the file.
    pub containers: Vec<Container>,
    /// What is not honoured or not understood, with its place.
    pub findings: Vec<Finding>,
    /// The file as it would be; nothing where no edit is offered.
    pub edited: Option<String>,
    /// The difference to it, as `diff -u` writes it.
    pub diff: Option<String>,
}

/// One service.
#[derive(Debug)]
pub struct Container {
    /// Its name in the file.
    pub service: String,
    /// Line and column of the name.
    pub at: (usize, usize),
    /// Its image as written.
    pub image: String,
    /// The program that goes, and how it was recognised. Nothing for a container that stays.
    pub replaced: Option<(&'static str, Sign)>,
    /// What there is to know before it goes, or why it stays.
    pub note: String,
    /// Published ports, and the port of ours that answers there.
    pub ports: Vec<(String, Option<u16>)>,
    /// Names under which others reach it, which become ours.
    pub names: Vec<String>,
    /// Files and directories of the machine, and where we see them; nothing for what is not taken over.
    pub files: Vec<(String, Option<String>)>,
    /// Its settings.
    pub settings: Vec<Carried>,
    /// The memory that becomes free.
    pub memory: Option<Memory>,
}

/// Where a figure about memory comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// The file's own limit, in bytes.
    Limit(u64),
    /// What documents about such stacks say, in bytes, and of what; nobody measured it here.
    Quoted(u64, &'static str),
}
impl Memory {
    /// The bytes.
    pub fn bytes(self) -> u64 {
        let (Memory::Limit(bytes) | Memory::Quoted(bytes, _)) = self;
        bytes
    }
}

/// Keys of a service that say what it is without a Compose file around it.
const OF_A_SERVICE: [&str; 7] = ["image", "command", "environment", "volumes", "depends_on", "deploy", "ports"];
/// Keys that are read, or have nothing to carry over.
const UNDERSTOOD: &[&str] = &[
    "image",
    "container_name",
    "hostname",
    "ports",
    "volumes",
    "command",
    "environment",
    "networks",
    "depends_on",
    "deploy",
    "mem_limit",
    "restart",
    "healthcheck",
    "labels",
    "logging",
    "expose",
    "stop_grace_period",
    "init",
    "pull_policy",
    "platform",
    "mem_reservation",
    "cpus",
    "ulimits",
    "read_only",
    "tmpfs",
    "security_opt",
    "user",
    "extra_hosts",
    "profiles",
    "extends",
    "configs",
    "secrets",
    "links",
    "stop_signal",
    "shm_size",
    "memswap_limit",
    "oom_score_adj",
];

/// Reads a Compose file. An error is one that makes it none.
pub fn read(name: &str, text: &str) -> Result<Adoption, Box<Finding>> {
    let root = parse_yaml(name, text)?;
    let mut report = Report { name, findings: Vec::new() };
    let Some(entries) = root.get("services").and_then(Node::entries) else {
        // A file that overrides a part of a service is well-formed, but nobody can tell whose part it is.
        if root.get("services").is_none() && OF_A_SERVICE.iter().any(|key| root.get(key).is_some()) {
            report.warn(root.line, root.column, "this is a part of a service, not a Compose file: name the file that says its image".to_owned());
            return Ok(Adoption { containers: Vec::new(), findings: report.findings, edited: None, diff: None });
        }
        return Err(Box::new(Finding {
            severity: Severity::Error,
            file: name.into(),
            line: root.line,
            column: root.column,
            message: "cannot find containers: a Compose file has a mapping called services".to_owned(),
        }));
    };
    if let Some(include) = root.get("include") {
        report.warn(include.line, include.column, format!("files that are included were not looked at; {WHOLE}"));
    }
    let whole = extends::whole(entries);
    let services: Vec<Service<'_>> = whole.iter().map(|w| Service::read(w.key, &w.node)).collect();
    let known: Vec<Option<(&'static Component, Sign)>> = services
        .iter()
        .map(|s| {
            let words: Vec<&str> = s.words.iter().map(|(word, _)| word.as_str()).collect();
            recognise(&s.image, &words)
        })
        .collect();
    let mut taken = settings::Taken::default();
    let mut containers = Vec::new();
    for ((service, known), whole) in services.iter().zip(&known).zip(&whole) {
        containers.push(match known {
            Some((component, sign)) => replaced(service, component, *sign, &mut taken, &mut report),
            None => stays(service, whole, &mut report),
        });
        if let (Some(_), Some(elsewhere)) = (known, &whole.elsewhere) {
            report.warn(service.key.line, service.key.column, format!("{}: extends {elsewhere}, which was not looked at; {WHOLE}", service.key.text));
        }
    }
    searched_by_others(&services, &known, &mut report);
    let goes = |name: &str| services.iter().zip(&known).any(|(s, k)| k.is_some() && &*s.key.text == name);
    let stranded = whole.iter().zip(&known).find(|(w, k)| k.is_none() && w.base.as_deref().is_some_and(goes)).map(|(w, _)| w);
    let edited = match stranded {
        Some(Whole { key, base, .. }) => {
            let base = base.as_deref().unwrap_or_default();
            report.warn(key.line, key.column, format!("{} stays and extends {base}, which goes: no edit is offered", key.text));
            None
        }
        None if known.iter().any(Option::is_some) => edit::edit(text, &root, &services, &known, &taken, &mut report),
        None => None,
    };
    // Lines may mean something that this does not see; what cannot be read back is not offered.
    let edited = edited.filter(|new| match parse_yaml(name, new) {
        Ok(_) => true,
        Err(error) => {
            report.warn(root.line, root.column, format!("no edit is offered: what stays could not be read without what goes ({})", error.message));
            false
        }
    });
    let diff = edited.as_ref().map(|new| diff::unified(name, text, new));
    Ok(Adoption { containers, findings: report.findings, edited, diff })
}

/// Where warnings go.
struct Report<'a> {
    name: &'a str,
    findings: Vec<Finding>,
}
impl Report<'_> {
    fn warn(&mut self, line: usize, column: usize, message: String) {
        self.findings.push(Finding { severity: Severity::Warning, file: self.name.into(), line, column, message });
    }
}

fn replaced(service: &Service<'_>, component: &'static Component, sign: Sign, taken: &mut settings::Taken, report: &mut Report<'_>) -> Container {
    let name = &service.key.text;
    let settings = settings::of(service, component, taken, report);
    let inside = settings::inside_port(service, component);
    let mut ports = Vec::new();
    for port in &service.ports {
        let ours = port.inside.filter(|_| !port.udp).and_then(|p| answered(component, p, inside));
        match ours {
            Some(ours) => taken.port(&port.outside, ours),
            None => report.warn(
                port.at.line,
                port.at.column,
                format!("{name}: port {} is not taken over: nothing here answers as {} does there", port.written, component.name),
            ),
        }
        ports.push((port.written.clone(), ours));
    }
    let files = mounts::files(service, component, taken, report);
    unsaid::tell(service, ports.iter().find_map(|(_, ours)| *ours), report);
    for (key, node) in service.node.entries().unwrap_or(&[]) {
        if !UNDERSTOOD.contains(&&*key.text) && !settings::CARRIED_AS_THEY_ARE.contains(&&*key.text) {
            report.warn(key.line, key.column, format!("{name}: {} is not carried over{}", key.text, why_not(&key.text, node)));
        }
    }
    let user = service.node.get("user").and_then(Node::text).and_then(|user| user.split(':').next());
    taken.root |= matches!(user, Some("0" | "root"));
    taken.names(&service.names);
    match service.networks.is_empty() && service.node.get("network_mode").is_none() {
        // Compose puts whoever names no network into one of its own.
        true => taken.networks(&["default".to_owned()]),
        false => taken.networks(&service.networks),
    }
    let memory = service.memory.map(Memory::Limit).or_else(|| component.quoted.map(|(megabytes, of)| Memory::Quoted(megabytes << 20, of)));
    Container {
        service: name.to_string(),
        at: (service.key.line, service.key.column),
        image: service.image.clone(),
        replaced: Some((component.name, sign)),
        note: component.note.to_owned(),
        ports,
        names: service.names.clone(),
        files,
        settings,
        memory,
    }
}

/// The port of ours that answers as a port of a component's container does.
fn answered(component: &Component, port: u16, moved: Option<u16>) -> Option<u16> {
    let (first, ours) = component.ports.first()?;
    if port == moved.unwrap_or(*first) {
        return Some(*ours);
    }
    component.ports.iter().skip(1).find(|(inside, _)| *inside == port).map(|(_, ours)| *ours)
}

fn why_not(key: &str, node: &Node) -> &'static str {
    match (key, node.text()) {
        ("network_mode", Some("host")) => ": run Watchfire on the machine itself (deploy/watchfire.service), or give its service the same mode",
        ("env_file", _) => {
            ": what is in that file was not looked at; `docker compose config` writes its variables into one whole file, which can be read instead"
        }
        ("entrypoint", _) => ": what it does before the program starts is not known",
        ("build", _) => ": what the image adds to the program is not known",
        ("<<", _) => ": what is merged in was looked at as if it stood here",
        _ => "",
    }
}

/// What to do about a file that does not hold everything.
const WHOLE: &str = "`docker compose config` writes one whole file, which can be read instead";

fn stays(service: &Service<'_>, whole: &Whole<'_>, report: &mut Report<'_>) -> Container {
    let key = service.key;
    let hint = service.ports.iter().filter_map(|p| p.inside).find_map(by_port);
    let mut unknown = |why: String| report.warn(key.line, key.column, format!("{}: cannot tell what this is: {why}", key.text));
    let note = if is_own(&service.image) {
        "is Watchfire itself".to_owned()
    } else if let Some(component) = by_image(&service.image) {
        format!("has the image of {} and runs something else", component.name)
    } else if let Some(note) = neighbours::note(&service.image) {
        note.to_owned()
    } else if let Some(elsewhere) = whole.elsewhere.as_ref().filter(|_| service.image.is_empty()) {
        unknown(format!("it extends {elsewhere}, which was not looked at; {WHOLE}"));
        "extends what was not looked at".to_owned()
    } else if service.image.rsplit('/').next().is_some_and(|name| name.split(':').next().unwrap_or(name).contains('$')) {
        unknown(format!("its image is {}, and the file does not say what that holds; {WHOLE}", service.image));
        "is not known: a variable names its image".to_owned()
    } else if let Some(component) = hint {
        unknown(format!("it has the port of {}, but neither image nor command line say so; it stays", component.name));
        format!("has the port of {}, but is not known to be one", component.name)
    } else {
        "is none of the programs that Watchfire replaces".to_owned()
    };
    Container {
        service: key.text.to_string(),
        at: (key.line, key.column),
        image: service.image.clone(),
        replaced: None,
        note,
        ports: Vec::new(),
        names: Vec::new(),
        files: Vec::new(),
        settings: Vec::new(),
        memory: None,
    }
}

/// An application that stays may keep its own documents in an Elasticsearch that goes.
fn searched_by_others(services: &[Service<'_>], known: &[Option<(&'static Component, Sign)>], report: &mut Report<'_>) {
    for (going, _) in services.iter().zip(known).filter(|(_, k)| k.is_some_and(|(c, _)| c.name == "Elasticsearch")) {
        for (staying, _) in services.iter().zip(known).filter(|(_, k)| k.is_none()) {
            let named = |v: &&service::Variable<'_>| v.value.as_deref().is_some_and(|v| going.names.iter().any(|n| v.contains(&format!("{n}:9200"))));
            if let Some(variable) = staying.environment.iter().find(named) {
                let message = format!(
                    "{}: {} leads to {}: if it keeps documents of its own there, {} must stay",
                    staying.key.text, variable.name, going.key.text, going.key.text
                );
                report.warn(variable.at.line, variable.at.column, message);
            }
        }
    }
}
