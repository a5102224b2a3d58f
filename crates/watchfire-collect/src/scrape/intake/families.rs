//! What a target says about its metric families: passed on when it is new. Names and help texts, which are the same at many targets, stand
//! once in memory.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use hashbrown::HashTable;
use watchfire_model::batch::{Metadata, MetricType};

use super::FAMILIES_MAX;

/// Texts that no target has any more are forgotten when there are so many, or twice as many as there were then.
const FORGET_AT: usize = 1_000;

/// Texts of all targets.
#[derive(Default)]
struct Texts {
    known: HashSet<Arc<str>>,
    forget_at: usize,
}
static TEXTS: LazyLock<Mutex<Texts>> = LazyLock::new(Mutex::default);
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// The one copy of a text.
fn shared(text: &str) -> Arc<str> {
    TEXTS.lock().unwrap_or_else(PoisonError::into_inner).shared(text)
}

impl Texts {
    fn shared(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.known.get(text) {
            return known.clone();
        }
        if self.known.len() >= self.forget_at.max(FORGET_AT) {
            self.known.retain(|text| Arc::strong_count(text) > 1);
            self.known.shrink_to_fit();
            self.forget_at = 2 * self.known.len();
        }
        let text: Arc<str> = text.into();
        self.known.insert(text.clone());
        text
    }
}

/// The families of one target. They come in the same order each time, so the next one is guessed first.
#[derive(Default)]
pub(super) struct Families {
    all: Vec<Family>,
    by_name: HashTable<u32>,
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
        let guessed = [self.last, self.last + 1, 0].into_iter().find(is);
        let known = guessed.or_else(|| self.by_name.find(HASHER.hash_one(name), |at| is(&(*at as usize))).map(|at| *at as usize));
        if let Some(at) = known {
            self.last = at;
            let family = &mut self.all[at];
            let changed = change(&mut family.metadata);
            family.changed |= changed;
            self.changed |= changed;
        } else if self.all.len() < FAMILIES_MAX {
            let empty = shared("");
            let mut metadata = Metadata { family: shared(name), kind: MetricType::Unknown, help: empty.clone(), unit: empty };
            change(&mut metadata);
            self.last = self.all.len();
            let all = &self.all;
            self.by_name.insert_unique(HASHER.hash_one(name), self.last as u32, |at| HASHER.hash_one(&*all[*at as usize].metadata.family));
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
        *place = shared(value);
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_share_texts_and_what_nobody_has_is_forgotten() {
        let (mut one, mut two) = (Families::default(), Families::default());
        for families in [&mut one, &mut two] {
            families.change("a_total", |m| set(&mut m.kind, MetricType::Counter));
            families.change("a_total", |m| set_text(&mut m.help, "How many a."));
            families.change("b", |m| set_text(&mut m.help, "B."));
        }
        let taken = |families: &mut Families| {
            let mut metadata = Vec::new();
            families.take(&mut metadata);
            metadata
        };
        let (one, two) = (taken(&mut one), taken(&mut two));
        assert_eq!(one, two);
        assert!(one.len() == 2 && Arc::ptr_eq(&one[0].family, &two[0].family) && Arc::ptr_eq(&one[0].help, &two[0].help));
        let mut texts = Texts::default();
        let kept: Vec<Arc<str>> = (0..10).map(|n| texts.shared(&format!("kept {n}"))).collect();
        for n in 0..5_000 {
            texts.shared(&n.to_string());
            assert!(texts.known.len() <= FORGET_AT, "{n}");
        }
        assert!(Arc::ptr_eq(&texts.shared("kept 3"), &kept[3]));
    }

    #[test]
    fn families_are_found_in_any_order() {
        let mut families = Families::default();
        let name = |n: usize| format!("f{n}");
        for n in (0..500).chain((0..500).rev()).chain((0..500).map(|n| n * 7 % 500)) {
            families.change(&name(n), |m| set(&mut m.kind, MetricType::Gauge));
        }
        let mut metadata = Vec::new();
        families.take(&mut metadata);
        assert_eq!(metadata.iter().map(|m| m.family.to_string()).collect::<Vec<_>>(), (0..500).map(name).collect::<Vec<_>>());
        families.change("f77", |m| set(&mut m.kind, MetricType::Gauge));
        metadata.clear();
        families.take(&mut metadata);
        assert!(metadata.is_empty());
    }
}
