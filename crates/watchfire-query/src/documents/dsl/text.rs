//! Queries about one field, or about texts in several.

use serde_json::{Map, Value};

use super::super::analysis::{Glob, auto_distance};
use super::super::criterion::{Test, Words};
use super::super::error::SearchError;
use super::super::filter::{Context, FieldNames, Filter, checked_fields};
use super::super::range::{Bound, Range};
use super::super::{date_patterns, dates};
use super::compound::least;
use super::{Parsed, fail, is_true, member, one_field, text_of, value_of};
use crate::lucene;

/// The most values of one `terms` query.
const TERMS_MAX: usize = 65_536;

type Body = Map<String, Value>;

pub(super) fn term(body: &Body) -> Parsed<Filter> {
    let (field, value) = one_field("term", body)?;
    let folds = is_true(value, "case_insensitive");
    let text = text_of("term", value_of("term", value, "value")?)?;
    if field == "_id" {
        return Ok(Filter::Ids(vec![text]));
    }
    Ok(Filter::Field(FieldNames::of(field), Test::term(text, folds)))
}

pub(super) fn terms(body: &Body) -> Parsed<Filter> {
    let (field, value) = one_field("terms", body)?;
    let Some(values) = value.as_array() else { return fail("[terms] query requires a list of values") };
    if values.len() > TERMS_MAX {
        return fail(format!("[terms] has {} values, more than {TERMS_MAX}", values.len()));
    }
    let texts = values.iter().map(|v| text_of("terms", v)).collect::<Parsed<Vec<String>>>()?;
    if field == "_id" {
        return Ok(Filter::Ids(texts));
    }
    // One condition, however many values it has.
    Ok(if texts.is_empty() { Filter::None } else { Filter::Field(FieldNames::of(field), Test::one_of(texts)) })
}

/// How many words a `match` wants.
fn wanted(value: &Value, words: usize) -> Parsed<Words> {
    if let Some(minimum) = value.get("minimum_should_match") {
        return least(minimum, words).map(|n| Words::AtLeast(n.max(1)));
    }
    match member(value, "operator").map(str::to_ascii_lowercase).as_deref() {
        None | Some("or") => Ok(Words::Any),
        Some("and") => Ok(Words::All),
        Some(other) => fail(format!("operator needs to be either OR or AND, but not [{other}]")),
    }
}

pub(super) fn match_query(body: &Body, _context: &Context) -> Parsed<Filter> {
    let (field, value) = one_field("match", body)?;
    let text = text_of("match", value_of("match", value, "query")?)?;
    let words = super::super::analysis::all_words(&text);
    if let Some(fuzziness) = value.get("fuzziness") {
        check_clauses("match", words.len())?;
        let each =
            words.iter().map(|word| Filter::Field(FieldNames::of(field), Test::Fuzzy { word: word.clone(), distance: distance(fuzziness, word) })).collect();
        return Ok(match wanted(value, words.len())? {
            Words::All => Filter::And(each),
            Words::Any => Filter::or(each),
            Words::AtLeast(n) => Filter::AtLeast(n, each),
        });
    }
    if words.is_empty() && member(value, "zero_terms_query").is_some_and(|z| z == "all") {
        return Ok(Filter::All);
    }
    let how = wanted(value, words.len())?;
    Ok(Filter::Field(FieldNames::of(field), test(Test::words(&text, how))?))
}

/// A test; the error of one is that of the query.
fn test(read: Result<Test, String>) -> Parsed<Test> {
    read.map_err(SearchError::Body)
}

/// Fails before words become conditions of their own.
fn check_clauses(query: &str, words: usize) -> Parsed<()> {
    if words > lucene::CLAUSES_MAX { fail(format!("too_many_clauses: [{query}] has {words} words, more than {}", lucene::CLAUSES_MAX)) } else { Ok(()) }
}

/// `AUTO`, `AUTO:3,6` or a number.
fn distance(value: &Value, word: &str) -> usize {
    match value.as_u64().or_else(|| value.as_str().and_then(|t| t.parse().ok())) {
        Some(number) => usize::try_from(number).unwrap_or(2).min(2),
        None => auto_distance(word),
    }
}

