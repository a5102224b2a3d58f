//! A pipeline carried out on one trace. Relations go over all spans a few times, whatever their order.

use hashbrown::HashMap;
use watchfire_model::read::ReadError;

use super::ast::{Aggregate, Expr, Pipeline, Relation, Scalar, ScalarFilter, Side, Spans, Stage};
use super::field::At;
use super::forest::Forest;
use super::value::{Val, compare, compute};
use crate::pace::{ENTRY_WORK, Pace};

/// Spans of a trace, by their places, ascending; and what is known of them together.
#[derive(Clone, Debug, Default)]
pub(super) struct Set {
    pub(super) spans: Vec<usize>,
    pub(super) attributes: Vec<(String, Val<'static>)>,
}

/// A trace and the time that there is for it.
pub(super) struct Run<'r, 'a> {
    pub(super) forest: &'r Forest<'a>,
    pub(super) pace: &'r Pace<'r>,
}

impl<'r, 'a> Run<'r, 'a> {
    /// The sets that come out of a pipeline when all spans go in. None is empty.
    pub(super) fn all(&self, pipeline: &Pipeline) -> Result<Vec<Set>, ReadError> {
        self.pipeline(pipeline, vec![Set { spans: (0..self.forest.len()).collect(), attributes: Vec::new() }])
    }

    fn pipeline(&self, pipeline: &Pipeline, mut sets: Vec<Set>) -> Result<Vec<Set>, ReadError> {
        for stage in &pipeline.stages {
            sets = self.stage(stage, sets)?;
            sets.retain(|set| !set.spans.is_empty());
        }
        Ok(sets)
    }

    fn stage(&self, stage: &Stage, mut sets: Vec<Set>) -> Result<Vec<Set>, ReadError> {
        match stage {
            Stage::Select(_) => {}
            Stage::Spans(spans) => {
                for set in &mut sets {
                    set.spans = self.spans(spans, &set.spans)?;
                }
            }
            Stage::Coalesce => {
                let spans = sets.into_iter().fold(Vec::new(), |all, set| merged(&all, &set.spans));
                return Ok(vec![Set { spans, attributes: Vec::new() }]);
            }
            Stage::By(exprs) => {
                let mut groups = Vec::new();
                for set in &sets {
                    self.grouped(exprs, set, &mut groups)?;
                }
                return Ok(groups);
            }
            Stage::Scalar(filter) => {
                let mut kept = Vec::with_capacity(sets.len());
                for set in sets {
                    kept.extend(self.satisfying(filter, set)?);
                }
                return Ok(kept);
            }
        }
        Ok(sets)
    }

    /// Each look at all spans of a set.
    fn look(&self, spans: usize) -> Result<(), ReadError> {
        self.pace.check((spans as u64).saturating_mul(ENTRY_WORK))
    }

    fn value<'x>(&self, expr: &'x Expr, at: usize) -> Val<'x>
    where
        'a: 'x,
    {
        At::of(self.forest, at).map_or(Val::Nil, |span| span.value(expr))
    }

    fn spans(&self, spans: &Spans, all: &[usize]) -> Result<Vec<usize>, ReadError> {
        self.look(all.len())?;
        Ok(match spans {
            Spans::Filter(Expr::Literal(Val::Bool(true))) => all.to_vec(),
            Spans::Filter(filter) => all.iter().copied().filter(|at| self.value(filter, *at).holds()).collect(),
            Spans::Pipeline(pipeline) => {
                let sets = self.pipeline(pipeline, vec![Set { spans: all.to_vec(), attributes: Vec::new() }])?;
                sets.into_iter().fold(Vec::new(), |all, set| merged(&all, &set.spans))
            }
            Spans::Or(a, b) => merged(&self.spans(a, all)?, &self.spans(b, all)?),
            Spans::And(a, b) => {
                let (a, b) = (self.spans(a, all)?, self.spans(b, all)?);
                if a.is_empty() || b.is_empty() { Vec::new() } else { merged(&a, &b) }
            }
            Spans::Related(relation, side, a, b) => {
                let (a, b) = (self.spans(a, all)?, self.spans(b, all)?);
                self.look(self.forest.len())?;
                let related = |relation, left: &[usize], right: &[usize], wanted: bool| {
                    let related = self.related(relation, left);
                    right.iter().copied().filter(|at| related.get(*at).copied().unwrap_or(false) == wanted).collect::<Vec<_>>()
                };
                match side {
                    Side::Right => related(*relation, &a, &b, true),
                    Side::Not => related(*relation, &a, &b, false),
                    Side::Both => merged(&related(*relation, &a, &b, true), &related(reversed(*relation), &b, &a, true)),
                }
            }
        })
    }

