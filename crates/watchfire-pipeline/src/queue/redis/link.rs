//! The connection to Redis: opened when it is first needed and again after it broke, with growing waits. The bytes cross a stream that
//! `watchfire-net` opened; the `redis` crate speaks the protocol over it.

use std::borrow::Cow;
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Cmd, RedisConnectionInfo, RedisError, Value};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Mutex;
use tracing::Instrument;
use watchfire_model::time::SharedClock;
use watchfire_net::backoff::Backoff;
use watchfire_net::dial;
use watchfire_net::secret::Secret;
use watchfire_net::tls::ClientTls;
use watchfire_net::trace;

use crate::queue::backend::QueueError;
use watchfire_net::redis::Place;

/// How long a connection may take to come about, and how long an answer may take.
const WITHIN: Duration = Duration::from_secs(5);
/// The wait after a refused connection: the first and the longest.
const WAITS: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// A byte stream, encrypted or not.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A connection that comes back.
pub(super) struct Link {
    place: Place,
    clock: SharedClock,
    open: Mutex<Open>,
}
struct Open {
    connection: Option<(MultiplexedConnection, Driver)>,
    backoff: Backoff,
    /// Until when nobody tries again, and why.
    refused: Option<(Duration, String)>,
}
/// What drives a connection; it ends with it.
struct Driver(tokio::task::AbortHandle);
impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The word that a command begins with.
fn name(command: &Cmd) -> Cow<'_, str> {
    match command.args_iter().next() {
        Some(redis::Arg::Simple(word)) => String::from_utf8_lossy(word),
        _ => Cow::Borrowed("command"),
    }
}

impl Link {
    pub(super) fn new(place: Place, clock: SharedClock) -> Link {
        let backoff = Backoff::new(WAITS.0, WAITS.1, place.port.into());
        Link { place, clock, open: Mutex::new(Open { connection: None, backoff, refused: None }) }
    }
    /// Where it goes, without secrets.
    pub(super) fn shown(&self) -> String {
        self.place.shown()
    }

    /// Sends one command. A command whose answer does not come may have been carried out; it is never sent twice.
    pub(super) async fn ask(&self, command: &Cmd) -> Result<Value, QueueError> {
        let span = trace::database("redis", &name(command));
        let answered = self.ask_untold(command).instrument(span.clone()).await;
        answered.inspect_err(|error| trace::failed(&span, error))
    }

    async fn ask_untold(&self, command: &Cmd) -> Result<Value, QueueError> {
        let mut connection = self.connection().await?;
        match connection.req_packed_command(command).await {
            Ok(Value::ServerError(error)) => Err(self.failed(&RedisError::from(error))),
            Ok(value) => Ok(value),
            Err(error) => {
                if error.is_io_error() || error.is_connection_dropped() || error.is_timeout() || error.is_unrecoverable_error() {
                    self.open.lock().await.connection = None;
                }
                Err(self.failed(&error))
            }
        }
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> QueueError {
        QueueError::Unavailable(format!("Redis at {}: {error}", self.place.shown()))
    }

    async fn connection(&self) -> Result<MultiplexedConnection, QueueError> {
        let mut open = self.open.lock().await;
        if let Some((connection, driver)) = &open.connection
            && !driver.0.is_finished()
        {
            return Ok(connection.clone());
        }
        let now = self.clock.monotonic();
        if let Some((until, why)) = &open.refused
            && now < *until
        {
            return Err(QueueError::Unavailable(why.clone()));
        }
        match self.connect().await {
            Ok((connection, driver)) => {
                open.refused = None;
                open.backoff.reset();
                open.connection = Some((connection.clone(), driver));
                Ok(connection)
            }
            Err(error) => {
                let wait = open.backoff.next_wait();
                open.connection = None;
                if let QueueError::Unavailable(why) = &error {
                    open.refused = Some((now + wait, why.clone()));
                }
                Err(error)
            }
        }
    }

    async fn connect(&self) -> Result<(MultiplexedConnection, Driver), QueueError> {
        let place = &self.place;
        let stream = dial::dial(&place.host, place.port, WITHIN).await.map_err(|e| self.failed(&e))?;
        let stream: Box<dyn Stream> = match place.tls {
            false => Box::new(stream),
            true => {
                let tls = ClientTls { ca_pem: place.ca_pem.clone(), ..ClientTls::default() };
                let encrypted = tokio::time::timeout(WITHIN, dial::encrypt_by(stream, &place.host, &tls)).await;
                Box::new(encrypted.map_err(|_| self.failed(&"no answer"))?.map_err(|e| self.failed(&e))?)
            }
        };
        let mut info = RedisConnectionInfo::default().set_skip_set_lib_name().set_db(place.database);
        if let Some(username) = &place.username {
            info = info.set_username(username);
        }
        if let Some(password) = place.password.as_ref().map(Secret::expose) {
            info = info.set_password(password);
        }
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(WITHIN));
        let made = tokio::time::timeout(WITHIN, MultiplexedConnection::new_with_config(&info, stream, config)).await;
        let (connection, work) = made.map_err(|_| self.failed(&"no answer"))?.map_err(|e| self.failed(&e))?;
        Ok((connection, Driver(tokio::spawn(work).abort_handle())))
    }
}
