//! Variables of a dashboard in its queries: those of the request, else what the dashboard was saved with, and Grafana's own. Which values a
//! variable may have at the moment is asked in `options`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

/// What a variable is when all of its values are wanted and the dashboard does not say how.
const ALL: &str = ".+";
/// The value that means all of them.
pub(super) const EVERY: &str = "$__all";

/// Values that a request may give.
const ASKED_MAX: usize = 500;
/// A text that grows beyond it is not filled in further: no query is so long.
const TEXT_BYTES_MAX: usize = 1 << 20;
/// Characters with a meaning in patterns.
const SPECIAL: &str = "$^*{}[]'+?.()|";

/// What one variable is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Known {
    pub(super) values: Vec<String>,
    /// Whether it may be several, so that queries have it in a pattern.
    several: bool,
    /// What it is where all of them are wanted; nobody changes it.
    all: Option<String>,
    /// Whether it chooses between data sources with logs.
    of_logs: bool,
    /// All that it may be, where somebody knows.
    options: Arc<Vec<String>>,
}

/// The values of a dashboard's variables.
#[derive(Clone, Default)]
pub(in super::super) struct Variables(BTreeMap<String, Known>);

/// How a value is written where no format is named.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plain {
    Query,
    Words,
}

impl Variables {
    /// Those of a dashboard, over which those of a request count.
    pub(super) fn of(model: &Map<String, Value>, asked: &[(String, String)]) -> Variables {
        let mut all = Variables::default();
        let mut given: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (name, value) in asked.iter().take(ASKED_MAX) {
            given.entry(name).or_default().push(value.clone());
        }
        for variable in list(model) {
            let Some(name) = variable.get("name").and_then(Value::as_str) else { continue };
            let values = given.remove(name).unwrap_or_else(|| saved(variable));
            all.choose(variable, name, values);
        }
        // What the request names and no variable is, is a value all the same.
        for (name, values) in given {
            all.0.insert(name.to_owned(), Known { values, ..Known::default() });
        }
        all
    }
    /// Gives a variable its values.
    pub(super) fn choose(&mut self, variable: &Value, name: &str, values: Vec<String>) {
        let is_set = |key: &str| variable.get(key).and_then(Value::as_bool) == Some(true);
        let of_all = || variable.get("allValue").and_then(Value::as_str).filter(|v| !v.is_empty());
        let all = values.iter().any(|v| v == EVERY).then(|| of_all().unwrap_or(ALL).to_owned());
        let of_logs = variable.get("type").and_then(Value::as_str) == Some("datasource") && variable.get("query").and_then(Value::as_str) == Some("loki");
        let text = |key: &str| variable.get(key).and_then(Value::as_str).unwrap_or_default();
        let options = if text("type") == "custom" { choices(text("query")) } else { Vec::new() };
        self.0.insert(name.to_owned(), Known { values, several: is_set("multi") || is_set("includeAll"), all, of_logs, options: Arc::new(options) });
    }
    /// Says what a variable may be.
    pub(super) fn offer(&mut self, name: &str, options: Vec<String>) {
        if let Some(known) = self.0.get_mut(name) {
            known.options = Arc::new(options);
        }
    }
    /// Gives a variable one value in the stead of those that it has.
    pub(super) fn only(&mut self, name: &str, value: &str) {
        if let Some(known) = self.0.get_mut(name) {
            (known.values, known.several, known.all) = (vec![value.to_owned()], false, None);
        }
    }
    /// Whether all values of a variable are wanted.
    pub(super) fn is_all(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|known| known.all.is_some())
    }
    /// The values of a variable, one by one; none where all are wanted and nobody knows them.
    pub(super) fn each(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], |known| if known.all.is_some() { &known.options } else { &known.values })
    }
    /// What a variable is at the moment.
    pub(super) fn get(&self, name: &str) -> Option<&Known> {
        self.0.get(name)
    }
    /// Whether a data source holds logs, by its kind or its name, which may be a variable.
    pub(super) fn is_logs(&self, source: &str) -> bool {
        let is_it = |word: &str| word.to_lowercase().contains("loki");
        let variable = name_at(source).and_then(|(name, ..)| self.0.get(name));
        is_it(source) || variable.is_some_and(|known| known.of_logs || known.values.iter().any(|value| is_it(value)))
    }
    /// Sets one of Grafana's own.
    pub(in super::super) fn set(&mut self, name: &str, value: String) {
        self.0.insert(name.to_owned(), Known { values: vec![value], ..Known::default() });
    }
    /// A query with all of them replaced; what is none stays.
    pub(in super::super) fn replace(&self, text: &str) -> String {
        self.replaced(text, Plain::Query)
    }
    /// The same for a text that people read.
    pub(super) fn words(&self, text: &str) -> String {
        self.replaced(text, Plain::Words)
    }
    fn replaced(&self, text: &str, plain: Plain) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(['$', '[']).filter(|_| out.len() <= TEXT_BYTES_MAX) {
            let (before, from) = rest.split_at(at);
            out.push_str(before);
            match name_at(from).and_then(|(name, format, after)| Some((name, self.0.get(name)?, format, after))) {
                Some((name, known, format, after)) => {
                    out.push_str(&written(name, known, format, plain));
                    rest = after;
                }
                None => {
                    let len = from.chars().next().map_or(0, char::len_utf8);
                    out.push_str(from.get(..len).unwrap_or_default());
                    rest = from.get(len..).unwrap_or_default();
                }
            }
        }
        out.push_str(rest);
        out
    }
}

