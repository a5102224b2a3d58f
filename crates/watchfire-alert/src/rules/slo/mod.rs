//! Service level objectives: declared once, they become a group of recording rules and of alerts over several windows, which are
//! evaluated like the rules of any file. `read` takes the declarations from a document, `expand` writes the rules. Nothing here is
//! evaluated or kept.

mod expand;
mod read;
#[cfg(test)]
mod tests;

pub use expand::expand;
pub use read::{SLOS_MAX, read_file, read_list};

use super::file::Place;

/// What stands for the length of a window in the queries of an objective.
pub const WINDOW: &str = "$window";

/// One objective.
#[derive(Clone, Debug)]
pub struct Slo {
    /// What it is called in the names of its series.
    pub name: String,
    /// What the names of its series begin with.
    pub prefix: String,
    /// What part of all must be good, between 0 and 1.
    pub objective: f64,
    /// How that part is asked for.
    pub share: Share,
    /// The time over which the objective holds.
    pub period: Window,
    /// Windows whose share and burn rate are recorded, the period not among them.
    pub windows: Vec<Window>,
    /// How often all of it is evaluated, in milliseconds.
    pub interval_ms: u64,
    /// What the names of its alerts begin with.
    pub alert_prefix: String,
    /// Labels of its alerts.
    pub labels: Vec<(String, String)>,
    /// What is said of its alerts.
    pub annotations: Vec<(String, String)>,
    /// When somebody is told.
    pub burns: Vec<Burn>,
    /// Where it is declared.
    pub at: Place,
}

/// How the good part is asked for: queries with [`WINDOW`] in the place of a window's length.
#[derive(Clone, Debug)]
pub enum Share {
    /// The part itself.
    Ratio(Query),
    /// Good events and all events.
    Events(Query, Query),
}

/// A query with its place.
#[derive(Clone, Debug)]
pub struct Query {
    /// The text.
    pub text: String,
    /// Where it begins.
    pub at: Place,
}

/// A stretch of time, and how it is written in names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// As it was written.
    pub text: String,
    /// Its length in milliseconds.
    pub ms: u64,
}

/// One alert: the budget of errors is spent too fast in every one of some windows.
#[derive(Clone, Debug)]
pub struct Burn {
    /// What its name ends with.
    pub name: String,
    /// The windows, and how many times faster than allowed is too fast.
    pub factors: Vec<(Window, f64)>,
    /// How long that must last, in milliseconds.
    pub for_ms: u64,
    /// How bad it is.
    pub severity: String,
}

impl Slo {
    /// The highest burn rate that there can be: when nothing is good.
    pub fn burn_max(&self) -> f64 {
        1.0 / (1.0 - self.objective)
    }
    /// The series of the good part in a window.
    pub fn share_name(&self, window: &Window) -> String {
        format!("{}:{}:ratio_rate{}", self.prefix, self.name, window.text)
    }
    /// The series of the burn rate in a window.
    pub fn burn_name(&self, window: &Window) -> String {
        format!("{}:burn_rate:{}_{}", self.prefix, self.name, window.text)
    }
    /// The series of what is left of the budget of errors.
    pub fn budget_name(&self) -> String {
        format!("{}:error_budget:{}_remaining", self.prefix, self.name)
    }
}
