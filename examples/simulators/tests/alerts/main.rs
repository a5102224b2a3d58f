//! Each alert of the packs `vms`, `pisovereign` and `hsi`, caused in a simulated system and mended: it fires for the right reason, with the
//! labels of what is wrong, and resolves. The real server runs with the packs' rules, whose times are a sixtieth of what they are.
//!
//! `cargo test -p simulators` needs the server's program beside that of the simulators (`cargo build -p watchfire`), or in `WATCHFIRE_BIN`.
//! With `WATCHFIRE_SIMULATE_LONG=1` the rows that need minutes or a gigabyte run, too.

#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod cases;
mod hsi;
mod pisovereign;
mod rules;
mod run;
mod vms;
