//! The shape of values under way: a column is one series with one number per step, or none.
//! "None" is the staleness marker, which no computation can produce. Native histograms stand beside the floats, in columns
//! that have any.

use std::sync::Arc;

use hashbrown::HashMap;
use watchfire_model::histogram::Histogram;
use watchfire_model::labels::{Labels, METRIC_NAME};
use watchfire_model::order::Order as _;
use watchfire_model::read::Budget;
use watchfire_model::sample::{is_stale, stale_nan};

use super::super::error::QueryError;
use super::Evaluated;
use super::native::Sampled;

/// What evaluating a node gives.
pub(in crate::promql) enum Output {
    Scalar(Numbers),
    Vector(Columns),
    String(String),
}
impl Output {
    /// The value of a single step, repeated.
    pub(super) fn repeated(self, count: usize) -> Evaluated<Output> {
        Ok(match self {
            Output::Scalar(numbers) => Output::Scalar(Numbers::Same(numbers.at(0))),
            Output::Vector(mut columns) => {
                for column in &mut columns.list {
                    columns.charge.add(count)?;
                    let value = column.values.first().copied().unwrap_or_else(stale_nan);
                    column.values = vec![value; count];
                    if let Some(histogram) = column.histograms.pop() {
                        columns.charge.add(count)?;
                        column.histograms = vec![histogram; count];
                    }
                }
                Output::Vector(columns)
            }
            text @ Output::String(_) => text,
        })
    }
}

/// A scalar at all steps.
pub(in crate::promql) enum Numbers {
    Same(f64),
    Each(Steps),
}

/// A number per step, charged as long as it lives.
pub(in crate::promql) struct Steps {
    values: Vec<f64>,
    _charge: Charge,
}
impl Numbers {
    /// Computes a number per step, within the budget.
    pub(super) fn computed(budget: &Budget, count: usize, compute: impl FnMut(usize) -> f64) -> Evaluated<Numbers> {
        let mut charge = Charge::new(budget);
        charge.add(count)?;
        Ok(Numbers::Each(Steps { values: (0..count).map(compute).collect(), _charge: charge }))
    }
    pub(in crate::promql) fn at(&self, i: usize) -> f64 {
        match self {
            Numbers::Same(value) => *value,
            Numbers::Each(steps) => steps.values.get(i).copied().unwrap_or(f64::NAN),
        }
    }
    pub(super) fn map(self, compute: impl Fn(f64) -> f64) -> Numbers {
        match self {
            Numbers::Same(value) => Numbers::Same(compute(value)),
            Numbers::Each(mut steps) => {
                steps.values.iter_mut().for_each(|v| *v = compute(*v));
                Numbers::Each(steps)
            }
        }
    }
    /// All distinct values in the order of the steps; one when it is constant.
    pub(super) fn each(&self) -> &[f64] {
        match self {
            Numbers::Same(value) => std::slice::from_ref(value),
            Numbers::Each(steps) => &steps.values,
        }
    }
}

/// What is charged to the budget as long as this lives: samples, and memory for labels.
pub(in crate::promql) struct Charge {
    budget: Budget,
    samples: u64,
    memory: u64,
}
impl Charge {
    pub(super) fn new(budget: &Budget) -> Charge {
        Charge { budget: budget.clone(), samples: 0, memory: 0 }
    }
    pub(super) fn add(&mut self, samples: usize) -> Evaluated<()> {
        self.samples += samples as u64;
        Ok(self.budget.charge_samples(samples as u64)?)
    }
    /// Charges a column: its steps and its labels.
    pub(super) fn add_column(&mut self, labels: &Labels, count: usize) -> Evaluated<()> {
        let memory = column_memory(labels);
        self.memory += memory;
        self.budget.charge_memory(memory)?;
        self.add(count)
    }
    fn release_column(&mut self, labels: &Labels, count: usize) {
        let (memory, samples) = (column_memory(labels).min(self.memory), (count as u64).min(self.samples));
        self.memory -= memory;
        self.samples -= samples;
        self.budget.release_memory(memory);
        self.budget.release_samples(samples);
    }
    pub(super) fn check(&self) -> Evaluated<()> {
        Ok(self.budget.check()?)
    }
    fn absorb(&mut self, mut other: Charge) {
        self.samples += std::mem::take(&mut other.samples);
        self.memory += std::mem::take(&mut other.memory);
    }
}
impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.release_samples(self.samples);
        self.budget.release_memory(self.memory);
    }
}

