//! Provisioning as the documents write it: providers, plain files, data sources, and what becomes of files that change.

use std::fs::{File, FileTimes, create_dir_all, write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use watchfire_api::grafana::Boards;
use watchfire_model::read::MemoryPool;
use watchfire_model::time::{ManualClock, SharedClock, Timestamp};
use watchfire_store::{Options, Store};

use super::files::{Files, Plan, read};
use super::*;
use crate::settings::{Environment, Flags, Settings, load};

/// A monitoring directory with these files.
fn site(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        create_dir_all(path.parent().unwrap()).unwrap();
        write(path, text).unwrap();
    }
    dir
}
fn settings(dir: &Path) -> Settings {
    let flags = Flags { monitoring_dir: Some(dir.to_path_buf()), ..Flags::default() };
    load(&flags, &Environment::default()).unwrap_or_else(|f| panic!("{f:?}")).settings
}
fn plan(dir: &Path) -> (Plan, Vec<String>) {
    let (plan, findings) = read(&settings(dir), &Environment::default());
    (plan, findings.iter().map(|f| f.to_string().replace(&format!("{}/", dir.display()), "")).collect())
}
/// The dashboards of a directory: title and folder.
fn boards(dir: &Path) -> Vec<(String, String)> {
    let mut files = Files::of(plan(dir).0);
    files.look();
    shown(&files)
}
fn shown(files: &Files) -> Vec<(String, String)> {
    let mut all: Vec<_> = files.boards().iter().map(|b| (b.title().to_owned(), b.folder_title().to_owned())).collect();
    all.sort();
    all
}
fn pair(title: &str, folder: &str) -> (String, String) {
    (title.to_owned(), folder.to_owned())
}

/// The documents' block, where it is at hand, else one of the same meaning.
fn providers() -> String {
    block("002_243_grafana_dashboards_provisioning.yml").unwrap_or_else(|| {
        "apiVersion: 1\nproviders:\n- {name: PiSovereign, folder: PiSovereign, type: file, updateIntervalSeconds: 30, options: {path: /var/lib/grafana/dashboards}}\n".to_owned()
    })
}
fn block(name: &str) -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let seeds = std::env::var_os("WATCHFIRE_SEEDS").map_or_else(|| root.join("../shared/catalogue"), Into::into);
    std::fs::read_to_string(seeds.join("config_snippets").join(name)).ok()
}

#[test]
fn pis_10_dashboards_come_from_the_folder_every_30_seconds() {
    let board = r#"{"uid": "pis", "title": "PiSovereign", "panels": [{"type": "stat"}]}"#;
    let dir = site(&[("grafana/provisioning/dashboards/dashboards.yml", &providers()), ("grafana/dashboards/pisovereign.json", board)]);
    let (plan, findings) = plan(dir.path());
    assert_eq!(findings, [""; 0]);
    assert_eq!(plan.interval_of("PiSovereign"), Some(Duration::from_secs(30)));
    let mut files = Files::of(plan);
    assert!(files.look());
    assert_eq!(shown(&files), [pair("PiSovereign", "PiSovereign")], "once, though it also lies below grafana/");
    assert!(!files.look(), "nothing has changed");
    let path = dir.path().join("grafana/dashboards/pisovereign.json");
    write(&path, board.replace("PiSovereign", "Changed")).unwrap();
    File::options().write(true).open(&path).unwrap().set_times(FileTimes::new().set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(9))).unwrap();
    assert!(files.look());
    assert_eq!(shown(&files), [pair("Changed", "PiSovereign")]);
    write(&path, "{\"title\": \"Half").unwrap();
    files.look();
    assert_eq!(shown(&files), [pair("Changed", "PiSovereign")], "half a file is no reason to forget");
    std::fs::remove_file(&path).unwrap();
    assert!(files.look());
    assert_eq!(shown(&files), []);
}

