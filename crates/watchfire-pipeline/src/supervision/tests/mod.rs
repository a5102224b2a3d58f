//! Tests of supervision: its rules one by one, a thousand simulated lives against an oracle, and real peers.

mod behaviours;
mod bench;
mod memory;
mod simulation;
