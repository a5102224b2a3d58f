//! The prober `http` against pages of the test's own: every option, what it makes of the answer, and which metrics that leaves.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::tcp::tests::acceptor;
use super::super::tests::{OF_SCRAPING, has, modules, page, probe, series, serve};

/// Probes a path with options; `1` or `0` by success, and the exposition.
async fn outcome(options: &str, path: &str) -> (bool, String) {
    let address = serve(|asked| {
        let (first, lower) = (asked.lines().next().unwrap_or("").to_owned(), asked.to_ascii_lowercase());
        match first.split(' ').nth(1).unwrap_or("") {
            "/health" => page("200 OK", "", r#"{"status": "healthy"}"#),
            "/ready" => page("200 OK", "", r#"{"status": "ready"}"#),
            "/created" => page("201 Created", "", ""),
            "/gone" => page("404 Not Found", "", "no"),
            "/moved" => page("302 Found", "location: /health\r\n", ""),
            "/again" => page("307 Temporary Redirect", "location: /echo\r\n", ""),
            "/circle" => page("302 Found", "location: /circle\r\n", ""),
            "/file" => page("302 Found", "location: file:///etc/passwd\r\n", ""),
            "/old" => page("200 OK", "last-modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nserver: camera\r\n", "x"),
            "/echo" => page("200 OK", "", &format!("{first}\n{lower}\n{}", asked.split("\r\n\r\n").nth(1).unwrap_or(""))),
            "/ten" => "HTTP/1.0 200 OK\r\n\r\nend".to_owned(),
            _ => page("200 OK", "", "fine"),
        }
    })
    .await;
    let text = probe(&format!("modules: {{m: {{prober: http, timeout: 5s, http: {{{options}}}}}}}"), &format!("http://{address}{path}")).await;
    (has(&text, "probe_success 1"), text)
}

async fn check(cases: &[(&str, &str, bool)]) {
    for (options, path, expected) in cases {
        let (good, text) = outcome(options, path).await;
        assert_eq!(good, *expected, "{options} at {path}: {text}");
    }
}

#[tokio::test]
async fn prb_03_a_plain_module_passes_on_200() {
    check(&[("", "/health", true), ("", "/gone", false), ("", "/created", true), ("valid_status_codes: [200]", "/created", false)]).await;
}

#[tokio::test]
async fn prb_04_a_body_is_checked_as_well() {
    let healthy = r#"fail_if_body_not_matches_regexp: ['"status":\s*"(healthy|ready)"']"#;
    check(&[(healthy, "/health", true), (healthy, "/ready", true), (healthy, "/fine", false)]).await;
    assert!(has(&outcome(healthy, "/fine").await.1, "probe_failed_due_to_regex 1"));
    let bad = "fail_if_body_matches_regexp: [healthy]";
    check(&[(bad, "/health", false), (bad, "/ready", true)]).await;
}

#[tokio::test]
async fn prb_05_a_stricter_module_takes_ready_only_and_follows_nothing() {
    let ready = r#"follow_redirects: false, fail_if_body_not_matches_regexp: ['"status":\s*"ready"']"#;
    check(&[(ready, "/ready", true), (ready, "/health", false), (ready, "/moved", false), ("no_follow_redirects: true", "/moved", false)]).await;
}

#[tokio::test]
async fn prb_06_several_statuses_are_valid() {
    let api = "valid_status_codes: [200, 201, 204]";
    check(&[(api, "/health", true), (api, "/created", true), (api, "/gone", false), ("valid_status_codes: [404]", "/gone", true)]).await;
}

#[tokio::test]
async fn prb_08_a_module_of_the_user_fails_on_a_missing_text() {
    let custom = r#"valid_status_codes: [200, 201], fail_if_body_not_matches_regexp: ['"success":\s*true']"#;
    check(&[(custom, "/health", false)]).await;
    let address = serve(|_| page("201 Created", "", r#"{"success":   true}"#)).await;
    let text = probe(&format!("modules: {{m: {{prober: http, timeout: 10s, http: {{{custom}}}}}}}"), &format!("http://{address}/")).await;
    assert!(has(&text, "probe_success 1"), "{text}");
}

#[tokio::test]
async fn prb_09_status_and_phases_are_told() {
    let (_, text) = outcome("", "/gone").await;
    assert!(has(&text, "probe_http_status_code 404"), "{text}");
    for phase in ["resolve", "connect", "tls", "processing", "transfer"] {
        assert!(text.contains(&format!("probe_http_duration_seconds{{phase=\"{phase}\"}} ")), "{phase}");
    }
    for line in ["probe_http_ssl 0", "probe_http_version 1.1", "probe_http_content_length 2", "probe_http_uncompressed_body_length 2", "probe_ip_protocol 4"] {
        assert!(has(&text, line), "{line} in {text}");
    }
    let (_, text) = outcome("", "/old").await;
    assert!(has(&text, "probe_http_last_modified_timestamp_seconds 7.84111777e+08"), "{text}");
    let (good, text) = outcome("", "/ten").await;
    assert!(good && has(&text, "probe_http_version 1") && has(&text, "probe_http_content_length -1"), "{text}");
}

#[tokio::test]
async fn redirects_are_followed_within_limits() {
    let (good, text) = outcome("", "/moved").await;
    assert!(good && has(&text, "probe_http_redirects 1"), "{text}");
    check(&[("", "/circle", false), ("", "/file", false)]).await;
    // Where it leads is of no account to who does not follow.
    check(&[("follow_redirects: false, valid_status_codes: [302]", "/file", true)]).await;
    let (good, text) = outcome("method: POST, body: hello, fail_if_body_not_matches_regexp: ['^POST /echo', 'hello$']", "/again").await;
    assert!(good, "the method and the body stay with 307: {text}");
}

#[tokio::test]
async fn what_is_sent_is_what_the_module_says() {
    let sent = |options: &str, expression: &str| format!("{options}, fail_if_body_not_matches_regexp: ['{expression}']");
    for (options, expression) in [
        ("method: PUT, body: hello", "^PUT /echo HTTP/1.1"),
        ("method: PUT, body: hello", "hello$"),
        ("headers: {X-Camera: front}", "x-camera: front"),
        ("headers: {Host: front.example}", "host: front.example"),
        ("basic_auth: {username: u, password: p}", "authorization: basic dtpw"),
        ("bearer_token: t", "authorization: bearer t"),
        ("compression: identity", "accept-encoding: identity"),
    ] {
        let (good, text) = outcome(&sent(options, expression), "/echo").await;
        assert!(good, "{options}: {text}");
    }
    check(&[("fail_if_body_matches_regexp: [accept-encoding]", "/echo", true)]).await;
}

#[tokio::test]
async fn headers_versions_sizes_and_encryption_are_judged() {
    let rule =
        |kind: &str, header: &str, expression: &str, missing: bool| format!("{kind}: [{{header: {header}, regexp: {expression}, allow_missing: {missing}}}]");
    for (options, expected) in [
        (rule("fail_if_header_matches", "Server", "cam", false), false),
        (rule("fail_if_header_matches", "Server", "other", false), true),
        (rule("fail_if_header_matches", "X-None", "x", false), false),
        (rule("fail_if_header_matches", "X-None", "x", true), true),
        (rule("fail_if_header_not_matches", "Server", "cam", false), true),
        (rule("fail_if_header_not_matches", "Server", "other", false), false),
        ("valid_http_versions: ['HTTP/1.1', 'HTTP/2.0']".to_owned(), true),
        ("valid_http_versions: ['HTTP/2.0']".to_owned(), false),
        ("fail_if_not_ssl: true".to_owned(), false),
        ("fail_if_ssl: true".to_owned(), true),
        ("body_size_limit: 1B".to_owned(), true),
        ("compression: gzip".to_owned(), false),
        ("preferred_ip_protocol: ip6, ip_protocol_fallback: false".to_owned(), false),
    ] {
        check(&[(&options, "/old", expected)]).await;
    }
    check(&[("body_size_limit: 3B", "/fine", false), ("body_size_limit: 4B", "/fine", true)]).await;
}

#[tokio::test]
async fn a_name_can_be_asked_for_at_an_address() {
    let address = serve(|asked| page("200 OK", "", &asked.to_ascii_lowercase())).await;
    let prober = super::super::tests::prober_with(
        "modules: {m: {prober: http, http: {fail_if_body_not_matches_regexp: ['host: camera.example']}}}",
        watchfire_net::policy::Policy::free(),
    );
    let url = format!("http://{address}/");
    let params = [("module", "m"), ("target", url.as_str()), ("hostname", "camera.example")];
    let (_, text) = super::super::tests::ask(&prober, watchfire_model::exporter::Asker::Configuration, "/probe", &params).await;
    assert!(has(&text, "probe_success 1"), "{text}");
}

#[test]
fn targets_become_urls() {
    for (target, expected) in [
        ("camera", Ok("http://camera/")),
        ("camera:8080/x", Ok("http://camera:8080/x")),
        ("https://camera/", Ok("https://camera/")),
        ("http://", Err(())),
        ("http:// x/", Err(())),
    ] {
        assert_eq!(super::target_url(target).map(|u| u.to_string()).map_err(|_| ()), expected.map(str::to_owned), "{target}");
    }
}

#[tokio::test]
async fn a_probe_has_no_more_series_than_its_module_says_and_may_have_as_many() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = acceptor();
    tokio::spawn(async move {
        loop {
            let Ok(mut stream) = acceptor.accept(listener.accept().await.unwrap().0).await else { continue };
            drop(stream.read(&mut [0; 2_048]).await);
            drop(stream.write_all(page("200 OK", "last-modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n", "x").as_bytes()).await);
            drop(stream.shutdown().await);
        }
    });
    let text = "modules: {m: {prober: http, timeout: 5s, http: {tls_config: {insecure_skip_verify: true}, enable_http2: false}}}";
    let said = probe(text, &format!("https://{address}/")).await;
    assert!(has(&said, "probe_success 1"), "{said}");
    assert_eq!(series(&said) + OF_SCRAPING, modules(text).list["m"].series_max(), "{said}");
}
