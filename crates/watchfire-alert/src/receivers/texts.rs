//! Texts of messages: templates wherever they stand in a configuration, carried out over one notification, without what no screen
//! and no header should get, and cut to what the other side takes. It sends nothing.

use serde_json::{Map as JsonMap, Value as Json};
use watchfire_model::document::{Node, Reader, Value as Tree};
use watchfire_net::client::{SecretSource, read_secret};
use watchfire_net::secret::Secret;

use super::exchange::read_secret_text;
use super::{DeliveryError, Making, TEXT, TemplateText};
use crate::manager::notification::Notification;
use crate::template::{Form, List, Map, Record, TemplateError, Templates, Value};

/// The deepest structure that a configuration may hold in place of a text.
const DEPTH_MAX: usize = 16;

/// What stands in place of what was cut off.
const CUT: char = '…';

impl Making<'_> {
    /// The text of a node, which may be a template.
    pub(super) fn template_at(&self, reader: &Reader<'_>, node: &Node, path: &str) -> TemplateText {
        let source = match node.text() {
            Some(text) => text.to_owned(),
            None if node.is_null() => String::new(),
            None => {
                reader.context().error(node.line, node.column, format!("{path}: must be a text, not {}", node.value.shape()));
                String::new()
            }
        };
        if !source.contains("{{") {
            return TemplateText { source, parsed: None };
        }
        match self.parse(&source) {
            Ok(parsed) => TemplateText { source, parsed: Some(parsed) },
            Err(error) => {
                reader.context().error(node.line, node.column, format!("{path}: {error}"));
                TemplateText { source, parsed: None }
            }
        }
    }

    /// One of our own texts.
    pub(super) fn template_of(&self, source: &str) -> TemplateText {
        TemplateText { source: source.to_owned(), parsed: self.parse(source).ok() }
    }

    fn parse(&self, source: &str) -> Result<Templates, TemplateError> {
        let mut templates = self.templates.clone();
        templates.parse(TEXT, source)?;
        Ok(templates)
    }

    /// A mapping from names to texts.
    pub(super) fn template_map(&self, reader: &Reader<'_>, key: &'static str) -> Vec<(String, TemplateText)> {
        let Some(map) = reader.map(key) else { return Vec::new() };
        map.entries().iter().map(|(name, node)| (name.text.to_string(), self.template_at(&map, node, &map.path_of(&name.text)))).collect()
    }

    /// A structure in which every text may be a template.
    pub(super) fn template_tree(&self, reader: &Reader<'_>, node: &Node, path: &str, depth: usize) -> TextTree {
        if depth > DEPTH_MAX {
            reader.context().error(node.line, node.column, format!("{path}: is nested more than {DEPTH_MAX} deep"));
            return TextTree::Text(TemplateText::fixed(""));
        }
        match &node.value {
            Tree::Map(entries) => {
                let entry = |name: &str, value: &Node| (name.to_owned(), self.template_tree(reader, value, &format!("{path}.{name}"), depth + 1));
                TextTree::Map(entries.iter().map(|(name, value)| entry(&name.text, value)).collect())
            }
            Tree::List(items) => TextTree::List(items.iter().map(|item| self.template_tree(reader, item, path, depth + 1)).collect()),
            Tree::Scalar { .. } | Tree::Null => TextTree::Text(self.template_at(reader, node, path)),
        }
    }
}

impl TemplateText {
    /// A text without anything to carry out.
    pub(super) fn fixed(source: &str) -> TemplateText {
        TemplateText { source: source.to_owned(), parsed: None }
    }
    /// Whether nothing was written at all.
    pub(super) fn is_empty(&self) -> bool {
        self.source.is_empty()
    }
    /// What the configuration says, before anything is carried out.
    pub(super) fn source(&self) -> &str {
        &self.source
    }
    /// Whether the text depends on the notification.
    pub(super) fn is_template(&self) -> bool {
        self.parsed.is_some()
    }
}

/// A structure of texts.
pub(super) enum TextTree {
    Text(TemplateText),
    List(Vec<TextTree>),
    Map(Vec<(String, TextTree)>),
}

/// A secret that may be made by a template when it stands in the configuration itself.
pub(super) struct SecretText {
    source: SecretSource,
    template: Option<TemplateText>,
}
impl SecretText {
    /// Reads a secret by its key or its `…_file` twin.
    pub(super) fn read(reader: &Reader<'_>, making: &Making<'_>, key: &'static str, file_key: &'static str) -> Option<SecretText> {
        let source = read_secret(reader, key, file_key, making.locate)?;
        let template = matches!(source, SecretSource::Inline(_)).then(|| making.template(reader, key, "")).filter(TemplateText::is_template);
        Some(SecretText { source, template })
    }
    /// The same of the section `global`, where there are no templates.
    pub(super) fn global(making: &Making<'_>, key: &str) -> Option<SecretText> {
        making.global.secret(key).map(|source| SecretText { source: source.clone(), template: None })
    }
    /// The secret for a notification; an empty one is an error.
    pub(super) async fn write(&self, what: &str, writer: &Writer) -> Result<Secret, DeliveryError> {
        let secret = match &self.template {
            Some(template) => Secret::new(writer.text(template)?.trim()),
            None => read_secret_text(&self.source).await?,
        };
        if secret.is_empty() { Err(DeliveryError::Never(format!("cannot send: {what} is empty"))) } else { Ok(secret) }
    }
}

