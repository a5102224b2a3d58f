//! Names of OpenTelemetry → names of Prometheus: metrics with their units and types, units, labels. The rules are those
//! of Prometheus' own translator; it looks at nothing but the name, the unit and the type.

use watchfire_model::batch::MetricType;

use super::settings::{Settings, TranslationStrategy};

/// Units of measure and Prometheus' words for them.
const UNITS: [(&str, &str); 24] = [
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
];
/// Units that a rate is per.
const PER_UNITS: [(&str, &str); 7] = [("s", "second"), ("m", "minute"), ("h", "hour"), ("d", "day"), ("w", "week"), ("mo", "month"), ("y", "year")];

/// What a name depends on beside the name itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// The type as Prometheus has it.
    pub(super) metric: MetricType,
    /// Whether it came as a gauge: a sum that may fall is a gauge to Prometheus, yet is named without `_ratio`.
    pub(super) gauge: bool,
}

/// The name of a metric; `None` when nothing is left of it.
pub(super) fn metric_name(strategy: TranslationStrategy, name: &str, unit: &str, kind: Kind) -> Option<String> {
    if !strategy.escapes() {
        return Some(if strategy.adds_suffixes() { with_suffixes(name, unit, kind) } else { name.to_owned() });
    }
    let translated = if strategy.adds_suffixes() {
        from_tokens(name, unit, kind)
    } else {
        let valid = |c: char| c.is_ascii_alphanumeric() || c == ':' || c == '_';
        digit_safe(name.split(|c| !valid(c)).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("_"))
    };
    let sound = !translated.is_empty() && (translated == name || translated.chars().any(|c| c != '_'));
    sound.then_some(translated)
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == ':'
}

/// A metric name must not begin with a digit.
fn digit_safe(name: String) -> String {
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

fn from_tokens(name: &str, unit: &str, kind: Kind) -> String {
    let mut tokens: Vec<String> = name.split(|c| !is_token(c)).filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let (main, per) = unit_words(unit);
    let mut main = clean_unit(&main);
    let per = clean_unit(&per);
    if tokens.contains(&main) {
        main.clear();
    }
    let mut per = if per == "per_" { String::new() } else { per.strip_suffix('_').unwrap_or(&per).to_owned() };
    if tokens.contains(&per) {
        per.clear();
    }
    if !per.is_empty() && main.ends_with('_') {
        main.pop();
    }
    tokens.extend([main, per].into_iter().filter(|t| !t.is_empty()));
    let mut last = |word: &str| {
        tokens.retain(|t| t != word);
        tokens.push(word.to_owned());
    };
    if kind.metric == MetricType::Counter {
        last("total");
    }
    if unit == "1" && kind.gauge {
        last("ratio");
    }
    digit_safe(tokens.join("_"))
}

/// Suffixes for a name that stays as it is.
fn with_suffixes(name: &str, unit: &str, kind: Kind) -> String {
    let (main, per) = unit_words(unit);
    let mut suffixes = Vec::new();
    let mut name = name;
    if unit == "1" && kind.gauge {
        name = without_suffix(name, "ratio");
        suffixes.push("ratio");
    }
    if kind.metric == MetricType::Counter {
        name = without_suffix(name, "total");
        suffixes.push("total");
    }
    if !per.is_empty() {
        name = without_suffix(name, &per);
        suffixes.push(&per);
    }
    let mut out = name.to_owned();
    if !main.is_empty() && !name.ends_with(&main) {
        suffixes.push(&main);
    }
    for suffix in suffixes.iter().rev() {
        out.push('_');
        out.push_str(suffix);
    }
    out
}

/// Takes a suffix off, and the character before it, which is held to be a separator.
fn without_suffix<'a>(name: &'a str, suffix: &str) -> &'a str {
    match name.strip_suffix(suffix) {
        Some(rest) if rest.len() > 1 => {
            let mut chars = rest.chars();
            chars.next_back();
            chars.as_str()
        }
        _ => name,
    }
}

