//! Logs and spans: entries of streams, first in memory (`head`), then in immutable files (`segment`), in columnar blocks (`block`). The
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
mod sieve;
mod signal;
mod split;
pub(crate) mod streams;
#[cfg(test)]
mod tests;
mod tokens;
mod unpack;
pub(crate) mod volume;

pub(crate) use signal::{PerSignal, Signal};

/// Reads bytes as a block, for the fuzzer.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz_block(rows: u32, head: &[u8], columns: &[u8]) {
    let Ok(mut decompressor) = zstd::bulk::Decompressor::new() else { return };
    let info = block::Info { rows, columns: columns.len() as u32, ..block::Info::default() };
    let Some(mut head) = unpack::Head::decode(&mut crate::encoding::Input::new(head), &info) else { return };
    head.trust(columns);
    let needles = [tokens::Needle::new("needle-7f3a9c"), tokens::Needle::new("42")];
    head.may_contain(&needles, &mut || Some(columns.to_vec()), &mut decompressor);
    let Some(mut rows) = head.rows(columns, true, &mut decompressor) else { return };
    let (mut line, mut metadata) = (Vec::new(), String::new());
    while rows.read_metadata(&mut metadata).and_then(|()| rows.read_line(&mut line)).is_some() {
        line.clear();
    }
}
