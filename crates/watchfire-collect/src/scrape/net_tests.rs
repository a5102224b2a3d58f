//! Scraping over real sockets: a scripted target, and the same target scraped by Prometheus itself where it is installed.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use watchfire_model::batch::Batch;
use watchfire_model::meter::Meter;
use watchfire_model::sample::is_stale;
use watchfire_model::time::{Clock, SystemClock};
use watchfire_model::write::{Sink, WriteError, Written};
use watchfire_net::tasks::Tasks;

use super::alias::no_aliases;
use super::config::{HttpOptions, Outside, parse};
use super::fetch::{Fetch, Request};
use super::net_fetch::NetFetch;
use super::{Manager, Surroundings};
use crate::discovery::glob::Lookup;

/// What a scripted server is asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    pub(super) path: String,
    pub(super) agent: String,
    pub(super) accept: String,
    pub(super) timeout: String,
    pub(super) authorization: String,
}

/// What it answers.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) gzip: bool,
    pub(super) location: Option<String>,
    /// The connection is closed after so many bytes of the body.
    pub(super) cut: Option<usize>,
    pub(super) body: Vec<u8>,
}
impl Page {
    pub(super) fn text(text: &str) -> Page {
        Page { status: 200, content_type: "text/plain; version=0.0.4", gzip: false, location: None, cut: None, body: text.as_bytes().to_vec() }
    }
    pub(super) fn gzipped(mut self) -> Page {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&self.body).unwrap();
        self.body = encoder.finish().unwrap();
        self.gzip = true;
        self
    }
}

pub(super) struct Server {
    pub(super) address: String,
    task: tokio::task::JoinSet<()>,
}
impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort_all();
    }
}

/// Starts a server that answers every GET as told.
pub(super) async fn serve(play: impl Fn(&Asked) -> Page + Send + Sync + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let play: Arc<dyn Fn(&Asked) -> Page + Send + Sync> = Arc::new(play);
    let mut task = tokio::task::JoinSet::new();
    task.spawn(async move {
        let mut open = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            open.spawn(connection(stream, play.clone()));
        }
    });
    Server { address, task }
}

async fn connection(stream: TcpStream, play: Arc<dyn Fn(&Asked) -> Page + Send + Sync>) {
    let mut stream = BufReader::new(stream);
    while let Some(asked) = read_request(&mut stream).await {
        let page = play(&asked);
        let mut head = format!("HTTP/1.1 {} X\r\nContent-Type: {}\r\nContent-Length: {}\r\n", page.status, page.content_type, page.body.len());
        if page.gzip {
            head.push_str("Content-Encoding: gzip\r\n");
        }
        if let Some(location) = &page.location {
            head.push_str(&format!("Location: {location}\r\n"));
        }
        head.push_str("\r\n");
        let body = page.body.get(..page.cut.unwrap_or(page.body.len())).unwrap();
        let sent = stream.get_mut().write_all(&[head.as_bytes(), body].concat()).await;
        if sent.is_err() || page.cut.is_some() {
            return;
        }
    }
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut asked = Asked::default();
    let mut line = String::new();
    stream.read_line(&mut line).await.ok().filter(|n| *n > 0)?;
    asked.path = line.split(' ').nth(1)?.to_owned();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok().filter(|n| *n > 0)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { return Some(asked) };
        match name.to_ascii_lowercase().as_str() {
            "user-agent" => asked.agent = value.to_owned(),
            "accept" => asked.accept = value.to_owned(),
            "x-prometheus-scrape-timeout-seconds" => asked.timeout = value.to_owned(),
            "authorization" => asked.authorization = value.to_owned(),
            _ => {}
        }
    }
}

/// Keeps the last value of every series.
#[derive(Default)]
struct Last(Mutex<BTreeMap<String, f64>>);
impl Sink for Last {
    fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        let mut last = self.0.lock().unwrap();
        for series in &batch.series {
            for sample in series.samples.as_slice() {
                last.insert(series.labels.to_string(), sample.value);
            }
        }
        Ok(Written::default())
    }
}
impl Last {
    /// Series that have not ended, with their values.
    fn alive(&self) -> BTreeMap<String, f64> {
        self.0.lock().unwrap().iter().filter(|(_, v)| !is_stale(**v)).map(|(k, v)| (k.clone(), *v)).collect()
    }
}

