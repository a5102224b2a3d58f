//! The machine of a part, under node_exporter's names: a small one, with one processor and a fixed share of memory. What it uses is what the
//! part's process and its children really use; the machine that all parts share is not told of.

use std::io::Result;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::faults::Known;
use crate::http::{self, Request, Response};
use crate::metrics::Registry;
use crate::part::Part;
use crate::{clock, process};

/// The memory of such a machine.
const MEMORY_BYTES: u64 = 384 << 20;
/// How much a leak leaves.
const LEAK_LEAVES: f64 = 0.05;
const LEAK_STEP_BYTES: usize = 8 << 20;

/// Faults of machines, beside those of parts.
pub(crate) const BUSY: Known = ("busy", "a thread computes without end");
pub(crate) const LEAK: Known = ("leak", "memory is taken and kept until nearly none is left");

struct Seen {
    at: Instant,
    wanted: f64,
}

/// Shows the machine at port 9100 of the part's address, and lets its faults happen.
pub(crate) fn serve(part: &Arc<Part>) -> Result<()> {
    let metrics = Registry::default();
    let seen = Mutex::new(Seen { at: clock::now(), wanted: process::wanted_seconds() });
    let answer = move |_: Request| {
        look(&metrics, &mut seen.lock().unwrap_or_else(PoisonError::into_inner));
        Response::text(200, metrics.text())
    };
    http::serve(http::bind(&format!("{}:9100", part.plan.ip(&part.name)))?, Arc::new(answer))?;
    let mut kept: Vec<Vec<u8>> = Vec::new();
    part.every(100, move |part| {
        if !part.faults.is(LEAK.0) {
            kept.clear();
        }
        while part.faults.is(LEAK.0) && available() as f64 > MEMORY_BYTES as f64 * LEAK_LEAVES {
            // Written to, or the kernel would only promise it.
            kept.push(vec![1; LEAK_STEP_BYTES]);
        }
    })?;
    part.every(50, |part| {
        let mut number = 1u64;
        while part.faults.is(BUSY.0) {
            for _ in 0..100_000 {
                number = std::hint::black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
            }
        }
    })
}

/// Memory that is left.
fn available() -> u64 {
    let children = process::children();
    let used: u64 = children.into_iter().chain([std::process::id()]).filter_map(process::resident_bytes).sum();
    MEMORY_BYTES.saturating_sub(used)
}

fn look(metrics: &Registry, seen: &mut Seen) {
    let (now, wanted) = (clock::now(), process::wanted_seconds());
    let elapsed = now.duration_since(seen.at).as_secs_f64();
    // Threads that have ended take their time with them.
    let busy = (wanted - seen.wanted).clamp(0.0, elapsed);
    metrics.add("node_cpu_seconds_total", &[("cpu", "0"), ("mode", "user")], busy);
    metrics.add("node_cpu_seconds_total", &[("cpu", "0"), ("mode", "idle")], elapsed - busy);
    metrics.set("node_memory_MemTotal_bytes", &[], MEMORY_BYTES as f64);
    metrics.set("node_memory_MemAvailable_bytes", &[], available() as f64);
    *seen = Seen { at: now, wanted };
}
