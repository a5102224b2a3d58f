//! One item of `scrape_configs`: where lines come from, and what they go through.

use std::collections::BTreeMap;
use std::time::Duration;

use watchfire_ingest::relabel::{self, RelabelConfig, Verdict};
use watchfire_model::document::Reader;
use watchfire_model::labels::LabelsBuilder;

use super::super::files::{Encoding, Glob, Group, Source};
use super::super::{Collected, containers, journal, pushed, stages, syslog};
use super::{positions_of_files, stages as pipelines};

/// Sources of Promtail that are known by name and not read here.
const UNSUPPORTED: [&str; 11] = [
    "azure_event_hubs",
    "cloudflare",
    "consul_sd_configs",
    "consulagent_sd_configs",
    "file_sd_configs",
    "gcplog",
    "gelf",
    "heroku_drain",
    "kafka",
    "kubernetes_sd_configs",
    "windows_events",
];

/// What a server has besides its address. Limits and patience are our own, and nobody pushes by gRPC, which only opens a port there.
const SERVER_KEYS: [&str; 34] = [
    "http_listen_network",
    "http_listen_conn_limit",
    "http_path_prefix",
    "http_server_read_timeout",
    "http_server_read_header_timeout",
    "http_server_write_timeout",
    "http_server_idle_timeout",
    "http_log_closed_connections_without_response_enabled",
    "grpc_listen_network",
    "grpc_listen_address",
    "grpc_listen_port",
    "grpc_listen_conn_limit",
    "grpc_tls_config",
    "grpc_server_max_recv_msg_size",
    "grpc_server_max_send_msg_size",
    "grpc_server_max_concurrent_streams",
    "grpc_server_max_connection_idle",
    "grpc_server_max_connection_age",
    "grpc_server_max_connection_age_grace",
    "grpc_server_keepalive_time",
    "grpc_server_keepalive_timeout",
    "grpc_server_min_time_between_pings",
    "grpc_server_ping_without_stream_allowed",
    "tls_cipher_suites",
    "tls_min_version",
    "register_instrumentation",
    "graceful_shutdown_timeout",
    "log_format",
    "log_level",
    "log_source_ips_enabled",
    "log_request_headers",
    "profiling_enabled",
    "health_check_target",
    "disable",
];

/// Reads one item.
pub(super) fn read(job: Reader<'_>, positions: &BTreeMap<String, String>, line_bytes_max: usize, out: &mut Collected) {
    let name = job.text("job_name").unwrap_or_default();
    let pipeline = pipelines::read(job.context(), job.raw("pipeline_stages"), &job.path_of("pipeline_stages"));
    let rules = relabel::read_list(job.context(), job.raw("relabel_configs"), &job.path_of("relabel_configs"));
    let encoding = match job.text("encoding") {
        None => Encoding::Utf8,
        Some(text) => Encoding::from_name(&text).unwrap_or_else(|| {
            job.warning_at("encoding", format!("lines in {text} are not read here; they are taken for UTF-8"));
            Encoding::Utf8
        }),
    };
    job.allow(&["decompression"]);
    let mut any = false;
    for targets in job.maps("static_configs") {
        any = true;
        let source = Source {
            name: format!("promtail/{name}"),
            groups: Vec::new(),
            stages: pipeline.stages.clone(),
            encoding,
            line_bytes_max,
            skip_empty: false,
            path_label: Some("filename".to_owned()),
            foreign_positions: positions_of_files(positions),
        };
        read_static(targets, &rules, source, out);
    }
    if let Some(reader) = job.map("journal") {
        any = true;
        out.journals.push(read_journal(reader, &name, &rules, pipeline.stages.clone(), positions));
    }
    for reader in job.maps("docker_sd_configs") {
        any = true;
        if let Some(mut source) = read_docker(reader, &rules, &pipeline.stages) {
            source.name = out.free_name(format!("promtail/{name}/{}", source.socket.display()));
            out.containers.push(source);
        }
    }
    if let Some(reader) = job.map("syslog") {
        any = true;
        if let Some(mut source) = read_syslog(&reader, &rules, &pipeline.stages) {
            source.name = out.free_name(format!("promtail/{name}"));
            out.syslog.push(source);
        }
        reader.finish();
    }
    if let Some(reader) = job.map("loki_push_api") {
        any = true;
        if let Some(mut source) = read_pushed(&reader, &rules, &pipeline.stages) {
            source.name = out.free_name(format!("promtail/{name}"));
            out.pushed.push(source);
        }
        reader.finish();
    }
    for key in UNSUPPORTED {
        if job.raw(key).is_some() {
            any = true;
            job.warning_at(key, "is not carried out yet; the job reads nothing from there");
        }
    }
    if !any {
        let node = job.node();
        job.context().warning(node.line, node.column, format!("job {name:?} reads nothing: none of its keys says where lines come from"));
    }
    out.metrics.extend(pipeline.metrics);
    job.finish();
}

