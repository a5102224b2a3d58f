//! Tests of supervision: its rules one by one, a thousand simulated lives against an oracle, and real peers.

mod behaviours;
mod memory;
mod simulation;
