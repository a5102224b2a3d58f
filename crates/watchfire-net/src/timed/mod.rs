//! Connections whose steps are measured one by one, for whoever judges targets by them: name, address, TLS, HTTP, datagrams, echoes.
//! Every connection is new and is checked against a [`Policy`] at the address that is really reached. What a good answer is, is not
//! known here.

mod certificate;
mod connect;
mod http;
mod ping;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::ClientConfig;
use tokio::net::UdpSocket;
use tokio::time::Instant;

pub use self::certificate::Certificate;
pub use self::connect::{Link, TlsFacts};
pub use self::http::{Answer, Asked, Body, Version};
pub use self::ping::{Answered, Echo, PAYLOAD_BYTES_MAX};
use crate::policy::{Forbidden, Policy};
use crate::tls::{ClientTls, TlsError, client_config};

/// TLS set-ups that are kept; beyond that the oldest goes. Each may hold the system's authorities.
const SETUPS_MAX: usize = 16;

/// How often two neighbouring ports are looked for.
const PAIR_TRIES: usize = 32;

/// Why a step was not made.
#[derive(Debug, thiserror::Error)]
pub enum TimedError {
    /// The name has no fitting address, or nobody could be asked.
    #[error("cannot find {host}: {reason}")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        reason: String,
    },
    /// The address may not be reached.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// Nobody takes the connection.
    #[error("cannot connect to {place}: {reason}")]
    Connect {
        /// The address.
        place: String,
        /// What the system said.
        reason: String,
    },
    /// The handshake failed.
    #[error("cannot encrypt the connection to {host}: {reason}")]
    Handshake {
        /// The name that had to be proven.
        host: String,
        /// What went wrong.
        reason: String,
    },
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The exchange broke.
    #[error("cannot complete the exchange with {host}: {reason}")]
    Exchange {
        /// The host.
        host: String,
        /// What went wrong.
        reason: String,
    },
    /// A body has more bytes than are taken.
    #[error("cannot take a body of more than {0} bytes")]
    TooLarge(usize),
    /// The system does not let us.
    #[error("cannot open {what}: {reason}")]
    Socket {
        /// What was to be opened.
        what: &'static str,
        /// What the system said.
        reason: String,
    },
}

/// The two families of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}
impl Family {
    fn has(self, ip: IpAddr) -> bool {
        ip.is_ipv4() == (self == Family::V4)
    }
}

/// Which addresses of a name are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preference {
    /// This family first.
    pub family: Family,
    /// Whether the other one will do.
    pub fallback: bool,
}

/// Opens measured connections. Cheap to clone; the set-ups of TLS are shared.
#[derive(Clone, Default)]
pub struct Dialer {
    setups: Arc<Mutex<Setups>>,
}
/// TLS options and protocols with what was made of them.
type Setups = Vec<((ClientTls, Vec<Vec<u8>>), Arc<ClientConfig>)>;

impl Dialer {
    /// A dialer without set-ups.
    pub fn new() -> Dialer {
        Dialer::default()
    }

