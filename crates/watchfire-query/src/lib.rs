//! Query languages over any `Source`: PromQL today. It never knows where the data are, and it is synchronous.

pub mod promql;
