//! The dashboards of packs: what the documents ask of them, whether Grafana takes them, and that no panel is without data where the three
//! systems report as they do. The expositions in `testdata/expositions` show what an hour brought.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use watchfire_model::document::{Node, parse_yaml};
use watchfire_model::labels::Labels;
use watchfire_model::logs::Nanos;
use watchfire_model::read::Budget;
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_pack::dashboards::BUILTIN;
use watchfire_query::logql::{self, Direction, LinesRequest};
use watchfire_query::promql::{Engine, Value, parse};
use watchfire_testkit::logs::Logs;
use watchfire_testkit::memory::Memory;

/// The end of the hour.
const NOW: i64 = 1_767_089_700_000;
const HOUR_MS: i64 = 3_600_000;
const STEP_MS: i64 = 15_000;

/// The three systems, each as its own job.
const SYSTEMS: [&str; 3] = ["vms", "pisovereign", "hsi"];

/// What a system stored within an hour. Counters rise evenly from nothing to what the exposition says.
fn fill(store: &Memory, system: &str) {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("testdata/expositions/{system}.txt"))).unwrap();
    let mut counts = false;
    for line in text.lines() {
        if let Some(told) = line.strip_prefix("# TYPE ") {
            counts = !told.ends_with(" gauge");
        }
        if line.starts_with('#') {
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let value: f64 = value.parse().unwrap();
        let labels = labels(series, system);
        let at = |time: i64| if counts { value * (time - (NOW - HOUR_MS)) as f64 / HOUR_MS as f64 } else { value };
        store.add_series(&labels, (0..=HOUR_MS / STEP_MS).map(|i| NOW - HOUR_MS + i * STEP_MS).map(|time| (time, at(time))));
    }
}

/// Labels of a line of an exposition, with job and instance of the system unless it says them.
fn labels(series: &str, system: &str) -> Labels {
    let (name, inside) = series.split_once('{').unwrap_or((series, "}"));
    let mut pairs = vec![("__name__".to_owned(), name.to_owned()), ("instance".to_owned(), format!("{system}:9090"))];
    for pair in inside.trim_end_matches('}').split("\",").filter(|p| !p.is_empty()) {
        let (label, value) = pair.split_once("=\"").unwrap();
        pairs.push((label.to_owned(), value.trim_end_matches('"').to_owned()));
    }
    if !pairs.iter().any(|(label, _)| label == "job") {
        pairs.push(("job".to_owned(), system.to_owned()));
    }
    Labels::from_pairs(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())))
}

fn stored(systems: &[&str]) -> Memory {
    let store = Memory::new();
    for system in systems {
        fill(&store, system);
    }
    store
}

fn budget() -> Budget {
    Budget::unlimited(ManualClock::new(Timestamp(NOW)))
}

/// A query as it is asked.
fn replaced(expr: &str) -> String {
    let values = [("$__rate_interval", "5m"), ("$__range", "1h"), ("$job", ".+"), ("$instance", ".+"), ("$search", "")];
    values.iter().fold(expr.to_owned(), |text, (name, value)| text.replace(name, value))
}

/// What a query gives: its last values, by labels. What is no number counts for nothing.
fn values(store: &Memory, expr: &str, instant: bool) -> Vec<f64> {
    let (engine, budget, expr) = (Engine::default(), budget(), replaced(expr));
    let answer = match instant {
        true => engine.instant(store, &*expr, Timestamp(NOW), &budget),
        false => engine.range(store, &*expr, Timestamp(NOW - HOUR_MS / 2), Timestamp(NOW), Duration::from_secs(60), &budget),
    };
    let all: Vec<f64> = match answer.unwrap_or_else(|error| panic!("{expr}: {error}")).value {
        Value::Scalar(point) => vec![point.value],
        Value::Vector(samples) => samples.iter().map(|s| s.value).collect(),
        Value::Matrix(series) => series.iter().filter_map(|s| Some(s.points.last()?.value)).collect(),
        Value::String { .. } => Vec::new(),
    };
    all.into_iter().filter(|v| !v.is_nan()).collect()
}

