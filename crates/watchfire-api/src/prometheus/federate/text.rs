//! Families in the text format 0.0.4 (or 1.0.0, for scrapers that take names outside the classic charset as they are).

use std::borrow::Cow;

use watchfire_ingest::exposition::format_value;
use watchfire_model::labels::{is_classic_label_name, is_classic_metric_name};

use super::{Families, Newest};

/// How names outside the classic charset are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// In quotes.
    Quoted,
    /// With an underscore for what is not allowed.
    Underscores,
}
impl Names {
    /// What a scraper's `Accept` asks for.
    pub(super) fn wanted(accept: &str) -> Names {
        if accept.contains("escaping=allow-utf-8") { Names::Quoted } else { Names::Underscores }
    }
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Names::Quoted => "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
            Names::Underscores => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Writes all floats. Native histograms have no place in this format.
pub(super) fn render(families: &Families, names: Names) -> Vec<u8> {
    let mut out = String::new();
    for (name, series) in families {
        let name = match names {
            Names::Underscores => underscored(name, true),
            Names::Quoted if is_classic_metric_name(name) => Cow::Borrowed(name.as_str()),
            Names::Quoted => Cow::Owned(format!("\"{}\"", escape(name))),
        };
        let mut begun = false;
        for one in series {
            let Newest::Float(value) = one.sample else { continue };
            if !begun {
                out.push_str(&format!("# TYPE {name} untyped\n"));
                begun = true;
            }
            let mut pairs: Vec<String> = one.labels.iter().map(|(n, v)| format!("{}=\"{}\"", label(n, names), escape(v))).collect();
            if name.starts_with('"') {
                pairs.insert(0, name.to_string());
            } else {
                out.push_str(&name);
            }
            if !pairs.is_empty() {
                out.push_str(&format!("{{{}}}", pairs.join(",")));
            }
            out.push_str(&format!(" {} {}\n", format_value(value), one.time));
        }
    }
    out.into_bytes()
}

fn label(name: &str, names: Names) -> Cow<'_, str> {
    match names {
        Names::Underscores => underscored(name, false),
        Names::Quoted if is_classic_label_name(name) => Cow::Borrowed(name),
        Names::Quoted => Cow::Owned(format!("\"{}\"", escape(name))),
    }
}

fn underscored(name: &str, metric: bool) -> Cow<'_, str> {
    if if metric { is_classic_metric_name(name) } else { is_classic_label_name(name) } {
        return Cow::Borrowed(name);
    }
    let allowed = |(i, c): (usize, char)| c.is_ascii_alphabetic() || c == '_' || (metric && c == ':') || (i > 0 && c.is_ascii_digit());
    name.chars().enumerate().map(|(i, c)| if allowed((i, c)) { c } else { '_' }).collect()
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"")
}
