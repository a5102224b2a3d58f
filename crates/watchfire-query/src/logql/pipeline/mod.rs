//! Pipelines ready to run: stages compiled once, then carried out for every entry without allocating where nothing has to be kept.
//! It reads no store and groups nothing.

mod format;
mod label;
mod line;
mod parse;
mod quick;
mod wanted;

use watchfire_model::level;
use watchfire_model::logs::{LogLine, Nanos};
use watchfire_model::matcher::Matcher;

use super::ast::{LabelFilter, LogExpr, Stage};
use super::error::LogqlError;
use super::fields::{Buffers, Category, ERROR, ERROR_DETAILS, Fields, Wanted};
use format::{Choice, LabelsFormat, LineFormat};
pub(crate) use label::LabelTest;
use line::LineTest;
use parse::Parser;
use quick::Quick;
pub(crate) use wanted::Needs;

/// What a line is that a parser cannot read, and so on: the values of `__error__`.
pub(crate) mod errors {
    pub(crate) const JSON: &str = "JSONParserErr";
    pub(crate) const LOGFMT: &str = "LogfmtParserErr";
    pub(crate) const SAMPLE: &str = "SampleExtractionErr";
    pub(crate) const LABEL_FILTER: &str = "LabelFilterErr";
    pub(crate) const TEMPLATE: &str = "TemplateFormatErr";
    pub(crate) const TOO_MANY_LABELS: &str = "TooManyLabelsErr";
}

/// Whether a label says what went wrong.
pub(crate) fn is_error_label(name: &str) -> bool {
    matches!(name, ERROR | ERROR_DETAILS)
}

enum Op {
    Line(LineTest),
    Label(LabelTest),
    Parse(Parser),
    LineFormat(LineFormat),
    LabelFormat(LabelsFormat),
    Decolorize,
    Choose(Choice),
}

impl Op {
    /// How often it reads a line at most.
    fn reads(&self) -> usize {
        match self {
            Op::Line(test) => test.reads(),
            Op::Parse(parser) => parser.reads(),
            _ => 1,
        }
    }
}

/// What a stage may do with each label of an entry, in bytes that are read once.
const FIELD_WORK: usize = 16;

/// A pipeline.
pub(crate) struct Pipeline {
    ops: Vec<Op>,
    /// Whether the level of a line is asked for, which has to be found where nobody has noted it.
    level: bool,
    wanted: Option<Wanted>,
    quick: Quick,
}

/// What is used again for every entry.
#[derive(Default)]
pub(crate) struct Scratch {
    pub(crate) buffers: Buffers,
    line: String,
    next: String,
    /// What was done since somebody took it, in bytes that are read once.
    pub(crate) work: u64,
}

/// What of a query can be left to the store.
pub(crate) struct Pushed {
    /// All conditions on streams and structured metadata.
    pub(crate) matchers: Vec<Matcher>,
    /// Texts that every line has.
    pub(crate) contains: Vec<String>,
    /// Conditions on the level, which the store may look at where it is noted.
    pub(crate) levels: Vec<Matcher>,
}

impl Pipeline {
    /// Compiles the stages of a selection. `needs` are the labels that matter afterwards.
    pub(crate) fn new(log: &LogExpr, needs: &Needs, now: Nanos) -> Result<Pipeline, LogqlError> {
        let compile = |stage: &Stage| -> Result<Op, String> {
            Ok(match stage {
                Stage::Line(filter) => Op::Line(LineTest::new(filter)?),
                Stage::Label(filter) => Op::Label(LabelTest::new(filter)?),
                Stage::Json(_) | Stage::Logfmt { .. } | Stage::Pattern(_) | Stage::Regexp(_) | Stage::Unpack => Op::Parse(Parser::new(stage)?),
                Stage::Decolorize => Op::Decolorize,
                Stage::LineFormat(template) => Op::LineFormat(LineFormat::new(template, now)?),
                Stage::LabelFormat(formats) => Op::LabelFormat(LabelsFormat::new(formats, now)?),
                Stage::Drop(choices) => Op::Choose(Choice::drop(choices)),
                Stage::Keep(choices) => Op::Choose(Choice::keep(choices)),
            })
        };
        let ops = log.stages.iter().map(compile).collect::<Result<Vec<Op>, String>>().map_err(LogqlError::Invalid)?;
        let level = log.matchers.iter().any(|m| m.name == level::LABEL) || log.stages.iter().any(|s| s.to_string().contains(level::LABEL)) || needs.level();
        Ok(Pipeline { ops, level, wanted: wanted::names(&log.stages, needs), quick: Quick::new(&log.stages) })
    }

