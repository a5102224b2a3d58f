//! A synthetic fleet for the measurements: series with realistic labels and values. Not a generator for tests of correctness.

use watchfire_model::labels::Labels;

/// A xorshift generator, so that every run writes the same data.
pub(crate) struct Random(pub(crate) u64);
impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The mixture of a node exporter beside an application: 27 % constants, 19 % moving gauges, the rest counters, 40 % of which move.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Constant,
    Gauge(f64),
    Counter(f64),
    Seconds(f64),
}

/// So many series, as targets of up to 1,000 series each.
pub(crate) fn fleet(series_total: usize) -> Vec<Vec<(Labels, Kind, f64)>> {
    let mut random = Random(42);
    let series = |instance: usize, i: usize, random: &mut Random| {
        let name = format!("node_metric_{}_total", i / 8);
        let labels = Labels::from_pairs([
            ("__name__", name.as_str()),
            ("device", &format!("device{}", i % 8)),
            ("instance", &format!("host-{instance:02}.example.net:9100")),
            ("job", "node"),
            ("environment", "production"),
        ]);
        let (kind, value) = match i % 100 {
            0..27 => (Kind::Constant, (random.next() % 1_000_000) as f64),
            27..40 => (Kind::Gauge(4096.0), (random.next() % 1_000_000) as f64 * 4096.0),
            40..46 => (Kind::Gauge(0.01), random.unit() * 100.0),
            46..79 => (Kind::Counter(0.0), (random.next() % 100_000) as f64),
            79..94 => (Kind::Counter(random.unit() * 300.0), (random.next() % 100_000_000) as f64),
            94..98 => (Kind::Counter(random.unit() * 2_000_000.0), (random.next() % 100_000_000_000) as f64),
            _ => (Kind::Seconds(random.unit() * 0.1), random.unit() * 1000.0),
        };
        (labels, kind, value)
    };
    let targets = series_total.div_ceil(1000);
    (0..targets).map(|n| (0..(series_total - n * 1000).min(1000)).map(|i| series(n, i, &mut random)).collect()).collect()
}

/// The next value of a series.
pub(crate) fn advance(kind: Kind, value: &mut f64, random: &mut Random) {
    match kind {
        Kind::Constant => {}
        Kind::Gauge(unit) => *value = (((*value / unit) + (random.unit() * 21.0).floor() - 10.0).max(0.0) * unit * 1e6).round() / 1e6,
        Kind::Counter(rate) => *value += (rate * (0.5 + random.unit())).floor(),
        Kind::Seconds(rate) => *value += rate * random.unit(),
    }
}
