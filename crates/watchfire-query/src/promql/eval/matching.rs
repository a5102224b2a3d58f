//! Vector matching: pairs the series of two vectors by signature, one to one or many to one, at every step.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use watchfire_model::histogram::Histogram;
use watchfire_model::labels::{Labels, is_classic_label_name, quoted};
use watchfire_model::read::Budget;

use super::super::ast::{Binary, Cardinality, Node};
use super::super::error::QueryError;
use super::aggregate::any_present;
use super::binary::signature;
use super::column::{Growth, keep, without_metadata};
use super::math::{arithmetic_of, compares};
use super::native::{Applied, Note, Operand, Sampled, apply};
use super::{Column, Columns, Evaluated, Evaluator, Grid, Names};

/// The series of both sides that share a signature, by position. `one` is the side that must be unique at each step.
#[derive(Default)]
struct Pairing {
    many: Vec<usize>,
    one: Vec<usize>,
}

/// What an operator gives for a pair.
enum Outcome {
    Value(f64),
    Histogram(Arc<Histogram>),
    /// A comparison that does not hold.
    Filtered,
}
impl Outcome {
    #[inline]
    fn write(self, column: &mut Column, i: usize) {
        match self {
            Outcome::Value(value) => column.put(i, value),
            Outcome::Histogram(histogram) => column.put_histogram(i, histogram),
            Outcome::Filtered => {}
        }
    }
}

#[inline]
fn operand(column: &Column, i: usize) -> Option<Operand<'_>> {
    column.at(i).map(Operand::Float).or_else(|| column.histogram(i).map(Operand::Histogram))
}

/// The results of one signature: where results have been seen, so that duplicates are found even when filtered out.
struct Results {
    columns: Vec<Column>,
    taken: Vec<Vec<bool>>,
    by_labels: HashMap<Labels, usize>,
}

impl Evaluator<'_> {
    /// Arithmetic and comparisons between two vectors.
    pub(super) fn matched(&mut self, node: &Node, binary: &Binary, left: Columns, right: Columns, grid: Grid) -> Evaluated<Columns> {
        let swapped = binary.matching.cardinality == Cardinality::OneToMany;
        let (many, one) = if swapped { (right, left) } else { (left, right) };
        let mut job = Job {
            binary,
            swapped,
            many: &many,
            one: &one,
            grid,
            budget: self.budget,
            names: self.names,
            zero: self.zero_division_is_nan,
            said: BTreeMap::new(),
        };
        let pairings = job.pairings();
        let mut output = self.no_columns();
        for (signature, pairing) in &pairings {
            self.budget.check()?;
            job.check_unique(signature, pairing)?;
            let results = job.pair(signature, pairing)?;
            for column in results.columns {
                output.charge.add_column(&column.labels, grid.count)?;
                output.list.push(column);
                output.charge_last_histograms()?;
            }
        }
        for (_, note) in std::mem::take(&mut job.said).into_values() {
            note.tell(&mut self.notes, node.start, binary.op);
        }
        output.without_empty().merged()
    }
}

struct Job<'a> {
    binary: &'a Binary,
    swapped: bool,
    many: &'a Columns,
    one: &'a Columns,
    grid: Grid,
    budget: &'a Budget,
    names: Names,
    zero: bool,
    /// The last remark at each step, with the position of the series of the many side that caused it.
    said: BTreeMap<usize, (usize, Note)>,
}

