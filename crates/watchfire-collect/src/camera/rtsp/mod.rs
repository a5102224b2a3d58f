//! One session with a camera: authenticates, asks for the description, sets its pictures up over TCP or UDP and receives them. It keeps no
//! figure and begins nothing again.

pub mod authenticate;
pub mod codec;
pub mod message;
pub mod rtp;
pub mod sdp;

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;
use watchfire_net::client::read_client_tls;
use watchfire_net::policy::Policy;
use watchfire_net::timed::{Dialer, Family, Link, Preference, TimedError};

use self::authenticate::Challenge;
use self::codec::Codec;
use self::message::{Message, MessageError, Piece};
use self::rtp::Packet;
use self::sdp::{Description, Media};
use super::config::{Place, Transport};

/// The protocol's port, bare and encrypted.
pub(super) const PORT: u16 = 554;
pub(super) const SECURE_PORT: u16 = 322;
/// Packets and requests of the camera that may come before an answer.
const STRAYS_MAX: usize = 10_000;
/// Bytes that are read at once.
const READ_BYTES: usize = 16 << 10;
/// The largest datagram.
const DATAGRAM_BYTES_MAX: usize = 65_536;
/// How often a session is told that it is wanted, unless the camera gives less time.
const KEEP_ALIVE: Duration = Duration::from_secs(25);
const KEEP_ALIVE_MIN: Duration = Duration::from_secs(2);
/// How often reports go back to the sender, as RTP wants it.
const REPORT_EVERY: Duration = Duration::from_secs(5);
/// How long a camera may take to accept a request or a report while pictures are received.
const WRITE_MAX: Duration = Duration::from_secs(5);

