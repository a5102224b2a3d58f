//! What becomes of a trace: the policies, and what they need to know of its spans. Policies look at a whole trace, as far as it is there.

use std::time::Duration;

use watchfire_model::spans::{SpanId, SpanRow, StatusCode, TraceId};

/// Attributes that hold the path of a request.
const PATHS: [&str; 3] = ["http.route", "url.path", "http.target"];
/// In the flags of a context: the head sampled it; whether the flags are known at all.
const FLAG_SAMPLED: u32 = 1;
const FLAGS_KNOWN: u32 = 0x100;
/// Randomness and thresholds of consistent sampling have so many bits.
const RANDOM_BITS: u32 = 56;
const RANDOM_ALL: u64 = 1 << RANDOM_BITS;

/// Which traces are kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Policies {
    /// Keep traces in which a span failed.
    pub errors: bool,
    /// Keep traces that took at least so long.
    pub latency: Option<Duration>,
    /// Drop traces that begin with a request for one of these paths; `*` stands for anything.
    pub drop_endpoints: Vec<String>,
    /// Keep this share of all others.
    pub rate: f64,
    /// And of these at most so many a second.
    pub traces_per_second: Option<f64>,
}
impl Default for Policies {
    fn default() -> Policies {
        Policies { errors: true, latency: None, drop_endpoints: Vec::new(), rate: 1.0, traces_per_second: None }
    }
}

/// What became of a trace, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A span of it failed.
    Errors,
    /// It took long.
    Latency,
    /// It is in the share that is kept.
    Rate,
    /// It began with a request for a path that is not wanted.
    Endpoint,
    /// It is not in the share that is kept.
    NotInRate,
    /// There were too many in this second.
    TooMany,
}

impl Verdict {
    pub(super) const ALL: [Verdict; 6] = [Verdict::Errors, Verdict::Latency, Verdict::Rate, Verdict::Endpoint, Verdict::NotInRate, Verdict::TooMany];

    pub(super) fn keeps(self) -> bool {
        matches!(self, Verdict::Errors | Verdict::Latency | Verdict::Rate)
    }
    /// The labels `decision` and `policy` of our counters.
    pub(super) fn names(self) -> (&'static str, &'static str) {
        let policy = match self {
            Verdict::Errors => "errors",
            Verdict::Latency => "latency",
            Verdict::Rate | Verdict::NotInRate => "rate",
            Verdict::Endpoint => "drop_endpoints",
            Verdict::TooMany => "traces_per_second",
        };
        (if self.keeps() { "kept" } else { "dropped" }, policy)
    }
}

/// What is known of a trace that waits.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    failed: bool,
    first: Option<i64>,
    last: i64,
    /// Its spans with their parents, and whether the path of each is one that is not wanted.
    tops: Vec<(SpanId, Option<SpanId>, bool)>,
    /// The head decided not to sample it, and yet it is here.
    unsampled: bool,
    /// The state of its context, where the head says at which rate it sampled.
    consistent: Option<(u64, u64)>,
}

impl Seen {
    /// Adds a span; a span that is there already is not added.
    pub(super) fn add(&mut self, span: &SpanRow<'_>, policies: &Policies) -> bool {
        let (id, parent) = (span.span(), span.parent());
        if self.tops.iter().any(|(known, ..)| *known == id) {
            return false;
        }
        self.failed |= span.status() == StatusCode::Error;
        let (start, end) = (span.start().0, span.end().0);
        self.first = Some(self.first.map_or(start, |first| first.min(start)));
        self.last = if self.tops.is_empty() { end } else { self.last.max(end) };
        let flags = span.flags();
        self.unsampled |= flags & FLAGS_KNOWN != 0 && flags & FLAG_SAMPLED == 0;
        if self.consistent.is_none() {
            self.consistent = consistent(span.state(), span.trace());
        }
        self.tops.push((id, parent, is_unwanted(span, &policies.drop_endpoints)));
        true
    }

    /// Whether it begins with what is not wanted: all spans without a parent here do.
    fn is_unwanted(&self) -> bool {
        let here = |id: &SpanId| self.tops.iter().any(|(known, ..)| known == id);
        let mut tops = self.tops.iter().filter(|(_, parent, _)| !parent.as_ref().is_some_and(here)).peekable();
        tops.peek().is_some() && tops.all(|(.., unwanted)| *unwanted)
    }

    /// What the policies say; the limit per second is looked at by who keeps the time.
    pub(super) fn judge(&self, trace: TraceId, policies: &Policies) -> Verdict {
        let took = Duration::from_nanos(self.first.map_or(0, |first| self.last.saturating_sub(first)).max(0).unsigned_abs());
        if policies.errors && self.failed {
            return Verdict::Errors;
        }
        if !policies.drop_endpoints.is_empty() && self.is_unwanted() {
            return Verdict::Endpoint;
        }
        if policies.latency.is_some_and(|least| took >= least) {
            return Verdict::Latency;
        }
        if !self.unsampled && in_rate(trace, self.consistent, policies.rate) { Verdict::Rate } else { Verdict::NotInRate }
    }
}

