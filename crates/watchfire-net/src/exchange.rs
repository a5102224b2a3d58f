//! Connections of protocols whose senders wait for answers, over TCP and TLS: bytes go to somebody who may block, what he answers goes
//! back. Connections, those that are worked on, and patience are bounded. It knows no frame's meaning.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::accept::{self, Admission, Duplex};
use crate::blocking::spawn_blocking;
use crate::listener::TlsFiles;
use crate::tasks::Tasks;

/// Bytes that are read at once.
const READ_BYTES: usize = 64 << 10;
/// Connections whose bytes are worked on at once: each takes a thread and what it unpacks.
const WORKING_MAX: usize = 2;
/// How long a connection may rest. Senders keep theirs while they have nothing to say.
const IDLE: Duration = Duration::from_secs(3_600);
/// How long a sender may leave an answer unread.
const ANSWER: Duration = Duration::from_secs(30);

/// One side of a connection.
pub trait Exchange: Send + 'static {
    /// Takes bytes that came, in their order, and adds what is to be answered. It may block. After an error the connection ends, and what
    /// was added until then is still sent.
    fn take(&mut self, bytes: &[u8], answer: &mut Vec<u8>) -> Result<(), String>;
}

/// Who begins exchanges.
pub trait Host: Send + Sync + 'static {
    /// What goes on with one sender.
    type Exchange: Exchange;
    /// Whether somebody may send.
    fn allows(&self, peer: IpAddr) -> bool;
    /// A new connection.
    fn begin(&self, peer: IpAddr) -> Self::Exchange;
    /// Told of a connection that was refused: by its address, for want of places, or for its handshake.
    fn refused(&self);
}

struct Door<H>(Arc<H>);
impl<H: Host> Admission for Door<H> {
    fn allows(&self, peer: IpAddr) -> bool {
        self.0.allows(peer)
    }
    fn refused(&self) {
        self.0.refused();
    }
}

/// Accepts connections until the task ends, with TLS where there are files for it.
pub async fn accept<H: Host>(listener: TcpListener, tls: Option<Arc<TlsFiles>>, name: &'static str, host: Arc<H>, tasks: Tasks) {
    let working = Arc::new(Semaphore::new(WORKING_MAX));
    let beginning = host.clone();
    let serve = move |stream, peer: SocketAddr| {
        let (exchange, working) = (beginning.begin(peer.ip().to_canonical()), working.clone());
        async move {
            if let Err(reason) = run(stream, exchange, &working).await {
                tracing::warn!(%peer, protocol = name, reason, "a connection was ended");
            }
        }
    };
    accept::accept(listener, tls, name, Arc::new(Door(host)), tasks, serve).await;
}

async fn run<E: Exchange>(mut stream: Box<dyn Duplex>, mut exchange: E, working: &Semaphore) -> Result<(), String> {
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        bytes.reserve(READ_BYTES);
        match tokio::time::timeout(IDLE, (&mut stream).take(READ_BYTES as u64).read_buf(&mut bytes)).await {
            Ok(Ok(read)) if read > 0 => {}
            _ => return Ok(()),
        }
        let turn = working.acquire().await.map_err(|e| e.to_string())?;
        let work = spawn_blocking(move || {
            let mut answer = Vec::new();
            let outcome = exchange.take(&bytes, &mut answer);
            (exchange, bytes, answer, outcome)
        });
        let (back, buffer, answer, outcome) = work.await.map_err(|e| format!("taking what came ended in a panic: {e}"))?;
        drop(turn);
        (exchange, bytes) = (back, buffer);
        if !answer.is_empty() {
            let sent = async {
                stream.write_all(&answer).await?;
                stream.flush().await
            };
            match tokio::time::timeout(ANSWER, sent).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Ok(()),
                Err(_) => return Err("an answer was left unread".to_owned()),
            }
        }
        outcome?;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::net::TcpStream;
    use watchfire_model::meter::Meter;

    use super::*;

    /// Says everything back; ends at a `!`.
    struct Echo;
    impl Exchange for Echo {
        fn take(&mut self, bytes: &[u8], answer: &mut Vec<u8>) -> Result<(), String> {
            answer.extend_from_slice(bytes);
            if bytes.contains(&b'!') { Err("enough".to_owned()) } else { Ok(()) }
        }
    }
    struct Echoes {
        open: bool,
        refused: AtomicUsize,
    }
    impl Host for Echoes {
        type Exchange = Echo;
        fn allows(&self, _: IpAddr) -> bool {
            self.open
        }
        fn begin(&self, _: IpAddr) -> Echo {
            Echo
        }
        fn refused(&self) {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn answers_come_back_until_the_end() {
        for open in [true, false] {
            let host = Arc::new(Echoes { open, refused: AtomicUsize::new(0) });
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let tasks = Tasks::new(&Meter::new());
            tasks.spawn("echoes", accept(listener, None, "echo", host.clone(), tasks.clone()));
            let mut stream = TcpStream::connect(address).await.unwrap();
            let mut heard = Vec::new();
            if open {
                let much = vec![b'x'; 3 * READ_BYTES];
                let (mut read, mut write) = stream.split();
                let (sent, _) = tokio::join!(write.write_all(&much), async {
                    while heard.len() < much.len() {
                        read.read_buf(&mut heard).await.unwrap();
                    }
                });
                sent.unwrap();
                write.write_all(b"last!").await.unwrap();
                heard.clear();
            }
            // The other side ends the connection: after the last answer, or at once.
            drop(stream.read_to_end(&mut heard).await);
            assert_eq!((&*heard, host.refused.load(Ordering::Relaxed)), if open { (&b"last!"[..], 0) } else { (&b""[..], 1) });
        }
    }
}
