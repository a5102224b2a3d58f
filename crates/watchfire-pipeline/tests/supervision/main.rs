//! Supervision against real peers: a web server, Redis, PostgreSQL, processes, and a container socket and a `systemctl` that write down
//! what they are asked. A peer that is not installed is skipped, loudly.

#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod bench;
mod engine;
mod peers;
mod restarts;
