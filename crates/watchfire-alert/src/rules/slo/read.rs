//! The tree of a document → objectives. What cannot work is an error at its place: a query without the window, a factor that is
//! never reached.

use watchfire_model::document::{Context, Node, Reader, Severity, parse_yaml};
use watchfire_model::duration::parse_millis;
use watchfire_model::number::format_short;
use watchfire_model::order::Order as _;

use super::{Burn, Query, Share, Slo, WINDOW, Window, expand};
use crate::rules::Expand;
use crate::rules::file::{Parsed, Place};

/// At most so many objectives are taken from one file.
pub const SLOS_MAX: usize = 500;
/// At most so many windows of one objective.
const WINDOWS_MAX: usize = 32;

/// The usual alerts: name, long and short window, the part of the budget that is gone after the long one, how long, how bad.
const USUAL: [(&str, &str, &str, f64, u64, &str); 4] = [
    ("FastBurn", "1h", "5m", 0.02, 120_000, "critical"),
    ("MediumBurn", "6h", "30m", 0.05, 900_000, "critical"),
    ("SlowBurn", "1d", "2h", 0.1, 3_600_000, "warning"),
    ("VerySlowBurn", "3d", "6h", 0.1, 10_800_000, "warning"),
];

/// Reads a document whose only key is `slos`, and gives its rules.
pub fn read_file(file: &str, text: &str, templates: &dyn Expand) -> Parsed {
    let root = match parse_yaml(file, text) {
        Ok(root) => root,
        Err(finding) => return Parsed { file: None, findings: vec![*finding] },
    };
    let context = Context::new(file);
    let reader = Reader::new(&context, &root, "");
    let slos = read_list(&reader, templates);
    reader.finish();
    let findings = context.into_findings();
    let failed = findings.iter().any(|f| f.severity == Severity::Error);
    Parsed { file: (!failed).then(|| expand(file, &slos)), findings }
}

/// Reads the list under the key `slos`; errors go to the reader's context.
pub fn read_list(root: &Reader<'_>, templates: &dyn Expand) -> Vec<Slo> {
    let mut slos: Vec<Slo> = Vec::new();
    let list = root.maps("slos");
    if list.len() > SLOS_MAX {
        root.error_at("slos", format!("more than {SLOS_MAX} objectives in one file"));
        return slos;
    }
    for reader in list {
        let node = reader.node();
        let Some(slo) = read(reader, templates) else { continue };
        if slos.iter().any(|other| other.name == slo.name && other.prefix == slo.prefix) {
            root.context().error(node.line, node.column, format!("there is an objective {}:{} already", slo.prefix, slo.name));
        }
        slos.push(slo);
    }
    slos
}

fn read(reader: Reader<'_>, templates: &dyn Expand) -> Option<Slo> {
    let name = read_name(&reader, "name", None);
    let prefix = read_name(&reader, "prefix", Some("slo"));
    let objective = read_objective(&reader);
    let share = read_share(&reader);
    let period = reader.text("period").map_or_else(|| window("30d"), |text| read_window(&reader, "period", &text));
    let interval_ms = reader.duration_ms("interval").filter(|ms| *ms > 0).unwrap_or(60_000);
    let alert_prefix = reader.text("alert_prefix").unwrap_or_else(|| camel(name.as_deref().unwrap_or_default()));
    let (labels, annotations) = (reader.text_map("labels"), reader.text_map("annotations"));
    let asked = reader.raw("windows").map(|_| reader.texts("windows", false).iter().filter_map(|text| read_window(&reader, "windows", text)).collect());
    let burns = read_burns(&reader, objective, period.as_ref());
    let at = place(reader.node());
    let windows = Vec::new();
    let whole = || {
        Some(Slo {
            name: name?,
            prefix: prefix?,
            objective: objective?,
            share: share?,
            period: period?,
            windows,
            interval_ms,
            alert_prefix,
            labels,
            annotations,
            burns,
            at,
        })
    };
    let mut slo = whole();
    if let Some(slo) = &mut slo {
        slo.windows = needed(slo, asked.unwrap_or_default());
        check(&reader, slo, templates);
    }
    reader.finish();
    slo
}

/// What only shows when all of it is known.
fn check(reader: &Reader<'_>, slo: &Slo, templates: &dyn Expand) {
    if slo.windows.len() > WINDOWS_MAX {
        reader.error_at("windows", format!("more than {WINDOWS_MAX} windows"));
    }
    check_queries(reader, slo);
    for (key, pairs) in [("labels", &slo.labels), ("annotations", &slo.annotations)] {
        for (name, text) in pairs {
            if let Err(reason) = templates.check(&slo.alert_prefix, text) {
                reader.error_at(key, format!("{name:?}: {reason}"));
            }
        }
    }
}

/// A part of a metric's name.
fn read_name(reader: &Reader<'_>, key: &'static str, default: Option<&str>) -> Option<String> {
    let text = match (reader.text(key), default) {
        (Some(text), _) => text,
        (None, Some(default)) => return Some(default.to_owned()),
        (None, None) => reader.required_text(key),
    };
    let begins = text.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic());
    if begins && text.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric()) {
        return Some(text);
    }
    if !text.is_empty() {
        reader.error_at(key, format!("must be made of letters, digits and _, because it stands in names of series, not {text:?}"));
    }
    None
}

fn read_objective(reader: &Reader<'_>) -> Option<f64> {
    let percent = reader.f64("objective");
    if percent.is_none() && reader.raw("objective").is_none() {
        reader.required_text("objective");
    }
    match percent? {
        percent if percent > 0.0 && percent < 100.0 => Some(percent / 100.0),
        percent => {
            reader.error_at("objective", format!("must be percent, above 0 and below 100, not {}", format_short(percent)));
            None
        }
    }
}

