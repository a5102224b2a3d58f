//! Units of panels beside what a query gives: the same quantity in another size is a number that is wrong a thousandfold.

use crate::expression::{Quantity, Shape};

/// A kind of quantity and how many of its base unit one is.
type Unit = (&'static str, f64);

/// Why a panel's unit does not fit, and what to do; nothing when it does or when it cannot be told.
pub(super) fn mismatch(shape: &Shape, shown: &str) -> Option<(String, String)> {
    let (measured, name) = measured(shape)?;
    let panel = panel_unit(shown)?;
    let related = |a: &str, b: &str| a == b || (is_flow(a) && is_flow(b));
    if measured == panel || !related(measured.0, panel.0) {
        return None;
    }
    let message = format!("the panel shows {shown}, but the query gives {name}");
    let factor = panel.1 / measured.1;
    let suggestion = match (measured.0 == panel.0, factor) {
        (false, _) => format!("choose the unit for {name}, or multiply by the number of bits of a byte"),
        (true, factor) if factor > 1.0 => format!("choose the unit for {name}, or divide by {factor}"),
        (true, factor) => format!("choose the unit for {name}, or multiply by {}", (1.0 / factor).round()),
    };
    Some((message, suggestion))
}

fn is_flow(dimension: &str) -> bool {
    matches!(dimension, "bytes per second" | "bits per second")
}

/// What the query gives.
fn measured(shape: &Shape) -> Option<(Unit, &'static str)> {
    let plain = matches!(shape.quantity, Quantity::Gauge | Quantity::Increase | Quantity::Counter);
    if shape.quantity == Quantity::Ratio {
        return Some((("share", 1.0), "a share from 0 to 1"));
    }
    match shape.unit.as_str() {
        "bytes" if shape.quantity == Quantity::Rate => Some((("bytes per second", 1.0), "bytes per second")),
        "bytes" if plain => Some((("bytes", 1.0), "bytes")),
        "mb" if plain => Some((("bytes", 1e6), "megabytes")),
        "bits/second" if plain => Some((("bits per second", 1.0), "bits per second")),
        "seconds" if plain => Some((("seconds", 1.0), "seconds")),
        "ms" if plain => Some((("seconds", 1e-3), "milliseconds")),
        "us" if plain => Some((("seconds", 1e-6), "microseconds")),
        "ratio" if plain => Some((("share", 1.0), "a share from 0 to 1")),
        "percent" if plain => Some((("share", 1e-2), "percent")),
        _ => None,
    }
}

/// Grafana's names of units, and how people write them.
fn panel_unit(shown: &str) -> Option<Unit> {
    Some(match shown.trim().trim_start_matches("suffix:").trim() {
        "Bps" | "binBps" | "B/s" | "bytes/s" => ("bytes per second", 1.0),
        "KBs" | "KiBs" | "kB/s" | "KB/s" => ("bytes per second", 1e3),
        "MBs" | "MiBs" | "MB/s" | "MiB/s" => ("bytes per second", 1e6),
        "GBs" | "GiBs" | "GB/s" | "GiB/s" => ("bytes per second", 1e9),
        "bps" | "binbps" => ("bits per second", 1.0),
        "Kbits" | "Kibits" | "Kbps" => ("bits per second", 1e3),
        "Mbits" | "Mibits" | "Mbps" => ("bits per second", 1e6),
        "Gbits" | "Gibits" | "Gbps" => ("bits per second", 1e9),
        "bytes" | "decbytes" => ("bytes", 1.0),
        "kbytes" | "deckbytes" => ("bytes", 1e3),
        "mbytes" | "decmbytes" | "MB" | "MiB" => ("bytes", 1e6),
        "gbytes" | "decgbytes" | "GB" | "GiB" => ("bytes", 1e9),
        "s" => ("seconds", 1.0),
        "ms" => ("seconds", 1e-3),
        "µs" | "us" => ("seconds", 1e-6),
        "ns" => ("seconds", 1e-9),
        "m" => ("seconds", 60.0),
        "h" => ("seconds", 3600.0),
        "percentunit" => ("share", 1.0),
        "percent" | "%" => ("share", 1e-2),
        _ => return None,
    })
}
