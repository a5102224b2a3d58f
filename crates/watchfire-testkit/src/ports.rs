//! Ports for programs that tests start and that have to be told one. Not for servers within a test: those listen on port 0 and say what they got.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};

/// Below those that the system hands out to connections, which would take one between our look and its use.
const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

/// A port of this machine that nobody uses at the moment and that nobody else in this process is given.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Tests of several programs run beside each other: each begins elsewhere.
    let begin = std::process::id().wrapping_mul(2_654_435_761) >> 8;
    loop {
        let at = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(FIRST + at).expect("a port")));
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return address.port();
        }
    }
}

/// An address at which nobody answers.
pub fn nobody() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, free_port()).into()
}

#[cfg(test)]
mod tests {
    #[test]
    fn ports_are_given_once_and_can_be_had() {
        let mut ports: Vec<u16> = (0..50).map(|_| super::free_port()).collect();
        assert!(ports.iter().all(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok()));
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 50);
    }
}
