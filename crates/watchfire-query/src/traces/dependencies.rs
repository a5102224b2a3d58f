//! Who calls whom: a span whose parent is of another service is a call of this service by that one.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use watchfire_model::logs::{LogSelection, LogSource};
use watchfire_model::read::{Budget, ReadError};
use watchfire_model::spans::{SpanId, SpanRow, TraceId};

use super::Range;

/// What a span takes while its children are looked for.
const KNOWN_BYTES: u64 = 64;

/// Calls of one service by another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// Who calls.
    pub parent: Arc<str>,
    /// Who is called.
    pub child: Arc<str>,
    /// How often.
    pub calls: u64,
}

/// The calls of which both sides began in a range.
pub fn dependencies(source: &dyn LogSource, range: Range, budget: &Budget) -> Result<Vec<Dependency>, ReadError> {
    let mut names: HashSet<Arc<str>> = HashSet::new();
    let mut services: HashMap<(TraceId, SpanId), Arc<str>> = HashMap::new();
    let mut children: Vec<((TraceId, SpanId), Arc<str>)> = Vec::new();
    let mut charged = 0;
    let selection = LogSelection { lines: false, ..LogSelection::new(Vec::new(), range.start, range.end) };
    let read = source.select_logs(&selection, budget, &mut |line| {
        let row = SpanRow::new(line);
        let service = match names.get(row.service()) {
            Some(name) => name.clone(),
            None => {
                let name: Arc<str> = row.service().into();
                names.insert(name.clone());
                name
            }
        };
        budget.charge_memory(KNOWN_BYTES)?;
        charged += KNOWN_BYTES;
        if let Some(parent) = row.parent() {
            children.push(((row.trace(), parent), service.clone()));
        }
        services.insert((row.trace(), row.span()), service);
        Ok(ControlFlow::Continue(()))
    });
    let mut calls: BTreeMap<(Arc<str>, Arc<str>), u64> = BTreeMap::new();
    for (parent, child) in children {
        if let Some(parent) = services.get(&parent).filter(|parent| **parent != child) {
            *calls.entry((parent.clone(), child)).or_default() += 1;
        }
    }
    budget.release_memory(charged);
    read?;
    Ok(calls.into_iter().map(|((parent, child), calls)| Dependency { parent, child, calls }).collect())
}
