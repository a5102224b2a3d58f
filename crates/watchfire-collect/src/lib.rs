//! Goes out and fetches: scrape, host, GPU, self; a folder each. It keeps nothing and answers no request.

mod gather;
pub mod gpu;
pub mod host;
pub mod own;
