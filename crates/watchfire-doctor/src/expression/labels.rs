//! Sets of label names as far as they are known.

use std::collections::BTreeSet;

/// Which labels series have. Without `exact`, there may be others, and nothing is concluded from their absence.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LabelSet {
    /// Whether `always` and `sometimes` are all.
    pub exact: bool,
    /// Labels of every series.
    pub always: BTreeSet<String>,
    /// Labels of some series.
    pub sometimes: BTreeSet<String>,
    /// Labels that targets have or may have: nothing is said of them, and nothing against them.
    pub of_targets: BTreeSet<String>,
    /// Labels that were taken away, which counts where there may be others.
    pub taken: BTreeSet<String>,
    /// Labels that have one value only, because a selector asks for it.
    pub pinned: BTreeSet<String>,
}

impl LabelSet {
    /// Nothing is known.
    pub fn unknown() -> LabelSet {
        LabelSet::default()
    }
    /// Exactly these.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> LabelSet {
        LabelSet { exact: true, always: names.into_iter().map(str::to_owned).collect(), ..LabelSet::default() }
    }
    /// Whether a series may have it.
    pub fn may_have(&self, name: &str) -> bool {
        (!self.exact && !self.taken.contains(name)) || [&self.always, &self.sometimes, &self.of_targets].iter().any(|set| set.contains(name))
    }
    /// Every name that the metric itself has.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.always.iter().chain(&self.sometimes).map(String::as_str)
    }
    /// What remains after `by`.
    pub fn kept(&self, names: &[String]) -> LabelSet {
        let of = |set: &BTreeSet<String>| names.iter().filter(|n| set.contains(*n)).cloned().collect();
        let sometimes: BTreeSet<String> = match self.exact {
            true => of(&self.sometimes),
            false => names.iter().filter(|n| !self.always.contains(*n) && !self.taken.contains(*n)).cloned().collect(),
        };
        // After `by`, there is certainly nothing else.
        LabelSet { exact: true, always: of(&self.always), sometimes, of_targets: of(&self.of_targets), taken: BTreeSet::new(), pinned: of(&self.pinned) }
    }
    /// What remains after `without`.
    pub fn without(&self, names: &[String]) -> LabelSet {
        let mut set = self.clone();
        set.always.retain(|n| !names.contains(n));
        set.sometimes.retain(|n| !names.contains(n));
        set.of_targets.retain(|n| !names.contains(n));
        set.taken.extend(names.iter().cloned());
        set
    }
    /// A label is added to all series.
    pub fn with(mut self, name: &str) -> LabelSet {
        self.sometimes.remove(name);
        self.of_targets.remove(name);
        self.taken.remove(name);
        self.always.insert(name.to_owned());
        self
    }
    /// Series of either.
    pub fn or(&self, other: &LabelSet) -> LabelSet {
        let always: BTreeSet<String> = self.always.intersection(&other.always).cloned().collect();
        let all = self.names().chain(other.names()).map(str::to_owned);
        let sometimes = all.filter(|n| !always.contains(n)).collect();
        let of_targets = self.of_targets.union(&other.of_targets).filter(|n| !always.contains(*n)).cloned().collect();
        let both = |a: &BTreeSet<String>, b: &BTreeSet<String>| a.intersection(b).cloned().collect();
        let (taken, pinned) = (both(&self.taken, &other.taken), BTreeSet::new());
        LabelSet { exact: self.exact && other.exact, always, sometimes, of_targets, taken, pinned }
    }
}
