//! `/api/v1/format_query` and `/api/v1/parse_query`: a query as text, and its tree as JSON in the shape that Prometheus' page
//! reads. Nothing is evaluated.

use std::sync::Arc;

use axum::extract::{Request, State};
use serde_json::{Value, json};
use watchfire_model::matcher::Matcher;
use watchfire_query::promql::{At, Binary, Call, Cardinality, Duration, Extension, Node, NodeKind, Subquery, ValueType, VectorSelector, parse};

use super::answer::{ApiError, Success};
use super::number::plain;
use super::params::Params;
use super::query::text_of;
use crate::app::App;

/// `GET|POST /api/v1/format_query`.
pub(crate) async fn format(State(app): State<Arc<App>>, request: Request) -> Result<Success, ApiError> {
    let params = Params::read(request).await?;
    let expr = parse(&text_of(&app, &params)?).map_err(|error| ApiError::parameter("query", error))?;
    Ok(Success::of(&expr.pretty()))
}

/// `GET|POST /api/v1/parse_query`.
pub(crate) async fn tree(State(app): State<Arc<App>>, request: Request) -> Result<Success, ApiError> {
    let params = Params::read(request).await?;
    let expr = parse(&text_of(&app, &params)?).map_err(|error| ApiError::parameter("query", error))?;
    Ok(Success::of(&node_json(expr.root())))
}

/// One node. Keys are in the order of the alphabet, as Go writes its maps.
fn node_json(node: &Node) -> Value {
    match &node.kind {
        NodeKind::Number { value, .. } => json!({ "type": "numberLiteral", "val": plain(*value) }),
        NodeKind::String(text) => json!({ "type": "stringLiteral", "val": text }),
        NodeKind::Vector(selector) => selector_json(selector, "vectorSelector", None),
        NodeKind::Matrix(matrix) => selector_json(&matrix.selector, "matrixSelector", Some(&matrix.range)),
        NodeKind::Subquery(subquery) => subquery_json(subquery),
        NodeKind::Call(call) => call_json(call),
        NodeKind::Aggregate(aggregate) => json!({
            "expr": node_json(&aggregate.expr),
            "grouping": aggregate.grouping,
            "op": aggregate.op.symbol(),
            "param": aggregate.param.as_deref().map(node_json),
            "type": "aggregation",
            "without": aggregate.without,
        }),
        NodeKind::Binary(binary) => binary_json(binary),
        NodeKind::Unary(unary) => json!({ "expr": node_json(&unary.expr), "op": if unary.negative { "-" } else { "+" }, "type": "unaryExpr" }),
        NodeKind::Paren(inner) => json!({ "expr": node_json(inner), "type": "parenExpr" }),
    }
}

fn selector_json(selector: &VectorSelector, kind: &str, range: Option<&Duration>) -> Value {
    let (timestamp, start_or_end) = at_json(selector.at);
    let mut tree = json!({
        "anchored": selector.extension == Some(Extension::Anchored),
        "matchers": selector.matchers.iter().map(matcher_json).collect::<Vec<_>>(),
        "name": selector.name.as_deref().unwrap_or(""),
        "offset": selector.offset.as_ref().map_or(0, millis),
        "smoothed": selector.extension == Some(Extension::Smoothed),
        "startOrEnd": start_or_end,
        "timestamp": timestamp,
        "type": kind,
    });
    if let (Some(range), Some(map)) = (range, tree.as_object_mut()) {
        map.shift_insert(4, "range".to_owned(), json!(millis(range)));
    }
    tree
}

fn subquery_json(subquery: &Subquery) -> Value {
    let (timestamp, start_or_end) = at_json(subquery.at);
    json!({
        "expr": node_json(&subquery.expr),
        "offset": subquery.offset.as_ref().map_or(0, millis),
        "range": millis(&subquery.range),
        "startOrEnd": start_or_end,
        "step": subquery.step.as_ref().map_or(0, millis),
        "timestamp": timestamp,
        "type": "subquery",
    })
}

fn call_json(call: &Call) -> Value {
    let function = call.function;
    json!({
        "args": call.args.iter().map(node_json).collect::<Vec<_>>(),
        "func": {
            "argTypes": function.args.iter().map(|t| t.code()).collect::<Vec<_>>(),
            "name": function.name,
            "returnType": function.returns.code(),
            "variadic": function.variadic,
        },
        "type": "call",
    })
}

