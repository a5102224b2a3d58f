//! Echo requests (ICMP and ICMPv6) on the sockets that the system gives: raw ones to whoever may have them, else those that are made for
//! pinging (`net.ipv4.ping_group_range`). Neither needs unsafe code. It sends one request at a time.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as StdSocket};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::Instant;

use super::TimedError;

/// The largest payload: what IPv4 leaves for it.
pub const PAYLOAD_BYTES_MAX: usize = 65_507;
/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 65_535;
const HEADER_BYTES: usize = 8;

/// One echo request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Echo {
    /// Our address, if it must be this one.
    pub from: Option<IpAddr>,
    /// How many bytes of payload are sent.
    pub payload_bytes: usize,
    /// How many routers may pass it on.
    pub ttl: Option<u32>,
}

/// What an echo request found out.
#[derive(Clone, Copy, Debug)]
pub struct Answered {
    /// The time for opening the socket.
    pub setup: Duration,
    /// The time to the answer.
    pub round_trip: Duration,
    /// The hop limit with which the answer arrived; only raw sockets of IPv4 show it.
    pub hop_limit: Option<u8>,
}

/// Tells requests of this process apart.
static NEXT: AtomicU16 = AtomicU16::new(1);

pub(super) fn unspecified(like: IpAddr) -> IpAddr {
    if like.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
}

pub(super) async fn echo(to: IpAddr, echo: Echo) -> Result<Answered, TimedError> {
    let begin = Instant::now();
    let failed = |e: std::io::Error| TimedError::Socket { what: "a socket for ICMP", reason: e.to_string() };
    let (socket, raw) = open(to, echo).map_err(failed)?;
    let setup = begin.elapsed();
    let sequence = NEXT.fetch_add(1, Ordering::Relaxed);
    let identifier = (std::process::id() & 0xffff) as u16;
    let request = message(to, identifier, sequence, echo.payload_bytes.min(PAYLOAD_BYTES_MAX));
    let sent = Instant::now();
    let unsent = |e: std::io::Error| TimedError::Connect { place: to.to_string(), reason: e.to_string() };
    socket.send_to(&request, SocketAddr::new(to, 0)).await.map_err(unsent)?;
    let mut buffer = vec![0; ANSWER_BYTES_MAX];
    loop {
        let (length, peer) = socket.recv_from(&mut buffer).await.map_err(unsent)?;
        let received = buffer.get(..length).unwrap_or_default();
        if peer.ip().to_canonical() != to.to_canonical() {
            continue;
        }
        if let Some(hop_limit) = answers(to, raw, received, &request) {
            return Ok(Answered { setup, round_trip: sent.elapsed(), hop_limit });
        }
    }
}

/// A socket, and whether it is raw. The system's refusal of both is told with what would help.
fn open(to: IpAddr, echo: Echo) -> std::io::Result<(UdpSocket, bool)> {
    let (domain, protocol) = if to.is_ipv4() { (Domain::IPV4, Protocol::ICMPV4) } else { (Domain::IPV6, Protocol::ICMPV6) };
    let (socket, raw) = match Socket::new(domain, Type::DGRAM, Some(protocol)) {
        Ok(socket) => (socket, false),
        Err(_) => {
            let told = |e: std::io::Error| std::io::Error::new(e.kind(), format!("{e}; it needs CAP_NET_RAW or a group in net.ipv4.ping_group_range"));
            (Socket::new(domain, Type::RAW, Some(protocol)).map_err(told)?, true)
        }
    };
    socket.set_nonblocking(true)?;
    if let Some(ttl) = echo.ttl {
        if to.is_ipv4() { socket.set_ttl_v4(ttl)? } else { socket.set_unicast_hops_v6(ttl)? }
    }
    if let Some(from) = echo.from {
        socket.bind(&SocketAddr::new(from, 0).into())?;
    }
    // Both kinds of sockets send and receive datagrams, which is all that is asked of it.
    Ok((UdpSocket::from_std(StdSocket::from(socket))?, raw))
}

fn message(to: IpAddr, identifier: u16, sequence: u16, payload_bytes: usize) -> Vec<u8> {
    let kind = if to.is_ipv4() { 8 } else { 128 };
    let mut bytes = vec![kind, 0, 0, 0];
    bytes.extend(identifier.to_be_bytes());
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(b"Watchfire echo".iter().cycle().take(payload_bytes));
    // The kernel fills in the sum of ICMPv6, which covers addresses.
    if to.is_ipv4() {
        let sum = checksum(&bytes).to_be_bytes();
        bytes.splice(2..4, sum);
    }
    bytes
}

/// The sum of the Internet protocols (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)));
    let mut sum: u32 = words.fold(0, |sum, word| sum.wrapping_add(word));
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Whether a packet answers the request; within, its hop limit where it is to be seen. Ping sockets put their own identifier in.
fn answers(to: IpAddr, raw: bool, packet: &[u8], request: &[u8]) -> Option<Option<u8>> {
    let (body, hop_limit) = match to {
        IpAddr::V4(_) if raw => {
            let header = usize::from(packet.first()? & 0x0f) * 4;
            (packet.get(header..)?, packet.get(8).copied())
        }
        _ => (packet, None),
    };
    let kind = if to.is_ipv4() { 0 } else { 129 };
    let same = body.first() == Some(&kind) && body.get(6..) == request.get(6..) && (!raw || body.get(4..6) == request.get(4..6));
    (body.len() >= HEADER_BYTES && same).then_some(hop_limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_a_sound_message_is_zero() {
        for payload in [0, 1, 56, 57] {
            let bytes = message(Ipv4Addr::LOCALHOST.into(), 7, 9, payload);
            assert_eq!((checksum(&bytes), bytes.len()), (0, HEADER_BYTES + payload));
        }
    }

    #[test]
    fn only_the_answer_to_our_own_request_counts() {
        let to: IpAddr = Ipv4Addr::LOCALHOST.into();
        let request = message(to, 7, 9, 4);
        let reply = |identifier, sequence| [vec![0], message(to, identifier, sequence, 4).split_off(1)].concat();
        let raw = |reply: Vec<u8>| [vec![0x45, 0, 0, 0, 0, 0, 0, 0, 61], vec![0; 11], reply].concat();
        assert_eq!(answers(to, false, &reply(1, 9), &request), Some(None));
        assert_eq!(answers(to, false, &reply(7, 8), &request), None);
        assert_eq!(answers(to, true, &raw(reply(7, 9)), &request), Some(Some(61)));
        assert_eq!(answers(to, true, &raw(reply(1, 9)), &request), None);
        assert_eq!(answers(to, true, &raw(request.clone()), &request), None, "what we sent ourselves");
        for length in 0..raw(reply(7, 9)).len() {
            let cut = raw(reply(7, 9));
            assert_eq!(answers(to, true, &cut[..length], &request), None);
        }
    }
}
