//! Who gets in: tokens, passwords, sessions and the throttle, through the real pipeline and with a hand-turned clock.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use tower::ServiceExt;
use watchfire_model::meter::Meter;
use watchfire_model::state::SESSIONS;
use watchfire_model::state::StateStore;
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_net::listener::Peer;
use watchfire_net::secret::Secret;

use super::*;
use crate::server::{Doors, Hosts, Route, build};
use crate::testing::Memory;

struct House {
    auth: Arc<Auth>,
    router: Router,
    clock: Arc<ManualClock>,
    state: Arc<Memory>,
    dir: tempfile::TempDir,
}

fn router(auth: &Arc<Auth>, clock: &Arc<ManualClock>) -> Router {
    let doors = Doors { hosts: Hosts::new("", &[]), identify: auth.clone(), meter: Meter::new(), clock: clock.clone() };
    async fn done() -> &'static str {
        "done"
    }
    let mut table: Vec<Route<()>> = routes(auth);
    for level in Level::ALL {
        table.push(Route::new(&[Method::GET, Method::POST, Method::PUT, Method::DELETE], &format!("/{level}"), level, done));
    }
    build(table, (), || async { StatusCode::NOT_FOUND }, doors)
}

fn house(enabled: bool) -> House {
    let dir = tempfile::tempdir().unwrap();
    let (state, clock) = (Arc::new(Memory::default()), ManualClock::new(Timestamp(1_000_000_000_000)));
    let settings = Settings { enabled, ..Settings::default() };
    let auth = Auth::start(settings, false, &["10.9.0.0/16".to_owned()], dir.path(), state.clone(), clock.clone()).unwrap();
    let router = router(&auth, &clock);
    House { auth, router, clock, state, dir }
}

impl House {
    async fn ask(&self, method: Method, path: &str, from: &str, headers: &[(&str, &str)], body: &str) -> (StatusCode, http::HeaderMap, String) {
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::from(body.to_owned())).unwrap();
        request.extensions_mut().insert(Peer::new(format!("{from}:5000").parse().unwrap(), "192.168.1.2:8000".parse().unwrap(), false));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (parts.status, parts.headers, String::from_utf8(bytes.to_vec()).unwrap())
    }
    async fn log_in(&self, body: &str) -> (StatusCode, String) {
        let (status, headers, _) = self.ask(Method::POST, "/api/auth/login", "192.168.1.9", &[("content-type", "application/json")], body).await;
        let cookie = headers.get("set-cookie").and_then(|v| v.to_str().ok()).unwrap_or("");
        if status == StatusCode::OK {
            assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
        }
        (status, cookie.split(';').next().unwrap_or("").to_owned())
    }
    async fn get(&self, path: &str, cookie: &str) -> StatusCode {
        self.ask(Method::GET, path, "192.168.1.9", &[("cookie", cookie)], "").await.0
    }
}

#[tokio::test]
async fn r48_levels_by_token_and_method() {
    let house = house(true);
    let mut proofs = vec![("none", String::new()), ("wrong", "Bearer wrong".to_owned())];
    for (name, level) in [("r", Level::Read), ("i", Level::Ingest), ("a", Level::Admin)] {
        let token = service::random_token().unwrap();
        house.auth.put_token(name, &token, level).unwrap();
        proofs.push((level.word(), format!("Bearer {}", token.expose())));
    }
    for (index, (who, proof)) in proofs.iter().enumerate() {
        for level in Level::ALL {
            for (at, method) in [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE].into_iter().enumerate() {
                // Every wrong proof comes from another address, so that the throttle stays out of this table.
                let from = format!("192.168.{}.{}", index + 10, at + 1);
                let headers: Vec<_> = [("authorization", proof.as_str())].into_iter().filter(|(_, v)| !v.is_empty()).collect();
                let status = house.ask(method.clone(), &format!("/{level}"), &from, &headers, "").await.0;
                let expected = match (*who, level) {
                    (_, Level::Public) => StatusCode::OK,
                    ("none" | "wrong", _) => StatusCode::UNAUTHORIZED,
                    ("admin", _) | ("read", Level::Read) | ("ingest", Level::Ingest) => StatusCode::OK,
                    _ => StatusCode::FORBIDDEN,
                };
                assert_eq!(status, expected, "{who} {method} /{level}");
            }
        }
    }
}

