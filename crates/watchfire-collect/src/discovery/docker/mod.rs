//! `docker_sd_configs`: every port of every running container is a target, by the labels of Prometheus. The engine, Docker or Podman, is only
//! asked, by its socket or over HTTP. While it does not answer, its last good targets stay.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;
use watchfire_model::document::{Node, Reader};
use watchfire_model::meter::Meter;

use super::glob::Lookup;
use super::{ADDRESS, Discovery, Mechanism, Place, Running, Surroundings, TargetGroup, Update, left_out};
use crate::engine::{self, ANSWER_BYTES_MAX, TIMEOUT, container, list_path};
use crate::scrape::config::{HttpOptions, read_http_options};
use crate::scrape::fetch::Request;

/// The registry entry.
pub const MECHANISM: Mechanism = Mechanism { key: "docker_sd_configs", read };

/// How often containers are listed when the file does not say.
pub const REFRESH_MS_DEFAULT: u64 = 60_000;
/// Targets of one entry.
pub const TARGETS_MAX: usize = 10_000;
/// Containers whose network another may share, one after the other.
const SHARED_MAX: usize = 16;

/// Where the engine is.
#[derive(Clone, Debug)]
enum Host {
    Socket(PathBuf),
    Url(String),
}

/// One entry of `docker_sd_configs`.
pub struct DockerDiscovery {
    host: Host,
    source: String,
    filters: Vec<(String, Vec<String>)>,
    port: u16,
    host_networking_host: String,
    match_first_network: bool,
    refresh_ms: u64,
    options: Arc<HttpOptions>,
}

fn read(place: &Place<'_>, node: &Node) -> Vec<Arc<dyn Discovery>> {
    place.each(node, |reader| read_one(reader, place.lookup))
}

fn read_one(reader: &Reader<'_>, lookup: &Lookup) -> Option<DockerDiscovery> {
    let source = reader.required_text("host");
    let host = match source.split_once("://") {
        Some(("unix", path)) => {
            if let Some(problem) = engine::socket_problem(path.as_ref()) {
                reader.warning_at("host", problem);
            }
            Some(Host::Socket(path.into()))
        }
        Some(("tcp", rest)) => Some(Host::Url(format!("http://{rest}"))),
        Some(("http" | "https", _)) => Some(Host::Url(source.trim_end_matches('/').to_owned())),
        _ if source.is_empty() => None,
        _ => {
            reader.error_at("host", "must begin with unix://, tcp://, http:// or https://");
            None
        }
    };
    let mut filters = Vec::new();
    for filter in reader.maps("filters") {
        filters.push((filter.required_text("name"), filter.texts("values", false)));
        filter.finish();
    }
    let port = reader.u64("port").unwrap_or(80);
    if u16::try_from(port).is_err() {
        reader.error_at("port", "must be at most 65535");
    }
    Some(DockerDiscovery {
        source,
        filters,
        port: u16::try_from(port).unwrap_or(80),
        host_networking_host: reader.text("host_networking_host").unwrap_or_else(|| "localhost".to_owned()),
        match_first_network: reader.bool("match_first_network").unwrap_or(true),
        refresh_ms: reader.duration_ms("refresh_interval").filter(|ms| *ms > 0).unwrap_or(REFRESH_MS_DEFAULT),
        options: Arc::new(read_http_options(reader, lookup)),
        host: host?,
    })
}

type Labels = Vec<(String, String)>;

impl DockerDiscovery {
    /// The targets now, and how many more there would be.
    async fn look(&self, outside: &Surroundings) -> Result<(TargetGroup, u64), String> {
        let networks = self.ask("/networks", outside).await?;
        let containers = self.ask(&list_path(&self.filters), outside).await?;
        Ok(self.group(&containers, &networks))
    }

    async fn ask(&self, path: &str, outside: &Surroundings) -> Result<Value, String> {
        match &self.host {
            Host::Socket(socket) => {
                let answer = engine::ask(socket, path).await.map_err(|error| error.to_string())?;
                answer.ok_or_else(|| format!("the engine knows no {path}"))
            }
            Host::Url(url) => {
                let request = Request {
                    url: format!("{url}{path}"),
                    headers: vec![("User-Agent".to_owned(), concat!("Watchfire/", env!("CARGO_PKG_VERSION")).to_owned())],
                    options: self.options.clone(),
                    timeout: TIMEOUT,
                    body_bytes_max: ANSWER_BYTES_MAX as u64,
                };
                let answer = outside.fetch.get(request).await.map_err(|error| error.to_string())?;
                if answer.status != 200 {
                    return Err(format!("server returned HTTP status {}", answer.status));
                }
                serde_json::from_slice(&answer.body).map_err(|error| format!("the engine's answer is no JSON: {error}"))
            }
        }
    }

