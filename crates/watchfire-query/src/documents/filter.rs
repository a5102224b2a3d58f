//! Conditions over documents, which all the languages become. A field that nobody has satisfies nothing. What is asked of a value is in
//! `criterion`.

use std::sync::Arc;

use jiff::tz::TimeZone;
use watchfire_model::logs::Nanos;

use super::analysis::Glob;
use super::criterion::Test;
use super::document::{Document, FIELD_BYTES_MAX, Scalar, TIME};
use super::error::SearchError;

/// The most fields that words without a field are looked for in.
pub const DEFAULT_FIELDS_MAX: usize = 1_024;

/// What a query is read with.
#[derive(Clone, Debug)]
pub struct Context {
    /// What `now` is in date math.
    pub now: Nanos,
    /// The zone of dates that name none.
    pub zone: TimeZone,
    /// The fields that words without a field are looked for in; all of them when empty.
    default_fields: Arc<[String]>,
    /// Whether words that follow each other must all be there.
    pub default_and: bool,
}
impl Context {
    /// Words may be anywhere, one of them is enough, dates are UTC.
    pub fn new(now: Nanos) -> Context {
        Context { now, zone: TimeZone::UTC, default_fields: Arc::from([]), default_and: false }
    }

    /// Sets the fields that words without a field are looked for in; all of them when there are none.
    pub fn set_default_fields(&mut self, names: Vec<String>) -> Result<(), SearchError> {
        self.default_fields = checked_fields(names)?.into();
        Ok(())
    }
}

/// Names of fields, of which neither many nor long ones are taken: every word of a query may come with them.
pub(super) fn checked_fields(names: Vec<String>) -> Result<Vec<String>, SearchError> {
    if names.len() > DEFAULT_FIELDS_MAX {
        return Err(SearchError::Body(format!("[fields] has {} names, more than {DEFAULT_FIELDS_MAX}", names.len())));
    }
    match names.iter().find_map(|name| name_problem(name)) {
        Some(problem) => Err(SearchError::Body(problem)),
        None => Ok(names),
    }
}

/// What is wrong with the name of a field, if anything.
pub fn name_problem(name: &str) -> Option<String> {
    (name.len() > FIELD_BYTES_MAX).then(|| format!("the name of a field is {} bytes long, more than {FIELD_BYTES_MAX}", name.len()))
}

/// Which fields a condition is about.
#[derive(Clone, Debug)]
pub enum FieldNames {
    /// Any field.
    Any,
    /// One.
    One(String),
    /// Those whose names fit a pattern.
    Fitting(Glob),
    /// One of several, which all words of a query share.
    Several(Arc<[String]>),
}
impl FieldNames {
    /// What a name in a query means, which may have wildcards.
    pub fn of(name: &str) -> FieldNames {
        match name {
            "*" | "_all" => FieldNames::Any,
            name if name.contains(['*', '?']) => FieldNames::Fitting(Glob::new(name)),
            name => FieldNames::One(name.replace('\\', "")),
        }
    }
    /// The fields of words that name none.
    pub fn default(context: &Context) -> FieldNames {
        match &*context.default_fields {
            [] => FieldNames::Any,
            [one] => FieldNames::of(one),
            _ => FieldNames::Several(Arc::clone(&context.default_fields)),
        }
    }

    /// Whether a value of one of the fields passes a test.
    fn any(&self, document: &Document<'_>, test: &mut dyn FnMut(&str, &Scalar<'_>) -> bool) -> bool {
        let mut found = false;
        match self {
            FieldNames::One(name) => {
                document.each_value(name, &mut |value| found = found || test(name, value));
            }
            FieldNames::Several(names) => {
                for name in names.iter() {
                    document.each_value(name, &mut |value| found = found || test(name, value));
                }
            }
            FieldNames::Any => document.each_field(&mut |name, value| found = found || test(name, value)),
            FieldNames::Fitting(glob) => {
                document.each_field(&mut |name, value| found = found || (glob.fits(name, false) && test(name, value)));
                found = found || (glob.fits(TIME, false) && test(TIME, &Scalar::Time(document.entry.time)));
            }
        }
        found
    }
}

