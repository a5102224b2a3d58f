//! TLS from end to end: our client against our listener, with certificates that are made here.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::AsyncWriteExt;
use watchfire_model::meter::Meter;

use super::*;
use crate::client::{Client, ClientError, Request};
use crate::listener::{GuardedBody, Limits, Peer, Protocol, Server, TlsFiles, bind};
use crate::tasks::Tasks;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate and its key, as PEM.
fn certificate(authority: &Authority, name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, authority).unwrap();
    (certificate.pem(), key.serialize_pem())
}

fn write(dir: &Path, (certificate, key): &(String, String)) {
    std::fs::write(dir.join("cert.pem"), certificate).unwrap();
    std::fs::write(dir.join("key.pem"), key).unwrap();
}

struct Serving {
    port: u16,
    files: Arc<TlsFiles>,
    meter: Meter,
    _tasks: Tasks,
}

/// Answers `tls=<whether the peer says so>`.
fn serving(dir: &Path) -> Serving {
    let meter = Meter::new();
    let tasks = Tasks::new(&meter);
    let files = TlsFiles::load(dir.join("cert.pem"), dir.join("key.pem")).unwrap();
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = listener.local_addr().unwrap().port();
    let service = tower::service_fn(|request: http::Request<GuardedBody>| async move {
        let tls = request.extensions().get::<Peer>().unwrap().tls;
        Ok::<_, Infallible>(http::Response::new(Full::new(bytes::Bytes::from(format!("tls={tls}")))))
    });
    let limits = Limits { head: Duration::from_millis(400), ..Limits::default() };
    let server = Server { protocol: Protocol::Http1, limits, tls: Some(files.clone()), meter: meter.clone(), tasks: tasks.clone() };
    tasks.spawn_until_done("listener", server.serve(listener, service));
    Serving { port, files, meter, _tasks: tasks }
}

async fn get(tls: ClientTls, host: &str, port: u16) -> Result<String, ClientError> {
    let request = Request::get(format!("https://{host}:{port}/"), Duration::from_secs(5));
    let response = Client::new(tls).send(request).await?;
    Ok(String::from_utf8(response.body.to_vec()).unwrap())
}

fn trusting(authority: &Authority) -> ClientTls {
    ClientTls { ca_pem: Some(Secret::new(authority.pem())), ..ClientTls::default() }
}

#[tokio::test]
async fn who_is_believed() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, other) = (authority(), authority());
    write(dir.path(), &certificate(&ours, "watch.example"));
    let serving = serving(dir.path());
    let named = |name: &str, tls: ClientTls| ClientTls { server_name: Some(name.to_owned()), ..tls };
    for (what, tls, believed) in [
        ("the authority and the name", named("watch.example", trusting(&ours)), true),
        ("another name", named("evil.example", trusting(&ours)), false),
        ("the host's own name", trusting(&ours), false),
        ("another authority", named("watch.example", trusting(&other)), false),
        ("no check at all", ClientTls { insecure_skip_verify: true, ..ClientTls::default() }, true),
    ] {
        let answer = get(tls, "127.0.0.1", serving.port).await;
        match believed {
            true => assert_eq!(answer.unwrap(), "tls=true", "{what}"),
            false => assert!(matches!(answer, Err(ClientError::Connect { .. })), "{what}: {answer:?}"),
        }
    }
}

#[tokio::test]
async fn files_are_read_again_and_damage_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (authority(), authority());
    let (old, new) = (certificate(&first, "localhost"), certificate(&second, "localhost"));
    write(dir.path(), &old);
    let serving = serving(dir.path());
    assert!(get(trusting(&first), "localhost", serving.port).await.is_ok());
    for (certificate, key) in [("", &*new.1), (&*new.0, ""), (&*new.0, &*old.1), ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &*new.1)] {
        write(dir.path(), &(certificate.to_owned(), key.to_owned()));
        assert!(serving.files.reload().is_err(), "{certificate} {key}");
        assert!(get(trusting(&first), "localhost", serving.port).await.is_ok(), "the old pair stays in use");
    }
    std::fs::remove_file(dir.path().join("key.pem")).unwrap();
    let error = serving.files.reload().unwrap_err();
    assert!(error.to_string().starts_with("cannot read a private key from PEM"), "{error}");
    write(dir.path(), &new);
    serving.files.reload().unwrap();
    assert!(get(trusting(&second), "localhost", serving.port).await.is_ok());
    assert!(get(trusting(&first), "localhost", serving.port).await.is_err());
}

#[tokio::test]
async fn r46_stalled_and_plain_handshakes_are_cut_off_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let ours = authority();
    write(dir.path(), &certificate(&ours, "localhost"));
    let serving = serving(dir.path());
    let silent = tokio::net::TcpStream::connect(("127.0.0.1", serving.port)).await.unwrap();
    let mut plain = tokio::net::TcpStream::connect(("127.0.0.1", serving.port)).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let errors = || serving.meter.gather().iter().flat_map(|f| f.points.clone()).find(|(l, _)| l.get("reason") == Some("tls_error")).map_or(0.0, |p| p.1);
    let both = async {
        while errors() < 2.0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), both).await.expect("both are cut off");
    assert!(get(trusting(&ours), "localhost", serving.port).await.is_ok());
    drop(silent);
}

#[tokio::test]
async fn a_client_shows_its_certificate() {
    let ours = authority();
    let (server, client) = (certificate(&ours, "localhost"), certificate(&ours, "client"));
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots(Some(&Secret::new(ours.pem()))).unwrap()), provider());
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(certificates(&server.0.into(), "a certificate").unwrap(), key(&server.1.into()).unwrap())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::task::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(mut stream) = acceptor.accept(stream).await {
                drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi").await);
                drop(stream.shutdown().await);
            }
        }
    });
    let with = ClientTls { identity_pem: Some((Secret::new(client.0.clone()), Secret::new(client.1))), ..trusting(&ours) };
    assert_eq!(get(with.clone(), "localhost", port).await.unwrap(), "hi");
    assert!(get(trusting(&ours), "localhost", port).await.is_err());
    let stranger = certificate(&authority(), "client");
    let wrong = ClientTls { identity_pem: Some((Secret::new(stranger.0), Secret::new(stranger.1))), ..trusting(&ours) };
    assert!(get(wrong, "localhost", port).await.is_err());
    let halves = ClientTls { identity_pem: Some((Secret::new(client.0), Secret::new(KeyPair::generate().unwrap().serialize_pem()))), ..trusting(&ours) };
    assert!(matches!(get(halves, "localhost", port).await, Err(ClientError::Tls(_))));
}
