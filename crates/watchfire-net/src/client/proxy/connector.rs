//! Opens connections for the client: directly, or by way of a proxy. The TLS of the target is laid over it by others; the
//! TLS of a proxy is done here.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, BufReader};
use tokio_rustls::TlsConnector;
use tower::Service;

use super::handshake::{connect, socks};
use super::{Proxies, Scheme, Server};
use crate::tls::{ClientTls, client_config};

/// How long TCP may take to come about, and again a proxy to open the way.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Room for what a proxy says before the connection is ours; later reads go past it.
const BUFFER_BYTES: usize = 1024;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A byte stream of any kind.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Opens connections.
#[derive(Clone)]
pub(crate) struct Connector {
    tcp: HttpConnector,
    via: Option<Arc<Via>>,
}

/// What the way through proxies needs.
struct Via {
    proxies: Proxies,
    tls: ClientTls,
    /// Made at the first `https` proxy, because the system's authorities cost memory.
    config: OnceLock<Arc<rustls::ClientConfig>>,
}

impl Connector {
    /// A connector; the TLS options are those for proxies.
    pub(crate) fn new(proxies: &Proxies, tls: &ClientTls) -> Connector {
        let mut tcp = HttpConnector::new();
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let via = (!proxies.is_empty()).then(|| Arc::new(Via { proxies: proxies.clone(), tls: tls.clone(), config: OnceLock::new() }));
        Connector { tcp, via }
    }
}

impl Service<Uri> for Connector {
    type Response = Link;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Link, Failure>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let chosen = self.via.as_ref().and_then(|via| Some((via.clone(), via.proxies.choose(&target)?.clone())));
        let mut tcp = self.tcp.clone();
        Box::pin(async move {
            match chosen {
                None => Ok(Link::new(tcp.call(target).await?.into_inner(), false)),
                Some((via, server)) => {
                    let opened = tokio::time::timeout(CONNECT_TIMEOUT * 2, via.open(&mut tcp, &server, &target)).await;
                    let opened = opened.unwrap_or_else(|_| Err("it took too long".into()));
                    opened.map_err(|e| format!("proxy {}:{}: {}", server.host, server.port, crate::client::chain(e.as_ref())).into())
                }
            }
        })
    }
}

impl Via {
    async fn open(&self, tcp: &mut HttpConnector, server: &Server, target: &Uri) -> Result<Link, Failure> {
        let address: Uri = format!("http://{}:{}/", server.host, server.port).parse()?;
        let stream = tcp.call(address).await?.into_inner();
        let stream: Box<dyn Stream> = match server.scheme {
            Scheme::Https => Box::new(TlsConnector::from(self.config()?).connect(name_of(server)?, stream).await?),
            Scheme::Http | Scheme::Socks5 => Box::new(stream),
        };
        let secure = target.scheme_str() == Some("https");
        let to = (target.host().unwrap_or_default(), target.port_u16().unwrap_or(if secure { 443 } else { 80 }));
        let mut stream = BufReader::with_capacity(BUFFER_BYTES, stream);
        match server.scheme {
            Scheme::Socks5 => socks(&mut stream, to, server).await?,
            Scheme::Http | Scheme::Https if secure => connect(&mut stream, to, server, &self.proxies.connect_headers).await?,
            // Plain HTTP is handed to the proxy as it is, with the whole URL in its first line.
            Scheme::Http | Scheme::Https => return Ok(Link::new(stream, true)),
        }
        Ok(Link::new(stream, false))
    }

    fn config(&self) -> Result<Arc<rustls::ClientConfig>, Failure> {
        if let Some(config) = self.config.get() {
            return Ok(config.clone());
        }
        let config = Arc::new(client_config(&self.tls)?);
        Ok(self.config.get_or_init(|| config).clone())
    }
}

fn name_of(server: &Server) -> Result<ServerName<'static>, Failure> {
    Ok(ServerName::try_from(server.host.trim_start_matches('[').trim_end_matches(']').to_owned())?)
}

/// An open connection.
pub(crate) struct Link {
    io: TokioIo<Box<dyn Stream>>,
    /// Whether a proxy reads the requests.
    proxied: bool,
}
impl Link {
    fn new(stream: impl Stream + 'static, proxied: bool) -> Link {
        Link { io: TokioIo::new(Box::new(stream)), proxied }
    }
    /// The stream itself, and whether a proxy reads the requests.
    pub(crate) fn into_parts(self) -> (Box<dyn Stream>, bool) {
        (self.io.into_inner(), self.proxied)
    }
}
impl Connection for Link {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.proxied)
    }
}
impl Read for Link {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}
impl Write for Link {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, pieces: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, pieces)
    }
}
