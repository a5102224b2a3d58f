//! Classic histograms: series with a cumulative count per `le` label. Native histograms will join here.

use hashbrown::HashMap;
use watchfire_model::labels::Labels;

use super::super::annotations::Forced;
use super::super::ast::{Call, Node};
use super::super::functions::text_argument;
use super::super::numbers::{format_short, parse_float};
use super::{Columns, Evaluated, Evaluator, Grid, Names, Numbers, Output};

const BUCKET: &str = "le";
/// Differences between buckets below this relative size are rounding errors of the sums they come from.
const TOLERANCE: f64 = 1e-12;

/// The buckets of one histogram: upper bound and series, ascending.
struct Histogram {
    labels: Labels,
    buckets: Vec<(f64, usize)>,
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
            let le = column.labels.get(BUCKET).unwrap_or("");
            let Some(bound) = parse_float(le) else {
                self.notes.bad_bucket_label(node.start, le, column.labels.metric_name());
                continue;
            };
            let at = *known.entry(column.labels.without(BUCKET)).or_insert_with_key(|labels| {
                histograms.push(Histogram { labels: labels.clone(), buckets: Vec::new() });
                histograms.len() - 1
            });
            histograms[at].buckets.push((bound, i));
        }
        for histogram in &mut histograms {
            histogram.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        histograms
    }

    /// Evaluates something of every histogram's buckets at every step.
    fn of_buckets(
        &mut self,
        columns: &Columns,
        node: &Node,
        grid: Grid,
        label: impl Fn(&Labels) -> Labels,
        mut compute: impl FnMut(&mut Self, &Labels, usize, &mut Vec<Bucket>) -> f64,
    ) -> Evaluated<Columns> {
        let mut output = self.no_columns();
        let mut scratch = Vec::new();
        for histogram in self.histograms(columns, node) {
            self.budget.check()?;
            let column = output.push_absent(label(&histogram.labels), grid.count)?;
            column.drop_name(columns.names);
            for (i, slot) in column.values.iter_mut().enumerate() {
                scratch.clear();
                scratch.extend(histogram.buckets.iter().filter_map(|(bound, c)| columns.list[*c].at(i).map(|count| Bucket { bound: *bound, count })));
                if !scratch.is_empty() {
                    *slot = compute(self, &histogram.labels, i, &mut scratch);
                }
            }
        }
        output.without_empty().merged()
    }

    fn quantiles(&mut self, columns: &Columns, q: &Numbers, node: &Node, noted: usize, grid: Grid, label: impl Fn(&Labels) -> Labels) -> Evaluated<Columns> {
        self.of_buckets(columns, node, grid, label, |this, labels, i, buckets| {
            let (value, forced) = bucket_quantile(q.at(i), buckets);
            if let Some(forced) = forced {
                let metric = if this.names == Names::DroppedAtEnd { labels.metric_name() } else { "" };
                this.notes.forced_monotonicity(noted, metric, Forced { time: (grid.time(i), grid.time(i)), count: 1, ..forced });
            }
            value
        })
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
    evaluator.quantiles(&columns, &q, node, node.start, grid, Labels::clone).map(Output::Vector)
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
            let mut one = evaluator.quantiles(&columns, &Numbers::Same(value), node, call.args[1].start, grid, |labels| labels.with(name, &text))?;
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
    evaluator.of_buckets(&columns, node, grid, Labels::clone, |_, _, i, buckets| bucket_fraction(lower.at(i), upper.at(i), buckets)).map(Output::Vector)
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
