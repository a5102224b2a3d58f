//! The client's side of gRPC: single calls over one connection of HTTP/2, with or without TLS, with a deadline and a limit for the
//! answer. It knows no message and retries nothing.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method, StatusCode, Version};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use super::{AGENT, chain};
use crate::dial::{DialError, dial};
use crate::secret::Secret;
use crate::tls::{ClientTls, client_config};

/// The largest answer that is read.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// What stands before a message: whether it is compressed, and its length.
const FRAME_HEAD_BYTES: usize = 5;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcAnswer {
    /// The status; 0 is success.
    pub status: u32,
    /// What the other side says about it.
    pub message: String,
    /// More about it: a `google.rpc.Status`.
    pub details: Vec<u8>,
    /// The message of the answer.
    pub body: Bytes,
}

/// Why nothing usable came back.
#[derive(Debug, thiserror::Error)]
pub enum GrpcError {
    /// Nobody answers there.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// TLS cannot be set up, or the other side is not who it should be.
    #[error("cannot encrypt the connection: {0}")]
    Tls(String),
    /// A header cannot be sent.
    #[error("cannot send the header {0}")]
    Header(String),
    /// The connection broke or speaks something else.
    #[error("cannot complete the call: {0}")]
    Exchange(String),
    /// It took too long.
    #[error("no complete answer within {0:?}")]
    Timeout(Duration),
}

/// Calls the methods of one server; the connection is kept from one call to the next.
pub struct GrpcClient {
    host: String,
    port: u16,
    secure: bool,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl GrpcClient {
    /// A client without a connection.
    pub fn new(host: &str, port: u16, secure: bool) -> GrpcClient {
        GrpcClient { host: host.to_owned(), port, secure, sender: None }
    }

    /// Calls a method once. `compressed` says that the message is, with gzip.
    pub async fn call(
        &mut self,
        path: &str,
        headers: &[(String, Secret)],
        tls: &ClientTls,
        (message, compressed): (&[u8], bool),
        timeout: Duration,
    ) -> Result<GrpcAnswer, GrpcError> {
        let outcome = tokio::time::timeout(timeout, self.exchange(path, headers, tls, (message, compressed), timeout)).await;
        let outcome = outcome.unwrap_or(Err(GrpcError::Timeout(timeout)));
        if outcome.is_err() {
            // Nobody knows what the connection is worth; the next call makes another one.
            self.sender = None;
        }
        outcome
    }

    async fn exchange(
        &mut self,
        path: &str,
        headers: &[(String, Secret)],
        tls: &ClientTls,
        (message, compressed): (&[u8], bool),
        timeout: Duration,
    ) -> Result<GrpcAnswer, GrpcError> {
        let request = self.request(path, headers, (message, compressed))?;
        let broken = |error: hyper::Error| GrpcError::Exchange(chain(&error));
        let ready = match &mut self.sender {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !ready {
            self.sender = None;
        }
        let sender = match &mut self.sender {
            Some(sender) => sender,
            None => {
                let made = connect(&self.host, self.port, self.secure.then_some(tls), timeout).await?;
                self.sender.insert(made)
            }
        };
        sender.ready().await.map_err(broken)?;
        let answer = sender.send_request(request).await.map_err(broken)?;
        let (head, body) = answer.into_parts();
        let collected = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|error| GrpcError::Exchange(error.to_string()))?;
        let trailers = collected.trailers().cloned().unwrap_or_default();
        read(head.status, &head.headers, &trailers, &collected.to_bytes())
    }

    fn request(&self, path: &str, headers: &[(String, Secret)], (message, compressed): (&[u8], bool)) -> Result<http::Request<Full<Bytes>>, GrpcError> {
        let mut framed = BytesMut::with_capacity(FRAME_HEAD_BYTES + message.len());
        framed.put_u8(u8::from(compressed));
        framed.put_u32(u32::try_from(message.len()).map_err(|_| GrpcError::Exchange("the message is too large".to_owned()))?);
        framed.put_slice(message);
        let scheme = if self.secure { "https" } else { "http" };
        let host = if self.host.contains(':') && !self.host.starts_with('[') { format!("[{}]", self.host) } else { self.host.clone() };
        let uri = format!("{scheme}://{host}:{}{path}", self.port);
        let builder = http::Request::builder().method(Method::POST).version(Version::HTTP_2).uri(uri);
        let mut request = builder.body(Full::new(framed.freeze())).map_err(|error| GrpcError::Exchange(error.to_string()))?;
        let all = request.headers_mut();
        all.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        all.insert(http::header::TE, HeaderValue::from_static("trailers"));
        all.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        if compressed {
            all.insert(HeaderName::from_static("grpc-encoding"), HeaderValue::from_static("gzip"));
        }
        for (name, value) in headers {
            let refused = || GrpcError::Header(name.clone());
            let key = HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes()).map_err(|_| refused())?;
            let mut value = HeaderValue::from_str(value.expose()).map_err(|_| refused())?;
            value.set_sensitive(true);
            all.insert(key, value);
        }
        Ok(request)
    }
}

