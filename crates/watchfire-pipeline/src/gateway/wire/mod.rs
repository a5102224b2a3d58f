//! What callers and upstreams say: request bodies, streams of events, what they tell of tokens, headers that may pass. Plain code
//! over bytes; no socket, no account.

pub(super) mod asked;
pub(super) mod events;
pub(super) mod headers;
pub(super) mod piece;
pub(super) mod prompt;
