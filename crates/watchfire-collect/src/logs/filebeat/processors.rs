//! `processors`: what is done to events. Those that ask clouds and clusters find nothing here, and a warning says so.

use std::sync::Arc;

use serde_json::{Map, Value};
use watchfire_model::document::{Node, Reader, nearest};
use watchfire_model::logs::Nanos;

use super::condition::Condition;
use super::dissect::{Dissect, Kind};
use super::event::{get, remove, set, time};
use super::rarer::{self, Rarer};
use super::tree::to_json;
use crate::logs::Entry;
use crate::logs::stages::Formats;

/// What one does.
#[derive(Clone, Debug)]
enum Action {
    /// Sets fields that are known beforehand.
    Set(Vec<(String, Value)>),
    Tags(String, Vec<String>),
    Drop,
    DropFields(Vec<String>),
    Include(Vec<String>),
    /// Moves, or copies, fields.
    Move(Vec<(String, String)>, bool),
    DecodeJson {
        fields: Vec<String>,
        target: Option<String>,
        overwrite: bool,
    },
    Time {
        field: String,
        formats: Formats,
    },
    Lowercase(Vec<String>),
    Truncate(Vec<String>, usize),
    Dissect(Box<Dissect>),
    /// Fields with what they become and where it goes, whether they are moved, and whether it is no matter when one cannot be.
    Convert {
        fields: Vec<(String, String, Option<Kind>)>,
        moved: bool,
        lenient: bool,
    },
    /// Values behind those of a field: of other fields, and fixed ones.
    Append {
        target: String,
        fields: Vec<String>,
        values: Vec<Value>,
        duplicates: bool,
    },
    Rarer(Box<Rarer>),
    Nothing,
}

/// A processor.
#[derive(Clone, Debug)]
pub(super) struct Processor {
    action: Action,
    when: Option<Condition>,
}

/// Those that find nothing here.
const WITHOUT_EFFECT: [&str; 8] = [
    "add_cloud_metadata",
    "add_docker_metadata",
    "add_kubernetes_metadata",
    "add_process_metadata",
    "add_observer_metadata",
    "add_cloudfoundry_metadata",
    "add_nomad_metadata",
    "add_formatted_index",
];
/// Those that are known and not carried out.
const UNSUPPORTED: [&str; 21] = [
    "add_network_direction",
    "add_session_metadata",
    "cache",
    "community_id",
    "decode_cef",
    "decode_csv_fields",
    "decode_duration",
    "decode_xml",
    "decode_xml_wineventlog",
    "decompress_gzip_field",
    "detect_mime_type",
    "dns",
    "fingerprint",
    "move_fields",
    "now",
    "parse_aws_vpc_flow_log",
    "rate_limit",
    "registered_domain",
    "script",
    "translate_ldap_attribute",
    "translate_sid",
];
/// Those that are carried out.
const KNOWN: [&str; 18] = [
    "add_host_metadata",
    "add_locale",
    "add_id",
    "add_fields",
    "add_labels",
    "add_tags",
    "drop_event",
    "drop_fields",
    "include_fields",
    "rename",
    "copy_fields",
    "decode_json_fields",
    "timestamp",
    "truncate_fields",
    "lowercase",
    "dissect",
    "convert",
    "append",
];

/// Reads the list under `processors`.
pub(super) fn read_list(reader: &Reader<'_>, host: &str) -> Vec<Arc<Processor>> {
    let path = reader.path_of("processors");
    let mut out = Vec::new();
    for (i, item) in reader.list("processors").iter().enumerate() {
        let context = reader.context();
        let Some([(key, node)]) = item.entries() else {
            context.error(item.line, item.column, format!("{path}[{i}] must be a mapping of one processor's name to its settings"));
            continue;
        };
        let settings = Reader::new(context, node, &format!("{path}[{i}].{}", key.text));
        let when = settings.raw("when").map(|node| Condition::read(context, node, 0));
        let known = KNOWN.iter().chain(&rarer::NAMES).chain(&WITHOUT_EFFECT).chain(&UNSUPPORTED).copied();
        let action = match &*key.text {
            name if WITHOUT_EFFECT.contains(&name) => {
                context.warning(key.line, key.column, format!("{path}[{i}].{name} finds nothing to add here"));
                continue;
            }
            name if UNSUPPORTED.contains(&name) => {
                context.warning(key.line, key.column, format!("{path}[{i}].{name} is not carried out"));
                continue;
            }
            name => match read_one(name, &settings, host) {
                Some(action) => action,
                None => {
                    let hint = nearest(name, known).map(|n| format!("; did you mean {n:?}?")).unwrap_or_default();
                    context.error(key.line, key.column, format!("{path}[{i}]: unknown processor {name:?}{hint}"));
                    continue;
                }
            },
        };
        settings.finish();
        out.push(Arc::new(Processor { action, when }));
    }
    out
}

