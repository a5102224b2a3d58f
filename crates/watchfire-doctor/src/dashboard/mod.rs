//! Diagnoses dashboards: every query of every panel, the unit that it is shown in, and its legend. Panels of other data sources
//! are left alone.

#[cfg(test)]
mod tests;
mod units;
mod variables;

use watchfire_model::document::{Node, Value};
use watchfire_query::promql::parse;

use crate::document::{Document, items, text};
use crate::expression::{Quantity, Shape, VARIABLE, diagnose};
use crate::knowledge::Knowledge;
use crate::report::{Code, Diagnosis};

/// How deep rows may stand in each other.
const DEPTH_MAX: usize = 5;
/// At most so many queries of one dashboard are looked at.
const QUERIES_MAX: usize = 5_000;

/// Everything there is to say about one dashboard.
pub(crate) fn check(document: &Document, knowledge: &Knowledge, found: &mut Vec<Diagnosis>) {
    let root = document.node.get("dashboard").unwrap_or(&document.node);
    // Objects of Grafana's newer interface hold the dashboard in either schema.
    let root = root.get("spec").filter(|_| root.get("apiVersion").is_some()).unwrap_or(root);
    let mut looked = 0;
    let mut visit = |panel| {
        for query in queries(panel) {
            looked += 1;
            if looked <= QUERIES_MAX {
                check_query(document, panel, &query, knowledge, found);
            }
        }
    };
    panels(root, 0, &mut visit);
    for (_, element) in root.get("elements").and_then(Node::entries).unwrap_or_default() {
        element.get("spec").into_iter().for_each(&mut visit);
    }
}

/// Visits all panels, those inside of rows as well.
fn panels<'a>(node: &'a Node, depth: usize, visit: &mut dyn FnMut(&'a Node)) {
    if depth > DEPTH_MAX {
        return;
    }
    for panel in items(node, "panels") {
        visit(panel);
        panels(panel, depth + 1, visit);
    }
    for row in items(node, "rows") {
        panels(row, depth + 1, visit);
    }
}

struct Query<'a> {
    node: &'a Node,
    legend: Option<&'a Node>,
    /// Whether its data source certainly speaks PromQL.
    certain: bool,
}

/// The queries of a panel: `targets` of Grafana, `query` and `queries` of plain lists of panels.
fn queries(panel: &Node) -> Vec<Query<'_>> {
    let mut all = Vec::new();
    for target in items(panel, "targets") {
        let source = target.get("datasource").or_else(|| panel.get("datasource"));
        let Some(certain) = source.map_or(Some(false), speaks_promql) else { continue };
        all.extend(target.get("expr").map(|node| Query { node, legend: target.get("legendFormat"), certain }));
    }
    for query in at(panel, &["data", "spec"]).map_or(&[][..], |data| items(data, "queries")) {
        let Some(asked) = at(query, &["spec", "query"]) else { continue };
        // The kind of a data source stands in `group`, or where that is not yet known in `kind`.
        let kind = text(asked, "group").or_else(|| text(asked, "kind")).unwrap_or_default();
        let source = at(asked, &["datasource", "name"]).and_then(Node::text).unwrap_or_default();
        if kind == "prometheus" || (matches!(kind, "" | "DataQuery") && !source.contains("loki")) {
            let node = at(asked, &["spec", "expr"]);
            all.extend(node.map(|node| Query { node, legend: at(asked, &["spec", "legendFormat"]), certain: kind == "prometheus" }));
        }
    }
    let plain = panel.get("query").into_iter().chain(items(panel, "queries"));
    all.extend(plain.map(|node| Query { node, legend: panel.get("legend"), certain: false }));
    all.retain(|q| q.node.text().is_some_and(|t| !t.trim().is_empty()));
    all
}

/// What stands at a path.
fn at<'a>(node: &'a Node, path: &[&str]) -> Option<&'a Node> {
    path.iter().try_fold(node, |node, key| node.get(key))
}

/// Whether a data source speaks PromQL: certainly, perhaps, or not at all (`None`).
fn speaks_promql(source: &Node) -> Option<bool> {
    let name = match &source.value {
        Value::Scalar { text, .. } => text.to_lowercase(),
        _ => match text(source, "type") {
            Some(kind) => return if kind == "prometheus" { Some(true) } else { None },
            None => text(source, "uid").unwrap_or_default().to_lowercase(),
        },
    };
    const OTHERS: [&str; 12] = ["loki", "tempo", "jaeger", "pyroscope", "elastic", "influx", "postgres", "mysql", "graphite", "cloudwatch", "json", "infinity"];
    if OTHERS.iter().any(|other| name.contains(other)) { None } else { Some(name == "prometheus") }
}

