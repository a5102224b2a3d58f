//! Stages that write lines and labels, and those that choose among labels.

use watchfire_model::logs::Nanos;

use super::super::ast::{LabelChoice, LabelFormat};
use super::super::fields::{Category, ERROR, ERROR_DETAILS, Fields};
use super::super::templates::Template;
use super::errors;

/// `line_format`, ready.
pub(super) struct LineFormat(Template);

impl LineFormat {
    pub(super) fn new(template: &str, now: Nanos) -> Result<LineFormat, String> {
        Template::new(template, now).map(LineFormat)
    }
    /// Writes the new line; false when that failed and the line stays.
    pub(super) fn apply(&self, fields: &mut Fields<'_>, line: &str, time: Nanos, out: &mut String, work: &mut u64) -> bool {
        match self.0.execute(fields, line, time, out, work) {
            Ok(()) => true,
            Err(message) => {
                fields.fail(errors::TEMPLATE, &message);
                false
            }
        }
    }
}

enum Assignment {
    Rename { to: String, from: String },
    Template { to: String, template: Template },
}

/// `label_format`, ready.
pub(super) struct LabelsFormat(Vec<Assignment>);

impl LabelsFormat {
    pub(super) fn new(formats: &[LabelFormat], now: Nanos) -> Result<LabelsFormat, String> {
        let assignment = |format: &LabelFormat| {
            Ok(match format {
                LabelFormat::Rename { to, from } => Assignment::Rename { to: to.clone(), from: from.clone() },
                LabelFormat::Template { to, template } => Assignment::Template { to: to.clone(), template: Template::new(template, now)? },
            })
        };
        formats.iter().map(assignment).collect::<Result<_, String>>().map(LabelsFormat)
    }

    /// Whether a template looks at the line.
    pub(super) fn needs_line(&self) -> bool {
        self.0.iter().any(|assignment| matches!(assignment, Assignment::Template { template, .. } if template.needs_line()))
    }

    /// All templates see the labels as they were when the first of them came; labels that are moved before it have moved.
    pub(super) fn apply(&self, fields: &mut Fields<'_>, line: &str, time: Nanos, work: &mut u64) {
        let mut made: Vec<(&str, Result<String, String>)> = Vec::new();
        for assignment in &self.0 {
            match assignment {
                Assignment::Template { to, template } => {
                    let mut out = String::new();
                    let result = template.execute(fields, line, time, &mut out, work).map(|()| out);
                    made.push((to, result));
                }
                Assignment::Rename { to, from } => {
                    let moved = fields.find(from).map(|(value, category)| (value.to_owned(), category));
                    if let Some((value, category)) = moved {
                        fields.remove(from);
                        // A label that was the stream's is one of the query's under another name.
                        let category = if category == Category::Stream { Category::Parsed } else { category };
                        fields.set(category, to, &value);
                    }
                }
            }
        }
        for (to, result) in made {
            match result {
                Ok(value) => fields.set(Category::Parsed, to, &value),
                Err(message) => fields.fail(errors::TEMPLATE, &message),
            }
        }
    }
}

/// `drop` and `keep`, ready.
pub(super) struct Choice {
    choices: Vec<LabelChoice>,
    keeps: bool,
}

impl Choice {
    pub(super) fn drop(choices: &[LabelChoice]) -> Choice {
        Choice { choices: choices.to_vec(), keeps: false }
    }
    pub(super) fn keep(choices: &[LabelChoice]) -> Choice {
        Choice { choices: choices.to_vec(), keeps: true }
    }

    pub(super) fn apply(&self, fields: &mut Fields<'_>) {
        if !self.keeps {
            for choice in &self.choices {
                if fields.get(choice.name()).is_some_and(|value| choice.fits_value(value)) {
                    fields.remove(choice.name());
                }
            }
            return;
        }
        let mut gone: Vec<String> = Vec::new();
        fields.each(&mut |name, value, _| {
            if !matches!(name, ERROR | ERROR_DETAILS) && !self.choices.iter().any(|choice| choice.fits(name, value)) {
                gone.push(name.to_owned());
            }
        });
        gone.iter().for_each(|name| fields.remove(name));
    }
}
