//! `email_configs`: one mail for each notification, with a text or HTML body or both, to a mail server that passes it on. It keeps
//! no connection and signs nothing.

mod address;
mod dialogue;
mod login;
mod message;
mod post;

use std::sync::Arc;

use tokio::time::Instant;
use watchfire_model::document::Reader;

use self::address::{Mailbox, parse_list};
use super::exchange::{group_name, missing};
use super::texts::Writer;
use super::{DELIVERY_TIME_MAX, Delivered, DeliveryError, Integration, Kind, Making, Outside, TemplateText};
use crate::manager::notification::Notification;

pub(crate) use self::address::parse_list as parse_addresses;
pub(crate) use self::dialogue::Envelope;
pub(crate) use self::message::{Mail, Picture, words};
pub(crate) use self::post::{Post, overlay};

/// The templates that all kinds share come with the first kind that uses them.
pub(super) const KIND: Kind = Kind {
    key: "email_configs",
    name: "email",
    send_resolved: false,
    fields: &[],
    templates: concat!(include_str!("../default.tmpl"), include_str!("default.tmpl")),
    make: Some(make),
};

/// The most people of one mail.
const RECIPIENTS_MAX: usize = 100;
struct Email {
    post: Post,
    from: TemplateText,
    to: TemplateText,
    headers: Vec<(String, TemplateText)>,
    /// Stands there unless `headers` has its own.
    subject: TemplateText,
    html: TemplateText,
    text: TemplateText,
    threading: Option<Threading>,
}

/// How mails about one group are tied together.
#[derive(Clone, Copy, PartialEq)]
enum Threading {
    Group,
    GroupAndDay,
}

