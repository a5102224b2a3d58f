//! Probing as a whole: modules as files have them, whom a request may have looked at, what is answered and remembered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use watchfire_ingest::exposition::{Format, render};
use watchfire_model::exporter::{Asker, Exporter, Question, Said};
use watchfire_model::meter::Meter;
use watchfire_model::time::SystemClock;
use watchfire_net::client::Caller;
use watchfire_net::policy::Policy;

use super::config::{self, Modules};
use super::{Access, Prober, Surroundings, timeout_of};

/// The modules of a text, which must be right.
pub(super) fn modules(text: &str) -> Modules {
    let (modules, findings) = config::parse("blackbox.yml", text, &|path| path.into());
    modules.unwrap_or_else(|| panic!("{findings:?}"))
}

/// A prober, with what admins may reach that nobody named.
pub(super) fn prober_with(text: &str, adhoc: Policy) -> Prober {
    let clock = SystemClock::shared();
    let access = Arc::new(Access::new(clock.clone(), adhoc));
    Prober::new(Surroundings { caller: Arc::new(Caller::new(clock.clone())), clock, meter: Meter::new(), access }, modules(text))
}

/// What a probe answers when the configuration asks.
pub(super) async fn probe(text: &str, target: &str) -> String {
    let said = ask(&prober_with(text, Policy::free()), Asker::Configuration, "/probe", &[("module", "m"), ("target", target)]).await.1;
    // Whoever configures many targets is told how much room they need by this figure.
    let most = modules(text).list.get("m").unwrap().series_max() - OF_SCRAPING;
    assert!(series(&said) <= most, "{} series, more than {most}: {said}", series(&said));
    said
}

/// Series that scraping adds to those of a probe.
pub(super) const OF_SCRAPING: usize = 5;

/// The number of series in an exposition.
pub(super) fn series(text: &str) -> usize {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count()
}

pub(super) async fn ask(prober: &Prober, asker: Asker, path: &str, params: &[(&str, &str)]) -> (u16, String) {
    let params = params.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let question = Question { path: path.to_owned(), base: "", params, asker, patience: Some(Duration::from_secs(20)) };
    let reply = prober.ask(question).await;
    let text = match reply.said {
        Said::Families(families) => render(Format::PrometheusText, &families),
        Said::Text(text) | Said::Json(text) | Said::Html(text) => text,
    };
    (reply.status, text)
}

/// Whether an exposition has a line.
pub(crate) fn has(text: &str, line: &str) -> bool {
    text.lines().any(|known| known == line)
}

/// A server that answers by the first line of a request, one connection each.
pub(crate) async fn serve(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> SocketAddr {
    serve_bytes(move |heard| answer(heard).into_bytes()).await
}

/// The same with answers that are no text.
pub(crate) async fn serve_bytes(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut heard = Vec::new();
            while !heard.windows(4).any(|w| w == b"\r\n\r\n") {
                if stream.read_buf(&mut heard).await.is_ok_and(|n| n == 0) {
                    break;
                }
            }
            let said = answer(&String::from_utf8_lossy(&heard));
            drop(stream.write_all(&said).await);
        }
    });
    address
}

/// An answer of HTTP with a body.
pub(crate) fn page(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}", body.len())
}

const PLAIN: &str = "modules: {m: {prober: http, timeout: 5s}, tcp_connect: {prober: tcp}}";

#[tokio::test]
async fn prb_01_a_probe_answers_metrics_of_success() {
    let address = serve(|_| page("200 OK", "", "fine")).await;
    let good = probe(PLAIN, &format!("http://{address}/")).await;
    assert!(has(&good, "probe_success 1") && good.contains("\nprobe_duration_seconds "), "{good}");
    // The port of a listener that is gone.
    let gone = watchfire_testkit::ports::nobody();
    let bad = probe(PLAIN, &format!("http://{gone}/")).await;
    assert!(has(&bad, "probe_success 0") && has(&bad, "probe_http_status_code 0"), "{bad}");
}

#[tokio::test]
async fn prb_11_the_face_has_metrics_of_its_own() {
    let prober = prober_with(PLAIN, Policy::free());
    assert_eq!(ask(&prober, Asker::Reader, "/probe", &[("module", "none"), ("target", "x")]).await.0, 400);
    assert_eq!(ask(&prober, Asker::Reader, "/probe", &[("module", "m")]).await, (400, "Target parameter is missing\n".to_owned()));
    let (status, text) = ask(&prober, Asker::Reader, "/metrics", &[]).await;
    assert_eq!(status, 200);
    for line in ["blackbox_module_unknown_total 1", "blackbox_exporter_config_last_reload_successful 1"] {
        assert!(has(&text, line), "{line} in {text}");
    }
    assert_eq!(ask(&prober, Asker::Reader, "/elsewhere", &[]).await.0, 404);
}

