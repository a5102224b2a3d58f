//! Who gets in: tokens, passwords, sessions and the throttle, through the real pipeline and with a hand-turned clock.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use tower::ServiceExt;
use watchfire_model::meter::Meter;
use watchfire_model::state::{Change, StateError, StateStore, Table};
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_net::listener::Peer;
use watchfire_net::secret::Secret;

use super::*;
use crate::server::{Doors, Hosts, Route, build};

#[derive(Default)]
struct Memory(Mutex<BTreeMap<(Table, String), Vec<u8>>>);
impl StateStore for Memory {
    fn get(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.0.lock().unwrap().get(&(table, key.to_owned())).cloned())
    }
    fn scan(&self, table: Table, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StateError> {
        let all = self.0.lock().unwrap();
        Ok(all.iter().filter(|((t, k), _)| *t == table && k.starts_with(prefix)).map(|((_, k), v)| (k.clone(), v.clone())).collect())
    }
    fn commit(&self, changes: &[Change]) -> Result<(), StateError> {
        let mut all = self.0.lock().unwrap();
        for change in changes {
            match change.clone() {
                Change::Put(table, key, value) => drop(all.insert((table, key), value)),
                Change::Delete(table, key) => drop(all.remove(&(table, key))),
            }
        }
        Ok(())
    }
}

struct House {
    auth: Arc<Auth>,
    router: Router,
    clock: Arc<ManualClock>,
    state: Arc<Memory>,
    dir: tempfile::TempDir,
}

fn house(enabled: bool) -> House {
    let dir = tempfile::tempdir().unwrap();
    let (state, clock) = (Arc::new(Memory::default()), ManualClock::new(Timestamp(1_000_000_000_000)));
    let settings = Settings { enabled, ..Settings::default() };
    let auth = Auth::start(settings, false, &["10.9.0.0/16".to_owned()], dir.path(), state.clone(), clock.clone()).unwrap();
    let doors = Doors { hosts: Hosts::new("", &[]), identify: auth.clone(), meter: Meter::new(), clock: clock.clone() };
    async fn done() -> &'static str {
        "done"
    }
    let mut table: Vec<Route<()>> = routes(&auth);
    for level in Level::ALL {
        table.push(Route::new(&[Method::GET, Method::POST, Method::PUT, Method::DELETE], &format!("/{level}"), level, done));
    }
    let router = build(table, (), || async { StatusCode::NOT_FOUND }, doors);
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
