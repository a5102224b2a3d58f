//! The values behind the record API: one state per declared family, a bounded number of series each. The registry is
//! locked by its owner; nothing here waits or does I/O.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use watchfire_model::batch::MetricType;
use watchfire_model::document::nearest;
use watchfire_model::labels::{Labels, LabelsBuilder, METRIC_NAME};
use watchfire_model::meter::{Counter, Family, Gauge, Meter};
use watchfire_pack::catalog::{Catalogs, FamilySpec, LabelSpec, Producer};

use super::item::{Code, Item, clip};
use super::sanitize::sanitize;
use crate::exposition::format_bound;

/// The most series of one family; beyond it, labels without a list of allowed values take their overflow value.
pub const SERIES_PER_FAMILY_MAX: usize = 2_000;

/// The most retired series that wait for the store.
const GONE_MAX: usize = 10_000;

/// Our own counters about recording.
pub(super) struct Books {
    accepted: Counter,
    refused: [Counter; Code::ALL.len()],
    series: Gauge,
    meter: Meter,
}
impl Books {
    pub(super) fn new(meter: &Meter) -> Books {
        let items = |result| meter.counter("watchfire_record_items_total", "Items of the record API, by what became of them.", &[("result", result)]);
        Books {
            accepted: items("recorded"),
            refused: Code::ALL.map(|code| items(code.name())),
            series: meter.gauge("watchfire_record_series", "Series the record API holds.", &[]),
            meter: meter.clone(),
        }
    }
    pub(super) fn accepted(&self, count: u64) {
        self.accepted.add(count);
    }
    pub(super) fn refused(&self, code: Code) {
        if let Some((_, counter)) = Code::ALL.iter().zip(&self.refused).find(|(c, _)| **c == code) {
            counter.inc();
        }
    }
    /// The names of labels are those of the catalogs, so that there are not many.
    fn folded(&self, label: &str) {
        let help = "Label values that were replaced because they are not allowed or too many, by label.";
        self.meter.counter("watchfire_record_values_folded_total", help, &[("label", label)]).inc();
    }
    pub(super) fn series(&self, count: usize) {
        self.series.set(count as f64);
    }
}

/// The value of one series.
enum State {
    Counter(f64),
    Gauge(f64),
    Histogram { counts: Vec<u64>, sum: f64 },
}

/// One declaration with its series.
struct Declared {
    spec: FamilySpec,
    series: BTreeMap<Labels, State>,
    /// The values of each label that has no list of allowed ones, with the number of series that have them.
    seen: HashMap<Arc<str>, HashMap<String, usize>>,
}

/// All families that applications produce.
pub(super) struct Registry {
    declared: Vec<Declared>,
    by_name: HashMap<Arc<str>, Vec<usize>>,
    catalogs: Arc<Catalogs>,
    /// Series that were retired and of which the store does not know it yet.
    gone: Vec<Labels>,
}

impl Registry {
    pub(super) fn new(catalogs: Arc<Catalogs>) -> Registry {
        let mut registry = Registry { declared: Vec::new(), by_name: HashMap::new(), catalogs: Arc::clone(&catalogs), gone: Vec::new() };
        for spec in catalogs.iter().filter(|f| f.produced_by == Producer::Application) {
            registry.by_name.entry(Arc::clone(&spec.name)).or_default().push(registry.declared.len());
            registry.declared.push(Declared { spec: spec.clone(), series: BTreeMap::new(), seen: HashMap::new() });
        }
        registry
    }

    pub(super) fn series(&self) -> usize {
        self.declared.iter().map(|d| d.series.len()).sum()
    }

    /// The sum over all series of a counter or gauge.
    pub(super) fn total(&self, name: &str) -> Option<f64> {
        let states = self.by_name.get(name)?.iter().flat_map(|i| self.declared[*i].series.values());
        let value = |state: &State| match state {
            State::Counter(value) | State::Gauge(value) => Some(*value),
            State::Histogram { .. } => None,
        };
        states.filter_map(value).reduce(|a, b| a + b)
    }

    /// Records one item, or says why not.
    pub(super) fn record(&mut self, item: &Item, books: &Books) -> Result<(), (Code, String)> {
        let Some(candidates) = self.by_name.get(item.name.as_str()) else {
            return Err(match self.catalogs.family(&item.name) {
                Some(family) => (Code::NotRecordable, format!("{} is produced by {}, not by applications", family.name, family.produced_by.name())),
                None => (Code::UnknownMetric, clip(&item.name)),
            });
        };
        // Of several declarations the first that has all the given labels is meant. A label set in a later one holds a label
        // that the earlier ones lack, so one series never ends up in two of them.
        let fitting = candidates.iter().find(|i| misfit(&self.declared[**i].spec, item).is_none());
        match (fitting, candidates.first()) {
            (Some(index), _) => self.declared[*index].record(item, books),
            (None, Some(first)) => Err(misfit(&self.declared[*first].spec, item).unwrap_or((Code::UnknownLabel, String::new()))),
            (None, None) => Err((Code::UnknownMetric, clip(&item.name))),
        }
    }

