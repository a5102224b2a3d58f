//! Says once that something is over, and lets threads wait for it with a limit.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Rings once.
#[derive(Debug, Default)]
pub struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}
impl Bell {
    /// Rings.
    pub fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }
    /// Whether it has rung.
    pub fn has_rung(&self) -> bool {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Waits so long at most; returns whether it has rung.
    pub fn wait(&self, time: Duration) -> bool {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        self.changed.wait_timeout_while(rung, time, |rung| !*rung).map_or(true, |(rung, _)| *rung)
    }
}
