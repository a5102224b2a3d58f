//! Asks name servers for records that the system's resolver does not give: SRV, MX and NS. Servers and search domains are those of
//! `/etc/resolv.conf`. It makes no targets.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use watchfire_net::policy::Policy;
use watchfire_net::timed::Dialer;

use crate::probe::dns::message::{Message, Question};

/// The class of the internet.
const IN: u16 = 1;
const NAME_ERROR: u8 = 3;
/// Longer answers come over TCP.
const DATAGRAM_BYTES_MAX: usize = 4_096;
/// Datagrams that answer something else before one gives up on a server.
const STRAYS_MAX: usize = 16;
/// Servers and search domains that are used.
const SERVERS_MAX: usize = 3;
const SEARCH_MAX: usize = 6;
/// Read no further than this into the file.
const FILE_BYTES_MAX: usize = 64 << 10;

/// What the system's file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Servers {
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) search: Vec<String>,
    pub(super) dots: usize,
    pub(super) timeout: Duration,
}

impl Servers {
    /// Reads the file; where it names no server, it is this machine.
    pub(super) fn read(path: &Path) -> Servers {
        Servers::parse(&std::fs::read_to_string(path).unwrap_or_default())
    }

    fn parse(text: &str) -> Servers {
        let mut servers = Servers { addresses: Vec::new(), search: Vec::new(), dots: 1, timeout: Duration::from_secs(5) };
        for line in text.get(..FILE_BYTES_MAX.min(text.len())).unwrap_or_default().lines() {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let address = words.next().and_then(|word| word.split('%').next()?.parse::<IpAddr>().ok());
                    servers.addresses.extend(address.map(|ip| SocketAddr::new(ip, 53)));
                }
                Some("search" | "domain") => servers.search = words.take(SEARCH_MAX).map(|word| word.trim_end_matches('.').to_owned()).collect(),
                Some("options") => words.for_each(|word| match word.split_once(':').map(|(key, value)| (key, value.parse::<u64>())) {
                    Some(("ndots", Ok(dots))) => servers.dots = dots.min(15) as usize,
                    Some(("timeout", Ok(seconds))) => servers.timeout = Duration::from_secs(seconds.clamp(1, 30)),
                    _ => {}
                }),
                _ => {}
            }
        }
        servers.addresses.truncate(SERVERS_MAX);
        if servers.addresses.is_empty() {
            servers.addresses.push(SocketAddr::from(([127, 0, 0, 1], 53)));
        }
        servers
    }

    /// The names that a name may stand for, in the order in which they are asked for.
    fn names(&self, name: &str) -> Vec<String> {
        if name.ends_with('.') {
            return vec![name.to_owned()];
        }
        let longer = self.search.iter().map(|domain| format!("{name}.{domain}."));
        let itself = format!("{name}.");
        let enough = name.matches('.').count() >= self.dots;
        if enough { [itself].into_iter().chain(longer).collect() } else { longer.chain([itself]).collect() }
    }

    /// The data of all records of a type, as zone files have them. A name that nobody has is no error: it has no records.
    pub(super) async fn records(&self, dialer: &Dialer, name: &str, kind: u16) -> Result<Vec<String>, String> {
        let mut failed = None;
        for name in self.names(name) {
            match self.ask_any(dialer, &name, kind).await {
                Ok(message) if message.rcode == 0 => return Ok(message.answers.iter().filter_map(|record| data(&record.text, kind)).collect()),
                Ok(message) if message.rcode == NAME_ERROR => {}
                Ok(message) => failed = Some(format!("the servers answer with code {}", message.rcode)),
                Err(reason) => failed = Some(reason),
            }
        }
        failed.map_or(Ok(Vec::new()), Err)
    }

    /// The first good answer of a server.
    async fn ask_any(&self, dialer: &Dialer, name: &str, kind: u16) -> Result<Message, String> {
        let mut last = Err("there is no name server".to_owned());
        for server in &self.addresses {
            last = tokio::time::timeout(self.timeout, ask(dialer, *server, name, kind)).await.unwrap_or_else(|_| Err(format!("no answer from {server}")));
            if last.as_ref().is_ok_and(|message| [0, NAME_ERROR].contains(&message.rcode)) {
                break;
            }
        }
        last
    }
}

async fn ask(dialer: &Dialer, to: SocketAddr, name: &str, kind: u16) -> Result<Message, String> {
    // Hashers of the standard library begin at random.
    let id = RandomState::new().hash_one(kind) as u16;
    let question = Question { id, name, kind, class: IN, recursion: true }.encode()?;
    // The servers are those of this machine, so they may be anywhere.
    let policy = Policy::configured();
    let failed = |error: std::io::Error| format!("no answer from {to}: {error}");
    let socket = dialer.datagrams(to, None, &policy).await.map_err(|error| error.to_string())?;
    socket.send(&question).await.map_err(failed)?;
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    for _ in 0..STRAYS_MAX {
        let length = socket.recv(&mut buffer).await.map_err(failed)?;
        match Message::read(buffer.get(..length).unwrap_or_default()) {
            Ok(message) if message.is_response && message.id == id && !message.is_truncated => return Ok(message),
            Ok(message) if message.id != id => {}
            _ => break,
        }
    }
    let mut link = dialer.connect(to, None, &policy).await.map_err(|error| error.to_string())?;
    let mut framed = (question.len() as u16).to_be_bytes().to_vec();
    framed.extend_from_slice(&question);
    link.write_all(&framed).await.map_err(failed)?;
    link.flush().await.map_err(failed)?;
    let mut answer = vec![0; usize::from(link.read_u16().await.map_err(failed)?)];
    link.read_exact(&mut answer).await.map_err(failed)?;
    let message = Message::read(&answer).map_err(|error| error.to_string())?;
    if message.is_response && message.id == id { Ok(message) } else { Err(format!("{to} answers another question")) }
}

/// The data of a record of a type: what follows name, seconds, class and type.
fn data(record: &str, kind: u16) -> Option<String> {
    let mut cells = record.splitn(5, '\t');
    let word = cells.nth(3)?;
    let is = crate::probe::dns::message::TYPES.iter().any(|(number, known)| *number == kind && *known == word);
    cells.next().filter(|_| is).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_file_is_read() {
        let text = "# x\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\nsearch a.example. b.example\noptions ndots:2 timeout:3 rotate\nnameserver bad\n";
        let servers = Servers::parse(text);
        let addresses: Vec<String> = servers.addresses.iter().map(ToString::to_string).collect();
        assert_eq!((addresses, servers.dots, servers.timeout.as_secs()), (vec!["10.0.0.1:53".to_owned(), "[fe80::1]:53".to_owned()], 2, 3));
        assert_eq!(servers.names("x.y"), ["x.y.a.example.", "x.y.b.example.", "x.y."]);
        assert_eq!(servers.names("x.y.z"), ["x.y.z.", "x.y.z.a.example.", "x.y.z.b.example."]);
        assert_eq!(servers.names("x."), ["x."]);
        assert_eq!(Servers::parse("").addresses[0].to_string(), "127.0.0.1:53");
    }

    #[test]
    fn only_records_of_the_type_count() {
        assert_eq!(data("_x.y.\t60\tIN\tSRV\t0 5 9100 host.y.", 33).as_deref(), Some("0 5 9100 host.y."));
        assert_eq!(data("_x.y.\t60\tIN\tCNAME\tz.", 33), None);
        assert_eq!(data("nonsense", 33), None);
    }
}
