//! Bytes sent to us become batches: a folder per protocol, then the gate for everybody.
//!
//! It opens no connection and serves no route: listeners hand it bodies that are already read, bounded and inflated,
//! collectors hand it batches. Every decoder here is synchronous, allocates in proportion to its input and never panics.

pub mod elasticsearch;
pub mod exposition;
pub mod ffmpeg;
pub mod gate;
pub mod gelf;
pub mod influx;
pub mod jsonline;
pub mod label_bytes;
mod label_names;
pub mod loki;
pub mod lumberjack;
pub mod native;
pub mod openmetrics;
pub mod otlp;
pub mod prometheus_proto;
pub mod prometheus_text;
pub mod protobuf;
pub mod pushgateway;
pub mod pyroscope;
pub mod record;
pub mod relabel;
pub mod remote_read;
pub mod remote_write;
pub mod sampling;
pub mod span_metrics;
pub mod statsd;
pub mod syslog;
pub mod tsdb;
mod waiting;
pub mod zipkin;