#[tokio::test]
async fn who_may_have_what_looked_at() {
    let address = serve(|asked| page("200 OK", "", &format!("{}token", asked.to_ascii_lowercase().matches("authorization").count()))).await;
    let text = "modules: {m: {prober: http, http: {bearer_token: canary, fail_if_body_not_matches_regexp: ['^0token']}}}";
    let loopback: Vec<_> = ["127.0.0.0/8", "::1/128"].map(|network| network.parse().unwrap()).into();
    let open = prober_with(text, Policy::free().with_allowed(loopback));
    let closed = prober_with(text, Policy::free());
    let url = format!("http://{address}/");
    let params = [("module", "m"), ("target", url.as_str())];
    assert_eq!(ask(&open, Asker::Reader, "/probe", &params).await.0, 403, "nobody named it");
    assert_eq!(ask(&closed, Asker::Admin, "/probe", &params).await.0, 403, "it is this machine");
    // A target that nobody named gets no credentials; one that the configuration names gets them.
    assert!(has(&ask(&open, Asker::Admin, "/probe", &params).await.1, "probe_success 1"));
    assert!(has(&ask(&closed, Asker::Configuration, "/probe", &params).await.1, "probe_failed_due_to_regex 1"));
    for forbidden in ["http://169.254.169.254/", "http://0xa9fea9fe/", "http://[::ffff:169.254.169.254]/", "http://169.254.1.1/", "http://[fe80::1]/"] {
        let (status, said) = ask(&open, Asker::Admin, "/probe", &[("module", "m"), ("target", forbidden)]).await;
        assert_eq!(status, 403, "{forbidden}: {said}");
    }
}

#[tokio::test]
async fn r52_a_redirect_does_not_lead_past_the_rule() {
    let trap = serve(|_| page("200 OK", "", "secret")).await;
    let address = serve(move |_| page("301 Moved", &format!("location: http://{trap}/\r\n"), "")).await;
    let own = Policy::free().with_allowed(vec![format!("{}/32", address.ip()).parse().unwrap()]).with_own(vec![trap]);
    let prober = prober_with(PLAIN, own);
    let url = format!("http://{address}/");
    let (status, said) = ask(&prober, Asker::Admin, "/probe", &[("module", "m"), ("target", &url)]).await;
    assert_eq!(status, 403, "{said}");
    assert!(!said.contains("secret"));
}

