//! Who else gets a copy, and is it there yet? `remote_write` and `remote_read` of `prometheus.yml` and the outputs of
//! log collectors, and of traces, carried out: what is written here goes on to other places, and what other places have is read beside what is here. Not for receiving: that is ingest's.

pub mod entries;
pub mod read;
mod wire;
pub mod write;
