//! `telegram_configs`: one message of a bot to a chat. A formatted message that is too long goes out without its formatting,
//! because cut marks are refused as a whole.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value as Json};
use tokio::time::{Instant, timeout_at};
use watchfire_model::document::Reader;
use watchfire_net::client::SecretSource;
use watchfire_net::secret::Secret;

use super::exchange::{Call, Form, Http, missing, plain_url, read_secret_text, send};
use super::texts::{SecretText, Writer, cut, put};
use super::{DELIVERY_TIME_MAX, Delivered, DeliveryError, Integration, Kind, Making, Outside, TemplateText};
use crate::manager::notification::Notification;

pub(super) const KIND: Kind =
    Kind { key: "telegram_configs", name: "telegram", send_resolved: true, fields: &[], templates: include_str!("default.tmpl"), make: Some(make) };

/// What Telegram takes of a message.
const MESSAGE_CHARS_MAX: usize = 4096;
/// Ways in which Telegram reads a message; the empty one is none.
const PARSE_MODES: [&str; 4] = ["", "Markdown", "MarkdownV2", "HTML"];

enum Chat {
    Id(i64),
    File(PathBuf),
}

struct Telegram {
    token: SecretText,
    api_url: String,
    http: Http,
    chat: Chat,
    thread: Option<i64>,
    message: TemplateText,
    silent: bool,
    parse_mode: &'static str,
}

fn make(reader: &Reader<'_>, making: &Making<'_>) -> Option<Arc<dyn Integration>> {
    let token = SecretText::read(reader, making, "bot_token", "bot_token_file").or_else(|| SecretText::global(making, "telegram_bot_token"));
    if token.is_none() {
        missing(reader, "there is no token: bot_token or telegram_bot_token must be set");
    }
    let chat = match (integer(reader, "chat_id").filter(|id| *id != 0), reader.text("chat_id_file")) {
        (Some(_), Some(_)) => {
            reader.error_at("chat_id_file", "at most one of chat_id and chat_id_file may be set");
            None
        }
        (Some(id), None) => Some(Chat::Id(id)),
        (None, Some(file)) => Some(Chat::File((making.locate)(&file))),
        (None, None) => {
            missing(reader, "one of chat_id and chat_id_file must be set");
            None
        }
    };
    let telegram = Telegram {
        api_url: plain_url(reader, "api_url", making.global.text("telegram_api_url").unwrap_or_default()),
        http: Http::read(reader, making, false),
        thread: integer(reader, "message_thread_id").filter(|id| *id != 0),
        message: making.template(reader, "message", r#"{{ template "telegram.default.message" . }}"#),
        silent: reader.bool("disable_notifications").unwrap_or(false),
        parse_mode: reader.word("parse_mode", &PARSE_MODES).unwrap_or("HTML"),
        token: token?,
        chat: chat?,
    };
    Some(Arc::new(telegram))
}

/// A whole number that may be negative.
fn integer(reader: &Reader<'_>, key: &'static str) -> Option<i64> {
    let text = reader.text(key)?;
    let number = text.parse().ok();
    if number.is_none() {
        reader.error_at(key, format!("must be a whole number, not {text:?}"));
    }
    number
}

impl Telegram {
    async fn chat_id(&self) -> Result<i64, DeliveryError> {
        match &self.chat {
            Chat::Id(id) => Ok(*id),
            Chat::File(path) => {
                let text = read_secret_text(&SecretSource::File(path.clone())).await?;
                text.expose().parse().map_err(|_| DeliveryError::Never(format!("cannot send: {} holds no chat's number", path.display())))
            }
        }
    }

    /// The text and how it is to be read.
    fn message(&self, writer: &Writer) -> Result<(String, &'static str), DeliveryError> {
        let html = self.parse_mode == "HTML";
        let text = if html { writer.html(&self.message)? } else { writer.text(&self.message)? };
        if text.chars().nth(MESSAGE_CHARS_MAX).is_none() {
            return Ok((text, self.parse_mode));
        }
        // Half a pair of marks makes Telegram refuse the message. Those of Markdown can be read as they stand.
        Ok((cut(if html { without_tags(&text) } else { text }, MESSAGE_CHARS_MAX), ""))
    }

    async fn body(&self, notification: &Notification) -> Result<Json, DeliveryError> {
        let (text, parse_mode) = self.message(&Writer::new(notification))?;
        let mut body = Map::new();
        put(&mut body, "chat_id", self.chat_id().await?.to_string());
        put(&mut body, "text", text);
        put(&mut body, "parse_mode", parse_mode.to_owned());
        put(&mut body, "disable_web_page_preview", "true".to_owned());
        if self.silent {
            put(&mut body, "disable_notification", "true".to_owned());
        }
        if let Some(thread) = self.thread {
            put(&mut body, "message_thread_id", thread.to_string());
        }
        Ok(Json::Object(body))
    }
}

/// The visible text of the HTML that Telegram knows.
fn without_tags(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(before);
        match tag.split_once('>') {
            Some((_, after)) => rest = after,
            None => {
                text.push('<');
                rest = tag;
            }
        }
    }
    text.push_str(rest);
    for (entity, character) in [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#34;", "\""), ("&#39;", "'"), ("&#43;", "+"), ("&amp;", "&")] {
        text = text.replace(entity, character);
    }
    text
}

impl Integration for Telegram {
    fn deliver<'a>(&'a self, notification: &'a Notification, outside: &'a Outside) -> Delivered<'a> {
        Box::pin(async move {
            let token = self.token.write("the bot's token", &Writer::new(notification)).await?;
            let body = self.body(notification).await?;
            // The token is part of the address, which must not become another one by it.
            if token.expose().contains(['/', '?', '#', '%']) || token.expose().chars().any(char::is_whitespace) {
                return Err(DeliveryError::Never("cannot send: the bot's token is none".to_owned()));
            }
            let address = |method: &str| format!("{}/bot{}/{method}", self.api_url.trim_end_matches('/'), token.expose());
            let url = address("sendMessage");
            let call = Call { hidden: vec![Secret::new(url.as_str()), token.clone()], ..Call::json(url, &body) };
            // Whoever waits for both gives up soon after, and would have the message sent again.
            let until = Instant::now() + DELIVERY_TIME_MAX;
            send(outside, &self.http, call).await?;
            if let Some(png) = outside.pictures.of(notification).await {
                let url = address("sendPhoto");
                let mut form = Form::default();
                for key in ["chat_id", "message_thread_id", "disable_notification"] {
                    if let Some(value) = body.get(key).and_then(Json::as_str) {
                        form.field(key, value.as_bytes());
                    }
                }
                form.picture("photo", &png);
                let hidden = vec![Secret::new(url.as_str()), token];
                let call = Call { hidden, body: form.finish(), content_type: Form::CONTENT_TYPE, ..Call::json(url, &Json::Null) };
                // The message is there; a second one, because its picture failed, would be worse than none.
                match timeout_at(until, send(outside, &self.http, call)).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => tracing::warn!(receiver = notification.receiver, %error, "a picture was not taken after its message"),
                    Err(_) => tracing::warn!(receiver = notification.receiver, "a picture was not taken after its message in time"),
                }
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_taken_out() {
        assert_eq!(without_tags("<b>a</b> &lt;b&gt; &amp;lt; <a href=\"x\">c</a> 1 < 2"), "a <b> &lt; c 1 < 2");
    }
}
