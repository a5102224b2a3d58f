//! The numbers of each series and step while spans come in.

use hashbrown::HashMap;
use watchfire_model::read::Budget;

use super::super::ast::{Field, Measure, Metrics};
use super::super::error::TraceqlError;
use super::super::field::At;
use super::super::sketch::Sketch;
use super::super::value::Val;
use super::{SERIES_MAX, Series, Steps};

/// What a series takes beside its cells.
const SERIES_BYTES: u64 = 300;
/// What a bucket of a sketch takes.
const BUCKET_BYTES: u64 = 24;

/// What is known of the spans of a step.
#[derive(Clone, Debug, Default)]
struct Cell {
    count: u64,
    value: f64,
    sketch: Option<Box<Sketch>>,
}

struct Group {
    labels: Vec<(String, Val<'static>)>,
    cells: Vec<Cell>,
}

pub(super) struct Cells<'q> {
    metrics: &'q Metrics,
    steps: usize,
    places: HashMap<String, usize>,
    groups: Vec<Group>,
}

/// The field that is measured.
fn field(measure: &Measure) -> Option<&Field> {
    match measure {
        Measure::Min(field) | Measure::Max(field) | Measure::Avg(field) | Measure::Sum(field) => Some(field),
        Measure::Quantile(field, _) | Measure::Histogram(field) => Some(field),
        Measure::Rate | Measure::Count | Measure::Compare { .. } => None,
    }
}

/// The upper bound of the bucket of a value, which is a power of two; durations are bucketed in nanoseconds and told in seconds.
fn bucket(value: &Val<'_>) -> Option<f64> {
    let bound = |number: f64| if number > 0.0 { number.log2().ceil().exp2() } else { 0.0 };
    let number = value.number()?;
    Some(if matches!(value, Val::Duration(_)) { bound(number) / 1e9 } else { bound(number) })
}

impl<'q> Cells<'q> {
    pub(super) fn new(metrics: &'q Metrics, steps: usize) -> Cells<'q> {
        Cells { metrics, steps, places: HashMap::new(), groups: Vec::new() }
    }

    pub(super) fn add(&mut self, at: &At<'_, '_>, place: usize, budget: &Budget) -> Result<(), TraceqlError> {
        let measured = field(&self.metrics.measure).map(|field| at.field(field).single());
        let value = match &measured {
            None => 0.0,
            // What is no number is not measured.
            Some(value) => match value.measured() {
                Some(value) if !value.is_nan() => value,
                _ => return Ok(()),
            },
        };
        let bucket = match (&self.metrics.measure, &measured) {
            (Measure::Histogram(_), Some(value)) => bucket(value),
            _ => None,
        };
        let group = self.group(at, bucket, budget)?;
        let Some(cell) = self.groups.get_mut(group).and_then(|group| group.cells.get_mut(place)) else { return Ok(()) };
        cell.count += 1;
        match &self.metrics.measure {
            Measure::Min(_) if cell.count > 1 => cell.value = cell.value.min(value),
            Measure::Max(_) if cell.count > 1 => cell.value = cell.value.max(value),
            Measure::Min(_) | Measure::Max(_) => cell.value = value,
            Measure::Avg(_) | Measure::Sum(_) => cell.value += value,
            Measure::Quantile(..) => {
                if cell.sketch.get_or_insert_default().add(value) {
                    budget.charge_memory(BUCKET_BYTES)?;
                }
            }
            Measure::Rate | Measure::Count | Measure::Histogram(_) | Measure::Compare { .. } => {}
        }
        Ok(())
    }

    fn group(&mut self, at: &At<'_, '_>, bucket: Option<f64>, budget: &Budget) -> Result<usize, TraceqlError> {
        let values: Vec<Val<'_>> = self.metrics.by.iter().map(|field| at.field(field).single()).collect();
        let key = format!("{values:?}{bucket:?}");
        if let Some(place) = self.places.get(&key) {
            return Ok(*place);
        }
        if self.groups.len() >= SERIES_MAX {
            return Err(TraceqlError::Invalid(format!("the query would give more than {SERIES_MAX} series: group by less, or select less")));
        }
        budget.charge_memory(SERIES_BYTES + key.len() as u64 * 2 + (self.steps * size_of::<Cell>()) as u64)?;
        let mut labels: Vec<(String, Val<'static>)> =
            self.metrics.by.iter().zip(values).map(|(field, value)| (field.to_string(), value.into_owned())).collect();
        labels.extend(bucket.map(|bound| ("__bucket".to_owned(), Val::Float(bound))));
        self.groups.push(Group { labels, cells: vec![Cell::default(); self.steps] });
        self.places.insert(key, self.groups.len() - 1);
        Ok(self.groups.len() - 1)
    }

    /// What came of them, by labels.
    pub(super) fn series(self, metrics: &Metrics, steps: &Steps) -> Vec<Series> {
        let mut all: Vec<Series> = Vec::new();
        for group in &self.groups {
            let made = |labels: Vec<(String, Val<'static>)>, of: &dyn Fn(&Cell) -> Option<f64>| {
                let points = group.cells.iter().enumerate().filter_map(|(at, cell)| Some((steps.moment(at + 1).millis(), of(cell)?)));
                Series { labels, samples: points.collect() }
            };
            let mut labels = group.labels.clone();
            let there = |cell: &Cell| (cell.count > 0).then_some(cell.value);
            match &metrics.measure {
                Measure::Quantile(_, quantiles) => {
                    for quantile in quantiles {
                        let mut labels = labels.clone();
                        labels.push(("p".to_owned(), Val::Float(*quantile)));
                        all.push(made(labels, &|cell| cell.sketch.as_ref()?.quantile(*quantile)));
                    }
                    continue;
                }
                // A histogram tells its series apart by their buckets.
                Measure::Histogram(_) => all.push(made(labels, &|cell| Some(cell.count as f64))),
                measure => {
                    if labels.is_empty() {
                        labels.push(("__name__".to_owned(), Val::Text(name(measure).into())));
                    }
                    all.push(match measure {
                        Measure::Rate => made(labels, &|cell| Some(cell.count as f64 / steps.seconds())),
                        Measure::Avg(_) => made(labels, &|cell| Some(there(cell)? / cell.count as f64)),
                        Measure::Min(_) | Measure::Max(_) | Measure::Sum(_) => made(labels, &there),
                        _ => made(labels, &|cell| Some(cell.count as f64)),
                    });
                }
            }
        }
        all.sort_by_cached_key(|series| format!("{:?}", series.labels));
        all
    }
}

fn name(measure: &Measure) -> &'static str {
    match measure {
        Measure::Rate => "rate",
        Measure::Count => "count_over_time",
        Measure::Min(_) => "min_over_time",
        Measure::Max(_) => "max_over_time",
        Measure::Avg(_) => "avg_over_time",
        Measure::Sum(_) => "sum_over_time",
        Measure::Quantile(..) => "quantile_over_time",
        Measure::Histogram(_) => "histogram_over_time",
        Measure::Compare { .. } => "compare",
    }
}
