//! `label_replace` and `label_join`: they change labels and touch no value.

use watchfire_model::labels::METRIC_NAME;
use watchfire_model::matcher::anchored;

use super::super::ast::Call;
use super::super::error::QueryError;
use super::super::functions::text_argument;
use super::{Column, Evaluated, Evaluator, Grid, Output};

/// Sets a label to a template filled from a regular expression over another label, where it matches.
pub(in crate::promql) fn label_replace(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Evaluated<Output> {
    let [to, template, from, pattern] = [1, 2, 3, 4].map(|i| text_argument(call, i));
    let regex = anchored(pattern).map_err(|_| QueryError::Execution(format!("invalid regular expression in label_replace(): {pattern}")))?;
    check_name(to, "destination", "label_replace")?;
    let mut columns = evaluator.argument(call, 0, grid)?;
    for column in &mut columns.list {
        let value = column.labels.get(from).unwrap_or("");
        let Some(captures) = regex.captures(value) else { continue };
        let mut filled = String::new();
        captures.expand(template, &mut filled);
        relabel(column, to, &filled);
    }
    columns.merged().map(Output::Vector)
}

/// Sets a label to other labels joined by a separator.
pub(in crate::promql) fn label_join(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Evaluated<Output> {
    let (to, separator) = (text_argument(call, 1), text_argument(call, 2));
    let from: Vec<&str> = (3..call.args.len()).map(|i| text_argument(call, i)).collect();
    for name in &from {
        check_name(name, "source", "label_join")?;
    }
    check_name(to, "destination", "label_join")?;
    let mut columns = evaluator.argument(call, 0, grid)?;
    for column in &mut columns.list {
        let values: Vec<&str> = from.iter().map(|name| column.labels.get(name).unwrap_or("")).collect();
        let joined = values.join(separator);
        relabel(column, to, &joined);
    }
    columns.merged().map(Output::Vector)
}

/// Sets a label. A name that is set on purpose stays.
fn relabel(column: &mut Column, name: &str, value: &str) {
    column.labels = column.labels.with(name, value);
    if name == METRIC_NAME {
        column.drops_name = false;
    }
}

fn check_name(name: &str, role: &str, function: &str) -> Evaluated<()> {
    if name.is_empty() {
        return Err(QueryError::Execution(format!("invalid {role} label name in {function}(): {name}")));
    }
    Ok(())
}
