//! The shape of Prometheus rule files and the grammar of their expressions. Running rules is not done here.

use watchfire_model::document::{Context, Finding, Node, Reader};
use watchfire_query::promql;

/// Checks one rule file.
pub(crate) fn check(name: &str, node: &Node) -> Vec<Finding> {
    let context = Context::new(name);
    let root = Reader::new(&context, node, "");
    let mut names: Vec<String> = Vec::new();
    for group in root.maps("groups") {
        let group_name = group.required_text("name");
        if names.contains(&group_name) {
            group.error_at("name", format!("the group {group_name:?} stands here twice"));
        }
        names.push(group_name);
        group.duration_ms("interval");
        group.duration_ms("query_offset");
        group.u64("limit");
        group.text_map("labels");
        group.text("partial_response_strategy");
        for rule in group.maps("rules") {
            check_rule(&context, rule);
        }
        group.finish();
    }
    root.finish();
    context.into_findings()
}

fn check_rule(context: &Context, rule: Reader<'_>) {
    let (record, alert) = (rule.text("record"), rule.text("alert"));
    if record.is_some() == alert.is_some() {
        context.error(rule.node().line, rule.node().column, format!("{}: a rule is either a record or an alert", rule.path_of("").trim_end_matches('.')));
    }
    let expression = rule.required_text("expr");
    if !expression.is_empty()
        && let Err(e) = promql::parse(&expression)
    {
        rule.error_at("expr", e.to_string());
    }
    for key in ["for", "keep_firing_for"] {
        if rule.duration_ms(key).is_some() && alert.is_none() {
            rule.error_at(key, "only an alert can have this");
        }
    }
    rule.text_map("labels");
    if !rule.text_map("annotations").is_empty() && alert.is_none() {
        rule.error_at("annotations", "only an alert can have this");
    }
    rule.finish();
}
