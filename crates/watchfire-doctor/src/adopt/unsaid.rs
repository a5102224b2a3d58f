//! What Compose lets a service say without a key of ours to say it by: where it runs and how often, how a proxy finds it, fixed addresses. It
//! is told, because whoever relies on it would miss it.

use watchfire_model::document::Node;

use super::Report;
use super::service::Service;

/// Beginnings of labels that lead a proxy here.
const PROXIES: [&str; 2] = ["traefik.", "caddy"];
/// Parts of `deploy` that say nothing about what is carried over.
const OF_NO_CONSEQUENCE: [&str; 5] = ["resources", "restart_policy", "update_config", "rollback_config", "labels"];

/// Tells what of a service that goes is lost.
pub(super) fn tell(service: &Service<'_>, ours: Option<u16>, report: &mut Report<'_>) {
    let name = &service.key.text;
    let mut warn = |at: &Node, message: String| report.warn(at.line, at.column, format!("{name}: {message}"));
    for (key, node) in service.node.get("deploy").and_then(Node::entries).unwrap_or(&[]) {
        match (&*key.text, node.text()) {
            (done, _) if OF_NO_CONSEQUENCE.contains(&done) => {}
            ("replicas", Some("0" | "1")) | ("mode", Some("replicated")) | ("endpoint_mode", _) => {}
            ("replicas", Some(count)) => warn(node, format!("deploy.replicas {count} is not carried over: one process keeps the data")),
            ("mode", Some("global")) => {
                warn(
                    node,
                    "deploy.mode global is not carried over: ours runs once and sees the machine that it runs on; let one on each other machine send to it"
                        .to_owned(),
                );
            }
            (other, _) => warn(node, format!("deploy.{other} is not carried over")),
        }
    }
    for label in service.labels() {
        if let Some((text, at)) = PROXIES.iter().find(|start| label.0.starts_with(**start)).map(|_| &label) {
            warn(at, format!("the label {text} is not carried over: lead the proxy to the service watchfire, port {}", ours.unwrap_or(8000)));
            break;
        }
    }
    for (_, network) in service.node.get("networks").and_then(Node::entries).unwrap_or(&[]) {
        for (key, node) in network.entries().unwrap_or(&[]) {
            if matches!(&*key.text, "ipv4_address" | "ipv6_address" | "mac_address") {
                warn(node, format!("{} is not carried over: give it to our service if somebody uses it in place of a name", key.text));
            }
        }
    }
}
