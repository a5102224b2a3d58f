//! A configuration as it may be shown, with every secret replaced, and as it is hashed to tell whether two say the same.

use std::sync::Arc;

use watchfire_model::document::{Node, Value, without_password, write_yaml};

/// What stands in place of a secret.
const HIDDEN: &str = "<secret>";

/// Keys whose values are secret wherever they stand.
const SECRET_KEYS: [&str; 16] = [
    "password",
    "bearer_token",
    "credentials",
    "client_secret",
    "secret_key",
    "secret_id",
    "token",
    "secret",
    "secrets",
    "api_token",
    "application_credential_secret",
    "consumer_key",
    "application_secret",
    "auth_token",
    "proxy_connect_header",
    "key",
];

/// The tree as YAML; secrets are `<secret>`, passwords in URLs `xxxxx`.
pub(super) fn yaml(node: &Node) -> String {
    write_yaml(&hidden(node, Mode::Shown))
}

/// The tree as YAML with everything in it: only for hashing, never to be shown or logged.
pub(super) fn yaml_with_secrets(node: &Node) -> String {
    write_yaml(node)
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// Secrets are replaced.
    Shown,
    /// These are request headers: what sounds secret is.
    Headers,
    /// These are labels, which are never secret.
    Labels,
    /// This value is a secret or stands inside one.
    Secret,
}
impl Mode {
    fn below(self, key: &str) -> Mode {
        match (self, key) {
            (Mode::Shown, "labels" | "external_labels" | "relabel_configs" | "metric_relabel_configs") => Mode::Labels,
            (Mode::Shown, "headers" | "http_headers") => Mode::Headers,
            (Mode::Shown, key) if SECRET_KEYS.contains(&key) => Mode::Secret,
            (Mode::Headers, key) if sounds_secret(key) => Mode::Secret,
            (mode, _) => mode,
        }
    }
}

/// Whether a header's name says that its value is nobody's business.
fn sounds_secret(header: &str) -> bool {
    let header = header.to_ascii_lowercase();
    ["auth", "token", "cookie", "key", "secret"].iter().any(|word| header.contains(word))
}

/// The tree with its secrets replaced.
fn hidden(node: &Node, mode: Mode) -> Node {
    let value = match &node.value {
        Value::Map(entries) => Value::Map(entries.iter().map(|(key, value)| (key.clone(), hidden(value, mode.below(&key.text)))).collect()),
        Value::List(items) => Value::List(items.iter().map(|item| hidden(item, mode)).collect()),
        Value::Scalar { text, .. } if mode == Mode::Secret && !text.is_empty() => Value::Scalar { text: HIDDEN.into(), plain: true },
        Value::Scalar { text, plain } => Value::Scalar { text: Arc::from(without_password(text)), plain: *plain },
        Value::Null => Value::Null,
    };
    Node { value, ..*node }
}
