//! The receivers of data that others send, made once: what `prometheus.yml` says about them changes with every reload,
//! and what must be done now and then is done by tasks.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::{TcpListener, UdpSocket};
use watchfire_collect::scrape::config::PrometheusConfig;
use watchfire_ingest::elasticsearch::Elasticsearch;
use watchfire_ingest::gate::Gate;
use watchfire_ingest::influx::Influx;
use watchfire_ingest::loki::Loki;
use watchfire_ingest::otlp::{self, Otlp};
use watchfire_ingest::pushgateway::Pushgateway;
use watchfire_ingest::statsd::{self, Statsd};
use watchfire_ingest::syslog::{self, Syslog};
use watchfire_model::meter::Meter;
use watchfire_model::state::StateStore;
use watchfire_model::time::SharedClock;
use watchfire_net::lines::{self, Receiver};
use watchfire_net::policy::Network;
use watchfire_net::tasks::Tasks;

use crate::settings::Settings;

/// All of them.
pub(crate) struct Protocols {
    pub(crate) otlp: Arc<Otlp>,
    pub(crate) pushgateway: Arc<Pushgateway>,
    pub(crate) influx: Arc<Influx>,
    pub(crate) loki: Arc<Loki>,
    pub(crate) elasticsearch: Arc<Elasticsearch>,
    statsd: Arc<Lines<Statsd>>,
    syslog: Arc<Lines<Syslog>>,
    /// What our own settings say about the translation of OTLP metrics.
    own: otlp::Settings,
    /// How often pushed groups are stored again: as often as targets are scraped.
    repeat_ms: AtomicU64,
}

impl Protocols {
    /// Makes the receivers; they work with the defaults of `prometheus.yml` until they are told otherwise.
    pub(crate) fn new(settings: &Settings, gate: &Arc<Gate>, state: Arc<dyn StateStore>, clock: &SharedClock, meter: &Meter) -> Result<Protocols> {
        let own = otlp::Settings {
            start_time_zero_samples: settings.ingest.created_timestamps,
            type_and_unit_labels: settings.ingest.type_and_unit_labels,
            lookback_ms: i64::try_from(settings.query.lookback.as_millis()).unwrap_or(i64::MAX),
            ..otlp::Settings::default()
        };
        let server = &settings.server;
        let trusted: Vec<Network> = server.trusted_networks.iter().filter_map(|text| text.parse().ok()).collect();
        let statsd = Statsd::new(gate.clone(), clock.clone(), meter);
        Ok(Protocols {
            otlp: Arc::new(Otlp::new(gate.clone(), clock.clone(), meter, own.clone())),
            pushgateway: Arc::new(Pushgateway::open(gate.clone(), state, clock.clone(), meter).context("cannot start")?),
            influx: Arc::new(Influx::new(gate.clone(), clock.clone(), meter)),
            loki: Arc::new(Loki::new(gate.clone(), meter)),
            elasticsearch: Arc::new(Elasticsearch::new(gate.clone(), clock.clone(), meter)),
            syslog: Arc::new(Lines { lines: Syslog::new(gate.clone(), clock.clone(), meter), trusted: trusted.clone(), anybody: server.insecure_no_auth }),
            statsd: Arc::new(Lines { lines: statsd, trusted, anybody: server.insecure_no_auth }),
            own,
            repeat_ms: AtomicU64::new(60_000),
        })
    }

    /// Takes over a configuration.
    pub(crate) fn apply(&self, config: &PrometheusConfig) {
        let otlp::Settings { start_time_zero_samples, type_and_unit_labels, lookback_ms, .. } = self.own;
        self.otlp.set(otlp::Settings { start_time_zero_samples, type_and_unit_labels, lookback_ms, ..config.otlp.clone() });
        self.repeat_ms.store(config.global.scrape_interval_ms.max(1_000), Ordering::Relaxed);
    }

    /// Starts what is done now and then, and takes what comes by the sockets of StatsD.
    pub(crate) fn start(self: &Arc<Protocols>, sockets: Option<(UdpSocket, TcpListener)>, tasks: &Tasks) {
        let all = self.clone();
        tasks.spawn("pushgateway", async move {
            loop {
                tokio::time::sleep(Duration::from_millis(all.repeat_ms.load(Ordering::Relaxed))).await;
                let pushgateway = all.pushgateway.clone();
                if let Err(error) = tokio::task::spawn_blocking(move || pushgateway.repeat()).await {
                    tracing::error!(%error, "storing pushed metrics panicked");
                }
            }
        });
        let Some((datagrams, listener)) = sockets else { return };
        tasks.spawn("statsd_udp", lines::receive(datagrams, self.statsd.clone()));
        tasks.spawn("statsd_tcp", lines::accept(listener, self.statsd.clone(), tasks.clone()));
        let receiver = self.statsd.clone();
        tasks.spawn("statsd", async move {
            let mut ticks = tokio::time::interval(statsd::INTERVAL);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let receiver = receiver.clone();
                match tokio::task::spawn_blocking(move || receiver.lines.flush()).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => tracing::warn!(%error, "StatsD metrics were not stored; the next try holds them too"),
                    Err(error) => tracing::error!(%error, "storing StatsD metrics panicked"),
                }
            }
        });
    }

    /// Takes what comes by the sockets of syslog, and stores it at a short interval.
    pub(crate) fn start_syslog(self: &Arc<Protocols>, sockets: Option<(UdpSocket, TcpListener)>, tasks: &Tasks) {
        let Some((datagrams, listener)) = sockets else { return };
        tasks.spawn("syslog_udp", lines::receive(datagrams, self.syslog.clone()));
        tasks.spawn("syslog_tcp", lines::accept(listener, self.syslog.clone(), tasks.clone()));
        let receiver = self.syslog.clone();
        tasks.spawn("syslog", async move {
            let mut ticks = tokio::time::interval(syslog::INTERVAL);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let receiver = receiver.clone();
                match tokio::task::spawn_blocking(move || receiver.lines.flush()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::warn!(%error, "syslog was not stored; the next try holds it too"),
                    Err(error) => tracing::error!(%error, "storing syslog panicked"),
                }
            }
        });
    }
}

/// What takes lines.
trait TakeLines: Send + Sync + 'static {
    fn take(&self, lines: &[u8]);
    fn dropped(&self, lines: u64);
}
impl TakeLines for Statsd {
    fn take(&self, lines: &[u8]) {
        Statsd::take(self, lines);
    }
    fn dropped(&self, lines: u64) {
        Statsd::dropped(self, lines);
    }
}
impl TakeLines for Syslog {
    fn take(&self, lines: &[u8]) {
        Syslog::take(self, lines);
    }
    fn dropped(&self, lines: u64) {
        Syslog::dropped(self, lines);
    }
}

/// Neither StatsD nor syslog has a proof of who sends: this machine may, and trusted networks.
struct Lines<T> {
    lines: T,
    trusted: Vec<Network>,
    anybody: bool,
}
impl<T: TakeLines> Receiver for Lines<T> {
    fn allows(&self, peer: IpAddr) -> bool {
        self.anybody || peer.is_loopback() || self.trusted.iter().any(|network| network.contains(peer))
    }
    fn take(&self, lines: &[u8]) {
        self.lines.take(lines);
    }
    fn dropped(&self, lines: u64) {
        self.lines.dropped(lines);
    }
}
