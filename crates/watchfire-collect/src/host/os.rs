//! The operating system's name and version from `os-release`.

use super::files::Files;
use super::{Collector, HostError};
use crate::gather::Gather;

pub(crate) struct Os;

const FIELDS: [(&str, &str); 12] = [
    ("BUILD_ID", "build_id"),
    ("ID", "id"),
    ("ID_LIKE", "id_like"),
    ("IMAGE_ID", "image_id"),
    ("IMAGE_VERSION", "image_version"),
    ("NAME", "name"),
    ("PRETTY_NAME", "pretty_name"),
    ("VARIANT", "variant"),
    ("VARIANT_ID", "variant_id"),
    ("VERSION", "version"),
    ("VERSION_CODENAME", "version_codename"),
    ("VERSION_ID", "version_id"),
];

impl Collector for Os {
    fn collect(&mut self, files: &mut Files, out: &mut Gather<'_>) -> Result<(), HostError> {
        let path = if files.exists("/etc/os-release") { "/etc/os-release" } else { "/usr/lib/os-release" };
        let text = files.text(path)?;
        let value =
            |key: &str| text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix('=')).map(|v| v.trim().trim_matches(['"', '\''])).unwrap_or_default();
        let labels: Vec<(&str, &str)> = FIELDS.iter().map(|(key, label)| (*label, value(key))).collect();
        out.gauge("node_os_info", &"Facts of the operating system; always 1.", &labels, 1.0);
        let version = value("VERSION_ID");
        let end = version.match_indices('.').nth(1).map_or(version.len(), |(at, _)| at);
        if let Some(Ok(number)) = version.get(..end).map(str::parse) {
            let labels = [("id", value("ID")), ("id_like", value("ID_LIKE")), ("name", value("NAME"))];
            out.gauge("node_os_version", &"Metric containing the major.minor part of the OS version.", &labels, number);
        }
        Ok(())
    }
}
