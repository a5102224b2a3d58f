//! Goes out and fetches: scrape, probes, host, GPU, self; a folder each. It keeps nothing and answers no request.

pub mod camera;
pub mod containers;
pub mod discovery;
mod engine;
mod gather;
pub mod gpu;
pub mod host;
pub mod json;
mod kernel_clock;
pub mod llm;
pub mod logs;
pub mod own;
pub mod postgres;
pub mod probe;
pub mod process;
pub mod redis;
mod rounds;
pub mod scrape;
pub mod streams;
#[cfg(test)]
mod told;
mod xml;
