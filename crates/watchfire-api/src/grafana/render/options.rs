//! Which values the variables of a dashboard may have at the moment, asked of what is stored: a dashboard that somebody else wrote was saved
//! with values of their machines. Only what `label_values` and `query_result` ask is known here; the page knows more.

use std::time::Duration;

use regex::Regex;
use serde_json::{Map, Value};
use watchfire_model::order::Order as _;
use watchfire_model::read::Budget;
use watchfire_model::time::Timestamp;
use watchfire_query::promql::Value as Answer;

use super::variables::{EVERY, Variables, list};
use crate::app::App;
use crate::prometheus::promql::engine;

/// Variables of one dashboard that are asked for.
const ASKED_MAX: usize = 50;
/// Values of one that are looked at.
const OPTIONS_MAX: usize = 5_000;
/// How far back series are looked for.
const BACK_MAX: Duration = Duration::from_secs(6 * 3_600);
/// The largest program that a pattern of a file may become.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Gives variables whose saved values are not there any more one that is. What a request says counts as it is. A question that fails leaves
/// its variable as it was saved.
pub(super) fn resolve(app: &App, model: &Map<String, Value>, given: &[(String, String)], variables: &mut Variables, range: [i64; 2], budget: &Budget) {
    let asked = list(model).iter().filter(|v| v.get("type").and_then(Value::as_str) == Some("query")).take(ASKED_MAX);
    for variable in asked {
        let Some(name) = variable.get("name").and_then(Value::as_str) else { continue };
        // Of what a request says, only "all" leaves open what it is.
        let is_given = given.iter().any(|(known, _)| known == name);
        if (is_given && !variables.is_all(name)) || budget.check().is_err() {
            continue;
        }
        let Some(query) = query_of(variable).map(|query| variables.replace(query)) else { continue };
        let options = asked_for(app, &query, range, budget).map(|found| chosen(found, variable)).unwrap_or_default();
        if !is_given && let Some(values) = choice(variable, variables, name, &options) {
            variables.choose(variable, name, values);
        }
        variables.offer(name, options);
    }
}

/// The query of a variable, in both forms of it.
fn query_of(variable: &Value) -> Option<&str> {
    let query = variable.get("query")?;
    let text = query.as_str().or_else(|| query.get("query")?.as_str()).or_else(|| variable.get("definition")?.as_str())?;
    Some(text.trim()).filter(|text| !text.is_empty())
}

/// What is chosen in the stead of what was saved; nothing when that may stay.
fn choice(variable: &Value, variables: &Variables, name: &str, options: &[String]) -> Option<Vec<String>> {
    let is_set = |key: &str| variable.get(key).and_then(Value::as_bool) == Some(true);
    let known = variables.get(name).map_or(&[][..], |known| known.values.as_slice());
    let first = options.first()?;
    let was_saved = variable.get("current").and_then(|c| c.get("value")).is_some_and(|v| !v.is_null());
    if known.iter().any(|value| value == EVERY) && (was_saved || is_set("includeAll")) {
        return None;
    }
    let there: Vec<String> = known.iter().filter(|value| options.contains(value)).cloned().collect();
    match there.len() {
        0 => Some(vec![first.clone()]),
        all if all == known.len() => None,
        _ => Some(there),
    }
}

/// The values that a query of a variable finds.
fn asked_for(app: &App, query: &str, range: [i64; 2], budget: &Budget) -> Option<Vec<String>> {
    let inside = |function: &str| Some(query.strip_prefix(function)?.trim_start().strip_prefix('(')?.trim_end().strip_suffix(')')?.trim());
    let at = Timestamp(range[1]);
    let ask = |expr: &str| match engine(app).instant(&*app.rooms.query_source, expr, at, budget).ok()?.value {
        Answer::Vector(samples) => Some(samples),
        _ => None,
    };
    if let Some(arguments) = inside("label_values") {
        let (selector, label) = arguments.rsplit_once(',').map_or(("", arguments), |(selector, label)| (selector.trim(), label.trim()));
        let is_label = !label.is_empty() && label.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric());
        if !is_label {
            return None;
        }
        let back = (range[1].saturating_sub(range[0]) / 1_000).clamp(60, BACK_MAX.as_secs() as i64);
        let series = if selector.is_empty() { format!("{{{label}!=\"\"}}") } else { selector.to_owned() };
        let samples = ask(&format!("group by ({label}) (last_over_time({series}[{back}s]))"))?;
        let values = samples.iter().take(OPTIONS_MAX).filter_map(|s| s.labels.get(label)).filter(|v| !v.is_empty());
        return Some(values.map(str::to_owned).collect());
    }
    let samples = ask(inside("query_result")?)?;
    let row = |s: &watchfire_query::promql::Sample| format!("{} {} {}", s.labels, s.value, s.time.millis());
    Some(samples.iter().take(OPTIONS_MAX).map(row).collect())
}