/// Charges histograms while a column is filled with them, because it may have millions of steps. What it holds goes back when it
/// is dropped: the finished column is charged as a whole then.
pub(super) struct Growth {
    charge: Charge,
    pending: u64,
}
impl Growth {
    /// Fewer than so many samples are not worth a look at the budget.
    const WORTH_A_LOOK: u64 = 4_096;
    pub(super) fn new(budget: &Budget) -> Growth {
        Growth { charge: Charge::new(budget), pending: 0 }
    }
    /// Notes a histogram that was made for one step.
    pub(super) fn note(&mut self, histogram: &Histogram) -> Evaluated<()> {
        self.pending += histogram.cost();
        if self.pending < Growth::WORTH_A_LOOK {
            return Ok(());
        }
        self.charge.check()?;
        self.charge.add(usize::try_from(std::mem::take(&mut self.pending)).unwrap_or(usize::MAX))
    }
}

/// The memory of a column beside its values.
fn column_memory(labels: &Labels) -> u64 {
    (labels.memory() + size_of::<Column>()) as u64
}

/// One series of an instant vector at all steps.
pub(in crate::promql) struct Column {
    pub(in crate::promql) labels: Labels,
    pub(in crate::promql) values: Vec<f64>,
    /// Native histograms, where no float stands. Empty in a series without any, which is the rule.
    histograms: Vec<Option<Arc<Histogram>>>,
    /// Whether the metric's name, type and unit go when the query is done: until then they still tell series apart.
    pub(super) drops_name: bool,
}
impl Column {
    pub(super) fn absent(labels: Labels, count: usize) -> Column {
        Column { labels, values: vec![stale_nan(); count], histograms: Vec::new(), drops_name: false }
    }
    /// The column is no longer the metric it was computed from: its name goes now, or at the end.
    pub(super) fn drop_name(&mut self, names: Names) {
        match names {
            Names::DroppedAtOnce => self.labels = without_metadata(&self.labels),
            Names::DroppedAtEnd => self.drops_name = true,
        }
    }
    /// The float at a step.
    pub(in crate::promql) fn at(&self, i: usize) -> Option<f64> {
        self.values.get(i).copied().filter(|v| !is_stale(*v))
    }
    /// The native histogram at a step.
    pub(in crate::promql) fn histogram(&self, i: usize) -> Option<&Arc<Histogram>> {
        self.histograms.get(i)?.as_ref()
    }
    /// Whatever there is at a step.
    pub(super) fn sample(&self, i: usize) -> Option<Sampled> {
        self.at(i).map(Sampled::Float).or_else(|| self.histogram(i).cloned().map(Sampled::Histogram))
    }
    /// Whether there is a sample of either kind at a step.
    pub(super) fn has(&self, i: usize) -> bool {
        self.at(i).is_some() || self.histogram(i).is_some()
    }
    /// Whether there may be histograms at all.
    pub(super) fn has_histograms(&self) -> bool {
        !self.histograms.is_empty()
    }
    pub(super) fn put(&mut self, i: usize, value: f64) {
        if let Some(slot) = self.values.get_mut(i) {
            *slot = value;
        }
        if let Some(slot) = self.histograms.get_mut(i) {
            *slot = None;
        }
    }
    pub(super) fn put_histogram(&mut self, i: usize, histogram: Arc<Histogram>) {
        if self.histograms.is_empty() {
            self.histograms = vec![None; self.values.len()];
        }
        if let Some(slot) = self.histograms.get_mut(i) {
            *slot = Some(histogram);
            self.values[i] = stale_nan();
        }
    }
    pub(super) fn put_sample(&mut self, i: usize, sample: Sampled) {
        match sample {
            Sampled::Float(value) => self.put(i, value),
            Sampled::Histogram(histogram) => self.put_histogram(i, histogram),
        }
    }
    /// Leaves nothing at a step.
    pub(super) fn clear(&mut self, i: usize) {
        self.put(i, stale_nan());
    }
    pub(super) fn drop_histograms(&mut self) {
        self.histograms = Vec::new();
    }
    /// Puts a number in the place of every histogram, and drops the floats.
    pub(super) fn read_histograms(&mut self, read: impl Fn(&Histogram) -> f64) {
        for (i, slot) in self.values.iter_mut().enumerate() {
            *slot = self.histograms.get(i).and_then(Option::as_deref).map_or_else(stale_nan, &read);
        }
        self.drop_histograms();
    }
    fn is_empty(&self) -> bool {
        self.values.iter().all(|v| is_stale(*v)) && self.histograms.iter().all(Option::is_none)
    }
    /// How many samples the histograms count for: those that follow each other are often the same one.
    fn histogram_cost(&self) -> u64 {
        let mut last: Option<&Arc<Histogram>> = None;
        let mut cost = self.histograms.len() as u64;
        for histogram in self.histograms.iter().flatten() {
            if !last.is_some_and(|l| Arc::ptr_eq(l, histogram)) {
                cost += histogram.cost();
            }
            last = Some(histogram);
        }
        cost
    }
}

