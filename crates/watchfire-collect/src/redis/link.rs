//! A connection to a Redis for one look: opened by the rules of probes, spoken over by the `redis` crate, bounded in what it may say.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Cmd, RedisConnectionInfo, Value};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use watchfire_net::policy::Policy;
use watchfire_net::timed::{Dialer, Family, Link as Stream, Preference, TimedError};
use watchfire_net::tls::ClientTls;

use watchfire_net::redis::Place;

/// Bytes that a server may say within one look.
const BYTES_MAX: usize = 32 << 20;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum LinkError {
    /// The address may not be reached.
    Forbidden(String),
    /// Anything else.
    Failed(String),
}
impl LinkError {
    pub(super) fn text(&self) -> &str {
        match self {
            LinkError::Forbidden(text) | LinkError::Failed(text) => text,
        }
    }
}

/// An open connection.
pub(super) struct Link {
    connection: MultiplexedConnection,
    driver: tokio::task::AbortHandle,
}
impl Drop for Link {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Link {
    pub(super) async fn open(dialer: &Dialer, place: &Place, policy: &Policy, within: Duration) -> Result<Link, LinkError> {
        let told = |e: TimedError| match e {
            TimedError::Forbidden(_) => LinkError::Forbidden(e.to_string()),
            other => LinkError::Failed(other.to_string()),
        };
        let ip = dialer.resolve(&place.host, Preference { family: Family::V4, fallback: true }).await.map_err(told)?;
        let mut stream = dialer.connect(SocketAddr::new(ip, place.port), None, policy).await.map_err(told)?;
        if place.tls {
            let tls = ClientTls { ca_pem: place.ca_pem.clone(), ..ClientTls::default() };
            stream = dialer.encrypt(stream, &place.host, &tls, &[]).await.map_err(told)?;
        }
        let mut info = RedisConnectionInfo::default().set_skip_set_lib_name();
        if let Some(username) = &place.username {
            info = info.set_username(username);
        }
        if let Some(password) = &place.password {
            info = info.set_password(password.expose());
        }
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(within));
        let bounded = Bounded { stream, left: BYTES_MAX };
        let made = MultiplexedConnection::new_with_config(&info, bounded, config).await;
        let (connection, work) = made.map_err(|e| LinkError::Failed(e.to_string()))?;
        Ok(Link { connection, driver: tokio::spawn(work).abort_handle() })
    }

    /// Asks; an error of the server is an error.
    pub(super) async fn ask(&mut self, words: &[&str]) -> Result<Value, String> {
        let mut command = Cmd::new();
        for word in words {
            command.arg(*word);
        }
        match self.connection.req_packed_command(&command).await {
            Ok(Value::ServerError(error)) => Err(redis::RedisError::from(error).to_string()),
            Ok(value) => Ok(value),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// A stream that ends in an error when too much came.
struct Bounded {
    stream: Stream,
    left: usize,
}
impl AsyncRead for Bounded {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        let read = buffer.filled().len() - before;
        match self.left.checked_sub(read) {
            Some(left) => self.left = left,
            None => return Poll::Ready(Err(io::Error::other(format!("more than {BYTES_MAX} bytes came")))),
        }
        polled
    }
}
impl AsyncWrite for Bounded {
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

/// A text that a server said.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) => Some(text.clone()),
        Value::VerbatimString { text, .. } => Some(text.clone()),
        Value::Int(number) => Some(number.to_string()),
        _ => None,
    }
}

pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(number) => Some(*number as f64),
        other => text(other)?.parse().ok(),
    }
}