/// Prometheus' words for a unit and for what it is per, the latter with `per_` before it.
fn unit_words(unit: &str) -> (String, String) {
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let usable = |text: &&str| !text.is_empty() && !text.contains(['{', '}']);
    let main = Some(main.trim()).filter(usable).map(|m| match m {
        "1" => "",
        "%" => "percent",
        other => UNITS.iter().find(|(u, _)| *u == other).map_or(other, |(_, word)| word),
    });
    let per = Some(per.trim()).filter(usable).map(|p| PER_UNITS.iter().find(|(u, _)| *u == p).map_or(p, |(_, word)| word));
    (main.unwrap_or("").to_owned(), per.map(|p| format!("per_{p}")).unwrap_or_default())
}

/// Reduces a unit to the classic characters, without runs of underscores and without one in front.
fn clean_unit(unit: &str) -> String {
    let mut out = String::with_capacity(unit.len());
    for c in unit.chars() {
        let c = if is_token(c) { c } else { '_' };
        if c != '_' || !out.ends_with('_') {
            out.push(c);
        }
    }
    out.strip_prefix('_').map(str::to_owned).unwrap_or(out)
}

/// The unit as metadata has it.
pub(super) fn unit_name(unit: &str) -> String {
    let (main, per) = unit_words(unit);
    let parts = [clean_unit(&main), clean_unit(&per)];
    let joined = parts.iter().filter(|p| !p.is_empty()).map(String::as_str).collect::<Vec<_>>().join("_");
    let joined = joined.strip_prefix('_').unwrap_or(&joined);
    joined.strip_suffix('_').unwrap_or(joined).to_owned()
}

/// The label for an attribute; `None` when no name comes of it.
pub(super) fn label_name(settings: &Settings, attribute: &str) -> Option<String> {
    if !settings.strategy.escapes() {
        return Some(attribute.to_owned());
    }
    let name = escape_label(settings, attribute);
    name.chars().any(|c| c != '_').then_some(name)
}

