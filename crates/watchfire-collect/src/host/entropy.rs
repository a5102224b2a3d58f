//! The kernel's entropy pool.

use super::files::Files;
use super::{Collector, HostError};
use crate::gather::Gather;

pub(crate) struct Entropy;

impl Collector for Entropy {
    fn collect(&mut self, files: &mut Files, out: &mut Gather<'_>) -> Result<(), HostError> {
        if let Some(bits) = files.number("/proc/sys/kernel/random/entropy_avail") {
            out.gauge("node_entropy_available_bits", &"Bits of available entropy.", &[], bits);
        }
        if let Some(bits) = files.number("/proc/sys/kernel/random/poolsize") {
            out.gauge("node_entropy_pool_size_bits", &"Bits of entropy pool.", &[], bits);
        }
        Ok(())
    }
}
