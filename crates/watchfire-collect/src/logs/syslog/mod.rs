//! Listens for syslog where a configuration says so (`syslog` of Promtail, `loki.source.syslog` of Alloy): its lines go through the stages of
//! that configuration. Our own address for syslog, without stages, is somebody else's. What comes waits in a bounded queue; what finds no
//! place there is counted.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use watchfire_ingest::relabel::{self, RelabelConfig, Verdict};
use watchfire_ingest::syslog::{Message, read_message};
use watchfire_model::document::Reader;
use watchfire_model::labels::LabelsBuilder;
use watchfire_model::logs::Nanos;
use watchfire_model::meter::Meter;
use watchfire_net::lines::{self, Framing, Receiver};
use watchfire_net::listener::{TlsFiles, bind};
use watchfire_net::tasks::Tasks;

use super::collector::origin;
use super::hand_over::{Cursors, hand_over};
use super::stages::{Pipeline, Stage, Surroundings as Around};
use super::{Delivery, Entry, Figures, Surroundings};

/// The kind of origin that these lines have.
pub(crate) const KIND: &str = "syslog";
/// The most messages that wait for the stages.
const WAITING_MAX: usize = 4_096;
/// The longest message over TCP.
const MESSAGE_BYTES_MAX: usize = 64 << 10;
/// The most bytes of lines that go to the sink together.
const DELIVERY_BYTES_MAX: usize = 1 << 20;
/// How long lines wait for others.
const GATHER: Duration = Duration::from_millis(250);
/// How long to wait before an address is taken again.
const AGAIN: Duration = Duration::from_secs(5);

/// Where messages come in, and what becomes of them.
#[derive(Clone, Debug)]
pub struct Source {
    /// Names the source among all.
    pub name: String,
    /// The address.
    pub address: SocketAddr,
    /// Whether datagrams come there, or connections.
    pub datagrams: bool,
    /// Certificate, key, and the authority of senders' certificates, for TLS.
    pub tls: Option<(PathBuf, PathBuf, Option<PathBuf>)>,
    /// Labels of all lines.
    pub labels: BTreeMap<String, String>,
    /// Rules over `__syslog_…`.
    pub relabel: Vec<RelabelConfig>,
    /// Whether lines have the times that senders tell; else those of their arrival.
    pub use_incoming_timestamp: bool,
    /// Whether structured data become `__syslog_message_sd_…`.
    pub structured_data: bool,
    /// Whether the line is the whole message as it came; else it is its text.
    pub whole: bool,
    /// The stages.
    pub stages: Vec<Stage>,
}

/// The address that a key says. A name is not looked up: who listens does so on this machine.
pub(crate) fn address(reader: &Reader<'_>, key: &'static str, usual: &str) -> Option<SocketAddr> {
    let text = reader.text(key).filter(|text| !text.is_empty()).unwrap_or_else(|| usual.to_owned());
    let full = match text.strip_prefix(':') {
        Some(port) => format!("0.0.0.0:{port}"),
        None => text.replace("localhost:", "127.0.0.1:"),
    };
    let address = full.parse().ok();
    if address.is_none() {
        reader.error_at(key, format!("must be an address with a port, not {text:?}"));
    }
    address
}

/// Certificate, key and authority by the names of their keys.
pub(crate) fn tls(tls: Reader<'_>, keys: [&'static str; 3]) -> Option<(PathBuf, PathBuf, Option<PathBuf>)> {
    let file = |key: &'static str| tls.text(key).filter(|text| !text.is_empty()).map(PathBuf::from);
    let [certificate, key, authority] = keys.map(file);
    tls.allow(&["server_name", "insecure_skip_verify", "min_version"]);
    tls.finish();
    Some((certificate?, key?, authority))
}

/// A message, and who sent it, where that is known.
struct Came {
    bytes: Vec<u8>,
    peer: Option<IpAddr>,
}

/// Takes messages into the queue.
struct Inlet {
    queue: mpsc::Sender<Came>,
    parts: Surroundings,
}
impl Inlet {
    fn put(&self, bytes: &[u8], peer: Option<IpAddr>) {
        if self.queue.try_send(Came { bytes: bytes.to_vec(), peer }).is_err() {
            self.parts.figures.dropped("syslog_queue_full", 1);
        }
    }
}
impl Receiver for Inlet {
    fn allows(&self, peer: IpAddr) -> bool {
        peer.is_loopback() || self.parts.trusted.iter().any(|network| network.contains(peer))
    }
    fn take(&self, lines: &[u8]) {
        lines.split(|b| *b == b'\n').filter(|line| !line.trim_ascii().is_empty()).for_each(|line| self.put(line, None));
    }
    fn take_one(&self, message: &[u8]) {
        self.put(message, None);
    }
    fn take_datagram(&self, datagram: &[u8], peer: SocketAddr) {
        self.put(datagram, Some(peer.ip().to_canonical()));
    }
    fn framing(&self) -> Framing {
        Framing::Syslog
    }
    fn message_bytes_max(&self) -> usize {
        MESSAGE_BYTES_MAX
    }
    fn dropped(&self, lines: u64) {
        self.parts.figures.dropped("syslog_refused", lines);
    }
}

