//! The grammar of one line: `name:value|type|@rate|#tag:value,…`, with several values as DogStatsD packs them.

use watchfire_model::labels::{Labels, METRIC_NAME};

/// What an event does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Adds.
    Counter,
    /// Sets.
    Gauge,
    /// Adds to what is there.
    GaugeChange,
    /// Counts members.
    Set,
    /// Observes milliseconds.
    Timer,
    /// Observes.
    Histogram,
}

/// A line that could be read.
#[derive(Debug, PartialEq)]
pub(super) struct Event<'a> {
    name: &'a str,
    values: &'a str,
    pub(super) kind: Kind,
    /// The part of the events that is sent, above 0, at most 1.
    pub(super) rate: f64,
    tags: &'a str,
}

impl Event<'_> {
    /// The values, for a set members.
    pub(super) fn values(&self) -> impl Iterator<Item = &str> {
        // The member of a set may hold colons.
        let whole = self.kind == Kind::Set;
        let parts = if whole { 1 } else { usize::MAX };
        self.values.splitn(parts, ':')
    }

    /// The labels: the name with what no metric name has replaced by underscores, and the tags.
    pub(super) fn labels(&self) -> Labels {
        let mut pairs: Vec<(String, &str)> = Vec::new();
        for tag in self.tags.split(',').filter(|tag| !tag.is_empty()) {
            let (name, value) = tag.split_once(':').unwrap_or((tag, "true"));
            pairs.push((classic(name, false), value));
        }
        let name = classic(self.name, true);
        let pairs = pairs.iter().map(|(n, v)| (n.as_str(), *v)).filter(|(n, _)| *n != METRIC_NAME);
        Labels::from_pairs(pairs.chain([(METRIC_NAME, name.as_str())]))
    }
}

/// A name in the classic characters.
fn classic(name: &str, metric: bool) -> String {
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '_' || (metric && c == ':');
    let name: String = name.chars().map(|c| if valid(c) { c } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

pub(super) fn parse(line: &str) -> Option<Event<'_>> {
    let mut parts = line.split('|');
    let (name, values) = parts.next()?.split_once(':')?;
    if name.is_empty() || values.is_empty() {
        return None;
    }
    let signed = values.starts_with(['+', '-']);
    let kind = match parts.next()? {
        "c" => Kind::Counter,
        "g" if signed => Kind::GaugeChange,
        "g" => Kind::Gauge,
        "s" => Kind::Set,
        "ms" => Kind::Timer,
        "h" | "d" => Kind::Histogram,
        _ => return None,
    };
    let mut event = Event { name, values, kind, rate: 1.0, tags: "" };
    for part in parts {
        if let Some(rate) = part.strip_prefix('@') {
            event.rate = rate.parse().ok().filter(|r| *r > 0.0 && *r <= 1.0)?;
        } else if let Some(tags) = part.strip_prefix('#') {
            event.tags = tags;
        } else if !part.starts_with(['c', 'T', 'e']) {
            // Container, time and other additions of DogStatsD say nothing about the value.
            return None;
        }
    }
    Some(event)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines() {
        let check = |line: &str, expected: Option<(&str, Kind, &[&str], f64)>| {
            let event = parse(line);
            let found = event.as_ref().map(|e| (e.labels().to_string(), e.kind, e.values().collect::<Vec<_>>(), e.rate));
            assert_eq!(found, expected.map(|(l, k, v, r)| (l.to_owned(), k, v.to_vec(), r)), "{line}");
        };
        check("page.views:1|c", Some(("page_views", Kind::Counter, &["1"], 1.0)));
        check("page.views:2:3|c|@0.1|#env:prod,2xx,a.b:c:d", Some((r#"page_views{_2xx="true", a_b="c:d", env="prod"}"#, Kind::Counter, &["2", "3"], 0.1)));
        check("fuel:0.5|g", Some(("fuel", Kind::Gauge, &["0.5"], 1.0)));
        check("fuel:-2|g", Some(("fuel", Kind::GaugeChange, &["-2"], 1.0)));
        check("fuel:+2|g", Some(("fuel", Kind::GaugeChange, &["+2"], 1.0)));
        check("users:a:b|s", Some(("users", Kind::Set, &["a:b"], 1.0)));
        check("t:320|ms|#x", Some((r#"t{x="true"}"#, Kind::Timer, &["320"], 1.0)));
        check("t:3|d|c:abc|T1656581400", Some(("t", Kind::Histogram, &["3"], 1.0)));
        check("7days:1|h", Some(("_7days", Kind::Histogram, &["1"], 1.0)));
        for bad in ["", "a", "a:1", ":1|c", "a:|c", "a:1|x", "a:1|c|@0", "a:1|c|@2", "a:1|c|@x", "a:1|c|?"] {
            check(bad, None);
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(line in r"[a-z.:|@#,0-9+\-é]{0,60}") {
            if let Some(event) = parse(&line) {
                drop((event.labels(), event.values().count()));
            }
        }
    }
}
