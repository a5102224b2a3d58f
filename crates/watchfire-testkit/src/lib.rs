//! For tests only: a hand-cranked clock, an in-memory source and sink, a state store. Never linked into the binary.

pub mod logs;
pub mod memory;
pub mod state;