    /// Carries the stages out. The visitor gets the labels and the line of an entry that came through.
    pub(crate) fn run<T>(&self, entry: LogLine<'_>, scratch: &mut Scratch, visit: impl FnOnce(&mut Fields<'_>, &str) -> T) -> Option<T> {
        if self.quick.rejects(&entry) {
            return None;
        }
        let Scratch { buffers, line: held, next, work } = scratch;
        // Templates of one entry share what they may do.
        let mut entry_work = 0;
        let mut fields = Fields::new(entry.labels, entry.metadata, buffers);
        if self.level && fields.get(level::LABEL).is_none() {
            fields.set(Category::Metadata, level::LABEL, level::detect(entry.labels, entry.metadata, entry.line));
        }
        // Whether the line is no longer the one that was stored.
        let mut changed = false;
        for op in &self.ops {
            let line: &str = if changed { held } else { entry.line };
            *work += (line.len() * op.reads() + fields.count() * FIELD_WORK) as u64;
            match op {
                Op::Line(test) => {
                    if !test.passes(line) {
                        return None;
                    }
                }
                Op::Label(test) => {
                    if !test.passes(&mut fields) {
                        return None;
                    }
                }
                Op::LabelFormat(format) => {
                    let before = entry_work;
                    format.apply(&mut fields, line, entry.time, &mut entry_work);
                    *work += entry_work - before;
                }
                Op::Choose(choice) => choice.apply(&mut fields),
                Op::Parse(parser) => {
                    next.clear();
                    if parser.apply(&mut fields, line, next, self.wanted.as_ref()) {
                        std::mem::swap(held, next);
                        changed = true;
                    }
                }
                Op::LineFormat(format) => {
                    next.clear();
                    let before = entry_work;
                    let formatted = format.apply(&mut fields, line, entry.time, next, &mut entry_work);
                    *work += entry_work - before;
                    if formatted {
                        std::mem::swap(held, next);
                        changed = true;
                    }
                }
                Op::Decolorize => {
                    if line.contains('\u{1b}') {
                        next.clear();
                        line::without_colors(line, next);
                        std::mem::swap(held, next);
                        changed = true;
                    }
                }
            }
        }
        let line: &str = if changed { held } else { entry.line };
        Some(visit(&mut fields, line))
    }

    /// Whether labels or the way of entries depend on their lines.
    pub(crate) fn needs_lines(&self) -> bool {
        let needs = |op: &Op| match op {
            Op::Line(_) | Op::Parse(_) | Op::LineFormat(_) | Op::Decolorize => true,
            Op::LabelFormat(format) => format.needs_line(),
            Op::Label(_) | Op::Choose(_) => false,
        };
        self.ops.iter().any(needs)
    }

    /// Whether the level is asked for, which is in the line where nobody has noted it.
    pub(crate) fn needs_level(&self) -> bool {
        self.level
    }

    /// Whether every entry comes through with the labels that it has, once its level is noted.
    pub(crate) fn has_no_stages(&self) -> bool {
        self.ops.is_empty()
    }
}

/// What the store may look at instead of us: line filters as long as the line is the stored one, and conditions on labels as long as
/// nobody has set any.
pub(crate) fn pushed(log: &LogExpr) -> Pushed {
    let mut pushed =
        Pushed { matchers: log.matchers.iter().filter(|m| m.name != level::LABEL).cloned().collect(), contains: Vec::new(), levels: level_matchers(log) };
    let (mut same_line, mut same_labels) = (true, true);
    for stage in &log.stages {
        match stage {
            Stage::Line(filter) if same_line => pushed.contains.extend(line::needles(filter)),
            Stage::Label(filter) if same_labels => push_label(filter, &mut pushed),
            Stage::Line(_) | Stage::Label(_) => {}
            Stage::LineFormat(_) | Stage::Unpack | Stage::Decolorize => (same_line, same_labels) = (false, same_labels && matches!(stage, Stage::Decolorize)),
            Stage::Drop(_) | Stage::Keep(_) | Stage::LabelFormat(_) | Stage::Json(_) | Stage::Logfmt { .. } | Stage::Pattern(_) | Stage::Regexp(_) => {
                same_labels = false;
            }
        }
    }
    pushed
}

/// The comparisons that must hold.
fn push_label(filter: &LabelFilter, pushed: &mut Pushed) {
    match filter {
        LabelFilter::Text(matcher) if matcher.name == level::LABEL => pushed.levels.push(matcher.clone()),
        LabelFilter::Text(matcher) if !is_error_label(&matcher.name) => pushed.matchers.push(matcher.clone()),
        LabelFilter::And(a, b) => {
            push_label(a, pushed);
            push_label(b, pushed);
        }
        _ => {}
    }
}

/// Conditions on streams that only we can test: on a level that nobody has noted.
pub(crate) fn level_matchers(log: &LogExpr) -> Vec<Matcher> {
    log.matchers.iter().filter(|m| m.name == level::LABEL).cloned().collect()
}
