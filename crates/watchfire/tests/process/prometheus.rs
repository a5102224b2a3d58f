//! Real peers: Prometheus writes to us and both are asked the same; promtool asks us. Each test skips loudly without its peer.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::server::{Peer, Server, escape, free_port, installed, request, until, wait_ms};

/// Queries with the same meaning in Prometheus 2.42 and 3.x at a moment that is no sample's.
const QUERIES: [&str; 56] = [
    "up",
    "node_load1",
    "node_cpu_seconds_total",
    "sum(node_cpu_seconds_total)",
    "sum by (mode) (node_cpu_seconds_total)",
    "avg without (cpu) (node_cpu_seconds_total)",
    "count by (__name__) ({__name__=~\"node_memory_.*\"})",
    "rate(node_cpu_seconds_total[10s])",
    "sum by (mode) (rate(node_cpu_seconds_total[10s]))",
    "irate(node_cpu_seconds_total[10s])",
    "increase(node_context_switches_total[10s])",
    "delta(node_memory_MemFree_bytes[10s])",
    "deriv(node_memory_MemFree_bytes[10s])",
    "predict_linear(node_memory_MemFree_bytes[10s], 3600)",
    "resets(node_context_switches_total[10s])",
    "changes(node_memory_MemFree_bytes[10s])",
    "avg_over_time(node_memory_MemFree_bytes[10s])",
    "max_over_time(node_memory_MemFree_bytes[10s])",
    "min_over_time(node_memory_MemFree_bytes[10s])",
    "sum_over_time(node_load1[10s])",
    "count_over_time(node_load1[10s])",
    "stddev_over_time(node_memory_MemFree_bytes[10s])",
    "stdvar_over_time(node_load1[10s])",
    "quantile_over_time(0.9, node_memory_MemFree_bytes[10s])",
    "last_over_time(node_load1[10s])",
    "present_over_time(node_load1[10s])",
    "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes",
    "100 * (1 - avg by (instance) (rate(node_cpu_seconds_total{mode=\"idle\"}[10s])))",
    "node_memory_MemFree_bytes > 0",
    "node_memory_MemFree_bytes > bool 0",
    "node_load1 and node_load5",
    "node_load1 or node_load5",
    "node_load1 unless node_load5",
    "topk(3, node_cpu_seconds_total)",
    "bottomk(2, node_cpu_seconds_total)",
    "quantile(0.5, node_cpu_seconds_total)",
    "stddev(node_cpu_seconds_total)",
    "count_values(\"v\", up)",
    "group(node_cpu_seconds_total)",
    "histogram_quantile(0.9, sum by (le) (rate(prometheus_http_request_duration_seconds_bucket[10s])))",
    "histogram_quantile(0.5, prometheus_tsdb_compaction_chunk_size_bytes_bucket)",
    "label_replace(up, \"short\", \"$1\", \"instance\", \"(.*):.*\")",
    "label_join(up, \"both\", \"-\", \"job\", \"instance\")",
    "abs(-node_load1)",
    "ceil(node_load1) + floor(node_load5)",
    "clamp(node_load1, 0, 0.1)",
    "sqrt(node_memory_MemTotal_bytes)",
    "ln(node_memory_MemTotal_bytes)",
    "absent(no_such_metric{a=\"b\"})",
    "scalar(up{job=\"machine\"})",
    "node_cpu_seconds_total offset 3s",
    "max_over_time(rate(node_cpu_seconds_total[5s])[10s:1s])",
    "node_network_receive_bytes_total * on (device, instance) group_left () node_network_up",
    "timestamp(up)",
    "vector(1) + scalar(up{job=\"prom\"})",
    "sort_desc(node_filesystem_size_bytes)",
];

struct Stack {
    server: Server,
    prometheus: std::net::SocketAddr,
    _peers: Vec<Peer>,
    _dir: tempfile::TempDir,
}

