//! YAML text → `Node`. Anchors, aliases and merge keys are resolved within bounds (nesting 64, one million nodes);
//! a duplicate key, a tab or anything else that YAML forbids is an error with its place.

use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

use super::{Finding, Key, Node, Severity, Value};

const DEPTH_MAX: usize = 64;
const NODES_MAX: usize = 1_000_000;

/// Parses the first document of a text. An empty text is a null node.
pub fn parse_yaml(file: &str, text: &str) -> Result<Node, Box<Finding>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some(nul) = nul_byte(file, text) {
        return Err(Box::new(nul));
    }
    let mut builder = Builder { file: file.into(), open: Vec::new(), anchors: HashMap::new(), nodes: 0, root: None };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|e| builder.error(e.marker(), e.info()))?;
        if matches!(event, Event::DocumentStart(_)) && builder.root.is_some() {
            return Err(builder.error(&span.start, "a second document begins here; one file holds one document"));
        }
        builder.take(event, &span.start)?;
    }
    Ok(builder.root.unwrap_or(Node { value: Value::Null, line: 1, column: 1 }))
}

/// The parser takes a NUL for the end of the text; what stands behind it would be ignored in silence.
fn nul_byte(file: &str, text: &str) -> Option<Finding> {
    let (line, content) = text.lines().enumerate().find(|(_, line)| line.contains('\0'))?;
    let column = content.chars().take_while(|c| *c != '\0').count() + 1;
    Some(Finding { severity: Severity::Error, file: file.into(), line: line + 1, column, message: "a NUL byte is not allowed here".to_owned() })
}

/// A collection that is not yet closed.
struct Open {
    node: Node,
    anchor: usize,
    key: Option<Key>,
    merges: Vec<Node>,
}

struct Builder {
    file: Arc<str>,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    root: Option<Node>,
}

impl Builder {
    fn error(&self, at: &Marker, message: &str) -> Box<Finding> {
        Box::new(Finding { severity: Severity::Error, file: self.file.clone(), line: at.line(), column: at.col() + 1, message: message.to_owned() })
    }

    fn take(&mut self, event: Event<'_>, at: &Marker) -> Result<(), Box<Finding>> {
        let (line, column) = (at.line(), at.col() + 1);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none_or(|t| t.suffix != "str");
                let null = plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let value = if null { Value::Null } else { Value::Scalar { text: text.as_ref().into(), plain } };
                // A key may look like null (`~:`), so its text is kept for `put`.
                self.put(Node { value, line, column }, anchor, at, Some(&text))
            }
            Event::SequenceStart(anchor, _) => self.begin(Value::List(Vec::new()), anchor, at),
            Event::MappingStart(anchor, _) => self.begin(Value::Map(Vec::new()), anchor, at),
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { mut node, anchor, merges, .. }) = self.open.pop() else { return Ok(()) };
                merge(&mut node, merges);
                self.put(node, anchor, at, None)
            }
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor).cloned() else { return Err(self.error(at, "alias to an anchor that is not complete")) };
                self.nodes += size;
                let node = Node { line, column, ..node };
                self.put(node, 0, at, None)
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, value: Value, anchor: usize, at: &Marker) -> Result<(), Box<Finding>> {
        if self.open.len() >= DEPTH_MAX {
            return Err(self.error(at, "nested more than 64 levels deep"));
        }
        self.open.push(Open { node: Node { value, line: at.line(), column: at.col() + 1 }, anchor, key: None, merges: Vec::new() });
        Ok(())
    }

    /// Puts a finished node where it belongs: as an item, a key, a key's value or the root.
    fn put(&mut self, node: Node, anchor: usize, at: &Marker, key_text: Option<&str>) -> Result<(), Box<Finding>> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(self.error(at, "more than a million values (aliases counted in full)"));
        }
        if anchor > 0 {
            let size = count(&node);
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let (line, column) = (node.line, node.column);
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        let problem = match &mut open.node.value {
            Value::List(items) => {
                items.push(node);
                None
            }
            Value::Map(entries) => match open.key.take() {
                None => match key_text {
                    Some(text) => {
                        open.key = Some(Key { text: text.into(), line, column });
                        None
                    }
                    None => Some("a key must be a single value".to_owned()),
                },
                Some(key) if &*key.text == "<<" => {
                    open.merges.push(node);
                    None
                }
                Some(key) => match entries.iter().find(|(k, _)| k.text == key.text) {
                    Some((first, _)) => {
                        let message = format!("key {:?} stands here twice, first in line {}", key.text, first.line);
                        return Err(Box::new(Finding { severity: Severity::Error, file: self.file.clone(), line: key.line, column: key.column, message }));
                    }
                    None => {
                        entries.push((key, node));
                        None
                    }
                },
            },
            Value::Null | Value::Scalar { .. } => None,
        };
        match problem {
            Some(message) => Err(self.error(at, &message)),
            None => Ok(()),
        }
    }
}

/// Adds the entries of merged mappings that the mapping does not have itself.
fn merge(node: &mut Node, merges: Vec<Node>) {
    let Value::Map(entries) = &mut node.value else { return };
    for merged in merges {
        let maps = match merged.value {
            Value::List(items) => items,
            _ => vec![merged],
        };
        for map in maps {
            let Value::Map(more) = map.value else { continue };
            for (key, value) in more {
                if !entries.iter().any(|(k, _)| k.text == key.text) {
                    entries.push((key, value));
                }
            }
        }
    }
}

fn count(node: &Node) -> usize {
    1 + match &node.value {
        Value::List(items) => items.iter().map(count).sum(),
        Value::Map(entries) => entries.iter().map(|(_, v)| count(v)).sum(),
        Value::Null | Value::Scalar { .. } => 0,
    }
}
