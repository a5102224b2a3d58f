//! Where lines come from: `loki.source.…` with what `discovery.docker` and `local.file_match` find for them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use watchfire_ingest::relabel::RelabelConfig;
use watchfire_model::document::Reader;

use super::flow::Flows;
use super::kinds::Kind;
use super::targets::{Origin, Targets};
use crate::logs::files::{Encoding, Glob, Group, LINE_BYTES_MAX};
use crate::logs::stages::Stage;
use crate::logs::{containers, files, journal, pushed, syslog};

/// Where Alloy listens for HTTP unless a file says so.
const HTTP_PORT: u16 = 8080;

/// Reads a source, where this is one.
pub(super) fn read(flows: &mut Flows<'_>, number: usize) {
    let kind = flows.kind(number);
    if !matches!(kind, Kind::SourceDocker | Kind::SourceFile | Kind::SourceJournal | Kind::SourceApi | Kind::SourceSyslog) || flows.settings[number].is_none() {
        return;
    }
    flows.leads_to.clear();
    let before = origins(flows);
    let stages = flows.forward(number);
    if stages.is_none() {
        flows.warn(flows.place(number), format!("{}: its lines lead nowhere, so nothing is read", flows.id(number)));
    }
    match kind {
        Kind::SourceDocker => docker(flows, number, stages),
        Kind::SourceFile => file(flows, number, stages),
        Kind::SourceJournal => journal(flows, number, stages),
        Kind::SourceSyslog => listeners(flows, number, stages),
        _ => pushed(flows, number, stages),
    }
    // Only what leads to an output goes there.
    let fresh: Vec<String> = origins(flows).difference(&before).cloned().collect();
    for output in std::mem::take(&mut flows.leads_to) {
        if let Some(output) = flows.collected.outputs.get_mut(output) {
            output.sources.extend(fresh.iter().cloned());
        }
    }
}

fn origins(flows: &Flows<'_>) -> BTreeSet<String> {
    flows.collected.origins()
}

/// The name under which places are kept.
fn name(flows: &Flows<'_>, number: usize) -> String {
    format!("alloy/{}", flows.id(number))
}

fn docker(flows: &mut Flows<'_>, number: usize, stages: Option<Vec<Stage>>) {
    let relabel = flows.relabel_rules(number);
    let read = flows.read(number, &[], |reader| {
        let host = reader.required_text("host");
        let labels: BTreeMap<String, String> = reader.text_map("labels").into_iter().collect();
        reader.allow(&["targets", "forward_to", "relabel_rules", "refresh_interval", "http_client_config", "max_backoff", "min_backoff"]);
        (socket(reader, "host", &host), labels)
    });
    let targets = flows.targets(number, "targets");
    let (Some((socket, labels)), Some(stages)) = (read, stages) else { return };
    let mut discovered = HashMap::new();
    for Targets { origin, rules, at } in targets {
        let from = match origin {
            Origin::Found(from) if flows.kind(from) == Kind::DiscoverDocker => from,
            _ => {
                flows.warn(at, format!("{}: only containers that discovery.docker finds are read", flows.id(number)));
                continue;
            }
        };
        if flows.settings[from].is_none() {
            continue;
        }
        let Some(found) = discovered.entry(from).or_insert_with(|| discover(flows, from)).clone() else { continue };
        if let Some(socket) = socket.as_ref().filter(|socket| **socket != found.socket) {
            flows.warn(
                at,
                format!("{}: containers are found through {} and read there, not through {}", flows.id(number), found.socket.display(), socket.display()),
            );
        }
        let source = containers::Source {
            name: flows.collected.free_name(format!("{}/{}", name(flows, number), found.socket.display())),
            socket: found.socket,
            filters: found.filters,
            refresh: found.refresh,
            discovery: rules,
            labels: labels.clone(),
            relabel: relabel.clone(),
            stages: stages.clone(),
        };
        flows.collected.containers.push(source);
    }
}

/// How containers are found.
#[derive(Clone)]
struct Discovered {
    socket: std::path::PathBuf,
    filters: Vec<(String, Vec<String>)>,
    refresh: Duration,
}

