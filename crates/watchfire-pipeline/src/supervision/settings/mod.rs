//! The section `services:` of our configuration: which services are watched, how they are checked, how they may be restarted. It is
//! read anew with every reload.

mod outside;
mod presets;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use watchfire_model::document::{Node, Reader};
use watchfire_model::duration;

use super::check::{self, Check};
use super::engine::Engine;
use super::maintenance::Recurring;
use super::policy::{FAILURES_MIN, RESTARTS_MAX, Rules, SERVICES_MAX, is_name};
use super::restart::{self, Restart};

pub use outside::Outside;

/// Names that answers of the API use for something else.
const RESERVED: [&str; 1] = ["audit"];
/// The shortest time between two checks.
const INTERVAL_MIN: Duration = Duration::from_secs(1);

/// One service.
#[derive(Clone)]
pub struct Definition {
    /// The rules for it.
    pub rules: Rules,
    /// How it is checked.
    pub check: Arc<dyn Check>,
    /// The kind of that check.
    pub check_kind: &'static str,
    /// How it is restarted, if it may be.
    pub restart: Option<Arc<dyn Restart>>,
    /// The worker of the watched pipeline that it is; then its state is told as such, too.
    pub worker: Option<String>,
}
impl fmt::Debug for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} checked by {} {}, worker {:?}", self.rules, self.check_kind, self.check.target(), self.worker)
    }
}

/// All of the section.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The services, in the order of the file.
    pub services: Vec<Definition>,
}

/// What holds for services that do not say otherwise.
struct Defaults {
    interval: Duration,
    timeout: Duration,
    maintenance: Vec<Recurring>,
}

impl Settings {
    /// Reads the section.
    pub fn read(section: Reader<'_>, mut outside: Outside<'_>) -> Settings {
        let duration = |key: &'static str, default: u64| section.duration_ms(key).map_or(Duration::from_secs(default), Duration::from_millis);
        let defaults = Defaults { interval: duration("interval", 15), timeout: duration("timeout", 5), maintenance: read_maintenance(&section) };
        if let Some(path) = outside.text(&section, "container_socket") {
            let path = PathBuf::from(path);
            if path.is_absolute() {
                outside.engine = Some(Arc::new(Engine::at(path)));
            } else {
                section.error_at("container_socket", "must be the absolute path of a socket such as /run/docker.sock");
            }
        }
        if section.raw("systemctl").is_some() {
            let path = section.required_text("systemctl");
            match &outside.commands {
                Err(why) => section.error_at("systemctl", why.clone()),
                Ok(()) if path.starts_with('/') => outside.systemctl = Some(path.into()),
                Ok(()) => section.error_at("systemctl", "must be the absolute path of a program"),
            }
        }
        let services = read_services(&section, &defaults, &outside);
        section.finish();
        Settings { services }
    }
}

fn read_maintenance(reader: &Reader<'_>) -> Vec<Recurring> {
    reader.maps("maintenance").into_iter().filter_map(Recurring::read).collect()
}

fn read_services(section: &Reader<'_>, defaults: &Defaults, outside: &Outside<'_>) -> Vec<Definition> {
    let mut services: Vec<Definition> = Vec::new();
    let Some(list) = section.raw("watch") else { return services };
    let one = [list.clone()];
    // One name alone is a list of one.
    let items = if list.text().is_some() { &one[..] } else { section.list("watch") };
    if items.len() > SERVICES_MAX {
        section.error_at("watch", format!("must be at most {SERVICES_MAX} services"));
        return services;
    }
    let mut places: BTreeMap<String, &Node> = BTreeMap::new();
    for (at, node) in items.iter().enumerate() {
        let path = format!("{}[{at}]", section.path_of("watch"));
        let expanded;
        let node_of_service = match node.text() {
            Some(name) => match presets::of(name, node, outside) {
                Ok(preset) => {
                    expanded = preset;
                    &expanded
                }
                Err(why) => {
                    section.context().error(node.line, node.column, format!("{path}: {why}"));
                    continue;
                }
            },
            None => node,
        };
        let Some(service) = read_service(Reader::new(section.context(), node_of_service, &path), defaults, outside) else { continue };
        if places.insert(service.rules.name.clone(), node).is_some() {
            section.context().error(node.line, node.column, format!("{path}: another service is called {:?}", service.rules.name));
        }
        services.push(service);
    }
    // What is wrong with a service that is needed has been said; it need not be said again of whoever needs it.
    let named: Vec<&str> = items.iter().filter_map(|node| node.text().or_else(|| node.get("name")?.text())).collect();
    check_dependencies(section, &services, &places, &named);
    services
}

/// Every service that is needed must be there, and none may need itself.
fn check_dependencies(section: &Reader<'_>, services: &[Definition], places: &BTreeMap<String, &Node>, named: &[&str]) {
    let needs: BTreeMap<&str, &[String]> = services.iter().map(|s| (s.rules.name.as_str(), s.rules.depends_on.as_slice())).collect();
    for (name, needed) in &needs {
        let Some(place) = places.get(*name) else { continue };
        let wrong = |why: String| section.context().error(place.line, place.column, format!("{} {name:?}: {why}", section.path_of("watch")));
        for other in needed.iter().filter(|other| !needs.contains_key(other.as_str()) && !named.contains(&other.as_str())) {
            wrong(format!("depends_on names {other:?}, which is not watched"));
        }
        let (mut open, mut seen) = (needed.to_vec(), std::collections::BTreeSet::new());
        while let Some(next) = open.pop() {
            if next == *name {
                wrong("depends on itself".to_owned());
                break;
            }
            if seen.insert(next.clone()) {
                open.extend(needs.get(next.as_str()).into_iter().flat_map(|n| n.iter().cloned()));
            }
        }
    }
}

