//! Listens for pushes where a configuration says so (`loki_push_api` of Promtail, `loki.source.api` of Alloy): what comes goes through the
//! rules and stages of that configuration, and who sent it is answered when the store has it. Our own address for pushes, without stages,
//! is somebody else's. What waits is bounded by its bytes; who finds no place is told to come again.

mod http;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use watchfire_ingest::relabel::{self, RelabelConfig, Verdict};
use watchfire_model::document::Reader;
use watchfire_model::labels::{Labels, LabelsBuilder};
use watchfire_model::logs::{Nanos, StreamEntries};
use watchfire_net::listener::{Limits, Protocol, Server, TlsFiles, bind};
use watchfire_net::tasks::Tasks;

use super::collector::origin;
use super::hand_over::{Cursors, hand_over};
use super::stages::{Pipeline, Stage, Surroundings as Around};
use super::{Delivery, Entry, Surroundings};

/// The kind of origin that these lines have.
pub(crate) const KIND: &str = "pushed";
/// The most pushes that wait for the stages.
const WAITING_MAX: usize = 256;
/// The most pushes whose lines stages hold, whose senders wait for their answer.
const HELD_MAX: usize = 4_096;
/// The most bytes of lines that go to the sink together.
const DELIVERY_BYTES_MAX: usize = 1 << 20;
/// How long stages rest until they look for what has waited long enough.
const GATHER: Duration = Duration::from_millis(250);
/// How many lines go through the stages before others get their turn on the thread.
const LINES_AT_ONCE: usize = 256;
/// How long to wait before an address is taken again.
const AGAIN: Duration = Duration::from_secs(5);
/// Connections at once: senders keep theirs open.
const CONNECTIONS_MAX: usize = 64;

/// Where pushes come in, and what becomes of them.
#[derive(Clone, Debug)]
pub struct Source {
    /// Names the source among all.
    pub name: String,
    /// The address.
    pub address: SocketAddr,
    /// Certificate, key, and the authority of senders' certificates, for TLS.
    pub tls: Option<(PathBuf, PathBuf, Option<PathBuf>)>,
    /// Labels of all lines; they go before those that senders give.
    pub labels: BTreeMap<String, String>,
    /// Rules over the labels of streams.
    pub relabel: Vec<RelabelConfig>,
    /// Whether lines have the times that senders tell; else those of their arrival.
    pub use_incoming_timestamp: bool,
    /// The stages.
    pub stages: Vec<Stage>,
}

/// The address that two keys say; without the second, this port. A name is not looked up: who listens does so on this machine.
pub(crate) fn address(reader: &Reader<'_>, [host, port]: [&'static str; 2], usual: Option<u16>) -> Option<SocketAddr> {
    let text = reader.text(host).unwrap_or_default();
    let ip = match text.as_str() {
        "" => Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        text => text.trim_matches(['[', ']']).parse().ok(),
    };
    if ip.is_none() {
        reader.error_at(host, format!("must be an address of this machine, not {text:?}"));
    }
    let number = reader.u64(port).and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0).or(usual);
    if number.is_none() {
        reader.error_at(port, "must be a port from 1 to 65535: who pushes has to know it");
    }
    Some(SocketAddr::new(ip?, number?))
}

/// What one request brought.
struct Push {
    streams: Vec<StreamEntries>,
    /// The tenant that the sender named, for rules.
    tenant: Option<String>,
    /// Told when the store has all lines.
    stored: oneshot::Sender<()>,
    /// Its place among what waits.
    _room: OwnedSemaphorePermit,
}

/// Listens until the future is dropped.
pub async fn run(source: Source, parts: Surroundings) {
    let (queue, waiting) = mpsc::channel(WAITING_MAX);
    let door = Arc::new(http::Door::new(queue, parts.clone()));
    let listening = async {
        loop {
            if let Err(error) = listen(&source, door.clone(), &parts).await {
                tracing::warn!(source = source.name, error, "cannot listen for pushes; it is tried again");
            }
            tokio::time::sleep(AGAIN).await;
        }
    };
    tokio::select! {
        () = listening => {}
        () = carry(&source, &parts, waiting) => {}
    }
}

async fn listen(source: &Source, door: Arc<http::Door>, parts: &Surroundings) -> Result<(), String> {
    let tls = match source.tls.clone() {
        Some((certificate, key, clients)) => {
            let loaded = watchfire_net::blocking::spawn_blocking(move || TlsFiles::load_asking(certificate, key, clients)).await;
            Some(loaded.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?)
        }
        None => None,
    };
    let listener = bind(source.address).map_err(|error| error.to_string())?;
    let limits = Limits { connections: CONNECTIONS_MAX, connections_per_address: CONNECTIONS_MAX, ..Limits::default() };
    let meter = parts.figures.meter();
    // Connections end with the future that serves them.
    let tasks = Tasks::new(meter);
    let server = Server { protocol: Protocol::Http1, limits, tls, meter: meter.clone(), tasks };
    server.serve(listener, http::service(door)).await;
    Ok(())
}