fn discover(flows: &Flows<'_>, number: usize) -> Option<Discovered> {
    let found = flows.read(number, &["filter"], |reader| {
        let host = reader.required_text("host");
        let mut filters = Vec::new();
        for filter in reader.maps("filter") {
            filters.push((filter.required_text("name"), filter.texts("values", false)));
            filter.finish();
        }
        let refresh = Duration::from_millis(reader.duration_ms("refresh_interval").unwrap_or(60_000).max(1_000));
        let ports = ["port", "host_networking_host", "match_first_network", "follow_redirects", "enable_http2"];
        reader.allow(&ports);
        reader.allow(&["basic_auth", "authorization", "oauth2", "tls_config", "bearer_token", "bearer_token_file", "proxy_url"]);
        let socket = socket(reader, "host", &host)?;
        if let Some(problem) = containers::socket_problem(&socket) {
            reader.warning_at("host", problem);
        }
        Some(Discovered { socket, filters, refresh })
    });
    found.flatten()
}

/// The socket behind a host's address.
fn socket(reader: &Reader<'_>, key: &str, host: &str) -> Option<std::path::PathBuf> {
    let socket = host.strip_prefix("unix://").map(Into::into);
    if socket.is_none() && !host.is_empty() {
        reader.warning_at(key, "only unix:// sockets are read; nothing comes from there");
    }
    socket
}

fn file(flows: &mut Flows<'_>, number: usize, stages: Option<Vec<Stage>>) {
    let read = flows.read(number, &[], |reader| {
        let encoding = reader.text("encoding").filter(|text| !text.is_empty()).map_or(Encoding::Utf8, |text| {
            Encoding::from_name(&text).unwrap_or_else(|| {
                reader.warning_at("encoding", format!("lines in {text} are not read here; they are taken for UTF-8"));
                Encoding::Utf8
            })
        });
        let from_end = reader.bool("tail_from_end").unwrap_or(false);
        let positions = reader.text("legacy_positions_file").map(|path| crate::logs::promtail::kept_positions(&flows.outside.lookup.join(&path)));
        reader.allow(&["targets", "forward_to", "decompression", "file_watch", "file_match", "on_positions_file_error"]);
        (encoding, from_end, positions.unwrap_or_default())
    });
    let targets = flows.targets(number, "targets");
    let (Some((encoding, from_end, positions)), Some(stages)) = (read, stages) else { return };
    let mut groups = Vec::new();
    for targets in targets {
        of_targets(flows, number, targets, &mut groups);
    }
    for group in &mut groups {
        group.from_end = from_end;
    }
    if groups.is_empty() {
        flows.warn(flows.place(number), format!("{}: none of its targets names a file, so nothing is read", flows.id(number)));
        return;
    }
    flows.collected.files.push(files::Source {
        name: name(flows, number),
        groups,
        stages,
        encoding,
        line_bytes_max: LINE_BYTES_MAX,
        skip_empty: false,
        path_label: Some("filename".to_owned()),
        foreign_positions: crate::logs::promtail::positions_of_files(&positions),
    });
}

/// The files of one list of targets.
fn of_targets(flows: &mut Flows<'_>, number: usize, targets: Targets, groups: &mut Vec<Group>) {
    match targets.origin {
        Origin::Fixed(ref labels) => groups.extend(group(flows, number, &targets, labels, Vec::new(), None)),
        Origin::Found(from) if flows.kind(from) == Kind::FileMatch => {
            let older = flows.read(from, &[], |reader| {
                reader.allow(&["path_targets", "sync_period"]);
                reader.duration_ms("ignore_older_than").filter(|ms| *ms > 0).map(Duration::from_millis)
            });
            if flows.settings[from].is_none() {
                return;
            }
            for matched in flows.targets(from, "path_targets") {
                match &matched.origin {
                    Origin::Fixed(labels) => groups.extend(group(flows, from, &matched, labels, targets.rules.clone(), older.flatten())),
                    Origin::Found(of) => flows.warn(matched.at, format!("{}: files that {} finds are not read", flows.id(from), flows.id(*of))),
                }
            }
        }
        Origin::Found(from) => flows.warn(targets.at, format!("{}: files that {} finds are not read", flows.id(number), flows.id(from))),
    }
}

fn group(
    flows: &Flows<'_>,
    number: usize,
    at: &Targets,
    labels: &BTreeMap<String, String>,
    relabel: Vec<RelabelConfig>,
    older: Option<Duration>,
) -> Option<Group> {
    let glob = |name: &str| {
        let text = labels.get(name).filter(|text| !text.is_empty())?;
        Glob::new(text).map_err(|error| flows.error(at.at, format!("{}: {name}: {error}", flows.id(number)))).ok()
    };
    let path = glob("__path__");
    if path.is_none() {
        flows.warn(at.at, format!("{}: the target has no __path__, so it names no file", flows.id(number)));
    }
    let excludes = glob("__path_exclude__").into_iter().collect();
    Some(Group { paths: vec![path?], excludes, labels: labels.clone(), relabel, ignore_older: older, ..Group::default() })
}

