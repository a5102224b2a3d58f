//! Query languages over any source: PromQL over metrics, LogQL over logs. It never knows where the data are, and it is synchronous.

pub mod logql;
pub mod promql;
