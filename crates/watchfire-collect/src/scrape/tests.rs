//! Scraping from end to end without a socket and in virtual time: a scripted target, a sink in memory.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use watchfire_ingest::gate::{Gate, Limits};
use watchfire_model::batch::Batch;
use watchfire_model::meter::Meter;
use watchfire_model::sample::is_stale;
use watchfire_model::time::{Clock, Timestamp};
use watchfire_model::write::{Sink, WriteError, Written};
use watchfire_net::tasks::Tasks;

use super::alias::{Aliases, default_aliases, no_aliases};
use super::config::{Authorization, Outside, ScrapeConfig, SecretSource, parse};
use super::fetch::{Answer, Fetch, FetchError, Fetching, Request};
use super::format::Encoding;
use super::{Manager, Surroundings};
use crate::discovery::glob::Lookup;

/// Follows tokio's virtual time.
struct TokioClock(Instant);
const EPOCH_MS: i64 = 1_700_000_000_000;
impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        Timestamp(EPOCH_MS + self.0.elapsed().as_millis() as i64)
    }
    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

#[derive(Default)]
struct Memory(Mutex<Vec<Batch>>);
impl Sink for Memory {
    fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        let stored = batch.sample_count() as u64;
        self.0.lock().unwrap().push(batch);
        Ok(Written { stored, ..Written::default() })
    }
}

type Reply = Result<Answer, FetchError>;
type Play = dyn Fn(&Request, usize) -> (Duration, Reply) + Send + Sync;

