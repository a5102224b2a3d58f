//! For tests only: a hand-cranked clock, an in-memory source and sink, a state store, ports. Never linked into the binary.

pub mod logs;
pub mod memory;
pub mod ports;
pub mod state;