/// When the names of metrics go that a computation has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::promql) enum Names {
    DroppedAtOnce,
    DroppedAtEnd,
}

/// An instant vector at all steps.
pub(in crate::promql) struct Columns {
    pub(in crate::promql) list: Vec<Column>,
    pub(super) names: Names,
    pub(in crate::promql) charge: Charge,
}
impl Columns {
    /// Makes room for a column within the budget.
    pub(super) fn push_absent(&mut self, labels: Labels, count: usize) -> Evaluated<&mut Column> {
        self.charge.add_column(&labels, count)?;
        self.list.push(Column::absent(labels, count));
        let last = self.list.len() - 1;
        Ok(&mut self.list[last])
    }
    /// Takes back the column that was pushed last.
    pub(super) fn pop(&mut self, count: usize) {
        if let Some(column) = self.list.pop() {
            self.charge.release_column(&column.labels, count);
        }
    }
    /// Charges the histograms of a column that has been filled.
    pub(super) fn charge_histograms(&mut self, column: usize) -> Evaluated<()> {
        match self.list.get(column).filter(|c| c.has_histograms()) {
            Some(column) => self.charge.add(usize::try_from(column.histogram_cost()).unwrap_or(usize::MAX)),
            None => Ok(()),
        }
    }
    /// The same for the column that was pushed last.
    pub(super) fn charge_last_histograms(&mut self) -> Evaluated<()> {
        self.charge_histograms(self.list.len().wrapping_sub(1))
    }
    /// Every histogram through a function; where it gives nothing, nothing remains. Steps may have shared one histogram before and
    /// have one each afterwards, so they are charged as they come.
    pub(super) fn change_histograms(&mut self, mut change: impl FnMut(usize, &Arc<Histogram>) -> Option<Sampled>) -> Evaluated<()> {
        for column in self.list.iter_mut().filter(|c| c.has_histograms()) {
            self.charge.check()?;
            let mut growth = Growth::new(&self.charge.budget);
            let before = column.histogram_cost();
            for i in 0..column.histograms.len() {
                let Some(histogram) = column.histograms[i].take() else { continue };
                match change(i, &histogram) {
                    Some(sample) => {
                        if let Sampled::Histogram(fresh) = &sample {
                            growth.note(fresh)?;
                        }
                        column.put_sample(i, sample);
                    }
                    None => column.clear(i),
                }
            }
            drop(growth);
            self.charge.add(usize::try_from(column.histogram_cost().saturating_sub(before)).unwrap_or(usize::MAX))?;
        }
        Ok(())
    }
    /// Leaves only floats.
    pub(super) fn without_histograms(mut self) -> Columns {
        if !self.list.iter().any(Column::has_histograms) {
            return self;
        }
        self.list.iter_mut().for_each(Column::drop_histograms);
        self.without_empty()
    }
    /// Every float through a function; histograms and the metric's name go.
    pub(super) fn mapped(self, compute: impl Fn(f64) -> f64) -> Evaluated<Columns> {
        self.without_histograms().mapped_floats(compute)
    }
    /// Every sample with its sign turned; the metric's name goes.
    pub(super) fn negated(mut self) -> Evaluated<Columns> {
        self.change_histograms(|_, histogram| {
            let mut negative = (**histogram).clone();
            negative.scale(-1.0);
            Some(negative.into())
        })?;
        self.mapped_floats(|v| -v)
    }
    fn mapped_floats(mut self, compute: impl Fn(f64) -> f64) -> Evaluated<Columns> {
        for column in &mut self.list {
            for value in column.values.iter_mut().filter(|v| !is_stale(**v)) {
                *value = compute(*value);
            }
            column.drop_name(self.names);
        }
        self.merged()
    }
    /// What the query answers: all names are gone that were to go at the end.
    pub(in crate::promql) fn finished(mut self) -> Evaluated<Columns> {
        for column in self.list.iter_mut().filter(|c| c.drops_name) {
            column.labels = without_metadata(&column.labels);
            column.drops_name = false;
        }
        self.merged()
    }
    /// Puts the samples of equal label sets into one column; two at one step are an error.
    pub(super) fn merged(mut self) -> Evaluated<Columns> {
        let mut seen: HashMap<Labels, usize> = HashMap::with_capacity(self.list.len());
        let mut kept: Vec<Column> = Vec::with_capacity(self.list.len());
        for column in std::mem::take(&mut self.list) {
            match seen.get(&column.labels) {
                None => {
                    seen.insert(column.labels.clone(), kept.len());
                    kept.push(column);
                }
                Some(at) => unite(&mut kept[*at], &column)?,
            }
        }
        self.list = kept;
        Ok(self)
    }
    /// Fails when two columns have one label set, even at different steps.
    pub(super) fn distinct(self) -> Evaluated<Columns> {
        if self.names == Names::DroppedAtEnd {
            return Ok(self);
        }
        let mut seen = hashbrown::HashSet::with_capacity(self.list.len());
        if self.list.iter().any(|c| !seen.insert(&c.labels)) {
            return Err(same_labelset());
        }
        drop(seen);
        Ok(self)
    }
    /// Drops columns without any value.
    pub(super) fn without_empty(mut self) -> Columns {
        self.list.retain(|c| !c.is_empty());
        self
    }
    /// Ascending by labels: sources give series in any order.
    pub(super) fn sorted(mut self) -> Columns {
        self.list.order_by(|a, b| a.labels.cmp(&b.labels));
        self
    }
    /// Both vectors, one behind the other.
    pub(super) fn followed_by(mut self, other: Columns) -> Columns {
        self.list.extend(other.list);
        self.charge.absorb(other.charge);
        self
    }
}