#[tokio::test]
async fn r52_no_spelling_of_this_machine_reaches_it() {
    let hits = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = hits.clone();
    let trap = serve(move |_| {
        counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        page("200 OK", "", "secret")
    })
    .await;
    let prober = prober_with(PLAIN, Policy::free().with_own(vec![trap]));
    let port = trap.port();
    let hosts = [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "0177.1",
        "017700000001",
        "127.0.0.1.",
        "127.000.000.001",
        "127.127.127.127",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
        "user:pass@127.0.0.1",
        "example.com@127.0.0.1",
        "0",
        "0.0.0.0",
        "[::]",
        "0x0",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "%31%32%37.0.0.1",
        "127。0。0。1",
        "①②⑦.⓪.⓪.①",
    ];
    for host in hosts {
        for target in [format!("http://{host}:{port}/"), format!("{host}:{port}")] {
            for module in ["m", "tcp_connect"] {
                let (status, said) = ask(&prober, Asker::Admin, "/probe", &[("module", module), ("target", &target)]).await;
                assert!(status == 403 || said.contains("probe_success 0"), "{target}: {said}");
            }
        }
    }
    for other in ["file:///etc/passwd", "gopher://127.0.0.1/", "unix:///run/docker.sock"] {
        let (status, said) = ask(&prober, Asker::Admin, "/probe", &[("module", "m"), ("target", other)]).await;
        assert!(status == 403 || said.contains("probe_success 0"), "{other}: {said}");
    }
    assert_eq!(hits.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_debugging_shows_is_for_admins() {
    let address = serve(|_| page("200 OK", "", "fine")).await;
    let loopback = Policy::free().with_allowed(vec!["127.0.0.0/8".parse().unwrap()]);
    let prober = prober_with(PLAIN, loopback);
    let url = format!("http://{address}/");
    let params = [("module", "m"), ("target", url.as_str()), ("debug", "true")];
    let (status, text) = ask(&prober, Asker::Admin, "/probe", &params).await;
    assert!(status == 200 && text.starts_with("Logs for the probe:\n") && has(&text, "probe_success 1"), "{text}");
    assert_eq!(ask(&prober, Asker::Reader, "/probe", &params).await.0, 403);
    assert_eq!(ask(&prober, Asker::Reader, "/logs", &[("id", "1")]).await.0, 403);
    assert!(ask(&prober, Asker::Admin, "/logs", &[("id", "1")]).await.1.contains("answered 200"));
    assert_eq!(ask(&prober, Asker::Admin, "/logs", &[("id", "7")]).await.0, 404);
    let (_, shown) = ask(&prober, Asker::Reader, "/", &[]).await;
    assert!(shown.contains(&url) && shown.contains("<td>success</td>"), "{shown}");
}

#[test]
fn the_time_of_a_probe_is_the_shorter_one() {
    let of = |own: &str, patience: Option<u64>| {
        let modules = modules(&format!("modules: {{m: {{prober: http{own}}}}}"));
        timeout_of(&modules.list["m"], patience.map(Duration::from_millis)).as_millis()
    };
    for (own, patience, expected) in [
        ("", None, 120_000),
        ("", Some(10_000), 9_500),
        (", timeout: 5s", Some(10_000), 5_000),
        (", timeout: 15s", Some(10_000), 9_500),
        (", timeout: 15s", None, 15_000),
        ("", Some(400), 200),
        ("", Some(0), 120_000),
    ] {
        assert_eq!(of(own, patience), expected, "{own} {patience:?}");
    }
}

#[tokio::test]
async fn a_target_that_does_not_answer_costs_the_time_and_no_more() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let said = probe("modules: {m: {prober: http, timeout: 300ms}}", &format!("http://{address}/")).await;
    assert!(has(&said, "probe_success 0") && said.contains("probe_http_duration_seconds{phase=\"connect\"}"), "{said}");
}

#[test]
fn mistakes_have_their_place() {
    for (text, expected) in [
        (
            "modules:\n  m: {prober: htp}\n",
            "blackbox.yml:2:15: error: modules.m.prober: must be one of http, tcp, dns, icmp, grpc, not \"htp\"; did you mean \"http\"?",
        ),
        ("modules:\n  m: {timeout: 5s}\n", "blackbox.yml:2:6: error: modules.m.prober is missing"),
        ("modules:\n  m: {prober: http, htp: {}}\n", "blackbox.yml:2:21: error: unknown key \"htp\" in modules.m; did you mean \"http\"?"),
        (
            "modules:\n  m:\n    prober: http\n    http: {valid_status_codes: [abc]}\n",
            "blackbox.yml:4:32: error: modules.m.http.valid_status_codes: \"abc\" is no status code",
        ),
        ("modules:\n  m: {prober: dns, dns: {}}\n", "blackbox.yml:2:25: error: modules.m.dns.query_name is missing"),
        (
            "modules:\n  m: {prober: http, http: {compression: br}}\n",
            "blackbox.yml:2:41: error: modules.m.http.compression: br (Brotli) is not decompressed here; gzip and deflate are",
        ),
        (
            "modules:\n  m: {prober: icmp, icmp: {dont_fragment: true}}\n",
            "blackbox.yml:2:43: warning: modules.m.icmp.dont_fragment: is read but not carried out: echo requests may be fragmented",
        ),
        (
            "modules:\n  m: {prober: tcp, tcp: {query_response: [{expect: '('}]}}\n",
            "blackbox.yml:2:52: error: modules.m.tcp.query_response[0].expect: \"(\" is no regular expression: unclosed group",
        ),
        ("module: {}\n", "blackbox.yml:1:1: error: unknown key \"module\" in the file; did you mean \"modules\"?"),
    ] {
        let (_, findings) = config::parse("blackbox.yml", text, &|path| path.into());
        assert_eq!(findings.iter().map(ToString::to_string).collect::<Vec<_>>(), [expected], "{text}");
    }
}

#[test]
fn the_configuration_is_shown_without_secrets() {
    let shown = modules("modules: {m: {prober: http, http: {basic_auth: {username: u, password: canary}, headers: {X-Api-Token: canary}}}}").rendered;
    assert!(shown.contains("prober: http") && !shown.contains("canary"), "{shown}");
}

#[tokio::test]
async fn prb_12_native_probes_are_jobs_whose_targets_are_parameters() {
    use watchfire_model::document::{Context, Reader, parse_yaml};
    let text =
        "probes:\n- {module: http_2xx, targets: ['http://u:pw@a:8000/x?y=1', b], interval: 30s, labels: {team: red}}\n- {name: n, module: icmp, targets: c}\n";
    let context = Context::new("watchfire.yml");
    let node = parse_yaml("watchfire.yml", text).unwrap();
    let entries = super::native::read(&Reader::new(&context, &node, ""));
    assert!(!context.has_errors());
    let job = entries[0].job().unwrap();
    assert_eq!((job.name.as_str(), job.interval_ms, job.timeout_ms), ("probe-http_2xx", 30_000, 10_000));
    assert_eq!((entries[1].name.as_str(), entries[1].targets.as_slice(), entries[1].job().unwrap().interval_ms), ("n", &["c".to_owned()][..], 15_000));
    let discovered = job.discovery[0].initial(&Meter::new()).unwrap();
    let urls: Vec<String> = discovered
        .iter()
        .flat_map(|group| group.targets.iter().map(|own| crate::scrape::target::build(&job, group, own)).collect::<Vec<_>>())
        .map(|outcome| match outcome {
            crate::scrape::target::Outcome::Active(target) => format!("{} {}", target.url(), target.labels),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        urls[0],
        "http://watchfire.invalid/blackbox/probe?module=http_2xx&target=http%3A%2F%2Fu%3Apw%40a%3A8000%2Fx%3Fy%3D1 {instance=\"http://a:8000/x?y=1\", job=\"probe-http_2xx\", team=\"red\"}"
    );
}
