//! A look at a line before it is parsed: where a label that a parser may find has to have some text, a line without that text need not
//! be parsed. It never says more than parsing would: a line with escapes may hide the text, and is parsed.

use memchr::memchr;
use memchr::memmem::Finder;
use watchfire_model::level;
use watchfire_model::logs::LogLine;
use watchfire_model::matcher::MatchOp;

use super::super::ast::{LabelFilter, Stage};
use super::is_error_label;

/// A text that a label must have.
struct Needle {
    label: String,
    text: Finder<'static>,
}

/// What is looked for.
pub(super) struct Quick(Vec<Needle>);

impl Quick {
    /// Conditions behind parsers, as long as nothing else changes lines or labels.
    pub(super) fn new(stages: &[Stage]) -> Quick {
        let mut needles = Vec::new();
        let mut parsed = false;
        for stage in stages {
            match stage {
                Stage::Json(_) | Stage::Logfmt { .. } | Stage::Pattern(_) | Stage::Regexp(_) => parsed = true,
                Stage::Line(_) => {}
                Stage::Label(filter) if parsed => add(filter, &mut needles),
                Stage::Label(_) => {}
                _ => break,
            }
        }
        Quick(needles)
    }

    /// Whether parsing can be spared, because a condition cannot hold.
    pub(super) fn rejects(&self, entry: &LogLine<'_>) -> bool {
        self.0.iter().any(|needle| {
            // What the entry has already is no business of parsers.
            entry.labels.get(&needle.label).is_none()
                && entry.metadata.get(&needle.label).is_none()
                && needle.text.find(entry.line.as_bytes()).is_none()
                && memchr(b'\\', entry.line.as_bytes()).is_none()
        })
    }
}

/// The comparisons that must hold.
fn add(filter: &LabelFilter, needles: &mut Vec<Needle>) {
    match filter {
        LabelFilter::Text(matcher) if matcher.op == MatchOp::Equal && !matcher.value.is_empty() && is_plain(&matcher.name) => {
            needles.push(Needle { label: matcher.name.clone(), text: Finder::new(&matcher.value).into_owned() });
        }
        LabelFilter::And(a, b) => {
            add(a, needles);
            add(b, needles);
        }
        _ => {}
    }
}

/// Whether a label comes from nothing but parsers.
fn is_plain(name: &str) -> bool {
    !is_error_label(name) && name != level::LABEL
}
