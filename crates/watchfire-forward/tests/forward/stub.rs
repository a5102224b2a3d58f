//! A server that answers as a test wants it, and keeps what it was sent.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One request: its headers in lower case, and its body.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    /// The value of a header, or the empty text.
    pub(crate) fn header(&self, name: &str) -> &str {
        let line = self.head.lines().find_map(|line| line.split_once(": ").filter(|(n, _)| *n == name));
        line.map_or("", |(_, value)| value)
    }
}

/// Status and further header lines; `None` hangs until the receiver goes.
pub(crate) type Reply = Option<(u16, &'static str)>;
/// The same with a body.
pub(crate) type WholeReply = Option<(u16, &'static str, Vec<u8>)>;

pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<(Asked, u16)>>>,
    gone: Arc<AtomicBool>,
}

impl Receiver {
    /// Answers the n-th request (from 0) as `reply` says.
    pub(crate) fn start(reply: impl Fn(usize, &Asked) -> Reply + Send + Sync + 'static) -> Receiver {
        Receiver::at(SocketAddr::from(([127, 0, 0, 1], 0)), reply)
    }

    pub(crate) fn at(address: SocketAddr, reply: impl Fn(usize, &Asked) -> Reply + Send + Sync + 'static) -> Receiver {
        Receiver::answering(address, move |n, asked| reply(n, asked).map(|(status, headers)| (status, headers, b"hello".to_vec())))
    }

    /// Answers with bodies.
    pub(crate) fn answering(address: SocketAddr, reply: impl Fn(usize, &Asked) -> WholeReply + Send + Sync + 'static) -> Receiver {
        let listener = TcpListener::bind(address).expect("a port");
        let address = listener.local_addr().expect("an address");
        let (asked, gone) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (log, over, reply) = (asked.clone(), gone.clone(), Arc::new(reply));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(stream), log, over, reply) = (stream, log.clone(), over.clone(), reply.clone()) else { continue };
                std::thread::spawn(move || serve(stream, &log, &over, &*reply));
            }
        });
        Receiver { address, asked, gone }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/api/v1/write", self.address)
    }

    /// The requests that were answered with success.
    pub(crate) fn taken(&self) -> Vec<Asked> {
        self.asked.lock().expect("the log").iter().filter(|(_, status)| *status / 100 == 2).map(|(asked, _)| asked.clone()).collect()
    }
    /// The number of all requests.
    pub(crate) fn count(&self) -> usize {
        self.asked.lock().expect("the log").len()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::SeqCst);
        drop(TcpStream::connect_timeout(&self.address, Duration::from_secs(1)));
    }
}

fn serve(stream: TcpStream, log: &Mutex<Vec<(Asked, u16)>>, gone: &AtomicBool, reply: &dyn Fn(usize, &Asked) -> WholeReply) {
    let mut writer = stream.try_clone().expect("a stream");
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if line == "\r\n" {
                break;
            }
            head.push_str(&line.to_lowercase());
        }
        let mut asked = Asked { head: head.replace("\r\n", "\n"), body: Vec::new() };
        asked.body = vec![0; asked.header("content-length").parse().unwrap_or(0)];
        if reader.read_exact(&mut asked.body).is_err() || gone.load(Ordering::SeqCst) {
            return;
        }
        let number = log.lock().expect("the log").len();
        let answer = reply(number, &asked);
        log.lock().expect("the log").push((asked, answer.as_ref().map_or(0, |(status, ..)| *status)));
        let Some((status, headers, body)) = answer else {
            while !gone.load(Ordering::SeqCst) {
                wait_ms(20);
            }
            return;
        };
        // This status has no body, and what stood there would be taken for the next answer.
        let (length, body) = if status == 204 { (String::new(), Vec::new()) } else { (format!("Content-Length: {}\r\n", body.len()), body) };
        let sent = write!(writer, "HTTP/1.1 {status} X\r\n{length}{headers}\r\n").and_then(|()| writer.write_all(&body));
        if sent.is_err() {
            return;
        }
    }
}

/// Waits for others. There is no clock to turn for sockets.
#[expect(clippy::disallowed_methods, reason = "real sockets live in real time")]
pub(crate) fn wait_ms(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

/// Looks until it is good; panics after 20 seconds.
pub(crate) fn until<T: std::fmt::Debug>(what: &str, mut look: impl FnMut() -> T, good: impl Fn(&T) -> bool) -> T {
    let mut last = look();
    for _ in 0..1000 {
        if good(&last) {
            return last;
        }
        wait_ms(20);
        last = look();
    }
    panic!("{what}: still {last:?} after 20 s");
}
