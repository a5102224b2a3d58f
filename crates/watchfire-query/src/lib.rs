//! Query languages over any source: PromQL over metrics; searches for traces; profiles as flame graphs; LogQL, Lucene's query strings, KQL and Elasticsearch's searches over logs. It
//! never knows where the data are, and it is synchronous.

pub mod documents;
pub mod logql;
pub mod lucene;
mod pace;
pub mod profiles;
pub mod promql;
pub mod traces;
