//! The native histograms of one chunk to bytes and back, bit for bit: layouts once, then one column per bucket, each packed as
//! a chunk's float values are. A bucket's column holds a value for each histogram whose layout has the bucket.

use std::sync::Arc;

use watchfire_model::histogram::{Histogram, Span};

use super::values::{self, Scratch};
use crate::encoding::{Input, put_varint};
use crate::metrics::histogram::{indexes, put_layout, read_layout, reset_code, reset_of, same_layout};

/// The kind of values that says "native histograms".
pub(super) const KIND: u8 = 4;

/// The total of each histogram is the sum of its buckets.
const TOTAL_OF_BUCKETS: u8 = 0;
/// The totals are a column of their own.
const TOTAL_COLUMN: u8 = 1;
/// No chunk has more values in all columns, so that a damaged count cannot ask for memory.
const CELLS_MAX: usize = 1 << 24;

/// The total as the buckets tell it.
fn total(h: &Histogram) -> f64 {
    // Not `sum`, which begins with minus zero in some versions of Rust: this is part of the format.
    let side = |buckets: &[f64]| buckets.iter().fold(0.0, |sum, count| sum + count);
    h.zero_count + side(&h.positive_buckets) + side(&h.negative_buckets)
}

/// The indexes of all buckets that occur, ascending.
fn all_indexes<'a>(spans: impl Iterator<Item = &'a [Span]>) -> Vec<i64> {
    let mut all: Vec<i64> = spans.flat_map(indexes).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// For each bucket of a layout the number of its column.
fn columns_of(spans: &[Span], all: &[i64]) -> Option<Vec<usize>> {
    indexes(spans).map(|index| all.binary_search(&index).ok()).collect()
}

/// Appends the values of a chunk.
pub(super) fn encode(out: &mut Vec<u8>, samples: &[(i64, Arc<Histogram>)], scratch: &mut Scratch) {
    let mut layouts: Vec<&Histogram> = Vec::new();
    let mut which: Vec<usize> = Vec::with_capacity(samples.len());
    for (_, h) in samples {
        let last = which.last().copied().filter(|at| same_layout(layouts[*at], h));
        let at = last.or_else(|| layouts.iter().position(|l| same_layout(l, h))).unwrap_or(layouts.len());
        if at == layouts.len() {
            layouts.push(h);
        }
        which.push(at);
    }
    out.push(KIND);
    put_varint(out, layouts.len() as u64);
    layouts.iter().for_each(|layout| put_layout(out, layout));
    put_runs(out, samples, &which);
    let mut column = |out: &mut Vec<u8>, of: &dyn Fn(&Histogram) -> f64| {
        let bits: Vec<u64> = samples.iter().map(|(_, h)| of(h).to_bits()).collect();
        values::encode(out, &bits, scratch);
    };
    column(out, &|h| h.zero_count);
    if samples.iter().all(|(_, h)| total(h).to_bits() == h.count.to_bits()) {
        out.push(TOTAL_OF_BUCKETS);
    } else {
        out.push(TOTAL_COLUMN);
        column(out, &|h| h.count);
    }
    column(out, &|h| h.sum);
    put_buckets(out, samples, &layouts, &which, (|h| &h.positive_spans, |h| &h.positive_buckets), scratch);
    put_buckets(out, samples, &layouts, &which, (|h| &h.negative_spans, |h| &h.negative_buckets), scratch);
}

/// Runs of samples with one layout and the same knowledge of a reset.
fn put_runs(out: &mut Vec<u8>, samples: &[(i64, Arc<Histogram>)], which: &[usize]) {
    let mut runs: Vec<(u64, usize, u8)> = Vec::new();
    for ((_, h), layout) in samples.iter().zip(which) {
        let reset = reset_code(h.reset);
        match runs.last_mut() {
            Some((len, l, r)) if l == layout && *r == reset => *len += 1,
            _ => runs.push((1, *layout, reset)),
        }
    }
    put_varint(out, runs.len() as u64);
    for (len, layout, reset) in runs {
        put_varint(out, len);
        put_varint(out, (layout as u64) << 2 | u64::from(reset));
    }
}

type Side = (fn(&Histogram) -> &Vec<Span>, fn(&Histogram) -> &Vec<f64>);

fn put_buckets(out: &mut Vec<u8>, samples: &[(i64, Arc<Histogram>)], layouts: &[&Histogram], which: &[usize], side: Side, scratch: &mut Scratch) {
    let all = all_indexes(layouts.iter().map(|l| side.0(l).as_slice()));
    let places: Vec<Vec<usize>> = layouts.iter().map(|l| columns_of(side.0(l), &all).unwrap_or_default()).collect();
    let mut columns: Vec<Vec<u64>> = vec![Vec::new(); all.len()];
    for ((_, h), layout) in samples.iter().zip(which) {
        for (count, at) in side.1(h).iter().zip(&places[*layout]) {
            columns[*at].push(count.to_bits());
        }
    }
    columns.iter().for_each(|column| values::encode(out, column, scratch));
}

/// Reads the histograms from `from` to before `to` of a chunk of `count`; the kind has been read. `None` on nonsense.
pub(super) fn decode(input: &mut Input<'_>, count: usize, from: usize, to: usize, scratch: &mut Scratch) -> Option<Vec<Arc<Histogram>>> {
    let layout_count = input.size()?;
    if layout_count > input.remaining() {
        return None;
    }
    let layouts: Vec<Histogram> = (0..layout_count).map(|_| read_layout(input)).collect::<Option<_>>()?;
    let runs = read_runs(input, count, layouts.len())?;
    let mut found: Vec<Histogram> = Vec::with_capacity(to.saturating_sub(from));
    let mut place = 0;
    for (len, layout, reset) in &runs {
        for _ in 0..*len {
            if (from..to).contains(&place) {
                found.push(Histogram { reset: reset_of(*reset), ..layouts.get(*layout)?.clone() });
            }
            place += 1;
        }
    }
    let mut bits = Vec::new();
    let mut column = |input: &mut Input<'_>, found: &mut [Histogram], set: &dyn Fn(&mut Histogram, f64)| {
        values::decode(input, count, &mut bits, scratch)?;
        found.iter_mut().zip(bits.get(from..to)?).for_each(|(h, bits)| set(h, f64::from_bits(*bits)));
        Some(())
    };
    column(input, &mut found, &|h, value| h.zero_count = value)?;
    let own_totals = match input.u8()? {
        TOTAL_OF_BUCKETS => false,
        TOTAL_COLUMN => true,
        _ => return None,
    };
    if own_totals {
        column(input, &mut found, &|h, value| h.count = value)?;
    }
    column(input, &mut found, &|h, value| h.sum = value)?;
    let places = Places { count, from, to, layouts: &layouts, runs: &runs };
    places.buckets(input, &mut found, (|h| &h.positive_spans, |h| &mut h.positive_buckets), scratch)?;
    places.buckets(input, &mut found, (|h| &h.negative_spans, |h| &mut h.negative_buckets), scratch)?;
    if !own_totals {
        found.iter_mut().for_each(|h| h.count = total(h));
    }
    Some(found.into_iter().map(Arc::new).collect())
}

