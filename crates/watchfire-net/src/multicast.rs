//! One question by multicast and whoever answers: from each of this machine's addresses, for a while, a bounded number of bounded
//! datagrams. What is asked and what an answer means it does not know.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

/// Datagrams are unreliable: the question is sent so often, with a pause between.
const SENT: u32 = 2;
const AGAIN_AFTER: Duration = Duration::from_millis(150);
/// Addresses of this machine from which is asked.
pub const PLACES_MAX: usize = 16;
/// Bytes of one answer; a longer one is cut off, and so cannot be read.
const ANSWER_BYTES_MAX: usize = 16 << 10;

/// What is asked, and how much may come of it.
#[derive(Clone, Debug)]
pub struct Question {
    /// The group and the port.
    pub to: SocketAddrV4,
    /// Our addresses, each of which asks its own network.
    pub from: Vec<Ipv4Addr>,
    /// The bytes.
    pub bytes: Bytes,
    /// How long answers are waited for.
    pub wait: Duration,
    /// Datagrams that are taken from all together.
    pub answers_max: usize,
}

/// What came.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// Datagrams with their senders, as they came.
    pub answers: Vec<(SocketAddr, Bytes)>,
    /// Our addresses that could ask.
    pub asked_from: Vec<Ipv4Addr>,
    /// Our addresses that could not, with the system's words.
    pub failed: Vec<(Ipv4Addr, String)>,
    /// Whether more might have come.
    pub full: bool,
}

/// Asks, and waits for answers until the time is over.
pub async fn ask(question: &Question) -> Answers {
    let mut found = Answers::default();
    let mut sockets = Vec::new();
    for from in question.from.iter().take(PLACES_MAX) {
        match open(*from, question).await {
            Ok(socket) => {
                found.asked_from.push(*from);
                sockets.push(socket);
            }
            Err(error) => found.failed.push((*from, error.to_string())),
        }
    }
    let begin = Instant::now();
    let (end, mut again) = (begin + question.wait, Vec::from_iter((1..SENT).map(|n| begin + AGAIN_AFTER * n)));
    let mut buffer = vec![0; ANSWER_BYTES_MAX];
    while !sockets.is_empty() && (Instant::now() < end || !again.is_empty()) {
        if found.answers.len() >= question.answers_max {
            found.full = true;
            break;
        }
        let until = again.first().copied().unwrap_or(end).min(end);
        match timeout_at(until, any(&sockets, &mut buffer)).await {
            Ok(Some((length, from))) => found.answers.push((from, Bytes::copy_from_slice(buffer.get(..length).unwrap_or(&[])))),
            // A network that answers that nobody is there is one that nobody answers from.
            Ok(None) => tokio::task::yield_now().await,
            Err(_) if !again.is_empty() => {
                again.remove(0);
                for socket in &sockets {
                    // The first time it could be sent; that it arrives is never known.
                    drop(socket.send_to(&question.bytes, question.to).await);
                }
            }
            Err(_) => break,
        }
    }
    found
}

/// A datagram from any of the sockets.
async fn any(sockets: &[UdpSocket], buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
    let waiting = sockets.iter().map(|socket| Box::pin(socket.readable()));
    let (ready, at, _) = futures_util::future::select_all(waiting).await;
    ready.ok()?;
    sockets.get(at)?.try_recv_from(buffer).ok()
}

/// A socket that asked. The system sends multicast from an address on the network of that address.
async fn open(from: Ipv4Addr, question: &Question) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((from, 0)).await?;
    socket.send_to(&question.bytes, question.to).await?;
    Ok(socket)
}

/// The address of this machine from which it would reach another one; nothing is sent.
pub async fn way_to(there: Ipv4Addr) -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await.ok()?;
    socket.connect((there, 9)).await.ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V4(ip) => Some(ip),
        IpAddr::V6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(to: SocketAddr, answers_max: usize) -> Question {
        let SocketAddr::V4(to) = to else { panic!("{to}") };
        Question {
            to,
            from: vec![Ipv4Addr::LOCALHOST, Ipv4Addr::new(192, 0, 2, 1)],
            bytes: Bytes::from_static(b"who?"),
            wait: Duration::from_secs(20),
            answers_max,
        }
    }

    #[tokio::test]
    async fn answers_of_several_until_there_are_enough() {
        let place = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let to = place.local_addr().unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 100];
            let (length, asker) = place.recv_from(&mut buffer).await.unwrap();
            assert_eq!(&buffer[..length], b"who?");
            for text in ["a", "b", "c"] {
                let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                other.send_to(text.as_bytes(), asker).await.unwrap();
            }
        });
        let found = ask(&question(to, 2)).await;
        assert_eq!((found.answers.len(), found.full, &found.asked_from[..]), (2, true, &[Ipv4Addr::LOCALHOST][..]));
        assert!(found.answers.iter().all(|(from, bytes)| from.ip().is_loopback() && bytes.len() == 1));
        // An address that is not ours asks nobody.
        assert!(matches!(&found.failed[..], [(ip, _)] if *ip == Ipv4Addr::new(192, 0, 2, 1)));
    }

    #[tokio::test]
    async fn nobody_answers_and_the_question_is_asked_twice() {
        let place = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let to = place.local_addr().unwrap();
        let found = ask(&Question { wait: Duration::from_millis(400), ..question(to, 10) }).await;
        assert!(found.answers.is_empty() && !found.full);
        let mut buffer = [0; 100];
        for _ in 0..SENT {
            assert_eq!(place.try_recv_from(&mut buffer).unwrap().0, 4);
        }
        assert_eq!(way_to(Ipv4Addr::LOCALHOST).await, Some(Ipv4Addr::LOCALHOST));
    }
}
