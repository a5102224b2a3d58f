//! Receivers: one folder per kind that notifications can be delivered to, and the seam between them and the manager. A kind reads
//! its part of `alertmanager.yml` and delivers; when, to whom and how often is the manager's business.

mod discord;
pub(crate) mod email;
mod exchange;
mod fields;
mod gotify;
pub mod heartbeat;
mod homeassistant;
mod msteams;
mod ntfy;
mod opsgenie;
mod pagerduty;
mod picture;
mod pushover;
mod slack;
mod telegram;
mod texts;
pub mod trial;
mod webhook;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use watchfire_model::document::Reader;
use watchfire_model::time::SharedClock;
use watchfire_net::client::{Caller, HttpOptions, read_http_options};

use crate::manager::config::Global;
use crate::manager::notification::Notification;
use crate::template::{Form, TemplateError, Templates};

pub(crate) use fields::check as check_fields;
pub use picture::{PaintPanel, PaintedPanel, Pictures};

/// The longest one try to deliver may take, whatever a configuration says.
pub const DELIVERY_TIME_MAX: Duration = Duration::from_secs(30);

/// The outcome of one try.
pub type Delivered<'a> = Pin<Box<dyn Future<Output = Result<(), DeliveryError>> + Send + 'a>>;

/// One configured integration of a receiver. It must not keep anything between tries: a try may be the second one of the
/// same notification, after a crash, and carries the same [`Notification::id`] then.
pub trait Integration: Send + Sync {
    /// Tries once. The caller bounds the time, counts, waits and tries again.
    fn deliver<'a>(&'a self, notification: &'a Notification, outside: &'a Outside) -> Delivered<'a>;
}

/// Why a try did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// Another try may succeed.
    #[error("{reason}")]
    Later {
        /// What went wrong.
        reason: String,
        /// How long the other side asks us to wait.
        after: Option<Duration>,
    },
    /// No other try of the same will.
    #[error("{0}")]
    Never(String),
}

/// What integrations share while they deliver.
pub struct Outside {
    /// Makes HTTP requests.
    pub caller: Arc<Caller>,
    /// The time.
    pub clock: SharedClock,
    /// Who paints panels, if somebody does.
    pub pictures: Arc<Pictures>,
}

/// What stands in a template set for the text itself.
const TEXT: &str = "text";

/// A text of the configuration that may be a template; it was parsed when it was read.
#[derive(Clone)]
pub struct TemplateText {
    source: String,
    /// The set of the configuration with the text in it, when the text has anything to carry out.
    parsed: Option<Templates>,
}
impl TemplateText {
    /// The text for a notification.
    pub fn write(&self, notification: &Notification, form: Form) -> Result<String, TemplateError> {
        match &self.parsed {
            Some(templates) => templates.execute(TEXT, notification.template_data(), form),
            None => Ok(self.source.clone()),
        }
    }
}

/// What a kind needs to read its configuration.
pub struct Making<'a> {
    /// What `global` says.
    pub global: &'a Global,
    /// Where a file that the configuration names is.
    pub locate: &'a dyn Fn(&str) -> PathBuf,
    /// The templates of the configuration, and the functions that they may call.
    pub templates: &'a Templates,
}
impl Making<'_> {
    /// The keys of `http_config`, or those of `global.http_config`.
    pub fn http(&self, reader: &Reader<'_>) -> Arc<HttpOptions> {
        let Some(own) = reader.map("http_config") else { return self.global.http.clone() };
        let options = read_http_options(&own, self.locate);
        own.finish();
        Arc::new(options)
    }

    /// The text of a key, or a default; a template that cannot be parsed is an error at its place.
    pub fn template(&self, reader: &Reader<'_>, key: &'static str, default: &str) -> TemplateText {
        let source = reader.text(key).unwrap_or_else(|| default.to_owned());
        if !source.contains("{{") {
            return TemplateText { source, parsed: None };
        }
        let mut templates = self.templates.clone();
        if let Err(error) = templates.parse(TEXT, &source) {
            reader.error_at(key, error.to_string());
            return TemplateText { source, parsed: None };
        }
        TemplateText { source, parsed: Some(templates) }
    }
}

/// A kind of receiver.
pub struct Kind {
    /// Its key in a receiver.
    pub key: &'static str,
    /// What it is called in metrics and messages.
    pub name: &'static str,
    /// Whether it is told of resolved alerts unless the configuration says otherwise.
    pub send_resolved: bool,
    /// Its keys beside `send_resolved` and `http_config`, for kinds that nobody reads further.
    fields: &'static [fields::Field],
    /// Templates that its defaults refer to.
    pub templates: &'static str,
    /// Reads its configuration. `None` for kinds that are known but not delivered.
    pub make: Option<Make>,
}

/// Reads one integration; errors go to the reader's context. It asks for its own keys only.
pub type Make = fn(&Reader<'_>, &Making<'_>) -> Option<Arc<dyn Integration>>;

/// All kinds, in the order in which Alertmanager makes them. To add one: a folder, and its line here.
pub const KINDS: [Kind; 22] = [
    webhook::KIND,
    email::KIND,
    pagerduty::KIND,
    opsgenie::KIND,
    fields::WECHAT,
    slack::KIND,
    fields::VICTOROPS,
    pushover::KIND,
    fields::SNS,
    telegram::KIND,
    discord::KIND,
    fields::WEBEX,
    msteams::KIND,
    msteams::KIND_V2,
    fields::JIRA,
    fields::INCIDENTIO,
    fields::ROCKETCHAT,
    fields::MATTERMOST,
    fields::JSM,
    ntfy::KIND,
    gotify::KIND,
    homeassistant::KIND,
];

impl Kind {
    /// Whether notifications are delivered to it.
    pub fn delivers(&self) -> bool {
        self.make.is_some()
    }
}