fn journal(flows: &mut Flows<'_>, number: usize, stages: Option<Vec<Stage>>) {
    let relabel = flows.relabel_rules(number);
    let name = name(flows, number);
    let read = flows.read(number, &[], |reader| {
        reader.allow(&["forward_to", "relabel_rules"]);
        if reader.raw("legacy_position").is_some() {
            reader.warning_at("legacy_position", "is not taken over; the journal is read from max_age on");
        }
        journal::Source {
            name,
            labels: reader.text_map("labels").into_iter().collect(),
            relabel,
            stages: Vec::new(),
            as_json: reader.bool("format_as_json").unwrap_or(false),
            max_age: Duration::from_millis(reader.duration_ms("max_age").unwrap_or(7 * 3_600_000)),
            directory: reader.text("path").filter(|path| !path.is_empty()).map(Into::into),
            matches: reader.text("matches").unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
            cursor: None,
        }
    });
    if let (Some(source), Some(stages)) = (read, stages) {
        flows.collected.journals.push(journal::Source { stages, ..source });
    }
}

/// Addresses for syslog.
fn listeners(flows: &mut Flows<'_>, number: usize, stages: Option<Vec<Stage>>) {
    let relabel = flows.relabel_rules(number);
    let name = name(flows, number);
    let read = flows.read(number, &["listener"], |reader| {
        reader.allow(&["forward_to", "relabel_rules"]);
        let mut all = Vec::new();
        for listener in reader.maps("listener") {
            let address = syslog::address(&listener, "address", "");
            let tls = listener.map("tls_config").and_then(|tls| syslog::tls(tls, ["cert_file", "key_file", "ca_file"]));
            let source = address.map(|address| syslog::Source {
                name: name.clone(),
                address,
                datagrams: listener.word("protocol", &["tcp", "udp"]) == Some("udp"),
                tls,
                labels: listener.text_map("labels").into_iter().collect(),
                relabel: relabel.clone(),
                use_incoming_timestamp: listener.bool("use_incoming_timestamp").unwrap_or(false),
                structured_data: listener.bool("label_structured_data").unwrap_or(false),
                whole: listener.bool("use_rfc5424_message").unwrap_or(false),
                stages: Vec::new(),
            });
            // Both formats are told apart line by line, and connections rest for ten minutes at most.
            listener.allow(&["idle_timeout", "max_message_length", "syslog_format", "rfc3164_default_to_current_year"]);
            listener.finish();
            all.extend(source);
        }
        all
    });
    let (Some(sources), Some(stages)) = (read, stages) else { return };
    for source in sources {
        let name = flows.collected.free_name(source.name.clone());
        flows.collected.syslog.push(syslog::Source { name, stages: stages.clone(), ..source });
    }
}

/// An address for pushes.
fn pushed(flows: &mut Flows<'_>, number: usize, stages: Option<Vec<Stage>>) {
    let relabel = flows.relabel_rules(number);
    let name = name(flows, number);
    let read = flows.read(number, &[], |reader| {
        // Limits and patience are our own, and nobody pushes by gRPC, which only opens a port in Alloy.
        reader.allow(&["grpc", "forward_to", "relabel_rules", "graceful_shutdown_timeout", "max_send_message_size"]);
        let http = reader.map("http");
        let tls = http.as_ref().and_then(|http| http.map("tls")).and_then(|tls| syslog::tls(tls, ["cert_file", "key_file", "client_ca_file"]));
        let address = match http {
            None => Some(SocketAddr::from(([0, 0, 0, 0], HTTP_PORT))),
            Some(http) => {
                let address = pushed::address(&http, ["listen_address", "listen_port"], Some(HTTP_PORT));
                http.allow(&["conn_limit", "server_read_timeout", "server_write_timeout", "server_idle_timeout"]);
                http.finish();
                address
            }
        };
        let labels = reader.text_map("labels").into_iter().collect();
        let use_incoming_timestamp = reader.bool("use_incoming_timestamp").unwrap_or(false);
        Some(pushed::Source { name, address: address?, tls, labels, relabel, use_incoming_timestamp, stages: Vec::new() })
    });
    if let (Some(Some(source)), Some(stages)) = (read, stages) {
        let name = flows.collected.free_name(source.name.clone());
        flows.collected.pushed.push(pushed::Source { name, stages, ..source });
    }
}