/// Lines of containers.
fn lines() -> Logs {
    let logs = Logs::new();
    for (container, line, more) in
        [("backend", "ERROR cannot reach the detector", ""), ("ai-yolo26", "error: out of memory", "ERROR"), ("postgres", "duration: 5012 ms", "yes")]
    {
        let labels = Labels::from_pairs([("container", container), ("level", if more.is_empty() { "INFO" } else { "ERROR" }), ("pg_slow_query", more)]);
        logs.add_line(&labels, Nanos::from_millis(NOW - 60_000), line, &Labels::from_pairs([("", ""); 0]));
    }
    logs
}

/// How much a query over logs gives.
fn logged(logs: &Logs, expr: &str) -> usize {
    let engine = logql::Engine::default();
    let (start, end) = (Nanos::from_millis(NOW - HOUR_MS), Nanos::from_millis(NOW));
    match logql::parse(&replaced(expr)).unwrap_or_else(|error| panic!("{expr}: {error}")) {
        logql::Expr::Metric(metric) => match engine.range(logs, &metric, start, end, Duration::from_secs(60), &budget()).unwrap().value {
            Value::Matrix(series) => series.len(),
            _ => 0,
        },
        logql::Expr::Log(log) => {
            let wanted = LinesRequest { start, end, limit: 100, direction: Direction::Backward, interval: Duration::ZERO };
            engine.lines(logs, &log, &wanted, &budget()).unwrap().list.len()
        }
    }
}

fn text<'a>(node: &'a Node, key: &str) -> &'a str {
    node.get(key).and_then(Node::text).unwrap_or_default()
}
fn number(node: &Node, path: &[&str]) -> Option<f64> {
    path.iter().try_fold(node, |node, key| node.get(key))?.as_f64()
}
fn items<'a>(node: &'a Node, key: &str) -> &'a [Node] {
    node.get(key).and_then(Node::items).unwrap_or(&[])
}
/// The dashboard of a path's end.
fn board(path: &str) -> Node {
    let found = BUILTIN.iter().find(|b| b.path.ends_with(path)).unwrap_or_else(|| panic!("no {path}"));
    parse_yaml(found.path, &found.text()).unwrap()
}
fn panels(board: &Node) -> Vec<&Node> {
    items(board, "panels").iter().filter(|p| text(p, "type") != "row").collect()
}
fn titles(board: &Node) -> Vec<&str> {
    panels(board).iter().map(|p| text(p, "title")).collect()
}
#[track_caller]
fn panel<'a>(board: &'a Node, title: &str) -> &'a Node {
    panels(board).into_iter().find(|p| text(p, "title") == title).unwrap_or_else(|| panic!("no panel {title}"))
}
fn exprs(panel: &Node) -> Vec<&str> {
    items(panel, "targets").iter().map(|t| text(t, "expr")).collect()
}
fn is_loki(node: &Node) -> bool {
    node.get("datasource").is_some_and(|d| text(d, "type") == "loki")
}
/// The bounds of a panel's colours.
fn bounds(panel: &Node) -> Vec<f64> {
    let thresholds = ["fieldConfig", "defaults", "thresholds"].iter().try_fold(panel, |node, key| node.get(key)).unwrap();
    items(thresholds, "steps").iter().filter_map(|s| s.get("value")?.as_f64()).collect()
}
fn unit(panel: &Node) -> &str {
    ["fieldConfig", "defaults", "unit"].iter().try_fold(panel, |node, key| node.get(key)).and_then(Node::text).unwrap_or_default()
}

#[test]
fn no_panel_is_without_data() {
    let (store, logs) = (stored(&SYSTEMS), lines());
    let mut asked = 0;
    for shipped in BUILTIN {
        let board = parse_yaml(shipped.path, &shipped.text()).unwrap();
        for panel in panels(&board) {
            let name = format!("{}: {}", shipped.path, text(panel, "title"));
            assert!(!exprs(panel).is_empty(), "{name}");
            for target in items(panel, "targets") {
                let expr = text(target, "expr");
                let instant = target.get("instant").and_then(Node::as_bool) == Some(true);
                let found = if is_loki(target) { logged(&logs, expr) } else { values(&store, expr, instant).len() };
                assert!(found > 0, "{name}: {expr}");
                asked += 1;
            }
        }
    }
    assert!(asked > 130, "{asked}");
}

