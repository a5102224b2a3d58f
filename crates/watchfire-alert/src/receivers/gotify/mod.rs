//! `gotify_configs`: one message of an application to a Gotify server. The kind is ours: Alertmanager has none of that name.

use std::sync::Arc;

use serde_json::{Map, Value as Json, json};
use url::Url;
use watchfire_model::document::Reader;

use super::exchange::{Call, Http, missing, plain_url, send};
use super::texts::{SecretText, Writer, cut_bytes};
use super::{Delivered, DeliveryError, Integration, Kind, Making, Outside, TemplateText};
use crate::manager::notification::Notification;

pub(super) const KIND: Kind =
    Kind { key: "gotify_configs", name: "gotify", send_resolved: true, fields: &[], templates: include_str!("default.tmpl"), make: Some(make) };

/// No phone shows more.
const MESSAGE_BYTES_MAX: usize = 64 << 10;
/// The highest priority.
const PRIORITY_MAX: u64 = 10;

struct Gotify {
    url: String,
    token: SecretText,
    http: Http,
    title: TemplateText,
    message: TemplateText,
    priority: TemplateText,
    click_url: TemplateText,
    markdown: bool,
}

fn make(reader: &Reader<'_>, making: &Making<'_>) -> Option<Arc<dyn Integration>> {
    let token = SecretText::read(reader, making, "token", "token_file");
    if token.is_none() {
        missing(reader, "one of token and token_file must be set");
    }
    reader.required_text("url");
    let url = plain_url(reader, "url", "");
    let gotify = Gotify {
        http: Http::read(reader, making, true),
        title: making.template(reader, "title", r#"{{ template "gotify.default.title" . }}"#),
        message: making.template(reader, "message", r#"{{ template "gotify.default.message" . }}"#),
        priority: making.template(reader, "priority", r#"{{ template "gotify.default.priority" . }}"#),
        click_url: making.template(reader, "click_url", r#"{{ template "gotify.default.click_url" . }}"#),
        markdown: reader.bool("markdown").unwrap_or(false),
        url: message_url(&url)?,
        token: token?,
    };
    Some(Arc::new(gotify))
}

/// Messages go to `/message` below the server's address.
fn message_url(server: &str) -> Option<String> {
    let mut url = Url::parse(server).ok()?;
    url.set_path(&format!("{}/message", url.path().trim_end_matches('/')));
    Some(url.to_string())
}

impl Gotify {
    fn body(&self, writer: &Writer) -> Result<Json, DeliveryError> {
        let priority = writer.text(&self.priority)?;
        let priority: u64 = match priority.trim() {
            "" => 0,
            text => text
                .parse()
                .ok()
                .filter(|p| *p <= PRIORITY_MAX)
                .ok_or_else(|| DeliveryError::Never(format!("cannot send: {text:?} is no priority of Gotify")))?,
        };
        let message = writer.text(&self.message)?;
        let mut extras = Map::new();
        if self.markdown {
            extras.insert("client::display".to_owned(), json!({"contentType": "text/markdown"}));
        }
        let click = writer.text(&self.click_url)?;
        if !click.is_empty() {
            extras.insert("client::notification".to_owned(), json!({"click": {"url": click}}));
        }
        Ok(json!({
            "title": writer.text(&self.title)?,
            "message": cut_bytes(message.trim().to_owned(), MESSAGE_BYTES_MAX),
            "priority": priority,
            "extras": extras,
        }))
    }
}

impl Integration for Gotify {
    fn deliver<'a>(&'a self, notification: &'a Notification, outside: &'a Outside) -> Delivered<'a> {
        Box::pin(async move {
            let writer = Writer::new(notification);
            let token = self.token.write("the token", &writer).await?;
            let call = Call::json(&self.url, &self.body(&writer)?).secret_header("X-Gotify-Key", token.expose().to_owned(), token);
            send(outside, &self.http, call).await.map(drop)
        })
    }
}
