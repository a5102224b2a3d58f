//! A document tree back into YAML, in one plain style. For showing a configuration, with every secret replaced, and for
//! telling whether two trees say the same. Comments and the original layout are not kept.

use watchfire_model::document::{Node, Value};

/// What stands in place of a secret.
const HIDDEN: &str = "<secret>";

/// Keys whose values are secret wherever they stand.
const SECRET_KEYS: [&str; 16] = [
    "password",
    "bearer_token",
    "credentials",
    "client_secret",
    "secret_key",
    "secret_id",
    "token",
    "secret",
    "secrets",
    "api_token",
    "application_credential_secret",
    "consumer_key",
    "application_secret",
    "auth_token",
    "proxy_connect_header",
    "key",
];

/// The tree as YAML; secrets are `<secret>`, passwords in URLs `xxxxx`.
pub(super) fn yaml(node: &Node) -> String {
    let mut out = String::new();
    write(node, 0, Mode::Shown, &mut out);
    out
}

/// The tree as YAML with everything in it: only for hashing, never to be shown or logged.
pub(super) fn yaml_with_secrets(node: &Node) -> String {
    let mut out = String::new();
    write(node, 0, Mode::Whole, &mut out);
    out
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// Secrets are replaced.
    Shown,
    /// These are request headers: what sounds secret is.
    Headers,
    /// These are labels, which are never secret.
    Labels,
    /// This value is a secret or stands inside one.
    Secret,
    /// Nothing is replaced.
    Whole,
}
impl Mode {
    fn below(self, key: &str) -> Mode {
        match (self, key) {
            (Mode::Shown, "labels" | "external_labels" | "relabel_configs" | "metric_relabel_configs") => Mode::Labels,
            (Mode::Shown, "headers" | "http_headers") => Mode::Headers,
            (Mode::Shown, key) if SECRET_KEYS.contains(&key) => Mode::Secret,
            (Mode::Headers, key) if sounds_secret(key) => Mode::Secret,
            (mode, _) => mode,
        }
    }
}

/// Whether a header's name says that its value is nobody's business.
fn sounds_secret(header: &str) -> bool {
    let header = header.to_ascii_lowercase();
    ["auth", "token", "cookie", "key", "secret"].iter().any(|word| header.contains(word))
}

fn write(node: &Node, indent: usize, mode: Mode, out: &mut String) {
    match &node.value {
        Value::Map(entries) if !entries.is_empty() => {
            for (key, value) in entries {
                out.push_str(&" ".repeat(indent));
                out.push_str(&scalar(&key.text, false));
                out.push(':');
                below(value, indent, mode.below(&key.text), out);
            }
        }
        Value::List(items) if !items.is_empty() => {
            for item in items {
                out.push_str(&" ".repeat(indent));
                out.push('-');
                let mut inner = String::new();
                below_item(item, indent + 2, mode, &mut inner);
                out.push_str(&inner);
            }
        }
        _ => {
            out.push_str(&leaf(node, mode));
            out.push('\n');
        }
    }
}

/// What follows `key:`.
fn below(node: &Node, indent: usize, mode: Mode, out: &mut String) {
    match &node.value {
        Value::Map(entries) if !entries.is_empty() => {
            out.push('\n');
            write(node, indent + 2, mode, out);
        }
        Value::List(items) if !items.is_empty() => {
            out.push('\n');
            write(node, indent, mode, out);
        }
        _ => {
            out.push(' ');
            write(node, indent, mode, out);
        }
    }
}

/// What follows `-`: a mapping begins in the same line.
fn below_item(node: &Node, indent: usize, mode: Mode, out: &mut String) {
    match &node.value {
        Value::Map(entries) if !entries.is_empty() => {
            let mut block = String::new();
            write(node, indent, mode, &mut block);
            out.push(' ');
            out.push_str(block.trim_start_matches(' '));
        }
        Value::List(items) if !items.is_empty() => {
            out.push('\n');
            write(node, indent, mode, out);
        }
        _ => {
            out.push(' ');
            write(node, indent, mode, out);
        }
    }
}

fn leaf(node: &Node, mode: Mode) -> String {
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::List(_) => "[]".to_owned(),
        Value::Map(_) => "{}".to_owned(),
        Value::Scalar { text, .. } if mode == Mode::Secret && !text.is_empty() => HIDDEN.to_owned(),
        Value::Scalar { text, plain } if mode == Mode::Whole => scalar(text, *plain),
        Value::Scalar { text, plain } => scalar(&without_password(text), *plain),
    }
}

/// A URL's password becomes `xxxxx`, as Go prints it.
fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let (authority, tail) = rest.find(['/', '?', '#']).map_or((rest, ""), |at| rest.split_at(at));
    match authority.rsplit_once('@').map(|(info, host)| (info.split_once(':'), host)) {
        Some((Some((user, _)), host)) => format!("{scheme}://{user}:xxxxx@{host}{tail}"),
        _ => text.to_owned(),
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
    if needs_quotes && !(plain && typed) { watchfire_model::labels::quoted(text) } else { text.to_owned() }
}