fn scrape(yaml: &str) -> (Arc<Last>, Manager) {
    let sink = Arc::new(Last::default());
    (sink.clone(), scrape_into(sink, yaml))
}

/// Scrapes as a configuration says into a sink.
pub(super) fn scrape_into(sink: Arc<dyn Sink>, yaml: &str) -> Manager {
    let outside = Surroundings {
        runtime: tokio::runtime::Handle::current(),
        sink,
        clock: SystemClock::shared(),
        meter: Meter::new(),
        tasks: Tasks::new(&Meter::new()),
        fetch: Arc::new(NetFetch::new()),
        aliases: no_aliases(),
        extras: Default::default(),
        offset_seed: 1,
    };
    let manager = Manager::new(outside);
    let parsed = parse("p.yml", yaml, &Outside { environment: &|_| None, lookup: Lookup::default() });
    manager.apply(&parsed.config.unwrap_or_else(|| panic!("{:?}", parsed.findings)));
    manager
}

/// Asks until the answer is as wanted; gives the last answer when it never is.
pub(super) async fn wait_for<T>(mut ask: impl AsyncFnMut() -> T, wanted: impl Fn(&T) -> bool) -> T {
    let mut answer = ask().await;
    for _ in 0..150 {
        if wanted(&answer) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        answer = ask().await;
    }
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_is_asked_as_prometheus_asks() {
    let seen: Arc<Mutex<Vec<Asked>>> = Arc::default();
    let keep = seen.clone();
    let server = serve(move |asked| {
        keep.lock().unwrap().push(asked.clone());
        Page { content_type: "application/openmetrics-text; version=1.0.0", ..Page::text("# TYPE a counter\na_total 3\n# EOF\n") }.gzipped()
    })
    .await;
    let (sink, manager) = scrape(&format!(
        "scrape_configs: [{{job_name: j, scrape_interval: 200ms, params: {{x: ['1 2']}}, static_configs: [{{targets: ['{}']}}]}}]",
        server.address
    ));
    let alive = wait_for(async || sink.alive(), |alive| alive.len() == 6).await;
    manager.shutdown().await;
    assert_eq!(alive[&format!("a_total{{instance=\"{}\", job=\"j\"}}", server.address)], 3.0);
    let asked = seen.lock().unwrap()[0].clone();
    assert_eq!(asked.path, "/metrics?x=1+2");
    assert_eq!(asked.timeout, "0.2");
    assert!(asked.accept.starts_with("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"), "{}", asked.accept);
    assert!(asked.agent.starts_with("Watchfire/"), "{}", asked.agent);
}

const OPENMETRICS: &str = "# TYPE requests_seconds counter\n# UNIT requests_seconds seconds\n# HELP requests_seconds Words.\nrequests_seconds_total{a=\"b\"} 3 # {trace_id=\"x\"} 0.5\n\
     requests_seconds_created{a=\"b\"} 1600000000.5\n# TYPE sizes histogram\nsizes_bucket{le=\"0.5\"} 1 # {id=\"1\"} 0.3 1600000000.1\nsizes_bucket{le=\"+Inf\"} 2\nsizes_sum 1.5\nsizes_count 2\n\
     # TYPE build info\nbuild_info{version=\"1\"} 1\n# TYPE state stateset\nstate{state=\"on\"} 1\nstate{state=\"off\"} 0\n# TYPE g gauge\ng{z=\"\\\"\\n\"} -Inf\n# EOF\n";

/// The exposition of the differential test. Some series are there only twice for each asker.
fn exposition(asked: &Asked, visits: &mut HashMap<(String, String), usize>) -> Page {
    let who = asked.agent.split('/').next().unwrap_or("").to_owned();
    let visit = visits.entry((who, asked.path.clone())).or_default();
    *visit += 1;
    if asked.path.starts_with("/down") {
        return Page { status: 503, ..Page::text("") };
    }
    if asked.path.starts_with("/broken") && *visit > 2 {
        return Page::text("a 1\nb{ 2\n");
    }
    if asked.path.starts_with("/open") {
        return Page { content_type: "application/openmetrics-text; version=1.0.0; charset=utf-8", ..Page::text(OPENMETRICS) }.gzipped();
    }
    if asked.path.starts_with("/timed") {
        let now = SystemClock::new().now().millis();
        return Page::text(&format!("timed 1 {}\ntimed_later 2 {}\nuntimed 3\n", now - 2_000, now + 1)).gzipped();
    }
    let mut text = String::from(
        "# HELP a Help with \\\\ and \\n.\n# TYPE a counter\na{x=\"1\",y=\"\\\"q\\\" \\\\ \\n\"} 1.5e3\na{x=\"2\"} NaN\na{x=\"3\"} +Inf\n\
         plain 7\njob_label{job=\"theirs\",instance=\"inner\",exported_job=\"deeper\"} 1\nempty{instance=\"\",z=\"\"} 2\n\
         # TYPE h histogram\nh_bucket{le=\"0.5\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 1.25\nh_count 2\n\
         # TYPE s summary\ns{quantile=\"0.5\"} 4\ns_sum 8\ns_count 3\ndrop_me{a=\"b\"} 1\nkeep_me{a=\"b\",secret=\"s\"} 1\nspace   {a = \"b\" , c=\"d\",} 5\n",
    );
    if *visit <= 2 {
        text.push_str("goes_away 1\n");
    }
    Page::text(&text)
}

fn differential_config(address: &str) -> String {
    let job = |name: &str, more: &str| format!("  - job_name: {name}\n    static_configs: [{{targets: ['{address}'], labels: {{site: home}}}}]\n    {more}\n");
    let jobs = [
        job("plain", ""),
        job("honor", "honor_labels: true"),
        job("down", "metrics_path: /down"),
        job("broken", "metrics_path: /broken"),
        job("params", "params: {module: [a, b], 'odd name': ['x y&z']}"),
        job("limited", "sample_limit: 3"),
        job("few_labels", "label_limit: 4"),
        job("short_values", "label_value_length_limit: 30"),
        job(
            "relabelled",
            "relabel_configs:\n      - {source_labels: [__address__], regex: '(.*):(.*)', target_label: host, replacement: '$1'}\n      - {source_labels: [__address__], modulus: 7, target_label: shard, action: hashmod}\n      - {source_labels: [__address__, job], separator: '|', target_label: __param_target}\n      - {source_labels: [__param_target], target_label: instance}\n      - {regex: 'sit(e)', action: labelmap, replacement: 'mapped_$1'}\n      - {target_label: __metrics_path__, replacement: /other}",
        ),
        job("dropped", "relabel_configs: [{source_labels: [site], regex: home, action: drop}]"),
        job(
            "metric_relabelled",
            "metric_relabel_configs:\n      - {source_labels: [__name__], regex: 'drop_.*', action: drop}\n      - {regex: secret, action: labeldrop}\n      - {source_labels: [__name__, a], regex: 'keep_me;(.*)', target_label: new, replacement: 'v-$1'}\n      - {source_labels: [__name__], regex: plain, target_label: __name__, replacement: renamed}\n      - {source_labels: [x], target_label: up_x, action: uppercase}",
        ),
        job("openmetrics", "metrics_path: /open"),
        job("timed", "metrics_path: /timed"),
        job("untimed", "metrics_path: /timed\n    honor_timestamps: false"),
        job("merged", "metric_relabel_configs: [{regex: 'x|y', action: labeldrop}]"),
    ];
    format!("global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n{}", jobs.concat())
}

/// A running Prometheus; killed when dropped.
pub(super) struct Prometheus {
    child: std::process::Child,
    url: String,
    _dir: tempfile::TempDir,
}
impl Drop for Prometheus {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Starts Prometheus with a configuration and further flags; `None` when it is not installed.
pub(super) async fn start_prometheus(config: &str, flags: &[&str]) -> Option<Prometheus> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("prometheus.yml");
    std::fs::write(&file, config).unwrap();
    // The port is free now; nobody else in this test takes it in the moment until Prometheus does.
    let port = watchfire_testkit::ports::free_port();
    let child = std::process::Command::new("prometheus")
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .args(flags)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .ok()?;
    Some(Prometheus { child, url: format!("http://127.0.0.1:{port}"), _dir: dir })
}

/// The instant vector of everything that Prometheus has, as text and value.
async fn ask_prometheus(fetch: &NetFetch, prometheus: &Prometheus) -> BTreeMap<String, f64> {
    let request = Request {
        url: format!("{}/api/v1/query?query=%7Bjob!%3D%22%22%7D", prometheus.url),
        headers: Vec::new(),
        options: Arc::new(HttpOptions::default()),
        timeout: Duration::from_secs(5),
        body_bytes_max: 10 << 20,
    };
    let Ok(answer) = fetch.get(request).await else { return BTreeMap::new() };
    let Ok(json) = serde_json::from_slice::<serde_json::Value>(&answer.body) else { return BTreeMap::new() };
    let series = json["data"]["result"].as_array().cloned().unwrap_or_default();
    let pair = |one: &serde_json::Value| {
        let labels = one["metric"].as_object().unwrap().iter().map(|(k, v)| (k.as_str(), v.as_str().unwrap()));
        let value = match one["value"][1].as_str().unwrap() {
            "+Inf" => f64::INFINITY,
            "NaN" => f64::NAN,
            text => text.parse().unwrap(),
        };
        (watchfire_model::labels::Labels::from_pairs(labels).to_string(), value)
    };
    series.iter().map(pair).collect()
}

/// What can be compared: everything but how long scrapes took.
fn comparable(series: &BTreeMap<String, f64>) -> Vec<String> {
    series.iter().filter(|(k, _)| !k.starts_with("scrape_duration_seconds")).map(|(k, v)| format!("{k} {v}")).collect()
}

/// The same target and the same configuration give the same series with the same values as in Prometheus.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_sees_the_same() {
    let visits = Mutex::new(HashMap::new());
    let server = serve(move |asked| exposition(asked, &mut visits.lock().unwrap())).await;
    let config = differential_config(&server.address);
    let Some(prometheus) = start_prometheus(&config, &[]).await else {
        eprintln!("SKIPPED: there is no prometheus");
        return;
    };
    let fetch = NetFetch::new();
    let settled = |alive: &BTreeMap<String, f64>| {
        let jobs = alive.keys().filter(|k| k.starts_with("up{")).count();
        jobs == 14 && !alive.keys().any(|k| k.starts_with("goes_away")) && alive.iter().all(|(k, v)| !k.starts_with("scrape_series_added") || *v == 0.0)
    };
    let (sink, manager) = scrape(&config);
    // On a busy machine single scrapes time out, here or there; both come to the same in the end.
    let both = async || (sink.alive(), ask_prometheus(&fetch, &prometheus).await);
    let same = |(ours, theirs): &(BTreeMap<String, f64>, BTreeMap<String, f64>)| settled(ours) && settled(theirs) && comparable(ours) == comparable(theirs);
    let (ours, theirs) = wait_for(both, same).await;
    manager.shutdown().await;
    let (ours, theirs) = (comparable(&ours), comparable(&theirs));
    let only = |a: &[String], b: &[String]| a.iter().filter(|x| !b.contains(x)).cloned().collect::<Vec<_>>();
    let (more, less) = (only(&ours, &theirs), only(&theirs, &ours));
    assert!(more.is_empty() && less.is_empty(), "only ours:\n{}\nonly theirs:\n{}", more.join("\n"), less.join("\n"));
    assert!(ours.len() > 100, "{}", ours.len());
}