/// Whether a trace is in the share that is kept. Every server decides alike. Where the head sampled consistently, its share is not
/// sampled down again, as far as ours is not smaller.
fn in_rate(trace: TraceId, consistent: Option<(u64, u64)>, rate: f64) -> bool {
    if rate <= 0.0 || rate.is_nan() {
        return false;
    }
    let threshold = ((1.0 - rate.min(1.0)) * RANDOM_ALL as f64) as u64;
    match consistent {
        Some((random, of_head)) => random >= threshold || of_head >= threshold,
        None => mixed(trace) >> (u64::BITS - RANDOM_BITS) >= threshold,
    }
}

/// All bits of an id in each bit of a number: not all ids are random.
fn mixed(trace: TraceId) -> u64 {
    let word = u128::from_be_bytes(trace.0);
    let mut x = (word as u64) ^ ((word >> 64) as u64).rotate_left(32);
    for factor in [0xbf58_476d_1ce4_e5b9_u64, 0x94d0_49bb_1331_11eb] {
        x = (x ^ (x >> 30)).wrapping_mul(factor);
    }
    x ^ (x >> 31)
}

/// Randomness and threshold of a head that sampled consistently, from the member `ot` of the context's state.
fn consistent(state: &str, trace: TraceId) -> Option<(u64, u64)> {
    let member = state.split(',').find_map(|member| member.trim().strip_prefix("ot="))?;
    let value = |name: &str| member.split(';').find_map(|pair| pair.strip_prefix(name)?.strip_prefix(':'));
    let threshold = value("th").filter(|digits| (1..=14).contains(&digits.len()))?;
    let threshold = u64::from_str_radix(&format!("{threshold:0<14}"), 16).ok()?;
    let random = match value("rv").filter(|digits| digits.len() == 14) {
        Some(digits) => u64::from_str_radix(digits, 16).ok()?,
        None => (u128::from_be_bytes(trace.0) as u64) & (RANDOM_ALL - 1),
    };
    Some((random, threshold))
}

/// Whether a span is a request for one of some paths.
fn is_unwanted(span: &SpanRow<'_>, patterns: &[String]) -> bool {
    if patterns.is_empty() {
        return false;
    }
    let wanted = |path: &str| patterns.iter().any(|pattern| matches(pattern.as_bytes(), path.as_bytes()));
    let of_attributes = PATHS.iter().any(|name| {
        span.attribute(name).is_some_and(|value| {
            let text = value.as_text();
            wanted(text.split('?').next().unwrap_or(&text))
        })
    });
    // Names of spans are `GET /path`, or the path alone.
    of_attributes || span.name().split(' ').any(|word| word.starts_with('/') && wanted(word))
}

/// Whether a pattern with `*` fits a text.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where the last `*` stands, and what it stands for so far.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match (pattern.get(p), &mut star) {
            (Some(b'*'), _) => {
                star = Some((p, t));
                p += 1;
            }
            (Some(byte), _) if *byte == text[t] => (p, t) = (p + 1, t + 1),
            (_, Some((at, end))) => {
                *end += 1;
                (p, t) = (*at + 1, *end);
            }
            (_, None) => return false,
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, fits) in [
            ("/health", "/health", true),
            ("/health", "/healthz", false),
            ("/health*", "/healthz/x", true),
            ("*/ready", "/a/ready/ready", true),
            ("*/ready", "/a/ready/", false),
            ("/a*b*c", "/a-bb-c", true),
            ("*", "", true),
            ("", "/", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn heads_that_sample_consistently_are_understood() {
        let trace = TraceId([0xff; 16]);
        assert_eq!(consistent("a=b, ot=th:8", trace), Some((RANDOM_ALL - 1, RANDOM_ALL / 2)));
        assert_eq!(consistent("ot=rv:00000000000001;th:c;p:3", trace), Some((1, RANDOM_ALL / 4 * 3)));
        for none in ["", "ot=p:8", "ot=th:", "ot=th:xyz", "ot=th:0123456789abcdef"] {
            assert_eq!(consistent(none, trace), None, "{none}");
        }
        // A quarter was sampled by the head: of a half nothing more is dropped, of a tenth what is above the higher threshold stays.
        let quarter = RANDOM_ALL / 4 * 3;
        assert!(in_rate(trace, Some((quarter, quarter)), 0.5));
        assert!(!in_rate(trace, Some((quarter, quarter)), 0.1));
        assert!(in_rate(trace, Some((RANDOM_ALL - 1, quarter)), 0.1));
    }
}
