//! Sockets of protocols that are not HTTP: who takes what comes by them, and how often what waits is stored. None has a proof of who sends
//! but a client's certificate: this machine may, and trusted networks.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::{TcpListener, UdpSocket};
use watchfire_ingest::gelf::{self, Gelf};
use watchfire_ingest::lumberjack::{Lumberjack, Session};
use watchfire_ingest::statsd::{self, Statsd};
use watchfire_ingest::syslog::{self, Syslog};
use watchfire_net::blocking::spawn_blocking;
use watchfire_net::exchange::{self, Exchange, Host};
use watchfire_net::lines::{self, Framing, Receiver, bind_datagrams};
use watchfire_net::listener::{TlsFiles, bind as take};
use watchfire_net::policy::Network;
use watchfire_net::tasks::Tasks;

use super::listen::{beside, reload_certificates};
use super::protocols::Protocols;
use crate::settings::{Listen, Settings, TlsPaths};

/// The usual port of Beats.
const BEATS: u16 = 5044;

type Pair = (UdpSocket, TcpListener);

/// The sockets that we have.
pub(super) struct Sockets {
    statsd: Option<Pair>,
    syslog: Option<Pair>,
    syslog_tls: Option<(TcpListener, Arc<TlsFiles>)>,
    gelf: Option<Pair>,
    beats: Option<(TcpListener, Option<Arc<TlsFiles>>)>,
    door: Door,
}

/// Takes the addresses before anything is opened or written.
pub(super) fn bind(settings: &Settings) -> Result<Sockets> {
    let wanted = &settings.sockets;
    let pair = |address: Option<SocketAddr>, what: &str| -> Result<Option<Pair>> {
        let Some(address) = address else { return Ok(None) };
        let sockets = bind_datagrams(address).and_then(|datagrams| Ok((datagrams, take(address)?)));
        sockets.map(Some).with_context(|| format!("cannot start: no {what}"))
    };
    let syslog_tls = match &wanted.syslog_tls {
        Some((address, paths)) => Some((take(*address).context("cannot start: no syslog over TLS")?, load(paths)?)),
        None => None,
    };
    let beats = match wanted.beats {
        Listen::Usual if !settings.drop_in => None,
        listen => beside(listen, SocketAddr::new(settings.server.listen.ip(), BEATS), "Beats")?,
    };
    let beats_tls = wanted.beats_tls.as_ref().map(load).transpose()?;
    Ok(Sockets {
        statsd: pair(wanted.statsd, "StatsD")?,
        syslog: pair(wanted.syslog, "syslog")?,
        syslog_tls,
        gelf: pair(wanted.gelf, "GELF")?,
        beats: beats.map(|listener| (listener, beats_tls)),
        door: Door {
            trusted: settings.server.trusted_networks.iter().filter_map(|text| text.parse().ok()).collect(),
            anybody: settings.server.insecure_no_auth,
        },
    })
}

fn load(paths: &TlsPaths) -> Result<Arc<TlsFiles>> {
    TlsFiles::load_asking(paths.certificate.clone(), paths.key.clone(), paths.clients.clone())
        .with_context(|| format!("cannot start: no TLS with {}", paths.certificate.display()))
}

impl Sockets {
    /// Takes what comes by them, and stores it.
    pub(super) fn start(self, protocols: &Protocols, tasks: &Tasks) {
        let door = &self.door;
        if let Some((datagrams, listener)) = self.statsd {
            let receiver = receive("statsd", Some(datagrams), vec![(listener, None)], Arc::new(Lines(protocols.statsd.clone(), door.clone())), tasks);
            store_often("statsd", statsd::INTERVAL, tasks, move || receiver.0.flush().map(drop));
        }
        let (datagrams, plain) = self.syslog.map_or((None, None), |(datagrams, listener)| (Some(datagrams), Some((listener, None))));
        let listeners: Vec<_> = plain.into_iter().chain(self.syslog_tls.map(|(listener, files)| (listener, Some(files)))).collect();
        if !listeners.is_empty() {
            let receiver = receive("syslog", datagrams, listeners, Arc::new(Lines(protocols.syslog.clone(), door.clone())), tasks);
            store_often("syslog", syslog::INTERVAL, tasks, move || receiver.0.flush());
        }
        if let Some((datagrams, listener)) = self.gelf {
            let receiver = receive("gelf", Some(datagrams), vec![(listener, None)], Arc::new(Lines(protocols.gelf.clone(), door.clone())), tasks);
            store_often("gelf", gelf::INTERVAL, tasks, move || receiver.0.flush());
        }
        if let Some((listener, files)) = self.beats {
            if let Some(files) = &files {
                reload_certificates(tasks, files.clone());
            }
            let host = Arc::new(Beats { lumberjack: protocols.lumberjack.clone(), door: door.clone() });
            tasks.spawn("beats", exchange::accept(listener, files, "beats", host, tasks.clone()));
        }
    }
}