/// Static targets: their labels, with `__path__` for the files.
fn read_static(targets: Reader<'_>, rules: &[RelabelConfig], mut source: Source, out: &mut Collected) {
    let addresses = targets.texts("targets", false);
    let labels = targets.text_map("labels");
    let mut builder = LabelsBuilder::new();
    builder.set("__address__", addresses.first().map_or("localhost", String::as_str));
    for (name, value) in &labels {
        builder.set(name, value);
    }
    let kept = relabel::apply(rules, &mut builder) == Verdict::Keep;
    let (path, exclude) = (builder.get("__path__").to_owned(), builder.get("__path_exclude__").to_owned());
    if path.is_empty() {
        targets.warning_at("labels", "there is no label __path__, so no file is read");
    }
    let glob = |text: &str| match Glob::new(text) {
        Ok(glob) => Some(glob),
        Err(error) => {
            targets.error_at("labels", error.to_string());
            None
        }
    };
    let group = Group {
        paths: Some(&path).filter(|p| !p.is_empty()).and_then(|p| glob(p)).into_iter().collect(),
        excludes: Some(&exclude).filter(|p| !p.is_empty()).and_then(|p| glob(p)).into_iter().collect(),
        labels: visible(&builder),
        ..Group::default()
    };
    if kept && !group.paths.is_empty() {
        // By what it reads, not by its place among others, which may change.
        source.name = out.free_name(format!("{}/{path}", source.name));
        source.groups.push(group);
        out.files.push(source);
    }
    targets.finish();
}

/// The labels that lines get: those that do not begin with two underscores.
fn visible(builder: &LabelsBuilder) -> BTreeMap<String, String> {
    builder.pairs().filter(|(name, _)| !name.starts_with("__")).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
}

fn read_journal(reader: Reader<'_>, job: &str, rules: &[RelabelConfig], stages: Vec<stages::Stage>, positions: &BTreeMap<String, String>) -> journal::Source {
    let source = journal::Source {
        name: format!("promtail/{job}"),
        labels: reader.text_map("labels").into_iter().collect(),
        relabel: rules.to_vec(),
        stages,
        as_json: reader.bool("json").unwrap_or(false),
        max_age: Duration::from_millis(reader.duration_ms("max_age").unwrap_or(7 * 3_600_000)),
        directory: reader.text("path").filter(|p| !p.is_empty()).map(Into::into),
        matches: reader.text("matches").unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
        cursor: positions.get(&format!("journal-{job}")).cloned(),
    };
    reader.finish();
    source
}

/// An address for syslog.
fn read_syslog(reader: &Reader<'_>, rules: &[RelabelConfig], stages: &[stages::Stage]) -> Option<syslog::Source> {
    let address = syslog::address(reader, "listen_address", "0.0.0.0:1514");
    let datagrams = reader.word("listen_protocol", &["tcp", "udp"]) == Some("udp");
    let tls = reader.map("tls_config").and_then(|tls| syslog::tls(tls, ["cert_file", "key_file", "ca_file"]));
    let source = syslog::Source {
        name: String::new(),
        address: address?,
        datagrams,
        tls,
        labels: reader.text_map("labels").into_iter().collect(),
        relabel: rules.to_vec(),
        use_incoming_timestamp: reader.bool("use_incoming_timestamp").unwrap_or(false),
        structured_data: reader.bool("label_structured_data").unwrap_or(false),
        whole: reader.bool("use_rfc5424_message").unwrap_or(false),
        stages: stages.to_vec(),
    };
    // Both formats are told apart line by line, and connections rest for ten minutes at most.
    reader.allow(&["idle_timeout", "max_message_length", "syslog_format"]);
    Some(source)
}

/// An address for pushes.
fn read_pushed(reader: &Reader<'_>, rules: &[RelabelConfig], stages: &[stages::Stage]) -> Option<pushed::Source> {
    let server = reader.map("server");
    if server.is_none() {
        reader.error_at("server", "is missing: it says where to listen, as http_listen_port");
    }
    let server = server?;
    let address = pushed::address(&server, ["http_listen_address", "http_listen_port"], None);
    let tls = server.map("http_tls_config").and_then(|tls| syslog::tls(tls, ["cert_file", "key_file", "client_ca_file"]));
    server.allow(&SERVER_KEYS);
    server.finish();
    Some(pushed::Source {
        name: String::new(),
        address: address?,
        tls,
        labels: reader.text_map("labels").into_iter().collect(),
        relabel: rules.to_vec(),
        use_incoming_timestamp: reader.bool("use_incoming_timestamp").unwrap_or(false),
        stages: stages.to_vec(),
    })
}

/// Containers of an engine behind a socket in the file system.
fn read_docker(reader: Reader<'_>, rules: &[RelabelConfig], stages: &[stages::Stage]) -> Option<containers::Source> {
    let host = reader.required_text("host");
    let socket = host.strip_prefix("unix://").map(Into::into);
    if socket.is_none() && !host.is_empty() {
        reader.warning_at("host", "only unix:// sockets are read; nothing comes from there");
    }
    if let Some(problem) = host.strip_prefix("unix://").and_then(|path| containers::socket_problem(std::path::Path::new(path))) {
        reader.warning_at("host", problem);
    }
    let mut filters = Vec::new();
    for filter in reader.maps("filters") {
        filters.push((filter.required_text("name"), filter.texts("values", false)));
        filter.finish();
    }
    let refresh = Duration::from_millis(reader.duration_ms("refresh_interval").unwrap_or(60_000).max(1_000));
    reader.allow(&["port", "host_networking_host", "match_first_network"]);
    reader.finish();
    Some(containers::Source {
        name: String::new(),
        socket: socket?,
        filters,
        refresh,
        discovery: Vec::new(),
        labels: BTreeMap::new(),
        relabel: rules.to_vec(),
        stages: stages.to_vec(),
    })
}
