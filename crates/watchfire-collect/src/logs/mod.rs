//! Collects log lines: from files, the journal and containers, through stages that give them labels and times, into the sink. A folder
//! for each source and for each foreign configuration. It keeps no line and answers no question about them.

pub mod alloy;
mod collector;
pub mod containers;
mod entry;
mod face;
mod figures;
pub mod filebeat;
pub mod files;
mod hand_over;
pub mod journal;
pub mod otlp;
pub mod outputs;
pub mod promtail;
pub mod pushed;
pub mod stages;
pub mod syslog;

use std::sync::Arc;

use watchfire_model::meter::Meter;
use watchfire_model::state::StateStore;
use watchfire_model::time::SharedClock;
use watchfire_model::write::Sink;
use watchfire_net::policy::Network;

pub use collector::{Collected, Collector};
pub use entry::{Delivery, Entry};
pub use figures::Figures;

/// What collecting needs from outside.
#[derive(Clone)]
pub struct Surroundings {
    /// Takes the lines.
    pub sink: Arc<dyn Sink>,
    /// Keeps how far sources were read.
    pub state: Arc<dyn StateStore>,
    /// The time.
    pub clock: SharedClock,
    /// Counts.
    pub figures: Arc<Figures>,
    /// Who may send to addresses that configurations open, besides this machine.
    pub trusted: Arc<[Network]>,
}
impl Surroundings {
    /// Puts the parts together.
    pub fn new(sink: Arc<dyn Sink>, state: Arc<dyn StateStore>, clock: SharedClock, meter: &Meter) -> Surroundings {
        Surroundings { sink, state, clock, figures: Arc::new(Figures::new(meter)), trusted: Arc::default() }
    }
    /// The same where these networks may send, too.
    pub fn trusting(self, networks: impl IntoIterator<Item = Network>) -> Surroundings {
        Surroundings { trusted: networks.into_iter().collect(), ..self }
    }
}
