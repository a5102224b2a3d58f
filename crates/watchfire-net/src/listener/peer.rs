//! Who is at the other end of a connection. Not who they say they are: forwarding headers are never believed.

use std::net::SocketAddr;

/// The two ends of a connection, put into the extensions of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Where the connection comes from; IPv4-mapped addresses are shown as IPv4.
    pub remote: SocketAddr,
    /// The address of ours that was reached.
    pub local: SocketAddr,
    /// Whether the connection is encrypted.
    pub tls: bool,
}
impl Peer {
    /// A peer; IPv4-mapped IPv6 addresses become IPv4.
    pub fn new(remote: SocketAddr, local: SocketAddr, tls: bool) -> Peer {
        let plain = |a: SocketAddr| SocketAddr::new(a.ip().to_canonical(), a.port());
        Peer { remote: plain(remote), local: plain(local), tls }
    }
    /// Whether the other end is this machine.
    pub fn is_loopback(&self) -> bool {
        self.remote.ip().is_loopback()
    }
}
