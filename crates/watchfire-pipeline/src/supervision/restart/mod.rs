//! Ways to restart a service: a file for each, one line in [`KINDS`]. What is restarted stands in the configuration; nothing that came
//! by the API ever becomes part of it.

mod command;
mod container;
mod systemd;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use watchfire_model::document::Reader;

use super::settings::Outside;

/// What a restart is doing: in the end how it went in words, or what went wrong.
pub type Restarting<'a> = Pin<Box<dyn Future<Output = Result<String, String>> + Send + 'a>>;

/// One way to restart a service.
pub trait Restart: Send + Sync {
    /// Restarts it. Whoever drops the future ends the attempt.
    fn restart(&self) -> Restarting<'_>;
    /// The kind and what it works on, for people.
    fn shown(&self) -> String;
}

/// A kind of restart and how it is read.
pub(super) struct Kind {
    /// Its key.
    pub(super) key: &'static str,
    /// Reads what stands at the key; what is wrong is told to the reader.
    pub(super) read: fn(&Reader<'_>, &Outside<'_>) -> Option<Arc<dyn Restart>>,
}

/// All kinds.
pub(super) const KINDS: [Kind; 3] = [systemd::KIND, container::KIND, command::KIND];