#[test]
fn pis_12_a_dashboard_file_is_found_without_provisioning() {
    let board = r#"{"title": "By hand", "panels": []}"#;
    let dir = site(&[("grafana/dashboards/pisovereign.json", board), ("grafana/package.json", r#"{"title": "no dashboard"}"#), ("grafana/x.json", "{")]);
    assert_eq!(plan(dir.path()).1, [""; 0]);
    assert_eq!(boards(dir.path()), [pair("By hand", "")]);
}

#[test]
fn pis_11_the_data_source_prometheus_is_there_by_provisioning() {
    let text = block("002_258_grafana_datasources_provisioning.yml").unwrap_or_else(|| {
        "apiVersion: 1\ndatasources:\n- {name: Prometheus, type: prometheus, access: proxy, url: 'http://prometheus:9090', isDefault: true}\n".to_owned()
    });
    let dir = site(&[("grafana/provisioning/datasources/datasources.yml", &text)]);
    let (plan, findings) = plan(dir.path());
    assert_eq!(findings, [""; 0]);
    let kept = kept(&[], &plan);
    let sources = kept.source_list();
    let prometheus = sources.iter().find(|s| s.record.name == "Prometheus").unwrap();
    assert_eq!((&*prometheus.record.kind, &*prometheus.record.url), ("prometheus", "http://prometheus:9090"));
    assert!(prometheus.not_followed.is_none() && prometheus.read_only && prometheus.record.is_default);
    assert_eq!(sources.iter().filter(|s| s.record.name == "Prometheus").count(), 1, "in the place of our own of this name");
}

#[test]
fn pis_15_the_data_source_loki_means_ourselves() {
    let dir = site(&[(
        "grafana/datasources.yml",
        "apiVersion: 1\ndatasources:\n- {name: Loki, type: loki, url: 'http://loki:3100'}\n- {name: Far, type: loki, url: 'http://far:3100'}\n",
    )]);
    let (plan, findings) = plan(dir.path());
    assert_eq!(findings.len(), 1);
    assert!(findings[0].starts_with("grafana/datasources.yml:4:32: warning: data source \"Far\": it names far:3100"), "{findings:?}");
    let sources = kept(&[], &plan).source_list();
    let followed = |name: &str| sources.iter().find(|s| s.record.name == name).unwrap().not_followed.is_none();
    assert!(followed("Loki") && !followed("Far"));
}

#[test]
fn folders_come_from_directories_when_that_is_wanted() {
    let provider = "providers:\n- {type: file, allowUiUpdates: true, options: {path: boards, foldersFromFilesStructure: true}}\n";
    let named = |title: &str| format!("{{\"title\": \"{title}\", \"panels\": []}}");
    let dir = site(&[
        ("grafana/p.yml", provider),
        ("grafana/boards/a.json", &named("A")),
        ("grafana/boards/team/b.json", &named("B")),
        ("grafana/c.json", &named("C")),
    ]);
    assert_eq!(plan(dir.path()).1, [""; 0]);
    assert_eq!(boards(dir.path()), [pair("A", ""), pair("B", "team"), pair("C", "")]);
}

#[test]
fn what_cannot_be_carried_out_is_said_with_its_place() {
    let check = |text: &str, expected: &str| {
        let dir = site(&[("grafana/p.yml", text)]);
        let (_, findings) = plan(dir.path());
        assert!(findings.iter().any(|f| f.starts_with(expected)), "{text}: {findings:?}");
    };
    check("providers:\n- {name: P, type: file, options: {path: /nowhere/at/all}}\n", "grafana/p.yml:2:41: warning: there is no directory /nowhere/at/all");
    check("providers:\n- {type: file, options: {}}\n", "grafana/p.yml:2:3: error: options.path");
    check("providers: [\n", "grafana/p.yml:2:1: warning: ");
}

/// Dashboards with what a plan brings, and no packs enabled but these.
fn kept(packs: &[String], plan: &Plan) -> Arc<Boards> {
    let dashboards = dashboards(packs, plan);
    dashboards.boards.clone()
}
fn dashboards(packs: &[String], plan: &Plan) -> Arc<Dashboards> {
    let dir = tempfile::tempdir().unwrap();
    let clock: SharedClock = ManualClock::new(Timestamp(2_000_000_000_000));
    let store = Arc::new(Store::open(Options::new(dir.path().join("data"), clock.clone())).unwrap());
    let wanted = Wanted::new(store.clone(), MemoryPool::new(1 << 20), clock.clone());
    let dashboards = open(store.state(), &clock, wanted, 8000).unwrap();
    dashboards.apply(plan, packs);
    dashboards
}

#[test]
fn packs_bring_their_dashboards_when_they_are_enabled_or_their_series_are_there() {
    use watchfire_model::batch::{Batch, Origin, Samples, SeriesSamples};
    use watchfire_model::labels;
    use watchfire_model::sample::Sample;
    use watchfire_model::write::Sink as _;

    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(Timestamp(2_000_000_000_000));
    let shared: SharedClock = clock.clone();
    let store = Arc::new(Store::open(Options::new(dir.path().join("data"), shared.clone())).unwrap());
    let wanted = Wanted::new(store.clone(), MemoryPool::new(1 << 20), shared.clone());
    assert_eq!(wanted.now(), ["host", "watchfire"]);
    wanted.enable(&["redis".to_owned()]);
    assert_eq!(wanted.now(), ["host", "redis", "watchfire"]);
    let put = |name: &str| {
        let mut batch = Batch::new(Origin::new("test"));
        let samples = Samples::One(Sample { time: shared.now(), value: 1.0 });
        batch.series.push(SeriesSamples { labels: labels!("__name__" => name), samples });
        store.write(batch).unwrap();
    };
    // Three systems count requests; that tells nothing.
    put("http_requests_total");
    put("camera_fps");
    assert_eq!(wanted.now(), ["host", "redis", "watchfire"], "it was asked a moment ago");
    clock.advance(Duration::from_secs(60));
    assert_eq!(wanted.now(), ["host", "redis", "vms", "watchfire"]);
    put("hsi_stage_duration_seconds_bucket");
    clock.advance(Duration::from_secs(3 * 86_400));
    put("hsi_stage_duration_seconds_bucket");
    assert_eq!(wanted.now(), ["host", "hsi", "redis", "vms", "watchfire"], "a histogram is known by its buckets, and what was there stays");
}
