//! Queries made of others: `bool` and its relatives.

use serde_json::{Map, Value};

use super::super::filter::{Context, Filter};
use super::{Parsed, fail, read};

/// One query or a list of them.
fn list(value: &Value, context: &Context, depth: usize) -> Parsed<Vec<Filter>> {
    match value {
        Value::Array(all) => all.iter().map(|one| read(one, context, depth + 1)).collect(),
        one => Ok(vec![read(one, context, depth + 1)?]),
    }
}

pub(super) fn bool_query(body: &Map<String, Value>, context: &Context, depth: usize) -> Parsed<Filter> {
    let (mut all, mut should, mut minimum) = (Vec::new(), Vec::new(), None);
    for (name, value) in body {
        match name.as_str() {
            "must" | "filter" => all.extend(list(value, context, depth)?),
            "must_not" | "mustNot" => all.extend(list(value, context, depth)?.into_iter().map(Filter::negated)),
            "should" => should = list(value, context, depth)?,
            "minimum_should_match" => minimum = Some(value),
            "boost" | "_name" | "adjust_pure_negative" => {}
            other => return fail(format!("[bool] query does not support [{other}]")),
        }
    }
    // What is optional is needed where nothing else is.
    let needed = body.contains_key("must") || body.contains_key("filter");
    let least = match minimum {
        Some(value) => least(value, should.len())?,
        None => usize::from(!needed),
    };
    if !should.is_empty() && least > 0 {
        all.push(Filter::AtLeast(least, should));
    }
    Ok(match all.len() {
        0 => Filter::All,
        1 => all.remove(0),
        _ => Filter::And(all),
    })
}

/// `minimum_should_match`: a number, a negative number of those that may miss, or a percentage.
pub(super) fn least(value: &Value, count: usize) -> Parsed<usize> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return fail("[minimum_should_match] must be a number or a text"),
    };
    let invalid = || fail(format!("[minimum_should_match] cannot be [{text}]"));
    let (number, percent) = match text.strip_suffix('%') {
        Some(number) => (number, true),
        None => (text.as_str(), false),
    };
    let Ok(number) = number.parse::<i64>() else { return invalid() };
    let size = count as i64;
    let part = if percent { (size * number.clamp(-100, 100).abs()) / 100 } else { number.abs() };
    let least = if number < 0 { size - part } else { part };
    Ok(usize::try_from(least.max(0)).unwrap_or(0))
}

/// A query with one other inside.
pub(super) fn inner(name: &str, body: &Map<String, Value>, key: &str, context: &Context, depth: usize) -> Parsed<Filter> {
    match body.get(key) {
        Some(query) => read(query, context, depth + 1),
        None => fail(format!("[{name}] requires a [{key}] element")),
    }
}

pub(super) fn dis_max(body: &Map<String, Value>, context: &Context, depth: usize) -> Parsed<Filter> {
    match body.get("queries") {
        Some(queries) => list(queries, context, depth).map(Filter::or),
        None => fail("[dis_max] requires [queries]"),
    }
}