/// Pushes whose lines are not all in the store, by the place of their last line.
type Unanswered = VecDeque<(u64, oneshot::Sender<()>)>;

/// Carries what waits through the stages and into the sink.
async fn carry(source: &Source, parts: &Surroundings, mut waiting: mpsc::Receiver<Push>) {
    let mut way = Way {
        source,
        parts,
        pipeline: Pipeline::new(&source.stages),
        delivery: Delivery::default(),
        // Who pushes sends again what was not answered, so no place is kept.
        cursors: Cursors::new(source.name.clone(), parts),
        place: 0,
        unanswered: Unanswered::new(),
    };
    loop {
        match tokio::time::timeout(GATHER, waiting.recv()).await {
            Ok(Some(push)) => way.take(push).await,
            Ok(None) => return,
            Err(_) => {}
        }
        way.flush();
        if waiting.is_empty() || way.delivery.bytes() >= DELIVERY_BYTES_MAX {
            way.store().await;
        }
    }
}

/// The way of lines from pushes to the sink.
struct Way<'a> {
    source: &'a Source,
    parts: &'a Surroundings,
    pipeline: Pipeline,
    delivery: Delivery,
    cursors: Cursors,
    place: u64,
    unanswered: Unanswered,
}

impl Way<'_> {
    async fn take(&mut self, push: Push) {
        let mut lines = 0;
        for stream in push.streams {
            let Some(labels) = labels(self.source, &stream.labels, push.tenant.as_deref()) else {
                self.parts.figures.dropped("relabel", stream.entries.len() as u64);
                continue;
            };
            for entry in stream.entries {
                self.place += 1;
                let now = Nanos::from_millis(self.parts.clock.now().millis());
                let time = if self.source.use_incoming_timestamp { entry.time } else { now };
                let mut made = Entry::new(time, entry.line.as_ref().to_owned(), &labels, self.place);
                made.metadata = entry.metadata.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
                self.process(made);
                lines += 1;
                if lines % LINES_AT_ONCE == 0 {
                    self.rest().await;
                }
            }
        }
        self.rest().await;
        if self.unanswered.len() >= HELD_MAX {
            // Its sender sends it again; the lines of the two differ in nothing.
            self.unanswered.pop_front();
        }
        self.unanswered.push_back((self.place, push.stored));
    }

    fn around(&self) -> Around<'_> {
        Around { now: self.parts.clock.now(), monotonic: self.parts.clock.monotonic(), figures: &self.parts.figures }
    }

    fn process(&mut self, entry: Entry) {
        self.parts.figures.lines.inc();
        self.parts.figures.bytes.add(entry.line.len() as u64);
        let mut out = Vec::new();
        let around = Around { now: self.parts.clock.now(), monotonic: self.parts.clock.monotonic(), figures: &self.parts.figures };
        self.pipeline.process(entry, &around, &mut out);
        out.into_iter().for_each(|entry| self.delivery.add(entry));
    }

    /// Lets others on, stores what is much, and waits where stages slow down.
    async fn rest(&mut self) {
        if self.delivery.bytes() >= DELIVERY_BYTES_MAX {
            self.store().await;
        }
        let pause = self.pipeline.pause(&self.around());
        if pause.is_zero() {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(pause).await;
        }
    }

    fn flush(&mut self) {
        let mut out = Vec::new();
        let around = Around { now: self.parts.clock.now(), monotonic: self.parts.clock.monotonic(), figures: &self.parts.figures };
        self.pipeline.flush(false, &around, &mut out);
        out.into_iter().for_each(|entry| self.delivery.add(entry));
    }

    /// Hands over what came out of the stages, and answers those of whom these hold nothing.
    async fn store(&mut self) {
        let held = self.pipeline.held();
        if !self.delivery.is_empty() {
            hand_over(self.parts, &origin(KIND, &self.source.name), &mut self.delivery, &mut self.cursors, held, false).await;
        }
        while let Some((_, stored)) = self.unanswered.pop_front_if(|(last, _)| held.is_none_or(|held| *last < held)) {
            // A sender that has gone away hears nothing.
            let _gone = stored.send(());
        }
    }
}

/// The labels of a stream's lines, unless rules leave it out or nothing is left.
fn labels(source: &Source, given: &Labels, tenant: Option<&str>) -> Option<BTreeMap<String, String>> {
    let mut builder = LabelsBuilder::new();
    let own = source.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in given.iter().chain(tenant.map(|tenant| ("__tenant_id__", tenant))).chain(own) {
        builder.set(name, value);
    }
    if relabel::apply(&source.relabel, &mut builder) == Verdict::Drop {
        return None;
    }
    let labels: BTreeMap<_, _> = builder.pairs().filter(|(name, _)| !name.starts_with("__")).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    (!labels.is_empty()).then_some(labels)
}