fn escape_label(settings: &Settings, attribute: &str) -> String {
    let keep = settings.label_keep_underscores;
    let inner = if keep { None } else { attribute.strip_prefix("__").and_then(|a| a.strip_suffix("__")) };
    let mut out = String::with_capacity(attribute.len() + 4);
    if inner.is_some() {
        out.push_str("__");
    }
    let mut after_underscore = false;
    for c in inner.unwrap_or(attribute).chars() {
        let valid = c.is_ascii_alphanumeric();
        if valid {
            out.push(c);
        } else if keep || !after_underscore {
            out.push('_');
        }
        after_underscore = !valid;
    }
    if inner.is_some() {
        out.push_str("__");
    }
    if out.starts_with(|c: char| c.is_ascii_digit()) {
        out.insert_str(0, "key_");
    } else if settings.label_underscore_prefix && out.starts_with('_') && !out.starts_with("__") {
        out.insert_str(0, "key");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTER: Kind = Kind { metric: MetricType::Counter, gauge: false };
    const GAUGE: Kind = Kind { metric: MetricType::Gauge, gauge: true };
    const FALLING_SUM: Kind = Kind { metric: MetricType::Gauge, gauge: false };
    const HISTOGRAM: Kind = Kind { metric: MetricType::Histogram, gauge: false };

    #[test]
    fn metric_names_with_suffixes() {
        let check = |name: &str, unit: &str, kind: Kind, expected: &str| {
            let found = metric_name(TranslationStrategy::UnderscoreEscapingWithSuffixes, name, unit, kind);
            assert_eq!(found.as_deref().unwrap_or(""), expected, "{name} {unit}");
        };
        check("http.server.request.duration", "s", HISTOGRAM, "http_server_request_duration_seconds");
        check("system.io", "By", COUNTER, "system_io_bytes_total");
        check("system.io.bytes", "By", COUNTER, "system_io_bytes_total");
        check("requests_total", "", COUNTER, "requests_total");
        check("total.requests", "1", COUNTER, "requests_total");
        check("cpu.utilization", "1", GAUGE, "cpu_utilization_ratio");
        check("ratio of cpu", "1", GAUGE, "of_cpu_ratio");
        check("active", "1", FALLING_SUM, "active");
        check("requests", "1/s", GAUGE, "requests_per_second");
        check("throughput", "By/s", GAUGE, "throughput_bytes_per_second");
        check("rate.per_second", "By/s", GAUGE, "rate_per_second_bytes_per_second");
        check("x", "{packets}", GAUGE, "x");
        check("x", "By/{packet}", GAUGE, "x_bytes");
        check("x", "{packets}/s", GAUGE, "x_per_second");
        check("x", "By/", GAUGE, "x_bytes");
        check("x", " By / m ", GAUGE, "x_bytes_per_minute");
        check("x", "%", GAUGE, "x_percent");
        check("x", "unit@with#special/chars", GAUGE, "x_unit_with_special_per_chars");
        check("x", "m/s_", GAUGE, "x_meters_per_s");
        check("a__b", "u__v", GAUGE, "a_b_u_v");
        check("2xx", "", COUNTER, "_2xx_total");
        check("job:rate", "", GAUGE, "job:rate");
        check("@#$%", "", GAUGE, "");
        check("", "", GAUGE, "");
        check("größe", "", GAUGE, "gr_e");
    }

    #[test]
    fn metric_names_of_other_strategies() {
        let check = |strategy, name: &str, unit: &str, kind: Kind, expected: &str| {
            assert_eq!(metric_name(strategy, name, unit, kind).as_deref().unwrap_or(""), expected, "{name} {unit}");
        };
        let bare = TranslationStrategy::UnderscoreEscapingWithoutSuffixes;
        check(bare, "http.server.duration", "s", HISTOGRAM, "http_server_duration");
        check(bare, "a@@b__c.", "s", COUNTER, "a_b__c");
        check(bare, "2xx", "s", COUNTER, "_2xx");
        check(bare, "__", "", COUNTER, "__");
        check(bare, "..", "", COUNTER, "");
        let raw = TranslationStrategy::NoTranslation;
        check(raw, "http.größe", "s", COUNTER, "http.größe");
        let suffixed = TranslationStrategy::NoUtf8EscapingWithSuffixes;
        check(suffixed, "http.requests", "", COUNTER, "http.requests_total");
        check(suffixed, "http.requests.total", "", COUNTER, "http.requests_total");
        check(suffixed, "http.duration", "s", HISTOGRAM, "http.duration_seconds");
        check(suffixed, "io", "By/s", COUNTER, "io_bytes_per_second_total");
        check(suffixed, "usage", "1", GAUGE, "usage_ratio");
        check(suffixed, "total", "", COUNTER, "total_total");
    }

    #[test]
    fn units() {
        for (unit, expected) in
            [("s", "seconds"), ("By/s", "bytes_per_second"), ("1", ""), ("{x}/s", "per_second"), ("1/m", "per_minute"), ("", ""), ("a b", "a_b")]
        {
            assert_eq!(unit_name(unit), expected, "{unit}");
        }
    }

    #[test]
    fn label_names() {
        let usual = Settings::default();
        let collapsing = Settings { label_keep_underscores: false, ..Settings::default() };
        let plain = Settings { label_underscore_prefix: false, ..Settings::default() };
        let raw = Settings { strategy: TranslationStrategy::NoTranslation, ..Settings::default() };
        let check = |settings: &Settings, attribute: &str, expected: &str| {
            assert_eq!(label_name(settings, attribute).as_deref().unwrap_or(""), expected, "{attribute}");
        };
        check(&usual, "http.method", "http_method");
        check(&usual, "http..method", "http__method");
        check(&usual, "_private", "key_private");
        check(&usual, ".private", "key_private");
        check(&usual, "__reserved__", "__reserved__");
        check(&usual, "2nd", "key_2nd");
        check(&usual, "größe", "gr__e");
        check(&usual, "___", "");
        check(&usual, "", "");
        check(&collapsing, "http..method__x", "http_method_x");
        check(&collapsing, "__a__b__", "__a_b__");
        check(&plain, "_private", "_private");
        check(&raw, "http.method", "http.method");
        check(&raw, "_", "_");
    }
}
