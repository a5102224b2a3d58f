//! What the firmware says about the machine: `/sys/class/dmi/id`.

use super::files::Files;
use super::{Collector, HostError};
use crate::gather::Gather;

/// File and label; only `sys_vendor` has another name as a label.
const FIELDS: [(&str, &str); 20] = [
    ("bios_date", "bios_date"),
    ("bios_release", "bios_release"),
    ("bios_vendor", "bios_vendor"),
    ("bios_version", "bios_version"),
    ("board_asset_tag", "board_asset_tag"),
    ("board_name", "board_name"),
    ("board_serial", "board_serial"),
    ("board_vendor", "board_vendor"),
    ("board_version", "board_version"),
    ("chassis_asset_tag", "chassis_asset_tag"),
    ("chassis_serial", "chassis_serial"),
    ("chassis_vendor", "chassis_vendor"),
    ("chassis_version", "chassis_version"),
    ("product_family", "product_family"),
    ("product_name", "product_name"),
    ("product_serial", "product_serial"),
    ("product_sku", "product_sku"),
    ("product_uuid", "product_uuid"),
    ("product_version", "product_version"),
    ("sys_vendor", "system_vendor"),
];

pub(crate) struct Dmi;

impl Collector for Dmi {
    fn collect(&mut self, files: &mut Files, out: &mut Gather<'_>) -> Result<(), HostError> {
        let mut found = Vec::new();
        for (file, label) in FIELDS {
            if let Some(value) = files.line(&format!("/sys/class/dmi/id/{file}")) {
                found.push((label, value.to_owned()));
            }
        }
        if !found.is_empty() {
            let labels: Vec<(&str, &str)> = found.iter().map(|(l, v)| (*l, v.as_str())).collect();
            out.gauge("node_dmi_info", &"Facts of the machine's firmware; always 1.", &labels, 1.0);
        }
        Ok(())
    }
}
