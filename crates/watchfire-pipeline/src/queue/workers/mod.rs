//! Workers: who works on jobs, here or elsewhere; and the supervision of those that live in this process. A job is not a worker's affair
//! longer than its lease, so nothing here can lose one.

mod pool;
mod roll;
mod supervisor;

pub use pool::{Handler, Pool};
pub use roll::Roll;
pub use supervisor::{Restarts, State, Supervisor};
