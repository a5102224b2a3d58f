//! Software RAID from `/proc/mdstat`: how many disks an array has, how many it needs, and whether it is being rebuilt.

use super::files::Files;
use super::{Collector, HostError};
use crate::gather::Gather;

pub(crate) struct MdAdm;

/// One array.
#[derive(Debug, Default, PartialEq)]
struct Array<'a> {
    device: &'a str,
    state: &'static str,
    active: f64,
    failed: f64,
    spare: f64,
    required: f64,
    blocks: f64,
    synced: f64,
}

/// All states, as the label `state` names them.
const STATES: [&str; 5] = ["active", "inactive", "recovering", "resync", "check"];

/// Reads the arrays; an array is a line `mdX : …` and the indented lines after it.
fn arrays(text: &str) -> Vec<Array<'_>> {
    let mut out: Vec<Array<'_>> = Vec::new();
    for line in text.lines() {
        if let Some((device, rest)) = line.split_once(" : ").filter(|(device, _)| device.starts_with("md")) {
            let disks = rest.split_ascii_whitespace().filter(|w| w.contains('[')).count() as f64;
            let (failed, spare) = (rest.matches("(F)").count() as f64, rest.matches("(S)").count() as f64);
            let state = if rest.starts_with("active") { "active" } else { "inactive" };
            // Arrays without redundancy do not say how many disks they have: all of them are needed.
            out.push(Array { device, state, active: disks - failed - spare, failed, spare, required: disks, ..Array::default() });
            continue;
        }
        let Some(array) = out.last_mut().filter(|_| line.starts_with(' ')) else { continue };
        if let Some((blocks, rest)) = line.split_once(" blocks") {
            array.blocks = blocks.trim().parse().unwrap_or(0.0);
            array.synced = array.blocks;
            // `[2/1]`: two are required, one is there.
            let counts = rest.split(['[', ']']).find_map(|part| part.split_once('/'));
            if let Some((Ok(required), Ok(active))) = counts.map(|(a, b)| (a.parse(), b.parse())) {
                (array.required, array.active) = (required, active);
            }
        }
        for (word, state) in [("recovery", "recovering"), ("resync", "resync"), ("check", "check")] {
            // `recovery =  8.5% (16775552/195310144) …`, but also `resync=DELAYED`.
            if let Some((_, rest)) = line.split_once(word).filter(|(_, rest)| rest.trim_start().starts_with('=')) {
                array.state = state;
                let synced = rest.split(['(', '/']).nth(1).and_then(|n| n.parse().ok());
                array.synced = synced.unwrap_or(0.0);
            }
        }
    }
    out
}

impl Collector for MdAdm {
    fn collect(&mut self, files: &mut Files, out: &mut Gather<'_>) -> Result<(), HostError> {
        for array in arrays(files.text("/proc/mdstat")?) {
            let device = ("device", array.device);
            for (state, count) in [("active", array.active), ("failed", array.failed), ("spare", array.spare)] {
                out.gauge("node_md_disks", &"Number of active/failed/spare disks of device.", &[device, ("state", state)], count);
            }
            out.gauge("node_md_disks_required", &"Total number of disks of device.", &[device], array.required);
            for state in STATES {
                let is = f64::from(u8::from(array.state == state));
                out.gauge("node_md_state", &"Indicates the state of md-device.", &[device, ("state", state)], is);
            }
            out.gauge("node_md_blocks", &"Total number of blocks on device.", &[device], array.blocks);
            out.gauge("node_md_blocks_synced", &"Number of blocks synced on device.", &[device], array.synced);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_healthy_degraded_and_rebuilding() {
        let text = "Personalities : [raid1] [raid0]\n\
            md0 : active raid1 sdb1[1](F) sda1[0]\n      1048512 blocks super 1.2 [2/1] [U_]\n      \n\
            md1 : active raid1 sdd1[2] sdc1[0] sde1[3](S)\n      195310144 blocks [2/1] [U_]\n      [=>....]  recovery =  8.5% (16775552/195310144) finish=17.0min speed=259783K/sec\n\
            md2 : active raid0 sdf1[0] sdg1[1]\n      500 blocks 64k chunks\n\
            md3 : inactive sdh1[0](S)\n      77 blocks super 1.2\n\
            unused devices: <none>\n";
        let found: Vec<_> = arrays(text).iter().map(|a| (a.device, a.state, a.active, a.failed, a.spare, a.required, a.synced)).collect();
        assert_eq!(
            found,
            [
                ("md0", "active", 1.0, 1.0, 0.0, 2.0, 1_048_512.0),
                ("md1", "recovering", 1.0, 0.0, 1.0, 2.0, 16_775_552.0),
                ("md2", "active", 2.0, 0.0, 0.0, 2.0, 500.0),
                ("md3", "inactive", 0.0, 0.0, 1.0, 1.0, 77.0),
            ]
        );
    }
}
