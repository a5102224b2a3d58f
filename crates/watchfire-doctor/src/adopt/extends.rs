//! Services that extend others of the same file, made whole as Compose makes them: what they say themselves counts before what they extend. What
//! stands in another file is not looked at.

use watchfire_model::document::{Key, Node, Value};

use super::service::{mount, pair};

/// A service extends one that extends one …, at most so often.
const CHAIN_MAX: usize = 16;
/// Of so many services what they extend is looked up; nobody writes more.
const SERVICES_MAX: usize = 1_000;
/// Lists that take the place of others instead of being added to them.
const INSTEAD: [&str; 3] = ["command", "entrypoint", "test"];

/// A service with all that it extends.
pub(super) struct Whole<'a> {
    pub(super) key: &'a Key,
    pub(super) node: Node,
    /// The service of this file that it extends.
    pub(super) base: Option<String>,
    /// What it extends and nobody looked at.
    pub(super) elsewhere: Option<String>,
}

/// All services of a file.
pub(super) fn whole(entries: &[(Key, Node)]) -> Vec<Whole<'_>> {
    let mut all = Vec::with_capacity(entries.len());
    for (n, (key, node)) in entries.iter().enumerate() {
        let (resolved, elsewhere) = if n < SERVICES_MAX { resolved(node, entries, 0) } else { (node.clone(), None) };
        let base = base(node).filter(|(_, file)| file.is_none()).map(|(name, _)| name.to_owned());
        all.push(Whole { key, node: resolved, base, elsewhere });
    }
    all
}

/// What a service extends, and the other file in which that stands.
fn base(node: &Node) -> Option<(&str, Option<&str>)> {
    let extends = node.get("extends")?;
    match extends.text() {
        Some(name) => Some((name, None)),
        None => Some((extends.get("service").and_then(Node::text)?, extends.get("file").and_then(Node::text))),
    }
}

fn resolved(node: &Node, entries: &[(Key, Node)], chain: usize) -> (Node, Option<String>) {
    let Some((name, file)) = base(node) else { return (node.clone(), None) };
    if let Some(file) = file {
        return (node.clone(), Some(format!("{name} of {file}")));
    }
    match entries.iter().find(|(key, _)| &*key.text == name).filter(|_| chain < CHAIN_MAX) {
        Some((_, base)) => {
            let (base, elsewhere) = resolved(base, entries, chain + 1);
            (merged("", &base, node), elsewhere)
        }
        None => (node.clone(), Some(name.to_owned())),
    }
}

/// Two values of one key as one, at the place of the second.
fn merged(key: &str, base: &Node, own: &Node) -> Node {
    let value = match (&base.value, &own.value) {
        (_, Value::Null) => base.value.clone(),
        _ if key == "environment" => Value::Map(union(&named(base), &named(own))),
        (Value::Map(base), Value::Map(own)) => Value::Map(union(base, own)),
        (Value::List(base), Value::List(own)) if !INSTEAD.contains(&key) => {
            let again = |one: &&Node| key == "volumes" && own.iter().any(|o| target(o).is_some_and(|t| target(one) == Some(t)));
            Value::List(base.iter().filter(|one| !again(one)).chain(own).cloned().collect())
        }
        _ => own.value.clone(),
    };
    Node { value, line: own.line, column: own.column }
}

fn union(base: &[(Key, Node)], own: &[(Key, Node)]) -> Vec<(Key, Node)> {
    let said = |key: &Key| own.iter().find(|(k, _)| k.text == key.text);
    let before = base.iter().filter(|(key, _)| &*key.text != "extends").map(|(key, node)| match said(key) {
        Some((own_key, own_node)) => (own_key.clone(), merged(&key.text, node, own_node)),
        None => (key.clone(), node.clone()),
    });
    let new = own.iter().filter(|(key, _)| &*key.text == "extends" || !base.iter().any(|(k, _)| k.text == key.text));
    before.chain(new.cloned()).collect()
}

/// Variables by name, however they are written.
fn named(node: &Node) -> Vec<(Key, Node)> {
    let of = |one: &Node| {
        let (name, value) = pair(one.text()?);
        let value = value.map_or(Value::Null, |v| Value::Scalar { text: v.into(), plain: false });
        Some((Key { text: name.into(), line: one.line, column: one.column }, Node { value, line: one.line, column: one.column }))
    };
    match &node.value {
        Value::Map(entries) => entries.clone(),
        Value::List(items) => items.iter().filter_map(of).collect(),
        _ => Vec::new(),
    }
}

/// Where a mount is seen.
fn target(node: &Node) -> Option<String> {
    mount(node).map(|m| m.target)
}
