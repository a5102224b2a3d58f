//! TCP, TLS and proxies beneath measured exchanges. It speaks no protocol over them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ::http::Uri;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;
use tower::Service;

use super::{Certificate, TimedError};
use crate::client::{Connector, Proxies, chain};
use crate::policy::Policy;
use crate::tls::ClientTls;

/// A byte stream of any kind.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// What the handshake settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFacts {
    /// `TLS 1.2`, `TLS 1.3`.
    pub version: &'static str,
    /// The cipher suite by its registered name.
    pub cipher: String,
    /// The protocol that both sides speak over it, if they agreed on one.
    pub protocol: Option<Vec<u8>>,
    /// What the other side showed, its own first.
    pub certificates: Vec<Certificate>,
}

/// An open connection.
pub struct Link {
    stream: Box<dyn Stream>,
    /// What is known of its encryption.
    pub tls: Option<TlsFacts>,
    /// The address at the other end, unless a proxy is there.
    pub peer: Option<SocketAddr>,
    /// Our own address.
    pub local: Option<SocketAddr>,
    /// Whether a proxy reads the requests.
    pub proxied: bool,
}

pub(super) async fn tcp(to: SocketAddr, from: Option<IpAddr>, policy: &Policy) -> Result<Link, TimedError> {
    policy.check(to)?;
    let failed = |e: io::Error| TimedError::Connect { place: to.to_string(), reason: e.to_string() };
    let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(failed)?;
    if let Some(ip) = from {
        socket.bind(SocketAddr::new(ip, 0)).map_err(failed)?;
    }
    let stream = socket.connect(to).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    let (peer, local) = (stream.peer_addr().ok(), stream.local_addr().ok());
    Ok(Link { stream: Box::new(stream), tls: None, peer, local, proxied: false })
}

pub(super) async fn encrypt(link: Link, host: &str, config: Arc<ClientConfig>) -> Result<Link, TimedError> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let failed = |reason: String| TimedError::Handshake { host: host.to_owned(), reason };
    let name = ServerName::try_from(host.to_owned()).map_err(|e| failed(e.to_string()))?;
    let Link { stream, peer, local, proxied, .. } = link;
    let stream = TlsConnector::from(config).connect(name, stream).await.map_err(|e| failed(chain(&e)))?;
    let (_, session) = stream.get_ref();
    let version = match session.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLS 1.2",
        _ => "unknown",
    };
    let cipher = session.negotiated_cipher_suite().map(|s| registered(s.suite())).unwrap_or_default();
    let shown = session.peer_certificates().unwrap_or(&[]);
    let facts = TlsFacts {
        version,
        cipher,
        protocol: session.alpn_protocol().map(<[u8]>::to_vec),
        certificates: shown.iter().filter_map(|der| Certificate::read(der)).collect(),
    };
    Ok(Link { stream: Box::new(stream), tls: Some(facts), peer, local, proxied })
}

/// The name of a suite as the registry has it: rustls marks those of TLS 1.3.
fn registered(suite: rustls::CipherSuite) -> String {
    let name = suite.as_str().unwrap_or("unknown");
    name.replace("TLS13_", "TLS_")
}

pub(super) async fn through(proxies: &Proxies, tls: &ClientTls, url: &Uri) -> Result<Link, TimedError> {
    let place = || url.authority().map(ToString::to_string).unwrap_or_default();
    let failed = |reason: String| TimedError::Connect { place: place(), reason };
    let mut connector = Connector::new(proxies, tls);
    let open = connector.call(url.clone()).await.map_err(|e| failed(chain(e.as_ref())))?;
    let (stream, proxied) = open.into_parts();
    Ok(Link { stream: Box::new(stream), tls: None, peer: None, local: None, proxied })
}

impl AsyncRead for Link {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}
impl AsyncWrite for Link {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
