//! A container as the engine's list has it, and its labels by the names of Docker's service discovery. It asks nothing.

use std::collections::BTreeMap;

use serde_json::Value;

/// The most labels that are taken from one container.
const LABELS_MAX: usize = 200;
/// Ids have 64 letters.
const ID_BYTES_MAX: usize = 128;

/// The id of an item of the list, as far as it may become part of a path.
pub(crate) fn id(item: &Value) -> Option<String> {
    let id = item.get("Id").and_then(Value::as_str).unwrap_or("");
    (!id.is_empty() && id.len() <= ID_BYTES_MAX && id.bytes().all(|b| b.is_ascii_alphanumeric())).then(|| id.to_owned())
}

/// The first name of an item of the list. Docker has a slash before it, Podman has none; rules are written for the slash.
pub(crate) fn name(item: &Value) -> String {
    let name = item.get("Names").and_then(|names| names.get(0)).and_then(Value::as_str).unwrap_or("");
    if name.is_empty() || name.starts_with('/') { name.to_owned() } else { format!("/{name}") }
}

/// The labels that a container was given, at most so many as anybody needs.
pub(crate) fn given(item: &Value) -> impl Iterator<Item = (&str, &str)> {
    let all = item.get("Labels").and_then(Value::as_object).into_iter().flatten().take(LABELS_MAX);
    all.map(|(key, value)| (key.as_str(), value.as_str().unwrap_or("")))
}

/// A name that may stand in a label's name: what may not is an underscore.
pub(crate) fn sanitized(key: &str) -> String {
    key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// A running container.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) name: String,
    /// `__meta_docker_…`
    pub(crate) labels: BTreeMap<String, String>,
}

impl Container {
    /// Reads one item of the list.
    pub(crate) fn read(item: &Value) -> Option<Container> {
        let text = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or("").to_owned();
        let id = id(item)?;
        let name = name(item);
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
        for (key, value) in given(item) {
            labels.insert(format!("__meta_docker_container_label_{}", sanitized(key)), value.to_owned());
        }
        Some(Container { id, name, labels })
    }
}
