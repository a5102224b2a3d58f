//! Small adapters between what faces hand over and what the ingest rooms take.

use std::sync::Arc;

use watchfire_api::app::{self, RecordError, Recorded, RefusedItem};
use watchfire_ingest::gate::Gate;
use watchfire_ingest::record::{self, Recorder};
use watchfire_ingest::remote_write as wire;
use watchfire_model::batch::{Batch, Origin};
use watchfire_model::meter::{Counter, Meter};
use watchfire_model::write::Written;

/// Decodes remote-write messages and books what this version cannot keep.
pub(super) struct RemoteWrite {
    gate: Arc<Gate>,
    exemplars: Counter,
}
impl RemoteWrite {
    pub(super) fn new(gate: Arc<Gate>, meter: &Meter) -> RemoteWrite {
        let exemplars = meter.counter("watchfire_remote_write_exemplars_ignored_total", "Exemplars of remote write, which this version does not keep.", &[]);
        RemoteWrite { gate, exemplars }
    }

    /// Decodes one message, already decompressed.
    pub(super) fn decode(&self, message: &[u8], origin: Origin) -> Result<(Batch, Written), String> {
        let decoded = wire::decode(message, origin.clone()).map_err(|e| e.to_string())?;
        self.exemplars.add(decoded.exemplars);
        self.gate.book_refused(&origin, &decoded.refused);
        Ok((decoded.batch, decoded.refused))
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