fn read_service(reader: Reader<'_>, defaults: &Defaults, outside: &Outside<'_>) -> Option<Definition> {
    let name = reader.required_text("name");
    let fits = is_name(&name) && !RESERVED.contains(&name.as_str());
    if !name.is_empty() && !fits {
        reader.error_at("name", "must be 1 to 64 letters, digits, '.', '_' or '-', beginning with a letter or digit, and not \"audit\"");
    }
    let check = read_check(&reader, outside);
    let restart = read_restart(&reader, outside);
    let mut rules = read_rules(&reader, defaults, &name);
    let worker = reader.text("worker");
    reader.finish();
    let ((check_kind, check), restart) = (check?, restart?);
    rules.restart = restart.as_ref().map(|r| r.shown());
    rules.remote = check.remote();
    fits.then_some(Definition { rules, check, check_kind, restart, worker })
}

/// The check: `health_url`, or one kind under `check`.
fn read_check(reader: &Reader<'_>, outside: &Outside<'_>) -> Option<(&'static str, Arc<dyn Check>)> {
    let url = outside.text(reader, "health_url");
    let section = reader.map("check");
    if let Some(url) = url {
        if section.is_some() {
            reader.error_at("check", "stands beside health_url; one of them is enough");
        }
        return check::web(url).map_err(|why| reader.error_at("health_url", why)).ok().map(|check| ("http", check));
    }
    let Some(section) = section else {
        if reader.raw("health_url").is_none() {
            reader.context().error(reader.node().line, reader.node().column, format!("{} is missing, and so is health_url", reader.path_of("check")));
        }
        return None;
    };
    let given: Vec<_> = check::KINDS.iter().filter(|kind| section.raw(kind.key).is_some()).collect();
    let found = match given[..] {
        [kind] => (kind.read)(&section, outside).map(|check| (kind.key, check)),
        _ => {
            let all: Vec<_> = check::KINDS.iter().map(|kind| kind.key).collect();
            reader.error_at("check", format!("must have one of {}", all.join(", ")));
            None
        }
    };
    section.finish();
    found
}

/// The way to restart, if there is one; nothing when what stands there is wrong.
fn read_restart(reader: &Reader<'_>, outside: &Outside<'_>) -> Option<Option<Arc<dyn Restart>>> {
    let Some(section) = reader.map("restart") else { return Some(None) };
    if let Err(why) = &outside.commands {
        reader.error_at("restart", why.clone());
    }
    let given: Vec<_> = restart::KINDS.iter().filter(|kind| section.raw(kind.key).is_some()).collect();
    let found = match given[..] {
        [kind] => (kind.read)(&section, outside).map(Some),
        _ => {
            let all: Vec<_> = restart::KINDS.iter().map(|kind| kind.key).collect();
            reader.error_at("restart", format!("must have one of {}", all.join(", ")));
            None
        }
    };
    section.finish();
    found
}

fn read_rules(reader: &Reader<'_>, defaults: &Defaults, name: &str) -> Rules {
    let usual = Rules::new(name);
    let within = |key: &'static str, default: u32, low: u32, high: u32| {
        let value = reader.u64(key).unwrap_or(u64::from(default));
        if !(u64::from(low)..=u64::from(high)).contains(&value) {
            reader.error_at(key, format!("must be between {low} and {high}"));
        }
        u32::try_from(value).unwrap_or(high).clamp(low, high)
    };
    let duration = |key: &'static str, default: Duration| reader.duration_ms(key).map_or(default, Duration::from_millis);
    let interval = duration("interval", defaults.interval);
    let timeout = duration("timeout", defaults.timeout.min(interval));
    if interval < INTERVAL_MIN {
        reader.error_at("interval", "must be at least 1s");
    }
    if timeout.is_zero() || timeout > interval {
        reader.error_at("timeout", "must be longer than 0 and not longer than the interval");
    }
    let mut maintenance = read_maintenance(reader);
    maintenance.extend(defaults.maintenance.iter().cloned());
    Rules {
        interval: interval.max(INTERVAL_MIN),
        timeout,
        failures: within("failures", usual.failures, FAILURES_MIN, 100),
        max_retries: within("max_retries", usual.max_retries, 1, 100),
        backoff_base: read_seconds(reader, "backoff_base").unwrap_or(usual.backoff_base),
        start_period: duration("start_period", usual.start_period),
        restarts_max: within("restarts_max", usual.restarts_max, 1, RESTARTS_MAX),
        depends_on: reader.texts("depends_on", true),
        maintenance,
        ..usual
    }
}

/// Seconds as a number (`5.0`), or a duration (`5s`).
fn read_seconds(reader: &Reader<'_>, key: &'static str) -> Option<Duration> {
    let node = reader.raw(key)?;
    let seconds = node.as_f64().filter(|s| (0.1..=300.0).contains(s)).map(Duration::from_secs_f64);
    let found = seconds.or_else(|| node.text().and_then(duration::parse).filter(|d| (100..=300_000).contains(&d.as_millis())));
    if found.is_none() {
        reader.error_at(key, "must be seconds between 0.1 and 300, such as 5.0, or a duration such as 5s");
    }
    found
}
