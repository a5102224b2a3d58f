//! Small adapters between what faces hand over and what the ingest rooms take.

use std::sync::Arc;

use watchfire_api::app::{self, RecordError, Recorded, RefusedItem, RemoteWriteError};
use watchfire_ingest::gate::Gate;
use watchfire_ingest::record::{self, Recorder};
use watchfire_ingest::remote_write as wire;
use watchfire_model::batch::Origin;
use watchfire_model::meter::{Counter, Meter};
use watchfire_model::write::{Sink, Written};

/// Takes remote-write messages: decodes them, stores what is good and books what was refused before it came to the gate.
pub(super) struct RemoteWrite {
    gate: Arc<Gate>,
    decoder: wire::Decoder,
    exemplars: Counter,
}
impl RemoteWrite {
    pub(super) fn new(gate: Arc<Gate>, meter: &Meter, options: wire::Options) -> RemoteWrite {
        let exemplars = meter.counter(
            "watchfire_remote_write_exemplars_refused_total",
            "Exemplars of remote write that no series could have: without a time, with labels that cannot be, or of a refused series.",
            &[],
        );
        RemoteWrite { gate, decoder: wire::Decoder::new(options), exemplars }
    }

    /// Takes one message, already decompressed. What is refused is booked only when the rest is stored: else it comes again.
    pub(super) fn take(&self, version: wire::Version, message: &[u8], origin: Origin) -> Result<Written, RemoteWriteError> {
        let mut decoded = self.decoder.decode(version, message, origin.clone()).map_err(|error| match error {
            wire::DecodeError::TooLarge(_) => RemoteWriteError::TooLarge(error.to_string()),
            _ => RemoteWriteError::Malformed(error.to_string()),
        })?;
        let news = decoded.take_news();
        let mut written = self.gate.write(decoded.batch).map_err(RemoteWriteError::Later)?;
        self.decoder.stored(news, |labels| self.gate.is_active(&origin, labels));
        self.exemplars.add(decoded.exemplars_refused);
        self.gate.book_refused(&origin, &decoded.refused);
        written.add(decoded.refused);
        Ok(written)
    }
}

/// The recorder as the native face sees it.
pub(super) struct Recording(pub(super) Arc<Recorder>);
impl app::Recorder for Recording {
    fn record(&self, body: &[u8], _origin: Origin) -> Result<Recorded, RecordError> {
        let outcome = self.0.record(body).map_err(|e| match e {
            record::RecordError::TooLarge(_) => RecordError::TooLarge(e.to_string()),
            _ => RecordError::Malformed(e.to_string()),
        })?;
        let refused = outcome.refused.into_iter().map(|r| RefusedItem { index: r.index, name: r.name, code: r.code, message: r.message });
        Ok(Recorded { recorded: outcome.recorded, refused: refused.collect() })
    }
}
