//! `discord_configs`: one message with one embed through a Discord webhook. A label or annotation cannot call everybody.

use std::sync::Arc;

use serde_json::{Map, Value as Json, json};
use tokio::time::Instant;
use watchfire_model::document::Reader;
use watchfire_net::client::SecretSource;

use super::exchange::{Call, Http, missing, read_secret_text, secret_url, send_pictured};
use super::texts::{Writer, cut, holds_any, put};
use super::{DELIVERY_TIME_MAX, Delivered, DeliveryError, Integration, Kind, Making, Outside, TemplateText};
use crate::manager::notification::Notification;

pub(super) const KIND: Kind =
    Kind { key: "discord_configs", name: "discord", send_resolved: true, fields: &[], templates: include_str!("default.tmpl"), make: Some(make) };

/// What Discord takes, in characters.
const TITLE_CHARS_MAX: usize = 256;
const DESCRIPTION_CHARS_MAX: usize = 2048;
const CONTENT_CHARS_MAX: usize = 2000;
/// Colours of the embed's edge.
const RED: u32 = 0x99_2d_22;
const GREEN: u32 = 0x2e_cc_71;

struct Discord {
    url: SecretSource,
    http: Http,
    title: TemplateText,
    message: TemplateText,
    content: TemplateText,
    username: String,
    avatar_url: String,
}

fn make(reader: &Reader<'_>, making: &Making<'_>) -> Option<Arc<dyn Integration>> {
    let url = secret_url(reader, making, "webhook_url", "webhook_url_file").or_else(|| making.global.secret("discord_webhook_url").cloned());
    if url.is_none() {
        missing(reader, "there is no address: webhook_url or discord_webhook_url must be set");
    }
    let discord = Discord {
        http: Http::read(reader, making, false),
        title: making.template(reader, "title", r#"{{ template "discord.default.title" . }}"#),
        message: making.template(reader, "message", r#"{{ template "discord.default.message" . }}"#),
        content: making.template(reader, "content", r#"{{ template "discord.default.content" . }}"#),
        username: reader.text("username").unwrap_or_default(),
        avatar_url: reader.text("avatar_url").unwrap_or_default(),
        url: url?,
    };
    Some(Arc::new(discord))
}

/// A character of no width keeps Discord from reading a value as "call everybody" or as the name of a group or a person.
fn disarm(value: &str) -> Option<String> {
    holds_any(value, &["@everyone", "@here", "<@"]).then(|| value.replace('@', "@\u{200b}"))
}

/// Whom a message may call: those that `content` of the configuration itself calls, whatever values put together.
fn allowed(content: &str) -> Json {
    let roles = content.contains("<@&");
    let users = content.match_indices("<@").any(|(at, _)| content.get(at + 2..).is_some_and(|rest| !rest.starts_with('&')));
    let kinds = [("everyone", holds_any(content, &["@everyone", "@here"])), ("roles", roles), ("users", users)];
    json!({"parse": kinds.into_iter().filter(|(_, called)| *called).map(|(kind, _)| kind).collect::<Vec<_>>()})
}

impl Discord {
    fn body(&self, notification: &Notification, has_picture: bool) -> Result<Json, DeliveryError> {
        let writer = Writer::disarmed(notification, disarm);
        let color = if notification.status() == "firing" { RED } else { GREEN };
        let mut embed = json!({
            "title": cut(writer.text(&self.title)?, TITLE_CHARS_MAX),
            "description": cut(writer.text(&self.message)?, DESCRIPTION_CHARS_MAX),
            "color": color,
        });
        if has_picture && let Some(embed) = embed.as_object_mut() {
            embed.insert("image".to_owned(), json!({"url": "attachment://panel.png"}));
        }
        let mut body = Map::new();
        body.insert("content".to_owned(), Json::from(cut(writer.text(&self.content)?, CONTENT_CHARS_MAX)));
        body.insert("allowed_mentions".to_owned(), allowed(self.content.source()));
        body.insert("embeds".to_owned(), Json::from(vec![embed]));
        put(&mut body, "username", self.username.clone());
        put(&mut body, "avatar_url", self.avatar_url.clone());
        Ok(Json::Object(body))
    }
}

impl Integration for Discord {
    fn deliver<'a>(&'a self, notification: &'a Notification, outside: &'a Outside) -> Delivered<'a> {
        Box::pin(async move {
            let url = read_secret_text(&self.url).await?;
            let until = Instant::now() + DELIVERY_TIME_MAX;
            let call = |has_picture| Ok::<_, DeliveryError>(Call::secret_json(&url, &self.body(notification, has_picture)?));
            let with = match outside.pictures.of(notification).await {
                Some(png) => Some(call(true)?.with_picture("files[0]", &png)),
                None => None,
            };
            send_pictured(outside, &self.http, with, call(false)?, until).await
        })
    }
}
