//! What expressions come to: values with their places, some of which stand for what a component gives to others. They become documents
//! for those who read settings.

use std::sync::Arc;

use watchfire_model::document::{Key, Node, Value as Tree};

use super::syntax::{Place, Word};

/// A value with its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Valued {
    pub(super) value: Value,
    pub(super) at: Place,
}

/// The kinds of values.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// A text that stands in the file is only that; a computed one may be read as a number, too.
    Text {
        text: Arc<str>,
        literal: bool,
    },
    List(Vec<Valued>),
    Object(Vec<(Word, Valued)>),
    /// What the component of this number gives to others.
    Export(Export, usize),
    /// What depends on a component that is not carried out, which is named.
    Unknown(Arc<str>),
}

/// What components give to others, but for texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Export {
    /// Targets that are only known while they are discovered.
    Targets,
    /// Rules for labels.
    Rules,
    /// Where log lines or samples are sent.
    Receiver,
    /// Where OpenTelemetry's data are sent.
    Input,
}

impl Value {
    /// A text that was computed.
    pub(super) fn computed(text: impl Into<Arc<str>>) -> Value {
        Value::Text { text: text.into(), literal: false }
    }
    /// What to call it in a message.
    pub(super) fn shape(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::Text { .. } => "a text",
            Value::List(_) => "a list",
            Value::Object(_) => "an object",
            Value::Export(Export::Targets, _) => "a list of targets",
            Value::Export(Export::Rules, _) => "rules for labels",
            Value::Export(Export::Receiver, _) => "a receiver",
            Value::Export(Export::Input, _) => "an input of OpenTelemetry",
            Value::Unknown(_) => "an unknown value",
        }
    }
    /// The name of the component that is not carried out and that this depends on.
    pub(super) fn unknown(&self) -> Option<&Arc<str>> {
        match self {
            Value::Unknown(name) => Some(name),
            Value::List(items) => items.iter().find_map(|item| item.value.unknown()),
            Value::Object(fields) => fields.iter().find_map(|(_, field)| field.value.unknown()),
            _ => None,
        }
    }
}

impl Valued {
    /// The value as a document. What only components understand is nothing there.
    pub(super) fn node(&self) -> Node {
        let plain = |text: String| Tree::Scalar { text: text.into(), plain: true };
        let value = match &self.value {
            Value::Null | Value::Export(..) | Value::Unknown(_) => Tree::Null,
            Value::Bool(value) => plain(value.to_string()),
            Value::Int(value) => plain(value.to_string()),
            Value::Float(value) => plain(value.to_string()),
            Value::Text { text, literal } => Tree::Scalar { text: text.clone(), plain: !literal },
            Value::List(items) => Tree::List(items.iter().map(Valued::node).collect()),
            Value::Object(fields) => Tree::Map(fields.iter().map(|(name, field)| (key(name), field.node())).collect()),
        };
        node(value, self.at)
    }
}

/// A body whose expressions have values.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    pub(super) at: Place,
    pub(super) attributes: Vec<(Word, Valued)>,
    pub(super) blocks: Vec<(Word, Settings)>,
}

impl Settings {
    /// The value of an attribute.
    pub(super) fn get(&self, name: &str) -> Option<&Valued> {
        self.attributes.iter().find(|(word, _)| &*word.text == name).map(|(_, value)| value)
    }
    /// The blocks of a name.
    pub(super) fn blocks_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Settings> {
        self.blocks.iter().filter(move |(word, _)| &*word.text == name).map(|(_, inner)| inner)
    }
    /// All of it as a document: blocks of the named kinds are lists, others are mappings that may stand there once.
    pub(super) fn node(&self, lists: &[&str]) -> Node {
        let mut entries: Vec<(Key, Node)> = self.attributes.iter().map(|(name, value)| (key(name), value.node())).collect();
        for (name, inner) in &self.blocks {
            let inner = inner.node(lists);
            match entries.iter_mut().find(|(known, _)| known.text == name.text) {
                Some((_, Node { value: Tree::List(all), .. })) => all.push(inner),
                // Whoever reads a mapping says that this is none.
                Some((_, first)) => *first = node(Tree::List(vec![first.clone(), inner]), name.at),
                None if lists.contains(&&*name.text) => entries.push((key(name), node(Tree::List(vec![inner]), name.at))),
                None => entries.push((key(name), inner)),
            }
        }
        node(Tree::Map(entries), self.at)
    }
    /// The name of a component that is not carried out and that something in here depends on.
    pub(super) fn unknown(&self) -> Option<(&Arc<str>, Place)> {
        let own = self.attributes.iter().find_map(|(word, value)| Some((value.value.unknown()?, word.at)));
        own.or_else(|| self.blocks.iter().find_map(|(_, inner)| inner.unknown()))
    }
}

/// A word as a key of a document.
pub(super) fn key(word: &Word) -> Key {
    Key { text: word.text.clone(), line: word.at.line, column: word.at.column }
}

/// A node at a place.
pub(super) fn node(value: Tree, at: Place) -> Node {
    Node { value, line: at.line, column: at.column }
}
