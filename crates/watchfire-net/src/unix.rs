//! HTTP/1.1 over a socket in the file system, as container engines offer them. A connection for each request; answers that end have a
//! deadline and a limit, others are read piece by piece. It knows no paths; who may ask what is decided by whoever calls.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use crate::client::chain;

/// Why nothing usable came back.
#[derive(Debug, thiserror::Error)]
pub enum UnixError {
    /// The socket is not there, or we may not use it.
    #[error("cannot connect to the socket {path}: {reason}")]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// It took too long.
    #[error("no complete answer within {0:?}")]
    Timeout(Duration),
    /// What came back is no HTTP, or is larger than allowed.
    #[error("cannot complete the exchange: {0}")]
    Exchange(String),
}

/// Sends a request without headers of its own and gives the status and the body of the answer, which may have so many bytes.
pub async fn exchange(socket: &Path, request: Request<Bytes>, timeout: Duration, body_bytes_max: usize) -> Result<(StatusCode, Bytes), UnixError> {
    let work = async {
        let refused = |error: std::io::Error| UnixError::Connect { path: socket.to_path_buf(), reason: error.to_string() };
        let stream = UnixStream::connect(socket).await.map_err(refused)?;
        let broken = |error: hyper::Error| UnixError::Exchange(chain(&error));
        let (mut sender, connection) = hyper::client::conn::http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await.map_err(broken)?;
        let (mut parts, body) = request.into_parts();
        parts.headers.insert(HOST, HeaderValue::from_static("localhost"));
        // The sender goes with the answer, which lets the connection end.
        let answer = async move {
            let response = sender.send_request(Request::from_parts(parts, Full::new(body))).await.map_err(broken)?;
            let status = response.status();
            let collected = Limited::new(response.into_body(), body_bytes_max).collect().await;
            Ok((status, collected.map_err(|error| UnixError::Exchange(chain(&*error)))?.to_bytes()))
        };
        // The connection moves the bytes of the answer; when it ends first, the answer says so.
        let (answer, _ended) = tokio::join!(answer, connection);
        answer
    };
    tokio::time::timeout(timeout, work).await.unwrap_or(Err(UnixError::Timeout(timeout)))
}

/// An answer whose body is read piece by piece, for those that never end.
pub struct Pieces {
    /// The status.
    pub status: StatusCode,
    body: Incoming,
    connection: Option<Connection>,
}

type Connection = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// Sends a request and gives the answer once its head is there. The time limit is for that only; the body may take as long as it likes.
pub async fn open(socket: &Path, request: Request<Bytes>, timeout: Duration) -> Result<Pieces, UnixError> {
    let work = async {
        let refused = |error: std::io::Error| UnixError::Connect { path: socket.to_path_buf(), reason: error.to_string() };
        let stream = UnixStream::connect(socket).await.map_err(refused)?;
        let broken = |error: hyper::Error| UnixError::Exchange(chain(&error));
        let (mut sender, connection) = hyper::client::conn::http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await.map_err(broken)?;
        let (mut parts, body) = request.into_parts();
        parts.headers.insert(HOST, HeaderValue::from_static("localhost"));
        let mut connection: Option<Connection> = Some(Box::pin(connection));
        let mut answer = Box::pin(sender.send_request(Request::from_parts(parts, Full::new(body))));
        let response = loop {
            tokio::select! {
                response = &mut answer => break response.map_err(broken)?,
                () = driven(&mut connection) => {}
            }
        };
        let (parts, body) = response.into_parts();
        Ok(Pieces { status: parts.status, body, connection })
    };
    tokio::time::timeout(timeout, work).await.unwrap_or(Err(UnixError::Timeout(timeout)))
}

/// Moves the bytes of a connection until it ends; one that has ended never does so again.
async fn driven(connection: &mut Option<Connection>) {
    match connection {
        // When it ends with an error, the body says so.
        Some(running) => drop(running.await),
        None => std::future::pending().await,
    }
    *connection = None;
}

impl Pieces {
    /// The next bytes; nothing at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, UnixError> {
        loop {
            let frame = tokio::select! {
                biased;
                frame = self.body.frame() => frame,
                () = driven(&mut self.connection) => continue,
            };
            match frame {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(error)) => return Err(UnixError::Exchange(chain(&error))),
            }
        }
    }
}
