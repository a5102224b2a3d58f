//! The binary: command line, configuration, wiring, supervision, shutdown. Everything else is in the rooms below.

fn main() {}
