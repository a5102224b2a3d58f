//! Tests of the client against a scripted server on a real socket.

use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// Answers each connection with the next text and keeps what was asked.
async fn scripted(answers: Vec<String>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    tokio::task::spawn(async move {
        for answer in answers {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let n = socket.read(&mut request).await.unwrap();
            seen.lock().unwrap().push(String::from_utf8_lossy(&request[..n]).into_owned());
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (address, asked)
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

fn get(url: String) -> Request {
    Request::get(url, Duration::from_secs(5))
}

#[tokio::test]
async fn credentials_go_to_their_host_only() {
    let (other, asked_other) = scripted(vec![answer("200 OK", "", "there")]).await;
    let (first, asked_first) = scripted(vec![answer("302 Found", &format!("location: http://{other}/x\r\n"), "")]).await;
    let request = Request {
        credentials: Credentials::Header { scheme: "Bearer".into(), value: "canary".into() },
        secret_headers: vec![("X-Key".into(), "canary-2".into())],
        ..get(format!("http://{first}/"))
    };
    let response = Client::new(ClientTls::default()).send(request).await.unwrap();
    assert_eq!(&response.body[..], b"there");
    assert!(asked_first.lock().unwrap()[0].contains("authorization: Bearer canary"));
    assert!(!asked_other.lock().unwrap()[0].contains("canary"), "{asked_other:?}");
}

#[tokio::test]
async fn userinfo_becomes_a_header_and_is_not_shown() {
    let (address, asked) = scripted(vec![answer("200 OK", "", "")]).await;
    Client::new(ClientTls::default()).send(get(format!("http://me:pass%20word@{address}/"))).await.unwrap();
    assert!(asked.lock().unwrap()[0].contains("authorization: Basic bWU6cGFzcyB3b3Jk"), "{asked:?}");
    let refused = Client::new(ClientTls::default()).send(get("http://me:canary@127.0.0.1:1/".into())).await.unwrap_err();
    assert!(!format!("{refused} {refused:?}").contains("canary"));
    assert!(matches!(refused, ClientError::Connect { .. }));
}

#[tokio::test]
async fn limits_and_deadlines_hold() {
    let (address, _) = scripted(vec![answer("200 OK", "", &"x".repeat(2_000))]).await;
    let small = Request { limits: Limits { compressed: 1_000, decompressed: 1_000 }, ..get(format!("http://{address}/")) };
    assert!(matches!(Client::new(ClientTls::default()).send(small).await, Err(ClientError::Body(_))));

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hasty = Request { timeout: Duration::from_millis(50), ..get(format!("http://{}/", silent.local_addr().unwrap())) };
    assert!(matches!(Client::new(ClientTls::default()).send(hasty).await, Err(ClientError::Timeout(_))));
}

#[tokio::test]
async fn loops_end_and_odd_urls_are_refused() {
    let loops = (0..=REDIRECTS_MAX).map(|_| answer("307 Temporary Redirect", "location: /\r\n", "")).collect();
    let (address, _) = scripted(loops).await;
    assert!(matches!(Client::new(ClientTls::default()).send(get(format!("http://{address}/"))).await, Err(ClientError::Redirect(_))));
    for url in ["file:///etc/passwd", "gopher://x/", "http://", "nonsense", "http://a b/"] {
        assert!(matches!(Client::new(ClientTls::default()).send(get(url.into())).await, Err(ClientError::Request { .. })), "{url}");
    }
}

fn passed(url: String) -> Passed {
    let phases = Phases { head: Duration::from_secs(5), idle: Duration::from_secs(5), total: Duration::from_secs(10) };
    Passed { method: Method::POST, url, headers: HeaderMap::new(), credentials: Credentials::None, secret_headers: Vec::new(), body: Bytes::new(), phases }
}

#[tokio::test]
async fn what_is_passed_on_comes_back_as_it_was_and_is_not_followed() {
    let (address, asked) = scripted(vec![answer("302 Found", "location: http://127.0.0.1:1/\r\nx-odd: a\r\ncontent-encoding: gzip\r\n", "not gzip")]).await;
    let mut headers = HeaderMap::new();
    headers.insert("x-mine", HeaderValue::from_static("1"));
    let credentials = Credentials::Header { scheme: "Bearer".into(), value: "key".into() };
    let message = Passed { headers, credentials, body: Bytes::from_static(b"hello"), ..passed(format!("http://{address}/v1/x")) };
    let relayed = Client::new(ClientTls::default()).pass(message).await.unwrap();
    assert_eq!((relayed.status.as_u16(), relayed.headers["x-odd"].to_str().unwrap()), (302, "a"));
    assert_eq!(http_body_util::BodyExt::collect(relayed.body).await.unwrap().to_bytes(), "not gzip");
    let seen = asked.lock().unwrap()[0].to_ascii_lowercase();
    assert!(seen.starts_with("post /v1/x http/1.1\r\n") && seen.contains("x-mine: 1") && seen.contains("authorization: bearer key"), "{seen}");
    assert!(!seen.contains("accept-encoding") && !seen.contains("user-agent"), "{seen}");
}

#[tokio::test]
async fn each_phase_of_a_passed_request_has_its_limit() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let ms = Duration::from_millis;
    let client = Client::new(ClientTls::default());
    let hasty = Passed { phases: Phases { head: ms(30), idle: ms(5_000), total: ms(9_000) }, ..passed(url) };
    assert!(matches!(client.pass(hasty).await, Err(ClientError::Timeout(t)) if t == ms(30)));
    // Ten bytes are announced, four come, and the connection stays open.
    let stalling = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = stalling.local_addr().unwrap();
    tokio::task::spawn(async move {
        let (mut socket, _) = stalling.accept().await.unwrap();
        assert!(socket.read(&mut [0; 4096]).await.unwrap() > 0);
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfour").await.unwrap();
        std::future::pending::<()>().await;
    });
    let stalls = Passed { phases: Phases { head: ms(5_000), idle: ms(30), total: ms(9_000) }, ..passed(format!("http://{address}/")) };
    let body = client.pass(stalls).await.unwrap().body;
    assert!(matches!(http_body_util::BodyExt::collect(body).await, Err(ClientError::Timeout(t)) if t == ms(30)));
    let refused = client.pass(passed("http://127.0.0.1:1/".to_owned())).await;
    assert!(matches!(refused, Err(ClientError::Connect { .. })));
    // TCP comes about, TLS does not.
    let pooling = Pooling { connect: Some(ms(30)), ..Pooling::default() };
    let client = Client::with_pooling(ClientTls::default(), Proxies::default(), pooling);
    let late = client.pass(passed(format!("https://{}/", silent.local_addr().unwrap()))).await;
    assert!(matches!(late, Err(ClientError::Connect { reason, .. }) if reason.contains("no connection within")));
}
