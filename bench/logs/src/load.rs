//! Sends all lines by Loki's push over two connections, half a megabyte of lines in a request, and counts what was acknowledged.

use anyhow::Result;
use bench_harness::load::{Loaded, Sender, all};

use crate::push::{HEADERS, Push};
use crate::workload::{Plan, STREAMS};

const CONNECTIONS: u64 = 2;
const REQUEST_BYTES: usize = 512 << 10;

/// Every second request of the plan.
fn run(mut sender: Sender<'_>, plan: &Plan, connection: u64) -> Result<Loaded> {
    let mut pending: Vec<Vec<(i64, String)>> = vec![Vec::new(); STREAMS];
    let mut push = Push::default();
    let most = plan.lines_of(REQUEST_BYTES);
    for request in (connection..plan.lines.div_ceil(most)).step_by(CONNECTIONS as usize) {
        for n in request * most..((request + 1) * most).min(plan.lines) {
            let line = plan.line(n);
            sender.loaded.items += 1;
            sender.loaded.bytes += line.text.len() as u64;
            pending[line.stream].push((line.time_ms, line.text));
        }
        for (stream, entries) in pending.iter_mut().enumerate().filter(|(_, entries)| !entries.is_empty()) {
            push.stream(&format!("{{app=\"service-{stream}\", env=\"prod\"}}"));
            entries.drain(..).for_each(|(time, text)| push.entry(time, &text));
        }
        sender.post(&push.finish()?)?;
    }
    Ok(sender.loaded)
}

/// Sends everything.
pub(crate) fn load(address: &str, path: &str, plan: &Plan) -> Result<Loaded> {
    all(CONNECTIONS, |connection| run(Sender::new(address, path, HEADERS), plan, connection))
}
