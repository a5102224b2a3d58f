//! `slack_configs`: one message with one attachment, through an incoming webhook or `chat.postMessage` with an app's token.
//! Messages that were sent are not changed later, and a label or annotation cannot call a whole channel.

use std::sync::Arc;

use serde_json::{Map, Value as Json, json};
use tokio::time::Instant;
use url::Url;
use watchfire_model::document::Reader;
use watchfire_net::client::{Response, SecretSource};
use watchfire_net::secret::Secret;

use super::exchange::{Call, Http, missing, plain_url, read_secret_text, secret_url, send, send_until, shown};
use super::texts::{SecretText, Writer, cut, holds_any, put};
use super::{DELIVERY_TIME_MAX, Delivered, DeliveryError, Integration, Kind, Making, Outside, TemplateText};
use crate::manager::notification::Notification;

pub(super) const KIND: Kind =
    Kind { key: "slack_configs", name: "slack", send_resolved: false, fields: &[], templates: include_str!("default.tmpl"), make: Some(make) };

/// What Slack shows of a title.
const TITLE_CHARS_MAX: usize = 1024;
/// Fields and actions of one message.
const ITEMS_MAX: usize = 100;
/// Words of Slack that mean "again later", although the status was 200.
const LATER: [&str; 6] = ["ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"];

