//! The table of routes and everything that happens before and after a handler: Host, Origin, access level, body limits,
//! time limit, panics, request ids, security headers, HTTP metrics. It knows no face.

mod body;
mod compression;
mod doc;
mod hosts;
mod pipeline;
mod refusal;
mod request_id;
mod route;
#[cfg(test)]
mod tests;

pub use crate::auth::Level;
pub(crate) use body::{Held, NotInflated, Turn};
pub(crate) use compression::accepts;
pub use doc::{Answer, Described, Doc, Parameter, Place, Shape};
pub use hosts::Hosts;
pub(crate) use pipeline::OwnPolicy;
pub use pipeline::{Doors, Identify, build};
pub use refusal::{Envelope, Refusal, native_envelope};
pub use request_id::RequestId;
pub use route::{BODY_BYTES_MAX, Content, HANDLER_TIME_MAX, Route, Spec};