/// Lengths, layouts and knowledge of a reset of all runs.
fn read_runs(input: &mut Input<'_>, count: usize, layouts: usize) -> Option<Vec<(usize, usize, u8)>> {
    let run_count = input.size()?;
    if run_count > count {
        return None;
    }
    let mut runs = Vec::with_capacity(run_count);
    let mut left = count;
    for _ in 0..run_count {
        let len = input.size()?;
        let what = input.size()?;
        left = left.checked_sub(len)?;
        let layout = what >> 2;
        if layout >= layouts {
            return None;
        }
        runs.push((len, layout, (what & 3) as u8));
    }
    (left == 0).then_some(runs)
}

/// Where histograms stand in a chunk.
struct Places<'a> {
    count: usize,
    from: usize,
    to: usize,
    layouts: &'a [Histogram],
    runs: &'a [(usize, usize, u8)],
}

type SideMut = (fn(&Histogram) -> &Vec<Span>, fn(&mut Histogram) -> &mut Vec<f64>);

impl Places<'_> {
    fn buckets(&self, input: &mut Input<'_>, found: &mut [Histogram], side: SideMut, scratch: &mut Scratch) -> Option<()> {
        let all = all_indexes(self.layouts.iter().map(|l| side.0(l).as_slice()));
        if all.len().checked_mul(self.count.max(self.layouts.len()))? > CELLS_MAX {
            return None;
        }
        // For each column and layout the place of the bucket within the layout.
        let mut within: Vec<Vec<Option<usize>>> = vec![vec![None; self.layouts.len()]; all.len()];
        for (number, layout) in self.layouts.iter().enumerate() {
            for (place, at) in columns_of(side.0(layout), &all)?.into_iter().enumerate() {
                within[at][number] = Some(place);
            }
        }
        let mut bits = Vec::new();
        for column in &within {
            let len = self.runs.iter().filter(|(_, layout, _)| column[*layout].is_some()).map(|(len, ..)| len).sum();
            values::decode(input, len, &mut bits, scratch)?;
            let (mut place, mut taken) = (0, 0);
            for (len, layout, _) in self.runs {
                if let Some(bucket) = column[*layout] {
                    for i in 0..*len {
                        if (self.from..self.to).contains(&(place + i)) {
                            *side.1(found.get_mut(place + i - self.from)?).get_mut(bucket)? = f64::from_bits(*bits.get(taken + i)?);
                        }
                    }
                    taken += len;
                }
                place += len;
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::histogram::samples::any_series;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn chunks_survive(series in any_series(1..60), cut in (0usize..60, 0usize..60)) {
            let mut out = Vec::new();
            encode(&mut out, &series, &mut Scratch::default());
            let (from, to) = (cut.0.min(series.len()), cut.1.min(series.len()));
            for (from, to) in [(0, series.len()), (from.min(to), from.max(to))] {
                let mut input = Input::new(&out[1..]);
                let found = decode(&mut input, series.len(), from, to, &mut Scratch::default()).unwrap();
                let expected: Vec<_> = series[from..to].iter().map(|(_, h)| h.clone()).collect();
                prop_assert_eq!(found, expected);
                prop_assert!(input.is_empty());
            }
        }
        #[test]
        fn nonsense_does_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), count in 1usize..300) {
            let _ignored = decode(&mut Input::new(&bytes), count, 0, count, &mut Scratch::default());
        }
    }
}
