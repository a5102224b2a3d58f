//! Properties of network interfaces from `/sys/class/net`.

use super::files::Files;
use super::{Collector, HostError};
use crate::gather::Gather;

pub(crate) struct NetClass;

/// File, metric, whether it is a counter.
const FIELDS: [(&str, &str, bool); 17] = [
    ("addr_assign_type", "node_network_address_assign_type", false),
    ("carrier", "node_network_carrier", false),
    ("carrier_changes", "node_network_carrier_changes_total", true),
    ("carrier_up_count", "node_network_carrier_up_changes_total", true),
    ("carrier_down_count", "node_network_carrier_down_changes_total", true),
    ("dev_id", "node_network_device_id", false),
    ("dormant", "node_network_dormant", false),
    ("flags", "node_network_flags", false),
    ("ifindex", "node_network_iface_id", false),
    ("iflink", "node_network_iface_link", false),
    ("link_mode", "node_network_iface_link_mode", false),
    ("mtu", "node_network_mtu_bytes", false),
    ("name_assign_type", "node_network_name_assign_type", false),
    ("netdev_group", "node_network_net_dev_group", false),
    ("tx_queue_len", "node_network_transmit_queue_length", false),
    ("type", "node_network_protocol_type", false),
    ("speed", "node_network_speed_bytes", false),
];
/// Megabits per second to bytes per second.
const SPEED_FACTOR: f64 = 125_000.0;

impl Collector for NetClass {
    fn collect(&mut self, files: &mut Files, out: &mut Gather<'_>) -> Result<(), HostError> {
        for device in files.names("/sys/class/net") {
            let base = format!("/sys/class/net/{device}");
            // Files such as `bonding_masters` stand among the interfaces.
            if !files.exists(&format!("{base}/operstate")) {
                continue;
            }
            put_info(files, out, &base, &device);
            for (file, metric, counts) in FIELDS {
                let Some(value) = files.number(&format!("{base}/{file}")) else { continue };
                let value = if file == "speed" { value * SPEED_FACTOR } else { value };
                let help = format_args!("Network device property: {file}");
                if counts {
                    out.counter(metric, &help, &[("device", &device)], value);
                } else {
                    out.gauge(metric, &help, &[("device", &device)], value);
                }
            }
        }
        Ok(())
    }
}

fn put_info(files: &mut Files, out: &mut Gather<'_>, base: &str, device: &str) {
    let mut texts = Vec::with_capacity(5);
    for field in ["address", "broadcast", "duplex", "ifalias", "operstate"] {
        texts.push((field, files.line(&format!("{base}/{field}")).unwrap_or_default().to_owned()));
    }
    let up = texts.iter().any(|(field, value)| *field == "operstate" && value == "up");
    let mut labels: Vec<(&str, &str)> = texts.iter().map(|(f, v)| (*f, v.as_str())).collect();
    labels.push(("device", device));
    out.gauge("node_network_info", &"Texts of an interface; always 1.", &labels, 1.0);
    out.gauge("node_network_up", &"Value is 1 if operstate is 'up', 0 otherwise.", &[("device", device)], f64::from(u8::from(up)));
}