/// Carries texts out over one notification.
pub(super) struct Writer {
    data: Value,
}
impl Writer {
    /// For texts in which no part of a label or an annotation has a meaning of its own.
    pub(super) fn new(notification: &Notification) -> Writer {
        Writer { data: notification.template_data() }
    }
    /// The same where labels and annotations could say more than they should: `disarm` gets every text that templates see, with
    /// nothing left in it that is taken out later and would put the parts of a call together.
    pub(super) fn disarmed(notification: &Notification, disarm: impl Fn(&str) -> Option<String>) -> Writer {
        let map = |text: &str| {
            let cleaned = clean(text);
            Some(disarm(&cleaned).unwrap_or(cleaned)).filter(|mapped| mapped != text)
        };
        Writer { data: map_texts(&notification.template_data(), &map) }
    }
    /// A text as it is.
    pub(super) fn text(&self, template: &TemplateText) -> Result<String, DeliveryError> {
        self.write(template, Form::Plain)
    }
    /// A text in which values are escaped for HTML.
    pub(super) fn html(&self, template: &TemplateText) -> Result<String, DeliveryError> {
        self.write(template, Form::Html)
    }
    fn write(&self, template: &TemplateText, form: Form) -> Result<String, DeliveryError> {
        let Some(templates) = &template.parsed else { return Ok(clean(&template.source)) };
        let written = templates.execute(TEXT, self.data.clone(), form);
        written.map(|text| clean(&text)).map_err(|error| DeliveryError::Never(format!("cannot write the message: {error}")))
    }
    /// A structure as JSON.
    pub(super) fn tree(&self, tree: &TextTree) -> Result<Json, DeliveryError> {
        Ok(match tree {
            TextTree::Text(text) => Json::from(self.text(text)?),
            TextTree::List(items) => Json::Array(items.iter().map(|item| self.tree(item)).collect::<Result<_, _>>()?),
            TextTree::Map(entries) => {
                let entry = |(name, value): &(String, TextTree)| Ok((name.clone(), self.tree(value)?));
                Json::Object(entries.iter().map(entry).collect::<Result<JsonMap<_, _>, DeliveryError>>()?)
            }
        })
    }
}

fn map_texts(value: &Value, map: &dyn Fn(&str) -> Option<String>) -> Value {
    match value {
        Value::Text(text) => map(text).map_or_else(|| value.clone(), Value::text),
        Value::List(list) => Value::List(List { items: list.items.iter().map(|item| map_texts(item, map)).collect(), kind: list.kind }.into()),
        Value::Map(entries) => {
            let mapped = entries.entries.iter().map(|(name, value)| (map(name).unwrap_or_else(|| name.clone()), map_texts(value, map))).collect();
            Value::Map(Map { entries: mapped, kind: entries.kind }.into())
        }
        Value::Record(record) => {
            let fields = record.fields.iter().map(|(name, value)| (*name, map_texts(value, map))).collect();
            Value::Record(Record { name: record.name, fields }.into())
        }
        _ => value.clone(),
    }
}

/// A text without control characters (line ends and tabs stay) and without marks that turn the reading direction around.
pub(super) fn clean(text: &str) -> String {
    let stays = |c: &char| matches!(c, '\n' | '\t') || !(c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'));
    text.chars().filter(stays).collect()
}

/// Whether a text holds one of these words, in any case of its letters.
pub(super) fn holds_any(text: &str, words: &[&str]) -> bool {
    let lower = text.to_ascii_lowercase();
    words.iter().any(|word| lower.contains(word))
}

/// At most so many characters; the last says that something was cut off.
pub(super) fn cut(text: String, chars_max: usize) -> String {
    if text.chars().nth(chars_max).is_none() {
        return text;
    }
    let mut short: String = text.chars().take(chars_max.saturating_sub(1)).collect();
    short.push(CUT);
    short
}

/// At most so many bytes, cut between characters.
pub(super) fn cut_bytes(text: String, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text;
    }
    let end = text.floor_char_boundary(bytes_max.saturating_sub(CUT.len_utf8()));
    let mut short = text.get(..end).unwrap_or_default().to_owned();
    short.push(CUT);
    short
}

/// Adds a text to an object unless it is empty.
pub(super) fn put(object: &mut JsonMap<String, Json>, key: &str, text: String) {
    if !text.is_empty() {
        object.insert(key.to_owned(), Json::from(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cutting() {
        for (text, max, expected) in [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("äöüß", 3, "äö…"), ("", 0, ""), ("a", 1, "a")] {
            assert_eq!(cut(text.to_owned(), max), expected);
        }
        for (text, max, expected) in [("abc", 3, "abc"), ("abcdef", 5, "ab…"), ("ääää", 6, "ä…"), ("ääää", 8, "ääää")] {
            assert_eq!(cut_bytes(text.to_owned(), max), expected);
        }
    }

    #[test]
    fn no_control_characters() {
        assert_eq!(clean("a\u{1b}[31m\0b\r\n\tc\u{202e}d\u{7f}\u{9b}é"), "a[31mb\n\tcdé");
    }
}
