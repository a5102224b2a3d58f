//! Quantiles and fractions of histograms: of classic ones, which are series with a cumulative count per `le` label, and of
//! native ones, whose own part is in `native`.

use hashbrown::{HashMap, HashSet};
use watchfire_model::histogram::Histogram as NativeHistogram;
use watchfire_model::labels::Labels;
use watchfire_model::order::Order as _;

use super::super::annotations::Forced;
use super::super::ast::{Call, Node};
use super::super::functions::text_argument;
use super::super::numbers::{format_short, parse_float};
use super::native::{self, NanObservations};
use super::{Columns, Evaluated, Evaluator, Grid, Names, Numbers, Output};

const BUCKET: &str = "le";
/// Differences between buckets below this relative size are rounding errors of the sums they come from.
const TOLERANCE: f64 = 1e-12;

/// The buckets of one histogram: upper bound and series, ascending.
struct Histogram {
    labels: Labels,
    buckets: Vec<(f64, usize)>,
    /// Steps at which a native histogram has the same labels: then neither counts.
    contested: HashSet<usize>,
}
impl Histogram {
    fn is_present(&self, columns: &Columns, i: usize) -> bool {
        self.buckets.iter().any(|(_, c)| columns.list[*c].at(i).is_some())
    }
}

/// Where in the query things stand that remarks are about.
#[derive(Clone, Copy)]
struct Places<'a> {
    vector: &'a Node,
    monotonicity: usize,
    nan: usize,
}

/// An upper bound with the count of all observations up to it.
#[derive(Clone, Copy)]
struct Bucket {
    bound: f64,
    count: f64,
}

impl Evaluator<'_> {
    /// Puts the series of a vector together by their labels but `le`.
    fn histograms(&mut self, columns: &Columns, node: &Node) -> Vec<Histogram> {
        let mut known: HashMap<Labels, usize> = HashMap::new();
        let mut histograms: Vec<Histogram> = Vec::new();
        for (i, column) in columns.list.iter().enumerate() {
            if column.has_histograms() && !(0..column.values.len()).any(|i| column.at(i).is_some()) {
                continue;
            }
            let le = column.labels.get(BUCKET).unwrap_or("");
            let Some(bound) = parse_float(le) else {
                self.notes.bad_bucket_label(node.start, le, column.labels.metric_name());
                continue;
            };
            let at = *known.entry(column.labels.without(BUCKET)).or_insert_with_key(|labels| {
                histograms.push(Histogram { labels: labels.clone(), buckets: Vec::new(), contested: HashSet::new() });
                histograms.len() - 1
            });
            histograms[at].buckets.push((bound, i));
        }
        for histogram in &mut histograms {
            histogram.buckets.order_by(|a, b| a.0.total_cmp(&b.0));
        }
        histograms
    }

    /// Evaluates something of every histogram at every step: of the buckets of classic ones, and of native ones.
    fn of_histograms(
        &mut self,
        columns: &Columns,
        places: Places<'_>,
        grid: Grid,
        label: impl Fn(&Labels) -> Labels,
        mut compute: impl FnMut(&mut Self, &Labels, usize, &mut Vec<Bucket>) -> f64,
        compute_native: impl Fn(usize, &NativeHistogram) -> (f64, NanObservations),
    ) -> Evaluated<Columns> {
        let mut output = self.no_columns();
        let mut scratch = Vec::new();
        let mut classic = self.histograms(columns, places.vector);
        let metric_name = |labels: &Labels| if columns.names == Names::DroppedAtEnd { labels.metric_name().to_owned() } else { String::new() };
        for column in columns.list.iter().filter(|c| c.has_histograms()) {
            self.budget.check()?;
            let mut rival = classic.iter_mut().find(|h| h.labels == column.labels);
            let values = output.push_absent(label(&column.labels), grid.count)?;
            values.drop_name(columns.names);
            for i in 0..grid.count {
                let Some(histogram) = column.histogram(i) else { continue };
                if let Some(rival) = rival.as_mut().filter(|rival| rival.is_present(columns, i)) {
                    rival.contested.insert(i);
                    self.notes.mixed_classic_and_native(places.vector.start, &metric_name(&column.labels));
                    continue;
                }
                let (value, nan) = compute_native(i, histogram);
                self.notes.nan_observations(places.nan, nan, &metric_name(&column.labels));
                values.put(i, value);
            }
        }
        for histogram in classic {
            self.budget.check()?;
            let column = output.push_absent(label(&histogram.labels), grid.count)?;
            column.drop_name(columns.names);
            for (i, slot) in column.values.iter_mut().enumerate() {
                scratch.clear();
                scratch.extend(histogram.buckets.iter().filter_map(|(bound, c)| columns.list[*c].at(i).map(|count| Bucket { bound: *bound, count })));
                if !scratch.is_empty() && !histogram.contested.contains(&i) {
                    *slot = compute(self, &histogram.labels, i, &mut scratch);
                }
            }
        }
        output.without_empty().merged()
    }

    fn quantiles(&mut self, columns: &Columns, q: &Numbers, places: Places<'_>, grid: Grid, label: impl Fn(&Labels) -> Labels) -> Evaluated<Columns> {
        let of_buckets = |this: &mut Self, labels: &Labels, i: usize, buckets: &mut Vec<Bucket>| {
            let (value, forced) = bucket_quantile(q.at(i), buckets);
            if let Some(forced) = forced {
                let metric = if this.names == Names::DroppedAtEnd { labels.metric_name() } else { "" };
                this.notes.forced_monotonicity(places.monotonicity, metric, Forced { time: (grid.time(i), grid.time(i)), count: 1, ..forced });
            }
            value
        };
        self.of_histograms(columns, places, grid, label, of_buckets, |i, histogram| native::quantile(q.at(i), histogram))
    }

    fn note_quantile(&mut self, q: &Numbers, at: usize) {
        let mut last = None;
        for q in q.each().iter().filter(|q| !(0.0..=1.0).contains(*q)) {
            if last.replace(q.to_bits()) != Some(q.to_bits()) {
                self.notes.invalid_quantile(at, *q);
            }
        }
    }
}

