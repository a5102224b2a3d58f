//! One catalog file → declarations. Strict: an unknown key, a label without definition, a wrong type is an error with its
//! place, and the family it stands in is left out.

use std::sync::Arc;

use watchfire_model::batch::MetricType;
use watchfire_model::document::{Context, Finding, Key, Node, Reader, Value, nearest, parse_yaml};

use super::{CatalogFile, Charset, FamilySpec, LabelSpec, Producer};

/// The longest label value unless the definition says otherwise, in characters.
const LENGTH_MAX: usize = 64;
/// The most values of a label unless the definition says otherwise.
const VALUES_MAX: usize = 100;
/// No definition may allow more values than this.
const VALUES_CEILING: u64 = 10_000;
/// No definition may allow longer values than this.
const LENGTH_CEILING: u64 = 1_024;
/// No histogram has more buckets than this.
const BUCKETS_MAX: usize = 100;

const TYPES: [&str; 5] = ["counter", "gauge", "histogram", "summary", "unknown"];

/// What stands at the top of a file and holds for all of it.
struct Top<'a> {
    pack: Arc<str>,
    file: Arc<str>,
    jobs: Arc<[String]>,
    prefix: Option<Arc<str>>,
    produced_by: Option<Producer>,
    labels: Vec<(&'a Key, LabelSpec)>,
}

pub(super) fn file(file: &CatalogFile<'_>) -> (Vec<FamilySpec>, Vec<Finding>) {
    let node = match parse_yaml(file.path, file.text) {
        Ok(node) => node,
        Err(finding) => return (Vec::new(), vec![*finding]),
    };
    let context = Context::new(file.path);
    let root = Reader::new(&context, &node, "");
    root.text("about");
    let top = Top {
        pack: file.pack.into(),
        file: file.path.into(),
        jobs: root.texts("jobs", false).into(),
        prefix: root.text("prefix").map(Into::into),
        produced_by: producer(&root),
        labels: entries(&root, "labels").iter().map(|(key, node)| (key, label(Reader::new(&context, node, &format!("labels.{}", key.text)), key))).collect(),
    };
    let families = entries(&root, "families").iter().filter_map(|(key, node)| family(&context, &top, key, node)).collect();
    root.finish();
    (families, context.into_findings())
}

fn entries<'a>(reader: &Reader<'a>, key: &'static str) -> &'a [(Key, Node)] {
    reader.map(key).map_or(&[], |map| map.entries())
}

fn producer(reader: &Reader<'_>) -> Option<Producer> {
    let word = reader.word("produced_by", &Producer::ALL.map(Producer::name))?;
    Producer::ALL.into_iter().find(|p| p.name() == word)
}

fn label(reader: Reader<'_>, key: &Key) -> LabelSpec {
    let bounded = |key: &'static str, default: usize, ceiling: u64| match reader.u64(key) {
        None => default,
        Some(n) if (1..=ceiling).contains(&n) => n as usize,
        Some(n) => {
            reader.error_at(key, format!("must be from 1 to {ceiling}, not {n}"));
            default
        }
    };
    reader.text("about");
    let spec = LabelSpec {
        name: Arc::clone(&key.text),
        optional: false,
        values: reader.texts("values", false).into_iter().map(Into::into).collect(),
        otherwise: reader.text("otherwise").unwrap_or_else(|| "other".to_owned()).into(),
        empty: reader.text("empty").unwrap_or_else(|| "unknown".to_owned()).into(),
        max_length: bounded("max_length", LENGTH_MAX, LENGTH_CEILING),
        values_max: bounded("values_max", VALUES_MAX, VALUES_CEILING),
        charset: if reader.word("charset", &["text", "id"]) == Some("id") { Charset::Id } else { Charset::Text },
        lowercase: reader.word("case", &["lower", "keep"]) != Some("keep"),
    };
    reader.finish();
    spec
}

fn family(context: &Context, top: &Top<'_>, key: &Key, node: &Node) -> Option<FamilySpec> {
    let reader = Reader::new(context, node, &format!("families.{}", key.text));
    let kind = reader.word("type", &TYPES).and_then(MetricType::from_name);
    if !reader.has("type") {
        context.error(key.line, key.column, format!("family {} has no type", key.text));
    }
    let help = reader.required_text("help");
    let produced_by = producer(&reader).or(top.produced_by);
    if produced_by.is_none() {
        context.error(key.line, key.column, format!("family {} does not say who produces it (produced_by)", key.text));
    }
    let mut labels = Vec::new();
    let known = family_labels(&reader, top, "labels", false, &mut labels) & family_labels(&reader, top, "optional_labels", true, &mut labels);
    let spec = FamilySpec {
        name: Arc::clone(&key.text),
        kind: kind.unwrap_or_default(),
        help: help.into(),
        unit: reader.text("unit").unwrap_or_default().into(),
        labels,
        buckets: buckets(&reader),
        produced_by: produced_by.unwrap_or(Producer::Application),
        irregular: reader.text("irregular").map(Into::into),
        pack: Arc::clone(&top.pack),
        file: Arc::clone(&top.file),
        line: key.line,
        column: key.column,
        jobs: Arc::clone(&top.jobs),
        prefix: top.prefix.clone(),
    };
    reader.finish();
    (kind.is_some() && produced_by.is_some() && known).then_some(spec)
}

/// The labels under a key: a list of defined names, or a mapping from name to definition.
fn family_labels(reader: &Reader<'_>, top: &Top<'_>, key: &'static str, optional: bool, out: &mut Vec<LabelSpec>) -> bool {
    let pairs: Vec<(String, String)> = match reader.raw(key).map(|n| &n.value) {
        Some(Value::Map(_)) => reader.text_map(key),
        _ => reader.texts(key, false).into_iter().map(|name| (name.clone(), name)).collect(),
    };
    let mut known = true;
    for (name, definition) in pairs {
        let Some((_, spec)) = top.labels.iter().find(|(k, _)| *k.text == *definition) else {
            let hint = nearest(&definition, top.labels.iter().map(|(k, _)| &*k.text)).map(|n| format!("; did you mean {n:?}?")).unwrap_or_default();
            reader.error_at(key, format!("there is no definition of label {definition:?} in this file{hint}"));
            known = false;
            continue;
        };
        if out.iter().any(|l| *l.name == *name) {
            reader.error_at(key, format!("label {name:?} stands there twice"));
            known = false;
            continue;
        }
        out.push(LabelSpec { name: name.into(), optional, ..spec.clone() });
    }
    known
}

fn buckets(reader: &Reader<'_>) -> Vec<f64> {
    let items = reader.list("buckets");
    if items.len() > BUCKETS_MAX {
        reader.error_at("buckets", format!("{} buckets are more than {BUCKETS_MAX}", items.len()));
    }
    let number = |n: &Node| {
        let value = n.as_f64();
        if value.is_none() {
            reader.context().error(n.line, n.column, format!("{}: every bound must be a number", reader.path_of("buckets")));
        }
        value
    };
    items.iter().take(BUCKETS_MAX).filter_map(number).collect()
}