/// Why there is no session, or none any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    #[error(transparent)]
    Connect(#[from] TimedError),
    #[error("{0}")]
    Tls(String),
    #[error("cannot finish {0} in time")]
    Timeout(&'static str),
    #[error(transparent)]
    Message(#[from] MessageError),
    #[error("cannot {method}: the camera answers {status}")]
    Status { method: &'static str, status: u16 },
    #[error("cannot log in: {0}")]
    LogIn(&'static str),
    #[error("cannot receive pictures: {0}")]
    Description(&'static str),
    #[error("cannot read or write: {0}")]
    Lost(std::io::Error),
    #[error("the camera closed the connection")]
    Closed,
    #[error("no packet came for {} s", .0.as_secs())]
    Stalled(Duration),
}
impl From<std::io::Error> for SessionError {
    fn from(error: std::io::Error) -> SessionError {
        use std::io::ErrorKind;
        match error.kind() {
            // Whether it hung up or crashed is not told apart by what the system says.
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => SessionError::Closed,
            _ => SessionError::Lost(error),
        }
    }
}
impl SessionError {
    /// The reason as a label has it.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            SessionError::Connect(_) | SessionError::Tls(_) => "connect",
            SessionError::Timeout(_) => "timeout",
            SessionError::Message(_) => "protocol",
            SessionError::Status { .. } => "refused",
            SessionError::LogIn(_) => "log_in",
            SessionError::Description(_) => "description",
            SessionError::Lost(_) | SessionError::Closed => "closed",
            SessionError::Stalled(_) => "stalled",
        }
    }
}

/// What a camera will send.
#[derive(Clone, Debug)]
pub(super) struct Described {
    pub(super) media: Media,
    pub(super) codec: Codec,
    /// Units that the description carries, such as parameter sets.
    pub(super) units: Vec<Vec<u8>>,
}

/// What a session tells whoever watches.
pub(super) enum Event<'a> {
    /// A packet of pictures.
    Packet(Packet<'a>),
    /// Time passed; nothing else happened.
    Tick,
}

/// A session that plays.
pub(super) struct Session<'a> {
    place: &'a Place,
    link: Link,
    buffer: Vec<u8>,
    begin: usize,
    number: u32,
    challenge: Option<(Challenge, u32)>,
    base: String,
    id: Option<String>,
    keep_alive: Duration,
    options: bool,
    channel: u8,
    payload: u8,
    sockets: Option<Sockets>,
}

/// The way of packets over UDP.
struct Sockets {
    pair: [UdpSocket; 2],
    peer: SocketAddr,
    control: SocketAddr,
    ours: u32,
}

impl<'a> Session<'a> {
    /// Opens a session up to the point where pictures begin to come. Whoever calls limits the time.
    pub(super) async fn open(place: &'a Place, transport: Transport, dialer: &Dialer, policy: &Policy) -> Result<(Session<'a>, Described), SessionError> {
        let preference = Preference { family: Family::V4, fallback: true };
        let ip = dialer.resolve(&place.host, preference).await?;
        let mut link = dialer.connect(SocketAddr::new(ip, place.port), None, policy).await?;
        if let Some(options) = &place.tls {
            let tls = read_client_tls(options).await.map_err(|error| SessionError::Tls(error.to_string()))?;
            link = dialer.encrypt(link, &place.host, &tls, &[]).await?;
        }
        let mut session = Session {
            place,
            link,
            buffer: Vec::new(),
            begin: 0,
            number: 0,
            challenge: None,
            base: place.url.clone(),
            id: None,
            keep_alive: KEEP_ALIVE,
            options: true,
            channel: 0,
            payload: 0,
            sockets: None,
        };
        let url = place.url.clone();
        let can = session.ask("OPTIONS", &url, &[]).await?;
        session.options = !can.header("public").is_some_and(|list| list.to_ascii_uppercase().contains("GET_PARAMETER"));
        let answer = session.ask("DESCRIBE", &url, &[("Accept", Some("application/sdp"))]).await?;
        let base = answer.header("content-base").or_else(|| answer.header("content-location"));
        session.base = base.filter(|base| base.contains("://")).unwrap_or(&url).to_owned();
        let description = sdp::parse(&answer.body).map_err(|_| SessionError::Description("what describes them is no SDP"))?;
        let media = description.media.iter().find(|m| m.kind == "video").ok_or(SessionError::Description("the camera offers none"))?.clone();
        session.set_up(&description, &media, transport, dialer).await?;
        session.play(&description).await?;
        let codec = Codec::named(&media.encoding);
        let sets = media.parameter("sprop-parameter-sets").into_iter().chain(["sprop-vps", "sprop-sps", "sprop-pps"].iter().filter_map(|n| media.parameter(n)));
        let decode = |text: &str| base64::engine::general_purpose::STANDARD.decode(text.trim()).ok();
        let units = sets.flat_map(|list| list.split(',')).filter_map(decode).take(16).collect();
        Ok((session, Described { media, codec, units }))
    }

    async fn set_up(&mut self, description: &Description, media: &Media, transport: Transport, dialer: &Dialer) -> Result<(), SessionError> {
        self.payload = media.payload;
        let whole = resolve(&self.base, description.control.as_deref());
        let url = resolve(&whole, media.control.as_deref());
        let (asked, pair) = match transport {
            Transport::Tcp => ("RTP/AVP/TCP;unicast;interleaved=0-1".to_owned(), None),
            Transport::Udp => {
                let here = self.link.local.ok_or(SessionError::Description("our own address is unknown"))?.ip();
                let pair = dialer.pair(here).await?;
                let port = pair[0].local_addr()?.port();
                (format!("RTP/AVP;unicast;client_port={port}-{}", port + 1), Some(pair))
            }
        };
        let answer = self.ask("SETUP", &url, &[("Transport", Some(&asked))]).await?;
        let (id, timeout) = answer.header("session").map(session_of).unwrap_or_default();
        self.id = id;
        self.keep_alive = timeout.map_or(KEEP_ALIVE, |timeout| (timeout / 2).clamp(KEEP_ALIVE_MIN, KEEP_ALIVE));
        let answered = answer.header("transport").unwrap_or_default().to_owned();
        match pair {
            None => self.channel = numbers(&answered, "interleaved").and_then(|(first, _)| u8::try_from(first).ok()).unwrap_or(0),
            Some(pair) => {
                let peer = self.link.peer.ok_or(SessionError::Description("the camera's address is unknown"))?.ip();
                let (first, second) = numbers(&answered, "server_port").unwrap_or_default();
                let (peer, control) = (SocketAddr::new(peer, first), SocketAddr::new(peer, second));
                self.sockets = Some(Sockets { pair, peer, control, ours: u32::from(first) << 16 | 0x5746 });
            }
        }
        Ok(())
    }

    async fn play(&mut self, description: &Description) -> Result<(), SessionError> {
        let url = resolve(&self.base, description.control.as_deref());
        self.ask("PLAY", &url, &[("Range", Some("npt=0.000-"))]).await?;
        // Opens the way back through what stands between; a receiver that stays silent is taken for gone.
        self.report().await;
        Ok(())
    }

    /// Asks, logs in where the camera wants it, and gives an answer that says yes.
    async fn ask(&mut self, method: &'static str, url: &str, headers: &[(&str, Option<&str>)]) -> Result<Message, SessionError> {
        let mut logged_in = false;
        loop {
            let number = self.send(method, url, headers).await?;
            let answer = self.answer(number).await?;
            let status = answer.status.unwrap_or_default();
            match status {
                200..=299 => return Ok(answer),
                401 => {
                    if self.place.credentials.is_none() {
                        return Err(SessionError::LogIn("the camera asks for a name and a password, and there are none"));
                    }
                    let stale = answer.headers("www-authenticate").any(|offer| offer.to_ascii_lowercase().contains("stale=true"));
                    if logged_in && !stale || self.number > 20 {
                        return Err(SessionError::LogIn("the camera does not take the name and the password"));
                    }
                    let offered = authenticate::choose(answer.headers("www-authenticate"));
                    self.challenge = Some((offered.ok_or(SessionError::LogIn("the camera asks in a way that is not known"))?, 0));
                    logged_in = true;
                }
                // Not everybody can say what he can.
                _ if method == "OPTIONS" => return Ok(answer),
                _ => return Err(SessionError::Status { method, status }),
            }
        }
    }

    async fn send(&mut self, method: &str, url: &str, headers: &[(&str, Option<&str>)]) -> Result<u32, SessionError> {
        self.number += 1;
        let proof = match (&mut self.challenge, &self.place.credentials) {
            (Some((challenge, count)), Some((user, password))) => {
                *count += 1;
                Some(authenticate::answer(challenge, (user, password), (method, url), *count))
            }
            _ => None,
        };
        let own = [("Session", self.id.as_deref()), ("Authorization", proof.as_ref().map(|p| p.expose()))];
        let all: Vec<_> = headers.iter().copied().chain(own).collect();
        let text = message::request(method, url, self.number, &all);
        self.link.write_all(text.as_bytes()).await?;
        self.link.flush().await?;
        Ok(self.number)
    }

    async fn answer(&mut self, number: u32) -> Result<Message, SessionError> {
        for _ in 0..STRAYS_MAX {
            while let Some((piece, length)) = message::next(self.buffer.get(self.begin..).unwrap_or_default())? {
                let answer = match piece {
                    Piece::Message(m) if m.status.is_some() && m.header("cseq").is_none_or(|n| n.parse() == Ok(number)) => Some(m),
                    _ => None,
                };
                self.begin += length;
                if let Some(answer) = answer {
                    return Ok(answer);
                }
            }
            self.read().await?;
        }
        Err(SessionError::Description("no answer comes between the packets"))
    }

    /// Reads more. What was used is forgotten first.
    async fn read(&mut self) -> Result<(), SessionError> {
        self.buffer.drain(..self.begin.min(self.buffer.len()));
        self.begin = 0;
        self.buffer.reserve(READ_BYTES);
        if self.link.read_buf(&mut self.buffer).await? == 0 { Err(SessionError::Closed) } else { Ok(()) }
    }

    /// Receives until the session ends. `take` hears of every packet and at least once a second that time passes; it ends the session by
    /// an error of its own. `stop` ends it in good order.
    pub(super) async fn receive(
        &mut self,
        take: &mut (dyn FnMut(Event<'_>) -> Result<(), SessionError> + Send),
        stop: &mut (dyn Future<Output = ()> + Send + Unpin),
    ) -> Result<(), SessionError> {
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut since_alive, mut since_report) = (Duration::ZERO, Duration::ZERO);
        let mut datagram = vec![0; if self.sockets.is_some() { DATAGRAM_BYTES_MAX } else { 0 }];
        self.pass_on(take)?;
        loop {
            // Reading is given up and begun anew freely: nothing is lost by it.
            tokio::select! {
                read = self.link_or_socket(&mut datagram) => {
                    if let Some(length) = read?
                        && let Some(packet) = datagram.get(..length).and_then(rtp::parse).filter(|p| p.payload_type == self.payload)
                    {
                        take(Event::Packet(packet))?;
                    }
                    self.pass_on(take)?;
                }
                _ = ticks.tick() => {
                    take(Event::Tick)?;
                    since_alive += Duration::from_secs(1);
                    since_report += Duration::from_secs(1);
                    if since_alive >= self.keep_alive {
                        since_alive = Duration::ZERO;
                        let url = self.base.clone();
                        let method = if self.options { "OPTIONS" } else { "GET_PARAMETER" };
                        // A camera that takes nothing any more must not keep us from noticing it.
                        tokio::time::timeout(WRITE_MAX, self.send(method, &url, &[])).await.map_err(|_| SessionError::Timeout("keeping the session alive"))??;
                    }
                    if since_report >= REPORT_EVERY {
                        since_report = Duration::ZERO;
                        tokio::time::timeout(WRITE_MAX, self.report()).await.map_err(|_| SessionError::Timeout("reporting what came"))?;
                    }
                }
                () = &mut *stop => {
                    let url = self.base.clone();
                    // Whether the camera hears it or not, we go.
                    let _gone = tokio::time::timeout(Duration::from_secs(1), self.send("TEARDOWN", &url, &[])).await;
                    return Ok(());
                }
            }
        }
    }

    /// More bytes of the connection, or a datagram of the camera's, whose length is given.
    async fn link_or_socket(&mut self, datagram: &mut [u8]) -> Result<Option<usize>, SessionError> {
        let Some(Sockets { pair: [first, second], peer, .. }) = &self.sockets else { return self.read().await.map(|()| None) };
        self.buffer.drain(..self.begin.min(self.buffer.len()));
        self.begin = 0;
        self.buffer.reserve(READ_BYTES);
        let mut ignored = [0; 1];
        tokio::select! {
            read = self.link.read_buf(&mut self.buffer) => if read? == 0 { Err(SessionError::Closed) } else { Ok(None) },
            got = first.recv_from(datagram) => {
                let (length, from) = got?;
                let ours = from.ip() == peer.ip() && (peer.port() == 0 || peer.port() == from.port());
                Ok(ours.then_some(length))
            }
            // Reports of the sender are taken off the socket and not read.
            got = second.recv_from(&mut ignored) => got.map(|_| None).map_err(SessionError::from),
        }
    }

    /// Hands on the packets that have been read.
    fn pass_on(&mut self, take: &mut (dyn FnMut(Event<'_>) -> Result<(), SessionError> + Send)) -> Result<(), SessionError> {
        while let Some((piece, length)) = message::next(self.buffer.get(self.begin..).unwrap_or_default())? {
            match piece {
                Piece::Packet { channel, bytes } if channel == self.channel => {
                    if let Some(packet) = rtp::parse(bytes).filter(|p| p.payload_type == self.payload) {
                        take(Event::Packet(packet))?;
                    }
                }
                // Answers to what keeps the session alive; a refusal of the session ends it.
                Piece::Message(Message { status: Some(status @ 454), .. }) => return Err(SessionError::Status { method: "KEEP ALIVE", status }),
                _ => {}
            }
            self.begin += length;
        }
        Ok(())
    }

    /// Says that we are there: an empty report of a receiver (RFC 3550, 6.4.2). That it does not arrive is no harm.
    async fn report(&mut self) {
        let ours = self.sockets.as_ref().map_or(0x5746_0001, |s| s.ours).to_be_bytes();
        let report = [0x80, 201, 0, 1, ours[0], ours[1], ours[2], ours[3]];
        match &self.sockets {
            Some(sockets) if sockets.control.port() != 0 => {
                let _unheard = sockets.pair[1].send_to(&report, sockets.control).await;
                // A packet without content opens the way for pictures as well.
                let empty = [0x80, 0, 0, 0, 0, 0, 0, 0, ours[0], ours[1], ours[2], ours[3]];
                let _unheard = sockets.pair[0].send_to(&empty, sockets.peer).await;
            }
            Some(_) => {}
            None => {
                let framed: Vec<u8> = [b'$', self.channel.wrapping_add(1), 0, 8].into_iter().chain(report).collect();
                let _unheard = self.link.write_all(&framed).await;
            }
        }
    }
}

/// Where a stream is controlled: a whole URL, or something beneath the description's.
fn resolve(base: &str, control: Option<&str>) -> String {
    match control.map(str::trim).unwrap_or_default() {
        "" | "*" => base.to_owned(),
        whole if whole.to_ascii_lowercase().starts_with("rtsp") && whole.contains("://") => watchfire_net::client::without_credentials(whole),
        part => format!("{}/{}", base.trim_end_matches('/'), part.trim_start_matches('/')),
    }
}

/// `id;timeout=60`
fn session_of(text: &str) -> (Option<String>, Option<Duration>) {
    let mut parts = text.split(';').map(str::trim);
    let id = parts.next().filter(|id| !id.is_empty()).map(str::to_owned);
    let timeout = parts.find_map(|part| part.strip_prefix("timeout=")?.parse().ok()).filter(|seconds| *seconds > 0).map(Duration::from_secs);
    (id, timeout)
}

/// The two numbers of `name=4-5` among parts that semicolons divide; the second is the next one if it is missing.
fn numbers(text: &str, name: &str) -> Option<(u16, u16)> {
    let value = text.split(';').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))?;
    let (first, second) = value.split_once('-').map_or((value, None), |(first, second)| (first, Some(second)));
    let first: u16 = first.trim().parse().ok()?;
    Some((first, second.and_then(|text| text.trim().parse().ok()).unwrap_or(first.saturating_add(1))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_streams_are_controlled() {
        for (base, control, expected) in [
            ("rtsp://h/a/", Some("trackID=1"), "rtsp://h/a/trackID=1"),
            ("rtsp://h/a", Some("*"), "rtsp://h/a"),
            ("rtsp://h/a", None, "rtsp://h/a"),
            ("rtsp://h/a?x=1", Some("rtsp://u:p@10.0.0.1/b/track1"), "rtsp://10.0.0.1/b/track1"),
            ("rtsp://h/a", Some("/track1"), "rtsp://h/a/track1"),
        ] {
            assert_eq!(resolve(base, control), expected);
        }
    }

    #[test]
    fn headers_of_sessions() {
        assert_eq!(session_of("12ab;timeout=60"), (Some("12ab".to_owned()), Some(Duration::from_secs(60))));
        assert_eq!(session_of("12ab ; timeout=0"), (Some("12ab".to_owned()), None));
        assert_eq!(session_of(""), (None, None));
        assert_eq!(numbers("RTP/AVP;unicast;client_port=4-5;server_port=6256-6257", "server_port"), Some((6256, 6257)));
        assert_eq!(numbers("RTP/AVP/TCP;interleaved=2", "interleaved"), Some((2, 3)));
        assert_eq!(numbers("interleaved=x", "interleaved"), None);
        assert_eq!(numbers("interleaved=65535", "interleaved"), Some((65_535, 65_535)));
    }
}
