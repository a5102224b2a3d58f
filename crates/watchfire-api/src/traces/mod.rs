//! What the faces of traces have in common: spans written as OTLP (`otlp`). It has no routes.

pub mod otlp;
