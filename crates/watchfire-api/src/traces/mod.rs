//! What the faces of traces have in common: spans written as OTLP. It has no routes.

pub use watchfire_ingest::otlp::spans as otlp;