fn read_one(name: &str, settings: &Reader<'_>, host: &str) -> Option<Action> {
    let target = |default: &str| settings.text("target").unwrap_or_else(|| default.to_owned());
    let below = |target: &str, node: Option<&Node>| -> Vec<(String, Value)> {
        let prefix = if target.is_empty() { String::new() } else { format!("{target}.") };
        node.and_then(Node::entries).unwrap_or(&[]).iter().map(|(key, value)| (format!("{prefix}{}", key.text), to_json(value))).collect()
    };
    Some(match name {
        "add_host_metadata" => {
            settings.allow(&["netinfo", "cache", "geo", "replace_fields"]);
            Action::Set(vec![("host.name".to_owned(), Value::String(host.to_owned())), ("host.hostname".to_owned(), Value::String(host.to_owned()))])
        }
        "add_locale" | "add_id" => {
            settings.allow(&["format", "target_field", "type"]);
            Action::Nothing
        }
        "add_fields" => Action::Set(below(&target("fields"), settings.raw("fields"))),
        "add_labels" => Action::Set(below("labels", settings.raw("labels"))),
        "add_tags" => Action::Tags(target("tags"), settings.texts("tags", true)),
        "drop_event" => Action::Drop,
        "drop_fields" => {
            settings.allow(&["ignore_missing"]);
            Action::DropFields(settings.texts("fields", true))
        }
        "include_fields" => Action::Include(settings.texts("fields", true)),
        "rename" | "copy_fields" => {
            settings.allow(&["ignore_missing", "fail_on_error"]);
            let mut pairs = Vec::new();
            for pair in settings.maps("fields") {
                pairs.push((pair.required_text("from"), pair.required_text("to")));
                pair.finish();
            }
            Action::Move(pairs, name == "copy_fields")
        }
        "decode_json_fields" => {
            settings.allow(&["process_array", "max_depth", "add_error_key", "expand_keys", "document_id"]);
            let overwrite = settings.bool("overwrite_keys").unwrap_or(false);
            Action::DecodeJson { fields: settings.texts("fields", true), target: settings.text("target"), overwrite }
        }
        "timestamp" => {
            settings.allow(&["ignore_missing", "ignore_failure", "test", "id", "target_field"]);
            let zone = settings.text("timezone").unwrap_or_default();
            let field = settings.required_text("field");
            match Formats::new(&settings.texts("layouts", true), &zone) {
                Ok(formats) => Action::Time { field, formats },
                Err(error) => {
                    settings.error_at("timezone", error);
                    Action::Nothing
                }
            }
        }
        "dissect" => Dissect::read(settings).map_or(Action::Nothing, |dissect| Action::Dissect(Box::new(dissect))),
        "convert" => {
            settings.allow(&["ignore_missing", "tag"]);
            let mut fields = Vec::new();
            for field in settings.maps("fields") {
                let from = field.required_text("from");
                let kind = field.text("type").and_then(|name| {
                    let kind = Kind::of(&name);
                    if kind.is_none() {
                        field.error_at("type", format!("must be integer, long, float, double, string, boolean or ip, not {name:?}"));
                    }
                    kind
                });
                fields.push((from.clone(), field.text("to").filter(|to| !to.is_empty()).unwrap_or(from), kind));
                field.finish();
            }
            let moved = settings.word("mode", &["copy", "rename"]) == Some("rename");
            Action::Convert { fields, moved, lenient: !settings.bool("fail_on_error").unwrap_or(true) }
        }
        "append" => {
            settings.allow(&["ignore_missing", "ignore_empty_values", "fail_on_error"]);
            Action::Append {
                target: settings.required_text("target_field"),
                fields: settings.texts("fields", true),
                values: settings.list("values").iter().map(to_json).collect(),
                duplicates: settings.bool("allow_duplicate").unwrap_or(true),
            }
        }
        "lowercase" => Action::Lowercase(settings.texts("fields", true)),
        "truncate_fields" => {
            settings.allow(&["fail_on_error", "ignore_missing"]);
            let bytes = settings.u64("max_bytes").or_else(|| settings.u64("max_characters")).unwrap_or(u64::MAX);
            Action::Truncate(settings.texts("fields", true), usize::try_from(bytes).unwrap_or(usize::MAX))
        }
        name => return Rarer::read(name, settings).map(|action| Action::Rarer(Box::new(action))),
    })
}

