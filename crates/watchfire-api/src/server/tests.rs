//! Tests of the pipeline, generated over the whole table of routes, so that a new route cannot be forgotten. What single
//! handlers answer is tested beside them.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode};
use tower::ServiceExt;
use watchfire_model::meter::Meter;
use watchfire_model::state::{StateStore, TOKENS, USERS};
use watchfire_net::listener::Peer;
use watchfire_net::secret::Secret;

use super::*;
use crate::app::App;
use crate::auth::{Auth, Settings};
use crate::testing::{Answered, Faces, Memory};

/// Everything that is served on the main port, behind the real pipeline.
struct Door {
    faces: Faces,
    router: Router,
    specs: Vec<Spec>,
    state: Arc<Memory>,
    meter: Meter,
    /// Who asks, and the header that proves it.
    proofs: Vec<(&'static str, Option<String>)>,
    _dir: tempfile::TempDir,
}

/// Each request comes from another address, so that the throttle of wrong proofs stays out of the tables.
static ADDRESS: AtomicU32 = AtomicU32::new(0x0a01_0000);

async fn done() -> &'static str {
    "done"
}
async fn broken() -> &'static str {
    panic!("on purpose")
}
async fn endless() -> &'static str {
    std::future::pending().await
}

fn test_routes() -> Vec<Route<Arc<App>>> {
    vec![
        Route::get("/test/panic", Level::Public, broken),
        Route::get("/test/endless", Level::Public, endless).time_limit(Some(Duration::from_millis(30))),
        Route::post("/test/text", Level::Public, done).takes(Content::Types(&["text/csv"])),
    ]
}

fn door(enabled: bool) -> Door {
    let dir = tempfile::tempdir().unwrap();
    let faces = Faces::new();
    let (state, meter) = (Arc::new(Memory::default()), Meter::new());
    let settings = Settings { enabled, ..Settings::default() };
    let auth = Auth::start(settings, false, &[], dir.path(), state.clone(), faces.clock.clone()).unwrap();
    let mut proofs = vec![("none", None), ("wrong", Some("Bearer wrong".to_owned()))];
    if enabled {
        for (who, level) in [("read", Level::Read), ("ingest", Level::Ingest), ("admin", Level::Admin)] {
            let token = Secret::new(format!("{who}-token-of-the-test"));
            auth.put_token(who, &token, level).unwrap();
            proofs.push((who, Some(format!("Bearer {}", token.expose()))));
        }
    }
    let doors = Doors { hosts: Hosts::new("", &[]), identify: auth.clone(), meter: meter.clone(), clock: faces.clock.clone() };
    let mut table = crate::routes();
    table.extend(crate::auth::routes(&auth));
    let specs = table.iter().map(|r| r.spec.clone()).collect();
    table.extend(test_routes());
    let router = build(table, faces.app.clone(), crate::page::fallback, doors);
    Door { faces, router, specs, state, meter, proofs, _dir: dir }
}