pub(super) fn phrase(body: &Body, open: bool) -> Parsed<Filter> {
    let name = if open { "match_phrase_prefix" } else { "match_phrase" };
    let (field, value) = one_field(name, body)?;
    let text = text_of(name, value_of(name, value, "query")?)?;
    let slop = value.get("slop").and_then(Value::as_u64).unwrap_or(0);
    let slop = usize::try_from(slop).unwrap_or(usize::MAX);
    Ok(Filter::Field(FieldNames::of(field), test(Test::phrase(&text, slop, open))?))
}

pub(super) fn bool_prefix(body: &Body) -> Parsed<Filter> {
    let (field, value) = one_field("match_bool_prefix", body)?;
    let text = text_of("match_bool_prefix", value_of("match_bool_prefix", value, "query")?)?;
    let mut words = super::super::analysis::all_words(&text);
    let Some(last) = words.pop() else { return Ok(Filter::None) };
    check_clauses("match_bool_prefix", words.len())?;
    let names = || FieldNames::of(field);
    let one = |word: String| test(Test::words(&word, Words::Any)).map(|test| Filter::Field(names(), test));
    let mut all: Vec<Filter> = words.into_iter().map(one).collect::<Parsed<_>>()?;
    all.push(Filter::Field(names(), Test::prefix(last, true)));
    Ok(if wanted(value, all.len())? == Words::All { Filter::And(all) } else { Filter::or(all) })
}

pub(super) fn multi_match(body: &Body) -> Parsed<Filter> {
    let value = Value::Object(body.clone());
    let Some(query) = body.get("query") else { return fail("No text specified for multi_match query") };
    let text = text_of("multi_match", query)?;
    let names = fields(body.get("fields"))?.map_or(FieldNames::Any, |names| FieldNames::Several(names.into()));
    let words = super::super::analysis::all_words(&text);
    let asked = match member(&value, "type") {
        Some("phrase") => Test::phrase(&text, 0, false),
        Some("phrase_prefix") => Test::phrase(&text, 0, true),
        _ => Test::words(&text, wanted(&value, words.len())?),
    };
    Ok(Filter::Field(names, test(asked)?))
}

/// `["a^2", "b"]`, the weights left out; nothing where all fields are meant.
fn fields(value: Option<&Value>) -> Parsed<Option<Vec<String>>> {
    let names: Vec<&str> = match value {
        None => return Ok(None),
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        Some(_) => return fail("[fields] must be a list of names"),
    };
    let names = checked_fields(names.iter().map(|name| name.split_once('^').map_or(*name, |(name, _)| name).to_owned()).collect())?;
    Ok((!names.is_empty() && !names.iter().any(|n| n == "*")).then_some(names))
}

pub(super) fn range(body: &Body, context: &Context) -> Parsed<Filter> {
    let (field, value) = one_field("range", body)?;
    let Some(object) = value.as_object() else { return fail(format!("[range] query malformed, no start_object after field [{field}]")) };
    let mut context = context.clone();
    if let Some(name) = member(value, "time_zone") {
        context.zone = match dates::zone(name) {
            Some(zone) => zone,
            None => return fail(format!("[range] time_zone [{name}] is unknown")),
        };
    }
    let format = member(value, "format");
    if let Some(problem) = format.and_then(date_patterns::problem) {
        return fail(problem);
    }
    let read = |bound: &Value| -> Parsed<String> {
        let text = text_of("range", bound)?;
        Ok(format.and_then(|format| date_patterns::iso(&text, format)).unwrap_or(text))
    };
    let mut range = Range::default();
    let (mut include_lower, mut include_upper) = (true, true);
    for (key, bound) in object {
        match key.as_str() {
            "gte" | "gt" | "from" if !bound.is_null() => range.from = Some(Bound::new(&read(bound)?, key != "gt", &context)),
            "lte" | "lt" | "to" if !bound.is_null() => range.to = Some(Bound::new(&read(bound)?, key != "lt", &context)),
            "include_lower" => include_lower = bound.as_bool().unwrap_or(true),
            "include_upper" => include_upper = bound.as_bool().unwrap_or(true),
            "gte" | "gt" | "from" | "lte" | "lt" | "to" | "format" | "time_zone" | "boost" | "relation" | "_name" => {}
            other => return fail(format!("[range] query does not support [{other}]")),
        }
    }
    if let Some(bound) = range.from.as_mut().filter(|_| !include_lower) {
        bound.inclusive = false;
    }
    if let Some(bound) = range.to.as_mut().filter(|_| !include_upper) {
        bound.inclusive = false;
    }
    match range.problem(field) {
        Some(problem) => fail(problem),
        None => Ok(Filter::Field(FieldNames::of(field), Test::Range(range))),
    }
}

