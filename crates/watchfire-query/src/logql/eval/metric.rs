//! Metric queries: range aggregations are computed first, each once; what stands around them is PromQL's, so PromQL's evaluator
//! computes it over a source that holds exactly these series at exactly the steps.

use std::time::Duration;

use watchfire_model::labels::Labels;
use watchfire_model::logs::LogSource;
use watchfire_model::matcher::Matcher;
use watchfire_model::read::{Budget, ReadError, Selection, Series, Source, Visitor};
use watchfire_model::sample::is_stale;

use super::super::ast::{Binary, Grouping, LabelReplace, Metric, RangeAggregation, RangeOp, VectorAggregation, VectorOp};
use super::super::error::LogqlError;
use super::range::{self, LeafSeries};
use super::window::Grid;
use crate::promql::{self, Aggregate, AggregateOp, Call, Expr, Node, NodeKind, VectorSelector, function};

/// The label by which a selector names one of the computed parts.
const LEAF: &str = "__leaf__";

/// The evaluator: values are there at their very step and nowhere else.
pub(super) fn engine() -> promql::Engine {
    promql::Engine { lookback: Duration::from_millis(1), zero_division_is_nan: true, ..promql::Engine::default() }
}

/// Computes all range aggregations of a query, and makes a PromQL expression over them of the rest.
pub(super) fn prepared(source: &dyn LogSource, metric: &Metric, grid: Grid, budget: &Budget) -> Result<(Expr, Leaves), LogqlError> {
    let mut maker = Maker { source, grid, budget, leaves: Leaves { grid, budget: budget.clone(), parts: Vec::new(), charged: 0 } };
    let root = maker.node(metric)?;
    Ok((Expr::made(root), maker.leaves))
}

/// One range aggregation with its answer.
struct Part {
    /// What was computed, as text, so that it is computed once.
    text: String,
    series: Vec<LeafSeries>,
}

/// The answers of all range aggregations.
pub(super) struct Leaves {
    grid: Grid,
    budget: Budget,
    parts: Vec<Part>,
    charged: u64,
}
impl Drop for Leaves {
    fn drop(&mut self) {
        self.budget.release_memory(self.charged);
    }
}

impl Source for Leaves {
    fn select(&self, selection: &Selection, budget: &Budget, visit: &mut Visitor<'_>) -> Result<(), ReadError> {
        let leaf = selection.matchers.iter().find(|m| m.name == LEAF).and_then(|m| m.value.parse::<usize>().ok());
        let Some(part) = leaf.and_then(|leaf| self.parts.get(leaf)) else { return Ok(()) };
        for leaf in &part.series {
            let present = || leaf.values.iter().enumerate().filter(|(_, v)| !is_stale(**v));
            let times: Vec<i64> = present().map(|(i, _)| self.grid.time(i).div_euclid(1_000_000)).collect();
            if times.is_empty() {
                continue;
            }
            let series = Series { labels: leaf.labels.clone(), times, values: present().map(|(_, v)| *v).collect(), histograms: Vec::new() };
            budget.charge_samples(series.cost())?;
            if visit(series)?.is_break() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn series(&self, _selection: &Selection, _budget: &Budget) -> Result<Vec<Labels>, ReadError> {
        Ok(Vec::new())
    }
}

struct Maker<'a> {
    source: &'a dyn LogSource,
    grid: Grid,
    budget: &'a Budget,
    leaves: Leaves,
}

fn node(kind: NodeKind) -> Node {
    Node::new(kind, 0, 0)
}

fn number(value: f64) -> Node {
    node(NodeKind::Number { value, duration: false })
}

fn call(name: &str, args: Vec<Node>) -> Result<Node, LogqlError> {
    let function = function(name).ok_or_else(|| LogqlError::Execution(format!("cannot call {name}: there is no such function")))?;
    Ok(node(NodeKind::Call(Call { function, args })))
}

impl Maker<'_> {
    fn node(&mut self, metric: &Metric) -> Result<Node, LogqlError> {
        match metric {
            Metric::Range(range) => self.leaf(range, range.grouping.as_ref()),
            Metric::Vector(vector) => self.vector(vector),
            Metric::Binary(binary) => self.binary(binary),
            Metric::LabelReplace(replace) => self.label_replace(replace),
            Metric::Number(value) => Ok(number(*value)),
            Metric::Constant(value) => call("vector", vec![number(*value)]),
            Metric::Paren(inner) => Ok(node(NodeKind::Paren(Box::new(self.node(inner)?)))),
        }
    }