fn read_share(reader: &Reader<'_>) -> Option<Share> {
    let query = |key: &'static str| {
        let text = reader.text(key).filter(|text| !text.is_empty())?;
        if !text.contains(WINDOW) {
            reader.error_at(key, format!("must hold {WINDOW} where the length of a window stands, as in [{WINDOW}]"));
        }
        Some(Query { text, at: reader.raw(key).map(place).unwrap_or_default() })
    };
    match (query("ratio"), query("good"), query("total")) {
        (Some(ratio), None, None) => Some(Share::Ratio(ratio)),
        (None, Some(good), Some(total)) => Some(Share::Events(good, total)),
        _ => {
            let node = reader.node();
            let path = reader.path_of("");
            reader.context().error(node.line, node.column, format!("{}: either good and total, or ratio must be set", path.trim_end_matches('.')));
            None
        }
    }
}

fn window(text: &str) -> Option<Window> {
    parse_millis(text).filter(|ms| *ms > 0).map(|ms| Window { text: text.to_owned(), ms })
}

fn read_window(reader: &Reader<'_>, key: &str, text: &str) -> Option<Window> {
    let read = window(text);
    if read.is_none() {
        reader.error_at(key, format!("must be durations such as 1h, not {text:?}"));
    }
    read
}

/// The alerts that are asked for, or the usual ones as far as they can ever fire.
fn read_burns(reader: &Reader<'_>, objective: Option<f64>, period: Option<&Window>) -> Vec<Burn> {
    let burn_max = objective.map_or(f64::INFINITY, |objective| 1.0 / (1.0 - objective));
    if reader.raw("alerts").is_some() {
        return reader.maps("alerts").into_iter().map(|alert| read_burn(alert, burn_max)).collect();
    }
    let Some(period) = period else { return Vec::new() };
    let usual = USUAL.into_iter().filter_map(|(name, long, short, part, for_ms, severity)| {
        let (long, short) = (window(long)?, window(short)?);
        let factor = (part * period.ms as f64 / long.ms as f64 * 1e6).round() / 1e6;
        let sensible = long.ms < period.ms && factor < burn_max && factor >= 1.0;
        sensible.then(|| Burn { name: name.to_owned(), factors: vec![(long, factor), (short, factor)], for_ms, severity: severity.to_owned() })
    });
    usual.collect()
}

fn read_burn(reader: Reader<'_>, burn_max: f64) -> Burn {
    let mut factors = Vec::new();
    let burn = reader.map("burn");
    for (key, value) in burn.as_ref().map(Reader::entries).unwrap_or(&[]) {
        let error = |message: String| reader.context().error(value.line, value.column, format!("{}.{}: {message}", reader.path_of("burn"), key.text));
        match (window(&key.text), value.text().and_then(|text| text.parse::<f64>().ok())) {
            (None, _) => error("its name must be a duration such as 1h".to_owned()),
            (_, Some(factor)) if factor >= burn_max => {
                error(format!(
                    "a burn rate is never above {}, when nothing is good any more: this alert could not fire",
                    format_short((burn_max * 1e6).round() / 1e6)
                ));
            }
            (Some(window), Some(factor)) if factor > 0.0 && factor.is_finite() => factors.push((window, factor)),
            _ => error("must be a number above 0: how many times faster than allowed".to_owned()),
        }
    }
    if burn.is_none_or(|burn| burn.entries().is_empty()) {
        let node = reader.node();
        reader.context().error(node.line, node.column, format!("{} must hold windows with factors, such as {{1h: 14.4, 5m: 14.4}}", reader.path_of("burn")));
    }
    let burn = Burn {
        name: reader.required_text("name"),
        factors,
        for_ms: reader.duration_ms("for").unwrap_or(0),
        severity: reader.text("severity").unwrap_or_else(|| "critical".to_owned()),
    };
    reader.finish();
    burn
}

/// Every window that somebody needs, the shortest first.
fn needed(slo: &Slo, asked: Vec<Window>) -> Vec<Window> {
    let mut all = asked;
    all.extend(slo.burns.iter().flat_map(|burn| burn.factors.iter().map(|(window, _)| window.clone())));
    all.order_by(|a, b| (a.ms, &a.text).cmp(&(b.ms, &b.text)));
    all.dedup();
    all.retain(|window| window.text != slo.period.text);
    all
}

/// What is made of the queries must be PromQL, too.
fn check_queries(reader: &Reader<'_>, slo: &Slo) {
    let keys: &[(&'static str, &Query)] = &match &slo.share {
        Share::Ratio(ratio) => vec![("ratio", ratio)],
        Share::Events(good, total) => vec![("good", good), ("total", total)],
    };
    let mut sound = true;
    for (key, query) in keys {
        let text = query.text.replace(WINDOW, &slo.period.text);
        if let Err(error) = watchfire_query::promql::parse(&text) {
            reader.error_at(key, format!("could not parse expression: {error}"));
            sound = false;
        }
    }
    if let (true, Err(error)) = (sound, watchfire_query::promql::parse(&expand::share_of(&slo.share, &slo.period))) {
        reader.error_at(keys[0].0, format!("could not be put together: {error}"));
    }
}

fn place(node: &Node) -> Place {
    Place { line: node.line, column: node.column }
}

/// `api_availability` as `ApiAvailability`.
fn camel(name: &str) -> String {
    let part = |part: &str| {
        let mut chars = part.chars();
        chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars).collect::<String>()
    };
    name.split('_').map(part).collect()
}