/// The real node exporter, where it is installed: everything it says is taken, and nothing twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_exporter_is_taken_whole() {
    let port = watchfire_testkit::ports::free_port();
    let mut exporter = std::process::Command::new("prometheus-node-exporter");
    exporter.arg(format!("--web.listen-address=127.0.0.1:{port}")).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let Ok(mut child) = exporter.spawn() else {
        eprintln!("SKIPPED: there is no prometheus-node-exporter");
        return;
    };
    let (sink, manager) = scrape(&format!("scrape_configs: [{{job_name: n, scrape_interval: 500ms, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]"));
    let report = |alive: &BTreeMap<String, f64>, name: &str| alive.iter().find(|(k, _)| k.starts_with(&format!("{name}{{"))).map(|(_, v)| *v);
    let alive = wait_for(async || sink.alive(), |alive| report(alive, "up") == Some(1.0) && report(alive, "scrape_series_added") == Some(0.0)).await;
    manager.shutdown().await;
    child.kill().ok();
    child.wait().ok();
    assert_eq!(report(&alive, "up"), Some(1.0));
    assert_eq!(report(&alive, "scrape_samples_scraped"), Some((alive.len() - 5) as f64));
    assert!(alive.keys().any(|k| k.starts_with("node_cpu_seconds_total{")), "{} series", alive.len());
}
