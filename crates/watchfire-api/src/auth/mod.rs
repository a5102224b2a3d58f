//! Who may do what: levels, tokens, users, sessions. Nothing here decides what a route does, only whether it runs.

mod caller;
mod keys;
mod level;
mod password;
mod records;
mod routes;
mod service;
mod settings;
#[cfg(test)]
mod tests;
mod throttle;

pub use caller::{Caller, Via};
pub use level::{Level, Rights};
pub use routes::routes;
pub use service::{ADMIN_TOKEN, Auth, AuthError, TOKEN_FILE};
pub use settings::{BindRefused, ConfiguredUser, PasswordSource, SESSION_IDLE, Settings, check_bind};