/// Watchfire (with nothing to see of this machine itself) beside a Prometheus that scrapes a node exporter and writes to it.
fn stack() -> Option<Stack> {
    if !installed("prometheus") || !installed("prometheus-node-exporter") {
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[], &[("WATCHFIRE_HOST_ROOT", "/nonexistent")]);
    let (node, prom) = (free_port(), free_port());
    let config = format!(
        "global: {{scrape_interval: 1s}}\nremote_write:\n- url: {}/api/v1/write\n  queue_config: {{batch_send_deadline: 500ms}}\nscrape_configs:\n\
         - job_name: machine\n  static_configs: [{{targets: ['127.0.0.1:{node}']}}]\n- job_name: prom\n  static_configs: [{{targets: ['127.0.0.1:{prom}']}}]\n",
        server.url()
    );
    std::fs::write(dir.path().join("prometheus.yml"), config).unwrap();
    let quiet = |command: &mut Command| Peer(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let node_exporter = quiet(Command::new("prometheus-node-exporter").arg(format!("--web.listen-address=127.0.0.1:{node}")));
    let prometheus = quiet(
        Command::new("prometheus")
            .arg(format!("--config.file={}", dir.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("prom").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{prom}")),
    );
    Some(Stack { server, prometheus: format!("127.0.0.1:{prom}").parse().unwrap(), _peers: vec![node_exporter, prometheus], _dir: dir })
}

pub(crate) fn ask(address: std::net::SocketAddr, path: &str) -> Value {
    request(address, "GET", path, &[], b"").map_or(Value::Null, |a| serde_json::from_slice(&a.body).unwrap_or(Value::Null))
}

/// Series in a fixed order, values as numbers.
pub(crate) fn normal(answer: &Value) -> Vec<(String, Vec<f64>)> {
    let result = &answer["data"]["result"];
    if answer["data"]["resultType"] == "scalar" {
        return vec![(String::new(), vec![float(&result[1])])];
    }
    let mut rows: Vec<_> = result
        .as_array()
        .unwrap_or_else(|| panic!("{answer}"))
        .iter()
        .map(|row| {
            let mut labels: Vec<String> = row["metric"].as_object().unwrap().iter().map(|(k, v)| format!("{k}={v}")).collect();
            labels.sort();
            let points = row["values"].as_array().cloned().unwrap_or_else(|| vec![row["value"].clone()]);
            (labels.join(","), points.iter().flat_map(|p| [p[0].as_f64().unwrap(), float(&p[1])]).collect())
        })
        .collect();
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    rows
}

fn float(value: &Value) -> f64 {
    match value.as_str().unwrap_or("") {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        text => text.parse().unwrap_or(f64::NAN),
    }
}

pub(crate) fn alike(a: &[(String, Vec<f64>)], b: &[(String, Vec<f64>)]) -> bool {
    let close = |x: &f64, y: &f64| x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= 1e-9 * x.abs().max(y.abs());
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x.0 == y.0 && x.1.len() == y.1.len() && x.1.iter().zip(&y.1).all(|(p, q)| close(p, q)))
}

#[test]
fn a_real_prometheus_writes_to_us_and_both_answer_alike() {
    let Some(stack) = stack() else { return };
    let count = "count_over_time(node_load1[1m])";
    until("15 samples here", || stack.server.query(count, None), |r| r[0]["value"][1].as_str().and_then(|t| t.parse::<f64>().ok()) >= Some(15.0));
    let newest = stack.server.query("max(timestamp(node_load1))", None)[0]["value"][1].as_str().unwrap().parse::<f64>().unwrap();
    // Four seconds back everything has arrived; the odd fraction keeps window edges off the samples.
    let time = newest - 4.0 + 0.0137;
    wait_ms(1_500);
    let mut different = Vec::new();
    for query in QUERIES {
        let instant = format!("/api/v1/query?query={}&time={time:.4}", escape(query));
        let range = format!("/api/v1/query_range?query={}&start={:.4}&end={time:.4}&step=1.7", escape(query), time - 6.8);
        for path in [instant, range] {
            let (theirs, ours) = (ask(stack.prometheus, &path), ask(stack.server.address, &path));
            assert_eq!(ours["status"], "success", "{query}: {ours}");
            assert_eq!(ours["data"]["resultType"], theirs["data"]["resultType"], "{query}");
            if !alike(&normal(&theirs), &normal(&ours)) {
                different.push(format!("{query}\n  theirs {}\n  ours   {}", theirs["data"], ours["data"]).chars().take(1500).collect::<String>());
            }
        }
    }
    assert!(different.is_empty(), "{} answers differ:\n{}", different.len(), different.join("\n"));
    let matcher = "match[]=%7Bjob%3D%22machine%22%7D";
    for path in [format!("/api/v1/labels?{matcher}"), format!("/api/v1/label/device/values?{matcher}"), format!("/api/v1/label/__name__/values?{matcher}")] {
        assert_eq!(ask(stack.server.address, &path)["data"], ask(stack.prometheus, &path)["data"], "{path}");
    }
    promtool(&stack.server);
}

/// promtool's queries against us.
fn promtool(server: &Server) {
    if !installed("promtool") {
        return;
    }
    let url = server.url();
    let check = |arguments: &[&str], expected: &str| {
        let output = Command::new("promtool").args(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && text.contains(expected), "promtool {arguments:?}: {text}");
    };
    check(&["query", "instant", &url, "up"], "up{");
    check(&["query", "range", "--step=1s", &url, "node_load1"], "node_load1{");
    check(&["query", "series", "--match=node_load1", &url], "node_load1");
    check(&["query", "labels", &url, "job"], "machine");
}
