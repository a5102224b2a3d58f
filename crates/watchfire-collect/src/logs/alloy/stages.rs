//! The stages of `loki.process`: blocks `stage.…` become the document that Promtail would have for them, and are read as that one is.

use watchfire_model::document::{Context, Key, Node, Value as Tree, nearest};

use super::syntax::{Place, Word};
use super::value::{Settings, key, node};
use crate::logs::promtail::stages::{self, Pipeline};

/// How deep `stage.match` may stand in `stage.match`.
const DEPTH_MAX: usize = 8;
/// What Alloy writes before the names of metrics.
const METRIC_PREFIX: &str = "loki_process_custom_";

/// Stages by Alloy's names, and by Promtail's.
const NAMES: [(&str, &str); 29] = [
    ("cri", "cri"),
    ("decolorize", "decolorize"),
    ("docker", "docker"),
    ("drop", "drop"),
    ("eventlogmessage", "eventlogmessage"),
    ("geoip", "geoip"),
    ("json", "json"),
    ("label_drop", "labeldrop"),
    ("label_keep", "labelallow"),
    ("labels", "labels"),
    ("limit", "limit"),
    ("logfmt", "logfmt"),
    ("luhn", "luhn"),
    ("match", "match"),
    ("metrics", "metrics"),
    ("multiline", "multiline"),
    ("output", "output"),
    ("pack", "pack"),
    ("pattern", "pattern"),
    ("regex", "regex"),
    ("replace", "replace"),
    ("sampling", "sampling"),
    ("static_labels", "static_labels"),
    ("structured_metadata", "structured_metadata"),
    ("structured_metadata_drop", "structured_metadata_drop"),
    ("template", "template"),
    ("tenant", "tenant"),
    ("timestamp", "timestamp"),
    ("truncate", "truncate"),
];
/// Stages that Alloy has besides.
const OTHERS: [&str; 3] = ["windowsevent", "split_json", "useragent"];

/// Reads the stages among the blocks of a component.
pub(super) fn read(context: &Context, id: &str, settings: &Settings) -> Pipeline {
    let list = list(context, id, settings, 0);
    stages::read(context, Some(&list), id)
}

/// The blocks as a list of stages.
fn list(context: &Context, id: &str, settings: &Settings, depth: usize) -> Node {
    let mut items = Vec::new();
    for (word, inner) in &settings.blocks {
        let at = word.at;
        let Some(name) = word.text.strip_prefix("stage.") else {
            context.error(at.line, at.column, format!("{id}: there is no block {:?} here; its blocks are stages, such as stage.json", word.text));
            continue;
        };
        let Some((_, theirs)) = NAMES.iter().find(|(known, _)| *known == name) else {
            if OTHERS.contains(&name) {
                context.warning(at.line, at.column, format!("{id}: stage.{name} is not carried out; lines pass it unchanged"));
            } else {
                let hint = nearest(name, NAMES.iter().map(|(known, _)| *known)).map(|near| format!("; did you mean stage.{near}?")).unwrap_or_default();
                context.error(at.line, at.column, format!("{id}: there is no stage {name:?}{hint}"));
            }
            continue;
        };
        // Names and an expression are two stages.
        let expression = inner.get("regex").filter(|_| *theirs == "structured_metadata").map(|regex| regex.node());
        if let Some(regex) = expression {
            let body = node(Tree::Map(vec![(named("regex", at), regex)]), at);
            items.push(node(Tree::Map(vec![(named("structured_metadata_regex", at), body)]), at));
            if inner.get("values").is_none() {
                continue;
            }
        }
        let body = match *theirs {
            "structured_metadata" => {
                let attributes = inner.attributes.iter().filter(|(name, _)| &*name.text != "regex").cloned().collect();
                values(context, id, word, &Settings { attributes, ..inner.clone() })
            }
            "labels" | "structured_metadata_drop" | "static_labels" | "labeldrop" | "labelallow" => values(context, id, word, inner),
            "metrics" => metrics(context, id, inner),
            "match" if depth < DEPTH_MAX => matching(context, id, inner, depth),
            "drop" => dropping(inner),
            "truncate" => inner.node(&["rule"]),
            "pattern" => renamed(inner, "pattern", "expression"),
            _ => inner.node(&[]),
        };
        let entry = (Key { text: (*theirs).into(), line: at.line, column: at.column }, body);
        items.push(node(Tree::Map(vec![entry]), at));
    }
    node(Tree::List(items), settings.at)
}