    /// A selector over the answer of a range aggregation.
    fn leaf(&mut self, range: &RangeAggregation, grouping: Option<&Grouping>) -> Result<Node, LogqlError> {
        let text = format!("{range} {}", grouping.map(ToString::to_string).unwrap_or_default());
        let at = match self.leaves.parts.iter().position(|part| part.text == text) {
            Some(at) => at,
            None => {
                let series = range::evaluate(self.source, range, grouping, self.grid, self.budget)?;
                self.leaves.charged += range::charge(&series, self.budget)?;
                self.leaves.parts.push(Part { text, series });
                self.leaves.parts.len() - 1
            }
        };
        let matchers = vec![Matcher::equal(LEAF, &at.to_string())];
        Ok(node(NodeKind::Vector(VectorSelector { name: None, matchers, offset: None, at: None, extension: None })))
    }

    fn vector(&mut self, vector: &VectorAggregation) -> Result<Node, LogqlError> {
        let inner = match vector.expr.unwrapped() {
            // Sums of sums need not tell apart what they add up.
            Metric::Range(range) if vector.op == VectorOp::Sum && range.grouping.is_none() && adds_up(range.op) => {
                let all = Grouping { without: false, labels: Vec::new() };
                self.leaf(range, Some(vector.grouping.as_ref().unwrap_or(&all)))?
            }
            _ => self.node(&vector.expr)?,
        };
        let op = match vector.op {
            VectorOp::Sort => return call("sort", vec![inner]),
            VectorOp::SortDesc => return call("sort_desc", vec![inner]),
            VectorOp::Sum => AggregateOp::Sum,
            VectorOp::Avg => AggregateOp::Avg,
            VectorOp::Count => AggregateOp::Count,
            VectorOp::Min => AggregateOp::Min,
            VectorOp::Max => AggregateOp::Max,
            VectorOp::Stddev => AggregateOp::Stddev,
            VectorOp::Stdvar => AggregateOp::Stdvar,
            VectorOp::Topk | VectorOp::ApproxTopk => AggregateOp::Topk,
            VectorOp::Bottomk => AggregateOp::Bottomk,
        };
        let (without, grouping) = vector.grouping.as_ref().map_or((false, Vec::new()), |g| (g.without, g.labels.clone()));
        let param = vector.param.map(|k| Box::new(number(f64::from(k))));
        Ok(node(NodeKind::Aggregate(Aggregate { op, expr: Box::new(inner), param, grouping, without })))
    }

    fn binary(&mut self, binary: &Binary) -> Result<Node, LogqlError> {
        let (lhs, rhs) = (Box::new(self.node(&binary.lhs)?), Box::new(self.node(&binary.rhs)?));
        let made = promql::Binary::made(binary.op, lhs, rhs, binary.return_bool, binary.matching.clone());
        Ok(node(NodeKind::Binary(made)))
    }

    fn label_replace(&mut self, replace: &LabelReplace) -> Result<Node, LogqlError> {
        let text = |text: &String| node(NodeKind::String(text.clone()));
        let args = vec![self.node(&replace.expr)?, text(&replace.to), text(&replace.replacement), text(&replace.from), text(&replace.regex)];
        call("label_replace", args)
    }
}

/// Whether the sum over series of an aggregation is the aggregation of all their lines.
fn adds_up(op: RangeOp) -> bool {
    matches!(op, RangeOp::Count | RangeOp::Rate | RangeOp::Bytes | RangeOp::BytesRate | RangeOp::Sum)
}