/// What the pattern of a variable leaves of values, each once, in the order that it wants.
fn chosen(found: Vec<String>, variable: &Value) -> Vec<String> {
    let pattern = variable.get("regex").and_then(Value::as_str).unwrap_or_default().trim();
    let mut all = if pattern.is_empty() { found } else { matched(found, pattern) };
    let order = variable.get("sort").and_then(Value::as_u64).unwrap_or(0);
    let digits =
        |text: &str| text.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(f64::INFINITY);
    match order {
        3 | 4 => all.order_by(|a, b| digits(a).total_cmp(&digits(b)).then_with(|| a.cmp(b))),
        _ => all.order_by(|a, b| a.cmp(b)),
    }
    all.dedup();
    if matches!(order, 2 | 4 | 6 | 8) {
        all.reverse();
    }
    all
}

/// `/pattern/`: what its group `value` takes, else its first group, else the whole value. One that is none leaves values as they are.
fn matched(found: Vec<String>, pattern: &str) -> Vec<String> {
    let (body, flags) = match pattern.strip_prefix('/').and_then(|rest| rest.rsplit_once('/')) {
        Some((body, flags)) => (body.to_owned(), flags),
        None => (format!("^(?:{pattern})$"), ""),
    };
    let made = regex::RegexBuilder::new(&body.replace("\\/", "/")).case_insensitive(flags.contains('i')).size_limit(PATTERN_BYTES_MAX).build();
    let Ok(made) = made else { return found };
    let taken = |made: &Regex, value: &str| {
        let groups = made.captures(value)?;
        let group = groups.name("value").or_else(|| groups.iter().skip(1).flatten().next()).or_else(|| groups.get(0));
        Some(if groups.len() > 1 { group?.as_str().to_owned() } else { value.to_owned() })
    };
    found.iter().filter_map(|value| taken(&made, value)).filter(|v| !v.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn patterns_leave_what_they_take() {
        let values = || ["node-2:9100", "node-10:9100", "db:5432"].map(str::to_owned).to_vec();
        for (regex, sort, expected) in [
            ("", 0, &["db:5432", "node-10:9100", "node-2:9100"][..]),
            ("/node.*/", 1, &["node-10:9100", "node-2:9100"]),
            ("/(.*):9100/", 3, &["node-2", "node-10"]),
            ("/(?<text>no)de-(?<value>\\d+)/", 4, &["10", "2"]),
            ("/NODE-(\\d+)/i", 3, &["2", "10"]),
            ("db:.*", 0, &["db:5432"]),
            ("/(/", 2, &["node-2:9100", "node-10:9100", "db:5432"]),
            ("/nobody/", 0, &[]),
        ] {
            assert_eq!(chosen(values(), &json!({"regex": regex, "sort": sort})), expected, "{regex}");
        }
        assert_eq!(chosen(vec!["a".to_owned(); 3], &json!({})), ["a"]);
    }

    #[test]
    fn what_was_saved_stays_where_it_is_there() {
        let options = ["a", "b"].map(str::to_owned);
        let check = |variable: Value, expected: Option<&[&str]>| {
            let variables = Variables::of(json!({"templating": {"list": [variable]}}).as_object().unwrap(), &[]);
            let expected = expected.map(|list| list.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>());
            assert_eq!(choice(&variable, &variables, "v", &options), expected, "{variable}");
        };
        check(json!({"name": "v", "type": "query", "current": {"value": "b"}}), None);
        check(json!({"name": "v", "type": "query", "current": {"value": "gone"}}), Some(&["a"]));
        check(json!({"name": "v", "type": "query", "current": {"value": ["gone", "b"]}, "multi": true}), Some(&["b"]));
        check(json!({"name": "v", "type": "query", "current": {"value": "$__all"}}), None);
        check(json!({"name": "v", "type": "query", "current": {}}), Some(&["a"]));
        check(json!({"name": "v", "type": "query", "current": {}, "includeAll": true}), None);
    }
}
