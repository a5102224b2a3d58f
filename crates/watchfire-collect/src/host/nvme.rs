//! Which NVMe drives there are. Their wear is not in `/sys`.

use super::files::Files;
use super::{Collector, HostError};
use crate::gather::Gather;

pub(crate) struct Nvme;

const FIELDS: [(&str, &str); 4] = [("firmware_rev", "firmware_revision"), ("model", "model"), ("serial", "serial"), ("state", "state")];

impl Collector for Nvme {
    fn collect(&mut self, files: &mut Files, out: &mut Gather<'_>) -> Result<(), HostError> {
        for device in files.names("/sys/class/nvme") {
            let mut texts = Vec::with_capacity(FIELDS.len());
            for (file, label) in FIELDS {
                texts.push((label, files.line(&format!("/sys/class/nvme/{device}/{file}")).unwrap_or_default().to_owned()));
            }
            let mut labels: Vec<(&str, &str)> = texts.iter().map(|(l, v)| (*l, v.as_str())).collect();
            labels.push(("device", &device));
            out.gauge("node_nvme_info", &"Non-numeric data from /sys/class/nvme/<device>, value is always 1.", &labels, 1.0);
        }
        Ok(())
    }
}
