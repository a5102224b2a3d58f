//! Lines and other small messages over UDP, TCP and TLS, for protocols that have no answers. Who may send is decided by address, or by
//! a certificate where those are asked for; long messages, idle connections and their number are bounded. It knows no message's meaning.

mod framing;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, UdpSocket};

use crate::accept::{self, Admission, Duplex};
use crate::listener::{BindError, TlsFiles};
use crate::tasks::Tasks;

use framing::Splitter;

pub use framing::Framing;

/// The longest message over TCP unless a protocol says otherwise; a datagram is at most 64 KiB anyway.
const MESSAGE_BYTES_MAX: usize = 16 << 10;
/// How long a connection may rest.
const IDLE: Duration = Duration::from_secs(600);

/// What becomes of lines.
pub trait Receiver: Send + Sync + 'static {
    /// Whether somebody may send.
    fn allows(&self, peer: IpAddr) -> bool;
    /// Takes whole lines. It is called on an asynchronous thread, so it must neither block nor wait for others to do so.
    fn take(&self, lines: &[u8]);
    /// Takes one message whose end was not found by line breaks: they may stand in it.
    fn take_one(&self, message: &[u8]) {
        self.take(message);
    }
    /// Takes a datagram of somebody.
    fn take_datagram(&self, datagram: &[u8], _peer: SocketAddr) {
        self.take(datagram);
    }
    /// How messages are told apart over TCP.
    fn framing(&self) -> Framing {
        Framing::Lines
    }
    /// The longest message over TCP.
    fn message_bytes_max(&self) -> usize {
        MESSAGE_BYTES_MAX
    }
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
            Ok((length, peer)) if receiver.allows(peer.ip().to_canonical()) => receiver.take_datagram(buffer.get(..length).unwrap_or(&[]), peer),
            Ok(_) => receiver.dropped(1),
            Err(error) => {
                tracing::warn!(%error, "cannot receive a datagram");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Accepts connections until the task ends, with TLS where there are files for it.
pub async fn accept(listener: TcpListener, tls: Option<Arc<TlsFiles>>, receiver: Arc<dyn Receiver>, tasks: Tasks) {
    let reading = receiver.clone();
    let serve = move |stream, _| {
        let receiver = reading.clone();
        async move { read_messages(stream, &*receiver).await }
    };
    accept::accept(listener, tls, "lines", Arc::new(Door(receiver)), tasks, serve).await;
}

/// The door of a receiver.
struct Door(Arc<dyn Receiver>);
impl Admission for Door {
    fn allows(&self, peer: IpAddr) -> bool {
        self.0.allows(peer)
    }
    fn refused(&self) {
        self.0.dropped(1);
    }
}

async fn read_messages(mut stream: Box<dyn Duplex>, receiver: &dyn Receiver) {
    let mut splitter = Splitter::new(receiver.framing(), receiver.message_bytes_max());
    while let Ok(Ok(read)) = tokio::time::timeout(IDLE, stream.read_buf(&mut splitter.pending)).await {
        if read == 0 {
            return splitter.finish(receiver);
        }
        splitter.split(receiver);
    }
    // The connection broke off or rested too long within a message.
    if !splitter.is_between() {
        receiver.dropped(1);
    }
}

#[cfg(test)]
mod tests;
