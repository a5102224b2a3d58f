//! Our own accept loop: HTTP/1.1, or HTTP/2 where it is asked for, with limits on connections, heads, bodies and patience,
//! TLS from files, upgrades, and an orderly end. It knows no route; the service gets the request with a [`Peer`] in its extensions.

mod guard;
mod peer;
mod places;
mod service;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request, Response, StatusCode, Version};
use http_body::Body;
use http_body_util::{Either, Empty};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tower::Service;
use watchfire_model::meter::{Counter, Gauge, Meter};

use crate::secret::Secret;
use crate::tasks::{Stop, Tasks};
use crate::tls::{TlsError, server_config_asking};

pub use guard::{GuardedBody, Pace};
pub use peer::Peer;

use guard::{AnswerBody, GuardedSocket, Phase, Shared, Turn};
pub(crate) use places::{Place, Places};
use service::{Answered, Answers};

/// What one listener allows.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// Connections at once from one address. This machine itself is exempt: everything local shares one address.
    pub connections_per_address: usize,
    /// How long the head of a request may take, the first byte of a new connection included.
    pub head: Duration,
    /// How long a connection may rest between requests, and how long a peer may leave its answer unread.
    pub idle: Duration,
    /// How long a body may be slow before its rate counts.
    pub body_grace: Duration,
    /// The least rate of a body after that.
    pub body_bytes_per_second: u64,
    /// The largest head, in bytes.
    pub head_bytes: usize,
    /// The most header fields.
    pub headers: usize,
    /// The longest request target, in bytes.
    pub target_bytes: usize,
    /// How long open requests may go on when we stop.
    pub stop_patience: Duration,
}
impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 256,
            connections_per_address: 32,
            head: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            body_grace: Duration::from_secs(5),
            body_bytes_per_second: 1024,
            head_bytes: 32 << 10,
            headers: 100,
            target_bytes: 16 << 10,
            stop_patience: Duration::from_secs(3),
        }
    }
}

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}
impl BindError {
    /// Whether somebody else listens there.
    pub fn is_taken(&self) -> bool {
        self.source.kind() == io::ErrorKind::AddrInUse
    }
}

/// Takes an address. Must be called within a tokio runtime.
pub fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    let taken = || -> io::Result<TcpListener> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    };
    taken().map_err(|source| BindError { address, source })
}

/// A certificate and its key in files; read again when asked.
pub struct TlsFiles {
    certificate: PathBuf,
    key: PathBuf,
    /// The authorities of clients, where those must show a certificate.
    clients: Option<PathBuf>,
    current: ArcSwapOption<rustls::ServerConfig>,
}
impl TlsFiles {
    /// Reads both files. Blocks.
    pub fn load(certificate: PathBuf, key: PathBuf) -> Result<Arc<TlsFiles>, TlsError> {
        TlsFiles::load_asking(certificate, key, None)
    }
    /// The same; where there is a file of authorities, clients must show a certificate that one of them has signed. Blocks.
    pub fn load_asking(certificate: PathBuf, key: PathBuf, clients: Option<PathBuf>) -> Result<Arc<TlsFiles>, TlsError> {
        let files = TlsFiles { certificate, key, clients, current: ArcSwapOption::empty() };
        files.reload()?;
        Ok(Arc::new(files))
    }
    /// Reads both files again; on an error what was read before stays in use. Blocks.
    pub fn reload(&self) -> Result<(), TlsError> {
        let read = |path: &PathBuf, what| Secret::from_file(path).map_err(|e| TlsError::Pem { what, reason: crate::client::chain(&e) });
        let clients = self.clients.as_ref().map(|path| read(path, "a certificate authority")).transpose()?;
        let config = server_config_asking(&read(&self.certificate, "a certificate")?, &read(&self.key, "a private key")?, clients.as_ref())?;
        self.current.store(Some(Arc::new(config)));
        Ok(())
    }
    /// What was read last.
    pub(crate) fn config(&self) -> Option<Arc<rustls::ServerConfig>> {
        self.current.load_full()
    }
    /// Whether clients must show a certificate.
    pub(crate) fn asks_clients(&self) -> bool {
        self.clients.is_some()
    }
}

