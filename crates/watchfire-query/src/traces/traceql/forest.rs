//! Who is whose parent among the spans of a trace. Spans whose parent is not there are roots, and so is one span of each circle of
//! parents; everything here goes around in loops, however deep a trace is.

use hashbrown::HashMap;
use watchfire_model::order::Order as _;
use watchfire_model::spans::{SpanId, SpanRow};

use super::super::Trace;

/// A trace with its order.
pub(super) struct Forest<'a> {
    pub(super) trace: &'a Trace,
    pub(super) rows: Vec<SpanRow<'a>>,
    parents: Vec<Option<usize>>,
    children: Vec<Vec<usize>>,
    /// Numbers on the way down and on the way up: those of a descendant lie between those of an ancestor.
    intervals: Vec<(i64, i64)>,
    pub(super) duration: u64,
    pub(super) root_name: &'a str,
    pub(super) root_service: &'a str,
}

impl<'a> Forest<'a> {
    pub(super) fn new(trace: &'a Trace) -> Forest<'a> {
        let rows: Vec<SpanRow<'a>> = trace.spans.iter().map(super::super::Span::row).collect();
        let mut places: HashMap<SpanId, usize> = HashMap::with_capacity(rows.len());
        for (at, row) in rows.iter().enumerate() {
            places.entry(row.span()).or_insert(at);
        }
        let parent = |(at, row): (usize, &SpanRow<'a>)| row.parent().and_then(|id| places.get(&id).copied()).filter(|parent| *parent != at);
        let mut parents: Vec<Option<usize>> = rows.iter().enumerate().map(parent).collect();
        cut_circles(&mut parents);
        let mut children = vec![Vec::new(); rows.len()];
        for (at, parent) in parents.iter().enumerate() {
            if let Some(siblings) = parent.and_then(|parent| children.get_mut(parent)) {
                siblings.push(at);
            }
        }
        let intervals = numbered(&parents, &children);
        let root = trace.root().map(super::super::Span::row);
        Forest {
            duration: trace.duration(),
            root_name: root.map_or("", |root| root.name()),
            root_service: root.map_or("", |root| root.service()),
            trace,
            rows,
            parents,
            children,
            intervals,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }
    /// The parent, if it is there.
    pub(super) fn parent(&self, at: usize) -> Option<usize> {
        self.parents.get(at).copied().flatten()
    }
    /// The children.
    pub(super) fn children(&self, at: usize) -> &[usize] {
        self.children.get(at).map_or(&[], Vec::as_slice)
    }
    /// All spans, each after its parent.
    pub(super) fn roots_first(&self) -> Vec<usize> {
        let mut all: Vec<usize> = (0..self.len()).collect();
        all.order_by_key(|at| self.interval(*at).0);
        all
    }
    /// The numbers of a span.
    pub(super) fn interval(&self, at: usize) -> (i64, i64) {
        self.intervals.get(at).copied().unwrap_or((0, 0))
    }
    /// The number of the parent: -1 for a span that says it has none, 0 for one whose parent is not there.
    pub(super) fn parent_number(&self, at: usize) -> i64 {
        match self.parent(at) {
            Some(parent) => self.interval(parent).0,
            None if self.rows.get(at).is_some_and(|row| row.parent().is_none()) => -1,
            None => 0,
        }
    }
}

/// Makes roots of those that would be their own ancestors.
fn cut_circles(parents: &mut [Option<usize>]) {
    const NEW: u32 = 0;
    // Which walk came by a span first; a walk that meets itself has gone around in a circle.
    let mut walks = vec![NEW; parents.len()];
    for start in 0..parents.len() {
        let walk = u32::try_from(start).unwrap_or(u32::MAX - 1) + 1;
        let mut at = start;
        while walks[at] == NEW {
            walks[at] = walk;
            let Some(next) = parents[at] else { break };
            if walks[next] == walk {
                // The oldest of the trace stands first and was reached first.
                parents[next] = None;
                break;
            }
            at = next;
        }
    }
}

fn numbered(parents: &[Option<usize>], children: &[Vec<usize>]) -> Vec<(i64, i64)> {
    let mut intervals = vec![(0, 0); parents.len()];
    let mut next = 1;
    for root in (0..parents.len()).filter(|at| parents[*at].is_none()) {
        // A span, and how many of its children are done.
        let mut path = vec![(root, 0)];
        intervals[root].0 = next;
        next += 1;
        while let Some((at, done)) = path.last_mut() {
            match children[*at].get(*done) {
                Some(child) => {
                    *done += 1;
                    intervals[*child].0 = next;
                    path.push((*child, 0));
                }
                None => {
                    intervals[*at].1 = next;
                    path.pop();
                }
            }
            next += 1;
        }
    }
    intervals
}
