//! Which labels a metric query looks at, so that parsers need not set the others.

use super::super::ast::{Grouping, LabelFilter, LabelFormat, Stage, Unwrap};
use super::super::fields::{ERROR, ERROR_DETAILS, Wanted};
use super::super::templates::Template;
use watchfire_model::level;
use watchfire_model::logs::Nanos;

/// What is looked at behind a pipeline.
#[derive(Clone, Debug)]
pub(crate) enum Needs {
    /// All labels.
    All,
    /// These.
    Names(Vec<String>),
}

impl Needs {
    /// What an aggregation with these labels looks at.
    pub(crate) fn of(grouping: Option<&Grouping>, unwrap: Option<&Unwrap>) -> Needs {
        match grouping {
            Some(Grouping { without: false, labels }) => {
                let mut names = labels.clone();
                if let Some(unwrap) = unwrap {
                    names.push(unwrap.label.clone());
                    let mut more = Vec::new();
                    unwrap.filters.iter().for_each(|filter| of_filter(filter, &mut more));
                    names.extend(more);
                }
                Needs::Names(names)
            }
            _ => Needs::All,
        }
    }
    /// Whether the level of lines is among them.
    pub(super) fn level(&self) -> bool {
        matches!(self, Needs::Names(names) if names.iter().any(|n| n == level::LABEL))
    }
}

/// The labels that stages and what follows look at; nothing where that may be any.
pub(super) fn names(stages: &[Stage], needs: &Needs) -> Option<Wanted> {
    let Needs::Names(needed) = needs else { return None };
    let mut names = needed.clone();
    for stage in stages {
        match stage {
            Stage::Label(filter) => of_filter(filter, &mut names),
            Stage::Drop(choices) => names.extend(choices.iter().map(|c| c.name().to_owned())),
            Stage::Keep(choices) => names.extend(choices.iter().map(|c| c.name().to_owned())),
            Stage::LineFormat(template) => names.extend(of_template(template)?),
            Stage::LabelFormat(formats) => {
                for format in formats {
                    match format {
                        LabelFormat::Rename { from, .. } => names.push(from.clone()),
                        LabelFormat::Template { template, .. } => names.extend(of_template(template)?),
                    }
                }
            }
            _ => {}
        }
    }
    names.retain(|name| !matches!(name.as_str(), ERROR | ERROR_DETAILS));
    Some(Wanted::new(names))
}

fn of_template(text: &str) -> Option<Vec<String>> {
    let template = Template::new(text, Nanos(0)).ok()?;
    let labels = template.labels()?;
    Some(labels.map(str::to_owned).collect())
}

fn of_filter(filter: &LabelFilter, names: &mut Vec<String>) {
    match filter {
        LabelFilter::Text(matcher) => names.push(matcher.name.clone()),
        LabelFilter::Number(c) | LabelFilter::Duration(c) | LabelFilter::Bytes(c) => names.push(c.name.clone()),
        LabelFilter::Ip { name, .. } => names.push(name.clone()),
        LabelFilter::And(a, b) | LabelFilter::Or(a, b) => {
            of_filter(a, names);
            of_filter(b, names);
        }
    }
}
