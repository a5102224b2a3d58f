//! `dissect`: a text is cut at fixed texts between its parts, `%{name} - %{+name}`; and what values are made of texts.

use serde_json::{Map, Value};
use watchfire_model::document::Reader;

use super::event::{get, set};

/// The most parts of one pattern.
const PARTS_MAX: usize = 100;

/// What values become of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Integer,
    Float,
    Boolean,
    Text,
    Ip,
}

impl Kind {
    pub(super) fn of(name: &str) -> Option<Kind> {
        Some(match name {
            "integer" | "long" => Kind::Integer,
            "float" | "double" => Kind::Float,
            "boolean" => Kind::Boolean,
            "string" => Kind::Text,
            "ip" => Kind::Ip,
            _ => return None,
        })
    }

    /// The value; nothing where it cannot be one.
    pub(super) fn convert(self, value: &Value) -> Option<Value> {
        let text = match value {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            _ => return None,
        };
        match self {
            Kind::Integer => match (text.parse::<i64>(), text.strip_prefix("0x")) {
                (Ok(number), _) => Some(number.into()),
                (Err(_), Some(digits)) => i64::from_str_radix(digits, 16).ok().map(Value::from),
                // A number with a fraction loses it.
                (Err(_), None) => text.parse::<f64>().ok().filter(|n| value.is_number() && n.abs() < 9e15).map(|n| Value::from(n as i64)),
            },
            Kind::Float => text.parse::<f64>().ok().and_then(serde_json::Number::from_f64).map(Value::Number),
            Kind::Boolean => match text.to_ascii_lowercase().as_str() {
                "1" | "t" | "true" => Some(true.into()),
                "0" | "f" | "false" => Some(false.into()),
                _ => None,
            },
            Kind::Text => Some(text.into()),
            Kind::Ip => text.parse::<std::net::IpAddr>().ok().map(|_| text.into()),
        }
    }
}

/// How a part is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Set,
    /// Put behind what the name has already, with what stood between them.
    Append,
    Skip,
    /// The name of a field whose value another part has, and that other part.
    Name,
    Of,
}

#[derive(Clone, Debug)]
struct Part {
    /// What stands before it.
    before: String,
    name: String,
    uses: Use,
    /// Whether what follows it may stand there several times.
    padded: bool,
    kind: Option<Kind>,
}

/// A pattern, and where it is used.
#[derive(Clone, Debug)]
pub(super) struct Dissect {
    parts: Vec<Part>,
    behind: String,
    field: String,
    prefix: String,
    overwrite: bool,
    ignore_failure: bool,
    trim: (bool, bool),
    trimmed: String,
}

impl Dissect {
    pub(super) fn read(settings: &Reader<'_>) -> Option<Dissect> {
        let pattern = settings.required_text("tokenizer");
        let (parts, behind) = parts(&pattern).map_err(|error| settings.error_at("tokenizer", error)).ok()?;
        let trim = match settings.word("trim_values", &["none", "left", "right", "all"]) {
            Some("left") => (true, false),
            Some("right") => (false, true),
            Some("all") => (true, true),
            _ => (false, false),
        };
        Some(Dissect {
            parts,
            behind,
            field: settings.text("field").unwrap_or_else(|| "message".to_owned()),
            prefix: settings.text("target_prefix").unwrap_or_else(|| "dissect".to_owned()),
            overwrite: settings.bool("overwrite_keys").unwrap_or(false),
            ignore_failure: settings.bool("ignore_failure").unwrap_or(false),
            trim,
            trimmed: settings.text("trim_chars").unwrap_or_else(|| " ".to_owned()),
        })
    }

    /// Cuts the field up. A text that does not fit changes nothing but `log.flags`.
    pub(super) fn apply(&self, event: &mut Map<String, Value>) {
        let Some(text) = get(event, &self.field).and_then(Value::as_str).map(str::to_owned) else { return };
        let found = self.cut(&text).map(|cut| self.values(&cut));
        let free = |all: &Vec<(String, Value)>| self.overwrite || all.iter().all(|(name, _)| get(event, name).is_none());
        match found.filter(free) {
            Some(values) => values.into_iter().for_each(|(name, value)| set(event, &name, value)),
            None if self.ignore_failure => {}
            None => {
                let mut flags = get(event, "log.flags").and_then(Value::as_array).cloned().unwrap_or_default();
                flags.push("dissect_parsing_error".into());
                set(event, "log.flags", flags.into());
            }
        }
    }

