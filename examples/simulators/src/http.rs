//! HTTP/1.1 between the parts and for whoever scrapes them: one request a connection. It is no server for the world: parts listen on this
//! machine only.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::clock;

const LINE_BYTES_MAX: u64 = 8 << 10;
const HEADER_LINES_MAX: usize = 100;
/// The largest body of a request or an answer.
const BODY_BYTES_MAX: usize = 16 << 20;
/// Connections at once; one more is closed.
const CONNECTIONS_MAX: usize = 256;
/// How long a connection may be silent.
const IDLE: Duration = Duration::from_secs(30);
/// How often a port that is taken is tried again, every tenth of a second.
const BIND_TRIES: u32 = 100;

/// What is asked.
#[derive(Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    /// By name in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}
impl Request {
    /// A request without headers and body; names in these queries need no decoding.
    pub(crate) fn of(method: &str, target: &str) -> Request {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query = query.split('&').filter_map(|pair| pair.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Request { method: method.to_owned(), path: path.to_owned(), query, ..Request::default() }
    }
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// Writes on for as long as somebody listens.
pub(crate) type Stream = Box<dyn FnOnce(&mut TcpStream) -> Result<()> + Send>;

/// What is answered.
pub(crate) struct Response {
    pub(crate) status: u16,
    kind: &'static str,
    body: Vec<u8>,
    stream: Option<Stream>,
}
impl Response {
    pub(crate) fn text(status: u16, body: String) -> Response {
        Response { status, kind: "text/plain; version=0.0.4", body: body.into_bytes(), stream: None }
    }
    pub(crate) fn json(value: &Value) -> Response {
        Response::status_json(200, value)
    }
    pub(crate) fn status_json(status: u16, value: &Value) -> Response {
        Response { status, kind: "application/json", body: value.to_string().into_bytes(), stream: None }
    }
    pub(crate) fn bytes(body: Vec<u8>) -> Response {
        Response { status: 200, kind: "application/octet-stream", body, stream: None }
    }
    pub(crate) fn stream(stream: Stream) -> Response {
        Response { status: 200, kind: "application/octet-stream", body: Vec::new(), stream: Some(stream) }
    }
    /// How much is answered.
    pub(crate) fn length(&self) -> usize {
        self.body.len()
    }
}

/// Answers a request.
pub(crate) type Handler = dyn Fn(Request) -> Response + Send + Sync;

/// Listens at an address; somebody who is just leaving it is waited for.
pub(crate) fn bind(address: &str) -> Result<TcpListener> {
    let mut tries = 0;
    loop {
        match TcpListener::bind(address) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && tries < BIND_TRIES => {
                tries += 1;
                clock::pause_ms(100);
            }
            other => return other.map_err(|error| Error::new(error.kind(), format!("cannot listen at {address}: {error}"))),
        }
    }
}

/// Answers for ever, on threads of its own.
pub(crate) fn serve(listener: TcpListener, handler: Arc<Handler>) -> Result<()> {
    let connections = Arc::new(AtomicUsize::new(0));
    std::thread::Builder::new().name("http".into()).spawn(move || {
        for stream in listener.incoming().flatten() {
            if connections.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS_MAX {
                connections.fetch_sub(1, Ordering::Relaxed);
                continue;
            }
            let (handler, entered) = (handler.clone(), connections.clone());
            let spawned = std::thread::Builder::new().name("http".into()).spawn(move || {
                // Whoever went away in the middle gets nothing.
                drop(answer(stream, &*handler));
                entered.fetch_sub(1, Ordering::Relaxed);
            });
            if spawned.is_err() {
                connections.fetch_sub(1, Ordering::Relaxed);
            }
        }
    })?;
    Ok(())
}

fn answer(mut stream: TcpStream, handler: &Handler) -> Result<()> {
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(IDLE))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let Some(request) = read_request(&mut reader)? else { return Ok(()) };
    let response = handler(request);
    let length = if response.stream.is_some() { String::new() } else { format!("content-length: {}\r\n", response.body.len()) };
    let head = format!("HTTP/1.1 {} .\r\ncontent-type: {}\r\n{length}connection: close\r\n\r\n", response.status, response.kind);
    stream.write_all(&[head.as_bytes(), &response.body].concat())?;
    match response.stream {
        Some(write) => write(&mut stream),
        None => Ok(()),
    }
}

