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
