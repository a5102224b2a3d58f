//! Logs: streams of lines, first in memory (`head`), then in immutable files (`segment`), in columnar blocks (`block`). The
//! write-ahead log below knows nothing of lines; `record` says what logs put into it.

pub(crate) mod block;
mod bloom;
pub(crate) mod choose;
mod columns;
pub(crate) mod compact;
pub(crate) mod head;
mod instant;
pub(crate) mod piece;
pub(crate) mod recent;
pub(crate) mod segment;
pub(crate) mod select;
mod split;
pub(crate) mod streams;
#[cfg(test)]
mod tests;
mod tokens;
mod unpack;
pub(crate) mod volume;