/// Answers as told: a delay and a reply for the n-th request.
struct Script {
    play: Box<Play>,
    asked: AtomicUsize,
    running: AtomicUsize,
    running_most: AtomicUsize,
    urls: Mutex<Vec<String>>,
}
impl Fetch for Script {
    fn get(&self, request: Request) -> Fetching<'_> {
        let number = self.asked.fetch_add(1, Ordering::SeqCst);
        self.urls.lock().unwrap().push(request.url.clone());
        let (delay, reply) = (self.play)(&request, number);
        Box::pin(async move {
            let running = Guard::new(&self.running);
            self.running_most.fetch_max(running.0.load(Ordering::SeqCst), Ordering::SeqCst);
            sleep(delay).await;
            reply
        })
    }
}
struct Guard<'a>(&'a AtomicUsize);
impl<'a> Guard<'a> {
    fn new(count: &'a AtomicUsize) -> Guard<'a> {
        count.fetch_add(1, Ordering::SeqCst);
        Guard(count)
    }
}
impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn body(text: &str) -> Reply {
    Ok(Answer { status: 200, content_type: "text/plain; version=0.0.4".to_owned(), body: text.to_owned().into() })
}
fn at_once(reply: Reply) -> (Duration, Reply) {
    (Duration::ZERO, reply)
}

struct Rig {
    sink: Arc<Memory>,
    script: Arc<Script>,
    meter: Meter,
    tasks: Tasks,
    manager: Manager,
}
impl Rig {
    fn new(play: impl Fn(&Request, usize) -> (Duration, Reply) + Send + Sync + 'static) -> Rig {
        Rig::with_aliases(no_aliases(), play)
    }
    fn with_aliases(aliases: Aliases, play: impl Fn(&Request, usize) -> (Duration, Reply) + Send + Sync + 'static) -> Rig {
        let sink = Arc::new(Memory::default());
        let zero = || AtomicUsize::new(0);
        let script = Arc::new(Script { play: Box::new(play), asked: zero(), running: zero(), running_most: zero(), urls: Mutex::default() });
        let meter = Meter::new();
        let tasks = Tasks::new(&meter);
        let outside = Surroundings {
            runtime: tokio::runtime::Handle::current(),
            sink: sink.clone(),
            clock: Arc::new(TokioClock(Instant::now())),
            meter: meter.clone(),
            tasks: tasks.clone(),
            fetch: script.clone(),
            aliases,
            extras: Default::default(),
            offset_seed: 7,
        };
        Rig { sink, script, meter, tasks, manager: Manager::new(outside) }
    }
    fn apply(&self, yaml: &str) {
        let parsed = parse("p.yml", yaml, &Outside { environment: &|_| None, lookup: Lookup::default() });
        self.manager.apply(&parsed.config.unwrap_or_else(|| panic!("{:?}", parsed.findings)));
    }
    /// What was written since the last call, a text per batch; durations are left out.
    fn written(&self) -> Vec<String> {
        std::mem::take(&mut *self.sink.0.lock().unwrap()).iter().map(shown).collect()
    }
    /// The same without the series that report about scrapes.
    fn samples(&self) -> Vec<String> {
        let plain = |line: &str| line.split(' ').filter(|s| !s.starts_with("up") && !s.starts_with("scrape_")).collect::<Vec<_>>().join(" ");
        self.written().iter().map(|w| plain(w)).collect()
    }
    fn count(&self, name: &str, labels: &str) -> f64 {
        let families = self.meter.gather();
        let points = families.iter().flat_map(|f| &f.points);
        points.filter(|(l, _)| l.metric_name() == name && l.to_string().contains(labels)).map(|(_, v)| v).sum()
    }
}

fn shown(batch: &Batch) -> String {
    let one = |s: &watchfire_model::batch::SeriesSamples| {
        let sample = s.samples.as_slice()[0];
        let value = if is_stale(sample.value) { "stale".to_owned() } else { sample.value.to_string() };
        let labels = s.labels.to_string().replace(", ", ",").replace("instance=\"h:1\",job=\"j\"", "").replace("{}", "").replace("{,", "{");
        if labels.starts_with("scrape_duration") { String::new() } else { format!("{labels}={value}") }
    };
    batch.series.iter().map(one).filter(|s| !s.is_empty()).collect::<Vec<_>>().join(" ")
}

const JOB: &str = "scrape_configs: [{job_name: j, scrape_interval: 10s, static_configs: [{targets: ['h:1']}]}]";

#[tokio::test(start_paused = true)]
async fn series_live_and_end() {
    let rig = Rig::new(|_, n| {
        at_once(match n {
            0 => body("a 1\nb{x=\"y\"} 2\n"),
            1 => body("a 1\n"),
            2 => Ok(Answer { status: 500, ..Answer::default() }),
            3 => body("a 5\na{ 1\n"),
            4 => body("a 7\n"),
            _ => Err(FetchError::Timeout(Duration::from_secs(1))),
        })
    });
    rig.apply(JOB);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(
        rig.written(),
        [
            "a=1 b{x=\"y\"}=2 up=1 scrape_samples_scraped=2 scrape_samples_post_metric_relabeling=2 scrape_series_added=2",
            "a=1 b{x=\"y\"}=stale up=1 scrape_samples_scraped=1 scrape_samples_post_metric_relabeling=1 scrape_series_added=0",
            "a=stale up=0 scrape_samples_scraped=0 scrape_samples_post_metric_relabeling=0 scrape_series_added=0",
            "up=0 scrape_samples_scraped=1 scrape_samples_post_metric_relabeling=1 scrape_series_added=0",
            "a=7 up=1 scrape_samples_scraped=1 scrape_samples_post_metric_relabeling=1 scrape_series_added=0",
            "a=stale up=0 scrape_samples_scraped=0 scrape_samples_post_metric_relabeling=0 scrape_series_added=0",
        ]
    );
    let status = &rig.manager.targets()[0];
    assert_eq!(status.last.as_ref().unwrap().error, "context deadline exceeded: no complete answer within 1s");
    assert_eq!((status.scrape_url.as_str(), status.labels.to_string().as_str()), ("http://h:1/metrics", "{instance=\"h:1\", job=\"j\"}"));
    assert_eq!((rig.count("watchfire_scrapes_total", "success"), rig.count("watchfire_scrapes_total", "failure")), (3.0, 3.0));
}

#[tokio::test(start_paused = true)]
async fn one_scrape_has_one_time_and_intervals_are_even() {
    let rig = Rig::new(|_, _| (Duration::from_millis(300), body("a 1\nb 2 1234\n")));
    rig.apply(JOB);
    sleep(Duration::from_secs(45)).await;
    let batches = std::mem::take(&mut *rig.sink.0.lock().unwrap());
    let times: Vec<i64> = batches.iter().map(|b| b.series[0].samples.as_slice()[0].time.millis()).collect();
    assert!(times.len() >= 4 && times.windows(2).all(|w| w[1] - w[0] == 10_000), "{times:?}");
    for batch in &batches {
        let own: Vec<i64> = batch.series.iter().map(|s| s.samples.as_slice()[0].time.millis()).collect();
        assert_eq!(own[1], 1234);
        assert!(own.iter().enumerate().all(|(i, t)| i == 1 || *t == own[0]), "{own:?}");
    }
    let took = batches[0].series.iter().find(|s| s.labels.metric_name() == "scrape_duration_seconds").unwrap();
    assert!((took.samples.as_slice()[0].value - 0.3).abs() < 0.01);
}

#[tokio::test(start_paused = true)]
async fn a_slow_target_times_out_and_never_overlaps() {
    let rig = Rig::new(|_, n| (Duration::from_secs(if n == 0 { 3_600 } else { 9 }), body("a 1\n")));
    rig.apply("scrape_configs: [{job_name: j, scrape_interval: 10s, scrape_timeout: 10s, static_configs: [{targets: ['h:1']}]}]");
    sleep(Duration::from_secs(100)).await;
    assert_eq!(rig.script.running_most.load(Ordering::SeqCst), 1);
    let written = rig.written();
    assert!(written[0].starts_with("up=0 "), "{written:?}");
    assert!(written[1].starts_with("a=1 up=1"), "{written:?}");
    assert!(written.len() >= 8, "{}", written.len());
}

#[tokio::test(start_paused = true)]
async fn unchanged_jobs_do_not_notice_a_reload() {
    let rig = Rig::new(|_, _| at_once(body("a 1\n")));
    let two = |second: &str| format!("scrape_configs: [{{job_name: j, scrape_interval: 10s, static_configs: [{{targets: ['h:1']}}]}}, {second}]");
    rig.apply(JOB);
    sleep(Duration::from_secs(25)).await;
    let before = rig.sink.0.lock().unwrap().len();
    for i in 0..100 {
        rig.apply(&two(&format!("{{job_name: other{i}, static_configs: []}}")));
        sleep(Duration::from_millis(100)).await;
    }
    let batches = std::mem::take(&mut *rig.sink.0.lock().unwrap());
    let times: Vec<i64> = batches.iter().map(|b| b.series[0].samples.as_slice()[0].time.millis()).collect();
    assert!(batches.len() > before && times.windows(2).all(|w| w[1] - w[0] == 10_000), "{times:?}");
    assert!(batches.iter().skip(1).all(|b| shown(b).ends_with("scrape_series_added=0")));
}

#[tokio::test(start_paused = true)]
async fn a_changed_job_goes_on_where_it_was() {
    let rig = Rig::new(|_, _| at_once(body("a 1\nb 2\n")));
    rig.apply(JOB);
    sleep(Duration::from_secs(11)).await;
    rig.samples();
    rig.apply("scrape_configs: [{job_name: j, scrape_interval: 10s, static_configs: [{targets: ['h:1']}], metric_relabel_configs: [{source_labels: [__name__], regex: b, action: drop}]}]");
    sleep(Duration::from_secs(20)).await;
    // What the new rules drop ends at the first scrape with them; what stays has no gap.
    assert_eq!(rig.samples(), ["a=1 b=stale", "a=1"]);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_gone_ends_unless_it_comes_back() {
    let rig = Rig::new(|_, _| at_once(body("a 1\n")));
    let none = "scrape_configs: [{job_name: j, scrape_interval: 10s, static_configs: []}]";
    rig.apply(JOB);
    sleep(Duration::from_secs(11)).await;
    rig.samples();
    rig.apply(none);
    sleep(Duration::from_secs(5)).await;
    assert!(rig.manager.targets().is_empty());
    assert_eq!(rig.manager.pools(), ["j"]);
    rig.apply(JOB);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(rig.samples(), ["a=1"]);
    rig.apply(none);
    sleep(Duration::from_secs(40)).await;
    assert_eq!(rig.written(), ["a=stale up=stale scrape_samples_scraped=stale scrape_samples_post_metric_relabeling=stale scrape_series_added=stale"]);
    // The same when the whole job goes.
    rig.apply(JOB);
    sleep(Duration::from_secs(11)).await;
    rig.apply("{}");
    sleep(Duration::from_secs(5)).await;
    assert!(rig.manager.targets().is_empty() && rig.manager.pools().is_empty());
    rig.apply(JOB);
    sleep(Duration::from_secs(11)).await;
    assert!(rig.samples().iter().all(|s| s == "a=1"));
    rig.apply("{}");
    sleep(Duration::from_secs(40)).await;
    assert_eq!(rig.samples(), ["a=stale"]);
}

#[tokio::test(start_paused = true)]
async fn what_says_how_a_target_is_doing_is_marked_and_stored_when_there_is_no_room() {
    let body_of = |n: usize| format!("probe_success 1\nprobe_duration_seconds 0.1\nprobe_success{{other=\"x\"}} 0\n{}", lines(n));
    let rig = Rig::new(move |request, n| at_once(if n >= 60 { Err(FetchError::Connect("gone".to_owned())) } else { body(&body_of(request.url.len() + 50)) }));
    let targets: Vec<String> = (0..30).map(|n| format!("'h:{n}'")).collect();
    rig.apply(&format!("scrape_configs: [{{job_name: j, scrape_interval: 10s, static_configs: [{{targets: [{}]}}]}}]", targets.join(",")));
    sleep(Duration::from_secs(35)).await;
    let batches = std::mem::take(&mut *rig.sink.0.lock().unwrap());
    let vital = |batch: &Batch| batch.series[batch.series.len() - batch.vital..].iter().map(|s| s.labels.metric_name().to_owned()).collect::<Vec<_>>();
    let of_scraping = ["up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling", "scrape_series_added"];
    assert_eq!(vital(&batches[0]), [&["probe_success", "probe_duration_seconds"][..], &of_scraping].concat());
    assert_eq!(vital(batches.last().unwrap()), of_scraping);
    let parts: std::collections::BTreeSet<u32> = batches.iter().map(|batch| batch.part).collect();
    assert!(parts.len() == 30 && !parts.contains(&0), "{parts:?}");
    // A gate with room for two of the targets.
    let limits = Limits { series_per_origin_max: 80, series_of_parts_max: 120, ..Limits::default() };
    let kept = Arc::new(Memory::default());
    let gate = Gate::new(kept.clone(), Arc::new(TokioClock(Instant::now())), &rig.meter, limits);
    for batch in batches {
        gate.write(batch).unwrap();
    }
    let stored: Vec<String> = kept.0.lock().unwrap().iter().flat_map(|batch| batch.series.iter().map(|s| s.labels.to_string()).collect::<Vec<_>>()).collect();
    for target in 0..30 {
        for name in ["up", "probe_success", "scrape_samples_scraped"] {
            let series = format!("{name}{{instance=\"h:{target}\", job=\"j\"}}");
            assert!(stored.contains(&series), "{series}");
        }
    }
    assert!(gate.active_series("scrape/j") <= 120 + 30 * 7);
    assert_eq!(gate.over_limit().len(), 1);
}

fn lines(n: usize) -> String {
    (0..n).map(|i| format!("m{i} 1\n")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_no_series() {
    let rig = Rig::new(|_, _| (Duration::from_secs(2), body("a 1\n")));
    rig.apply(JOB);
    sleep(Duration::from_secs(25)).await;
    rig.written();
    rig.manager.shutdown().await;
    assert_eq!(rig.written(), [""; 0]);
    assert!(rig.manager.targets().is_empty());
}

#[tokio::test(start_paused = true)]
async fn scraping_stops_with_the_task_set() {
    let rig = Rig::new(|_, _| (Duration::from_secs(2), body("a 1\n")));
    rig.apply(JOB);
    sleep(Duration::from_secs(25)).await;
    assert_eq!(rig.tasks.shut_down(Duration::from_secs(5)).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn targets_beyond_the_limit_fail() {
    let rig = Rig::new(|_, _| at_once(body("a 1\n")));
    rig.apply("scrape_configs: [{job_name: j, scrape_interval: 10s, target_limit: 1, static_configs: [{targets: ['h:1', 'h:2']}]}]");
    sleep(Duration::from_secs(10)).await;
    assert_eq!(rig.script.asked.load(Ordering::SeqCst), 0);
    assert!(rig.written().iter().all(|w| w.starts_with("up") && !w.starts_with("up=1")));
    let errors: Vec<String> = rig.manager.targets().iter().map(|t| t.last.as_ref().unwrap().error.clone()).collect();
    assert_eq!(errors[0], "target_limit exceeded (number of targets: 2, limit: 1)");
}

#[tokio::test(start_paused = true)]
async fn targets_that_discovery_finds_are_bounded() {
    let rig = Rig::new(|_, _| at_once(body("")));
    let most = super::pool::TARGETS_MAX;
    let targets: Vec<String> = (0..most + 3).map(|n| format!("'h:{n}'")).collect();
    rig.apply(&format!("scrape_configs: [{{job_name: j, scrape_interval: 1h, scrape_timeout: 1s, static_configs: [{{targets: [{}]}}]}}]", targets.join(",")));
    while rig.manager.targets().is_empty() {
        sleep(Duration::from_millis(1)).await;
    }
    let (left_out, scraped): (Vec<_>, Vec<_>) = rig.manager.targets().into_iter().partition(|target| target.dropped);
    assert_eq!((scraped.len(), left_out.len()), (most, 3));
    assert!(left_out.iter().all(|target| target.last.as_ref().unwrap().error == "the job has more than 20000 targets"));
    assert_eq!(rig.count("watchfire_scrape_targets_left_out_total", ""), 3.0);
}

#[tokio::test(start_paused = true)]
async fn dropped_and_invalid_targets_are_listed() {
    let rig = Rig::new(|_, _| at_once(body("")));
    rig.apply("scrape_configs: [{job_name: j, static_configs: [{targets: ['h:1', 'h:1', 'drop:1', 'bad:1']}], relabel_configs: [{source_labels: [__address__], regex: 'drop.*', action: drop}, {source_labels: [__address__], regex: 'bad.*', target_label: __address__, replacement: 'a/b'}]}]");
    sleep(Duration::from_secs(1)).await;
    let targets = rig.manager.targets();
    let shown: Vec<(bool, String)> = targets.iter().map(|t| (t.dropped, t.last.as_ref().map(|l| l.error.clone()).unwrap_or_default())).collect();
    assert_eq!(shown, [(false, String::new()), (true, String::new()), (true, "\"a/b\" is not a valid hostname".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn a_replaced_container_means_ourselves_while_it_is_gone() {
    let rig = Rig::with_aliases(default_aliases("127.0.0.1:8000", Some("canary".into())), |request, _| {
        let own = request.url.starts_with("http://127.0.0.1:8000/");
        assert_eq!(
            own,
            matches!(&request.options.authorization, Authorization::Header { credentials: SecretSource::Inline(token), .. } if token.expose() == "canary")
        );
        at_once(if own { body("own 1\n") } else { Err(FetchError::Connect("prometheus:9090".to_owned())) })
    });
    rig.apply("scrape_configs: [{job_name: p, scrape_interval: 10s, static_configs: [{targets: ['prometheus:9090']}]}]");
    sleep(Duration::from_secs(35)).await;
    let urls = rig.script.urls.lock().unwrap().clone();
    assert_eq!(urls[0..3], ["http://prometheus:9090/metrics", "http://127.0.0.1:8000/metrics", "http://127.0.0.1:8000/metrics"]);
    let target = &rig.manager.targets()[0];
    assert_eq!(target.alias_of.as_deref(), Some("prometheus"));
    assert_eq!(target.labels.get("instance"), Some("prometheus:9090"));
    assert_eq!(target.last.as_ref().unwrap().error, "");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_hangs_leaves_time_for_the_alias() {
    let rig = Rig::with_aliases(default_aliases("127.0.0.1:8000", None), |request, _| match request.url.starts_with("http://127.0.0.1:8000/") {
        true => at_once(body("own 1\n")),
        false => (Duration::from_secs(3_600), body("never")),
    });
    rig.apply("scrape_configs: [{job_name: p, scrape_interval: 10s, static_configs: [{targets: ['prometheus:9090']}]}]");
    sleep(Duration::from_secs(200)).await;
    let ups: Vec<bool> = rig.written().iter().map(|w| w.contains("up{instance=\"prometheus:9090\",job=\"p\"}=1")).collect();
    assert!(ups.len() >= 18 && ups.iter().all(|up| *up), "{ups:?}");
}

#[tokio::test(start_paused = true)]
async fn targets_come_and_go_with_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("t.json");
    std::fs::write(&file, r#"[{"targets": ["h:1"]}]"#).unwrap();
    let rig = Rig::new(|_, _| at_once(body("a 1\n")));
    rig.apply(&format!("scrape_configs: [{{job_name: j, scrape_interval: 2s, scrape_timeout: 1s, file_sd_configs: [{{files: ['{}']}}]}}]", file.display()));
    sleep(Duration::from_secs(3)).await;
    assert_eq!(rig.manager.targets()[0].discovered_labels.get("__meta_filepath"), file.to_str());
    let temporary = dir.path().join("new");
    std::fs::write(&temporary, r#"[{"targets": ["h:2"]}]"#).unwrap();
    std::fs::rename(&temporary, &file).unwrap();
    sleep(Duration::from_secs(6)).await;
    let urls: Vec<String> = rig.manager.targets().iter().map(|t| t.scrape_url.clone()).collect();
    assert_eq!(urls, ["http://h:2/metrics"]);
    sleep(Duration::from_secs(6)).await;
    assert!(rig.samples().iter().any(|s| s == "a=stale"));
}

#[tokio::test(start_paused = true)]
async fn targets_come_from_a_url_and_stay_while_it_fails() {
    let rig = Rig::new(|request, n| {
        if !request.url.starts_with("http://sd/") {
            return at_once(body("a 1\n"));
        }
        let json = |text: &str| Ok(Answer { status: 200, content_type: "application/json".to_owned(), body: text.to_owned().into() });
        at_once(match n {
            0 => Err(FetchError::Connect("sd".to_owned())),
            1 => json(r#"[{"targets": ["h:1", "h:2"], "labels": {"__meta_zone": "x"}}]"#),
            _ if n < 60 => Ok(Answer { status: 500, ..Answer::default() }),
            _ => json(r#"[{"targets": ["h:2"]}]"#),
        })
    });
    rig.apply("scrape_configs: [{job_name: j, scrape_interval: 10s, http_sd_configs: [{url: 'http://sd/t', refresh_interval: 5s}], relabel_configs: [{source_labels: [__meta_zone], target_label: zone}]}]");
    let targets = |rig: &Rig| rig.manager.targets().iter().map(|t| format!("{} {}", t.scrape_url, t.labels.get("zone").unwrap_or(""))).collect::<Vec<_>>();
    sleep(Duration::from_secs(4)).await;
    assert_eq!(targets(&rig), [""; 0]);
    sleep(Duration::from_secs(30)).await;
    assert_eq!(targets(&rig), ["http://h:1/metrics x", "http://h:2/metrics x"]);
    assert!(rig.count("watchfire_discovery_http_errors_total", "") >= 4.0);
    sleep(Duration::from_secs(300)).await;
    assert_eq!(targets(&rig), ["http://h:2/metrics "]);
}

/// One body under one job: what is written, or why not.
fn check_body(job: &str, text: &str, expected: &str) {
    use super::intake::Intake;
    use super::target::{Outcome, build};
    use watchfire_ingest::exposition::Format;
    let job = ScrapeConfig::from_yaml(job).unwrap();
    let groups = job.discovery[0].initial(&Meter::new()).unwrap();
    let Outcome::Active(target) = build(&job, &groups[0], &groups[0].targets[0]) else { panic!("no target") };
    let mut intake = Intake::new(&job, &target);
    let (batch, counts, read) = intake.take(text.as_bytes(), Encoding::Text(Format::PrometheusText), Timestamp(1_000), &job, &target);
    let outcome = match read {
        Ok(()) => format!(
            "{} dup={}",
            batch
                .series
                .iter()
                .map(|s| format!("{}={}@{}", s.labels, s.samples.as_slice()[0].value, s.samples.as_slice()[0].time.millis()))
                .collect::<Vec<_>>()
                .join(" "),
            counts.duplicates
        ),
        Err(error) => {
            assert!(batch.series.is_empty());
            error.to_string()
        }
    };
    assert_eq!(outcome, expected, "{text}");
}

#[test]
fn labels_of_samples() {
    let job = |more: &str| format!("{{job_name: j, static_configs: [{{targets: ['h:1'], labels: {{zone: t}}}}]{more}}}");
    let check = |more: &str, text: &str, expected: &str| check_body(&job(more), text, expected);
    check("", "a 1\n", r#"a{instance="h:1", job="j", zone="t"}=1@1000 dup=0"#);
    // Conflicts: ours win, theirs are kept as exported_…, twice if need be.
    check("", "a{job=\"x\",zone=\"z\"} 1\n", r#"a{exported_job="x", exported_zone="z", instance="h:1", job="j", zone="t"}=1@1000 dup=0"#);
    check("", "a{job=\"x\",exported_job=\"y\"} 1\n", r#"a{exported_exported_job="x", exported_job="y", instance="h:1", job="j", zone="t"}=1@1000 dup=0"#);
    check(", honor_labels: true", "a{job=\"x\"} 1\n", r#"a{instance="h:1", job="x", zone="t"}=1@1000 dup=0"#);
    check(", honor_labels: true", "a{instance=\"\"} 1\n", r#"a{job="j", zone="t"}=1@1000 dup=0"#);
    check("", "a{instance=\"\"} 1\n", r#"a{instance="h:1", job="j", zone="t"}=1@1000 dup=0"#);
    // Timestamps.
    check("", "a 1 5\n", r#"a{instance="h:1", job="j", zone="t"}=1@5 dup=0"#);
    check(", honor_timestamps: false", "a 1 5\n", r#"a{instance="h:1", job="j", zone="t"}=1@1000 dup=0"#);
    // Of two samples for one series the first stands.
    check("", "a 1\na 2\n", r#"a{instance="h:1", job="j", zone="t"}=1@1000 dup=1"#);
    let relabel = |rule: &str| format!(", metric_relabel_configs: [{rule}]");
    check(&relabel("{regex: x, action: labeldrop}"), "a{x=\"1\"} 1\na{x=\"2\"} 2\n", r#"a{instance="h:1", job="j", zone="t"}=1@1000 dup=1"#);
    check(&relabel("{source_labels: [__name__], regex: 'a.*', action: drop}"), "ab 1\nb 2\n", r#"b{instance="h:1", job="j", zone="t"}=2@1000 dup=0"#);
    check(
        &relabel("{source_labels: [__name__], target_label: __name__, replacement: 'x_$1'}"),
        "ab 1\n",
        r#"x_ab{instance="h:1", job="j", zone="t"}=1@1000 dup=0"#,
    );
    check(&relabel("{regex: __name__, action: labeldrop}"), "ab 1\n", r#"relabelling left a series without a valid name: {instance="h:1", job="j", zone="t"}"#);
    // Limits make the whole scrape fail.
    check(", sample_limit: 1", "a 1\n", r#"a{instance="h:1", job="j", zone="t"}=1@1000 dup=0"#);
    check(", sample_limit: 1", "a 1\nb 1\n", "sample limit exceeded: more than 1 samples");
    check(", label_limit: 4", "a 1\n", r#"a{instance="h:1", job="j", zone="t"}=1@1000 dup=0"#);
    check(", label_limit: 4", "a{b=\"c\"} 1\n", "label limit exceeded: a has 5 labels, the limit is 4");
    check(", label_name_length_limit: 8", "a{abcdefghi=\"c\"} 1\n", "label limit exceeded: the name of label \"abcdefghi\" of a has more than 8 bytes");
    check(", label_value_length_limit: 3", "a{b=\"abcd\"} 1\n", "label limit exceeded: the value of label \"b\" of a has more than 3 bytes");
    check(
        ", metric_name_validation_scheme: legacy",
        "{\"a.b\"} 1\n",
        r#"relabelling left a series without a valid name: {"a.b", instance="h:1", job="j", zone="t"}"#,
    );
}

#[test]
fn metadata_is_sent_once_and_again_when_it_changes() {
    use super::intake::Intake;
    use super::target::{Outcome, build};
    use watchfire_ingest::exposition::Format;
    let job = ScrapeConfig::from_yaml("{job_name: j, static_configs: [{targets: ['h:1']}]}").unwrap();
    let groups = job.discovery[0].initial(&Meter::new()).unwrap();
    let Outcome::Active(target) = build(&job, &groups[0], &groups[0].targets[0]) else { panic!("no target") };
    let mut intake = Intake::new(&job, &target);
    let mut sent = |text: &str| {
        let (batch, _, read) = intake.take(text.as_bytes(), Encoding::Text(Format::PrometheusText), Timestamp(1), &job, &target);
        read.unwrap();
        batch.metadata.iter().map(|m| format!("{} {} {}", m.family, m.kind.name(), m.help)).collect::<Vec<_>>()
    };
    assert_eq!(sent("# HELP a Words.\n# TYPE a counter\na 1\n"), ["a counter Words."]);
    assert_eq!(sent("# HELP a Words.\n# TYPE a counter\na 1\n"), [""; 0]);
    assert_eq!(sent("# HELP a Other words.\n# TYPE a counter\na 1\n"), ["a counter Other words."]);
}
