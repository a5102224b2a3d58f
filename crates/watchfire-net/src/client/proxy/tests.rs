//! Proxies against scripted ones on real sockets.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::client::{Client, ClientError, Request};
use crate::tls::ClientTls;

/// One step of a scripted proxy: what to wait for, and what to say then.
type Step = (&'static [u8], &'static [u8]);

/// Plays the steps on its only connection and keeps everything it was told.
async fn scripted(steps: Vec<Step>) -> (u16, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard: Arc<Mutex<Vec<u8>>> = Arc::default();
    let kept = heard.clone();
    tokio::task::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        for (awaited, said) in steps {
            hear(&mut socket, awaited, &kept).await;
            socket.write_all(said).await.unwrap();
        }
    });
    (port, heard)
}

/// Reads until the words end as awaited.
async fn hear(socket: &mut TcpStream, awaited: &[u8], kept: &Mutex<Vec<u8>>) {
    while !kept.lock().unwrap().ends_with(awaited) {
        let byte = socket.read_u8().await.unwrap();
        kept.lock().unwrap().push(byte);
    }
}

fn get(url: &str) -> Request {
    Request::get(url, Duration::from_secs(5))
}
fn client(proxy: &str) -> Client {
    Client::with_proxies(ClientTls::default(), Proxies::one(proxy, None).unwrap())
}
fn text(heard: &Mutex<Vec<u8>>) -> String {
    String::from_utf8_lossy(&heard.lock().unwrap()).into_owned()
}

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi";

#[tokio::test]
async fn plain_http_goes_to_the_proxy_with_its_whole_url() {
    let (port, heard) = scripted(vec![(b"\r\n\r\n", ANSWER)]).await;
    let request = get("http://target.invalid:9100/metrics?a=b");
    let response = client(&format!("http://me:can%20ary@127.0.0.1:{port}")).send(request).await.unwrap();
    assert_eq!(&response.body[..], b"hi");
    let heard = text(&heard);
    assert!(heard.starts_with("GET http://target.invalid:9100/metrics?a=b HTTP/1.1\r\n"), "{heard}");
    assert!(heard.contains("host: target.invalid:9100\r\n") && heard.contains("proxy-authorization: Basic bWU6Y2FuIGFyeQ==\r\n"), "{heard}");
}

