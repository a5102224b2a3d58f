//! `pagerduty_configs`: events for PagerDuty, version 2 with a routing key and version 1 with a service key. All messages about a
//! group carry the same key, so that they are one incident; it reads no incident back.

use std::sync::Arc;

use serde_json::{Map, Value as Json, json};
use watchfire_model::document::Reader;

use super::exchange::{Call, Http, group_name, missing, plain_url, send};
use super::texts::{SecretText, TextTree, Writer, cut, put};
use super::{Delivered, DeliveryError, Integration, Kind, Making, Outside, TemplateText};
use crate::manager::notification::Notification;

pub(super) const KIND: Kind =
    Kind { key: "pagerduty_configs", name: "pagerduty", send_resolved: true, fields: &[], templates: include_str!("default.tmpl"), make: Some(make) };

/// Where events of version 1 go.
const URL_V1: &str = "https://events.pagerduty.com/generic/2010-04-15/create_event.json";
/// What PagerDuty takes of a summary.
const SUMMARY_CHARS_MAX: usize = 1024;
/// The largest event that PagerDuty takes.
const EVENT_BYTES_MAX: usize = 512_000;
/// Stands in place of details that are too large.
const TOO_LARGE: &str = "the details were left out: with them the event was larger than PagerDuty takes";

/// Details that stand there unless the configuration has its own.
const DETAILS: [(&str, &str); 4] = [
    ("firing", r#"{{ template "pagerduty.default.instances" .Alerts.Firing }}"#),
    ("resolved", r#"{{ template "pagerduty.default.instances" .Alerts.Resolved }}"#),
    ("num_firing", "{{ .Alerts.Firing | len }}"),
    ("num_resolved", "{{ .Alerts.Resolved | len }}"),
];

enum Key {
    Routing(SecretText),
    Service(SecretText),
}

struct Pagerduty {
    key: Key,
    url: String,
    http: Http,
    client: TemplateText,
    client_url: TemplateText,
    description: TemplateText,
    severity: TemplateText,
    source: TemplateText,
    /// `class`, `component` and `group`.
    more: Vec<(&'static str, TemplateText)>,
    details: Vec<(String, TextTree)>,
    images: Vec<[TemplateText; 3]>,
    links: Vec<[TemplateText; 2]>,
}

fn make(reader: &Reader<'_>, making: &Making<'_>) -> Option<Arc<dyn Integration>> {
    let routing = SecretText::read(reader, making, "routing_key", "routing_key_file");
    let service = SecretText::read(reader, making, "service_key", "service_key_file");
    if routing.is_none() && service.is_none() {
        missing(reader, "one of routing_key and service_key must be set");
    }
    let url = plain_url(reader, "url", making.global.text("pagerduty_url").unwrap_or_default());
    let client = making.template(reader, "client", r#"{{ template "pagerduty.default.client" . }}"#);
    let source = making.template(reader, "source", "");
    let pagerduty = Pagerduty {
        url,
        http: Http::read(reader, making, true),
        client_url: making.template(reader, "client_url", r#"{{ template "pagerduty.default.clientURL" . }}"#),
        description: making.template(reader, "description", r#"{{ template "pagerduty.default.description" . }}"#),
        severity: making.template(reader, "severity", "error"),
        source: if source.is_empty() { client.clone() } else { source },
        client,
        more: ["class", "component", "group"].map(|key| (key, making.template(reader, key, ""))).into(),
        details: read_details(reader, making),
        images: read_items(reader, making, "images", ["src", "alt", "href"]),
        links: read_items(reader, making, "links", ["href", "text"]),
        // As in Alertmanager, a service key wins.
        key: service.map(Key::Service).or(routing.map(Key::Routing))?,
    };
    Some(Arc::new(pagerduty))
}

fn read_details(reader: &Reader<'_>, making: &Making<'_>) -> Vec<(String, TextTree)> {
    let own = reader.map("details");
    let entries = own.as_ref().map(|map| map.entries()).unwrap_or_default();
    let mut details: Vec<(String, TextTree)> = entries
        .iter()
        .map(|(name, node)| (name.text.to_string(), making.template_tree(reader, node, &format!("{}.{}", reader.path_of("details"), name.text), 0)))
        .collect();
    for (name, default) in DETAILS {
        if !details.iter().any(|(known, _)| known == name) {
            details.push((name.to_owned(), TextTree::Text(making.template_of(default))));
        }
    }
    details
}

fn read_items<const N: usize>(reader: &Reader<'_>, making: &Making<'_>, key: &'static str, keys: [&'static str; N]) -> Vec<[TemplateText; N]> {
    let read = |item: Reader<'_>| {
        let texts = keys.map(|key| making.template(&item, key, ""));
        item.finish();
        texts
    };
    reader.maps(key).into_iter().map(read).collect()
}

impl Pagerduty {
    fn action(notification: &Notification) -> &'static str {
        if notification.status() == "firing" { "trigger" } else { "resolve" }
    }

    fn details(&self, writer: &Writer) -> Result<Json, DeliveryError> {
        let entry = |(name, tree): &(String, TextTree)| Ok((name.clone(), writer.tree(tree)?));
        Ok(Json::Object(self.details.iter().map(entry).collect::<Result<_, DeliveryError>>()?))
    }

    fn summary(&self, writer: &Writer) -> Result<String, DeliveryError> {
        Ok(cut(writer.text(&self.description)?, SUMMARY_CHARS_MAX))
    }

    fn event_v1(&self, key: &str, notification: &Notification, writer: &Writer) -> Result<Json, DeliveryError> {
        let action = Pagerduty::action(notification);
        let mut event = Map::new();
        put(&mut event, "service_key", key.to_owned());
        put(&mut event, "incident_key", group_name(notification));
        put(&mut event, "event_type", action.to_owned());
        put(&mut event, "description", self.summary(writer)?);
        // PagerDuty's version 1 does not read these two; Alertmanager sends them empty.
        event.insert("event_action".to_owned(), Json::from(""));
        event.insert("payload".to_owned(), Json::Null);
        if action == "trigger" {
            put(&mut event, "client", writer.text(&self.client)?);
            put(&mut event, "client_url", writer.text(&self.client_url)?);
        }
        event.insert("details".to_owned(), self.details(writer)?);
        Ok(bounded(event, |event| event.get_mut("details")))
    }

    fn event_v2(&self, key: &str, notification: &Notification, writer: &Writer) -> Result<Json, DeliveryError> {
        let severity = writer.text(&self.severity)?;
        let mut payload = Map::new();
        for (key, text) in [
            ("summary", self.summary(writer)?),
            ("source", writer.text(&self.source)?),
            ("severity", if severity.is_empty() { "error".to_owned() } else { severity }),
        ] {
            payload.insert(key.to_owned(), Json::from(text));
        }
        for (key, text) in &self.more {
            put(&mut payload, key, writer.text(text)?);
        }
        payload.insert("custom_details".to_owned(), self.details(writer)?);
        let mut event = Map::new();
        put(&mut event, "routing_key", key.to_owned());
        put(&mut event, "dedup_key", group_name(notification));
        put(&mut event, "event_action", Pagerduty::action(notification).to_owned());
        event.insert("payload".to_owned(), Json::Object(payload));
        put(&mut event, "client", writer.text(&self.client)?);
        put(&mut event, "client_url", writer.text(&self.client_url)?);
        self.pictures_and_links(&mut event, writer)?;
        Ok(bounded(event, |event| event.get_mut("payload")?.get_mut("custom_details")))
    }

    fn pictures_and_links(&self, event: &mut Map<String, Json>, writer: &Writer) -> Result<(), DeliveryError> {
        let (mut images, mut links) = (Vec::new(), Vec::new());
        for [src, alt, href] in &self.images {
            images.push(json!({"src": writer.text(src)?, "alt": writer.text(alt)?, "href": writer.text(href)?}));
        }
        for [href, text] in &self.links {
            links.push(json!({"href": writer.text(href)?, "text": writer.text(text)?}));
        }
        images.retain(|image| image["src"] != "");
        links.retain(|link| link["href"] != "");
        for (key, items) in [("images", images), ("links", links)] {
            if !items.is_empty() {
                event.insert(key.to_owned(), Json::from(items));
            }
        }
        Ok(())
    }
}

/// An event that PagerDuty takes: without details when they are too large.
fn bounded(event: Map<String, Json>, details: fn(&mut Json) -> Option<&mut Json>) -> Json {
    let mut event = Json::Object(event);
    if event.to_string().len() > EVENT_BYTES_MAX
        && let Some(details) = details(&mut event)
    {
        *details = json!({"error": TOO_LARGE});
    }
    event
}

impl Integration for Pagerduty {
    fn deliver<'a>(&'a self, notification: &'a Notification, outside: &'a Outside) -> Delivered<'a> {
        Box::pin(async move {
            let writer = Writer::new(notification);
            let call = match &self.key {
                Key::Service(key) => {
                    let key = key.write("the service key", &writer).await?;
                    // Version 1 says 403 when there are too many events.
                    Call { hidden: vec![key.clone()], ..Call::json(URL_V1, &self.event_v1(key.expose(), notification, &writer)?) }
                }
                Key::Routing(key) => {
                    let key = key.write("the routing key", &writer).await?;
                    Call { hidden: vec![key.clone()], ..Call::json(&self.url, &self.event_v2(key.expose(), notification, &writer)?) }
                }
            };
            send(outside, &self.http, call).await.map(drop)
        })
    }
}
