//! Neighbours per interface, from `/proc/net/arp`. Not IPv6 neighbours.

use super::files::Files;
use super::{Collector, HostError};
use crate::gather::Gather;

pub(crate) struct Arp;

impl Collector for Arp {
    fn collect(&mut self, files: &mut Files, out: &mut Gather<'_>) -> Result<(), HostError> {
        let text = files.text("/proc/net/arp")?;
        let mut devices: Vec<&str> = text.lines().skip(1).filter_map(|l| l.split_ascii_whitespace().nth(5)).collect();
        devices.sort_unstable();
        for same in devices.chunk_by(|a, b| a == b) {
            out.gauge("node_arp_entries", &"ARP entries by device", &[("device", same[0])], same.len() as f64);
        }
        Ok(())
    }
}
