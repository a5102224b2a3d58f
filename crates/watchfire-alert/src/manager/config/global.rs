//! `global`: what receivers fall back to, and how long an alert counts as firing whose sender does not say.

use std::sync::Arc;

use watchfire_model::document::Reader;
use watchfire_net::client::{HttpOptions, Locate, SecretSource, TlsOptions, read_http_options, read_secret, read_tls_options};

/// Defaults of receivers.
#[derive(Clone, Debug)]
pub struct Global {
    /// How long an alert without an end counts as firing, in milliseconds.
    pub resolve_timeout_ms: i64,
    /// How HTTP requests are made.
    pub http: Arc<HttpOptions>,
    /// How mail is sent.
    pub smtp: Smtp,
    /// Addresses and names that are no secrets, by their key (`pagerduty_url`).
    pub texts: Vec<(&'static str, String)>,
    /// Secrets, by their key without `_file` (`slack_api_url`).
    pub secrets: Vec<(&'static str, SecretSource)>,
}
impl Default for Global {
    fn default() -> Global {
        Global {
            resolve_timeout_ms: 300_000,
            http: Arc::new(HttpOptions { follow_redirects: true, ..HttpOptions::default() }),
            smtp: Smtp { require_tls: true, ..Smtp::default() },
            texts: DEFAULT_TEXTS.iter().map(|(key, text)| (*key, (*text).to_owned())).collect(),
            secrets: Vec::new(),
        }
    }
}

/// How mail is sent unless a receiver says otherwise.
#[derive(Clone, Debug, Default)]
pub struct Smtp {
    /// The sender's address.
    pub from: Option<String>,
    /// Host and port of the server.
    pub smarthost: Option<String>,
    /// What we call ourselves.
    pub hello: Option<String>,
    /// The name to log in with.
    pub auth_username: Option<String>,
    /// Its password.
    pub auth_password: Option<SecretSource>,
    /// The secret of CRAM-MD5.
    pub auth_secret: Option<SecretSource>,
    /// The identity of PLAIN.
    pub auth_identity: Option<String>,
    /// Whether mail goes over TLS or not at all.
    pub require_tls: bool,
    /// Whether the connection begins with TLS, whatever its port; by port when nothing is said.
    pub force_implicit_tls: Option<bool>,
    /// Its TLS side.
    pub tls: TlsOptions,
}

const DEFAULT_TEXTS: [(&str, &str); 8] = [
    ("pagerduty_url", "https://events.pagerduty.com/v2/enqueue"),
    ("opsgenie_api_url", "https://api.opsgenie.com/"),
    ("wechat_api_url", "https://qyapi.weixin.qq.com/cgi-bin/"),
    ("victorops_api_url", "https://alert.victorops.com/integrations/generic/20131114/alert/"),
    ("telegram_api_url", "https://api.telegram.org"),
    ("webex_api_url", "https://webexapis.com/v1/messages"),
    ("rocketchat_api_url", "https://open.rocket.chat/"),
    ("slack_app_url", "https://slack.com/api/chat.postMessage"),
];
/// Keys that are texts and have no default.
const OTHER_TEXTS: [&str; 3] = ["jira_api_url", "wechat_api_corp_id", "jsm_api_url"];
/// Secrets and the key of their file.
const SECRETS: [(&str, &str); 11] = [
    ("slack_api_url", "slack_api_url_file"),
    ("slack_app_token", "slack_app_token_file"),
    ("opsgenie_api_key", "opsgenie_api_key_file"),
    ("jsm_api_key", "jsm_api_key_file"),
    ("victorops_api_key", "victorops_api_key_file"),
    ("wechat_api_secret", "wechat_api_secret_file"),
    ("telegram_bot_token", "telegram_bot_token_file"),
    ("rocketchat_token", "rocketchat_token_file"),
    ("rocketchat_token_id", "rocketchat_token_id_file"),
    ("mattermost_webhook_url", "mattermost_webhook_url_file"),
    ("discord_webhook_url", "discord_webhook_url_file"),
];

impl Global {
    /// A text by its key.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.texts.iter().find(|(k, _)| *k == key).map(|(_, text)| text.as_str())
    }
    /// A secret by its key.
    pub fn secret(&self, key: &str) -> Option<&SecretSource> {
        self.secrets.iter().find(|(k, _)| *k == key).map(|(_, secret)| secret)
    }

    /// Reads `global`.
    pub(super) fn read(root: &Reader<'_>, locate: Locate<'_>) -> Global {
        let mut global = Global::default();
        let Some(reader) = root.map("global") else { return global };
        if let Some(ms) = reader.duration_ms("resolve_timeout") {
            global.resolve_timeout_ms = i64::try_from(ms).unwrap_or(i64::MAX);
        }
        if let Some(http) = reader.map("http_config") {
            global.http = Arc::new(read_http_options(&http, locate));
            http.finish();
        }
        global.smtp = read_smtp(&reader, locate);
        for (key, text) in &mut global.texts {
            if let Some(written) = reader.text(key) {
                *text = written;
            }
        }
        for key in OTHER_TEXTS {
            global.texts.extend(reader.text(key).map(|text| (key, text)));
        }
        for (key, file) in SECRETS {
            global.secrets.extend(read_secret(&reader, key, file, locate).map(|secret| (key, secret)));
        }
        reader.finish();
        global
    }
}

fn read_smtp(reader: &Reader<'_>, locate: Locate<'_>) -> Smtp {
    let smarthost = reader.text("smtp_smarthost").filter(|t| !t.is_empty());
    if smarthost.as_deref().is_some_and(|host| host.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err())) {
        reader.error_at("smtp_smarthost", "must be host:port");
    }
    Smtp {
        from: reader.text("smtp_from").filter(|t| !t.is_empty()),
        smarthost,
        hello: reader.text("smtp_hello"),
        auth_username: reader.text("smtp_auth_username").filter(|t| !t.is_empty()),
        auth_password: read_secret(reader, "smtp_auth_password", "smtp_auth_password_file", locate),
        auth_secret: read_secret(reader, "smtp_auth_secret", "smtp_auth_secret_file", locate),
        auth_identity: reader.text("smtp_auth_identity"),
        require_tls: reader.bool("smtp_require_tls").unwrap_or(true),
        force_implicit_tls: reader.bool("smtp_force_implicit_tls"),
        tls: read_tls_options(reader, "smtp_tls_config", locate),
    }
}
