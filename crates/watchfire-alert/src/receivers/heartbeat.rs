//! The dead man's heartbeat: a place outside is asked at intervals for as long as alerts would reach somebody, so that it misses us
//! when we fall silent. What that takes is asked of whoever knows; nothing is stored, and a beat that failed is not repeated.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use watchfire_model::document::Reader;
use watchfire_model::meter::{Counter, Gauge, Meter};
use watchfire_net::client::{HttpOptions, SecretSource};

use super::exchange::{Call, Http, read_secret_text, secret_url_at, send};
use super::{DELIVERY_TIME_MAX, DeliveryError, Outside};

/// How often it beats unless somebody says otherwise.
const INTERVAL: Duration = Duration::from_secs(60);
/// It never beats more often.
const INTERVAL_MIN: Duration = Duration::from_secs(10);

/// What is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Who is asked.
    pub url: Option<SecretSource>,
    /// How often.
    pub interval: Duration,
    /// Whether there is an alert as well that always fires.
    pub alert: bool,
}

impl Heartbeat {
    /// Reads the section `heartbeat`; errors go to the reader's context.
    pub fn read(reader: Reader<'_>, locate: &dyn Fn(&str) -> PathBuf) -> Heartbeat {
        let interval = reader.duration_ms("interval").map_or(INTERVAL, Duration::from_millis);
        if interval < INTERVAL_MIN {
            reader.error_at("interval", format!("must be at least {} s", INTERVAL_MIN.as_secs()));
        }
        let heartbeat = Heartbeat {
            url: secret_url_at(&reader, locate, "url", "url_file"),
            interval: interval.max(INTERVAL_MIN),
            alert: reader.bool("alert").unwrap_or(false),
        };
        reader.finish();
        heartbeat
    }

    /// Asks the place once.
    async fn beat(&self, url: &SecretSource, outside: &Outside) -> Result<(), DeliveryError> {
        let url = read_secret_text(url).await?;
        let http = Http::plain(Arc::new(HttpOptions::default()), DELIVERY_TIME_MAX.min(self.interval));
        let call = Call { method: Method::GET, body: Vec::new(), ..Call::secret_json(&url, &serde_json::Value::Null) };
        send(outside, &http, call).await.map(drop)
    }

    /// Beats for ever; `well` says why it must not. Returns at once when no place is configured.
    pub async fn run(self, outside: Outside, meter: &Meter, well: impl Fn() -> Result<(), String>) {
        let Some(url) = self.url.clone() else { return };
        let figures = Figures::new(meter);
        let mut silent = false;
        let mut ticks = tokio::time::interval(self.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let outcome = match well() {
                Ok(()) => self.beat(&url, &outside).await.map_err(|error| (&figures.failed, error.to_string())),
                Err(reason) => Err((&figures.unwell, reason)),
            };
            match outcome {
                Ok(()) => {
                    figures.sent.inc();
                    figures.at.set(outside.clock.now().secs_f64());
                    if silent {
                        tracing::info!("the heartbeat is back");
                    }
                    silent = false;
                }
                Err((counter, reason)) => {
                    counter.inc();
                    if !silent {
                        tracing::error!(reason, "no heartbeat: whoever listens for it will miss us");
                    }
                    silent = true;
                }
            }
        }
    }
}

struct Figures {
    sent: Counter,
    unwell: Counter,
    failed: Counter,
    at: Gauge,
}
impl Figures {
    fn new(meter: &Meter) -> Figures {
        let missed = |reason| meter.counter("watchfire_heartbeat_missed_total", "Heartbeats that nobody heard, by reason.", &[("reason", reason)]);
        Figures {
            sent: meter.counter("watchfire_heartbeat_sent_total", "Heartbeats that were heard.", &[]),
            unwell: missed("unwell"),
            failed: missed("not_delivered"),
            at: meter.gauge("watchfire_heartbeat_last_timestamp_seconds", "When a heartbeat was last heard.", &[]),
        }
    }
}