#[tokio::test]
async fn https_asks_for_a_tunnel_and_begins_tls_in_it() {
    // 0x16 0x03 0x01 is how a TLS handshake begins.
    let (port, heard) = scripted(vec![(b"\r\n\r\n", b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n"), (&[0x16, 3, 1], b"no tls")]).await;
    let proxies = Proxies::one(&format!("127.0.0.1:{port}"), None).unwrap().with_connect_headers(vec![("X-Key".to_owned(), "canary".into())]).unwrap();
    let tls = ClientTls { insecure_skip_verify: true, ..ClientTls::default() };
    let refused = Client::with_proxies(tls, proxies).send(get("https://target.invalid/metrics")).await.unwrap_err();
    let heard = text(&heard);
    assert!(heard.starts_with("CONNECT target.invalid:443 HTTP/1.1\r\nHost: target.invalid:443\r\n"), "{heard}");
    assert!(heard.contains("X-Key: canary\r\n") && !heard.contains("GET"), "{heard}");
    assert!(matches!(&refused, ClientError::Connect { host, .. } if host == "target.invalid"), "{refused:?}");
}

#[tokio::test]
async fn a_refused_tunnel_says_why_and_no_password() {
    for (answer, words) in [
        (&b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"[..], "it answered \"407 Proxy Authentication Required\" to CONNECT"),
        (b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", "403 Forbidden"),
        (b"SSH-2.0-x\r\n", "it does not speak HTTP"),
        (b"HTTP/1.1 200 OK\n\n\nnothing", "cannot connect"),
    ] {
        let (port, heard) = scripted(vec![(b"\r\n\r\n", answer)]).await;
        let tls = ClientTls { insecure_skip_verify: true, ..ClientTls::default() };
        let proxies = Proxies::one(&format!("http://u:canary@127.0.0.1:{port}"), None).unwrap();
        let refused = Client::with_proxies(tls, proxies).send(get("https://target.invalid:8443/")).await.unwrap_err();
        assert!(refused.to_string().contains(words), "{words}: {refused}");
        assert!(!format!("{refused} {refused:?}").contains("canary"));
        assert!(text(&heard).contains("Proxy-Authorization: Basic dTpjYW5hcnk=\r\n"));
    }
}

#[tokio::test]
async fn socks_5_with_and_without_a_name() {
    let open = vec![(&[5, 1, 0][..], &[5, 0][..]), (&[35, 140], &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]), (b"\r\n\r\n", ANSWER)];
    let (port, heard) = scripted(open).await;
    let response = client(&format!("socks5://127.0.0.1:{port}")).send(get("http://target.invalid:9100/m")).await.unwrap();
    assert_eq!(&response.body[..], b"hi");
    let heard = text(&heard);
    assert!(heard.contains("\u{5}\u{1}\0\u{3}\u{e}target.invalid") && heard.contains("GET /m HTTP/1.1\r\n"), "{heard:?}");

    let named = vec![(&[5, 2, 0, 2][..], &[5, 2][..]), (b"\x01\x01u\x01p", &[1, 0]), (&[7, 0, 0, 1, 0, 80], &[5, 5, 0, 1])];
    let (port, heard) = scripted(named).await;
    let refused = client(&format!("socks5h://u:p@127.0.0.1:{port}")).send(get("http://7.0.0.1/")).await.unwrap_err();
    assert!(refused.to_string().contains("connection refused"), "{refused} {:?}", text(&heard));
}

#[tokio::test]
async fn what_no_proxy_names_is_reached_directly() {
    let (target, heard) = scripted(vec![(b"\r\n\r\n", ANSWER)]).await;
    let proxies = Proxies::one("http://proxy.invalid:1", Some("example.org")).unwrap();
    let response = Client::with_proxies(ClientTls::default(), proxies).send(get(&format!("http://127.0.0.1:{target}/m"))).await.unwrap();
    assert_eq!(&response.body[..], b"hi");
    assert!(text(&heard).starts_with("GET /m HTTP/1.1\r\n"));
}

#[test]
fn the_environment_chooses_by_scheme() {
    let chosen = |variables: &[(&str, &str)], url: &str| {
        let proxies = Proxies::from_environment(&|name| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()));
        proxies.choose(&url.parse().unwrap()).map(|server| format!("{:?} {}:{}", server.scheme, server.host, server.port))
    };
    let both = [("HTTP_PROXY", "http://a:1"), ("http_proxy", "http://b:2"), ("https_proxy", "https://c"), ("NO_PROXY", "d.org:8443,10.0.0.0/8")];
    assert_eq!(chosen(&both, "http://x.org/").as_deref(), Some("Http a:1"));
    assert_eq!(chosen(&both, "https://x.org/").as_deref(), Some("Https c:443"));
    assert_eq!(chosen(&both, "https://d.org:8443/"), None);
    assert_eq!(chosen(&both, "https://d.org/").as_deref(), Some("Https c:443"));
    assert_eq!(chosen(&both, "http://10.1.2.3/"), None);
    assert_eq!(chosen(&both, "http://localhost:9100/"), None);
    assert_eq!(chosen(&[("HTTP_PROXY", "ftp://a:1")], "http://x.org/"), None);
    assert_eq!(chosen(&[("HTTP_PROXY", "a:1")], "https://x.org/"), None);
    assert_eq!(chosen(&[], "http://x.org/"), None);
}

#[test]
fn addresses_and_headers_that_cannot_be_used_are_refused() {
    for url in ["", "ftp://x:1", "http://", "http://x:99999", "http://u:canary@ x"] {
        assert_eq!(Proxies::one(url, None), Err(ProxyError::Address), "{url}");
    }
    let headers = |name: &str, value: &str| Proxies::default().with_connect_headers(vec![(name.to_owned(), value.into())]);
    assert!(headers("X-A", "b").is_ok());
    assert_eq!(headers("X-A", "b\r\nX-C: d").unwrap_err(), ProxyError::Header("X-A".to_owned()));
    assert!(headers("X A", "b").is_err());
    assert!(!format!("{:?}", Proxies::one("http://u:canary@h:1", None).unwrap()).contains("canary"));
}
