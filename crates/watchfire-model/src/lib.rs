//! The words every other crate speaks: labels, time, samples, batches, matchers, the seams between
//! rooms (`write::Sink`, `read::Source`, `state::StateStore`), our own meter, and documents with positions.
//!
//! It is *not* a place for protocols, files, sockets or query languages: nothing here does I/O
//! (except `time::SystemClock`, which reads the clock) and nothing here can block.

pub mod batch;
pub mod camera;
pub mod document;
pub mod duration;
pub mod exporter;
pub mod go_regex;
pub mod histogram;
pub mod labels;
pub mod level;
pub mod live;
pub mod logs;
pub mod matcher;
pub mod meter;
pub mod number;
pub mod observe;
pub mod order;
pub mod profiles;
pub mod read;
pub mod sample;
pub mod spans;
pub mod state;
pub mod sum;
pub mod text;
pub mod time;
pub mod windows;
pub mod write;
