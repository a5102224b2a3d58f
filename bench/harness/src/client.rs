//! One HTTP/1.1 connection with keep-alive, so that the loader costs little. Not a general client: loopback and plain text only.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::net::{AddressFamily, SocketType};

/// Longer than any query may take here.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A connection that is made when it is needed.
pub struct Client {
    address: String,
    /// The address that it comes from, where that matters.
    from: Option<Ipv4Addr>,
    stream: Option<BufReader<TcpStream>>,
}

/// Status and body.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body without its framing.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body of a success as text.
    pub fn text(self) -> Result<String> {
        let text = String::from_utf8(self.body).context("the answer is not UTF-8")?;
        ensure!(self.status / 100 == 2, "status {}: {}", self.status, text.chars().take(300).collect::<String>());
        Ok(text)
    }
}

impl Client {
    /// One to `HOST:PORT`.
    pub fn new(address: &str) -> Client {
        Client { address: address.to_owned(), from: None, stream: None }
    }

    /// The same, from another address of this machine: every 127.x.y.z is one.
    pub fn from(address: &str, from: Ipv4Addr) -> Client {
        Client { from: Some(from), ..Client::new(address) }
    }

    fn connect(&self) -> Result<TcpStream> {
        let failed = || format!("cannot connect to {}", self.address);
        let Some(from) = self.from else { return TcpStream::connect(&self.address).with_context(failed) };
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
        rustix::net::bind(&socket, &SocketAddrV4::new(from, 0)).with_context(failed)?;
        rustix::net::connect(&socket, &self.address.parse::<SocketAddrV4>()?).with_context(failed)?;
        Ok(TcpStream::from(socket))
    }

    /// Asks.
    pub fn get(&mut self, path: &str) -> Result<Answer> {
        self.send("GET", path, "", &[])
    }

    /// Sends a request; `headers` are whole lines.
    pub fn send(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Result<Answer> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = self.connect()?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(TIMEOUT))?;
                BufReader::with_capacity(64 << 10, stream)
            }
        };
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n{headers}Content-Length: {}\r\n\r\n", self.address, body.len());
        let mut message = Vec::with_capacity(head.len() + body.len());
        message.extend_from_slice(head.as_bytes());
        message.extend_from_slice(body);
        stream.get_mut().write_all(&message)?;
        let (answer, keep) = read_answer(&mut stream)?;
        self.stream = keep.then_some(stream);
        Ok(answer)
    }
}

fn line(stream: &mut BufReader<TcpStream>) -> Result<String> {
    let mut line = String::new();
    ensure!(stream.read_line(&mut line)? > 0, "the connection was closed");
    Ok(line.trim_end().to_owned())
}

fn read_answer(stream: &mut BufReader<TcpStream>) -> Result<(Answer, bool)> {
    let first = line(stream)?;
    let status = first.split(' ').nth(1).and_then(|s| s.parse().ok()).with_context(|| format!("not an answer: {first}"))?;
    let (mut length, mut chunked, mut keep) = (None, false, true);
    loop {
        let header = line(stream)?.to_ascii_lowercase();
        match header.split_once(':') {
            None => break,
            Some(("content-length", n)) => length = Some(n.trim().parse::<usize>()?),
            Some(("transfer-encoding", kind)) => chunked = kind.contains("chunked"),
            Some(("connection", kind)) => keep = !kind.contains("close"),
            Some(_) => {}
        }
    }
    let mut body = Vec::new();
    if chunked {
        loop {
            let size = usize::from_str_radix(line(stream)?.split(';').next().unwrap_or(""), 16).context("cannot read the size of a chunk")?;
            if size == 0 {
                line(stream)?;
                break;
            }
            let at = body.len();
            body.resize(at + size, 0);
            stream.read_exact(&mut body[at..])?;
            line(stream)?;
        }
    } else if let Some(length) = length {
        body.resize(length, 0);
        stream.read_exact(&mut body)?;
    } else if status != 204 {
        bail!("an answer of unknown length");
    }
    Ok((Answer { status, body }, keep))
}

/// Percent-encodes a query parameter.
pub fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
