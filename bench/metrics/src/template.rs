//! What one instance exposes: real scrapes, recorded several times, and how each series moves. Not the instances themselves.
//!
//! A recording is text: `# TYPE name kind` lines, and for each series its text and the values of all scrapes.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};

/// The scrapes that are kept in the repository.
pub(crate) const RECORDING: &str = include_str!("../fixtures/recording.txt");

/// How a series gets its next value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Motion {
    /// Its value never moved.
    Constant(f64),
    /// It grows: by `rate` a second on average.
    Counter { base: f64, rate: f64, scale: f64 },
    /// It wanders around `mean`, changing in a part of the scrapes.
    Gauge { mean: f64, deviation: f64, changes: f64, scale: f64, negative: bool },
    /// One bucket: the bucket before it (if any) plus its own count.
    Bucket { base: f64, rate: f64, first: bool },
    /// The value of another series: a histogram's count is its last bucket.
    Same(usize),
}

/// One series of every instance.
#[derive(Debug)]
pub(crate) struct Series {
    /// Name first, then the others in order; without `instance`.
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) motion: Motion,
}

/// Everything that one instance exposes, in the order in which values are computed.
#[derive(Debug)]
pub(crate) struct Template {
    pub(crate) series: Vec<Series>,
}

struct Recorded {
    labels: Vec<(String, String)>,
    texts: Vec<String>,
    values: Vec<f64>,
}

impl Recorded {
    fn label(&self, name: &str) -> &str {
        self.labels.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }
    fn scale(&self) -> f64 {
        10f64.powi(self.texts.iter().map(|t| decimals(t)).max().unwrap_or(0))
    }
    fn moved(&self) -> f64 {
        let changes = self.values.windows(2).filter(|w| w[0].to_bits() != w[1].to_bits()).count();
        changes as f64 / (self.values.len() - 1) as f64
    }
    fn grown_per_s(&self, span_s: f64) -> f64 {
        (self.values[self.values.len() - 1] - self.values[0]).max(0.0) / span_s
    }
}

/// How many decimal places a number is written with.
fn decimals(text: &str) -> i32 {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let places = mantissa.split_once('.').map_or(0, |(_, after)| after.len() as i32);
    (places - exponent.parse::<i32>().unwrap_or(0)).clamp(0, 15)
}

/// Splits `name{a="b",...}` into pairs.
pub(crate) fn parse_series(text: &str) -> Result<Vec<(String, String)>> {
    let (name, rest) = text.split_once('{').unwrap_or((text, "}"));
    let mut pairs = vec![("__name__".to_owned(), name.to_owned())];
    let mut rest = rest;
    while let Some((label, after)) = rest.split_once("=\"") {
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next() {
                Some((_, '\\')) => match chars.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, c)) => value.push(c),
                    None => bail!("cannot read the labels of {text}"),
                },
                Some((at, '"')) => break at,
                Some((_, c)) => value.push(c),
                None => bail!("cannot read the labels of {text}"),
            }
        };
        if !value.is_empty() {
            pairs.push((label.trim_start_matches([',', ' ']).to_owned(), value));
        }
        rest = after.get(end + 1..).unwrap_or("");
    }
    Ok(pairs)
}

impl Template {
    /// Reads a recording. Buckets must stand in ascending order, as exporters write them.
    pub(crate) fn parse(text: &str) -> Result<Template> {
        let mut types = BTreeMap::new();
        let mut span_s = 0.0;
        let mut recorded = Vec::new();
        for line in text.lines().filter(|l| !l.is_empty()) {
            if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').with_context(|| format!("cannot read {line}"))?;
                types.insert(name.to_owned(), kind.to_owned());
            } else if let Some(span) = line.strip_prefix("# span_s ") {
                span_s = span.parse().with_context(|| format!("cannot read {line}"))?;
            } else if !line.starts_with('#') {
                let (series, values) = line.split_once('\t').with_context(|| format!("cannot read {line}"))?;
                let texts: Vec<String> = values.split(' ').map(str::to_owned).collect();
                let values = texts.iter().map(|t| t.parse().with_context(|| format!("cannot read {t} in {line}"))).collect::<Result<Vec<f64>>>()?;
                ensure!(values.len() > 1, "one scrape is not enough: {line}");
                recorded.push(Recorded { labels: parse_series(series)?, texts, values });
            }
        }
        ensure!(span_s > 0.0, "the recording does not say how long it took (# span_s)");
        let motions = (0..recorded.len()).map(|i| motion(&recorded, i, &types, span_s)).collect::<Vec<_>>();
        let series = recorded.into_iter().zip(motions).map(|(r, motion)| {
            let mut labels = r.labels;
            labels.sort();
            Series { labels, motion }
        });
        Ok(Template { series: series.collect() })
    }
}

