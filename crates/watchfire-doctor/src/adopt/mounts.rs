//! Files of containers that go, and where our container sees them: configuration below the monitoring directory, everything else where it was.
//! Nothing is read of them.

use watchfire_model::document::Node;

use super::Report;
use super::becomes::{Becomes, becomes};
use super::component::Component;
use super::edit::quoted;
use super::service::Service;
use super::settings::{Given, Taken, flags, once};

/// Where configuration lies in our container.
pub(super) const MONITORING: &str = "/monitoring";
/// Where only an administrator reads: logs of the machine, of containers, and the engine's socket.
const FOR_ROOT: [&str; 4] = ["/var/log", "/var/lib/docker", "/var/lib/containers", "/run/log"];

/// Where files of a container that goes are seen by ours.
pub(super) fn files(service: &Service<'_>, component: &Component, taken: &mut Taken, report: &mut Report<'_>) -> Vec<(String, Option<String>)> {
    let config = config_file(service, component);
    let name = &service.key.text;
    let mut out = Vec::new();
    for mount in &service.mounts {
        let at_home = component.data.iter().any(|data| mount.target == *data || mount.target.strip_prefix(data).is_some_and(|rest| rest.starts_with('/')));
        let shown = if mount.source.is_empty() { mount.target.clone() } else { mount.source.clone() };
        // Dashboards lie within Grafana's own data.
        let dashboards = component.name == "Grafana" && mount.target.contains("dashboards");
        if (at_home && !dashboards) || !mount.is_path() {
            out.push((shown, None));
            continue;
        }
        let mut warn = |message: String| report.warn(mount.at.line, mount.at.column, format!("{name}: {message}"));
        if is_second(&mount.target, component, &config, name, taken, &mut |first| warn(second(component, &shown, first))) {
            out.push((shown, None));
            continue;
        }
        let target = seen_at(&mount.source, &mount.target, component, &config, &mut warn);
        let target = match place(&mount.source, target, name, taken) {
            Ok((target, note)) => {
                if let Some(note) = note {
                    warn(note);
                }
                target
            }
            Err(message) => {
                warn(message);
                out.push((shown, None));
                continue;
            }
        };
        taken.root |= FOR_ROOT.iter().any(|start| mount.source.starts_with(start)) || mount.source.ends_with(".sock");
        if !taken.mounts.iter().any(|m| m.target == target) {
            taken.mounts.push(Given { source: mount.source.clone(), target: target.clone(), mode: mount.mode.clone() });
        }
        out.push((shown, Some(target)));
    }
    for held in &service.configs {
        let mut warn = |message: String| report.warn(held.at.line, held.at.column, format!("{name}: {message}"));
        if is_second(&held.target, component, &config, name, taken, &mut |first| warn(second(component, &held.source, first))) {
            out.push((held.source.clone(), None));
            continue;
        }
        let target = seen_at(&held.source, &held.target, component, &config, &mut warn);
        if !taken.configs.iter().any(|(_, at)| *at == target) {
            taken.configs.push((held.source.clone(), target.clone()));
        }
        out.push((held.source.clone(), Some(target)));
    }
    secrets(service.node, taken);
    out
}

fn second(component: &Component, source: &str, first: &str) -> String {
    format!("{source} is not taken over: one process reads one {}, and that of {first} is it; put what stands here into that", component.usual)
}

/// Whether what is mounted holds the configuration of a program that another service gave already; tells which.
fn is_second(target: &str, component: &Component, config: &str, service: &str, taken: &mut Taken, tell: &mut dyn FnMut(&str)) -> bool {
    let holds = config.strip_prefix(target).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if !holds || component.usual.is_empty() {
        return false;
    }
    match taken.configured.iter().find(|(program, _)| *program == component.name) {
        Some((_, first)) if first != service => {
            tell(first);
            true
        }
        Some(_) => false,
        None => {
            taken.configured.push((component.name, service.to_owned()));
            false
        }
    }
}

/// Where a mount can be seen beside those that there are, because Compose refuses two of one place; and what has to be done about it.
fn place(source: &str, target: String, service: &str, taken: &Taken) -> Result<(String, Option<String>), String> {
    let there = |target: &str| taken.mounts.iter().any(|m| m.target == target && m.source != source);
    if !there(&target) {
        return Ok((target, None));
    }
    match target.strip_prefix(MONITORING).map(|rest| format!("{MONITORING}/{service}{rest}")) {
        Some(other) if !there(&other) => {
            let note = format!("{source} is seen at {other}, because something else is at {target}: name it there in the configuration that is taken over");
            Ok((other, Some(note)))
        }
        _ => Err(format!("{source} is not taken over: something else is at {target} already")),
    }
}

