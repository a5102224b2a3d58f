//! Bytes waiting in UDP queues.

use super::files::Files;
use super::{Collector, HostError};
use crate::gather::Gather;

pub(crate) struct UdpQueues;

impl Collector for UdpQueues {
    fn collect(&mut self, files: &mut Files, out: &mut Gather<'_>) -> Result<(), HostError> {
        for (path, ip) in [("/proc/net/udp", "v4"), ("/proc/net/udp6", "v6")] {
            let Ok(text) = files.text(path) else { continue };
            let (mut transmit, mut receive) = (0u64, 0u64);
            for line in text.lines().skip(1) {
                let queues = line.split_ascii_whitespace().nth(4).and_then(|c| c.split_once(':'));
                let Some((tx, rx)) = queues else { continue };
                transmit += u64::from_str_radix(tx, 16).unwrap_or(0);
                receive += u64::from_str_radix(rx, 16).unwrap_or(0);
            }
            let help = "Number of allocated memory in the kernel for UDP datagrams in bytes.";
            out.gauge("node_udp_queues", &help, &[("ip", ip), ("queue", "tx")], transmit as f64);
            out.gauge("node_udp_queues", &help, &[("ip", ip), ("queue", "rx")], receive as f64);
        }
        Ok(())
    }
}
