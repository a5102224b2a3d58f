//! Functions over texts, by the names of Loki's template reference.

use regex::Regex;
use watchfire_template::{Functions, Kind, Map, MapKind, Value, query_escape, sprint, text};

use super::super::regexes::unanchored;
use super::numbers::int;

/// The longest text that one function may make.
const TEXT_BYTES_MAX: usize = 1 << 20;

const T: Kind = Kind::Text;
const ANY: Kind = Kind::Any;

pub(super) fn add(all: &mut Functions) {
    trims(all);
    cases(all);
    positions(all);
    expressions(all);
    encodings(all);
    all.add("default", &[ANY, ANY], |a| Ok(if a[1].is_true() { a[1].clone() } else { a[0].clone() }));
    // What is no JSON is the empty text.
    all.add("fromJson", &[T], |a| Ok(serde_json::from_str(text(a, 0)).map_or_else(|_| Value::text(""), from_json)));
}

fn answer(text: impl AsRef<str>) -> Result<Value, String> {
    Ok(Value::text(text))
}

/// Go's `Trim` takes characters, not a prefix.
fn in_set(set: &str) -> impl Fn(char) -> bool + '_ {
    move |c| set.contains(c)
}

fn trims(all: &mut Functions) {
    all.add("Trim", &[T, T], |a| answer(text(a, 0).trim_matches(in_set(text(a, 1)))));
    all.add("TrimLeft", &[T, T], |a| answer(text(a, 0).trim_start_matches(in_set(text(a, 1)))));
    all.add("TrimRight", &[T, T], |a| answer(text(a, 0).trim_end_matches(in_set(text(a, 1)))));
    all.add("TrimPrefix", &[T, T], |a| answer(text(a, 0).strip_prefix(text(a, 1)).unwrap_or(text(a, 0))));
    all.add("TrimSuffix", &[T, T], |a| answer(text(a, 0).strip_suffix(text(a, 1)).unwrap_or(text(a, 0))));
    all.add("TrimSpace", &[T], |a| answer(text(a, 0).trim()));
    all.add("trim", &[T], |a| answer(text(a, 0).trim()));
    all.add("trimAll", &[T, T], |a| answer(text(a, 1).trim_matches(in_set(text(a, 0)))));
    all.add("trimPrefix", &[T, T], |a| answer(text(a, 1).strip_prefix(text(a, 0)).unwrap_or(text(a, 1))));
    all.add("trimSuffix", &[T, T], |a| answer(text(a, 1).strip_suffix(text(a, 0)).unwrap_or(text(a, 1))));
}

fn cases(all: &mut Functions) {
    for name in ["ToLower", "lower"] {
        all.add(name, &[T], |a| answer(text(a, 0).to_lowercase()));
    }
    for name in ["ToUpper", "upper"] {
        all.add(name, &[T], |a| answer(text(a, 0).to_uppercase()));
    }
    all.add("title", &[T], |a| {
        let mut before = ' ';
        answer(
            text(a, 0)
                .chars()
                .map(|c| {
                    let begins = !(before.is_alphanumeric() || before == '_' || before == '\'');
                    before = c;
                    if begins { c.to_uppercase().next().unwrap_or(c) } else { c }
                })
                .collect::<String>(),
        )
    });
    all.add("Replace", &[T, T, T, Kind::Int], |a| {
        let count = int(&a[3]);
        bounded(match usize::try_from(count) {
            Ok(count) => text(a, 0).replacen(text(a, 1), text(a, 2), count),
            Err(_) => text(a, 0).replace(text(a, 1), text(a, 2)),
        })
    });
    all.add("replace", &[T, T, T], |a| bounded(text(a, 2).replace(text(a, 0), text(a, 1))));
    all.add("contains", &[T, T], |a| Ok(Value::Bool(text(a, 1).contains(text(a, 0)))));
    all.add("hasPrefix", &[T, T], |a| Ok(Value::Bool(text(a, 1).starts_with(text(a, 0)))));
    all.add("hasSuffix", &[T, T], |a| Ok(Value::Bool(text(a, 1).ends_with(text(a, 0)))));
}

fn bounded(text: String) -> Result<Value, String> {
    if text.len() > TEXT_BYTES_MAX { Err(too_long()) } else { answer(text) }
}

fn too_long() -> String {
    format!("the text becomes too long, more than {TEXT_BYTES_MAX} bytes")
}

/// The first characters of a text, or the last ones.
fn first(text: &str, count: usize) -> &str {
    text.char_indices().nth(count).map_or(text, |(at, _)| text.get(..at).unwrap_or(""))
}
fn last(text: &str, count: usize) -> &str {
    let skipped = text.chars().count().saturating_sub(count);
    text.char_indices().nth(skipped).map_or("", |(at, _)| text.get(at..).unwrap_or(""))
}

fn size(count: i64) -> Result<usize, String> {
    usize::try_from(count.max(0)).ok().filter(|n| *n <= TEXT_BYTES_MAX).ok_or_else(too_long)
}

