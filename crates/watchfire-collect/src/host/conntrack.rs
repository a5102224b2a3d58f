//! Connection tracking of netfilter: fill, limit and the sums of its per-processor counts.

use super::files::Files;
use super::{Collector, HostError};
use crate::gather::Gather;

/// Column of `/proc/net/stat/nf_conntrack`, metric, help.
const STATS: [(&str, &str, &str); 8] = [
    ("found", "node_nf_conntrack_stat_found", "Number of searched entries which were successful."),
    ("invalid", "node_nf_conntrack_stat_invalid", "Number of packets seen which can not be tracked."),
    ("ignore", "node_nf_conntrack_stat_ignore", "Number of packets seen which are already connected to a conntrack entry."),
    ("insert", "node_nf_conntrack_stat_insert", "Number of entries inserted into the list."),
    ("insert_failed", "node_nf_conntrack_stat_insert_failed", "Number of entries for which list insertion was attempted but failed."),
    ("drop", "node_nf_conntrack_stat_drop", "Number of packets dropped due to conntrack failure."),
    ("early_drop", "node_nf_conntrack_stat_early_drop", "Number of dropped conntrack entries to make room for new ones."),
    ("search_restart", "node_nf_conntrack_stat_search_restart", "Number of conntrack table lookups restarted by a resize."),
];

pub(crate) struct Conntrack;

impl Collector for Conntrack {
    fn collect(&mut self, files: &mut Files, out: &mut Gather<'_>) -> Result<(), HostError> {
        let count = files.text("/proc/sys/net/netfilter/nf_conntrack_count")?.trim().parse().unwrap_or(0.0);
        out.gauge("node_nf_conntrack_entries", &"Flow entries in use for connection tracking.", &[], count);
        if let Some(limit) = files.number("/proc/sys/net/netfilter/nf_conntrack_max") {
            out.gauge("node_nf_conntrack_entries_limit", &"Size of the connection tracking table.", &[], limit);
        }
        let Ok(text) = files.text("/proc/net/stat/nf_conntrack") else { return Ok(()) };
        let mut lines = text.lines();
        let header: Vec<&str> = lines.next().unwrap_or_default().split_ascii_whitespace().collect();
        let mut sums = [0u64; STATS.len()];
        for line in lines {
            let row: Vec<&str> = line.split_ascii_whitespace().collect();
            for (sum, (column, ..)) in sums.iter_mut().zip(STATS) {
                let at = header.iter().position(|h| *h == column);
                let cell = at.and_then(|i| row.get(i)).and_then(|c| u64::from_str_radix(c, 16).ok());
                *sum = sum.saturating_add(cell.unwrap_or(0));
            }
        }
        for (sum, (_, name, help)) in sums.iter().zip(STATS) {
            out.gauge(name, &help, &[], *sum as f64);
        }
        Ok(())
    }
}
