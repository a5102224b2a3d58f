//! What the engine tells of a container, as labels by the names of Docker's service discovery.

use std::collections::BTreeMap;

use serde_json::Value;

/// The most labels that are taken from one container.
const LABELS_MAX: usize = 200;

/// A running container.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Container {
    pub(super) id: String,
    pub(super) name: String,
    /// `__meta_docker_…`
    pub(super) labels: BTreeMap<String, String>,
}

impl Container {
    /// Reads one item of the list.
    pub(super) fn read(item: &Value) -> Option<Container> {
        let text = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or("").to_owned();
        let id = text("Id");
        // It becomes part of a path.
        if id.is_empty() || !id.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return None;
        }
        let name = item.get("Names").and_then(|names| names.get(0)).and_then(Value::as_str).unwrap_or("").to_owned();
        // Docker has a slash before the name, Podman has none; rules are written for the slash.
        let name = if name.is_empty() || name.starts_with('/') { name } else { format!("/{name}") };
        let mut labels = BTreeMap::from([
            ("__meta_docker_container_id".to_owned(), id.clone()),
            ("__meta_docker_container_name".to_owned(), name.clone()),
            ("__meta_docker_container_image".to_owned(), text("Image")),
            ("__meta_docker_container_state".to_owned(), text("State")),
        ]);
        if let Some(mode) = item.pointer("/HostConfig/NetworkMode").and_then(Value::as_str) {
            labels.insert("__meta_docker_container_network_mode".to_owned(), mode.to_owned());
        }
        if let Some((network, about)) = item.pointer("/NetworkSettings/Networks").and_then(Value::as_object).and_then(|all| all.iter().next()) {
            labels.insert("__meta_docker_network_name".to_owned(), network.clone());
            let ip = about.get("IPAddress").and_then(Value::as_str).unwrap_or("");
            labels.insert("__meta_docker_network_ip".to_owned(), ip.to_owned());
            labels.insert("__address__".to_owned(), format!("{ip}:80"));
        }
        for (key, value) in item.get("Labels").and_then(Value::as_object).into_iter().flatten().take(LABELS_MAX) {
            let key: String = key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
            labels.insert(format!("__meta_docker_container_label_{key}"), value.as_str().unwrap_or("").to_owned());
        }
        Some(Container { id, name, labels })
    }
}