fn check_query(document: &Document, panel: &Node, query: &Query<'_>, knowledge: &Knowledge, found: &mut Vec<Diagnosis>) {
    let title = text(panel, "title").filter(|t| !t.is_empty()).unwrap_or("a panel without title");
    let subject = format!("panel {title:?}");
    let written = query.node.text().unwrap_or_default();
    let candidates = variables::replaced(written);
    let parsed = candidates.iter().map(|text| parse(text)).collect::<Vec<_>>();
    let Some(expr) = parsed.iter().find_map(|p| p.as_ref().ok()) else {
        if let (true, Some(Err(error))) = (query.certain, parsed.first()) {
            found.push(document.say(query.node, Code::BadExpression, &subject, format!("the query cannot be parsed: {error}"), None));
        }
        return;
    };
    let (shape, problems) = diagnose(expr, knowledge);
    for problem in problems {
        found.push(document.say(query.node, problem.code, &subject, problem.message, problem.suggestion));
    }
    let mut say = |at: &Node, code, message: String, suggestion: &str| {
        found.push(document.say(at, code, &subject, message, Some(suggestion.to_owned())));
    };
    levels(panel, query, &shape, knowledge, &mut say);
    if let Some(unit) = unit(panel)
        && let Some((message, suggestion)) = units::mismatch(&shape, unit.text().unwrap_or_default())
    {
        say(unit, Code::UnitMismatch, message, &suggestion);
    }
    if let Some(legend) = query.legend {
        for label in asked_by_legend(legend.text().unwrap_or_default()).filter(|l| !shape.labels.may_have(l)) {
            let known: Vec<&str> = shape.labels.names().collect();
            let suggestion = if known.is_empty() { "keep it with by (…)".to_owned() } else { format!("the labels are {}", known.join(", ")) };
            say(legend, Code::UnknownLabel, format!("the legend asks for the label {label}, which the result never has"), &suggestion);
        }
    }
}

/// Panels that draw values over time; the others show one value, and a total may be what is wanted.
const DRAWN: [&str; 4] = ["timeseries", "graph", "barchart", "heatmap"];

/// Totals drawn as if they were levels, and levels whose name says that they are totals.
fn levels(panel: &Node, query: &Query<'_>, shape: &Shape, knowledge: &Knowledge, say: &mut dyn FnMut(&Node, Code, String, &str)) {
    let Some(family) = shape.family.as_deref() else { return };
    let kind = text(panel, "type").or_else(|| panel.get("vizConfig").and_then(|viz| text(viz, "group").or_else(|| text(viz, "kind"))));
    let drawn = kind.is_some_and(|kind| DRAWN.contains(&kind));
    if drawn && shape.quantity == Quantity::Counter && !family.ends_with("_bucket") {
        let message = format!("{family} only rises, so the line shows how long the program has run and not what happens");
        say(query.node, Code::CounterWithoutRate, message, &format!("draw rate({family}[$__rate_interval])"));
    }
    let irregular = knowledge.declarations(family, None).iter().any(|f| f.irregular.is_some());
    // Whoever names it in the panel's description knows, and tells those who look.
    let told = text(panel, "description").is_some_and(|d| d.contains(family));
    if irregular && !told && shape.quantity == Quantity::Gauge && family.ends_with("_total") && !family.contains(VARIABLE) {
        let message = format!("{family} is a level although its name ends like that of a counter");
        say(query.node, Code::MisleadingName, message, "draw it as it is and never rate() it; a name without _total would say so");
    }
}

/// The unit that a panel shows its values in.
fn unit(panel: &Node) -> Option<&Node> {
    let defaults = panel.get("fieldConfig").and_then(|f| f.get("defaults")).and_then(|d| d.get("unit"));
    let axis = || items(panel, "yaxes").first().and_then(|axis| axis.get("format"));
    let second = || at(panel, &["vizConfig", "spec", "fieldConfig", "defaults", "unit"]);
    defaults.or_else(second).or_else(axis).or_else(|| panel.get("format")).or_else(|| panel.get("unit"))
}

/// `{{label}}` of a legend.
fn asked_by_legend(legend: &str) -> impl Iterator<Item = &str> {
    let each = legend.split("{{").skip(1).filter_map(|rest| Some(rest.split_once("}}")?.0.trim()));
    each.filter(|name| !name.is_empty() && name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric()) && *name != "__name__")
}
