//! `opsgenie_configs`: an OpsGenie alert for each group, created, updated if wanted, and closed. The group's name is the alias,
//! so that a second message about it creates nothing.

use std::sync::Arc;

use http::Method;
use serde_json::{Map, Value as Json, json};
use url::Url;
use watchfire_model::document::Reader;

use super::exchange::{Call, Http, group_name, missing, plain_url, send};
use super::texts::{SecretText, Writer, cut, put};
use super::{Delivered, DeliveryError, Integration, Kind, Making, Outside, TemplateText};
use crate::manager::notification::Notification;

pub(super) const KIND: Kind =
    Kind { key: "opsgenie_configs", name: "opsgenie", send_resolved: true, fields: &[], templates: include_str!("default.tmpl"), make: Some(make) };

/// What OpsGenie takes of a message.
const MESSAGE_CHARS_MAX: usize = 130;
/// What it takes of a description.
const DESCRIPTION_CHARS_MAX: usize = 15_000;
/// Kinds of responders; `teams` is a list of names.
const RESPONDER_TYPES: [&str; 5] = ["team", "teams", "user", "escalation", "schedule"];

struct Opsgenie {
    api_key: SecretText,
    api_url: Url,
    http: Http,
    message: TemplateText,
    description: TemplateText,
    source: TemplateText,
    details: Vec<(String, TemplateText)>,
    /// `id`, `name`, `username` and `type` of each.
    responders: Vec<[TemplateText; 4]>,
    tags: TemplateText,
    actions: TemplateText,
    /// `note`, `priority` and `entity`.
    more: Vec<(&'static str, TemplateText)>,
    update: bool,
}

fn make(reader: &Reader<'_>, making: &Making<'_>) -> Option<Arc<dyn Integration>> {
    let api_key = SecretText::read(reader, making, "api_key", "api_key_file").or_else(|| SecretText::global(making, "opsgenie_api_key"));
    if api_key.is_none() {
        missing(reader, "there is no API key: api_key or opsgenie_api_key must be set");
    }
    let mut api_url = plain_url(reader, "api_url", making.global.text("opsgenie_api_url").unwrap_or_default());
    if !api_url.ends_with('/') {
        api_url.push('/');
    }
    let opsgenie = Opsgenie {
        http: Http::read(reader, making, false),
        message: making.template(reader, "message", r#"{{ template "opsgenie.default.message" . }}"#),
        description: making.template(reader, "description", r#"{{ template "opsgenie.default.description" . }}"#),
        source: making.template(reader, "source", r#"{{ template "opsgenie.default.source" . }}"#),
        details: making.template_map(reader, "details"),
        responders: reader.maps("responders").into_iter().map(|item| read_responder(item, making)).collect(),
        tags: making.template(reader, "tags", ""),
        actions: making.template(reader, "actions", ""),
        more: ["note", "priority", "entity"].map(|key| (key, making.template(reader, key, ""))).into(),
        update: reader.bool("update_alerts").unwrap_or(false),
        api_url: Url::parse(&api_url).ok()?,
        api_key: api_key?,
    };
    Some(Arc::new(opsgenie))
}

fn read_responder(item: Reader<'_>, making: &Making<'_>) -> [TemplateText; 4] {
    let texts = ["id", "name", "username", "type"].map(|key| making.template(&item, key, ""));
    let [id, name, username, kind] = &texts;
    if [id, name, username].iter().all(|text| text.is_empty()) {
        missing(&item, "one of id, name and username must be set");
    }
    if !kind.is_template() {
        item.word("type", &RESPONDER_TYPES);
        item.required_text("type");
    }
    item.finish();
    texts
}

/// Parts of a text between commas; as in Alertmanager, spaces stay.
fn split(text: &str) -> Vec<String> {
    text.trim().split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

impl Opsgenie {
    fn url(&self, path: &str, by_alias: bool) -> String {
        let mut url = self.api_url.clone();
        url.set_path(&format!("{}{path}", self.api_url.path()));
        if by_alias {
            url.query_pairs_mut().append_pair("identifierType", "alias");
        }
        url.to_string()
    }

    fn responders(&self, writer: &Writer) -> Result<Vec<Json>, DeliveryError> {
        let mut all = Vec::new();
        for texts in &self.responders {
            let mut responder = Map::new();
            for (key, text) in ["id", "name", "username", "type"].iter().zip(texts) {
                put(&mut responder, key, writer.text(text)?);
            }
            if responder.get("type").and_then(Json::as_str) == Some("teams") {
                let names = responder.get("name").and_then(Json::as_str).unwrap_or_default();
                all.extend(split(names).into_iter().map(|name| json!({"name": name, "type": "team"})));
            } else if !responder.is_empty() {
                all.push(Json::Object(responder));
            }
        }
        Ok(all)
    }

    fn alert(&self, notification: &Notification, writer: &Writer) -> Result<Map<String, Json>, DeliveryError> {
        let mut details: Map<String, Json> = notification.common_labels().iter().map(|(name, value)| (name.to_owned(), Json::from(value))).collect();
        for (name, text) in &self.details {
            details.insert(name.clone(), Json::from(writer.text(text)?));
        }
        let mut alert = Map::new();
        alert.insert("alias".to_owned(), Json::from(group_name(notification)));
        alert.insert("message".to_owned(), Json::from(cut(writer.text(&self.message)?, MESSAGE_CHARS_MAX)));
        put(&mut alert, "description", cut(writer.text(&self.description)?, DESCRIPTION_CHARS_MAX));
        alert.insert("details".to_owned(), Json::Object(details));
        alert.insert("source".to_owned(), Json::from(writer.text(&self.source)?));
        let lists: [(&str, Vec<Json>); 3] = [
            ("responders", self.responders(writer)?),
            ("tags", split(&writer.text(&self.tags)?).into_iter().map(Json::from).collect()),
            ("actions", split(&writer.text(&self.actions)?).into_iter().map(Json::from).collect()),
        ];
        for (key, list) in lists {
            if !list.is_empty() {
                alert.insert(key.to_owned(), Json::from(list));
            }
        }
        for (key, text) in &self.more {
            put(&mut alert, key, writer.text(text)?);
        }
        Ok(alert)
    }

    /// What has to be said, in order.
    fn calls(&self, notification: &Notification, writer: &Writer) -> Result<Vec<Call>, DeliveryError> {
        let alias = group_name(notification);
        if notification.status() == "resolved" {
            let body = json!({"source": writer.text(&self.source)?});
            return Ok(vec![Call::json(self.url(&format!("v2/alerts/{alias}/close"), true), &body)]);
        }
        let alert = self.alert(notification, writer)?;
        let mut calls = vec![Call::json(self.url("v2/alerts", false), &Json::Object(alert.clone()))];
        if self.update {
            for key in ["message", "description"] {
                let part: Map<String, Json> = alert.get(key).map(|value| (key.to_owned(), value.clone())).into_iter().collect();
                let call = Call::json(self.url(&format!("v2/alerts/{alias}/{key}"), true), &Json::Object(part));
                calls.push(Call { method: Method::PUT, ..call });
            }
        }
        Ok(calls)
    }
}

impl Integration for Opsgenie {
    fn deliver<'a>(&'a self, notification: &'a Notification, outside: &'a Outside) -> Delivered<'a> {
        Box::pin(async move {
            let writer = Writer::new(notification);
            let key = self.api_key.write("the API key", &writer).await?;
            for call in self.calls(notification, &writer)? {
                send(outside, &self.http, call.secret_header("Authorization", format!("GenieKey {}", key.expose()), key.clone())).await?;
            }
            Ok(())
        })
    }
}
