//! Traffic counts of network interfaces from `/proc/net/dev`.

use super::files::Files;
use super::{Collector, HostError};
use crate::gather::Gather;

pub(crate) struct NetDev;

/// The sixteen columns of `/proc/net/dev`.
const COLUMNS: [&str; 16] = [
    "node_network_receive_bytes_total",
    "node_network_receive_packets_total",
    "node_network_receive_errs_total",
    "node_network_receive_drop_total",
    "node_network_receive_fifo_total",
    "node_network_receive_frame_total",
    "node_network_receive_compressed_total",
    "node_network_receive_multicast_total",
    "node_network_transmit_bytes_total",
    "node_network_transmit_packets_total",
    "node_network_transmit_errs_total",
    "node_network_transmit_drop_total",
    "node_network_transmit_fifo_total",
    "node_network_transmit_colls_total",
    "node_network_transmit_carrier_total",
    "node_network_transmit_compressed_total",
];

/// Interfaces and their sixteen counts.
pub(crate) fn interface_lines(text: &str) -> impl Iterator<Item = (&str, [f64; 16])> {
    text.lines().skip(2).filter_map(|line| {
        let (name, rest) = line.rsplit_once(':')?;
        let mut values = [0.0; 16];
        let mut cells = rest.split_ascii_whitespace();
        for slot in &mut values {
            *slot = cells.next()?.parse().ok()?;
        }
        Some((name.trim(), values))
    })
}

impl Collector for NetDev {
    fn collect(&mut self, files: &mut Files, out: &mut Gather<'_>) -> Result<(), HostError> {
        let mut devices = Vec::new();
        for (device, values) in interface_lines(files.text("/proc/net/dev")?) {
            for (name, value) in COLUMNS.iter().zip(values) {
                let field = name.trim_start_matches("node_network_").trim_end_matches("_total");
                out.counter(name, &format_args!("Network device statistic {field}."), &[("device", device)], value);
            }
            devices.push(device.to_owned());
        }
        for device in devices {
            if let Some(count) = files.number(&format!("/sys/class/net/{device}/statistics/rx_nohandler")) {
                let help = "Network device statistic receive_nohandler.";
                out.counter("node_network_receive_nohandler_total", &help, &[("device", &device)], count);
            }
        }
        Ok(())
    }
}