    fn group(&self, containers: &Value, networks: &Value) -> (TargetGroup, u64) {
        let of_networks: HashMap<&str, Labels> = items(networks).iter().filter_map(|network| Some((text(network, "Id")?, of_network(network)))).collect();
        let by_id: HashMap<&str, &Value> = items(containers).iter().filter_map(|item| Some((text(item, "Id")?, item))).collect();
        let mut targets = Found::default();
        for item in items(containers) {
            let name = container::name(item);
            if name.is_empty() {
                continue;
            }
            let mode = mode(item);
            let mut common = vec![
                ("__meta_docker_container_id".to_owned(), text(item, "Id").unwrap_or_default().to_owned()),
                ("__meta_docker_container_name".to_owned(), name),
                ("__meta_docker_container_network_mode".to_owned(), mode.to_owned()),
            ];
            common
                .extend(container::given(item).map(|(key, value)| (format!("__meta_docker_container_label_{}", container::sanitized(key)), value.to_owned())));
            let mut joined = joined(item, &by_id);
            if self.match_first_network {
                joined = joined.into_iter().take(1).collect();
            }
            for about in joined.values() {
                let ip = text(about, "IPAddress").unwrap_or_default();
                let mut labels = common.clone();
                labels.push(("__meta_docker_network_ip".to_owned(), ip.to_owned()));
                labels.extend(text(about, "NetworkID").and_then(|id| of_networks.get(id)).into_iter().flatten().cloned());
                self.add(item, mode, ip, &labels, &mut targets);
            }
        }
        (TargetGroup { source: self.source.clone(), targets: targets.taken, labels: Vec::new() }, targets.left_out)
    }

    /// Adds a target for each port of a container in one network, or one for all of it.
    fn add(&self, item: &Value, mode: &str, ip: &str, labels: &Labels, targets: &mut Found) {
        let mut alone = true;
        for port in item.get("Ports").map(items).unwrap_or_default() {
            let number = |key: &str| port.get(key).and_then(Value::as_u64).filter(|n| *n > 0);
            let (Some("tcp"), Some(private)) = (text(port, "Type"), number("PrivatePort")) else { continue };
            alone = false;
            if targets.is_full() {
                continue;
            }
            let mut target = labels.clone();
            target.push(("__meta_docker_port_private".to_owned(), private.to_string()));
            if let Some(public) = number("PublicPort") {
                target.push(("__meta_docker_port_public".to_owned(), public.to_string()));
                target.push(("__meta_docker_port_public_ip".to_owned(), text(port, "IP").unwrap_or_default().to_owned()));
            }
            target.push((ADDRESS.to_owned(), joined_address(ip, private)));
            targets.taken.push(target);
        }
        if alone && !targets.is_full() {
            // Whoever uses the machine's own network shows no ports.
            let address = if mode == "host" { self.host_networking_host.clone() } else { joined_address(ip, u64::from(self.port)) };
            let mut target = labels.clone();
            target.push((ADDRESS.to_owned(), address));
            targets.taken.push(target);
        }
    }
}

/// What was found, as much as there is room for.
#[derive(Default)]
struct Found {
    taken: Vec<Labels>,
    left_out: u64,
}
impl Found {
    /// Whether one more is one too many, which is counted.
    fn is_full(&mut self) -> bool {
        let full = self.taken.len() >= TARGETS_MAX;
        self.left_out += u64::from(full);
        full
    }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

fn mode(item: &Value) -> &str {
    item.pointer("/HostConfig/NetworkMode").and_then(Value::as_str).unwrap_or_default()
}

fn joined_address(ip: &str, port: u64) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

/// The networks of a container by name, or those of the one whose network it shares.
fn joined<'a>(item: &'a Value, by_id: &HashMap<&str, &'a Value>) -> BTreeMap<&'a str, &'a Value> {
    let mut at = item;
    for _ in 0..SHARED_MAX {
        let networks = at.pointer("/NetworkSettings/Networks").and_then(Value::as_object).into_iter().flatten();
        let networks: BTreeMap<&str, &Value> = networks.filter(|(_, about)| !about.is_null()).map(|(name, about)| (name.as_str(), about)).collect();
        if !networks.is_empty() {
            return networks;
        }
        let Some(other) = mode(at).strip_prefix("container:").and_then(|id| by_id.get(id)) else { break };
        at = other;
    }
    BTreeMap::new()
}

fn of_network(network: &Value) -> Labels {
    let flag = |key: &str| network.get(key).and_then(Value::as_bool).unwrap_or(false).to_string();
    let word = |key: &str| text(network, key).unwrap_or_default().to_owned();
    let mut labels = vec![
        ("__meta_docker_network_id".to_owned(), word("Id")),
        ("__meta_docker_network_name".to_owned(), word("Name")),
        ("__meta_docker_network_scope".to_owned(), word("Scope")),
        ("__meta_docker_network_internal".to_owned(), flag("Internal")),
        ("__meta_docker_network_ingress".to_owned(), flag("Ingress")),
    ];
    labels.extend(container::given(network).map(|(key, value)| (format!("__meta_docker_network_label_{}", container::sanitized(key)), value.to_owned())));
    labels
}

impl Discovery for DockerDiscovery {
    fn initial(&self, _meter: &Meter) -> Option<Vec<TargetGroup>> {
        None
    }
    fn run(self: Arc<Self>, from: usize, surroundings: Surroundings, updates: mpsc::Sender<Update>) -> Option<Running> {
        Some(Box::pin(async move {
            let help = "Questions to a container engine that failed; the last good targets are kept.";
            let failures = surroundings.meter.counter("watchfire_discovery_docker_errors_total", help, &[]);
            let left_out = left_out(&surroundings.meter, "docker");
            let mut last = None;
            loop {
                let looked = self.look(&surroundings).await.map(|(group, more)| {
                    left_out.add(more);
                    group
                });
                match looked {
                    Ok(group) if last.as_ref() == Some(&group) => {}
                    Ok(group) => {
                        last = Some(group.clone());
                        if updates.send(Update { from, groups: vec![group] }).await.is_err() {
                            return;
                        }
                    }
                    Err(reason) => {
                        failures.inc();
                        tracing::warn!(host = self.source, reason, "cannot list containers; the last good targets are kept");
                    }
                }
                tokio::time::sleep(Duration::from_millis(self.refresh_ms)).await;
            }
        }))
    }
}
