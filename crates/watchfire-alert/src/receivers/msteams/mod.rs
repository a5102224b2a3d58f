//! `msteams_configs` and `msteamsv2_configs`: a card in a Microsoft Teams channel, through the old connectors (message cards) or
//! the workflows that replace them (adaptive cards).

use std::sync::Arc;

use serde_json::{Value as Json, json};
use watchfire_model::document::Reader;
use watchfire_net::client::SecretSource;

use super::exchange::{Call, Http, missing, read_secret_text, secret_url, send, shown};
use super::texts::{Writer, cut, cut_bytes};
use super::{Delivered, DeliveryError, Integration, Kind, Making, Outside, TemplateText};
use crate::manager::notification::Notification;

pub(super) const KIND: Kind =
    Kind { key: "msteams_configs", name: "msteams", send_resolved: true, fields: &[], templates: include_str!("default.tmpl"), make: Some(make_v1) };
pub(super) const KIND_V2: Kind =
    Kind { key: "msteamsv2_configs", name: "msteamsv2", send_resolved: true, fields: &[], templates: include_str!("default_v2.tmpl"), make: Some(make_v2) };

/// Teams takes messages of 28 KB; what surrounds the text needs some of that, and JSON makes line ends longer.
const TEXT_BYTES_MAX: usize = 20_000;
/// A title is one line.
const TITLE_CHARS_MAX: usize = 1024;

struct Teams {
    url: SecretSource,
    http: Http,
    title: TemplateText,
    text: TemplateText,
    /// Only message cards have one.
    summary: Option<TemplateText>,
}

fn make_v1(reader: &Reader<'_>, making: &Making<'_>) -> Option<Arc<dyn Integration>> {
    let summary = making.template(reader, "summary", r#"{{ template "msteams.default.summary" . }}"#);
    make(reader, making, [r#"{{ template "msteams.default.title" . }}"#, r#"{{ template "msteams.default.text" . }}"#], Some(summary))
}

fn make_v2(reader: &Reader<'_>, making: &Making<'_>) -> Option<Arc<dyn Integration>> {
    make(reader, making, [r#"{{ template "msteamsv2.default.title" . }}"#, r#"{{ template "msteamsv2.default.text" . }}"#], None)
}

fn make(reader: &Reader<'_>, making: &Making<'_>, [title, text]: [&str; 2], summary: Option<TemplateText>) -> Option<Arc<dyn Integration>> {
    let url = secret_url(reader, making, "webhook_url", "webhook_url_file");
    if url.is_none() {
        missing(reader, "one of webhook_url and webhook_url_file must be set");
    }
    let teams = Teams {
        http: Http::read(reader, making, false),
        title: making.template(reader, "title", title),
        text: making.template(reader, "text", text),
        summary,
        url: url?,
    };
    Some(Arc::new(teams))
}

impl Teams {
    fn body(&self, notification: &Notification) -> Result<Json, DeliveryError> {
        let writer = Writer::new(notification);
        let title = cut(writer.text(&self.title)?, TITLE_CHARS_MAX);
        let text = cut_bytes(writer.text(&self.text)?, TEXT_BYTES_MAX);
        let fires = notification.status() == "firing";
        let Some(summary) = &self.summary else { return Ok(adaptive_card(&title, &text, fires)) };
        Ok(json!({
            "@context": "http://schema.org/extensions",
            "type": "MessageCard",
            "title": title,
            "summary": cut(writer.text(summary)?, TITLE_CHARS_MAX),
            "text": text,
            "themeColor": if fires { "8C1A1A" } else { "2DC72D" },
        }))
    }
}

fn adaptive_card(title: &str, text: &str, fires: bool) -> Json {
    let color = if fires { "Attention" } else { "Good" };
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.2",
                "body": [
                    {"type": "TextBlock", "text": title, "weight": "Bolder", "size": "Medium", "wrap": true, "style": "heading", "color": color},
                    {"type": "TextBlock", "text": text, "wrap": true},
                ],
                "msteams": {"width": "full"},
            },
        }],
    })
}

impl Integration for Teams {
    fn deliver<'a>(&'a self, notification: &'a Notification, outside: &'a Outside) -> Delivered<'a> {
        Box::pin(async move {
            let url = read_secret_text(&self.url).await?;
            let answer = send(outside, &self.http, Call::secret_json(&url, &self.body(notification)?)).await?;
            // Connectors answer 200 also when Teams itself refused; then a sentence names its status.
            let said = shown(&answer.body);
            match said.split_once("HTTP error ") {
                None => Ok(()),
                Some((_, status)) if status.starts_with("429") || status.starts_with('5') => {
                    Err(DeliveryError::Later { reason: format!("Teams said: {said}"), after: None })
                }
                Some(_) => Err(DeliveryError::Never(format!("Teams said: {said}"))),
            }
        })
    }
}
