//! Receivers against servers that note what arrives: exactly what is sent, what each answer means, and where nothing may go.
//! Beside ours, Debian's Alertmanager tells the same sinks of the same alerts; skipped, and said so, where it is absent.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

mod answers;
mod heartbeat;
mod mail;
mod mqtt;
mod original;
mod pictures;
mod setup;
mod sink;
mod wire;
