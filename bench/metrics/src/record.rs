//! Records the template anew from running exporters: `bench-metrics record NODE_EXPORTER PROMETHEUS`. Small machines are made
//! into the usual server on the way: 8 processors, three disks, three file systems. Nothing here runs in a benchmark.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use bench_harness::client::Client;

const SCRAPES: usize = 6;
const PAUSE: Duration = Duration::from_secs(13);
const SERIES: usize = 1_000;
/// What Prometheus is asked meanwhile, so that its histograms of requests move.
const ASKED: [&str; 8] = [
    "/api/v1/query?query=up",
    "/api/v1/query_range?query=up&start=1700000000&end=1700000600&step=15",
    "/api/v1/series?match[]=up",
    "/api/v1/labels",
    "/api/v1/label/job/values",
    "/api/v1/targets",
    "/api/v1/rules",
    "/-/ready",
];

#[derive(Default)]
struct Scrapes {
    order: Vec<String>,
    values: BTreeMap<String, Vec<String>>,
    types: Vec<String>,
}

impl Scrapes {
    fn take(&mut self, text: &str, job: &str) {
        for line in text.lines() {
            if line.starts_with("# TYPE ") {
                if !self.types.iter().any(|t| t == line) {
                    self.types.push(line.to_owned());
                }
            } else if let Some((series, value)) = line.rsplit_once(' ').filter(|_| !line.starts_with('#')) {
                for series in clones(series) {
                    let named = match series.split_once('{') {
                        Some((name, labels)) => format!("{name}{{job=\"{job}\",{labels}"),
                        None => format!("{series}{{job=\"{job}\"}}"),
                    };
                    if !self.values.contains_key(&named) {
                        self.order.push(named.clone());
                    }
                    self.values.entry(named).or_default().push(value.to_owned());
                }
            }
        }
    }
}

/// A series and what it would also be on a larger machine.
fn clones(series: &str) -> Vec<String> {
    let mut all = vec![series.to_owned()];
    let mut add = |from: &str, to: &[&str]| {
        if series.contains(from) {
            all.extend(to.iter().map(|to| series.replace(from, to)));
        }
    };
    add("cpu=\"1\"", &["cpu=\"2\"", "cpu=\"3\"", "cpu=\"4\"", "cpu=\"5\"", "cpu=\"6\"", "cpu=\"7\""]);
    add("device=\"vda\"", &["device=\"vdb\"", "device=\"vdc\""]);
    add("device=\"/dev/vda\"", &["device=\"/dev/vdb\"", "device=\"/dev/vdc\""]);
    all
}

pub(crate) fn record(node: &str, prometheus: &str) -> Result<()> {
    let (mut of_node, mut of_prometheus) = (Client::new(node), Client::new(prometheus));
    let (mut node_scrapes, mut prometheus_scrapes) = (Scrapes::default(), Scrapes::default());
    let began = Instant::now();
    for i in 0..SCRAPES {
        if i > 0 {
            for round in 0..5 {
                for path in ASKED.iter().take(4 + (i + round) % 5) {
                    of_prometheus.get(path)?;
                }
            }
            std::thread::sleep((PAUSE * i as u32).saturating_sub(began.elapsed()));
        }
        node_scrapes.take(&of_node.get("/metrics")?.text()?, "node");
        prometheus_scrapes.take(&of_prometheus.get("/metrics")?.text()?, "prometheus");
    }
    let mut out = String::from("# Real scrapes of node_exporter 1.5 and Prometheus 2.42, made by `bench-metrics record` (clones: see record.rs).\n");
    writeln!(out, "# span_s {}", (PAUSE * (SCRAPES as u32 - 1)).as_secs())?;
    let complete = |s: &Scrapes, name: &str| s.values.get(name).is_some_and(|v| v.len() == SCRAPES);
    let node_rows: Vec<&String> = node_scrapes.order.iter().filter(|n| complete(&node_scrapes, n) && !n.starts_with("go_")).collect();
    ensure!(node_rows.len() < SERIES, "node_exporter has {} series", node_rows.len());
    // Requests first: their histograms are what queries ask for.
    let mut rest: Vec<&String> = prometheus_scrapes.order.iter().filter(|n| complete(&prometheus_scrapes, n)).collect();
    rest.sort_by_key(|n| !n.starts_with("prometheus_http_"));
    rest.truncate(SERIES - node_rows.len());
    rest.sort_by_key(|n| prometheus_scrapes.order.iter().position(|o| o == *n));
    ensure!(node_rows.len() + rest.len() == SERIES, "only {} series", node_rows.len() + rest.len());
    for (scrapes, rows) in [(&node_scrapes, node_rows), (&prometheus_scrapes, rest)] {
        for line in &scrapes.types {
            writeln!(out, "{line}")?;
        }
        for row in rows {
            let values = scrapes.values.get(row).context("a series vanished")?;
            writeln!(out, "{row}\t{}", values.join(" "))?;
        }
    }
    print!("{out}");
    Ok(())
}
