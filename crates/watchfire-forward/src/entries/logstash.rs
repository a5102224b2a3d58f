//! Lumberjack, version 2, as Beats speak it to Logstash: a window of events, then the other side says up to which one it has them. It
//! keeps one connection, and goes to the next host when that breaks.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use watchfire_net::client::{TlsOptions, read_client_tls};
use watchfire_net::dial;

use super::elasticsearch::document;
use super::outcome::{Item, Outcome, Verdict};

const VERSION: u8 = b'2';
const WINDOW: u8 = b'W';
const JSON: u8 = b'J';
const ACK: u8 = b'A';

/// A connection, with or without TLS.
trait Both: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Both for T {}

/// What speaks to Logstash.
pub(super) struct Client {
    hosts: Vec<(String, u16)>,
    tls: Option<TlsOptions>,
    index: String,
    timeout: Duration,
    /// The host that is spoken to.
    at: usize,
    connection: Option<Box<dyn Both>>,
}

impl Client {
    pub(super) fn new(hosts: Vec<(String, u16)>, tls: Option<TlsOptions>, index: String, timeout: Duration) -> Client {
        Client { hosts, tls, index, timeout, at: 0, connection: None }
    }

    /// Sends some events once. After a failure the connection is gone, and the next host has its turn.
    pub(super) async fn send(&mut self, items: &[Item]) -> Outcome {
        let frames = frames(items, &self.index);
        let mut acknowledged = 0;
        let done = self.exchange(&frames, items.len(), &mut acknowledged).await;
        match done {
            Ok(()) => Outcome::Taken,
            Err(why) => {
                self.connection = None;
                self.at = (self.at + 1) % self.hosts.len().max(1);
                if acknowledged == 0 {
                    return Outcome::again(why);
                }
                Outcome::Each((0..items.len()).map(|n| if n < acknowledged { Verdict::Taken } else { Verdict::Again }).collect())
            }
        }
    }

    async fn connect(&self) -> Result<Box<dyn Both>, String> {
        let (host, port) = self.hosts.get(self.at).ok_or("there is no host")?;
        let stream = dial::dial(host, *port, self.timeout).await.map_err(|error| error.to_string())?;
        let Some(options) = &self.tls else { return Ok(Box::new(stream)) };
        let tls = read_client_tls(options).await.map_err(|error| error.to_string())?;
        let encrypted = tokio::time::timeout(self.timeout, dial::encrypt_by(stream, host, &tls)).await;
        Ok(Box::new(encrypted.map_err(|_| "no TLS within the time".to_owned())?.map_err(|error| error.to_string())?))
    }

    async fn exchange(&mut self, frames: &[u8], count: usize, acknowledged: &mut usize) -> Result<(), String> {
        if self.connection.is_none() {
            self.connection = Some(self.connect().await?);
        }
        let Some(connection) = &mut self.connection else { return Err("there is no connection".to_owned()) };
        let late = |_| "no answer within the time".to_owned();
        let broken = |error: std::io::Error| format!("the connection is broken: {error}");
        tokio::time::timeout(self.timeout, connection.write_all(frames)).await.map_err(late)?.map_err(broken)?;
        tokio::time::timeout(self.timeout, connection.flush()).await.map_err(late)?.map_err(broken)?;
        while *acknowledged < count {
            let mut answer = [0u8; 6];
            tokio::time::timeout(self.timeout, connection.read_exact(&mut answer)).await.map_err(late)?.map_err(broken)?;
            let [VERSION, ACK, number @ ..] = answer else { return Err("the answer is no acknowledgement".to_owned()) };
            // Zero, or less than all, says that it is still at work.
            *acknowledged = (u32::from_be_bytes(number) as usize).min(count).max(*acknowledged);
        }
        Ok(())
    }
}

/// The window and its events.
fn frames(items: &[Item], index: &str) -> Vec<u8> {
    let mut out = vec![VERSION, WINDOW];
    out.extend((items.len() as u32).to_be_bytes());
    for (n, item) in items.iter().enumerate() {
        let mut event = document(item);
        event.insert("@metadata".to_owned(), json!({ "beat": index, "type": "_doc", "version": env!("CARGO_PKG_VERSION") }));
        let text = Value::Object(event).to_string();
        out.extend([VERSION, JSON]);
        out.extend((n as u32 + 1).to_be_bytes());
        out.extend((text.len() as u32).to_be_bytes());
        out.extend_from_slice(text.as_bytes());
    }
    out
}
