//! `info()`: adds labels of info series (`target_info` by default) to the series of the same instance and job.

use hashbrown::HashMap;
use watchfire_model::labels::{Labels, LabelsBuilder, METRIC_NAME};
use watchfire_model::matcher::{MatchOp, Matcher};

use super::super::ast::{Call, NodeKind, VectorSelector};
use super::super::error::QueryError;
use super::column::keep;
use super::matching::in_braces;
use super::{Columns, Evaluated, Evaluator, Grid, Output};

const DEFAULT: &str = "target_info";
/// The labels by which a series and its info series know each other.
const IDENTIFYING: [&str; 2] = ["instance", "job"];

/// What to add to which series.
struct Enrichment {
    /// Conditions on the name of info series.
    names: Vec<Matcher>,
    /// Conditions on their labels; when there are any, only these labels are added.
    data: Vec<Matcher>,
}

pub(in crate::promql) fn info(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Evaluated<Output> {
    let base = evaluator.argument(call, 0, grid)?;
    let matchers = match call.args.get(1).map(|a| &a.unwrapped().kind) {
        Some(NodeKind::Vector(selector)) => selector.matchers.clone(),
        _ => vec![Matcher::equal(METRIC_NAME, DEFAULT)],
    };
    let (names, data) = matchers.into_iter().partition(|m| m.name == METRIC_NAME);
    let enrichment = Enrichment { names, data };
    let infos = enrichment.read(evaluator, &base, grid)?;
    let index = by_identity(&infos);
    let mut output = evaluator.no_columns();
    for column in &base.list {
        base.charge.check()?;
        let sources = if enrichment.is_info(&column.labels) { None } else { Some(index.get(&identity(&column.labels)).map_or(&[][..], Vec::as_slice)) };
        let mut slots: HashMap<Labels, usize> = HashMap::new();
        for i in 0..grid.count {
            let Some(sample) = column.sample(i) else { continue };
            let labels = match sources {
                None => Some(column.labels.clone()),
                Some(groups) => enrichment.enriched(&column.labels, &newest(groups, &infos, i)?, &infos)?,
            };
            let Some(labels) = labels else { continue };
            let slot = match slots.get(&labels) {
                Some(slot) => *slot,
                None => {
                    output.push_absent(labels.clone(), grid.count)?.drops_name = column.drops_name;
                    slots.insert(labels, output.list.len() - 1);
                    output.list.len() - 1
                }
            };
            output.list[slot].put_sample(i, sample);
        }
    }
    for column in 0..output.list.len() {
        output.charge_histograms(column)?;
    }
    output.merged().map(Output::Vector)
}

impl Enrichment {
    /// Info series themselves are left as they are.
    fn is_info(&self, labels: &Labels) -> bool {
        !self.names.is_empty() && self.names.iter().all(|m| m.matches(labels))
    }

    /// The info series with the time of their last sample as value.
    fn read(&self, evaluator: &mut Evaluator<'_>, base: &Columns, grid: Grid) -> Evaluated<Columns> {
        let wanted = base.list.iter().filter(|c| !self.is_info(&c.labels));
        if wanted.clone().all(|c| identity(&c.labels).is_empty()) {
            return Ok(evaluator.no_columns());
        }
        let mut matchers = self.data.clone();
        if self.names.is_empty() {
            matchers.push(Matcher::equal(METRIC_NAME, DEFAULT));
        }
        matchers.extend(self.names.iter().cloned());
        for name in IDENTIFYING {
            let mut values: Vec<String> = wanted.clone().filter_map(|c| c.labels.get(name)).map(regex::escape).collect();
            values.sort_unstable();
            values.dedup();
            // Too many values for one pattern are sorted out later.
            if !values.is_empty()
                && let Ok(matcher) = Matcher::new(name, MatchOp::Regex, &values.join("|"))
            {
                matchers.push(matcher);
            }
        }
        let selector = VectorSelector { name: None, matchers, offset: None, at: None, extension: None };
        evaluator.instant_times(&selector, grid, 1.0)
    }

    /// The labels of a series with those of its info series; `None` when it has none and the conditions demand one.
    fn enriched(&self, base: &Labels, chosen: &[usize], infos: &Columns) -> Evaluated<Option<Labels>> {
        if chosen.is_empty() && !self.data.iter().all(Matcher::matches_empty) {
            return Ok(None);
        }
        let mut added = LabelsBuilder::new();
        for info in chosen {
            for (name, value) in &infos.list[*info].labels {
                let asked = self.data.is_empty() || self.data.iter().any(|m| m.name == name);
                if name == METRIC_NAME || !asked {
                    continue;
                }
                let known = added.get(name);
                if !known.is_empty() && known != value {
                    return Err(QueryError::Execution(format!("conflicting label: {name}")));
                }
                if base.get(name).is_none() {
                    added.set(name, value);
                }
            }
        }
        let mut labels = LabelsBuilder::from(base);
        for (name, value) in added.pairs() {
            labels.set(name, value);
        }
        Ok(Some(labels.build()))
    }
}

fn identity(labels: &Labels) -> Labels {
    keep(labels, |name| IDENTIFYING.contains(&name))
}

/// For each identity the info series that have it, one group per metric.
fn by_identity(infos: &Columns) -> HashMap<Labels, Vec<Vec<usize>>> {
    let mut index: HashMap<Labels, Vec<Vec<usize>>> = HashMap::new();
    for (i, column) in infos.list.iter().enumerate() {
        let groups = index.entry(identity(&column.labels)).or_default();
        let same_metric = |group: &&mut Vec<usize>| group.first().is_some_and(|first| infos.list[*first].labels.metric_name() == column.labels.metric_name());
        match groups.iter_mut().find(same_metric) {
            Some(group) => group.push(i),
            None => groups.push(vec![i]),
        }
    }
    index
}

/// Of each metric the series with the newest sample at a step; two with equally new ones contradict each other.
fn newest(groups: &[Vec<usize>], infos: &Columns, i: usize) -> Evaluated<Vec<usize>> {
    let mut chosen = Vec::with_capacity(groups.len());
    for group in groups {
        let mut best: Option<(f64, usize)> = None;
        for info in group {
            let Some(time) = infos.list[*info].at(i) else { continue };
            match best {
                Some((newest, _)) if newest > time => {}
                Some((newest, existing)) if newest == time => {
                    let shown = |info: usize| in_braces(&infos.list[info].labels);
                    return Err(QueryError::Execution(format!(
                        "found duplicate series for info metric: existing {} @ {newest}, new {} @ {time}",
                        shown(existing),
                        shown(*info)
                    )));
                }
                _ => best = Some((time, *info)),
            }
        }
        chosen.extend(best.map(|(_, info)| info));
    }
    Ok(chosen)
}