/// The variables of a dashboard, in their order.
pub(super) fn list(model: &Map<String, Value>) -> &[Value] {
    model.get("templating").and_then(|t| t.get("list")).and_then(Value::as_array).map_or(&[][..], Vec::as_slice)
}

/// What a variable was saved with, or the first of what it may be.
fn saved(variable: &Value) -> Vec<String> {
    let current = texts(variable.get("current").and_then(|c| c.get("value")));
    if !current.is_empty() {
        return current;
    }
    let query = variable.get("query").and_then(Value::as_str).unwrap_or_default();
    match variable.get("type").and_then(Value::as_str).unwrap_or_default() {
        "custom" | "interval" => choices(query).into_iter().next().into_iter().collect(),
        // What it may be is asked for; until somebody knows, it is anything.
        "query" => vec![EVERY.to_owned()],
        "adhoc" => vec![String::new()],
        _ => vec![query.to_owned()],
    }
}

/// `a, b : c` of a list that somebody wrote: the values, without the words before them. A comma behind a backslash is part of a value.
fn choices(query: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for c in query.chars() {
        match c {
            '\\' if !escaped => {
                escaped = true;
                continue;
            }
            ',' if !escaped => parts.push(String::new()),
            _ => {
                if let Some(part) = parts.last_mut() {
                    part.extend((escaped && c != ',').then_some('\\'));
                    part.push(c);
                }
            }
        }
        escaped = false;
    }
    let value = |part: String| part.split_once(" : ").map_or(part.as_str(), |(_, value)| value).trim().to_owned();
    parts.into_iter().map(value).filter(|value| !value.is_empty()).collect()
}

fn written(name: &str, known: &Known, format: Option<&str>, plain: Plain) -> String {
    let Known { values, several, all, .. } = known;
    if let Some(all) = all
        && matches!(format, None | Some("raw" | "regex" | "pipe" | "glob" | "text"))
    {
        return if plain == Plain::Words || format == Some("text") { "All".to_owned() } else { all.clone() };
    }
    let each = |form: &dyn Fn(&str) -> String, between: &str| values.iter().map(|v| form(v)).collect::<Vec<_>>().join(between);
    let around = |list: String| if values.len() == 1 { list } else { format!("({list})") };
    let quoted = |quote: &'static str, escape: &'static str| move |v: &str| format!("{quote}{}{quote}", v.replace(quote, escape));
    let encoded = |v: &str| url::form_urlencoded::byte_serialize(v.as_bytes()).collect::<String>().replace('+', "%20");
    let as_they_are = str::to_owned;
    match format {
        Some("csv" | "raw") => each(&as_they_are, ","),
        Some("pipe") => each(&as_they_are, "|"),
        Some("regex") => around(each(&|v| escaped(v, "\\", "\\\\"), "|")),
        Some("text") => each(&as_they_are, " + "),
        Some("glob") if values.len() != 1 => format!("{{{}}}", each(&as_they_are, ",")),
        Some("json") => serde_json::to_string(values).unwrap_or_default(),
        Some("singlequote") => each(&quoted("'", "\\'"), ","),
        Some("doublequote") => each(&quoted("\"", "\\\""), ","),
        Some("sqlstring") => each(&quoted("'", "''"), ","),
        Some("percentencode") => each(&encoded, ","),
        Some("queryparam") => each(&|v| format!("var-{name}={}", encoded(v)), "&"),
        _ if plain == Plain::Words => each(&as_they_are, " + "),
        // A value by itself stands behind = as often as behind =~, where a dot may stay.
        _ if values.len() == 1 && (!several || values.iter().all(|v| v.chars().all(|c| c == '.' || !(SPECIAL.contains(c) || c == '\\')))) => {
            each(&as_they_are, "")
        }
        _ => around(each(&|v| escaped(v, "\\\\", "\\\\\\\\"), "|")),
    }
}

