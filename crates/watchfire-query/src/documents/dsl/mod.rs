//! The query DSL: JSON → conditions. What does not exist is an error with its name; what has no meaning without scores (boosts, names)
//! is read and left out.

mod compound;
mod text;

use serde_json::{Map, Value};

use super::error::SearchError;
use super::filter::{Context, Filter, name_problem};
use crate::lucene::{CLAUSES_MAX, NESTING_MAX};

type Parsed<T> = Result<T, SearchError>;

/// Reads the value of `query`.
pub fn query(value: &Value, context: &Context) -> Result<Filter, SearchError> {
    let filter = read(value, context, 0)?;
    if filter.size() > CLAUSES_MAX {
        return Err(SearchError::Body(format!("too_many_clauses: the query has more than {CLAUSES_MAX} conditions")));
    }
    Ok(filter)
}

fn fail<T>(message: impl Into<String>) -> Parsed<T> {
    Err(SearchError::Body(message.into()))
}

fn read(value: &Value, context: &Context, depth: usize) -> Parsed<Filter> {
    if depth > NESTING_MAX {
        return fail(format!("the query is nested more than {NESTING_MAX} levels deep"));
    }
    let Some(object) = value.as_object() else { return fail("[query] malformed query, expected an object") };
    let mut members = object.iter();
    let Some((name, body)) = members.next() else { return fail("query malformed, empty clause found") };
    if let Some((second, _)) = members.next() {
        return fail(format!("[{name}] malformed query, expected the end of the object but found [{second}]"));
    }
    match name.as_str() {
        "match_all" => Ok(Filter::All),
        "match_none" => Ok(Filter::None),
        "bool" => compound::bool_query(object_of(name, body)?, context, depth),
        "constant_score" => compound::inner(name, object_of(name, body)?, "filter", context, depth),
        "nested" => compound::inner(name, object_of(name, body)?, "query", context, depth),
        "dis_max" => compound::dis_max(object_of(name, body)?, context, depth),
        "boosting" => compound::inner(name, object_of(name, body)?, "positive", context, depth),
        "term" => text::term(object_of(name, body)?),
        "terms" => text::terms(object_of(name, body)?),
        "match" => text::match_query(object_of(name, body)?, context),
        "match_phrase" => text::phrase(object_of(name, body)?, false),
        "match_phrase_prefix" => text::phrase(object_of(name, body)?, true),
        "match_bool_prefix" => text::bool_prefix(object_of(name, body)?),
        "multi_match" => text::multi_match(object_of(name, body)?),
        "range" => text::range(object_of(name, body)?, context),
        "exists" => text::exists(object_of(name, body)?),
        "prefix" => text::prefix(object_of(name, body)?),
        "wildcard" => text::wildcard(object_of(name, body)?),
        "regexp" => text::regexp(object_of(name, body)?),
        "fuzzy" => text::fuzzy(object_of(name, body)?),
        "ids" => text::ids(object_of(name, body)?),
        "query_string" => text::query_string(object_of(name, body)?, context),
        "simple_query_string" => text::simple_query_string(object_of(name, body)?, context),
        other => fail(format!("unknown query [{other}]")),
    }
}

fn object_of<'a>(name: &str, value: &'a Value) -> Parsed<&'a Map<String, Value>> {
    match value.as_object() {
        Some(object) => Ok(object),
        None => fail(format!("[{name}] query malformed, no start_object after query name")),
    }
}

/// The one field of a query and what is asked of it: `{field: value}` or `{field: {key: value, …}}`. Boosts and names may stand beside it.
fn one_field<'a>(query: &str, body: &'a Map<String, Value>) -> Parsed<(&'a str, &'a Value)> {
    let mut fields = body.iter().filter(|(name, _)| !matches!(name.as_str(), "boost" | "_name"));
    let Some((field, value)) = fields.next() else { return fail(format!("[{query}] query malformed, no field")) };
    if let Some((second, _)) = fields.next() {
        return fail(format!("[{query}] query doesn't support multiple fields, found [{field}] and [{second}]"));
    }
    match name_problem(field) {
        Some(problem) => fail(problem),
        None => Ok((field, value)),
    }
}

/// The value under a key of a field's object, or the value itself.
fn value_of<'a>(query: &str, value: &'a Value, key: &str) -> Parsed<&'a Value> {
    match value {
        Value::Object(object) => match object.get(key) {
            Some(value) => Ok(value),
            None => fail(format!("[{query}] requires [{key}]")),
        },
        value => Ok(value),
    }
}

/// A scalar as text.
fn text_of(query: &str, value: &Value) -> Parsed<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(truth) => Ok(truth.to_string()),
        Value::Null => fail(format!("[{query}] value cannot be null")),
        Value::Array(_) | Value::Object(_) => fail(format!("[{query}] unknown token in value, expected a text, a number or a truth value")),
    }
}

/// A member that is a text.
fn member<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str()
}

fn is_true(value: &Value, key: &str) -> bool {
    value.get(key).is_some_and(|v| v.as_bool().unwrap_or(v.as_str() == Some("true")))
}
