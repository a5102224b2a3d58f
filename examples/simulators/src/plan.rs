//! What a run is made of: the address of every part, and how many there are. Each part has an address of its own on this machine
//! (127.x.y.z), so parts have the ports that their systems' documents give them and a part that comes back is where it was.

use std::path::PathBuf;

use serde_json::{Value, json};

/// A run as all its parts know it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) system: String,
    /// The first two numbers of all addresses, as in `127.101`.
    pub(crate) net: String,
    pub(crate) dir: PathBuf,
    /// Recording nodes, streaming gateways, API servers, and cameras of each node.
    pub(crate) nodes: usize,
    pub(crate) gateways: usize,
    pub(crate) apis: usize,
    pub(crate) cameras: usize,
    /// `host:port` of the Watchfire that is told logs, traces and jobs.
    pub(crate) watchfire: String,
}

impl Plan {
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "system": self.system, "net": self.net, "dir": self.dir, "nodes": self.nodes, "gateways": self.gateways,
            "apis": self.apis, "cameras": self.cameras, "watchfire": self.watchfire,
        })
    }
    pub(crate) fn parse(text: &str) -> Option<Plan> {
        let value: Value = serde_json::from_str(text).ok()?;
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        let count = |key: &str| value[key].as_u64().map(|n| n as usize);
        Some(Plan {
            system: text("system")?,
            net: text("net")?,
            dir: text("dir")?.into(),
            nodes: count("nodes")?,
            gateways: count("gateways")?,
            apis: count("apis")?,
            cameras: count("cameras")?,
            watchfire: text("watchfire")?,
        })
    }
    /// The names of the parts, in the order in which they start.
    pub(crate) fn parts(&self) -> Vec<String> {
        let numbered = |name: &str, count: usize| (1..=count).map(|i| format!("{name}-{i}")).collect::<Vec<_>>();
        match self.system.as_str() {
            "vms" => [
                numbered("recording-node", self.nodes),
                numbered("stream-gateway", self.gateways),
                numbered("api-server", self.apis),
                ["ai-worker", "cameras", "people"].map(str::to_owned).to_vec(),
            ]
            .concat(),
            "pisovereign" => ["engine", "search", "assistant", "people"].map(str::to_owned).to_vec(),
            "hsi" => ["postgres", "ai-yolo26", "ai-enrichment", "ai-llm", "backend", "cameras", "frontend"].map(str::to_owned).to_vec(),
            _ => Vec::new(),
        }
    }
    /// The address of a part, without a port.
    pub(crate) fn ip(&self, part: &str) -> String {
        let (kind, number) = part.rsplit_once('-').and_then(|(kind, number)| Some((kind, number.parse::<u8>().ok()?))).unwrap_or((part, 1));
        let third = match kind {
            "recording-node" | "assistant" | "backend" => 1,
            "stream-gateway" | "engine" => 2,
            "api-server" | "search" => 3,
            "ai-worker" | "postgres" => 4,
            "cameras" => 5,
            "people" | "frontend" => 6,
            _ => match part {
                "ai-llm" => 3,
                "ai-enrichment" => 7,
                _ => 2,
            },
        };
        format!("{}.{third}.{number}", self.net)
    }
    /// Where a part is asked, and switched.
    pub(crate) fn address(&self, part: &str) -> String {
        let port = match part.trim_end_matches(|c: char| c.is_ascii_digit()) {
            "ai-yolo" => 8095,
            "recording-node-" => 9090,
            "stream-gateway-" => 9091,
            "api-server-" => 9092,
            "assistant" => 3000,
            "backend" => 8000,
            "ai-llm" => 8091,
            _ => 9093,
        };
        format!("{}:{port}", self.ip(part))
    }
    /// All cameras with the node of each.
    pub(crate) fn all_cameras(&self) -> Vec<(String, String)> {
        let of_node = |node: usize| (1..=self.cameras).map(move |i| (format!("cam-{node}-{i}"), format!("recording-node-{node}")));
        (1..=self.nodes).flat_map(of_node).collect()
    }
    /// Where a camera's node waits for its stream.
    pub(crate) fn stream_url(&self, camera: &str, node: &str) -> String {
        let number: u16 = camera.rsplit_once('-').and_then(|(_, n)| n.parse().ok()).unwrap_or(1);
        format!("rtsp://{}:{}/{camera}", self.ip(node), 8_553 + number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn parts_have_addresses_of_their_own_and_plans_come_back() {
        for system in ["vms", "pisovereign", "hsi"] {
            let plan = Plan {
                system: system.into(),
                net: "127.99".into(),
                dir: "/tmp/x".into(),
                nodes: 6,
                gateways: 3,
                apis: 2,
                cameras: 2,
                watchfire: "127.0.0.1:8000".into(),
            };
            assert_eq!(Plan::parse(&plan.to_json().to_string()), Some(plan.clone()));
            let addresses: BTreeSet<String> = plan.parts().iter().map(|part| plan.ip(part)).collect();
            assert_eq!(addresses.len(), plan.parts().len(), "{addresses:?}");
        }
        assert_eq!(Plan::parse("{}"), None);
    }

    #[test]
    fn documents_ports_and_streams() {
        let text = r#"{"system": "vms", "net": "127.9", "dir": "/", "nodes": 6, "gateways": 3, "apis": 2, "cameras": 2, "watchfire": ""}"#;
        let plan = Plan::parse(text).unwrap();
        assert_eq!(plan.address("recording-node-6"), "127.9.1.6:9090");
        assert_eq!(plan.address("stream-gateway-3"), "127.9.2.3:9091");
        assert_eq!(plan.address("ai-yolo26"), "127.9.2.1:8095");
        assert_eq!(plan.address("ai-llm"), "127.9.3.1:8091");
        assert_eq!(plan.stream_url("cam-2-2", "recording-node-2"), "rtsp://127.9.1.2:8555/cam-2-2");
        assert_eq!(plan.all_cameras().len(), 12);
    }
}
