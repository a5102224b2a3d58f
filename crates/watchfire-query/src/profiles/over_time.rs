//! How much profiles tell over time: the sums of their values by steps, in groups by labels. No stack is read for it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogSelection, LogSource, Nanos};
use watchfire_model::profiles::ProfileRow;
use watchfire_model::read::{Budget, ReadError};

use super::Question;
use crate::pace::{ENTRY_WORK, Pace};

/// What a point takes in memory, with its place in order.
const POINT_BYTES: u64 = 64;

/// What becomes of the profiles of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Aggregation {
    /// Their sum.
    #[default]
    Sum,
    /// Their sum, divided by how many they are.
    Average,
}

/// Points of one group, oldest first: the number of the step and its value.
pub type Points = Vec<(i64, f64)>;

/// The values of profiles by steps: step `n` has those that began after the end of step `n - 1`, `start + (n - 1) * step`, up to its own
/// end. Groups have the labels that are named, of those that profiles have.
pub fn over_time(
    source: &dyn LogSource,
    question: &Question,
    step_ns: i64,
    by: &[String],
    aggregation: Aggregation,
    budget: &Budget,
) -> Result<Vec<(Labels, Points)>, ReadError> {
    let mut groups: BTreeMap<Labels, BTreeMap<i64, (f64, u64)>> = BTreeMap::new();
    let (step, pace) = (step_ns.max(1), Pace::new(budget));
    // Stacks are needed where single spans are.
    let selection = LogSelection { lines: !question.spans.is_empty(), ..question.selection() };
    source.select_logs(&selection, budget, &mut |line| {
        pace.check(ENTRY_WORK)?;
        let row = ProfileRow::new(line);
        if !question.ids.is_empty() && !question.ids.iter().any(|id| id == row.id()) {
            return Ok(ControlFlow::Continue(()));
        }
        let value = if question.spans.is_empty() {
            row.total()
        } else {
            let of_spans = row.stacks().map(|stacks| stacks.of_spans(|span| question.spans.iter().any(|wanted| wanted == span)));
            of_spans.map_or(0, |stacks| stacks.nodes.iter().fold(0, |sum: u64, node| sum.saturating_add(node.own)))
        };
        let group = Labels::from_pairs(by.iter().filter_map(|name| Some((name.as_str(), row.labels().get(name).or_else(|| line.metadata.get(name))?))));
        if !groups.contains_key(&group) {
            budget.charge_memory(group.memory() as u64 + POINT_BYTES)?;
        }
        let points = groups.entry(group).or_default();
        let at = steps_until(row.time(), question.range.start, step);
        if !points.contains_key(&at) {
            budget.charge_memory(POINT_BYTES)?;
        }
        let point = points.entry(at).or_default();
        *point = (point.0 + value as f64, point.1 + 1);
        Ok(ControlFlow::Continue(()))
    })?;
    let value = |(sum, count): (f64, u64)| if aggregation == Aggregation::Average { sum / count as f64 } else { sum };
    Ok(groups.into_iter().map(|(labels, points)| (labels, points.into_iter().map(|(at, point)| (at, value(point))).collect())).collect())
}

fn steps_until(time: Nanos, start: Nanos, step: i64) -> i64 {
    let after = time.0.saturating_sub(start.0);
    after.div_euclid(step) + i64::from(after.rem_euclid(step) > 0)
}
