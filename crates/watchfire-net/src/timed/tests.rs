//! Measured connections against servers of the test's own: what is told of TLS, where the policy stops them, bodies and their limit.

use std::net::SocketAddr;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::secret::Secret;
use crate::tls::server_config;

fn certificate() -> (Secret, Secret) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    (Secret::new(made.cert.pem()), Secret::new(made.signing_key.serialize_pem()))
}

/// Answers every connection with the same bytes, over TLS if there is a certificate.
async fn serve(answer: &'static [u8], tls: Option<(Secret, Secret)>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = tls.map(|(cert, key)| tokio_rustls::TlsAcceptor::from(Arc::new(server_config(&cert, &key).unwrap())));
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut heard = [0; 1024];
            match &acceptor {
                Some(acceptor) => {
                    let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                    if stream.read(&mut heard).await.is_ok_and(|n| n > 0) {
                        stream.write_all(answer).await.unwrap();
                        stream.shutdown().await.unwrap();
                    }
                }
                None => {
                    if stream.read(&mut heard).await.is_ok_and(|n| n > 0) {
                        stream.write_all(answer).await.unwrap();
                    }
                }
            }
        }
    });
    address
}

fn asked() -> Asked {
    let request = ::http::Request::get("/").header("host", "localhost").body(Bytes::new()).unwrap();
    Asked { request, host: "localhost".to_owned(), version: Version::One }
}

const FOUR: Preference = Preference { family: Family::V4, fallback: false };

#[tokio::test]
async fn tls_is_told_and_bodies_have_a_limit() {
    let (cert, key) = certificate();
    let address = serve(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello", Some((cert.clone(), key))).await;
    let dialer = Dialer::new();
    let trusting = ClientTls { ca_pem: Some(cert), ..ClientTls::default() };
    let connect = async || dialer.connect(address, None, &Policy::configured()).await.unwrap();
    for limit in [5, 4] {
        let link = dialer.encrypt(connect().await, "localhost", &trusting, &[b"http/1.1"]).await.unwrap();
        let facts = link.tls.clone().unwrap();
        assert_eq!((facts.version, facts.protocol.as_deref()), ("TLS 1.3", Some(&b"http/1.1"[..])));
        assert!(facts.cipher.starts_with("TLS_AES_") || facts.cipher.starts_with("TLS_CHACHA20_"), "{}", facts.cipher);
        assert_eq!(facts.certificates[0].names, ["localhost"]);
        let answer = link.exchange(asked()).await.unwrap();
        let body = answer.body.collect(limit).await;
        match limit {
            5 => assert_eq!(body.unwrap().0, b"hello"),
            _ => assert!(matches!(body, Err(TimedError::TooLarge(4)))),
        }
    }
    // The same set-up is used again; strangers and other names are not believed.
    assert_eq!(dialer.setups.lock().unwrap().len(), 1);
    let stranger = ClientTls { ca_pem: Some(certificate().0), ..ClientTls::default() };
    assert!(matches!(dialer.encrypt(connect().await, "localhost", &stranger, &[]).await, Err(TimedError::Handshake { .. })));
    assert!(matches!(dialer.encrypt(connect().await, "elsewhere", &trusting, &[]).await, Err(TimedError::Handshake { .. })));
    let anybody = ClientTls { insecure_skip_verify: true, ..ClientTls::default() };
    assert!(dialer.encrypt(connect().await, "elsewhere", &anybody, &[]).await.is_ok());
}

#[tokio::test]
async fn the_policy_is_asked_before_every_connection() {
    let address = serve(b"x", None).await;
    let dialer = Dialer::new();
    assert!(matches!(dialer.connect(address, None, &Policy::free()).await, Err(TimedError::Forbidden(_))));
    assert!(matches!(dialer.datagrams(address, None, &Policy::free()).await, Err(TimedError::Forbidden(_))));
    assert!(matches!(dialer.echo(address.ip(), Echo::default(), &Policy::free()).await, Err(TimedError::Forbidden(_))));
    assert!(dialer.connect(address, None, &Policy::configured()).await.is_ok());
    assert!(
        dialer
            .connect(address, Some("127.0.0.3".parse().unwrap()), &Policy::configured())
            .await
            .is_ok_and(|link| link.local.unwrap().ip().to_string() == "127.0.0.3")
    );
}

#[tokio::test]
async fn families_of_addresses() {
    let dialer = Dialer::new();
    let six = Preference { family: Family::V6, fallback: false };
    let either = Preference { family: Family::V6, fallback: true };
    assert_eq!(dialer.resolve("127.0.0.1", FOUR).await.unwrap().to_string(), "127.0.0.1");
    assert_eq!(dialer.resolve("[::1]", six).await.unwrap().to_string(), "::1");
    assert_eq!(dialer.resolve("127.0.0.1", either).await.unwrap().to_string(), "127.0.0.1");
    assert!(matches!(dialer.resolve("127.0.0.1", six).await, Err(TimedError::Resolve { .. })));
    assert!(matches!(dialer.resolve("name.invalid", either).await, Err(TimedError::Resolve { .. })));
    assert_eq!(dialer.resolve("localhost", FOUR).await.unwrap().to_string(), "127.0.0.1");
}

#[tokio::test]
async fn an_echo_comes_back_where_the_system_lets_us() {
    let here = "127.0.0.1".parse().unwrap();
    let (dialer, policy) = (Dialer::new(), Policy::configured());
    let asked = dialer.echo(here, Echo { payload_bytes: 32, ttl: Some(9), ..Echo::default() }, &policy);
    match tokio::time::timeout(Duration::from_secs(5), asked).await.unwrap() {
        Ok(answered) => assert!(answered.round_trip < Duration::from_secs(5)),
        Err(TimedError::Socket { reason, .. }) => {
            assert!(reason.contains("ping_group_range"), "{reason}");
            eprintln!("SKIPPED: this system gives no sockets for ICMP ({reason})");
        }
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn pairs_of_sockets_are_neighbours_and_the_first_is_even() {
    let pairs = [Dialer::new().pair("127.0.0.1".parse().unwrap()).await.unwrap(), Dialer::new().pair("127.0.0.1".parse().unwrap()).await.unwrap()];
    for [first, second] in &pairs {
        let (first, second) = (first.local_addr().unwrap(), second.local_addr().unwrap());
        assert_eq!((first.port() % 2, first.port() + 1, first.ip()), (0, second.port(), second.ip()));
    }
    assert!(matches!(Dialer::new().pair("192.0.2.1".parse().unwrap()).await, Err(TimedError::Socket { .. })));
}