/// Starts to take what comes by the sockets of one protocol.
fn receive<R: Receiver>(
    name: &'static str,
    datagrams: Option<UdpSocket>,
    listeners: Vec<(TcpListener, Option<Arc<TlsFiles>>)>,
    receiver: Arc<R>,
    tasks: &Tasks,
) -> Arc<R> {
    if let Some(datagrams) = datagrams {
        tasks.spawn(format!("{name}_udp"), lines::receive(datagrams, receiver.clone()));
    }
    for (listener, files) in listeners {
        if let Some(files) = &files {
            reload_certificates(tasks, files.clone());
        }
        let kind = if files.is_some() { "tls" } else { "tcp" };
        tasks.spawn(format!("{name}_{kind}"), lines::accept(listener, files, receiver.clone(), tasks.clone()));
    }
    receiver
}

/// Stores what waits at a short interval.
fn store_often<E: std::fmt::Display + Send + 'static>(
    name: &'static str,
    interval: Duration,
    tasks: &Tasks,
    flush: impl Fn() -> Result<(), E> + Send + Sync + 'static,
) {
    let flush = Arc::new(flush);
    tasks.spawn(name, async move {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let flush = flush.clone();
            match spawn_blocking(move || flush()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, protocol = name, "what came was not stored; the next try holds it too"),
                Err(error) => tracing::error!(%error, protocol = name, "storing what came panicked"),
            }
        }
    });
}

/// Who may send.
#[derive(Clone)]
struct Door {
    trusted: Vec<Network>,
    anybody: bool,
}
impl Door {
    fn allows(&self, peer: IpAddr) -> bool {
        self.anybody || peer.is_loopback() || self.trusted.iter().any(|network| network.contains(peer))
    }
}

/// A protocol of lines or messages, and who may send them.
struct Lines<T>(Arc<T>, Door);
impl Receiver for Lines<Statsd> {
    fn allows(&self, peer: IpAddr) -> bool {
        self.1.allows(peer)
    }
    fn take(&self, lines: &[u8]) {
        self.0.take(lines);
    }
    fn dropped(&self, lines: u64) {
        self.0.dropped(lines);
    }
}
impl Receiver for Lines<Syslog> {
    fn allows(&self, peer: IpAddr) -> bool {
        self.1.allows(peer)
    }
    fn take(&self, lines: &[u8]) {
        self.0.take(lines);
    }
    fn take_one(&self, message: &[u8]) {
        self.0.take_one(message);
    }
    fn framing(&self) -> Framing {
        Framing::Syslog
    }
    fn dropped(&self, lines: u64) {
        self.0.dropped(lines);
    }
}
impl Receiver for Lines<Gelf> {
    fn allows(&self, peer: IpAddr) -> bool {
        self.1.allows(peer)
    }
    fn take(&self, message: &[u8]) {
        self.0.take(message);
    }
    fn take_datagram(&self, datagram: &[u8], peer: SocketAddr) {
        self.0.take_datagram(datagram, peer.ip());
    }
    fn framing(&self) -> Framing {
        Framing::Zeros
    }
    fn message_bytes_max(&self) -> usize {
        gelf::MESSAGE_BYTES_MAX
    }
    fn dropped(&self, messages: u64) {
        self.0.dropped(messages);
    }
}

/// Lumberjack, and who may speak it.
struct Beats {
    lumberjack: Arc<Lumberjack>,
    door: Door,
}
struct BeatsSession(Session);
impl Exchange for BeatsSession {
    fn take(&mut self, bytes: &[u8], answer: &mut Vec<u8>) -> Result<(), String> {
        self.0.take(bytes, answer).map_err(|error| error.to_string())
    }
}
impl Host for Beats {
    type Exchange = BeatsSession;
    fn allows(&self, peer: IpAddr) -> bool {
        self.door.allows(peer)
    }
    fn begin(&self, peer: IpAddr) -> BeatsSession {
        BeatsSession(self.lumberjack.session(&peer.to_string()))
    }
    fn refused(&self) {
        self.lumberjack.refused();
    }
}
