//! The receivers of data that others send, made once: what `prometheus.yml` says about them changes with every reload,
//! and what must be done now and then is done by tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use watchfire_collect::scrape::config::PrometheusConfig;
use watchfire_ingest::elasticsearch::Elasticsearch;
use watchfire_ingest::ffmpeg::Ffmpeg;
use watchfire_ingest::gate::Gate;
use watchfire_ingest::gelf::Gelf;
use watchfire_ingest::influx::Influx;
use watchfire_ingest::jsonline::Jsonline;
use watchfire_ingest::loki::Loki;
use watchfire_ingest::lumberjack::Lumberjack;
use watchfire_ingest::otlp::{self, Otlp};
use watchfire_ingest::pushgateway::Pushgateway;
use watchfire_ingest::pyroscope::Pyroscope;
use watchfire_ingest::statsd::Statsd;
use watchfire_ingest::syslog::Syslog;
use watchfire_ingest::zipkin::Zipkin;
use watchfire_model::meter::Meter;
use watchfire_model::state::StateStore;
use watchfire_model::time::SharedClock;
use watchfire_net::blocking::spawn_blocking;
use watchfire_net::tasks::Tasks;

use crate::settings::Settings;

/// How often it is stored which cameras tell their progress.
const FFMPEG_STATE_EVERY: Duration = Duration::from_secs(30);

/// All of them.
pub(crate) struct Protocols {
    pub(crate) otlp: Arc<Otlp>,
    pub(crate) pushgateway: Arc<Pushgateway>,
    pub(crate) influx: Arc<Influx>,
    pub(crate) loki: Arc<Loki>,
    pub(crate) pyroscope: Arc<Pyroscope>,
    pub(crate) elasticsearch: Arc<Elasticsearch>,
    pub(crate) zipkin: Arc<Zipkin>,
    pub(crate) jsonline: Arc<Jsonline>,
    pub(crate) ffmpeg: Arc<Ffmpeg>,
    pub(crate) lumberjack: Arc<Lumberjack>,
    pub(crate) gelf: Arc<Gelf>,
    pub(crate) statsd: Arc<Statsd>,
    pub(crate) syslog: Arc<Syslog>,
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
        Ok(Protocols {
            otlp: Arc::new(Otlp::new(gate.clone(), clock.clone(), meter, own.clone())),
            pushgateway: Arc::new(Pushgateway::open(gate.clone(), state, clock.clone(), meter).context("cannot start")?),
            influx: Arc::new(Influx::new(gate.clone(), clock.clone(), meter)),
            loki: Arc::new(Loki::new(gate.clone(), meter)),
            pyroscope: Arc::new(Pyroscope::new(gate.clone(), clock.clone(), meter)),
            elasticsearch: Arc::new(Elasticsearch::new(gate.clone(), clock.clone(), meter)),
            zipkin: Arc::new(Zipkin::new(gate.clone())),
            jsonline: Arc::new(Jsonline::new(gate.clone(), clock.clone(), meter)),
            ffmpeg: Arc::new(Ffmpeg::new(gate.clone(), clock.clone(), meter)),
            lumberjack: Arc::new(Lumberjack::new(gate.clone(), clock.clone(), meter)),
            gelf: Arc::new(Gelf::new(gate.clone(), clock.clone(), meter)),
            syslog: Arc::new(Syslog::new(gate.clone(), clock.clone(), meter)),
            statsd: Arc::new(Statsd::new(gate.clone(), clock.clone(), meter)),
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

    /// Starts what is done now and then.
    pub(crate) fn start(self: &Arc<Protocols>, tasks: &Tasks) {
        let ffmpeg = self.ffmpeg.clone();
        tasks.spawn("ffmpeg", async move {
            loop {
                tokio::time::sleep(FFMPEG_STATE_EVERY).await;
                let ffmpeg = ffmpeg.clone();
                if let Err(error) = spawn_blocking(move || ffmpeg.repeat()).await {
                    tracing::error!(%error, "storing which cameras are connected panicked");
                }
            }
        });
        let all = self.clone();
        tasks.spawn("pushgateway", async move {
            loop {
                tokio::time::sleep(Duration::from_millis(all.repeat_ms.load(Ordering::Relaxed))).await;
                let pushgateway = all.pushgateway.clone();
                if pushgateway.is_empty() {
                    continue;
                }
                if let Err(error) = spawn_blocking(move || pushgateway.repeat()).await {
                    tracing::error!(%error, "storing pushed metrics panicked");
                }
            }
        });
    }
}