async fn connect(host: &str, port: u16, tls: Option<&ClientTls>, timeout: Duration) -> Result<SendRequest<Full<Bytes>>, GrpcError> {
    let stream = dial(host, port, timeout).await?;
    // Small calls are not to wait for each other's answers; where that cannot be set they do.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection delays what is small");
    }
    let Some(tls) = tls else { return begin(stream).await };
    let wrong = |error: String| GrpcError::Tls(error);
    let mut config = client_config(tls).map_err(|error| wrong(error.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = tls.server_name.clone().unwrap_or_else(|| host.trim_start_matches('[').trim_end_matches(']').to_owned());
    let name = ServerName::try_from(name).map_err(|error| wrong(error.to_string()))?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|error| wrong(error.to_string()))?;
    begin(stream).await
}

async fn begin<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(stream: S) -> Result<SendRequest<Full<Bytes>>, GrpcError> {
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(|error| GrpcError::Exchange(chain(&error)))?;
    // It ends when the sender is dropped, or when the other side ends it.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection of gRPC ended");
        }
    });
    Ok(sender)
}

/// An answer whose status stands in its trailers, or in its head where there is nothing else.
fn read(http: StatusCode, head: &HeaderMap, trailers: &HeaderMap, body: &Bytes) -> Result<GrpcAnswer, GrpcError> {
    let text = |name: &str| trailers.get(name).or_else(|| head.get(name)).and_then(|value| value.to_str().ok());
    let Some(status) = text("grpc-status").and_then(|status| status.parse().ok()) else {
        return Err(GrpcError::Exchange(format!("the other side answers HTTP status {http} and speaks no gRPC")));
    };
    let details = text("grpc-status-details-bin").unwrap_or("");
    let details = STANDARD_NO_PAD.decode(details).or_else(|_| STANDARD.decode(details)).unwrap_or_default();
    let message = text("grpc-message").unwrap_or("");
    let message = percent_encoding::percent_decode_str(message).decode_utf8_lossy().into_owned();
    // A compressed answer was not asked for, and without one there is nothing to read.
    let plain = body.first() == Some(&0) && body.len() >= FRAME_HEAD_BYTES;
    Ok(GrpcAnswer { status, message, details, body: if plain { body.slice(FRAME_HEAD_BYTES..) } else { Bytes::new() } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn statuses_stand_in_trailers_or_in_the_head() {
        let ok = StatusCode::OK;
        let answer = read(ok, &headers(&[]), &headers(&[("grpc-status", "0")]), &Bytes::from_static(&[0, 0, 0, 0, 2, 8, 1])).unwrap();
        assert_eq!((answer.status, &*answer.body), (0, &[8, 1][..]));
        let only_head = headers(&[("grpc-status", "14"), ("grpc-message", "too%20busy"), ("grpc-status-details-bin", "CA4")]);
        let answer = read(ok, &only_head, &headers(&[]), &Bytes::new()).unwrap();
        assert_eq!((answer.status, answer.message.as_str(), answer.details.as_slice()), (14, "too busy", &[8, 14][..]));
        let error = read(StatusCode::NOT_FOUND, &headers(&[]), &headers(&[]), &Bytes::new()).unwrap_err().to_string();
        assert_eq!(error, "cannot complete the call: the other side answers HTTP status 404 Not Found and speaks no gRPC");
    }
}
