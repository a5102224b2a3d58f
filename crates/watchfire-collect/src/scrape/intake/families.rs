//! What a target says about its metric families: passed on when it is new.

use std::collections::HashMap;
use std::sync::Arc;

use watchfire_model::batch::{Metadata, MetricType};

use super::FAMILIES_MAX;

/// The families of one target. They come in the same order each time, so the next one is guessed first.
#[derive(Default)]
pub(super) struct Families {
    all: Vec<Family>,
    by_name: HashMap<Arc<str>, usize>,
    /// The family that came last.
    last: usize,
    changed: bool,
}

struct Family {
    metadata: Metadata,
    changed: bool,
}

impl Families {
    pub(super) fn change(&mut self, name: &str, change: impl FnOnce(&mut Metadata) -> bool) {
        let is = |at: &usize| self.all.get(*at).is_some_and(|f| *f.metadata.family == *name);
        let known = [self.last, self.last + 1, 0].into_iter().find(is).or_else(|| self.by_name.get(name).copied());
        if let Some(at) = known {
            self.last = at;
            let family = &mut self.all[at];
            let changed = change(&mut family.metadata);
            family.changed |= changed;
            self.changed |= changed;
        } else if self.all.len() < FAMILIES_MAX {
            let name: Arc<str> = name.into();
            let mut metadata = Metadata { family: name.clone(), kind: MetricType::Unknown, help: "".into(), unit: "".into() };
            change(&mut metadata);
            self.last = self.all.len();
            self.by_name.insert(name, self.last);
            self.all.push(Family { metadata, changed: true });
            self.changed = true;
        }
    }
    /// What is new since the last call.
    pub(super) fn take(&mut self, metadata: &mut Vec<Metadata>) {
        if !std::mem::take(&mut self.changed) {
            return;
        }
        for family in self.all.iter_mut().filter(|f| f.changed) {
            family.changed = false;
            metadata.push(family.metadata.clone());
        }
    }
}

pub(super) fn set<T: PartialEq>(place: &mut T, value: T) -> bool {
    let changed = *place != value;
    *place = value;
    changed
}
pub(super) fn set_text(place: &mut Arc<str>, value: &str) -> bool {
    let changed = **place != *value;
    if changed {
        *place = value.into();
    }
    changed
}
