//! Names and versions of the machine and its kernel.

use super::files::Files;
use super::{Collector, HostError};
use crate::gather::Gather;

pub(crate) struct Uname;

impl Collector for Uname {
    fn collect(&mut self, files: &mut Files, out: &mut Gather<'_>) -> Result<(), HostError> {
        let mut texts = Vec::with_capacity(6);
        for (label, file) in [("sysname", "ostype"), ("release", "osrelease"), ("version", "version"), ("nodename", "hostname"), ("domainname", "domainname")] {
            texts.push((label, files.text(&format!("/proc/sys/kernel/{file}"))?.trim().to_owned()));
        }
        // Older kernels tell the machine by the system call only, which can only tell ours.
        let machine = match files.line("/proc/sys/kernel/arch").map(str::to_owned) {
            Some(machine) => machine,
            None if files.is_live() => rustix::system::uname().machine().to_string_lossy().into_owned(),
            None => String::new(),
        };
        texts.push(("machine", machine));
        let labels: Vec<(&str, &str)> = texts.iter().map(|(l, v)| (*l, v.as_str())).collect();
        out.gauge("node_uname_info", &"Labeled system information as provided by the uname system call.", &labels, 1.0);
        Ok(())
    }
}
