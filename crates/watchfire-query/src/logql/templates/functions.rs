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
        all.add(name, &[T], |a| bounded(text(a, 0).to_lowercase()));
    }
    for name in ["ToUpper", "upper"] {
        all.add(name, &[T], |a| bounded(text(a, 0).to_uppercase()));
    }
    all.add("title", &[T], |a| {
        let mut before = ' ';
        bounded(
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
        let count = usize::try_from(int(&a[3])).unwrap_or(usize::MAX);
        exchanged(text(a, 0), text(a, 1), text(a, 2), count)
    });
    all.add("replace", &[T, T, T], |a| exchanged(text(a, 2), text(a, 0), text(a, 1), usize::MAX));
    all.add("contains", &[T, T], |a| Ok(Value::Bool(text(a, 1).contains(text(a, 0)))));
    all.add("hasPrefix", &[T, T], |a| Ok(Value::Bool(text(a, 1).starts_with(text(a, 0)))));
    all.add("hasSuffix", &[T, T], |a| Ok(Value::Bool(text(a, 1).ends_with(text(a, 0)))));
}

/// A text with another one for the first finds of a third; its length is known before it is made.
fn exchanged(whole: &str, old: &str, new: &str, count: usize) -> Result<Value, String> {
    let finds = whole.matches(old).take(count).count();
    if whole.len().saturating_add(finds.saturating_mul(new.len())) > TEXT_BYTES_MAX.saturating_add(finds.saturating_mul(old.len())) {
        return Err(too_long());
    }
    answer(whole.replacen(old, new, count))
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

/// Expressions that a thread keeps compiled for the templates of its queries.
const COMPILED_MAX: usize = 16;

/// Those that were asked for last stand at the end.
#[derive(Default)]
struct Compiled {
    list: Vec<(String, Regex)>,
    /// How many were not there.
    missed: u64,
}

thread_local! {
    /// Templates ask the same expressions for every line.
    static COMPILED: std::cell::RefCell<Compiled> = std::cell::RefCell::default();
}

/// What an expression says; it is not cloned, because a clone has to allocate its memory for searches again.
fn matching<T>(pattern: &str, ask: impl FnOnce(&Regex) -> T) -> Result<T, String> {
    COMPILED.with_borrow_mut(|known| {
        let entry = match known.list.iter().position(|(text, _)| text == pattern) {
            Some(at) => known.list.remove(at),
            None => {
                let regex = unanchored(pattern)?;
                known.missed += 1;
                if known.list.len() >= COMPILED_MAX {
                    known.list.remove(0);
                }
                (pattern.to_owned(), regex)
            }
        };
        let answer = ask(&entry.1);
        known.list.push(entry);
        Ok(answer)
    })
}

/// Every match replaced; it ends where the text becomes too long.
fn replaced(arguments: &[Value], expands: bool) -> Result<Value, String> {
    let (whole, replacement) = (text(arguments, 1), text(arguments, 2));
    let made = matching(text(arguments, 0), |regex| {
        let mut out = String::new();
        let mut behind = 0;
        for captures in regex.captures_iter(whole) {
            let Some(found) = captures.get(0) else { continue };
            out.push_str(whole.get(behind..found.start()).unwrap_or(""));
            if expands {
                captures.expand(replacement, &mut out)
            } else {
                out.push_str(replacement)
            }
            behind = found.end();
            if out.len() > TEXT_BYTES_MAX {
                break;
            }
        }
        out.push_str(whole.get(behind..).unwrap_or(""));
        out
    })?;
    bounded(made)
}

fn expressions(all: &mut Functions) {
    all.add("regexReplaceAll", &[T, T, T], |a| replaced(a, true));
    all.add("regexReplaceAllLiteral", &[T, T, T], |a| replaced(a, false));
    all.add("count", &[T, T], |a| matching(text(a, 0), |regex| Value::Int(i64::try_from(regex.find_iter(text(a, 1)).count()).unwrap_or(i64::MAX))));
}

fn encodings(all: &mut Functions) {
    all.add("urlencode", &[ANY], |a| bounded(query_escape(&sprint(a))));
    all.add("urldecode", &[T], |a| url_decoded(text(a, 0)).ok_or_else(|| format!("invalid URL escape in {:?}", text(a, 0))).and_then(bounded));
    all.add("b64enc", &[T], |a| bounded(base64_encoded(text(a, 0).as_bytes())));
    all.add("b64dec", &[T], |a| base64_decoded(text(a, 0)).ok_or_else(|| "illegal base64 data".to_owned()).and_then(bounded));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_expressions_stay_compiled() {
        let missed = || COMPILED.with_borrow(|known| known.missed);
        let before = missed();
        for _ in 0..10 {
            for pattern in ["kept.a", "kept.b", "kept.c"] {
                assert_eq!(matching(pattern, |regex| regex.is_match("kept b")), Ok(pattern == "kept.b"));
            }
        }
        assert_eq!(missed() - before, 3);
        for i in 0..2 * COMPILED_MAX {
            matching(&format!("kept.{i}"), |_| ()).unwrap();
        }
        assert!(COMPILED.with_borrow(|known| known.list.len()) <= COMPILED_MAX);
    }

    #[test]
    fn no_function_makes_a_text_that_is_too_long() {
        let mut all = Functions::default();
        add(&mut all);
        let value = Value::text("a".repeat(TEXT_BYTES_MAX - 1));
        let (one, many) = (Value::text("a"), Value::text("<".repeat(100)));
        for (name, arguments) in [
            ("urlencode", vec![Value::text("<".repeat(TEXT_BYTES_MAX / 2))]),
            ("b64enc", vec![value.clone()]),
            ("upper", vec![Value::text("\u{149}".repeat(TEXT_BYTES_MAX / 2))]),
            ("lower", vec![Value::text("\u{130}".repeat(TEXT_BYTES_MAX / 2))]),
            ("replace", vec![one.clone(), many.clone(), value.clone()]),
            ("regexReplaceAll", vec![one.clone(), value.clone(), many.clone()]),
            ("regexReplaceAllLiteral", vec![one.clone(), value.clone(), many.clone()]),
            ("nindent", vec![Value::Int(2), value.clone()]),
        ] {
            let outcome = all.call(name, &arguments);
            assert!(outcome.as_ref().is_err_and(|message| message.contains("too long")), "{name}");
        }
        assert_eq!(all.call("replace", &[one.clone(), Value::text("b"), value]).map(|made| made.as_text().map(str::len)), Ok(Some(TEXT_BYTES_MAX - 1)));
    }
}
