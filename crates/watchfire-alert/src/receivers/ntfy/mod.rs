//! `ntfy_configs`: one message to a topic of an ntfy server. The kind is ours: Alertmanager has none of that name.

use std::sync::Arc;

use http::Method;
use serde_json::{Map, Value as Json};
use tokio::time::Instant;
use url::Url;
use watchfire_model::document::Reader;

use super::email::words;
use super::exchange::{Call, Http, plain_url, send_pictured};
use super::texts::{SecretText, Writer, cut_bytes, put};
use super::{DELIVERY_TIME_MAX, Delivered, DeliveryError, Integration, Kind, Making, Outside, TemplateText};
use crate::manager::notification::Notification;

pub(super) const KIND: Kind =
    Kind { key: "ntfy_configs", name: "ntfy", send_resolved: true, fields: &[], templates: include_str!("default.tmpl"), make: Some(make) };

/// The server that anybody may use.
const SERVER: &str = "https://ntfy.sh";
/// Longer messages would become attachments.
const MESSAGE_BYTES_MAX: usize = 4096;
const TITLE_BYTES_MAX: usize = 250;
/// What priorities are called, from 1.
const PRIORITIES: [&str; 5] = ["min", "low", "default", "high", "max"];

/// What a message with a picture says in headers.
const HEADERS: [(&str, &str); 7] =
    [("title", "Title"), ("message", "Message"), ("priority", "Priority"), ("tags", "Tags"), ("click", "Click"), ("icon", "Icon"), ("markdown", "Markdown")];

struct Ntfy {
    url: String,
    topic: String,
    token: Option<SecretText>,
    http: Http,
    title: TemplateText,
    message: TemplateText,
    priority: TemplateText,
    tags: TemplateText,
    click: TemplateText,
    icon: String,
    markdown: bool,
}

fn make(reader: &Reader<'_>, making: &Making<'_>) -> Option<Arc<dyn Integration>> {
    let topic = reader.required_text("topic");
    if !topic.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')) || topic.len() > 64 {
        reader.error_at("topic", "must be at most 64 letters, digits, _ and -");
    }
    let token = SecretText::read(reader, making, "token", "token_file");
    let url = plain_url(reader, "url", SERVER);
    if Url::parse(&url).is_ok_and(|url| url.path() != "/") {
        reader.error_at("url", "must be the address of the server; the topic has a key of its own");
    }
    let ntfy = Ntfy {
        url,
        topic,
        token,
        http: Http::read(reader, making, true),
        title: making.template(reader, "title", r#"{{ template "ntfy.default.title" . }}"#),
        message: making.template(reader, "message", r#"{{ template "ntfy.default.message" . }}"#),
        priority: making.template(reader, "priority", r#"{{ template "ntfy.default.priority" . }}"#),
        tags: making.template(reader, "tags", r#"{{ template "ntfy.default.tags" . }}"#),
        click: making.template(reader, "click", r#"{{ template "ntfy.default.click" . }}"#),
        icon: plain_url(reader, "icon", ""),
        markdown: reader.bool("markdown").unwrap_or(false),
    };
    Some(Arc::new(ntfy))
}

/// The number of a priority, which may be written as a word.
fn priority(text: &str) -> Result<u64, DeliveryError> {
    let text = text.trim();
    let by_name = |name: &str| PRIORITIES.iter().position(|known| *known == name).map(|at| at as u64 + 1);
    match (text, text.parse::<u64>()) {
        ("", _) => Ok(3),
        ("urgent", _) => Ok(5),
        (_, Ok(number)) if (1..=5).contains(&number) => Ok(number),
        _ => by_name(text).ok_or_else(|| DeliveryError::Never(format!("cannot send: {text:?} is no priority of ntfy"))),
    }
}

impl Ntfy {
    fn body(&self, writer: &Writer) -> Result<Json, DeliveryError> {
        let mut body = Map::new();
        put(&mut body, "topic", self.topic.clone());
        put(&mut body, "title", cut_bytes(writer.text(&self.title)?, TITLE_BYTES_MAX));
        put(&mut body, "message", cut_bytes(writer.text(&self.message)?.trim().to_owned(), MESSAGE_BYTES_MAX));
        body.insert("priority".to_owned(), Json::from(priority(&writer.text(&self.priority)?)?));
        let tags = writer.text(&self.tags)?;
        let tags: Vec<&str> = tags.split(',').map(str::trim).filter(|tag| !tag.is_empty()).collect();
        if !tags.is_empty() {
            body.insert("tags".to_owned(), Json::from(tags));
        }
        put(&mut body, "click", writer.text(&self.click)?);
        put(&mut body, "icon", self.icon.clone());
        if self.markdown {
            body.insert("markdown".to_owned(), Json::from(true));
        }
        Ok(Json::Object(body))
    }
}

impl Ntfy {
    /// The same message as a file: its picture is the body, and all else stands in headers, in encoded words where it is not plain.
    fn pictured(&self, body: &Json, png: Vec<u8>) -> Call {
        let url = format!("{}/{}", self.url.trim_end_matches('/'), self.topic);
        let mut call = Call { method: Method::PUT, body: png, content_type: "image/png", ..Call::json(url, &Json::Null) };
        call = call.header("Filename", "panel.png");
        for (key, header) in HEADERS {
            let text = match body.get(key) {
                Some(Json::String(text)) => words(text),
                Some(Json::Array(list)) => words(&list.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(",")),
                Some(Json::Null) | None => continue,
                Some(other) => other.to_string(),
            };
            call = call.header(header, &text);
        }
        call
    }
}

impl Integration for Ntfy {
    fn deliver<'a>(&'a self, notification: &'a Notification, outside: &'a Outside) -> Delivered<'a> {
        Box::pin(async move {
            let writer = Writer::new(notification);
            let until = Instant::now() + DELIVERY_TIME_MAX;
            let body = self.body(&writer)?;
            let mut call = Call::json(&self.url, &body);
            let mut with = outside.pictures.of(notification).await.map(|png| self.pictured(&body, png));
            if let Some(token) = &self.token {
                let token = token.write("the token", &writer).await?;
                let known = |call: Call| call.secret_header("Authorization", format!("Bearer {}", token.expose()), token.clone());
                (call, with) = (known(call), with.map(known));
            }
            send_pictured(outside, &self.http, with, call, until).await
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities() {
        for (text, expected) in
            [("", Some(3)), ("1", Some(1)), ("5", Some(5)), ("max", Some(5)), ("urgent", Some(5)), ("high", Some(4)), ("0", None), ("6", None), ("x", None)]
        {
            assert_eq!(priority(text).ok(), expected, "{text}");
        }
    }
}
