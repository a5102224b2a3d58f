//! For tests only: a hand-cranked clock, an in-memory source and sink, fault injection. Never linked into the binary.

pub mod logs;
pub mod memory;