#[test]
fn grafana_takes_them() {
    let mut uids = BTreeSet::new();
    for shipped in BUILTIN {
        let board = parse_yaml(shipped.path, &shipped.text()).unwrap();
        assert!(uids.insert(text(&board, "uid").to_owned()) && text(&board, "uid").len() <= 40, "{}", shipped.path);
        assert!(board.get("id").is_some_and(Node::is_null) && number(&board, &["schemaVersion"]) == Some(39.0), "{}", shipped.path);
        let variables: Vec<&str> = items(board.get("templating").unwrap(), "list").iter().map(|v| text(v, "name")).collect();
        let mut ids = BTreeSet::new();
        let mut places: Vec<[f64; 4]> = Vec::new();
        for panel in items(&board, "panels") {
            let name = format!("{}: {}", shipped.path, text(panel, "title"));
            assert!(ids.insert(number(panel, &["id"]).unwrap() as u64), "{name}");
            let place = ["x", "y", "w", "h"].map(|key| number(panel, &["gridPos", key]).unwrap());
            assert!(place[0] + place[2] <= 24.0 && place[2] > 0.0 && place[3] > 0.0, "{name}");
            let apart = |a: &[f64; 4]| a[0] + a[2] <= place[0] || place[0] + place[2] <= a[0] || a[1] + a[3] <= place[1] || place[1] + place[3] <= a[1];
            assert!(places.iter().all(apart), "{name} lies over another");
            places.push(place);
            let mut references = BTreeSet::new();
            for target in items(panel, "targets") {
                assert!(references.insert(text(target, "refId").to_owned()), "{name}");
                let source = target.get("datasource").unwrap();
                let variable = text(source, "uid").trim_start_matches("${").trim_end_matches('}').to_owned();
                assert!(variables.contains(&&*variable), "{name}: {variable}");
                let expr = text(target, "expr");
                if !is_loki(target) && !expr.contains('$') {
                    assert!(parse(expr).is_ok(), "{name}: {expr}");
                }
                // Whoever imports it elsewhere has these variables, and no others.
                for used in expr.split('$').skip(1).map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()) {
                    assert!(used.starts_with("__") || variables.contains(&used), "{name}: ${used}");
                }
            }
        }
    }
    assert!(uids.len() >= 14, "{uids:?}");
}

#[test]
fn vms_15_the_system_overview_has_five_panels_and_its_bounds() {
    let board = board("vms/dashboards/system-overview.json");
    assert_eq!(text(&board, "title"), "System Overview");
    let mut found = titles(&board);
    found.sort_unstable();
    assert_eq!(found, ["Active Live Viewers", "Camera Status Grid", "Storage Capacity", "System Health Score", "Total Bandwidth Usage"]);
    assert_eq!(exprs(panel(&board, "Camera Status Grid")), ["sum(camera_connection_status) / count(camera_connection_status) * 100"]);
    assert_eq!(exprs(panel(&board, "Storage Capacity")), ["100 - (disk_space_free_bytes / disk_space_total_bytes * 100)"]);
    assert_eq!(exprs(panel(&board, "Active Live Viewers")), ["sum(stream_viewers_count)"]);
    assert_eq!(bounds(panel(&board, "Storage Capacity")), [70.0, 85.0, 95.0]);
    let kinds = ["Camera Status Grid", "Total Bandwidth Usage", "Storage Capacity", "System Health Score"].map(|t| text(panel(&board, t), "type"));
    assert_eq!(kinds, ["stat", "timeseries", "gauge", "gauge"]);
    let store = stored(&["vms"]);
    assert_eq!(values(&store, exprs(panel(&board, "Camera Status Grid"))[0], true), [75.0]);
    assert_eq!(values(&store, exprs(panel(&board, "Storage Capacity"))[0], true), [40.0, 60.0]);
}

