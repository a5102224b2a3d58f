//! All lines of `/proc/meminfo`.

use super::files::Files;
use super::{Collector, HostError};
use crate::gather::Gather;

#[derive(Default)]
pub(crate) struct MemInfo {
    name: String,
}

impl Collector for MemInfo {
    fn collect(&mut self, files: &mut Files, out: &mut Gather<'_>) -> Result<(), HostError> {
        let text = files.text("/proc/meminfo")?;
        for line in text.lines() {
            let Some((field, rest)) = line.split_once(':') else { continue };
            let mut cells = rest.split_ascii_whitespace();
            let Some(Ok(value)) = cells.next().map(str::parse::<f64>) else { continue };
            let kilobytes = cells.next() == Some("kB");
            self.name.clear();
            self.name.push_str("node_memory_");
            // `Active(anon)` becomes `Active_anon`.
            self.name.extend(field.chars().filter(|c| *c != ')').map(|c| if c == '(' { '_' } else { c }));
            if kilobytes {
                self.name.push_str("_bytes");
            }
            let help = format_args!("Memory information field {field}.");
            out.gauge(&self.name, &help, &[], if kilobytes { value * 1024.0 } else { value });
        }
        Ok(())
    }
}
