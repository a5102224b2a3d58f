//! Paging, faults and kills for want of memory, from `/proc/vmstat`: node_exporter's default choice of fields.

use super::files::Files;
use super::{Collector, HostError};
use crate::gather::Gather;

pub(crate) struct VmStat;

/// `^(oom_kill|pgpg|pswp|pg.*fault).*`
fn wanted(field: &str) -> bool {
    field.starts_with("oom_kill")
        || field.starts_with("pgpg")
        || field.starts_with("pswp")
        || field.strip_prefix("pg").is_some_and(|rest| rest.contains("fault"))
}

impl Collector for VmStat {
    fn collect(&mut self, files: &mut Files, out: &mut Gather<'_>) -> Result<(), HostError> {
        let mut name = String::new();
        for line in files.text("/proc/vmstat")?.lines() {
            let Some((field, value)) = line.split_once(' ').filter(|(field, _)| wanted(field)) else { continue };
            let Ok(value) = value.trim().parse() else { continue };
            name.clear();
            name.push_str("node_vmstat_");
            name.push_str(field);
            out.untyped(&name, &format_args!("/proc/vmstat information field {field}."), &[], value);
        }
        Ok(())
    }
}
