//! Who may do what: levels, tokens, users, sessions. Nothing here decides what a route does, only whether it runs.

mod caller;
mod level;

pub use caller::{Caller, Via};
pub use level::{Level, Rights};
