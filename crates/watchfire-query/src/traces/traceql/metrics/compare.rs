//! What spans that satisfy a condition have otherwise than the others: how often each attribute has each value, for both.

use hashbrown::HashMap;
use watchfire_model::order::Order as _;
use watchfire_model::read::{Budget, ReadError};

use super::super::ast::{Expr, Field, Intrinsic, Owner};
use super::super::field::At;
use super::super::value::Val;
use super::{Series, Steps};

/// So many values of an attribute are counted one by one; the attribute itself is counted on.
const VALUES_MAX: usize = 1_000;
/// What is told of every span beside its attributes.
const INTRINSICS: [Intrinsic; 4] = [Intrinsic::Name, Intrinsic::Kind, Intrinsic::Status, Intrinsic::StatusMessage];
/// What a value takes beside its counts.
const VALUE_BYTES: u64 = 200;

/// How often, in each step.
type Counts = Vec<u32>;

/// An attribute.
#[derive(Default)]
struct Known {
    total: Counts,
    values: HashMap<String, (Val<'static>, Counts)>,
}

pub(super) struct Differences<'q> {
    selection: &'q Expr,
    top: usize,
    when: (Option<i64>, Option<i64>),
    steps: usize,
    /// Of the others, and of those that satisfy the condition.
    sides: [HashMap<String, Known>; 2],
}

impl<'q> Differences<'q> {
    pub(super) fn new(selection: &'q Expr, top: usize, when: (Option<i64>, Option<i64>), steps: usize) -> Differences<'q> {
        Differences { selection, top, when, steps, sides: Default::default() }
    }

    pub(super) fn add(&mut self, at: &At<'_, '_>, place: usize, budget: &Budget) -> Result<(), ReadError> {
        let start = at.row.start().0;
        let in_time = self.when.0.is_none_or(|first| start >= first) && self.when.1.is_none_or(|end| start < end);
        let side = usize::from(in_time && at.value(self.selection).holds());
        let of = |owner: Owner, pairs: Vec<watchfire_model::spans::Pair<'_>>| -> Vec<(String, Val<'static>)> {
            pairs.into_iter().map(|(name, value)| (Field::Attribute(owner, name.into_owned()).to_string(), Val::of(value).into_owned())).collect()
        };
        let mut pairs = of(Owner::Span, at.row.attributes());
        pairs.extend(of(Owner::Resource, at.row.resource()));
        pairs.extend(INTRINSICS.map(|intrinsic| (intrinsic.name().to_owned(), at.field(&Field::Intrinsic(intrinsic)).into_owned())));
        for (name, value) in pairs {
            self.count(side, name, value, place, budget)?;
        }
        Ok(())
    }

    fn count(&mut self, side: usize, name: String, value: Val<'static>, place: usize, budget: &Budget) -> Result<(), ReadError> {
        let room = VALUE_BYTES + self.steps as u64 * 4;
        let Some(side) = self.sides.get_mut(side) else { return Ok(()) };
        if !side.contains_key(&name) {
            budget.charge_memory(room + name.len() as u64)?;
        }
        let known = side.entry(name).or_insert_with(|| Known { total: vec![0; self.steps], values: HashMap::new() });
        add(&mut known.total, place);
        let key = format!("{value:?}");
        if !known.values.contains_key(&key) {
            if known.values.len() >= VALUES_MAX {
                return Ok(());
            }
            budget.charge_memory(room + key.len() as u64 * 2)?;
        }
        add(&mut known.values.entry(key).or_insert_with(|| (value, vec![0; self.steps])).1, place);
        Ok(())
    }

    /// The most frequent values of each attribute, and how often it has any.
    pub(super) fn series(self, steps: &Steps) -> Vec<Series> {
        let mut all = Vec::new();
        for (side, (values, totals)) in self.sides.into_iter().zip([("baseline", "baseline_total"), ("selection", "selection_total")]) {
            for (name, known) in side {
                let made = |kind: &str, value: Val<'static>, counts: &Counts| Series {
                    labels: vec![("__meta_type".to_owned(), Val::Text(kind.to_owned().into())), (name.clone(), value)],
                    samples: counts.iter().enumerate().map(|(at, count)| (steps.moment(at + 1).millis(), f64::from(*count))).collect(),
                };
                all.push(made(totals, Val::Nil, &known.total));
                let mut ranked: Vec<(u64, String, Val<'static>, Counts)> =
                    known.values.into_iter().map(|(key, (value, counts))| (counts.iter().map(|n| u64::from(*n)).sum(), key, value, counts)).collect();
                ranked.order_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
                all.extend(ranked.into_iter().take(self.top).map(|(_, _, value, counts)| made(values, value, &counts)));
            }
        }
        all.sort_by_cached_key(|series| format!("{:?}", series.labels));
        all
    }
}

fn add(counts: &mut Counts, place: usize) {
    if let Some(count) = counts.get_mut(place) {
        *count = count.saturating_add(1);
    }
}
