//! A bare TCP connection to a configured place, with a deadline, and an answer to the question whose fault it is when there is none:
//! the place's, the way's, or ours. It speaks no protocol.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::policy::{Class, class_of};
use crate::tls::{ClientTls, client_config};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The machine there answers, and nobody listens at the port.
    #[error("cannot connect to {place}: {reason}")]
    Refused {
        /// Host and port.
        place: String,
        /// What the system said.
        reason: String,
    },
    /// There is no such name.
    #[error("cannot find {place}: {reason}")]
    NoSuchName {
        /// Host and port.
        place: String,
        /// What the resolver said.
        reason: String,
    },
    /// Nothing came back: the machine is away, or the way to it is.
    #[error("cannot reach {place}: {reason}")]
    NoAnswer {
        /// Host and port.
        place: String,
        /// What happened.
        reason: String,
    },
    /// It could not even be tried: no route, no name server, no free descriptor. That says nothing about the place.
    #[error("cannot try to connect to {place}: {reason}")]
    Ours {
        /// Host and port.
        place: String,
        /// What is missing.
        reason: String,
    },
}

/// A connection to the first address of a host that takes one; all of it within the time.
pub async fn dial(host: &str, port: u16, timeout: Duration) -> Result<TcpStream, DialError> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let place = || if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let attempt = async {
        let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await.map_err(|error| unresolved(place(), &error))?.collect();
        let mut last = DialError::NoSuchName { place: place(), reason: "the name has no address".to_owned() };
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = failed(place(), &error),
            }
        }
        Err(last)
    };
    let late = || DialError::NoAnswer { place: place(), reason: format!("no answer within {} s", timeout.as_secs_f64()) };
    tokio::time::timeout(timeout, attempt).await.unwrap_or_else(|_| Err(late()))
}

/// TLS over a connection; the other side must prove the host's name by the system's authorities.
pub async fn encrypt(stream: TcpStream, host: &str) -> Result<TlsStream<TcpStream>, EncryptError> {
    encrypt_by(stream, host, &ClientTls::default()).await
}

/// TLS over a connection, by other rules than the usual ones. It has no deadline of its own.
pub async fn encrypt_by(stream: TcpStream, host: &str, tls: &ClientTls) -> Result<TlsStream<TcpStream>, EncryptError> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let config = client_config(tls).map_err(|error| EncryptError(error.to_string()))?;
    let name = tls.server_name.clone().unwrap_or_else(|| host.to_owned());
    let name = ServerName::try_from(name).map_err(|error| EncryptError(error.to_string()))?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|error| EncryptError(error.to_string()))
}

/// Why a connection is not encrypted.
#[derive(Debug, thiserror::Error)]
#[error("cannot encrypt the connection: {0}")]
pub struct EncryptError(pub String);

/// Whether a host, as it is written, is this machine: `localhost` or a loopback address.
pub fn is_here(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| matches!(class_of(ip), Class::Loopback | Class::Unspecified))
}

/// A resolver that does not answer is ours; a name that is not there may be a container that is down.
fn unresolved(place: String, error: &io::Error) -> DialError {
    let reason = error.to_string();
    if reason.contains("emporary failure") || is_ours(error) { DialError::Ours { place, reason } } else { DialError::NoSuchName { place, reason } }
}

fn failed(place: String, error: &io::Error) -> DialError {
    let reason = error.to_string();
    if is_ours(error) {
        return DialError::Ours { place, reason };
    }
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable => DialError::NoAnswer { place, reason },
        _ => DialError::Refused { place, reason },
    }
}

/// Whether an error is about this machine and not about the other side.
pub fn is_ours(error: &io::Error) -> bool {
    // EMFILE, ENFILE and ENOBUFS have no kind of their own.
    const OURS: [i32; 3] = [24, 23, 105];
    let kind = matches!(
        error.kind(),
        io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::AddrNotAvailable
            | io::ErrorKind::OutOfMemory
            | io::ErrorKind::PermissionDenied
    );
    kind || error.raw_os_error().is_some_and(|code| OURS.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whose_fault_it_is() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let second = Duration::from_secs(5);
        assert!(dial("127.0.0.1", port, second).await.is_ok());
        drop(listener);
        assert!(matches!(dial("127.0.0.1", port, second).await, Err(DialError::Refused { .. })));
        let of = |kind: io::ErrorKind| failed("x:1".to_owned(), &io::Error::from(kind));
        assert!(matches!(of(io::ErrorKind::NetworkUnreachable), DialError::Ours { .. }));
        assert!(matches!(of(io::ErrorKind::HostUnreachable), DialError::NoAnswer { .. }));
        assert!(matches!(of(io::ErrorKind::ConnectionReset), DialError::Refused { .. }));
        assert!(matches!(failed("x:1".to_owned(), &io::Error::from_raw_os_error(24)), DialError::Ours { .. }));
        let unresolved = |text: &str| unresolved("x:1".to_owned(), &io::Error::other(text));
        assert!(matches!(unresolved("failed to lookup address information: Temporary failure in name resolution"), DialError::Ours { .. }));
        assert!(matches!(unresolved("failed to lookup address information: Name or service not known"), DialError::NoSuchName { .. }));
    }

    #[test]
    fn what_is_this_machine() {
        for (host, expected) in [("localhost", true), ("127.0.0.1", true), ("[::1]", true), ("0.0.0.0", true), ("10.0.0.1", false), ("rtdetr", false)] {
            assert_eq!(is_here(host), expected, "{host}");
        }
    }
}