    /// Forgets the series of a family that have these labels.
    pub(super) fn retire(&mut self, name: &str, labels: &[(&str, &str)]) {
        for index in self.by_name.get(name).into_iter().flatten() {
            let declared = &mut self.declared[*index];
            let Declared { spec, series, seen } = declared;
            let (spec, mut gone) = (&*spec, Vec::new());
            // Values are looked for as they were stored.
            let stored = labels.iter().filter_map(|(name, value)| Some((*name, sanitize(spec.label(name)?, value))));
            let stored: Vec<(&str, String)> = stored.collect();
            if stored.len() != labels.len() {
                continue;
            }
            series.retain(|known, state| {
                let meant = stored.iter().all(|(name, value)| known.get(name) == Some(value.as_str()));
                if meant {
                    points(spec, known, state, &mut gone);
                    forget(spec, seen, known);
                }
                !meant
            });
            self.gone.extend(gone.into_iter().map(|(labels, _)| labels));
        }
        // A store that does not answer must not make this grow; beyond it, series end when nothing comes any more.
        self.gone.truncate(GONE_MAX);
    }

    /// Whether the store has yet to hear of retired series.
    pub(super) fn has_gone(&self) -> bool {
        !self.gone.is_empty()
    }

    /// The series that were retired since this was last asked, except those that are there again.
    pub(super) fn take_gone(&mut self) -> Vec<Labels> {
        let gone = std::mem::take(&mut self.gone);
        if gone.is_empty() {
            return gone;
        }
        let there: HashSet<Labels> = self.families().into_iter().flat_map(|f| f.points).map(|(labels, _)| labels).collect();
        gone.into_iter().filter(|labels| !there.contains(labels)).collect()
    }

    /// Completes the message about an unknown name, which so far is the name alone; searching for a similar one costs.
    pub(super) fn explain(&self, code: Code, message: String, search: bool) -> String {
        if code != Code::UnknownMetric {
            return message;
        }
        let near = if search { nearest(&message, self.by_name.keys().map(|n| &**n)) } else { None };
        let hint = near.map(|n| format!("; did you mean {n:?}?")).unwrap_or_default();
        format!("no catalog declares {message:?}{hint}")
    }

    /// One family per name, ascending; of several declarations the first gives the metadata.
    pub(super) fn families(&self) -> Vec<Family> {
        self.gather(|_| true)
    }
    /// Those of them that have series.
    pub(super) fn families_with_series(&self) -> Vec<Family> {
        let names: BTreeSet<&str> = self.declared.iter().filter(|declared| !declared.series.is_empty()).map(|declared| &*declared.spec.name).collect();
        self.gather(|name| names.contains(name))
    }
    fn gather(&self, wanted: impl Fn(&str) -> bool) -> Vec<Family> {
        let mut families: BTreeMap<&str, Family> = BTreeMap::new();
        for declared in self.declared.iter().filter(|declared| wanted(&declared.spec.name)) {
            let spec = &declared.spec;
            let family = families.entry(&spec.name).or_insert_with(|| Family {
                name: spec.name.clone(),
                kind: spec.kind,
                help: spec.help.clone(),
                unit: spec.unit.clone(),
                points: Vec::new(),
            });
            for (labels, state) in &declared.series {
                points(spec, labels, state, &mut family.points);
            }
        }
        families.into_values().collect()
    }
}

/// Why the labels of an item do not fit a declaration.
fn misfit(spec: &FamilySpec, item: &Item) -> Option<(Code, String)> {
    if let Some((name, _)) = item.labels.iter().find(|(name, _)| spec.label(name).is_none()) {
        let known: Vec<&str> = spec.labels.iter().map(|l| &*l.name).collect();
        let known = if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
        return Some((Code::UnknownLabel, format!("{} has no label {:?}; {known}", spec.name, clip(name))));
    }
    None
}

