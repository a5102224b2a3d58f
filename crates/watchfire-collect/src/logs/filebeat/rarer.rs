//! Processors that few files have: `syslog` (a parser, too), `decode_base64_field`, `urldecode`, `replace`, `uppercase`, `extract_array`.
//! What one of them cannot do stands in `error.message` of the event, unless that is no matter.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use watchfire_ingest::syslog::{Message, read_message};
use watchfire_model::document::{Node, Reader};

use super::event::{get, set};
use crate::logs::Entry;
use crate::logs::stages::compile;

/// Their names.
pub(super) const NAMES: [&str; 6] = ["syslog", "decode_base64_field", "urldecode", "replace", "uppercase", "extract_array"];

const SEVERITIES: [&str; 8] = ["Emergency", "Alert", "Critical", "Error", "Warning", "Notice", "Informational", "Debug"];
const FACILITIES: [&str; 24] = [
    "kernel",
    "user-level",
    "mail",
    "system",
    "security/authorization",
    "syslogd",
    "line printer",
    "network news",
    "UUCP",
    "clock",
    "security/authorization",
    "FTP",
    "NTP",
    "log audit",
    "log alert",
    "clock",
    "local0",
    "local1",
    "local2",
    "local3",
    "local4",
    "local5",
    "local6",
    "local7",
];

/// What a text becomes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    Base64,
    Url,
}

/// What one does.
#[derive(Clone, Debug)]
pub(super) enum Rarer {
    Syslog {
        field: String,
        overwrite: bool,
        /// Whether it is told when the text is no syslog.
        tell: bool,
    },
    /// Fields, and where what becomes of them goes.
    Decode(Change, Vec<(String, String)>, bool),
    Replace(Vec<(String, regex::Regex, String)>),
    Uppercase(Vec<String>),
    /// A list, and which of its items go where.
    Items(String, Vec<(String, usize)>, bool),
}

impl Rarer {
    /// The parser of that name.
    pub(super) fn syslog(settings: &Reader<'_>) -> Rarer {
        settings.allow(&["format", "timezone", "log_errors", "tag", "ignore_missing"]);
        if settings.has("timezone") {
            settings.warning_at("timezone", "times without a zone are not taken; the entry has the time at which it was read");
        }
        let quiet = settings.bool("ignore_failure").unwrap_or(false);
        Rarer::Syslog {
            field: settings.text("field").unwrap_or_else(|| "message".to_owned()),
            overwrite: settings.bool("overwrite_keys").unwrap_or(true),
            tell: !quiet && settings.bool("add_error_key").unwrap_or(true),
        }
    }

    /// Reads one; nothing for a name that is none of theirs.
    pub(super) fn read(name: &str, settings: &Reader<'_>) -> Option<Rarer> {
        let tell = || settings.bool("fail_on_error").unwrap_or(true);
        let pair = |pair: Reader<'_>| {
            let from = pair.required_text("from");
            let to = pair.text("to").filter(|to| !to.is_empty()).unwrap_or_else(|| from.clone());
            pair.finish();
            (from, to)
        };
        if name != "syslog" {
            settings.allow(&["ignore_missing", "fail_on_error"]);
        }
        Some(match name {
            "syslog" => Rarer::syslog(settings),
            "decode_base64_field" => Rarer::Decode(Change::Base64, settings.map("field").into_iter().map(pair).collect(), tell()),
            "urldecode" => Rarer::Decode(Change::Url, settings.maps("fields").into_iter().map(pair).collect(), tell()),
            "replace" => Rarer::Replace(settings.maps("fields").into_iter().filter_map(replacement).collect()),
            "uppercase" => {
                settings.allow(&["values", "full_path", "alter_full_field"]);
                Rarer::Uppercase(settings.texts("fields", true))
            }
            "extract_array" => {
                settings.allow(&["overwrite_keys", "omit_empty"]);
                let mut items = Vec::new();
                if let Some(node) = settings.raw("mappings") {
                    places(settings, node, "", &mut items);
                }
                Rarer::Items(settings.required_text("field"), items, tell())
            }
            _ => return None,
        })
    }

    /// Does its work.
    pub(super) fn apply(&self, entry: &mut Entry, event: &mut Map<String, Value>) {
        match self {
            Rarer::Syslog { field, overwrite, tell } => {
                let Some(text) = get(event, field).and_then(Value::as_str).map(str::to_owned) else { return };
                let message = read_message(&text);
                match message.priority {
                    Some(priority) => take_apart(entry, event, &message, priority, *overwrite),
                    None if *tell => failed(event, "cannot read the message as syslog: it begins with no priority"),
                    None => {}
                }
            }
            Rarer::Decode(change, fields, tell) => {
                for (from, to) in fields {
                    let Some(text) = get(event, from).and_then(Value::as_str) else { continue };
                    match decoded(*change, text) {
                        Some(text) => set(event, to, Value::String(text)),
                        None if *tell => failed(event, &format!("cannot decode {from}")),
                        None => {}
                    }
                }
            }
            Rarer::Replace(fields) => {
                for (field, pattern, with) in fields {
                    if let Some(text) = get(event, field).and_then(Value::as_str) {
                        let text = pattern.replace_all(text, with.as_str()).into_owned();
                        set(event, field, Value::String(text));
                    }
                }
            }
            Rarer::Uppercase(fields) => {
                for field in fields {
                    if let Some(text) = get(event, field).and_then(Value::as_str) {
                        let text = text.to_uppercase();
                        set(event, field, Value::String(text));
                    }
                }
            }
            Rarer::Items(field, items, tell) => {
                let Some(all) = get(event, field).and_then(Value::as_array).cloned() else { return };
                for (to, place) in items {
                    match all.get(*place) {
                        Some(item) => set(event, to, item.clone()),
                        None if *tell => failed(event, &format!("cannot take item {place} of {field}, which has {}", all.len())),
                        None => {}
                    }
                }
            }
        }
    }
}

