//! Protocol counts from `/proc/net/{netstat,snmp,snmp6}`: node_exporter's default choice of fields.

use super::files::Files;
use super::{Collector, HostError};
use crate::gather::Gather;

pub(crate) struct NetStat;

/// Whether node_exporter shows a field by default.
fn wanted(protocol: &str, field: &str) -> bool {
    match (protocol, field) {
        (_, "InErrors" | "InErrs") | ("Ip", "Forwarding") => true,
        ("Ip6" | "IpExt", "InOctets" | "OutOctets") | ("Icmp" | "Icmp6", "InMsgs" | "OutMsgs") => true,
        ("TcpExt", "TCPSynRetrans" | "TCPTimeouts") => true,
        ("TcpExt", field) => field.starts_with("Listen") || field.starts_with("Syncookies"),
        ("Tcp", "ActiveOpens" | "InSegs" | "OutSegs" | "OutRsts" | "PassiveOpens" | "RetransSegs" | "CurrEstab") => true,
        ("Udp" | "Udp6", "InDatagrams" | "OutDatagrams" | "NoPorts" | "RcvbufErrors" | "SndbufErrors") => true,
        _ => false,
    }
}

fn put(out: &mut Gather<'_>, name: &mut String, protocol: &str, field: &str, value: &str) {
    if let (true, Ok(value)) = (wanted(protocol, field), value.parse()) {
        name.clear();
        for part in ["node_netstat_", protocol, "_", field] {
            name.push_str(part);
        }
        out.untyped(name, &format_args!("Statistic {protocol}{field}."), &[], value);
    }
}

impl Collector for NetStat {
    fn collect(&mut self, files: &mut Files, out: &mut Gather<'_>) -> Result<(), HostError> {
        let mut name = String::new();
        for path in ["/proc/net/netstat", "/proc/net/snmp"] {
            let mut lines = files.text(path)?.lines();
            // A line of names, then a line of values, both after `Protocol:`.
            while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
                let (Some((protocol, names)), Some((_, values))) = (names.split_once(':'), values.split_once(':')) else {
                    return Err(HostError::Shape(path));
                };
                for (field, value) in names.split_ascii_whitespace().zip(values.split_ascii_whitespace()) {
                    put(out, &mut name, protocol, field, value);
                }
            }
        }
        let Ok(text) = files.text("/proc/net/snmp6") else { return Ok(()) };
        for line in text.lines() {
            let mut cells = line.split_ascii_whitespace();
            let (Some(both), Some(value)) = (cells.next(), cells.next()) else { continue };
            // `Ip6InOctets`: the protocol ends with its 6.
            if let Some(at) = both.find('6') {
                let (protocol, field) = both.split_at(at + 1);
                put(out, &mut name, protocol, field, value);
            }
        }
        Ok(())
    }
}
