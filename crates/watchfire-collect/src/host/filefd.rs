//! Open file handles of the whole machine and their limit.

use super::files::Files;
use super::{Collector, HostError};
use crate::gather::Gather;

pub(crate) struct FileFd;

impl Collector for FileFd {
    fn collect(&mut self, files: &mut Files, out: &mut Gather<'_>) -> Result<(), HostError> {
        let text = files.text("/proc/sys/fs/file-nr")?;
        let cells: Vec<f64> = text.split_ascii_whitespace().filter_map(|c| c.parse().ok()).collect();
        let [allocated, _, maximum] = cells.as_slice() else { return Err(HostError::Shape("/proc/sys/fs/file-nr")) };
        out.gauge("node_filefd_allocated", &"File descriptor statistics: allocated.", &[], *allocated);
        out.gauge("node_filefd_maximum", &"File descriptor statistics: maximum.", &[], *maximum);
        Ok(())
    }
}