fn make(reader: &Reader<'_>, making: &Making<'_>) -> Option<Arc<dyn Integration>> {
    let smtp = overlay(reader, &making.global.smtp, making.locate);
    let post = Post::of(&smtp);
    if let Err(message) = &post {
        missing(reader, message);
    }
    let from = making.template(reader, "from", smtp.from.as_deref().unwrap_or_default());
    if from.is_empty() && post.is_ok() {
        missing(reader, "there is no sender: from or smtp_from must be set");
    }
    if post.as_ref().is_ok_and(Post::is_exposed) {
        reader.warning_at("require_tls", "is false: user name, password and mails may cross the network in the clear");
    }
    let (to, headers) = (read_to(reader, making), read_headers(reader, making));
    let html = making.template(reader, "html", r#"{{ template "email.default.html" . }}"#);
    let text = making.template(reader, "text", "");
    let threading = read_threading(reader);
    let subject = making.template_of(r#"{{ template "email.default.subject" . }}"#);
    Some(Arc::new(Email { post: post.ok()?, from, to, headers, subject, html, text, threading }))
}

fn read_to(reader: &Reader<'_>, making: &Making<'_>) -> TemplateText {
    reader.required_text("to");
    let to = making.template(reader, "to", "");
    if to.is_template() {
        reader.warning_at("to", "is a template: whoever can send alerts chooses who gets mail");
    } else if !to.is_empty() && parse_list(&to.source).is_none() {
        reader.error_at("to", "must be addresses such as a@example.com, Name <b@example.com>");
    }
    to
}

/// Headers by the names in which they are sent; one name twice is an error.
fn read_headers(reader: &Reader<'_>, making: &Making<'_>) -> Vec<(String, TemplateText)> {
    let mut headers: Vec<(String, TemplateText)> = Vec::new();
    for (name, text) in making.template_map(reader, "headers") {
        let name = message::canonical(&name);
        if !message::is_header_name(&name) {
            reader.error_at("headers", format!("{name:?} is no name of a header"));
        } else if headers.iter().any(|(known, _)| *known == name) {
            reader.error_at("headers", format!("the header {name:?} stands there twice"));
        } else if message::is_ours(&name) {
            reader.error_at("headers", format!("the header {name:?} is made here"));
        } else {
            headers.push((name, text));
        }
    }
    headers
}

fn read_threading(reader: &Reader<'_>) -> Option<Threading> {
    let map = reader.map("threading")?;
    let is_on = map.bool("enabled").unwrap_or(false);
    let by_date = map.word("thread_by_date", &["none", "daily"]).unwrap_or("daily");
    map.finish();
    is_on.then_some(if by_date == "none" { Threading::Group } else { Threading::GroupAndDay })
}

fn never(reason: impl Into<String>) -> DeliveryError {
    DeliveryError::Never(reason.into())
}

impl Email {
    fn envelope(&self, writer: &Writer) -> Result<Envelope, DeliveryError> {
        let senders = parse_list(&writer.text(&self.from)?).ok_or_else(|| never("cannot send mail: the sender is no address"))?;
        let [from] = senders.as_slice() else { return Err(never("cannot send mail: there must be exactly one sender")) };
        let to = parse_list(&writer.text(&self.to)?).ok_or_else(|| never("cannot send mail: the recipients are no addresses"))?;
        if to.len() > RECIPIENTS_MAX {
            return Err(never(format!("cannot send mail to more than {RECIPIENTS_MAX} recipients")));
        }
        Ok(Envelope { from: from.address.clone(), to: to.into_iter().map(|mailbox: Mailbox| mailbox.address).collect() })
    }

    fn message(&self, notification: &Notification, writer: &Writer, outside: &Outside, picture: Option<Vec<u8>>) -> Result<String, DeliveryError> {
        let mut mail = message::Mail::new(&notification.id, outside.clock.now());
        for (name, text) in &self.headers {
            mail.header(name, &writer.text(text)?);
        }
        let defaults = [("Subject", &self.subject), ("To", &self.to), ("From", &self.from)];
        for (name, text) in defaults.into_iter().filter(|(name, _)| !self.headers.iter().any(|(known, _)| known == name)) {
            mail.header(name, &writer.text(text)?);
        }
        if let Some(threading) = self.threading {
            mail.thread(&group_name(notification), threading == Threading::GroupAndDay);
        }
        if !self.text.is_empty() {
            mail.part("text/plain", &writer.text(&self.text)?);
        }
        if !self.html.is_empty() {
            let html = writer.html(&self.html)?;
            let pictures: Vec<Picture> = picture.map(|png| Picture { name: "panel".to_owned(), png }).into_iter().collect();
            mail.html_with_pictures(&if pictures.is_empty() { html } else { with_picture(html) }, &pictures);
        }
        Ok(mail.finish())
    }
}

/// A page with the picture at its end.
fn with_picture(mut html: String) -> String {
    let end = html.rfind("</body>").unwrap_or(html.len());
    html.insert_str(end, "<p><img src=\"cid:panel\" alt=\"\" style=\"max-width:100%\"></p>");
    html
}

impl Integration for Email {
    fn deliver<'a>(&'a self, notification: &'a Notification, outside: &'a Outside) -> Delivered<'a> {
        Box::pin(async move {
            let writer = Writer::new(notification);
            let envelope = self.envelope(&writer)?;
            // The picture is painted and the mail is taken within the time of one try.
            let until = Instant::now() + DELIVERY_TIME_MAX;
            let mail = |picture| self.message(notification, &writer, outside, picture);
            let left = || until.saturating_duration_since(Instant::now());
            let picture = if self.html.is_empty() { None } else { outside.pictures.of(notification).await };
            let refused = match picture {
                None => self.post.send(&envelope, &mail(None)?, left()).await?,
                Some(png) => match self.post.send(&envelope, &mail(Some(png))?, left()).await {
                    Err(DeliveryError::Never(reason)) => {
                        tracing::warn!(receiver = notification.receiver, reason, "a mail was refused with its picture and goes without");
                        self.post.send(&envelope, &mail(None)?, left()).await?
                    }
                    outcome => outcome?,
                },
            };
            for reason in refused {
                tracing::warn!(receiver = notification.receiver, %reason, "a mail went to the other recipients only");
            }
            Ok(())
        })
    }
}
