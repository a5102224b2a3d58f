//! The receivers of protocols that a reload of `prometheus.yml` changes, made once and told of every new configuration.

use std::sync::Arc;

use watchfire_collect::scrape::config::PrometheusConfig;
use watchfire_ingest::gate::Gate;
use watchfire_ingest::otlp::{self, Otlp};
use watchfire_model::meter::Meter;
use watchfire_model::time::SharedClock;

use crate::settings::Settings;

/// All of them.
pub(crate) struct Protocols {
    pub(crate) otlp: Arc<Otlp>,
    /// What our own settings say about the translation of OTLP metrics.
    own: otlp::Settings,
}

impl Protocols {
    /// Makes the receivers; they work with the defaults of `prometheus.yml` until they are told otherwise.
    pub(crate) fn new(settings: &Settings, gate: &Arc<Gate>, clock: &SharedClock, meter: &Meter) -> Protocols {
        let own = otlp::Settings {
            start_time_zero_samples: settings.ingest.created_timestamps,
            type_and_unit_labels: settings.ingest.type_and_unit_labels,
            lookback_ms: i64::try_from(settings.query.lookback.as_millis()).unwrap_or(i64::MAX),
            ..otlp::Settings::default()
        };
        Protocols { otlp: Arc::new(Otlp::new(gate.clone(), clock.clone(), meter, own.clone())), own }
    }

    /// Takes over a configuration.
    pub(crate) fn apply(&self, config: &PrometheusConfig) {
        let otlp::Settings { start_time_zero_samples, type_and_unit_labels, lookback_ms, .. } = self.own;
        self.otlp.set(otlp::Settings { start_time_zero_samples, type_and_unit_labels, lookback_ms, ..config.otlp.clone() });
    }
}
