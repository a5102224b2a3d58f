//! Whether SELinux is on, and whether it enforces.

use super::files::Files;
use super::{Collector, HostError};
use crate::gather::Gather;

pub(crate) struct SeLinux;

impl Collector for SeLinux {
    fn collect(&mut self, files: &mut Files, out: &mut Gather<'_>) -> Result<(), HostError> {
        let enforcing = files.number("/sys/fs/selinux/enforce");
        out.gauge("node_selinux_enabled", &"SELinux is enabled, 1 is true, 0 is false", &[], f64::from(u8::from(enforcing.is_some())));
        if let Some(mode) = enforcing {
            out.gauge("node_selinux_current_mode", &"Current SELinux enforcement mode", &[], mode);
        }
        Ok(())
    }
}