fn binary_json(binary: &Binary) -> Value {
    let both_vectors = [&binary.lhs, &binary.rhs].iter().all(|side| side.value_type() == ValueType::Vector);
    let matching = &binary.matching;
    let cardinality = match matching.cardinality {
        _ if binary.op.is_set() => "many-to-many",
        Cardinality::OneToOne => "one-to-one",
        Cardinality::ManyToOne => "many-to-one",
        Cardinality::OneToMany => "one-to-many",
    };
    let matching = both_vectors.then(|| {
        json!({
            "card": cardinality,
            "fillValues": { "lhs": matching.fill_left, "rhs": matching.fill_right },
            "include": matching.include,
            "labels": matching.labels,
            "on": matching.on,
        })
    });
    json!({
        "bool": binary.return_bool,
        "lhs": node_json(&binary.lhs),
        "matching": matching,
        "op": binary.op.symbol(),
        "rhs": node_json(&binary.rhs),
        "type": "binaryExpr",
    })
}

fn matcher_json(matcher: &Matcher) -> Value {
    json!({ "name": matcher.name, "type": matcher.op.symbol(), "value": matcher.value })
}

/// A time in milliseconds, and the word for the first or last time of the query.
fn at_json(at: Option<At>) -> (Option<i64>, Option<&'static str>) {
    match at {
        None => (None, None),
        Some(At::Time(ms)) => (Some(ms), None),
        Some(At::Start) => (None, Some("start")),
        Some(At::End) => (None, Some("end")),
    }
}

/// A duration that depends on the query's step or range is not known yet: 0, as there.
fn millis(duration: &Duration) -> i64 {
    match duration {
        Duration::Literal(ms) => *ms,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str, expected: &str) {
        let text = serde_json::to_string(&node_json(parse(query).unwrap().root())).unwrap();
        assert_eq!(text, expected, "{query}");
    }

    #[test]
    fn leaves() {
        check("1e3", r#"{"type":"numberLiteral","val":"1000"}"#);
        check("-Inf", r#"{"type":"numberLiteral","val":"-Inf"}"#);
        check("'a'", r#"{"type":"stringLiteral","val":"a"}"#);
        check(
            r#"foo{a=~"b.*"} @ 1.5 offset -5m"#,
            r#"{"anchored":false,"matchers":[{"name":"a","type":"=~","value":"b.*"},{"name":"__name__","type":"=","value":"foo"}],"name":"foo","offset":-300000,"smoothed":false,"startOrEnd":null,"timestamp":1500,"type":"vectorSelector"}"#,
        );
        check(
            r#"{a="b"}[5m] anchored @ end()"#,
            r#"{"anchored":true,"matchers":[{"name":"a","type":"=","value":"b"}],"name":"","offset":0,"range":300000,"smoothed":false,"startOrEnd":"end","timestamp":null,"type":"matrixSelector"}"#,
        );
    }

    #[test]
    fn trees() {
        let one = r#"{"type":"numberLiteral","val":"1"}"#;
        let a = r#"{"anchored":false,"matchers":[{"name":"__name__","type":"=","value":"a"}],"name":"a","offset":0,"smoothed":false,"startOrEnd":null,"timestamp":null,"type":"vectorSelector"}"#;
        check("(1)", &format!(r#"{{"expr":{one},"type":"parenExpr"}}"#));
        check("-a", &format!(r#"{{"expr":{a},"op":"-","type":"unaryExpr"}}"#));
        check("topk without (x) (1, a)", &format!(r#"{{"expr":{a},"grouping":["x"],"op":"topk","param":{one},"type":"aggregation","without":true}}"#));
        check("sum(a)", &format!(r#"{{"expr":{a},"grouping":[],"op":"sum","param":null,"type":"aggregation","without":false}}"#));
        check("a > bool 1", &format!(r#"{{"bool":true,"lhs":{a},"matching":null,"op":">","rhs":{one},"type":"binaryExpr"}}"#));
        let matching = r#"{"card":"many-to-one","fillValues":{"lhs":null,"rhs":null},"include":["z"],"labels":["x"],"on":true}"#;
        check("a * on (x) group_left (z) a", &format!(r#"{{"bool":false,"lhs":{a},"matching":{matching},"op":"*","rhs":{a},"type":"binaryExpr"}}"#));
        let matching = r#"{"card":"many-to-many","fillValues":{"lhs":null,"rhs":null},"include":[],"labels":[],"on":false}"#;
        check("a or a", &format!(r#"{{"bool":false,"lhs":{a},"matching":{matching},"op":"or","rhs":{a},"type":"binaryExpr"}}"#));
        check(
            "a[5m:30s] offset 1m",
            &format!(r#"{{"expr":{a},"offset":60000,"range":300000,"startOrEnd":null,"step":30000,"timestamp":null,"type":"subquery"}}"#),
        );
        check(
            "round(a, 1)",
            &format!(r#"{{"args":[{a},{one}],"func":{{"argTypes":["vector","scalar"],"name":"round","returnType":"vector","variadic":1}},"type":"call"}}"#),
        );
    }
}
