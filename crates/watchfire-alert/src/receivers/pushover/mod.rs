//! `pushover_configs`: one message through Pushover. Its keys stand in the body and never in an address.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use tokio::time::Instant;
use url::form_urlencoded::Serializer;
use watchfire_model::document::Reader;
use watchfire_net::secret::Secret;

use super::exchange::{Call, Http, missing, send_pictured};
use super::texts::{SecretText, Writer, cut};
use super::{DELIVERY_TIME_MAX, Delivered, DeliveryError, Integration, Kind, Making, Outside, TemplateText};
use crate::manager::notification::Notification;

pub(super) const KIND: Kind =
    Kind { key: "pushover_configs", name: "pushover", send_resolved: true, fields: &[], templates: include_str!("default.tmpl"), make: Some(make) };

/// Where messages go.
const URL: &str = "https://api.pushover.net/1/messages.json";
/// What Pushover takes of a title, a message and an address.
const TITLE_CHARS_MAX: usize = 250;
const MESSAGE_CHARS_MAX: usize = 1024;
const URL_CHARS_MAX: usize = 512;
/// Stands in place of an empty message, which Pushover refuses.
const NO_MESSAGE: &str = "(no details)";

struct Pushover {
    user_key: SecretText,
    token: SecretText,
    http: Http,
    title: TemplateText,
    message: TemplateText,
    url: TemplateText,
    /// `url_title`, `priority`, `device` and `sound`.
    more: Vec<(&'static str, TemplateText)>,
    retry_s: u64,
    expire_s: u64,
    ttl_s: u64,
    html: bool,
    monospace: bool,
}

fn make(reader: &Reader<'_>, making: &Making<'_>) -> Option<Arc<dyn Integration>> {
    let user_key = SecretText::read(reader, making, "user_key", "user_key_file");
    let token = SecretText::read(reader, making, "token", "token_file");
    if user_key.is_none() || token.is_none() {
        missing(reader, "user_key and token must be set");
    }
    let seconds = |key, default| reader.duration_ms(key).map_or(default, |ms| ms / 1_000);
    let (html, monospace) = (reader.bool("html").unwrap_or(false), reader.bool("monospace").unwrap_or(false));
    if html && monospace {
        reader.error_at("monospace", "must not be set together with html");
    }
    let texts = [("url_title", ""), ("priority", r#"{{ if eq .Status "firing" }}2{{ else }}0{{ end }}"#), ("device", ""), ("sound", "")];
    let pushover = Pushover {
        http: Http::read(reader, making, false),
        title: making.template(reader, "title", r#"{{ template "pushover.default.title" . }}"#),
        message: making.template(reader, "message", r#"{{ template "pushover.default.message" . }}"#),
        url: making.template(reader, "url", r#"{{ template "pushover.default.url" . }}"#),
        more: texts.map(|(key, default)| (key, making.template(reader, key, default))).into(),
        retry_s: seconds("retry", 60),
        expire_s: seconds("expire", 3_600),
        ttl_s: seconds("ttl", 0),
        html,
        monospace,
        user_key: user_key?,
        token: token?,
    };
    Some(Arc::new(pushover))
}

impl Pushover {
    /// The body: a form, as browsers send it.
    fn form(&self, token: &Secret, user: &Secret, writer: &Writer) -> Result<String, DeliveryError> {
        let mut form = Serializer::new(String::new());
        form.append_pair("token", token.expose()).append_pair("user", user.expose());
        form.append_pair("title", &cut(writer.text(&self.title)?, TITLE_CHARS_MAX));
        let message = if self.html { writer.html(&self.message)? } else { writer.text(&self.message)? };
        let message = cut(message, MESSAGE_CHARS_MAX);
        form.append_pair("message", Some(message.trim()).filter(|m| !m.is_empty()).unwrap_or(NO_MESSAGE));
        form.append_pair("url", &cut(writer.text(&self.url)?, URL_CHARS_MAX));
        for (key, text) in &self.more {
            let text = writer.text(text)?;
            // An empty device is no device, where an empty sound is the default one.
            if !(*key == "device" && text.is_empty()) {
                form.append_pair(key, &text);
            }
        }
        form.append_pair("retry", &self.retry_s.to_string());
        form.append_pair("expire", &self.expire_s.to_string());
        if self.ttl_s > 0 {
            form.append_pair("ttl", &self.ttl_s.to_string());
        }
        for (key, is_on) in [("html", self.html), ("monospace", self.monospace)] {
            if is_on {
                form.append_pair(key, "1");
            }
        }
        Ok(form.finish())
    }
}

impl Integration for Pushover {
    fn deliver<'a>(&'a self, notification: &'a Notification, outside: &'a Outside) -> Delivered<'a> {
        Box::pin(async move {
            let writer = Writer::new(notification);
            let token = self.token.write("the token", &writer).await?;
            let user = self.user_key.write("the user's key", &writer).await?;
            let until = Instant::now() + DELIVERY_TIME_MAX;
            let form = self.form(&token, &user, &writer)?;
            let call = |form: String| Call {
                method: Method::POST,
                url: URL.to_owned(),
                body: form.into_bytes(),
                content_type: "application/x-www-form-urlencoded",
                headers: Vec::new(),
                secret_headers: Vec::new(),
                hidden: vec![token.clone(), user.clone()],
            };
            let with = outside.pictures.of(notification).await.map(|png| {
                let mut pictured = Serializer::new(form.clone());
                call(pictured.append_pair("attachment_base64", &STANDARD.encode(png)).append_pair("attachment_type", "image/png").finish())
            });
            send_pictured(outside, &self.http, with, call(form), until).await
        })
    }
}