/// A condition.
#[derive(Clone, Debug)]
pub enum Filter {
    /// Everything.
    All,
    /// Nothing.
    None,
    /// All of them hold.
    And(Vec<Filter>),
    /// So many of them hold.
    AtLeast(usize, Vec<Filter>),
    /// It does not hold.
    Not(Box<Filter>),
    /// A value of a field passes.
    Field(FieldNames, Test),
    /// The document is one of these.
    Ids(Vec<String>),
}

impl Filter {
    /// One of them holds.
    pub fn or(filters: Vec<Filter>) -> Filter {
        Filter::AtLeast(1, filters)
    }
    /// A field is there, or one below it.
    pub fn exists(name: &str) -> Filter {
        match FieldNames::of(name) {
            FieldNames::One(field) if !field.ends_with(".keyword") => {
                let below = FieldNames::Fitting(Glob::new(&format!("{field}.*")));
                Filter::or(vec![Filter::Field(FieldNames::One(field), Test::Exists), Filter::Field(below, Test::Exists)])
            }
            names => Filter::Field(names, Test::Exists),
        }
    }
    /// It does not hold.
    pub fn negated(filter: Filter) -> Filter {
        Filter::Not(Box::new(filter))
    }

    /// Whether a document satisfies it.
    pub fn holds(&self, document: &Document<'_>) -> bool {
        match self {
            Filter::All => true,
            Filter::None => false,
            Filter::And(all) => all.iter().all(|f| f.holds(document)),
            Filter::AtLeast(least, some) => {
                let mut count = 0;
                *least == 0
                    || some.iter().any(|f| {
                        count += usize::from(f.holds(document));
                        count >= *least
                    })
            }
            Filter::Not(inner) => !inner.holds(document),
            Filter::Field(names, test) => names.any(document, &mut |field, value| test.holds(field, value, document)),
            Filter::Ids(ids) => {
                let id = document.id();
                document.spend(document.entry.line.len() + ids.len()) && ids.contains(&id)
            }
        }
    }

    /// The times outside which nothing can satisfy it: `start <= time < end`.
    pub fn times(&self) -> (i64, i64) {
        match self {
            Filter::Field(FieldNames::One(name), Test::Range(range)) if name == TIME => range.times().unwrap_or((i64::MIN, i64::MAX)),
            Filter::And(all) => all.iter().map(Filter::times).fold((i64::MIN, i64::MAX), |(from, to), (f, t)| (from.max(f), to.min(t))),
            Filter::AtLeast(least, some) if *least >= 1 && !some.is_empty() => {
                some.iter().map(Filter::times).fold((i64::MAX, i64::MIN), |(from, to), (f, t)| (from.min(f), to.max(t)))
            }
            Filter::None => (0, 0),
            _ => (i64::MIN, i64::MAX),
        }
    }

    /// Whether it may depend on the line of an entry: all but the time may lie there.
    pub fn needs_line(&self) -> bool {
        match self {
            Filter::All | Filter::None => false,
            Filter::And(all) | Filter::AtLeast(_, all) => all.iter().any(Filter::needs_line),
            Filter::Not(inner) => inner.needs_line(),
            Filter::Field(FieldNames::One(name), _) => name != TIME,
            Filter::Field(..) | Filter::Ids(_) => true,
        }
    }

    /// The number of conditions in it.
    pub fn size(&self) -> usize {
        match self {
            Filter::And(inner) | Filter::AtLeast(_, inner) => 1 + inner.iter().map(Filter::size).sum::<usize>(),
            Filter::Not(inner) => 1 + inner.size(),
            _ => 1,
        }
    }
}