/// Texts of the attachment: key, default, and whether an empty one is sent.
const TEXTS: [(&str, &str, bool); 10] = [
    ("title", r#"{{ template "slack.default.title" . }}"#, false),
    ("title_link", r#"{{ template "slack.default.titlelink" . }}"#, false),
    ("pretext", r#"{{ template "slack.default.pretext" . }}"#, false),
    ("text", r#"{{ template "slack.default.text" . }}"#, true),
    ("fallback", r#"{{ template "slack.default.fallback" . }}"#, true),
    ("callback_id", r#"{{ template "slack.default.callbackid" . }}"#, true),
    ("image_url", "", false),
    ("thumb_url", "", false),
    ("footer", r#"{{ template "slack.default.footer" . }}"#, true),
    ("color", r#"{{ if eq .Status "firing" }}danger{{ else }}good{{ end }}"#, false),
];
/// Texts of the message around it.
const MESSAGE_TEXTS: [(&str, &str, &str); 5] = [
    ("channel", "channel", ""),
    ("username", "username", r#"{{ template "slack.default.username" . }}"#),
    ("icon_emoji", "icon_emoji", r#"{{ template "slack.default.iconemoji" . }}"#),
    ("icon_url", "icon_url", r#"{{ template "slack.default.iconurl" . }}"#),
    ("message_text", "text", ""),
];
const ACTION_KEYS: [&str; 6] = ["type", "text", "url", "style", "name", "value"];
const CONFIRM_KEYS: [&str; 4] = ["title", "text", "ok_text", "dismiss_text"];

/// Where messages go.
enum Place {
    /// An address that is the secret.
    Webhook(SecretSource),
    /// An app's token for a known address.
    App { url: String, token: SecretText },
}

struct Slack {
    place: Place,
    http: Http,
    texts: Vec<(&'static str, TemplateText, bool)>,
    message: Vec<(&'static str, TemplateText)>,
    fields: Vec<Field>,
    actions: Vec<Action>,
    link_names: bool,
    markdown_in: Vec<String>,
}

struct Field {
    title: TemplateText,
    value: TemplateText,
    short: bool,
}

struct Action {
    texts: Vec<(&'static str, TemplateText)>,
    confirm: Vec<(&'static str, TemplateText)>,
}

fn make(reader: &Reader<'_>, making: &Making<'_>) -> Option<Arc<dyn Integration>> {
    let http = Http::read(reader, making, true);
    let place = read_place(reader, making, &http);
    if reader.bool("update_message") == Some(true) {
        reader.warning_at("update_message", "is read but not carried out: every notification is a message of its own");
    }
    let short = reader.bool("short_fields").unwrap_or(false);
    let slack = Slack {
        http,
        texts: TEXTS.map(|(key, default, always)| (key, making.template(reader, key, default), always)).into(),
        message: MESSAGE_TEXTS.map(|(key, sent, default)| (sent, making.template(reader, key, default))).into(),
        fields: items(reader, "fields").into_iter().map(|item| read_field(item, making, short)).collect(),
        actions: items(reader, "actions").into_iter().map(|item| read_action(item, making)).collect(),
        link_names: reader.bool("link_names").unwrap_or(false),
        markdown_in: Some(reader.texts("mrkdwn_in", false))
            .filter(|m| !m.is_empty())
            .unwrap_or_else(|| ["fallback", "pretext", "text"].map(String::from).into()),
        place: place?,
    };
    Some(Arc::new(slack))
}

fn read_place(reader: &Reader<'_>, making: &Making<'_>, http: &Http) -> Option<Place> {
    let webhook = secret_url(reader, making, "api_url", "api_url_file");
    let token = SecretText::read(reader, making, "app_token", "app_token_file");
    let url = plain_url(reader, "app_url", making.global.text("slack_app_url").unwrap_or_default());
    if webhook.is_some() && token.is_some() {
        reader.error_at("app_token", "must not be set together with api_url");
    }
    if let Some(webhook) = webhook {
        return Some(Place::Webhook(webhook));
    }
    if let Some(token) = token {
        return Some(Place::App { url, token });
    }
    if let Some(webhook) = making.global.secret("slack_api_url") {
        return Some(Place::Webhook(webhook.clone()));
    }
    let token = SecretText::global(making, "slack_app_token").filter(|_| !http.authorizes());
    if token.is_none() {
        missing(reader, "there is no Slack address: api_url, app_token, slack_api_url or slack_app_token must be set");
    }
    Some(Place::App { url, token: token? })
}

fn items<'a>(reader: &Reader<'a>, key: &'static str) -> Vec<Reader<'a>> {
    let mut items = reader.maps(key);
    if items.len() > ITEMS_MAX {
        reader.error_at(key, format!("has more than {ITEMS_MAX} items"));
        items.truncate(ITEMS_MAX);
    }
    items
}

fn read_field(item: Reader<'_>, making: &Making<'_>, short: bool) -> Field {
    item.required_text("title");
    item.required_text("value");
    let field = Field { title: making.template(&item, "title", ""), value: making.template(&item, "value", ""), short: item.bool("short").unwrap_or(short) };
    item.finish();
    field
}

fn read_action(item: Reader<'_>, making: &Making<'_>) -> Action {
    item.required_text("type");
    item.required_text("text");
    if item.text("url").is_none_or(|url| url.is_empty()) && item.text("name").is_none_or(|name| name.is_empty()) {
        missing(&item, "one of url and name must be set");
    }
    let confirm = item.map("confirm").map(|confirm| {
        confirm.required_text("text");
        let texts = CONFIRM_KEYS.map(|key| (key, making.template(&confirm, key, ""))).into();
        confirm.finish();
        texts
    });
    let action = Action { texts: ACTION_KEYS.map(|key| (key, making.template(&item, key, ""))).into(), confirm: confirm.unwrap_or_default() };
    item.finish();
    action
}

/// Puts a picture below a message, in Slack's three steps: a place for it, the picture, and where it is to be seen.
struct Upload<'a> {
    outside: &'a Outside,
    http: &'a Http,
    /// The address of `chat.postMessage`; the other methods are beside it.
    app: &'a str,
    token: Secret,
    until: Instant,
}

impl Upload<'_> {
    async fn below(&self, message: &Response, png: Vec<u8>) -> Result<(), DeliveryError> {
        let never = |reason: &str| DeliveryError::Never(reason.to_owned());
        let message: Json = serde_json::from_slice(&message.body).unwrap_or_default();
        let word = |answer: &Json, key: &str| answer.get(key).and_then(Json::as_str).map(str::to_owned);
        let (Some(channel), Some(thread)) = (word(&message, "channel"), word(&message, "ts")) else {
            return Err(never("Slack did not say where the message is"));
        };
        let app = Url::parse(self.app).map_err(|_| never("the address of the app is no URL"))?;
        let method = |name: &str| app.join(name).map(String::from).map_err(|_| never("the address of the app has no methods beside it"));
        let form = format!("filename=panel.png&length={}", png.len()).into_bytes();
        let place = Call { body: form, content_type: "application/x-www-form-urlencoded", ..Call::json(method("files.getUploadURLExternal")?, &Json::Null) };
        let place = self.asked(place).await?;
        let (Some(to), Some(file)) = (word(&place, "upload_url"), word(&place, "file_id")) else {
            return Err(never("Slack gave no place for the picture"));
        };
        // The address is Slack's word; it leads to Slack, and nothing but the picture goes there.
        let fits = Url::parse(&to).is_ok_and(|to| to.scheme() == "https" || to.origin() == app.origin());
        if !fits {
            return Err(never("Slack gave a place for the picture that is not protected"));
        }
        let hidden = vec![Secret::new(to.as_str())];
        let picture = Call { hidden, body: png, content_type: "application/octet-stream", ..Call::json(to, &Json::Null) };
        send_until(self.outside, &self.http.anonymous(), picture, self.until).await?;
        let shown = json!({"files": [{"id": file, "title": "panel"}], "channel_id": channel, "thread_ts": thread});
        self.asked(Call::json(method("files.completeUploadExternal")?, &shown)).await.map(drop)
    }
    async fn asked(&self, call: Call) -> Result<Json, DeliveryError> {
        let call = call.secret_header("Authorization", format!("Bearer {}", self.token.expose()), self.token.clone());
        let answer = send_until(self.outside, self.http, call, self.until).await?;
        check_answer(&answer)?;
        Ok(serde_json::from_slice(&answer.body).unwrap_or_default())
    }
}

/// Slack reads `<!channel>` and its like as "call everybody" and `<@U1>` as a call for one wherever they stand, also in what a
/// label brought; with `link_names` plain names, too, which a character of no width prevents.
fn disarm(value: &str, link_names: bool) -> Option<String> {
    let marks = value.contains("<!") || value.contains("<@");
    let names = link_names && value.contains('@');
    (marks || names).then(|| {
        let text = value.replace("<!", "&lt;!").replace("<@", "&lt;@");
        if link_names && holds_any(&text, &["@channel", "@here", "@everyone", "@group"]) { text.replace('@', "@\u{200b}") } else { text }
    })
}

impl Slack {
    /// `image` is shown below the text, unless the configuration has a picture of its own.
    fn body(&self, notification: &Notification, image: Option<String>) -> Result<Json, DeliveryError> {
        let writer = Writer::disarmed(notification, |value| disarm(value, self.link_names));
        let mut body = Map::new();
        for (key, text) in &self.message {
            put(&mut body, key, writer.text(text)?);
        }
        if self.link_names {
            body.insert("link_names".to_owned(), Json::from(true));
        }
        let mut attachment = self.attachment(&writer)?;
        if let (Some(image), Some(attachment)) = (image, attachment.as_object_mut()) {
            attachment.entry("image_url").or_insert(Json::from(image));
        }
        body.insert("attachments".to_owned(), Json::from(vec![attachment]));
        Ok(Json::Object(body))
    }

    fn attachment(&self, writer: &Writer) -> Result<Json, DeliveryError> {
        let mut attachment = Map::new();
        for (key, text, always) in &self.texts {
            let text = writer.text(text)?;
            let text = if *key == "title" { cut(text, TITLE_CHARS_MAX) } else { text };
            if *always {
                attachment.insert((*key).to_owned(), Json::from(text));
            } else {
                put(&mut attachment, key, text);
            }
        }
        if !self.fields.is_empty() {
            let field = |f: &Field| Ok(json!({"title": writer.text(&f.title)?, "value": writer.text(&f.value)?, "short": f.short}));
            attachment.insert("fields".to_owned(), self.fields.iter().map(field).collect::<Result<_, DeliveryError>>()?);
        }
        if !self.actions.is_empty() {
            attachment.insert("actions".to_owned(), self.actions.iter().map(|action| action.body(writer)).collect::<Result<_, _>>()?);
        }
        attachment.insert("mrkdwn_in".to_owned(), Json::from(self.markdown_in.clone()));
        Ok(Json::Object(attachment))
    }

    async fn call(&self, writer: &Writer, body: &Json) -> Result<Call, DeliveryError> {
        match &self.place {
            Place::Webhook(url) => Ok(Call::secret_json(&read_secret_text(url).await?, body)),
            Place::App { url, token } => {
                let token = token.write("the token of the Slack app", writer).await?;
                Ok(Call::json(url, body).secret_header("Authorization", format!("Bearer {}", token.expose()), token))
            }
        }
    }
}

impl Action {
    fn body(&self, writer: &Writer) -> Result<Json, DeliveryError> {
        let write = |texts: &[(&'static str, TemplateText)]| {
            let mut body = Map::new();
            for (key, text) in texts {
                put(&mut body, key, writer.text(text)?);
            }
            Ok::<_, DeliveryError>(body)
        };
        let mut body = write(&self.texts)?;
        if !self.confirm.is_empty() {
            body.insert("confirm".to_owned(), Json::Object(write(&self.confirm)?));
        }
        Ok(Json::Object(body))
    }
}

impl Integration for Slack {
    fn deliver<'a>(&'a self, notification: &'a Notification, outside: &'a Outside) -> Delivered<'a> {
        Box::pin(async move {
            let writer = Writer::new(notification);
            // Whoever waits for both gives up soon after, and would have the message sent again.
            let until = Instant::now() + DELIVERY_TIME_MAX;
            let image = match &self.place {
                Place::Webhook(_) => outside.pictures.address_of(notification, outside.clock.now()),
                Place::App { .. } => None,
            };
            let call = self.call(&writer, &self.body(notification, image)?).await?;
            let answer = send(outside, &self.http, call).await?;
            check_answer(&answer)?;
            if let Place::App { url, token } = &self.place
                && let Some(png) = outside.pictures.of(notification).await
            {
                let token = token.write("the token of the Slack app", &writer).await?;
                let upload = Upload { outside, http: &self.http, app: url, token, until };
                // The message is there; a second one, because its picture failed, would be worse than none.
                if let Err(error) = upload.below(&answer, png).await {
                    tracing::warn!(receiver = notification.receiver, %error, "a picture was not taken after its message");
                }
            }
            Ok(())
        })
    }
}

/// A webhook says `ok`; the API says in JSON whether it is well, with a status of 200 either way.
fn check_answer(answer: &Response) -> Result<(), DeliveryError> {
    let is_json = answer.header("content-type").is_some_and(|kind| kind.starts_with("application/json"));
    if !is_json {
        return if answer.body.as_ref() == b"ok" { Ok(()) } else { Err(DeliveryError::Never(format!("Slack did not say ok: {}", shown(&answer.body)))) };
    }
    let Ok(body) = serde_json::from_slice::<Json>(&answer.body) else {
        return Err(DeliveryError::Later { reason: format!("Slack's answer cannot be read: {}", shown(&answer.body)), after: None });
    };
    if body.get("ok") == Some(&Json::Bool(true)) {
        return Ok(());
    }
    let word = shown(body.get("error").and_then(Json::as_str).unwrap_or("no reason given").as_bytes());
    let reason = format!("Slack refused it: {word}");
    if LATER.contains(&word.as_str()) { Err(DeliveryError::Later { reason, after: None }) } else { Err(DeliveryError::Never(reason)) }
}