fn motion(recorded: &[Recorded], at: usize, types: &BTreeMap<String, String>, span_s: f64) -> Motion {
    let this = &recorded[at];
    let name = this.label("__name__");
    let family = ["_bucket", "_count", "_sum"].iter().find_map(|s| name.strip_suffix(s));
    let kind_of = |name: &str| types.get(name).map_or("", String::as_str);
    let rate = this.grown_per_s(span_s);
    if let Some(family) = family.filter(|f| kind_of(f) == "histogram") {
        let group = |r: &Recorded| r.labels.iter().filter(|(n, _)| n != "le" && n != "__name__").cloned().collect::<Vec<_>>();
        let bucket = format!("{family}_bucket");
        if name == bucket {
            let before = at.checked_sub(1).map(|i| &recorded[i]).filter(|b| b.label("__name__") == name && group(b) == group(this));
            let (base, below) = before.map_or((0.0, 0.0), |b| (b.values[0], b.grown_per_s(span_s)));
            return Motion::Bucket { base: this.values[0] - base, rate: (rate - below).max(0.0), first: before.is_none() };
        }
        let last = recorded.iter().rposition(|r| r.label("__name__") == bucket && group(r) == group(this));
        if let (true, Some(last)) = (name.ends_with("_count"), last) {
            return Motion::Same(last);
        }
        return counter(this, rate);
    }
    if kind_of(name) == "counter" || family.is_some_and(|f| kind_of(f) == "summary") {
        return counter(this, rate);
    }
    let mean = this.values.iter().sum::<f64>() / this.values.len() as f64;
    let deviation = (this.values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / this.values.len() as f64).sqrt();
    if this.moved() == 0.0 || !deviation.is_finite() {
        return Motion::Constant(this.values[0]);
    }
    Motion::Gauge { mean, deviation, changes: this.moved(), scale: this.scale(), negative: this.values.iter().any(|v| *v < 0.0) }
}

fn counter(this: &Recorded, rate: f64) -> Motion {
    if rate == 0.0 { Motion::Constant(this.values[0]) } else { Motion::Counter { base: this.values[0], rate, scale: this.scale() } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recording_is_the_workload_that_it_says() {
        let template = Template::parse(RECORDING).unwrap();
        assert_eq!(template.series.len(), 1_000);
        let count = |f: &dyn Fn(&Motion) -> bool| template.series.iter().filter(|s| f(&s.motion)).count();
        assert!(count(&|m| matches!(m, Motion::Bucket { .. })) >= 150);
        assert!(count(&|m| matches!(m, Motion::Counter { .. })) >= 100);
        assert!(count(&|m| matches!(m, Motion::Gauge { .. })) >= 60);
        let mut all: Vec<_> = template.series.iter().map(|s| &s.labels).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 1_000, "a series stands twice");
    }

    #[test]
    fn motions_follow_types_and_values() {
        let text = "# span_s 10\n# TYPE h histogram\nh_bucket{le=\"1\"}\t1 3\nh_bucket{le=\"+Inf\"}\t2 6\nh_sum\t1.5 2.5\nh_count\t2 6\n# TYPE c counter\nc{a=\"x\\\"y\"}\t7 7\ng\t1.25e-2 3\n";
        let template = Template::parse(text).unwrap();
        let motions: Vec<_> = template.series.iter().map(|s| s.motion.clone()).collect();
        assert_eq!(motions[0], Motion::Bucket { base: 1.0, rate: 0.2, first: true });
        assert_eq!(motions[1], Motion::Bucket { base: 1.0, rate: 0.2, first: false });
        assert_eq!(motions[2], Motion::Counter { base: 1.5, rate: 0.1, scale: 10.0 });
        assert_eq!(motions[3], Motion::Same(1));
        assert_eq!(motions[4], Motion::Constant(7.0));
        assert!(matches!(motions[5], Motion::Gauge { scale: 10_000.0, negative: false, .. }));
        assert_eq!(template.series[4].labels[1], ("a".to_owned(), "x\"y".to_owned()));
    }
}
