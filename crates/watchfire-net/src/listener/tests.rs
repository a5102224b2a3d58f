//! Tests of the accept loop with raw sockets: slow, silent, large and many.

use std::time::Duration;

use http_body_util::{BodyExt, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use watchfire_model::meter::Meter;

use super::*;

/// Serves `len=<bytes of the body>` with short limits.
async fn serving(limits: Limits) -> (SocketAddr, Tasks, Meter) {
    let meter = Meter::new();
    let tasks = Tasks::new(&meter);
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let service = tower::service_fn(|request: Request<GuardedBody>| async move {
        let peer = *request.extensions().get::<Peer>().unwrap();
        let slow = request.uri().path() == "/slow";
        if request.uri().path() == "/stream" {
            request.extensions().get::<Pace>().unwrap().unhurried();
        }
        let text = match request.into_body().collect().await {
            Ok(body) => format!("len={} loopback={}", body.to_bytes().len(), peer.is_loopback()),
            Err(_) => "broken".to_owned(),
        };
        if slow {
            tokio::time::sleep(Duration::from_millis(600)).await;
        }
        Ok::<_, Infallible>(Response::new(Full::new(bytes::Bytes::from(text))))
    });
    let server = Server { protocol: Protocol::Http1, limits, tls: None, meter: meter.clone(), tasks: tasks.clone() };
    tasks.spawn_until_done("listener", server.serve(listener, service));
    (address, tasks, meter)
}

fn hasty() -> Limits {
    Limits { head: Duration::from_millis(200), idle: Duration::from_millis(300), body_grace: Duration::from_millis(200), ..Limits::default() }
}

/// Sends pieces with pauses and gives everything that comes back until the other side closes.
async fn talk(address: SocketAddr, pieces: &[(&str, u64)]) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    for (piece, pause_ms) in pieces {
        if socket.write_all(piece.as_bytes()).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(*pause_ms)).await;
    }
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(5), socket.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the connection was never closed");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn r46_whoever_is_too_slow_is_cut_off() {
    let (address, _tasks, _) = serving(hasty()).await;
    let check = async |pieces: &[(&str, u64)], expected: &str| {
        let answer = talk(address, pieces).await;
        assert!(answer.starts_with(expected) && (!expected.is_empty() || !answer.contains("200 OK")), "{pieces:?}: {answer:?}");
    };
    check(&[], "").await; // says nothing at all
    check(&[("GET / HT", 0)], "").await; // never finishes its head
    check(&[("GET / HTTP/1.1\r\n", 150), ("Host: x\r\n", 150), ("A: b\r\n", 150)], "").await; // a line now and then
    check(&[("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc", 0)], "HTTP/1.1 200 OK").await; // the body stops: the handler sees a broken one
    check(&[("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n", 0)], "HTTP/1.1 200 OK").await; // a slow handler is not a slow peer
    check(&[("POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 0)], "HTTP/1.1 200 OK").await;
    check(&[("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 100), ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 0)], "HTTP/1.1 200 OK").await; // kept alive, then idle
}

#[tokio::test]
async fn a_stream_may_be_slow_and_what_follows_may_not() {
    let (address, _tasks, _) = serving(hasty()).await;
    let begin = "POST /stream HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let slow = talk(address, &[(begin, 700), ("1\r\na\r\n", 700), ("0\r\n\r\n", 0)]).await;
    assert!(slow.contains("len=1 "), "{slow}");
    let next = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc";
    let both = talk(address, &[(begin, 0), ("1\r\na\r\n0\r\n\r\n", 50), (next, 0)]).await;
    assert!(both.contains("len=1 ") && both.contains("broken"), "{both}");
}

#[tokio::test]
async fn r40_heads_and_targets_have_limits() {
    let (address, _tasks, _) = serving(hasty()).await;
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "a".repeat(17 << 10));
    assert!(talk(address, &[(&long, 0)]).await.starts_with("HTTP/1.1 414"));
    let many: String = (0..120).map(|i| format!("X-{i}: y\r\n")).collect();
    assert!(talk(address, &[(&format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n"), 0)]).await.starts_with("HTTP/1.1 431"));
    let fat = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "y".repeat(40 << 10));
    // The rest of the head may never be read, so the reset may overtake the answer.
    let answer = talk(address, &[(&fat, 0)]).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert!(talk(address, &[("\u{1}\u{2}\r\n\r\n", 0)]).await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn many_silent_connections_do_not_keep_others_out_for_long() {
    let (address, _tasks, meter) = serving(Limits { connections: 20, ..hasty() }).await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let answer = talk(address, &[("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 0)]).await;
    assert!(answer.contains("len=0 loopback=true"), "{answer}");
    let refused: f64 = meter.gather().iter().filter(|f| &*f.name == "watchfire_http_connections_refused_total").flat_map(|f| &f.points).map(|p| p.1).sum();
    assert!(refused >= 20.0, "{refused}");
}

#[tokio::test]
async fn a_stop_lets_open_requests_end() {
    let (address, tasks, _) = serving(hasty()).await;
    let asking = tokio::task::spawn(async move { talk(address, &[("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n", 0)]).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(tasks.shut_down(Duration::from_secs(5)).await, Vec::<String>::new());
    assert!(asking.await.unwrap().starts_with("HTTP/1.1 200 OK"));
    assert!(TcpStream::connect(address).await.is_err());
}

#[test]
fn a_taken_address_is_told() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let first = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let error = bind(first.local_addr().unwrap()).unwrap_err();
        assert!(error.is_taken() && error.to_string().starts_with("cannot listen on 127.0.0.1:"), "{error}");
    });
}

/// Opens sockets that each begin a request in another slow way, and keeps them.
async fn slow_clients(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let beginnings = ["", "G", "GET / HTTP/1.1\r\nHost: x\r\n", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1"];
    let mut clients = Vec::new();
    for beginning in beginnings.iter().cycle().take(count) {
        let mut socket = TcpStream::connect(address).await.unwrap();
        // A socket that was turned away already cannot be written to; that is as slow as it gets.
        drop(socket.write_all(beginning.as_bytes()).await);
        clients.push(socket);
    }
    clients
}

#[tokio::test]
async fn r46_three_hundred_slow_clients_leave_others_their_answer() {
    let limits = Limits { head: Duration::from_millis(800), body_grace: Duration::from_millis(800), idle: Duration::from_millis(800), ..Limits::default() };
    let (address, _tasks, meter) = serving(limits).await;
    let slow = slow_clients(address, 300).await;
    let mut answered = 0;
    let until = tokio::time::Instant::now() + Duration::from_secs(2);
    while tokio::time::Instant::now() < until {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let mut answer = Vec::new();
        if socket.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.is_ok() {
            // Before the first slow ones have had their time there is no place, and the connection is closed at once.
            drop(tokio::time::timeout(Duration::from_secs(1), socket.read_to_end(&mut answer)).await.expect("nobody waits for slow clients"));
        }
        answered += u32::from(answer.starts_with(b"HTTP/1.1 200 OK"));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(answered >= 5, "{answered}");
    let gathered = meter.gather();
    let slow_closed = gathered.iter().flat_map(|f| &f.points).find(|(l, _)| l.get("reason") == Some("too_slow")).map(|p| p.1).unwrap();
    assert!(slow_closed >= 128.0, "{slow_closed}");
    drop(slow);
}

#[tokio::test]
async fn r46_whoever_does_not_read_is_cut_off() {
    let meter = Meter::new();
    let tasks = Tasks::new(&meter);
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let service =
        tower::service_fn(|_: Request<GuardedBody>| async { Ok::<_, Infallible>(Response::new(Full::new(bytes::Bytes::from(vec![b'x'; 32 << 20])))) });
    let server = Server { protocol: Protocol::Http1, limits: hasty(), tls: None, meter: meter.clone(), tasks: tasks.clone() };
    tasks.spawn_until_done("listener", server.serve(listener, service));
    let ask = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

    let mut greedy = TcpStream::connect(address).await.unwrap();
    greedy.write_all(ask).await.unwrap();
    let mut all = Vec::new();
    greedy.read_to_end(&mut all).await.unwrap();
    assert!(all.len() > 32 << 20, "who reads gets everything");

    let mut lazy = TcpStream::connect(address).await.unwrap();
    lazy.write_all(ask).await.unwrap();
    // A byte now and then is not reading: what the server can send meanwhile stays below its least rate.
    for _ in 0..20 {
        let mut one = [0u8; 1];
        if !matches!(lazy.read(&mut one).await, Ok(1)) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let slow = || meter.gather().iter().flat_map(|f| f.points.clone()).find(|(l, _)| l.get("reason") == Some("too_slow")).map_or(0.0, |p| p.1);
    assert_eq!(slow(), 1.0);
}

#[tokio::test]
async fn a_body_that_is_not_asked_for_makes_nobody_slow() {
    let meter = Meter::new();
    let tasks = Tasks::new(&meter);
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let service = tower::service_fn(|request: Request<GuardedBody>| async move {
        // As if the caller's password were checked first.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let read = request.into_body().collect().await.is_ok();
        Ok::<_, Infallible>(Response::new(Full::new(bytes::Bytes::from(read.to_string()))))
    });
    let server = Server { protocol: Protocol::Http1, limits: hasty(), tls: None, meter: meter.clone(), tasks: tasks.clone() };
    tasks.spawn_until_done("listener", server.serve(listener, service));
    let answer = talk(address, &[("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 6\r\n\r\nabc", 600), ("def", 0)]).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("true"), "{answer}");
}

#[tokio::test]
async fn odd_requests() {
    let (address, _tasks, _) = serving(hasty()).await;
    let check = async |text: &str, expected: &str| {
        let answer = talk(address, &[(text, 0)]).await;
        assert!(answer.starts_with(expected), "{text:?}: {answer:?}");
    };
    check("GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK").await;
    check("HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 OK").await;
    check("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "").await; // HTTP/2 is not spoken
    check("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "HTTP/1.1 400").await;
    check("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 400").await;
    check("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 400").await;
    check("GET / HTTP/1.1\r\nHost : x\r\n\r\n", "HTTP/1.1 400").await;
    check("GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", "HTTP/1.1 400").await;
}

/// A listener of HTTP/2 whose service waits a little at `/slow`.
async fn serving_http2(limits: Limits) -> (SocketAddr, Tasks, Meter) {
    let meter = Meter::new();
    let tasks = Tasks::new(&meter);
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let service = tower::service_fn(|request: Request<GuardedBody>| async move {
        let host = request.headers().get(HOST).map_or(String::new(), |h| h.to_str().unwrap().to_owned());
        if request.uri().path() == "/slow" {
            tokio::time::sleep(Duration::from_millis(900)).await;
        }
        let text = match request.into_body().collect().await {
            Ok(body) => format!("host={host} len={}", body.to_bytes().len()),
            Err(_) => "broken".to_owned(),
        };
        Ok::<_, Infallible>(Response::new(Full::new(bytes::Bytes::from(text))))
    });
    let server = Server { protocol: Protocol::Http2, limits, tls: None, meter: meter.clone(), tasks: tasks.clone() };
    tasks.spawn_until_done("listener", server.serve(listener, service));
    (address, tasks, meter)
}

type Sender = hyper::client::conn::http2::SendRequest<Full<bytes::Bytes>>;

async fn connect_http2(address: SocketAddr) -> (Sender, tokio::task::JoinHandle<()>) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let ended = tokio::spawn(async move { drop(connection.await) });
    (sender, ended)
}

async fn ask_http2(sender: &mut Sender, path: &str, body: &'static [u8]) -> Result<String, hyper::Error> {
    let request = Request::post(format!("http://watch.test:4317{path}")).body(Full::new(bytes::Bytes::from_static(body))).unwrap();
    let answer = sender.send_request(request).await?;
    Ok(String::from_utf8(answer.into_body().collect().await?.to_bytes().to_vec()).unwrap())
}

#[tokio::test]
async fn http2_requests_share_a_connection_and_carry_their_host() {
    let (address, tasks, _) = serving_http2(Limits::default()).await;
    let (sender, ended) = connect_http2(address).await;
    let all = (0..20).map(|_| {
        let mut sender = sender.clone();
        async move { ask_http2(&mut sender, "/a", b"12345").await.unwrap() }
    });
    for text in futures_util::future::join_all(all).await {
        assert_eq!(text, "host=watch.test:4317 len=5");
    }
    drop(sender);
    assert!(tasks.shut_down(Duration::from_secs(5)).await.is_empty(), "an idle connection does not hold up the end");
    ended.await.unwrap();
}

#[tokio::test]
async fn r46_http2_connections_that_rest_or_say_nothing_are_cut_off() {
    let (address, _tasks, meter) = serving_http2(hasty()).await;
    // Without a preface nothing comes but our own settings, and the end.
    assert!(talk(address, &[]).await.len() < 100);
    let (mut sender, ended) = connect_http2(address).await;
    // A request that takes longer than an idle connection may rest is no idle connection.
    assert_eq!(ask_http2(&mut sender, "/slow", b"").await.unwrap(), "host=watch.test:4317 len=0");
    tokio::time::timeout(Duration::from_secs(5), ended).await.expect("an idle connection is closed").unwrap();
    assert!(ask_http2(&mut sender, "/a", b"").await.is_err());
    let slow = meter.counter("watchfire_http_connections_refused_total", "", &[("reason", "too_slow")]);
    assert!(slow.get() >= 1, "{}", slow.get());
}

#[tokio::test]
async fn http2_streams_that_are_given_up_leave_the_connection_idle() {
    let (address, _tasks, _) = serving_http2(hasty()).await;
    let (mut sender, ended) = connect_http2(address).await;
    for _ in 0..10 {
        let asked = ask_http2(&mut sender, "/slow", b"");
        assert!(tokio::time::timeout(Duration::from_millis(5), asked).await.is_err());
    }
    tokio::time::timeout(Duration::from_secs(5), ended).await.expect("nothing is under way any more").unwrap();
}
