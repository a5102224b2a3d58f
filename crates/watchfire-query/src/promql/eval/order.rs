//! Sorting. It shows only in instant queries: range results are always ordered by labels.

use std::cmp::Ordering;

use super::super::ast::Call;
use super::super::functions::text_argument;
use super::sum::nan_first;
use super::{Column, Evaluated, Evaluator, Grid, Output};

fn by_value(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid, order: fn(f64, f64) -> Ordering) -> Evaluated<Output> {
    // Histograms have no order.
    let mut columns = evaluator.argument(call, 0, grid)?.without_histograms();
    if grid.count == 1 {
        columns.list.sort_by(|a, b| match (a.at(0), b.at(0)) {
            // NaN goes to the end in both directions.
            (Some(a), Some(b)) => a.is_nan().cmp(&b.is_nan()).then(order(a, b)),
            _ => Ordering::Equal,
        });
    }
    Ok(Output::Vector(columns))
}

pub(in crate::promql) fn sort(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Evaluated<Output> {
    by_value(evaluator, call, grid, nan_first)
}
pub(in crate::promql) fn sort_desc(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Evaluated<Output> {
    by_value(evaluator, call, grid, |a, b| nan_first(b, a))
}

pub(in crate::promql) fn sort_by_label(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Evaluated<Output> {
    by_label(evaluator, call, grid, |order| order)
}
pub(in crate::promql) fn sort_by_label_desc(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Evaluated<Output> {
    by_label(evaluator, call, grid, Ordering::reverse)
}

fn by_label(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid, direction: fn(Ordering) -> Ordering) -> Evaluated<Output> {
    let names: Vec<&str> = (1..call.args.len()).map(|i| text_argument(call, i)).collect();
    let mut columns = evaluator.argument(call, 0, grid)?;
    let value = |column: &Column, name: &str| column.labels.get(name).unwrap_or("").to_owned();
    columns.list.sort_by(|a, b| {
        let differs = names.iter().map(|name| natural(&value(a, name), &value(b, name))).find(|order| order.is_ne());
        direction(differs.unwrap_or_else(|| a.labels.cmp(&b.labels)))
    });
    Ok(Output::Vector(columns))
}

/// Compares texts so that runs of digits count as numbers: `disk2` before `disk10`.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let (Some((run_a, rest_a)), Some((run_b, rest_b))) = (run(a), run(b)) else {
            return a.len().cmp(&b.len());
        };
        let order = match (run_a.parse::<u64>(), run_b.parse::<u64>()) {
            (Ok(x), Ok(y)) => x.cmp(&y),
            _ => run_a.cmp(run_b),
        };
        if order.is_ne() {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
}

/// The leading run of digits, or of anything else, and the rest.
fn run(text: &str) -> Option<(&str, &str)> {
    let digit = text.bytes().next()?.is_ascii_digit();
    let length = text.bytes().position(|b| b.is_ascii_digit() != digit).unwrap_or(text.len());
    text.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_texts_count_as_numbers() {
        for (a, b, order) in [
            ("disk2", "disk10", Ordering::Less),
            ("a", "a", Ordering::Equal),
            ("a1b", "a1c", Ordering::Less),
            ("", "x", Ordering::Less),
            ("10", "9", Ordering::Greater),
            ("é2", "é10", Ordering::Less),
        ] {
            assert_eq!(natural(a, b), order, "{a} {b}");
            assert_eq!(natural(b, a), order.reverse(), "{b} {a}");
        }
    }
}
