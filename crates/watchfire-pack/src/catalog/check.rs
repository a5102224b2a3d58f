//! The rules of shape that hold for every catalog, shipped or a user's own. Whether anybody produces or uses a family is
//! not asked here.

use watchfire_model::batch::MetricType;
use watchfire_model::document::{Finding, Severity};
use watchfire_model::labels::{is_classic_label_name, is_classic_metric_name};

use super::{Catalogs, FamilySpec};

/// Labels that a scrape or the type itself adds, so that no family may declare them.
const RESERVED: [&str; 4] = ["le", "quantile", "job", "instance"];

pub(super) fn all(catalogs: &Catalogs) -> Vec<Finding> {
    let mut findings = Vec::new();
    for family in catalogs.iter() {
        for message in names(family).into_iter().chain(shape(family)).chain(labels(family)).chain(others(catalogs, family)) {
            let severity = Severity::Error;
            findings.push(Finding {
                severity,
                file: family.file.clone(),
                line: family.line,
                column: family.column,
                message: format!("family {}: {message}", family.name),
            });
        }
    }
    findings
}

/// What a help text has to be.
const HELP: &str = "the help text must be one line that ends in a full stop";

/// Rules about the name and the end of the help text, from which `irregular` excuses: foreign products speak as they like.
fn names(family: &FamilySpec) -> Vec<String> {
    let name = &*family.name;
    if !is_classic_metric_name(name) {
        return vec!["the name has characters other than letters, digits, _ and :".to_owned()];
    }
    let mut problems = Vec::new();
    let total = name.ends_with("_total");
    if family.kind == MetricType::Counter && !total {
        problems.push("a counter must end in _total");
    }
    if family.kind != MetricType::Counter && total {
        problems.push("only a counter may end in _total");
    }
    if family.kind == MetricType::Histogram && family.unit.as_ref() == "seconds" && !name.ends_with("_seconds") {
        problems.push("a histogram of seconds must end in _seconds");
    }
    if let Some(prefix) = &family.prefix
        && !name.starts_with(&**prefix)
    {
        problems.push("the name lacks the prefix that the file demands");
    }
    if !family.help.ends_with('.') && !family.help.is_empty() {
        problems.push(HELP);
    }
    match (&family.irregular, problems.is_empty()) {
        (None, _) => problems.into_iter().map(str::to_owned).collect(),
        (Some(_), false) => Vec::new(),
        (Some(_), true) => vec!["it says that it is irregular, but breaks no rule".to_owned()],
    }
}

fn shape(family: &FamilySpec) -> Vec<String> {
    let mut problems = Vec::new();
    let help = &*family.help;
    if help.is_empty() || help.contains('\n') {
        problems.push(HELP.to_owned());
    }
    let histogram = family.kind == MetricType::Histogram;
    if histogram == family.buckets.is_empty() {
        problems.push(if histogram { "a histogram needs buckets" } else { "only a histogram has buckets" }.to_owned());
    }
    if !family.buckets.windows(2).all(|w| w[0] < w[1]) || !family.buckets.iter().all(|b| b.is_finite()) {
        problems.push("buckets must be finite and strictly ascending".to_owned());
    }
    if histogram && ["_bucket", "_sum", "_count"].iter().any(|s| family.name.ends_with(s)) {
        problems.push("the name of a histogram must not end in _bucket, _sum or _count".to_owned());
    }
    problems
}

fn labels(family: &FamilySpec) -> Vec<String> {
    let mut problems = Vec::new();
    for label in &family.labels {
        let name = &*label.name;
        if !is_classic_label_name(name) || name.starts_with("__") || RESERVED.contains(&name) {
            problems.push(format!("{name:?} cannot be the name of a label here"));
        }
        let mut sorted: Vec<&str> = label.values.iter().map(|v| &**v).collect();
        sorted.sort_unstable();
        if sorted.windows(2).any(|w| w[0] == w[1]) || sorted.iter().any(|v| v.is_empty()) {
            problems.push(format!("values of label {name:?} must differ and not be empty"));
        }
        if label.lowercase && sorted.iter().any(|v| v.to_lowercase() != **v) {
            problems.push(format!("values of label {name:?} must be in lower case, or it needs case: keep"));
        }
        if label.otherwise.is_empty() || label.empty.is_empty() {
            problems.push(format!("label {name:?}: otherwise and empty must be texts"));
        }
    }
    problems
}

/// Declarations of one name must have one type, and within a pack there is only one.
fn others(catalogs: &Catalogs, family: &FamilySpec) -> Vec<String> {
    let mut problems = Vec::new();
    for other in catalogs.declarations(&family.name).take_while(|other| !std::ptr::eq(*other, family)) {
        let place = format!("{}:{}", other.file, other.line);
        if other.kind != family.kind {
            problems.push(format!("it is a {} in {place}", other.kind.name()));
        }
        if other.pack == family.pack && other.produced_by == family.produced_by {
            problems.push(format!("it is already declared in {place}"));
        }
    }
    problems
}
