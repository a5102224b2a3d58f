//! What the receiver of pushes counts: pushes that were refused, by reason, and ends of series that found no room. Samples are
//! counted by the gate.

use watchfire_model::meter::{Counter, Meter};

use super::PushError;

/// The counters.
pub(super) struct Books {
    path: Counter,
    malformed: Counter,
    inconsistent: Counter,
    key: Counter,
    full: Counter,
    state: Counter,
    ends_lost: Counter,
}
impl Books {
    pub(super) fn new(meter: &Meter) -> Books {
        let refused = |reason| meter.counter("watchfire_pushgateway_pushes_refused_total", "Pushes that were not taken, by reason.", &[("reason", reason)]);
        Books {
            path: refused("path"),
            malformed: refused("malformed"),
            inconsistent: refused("inconsistent"),
            key: refused("group_labels"),
            full: refused("full"),
            state: refused("state"),
            ends_lost: meter.counter(
                "watchfire_pushgateway_ends_lost_total",
                "Pushed series that ended without a mark, because too many others wait for theirs.",
                &[],
            ),
        }
    }
    pub(super) fn refused(&self, error: &PushError) {
        let counter = match error {
            PushError::Path(_) => &self.path,
            PushError::Malformed(_) => &self.malformed,
            PushError::Inconsistent(_) => &self.inconsistent,
            PushError::Key(_) => &self.key,
            PushError::Full(_) => &self.full,
            PushError::State(_) => &self.state,
        };
        counter.inc();
    }
    pub(super) fn end_lost(&self) {
        self.ends_lost.inc();
    }
}