impl Declared {
    fn record(&mut self, item: &Item, books: &Books) -> Result<(), (Code, String)> {
        if !item.value.is_finite() {
            return Err((Code::InvalidValue, format!("{} cannot take {}", self.spec.name, item.value)));
        }
        if self.spec.kind == MetricType::Counter && item.value < 0.0 {
            return Err((Code::InvalidValue, format!("{} is a counter and cannot go down by {}", self.spec.name, -item.value)));
        }
        if !matches!(self.spec.kind, MetricType::Counter | MetricType::Gauge | MetricType::Histogram) {
            return Err((Code::UnsupportedType, format!("{} is a {}, of which single values cannot be recorded", self.spec.name, self.spec.kind.name())));
        }
        let labels = self.labels(item, books);
        let Declared { spec, series, seen } = self;
        let buckets = spec.buckets.as_slice();
        let name = &spec.name;
        // To an infinite sum nothing could be added ever again.
        let add = |sum: f64| {
            Some(sum + item.value).filter(|sum| sum.is_finite()).ok_or_else(|| (Code::InvalidValue, format!("{name} would become infinite by {}", item.value)))
        };
        let state = match series.entry(labels) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                for (label, value) in open_values(spec, new.key()) {
                    *seen.entry(Arc::clone(label)).or_default().entry(value.to_owned()).or_default() += 1;
                }
                new.insert(match spec.kind {
                    MetricType::Counter => State::Counter(0.0),
                    MetricType::Histogram => State::Histogram { counts: vec![0; buckets.len() + 1], sum: 0.0 },
                    _ => State::Gauge(0.0),
                })
            }
        };
        match state {
            State::Counter(total) => *total = add(*total)?,
            State::Gauge(now) => *now = item.value,
            State::Histogram { counts, sum } => {
                *sum = add(*sum)?;
                counts[buckets.partition_point(|bound| *bound < item.value)] += 1;
            }
        }
        Ok(())
    }

    /// The labels of the series an item belongs to: sanitised, and within the numbers allowed.
    fn labels(&mut self, item: &Item, books: &Books) -> Labels {
        let mut builder = LabelsBuilder::new();
        for spec in &self.spec.labels {
            let raw = match item.labels.iter().find(|(name, _)| **name == *spec.name) {
                Some((_, raw)) => raw.as_str(),
                None if spec.optional => continue,
                None => "",
            };
            let mut value = sanitize(spec, raw);
            if spec.values.is_empty() && !self.may_have(spec, &value) {
                value = spec.otherwise.to_string();
            }
            // An empty value is missing rather than replaced, and who says `other` means it.
            let said = raw.trim();
            if *value == *spec.otherwise && !said.is_empty() && !said.eq_ignore_ascii_case(&value) {
                books.folded(&spec.name);
            }
            builder.set(&spec.name, &value);
        }
        let labels = builder.build();
        if self.series.len() < SERIES_PER_FAMILY_MAX || self.series.contains_key(&labels) {
            return labels;
        }
        for spec in self.spec.labels.iter().filter(|l| l.values.is_empty()) {
            if !builder.get(&spec.name).is_empty() && *builder.get(&spec.name) != *spec.otherwise {
                books.folded(&spec.name);
                builder.set(&spec.name, &spec.otherwise);
            }
        }
        builder.build()
    }

    /// Whether a label may have a value: one it had before, or a new one while there is room.
    fn may_have(&self, spec: &LabelSpec, value: &str) -> bool {
        *value == *spec.otherwise
            || *value == *spec.empty
            || self.seen.get(&spec.name).is_none_or(|seen| seen.len() < spec.values_max || seen.contains_key(value))
    }
}

/// The values of a series that count against the number allowed, by label.
fn open_values<'a>(spec: &'a FamilySpec, labels: &'a Labels) -> impl Iterator<Item = (&'a Arc<str>, &'a str)> {
    labels.iter().filter_map(|(name, value)| {
        let label = spec.labels.iter().find(|l| *l.name == *name && l.values.is_empty())?;
        (*value != *label.otherwise && *value != *label.empty).then_some((&label.name, value))
    })
}

/// A series is gone: values that no other one has may be other values again.
fn forget(spec: &FamilySpec, seen: &mut HashMap<Arc<str>, HashMap<String, usize>>, labels: &Labels) {
    for (name, value) in open_values(spec, labels) {
        let Some(counts) = seen.get_mut(name) else { continue };
        if let Some(count) = counts.get_mut(value) {
            *count -= 1;
            if *count == 0 {
                counts.remove(value);
            }
        }
    }
}

fn points(spec: &FamilySpec, labels: &Labels, state: &State, out: &mut Vec<(Labels, f64)>) {
    match state {
        State::Counter(value) | State::Gauge(value) => out.push((labels.with(METRIC_NAME, &spec.name), *value)),
        State::Histogram { counts, sum } => {
            let bucket = labels.with(METRIC_NAME, &format!("{}_bucket", spec.name));
            let mut total = 0;
            for (i, count) in counts.iter().enumerate() {
                total += count;
                let bound = spec.buckets.get(i).copied().unwrap_or(f64::INFINITY);
                out.push((bucket.with("le", &format_bound(bound)), total as f64));
            }
            out.push((labels.with(METRIC_NAME, &format!("{}_sum", spec.name)), *sum));
            out.push((labels.with(METRIC_NAME, &format!("{}_count", spec.name)), total as f64));
        }
    }
}
