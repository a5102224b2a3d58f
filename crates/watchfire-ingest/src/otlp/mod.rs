//! OTLP. Logs are in `logs`, traces in `traces`. Metrics: an `ExportMetricsServiceRequest`, in protobuf or JSON, becomes samples of Prometheus' model, translated
//! as Prometheus 3 does. Deltas become sums, exponential histograms become native ones. Input is already decompressed;
//! sockets, paths and gRPC's framing are the business of the face.

mod answer;
mod delta;
mod gathering;
mod json;
mod labels;
mod logs;
#[cfg(test)]
mod logs_tests;
mod merge;
mod names;
mod native;
mod points;
mod settings;
pub mod spans;
#[cfg(test)]
mod tests;
mod traces;
#[cfg(test)]
mod traces_tests;
mod translate;
mod value;

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use watchfire_model::batch::Origin;
use watchfire_model::meter::{Counter, Gauge, Meter};
use watchfire_model::time::SharedClock;
use watchfire_model::write::{WriteError, Written};

use crate::gate::Gate;
use crate::protobuf::WireError;
use crate::remote_write::created::Created;

pub use answer::status;
pub use gathering::ReceivedEntries;
pub(crate) use gathering::{Gathering, Kind};
pub use settings::{Promoted, Settings, TranslationStrategy};

/// Attributes of a resource that are labels of the stream of its log records; all others are structured metadata.
pub fn stream_attributes() -> &'static [&'static str] {
    &logs::STREAM
}

use delta::Sums;
use translate::{Surroundings, Translation};

/// How a request or an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `application/x-protobuf`.
    Protobuf,
    /// `application/json`.
    Json,
}
impl Format {
    /// A request as protobuf, which is the one form that is read.
    fn protobuf<'a>(self, body: &'a [u8], schema: &'static json::Schema) -> Result<Cow<'a, [u8]>, DecodeError> {
        match self {
            Format::Protobuf => Ok(Cow::Borrowed(body)),
            Format::Json => Ok(Cow::Owned(json::transcode(body, schema)?)),
        }
    }
}

/// Why a request cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// It is not the protobuf message that it should be.
    #[error("cannot read the export request: {0}")]
    Wire(#[from] WireError),
    /// It is not the JSON that it should be.
    #[error("cannot read the export request: {0}")]
    Json(#[from] serde_json::Error),
    /// A value within a value within a value …
    #[error("cannot read the export request: an attribute is nested too deeply")]
    Deep,
    /// A histogram or summary of absurd size.
    #[error("cannot read the export request: a point has more than {} buckets or quantiles", points::BUCKETS_MAX)]
    Buckets,
}

/// Why a request was not taken as a whole.
#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    /// Sending it again will not help.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// It can be sent again later.
    #[error(transparent)]
    Later(#[from] WriteError),
}

/// What became of a request.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// Data points in the request.
    pub points: u64,
    /// Data points that were not kept. Where the store refused samples it is the number of these, at most all points.
    pub rejected: u64,
    /// The samples, by what became of them; points that were refused before they became samples count once.
    pub written: Written,
}

impl Received {
    /// The answer: an `ExportMetricsServiceResponse`, which is empty when everything was kept.
    pub fn answer(&self, format: Format) -> Vec<u8> {
        answer::partial(format, "rejectedDataPoints", self.rejected, || self.message())
    }

    /// What was refused, in words.
    pub fn message(&self) -> String {
        answer::message(self.rejected, self.points, "data points", &self.written.rejected, self.written.example.as_deref())
    }
}

/// Takes OTLP metrics, logs and traces. Share it in an `Arc`; every method may be called from any thread and may block.
pub struct Otlp {
    gate: Arc<Gate>,
    clock: SharedClock,
    settings: RwLock<Arc<Settings>>,
    sums: Mutex<Sums>,
    created: Created,
    points: Counter,
    rejected: Counter,
    delta_series: Gauge,
}

impl Otlp {
    /// A receiver that writes through the gate.
    pub fn new(gate: Arc<Gate>, clock: SharedClock, meter: &Meter, settings: Settings) -> Otlp {
        Otlp {
            gate,
            clock,
            settings: RwLock::new(Arc::new(settings)),
            sums: Mutex::default(),
            created: Created::default(),
            points: meter.counter("watchfire_otlp_points_total", "Data points of OTLP metrics that were read.", &[]),
            rejected: meter.counter("watchfire_otlp_points_rejected_total", "Data points of OTLP metrics that were not kept.", &[]),
            delta_series: meter.gauge("watchfire_otlp_delta_series", "Series whose deltas are added up in memory.", &[]),
        }
    }

    /// Translates differently from the next request on.
    pub fn set(&self, settings: Settings) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }

    /// Takes a request. Points that cannot be kept are counted; the others are stored when this returns.
    pub fn metrics(&self, body: &[u8], format: Format, origin: Origin) -> Result<Received, OtlpError> {
        let message = format.protobuf(body, &json::METRICS_REQUEST)?;
        let settings = Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner));
        let around = Surroundings { settings: &settings, sums: &self.sums, created: &self.created, sink: &*self.gate, now: self.clock.monotonic() };
        let mut translation = Translation::new(around, origin.clone());
        let outcome = translation.run(&message);
        self.points.add(translation.points);
        let rejected = translation.points_lost + translation.refused.rejected_total();
        let Translation { refused, points, mut written, deltas, .. } = translation;
        // What is not stored is taken back before anybody counts.
        drop(deltas);
        self.delta_series.set(self.sums.lock().unwrap_or_else(PoisonError::into_inner).len() as f64);
        // What is refused counts once it is certain that the request will not come again.
        outcome?;
        self.gate.book_refused(&origin, &refused);
        self.rejected.add(rejected);
        written.add(refused);
        Ok(Received { points, rejected, written })
    }
}
