//! The seam to whoever takes alerts on: the Alertmanager inside, or others outside. Nothing is sent or stored here.

use watchfire_model::labels::Labels;
use watchfire_model::time::Timestamp;

/// An alert on its way. It fires as long as `ends_at` lies ahead; a resolved one ended in the past.
#[derive(Clone, Debug, PartialEq)]
pub struct OutgoingAlert {
    /// What it is; two alerts with equal labels are one. External labels are not among them yet.
    pub labels: Labels,
    /// What is said of it. An empty annotation is none.
    pub annotations: Labels,
    /// When it began to fire.
    pub starts_at: Timestamp,
    /// When it was resolved; while it fires, the moment after which it counts as resolved unless it is sent again.
    pub ends_at: Timestamp,
    /// Whether it was resolved.
    pub resolved: bool,
    /// Where the expression can be looked at.
    pub generator_url: String,
}

/// Takes alerts on. Rules say again and again what fires, so a taker may forget; it must not wait for anybody outside.
pub trait Notify: Send + Sync {
    /// Takes what is new or due again of one rule at one evaluation.
    fn notify(&self, alerts: Vec<OutgoingAlert>);
}
