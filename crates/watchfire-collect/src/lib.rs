//! Goes out and fetches: scrape, host, GPU, self; a folder each. It keeps nothing and answers no request.

pub mod discovery;
mod gather;
pub mod gpu;
pub mod host;
mod kernel_clock;
pub mod logs;
pub mod own;
pub mod scrape;