/// Connections end with the source that opened the address.
struct Connections(Tasks);
impl Drop for Connections {
    fn drop(&mut self) {
        let tasks = self.0.clone();
        tokio::spawn(async move { drop(tasks.shut_down(Duration::ZERO).await) });
    }
}

/// Listens until the future is dropped.
pub async fn run(source: Source, parts: Surroundings) {
    let (queue, waiting) = mpsc::channel(WAITING_MAX);
    let inlet = Arc::new(Inlet { queue, parts: parts.clone() });
    let connections = Connections(Tasks::new(&Meter::new()));
    let listening = async {
        loop {
            if let Err(error) = listen(&source, inlet.clone(), &connections.0).await {
                tracing::warn!(source = source.name, error, "cannot listen for syslog; it is tried again");
            }
            tokio::time::sleep(AGAIN).await;
        }
    };
    tokio::select! {
        () = listening => {}
        () = carry(&source, &parts, waiting) => {}
    }
}

async fn listen(source: &Source, inlet: Arc<Inlet>, tasks: &Tasks) -> Result<(), String> {
    if source.datagrams {
        let socket = lines::bind_datagrams(source.address).map_err(|error| error.to_string())?;
        lines::receive(socket, inlet).await;
        return Ok(());
    }
    let tls = match source.tls.clone() {
        Some((certificate, key, clients)) => {
            let loaded = watchfire_net::blocking::spawn_blocking(move || TlsFiles::load_asking(certificate, key, clients)).await;
            Some(loaded.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?)
        }
        None => None,
    };
    let listener = bind(source.address).map_err(|error| error.to_string())?;
    lines::accept(listener, tls, inlet, tasks.clone()).await;
    Ok(())
}

/// Carries what waits through the stages and into the sink.
async fn carry(source: &Source, parts: &Surroundings, mut waiting: mpsc::Receiver<Came>) {
    let mut pipeline = Pipeline::new(&source.stages);
    let mut delivery = Delivery::default();
    // Nobody can be asked for a message again, so no place is kept.
    let mut cursors = Cursors::new(source.name.clone(), parts);
    let mut place = 0;
    loop {
        let got = tokio::time::timeout(GATHER, waiting.recv()).await;
        let around = Around { now: parts.clock.now(), monotonic: parts.clock.monotonic(), figures: &parts.figures };
        let mut out = Vec::new();
        match &got {
            Ok(Some(came)) => {
                place += 1;
                if let Some(entry) = entry(source, came, Nanos::from_millis(around.now.millis()), place, &parts.figures) {
                    pipeline.process(entry, &around, &mut out);
                }
            }
            Ok(None) => return,
            Err(_) => {}
        }
        pipeline.flush(false, &around, &mut out);
        out.into_iter().for_each(|entry| delivery.add(entry));
        let quiet = got.is_err() || waiting.is_empty();
        if !delivery.is_empty() && (quiet || delivery.bytes() >= DELIVERY_BYTES_MAX) {
            hand_over(parts, &origin(KIND, &source.name), &mut delivery, &mut cursors, pipeline.held(), false).await;
        }
    }
}

/// The line of a message, unless rules leave it out.
fn entry(source: &Source, came: &Came, now: Nanos, place: u64, figures: &Figures) -> Option<Entry> {
    let text = String::from_utf8_lossy(&came.bytes);
    let text = text.trim_end_matches(|c: char| c.is_whitespace() || c == '\0');
    figures.lines.inc();
    figures.bytes.add(text.len() as u64);
    let message = read_message(text);
    let labels = labels(source, &message, came.peer);
    let Some(labels) = labels else {
        figures.dropped("relabel", 1);
        return None;
    };
    let time = message.time.filter(|_| source.use_incoming_timestamp).unwrap_or(now);
    let line = if source.whole { text.to_owned() } else { message.text.clone() };
    Some(Entry::new(time, line, &labels, place))
}

fn labels(source: &Source, message: &Message, peer: Option<IpAddr>) -> Option<BTreeMap<String, String>> {
    let mut builder = LabelsBuilder::new();
    for (name, value) in &source.labels {
        builder.set(name, value);
    }
    let severity = if message.severity == "info" { "informational" } else { message.severity };
    let told = [("hostname", message.host.as_str()), ("app_name", &message.app), ("proc_id", &message.pid), ("msg_id", &message.id)];
    for (name, value) in told.into_iter().chain([("severity", severity), ("facility", message.facility)]) {
        builder.set(&format!("__syslog_message_{name}"), value);
    }
    if let Some(peer) = peer {
        builder.set("__syslog_connection_ip_address", &peer.to_string());
    }
    if source.structured_data {
        for (name, value) in &message.data {
            builder.set(&format!("__syslog_message_sd_{name}"), value);
        }
    }
    if relabel::apply(&source.relabel, &mut builder) == Verdict::Drop {
        return None;
    }
    Some(builder.pairs().filter(|(name, _)| !name.starts_with("__")).map(|(n, v)| (n.to_owned(), v.to_owned())).collect())
}