/// Secrets are files that configuration names, so they stay where they are.
fn secrets(node: &Node, taken: &mut Taken) {
    for entry in crate::document::items(node, "secrets") {
        let written = match entry.entries() {
            Some(entries) => entries.iter().filter_map(|(key, value)| Some(format!("{}: {}", key.text, quoted(value.text()?)))).collect::<Vec<_>>().join(", "),
            None => entry.text().unwrap_or_default().to_owned(),
        };
        match entry.entries() {
            Some(_) => once(&mut taken.secrets, format!("{{{written}}}")),
            None if !written.is_empty() => once(&mut taken.secrets, written),
            None => {}
        }
    }
}

/// The configuration file that the program reads, inside its container.
fn config_file(service: &Service<'_>, component: &Component) -> String {
    let named = flags(service).into_iter().find(|f| becomes(component.name, &f.name) == Some(Becomes::Config)).and_then(|f| f.value);
    let alloy = || service.words.iter().map(|(w, _)| w).find(|w| w.ends_with(".alloy") && w.starts_with('/')).cloned();
    let home = component.usual.split('.').next().unwrap_or_default();
    // Bitnami has places of its own.
    let bitnami = || match home {
        "prometheus" | "grafana" => Some(format!("/opt/bitnami/{home}/conf/{}", component.usual)),
        "alertmanager" => Some("/opt/bitnami/alertmanager/conf/config.yml".to_owned()),
        _ => None,
    };
    // A file of the usual name that lies elsewhere is meant by an image that is built so.
    let holds = |path: &str| path == component.config || component.config.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
    let mounted = || service.mounts.iter().filter(|m| m.is_path()).map(|m| &m.target).chain(service.configs.iter().map(|c| &c.target));
    let elsewhere = || mounted().find(|path| !component.usual.is_empty() && path.ends_with(&format!("/{}", component.usual))).cloned();
    let usual = || {
        let by_owner = bitnami().filter(|_| service.image.contains("bitnami"));
        by_owner.or_else(|| elsewhere().filter(|_| !mounted().any(|path| holds(path))))
    };
    named.or_else(alloy).or_else(usual).unwrap_or_else(|| component.config.to_owned())
}

/// A configuration file gets the usual name of its kind in the monitoring directory, a directory keeps its own, and everything else
/// stays where it is.
fn seen_at(source: &str, target: &str, component: &Component, config: &str, warn: &mut dyn FnMut(String)) -> String {
    let home = component.usual.split('.').next().unwrap_or_default();
    if target == config && !component.usual.is_empty() {
        return format!("{MONITORING}/{home}/{}", component.usual);
    }
    let inside = config.strip_prefix(target).filter(|rest| rest.starts_with('/'));
    if let Some(rest) = inside {
        let file = rest.trim_start_matches('/');
        if !component.usual.is_empty() && !is_usual(file, component.usual) {
            let key = if home == "config" { "alloy".to_owned() } else { home.replace('-', "_") };
            warn(format!(
                "{file} in {source} is found under its usual name only: call it {}, or say {key}: {MONITORING}{}/{file} in watchfire.yml",
                component.usual,
                tail(target)
            ));
        }
    }
    // What programs read beside their configuration: rules, templates, provisioning, dashboards.
    if target.starts_with("/etc/")
        && !["/etc/localtime", "/etc/timezone", "/etc/machine-id", "/etc/hostname", "/etc/os-release", "/etc/passwd"].contains(&target)
        || inside.is_some()
        || target.contains("dashboards")
    {
        return format!("{MONITORING}{}", tail(target));
    }
    target.to_owned()
}

/// Whether a name is one that a monitoring directory is searched for.
fn is_usual(file: &str, usual: &str) -> bool {
    let (start, extension) = usual.split_once('.').unwrap_or((usual, ""));
    match extension {
        "yml" => file.starts_with(start) && (file.ends_with(".yml") || file.ends_with(".yaml")),
        _ => file.ends_with(&format!(".{extension}")),
    }
}

/// A path without `/etc` and without the directories of data.
fn tail(path: &str) -> String {
    let rest = path.strip_prefix("/etc").or_else(|| path.strip_prefix("/var/lib")).or_else(|| path.strip_prefix("/usr/share")).unwrap_or(path);
    rest.trim_end_matches('/').to_owned()
}
