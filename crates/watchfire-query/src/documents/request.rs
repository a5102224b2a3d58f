//! The body of a search, read once and checked: what is asked, how much of it, in which order, and what is made of it.

use serde_json::Value;

use super::aggregations::Aggregations;
use super::dsl;
use super::error::SearchError;
use super::filter::{Context, Filter, name_problem};
use super::sort::Sort;

/// The farthest hit that can be asked for by `from` and `size`.
pub const WINDOW_MAX: usize = 10_000;
/// The most fields and patterns that one search may ask for beside the source.
const FIELD_CHOICES_MAX: usize = 200;
/// The most buckets of an answer.
pub const BUCKETS_MAX: usize = 65_536;

/// Which part of documents comes with hits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceChoice {
    /// All of it.
    All,
    /// Nothing.
    None,
    /// Fields that fit one of the first, if there are any, and none of the second.
    Fields {
        /// What is wanted.
        includes: Vec<String>,
        /// What is not.
        excludes: Vec<String>,
    },
}

/// How times among the `fields` of a hit are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeForm {
    /// As in the document.
    Iso,
    /// Milliseconds since 1970, as text.
    Millis,
    /// Seconds since 1970, as text.
    Seconds,
}

/// A field, or a pattern of names, whose values come with each hit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldChoice {
    /// The name or the pattern.
    pub name: String,
    /// How times are written.
    pub form: TimeForm,
}

/// A search.
#[derive(Clone, Debug)]
pub struct Request {
    /// What documents must satisfy.
    pub filter: Filter,
    /// What hits must satisfy besides; aggregations do not care.
    pub post_filter: Option<Filter>,
    /// How many hits are left out at the beginning.
    pub from: usize,
    /// How many hits are wanted.
    pub size: usize,
    /// Which part of documents is wanted.
    pub source: SourceChoice,
    /// Fields whose values come besides.
    pub fields: Vec<FieldChoice>,
    /// Whether it is to be told how many documents satisfy the query; without that, reading may end with the page.
    pub counted: bool,
    /// Whether no two documents have one place in the order, so that a page can go on where one ended.
    tied: bool,
    pub(super) sort: Sort,
    pub(super) aggregations: Aggregations,
}

impl Default for Request {
    /// The first ten of everything.
    fn default() -> Request {
        Request {
            filter: Filter::All,
            post_filter: None,
            from: 0,
            size: 10,
            source: SourceChoice::All,
            fields: Vec::new(),
            counted: true,
            tied: false,
            sort: Sort::default(),
            aggregations: Aggregations::default(),
        }
    }
}

impl Request {
    /// Reads a body; nothing is the default.
    pub fn read(body: &Value, context: &Context) -> Result<Request, SearchError> {
        let mut request = Request::default();
        let body = match body {
            Value::Null => return Ok(request),
            Value::Object(body) => body,
            _ => return Err(SearchError::Body("Expected the body of a search to be an object".to_owned())),
        };
        for (name, value) in body {
            match name.as_str() {
                "query" => request.filter = dsl::query(value, context)?,
                "post_filter" => request.post_filter = Some(dsl::query(value, context)?),
                "from" => request.from = count(name, value)?,
                "size" => request.size = count(name, value)?,
                "_source" => request.source = source(value)?,
                "fields" | "docvalue_fields" => field_choices(name, value, &mut request.fields)?,
                "aggs" | "aggregations" => request.aggregations = Aggregations::read(value, context, 0)?,
                "sort" | "search_after" => {}
                "track_total_hits" => request.counted = *value != Value::Bool(false),
                "pit" => request.tied = true,
                // What changes nothing about which documents are found.
                "track_scores"
                | "timeout"
                | "version"
                | "seq_no_primary_term"
                | "explain"
                | "profile"
                | "stored_fields"
                | "script_fields"
                | "runtime_mappings"
                | "highlight"
                | "terminate_after"
                | "min_score"
                | "stats"
                | "indices_boost"
                | "ext" => {}
                other => return Err(SearchError::Body(format!("unknown key [{other}] in the body of a search"))),
            }
        }
        request.order(body.get("sort"), body.get("search_after"))?;
        Ok(request)
    }

