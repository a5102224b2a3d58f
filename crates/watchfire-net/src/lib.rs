//! What crosses a socket and is no protocol: HTTP client, listeners with limits, TLS, secrets, backoff, bounded
//! decompression, outgoing-address policy, the supervised task set. Nobody else opens a connection. It knows no route,
//! no metric format and no store.

mod accept;
pub mod backoff;
pub mod blocking;
pub mod client;
pub mod dial;
pub mod exchange;
pub mod inflate;
pub mod lines;
pub mod listener;
pub mod multicast;
pub mod policy;
pub mod postgres;
pub mod redis;
pub mod secret;
pub mod tasks;
pub mod timed;
pub mod tls;
pub mod trace;
pub mod unix;
