//! The keys of kinds that are known but not delivered here: their configuration is checked key by key, so that a file means the
//! same when it moves to a program that delivers them, and a warning says that nobody is told. A kind that is delivered reads
//! itself and has no table here.

use watchfire_model::document::{Node, Reader, Value};

use super::{Kind, Making};

/// A key and what may stand there.
pub(super) type Field = (&'static str, Shape);

/// What may stand at a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A text.
    Text,
    /// A text that may be a template.
    Template,
    /// The same, which must be there.
    Required,
    /// A secret, also one made by a template; its file has a key of its own.
    Secret,
    /// The file of a secret.
    File,
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Integer,
    /// A duration.
    Duration,
    /// Names and templates.
    Templates,
    /// A structure; every text in it may be a template.
    Anything,
}
use Shape::{Anything, Bool, Duration, File, Integer, Required, Secret, Template, Templates, Text};

const fn known(key: &'static str, name: &'static str, send_resolved: bool, fields: &'static [Field]) -> Kind {
    Kind { key, name, send_resolved, fields, templates: "", make: None }
}

pub(super) const WECHAT: Kind = known(
    "wechat_configs",
    "wechat",
    false,
    &[
        ("api_secret", Secret),
        ("api_secret_file", File),
        ("api_url", Text),
        ("corp_id", Text),
        ("message", Template),
        ("message_type", Text),
        ("agent_id", Template),
        ("to_user", Template),
        ("to_party", Template),
        ("to_tag", Template),
    ],
);
pub(super) const VICTOROPS: Kind = known(
    "victorops_configs",
    "victorops",
    true,
    &[
        ("api_key", Secret),
        ("api_key_file", File),
        ("api_url", Text),
        ("routing_key", Required),
        ("message_type", Template),
        ("state_message", Template),
        ("entity_display_name", Template),
        ("monitoring_tool", Template),
        ("custom_fields", Templates),
    ],
);
pub(super) const SNS: Kind = known(
    "sns_configs",
    "sns",
    true,
    &[
        ("api_url", Template),
        ("sigv4", Anything),
        ("topic_arn", Template),
        ("phone_number", Template),
        ("target_arn", Template),
        ("subject", Template),
        ("message", Template),
        ("attributes", Templates),
    ],
);
pub(super) const WEBEX: Kind = known("webex_configs", "webex", true, &[("api_url", Text), ("room_id", Required), ("message", Template)]);
pub(super) const JIRA: Kind = known(
    "jira_configs",
    "jira",
    true,
    &[
        ("api_url", Text),
        ("api_type", Text),
        ("project", Required),
        ("issue_type", Required),
        ("summary", Anything),
        ("description", Anything),
        ("labels", Anything),
        ("priority", Template),
        ("resolve_transition", Text),
        ("reopen_transition", Text),
        ("wont_fix_resolution", Text),
        ("reopen_duration", Duration),
        ("fields", Anything),
    ],
);
pub(super) const INCIDENTIO: Kind = known(
    "incidentio_configs",
    "incidentio",
    true,
    &[("url", Text), ("url_file", File), ("alert_source_token", Secret), ("alert_source_token_file", File), ("max_alerts", Integer), ("timeout", Duration)],
);
pub(super) const ROCKETCHAT: Kind = known(
    "rocketchat_configs",
    "rocketchat",
    false,
    &[
        ("api_url", Text),
        ("token", Secret),
        ("token_file", File),
        ("token_id", Secret),
        ("token_id_file", File),
        ("channel", Template),
        ("color", Template),
        ("title", Template),
        ("title_link", Template),
        ("text", Template),
        ("fields", Anything),
        ("short_fields", Bool),
        ("emoji", Template),
        ("icon_url", Template),
        ("image_url", Template),
        ("thumb_url", Template),
        ("link_names", Bool),
        ("actions", Anything),
    ],
);
pub(super) const MATTERMOST: Kind = known(
    "mattermost_configs",
    "mattermost",
    true,
    &[
        ("webhook_url", Secret),
        ("webhook_url_file", File),
        ("channel", Template),
        ("username", Template),
        ("text", Template),
        ("icon_url", Template),
        ("icon_emoji", Template),
        ("attachments", Anything),
        ("props", Anything),
        ("priority", Anything),
    ],
);
pub(super) const JSM: Kind = known(
    "jsm_configs",
    "jsm",
    true,
    &[
        ("api_key", Secret),
        ("api_key_file", File),
        ("api_url", Text),
        ("message", Template),
        ("description", Template),
        ("source", Template),
        ("details", Templates),
        ("responders", Anything),
        ("tags", Template),
        ("note", Template),
        ("priority", Template),
        ("update_alerts", Bool),
        ("entity", Template),
        ("actions", Template),
    ],
);

/// Checks the keys of a kind that nobody reads further.
pub(crate) fn check(kind: &Kind, reader: &Reader<'_>, making: &Making<'_>) {
    for (key, shape) in kind.fields {
        check_field(reader, key, *shape, making);
    }
    for (file, _) in kind.fields.iter().filter(|(_, shape)| *shape == File) {
        let twin = kind.fields.iter().find(|(key, _)| file.strip_suffix("_file") == Some(key));
        if let Some((key, _)) = twin
            && reader.raw(key).is_some()
            && reader.raw(file).is_some()
        {
            reader.error_at(file, format!("at most one of {key} and {file} may be set"));
        }
    }
}

fn check_field(reader: &Reader<'_>, key: &'static str, shape: Shape, making: &Making<'_>) {
    match shape {
        Text | File => drop(reader.text(key)),
        Template | Secret => drop(making.template(reader, key, "")),
        Required => {
            reader.required_text(key);
            making.template(reader, key, "");
        }
        Bool => drop(reader.bool(key)),
        Integer => drop(reader.f64(key)),
        Duration => drop(reader.duration_ms(key)),
        Templates => {
            reader.text_map(key);
            if let Some(node) = reader.raw(key) {
                check_templates(reader, key, node, making);
            }
        }
        Anything => {
            if let Some(node) = reader.raw(key) {
                check_templates(reader, key, node, making);
            }
        }
    }
}

/// Every text below a node that looks like a template must be one.
fn check_templates(reader: &Reader<'_>, key: &str, node: &Node, making: &Making<'_>) {
    match &node.value {
        Value::Scalar { text, .. } if text.contains("{{") => {
            let mut templates = making.templates.clone();
            if let Err(error) = templates.parse(super::TEXT, text) {
                reader.context().error(node.line, node.column, format!("{}: {error}", reader.path_of(key)));
            }
        }
        Value::List(items) => items.iter().for_each(|item| check_templates(reader, key, item, making)),
        Value::Map(entries) => entries.iter().for_each(|(_, value)| check_templates(reader, key, value, making)),
        Value::Null | Value::Scalar { .. } => {}
    }
}