    /// Of each span of the trace, whether it stands so to one of these.
    fn related(&self, relation: Relation, these: &[usize]) -> Vec<bool> {
        let forest = self.forest;
        let mut is_one = vec![false; forest.len()];
        these.iter().for_each(|at| is_one[*at] = true);
        let mut found = vec![false; forest.len()];
        match relation {
            Relation::Child => (0..forest.len()).for_each(|at| found[at] = forest.parent(at).is_some_and(|parent| is_one[parent])),
            Relation::Descendant => {
                for at in forest.roots_first() {
                    found[at] = forest.parent(at).is_some_and(|parent| is_one[parent] || found[parent]);
                }
            }
            Relation::Parent => these.iter().filter_map(|at| forest.parent(*at)).for_each(|parent| found[parent] = true),
            Relation::Ancestor => {
                for at in forest.roots_first().into_iter().rev() {
                    if let Some(parent) = forest.parent(at) {
                        found[parent] |= is_one[at] || found[at];
                    }
                }
            }
            Relation::Sibling => {
                for at in 0..forest.len() {
                    let children = forest.children(at);
                    let ones = children.iter().filter(|child| is_one[**child]).count();
                    children.iter().for_each(|child| found[*child] = ones > usize::from(is_one[*child]));
                }
            }
        }
        found
    }

    fn grouped(&self, exprs: &[Expr], set: &Set, groups: &mut Vec<Set>) -> Result<(), ReadError> {
        self.look(set.spans.len())?;
        let mut places: HashMap<String, usize> = HashMap::new();
        for at in &set.spans {
            let values: Vec<Val<'_>> = exprs.iter().map(|expr| self.value(expr, *at).single()).collect();
            let key = format!("{values:?}");
            let place = *places.entry(key).or_insert_with(|| {
                let mut attributes = set.attributes.clone();
                attributes.extend(exprs.iter().zip(values).map(|(expr, value)| (format!("by({expr})"), value.into_owned())));
                groups.push(Set { spans: Vec::new(), attributes });
                groups.len() - 1
            });
            if let Some(group) = groups.get_mut(place) {
                group.spans.push(*at);
            }
        }
        Ok(())
    }

    fn satisfying(&self, filter: &ScalarFilter, mut set: Set) -> Result<Option<Set>, ReadError> {
        let (left, right) = (self.scalar(&filter.left, &set.spans)?, self.scalar(&filter.right, &set.spans)?);
        if !compare(filter.op, &left, &right).holds() {
            return Ok(None);
        }
        for (scalar, value) in [(&filter.left, left), (&filter.right, right)] {
            if !matches!(scalar, Scalar::Literal(_)) {
                set.attributes.push((scalar.to_string(), value));
            }
        }
        Ok(Some(set))
    }

    fn scalar(&self, scalar: &Scalar, spans: &[usize]) -> Result<Val<'static>, ReadError> {
        Ok(match scalar {
            Scalar::Literal(value) => value.clone(),
            Scalar::Compute(op, a, b) => compute(*op, &self.scalar(a, spans)?, &self.scalar(b, spans)?),
            Scalar::Aggregate(_, None) => Val::Int(spans.len() as i64),
            Scalar::Aggregate(aggregate, Some(of)) => {
                self.look(spans.len())?;
                aggregated(*aggregate, spans.iter().map(|at| self.value(of, *at).single()))
            }
        })
    }
}

/// What is no number does not count; nothing comes of nothing.
fn aggregated<'v>(aggregate: Aggregate, values: impl Iterator<Item = Val<'v>>) -> Val<'static> {
    let (mut count, mut sum, mut least, mut greatest) = (0u64, 0.0, f64::INFINITY, f64::NEG_INFINITY);
    let mut lasts = true;
    for value in values {
        let Some(number) = value.number() else { continue };
        lasts &= matches!(value, Val::Duration(_));
        count += 1;
        sum += number;
        (least, greatest) = (least.min(number), greatest.max(number));
    }
    if count == 0 {
        return Val::Nil;
    }
    let result = match aggregate {
        Aggregate::Count => count as f64,
        Aggregate::Min => least,
        Aggregate::Max => greatest,
        Aggregate::Sum => sum,
        Aggregate::Avg => sum / count as f64,
    };
    if lasts { Val::Duration(result as i64) } else { Val::Float(result) }
}

fn reversed(relation: Relation) -> Relation {
    match relation {
        Relation::Child => Relation::Parent,
        Relation::Parent => Relation::Child,
        Relation::Descendant => Relation::Ancestor,
        Relation::Ancestor => Relation::Descendant,
        Relation::Sibling => Relation::Sibling,
    }
}

/// Two ascending lists as one, without what is in both twice.
fn merged(a: &[usize], b: &[usize]) -> Vec<usize> {
    let mut all: Vec<usize> = a.iter().chain(b).copied().collect();
    all.sort_unstable();
    all.dedup();
    all
}
