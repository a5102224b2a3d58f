//! Aggregations over groups in which native histograms occur. The floats have been aggregated before.

use watchfire_model::histogram::Histogram;

use super::super::super::ast::AggregateOp;
use super::super::aggregate::Groups;
use super::super::{Columns, Evaluated, Evaluator, Grid};
use super::{Operation, Sampled, combined};

impl Evaluator<'_> {
    /// Puts right what the aggregation of floats has left out. `output` has one column per group; `at` is where the aggregated
    /// expression stands in the query.
    pub(in crate::promql::eval) fn aggregate_natives(
        &mut self,
        op: AggregateOp,
        input: &Columns,
        groups: &Groups,
        output: &mut Columns,
        at: usize,
        grid: Grid,
    ) -> Evaluated<()> {
        for (group, members) in groups.members.iter().enumerate() {
            if !members.iter().any(|m| input.list[*m].has_histograms()) {
                continue;
            }
            input.charge.check()?;
            for i in 0..grid.count {
                let histograms: Vec<(usize, &Histogram)> = members.iter().filter_map(|m| Some((*m, &**input.list[*m].histogram(i)?))).collect();
                if histograms.is_empty() {
                    continue;
                }
                input.charge.check()?;
                let float = output.list[group].at(i);
                let result = match op {
                    AggregateOp::Count => Some(Sampled::Float(float.unwrap_or(0.0) + histograms.len() as f64)),
                    AggregateOp::Group => Some(Sampled::Float(1.0)),
                    AggregateOp::Sum | AggregateOp::Avg if float.is_some() => {
                        self.notes.mixed_aggregation(at);
                        None
                    }
                    AggregateOp::Sum | AggregateOp::Avg => self.combine_group(op == AggregateOp::Avg, input, &histograms, at),
                    _ => {
                        self.notes.ignored_in_aggregation(at, op.symbol());
                        continue;
                    }
                };
                match result {
                    Some(sampled) => output.list[group].put_sample(i, sampled),
                    None => output.list[group].clear(i),
                }
            }
            output.charge_histograms(group)?;
        }
        Ok(())
    }

    fn combine_group(&mut self, mean: bool, input: &Columns, members: &[(usize, &Histogram)], at: usize) -> Option<Sampled> {
        let histograms: Vec<&Histogram> = members.iter().map(|(_, h)| *h).collect();
        let Ok(combined) = combined(&histograms, mean) else {
            // The first one that does not go with those before it gives the name.
            let first = histograms.first().is_some_and(|h| h.has_custom_bounds());
            let other = members.iter().find(|(_, h)| h.has_custom_bounds() != first);
            let name = other.map_or("", |(m, _)| input.list[*m].labels.metric_name());
            self.notes.mixed_kinds(at, name);
            return None;
        };
        if combined.bounds_differed {
            self.notes.bounds_reconciled(at, Operation::Aggregation);
        }
        if combined.resets_conflict {
            self.notes.resets_conflict(at, Operation::Aggregation);
        }
        let mut histogram = combined.histogram;
        histogram.compact();
        Some(histogram.into())
    }
}