/// What is counted about connections.
#[derive(Clone)]
struct Meters {
    open: Gauge,
    accepted: Counter,
    refused: Counter,
    slow: Counter,
    accept_errors: Counter,
    tls_errors: Counter,
}
impl Meters {
    fn new(meter: &Meter) -> Meters {
        let closed =
            |reason| meter.counter("watchfire_http_connections_refused_total", "Connections that were closed early, by reason.", &[("reason", reason)]);
        Meters {
            open: meter.gauge("watchfire_http_connections", "Open connections.", &[]),
            accepted: meter.counter("watchfire_http_connections_total", "Connections that were accepted.", &[]),
            refused: closed("too_many"),
            slow: closed("too_slow"),
            accept_errors: closed("accept_error"),
            tls_errors: closed("tls_error"),
        }
    }
}

/// What a listener speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 and 1.0.
    #[default]
    Http1,
    /// HTTP/2 only, with prior knowledge or by ALPN: what gRPC needs.
    Http2,
}

/// Requests under way at once on one connection of HTTP/2.
const STREAMS_MAX: u32 = 64;
/// Bytes of bodies that one connection of HTTP/2 may send before somebody reads them.
const WINDOW_BYTES: u32 = 512 << 10;

/// A listener that is ready to serve.
pub struct Server {
    /// What it speaks.
    pub protocol: Protocol,
    /// What it allows.
    pub limits: Limits,
    /// TLS, when it is wanted.
    pub tls: Option<Arc<TlsFiles>>,
    /// Where connections are counted.
    pub meter: Meter,
    /// Where tasks run.
    pub tasks: Tasks,
}

impl Server {
    /// Serves until a stop is requested; then open requests may end.
    pub async fn serve<S, B>(self, listener: TcpListener, service: S)
    where
        S: Service<Request<GuardedBody>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.serve_boxed(listener, service::boxed(service)).await;
    }

    async fn serve_boxed(self, listener: TcpListener, service: Answers) {
        let meters = Meters::new(&self.meter);
        let places = Places::new(self.limits.connections, self.limits.connections_per_address);
        let mut stop = self.tasks.stop();
        let mut pause = Duration::from_millis(5);
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                Some(_) = connections.join_next(), if !connections.is_empty() => continue,
                () = stop.requested() => break,
            };
            let (stream, remote) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, most likely: what closes meanwhile frees some, and the loop must outlive it.
                    meters.accept_errors.inc();
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(1));
                    continue;
                }
            };
            pause = Duration::from_millis(5);
            let Some(place) = places.take(remote.ip()) else {
                meters.refused.inc();
                continue;
            };
            meters.accepted.inc();
            let one = Connection { protocol: self.protocol, limits: self.limits.clone(), meters: meters.clone(), stop: self.tasks.stop(), place };
            connections.spawn(one.run(stream, remote, self.tls.clone(), service.clone()));
        }
        drop(listener);
        let ended = async { while connections.join_next().await.is_some() {} };
        // Whoever does not end in time is cut off with the set.
        if tokio::time::timeout(self.limits.stop_patience, ended).await.is_err() {
            tracing::debug!(left = connections.len(), "connections cut off at the end");
        }
    }
}

/// Counts a connection for as long as it lives, however it ends.
struct Open(Gauge);
impl Open {
    fn new(gauge: &Gauge) -> Open {
        gauge.add(1.0);
        Open(gauge.clone())
    }
}
impl Drop for Open {
    fn drop(&mut self) {
        self.0.add(-1.0);
    }
}

/// One connection.
struct Connection {
    protocol: Protocol,
    limits: Limits,
    meters: Meters,
    stop: Stop,
    place: Place,
}

impl Connection {
    async fn run(self, stream: TcpStream, remote: SocketAddr, tls: Option<Arc<TlsFiles>>, service: Answers) {
        let _open = Open::new(&self.meters.open);
        if stream.set_nodelay(true).is_ok()
            && let Ok(local) = stream.local_addr()
        {
            let peer = Peer::new(remote, local, tls.is_some());
            match tls.and_then(|files| files.current.load_full()) {
                None => self.speak(stream, peer, service).await,
                Some(config) => match tokio::time::timeout(self.limits.head, TlsAcceptor::from(self.offer(config)).accept(stream)).await {
                    Ok(Ok(stream)) => self.speak(stream, peer, service).await,
                    _ => self.meters.tls_errors.inc(),
                },
            }
        }
    }