fn line(reader: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    reader.take(LINE_BYTES_MAX).read_line(&mut line)?;
    if !line.is_empty() && !line.ends_with('\n') {
        return Err(Error::new(ErrorKind::InvalidData, "cannot read a line that long"));
    }
    Ok(line.trim_end().to_owned())
}

/// Headers by name in lower case, and the length of the body if it is said.
fn headers(reader: &mut impl BufRead) -> Result<(BTreeMap<String, String>, Option<usize>)> {
    let mut found = BTreeMap::new();
    for _ in 0..HEADER_LINES_MAX {
        let line = line(reader)?;
        if line.is_empty() {
            let length = found.get("content-length").and_then(|text: &String| text.parse().ok());
            return Ok((found, length));
        }
        if let Some((name, value)) = line.split_once(':') {
            found.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    Err(Error::new(ErrorKind::InvalidData, "cannot read that many headers"))
}

fn read_request(reader: &mut impl BufRead) -> Result<Option<Request>> {
    let first = line(reader)?;
    let mut words = first.split(' ');
    let (Some(method), Some(target)) = (words.next().filter(|m| !m.is_empty()), words.next()) else { return Ok(None) };
    let mut request = Request::of(method, target);
    let (headers, length) = headers(reader)?;
    request.headers = headers;
    let length = length.unwrap_or(0);
    if length > BODY_BYTES_MAX {
        return Err(Error::new(ErrorKind::InvalidData, "cannot read a body that long"));
    }
    request.body = vec![0; length];
    reader.read_exact(&mut request.body)?;
    Ok(Some(request))
}

/// A connection on which something was asked: its status, and a reader that stands at the body.
pub(crate) fn open(address: &str, head: &str, body: &[u8], timeout: Duration) -> Result<(u16, Option<usize>, BufReader<TcpStream>)> {
    let to: SocketAddr = address.parse().map_err(|error| Error::new(ErrorKind::InvalidInput, format!("cannot ask {address}: {error}")))?;
    let mut stream = TcpStream::connect_timeout(&to, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    stream.write_all(&[format!("{head}host: {address}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len()).as_bytes(), body].concat())?;
    let mut reader = BufReader::new(stream);
    let first = line(&mut reader)?;
    let status = first.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.ok_or_else(|| Error::new(ErrorKind::InvalidData, format!("cannot read the answer of {address}")))?;
    let (_, length) = headers(&mut reader)?;
    Ok((status, length, reader))
}

/// Asks and reads the whole answer.
pub(crate) fn ask(address: &str, method: &str, target: &str, body: &[u8], timeout: Duration) -> Result<(u16, Vec<u8>)> {
    ask_with(address, method, target, &[], body, timeout)
}

/// The same with headers.
pub(crate) fn ask_with(address: &str, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8], timeout: Duration) -> Result<(u16, Vec<u8>)> {
    let more: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let (status, length, reader) = open(address, &format!("{method} {target} HTTP/1.1\r\n{more}"), body, timeout)?;
    let mut answer = Vec::new();
    reader.take(length.unwrap_or(BODY_BYTES_MAX).min(BODY_BYTES_MAX) as u64).read_to_end(&mut answer)?;
    match length {
        Some(length) if answer.len() < length => Err(Error::new(ErrorKind::UnexpectedEof, format!("cannot read the whole answer of {address}"))),
        _ => Ok((status, answer)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_arrives_and_nonsense_is_hung_up_on() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let told = |r: Request| Response::text(201, format!("{} {} {:?} {} {}", r.method, r.path, r.query.get("a"), r.header("x-y"), r.body.len()));
        serve(listener, Arc::new(told)).unwrap();
        let time = Duration::from_secs(10);
        let (status, body) = ask_with(&address, "POST", "/p?a=b&c", &[("X-Y", "z")], b"123", time).unwrap();
        assert_eq!((status, String::from_utf8(body).unwrap()), (201, "POST /p Some(\"b\") z 3".to_owned()));
        for nonsense in [&b"\xff\xfe\r\n\r\n"[..], b"GET / HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n", b"\r\n"] {
            let mut stream = TcpStream::connect(&address).unwrap();
            stream.write_all(nonsense).unwrap();
            let mut answer = Vec::new();
            // It may hang up before everything was read, which this side sees as a reset.
            drop(stream.read_to_end(&mut answer));
            assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
        }
        assert!(ask("nowhere", "GET", "/", b"", time).is_err());
    }
}
