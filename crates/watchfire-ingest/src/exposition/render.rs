//! Families → text: format 0.0.4 or OpenMetrics 1.0. A family without points still shows HELP and TYPE. It renders what
//! it is given, in that order, and checks nothing but names.

use watchfire_model::batch::MetricType;
use watchfire_model::labels::{METRIC_NAME, is_classic_label_name, is_classic_metric_name};
use watchfire_model::meter::Family;

use super::Format;
use super::float::push_value;

/// Renders families as a whole exposition.
pub fn render(format: Format, families: &[Family]) -> String {
    let mut out = String::with_capacity(families.iter().map(|f| 128 + f.points.len() * 64).sum());
    render_into(format, families, &mut out);
    if format == Format::OpenMetrics {
        out.push_str("# EOF\n");
    }
    out
}

/// Appends families to a text, without the closing `# EOF`.
pub fn render_into(format: Format, families: &[Family], out: &mut String) {
    for family in families {
        metadata(format, family, out);
        for (labels, value) in &family.points {
            series(labels.iter(), out);
            out.push(' ');
            push_value(out, *value);
            out.push('\n');
        }
    }
}

fn metadata(format: Format, family: &Family, out: &mut String) {
    let open = format == Format::OpenMetrics;
    let base = family.name.strip_suffix("_total").filter(|_| open && family.kind == MetricType::Counter);
    let kind = match (open, family.kind) {
        // Samples of an OpenMetrics counter must end in _total.
        (true, MetricType::Counter) if base.is_none() => MetricType::Unknown.name(),
        (true, kind) => kind.name(),
        (false, MetricType::Unknown | MetricType::GaugeHistogram) => "untyped",
        (false, MetricType::Info | MetricType::StateSet) => MetricType::Gauge.name(),
        (false, kind) => kind.name(),
    };
    let name = base.unwrap_or(&family.name);
    line_start("# HELP ", name, out);
    escape(&family.help, open, out);
    line_start("\n# TYPE ", name, out);
    out.push_str(kind);
    out.push('\n');
    let unit_fits = !family.unit.is_empty() && name.strip_suffix(&*family.unit).is_some_and(|rest| rest.ends_with('_'));
    if open && unit_fits {
        line_start("# UNIT ", name, out);
        out.push_str(&family.unit);
        out.push('\n');
    }
}

fn line_start(word: &str, name: &str, out: &mut String) {
    out.push_str(word);
    if is_classic_metric_name(name) {
        out.push_str(name)
    } else {
        quote(name, out)
    }
    out.push(' ');
}

/// Writes a label set as `name{a="b"}`, or `{"na.me",a="b"}` when the name needs quotes.
pub(crate) fn series<'a>(labels: impl Iterator<Item = (&'a str, &'a str)> + Clone, out: &mut String) {
    let name = labels.clone().find(|(n, _)| *n == METRIC_NAME).map_or("", |(_, v)| v);
    let mut next = "{";
    if is_classic_metric_name(name) {
        out.push_str(name);
    } else if !name.is_empty() {
        out.push('{');
        quote(name, out);
        next = ",";
    }
    for (label, value) in labels.filter(|(n, _)| *n != METRIC_NAME) {
        out.push_str(std::mem::replace(&mut next, ","));
        if is_classic_label_name(label) {
            out.push_str(label)
        } else {
            quote(label, out)
        }
        out.push('=');
        quote(value, out);
    }
    if next == "," {
        out.push('}');
    }
}

fn quote(text: &str, out: &mut String) {
    out.push('"');
    escape(text, true, out);
    out.push('"');
}

fn escape(text: &str, quotes: bool, out: &mut String) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            c => out.push(c),
        }
    }
}