/// A value as it is in a pattern: `mark` before what has a meaning there.
fn escaped(value: &str, mark: &str, backslash: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\\' => out.push_str(backslash),
            c => {
                if SPECIAL.contains(c) {
                    out.push_str(mark);
                }
                out.push(c);
            }
        }
    }
    out
}

/// The texts of a value that may be one, a list, a number.
pub(super) fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(Value::Number(number)) => vec![number.to_string()],
        Some(Value::Bool(flag)) => vec![flag.to_string()],
        _ => Vec::new(),
    }
}

/// The name of a variable at the beginning of a text, how it is wanted, and what follows it.
fn name_at(text: &str) -> Option<(&str, Option<&str>, &str)> {
    let plain = |name: &str| !name.is_empty() && name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric());
    let bracketed = |open: &str, close: &str| text.strip_prefix(open)?.split_once(close);
    if let Some((content, after)) = bracketed("${", "}").or_else(|| bracketed("[[", "]]")) {
        let (name, path) = content.split_at(content.find([':', '.']).unwrap_or(content.len()));
        let format = if path.starts_with(".text") { Some("text") } else { path.split_once(':').map(|(_, format)| format) };
        return plain(name).then_some((name, format, after));
    }
    let rest = text.strip_prefix('$')?;
    let len = rest.bytes().take_while(|b| *b == b'_' || b.is_ascii_alphanumeric()).count();
    let (name, after) = rest.split_at_checked(len).filter(|(name, _)| !name.is_empty())?;
    Some((name, None, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn variables_in_every_spelling() {
        let model = json!({"templating": {"list": [
            {"name": "job", "current": {"value": ["$__all"]}, "allValue": "a.*"},
            {"name": "camera", "multi": true, "current": {"value": ["front", "b.ck"]}},
            {"name": "word", "type": "textbox", "query": "x", "current": {}},
            {"name": "one", "multi": true, "current": {"value": ["10.0.0.1:9100"]}},
            {"name": "odd", "includeAll": true, "current": {"value": "a|b\\"}},
            {"name": "list", "type": "custom", "query": "Five minutes : 5m, 10m,a\\,b", "current": {}},
            {"name": "step", "type": "interval", "query": "1m,5m", "current": null},
            {"name": "asked", "type": "query", "query": "label_values(up, x)", "current": {}},
            {"name": "n", "type": "constant", "query": "7", "current": {"value": 8}},
        ]}});
        let asked = [("level", "info"), ("word", "y z"), ("word", "w&")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        let mut variables = Variables::of(model.as_object().unwrap(), &asked);
        variables.set("__range", "60s".to_owned());
        for (text, expected) in [
            ("up{job=~\"$job\"}", "up{job=~\"a.*\"}"),
            ("${camera:regex}!", "(front|b\\.ck)!"),
            ("$camera", "(front|b\\\\.ck)"),
            ("${camera:pipe} ${camera:csv} ${camera:glob} ${camera:json}", "front|b.ck front,b.ck {front,b.ck} [\"front\",\"b.ck\"]"),
            ("${camera:queryparam} ${word:queryparam}", "var-camera=front&var-camera=b.ck var-word=y%20z&var-word=w%26"),
            ("${camera:singlequote} ${camera:doublequote}", "'front','b.ck' \"front\",\"b.ck\""),
            ("[[word:csv]][[nobody]]", "y z,w&[[nobody]]"),
            ("${camera.text} ${job.text} ${job:text}", "front + b.ck All All"),
            ("$one $odd", "10.0.0.1:9100 a\\\\|b\\\\\\\\"),
            ("$list $step $asked $n", "5m 1m .+ 8"),
            ("rate(a[$__range])", "rate(a[60s])"),
            ("$level$unknown $1 $ ${} ${level", "info$unknown $1 $ ${} ${level"),
            ("a[5m]", "a[5m]"),
            ("ä$job", "äa.*"),
        ] {
            assert_eq!(variables.replace(text), expected, "{text}");
        }
        assert_eq!(variables.words("$camera of $job"), "front + b.ck of All");
        assert_eq!(choices("a,, b ,\\x,c\\\\"), ["a", "b", "\\x", "c\\\\"]);
    }
}