    /// Sets the order of hits and where they begin.
    pub fn order(&mut self, sort: Option<&Value>, search_after: Option<&Value>) -> Result<(), SearchError> {
        self.sort = Sort::read(sort, search_after, self.tied)?;
        self.check()
    }

    /// Makes the order one in which no two documents have one place. `sort` is what was asked for.
    pub fn tie(&mut self, sort: Option<&Value>) -> Result<(), SearchError> {
        self.tied = true;
        self.order(sort, None)
    }

    /// Goes on behind the last hit of a page, by its `sort`; what was counted and aggregated with the first page is not again.
    pub fn go_on(&mut self, behind: &[Value]) {
        self.sort.go_on(behind);
        self.counted = false;
        self.aggregations = Aggregations::default();
    }

    /// Fails where more is asked for than an answer may hold.
    pub fn check(&self) -> Result<(), SearchError> {
        if self.from.saturating_add(self.size) > WINDOW_MAX {
            return Err(SearchError::Body(format!(
                "Result window is too large, from + size must be less than or equal to: [{WINDOW_MAX}] but was [{}]. Use search_after to go on",
                self.from.saturating_add(self.size)
            )));
        }
        Ok(())
    }
}

pub(super) fn count(name: &str, value: &Value) -> Result<usize, SearchError> {
    let number = value.as_i64().or_else(|| value.as_str().and_then(|t| t.parse().ok()));
    number
        .and_then(|n| usize::try_from(n).ok())
        .ok_or_else(|| SearchError::Body(format!("[{name}] parameter cannot be negative and must be a number, found [{value}]")))
}

/// `["a.*", {"field": "b", "format": "epoch_millis"}]`
pub(super) fn field_choices(key: &str, value: &Value, into: &mut Vec<FieldChoice>) -> Result<(), SearchError> {
    let Some(list) = value.as_array() else { return Err(SearchError::Body(format!("[{key}] must be a list of names"))) };
    if into.len() + list.len() > FIELD_CHOICES_MAX {
        return Err(SearchError::Body(format!("more than {FIELD_CHOICES_MAX} fields are asked for by [{key}]")));
    }
    for one in list {
        let name = one.as_str().or_else(|| one.get("field").and_then(Value::as_str));
        let Some(name) = name else { return Err(SearchError::Body(format!("[{key}] has something that names no field"))) };
        if let Some(problem) = name_problem(name) {
            return Err(SearchError::Body(problem));
        }
        let form = match one.get("format").and_then(Value::as_str) {
            Some("epoch_millis") => TimeForm::Millis,
            Some("epoch_second") => TimeForm::Seconds,
            _ => TimeForm::Iso,
        };
        into.push(FieldChoice { name: name.to_owned(), form });
    }
    Ok(())
}

pub(super) fn source(value: &Value) -> Result<SourceChoice, SearchError> {
    let names = |value: &Value| -> Vec<String> {
        match value {
            Value::String(one) => vec![one.clone()],
            Value::Array(all) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        }
    };
    Ok(match value {
        Value::Bool(true) => SourceChoice::All,
        Value::Bool(false) => SourceChoice::None,
        Value::String(_) | Value::Array(_) => SourceChoice::Fields { includes: names(value), excludes: Vec::new() },
        Value::Object(object) => {
            let of = |keys: [&str; 2]| keys.iter().find_map(|key| object.get(*key)).map(names).unwrap_or_default();
            SourceChoice::Fields { includes: of(["includes", "include"]), excludes: of(["excludes", "exclude"]) }
        }
        _ => return Err(SearchError::Body("[_source] must be a truth value, a text, a list or an object".to_owned())),
    })
}
