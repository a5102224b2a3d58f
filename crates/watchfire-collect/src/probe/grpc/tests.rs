//! The prober `grpc` against a server of HTTP/2 that answers as it is told.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

use super::super::tests::{has, probe};
use super::{question, serving};

/// Answers every check by the name of the service: `serving`, `down`, `missing`, and not in gRPC for `plain`.
async fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service_fn(|request: http::Request<hyper::body::Incoming>| async move {
                let path = request.uri().path().to_owned();
                let asked = request.into_body().collect().await.unwrap().to_bytes();
                let name = String::from_utf8_lossy(&asked).into_owned();
                let (message, status): (&[u8], &str) = match () {
                    () if path != "/grpc.health.v1.Health/Check" => (&[], "12"),
                    () if name.contains("down") => (&[0, 0, 0, 0, 2, 8, 2], "0"),
                    () if name.contains("missing") => (&[], "5"),
                    () => (&[0, 0, 0, 0, 2, 8, 1], "0"),
                };
                if name.contains("plain") {
                    return Ok::<_, Infallible>(http::Response::builder().status(404).body(Full::new(Bytes::new()).boxed()).unwrap());
                }
                let mut trailers = http::HeaderMap::new();
                trailers.insert("grpc-status", status.parse().unwrap());
                let frames = [Ok::<_, Infallible>(Frame::data(Bytes::copy_from_slice(message))), Ok(Frame::trailers(trailers))];
                Ok(http::Response::new(BodyExt::boxed(StreamBody::new(futures_util::stream::iter(frames)))))
            });
            tokio::spawn(hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

#[tokio::test]
async fn the_health_service_says_how_it_is() {
    let address = server().await;
    for (service, good, code, word) in [("serving", true, 0, "SERVING"), ("down", false, 0, "NOT_SERVING"), ("missing", false, 5, ""), ("plain", false, 12, "")]
    {
        let text = probe(&format!("modules: {{m: {{prober: grpc, timeout: 5s, grpc: {{service: {service}}}}}}}"), &address.to_string()).await;
        assert_eq!(has(&text, "probe_success 1"), good, "{text}");
        assert!(has(&text, &format!("probe_grpc_status_code {code}")), "{text}");
        let ones: Vec<_> = text.lines().filter(|l| l.starts_with("probe_grpc_healthcheck_response{") && l.ends_with(" 1")).collect();
        let expected = format!("probe_grpc_healthcheck_response{{serving_status=\"{word}\"}} 1");
        assert_eq!(ones, if word.is_empty() { vec![] } else { vec![expected.as_str()] }, "{text}");
    }
    let gone = watchfire_testkit::ports::nobody();
    let text = probe("modules: {m: {prober: grpc}}", &gone.to_string()).await;
    assert!(has(&text, "probe_success 0") && has(&text, "probe_grpc_status_code 14"), "{text}");
}

#[test]
fn messages_of_the_health_service() {
    assert_eq!(question(""), [0, 0, 0, 0, 0]);
    assert_eq!(question("a"), [0, 0, 0, 0, 3, 10, 1, b'a']);
    assert_eq!(question(&"a".repeat(200))[..8], [0, 0, 0, 0, 203, 10, 200, 1]);
    for (body, expected) in [
        (&[0, 0, 0, 0, 2, 8, 1][..], Some(1)),
        (&[0, 0, 0, 0, 0], Some(0)),
        (&[0, 0, 0, 0, 3, 8, 0x80, 1], Some(128)),
        (&[1, 0, 0, 0, 2, 8, 1], None),
        (&[0, 0, 0, 0, 9, 8, 1], None),
        (&[0, 0, 0, 0, 2, 8, 0x80], None),
        (&[], None),
    ] {
        assert_eq!(serving(body), expected, "{body:?}");
    }
}

#[test]
fn targets_may_be_urls() {
    for (text, expected) in [("a:1", Ok(("a", 1))), ("http://a/", Ok(("a", 80))), ("https://a", Ok(("a", 443))), ("http://a:5/x", Ok(("a", 5))), ("a", Err(()))]
    {
        assert_eq!(super::target(text).map_err(|_| ()), expected.map(|(h, p)| (h.to_owned(), p)), "{text}");
    }
}
