//! Sockets in use from `/proc/net/sockstat` and `sockstat6`.

use super::files::Files;
use super::{Collector, HostError};
use crate::gather::Gather;

pub(crate) struct SockStat;

impl Collector for SockStat {
    fn collect(&mut self, files: &mut Files, out: &mut Gather<'_>) -> Result<(), HostError> {
        let page = rustix::param::page_size() as f64;
        let mut name = String::new();
        for path in ["/proc/net/sockstat", "/proc/net/sockstat6"] {
            // A machine without IPv6 lacks the second.
            let Ok(text) = files.text(path) else { continue };
            for line in text.lines() {
                let Some((protocol, rest)) = line.split_once(':') else { continue };
                let cells: Vec<&str> = rest.split_ascii_whitespace().collect();
                for pair in cells.chunks_exact(2) {
                    let (field, Ok(value)) = (pair[0], pair[1].parse::<f64>()) else { continue };
                    name.clear();
                    for part in ["node_sockstat_", protocol, "_", field] {
                        name.push_str(part);
                    }
                    out.gauge(&name, &format_args!("Number of {protocol} sockets in state {field}."), &[], value);
                    if field == "mem" {
                        name.push_str("_bytes");
                        out.gauge(&name, &format_args!("Number of {protocol} sockets in state mem_bytes."), &[], value * page);
                    }
                }
            }
        }
        Ok(())
    }
}
