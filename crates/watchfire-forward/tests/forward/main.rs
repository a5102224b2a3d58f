//! Both ways of forwarding against receivers and places that answer as a test wants it. What needs real peers is tested with the binary.

mod logs;
mod otlp;
mod read;
mod stub;
mod traces;
mod write;