    /// The first address of a name that fits. An address is its own.
    pub async fn resolve(&self, host: &str, preference: Preference) -> Result<IpAddr, TimedError> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let failed = |reason: String| TimedError::Resolve { host: bare.to_owned(), reason };
        let found: Vec<IpAddr> = match bare.parse::<IpAddr>() {
            Ok(ip) => vec![ip],
            Err(_) => tokio::net::lookup_host((bare, 0)).await.map_err(|e| failed(e.to_string()))?.map(|a| a.ip()).collect(),
        };
        let wanted = found.iter().find(|ip| preference.family.has(**ip));
        let other = found.first().filter(|_| preference.fallback);
        wanted.or(other).copied().ok_or_else(|| failed("it has no address of the wanted family".to_owned()))
    }

    /// A TCP connection, from one of our addresses if it must be that one.
    pub async fn connect(&self, to: SocketAddr, from: Option<IpAddr>, policy: &Policy) -> Result<Link, TimedError> {
        connect::tcp(to, from, policy).await
    }

    /// TLS over a connection; `protocols` are offered in this order (ALPN).
    pub async fn encrypt(&self, link: Link, host: &str, tls: &ClientTls, protocols: &[&[u8]]) -> Result<Link, TimedError> {
        let setup = self.setup(tls, protocols)?;
        connect::encrypt(link, tls.server_name.as_deref().unwrap_or(host), setup).await
    }

    /// A connection for one exchange with a URL by way of a proxy, with TLS of its own where the proxy wants it.
    pub async fn through(&self, proxies: &crate::client::Proxies, tls: &ClientTls, url: &::http::Uri) -> Result<Link, TimedError> {
        connect::through(proxies, tls, url).await
    }

    /// A UDP socket that speaks with one address.
    pub async fn datagrams(&self, to: SocketAddr, from: Option<IpAddr>, policy: &Policy) -> Result<UdpSocket, TimedError> {
        policy.check(to)?;
        let failed = |e: std::io::Error| TimedError::Connect { place: to.to_string(), reason: e.to_string() };
        let any = SocketAddr::new(from.unwrap_or_else(|| ping::unspecified(to.ip())), 0);
        let socket = UdpSocket::bind(any).await.map_err(failed)?;
        socket.connect(to).await.map_err(failed)?;
        Ok(socket)
    }

    /// Two UDP sockets on neighbouring ports, the even one first, as RTP and RTCP want them (RFC 3550, section 11). Whoever reads
    /// from them looks at the sender.
    pub async fn pair(&self, ip: IpAddr) -> Result<[UdpSocket; 2], TimedError> {
        let failed = |e: std::io::Error| TimedError::Socket { what: "a pair of UDP sockets", reason: e.to_string() };
        let mut last = std::io::Error::from(std::io::ErrorKind::AddrInUse);
        for _ in 0..PAIR_TRIES {
            let first = UdpSocket::bind(SocketAddr::new(ip, 0)).await.map_err(failed)?;
            let port = first.local_addr().map_err(failed)?.port();
            let (even, odd) = if port.is_multiple_of(2) { (port, port + 1) } else { (port - 1, port) };
            let other = if port == even { odd } else { even };
            match UdpSocket::bind(SocketAddr::new(ip, other)).await {
                Ok(second) if port == even => return Ok([first, second]),
                Ok(second) => return Ok([second, first]),
                Err(error) => last = error,
            }
        }
        Err(failed(last))
    }

    /// Sends one echo request and waits for its answer; it has no deadline of its own.
    pub async fn echo(&self, to: IpAddr, echo: Echo, policy: &Policy) -> Result<Answered, TimedError> {
        policy.check(SocketAddr::new(to, 0))?;
        ping::echo(to, echo).await
    }

    fn setup(&self, tls: &ClientTls, protocols: &[&[u8]]) -> Result<Arc<ClientConfig>, TimedError> {
        let key = (tls.clone(), protocols.iter().map(|p| p.to_vec()).collect::<Vec<_>>());
        let mut setups = self.setups.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, config)) = setups.iter().find(|(known, _)| *known == key) {
            return Ok(config.clone());
        }
        let mut config = client_config(tls)?;
        config.alpn_protocols.clone_from(&key.1);
        // A resumed session would not show its certificates, and would be faster than what a newcomer sees.
        config.resumption = rustls::client::Resumption::disabled();
        let config = Arc::new(config);
        if setups.len() >= SETUPS_MAX {
            setups.remove(0);
        }
        setups.push((key, config.clone()));
        Ok(config)
    }
}

/// How long something took, and what came of it.
pub async fn measured<T>(step: impl Future<Output = T>) -> (Duration, T) {
    let begin = Instant::now();
    let outcome = step.await;
    (begin.elapsed(), outcome)
}
