//! Listening sockets with limits. Not a router: what is served comes from outside as a service.

mod peer;

pub use peer::Peer;
