//! Lists of targets: those that stand in the file, those that a component discovers, and the rules that they went through on the way.

use std::collections::BTreeMap;

use watchfire_ingest::relabel::{self, RelabelConfig, Verdict};
use watchfire_model::labels::LabelsBuilder;

use super::flow::Flows;
use super::kinds::Kind;
use super::syntax::Place;
use super::value::{Export, Value, Valued};

/// The most lists that one attribute may be put together from.
const LISTS_MAX: usize = 10_000;

/// Targets of one origin.
#[derive(Clone, Debug)]
pub(super) struct Targets {
    pub(super) origin: Origin,
    /// Rules that are not carried out yet: what they work on is known while targets are discovered only.
    pub(super) rules: Vec<RelabelConfig>,
    pub(super) at: Place,
}

/// Where targets come from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Origin {
    /// They stand in the file.
    Fixed(BTreeMap<String, String>),
    /// The component of this number finds them.
    Found(usize),
}

impl Flows<'_> {
    /// The targets of an attribute.
    pub(super) fn targets(&mut self, number: usize, name: &str) -> Vec<Targets> {
        let value = self.settings.get(number).and_then(Option::as_ref).and_then(|settings| settings.get(name)).cloned();
        let Some(value) = value else {
            self.error(self.place(number), format!("{}: {name} is missing", self.id(number)));
            return Vec::new();
        };
        let mut found = Vec::new();
        self.collect(number, &value, &mut found);
        found
    }

    fn collect(&mut self, number: usize, value: &Valued, found: &mut Vec<Targets>) {
        if found.len() >= LISTS_MAX {
            return;
        }
        match &value.value {
            Value::List(items) => items.iter().for_each(|item| self.collect(number, item, found)),
            Value::Object(fields) => {
                let text = |field: &Valued| field.node().text().map(str::to_owned);
                let mut labels = BTreeMap::new();
                for (name, field) in fields {
                    match (text(field), &field.value) {
                        (Some(text), _) => drop(labels.insert(name.text.to_string(), text)),
                        (None, Value::Null) => {}
                        (None, other) => self.error(field.at, format!("{}: a label must be a text, not {}", self.id(number), other.shape())),
                    }
                }
                found.push(Targets { origin: Origin::Fixed(labels), rules: Vec::new(), at: value.at });
            }
            Value::Export(Export::Targets, of) => {
                self.reach(*of);
                if self.kind(*of) != Kind::DiscoverRelabel {
                    found.push(Targets { origin: Origin::Found(*of), rules: Vec::new(), at: value.at });
                    return;
                }
                let rules = self.rules(*of);
                if self.once(*of) {
                    self.read(*of, &["rule"], |reader| reader.allow(&["rule", "targets"]));
                }
                for mut targets in self.targets(*of, "targets") {
                    targets.rules.extend(rules.iter().cloned());
                    found.extend(targets.settled());
                }
            }
            Value::Null => {}
            other => self.error(value.at, format!("{}: targets are lists of objects, or what a discovery finds, not {}", self.id(number), other.shape())),
        }
    }
}

impl Targets {
    /// Carries the rules out where everything they work on is known; nothing is left when one drops the target.
    fn settled(mut self) -> Option<Targets> {
        if let Origin::Fixed(labels) = &self.origin {
            let mut builder = LabelsBuilder::new();
            for (name, value) in labels {
                builder.set(name, value);
            }
            if relabel::apply(&self.rules, &mut builder) == Verdict::Drop {
                return None;
            }
            self.origin = Origin::Fixed(builder.pairs().map(|(name, value)| (name.to_owned(), value.to_owned())).collect());
            self.rules.clear();
        }
        Some(self)
    }
}
