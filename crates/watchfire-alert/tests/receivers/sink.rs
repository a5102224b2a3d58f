//! HTTP servers that note every request and answer as they are told; also behind a proxy, for places whose address is fixed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use serde_json::Value as Json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use watchfire_net::secret::Secret;
use watchfire_net::tls::server_config;

/// What came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}
impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
    pub(crate) fn json(&self) -> Json {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }
}

/// How requests are answered.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// In these very bytes.
    Raw(String),
    /// With whatever came.
    Echo(u16),
    /// Never.
    Hang,
}
impl Reply {
    pub(crate) fn new(status: &str, headers: &str, body: &str) -> Reply {
        Reply::Raw(format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()))
    }
    pub(crate) fn ok() -> Reply {
        Reply::new("200 OK", "Content-Type: text/plain\r\n", "ok")
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

#[derive(Default)]
struct State {
    requests: Vec<Request>,
    replies: VecDeque<Reply>,
    always: Option<Reply>,
}

/// A server.
#[derive(Clone)]
pub(crate) struct Sink {
    pub(crate) port: u16,
    state: Arc<Mutex<State>>,
}

impl Sink {
    pub(crate) async fn start() -> Sink {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sink = Sink { port: listener.local_addr().unwrap().port(), state: Arc::default() };
        let serving = sink.clone();
        let acceptor = acceptor();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (sink, acceptor) = (serving.clone(), acceptor.clone());
                tokio::spawn(async move { sink.serve(stream, acceptor).await });
            }
        });
        sink
    }
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
    /// Answers of the next requests; after them, `200 ok`.
    pub(crate) fn reply(&self, replies: impl IntoIterator<Item = Reply>) {
        self.state.lock().unwrap().replies.extend(replies);
    }
    pub(crate) fn always(&self, reply: Reply) {
        self.state.lock().unwrap().always = Some(reply);
    }
    /// What came since this was asked last.
    pub(crate) fn take(&self) -> Vec<Request> {
        std::mem::take(&mut self.state.lock().unwrap().requests)
    }

    async fn serve(&self, stream: TcpStream, acceptor: TlsAcceptor) {
        let mut stream: Box<dyn Stream> = Box::new(stream);
        let mut buffer = Vec::new();
        while let Some(request) = read_request(&mut stream, &mut buffer).await {
            if request.method == "CONNECT" {
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                let Ok(encrypted) = acceptor.accept(stream).await else { return };
                stream = Box::new(encrypted);
                continue;
            }
            let reply = {
                let mut state = self.state.lock().unwrap();
                state.requests.push(request.clone());
                state.replies.pop_front().or_else(|| state.always.clone()).unwrap_or_else(|| answer_of(&request.path))
            };
            let text = match reply {
                Reply::Raw(text) => text,
                Reply::Echo(status) => {
                    let Reply::Raw(text) = Reply::new(&format!("{status} X"), "", &format!("{} {:?} {}", request.path, request.headers, request.body)) else {
                        unreachable!()
                    };
                    text
                }
                Reply::Hang => std::future::pending().await,
            };
            // A client that has gone is no failure of the server.
            let _sent = stream.write_all(text.as_bytes()).await;
            let _shut = stream.shutdown().await;
            return;
        }
    }
}

/// What the real place would say.
fn answer_of(path: &str) -> Reply {
    if path.ends_with("/sendMessage") {
        return Reply::new(
            "200 OK",
            "Content-Type: application/json\r\n",
            r#"{"ok":true,"result":{"message_id":1,"date":1,"chat":{"id":5,"type":"private"}}}"#,
        );
    }
    Reply::ok()
}

fn acceptor() -> TlsAcceptor {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    TlsAcceptor::from(Arc::new(server_config(&Secret::new(made.cert.pem()), &Secret::new(made.signing_key.serialize_pem())).unwrap()))
}

async fn read_request<S: AsyncRead + Unpin>(stream: &mut S, buffer: &mut Vec<u8>) -> Option<Request> {
    let head_end = loop {
        if let Some(at) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            break at;
        }
        read_more(stream, buffer).await?;
    };
    let head: Vec<u8> = buffer.drain(..head_end + 4).collect();
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<(String, String)> = lines.filter_map(|l| l.split_once(": ")).map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned())).collect();
    let length = headers.iter().find(|(n, _)| n == "content-length").map_or(0, |(_, v)| v.parse().unwrap());
    while buffer.len() < length {
        read_more(stream, buffer).await?;
    }
    let body = String::from_utf8(buffer.drain(..length).collect()).unwrap();
    Some(Request { method, path, headers, body })
}

async fn read_more<S: AsyncRead + Unpin>(stream: &mut S, buffer: &mut Vec<u8>) -> Option<()> {
    let mut chunk = [0; 4096];
    let read = stream.read(&mut chunk).await.ok().filter(|n| *n > 0)?;
    buffer.extend_from_slice(chunk.get(..read)?);
    Some(())
}