pub(in crate::promql) fn histogram_quantile(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Evaluated<Output> {
    let (q_node, node) = (call.args[0].unwrapped(), call.args[1].unwrapped());
    let q = evaluator.eval_scalar(q_node, grid)?;
    let columns = evaluator.eval_vector(node, grid)?;
    evaluator.note_quantile(&q, q_node.start);
    let places = Places { vector: node, monotonicity: node.start, nan: q_node.start };
    evaluator.quantiles(&columns, &q, places, grid, Labels::clone).map(Output::Vector)
}

/// Several quantiles at once, each with its value in a label.
pub(in crate::promql) fn histogram_quantiles(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Evaluated<Output> {
    let node = call.args[0].unwrapped();
    let name = text_argument(call, 1);
    let columns = evaluator.eval_vector(node, grid)?;
    let mut output = evaluator.no_columns();
    for q_node in call.args.iter().skip(2) {
        let q = evaluator.eval_scalar(q_node, grid)?;
        evaluator.note_quantile(&q, q_node.start);
        // A quantile that changes with the step gets a series for each of its values.
        let mut distinct: Vec<f64> = Vec::new();
        for q in q.each() {
            if !distinct.iter().any(|d| d.to_bits() == q.to_bits()) {
                distinct.push(*q);
            }
        }
        for value in distinct {
            let text = open_metrics_float(value);
            let places = Places { vector: node, monotonicity: call.args[1].start, nan: node.start };
            let mut one = evaluator.quantiles(&columns, &Numbers::Same(value), places, grid, |labels| labels.with(name, &text))?;
            for column in &mut one.list {
                for i in (0..grid.count).filter(|i| q.at(*i).to_bits() != value.to_bits()) {
                    column.put(i, watchfire_model::sample::stale_nan());
                }
            }
            output = output.followed_by(one);
        }
    }
    output.without_empty().merged().map(Output::Vector)
}

pub(in crate::promql) fn histogram_fraction(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Evaluated<Output> {
    let lower = evaluator.eval_scalar(&call.args[0], grid)?;
    let upper = evaluator.eval_scalar(&call.args[1], grid)?;
    let node = call.args[2].unwrapped();
    let columns = evaluator.eval_vector(node, grid)?;
    let places = Places { vector: node, monotonicity: node.start, nan: call.args[0].unwrapped().start };
    let of_buckets = |_: &mut Evaluator<'_>, _: &Labels, i: usize, buckets: &mut Vec<Bucket>| bucket_fraction(lower.at(i), upper.at(i), buckets);
    let of_native = |i: usize, histogram: &NativeHistogram| native::fraction(lower.at(i), upper.at(i), histogram);
    evaluator.of_histograms(&columns, places, grid, Labels::clone, of_buckets, of_native).map(Output::Vector)
}

/// A number as OpenMetrics writes it in labels: always with a point or an exponent.
fn open_metrics_float(value: f64) -> String {
    let text = format_short(value);
    if value.is_finite() && !text.contains(['.', 'e']) { format!("{text}.0") } else { text }
}

/// Adds up buckets with one bound.
fn coalesce(buckets: &mut Vec<Bucket>) {
    buckets.dedup_by(|next, kept| {
        let same = next.bound == kept.bound;
        if same {
            kept.count += next.count;
        }
        same
    });
}

/// Makes counts ascend: tiny differences are rounding and vanish silently, real decreases are reported.
fn make_monotonic(buckets: &mut [Bucket]) -> Option<Forced> {
    let mut forced: Option<Forced> = None;
    let mut before = buckets.first()?.count;
    for bucket in buckets.iter_mut().skip(1) {
        if bucket.count == before {
            continue;
        }
        if almost_equal(before, bucket.count) {
            bucket.count = before;
        } else if bucket.count < before {
            let known = forced.get_or_insert(Forced { time: (0, 0), bucket: (bucket.bound, bucket.bound), diff: 0.0, count: 1 });
            known.bucket = (known.bucket.0.min(bucket.bound), known.bucket.1.max(bucket.bound));
            known.diff = known.diff.max(before - bucket.count);
            bucket.count = before;
        } else {
            before = bucket.count;
        }
    }
    forced
}

fn almost_equal(a: f64, b: f64) -> bool {
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < TOLERANCE
}

/// The φ-quantile, interpolated linearly within its bucket. The lowest bucket begins at 0 when its bound is positive.
fn bucket_quantile(q: f64, buckets: &mut Vec<Bucket>) -> (f64, Option<Forced>) {
    if q.is_nan() {
        return (f64::NAN, None);
    }
    if !(0.0..=1.0).contains(&q) {
        return (if q < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY }, None);
    }
    if buckets.last().is_none_or(|b| b.bound != f64::INFINITY) {
        return (f64::NAN, None);
    }
    coalesce(buckets);
    let forced = make_monotonic(buckets);
    let last = buckets.len() - 1;
    let observations = buckets[last].count;
    if last == 0 || observations == 0.0 {
        return (f64::NAN, None);
    }
    let rank = q * observations;
    let b = buckets[..last].iter().position(|b| b.count >= rank).unwrap_or(last);
    let value = if b == last {
        buckets[last - 1].bound
    } else if b == 0 && buckets[0].bound <= 0.0 {
        buckets[0].bound
    } else {
        let below = if b > 0 { buckets[b - 1] } else { Bucket { bound: 0.0, count: 0.0 } };
        below.bound + (buckets[b].bound - below.bound) * ((rank - below.count) / (buckets[b].count - below.count))
    };
    (value, forced)
}

/// The share of observations between two values, interpolated like the quantile.
fn bucket_fraction(lower: f64, upper: f64, buckets: &mut Vec<Bucket>) -> f64 {
    if buckets.last().is_none_or(|b| b.bound != f64::INFINITY) {
        return f64::NAN;
    }
    coalesce(buckets);
    let count = buckets.last().map_or(0.0, |b| b.count);
    if count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    (rank_of(upper, buckets, count) - rank_of(lower, buckets, count)) / count
}

/// How many observations lie below a value.
fn rank_of(value: f64, buckets: &[Bucket], count: f64) -> f64 {
    let mut rank = 0.0;
    let mut low = if buckets.first().is_some_and(|b| b.bound <= 0.0) { f64::NEG_INFINITY } else { 0.0 };
    for bucket in buckets {
        if low >= value {
            break;
        }
        if bucket.bound > value {
            // A bucket without a lower end cannot be divided, so all of it counts.
            rank += (bucket.count - rank) * if low.is_finite() { (value - low) / (bucket.bound - low) } else { 1.0 };
            break;
        }
        rank = bucket.count;
        low = bucket.bound;
    }
    if rank > count { count } else { rank }
}