impl Job<'_> {
    /// All signatures in the order in which they first appear.
    fn pairings(&self) -> Vec<(Labels, Pairing)> {
        let mut known: HashMap<Labels, usize> = HashMap::new();
        let mut pairings: Vec<(Labels, Pairing)> = Vec::new();
        for (columns, is_many) in [(self.many, true), (self.one, false)] {
            for (i, column) in columns.list.iter().enumerate() {
                let at = *known.entry(signature(&column.labels, &self.binary.matching)).or_insert_with_key(|labels| {
                    pairings.push((labels.clone(), Pairing::default()));
                    pairings.len() - 1
                });
                let pairing = &mut pairings[at].1;
                if is_many { pairing.many.push(i) } else { pairing.one.push(i) }
            }
        }
        pairings
    }

    /// The one side must not have two series of one signature at a step at which both sides have anything.
    fn check_unique(&self, signature: &Labels, pairing: &Pairing) -> Evaluated<()> {
        if pairing.one.len() < 2 {
            return Ok(());
        }
        for i in 0..self.grid.count {
            let mut present = pairing.one.iter().map(|o| &self.one.list[*o]).filter(|c| c.has(i));
            if let (Some(first), Some(second)) = (present.next(), present.next())
                && (any_present(self.many, i) || self.fills())
            {
                let side = if self.swapped { "left" } else { "right" };
                return Err(QueryError::Execution(format!(
                    "found duplicate series for the match group {} on the {side} hand-side of the operation: [{}, {}];many-to-many matching not allowed: matching labels must be unique on one side",
                    in_braces(signature),
                    in_braces(&second.labels),
                    in_braces(&first.labels)
                )));
            }
        }
        Ok(())
    }

    fn fills(&self) -> bool {
        self.binary.matching.fill_left.is_some() || self.binary.matching.fill_right.is_some()
    }

    /// The value that stands in for a missing series of the many or the one side.
    fn fill(&self, many: bool) -> Option<f64> {
        if many == self.swapped { self.binary.matching.fill_right } else { self.binary.matching.fill_left }
    }

    fn pair(&mut self, signature: &Labels, pairing: &Pairing) -> Evaluated<Results> {
        let mut results = Results { columns: Vec::new(), taken: Vec::new(), by_labels: HashMap::new() };
        let (fill_many, fill_one) = (self.fill(true), self.fill(false));
        if (pairing.one.is_empty() && fill_one.is_none()) || (pairing.many.is_empty() && fill_many.is_none()) {
            return Ok(results);
        }
        let mut matched = vec![false; self.grid.count];
        let mut growth = Growth::new(self.budget);
        for m in &pairing.many {
            let many = &self.many.list[*m];
            // The result's labels change only with the partner, so the last one is remembered.
            let mut last: Option<(Option<usize>, usize)> = None;
            for (i, matched) in matched.iter_mut().enumerate() {
                let Some(value) = operand(many, i) else { continue };
                let found = pairing.one.iter().find_map(|o| Some((Some(*o), operand(&self.one.list[*o], i)?)));
                let Some((partner, other)) = found.or(fill_one.map(|fill| (None, Operand::Float(fill)))) else { continue };
                let Some(result) = self.compute(value, other, (i, *m)) else { continue };
                let slot = match last {
                    Some((known, slot)) if known == partner => slot,
                    _ => {
                        let one = partner.map_or(signature, |o| &self.one.list[o].labels);
                        results.slot(self.result_labels(&many.labels, one), many.drops_name || self.drops_name(), self.grid.count)
                    }
                };
                last = Some((partner, slot));
                self.claim(&mut results, slot, i, *matched)?;
                *matched = true;
                result.write(&mut results.columns[slot], i);
                results.columns[slot].histogram(i).map_or(Ok(()), |fresh| growth.note(fresh))?;
            }
        }
        if let Some(fill) = fill_many {
            for o in &pairing.one {
                let one = &self.one.list[*o];
                let mut slot = None;
                for i in (0..self.grid.count).filter(|i| !matched[*i]) {
                    let Some(value) = operand(one, i) else { continue };
                    let Some(result) = self.compute(Operand::Float(fill), value, (i, usize::MAX)) else { continue };
                    let slot = *slot.get_or_insert_with(|| results.slot(self.result_labels(signature, &one.labels), self.drops_name(), self.grid.count));
                    self.claim(&mut results, slot, i, false)?;
                    result.write(&mut results.columns[slot], i);
                    results.columns[slot].histogram(i).map_or(Ok(()), |fresh| growth.note(fresh))?;
                }
            }
        }
        Ok(results)
    }

    /// Makes sure that a result at a step is the only one of its kind.
    fn claim(&self, results: &mut Results, slot: usize, i: usize, matched: bool) -> Evaluated<()> {
        if self.binary.matching.cardinality == Cardinality::OneToOne {
            if matched {
                return Err(QueryError::Execution("multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)".to_owned()));
            }
            return Ok(());
        }
        if std::mem::replace(&mut results.taken[slot][i], true) {
            return Err(QueryError::Execution("multiple matches for labels: grouping labels must ensure unique matches".to_owned()));
        }
        Ok(())
    }

    /// What the operator gives; `None` where the operands do not go together, so that they do not even count as a match.
    /// `said_by` is the step and the series of the many side.
    #[inline]
    fn compute(&mut self, many: Operand<'_>, one: Operand<'_>, said_by: (usize, usize)) -> Option<Outcome> {
        let op = self.binary.op;
        let (a, b) = if self.swapped { (one, many) } else { (many, one) };
        match (a, b) {
            (Operand::Float(x), Operand::Float(y)) if op.is_comparison() => Some(self.compared(a, compares(op, x, y))),
            (Operand::Float(x), Operand::Float(y)) if !op.is_trim() => Some(Outcome::Value(arithmetic_of(self.zero, op, x, y))),
            _ => self.compute_native(a, b, said_by),
        }
    }

    /// The same for histograms, out of the way of floats.
    #[cold]
    fn compute_native(&mut self, a: Operand<'_>, b: Operand<'_>, (i, series): (usize, usize)) -> Option<Outcome> {
        let (outcome, note) = match apply(self.binary.op, a, b) {
            Applied::Value(Sampled::Float(value), note) => (Some(Outcome::Value(value)), note),
            Applied::Value(Sampled::Histogram(histogram), note) => (Some(Outcome::Histogram(histogram)), note),
            Applied::Compared(holds) => (Some(self.compared(a, holds)), Note::None),
            Applied::Dropped(note) => (None, note),
        };
        if note != Note::None && self.said.get(&i).is_none_or(|(known, _)| *known <= series) {
            self.said.insert(i, (series, note));
        }
        outcome
    }

    #[inline]
    fn compared(&self, left: Operand<'_>, holds: bool) -> Outcome {
        match left {
            _ if self.binary.return_bool => Outcome::Value(f64::from(u8::from(holds))),
            _ if !holds => Outcome::Filtered,
            Operand::Float(value) => Outcome::Value(value),
            Operand::Histogram(histogram) => Outcome::Histogram(Arc::clone(histogram)),
        }
    }

    /// The labels of a result: those of the many side, narrowed or enriched as the modifiers say.
    fn result_labels(&self, many: &Labels, one: &Labels) -> Labels {
        let matching = &self.binary.matching;
        let named = |name: &str| matching.labels.iter().any(|l| l == name);
        let mut labels = if self.binary.op.changes_metric() { without_metadata(many) } else { many.clone() };
        if matching.cardinality == Cardinality::OneToOne {
            labels = if matching.on { keep(&labels, named) } else { keep(&labels, |name| !named(name)) };
        }
        for name in &matching.include {
            labels = labels.with(name, one.get(name).unwrap_or(""));
        }
        if self.binary.return_bool && self.names == Names::DroppedAtOnce { without_metadata(&labels) } else { labels }
    }

    /// Arithmetic takes the name at once, `bool` when names go.
    fn drops_name(&self) -> bool {
        self.binary.return_bool && self.names == Names::DroppedAtEnd
    }
}

/// A label set with all its labels in braces, the name among them, as messages show it.
pub(super) fn in_braces(labels: &Labels) -> String {
    let name = |name: &str| if is_classic_label_name(name) { name.to_owned() } else { quoted(name) };
    let pairs: Vec<String> = labels.iter().map(|(n, v)| format!("{}={}", name(n), quoted(v))).collect();
    format!("{{{}}}", pairs.join(", "))
}

impl Results {
    fn slot(&mut self, labels: Labels, drops_name: bool, count: usize) -> usize {
        if let Some(slot) = self.by_labels.get(&labels) {
            return *slot;
        }
        let mut column = Column::absent(labels.clone(), count);
        column.drops_name = drops_name;
        self.columns.push(column);
        self.taken.push(vec![false; count]);
        self.by_labels.insert(labels, self.columns.len() - 1);
        self.columns.len() - 1
    }
}