impl Processor {
    /// What a parser does, which has no condition.
    pub(super) fn parser(action: Rarer) -> Processor {
        Processor { action: Action::Rarer(Box::new(action)), when: None }
    }
    /// Does its work; false when the event goes no further.
    pub(super) fn apply(&self, entry: &mut Entry, event: &mut Map<String, Value>) -> bool {
        if self.when.as_ref().is_some_and(|when| !when.holds(event)) {
            return true;
        }
        match &self.action {
            Action::Nothing => {}
            Action::Rarer(action) => action.apply(entry, event),
            Action::Drop => return false,
            Action::Set(fields) => fields.iter().for_each(|(name, value)| set(event, name, value.clone())),
            Action::Tags(target, tags) => {
                let mut all = get(event, target).and_then(Value::as_array).cloned().unwrap_or_default();
                all.extend(tags.iter().cloned().map(Value::String));
                set(event, target, Value::Array(all));
            }
            Action::DropFields(names) => names.iter().for_each(|name| drop(remove(event, name))),
            Action::Include(names) => {
                let mut kept = Map::new();
                for name in names {
                    if let Some(value) = get(event, name) {
                        set(&mut kept, name, value.clone());
                    }
                }
                *event = kept;
            }
            Action::Move(pairs, copy) => {
                for (from, to) in pairs {
                    let value = if *copy { get(event, from).cloned() } else { remove(event, from) };
                    if let Some(value) = value {
                        set(event, to, value);
                    }
                }
            }
            Action::DecodeJson { fields, target, overwrite } => decode(event, fields, target.as_deref(), *overwrite),
            Action::Time { field, formats } => {
                let read = get(event, field).and_then(Value::as_str).and_then(|text| formats.read(text).or_else(|| time(text).map(Nanos)));
                if let Some(time) = read {
                    entry.time = time;
                }
            }
            Action::Dissect(dissect) => dissect.apply(event),
            Action::Convert { fields, moved, lenient } => convert(event, fields, *moved, *lenient),
            Action::Append { target, fields, values, duplicates } => append(event, target, fields, values, *duplicates),
            Action::Lowercase(names) => names.iter().for_each(|name| {
                if let Some(Value::String(text)) = get(event, name).cloned() {
                    set(event, name, Value::String(text.to_lowercase()));
                }
            }),
            Action::Truncate(names, most) => names.iter().for_each(|name| {
                if let Some(Value::String(text)) = get(event, name).cloned() {
                    let end = text.floor_char_boundary(*most);
                    set(event, name, Value::String(text.get(..end).unwrap_or("").to_owned()));
                }
            }),
        }
        true
    }
}

fn convert(event: &mut Map<String, Value>, fields: &[(String, String, Option<Kind>)], moved: bool, lenient: bool) {
    // All or none, unless it is no matter.
    let mut made = Vec::new();
    for (from, to, kind) in fields {
        let Some(value) = get(event, from) else { continue };
        match kind.map_or_else(|| Some(value.clone()), |kind| kind.convert(value)) {
            Some(value) => made.push((from, to, value)),
            None if lenient => {}
            None => {
                let message = format!("cannot make what was asked for of {from}");
                return set(event, "error.message", Value::String(message));
            }
        }
    }
    for (from, to, value) in made {
        if moved && from != to {
            remove(event, from);
        }
        set(event, to, value);
    }
}

fn append(event: &mut Map<String, Value>, target: &str, fields: &[String], values: &[Value], duplicates: bool) {
    let list = |value: Value| match value {
        Value::Array(all) => all,
        one => vec![one],
    };
    let mut all = get(event, target).cloned().map(list).unwrap_or_default();
    let more = fields.iter().filter_map(|name| get(event, name).cloned()).flat_map(list).chain(values.iter().cloned());
    for value in more {
        if duplicates || !all.contains(&value) {
            all.push(value);
        }
    }
    set(event, target, Value::Array(all));
}

fn decode(event: &mut Map<String, Value>, fields: &[String], target: Option<&str>, overwrite: bool) {
    for name in fields {
        let parsed = get(event, name).and_then(Value::as_str).and_then(|text| serde_json::from_str::<Value>(text).ok());
        match (parsed, target) {
            (Some(Value::Object(keys)), Some("")) => {
                for (key, value) in keys {
                    if overwrite || !event.contains_key(&key) {
                        event.insert(key, value);
                    }
                }
            }
            (Some(value), target) => set(event, target.unwrap_or(name), value),
            (None, _) => {}
        }
    }
}
