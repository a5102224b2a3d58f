//! The configuration as it may be shown: the original's keys in their order, every secret replaced by `<secret>`, which
//! Alertmanager's own tools read again as "a secret that is not told".

use watchfire_model::document::{Node, Value, without_password, write_yaml};

/// What stands in place of a secret.
const HIDDEN: &str = "<secret>";
/// The same for the address of a webhook, which older tools take for a plain URL.
const HIDDEN_URL: &str = "http://<secret>";

/// Keys whose values are secret wherever they stand.
const SECRET_KEYS: [&str; 29] = [
    "smtp_auth_password",
    "smtp_auth_secret",
    "auth_password",
    "auth_secret",
    "slack_api_url",
    "slack_app_token",
    "app_token",
    "opsgenie_api_key",
    "jsm_api_key",
    "victorops_api_key",
    "wechat_api_secret",
    "telegram_bot_token",
    "rocketchat_token",
    "rocketchat_token_id",
    "mattermost_webhook_url",
    "discord_webhook_url",
    "api_key",
    "api_secret",
    "routing_key",
    "service_key",
    "user_key",
    "token",
    "token_id",
    "bot_token",
    "webhook_url",
    "alert_source_token",
    "secret_key",
    "password",
    "credentials",
];
/// Secrets in `http_config`.
const HTTP_SECRET_KEYS: [&str; 6] = ["bearer_token", "client_secret", "secrets", "proxy_connect_header", "key", "client_certificate_key"];

/// The document without secrets.
pub(super) fn shown(root: &Node) -> String {
    write_yaml(&hide(root, Place::Anywhere))
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Anywhere,
    /// In an entry of `webhook_configs`, whose address is secret.
    Webhook,
    /// In an entry of `slack_configs`, whose `api_url` is secret.
    Slack,
    /// In `http_config` or a TLS section.
    Client,
    /// In request headers of `http_headers`.
    Headers,
    /// In matchers, which hold no secrets.
    Labels,
    /// The value itself.
    Secret,
    /// The value itself, where a URL must stand.
    SecretUrl,
}
impl Place {
    fn below(self, key: &str) -> Place {
        match (self, key) {
            (Place::Labels, _) => Place::Labels,
            (_, "match" | "match_re" | "source_match" | "source_match_re" | "target_match" | "target_match_re") => Place::Labels,
            (_, "webhook_configs") => Place::Webhook,
            (_, "slack_configs") => Place::Slack,
            (_, "http_config" | "tls_config" | "smtp_tls_config" | "oauth2") => Place::Client,
            (Place::Client, "http_headers") => Place::Headers,
            (Place::Webhook, "url") => Place::SecretUrl,
            (Place::Slack, "api_url") => Place::Secret,
            (Place::Client | Place::Headers, key) if HTTP_SECRET_KEYS.contains(&key) => Place::Secret,
            (_, key) if SECRET_KEYS.contains(&key) => Place::Secret,
            (place, _) => place,
        }
    }
}

fn hide(node: &Node, place: Place) -> Node {
    let value = match &node.value {
        Value::Map(entries) => Value::Map(entries.iter().map(|(key, value)| (key.clone(), hide(value, place.below(&key.text)))).collect()),
        Value::List(items) => Value::List(items.iter().map(|item| hide(item, place)).collect()),
        Value::Scalar { text, .. } if place == Place::Secret && !text.is_empty() => Value::Scalar { text: HIDDEN.into(), plain: true },
        Value::Scalar { text, .. } if place == Place::SecretUrl && !text.is_empty() => Value::Scalar { text: HIDDEN_URL.into(), plain: true },
        Value::Scalar { text, plain } => Value::Scalar { text: without_password(text).into(), plain: *plain },
        Value::Null => Value::Null,
    };
    Node { value, ..*node }
}