#[tokio::test]
async fn without_authentication_only_this_machine_gets_in() {
    let house = house(false);
    for (from, headers, method, expected) in [
        ("127.0.0.1", &[][..], Method::POST, StatusCode::OK),
        ("192.168.1.9", &[], Method::POST, StatusCode::FORBIDDEN),
        ("192.168.1.9", &[], Method::GET, StatusCode::FORBIDDEN),
        ("127.0.0.1", &[("origin", "http://evil.example")], Method::POST, StatusCode::FORBIDDEN),
        ("127.0.0.1", &[("origin", "null")], Method::POST, StatusCode::FORBIDDEN),
        ("127.0.0.1", &[("origin", "http://localhost")], Method::POST, StatusCode::OK),
    ] {
        assert_eq!(house.ask(method.clone(), "/admin", from, headers, "").await.0, expected, "{from} {method} {headers:?}");
    }
}

#[tokio::test]
async fn trusted_networks_read_and_send_but_change_nothing() {
    let house = house(true);
    for (level, expected) in [("read", StatusCode::OK), ("ingest", StatusCode::OK), ("admin", StatusCode::FORBIDDEN)] {
        assert_eq!(house.ask(Method::POST, &format!("/{level}"), "10.9.1.1", &[], "").await.0, expected, "{level}");
    }
    assert_eq!(house.ask(Method::GET, "/read", "10.8.1.1", &[("x-forwarded-for", "10.9.1.1")], "").await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn r47_the_admin_token_is_made_once_and_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let house = house(true);
    let path = house.dir.path().join("admin.token");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let token = Secret::from_file(&path).unwrap();
    assert_eq!(token.expose().len(), 64);
    let bearer = format!("Bearer {}", token.expose());
    assert_eq!(house.ask(Method::POST, "/admin", "192.168.1.9", &[("authorization", &bearer)], "").await.0, StatusCode::OK);
    use base64::Engine;
    let basic = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("any:{}", token.expose())));
    assert_eq!(house.ask(Method::GET, "/admin", "192.168.1.9", &[("authorization", &basic)], "").await.0, StatusCode::OK);
    assert!(house.state.0.lock().unwrap().values().all(|v| !String::from_utf8_lossy(v).contains(token.expose())));
    let settings = Settings { enabled: true, ..Settings::default() };
    Auth::start(settings, false, &[], house.dir.path(), house.state.clone(), house.clock.clone()).unwrap();
    assert_eq!(Secret::from_file(&path).unwrap(), token);
}