fn unite(into: &mut Column, other: &Column) -> Evaluated<()> {
    let first = |column: &Column| (0..column.values.len()).find(|i| column.has(*i));
    if first(other).is_some_and(|at| first(into).is_none_or(|known| at < known)) {
        into.drops_name = other.drops_name;
    }
    if into.has_histograms() || other.has_histograms() {
        for i in 0..other.values.len() {
            let Some(sample) = other.sample(i) else { continue };
            if into.has(i) {
                return Err(same_labelset());
            }
            into.put_sample(i, sample);
        }
        return Ok(());
    }
    for (slot, value) in into.values.iter_mut().zip(&other.values) {
        if is_stale(*value) {
            continue;
        }
        if !is_stale(*slot) {
            return Err(same_labelset());
        }
        *slot = *value;
    }
    Ok(())
}

pub(super) fn same_labelset() -> QueryError {
    QueryError::Execution("vector cannot contain metrics with the same labelset".to_owned())
}

/// The labels without those that describe the metric itself: its name, type and unit.
pub(super) fn without_metadata(labels: &Labels) -> Labels {
    const METADATA: [&str; 3] = [METRIC_NAME, "__type__", "__unit__"];
    if METADATA.iter().all(|name| labels.get(name).is_none()) {
        return labels.clone();
    }
    keep(labels, |name| !METADATA.contains(&name))
}

/// The labels whose names satisfy a test.
pub(super) fn keep(labels: &Labels, test: impl Fn(&str) -> bool) -> Labels {
    let kept: Vec<_> = labels.iter().filter(|(name, _)| test(name)).collect();
    Labels::from_sorted(&kept)
}
