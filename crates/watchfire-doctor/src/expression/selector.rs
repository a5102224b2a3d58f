//! Selectors against the catalogs and the scrape jobs: names, labels, values, buckets, sources.

use std::collections::BTreeSet;

use watchfire_model::batch::MetricType;
use watchfire_model::document::nearest;
use watchfire_model::matcher::{MatchOp, Matcher};
use watchfire_model::number::format_short;
use watchfire_pack::catalog::FamilySpec;
use watchfire_query::promql::{Node, VectorSelector};

use super::infer::{Jobs, Walk};
use super::labels::LabelSet;
use super::shape::{Quantity, Shape};
use crate::report::Code;

/// What stands for a dashboard's variable in texts and names: it may become anything.
pub const VARIABLE: &str = "__variable__";

/// Series that a scrape writes whatever happens.
const ALWAYS_THERE: [&str; 3] = ["up", "scrape_duration_seconds", "scrape_samples_scraped"];

pub(super) fn is_variable(text: &str) -> bool {
    text.contains(VARIABLE)
}

impl Walk<'_> {
    pub(super) fn selector(&mut self, node: &Node, selector: &VectorSelector, window: Option<&str>) -> Shape {
        let equal = |label: &str| selector.matchers.iter().find(|m| m.name == label && m.op == MatchOp::Equal).map(|m| m.value.as_str());
        let Some(name) = selector.name.as_deref().or_else(|| equal("__name__")) else { return Shape::unknown() };
        if is_variable(name) {
            return Shape::unknown();
        }
        let job = equal("job").filter(|job| !is_variable(job));
        self.check_job(node, selector);
        let declared = self.knowledge.declarations(name, job);
        let mut declared: Vec<FamilySpec> = declared.into_iter().cloned().collect();
        self.keep_wanted(&mut declared);
        if declared.is_empty() {
            return self.undeclared(node, name, job);
        }
        self.check_sources(node, name, job, &declared);
        for matcher in selector.matchers.iter().filter(|m| m.name != "__name__" && m.name != "job" && m.name != "instance") {
            self.check_matcher(node, name, job, matcher, &declared);
        }
        self.declared(node, name, job, &declared, selector, window)
    }

    /// Where the other side of an operator says whose series can meet it, the declarations of those jobs are meant.
    fn keep_wanted(&self, declared: &mut Vec<FamilySpec>) {
        let Some(wanted) = &self.wanted_jobs else { return };
        let is_wanted = |family: &FamilySpec| family.jobs().iter().any(|job| wanted.contains(job));
        if declared.iter().any(is_wanted) {
            declared.retain(is_wanted);
        }
    }

    fn undeclared(&mut self, node: &Node, name: &str, job: Option<&str>) -> Shape {
        // Series of alerts and of rules with a condition come and go, and who knows what those do that nobody declares.
        let mut shape = Shape { chosen: !ALWAYS_THERE.contains(&name), ..Shape::unknown() };
        shape.jobs = job.map(|job| BTreeSet::from([job.to_owned()]));
        if self.knowledge.is_made_here(name) {
            if name == "up" {
                (shape.least, shape.most, shape.quantity) = (0.0, 1.0, Quantity::Gauge);
            }
            return shape;
        }
        let near = self.knowledge.nearest(name);
        if self.knowledge.would_know(name) {
            let suggestion = near.map(|near| format!("did you mean {near}?"));
            self.problem(Code::UnknownMetric, node.start, format!("no catalog declares {name} and no rule records it"), suggestion);
        } else if let Some(live) = self.knowledge.live()
            && live.has_series(name) == Some(false)
        {
            let suggestion = near.map(|near| format!("did you mean {near}?"));
            self.problem(Code::UnknownMetric, node.start, format!("the server has had no series {name} lately"), suggestion);
        } else if self.knowledge.live().is_none_or(|live| live.has_series(name) != Some(true))
            && let Some(meant) = self.knowledge.misspelt(name)
        {
            let suggestion = Some(format!("did you mean {meant}?"));
            self.problem(Code::UnknownMetric, node.start, format!("no catalog declares {name}, and {meant} is one letter apart"), suggestion);
        }
        shape
    }

    fn check_job(&mut self, node: &Node, selector: &VectorSelector) {
        let Some(jobs) = self.knowledge.jobs() else { return };
        for matcher in selector.matchers.iter().filter(|m| m.name == "job" && matches!(m.op, MatchOp::Equal | MatchOp::Regex)) {
            if is_variable(&matcher.value) || self.knowledge.live().is_some_and(|live| live.has_job(&matcher.value) == Some(true)) {
                continue;
            }
            let own = self.knowledge.own_jobs();
            if jobs.keys().chain(own).any(|job| matcher.matches_value(job)) || matcher.matches_empty() || matcher.value == "watchfire" {
                continue;
            }
            let suggestion = match nearest(&matcher.value, jobs.keys().chain(own).map(String::as_str))
                .or_else(|| jobs.keys().find(|j| begins_alike(j, &matcher.value)).map(String::as_str))
            {
                Some(near) => format!("did you mean job={near:?}?"),
                None => format!("the jobs are {}", jobs.keys().cloned().collect::<Vec<_>>().join(", ")),
            };
            self.problem(Code::UnknownJob, node.start, format!("no scrape job is called {:?}", matcher.value), Some(suggestion));
        }
    }

    fn check_sources(&mut self, node: &Node, name: &str, job: Option<&str>, declared: &[FamilySpec]) {
        let Some(jobs) = self.knowledge.jobs() else { return };
        let sources: BTreeSet<&str> = declared.iter().filter_map(|family| family.jobs().iter().find(|j| jobs.contains_key(*j)).map(String::as_str)).collect();
        // Programs of different products have the name by chance: only together they are misunderstood.
        let strangers = declared.iter().any(|family| family.pack != declared[0].pack);
        let misunderstood = if strangers { self.jobs_become == Jobs::Added } else { self.jobs_become != Jobs::One };
        if job.is_none() && sources.len() > 1 && misunderstood {
            let all = sources.iter().copied().collect::<Vec<_>>().join(" and ");
            let effect = if strangers { "and here they are added up although they are different programs" } else { "so every value counts more than once" };
            self.problem(
                Code::SeveralSources,
                node.start,
                format!("{all} both have series {name}, {effect}"),
                sources.first().map(|first| format!("choose one: {name}{{job={first:?}}}")),
            );
        }
    }

    fn check_matcher(&mut self, node: &Node, name: &str, job: Option<&str>, matcher: &Matcher, declared: &[FamilySpec]) {
        if is_variable(&matcher.value) {
            return;
        }
        if matcher.name == "le" && declared.iter().any(|f| f.kind == MetricType::Histogram) {
            return self.check_bucket(node, name, matcher, declared);
        }
        // Every summary has it, and no catalog says so.
        if matcher.name == "quantile" && declared.iter().any(|f| f.kind == MetricType::Summary && *f.name == *name) {
            return;
        }
        let specs: Vec<_> = declared.iter().filter_map(|f| f.label(&matcher.name)).collect();
        if specs.is_empty() {
            if matcher.matches_empty() || self.knowledge.target_labels(declared, job).is_none_or(|known| known.contains(&matcher.name)) {
                return;
            }
            let known: Vec<&str> = declared.iter().flat_map(|f| f.labels.iter().map(|l| &*l.name)).collect();
            let suggestion = match nearest(&matcher.name, known.iter().copied()) {
                Some(near) => Some(format!("did you mean {near}?")),
                None if known.is_empty() => Some("leave it out".to_owned()),
                None => Some(format!("its labels are {}", known.join(", "))),
            };
            return self.problem(Code::UnknownLabel, node.start, format!("{name} has no label {}, so the selector finds nothing", matcher.name), suggestion);
        }
        if !matches!(matcher.op, MatchOp::Equal | MatchOp::Regex) || specs.iter().any(|s| s.values.is_empty()) || matcher.matches_empty() {
            return;
        }
        let allowed = || specs.iter().flat_map(|s| s.values.iter().map(|v| &**v).chain([&*s.otherwise, &*s.empty]));
        if allowed().any(|value| matcher.matches_value(value)) {
            return;
        }
        let suggestion = match nearest(&matcher.value, allowed()) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("it is one of {}", specs[0].values.iter().take(12).map(|v| &**v).collect::<Vec<_>>().join(", ")),
        };
        let message = format!("{} of {name} is never {:?}", matcher.name, matcher.value);
        self.problem(Code::UnknownLabelValue, node.start, message, Some(suggestion));
    }

    fn check_bucket(&mut self, node: &Node, name: &str, matcher: &Matcher, declared: &[FamilySpec]) {
        if !matches!(matcher.op, MatchOp::Equal | MatchOp::Regex) {
            return;
        }
        let edges = || declared.iter().flat_map(|f| f.buckets.iter().map(|b| bound(*b)).chain(["+Inf".to_owned()]));
        if edges().any(|edge| matcher.matches_value(&edge)) || declared.iter().all(|f| f.buckets.is_empty()) {
            return;
        }
        let wanted: Option<f64> = matcher.value.parse().ok();
        let same = declared.iter().flat_map(|f| &f.buckets).find(|b| wanted == Some(**b));
        let (message, suggestion) = match same {
            Some(edge) => {
                (format!("the bucket of {name} is stored as le=\"{}\", not {:?}", bound(*edge), matcher.value), format!("write le=\"{}\"", bound(*edge)))
            }
            None => (
                format!("{name} has no bucket le={:?}, so the selector finds nothing", matcher.value),
                format!("its buckets are {}", edges().collect::<Vec<_>>().join(", ")),
            ),
        };
        self.problem(Code::UnknownBucket, node.start, message, Some(suggestion));
    }

    fn declared(&mut self, node: &Node, name: &str, job: Option<&str>, declared: &[FamilySpec], selector: &VectorSelector, window: Option<&str>) -> Shape {
        let of = |family: &FamilySpec| {
            let mut set = LabelSet::of(["job", "instance"]);
            for label in &family.labels {
                if label.optional {
                    set.sometimes.insert(label.name.to_string())
                } else {
                    set.always.insert(label.name.to_string())
                };
            }
            match family.kind {
                MetricType::Histogram if name.ends_with("_bucket") => set.with("le"),
                MetricType::Summary if *family.name == *name => set.with("quantile"),
                _ => set,
            }
        };
        let mut labels = declared.iter().map(of).reduce(|a, b| a.or(&b)).unwrap_or_default();
        match self.knowledge.target_labels(declared, job) {
            Some(known) => labels.of_targets.extend(known.into_iter().filter(|n| !labels.always.contains(n) && !labels.sometimes.contains(n))),
            None => labels.exact = false,
        }
        // What a selector asks for is there.
        for matcher in selector.matchers.iter().filter(|m| m.op == MatchOp::Equal && !m.value.is_empty() && m.name != "__name__") {
            if labels.may_have(&matcher.name) {
                labels = labels.with(&matcher.name);
                labels.pinned.insert(matcher.name.clone());
            }
        }
        let first = &declared[0];
        let base = &*first.name;
        if base == name && declared.iter().all(|f| f.kind == MetricType::Histogram) && !self.in_histogram_function {
            let message = format!("{name} is a histogram: its series are {name}_bucket, {name}_sum and {name}_count, and none has this name");
            let suggestion = format!("rate({name}_sum[5m]) / rate({name}_count[5m]) is the mean");
            self.problem(Code::HistogramBaseName, node.start, message, Some(suggestion));
        }
        let counts = first.kind == MetricType::Counter || (matches!(first.kind, MetricType::Histogram | MetricType::Summary) && name != base);
        let jobs: BTreeSet<String> = match job {
            Some(job) => BTreeSet::from([job.to_owned()]),
            None => {
                declared.iter().flat_map(|f| f.jobs().iter()).filter(|j| self.knowledge.jobs().is_none_or(|known| known.contains_key(*j))).cloned().collect()
            }
        };
        let shape = Shape {
            labels,
            jobs: (!jobs.is_empty()).then_some(jobs),
            quantity: if counts {
                Quantity::Counter
            } else if first.kind == MetricType::Gauge {
                Quantity::Gauge
            } else {
                Quantity::Unknown
            },
            unit: if name != base && name.ends_with("_count") { String::new() } else { first.unit.to_string() },
            family: Some(name.to_owned()),
            buckets: (first.kind == MetricType::Histogram).then(|| first.buckets.clone()),
            least: f64::NEG_INFINITY,
            most: f64::INFINITY,
            apart: true,
            chosen: false,
            of_quantile: false,
        };
        if let Some(function) = window
            && first.kind == MetricType::Gauge
            && ["rate", "irate", "increase"].contains(&function)
        {
            let suggestion = "use deriv() or delta() for how fast it changes, avg_over_time() for its mean".to_owned();
            self.problem(Code::RateOfGauge, node.start, format!("{function}() of the gauge {name}: every fall counts as a reset"), Some(suggestion));
        }
        shape
    }
}

/// A bound as it is stored: whole numbers end in `.0`, whatever the program wrote.
fn bound(bound: f64) -> String {
    let text = format_short(bound);
    if text.contains(['.', 'e']) { text } else { format!("{text}.0") }
}

/// Whether one name continues the other.
fn begins_alike(a: &str, b: &str) -> bool {
    a.len() >= 3 && b.len() >= 3 && (a.starts_with(b) || b.starts_with(a))
}