fn positions(all: &mut Functions) {
    all.add("trunc", &[ANY, T], |a| {
        let count = int(&a[0]);
        let size = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
        answer(if count < 0 { last(text(a, 1), size) } else { first(text(a, 1), size) })
    });
    all.add("substr", &[ANY, ANY, T], |a| {
        let (from, to, whole) = (int(&a[0]), int(&a[1]), text(a, 2));
        let length = whole.chars().count();
        let to = usize::try_from(to).map_or(length, |to| to.min(length));
        let from = usize::try_from(from).unwrap_or(0);
        answer(whole.chars().skip(from).take(to.saturating_sub(from)).collect::<String>())
    });
    all.add("repeat", &[ANY, T], |a| {
        let count = size(int(&a[0]))?;
        if count.saturating_mul(text(a, 1).len()) > TEXT_BYTES_MAX {
            return Err(too_long());
        }
        answer(text(a, 1).repeat(count))
    });
    all.add("alignLeft", &[ANY, T], |a| {
        let width = size(int(&a[0]))?;
        let cut = first(text(a, 1), width);
        answer(format!("{cut}{}", " ".repeat(width.saturating_sub(cut.chars().count()))))
    });
    all.add("alignRight", &[ANY, T], |a| {
        let width = size(int(&a[0]))?;
        let cut = last(text(a, 1), width);
        answer(format!("{}{cut}", " ".repeat(width.saturating_sub(cut.chars().count()))))
    });
    all.add("indent", &[ANY, T], |a| indented(int(&a[0]), text(a, 1)).and_then(bounded));
    all.add("nindent", &[ANY, T], |a| indented(int(&a[0]), text(a, 1)).and_then(|text| bounded(format!("\n{text}"))));
}

fn indented(count: i64, text: &str) -> Result<String, String> {
    let margin = " ".repeat(size(count)?);
    if margin.len().saturating_mul(text.matches('\n').count() + 1) > TEXT_BYTES_MAX {
        return Err(too_long());
    }
    Ok(format!("{margin}{}", text.replace('\n', &format!("\n{margin}"))))
}

thread_local! {
    /// A template asks the same expression for every line.
    static LAST: std::cell::RefCell<Option<(String, Regex)>> = const { std::cell::RefCell::new(None) };
}

fn compiled(pattern: &str) -> Result<Regex, String> {
    LAST.with_borrow_mut(|last| match last {
        Some((known, regex)) if known == pattern => Ok(regex.clone()),
        _ => {
            let regex = unanchored(pattern)?;
            *last = Some((pattern.to_owned(), regex.clone()));
            Ok(regex)
        }
    })
}

fn expressions(all: &mut Functions) {
    all.add("regexReplaceAll", &[T, T, T], |a| bounded(compiled(text(a, 0))?.replace_all(text(a, 1), text(a, 2)).into_owned()));
    all.add("regexReplaceAllLiteral", &[T, T, T], |a| bounded(compiled(text(a, 0))?.replace_all(text(a, 1), regex::NoExpand(text(a, 2))).into_owned()));
    all.add("count", &[T, T], |a| Ok(Value::Int(i64::try_from(compiled(text(a, 0))?.find_iter(text(a, 1)).count()).unwrap_or(i64::MAX))));
}

fn encodings(all: &mut Functions) {
    all.add("urlencode", &[ANY], |a| answer(query_escape(&sprint(a))));
    all.add("urldecode", &[T], |a| url_decoded(text(a, 0)).ok_or_else(|| format!("invalid URL escape in {:?}", text(a, 0))).and_then(answer));
    all.add("b64enc", &[T], |a| answer(base64_encoded(text(a, 0).as_bytes())));
    all.add("b64dec", &[T], |a| base64_decoded(text(a, 0)).ok_or_else(|| "illegal base64 data".to_owned()).and_then(answer));
}

fn url_decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |b: u8| char::from(b).to_digit(16);
                (digit(bytes.next()?)? * 16 + digit(bytes.next()?)?) as u8
            }
            byte => byte,
        });
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64_encoded(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().enumerate().fold(0u32, |word, (i, b)| word | u32::from(*b) << (16 - 8 * i));
        for i in 0..4 {
            out.push(if i <= chunk.len() { char::from(ALPHABET[(word >> (18 - 6 * i) & 63) as usize]) } else { '=' });
        }
    }
    out
}

fn base64_decoded(text: &str) -> Option<String> {
    let plain = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len() - plain.len() > 2 {
        return None;
    }
    let (mut out, mut word, mut bits) = (Vec::new(), 0u32, 0);
    for byte in plain.bytes() {
        word = word << 6 | ALPHABET.iter().position(|b| *b == byte)? as u32;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((word >> bits) as u8);
            word &= (1 << bits) - 1;
        }
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}

fn from_json(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(value) => Value::Bool(value),
        serde_json::Value::Number(number) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        serde_json::Value::String(text) => Value::text(text),
        serde_json::Value::Array(items) => Value::list(items.into_iter().map(from_json).collect()),
        serde_json::Value::Object(members) => {
            let entries = members.into_iter().map(|(name, value)| (name, from_json(value))).collect();
            Value::Map(std::sync::Arc::new(Map { entries, kind: MapKind::Any }))
        }
    }
}
