//! What the benchmarks of whole processes share: starting one, loading it, asking it over HTTP, reading what the kernel says about it, tables with
//! ratios. It knows no workload and no server.
#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time, and waits for other processes")]

pub mod client;
pub mod load;
pub mod process;
pub mod table;
pub mod timing;
