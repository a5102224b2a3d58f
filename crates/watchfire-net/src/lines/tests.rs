//! Tests of lines over sockets: who may send, framing, limits, TLS.

use std::sync::Mutex;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use watchfire_model::meter::Meter;

use super::*;

#[derive(Default)]
struct Kept {
    lines: Mutex<Vec<String>>,
    dropped: Mutex<u64>,
    closed: bool,
}
impl Receiver for Kept {
    fn allows(&self, peer: IpAddr) -> bool {
        peer.is_loopback() && !self.closed
    }
    fn take(&self, lines: &[u8]) {
        self.lines.lock().unwrap().extend(String::from_utf8_lossy(lines).lines().map(str::to_owned));
    }
    fn dropped(&self, lines: u64) {
        *self.dropped.lock().unwrap() += lines;
    }
}
impl Kept {
    async fn until(&self, good: impl Fn(&Kept) -> bool) {
        let waited = tokio::time::timeout(Duration::from_secs(5), async {
            while !good(self) {
                tokio::task::yield_now().await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("{:?} {:?}", self.lines.lock().unwrap(), self.dropped.lock().unwrap()));
    }
}

#[tokio::test]
async fn datagrams_from_whom_may_send() {
    for closed in [false, true] {
        let kept = Arc::new(Kept { closed, ..Kept::default() });
        let socket = bind_datagrams("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let tasks = Tasks::new(&Meter::new());
        tasks.spawn("datagrams", receive(socket, kept.clone()));
        let sender = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        sender.send_to(b"a\nb", address).await.unwrap();
        kept.until(|k| k.lines.lock().unwrap().len() == if closed { 0 } else { 2 } && *k.dropped.lock().unwrap() == u64::from(closed)).await;
    }
}

#[tokio::test]
async fn connections_beyond_the_limit_are_counted() {
    let kept = Arc::new(Kept::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tasks = Tasks::new(&Meter::new());
    tasks.spawn("stream", accept(listener, None, kept.clone(), tasks.clone()));
    let mut streams = Vec::new();
    for _ in 0..=accept::CONNECTIONS_MAX {
        streams.push(TcpStream::connect(address).await.unwrap());
    }
    kept.until(|k| *k.dropped.lock().unwrap() == 1).await;
}

#[tokio::test]
async fn a_line_that_breaks_off_is_counted() {
    let kept = Arc::new(Kept::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tasks = Tasks::new(&Meter::new());
    tasks.spawn("stream", accept(listener, None, kept.clone(), tasks.clone()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"one\ntw").await.unwrap();
    kept.until(|k| k.lines.lock().unwrap().len() == 1).await;
    // Nothing lingers, so the other side sees a reset instead of an end.
    stream.set_zero_linger().unwrap();
    drop(stream);
    kept.until(|k| *k.dropped.lock().unwrap() == 1).await;
    assert_eq!(*kept.lines.lock().unwrap(), ["one"]);
}

#[tokio::test]
async fn lines_of_a_stream_are_put_together_and_long_ones_dropped() {
    let kept = Arc::new(Kept::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tasks = Tasks::new(&Meter::new());
    tasks.spawn("stream", accept(listener, None, kept.clone(), tasks.clone()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"one\ntw").await.unwrap();
    kept.until(|k| k.lines.lock().unwrap().len() == 1).await;
    stream.write_all(b"o\n").await.unwrap();
    stream.write_all(&vec![b'x'; 3 * MESSAGE_BYTES_MAX]).await.unwrap();
    stream.write_all(b"\nthree\nlast").await.unwrap();
    drop(stream);
    kept.until(|k| k.lines.lock().unwrap().len() == 4).await;
    assert_eq!(*kept.lines.lock().unwrap(), ["one", "two", "three", "last"]);
    assert_eq!(*kept.dropped.lock().unwrap(), 1);
}

/// What a stream in pieces becomes: lines together, messages alone in brackets, `-` for what is dropped.
fn split(framing: Framing, pieces: &[&[u8]]) -> String {
    #[derive(Default)]
    struct Told(Mutex<String>);
    impl Receiver for Told {
        fn allows(&self, _: IpAddr) -> bool {
            true
        }
        fn take(&self, lines: &[u8]) {
            self.0.lock().unwrap().push_str(&String::from_utf8_lossy(lines).replace('\n', "|"));
        }
        fn take_one(&self, message: &[u8]) {
            *self.0.lock().unwrap() += &format!("[{}]", String::from_utf8_lossy(message).replace('\n', "\\n"));
        }
        fn dropped(&self, lines: u64) {
            assert_eq!(lines, 1);
            self.0.lock().unwrap().push('-');
        }
    }
    let told = Told::default();
    let mut splitter = Splitter::new(framing, 20);
    for piece in pieces {
        splitter.pending.extend_from_slice(piece);
        splitter.split(&told);
    }
    splitter.finish(&told);
    told.0.into_inner().unwrap()
}

#[test]
fn messages_end_where_their_framing_says() {
    use Framing::{Lines, Syslog, Zeros};
    let long = &[b'x'; 60][..];
    for (framing, pieces, expected) in [
        (Lines, &[&b"a\nb"[..], b"b\nlast"][..], "a|bb|last"),
        (Lines, &[long, long, b"rest\nnext\n"], "-next|"),
        (Lines, &[b"a\n", long, b"\nb\n"], "a|-b|"),
        (Syslog, &[b"3 abc5 d\ne\nf"], "[abc][d\\ne\\nf]"),
        (Syslog, &[b"<1>a\n3 abc<1>b\n<1>c"], "<1>a|[abc]<1>b|<1>c"),
        (Syslog, &[b"1", b"1 hello", b" world", b"2 ab"], "[hello world][ab]"),
        (Syslog, &[b"50 12345", b"6789", long, b"3 abc"], "-xxxxxxxxxxxxxxxxxxx3 abc"),
        (Syslog, &[b"40 ", &[b'x'; 40], b"3 abc"], "-[abc]"),
        (Syslog, &[b"9 brokenoff", b"9 broken"], "[brokenoff]-"),
        (Syslog, &[b"123: no count\n"], "123: no count|"),
        (Syslog, &[b"99999999999999999999 x\nok\n"], "-ok|"),
        (Zeros, &[b"{1}\0{\n2}\0\0{3", b"}\0last"], "[{1}][{\\n2}][][{3}][last]"),
        (Zeros, &[b"a\0", long, long, b"\0b\0"], "[a]-[b]"),
    ] {
        assert_eq!(split(framing, pieces), expected, "{framing:?} {:?}", pieces.iter().map(|p| String::from_utf8_lossy(p)).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn tls_and_clients_that_prove_who_they_are() {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use rustls::pki_types::ServerName;
    use tokio_rustls::TlsConnector;

    use crate::secret::Secret;
    use crate::tls::{ClientTls, client_config};

    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let signed = |name: &str| {
        let key = KeyPair::generate().unwrap();
        (CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &authority).unwrap().pem(), key.serialize_pem())
    };
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = signed("localhost");
    for (name, text) in [("cert.pem", &certificate), ("key.pem", &key), ("ca.pem", &authority.pem())] {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    // Nobody may send by address; who shows a certificate may all the same.
    let kept = Arc::new(Kept { closed: true, ..Kept::default() });
    let files = TlsFiles::load_asking(dir.path().join("cert.pem"), dir.path().join("key.pem"), Some(dir.path().join("ca.pem"))).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tasks = Tasks::new(&Meter::new());
    tasks.spawn("stream", accept(listener, Some(files), kept.clone(), tasks.clone()));
    let ca_pem = Some(Secret::new(authority.pem()));
    let (own, own_key) = signed("client");
    for (identity_pem, lines, dropped) in [(Some((Secret::new(own), Secret::new(own_key))), 1, 0), (None, 1, 1)] {
        let config = client_config(&ClientTls { ca_pem: ca_pem.clone(), identity_pem, ..ClientTls::default() }).unwrap();
        let socket = TcpStream::connect(address).await.unwrap();
        let connected = TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), socket).await;
        if let Ok(mut stream) = connected {
            // In TLS 1.3 a client learns only later that it was refused.
            drop(stream.write_all(b"hello\n").await);
            drop(stream.flush().await);
            kept.until(|k| k.lines.lock().unwrap().len() == lines && *k.dropped.lock().unwrap() == dropped).await;
        }
    }
    kept.until(|k| *k.dropped.lock().unwrap() == 1).await;
    // Without TLS nothing is understood.
    TcpStream::connect(address).await.unwrap().write_all(b"plain\n").await.unwrap();
    kept.until(|k| *k.dropped.lock().unwrap() == 2).await;
}
