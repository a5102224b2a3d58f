//! Goes out and fetches: scrape, probes, host, GPU, self; a folder each. It keeps nothing and answers no request.

pub mod discovery;
mod gather;
pub mod gpu;
pub mod host;
pub mod json;
mod kernel_clock;
pub mod logs;
pub mod own;
pub mod postgres;
pub mod probe;
pub mod redis;
pub mod scrape;
