//! A document tree back into YAML, in one plain style. Comments and the original layout are not kept; nothing is hidden: who
//! shows a configuration replaces its secrets first.

use super::{Node, Value};

/// The tree as YAML.
pub fn write_yaml(node: &Node) -> String {
    let mut out = String::new();
    write(node, 0, &mut out);
    out
}

fn write(node: &Node, indent: usize, out: &mut String) {
    match &node.value {
        Value::Map(entries) if !entries.is_empty() => {
            for (key, value) in entries {
                out.push_str(&" ".repeat(indent));
                out.push_str(&scalar(&key.text, false));
                out.push(':');
                below(value, indent, out);
            }
        }
        Value::List(items) if !items.is_empty() => {
            for item in items {
                out.push_str(&" ".repeat(indent));
                out.push('-');
                let mut inner = String::new();
                below_item(item, indent + 2, &mut inner);
                out.push_str(&inner);
            }
        }
        _ => {
            out.push_str(&leaf(node));
            out.push('\n');
        }
    }
}

/// What follows `key:`.
fn below(node: &Node, indent: usize, out: &mut String) {
    match &node.value {
        Value::Map(entries) if !entries.is_empty() => {
            out.push('\n');
            write(node, indent + 2, out);
        }
        Value::List(items) if !items.is_empty() => {
            out.push('\n');
            write(node, indent, out);
        }
        _ => {
            out.push(' ');
            write(node, indent, out);
        }
    }
}

/// What follows `-`: a mapping begins in the same line.
fn below_item(node: &Node, indent: usize, out: &mut String) {
    match &node.value {
        Value::Map(entries) if !entries.is_empty() => {
            let mut block = String::new();
            write(node, indent, &mut block);
            out.push(' ');
            out.push_str(block.trim_start_matches(' '));
        }
        Value::List(items) if !items.is_empty() => {
            out.push('\n');
            write(node, indent, out);
        }
        _ => {
            out.push(' ');
            write(node, indent, out);
        }
    }
}

fn leaf(node: &Node) -> String {
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::List(_) => "[]".to_owned(),
        Value::Map(_) => "{}".to_owned(),
        Value::Scalar { text, plain } => scalar(text, *plain),
    }
}

/// A scalar that means the same when it is read again: quoted whenever it could be taken for something else.
fn scalar(text: &str, plain: bool) -> String {
    let first = text.chars().next().unwrap_or(' ');
    let harmless = first.is_ascii_alphanumeric() || matches!(first, '/' | '_' | '.' | '(' | '<' | '^' | '+' | '$' | '\\');
    let bad_inside = text.contains(": ") || text.contains(" #") || text.ends_with(':') || text.ends_with(' ') || text.chars().any(char::is_control);
    let typed = matches!(text.to_ascii_lowercase().as_str(), "true" | "false" | "yes" | "no" | "on" | "off" | "null" | "~" | "y" | "n")
        || text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'_' | b'x'));
    let needs_quotes = !harmless || bad_inside || (typed && !plain);
    if needs_quotes && !(plain && typed) { crate::labels::quoted(text) } else { text.to_owned() }
}

/// The text; the password of a URL is `xxxxx`, as Go prints it.
pub fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let (authority, tail) = rest.find(['/', '?', '#']).map_or((rest, ""), |at| rest.split_at(at));
    match authority.rsplit_once('@').map(|(info, host)| (info.split_once(':'), host)) {
        Some((Some((user, _)), host)) => format!("{scheme}://{user}:xxxxx@{host}{tail}"),
        _ => text.to_owned(),
    }
}