/// Dotted names with places of items. Names come as nested mappings, too: configurations are read as Beats read them.
fn places(settings: &Reader<'_>, node: &Node, name: &str, items: &mut Vec<(String, usize)>) {
    for (key, value) in node.entries().unwrap_or(&[]) {
        let name = if name.is_empty() { key.text.to_string() } else { format!("{name}.{}", key.text) };
        match value.text().map(str::parse) {
            None => places(settings, value, &name, items),
            Some(Ok(place)) => items.push((name, place)),
            Some(Err(_)) => settings.error_at("mappings", format!("{name} must be the place of an item from 0, not {:?}", value.text().unwrap_or_default())),
        }
    }
}

fn replacement(pair: Reader<'_>) -> Option<(String, regex::Regex, String)> {
    let (field, pattern) = (pair.required_text("field"), pair.required_text("pattern"));
    let with = pair.text("replacement").unwrap_or_default();
    let compiled = compile(&pattern).map_err(|error| pair.error_at("pattern", error)).ok();
    pair.finish();
    Some((field, compiled?, with))
}

fn failed(event: &mut Map<String, Value>, why: &str) {
    set(event, "error.message", Value::String(why.to_owned()));
}

fn decoded(change: Change, text: &str) -> Option<String> {
    match change {
        Change::Base64 => String::from_utf8(STANDARD.decode(text).ok()?).ok(),
        Change::Url => {
            let mut bytes = Vec::with_capacity(text.len());
            let mut rest = text.bytes();
            while let Some(byte) = rest.next() {
                bytes.push(match byte {
                    b'+' => b' ',
                    b'%' => {
                        let digits = [rest.next()?, rest.next()?].map(|digit| char::from(digit).to_digit(16));
                        u8::try_from(digits[0]? * 16 + digits[1]?).ok()?
                    }
                    byte => byte,
                });
            }
            String::from_utf8(bytes).ok()
        }
    }
}

/// The fields of a message, under the names of the Elastic Common Schema.
fn take_apart(entry: &mut Entry, event: &mut Map<String, Value>, message: &Message, priority: u8, overwrite: bool) {
    let mut put = |name: &str, value: Value| {
        if overwrite || get(event, name).is_none() {
            set(event, name, value);
        }
    };
    let (facility, severity) = (usize::from(priority / 8), usize::from(priority % 8));
    put("log.syslog.priority", priority.into());
    put("log.syslog.facility.code", facility.into());
    put("log.syslog.facility.name", (*FACILITIES.get(facility).unwrap_or(&"")).into());
    put("log.syslog.severity.code", severity.into());
    put("log.syslog.severity.name", (*SEVERITIES.get(severity).unwrap_or(&"")).into());
    let told = [("hostname", &message.host), ("appname", &message.app), ("procid", &message.pid), ("msgid", &message.id)];
    for (name, value) in told.into_iter().filter(|(_, value)| !value.is_empty()) {
        put(&format!("log.syslog.{name}"), value.as_str().into());
    }
    for (name, value) in &message.data {
        put(&format!("log.syslog.structured_data.{name}"), value.as_str().into());
    }
    put("message", message.text.as_str().into());
    if let Some(time) = message.time {
        entry.time = time;
    }
}