#[test]
fn vms_16_the_health_score_is_made_of_its_four_parts() {
    let board = board("vms/dashboards/system-overview.json");
    let expr = exprs(panel(&board, "System Health Score"))[0];
    let score = |store: &Memory| values(store, expr, true);
    // Three of four cameras: 30. Nine of ten requests: 27. Half of the disks free: 10. 0.1 frames a second are lost in the mean: 9.
    let found = score(&stored(&["vms"]));
    assert!(found.len() == 1 && (found[0] - 76.0).abs() < 0.01, "{found:?}");
    let best = Memory::new();
    let add = |name: &str, pairs: &[(&str, &str)], at: &dyn Fn(i64) -> f64| {
        let labels = Labels::from_pairs(pairs.iter().copied().chain([("__name__", name)]));
        best.add_series(&labels, (0..=HOUR_MS / STEP_MS).map(|i| (NOW - HOUR_MS + i * STEP_MS, at(i))));
    };
    add("camera_connection_status", &[("camera_id", "a")], &|_| 1.0);
    add("http_requests_total", &[("status", "204")], &|i| i as f64);
    add("disk_space_used_percent", &[("mount_point", "/")], &|_| 0.0);
    add("camera_frames_dropped_total", &[("camera_id", "a")], &|_| 7.0);
    let found = score(&best);
    assert!(found.len() == 1 && (found[0] - 100.0).abs() < 1e-9, "{found:?}");
}

#[test]
fn vms_17_recording_performance_has_five_panels_and_its_lines() {
    let board = board("vms/dashboards/recording-performance.json");
    assert_eq!(text(&board, "title"), "Recording Performance");
    assert_eq!(titles(&board), ["Recording FPS by Camera", "Frame Drops Rate", "Disk Write Throughput", "FFmpeg Process Memory", "Storage Write Latency P99"]);
    assert_eq!(bounds(panel(&board, "Frame Drops Rate")), [0.01]);
    assert_eq!(bounds(panel(&board, "FFmpeg Process Memory")), [1000.0]);
    let latency = panel(&board, "Storage Write Latency P99");
    assert_eq!(bounds(latency), [50.0]);
    for title in ["Recording FPS by Camera", "FFmpeg Process Memory"] {
        assert_eq!(text(&items(panel(&board, title), "targets")[0], "legendFormat"), "{{camera_id}}");
    }
    // The document's query gives nothing, as its description says; ours finds that 99 % of writes take at most 75 ms.
    let store = stored(&["vms"]);
    assert_eq!(values(&store, "histogram_quantile(0.99, disk_io_latency_ms)", true), [0.0; 0]);
    assert!(text(latency, "description").contains("cannot work"));
    let found = values(&store, exprs(latency)[0], true);
    assert!(found.len() == 1 && (found[0] - 75.0).abs() < 1e-6, "{found:?}");
}

#[test]
fn vms_18_live_streaming_has_five_panels() {
    let board = board("vms/dashboards/live-streaming.json");
    assert_eq!(text(&board, "title"), "Live Streaming");
    assert_eq!(titles(&board), ["Active Streams", "Stream Latency by Protocol", "Concurrent Viewers", "WebRTC Connection Success Rate", "Streaming Bandwidth"]);
    let latency = items(panel(&board, "Stream Latency by Protocol"), "targets");
    assert_eq!(latency.iter().map(|t| text(t, "legendFormat")).collect::<Vec<_>>(), ["WebRTC", "HLS"]);
    let store = stored(&["vms"]);
    let rate = values(&store, exprs(panel(&board, "WebRTC Connection Success Rate"))[0], true);
    assert!(rate.len() == 1 && (rate[0] - 95.0).abs() < 1e-6, "{rate:?}");
    assert_eq!(values(&store, exprs(panel(&board, "Stream Latency by Protocol"))[0], true), [400.0]);
}

#[test]
fn vms_19_ai_processing_has_four_panels() {
    let board = board("vms/dashboards/ai-processing.json");
    assert_eq!(text(&board, "title"), "AI Processing");
    assert_eq!(titles(&board), ["AI Job Queue Depth", "LPR Processing Rate", "AI Processing Latency", "License Plate Detection Accuracy"]);
    let store = stored(&["vms"]);
    let rate = values(&store, exprs(panel(&board, "LPR Processing Rate"))[0], true);
    assert!(rate.len() == 1 && (rate[0] - 0.5).abs() < 1e-9 && unit(panel(&board, "LPR Processing Rate")).contains("jobs/sec"), "{rate:?}");
    assert_eq!(values(&store, exprs(panel(&board, "License Plate Detection Accuracy"))[0], true), [92.0]);
}