    /// The configuration of TLS with what we speak in it.
    fn offer(&self, config: Arc<rustls::ServerConfig>) -> Arc<rustls::ServerConfig> {
        match self.protocol {
            Protocol::Http1 => config,
            Protocol::Http2 => {
                let mut config = (*config).clone();
                config.alpn_protocols = vec![b"h2".to_vec()];
                Arc::new(config)
            }
        }
    }

    async fn speak<T>(self, stream: T, peer: Peer, service: Answers)
    where
        T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let shared = Shared::new(self.protocol == Protocol::Http2);
        let socket = TokioIo::new(GuardedSocket::new(stream, shared.clone(), self.limits.clone()));
        let limits = self.limits.clone();
        let answer = service_fn(move |request: Request<Incoming>| {
            let (shared, service) = (shared.clone(), service.clone());
            let refused = refused_head(&request, &limits);
            async move { Ok::<_, Infallible>(answer(request, peer, shared, &service, refused).await) }
        });
        let mut stop = self.stop;
        let outcome = match self.protocol {
            Protocol::Http1 => {
                let mut builder = http1::Builder::new();
                builder.timer(TokioTimer::new()).header_read_timeout(self.limits.idle + self.limits.head);
                builder.max_headers(self.limits.headers).max_buf_size(self.limits.head_bytes.max(8192));
                let connection = builder.serve_connection(socket, answer).with_upgrades();
                let mut connection = std::pin::pin!(connection);
                tokio::select! {
                    outcome = connection.as_mut() => outcome,
                    () = stop.requested() => {
                        connection.as_mut().graceful_shutdown();
                        connection.as_mut().await
                    }
                }
            }
            Protocol::Http2 => {
                // Streams that are opened and reset, and headers without end, are bounded by h2's own defaults.
                let mut builder = http2::Builder::new(TokioExecutor::new());
                builder.timer(TokioTimer::new()).max_concurrent_streams(STREAMS_MAX);
                builder.initial_stream_window_size(WINDOW_BYTES / 2).initial_connection_window_size(WINDOW_BYTES);
                builder.max_header_list_size(u32::try_from(self.limits.head_bytes).unwrap_or(u32::MAX)).max_send_buf_size(64 << 10);
                let connection = builder.serve_connection(socket, answer);
                let mut connection = std::pin::pin!(connection);
                tokio::select! {
                    outcome = connection.as_mut() => outcome,
                    () = stop.requested() => {
                        connection.as_mut().graceful_shutdown();
                        connection.as_mut().await
                    }
                }
            }
        };
        if let Err(error) = outcome
            && is_timeout(&error)
        {
            self.meters.slow.inc();
        }
        drop(self.place);
    }
}

fn is_timeout(error: &hyper::Error) -> bool {
    // HTTP/2 wraps what the socket said once more.
    let mut causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    error.is_timeout() || causes.any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::TimedOut))
}

type Answer = Response<Either<AnswerBody<Answered>, Empty<Bytes>>>;

/// Why a head is refused although it could be read. hyper's limit holds between two reads only, so that one read may bring
/// more than the limit says.
fn refused_head<B>(request: &Request<B>, limits: &Limits) -> Option<StatusCode> {
    let target = request.uri().path_and_query().map_or(0, |t| t.as_str().len());
    let fields: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if target > limits.target_bytes {
        Some(StatusCode::URI_TOO_LONG)
    } else {
        (target + fields > limits.head_bytes).then_some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
    }
}

async fn answer(request: Request<Incoming>, peer: Peer, shared: Arc<Shared>, service: &Answers, refused: Option<StatusCode>) -> Answer {
    let turn = Turn::new(&shared);
    let mut request = request.map(|body| GuardedBody::new(body, shared.clone()));
    if let Some(status) = refused {
        let mut refusal = Response::new(Either::Right(Empty::new()));
        *refusal.status_mut() = status;
        return refusal;
    }
    // In HTTP/2 the host stands in the target; whoever judges it looks into the header.
    if request.version() == Version::HTTP_2
        && let Some(host) = request.uri().authority().and_then(|a| HeaderValue::from_str(a.as_str()).ok())
    {
        request.headers_mut().insert(HOST, host);
    }
    request.extensions_mut().insert(peer);
    request.extensions_mut().insert(Pace::new(&shared));
    let response = service(request).await;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        shared.enter(Phase::Upgraded);
    }
    response.map(|inner| Either::Left(AnswerBody { inner, _turn: turn }))
}