    fn cut<'t>(&self, text: &'t str) -> Option<Vec<&'t str>> {
        let mut rest = text.strip_prefix(self.parts.first()?.before.as_str())?;
        let mut cut = Vec::new();
        for (at, part) in self.parts.iter().enumerate() {
            let next = self.parts.get(at + 1).map_or(self.behind.as_str(), |next| next.before.as_str());
            if next.is_empty() {
                cut.push(rest);
                rest = "";
                continue;
            }
            let (value, mut behind) = rest.split_once(next)?;
            while let Some(after) = behind.strip_prefix(next).filter(|_| part.padded) {
                behind = after;
            }
            cut.push(value);
            rest = behind;
        }
        rest.is_empty().then_some(cut)
    }

    fn values(&self, cut: &[&str]) -> Vec<(String, Value)> {
        let full = |name: &str| if self.prefix.is_empty() { name.to_owned() } else { format!("{}.{name}", self.prefix) };
        let trimmed = |text: &str| -> String {
            let chars: Vec<char> = self.trimmed.chars().collect();
            let text = if self.trim.0 { text.trim_start_matches(&chars[..]) } else { text };
            (if self.trim.1 { text.trim_end_matches(&chars[..]) } else { text }).to_owned()
        };
        let mut all: Vec<(String, String, Option<Kind>)> = Vec::new();
        for (part, text) in self.parts.iter().zip(cut) {
            match part.uses {
                Use::Skip | Use::Name => {}
                Use::Of => {
                    let name = self.parts.iter().zip(cut).find(|(other, _)| other.uses == Use::Name && other.name == part.name);
                    all.extend(name.map(|(_, name)| (full(name), trimmed(text), part.kind)));
                }
                Use::Append => match all.iter_mut().find(|(name, ..)| *name == full(&part.name)) {
                    Some((_, value, _)) => {
                        value.push_str(&part.before);
                        value.push_str(&trimmed(text));
                    }
                    None => all.push((full(&part.name), trimmed(text), part.kind)),
                },
                Use::Set => all.push((full(&part.name), trimmed(text), part.kind)),
            }
        }
        let value = |text: String, kind: Option<Kind>| {
            let text = Value::String(text);
            kind.and_then(|kind| kind.convert(&text)).unwrap_or(text)
        };
        all.into_iter().map(|(name, text, kind)| (name, value(text, kind))).collect()
    }
}

/// The parts of a pattern, and what stands behind the last.
fn parts(pattern: &str) -> Result<(Vec<Part>, String), String> {
    let mut parts = Vec::new();
    let mut rest = pattern;
    while let Some((before, inside)) = rest.split_once("%{") {
        let (key, behind) = inside.split_once('}').ok_or_else(|| "a part has no end: } is missing".to_owned())?;
        rest = behind;
        if before.is_empty() && !parts.is_empty() {
            return Err("two parts have nothing between them".to_owned());
        }
        let (key, kind) = match key.split_once('|') {
            Some((key, kind)) => (key, Some(Kind::of(kind).ok_or_else(|| format!("{kind:?} is no type of a value"))?)),
            None => (key, None),
        };
        let (key, padded) = key.strip_suffix("->").map_or((key, false), |key| (key, true));
        // The place of an appended part is that in which it stands.
        let key = key.split_once('/').map_or(key, |(key, _)| key);
        let (uses, name) = match key.chars().next() {
            None | Some('?') => (Use::Skip, key),
            Some('+') => (Use::Append, key.trim_start_matches('+')),
            Some('*') => (Use::Name, key.trim_start_matches('*')),
            Some('&') => (Use::Of, key.trim_start_matches('&')),
            Some(_) => (Use::Set, key),
        };
        parts.push(Part { before: before.to_owned(), name: name.to_owned(), uses, padded, kind });
    }
    match parts.len() {
        0 => Err("has no part such as %{name}".to_owned()),
        n if n > PARTS_MAX => Err(format!("has more than {PARTS_MAX} parts")),
        _ => Ok((parts, rest.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pattern: &str, text: &str) -> String {
        let (parts, behind) = parts(pattern).unwrap();
        let dissect = Dissect {
            parts,
            behind,
            field: "message".to_owned(),
            prefix: String::new(),
            overwrite: false,
            ignore_failure: false,
            trim: (false, true),
            trimmed: " ".to_owned(),
        };
        let mut event = Map::from_iter([("message".to_owned(), Value::from(text))]);
        dissect.apply(&mut event);
        event.shift_remove("message");
        Value::Object(event).to_string()
    }

    #[test]
    fn texts_are_cut_at_what_is_between_their_parts() {
        for (pattern, text, expected) in [
            ("%{ip} - %{user} [%{at}]", "10.0.0.1 - eva [now]", r#"{"ip":"10.0.0.1","user":"eva","at":"now"}"#),
            ("%{ip} - %{user} [%{at}]", "10.0.0.1 - eva", r#"{"log":{"flags":["dissect_parsing_error"]}}"#),
            ("App: %{a.b|integer} %{?skipped} %{rest}", "App: 12 x y z", r#"{"a":{"b":12},"rest":"y z"}"#),
            ("%{day} %{+day} %{}", "Mon 12 x", r#"{"day":"Mon 12"}"#),
            ("%{a->} %{b}", "1      2", r#"{"a":"1","b":"2"}"#),
            ("%{*key}=%{&key};", "color=red;", r#"{"color":"red"}"#),
            ("<%{a}>", "<x >", r#"{"a":"x"}"#),
            ("<%{a}>", "<x> and more", r#"{"log":{"flags":["dissect_parsing_error"]}}"#),
        ] {
            assert_eq!(cut(pattern, text), expected, "{pattern}");
        }
        for wrong in ["nothing", "%{a", "%{a}%{b}", "%{a|colour}"] {
            assert!(parts(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn values_of_texts() {
        let check =
            |kind: &str, value: Value, expected: Value| assert_eq!(Kind::of(kind).unwrap().convert(&value).unwrap_or_default(), expected, "{kind} {value}");
        check("integer", "0x1f".into(), 31.into());
        check("long", serde_json::json!(7.9), 7.into());
        check("integer", "7.9".into(), Value::Null);
        check("double", "1.5".into(), serde_json::json!(1.5));
        check("boolean", "T".into(), true.into());
        check("string", serde_json::json!(12), "12".into());
        check("ip", "::1".into(), "::1".into());
        check("ip", "x".into(), Value::Null);
        assert!(Kind::of("colour").is_none());
    }
}
