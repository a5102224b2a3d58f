//! What `zstd -1` takes for the same lines on this machine, in this run: the unit in which the other figures are comparable.

use anyhow::{Result, ensure};
use bench_harness::timing::thread_cpu as cpu;

use crate::workload::Plan;

/// As much is compressed at once.
const BLOCK_BYTES: usize = 1 << 20;

/// MB of lines per CPU second.
#[derive(Clone, Copy)]
pub(crate) struct Yardstick {
    pub(crate) bytes: u64,
    pub(crate) compress: f64,
    pub(crate) decompress: f64,
    /// Bytes left of a byte.
    pub(crate) left: f64,
}

/// Compresses and decompresses all lines, one to a line.
pub(crate) fn measure(plan: &Plan) -> Result<Yardstick> {
    let mut compressor = zstd::bulk::Compressor::new(1)?;
    let mut decompressor = zstd::bulk::Decompressor::new()?;
    let (mut lines, mut raw, mut stored, mut packing, mut unpacking) = (0, 0, 0, 0.0, 0.0);
    let mut block = String::new();
    for n in 0..plan.lines {
        let text = plan.line(n).text;
        lines += text.len() as u64;
        block.push_str(&text);
        block.push('\n');
        if block.len() >= BLOCK_BYTES || n + 1 == plan.lines {
            let began = cpu();
            let packed = compressor.compress(block.as_bytes())?;
            packing += cpu() - began;
            let began = cpu();
            let back = decompressor.decompress(&packed, block.len())?;
            unpacking += cpu() - began;
            ensure!(back == block.as_bytes(), "zstd gave something else back");
            raw += block.len();
            stored += packed.len();
            block.clear();
        }
    }
    let rate = |seconds: f64| raw as f64 / seconds / 1e6;
    Ok(Yardstick { bytes: lines, compress: rate(packing), decompress: rate(unpacking), left: stored as f64 / raw as f64 })
}