/// A path that a template matches.
fn example(template: &str) -> String {
    let parts = template.split('/').map(|part| if part.starts_with('{') { "example" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

/// A body of a type that the route takes, and of no meaning: no handler gets past its checks with it.
fn fitting(content: Content) -> (&'static str, &'static str) {
    match content {
        Content::Json => ("application/json", "0"),
        Content::Form => ("application/x-www-form-urlencoded", "x=y"),
        Content::Types(types) => (types[0], ""),
        Content::Nothing | Content::Any | Content::Stream => ("application/octet-stream", ""),
    }
}

impl Door {
    async fn send(&self, mut request: Request<Body>) -> Answered {
        let from = std::net::Ipv4Addr::from(ADDRESS.fetch_add(1, Ordering::Relaxed));
        if request.extensions().get::<Peer>().is_none() {
            request.extensions_mut().insert(Peer::new((from, 9).into(), "192.168.1.2:8000".parse().unwrap(), false));
        }
        let answer = async {
            let response = self.router.clone().oneshot(request).await.unwrap();
            let (parts, body) = response.into_parts();
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec();
            Answered { status: parts.status, headers: parts.headers, body }
        };
        tokio::time::timeout(Duration::from_secs(20), answer).await.expect("every request is answered soon")
    }
    async fn ask(&self, method: &Method, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answered {
        let mut request = Request::builder().method(method.clone()).uri(path);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", "localhost:8000");
        }
        let request = headers.iter().fold(request, |r, (name, value)| r.header(*name, *value));
        self.send(request.body(body.into()).unwrap()).await
    }
    fn proof(&self, who: &str) -> &str {
        self.proofs.iter().find(|(name, _)| *name == who).and_then(|(_, proof)| proof.as_deref()).unwrap()
    }
    /// Everything that a request could have changed.
    fn contents(&self) -> (BTreeMap<String, Vec<u8>>, usize) {
        let state = self.state.0.lock().unwrap().iter().map(|((table, key), value)| (format!("{table:?} {key}"), value.clone())).collect();
        (state, self.faces.house.held().series.values().map(BTreeMap::len).sum())
    }
    fn methods_at(&self, path: &str) -> Vec<Method> {
        self.specs.iter().filter(|s| s.path == path).flat_map(|s| s.methods.clone()).collect()
    }
}

fn allowed(who: &str, level: Level) -> bool {
    matches!((who, level), (_, Level::Public) | ("admin", _) | ("read", Level::Read) | ("ingest", Level::Ingest))
}

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

#[tokio::test]
async fn r48_every_route_by_every_method_and_proof() {
    let door = door(true);
    let all = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"].map(|m| Method::from_bytes(m.as_bytes()).unwrap());
    let mut asked = 0;
    for spec in &door.specs {
        let known = door.methods_at(&spec.path);
        for method in &all {
            let served = known.contains(method) || (*method == Method::HEAD && known.contains(&Method::GET) && !spec.websocket);
            let mine = spec.methods.contains(method) || (*method == Method::HEAD && spec.methods.contains(&Method::GET));
            for (who, proof) in &door.proofs {
                let (media, body) = fitting(spec.content);
                let mut headers = vec![("content-type", media)];
                headers.extend(proof.as_deref().map(|p| ("authorization", p)));
                let answer = door.ask(method, &example(&spec.path), &headers, if is_safe(method) { "" } else { body }).await;
                let what = format!("{who}: {method} {} ({}): {} {}", spec.path, spec.level, answer.status, answer.text());
                asked += 1;
                if !served {
                    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{what}");
                    assert!(known.iter().all(|m| answer.header("allow").contains(m.as_str())), "{what}");
                    assert!(!answer.body.is_empty() || *method == Method::HEAD, "{what}");
                } else if mine && (allowed(who, spec.level) || *who == "ingest" && spec.senders_too) {
                    let lifecycle = ["/-/reload", "/-/quit"].iter().any(|end| spec.path.ends_with(end)) && !answer.text().contains("needs the level");
                    assert!(lifecycle || ![401, 403, 405, 429].contains(&answer.status.as_u16()), "{what}");
                } else if mine {
                    let expected = if ["none", "wrong"].contains(who) { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN };
                    assert_eq!(answer.status, expected, "{what}");
                    assert_eq!(answer.headers.contains_key("www-authenticate"), expected == StatusCode::UNAUTHORIZED, "{what}");
                }
            }
        }
    }
    assert!(asked > 2_000, "{asked}");
}

#[test]
fn r48_what_is_public_is_written_down_here() {
    let door = door(true);
    let page: Vec<String> = crate::page::routes().iter().map(|r| r.spec.path.clone()).collect();
    let mut public: Vec<&str> = door.specs.iter().filter(|s| s.level == Level::Public && !page.contains(&s.path)).map(|s| s.path.as_str()).collect();
    public.sort_unstable();
    let expected = [
        "/-/healthy",
        "/-/ready",
        "/api/auth/login",
        "/api/auth/logout",
        "/api/auth/session",
        "/api/health",
        "/api/system/health/live",
        "/blackbox/-/healthy",
        "/collect/-/healthy",
        "/elasticsearch",
        "/elasticsearch/",
        "/elasticsearch/_cluster/health",
        "/elasticsearch/_cluster/health/{index}",
        "/graph",
        "/health",
        "/json/-/healthy",
        "/loki/ready",
        "/node/-/healthy",
        "/postgres/-/healthy",
        "/pyroscope/ready",
        "/ready",
        "/redis/-/healthy",
        "/tempo/api/echo",
        "/tempo/ready",
    ];
    assert_eq!(public, expected);
}

#[tokio::test]
async fn off_mode_serves_this_machine_and_nobody_else() {
    let door = door(false);
    for spec in door.specs.iter().filter(|s| s.level != Level::Public) {
        for (peer, inside) in
            [(Some("127.0.0.1:9"), true), (Some("[::1]:9"), true), (Some("[::ffff:127.0.0.1]:9"), true), (Some("10.2.3.4:9"), false), (None, false)]
        {
            let (media, body) = fitting(spec.content);
            let request = Request::builder().method(spec.methods[0].clone()).uri(example(&spec.path)).header("host", "localhost").header("content-type", media);
            let mut request = request.body(Body::from(body)).unwrap();
            if let Some(peer) = peer {
                request.extensions_mut().insert(Peer::new(peer.parse().unwrap(), "127.0.0.1:8000".parse().unwrap(), false));
            }
            let response = door.router.clone().oneshot(request).await.unwrap();
            let lifecycle = ["/-/reload", "/-/quit"].iter().any(|end| spec.path.ends_with(end));
            if !lifecycle {
                assert_eq!(response.status() != StatusCode::FORBIDDEN, inside, "{peer:?} {} {}", spec.path, response.status());
            }
            assert_ne!(response.status(), StatusCode::UNAUTHORIZED);
        }
    }
}

#[tokio::test]
async fn r50_unknown_hosts_reach_no_route() {
    let door = door(true);
    let before = door.contents();
    let admin = door.proof("admin").to_owned();
    for spec in &door.specs {
        let (media, body) = fitting(spec.content);
        for host in ["evil.example", "localhost.evil.example", "0.0.0.0:8000", "[::1]evil.example", ""] {
            let headers = [("host", host), ("authorization", admin.as_str()), ("content-type", media)];
            let answer = door.ask(&spec.methods[0], &example(&spec.path), &headers, body).await;
            assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST, "{host} {}", spec.path);
            assert_eq!(answer.json()["error"]["code"], "unknown_host");
        }
    }
    assert_eq!(door.contents(), before);
    let none = door.send(Request::get("/health").body(Body::empty()).unwrap()).await;
    assert_eq!(none.status, StatusCode::MISDIRECTED_REQUEST, "no Host at all");
    let two = Request::get("/health").header("host", "localhost").header("host", "localhost").body(Body::empty()).unwrap();
    assert_eq!(door.send(two).await.status, StatusCode::MISDIRECTED_REQUEST, "two of them");
    for (target, expected) in [
        ("http://localhost:8000/health", 200),
        ("http://LOCALHOST:8000/health", 200),
        ("http://evil.example/health", 421),
        ("http://localhost:8000@evil.example/health", 421),
    ] {
        assert_eq!(door.ask(&Method::GET, target, &[], "").await.status.as_u16(), expected, "{target}");
    }
}

#[tokio::test]
async fn r50_other_pages_change_nothing_and_open_no_socket() {
    for enabled in [true, false] {
        let door = door(enabled);
        let before = door.contents();
        for spec in door.specs.iter().filter(|s| s.websocket || s.methods.iter().any(|m| !is_safe(m))) {
            let (media, body) = fitting(spec.content);
            for origin in ["http://evil.example", "null", "http://localhost:8001", "http://localhost.evil.example:8000", "https://localhost:8000", "file://"] {
                for method in spec.methods.iter().filter(|m| spec.websocket || !is_safe(m)) {
                    let mut headers = vec![("origin", origin), ("content-type", media)];
                    if enabled {
                        headers.push(("authorization", door.proof("admin")));
                    }
                    let mut request = headers
                        .iter()
                        .fold(Request::builder().method(method).uri(example(&spec.path)).header("host", "localhost:8000"), |r, (n, v)| r.header(*n, *v));
                    request.extensions_mut().unwrap().insert(Peer::new("127.0.0.1:9".parse().unwrap(), "127.0.0.1:8000".parse().unwrap(), false));
                    let answer = door.send(request.body(Body::from(body)).unwrap()).await;
                    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{origin} {method} {}", spec.path);
                    assert!(answer.text().contains("other pages"), "{}", answer.text());
                    assert!(!answer.headers.contains_key("access-control-allow-origin"));
                }
            }
        }
        assert_eq!(door.contents(), before);
    }
}

#[tokio::test]
async fn r49_nothing_changes_on_get_or_head() {
    let door = door(true);
    let before = door.contents();
    for spec in door.specs.iter().filter(|s| s.methods.contains(&Method::GET)) {
        for method in [Method::GET, Method::HEAD] {
            for query in ["", "?query=up&start=0&end=1&step=1&match[]=up&minutes=5&limit=3"] {
                door.ask(&method, &format!("{}{query}", example(&spec.path)), &[("authorization", door.proof("admin"))], "").await;
                assert_eq!(door.contents(), before, "{method} {}", spec.path);
            }
        }
    }
    assert_eq!((door.state.scan(TOKENS, "").unwrap().len(), door.state.scan(USERS, "").unwrap().len()), (3, 0));
}

/// A body that must never be asked for.
fn untouchable() -> Body {
    Body::from_stream(futures_util::stream::poll_fn(|_| -> std::task::Poll<Option<Result<bytes::Bytes, std::io::Error>>> { panic!("the body was read") }))
}

#[tokio::test]
async fn bodies_of_callers_without_rights_stay_unread() {
    let door = door(true);
    for spec in door.specs.iter().filter(|s| s.level != Level::Public && s.methods.contains(&Method::POST)) {
        let answer = door.ask(&Method::POST, &example(&spec.path), &[("content-type", fitting(spec.content).0)], untouchable()).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}", spec.path);
    }
    let declared = [("content-type", "application/json"), ("content-length", "99999999")];
    assert_eq!(door.ask(&Method::POST, "/api/auth/login", &declared, untouchable()).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    let wrong_type = [("content-type", "text/plain")];
    assert_eq!(door.ask(&Method::POST, "/api/auth/login", &wrong_type, untouchable()).await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

/// Zeros, compressed.
fn bomb(encoding: &str, bytes: usize) -> Vec<u8> {
    let zeros = vec![0u8; bytes];
    match encoding {
        "gzip" => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            out.write_all(&zeros).unwrap();
            out.finish().unwrap()
        }
        "deflate" => {
            let mut out = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
            out.write_all(&zeros).unwrap();
            out.finish().unwrap()
        }
        "zstd" => zstd::bulk::compress(&zeros, 3).unwrap(),
        "x-snappy-framed" => {
            let mut out = snap::write::FrameEncoder::new(Vec::new());
            out.write_all(&zeros).unwrap();
            out.into_inner().unwrap()
        }
        _ => snap::raw::Encoder::new().compress_vec(&zeros).unwrap(),
    }
}

#[tokio::test]
async fn r34_bombs_at_every_route_that_takes_a_body() {
    let door = door(true);
    let mut made: BTreeMap<(&str, usize), bytes::Bytes> = BTreeMap::new();
    let lying: &[u8] = &[0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, 0x41];
    for spec in &door.specs {
        for method in spec.methods.iter().filter(|m| !is_safe(m)) {
            if spec.content == Content::Stream {
                let headers = [("content-encoding", "gzip"), ("authorization", door.proof("admin"))];
                let answer = door.ask(method, &example(&spec.path), &headers, bomb("gzip", 9)).await;
                assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{}", spec.path);
                continue;
            }
            let media = match spec.path.as_str() {
                "/api/v1/write" => "application/x-protobuf",
                _ => fitting(spec.content).0,
            };
            let ask = async |encoding: &str, body: bytes::Bytes| {
                let headers = [("content-type", media), ("content-encoding", encoding), ("authorization", door.proof("admin"))];
                door.ask(method, &example(&spec.path), &headers, body).await
            };
            let target = spec.body_limits.decompressed * 2;
            for encoding in ["gzip", "deflate", "zstd", "snappy", "x-snappy-framed"] {
                let body = made.entry((encoding, target)).or_insert_with(|| bomb(encoding, target).into()).clone();
                let answer = ask(encoding, body).await;
                let what = format!("{encoding} at {method} {}: {} {}", spec.path, answer.status, answer.text());
                if encoding.contains("snappy") {
                    // Left to the handler, which takes no snappy, or knows which of its forms is meant.
                    let unread = spec.content == Content::Nothing || spec.path == "/api/v1/read" || spec.path.contains("otlp");
                    assert!(unread || [400, 413, 415, 422].contains(&answer.status.as_u16()), "{what}");
                } else {
                    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{what}");
                }
            }
            let nested: bytes::Bytes = bomb("gzip", 1 << 16).into();
            for encoding in ["gzip, gzip", "gzip,deflate", "br", "gzip;q=1", "x"] {
                assert_eq!(ask(encoding, nested.clone()).await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{encoding} {}", spec.path);
            }
            for encoding in ["gzip", "deflate", "zstd"] {
                assert_eq!(ask(encoding, bytes::Bytes::from_static(lying)).await.status, StatusCode::BAD_REQUEST, "{encoding} {}", spec.path);
            }
            if spec.path == "/api/v1/write" {
                let status = ask("snappy", bytes::Bytes::from_static(lying)).await.status.as_u16();
                assert!([400, 413].contains(&status), "{status}");
            }
        }
    }
    let two = [("content-type", "application/json"), ("content-encoding", "gzip"), ("content-encoding", "gzip")];
    assert_eq!(door.ask(&Method::POST, "/api/auth/login", &two, bomb("gzip", 9)).await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn r50_json_routes_take_json_only() {
    let door = door(true);
    let mut seen = 0;
    for spec in door.specs.iter().filter(|s| s.content == Content::Json) {
        for media in
            ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain; application/json", "", "application/jsonp"]
        {
            let headers = [("content-type", media), ("authorization", door.proof("admin"))];
            let answer = door.ask(&spec.methods[0], &example(&spec.path), &headers, "[]").await;
            assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{media:?} {}", spec.path);
            // A face of another program's refuses in that program's way.
            let told = answer.json();
            let words = if spec.path.starts_with("/api/v2/") { &told } else { &told["message"] };
            let theirs = words.as_str().is_some_and(|t| t.ends_with("is not taken here"));
            assert!(theirs || told["error"]["code"] == "unsupported_content_type", "{} {told}", spec.path);
            seen += 1;
        }
    }
    assert!(seen >= 24, "{seen}");
    for (media, expected) in [("text/csv; charset=utf-8", 200), ("TEXT/CSV", 200), ("text/plain", 415)] {
        assert_eq!(door.ask(&Method::POST, "/test/text", &[("content-type", media)], "a").await.status.as_u16(), expected, "{media}");
    }
}

fn total(meter: &Meter, name: &str) -> f64 {
    meter.gather().iter().filter(|f| &*f.name == name).flat_map(|f| &f.points).map(|p| p.1).sum()
}

#[tokio::test]
async fn a_handler_that_panics_or_hangs_troubles_its_request_only() {
    let door = door(true);
    let answer = door.ask(&Method::GET, "/test/panic", &[], "").await;
    assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (StatusCode::INTERNAL_SERVER_ERROR, Some("internal_error")));
    assert!(!answer.text().contains("on purpose"));
    assert_eq!(total(&door.meter, "watchfire_http_panics_total"), 1.0);
    let answer = door.ask(&Method::GET, "/test/endless", &[], "").await;
    assert_eq!((answer.status, answer.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "5"));
    assert_eq!(door.ask(&Method::GET, "/health", &[], "").await.status, StatusCode::OK);
}

#[tokio::test]
async fn every_answer_carries_its_id_and_the_security_headers() {
    let door = door(true);
    let admin = door.proof("admin");
    /// Method, path, headers, and the status to come.
    type Case<'a> = (Method, &'a str, &'a [(&'a str, &'a str)], u16);
    let cases: [Case<'_>; 13] = [
        (Method::GET, "/health", &[], 200),
        (Method::HEAD, "/health", &[], 200),
        (Method::GET, "/", &[], 200),
        (Method::GET, "/api/system/gpu", &[], 401),
        (Method::POST, "/api/metrics/record", &[("origin", "null")], 403),
        (Method::GET, "/api/nothing", &[("authorization", admin)], 404),
        (Method::DELETE, "/health", &[], 405),
        (Method::POST, "/api/auth/login", &[("content-type", "text/plain")], 415),
        (Method::GET, "/health", &[("host", "evil.example")], 421),
        (Method::GET, "/api/v1/query", &[("authorization", admin)], 400),
        (Method::GET, "/ws/system", &[("authorization", admin)], 400),
        (Method::GET, "/test/panic", &[], 500),
        (Method::GET, "/test/endless", &[], 503),
    ];
    for (method, path, headers, status) in cases {
        for (given, echoed) in [("abc-1", true), ("two words", false), ("", false)] {
            let mut headers = headers.to_vec();
            headers.push(("x-request-id", given));
            let answer = door.ask(&method, path, &headers, "").await;
            assert_eq!(answer.status.as_u16(), status, "{path}: {}", answer.text());
            let id = answer.header("x-request-id");
            assert!(if echoed { id == given } else { id.len() == 32 }, "{path}: {id}");
            check_security_headers(path, &answer.headers);
            if status >= 400 {
                check_error_body(path, &answer, id);
            }
        }
    }
}

fn check_security_headers(path: &str, headers: &HeaderMap) {
    for (name, part) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("content-security-policy", "frame-ancestors 'none'"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cache-control", "no"),
    ] {
        let value = headers.get(name).map_or("", |v| v.to_str().unwrap());
        assert!(value.contains(part), "{path}: {name}: {value}");
    }
    assert!(!headers["content-security-policy"].to_str().unwrap().contains("unsafe"));
    assert!(!headers.contains_key("access-control-allow-origin"));
}

fn check_error_body(path: &str, answer: &Answered, id: &str) {
    let body = answer.json();
    if path.starts_with("/api/v1/") {
        assert!(body["status"] == "error" && body["errorType"].is_string() && body["error"].is_string(), "{path}: {body}");
    } else {
        let code = body["error"]["code"].as_str().unwrap_or("");
        assert!(!code.is_empty() && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{path}: {body}");
        assert!(body["error"]["message"].is_string() && body["request_id"] == id, "{path}: {body}");
    }
}

#[tokio::test]
async fn labels_of_requests_are_bounded() {
    let door = door(true);
    for i in 0..60 {
        door.ask(&Method::from_bytes(format!("MADEUP{i}").as_bytes()).unwrap(), "/health", &[], "").await;
        door.ask(&Method::GET, &format!("/made/up/{i}"), &[], "").await;
        door.ask(&Method::GET, &format!("/api/v1/label/made{i}/values"), &[], "").await;
        door.ask(&Method::GET, "/health", &[("host", &format!("made-{i}.example"))], "").await;
    }
    let families = door.meter.gather();
    let requests = families.iter().find(|f| &*f.name == "watchfire_http_requests_total").unwrap();
    assert_eq!(requests.points.iter().map(|p| p.1).sum::<f64>(), 240.0, "every request is counted once");
    let mut seen: Vec<String> =
        requests.points.iter().map(|(l, n)| format!("{} {} {} {n}", l.get("method").unwrap(), l.get("route").unwrap(), l.get("code").unwrap())).collect();
    seen.sort_unstable();
    assert_eq!(seen, ["GET /api/v1/label/{name}/values 401 60", "GET none 404 60", "GET none 421 60", "other /health 405 60"]);
}

#[tokio::test]
async fn head_is_answered_like_get() {
    let door = door(true);
    for path in ["/health", "/", "/-/healthy", "/api/system/gpu"] {
        let headers = [("authorization", door.proof("read"))];
        let (get, head) = (door.ask(&Method::GET, path, &headers, "").await, door.ask(&Method::HEAD, path, &headers, "").await);
        assert_eq!((get.status, get.header("content-type")), (head.status, head.header("content-type")), "{path}");
        assert!(head.body.is_empty() && !get.body.is_empty(), "{path}");
    }
}

/// Serves the door on a real socket.
async fn listening(door: &Door) -> (std::net::SocketAddr, watchfire_net::tasks::Tasks) {
    use watchfire_net::listener::{Limits, Protocol, Server, bind};
    let tasks = watchfire_net::tasks::Tasks::new(&door.meter);
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let second = Duration::from_millis(400);
    let limits = Limits { head: second, idle: second, body_grace: second, ..Limits::default() };
    let server = Server { protocol: Protocol::Http1, limits, tls: None, meter: door.meter.clone(), tasks: tasks.clone() };
    tasks.spawn_until_done("listener", server.serve(listener, door.router.clone()));
    (address, tasks)
}

/// Tries a WebSocket; gives the status if it is refused, and says something over it if it is not.
async fn try_websocket(address: std::net::SocketAddr, headers: &[(&'static str, String)]) -> u16 {
    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::tungstenite::client::IntoClientRequest;
    use tokio_tungstenite::tungstenite::{Error, Message};
    let mut request = format!("ws://{address}/ws/system").into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    match tokio_tungstenite::connect_async(request).await {
        Ok((mut socket, _)) => {
            // Longer than the listener waits for a head or between requests: it is another protocol's connection now.
            tokio::time::sleep(Duration::from_millis(900)).await;
            socket.send(Message::text(r#"{"type":"ping"}"#)).await.unwrap();
            let answer = tokio::time::timeout(Duration::from_secs(5), socket.next()).await.unwrap().unwrap().unwrap();
            assert!(answer.to_text().unwrap().contains("pong"), "{answer}");
            101
        }
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn r50_websockets_through_the_real_listener() {
    let door = door(true);
    let (address, _tasks) = listening(&door).await;
    let proof = |who: &str| ("authorization", door.proof(who).to_owned());
    let origin = |text: String| ("origin", text);
    for (headers, expected) in [
        (vec![proof("read")], 101),
        (vec![proof("read"), origin(format!("http://{address}"))], 101),
        (vec![proof("read"), origin("http://evil.example".to_owned())], 403),
        (vec![proof("read"), origin("null".to_owned())], 403),
        (vec![proof("read"), origin(format!("https://{address}"))], 403),
        (vec![proof("read"), ("host", "evil.example".to_owned())], 421),
        (vec![proof("ingest")], 403),
        (vec![], 401),
    ] {
        assert_eq!(try_websocket(address, &headers).await, expected, "{headers:?}");
    }
    let open = self::door(false);
    let (address, _tasks) = listening(&open).await;
    for (headers, expected) in [(vec![], 101), (vec![origin("http://evil.example".to_owned())], 403), (vec![("host", "rebound.example".to_owned())], 421)] {
        assert_eq!(try_websocket(address, &headers).await, expected, "{headers:?}");
    }
}

#[tokio::test]
async fn r46_slow_bodies_and_odd_heads_through_the_real_listener() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let door = door(false);
    let (address, _tasks) = listening(&door).await;
    let record = "POST /api/metrics/record HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 90\r\n\r\n[";
    for (text, expected) in [
        (record, "HTTP/1.1 400"),
        ("GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n", "HTTP/1.0 200"),
        ("GET /health HTTP/1.0\r\n\r\n", "HTTP/1.0 421"),
        ("GET /health HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", "HTTP/1.1 421"),
        ("GET http://evil.example/health HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 421"),
        ("GET http://localhost/health HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 200"),
        ("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 404"),
        ("CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 421"),
        ("GET //evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 404"),
        ("GET /api/system/../../-/quit HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 404"),
    ] {
        let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
        socket.write_all(text.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        tokio::time::timeout(Duration::from_secs(5), socket.read_to_end(&mut answer)).await.expect("the connection ends").unwrap();
        assert!(answer.starts_with(expected.as_bytes()), "{text}: {}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(door.faces.house.held().series.len(), 0);
}
