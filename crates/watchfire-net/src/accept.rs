//! Connections of protocols that are not HTTP: who may have one, how many there are, TLS before anything else. What is said on them is
//! somebody else's.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::listener::{Places, TlsFiles};
use crate::tasks::Tasks;

/// Connections at once.
pub(crate) const CONNECTIONS_MAX: usize = 64;
/// Connections at once from one address, this machine excepted.
const CONNECTIONS_PER_ADDRESS_MAX: usize = 32;
/// How long a handshake of TLS may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long we wait when a connection cannot be accepted: what closes meanwhile frees a descriptor.
const PAUSE: Duration = Duration::from_millis(100);

/// A connection, with TLS or without.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// Who may have a connection.
pub(crate) trait Admission: Send + Sync + 'static {
    /// Whether an address may.
    fn allows(&self, peer: IpAddr) -> bool;
    /// Told of a connection that was refused: by its address, for want of places, or for its handshake.
    fn refused(&self);
}

/// Accepts connections until the task ends, and runs each by itself.
pub(crate) async fn accept<F>(
    listener: TcpListener,
    tls: Option<Arc<TlsFiles>>,
    name: &'static str,
    admission: Arc<impl Admission>,
    tasks: Tasks,
    serve: impl Fn(Box<dyn Duplex>, SocketAddr) -> F + Clone + Send + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let places = Places::new(CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX);
    // Who proves with a certificate who he is may come from anywhere.
    let proven = tls.as_ref().is_some_and(|files| files.asks_clients());
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let ip = peer.ip().to_canonical();
        let place = if proven || admission.allows(ip) { places.take(ip) } else { None };
        let Some(place) = place else {
            admission.refused();
            continue;
        };
        let (tls, admission, serve) = (tls.clone(), admission.clone(), serve.clone());
        tasks.spawn(name, async move {
            let _place = place;
            match shaken(stream, tls.as_deref()).await {
                Ok(stream) => serve(stream, peer).await,
                Err(error) => {
                    tracing::debug!(%peer, %error, "a handshake of TLS failed");
                    admission.refused();
                }
            }
        });
    }
}

/// The connection behind the handshake, where there is one.
async fn shaken(stream: TcpStream, tls: Option<&TlsFiles>) -> std::io::Result<Box<dyn Duplex>> {
    let Some(config) = tls.and_then(TlsFiles::config) else { return Ok(Box::new(stream)) };
    let mut config = (*config).clone();
    // These protocols have no names to agree on.
    config.alpn_protocols.clear();
    let accepted = tokio::time::timeout(HANDSHAKE, TlsAcceptor::from(Arc::new(config)).accept(stream)).await;
    Ok(Box::new(accepted.map_err(std::io::Error::from)??))
}