pub(super) fn exists(body: &Body) -> Parsed<Filter> {
    match body.get("field").and_then(Value::as_str) {
        Some(field) => Ok(Filter::exists(field)),
        None => fail("[exists] must be provided with a [field]"),
    }
}

pub(super) fn prefix(body: &Body) -> Parsed<Filter> {
    let (field, value) = one_field("prefix", body)?;
    let text = text_of("prefix", value_of("prefix", value, "value")?)?;
    Ok(Filter::Field(FieldNames::of(field), Test::prefix(text, is_true(value, "case_insensitive"))))
}

pub(super) fn wildcard(body: &Body) -> Parsed<Filter> {
    let (field, value) = one_field("wildcard", body)?;
    let pattern = match value.get("wildcard") {
        Some(pattern) => pattern,
        None => value_of("wildcard", value, "value")?,
    };
    let glob = Glob::new(&text_of("wildcard", pattern)?);
    Ok(Filter::Field(FieldNames::of(field), Test::Wildcard { glob, folds: is_true(value, "case_insensitive") }))
}

pub(super) fn regexp(body: &Body) -> Parsed<Filter> {
    let (field, value) = one_field("regexp", body)?;
    let pattern = text_of("regexp", value_of("regexp", value, "value")?)?;
    match lucene::whole_regex(&pattern, is_true(value, "case_insensitive")) {
        Ok(regex) => Ok(Filter::Field(FieldNames::of(field), Test::Regex(regex))),
        Err(message) => fail(message),
    }
}

pub(super) fn fuzzy(body: &Body) -> Parsed<Filter> {
    let (field, value) = one_field("fuzzy", body)?;
    let word = text_of("fuzzy", value_of("fuzzy", value, "value")?)?.to_lowercase();
    let distance = value.get("fuzziness").map_or_else(|| auto_distance(&word), |f| distance(f, &word));
    Ok(Filter::Field(FieldNames::of(field), Test::Fuzzy { word, distance }))
}

pub(super) fn ids(body: &Body) -> Parsed<Filter> {
    let Some(values) = body.get("values") else { return fail("[ids] requires providing a values element") };
    match values {
        Value::Array(all) => all.iter().map(|v| text_of("ids", v)).collect::<Parsed<_>>().map(Filter::Ids),
        one => Ok(Filter::Ids(vec![text_of("ids", one)?])),
    }
}

/// What a text query says about fields and words that name none.
fn text_context(name: &str, body: &Body, context: &Context) -> Parsed<(String, Context)> {
    let value = Value::Object(body.clone());
    let Some(query) = body.get("query") else { return fail(format!("[{name}] must be provided with a [query]")) };
    let mut context = context.clone();
    context.default_and = match member(&value, "default_operator").map(str::to_ascii_lowercase).as_deref() {
        None => context.default_and,
        Some("or") => false,
        Some("and") => true,
        Some(other) => return fail(format!("default_operator needs to be either OR or AND, but not [{other}]")),
    };
    if let Some(names) = fields(body.get("fields").or_else(|| body.get("default_field")))? {
        context.set_default_fields(names)?;
    }
    if let Some(zone) = member(&value, "time_zone") {
        context.zone = match dates::zone(zone) {
            Some(zone) => zone,
            None => return fail(format!("[{name}] time_zone [{zone}] is unknown")),
        };
    }
    Ok((text_of(name, query)?, context))
}

pub(super) fn query_string(body: &Body, context: &Context) -> Parsed<Filter> {
    let (text, context) = text_context("query_string", body, context)?;
    // Kibana means everything by an empty search bar and says so; an empty query finds nothing.
    if text.trim().is_empty() {
        return Ok(Filter::None);
    }
    lucene::parse(&text, &context)
}

pub(super) fn simple_query_string(body: &Body, context: &Context) -> Parsed<Filter> {
    let (text, context) = text_context("simple_query_string", body, context)?;
    if text.len() > lucene::TEXT_BYTES_MAX {
        return fail(format!("[simple_query_string] query is {} bytes long, more than {}", text.len(), lucene::TEXT_BYTES_MAX));
    }
    lucene::parse_simple(&text, &context).map_err(SearchError::Body)
}