#[tokio::test]
async fn r51_five_failures_in_a_minute_and_a_right_token_still_passes() {
    let house = house(true);
    house.auth.put_user("eva", &Secret::new("correct horse"), Level::Admin).unwrap();
    let right = r#"{"username":"eva","password":"correct horse"}"#;
    let wrong = r#"{"username":"eva","password":"wrong horse"}"#;
    for _ in 0..5 {
        assert_eq!(house.log_in(wrong).await.0, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(house.log_in(right).await.0, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(house.ask(Method::GET, "/read", "192.168.1.9", &[("authorization", "Bearer wrong")], "").await.0, StatusCode::TOO_MANY_REQUESTS);
    let token = Secret::from_file(&house.dir.path().join("admin.token")).unwrap();
    let bearer = format!("Bearer {}", token.expose());
    assert_eq!(house.ask(Method::GET, "/admin", "192.168.1.9", &[("authorization", &bearer)], "").await.0, StatusCode::OK);
    house.clock.advance(Duration::from_secs(61));
    assert_eq!(house.log_in(right).await.0, StatusCode::OK);
}

#[tokio::test]
async fn r51_sessions_end_when_idle_when_left_and_when_the_password_changes() {
    let house = house(true);
    house.auth.put_user("eva", &Secret::new("correct horse"), Level::Read).unwrap();
    let right = r#"{"username":"eva","password":"correct horse"}"#;
    let (_, cookie) = house.log_in(right).await;
    assert_eq!((house.get("/read", &cookie).await, house.get("/admin", &cookie).await), (StatusCode::OK, StatusCode::FORBIDDEN));
    // Used again and again it lives on; left alone for twelve hours it ends.
    for _ in 0..3 {
        house.clock.advance(Duration::from_secs(11 * 3600));
        assert_eq!(house.get("/read", &cookie).await, StatusCode::OK);
    }
    house.clock.advance(Duration::from_secs(12 * 3600 + 1));
    assert_eq!(house.get("/read", &cookie).await, StatusCode::UNAUTHORIZED);

    let (_, left) = house.log_in(right).await;
    house.ask(Method::POST, "/api/auth/logout", "192.168.1.9", &[("cookie", &left)], "").await;
    assert_eq!(house.get("/read", &left).await, StatusCode::UNAUTHORIZED);

    let (_, before) = house.log_in(right).await;
    house.auth.put_user("eva", &Secret::new("another horse"), Level::Read).unwrap();
    assert_eq!(house.get("/read", &before).await, StatusCode::UNAUTHORIZED);
    assert_eq!(house.log_in(right).await.0, StatusCode::UNAUTHORIZED);
}

/// The same house after a restart with other settings.
fn restarted(house: &House, settings: Settings) -> Result<Arc<Auth>, AuthError> {
    Auth::start(settings, false, &[], house.dir.path(), house.state.clone(), house.clock.clone())
}

fn configured(name: &str, password: &str) -> Settings {
    let user = ConfiguredUser { name: name.to_owned(), password: PasswordSource::Inline(Secret::new(password)), level: Level::Read };
    Settings { enabled: true, users: vec![user], ..Settings::default() }
}

#[tokio::test]
async fn r47_a_revoked_admin_token_stays_dead_and_the_next_start_makes_another() {
    let house = house(true);
    let path = house.dir.path().join("admin.token");
    let first = Secret::from_file(&path).unwrap();
    let bearer = format!("Bearer {}", first.expose());
    let revoke = house.ask(Method::DELETE, "/api/auth/tokens/admin", "192.168.1.9", &[("authorization", &bearer)], "").await;
    assert_eq!(revoke.0, StatusCode::NO_CONTENT);
    assert_eq!(house.ask(Method::GET, "/read", "192.168.1.9", &[("authorization", &bearer)], "").await.0, StatusCode::UNAUTHORIZED);
    let auth = restarted(&house, Settings { enabled: true, ..Settings::default() }).unwrap();
    let second = Secret::from_file(&path).unwrap();
    assert_ne!(first, second);
    assert!(auth.check_token(&first, None).is_err() && auth.check_token(&second, None).is_ok());
}

#[tokio::test]
async fn r51_sessions_of_tokens_and_users_end_with_them() {
    let house = house(true);
    let token = service::random_token().unwrap();
    house.auth.put_token("grafana", &token, Level::Read).unwrap();
    house.auth.put_user("eva", &Secret::new("correct horse"), Level::Read).unwrap();
    let (status, by_token) = house.log_in(&format!("{{\"token\":\"{}\"}}", token.expose())).await;
    let (_, by_password) = house.log_in(r#"{"username":"eva","password":"correct horse"}"#).await;
    assert_eq!((status, house.get("/read", &by_token).await, house.get("/read", &by_password).await), (StatusCode::OK, StatusCode::OK, StatusCode::OK));
    assert!(house.auth.remove_token("grafana").unwrap() && house.auth.remove_user("eva").unwrap());
    // The same names come back with other secrets: what was opened before stays closed.
    house.auth.put_token("grafana", &service::random_token().unwrap(), Level::Admin).unwrap();
    house.auth.put_user("eva", &Secret::new("correct horse"), Level::Admin).unwrap();
    assert_eq!((house.get("/read", &by_token).await, house.get("/read", &by_password).await), (StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED));
    assert_eq!(house.state.scan(SESSIONS, "").unwrap().len(), 0);
}

#[tokio::test]
async fn r51_a_session_is_worth_nothing_once_its_proof_is_replaced() {
    let house = house(true);
    house.auth.put_user("eva", &Secret::new("correct horse"), Level::Read).unwrap();
    // As if a log-in had been under way while the password changed.
    let (_, proof) = house.auth.check_password("eva", Secret::new("correct horse"), None).await.unwrap();
    house.auth.put_user("eva", &Secret::new("another horse"), Level::Read).unwrap();
    let cookie = house.auth.open_session(records::Subject::User("eva".to_owned()), proof).unwrap();
    assert_eq!(house.get("/read", &format!("watchfire_session={}", cookie.expose())).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn r51_cookies_are_random_kept_as_hashes_and_secure_over_tls() {
    let house = house(true);
    house.auth.put_user("eva", &Secret::new("correct horse"), Level::Read).unwrap();
    let right = r#"{"username":"eva","password":"correct horse"}"#;
    let (first, second) = (house.log_in(right).await.1, house.log_in(right).await.1);
    let value = first.strip_prefix("watchfire_session=").unwrap();
    assert!(value.len() == 64 && first != second);
    let stored = house.state.scan(SESSIONS, "").unwrap();
    assert!(stored.len() == 2 && stored.iter().all(|(key, record)| key != value && !String::from_utf8_lossy(record).contains(value)));
    for tls in [false, true] {
        let mut request = Request::post("/api/auth/login").header("host", "localhost").header("content-type", "application/json");
        request.extensions_mut().unwrap().insert(Peer::new("10.1.1.1:5".parse().unwrap(), "10.1.1.2:443".parse().unwrap(), tls));
        let response = house.router.clone().oneshot(request.body(Body::from(right)).unwrap()).await.unwrap();
        let cookie = response.headers()["set-cookie"].to_str().unwrap().to_owned();
        assert_eq!(cookie.contains("; Secure"), tls, "{cookie}");
        assert!(cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Strict") && cookie.contains("; Path=/"), "{cookie}");
    }
}

#[tokio::test]
async fn a_short_idle_time_is_prolonged_by_use() {
    let house = house(true);
    let auth = restarted(&house, Settings { session_idle: Duration::from_secs(60), ..configured("eva", "correct horse") }).unwrap();
    let (_, proof) = auth.check_password("eva", Secret::new("correct horse"), None).await.unwrap();
    let cookie = auth.open_session(records::Subject::User("eva".to_owned()), proof).unwrap();
    let mut headers = http::HeaderMap::new();
    headers.insert("cookie", format!("a=b; watchfire_session={}; c=d", cookie.expose()).parse().unwrap());
    let via = async || crate::server::Identify::identify(&*auth, &headers, None, false).await.unwrap().via;
    for _ in 0..10 {
        house.clock.advance(Duration::from_secs(40));
        assert_eq!(via().await, Via::Session);
    }
    house.clock.advance(Duration::from_secs(61));
    assert_eq!(via().await, Via::Nothing);
}

#[tokio::test]
async fn r51_unknown_users_are_told_the_same_and_cost_the_same() {
    let house = house(true);
    house.auth.put_user("eva", &Secret::new("correct horse"), Level::Read).unwrap();
    let mut answers = Vec::new();
    for (index, name) in ["eva", "nobody", "", "e v a", &"x".repeat(200)].into_iter().enumerate() {
        let body = serde_json::json!({ "username": name, "password": "wrong horse" }).to_string();
        let from = format!("192.168.7.{index}");
        let (status, headers, text) =
            house.ask(Method::POST, "/api/auth/login", &from, &[("content-type", "application/json"), ("x-request-id", "same")], &body).await;
        answers.push((status, headers.get("set-cookie").cloned(), text));
    }
    assert!(answers.windows(2).all(|w| w[0] == w[1]), "{answers:?}");
    assert_eq!(answers[0].0, StatusCode::UNAUTHORIZED);
    // The work is the same by construction: an unknown user's password is hashed against a decoy of the same cost.
    assert!(!password::matches(&Secret::new("decoy"), None));
}

#[tokio::test]
async fn r51_guesses_sent_at_once_are_counted_one_by_one() {
    let house = house(true);
    house.auth.put_user("eva", &Secret::new("correct horse"), Level::Read).unwrap();
    let from = Some("192.0.2.9".parse().unwrap());
    let guesses = (0..12).map(|_| house.auth.check_password("eva", Secret::new("wrong horse"), from));
    let statuses: Vec<StatusCode> = futures_util::future::join_all(guesses).await.into_iter().map(|r| r.unwrap_err().status).collect();
    assert_eq!(statuses.iter().filter(|s| **s == StatusCode::UNAUTHORIZED).count(), 5, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|s| **s == StatusCode::TOO_MANY_REQUESTS).count(), 7, "{statuses:?}");
}

#[tokio::test]
async fn basic_and_bearer() {
    use base64::Engine;
    let house = house(true);
    house.auth.put_user("eva", &Secret::new("correct:horse"), Level::Read).unwrap();
    let token = service::random_token().unwrap();
    house.auth.put_token("t", &token, Level::Read).unwrap();
    let basic = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    for (index, (header, expected)) in [
        (format!("Basic {}", basic("eva:correct:horse")), StatusCode::OK),
        (format!("basic {}", basic("eva:correct:horse")), StatusCode::OK),
        (format!("Basic {}", basic("eva:wrong")), StatusCode::UNAUTHORIZED),
        (format!("Basic {}", basic("eva")), StatusCode::UNAUTHORIZED),
        ("Basic !!!".to_owned(), StatusCode::UNAUTHORIZED),
        ("Basic".to_owned(), StatusCode::UNAUTHORIZED),
        (format!("Bearer {}", token.expose()), StatusCode::OK),
        (format!("bearer  {}", token.expose()), StatusCode::OK),
        (format!("Bearer {}x", token.expose()), StatusCode::UNAUTHORIZED),
        (format!("Token {}", token.expose()), StatusCode::OK),
        (format!("Tokens {}", token.expose()), StatusCode::UNAUTHORIZED),
        ("Bearer ".to_owned(), StatusCode::UNAUTHORIZED),
        (String::new(), StatusCode::UNAUTHORIZED),
    ]
    .into_iter()
    .enumerate()
    {
        let (status, headers, text) = house.ask(Method::GET, "/read", &format!("192.168.5.{index}"), &[("authorization", &header)], "").await;
        assert_eq!(status, expected, "{header}: {text}");
        assert_eq!(headers.contains_key("www-authenticate"), expected == StatusCode::UNAUTHORIZED);
    }
    // A proof that is wrong is not saved by a trusted address.
    assert_eq!(house.ask(Method::GET, "/read", "10.9.1.1", &[("authorization", "Bearer wrong")], "").await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn tokens_and_users_over_http() {
    let house = house(true);
    let bearer = format!("Bearer {}", Secret::from_file(&house.dir.path().join("admin.token")).unwrap().expose());
    let json = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let ask = async |method: Method, path: &str, body: &str| house.ask(method, path, "192.168.1.9", &json, body).await;
    let (status, _, text) = ask(Method::POST, "/api/auth/tokens", r#"{"name":"pi","level":"ingest"}"#).await;
    assert_eq!(status, StatusCode::CREATED);
    let made: serde_json::Value = serde_json::from_str(&text).unwrap();
    let proof = format!("Bearer {}", made["token"].as_str().unwrap());
    for (path, expected) in [("/ingest", StatusCode::OK), ("/read", StatusCode::FORBIDDEN)] {
        assert_eq!(house.ask(Method::POST, path, "192.168.1.9", &[("authorization", &proof)], "").await.0, expected, "{path}");
    }
    assert!(!ask(Method::GET, "/api/auth/tokens", "").await.2.contains(made["token"].as_str().unwrap()));
    for (method, path, body, expected) in [
        (Method::POST, "/api/auth/tokens", r#"{"name":"pi","level":"read"}"#, 409),
        (Method::POST, "/api/auth/tokens", r#"{"name":"a b","level":"read"}"#, 422),
        (Method::POST, "/api/auth/tokens", r#"{"name":"x","level":"public"}"#, 422),
        (Method::POST, "/api/auth/tokens", r#"{"name":"x","level":"root"}"#, 400),
        (Method::POST, "/api/auth/tokens", "not json", 400),
        (Method::DELETE, "/api/auth/tokens/pi", "", 204),
        (Method::DELETE, "/api/auth/tokens/pi", "", 404),
        (Method::POST, "/api/auth/users", r#"{"name":"eva","password":"correct horse","level":"read"}"#, 204),
        (Method::POST, "/api/auth/users", r#"{"name":"eva","password":"short","level":"read"}"#, 422),
        (Method::POST, "/api/auth/users", r#"{"name":"../eva","password":"correct horse","level":"read"}"#, 422),
        (Method::POST, "/api/auth/password", r#"{"current":"a","new":"b"}"#, 422), // a token has no password
        (Method::DELETE, "/api/auth/users/eva", "", 204),
        (Method::DELETE, "/api/auth/users/eva", "", 404),
    ] {
        let (status, _, text) = ask(method.clone(), path, body).await;
        assert_eq!(status.as_u16(), expected, "{method} {path} {body}: {text}");
        if status.is_client_error() {
            let error: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert!(error["error"]["code"].is_string() && error["request_id"].is_string(), "{text}");
        }
    }
    assert_eq!(house.ask(Method::POST, "/ingest", "192.168.1.9", &[("authorization", &proof)], "").await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn ones_own_password_changes_with_the_old_one_only() {
    let house = house(true);
    house.auth.put_user("eva", &Secret::new("correct horse"), Level::Read).unwrap();
    let (_, cookie) = house.log_in(r#"{"username":"eva","password":"correct horse"}"#).await;
    let headers = [("cookie", cookie.as_str()), ("content-type", "application/json")];
    let change = async |body: &str| house.ask(Method::POST, "/api/auth/password", "192.168.1.9", &headers, body).await.0;
    assert_eq!(change(r#"{"current":"wrong horse","new":"another horse"}"#).await, StatusCode::UNAUTHORIZED);
    assert_eq!(change(r#"{"current":"correct horse","new":"another horse"}"#).await, StatusCode::NO_CONTENT);
    assert_eq!(house.get("/read", &cookie).await, StatusCode::UNAUTHORIZED);
    assert_eq!(house.log_in(r#"{"username":"eva","password":"another horse"}"#).await.0, StatusCode::OK);
}

#[tokio::test]
async fn configured_users_come_and_go_with_the_configuration() {
    let house = house(true);
    house.auth.put_user("made", &Secret::new("correct horse"), Level::Read).unwrap();
    let names = |auth: &Auth| auth.user_list().unwrap().into_iter().map(|(name, _, _)| name).collect::<Vec<_>>();
    let auth = restarted(&house, configured("eva", "correct horse")).unwrap();
    assert_eq!(names(&auth), ["eva", "made"]);
    let (_, proof) = auth.check_password("eva", Secret::new("correct horse"), None).await.unwrap();
    // Nothing is written anew, and no session ends, while the configuration stays the same.
    let again = restarted(&house, configured("eva", "correct horse")).unwrap();
    assert_eq!(again.check_password("eva", Secret::new("correct horse"), None).await.unwrap().1, proof);
    let changed = restarted(&house, configured("eva", "another horse")).unwrap();
    assert!(changed.check_password("eva", Secret::new("correct horse"), None).await.is_err());
    assert_eq!(names(&restarted(&house, Settings { enabled: true, ..Settings::default() }).unwrap()), ["made"]);
    assert!(restarted(&house, configured("eva", "")).is_err());
    let missing = PasswordSource::File(house.dir.path().join("missing"));
    let user = ConfiguredUser { name: "eva".to_owned(), password: missing, level: Level::Read };
    let error = restarted(&house, Settings { enabled: true, users: vec![user], ..Settings::default() }).err().unwrap();
    assert!(error.to_string().starts_with("cannot use the password of user \"eva\""), "{error}");
}

#[tokio::test]
async fn grafanas_administrator_is_honoured() {
    let house = house(true);
    let mut settings = Settings { enabled: true, ..Settings::default() };
    settings.grafana_admin(None, None);
    assert!(settings.users.is_empty());
    // Grafana's own example is shorter than our least length; an unchanged container must start all the same.
    settings.grafana_admin(None, Some("admin"));
    let auth = restarted(&house, settings.clone()).unwrap();
    assert_eq!(auth.check_password("admin", Secret::new("admin"), None).await.unwrap().0, Level::Admin);
    settings.grafana_admin(Some("admin"), Some("other"));
    assert_eq!(settings.users.len(), 1);
}

#[tokio::test]
async fn a_foreign_page_has_no_rights_of_its_visitor() {
    for (enabled, insecure, from, expected) in [
        (false, false, "127.0.0.1", [StatusCode::OK, StatusCode::FORBIDDEN]),
        (false, true, "192.168.1.9", [StatusCode::OK, StatusCode::FORBIDDEN]),
        (true, false, "10.9.1.1", [StatusCode::OK, StatusCode::UNAUTHORIZED]),
    ] {
        let mut house = house(enabled);
        if insecure {
            let auth = Auth::start(Settings::default(), true, &[], house.dir.path(), house.state.clone(), house.clock.clone()).unwrap();
            assert!(auth.is_insecure());
            house.router = router(&auth, &house.clock);
        }
        for (headers, expected) in [
            (&[][..], expected[0]),
            (&[("origin", "http://localhost")], expected[0]),
            (&[("origin", "http://evil.example")], expected[1]),
            (&[("origin", "null")], expected[1]),
            (&[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")], expected[1]),
        ] {
            assert_eq!(house.ask(Method::GET, "/read", from, headers, "").await.0, expected, "{enabled} {insecure} {headers:?}");
        }
    }
    let house = house(true);
    house.auth.put_user("eva", &Secret::new("correct horse"), Level::Read).unwrap();
    let (_, cookie) = house.log_in(r#"{"username":"eva","password":"correct horse"}"#).await;
    let stolen = [("cookie", cookie.as_str()), ("origin", "http://evil.example")];
    assert_eq!(house.ask(Method::GET, "/read", "192.168.1.9", &stolen, "").await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn damaged_records_prove_nothing_and_stop_nothing() {
    let house = house(true);
    use watchfire_model::state::{Change, TOKENS, USERS};
    let junk = |table, key: &str| Change::Put(table, key.to_owned(), b"\xff{not json".to_vec());
    house.state.commit(&[junk(TOKENS, "t"), junk(USERS, "eva"), junk(SESSIONS, "00")]).unwrap();
    let auth = restarted(&house, Settings { enabled: true, ..Settings::default() }).unwrap();
    assert!(auth.check_password("eva", Secret::new("x"), None).await.is_err());
    assert!(Auth::start(Settings::default(), false, &["10.0.0.0/99".to_owned()], house.dir.path(), house.state.clone(), house.clock.clone()).is_err());
}

#[tokio::test]
async fn tokens_are_made_as_grafanas_tools_make_them() {
    let house = house(true);
    let admin = service::random_token().unwrap();
    house.auth.put_token("a", &admin, Level::Admin).unwrap();
    let proof = format!("Bearer {}", admin.expose());
    let ask = async |method: Method, path: &str, body: &str| {
        let headers = [("authorization", proof.as_str()), ("content-type", "application/json")];
        let (status, _, text) = house.ask(method, path, "192.168.1.9", &headers, body).await;
        (status.as_u16(), serde_json::from_str::<serde_json::Value>(&text).unwrap_or_default())
    };
    let (status, made) = ask(Method::POST, "/api/serviceaccounts", r#"{"name": "CI bot", "role": "Admin"}"#).await;
    assert_eq!(
        (status, &made["name"], &made["login"], &made["role"], &made["tokens"]),
        (201, &"CI-bot".into(), &"sa-CI-bot".into(), &"Admin".into(), &0.into())
    );
    let id = made["id"].clone();
    let (status, token) = ask(Method::POST, &format!("/api/serviceaccounts/{id}/tokens"), r#"{"name": "deploy"}"#).await;
    assert_eq!((status, &token["name"]), (200, &"deploy".into()));
    let get = async |key: &serde_json::Value, path: &str, from: &str| {
        let proof = format!("Bearer {}", key.as_str().unwrap());
        house.ask(Method::GET, path, from, &[("authorization", &proof)], "").await.0.as_u16()
    };
    assert_eq!(get(&token["key"], "/admin", "192.168.2.1").await, 200);
    let (status, key) = ask(Method::POST, "/api/auth/keys", r#"{"name": "viewer", "role": "Viewer"}"#).await;
    assert_eq!((status, get(&key["key"], "/read", "192.168.2.2").await, get(&key["key"], "/admin", "192.168.2.2").await), (200, 200, 403));
    let (_, keys) = ask(Method::GET, "/api/auth/keys", "").await;
    let names: Vec<&str> = keys.as_array().unwrap().iter().map(|k| k["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"viewer") && !names.iter().any(|n| n.starts_with("sa-")) && !keys.to_string().contains(key["key"].as_str().unwrap()), "{keys}");
    let (_, found) = ask(Method::GET, "/api/serviceaccounts/search?query=ci&perpage=10&page=1", "").await;
    assert_eq!((&found["totalCount"], &found["serviceAccounts"][0]["tokens"]), (&1.into(), &1.into()));
    assert_eq!(ask(Method::GET, &format!("/api/serviceaccounts/{id}/tokens"), "").await.1[0]["name"], "deploy");
    for (method, path, body, status, words) in [
        (Method::POST, "/api/serviceaccounts", r#"{"name": "CI bot"}"#, 400, "already exists"),
        (Method::POST, "/api/serviceaccounts", r#"{"name": ""}"#, 400, "name must have"),
        (Method::POST, "/api/serviceaccounts", r#"{"name": "x", "role": "Editor"}"#, 400, "no role Editor"),
        (Method::POST, "/api/serviceaccounts", r#"{"name": "x", "role": "None"}"#, 400, "no role None"),
        (Method::POST, "/api/serviceaccounts", r#"{"name": "x", "role": "King"}"#, 400, "invalid role"),
        (Method::POST, "/api/auth/keys", r#"{"name": "viewer"}"#, 409, "must be unique"),
        (Method::POST, "/api/auth/keys", r#"{"name": "x", "secondsToLive": 60}"#, 400, "do not expire"),
        (Method::POST, "/api/auth/keys", r#"{"name": "sa-x"}"#, 400, "service accounts"),
        (Method::DELETE, "/api/auth/keys/5", "", 404, "API key not found"),
        (Method::DELETE, "/api/auth/keys/x", "", 400, "id is invalid"),
        (Method::GET, "/api/serviceaccounts/5", "", 404, "service account not found"),
        (Method::POST, "/api/serviceaccounts/5/tokens", r#"{"name": "x"}"#, 404, "service account not found"),
    ] {
        let (answered, said) = ask(method, path, body).await;
        assert!(answered == status && said["message"].as_str().is_some_and(|m| m.contains(words)), "{path} {body}: {answered} {said}");
    }
    let path = format!("/api/serviceaccounts/{id}/tokens/{}", token["id"]);
    assert_eq!(ask(Method::DELETE, &path, "").await.0, 200);
    assert_eq!(get(&token["key"], "/admin", "192.168.2.3").await, 401);
    let (_, second) = ask(Method::POST, &format!("/api/serviceaccounts/{id}/tokens"), r#"{"name": "other"}"#).await;
    assert_eq!(ask(Method::DELETE, &format!("/api/serviceaccounts/{id}"), "").await.1["message"], "Service account deleted");
    assert_eq!(get(&second["key"], "/read", "192.168.2.4").await, 401, "its tokens go with it");
    assert_eq!(ask(Method::DELETE, &format!("/api/auth/keys/{}", key["id"]), "").await.1["message"], "API key deleted");
}
