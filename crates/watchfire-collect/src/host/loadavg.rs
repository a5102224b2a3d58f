//! The three load averages.

use super::files::Files;
use super::{Collector, HostError};
use crate::gather::Gather;

pub(crate) struct LoadAvg;

impl Collector for LoadAvg {
    fn collect(&mut self, files: &mut Files, out: &mut Gather<'_>) -> Result<(), HostError> {
        let text = files.text("/proc/loadavg")?;
        let mut cells = text.split_ascii_whitespace().map(str::parse::<f64>);
        for (name, help) in [("node_load1", "1m load average."), ("node_load5", "5m load average."), ("node_load15", "15m load average.")] {
            let Some(Ok(value)) = cells.next() else { return Err(HostError::Shape("/proc/loadavg")) };
            out.gauge(name, &help, &[], value);
        }
        Ok(())
    }
}
