//! One exchange over HTTP/1.1 or HTTP/2 on a connection of its own, and its body piece by piece. It follows nothing and decompresses
//! nothing.

use ::http::{HeaderMap, Request, Response, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::{Link, TimedError};
use crate::client::chain;

/// Bytes of a head that are read.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// How the two sides speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1.
    One,
    /// HTTP/2.
    Two,
}

/// One request. The target is what stands in the first line; for HTTP/2 the whole URL.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The request.
    pub request: Request<Bytes>,
    /// The host, for messages.
    pub host: String,
    /// How to speak.
    pub version: Version,
}

/// Status and headers, and a body to come.
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The version that the other side named.
    pub version: ::http::Version,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
}

/// A body to come. The connection ends with it.
pub struct Body {
    incoming: Incoming,
    host: String,
    _driver: Driver,
}

/// What drives the connection; it ends with it.
struct Driver(tokio::task::AbortHandle);
impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Link {
    /// Makes one exchange.
    pub async fn exchange(self, asked: Asked) -> Result<Answer, TimedError> {
        let Asked { request, host, version } = asked;
        let failed = |e: hyper::Error| TimedError::Exchange { host: host.clone(), reason: chain(&e) };
        let request = request.map(Full::new);
        let io = TokioIo::new(self);
        let (response, driver): (Response<Incoming>, Driver) = match version {
            Version::One => {
                let mut builder = http1::Builder::new();
                builder.max_buf_size(HEAD_BYTES_MAX);
                let (mut sender, connection) = builder.handshake(io).await.map_err(failed)?;
                let driver = drive(async move { drop(connection.await) });
                (sender.send_request(request).await.map_err(failed)?, driver)
            }
            Version::Two => {
                let mut builder = http2::Builder::new(TokioExecutor::new());
                builder.max_header_list_size(HEAD_BYTES_MAX as u32);
                let (mut sender, connection) = builder.handshake(io).await.map_err(failed)?;
                let driver = drive(async move { drop(connection.await) });
                (sender.send_request(request).await.map_err(failed)?, driver)
            }
        };
        let (parts, incoming) = response.into_parts();
        Ok(Answer { status: parts.status, version: parts.version, headers: parts.headers, body: Body { incoming, host, _driver: driver } })
    }
}

fn drive(work: impl Future<Output = ()> + Send + 'static) -> Driver {
    Driver(tokio::spawn(work).abort_handle())
}

impl Body {
    /// The whole body, up to a limit, and the trailers.
    pub async fn collect(mut self, bytes_max: usize) -> Result<(Vec<u8>, HeaderMap), TimedError> {
        let (mut taken, mut trailers) = (Vec::new(), HeaderMap::new());
        while let Some(frame) = self.incoming.frame().await {
            let frame = frame.map_err(|e| TimedError::Exchange { host: self.host.clone(), reason: chain(&e) })?;
            match frame.into_data() {
                Ok(data) if taken.len() + data.len() > bytes_max => return Err(TimedError::TooLarge(bytes_max)),
                Ok(data) => taken.extend_from_slice(&data),
                Err(other) => trailers.extend(other.into_trailers().unwrap_or_default()),
            }
        }
        Ok((taken, trailers))
    }

    /// The next bytes; nothing at the end.
    pub async fn data(&mut self) -> Result<Option<Bytes>, TimedError> {
        while let Some(frame) = self.incoming.frame().await {
            let frame = frame.map_err(|e| TimedError::Exchange { host: self.host.clone(), reason: chain(&e) })?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}
