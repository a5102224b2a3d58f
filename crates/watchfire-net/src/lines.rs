//! Lines of text over UDP and TCP, for protocols that have neither heads nor answers. Who may send is decided by address,
//! because nothing else is known; long lines, idle connections and their number are bounded. It knows no line's meaning.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;

use crate::listener::BindError;
use crate::tasks::Tasks;

/// The longest line over TCP; a datagram is at most 64 KiB anyway.
const LINE_BYTES_MAX: usize = 16 << 10;
/// Connections at once.
const CONNECTIONS_MAX: usize = 64;
/// How long a connection may rest.
const IDLE: Duration = Duration::from_secs(600);

/// What becomes of lines.
pub trait Receiver: Send + Sync + 'static {
    /// Whether somebody may send.
    fn allows(&self, peer: IpAddr) -> bool;
    /// Takes whole lines. It is called on an asynchronous thread, so it must neither block nor wait for others to do so.
    fn take(&self, lines: &[u8]);
    /// Told of lines that were dropped unread: from somebody who may not send or for whom there is no place, too long, or
    /// never ended. A connection counts as one line.
    fn dropped(&self, lines: u64);
}

/// Takes an address for datagrams. Must be called within a tokio runtime.
pub fn bind_datagrams(address: SocketAddr) -> Result<UdpSocket, BindError> {
    let taken = || -> std::io::Result<UdpSocket> {
        let socket = std::net::UdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        UdpSocket::from_std(socket)
    };
    taken().map_err(|source| BindError { address, source })
}

/// Receives datagrams until the task ends.
pub async fn receive(socket: UdpSocket, receiver: Arc<dyn Receiver>) {
    let mut buffer = vec![0u8; 64 << 10];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, peer)) if receiver.allows(peer.ip().to_canonical()) => receiver.take(buffer.get(..length).unwrap_or(&[])),
            Ok(_) => receiver.dropped(1),
            Err(error) => {
                tracing::warn!(%error, "cannot receive a datagram");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Accepts connections until the task ends.
pub async fn accept(listener: TcpListener, receiver: Arc<dyn Receiver>, tasks: Tasks) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        if !receiver.allows(peer.ip().to_canonical()) {
            receiver.dropped(1);
            continue;
        }
        let Ok(place) = places.clone().try_acquire_owned() else {
            receiver.dropped(1);
            continue;
        };
        let receiver = receiver.clone();
        tasks.spawn("lines", async move {
            read_lines(stream, &*receiver).await;
            drop(place);
        });
    }
}

async fn read_lines(mut stream: TcpStream, receiver: &dyn Receiver) {
    let mut pending = Vec::with_capacity(4096);
    // Within a line that is too long: what is left of it is passed over.
    let mut overlong = false;
    while let Ok(Ok(read)) = tokio::time::timeout(IDLE, stream.read_buf(&mut pending)).await {
        let whole = pending.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let mut lines = pending.get(..whole).unwrap_or(&[]);
        if overlong && whole > 0 {
            let first = lines.iter().position(|byte| *byte == b'\n').map_or(lines.len(), |at| at + 1);
            lines = lines.get(first..).unwrap_or(&[]);
            overlong = false;
        }
        if !lines.is_empty() {
            receiver.take(lines);
        }
        pending.drain(..whole);
        if pending.len() > LINE_BYTES_MAX {
            if !overlong {
                receiver.dropped(1);
            }
            overlong = true;
            pending.clear();
        }
        if read == 0 {
            // The last line needs no end.
            if !overlong && !pending.is_empty() {
                receiver.take(&pending);
            }
            return;
        }
    }
    // The connection broke off or rested too long within a line.
    if !overlong && !pending.is_empty() {
        receiver.dropped(1);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::io::AsyncWriteExt;
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
        tasks.spawn("stream", accept(listener, kept.clone(), tasks.clone()));
        let mut streams = Vec::new();
        for _ in 0..=CONNECTIONS_MAX {
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
        tasks.spawn("stream", accept(listener, kept.clone(), tasks.clone()));
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
        tasks.spawn("stream", accept(listener, kept.clone(), tasks.clone()));
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"one\ntw").await.unwrap();
        kept.until(|k| k.lines.lock().unwrap().len() == 1).await;
        stream.write_all(b"o\n").await.unwrap();
        stream.write_all(&vec![b'x'; 3 * LINE_BYTES_MAX]).await.unwrap();
        stream.write_all(b"\nthree\nlast").await.unwrap();
        drop(stream);
        kept.until(|k| k.lines.lock().unwrap().len() == 4).await;
        assert_eq!(*kept.lines.lock().unwrap(), ["one", "two", "three", "last"]);
        assert_eq!(*kept.dropped.lock().unwrap(), 1);
    }
}