/// Stages whose only attribute is `values`.
fn values(context: &Context, id: &str, word: &Word, inner: &Settings) -> Node {
    for (other, _) in inner.attributes.iter().filter(|(name, _)| &*name.text != "values") {
        context.error(other.at.line, other.at.column, format!("{id}: {} takes values, and no {:?}", word.text, other.text));
    }
    match inner.get("values") {
        Some(values) => values.node(),
        None => {
            context.error(word.at.line, word.at.column, format!("{id}: {}: values is missing", word.text));
            node(Tree::Null, word.at)
        }
    }
}

fn matching(context: &Context, id: &str, inner: &Settings, depth: usize) -> Node {
    let stages = list(context, id, inner, depth + 1);
    let own = Settings { blocks: Vec::new(), ..inner.clone() };
    let mut body = own.node(&[]);
    if let Tree::Map(entries) = &mut body.value
        && stages.items().is_some_and(|items| !items.is_empty())
    {
        entries.push((named("stages", inner.at), stages));
    }
    body
}

/// An attribute under the name that it has in Promtail.
fn renamed(inner: &Settings, from: &str, to: &str) -> Node {
    let mut body = inner.node(&[]);
    if let Tree::Map(entries) = &mut body.value {
        entries.iter_mut().filter(|(name, _)| &*name.text == from).for_each(|(name, _)| name.text = to.into());
    }
    body
}

/// `source` may name several, with commas between them.
fn dropping(inner: &Settings) -> Node {
    let mut body = inner.node(&[]);
    if let Tree::Map(entries) = &mut body.value {
        for (name, value) in entries.iter_mut().filter(|(name, _)| &*name.text == "source") {
            let at = Place { line: name.line, column: name.column };
            let scalar = |text: &str| node(Tree::Scalar { text: text.trim().into(), plain: false }, at);
            if let Some(text) = value.text() {
                *value = node(Tree::List(text.split(',').map(scalar).collect()), at);
            }
        }
    }
    body
}

/// `metric.counter { name = "n" … }` as `n: {type: Counter, config: …}`.
fn metrics(context: &Context, id: &str, inner: &Settings) -> Node {
    let mut all = Vec::new();
    for (word, metric) in &inner.blocks {
        let at = word.at;
        let kind = match word.text.strip_prefix("metric.") {
            Some(kind @ ("counter" | "gauge" | "histogram")) => kind,
            _ => {
                context.error(
                    at.line,
                    at.column,
                    format!("{id}: there is no block {:?} here; there are metric.counter, metric.gauge and metric.histogram", word.text),
                );
                continue;
            }
        };
        let name = metric.get("name").and_then(|name| name.node().text().map(str::to_owned)).unwrap_or_default();
        if name.is_empty() {
            context.error(at.line, at.column, format!("{id}: {}: name is missing", word.text));
            continue;
        }
        let text = |text: &str| node(Tree::Scalar { text: text.into(), plain: false }, at);
        let (mut about, mut config) = (vec![(named("type", at), text(kind))], Vec::new());
        if metric.get("prefix").is_none() {
            about.push((named("prefix", at), text(METRIC_PREFIX)));
        }
        for (word, value) in &metric.attributes {
            match &*word.text {
                "name" => {}
                "value" | "action" | "match_all" | "count_entry_bytes" | "buckets" => config.push((key(word), value.node())),
                _ => about.push((key(word), value.node())),
            }
        }
        about.push((named("config", at), node(Tree::Map(config), at)));
        all.push((named(&name, at), node(Tree::Map(about), at)));
    }
    for (word, _) in &inner.attributes {
        context.error(word.at.line, word.at.column, format!("{id}: stage.metrics has no {:?}, only blocks", word.text));
    }
    node(Tree::Map(all), inner.at)
}

fn named(text: &str, at: Place) -> Key {
    Key { text: text.into(), line: at.line, column: at.column }
}