#[test]
fn vms_20_bandwidth_is_bytes_times_eight_by_a_million() {
    let store = stored(&["vms"]);
    for (path, title, expected) in
        [("vms/dashboards/system-overview.json", "Total Bandwidth Usage", 10.0), ("vms/dashboards/live-streaming.json", "Streaming Bandwidth", 5.0)]
    {
        let board = board(path);
        let found = values(&store, exprs(panel(&board, title))[0], true);
        assert!(found.len() == 1 && (found[0] - expected).abs() < 1e-6, "{title}: {found:?}");
        assert_eq!(unit(panel(&board, title)), "Mbits", "Grafana's word for Mbps");
    }
}

#[test]
fn pis_14_the_dashboard_has_four_rows() {
    let board = board("pisovereign/dashboards/pisovereign.json");
    let mut rows: Vec<(&str, Vec<&str>)> = Vec::new();
    for panel in items(&board, "panels") {
        match text(panel, "type") {
            "row" => rows.push((text(panel, "title"), Vec::new())),
            _ => rows.last_mut().unwrap().1.push(text(panel, "title")),
        }
    }
    let expected = [
        ("Overview", vec!["Uptime", "Inference Status", "Total Requests", "Active Requests", "Avg Response Time", "Total Tokens"]),
        ("HTTP Requests", vec!["Request Rate", "Status Distribution", "Response Time P50/P90/P99"]),
        ("Inference", vec!["Inference Rate", "Inference Latency", "Token Rate", "Model Usage"]),
        ("System", vec!["CPU Usage", "Memory Usage", "Disk I/O", "Network I/O"]),
    ];
    assert_eq!(rows, expected);
    let kinds = [
        ("Request Rate", "timeseries"),
        ("Status Distribution", "piechart"),
        ("Response Time P50/P90/P99", "stat"),
        ("Inference Rate", "timeseries"),
        ("Inference Latency", "gauge"),
        ("Token Rate", "timeseries"),
        ("Model Usage", "table"),
    ];
    for (title, kind) in kinds {
        assert_eq!(text(panel(&board, title), "type"), kind, "{title}");
    }
    // Where another system counts under the same name, the job tells whose requests these are.
    let both = stored(&["vms", "pisovereign"]);
    let own = replaced(exprs(panel(&board, "Total Requests"))[0]).replace(".+", "pisovereign");
    assert_eq!(values(&both, &own, true), [3_600.0]);
    let of_model = values(&both, exprs(panel(&board, "Model Usage"))[0], true);
    assert_eq!(of_model, [36.0, 360.0]);
}

/// Whoever has the tables of the documents at hand finds every panel of the two systems here, under its very name.
#[test]
fn every_panel_of_the_documents_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let seeds = std::env::var_os("WATCHFIRE_SEEDS").map_or_else(|| root.join("../shared/catalogue"), Into::into);
    let Ok(table) = std::fs::read_to_string(seeds.join("dashboards.tsv")) else {
        eprintln!("SKIPPED: the documents' table of panels is not at hand (WATCHFIRE_SEEDS)");
        return;
    };
    let boards: Vec<Node> = BUILTIN.iter().filter(|b| matches!(b.pack, "vms" | "pisovereign")).map(|b| parse_yaml(b.path, &b.text()).unwrap()).collect();
    let known: Arc<Vec<&str>> = Arc::new(boards.iter().flat_map(titles).collect());
    let mut seen = 0;
    for row in table.lines().map(|l| l.split('\t').collect::<Vec<_>>()).filter(|r| r[0].starts_with("VMS") || r[0].starts_with("PiSovereign")) {
        assert!(known.contains(&row[2]), "{}", row[2]);
        seen += 1;
    }
    assert_eq!(seen, 36);
}
