//! Matchers as Alertmanager's configuration, its API and amtool write them: `foo="bar"`, `{a=b, c=~"d.*"}`. Both of its
//! grammars are read, the classic one and the one for UTF-8, and like there the classic reading wins where they disagree.

use watchfire_model::labels::is_classic_label_name;
use watchfire_model::matcher::{MatchOp, Matcher};
use watchfire_model::order::Order as _;

/// The most matchers in one expression.
const MATCHERS_MAX: usize = 64;

/// Matchers, and what is odd about how they are written.
#[derive(Debug, PartialEq)]
pub struct Parsed {
    /// The matchers, in the order of the text.
    pub matchers: Vec<Matcher>,
    /// Only the classic grammar knows it, or both know it and read it differently.
    pub odd: Option<String>,
}

/// Reads an expression of one or more matchers, with or without braces around it.
pub fn parse_matchers(text: &str) -> Result<Parsed, String> {
    let (classic, utf8) = (classic(text), utf8(text));
    let (written, odd) = match (classic, utf8) {
        (Ok(classic), Ok(utf8)) if classic == utf8 => (classic, None),
        (Ok(classic), Ok(_)) => (classic, Some("classic and UTF-8 grammar read this differently; the classic reading is used".to_owned())),
        (Ok(classic), Err(error)) => {
            let better: Vec<String> = classic.iter().map(|(n, op, v)| format!("{n}{}{}", op.symbol(), watchfire_model::labels::quoted(v))).collect();
            (classic, Some(format!("only the classic grammar of matchers knows this ({error}); {} is the same in both", better.join(","))))
        }
        (Err(_), Ok(utf8)) => (utf8, None),
        (Err(_), Err(error)) => return Err(error),
    };
    let compiled: Result<Vec<_>, _> = written.iter().map(|(name, op, value)| Matcher::new(name, *op, value).map_err(|e| e.to_string())).collect();
    Ok(Parsed { matchers: compiled?, odd })
}

type Written = (String, MatchOp, String);

/// The classic grammar: a label name, an operator, and everything after it as the value, which may be quoted.
fn classic(text: &str) -> Result<Vec<Written>, String> {
    let text = text.trim();
    let inner = text.strip_prefix('{').map_or(text, |t| t);
    let inner = inner.strip_suffix('}').unwrap_or(inner);
    let mut parts = Vec::new();
    let (mut inside, mut escaped, mut part) = (false, false, String::new());
    for c in inner.chars() {
        match c {
            _ if escaped => escaped = false,
            '"' => inside = !inside,
            '\\' => escaped = true,
            ',' if !inside => {
                parts.push(std::mem::take(&mut part));
                continue;
            }
            _ => {}
        }
        part.push(c);
    }
    // One comma at the end is allowed.
    if !part.trim().is_empty() || parts.is_empty() {
        parts.push(part);
    }
    if parts.len() > MATCHERS_MAX {
        return Err(format!("more than {MATCHERS_MAX} matchers"));
    }
    parts.iter().map(|part| classic_one(part)).collect()
}

fn classic_one(text: &str) -> Result<Written, String> {
    let bad = || format!("bad matcher format: {text}");
    let trimmed = text.trim();
    let end = trimmed.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | ':'))).ok_or_else(bad)?;
    let (name, rest) = trimmed.split_at(end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(bad());
    }
    let (op, value) = operator(rest.trim_start()).ok_or_else(bad)?;
    Ok((name.to_owned(), op, classic_value(value.trim())?))
}

fn classic_value(raw: &str) -> Result<String, String> {
    let unescaped = || format!("matcher value contains unescaped double quote: {raw}");
    let (inner, mut open) = raw.strip_prefix('"').map_or((raw, false), |inner| (inner, true));
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some(c @ ('"' | '\\')) => out.push(c),
                Some(c) => out.extend(['\\', c]),
                None => out.push('\\'),
            },
            '"' if open && chars.peek().is_none() => open = false,
            '"' => return Err(unescaped()),
            c => out.push(c),
        }
    }
    if open { Err(unescaped()) } else { Ok(out) }
}

fn operator(text: &str) -> Option<(MatchOp, &str)> {
    [(MatchOp::Regex, "=~"), (MatchOp::NotRegex, "!~"), (MatchOp::NotEqual, "!="), (MatchOp::Equal, "=")]
        .into_iter()
        .find_map(|(op, symbol)| Some((op, text.strip_prefix(symbol)?)))
}

/// The grammar for UTF-8: names and values are literals without reserved characters, or strings as Go quotes them.
fn utf8(text: &str) -> Result<Vec<Written>, String> {
    let mut rest = text.trim();
    let braces = rest.starts_with('{');
    if braces {
        rest = rest.split_at(1).1.trim_start();
    }
    let mut found: Vec<Written> = Vec::new();
    loop {
        if braces && rest.starts_with('}') {
            let behind = rest.split_at(1).1.trim();
            return if behind.is_empty() { Ok(found) } else { Err(format!("unexpected {behind:?} behind the closing brace")) };
        }
        if rest.is_empty() {
            return match (braces, found.is_empty()) {
                (true, _) => Err("expected a closing brace".to_owned()),
                (false, true) => Err("expected a matcher".to_owned()),
                (false, false) => Ok(found),
            };
        }
        let (name, after) = word(rest)?;
        let (op, after) = operator(after.trim_start()).ok_or_else(|| format!("expected an operator such as =, !=, =~ or !~ behind {name:?}"))?;
        let (value, after) = word(after.trim_start()).map_err(|_| format!("expected a label value behind {name}{}", op.symbol()))?;
        found.push((name, op, value));
        if found.len() > MATCHERS_MAX {
            return Err(format!("more than {MATCHERS_MAX} matchers"));
        }
        rest = after.trim_start();
        match rest.strip_prefix(',') {
            Some(more) => rest = more.trim_start(),
            None if rest.is_empty() || (braces && rest.starts_with('}')) => {}
            None => return Err(format!("expected a comma or the end, not {rest:?}")),
        }
    }
}

fn is_reserved(c: char) -> bool {
    c.is_whitespace() || matches!(c, '{' | '}' | '!' | '=' | '~' | ',' | '\\' | '"' | '\'' | '`')
}

/// One literal or quoted text, and what follows it.
fn word(text: &str) -> Result<(String, &str), String> {
    if let Some(inner) = text.strip_prefix('"') {
        return quoted_word(inner);
    }
    let end = text.find(is_reserved).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    if word.is_empty() { Err(format!("expected a name or a quoted text, not {text:?}")) } else { Ok((word.to_owned(), rest)) }
}

/// The rest of a double-quoted text of Go, and what follows it.
fn quoted_word(inner: &str) -> Result<(String, &str), String> {
    let mut bytes: Vec<u8> = Vec::new();
    let mut chars = inner.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                let text = String::from_utf8(bytes).map_err(|_| "a quoted text is not UTF-8".to_owned())?;
                return Ok((text, inner.get(at + 1..).unwrap_or("")));
            }
            '\n' => return Err("a line break stands in a quoted text".to_owned()),
            '\\' => {
                let escape = chars.next().map(|(_, c)| c).ok_or("a quoted text ends with a backslash")?;
                unescape(escape, &mut chars, &mut bytes)?;
            }
            c => bytes.extend(c.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
    Err("a quoted text does not end".to_owned())
}

fn unescape(escape: char, chars: &mut std::str::CharIndices<'_>, out: &mut Vec<u8>) -> Result<(), String> {
    let mut digits = |count: usize, radix: u32, first: Option<char>| {
        let mut value = first.map_or(Some(0), |c| c.to_digit(radix));
        for _ in 0..count {
            let digit = chars.next().and_then(|(_, c)| c.to_digit(radix));
            value = value.zip(digit).and_then(|(v, d)| v.checked_mul(radix)?.checked_add(d));
        }
        value.ok_or_else(|| format!("\\{escape} is not followed by its digits"))
    };
    let one = match escape {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        '\\' => b'\\',
        '"' => b'"',
        'x' => digits(2, 16, None)? as u8,
        '0'..='7' => u8::try_from(digits(2, 8, Some(escape))?).map_err(|_| "an octal escape is more than a byte")?,
        'u' | 'U' => {
            let code = digits(if escape == 'u' { 4 } else { 8 }, 16, None)?;
            let c = char::from_u32(code).ok_or("an escape is no character")?;
            out.extend(c.encode_utf8(&mut [0; 4]).bytes());
            return Ok(());
        }
        other => return Err(format!("\\{other} is no escape of a quoted text")),
    };
    out.push(one);
    Ok(())
}

/// Matchers in Alertmanager's order: by name, value and comparison.
pub fn sort_matchers(matchers: &mut [Matcher]) {
    let rank = |op: MatchOp| match op {
        MatchOp::Equal => 0,
        MatchOp::NotEqual => 1,
        MatchOp::Regex => 2,
        MatchOp::NotRegex => 3,
    };
    matchers.order_by(|a, b| (&a.name, &a.value, rank(a.op)).cmp(&(&b.name, &b.value, rank(b.op))));
}

/// Matchers as they stand in the key of a route: `{a="b",c=~"d"}`.
pub fn show_matchers(matchers: &[Matcher]) -> String {
    let one = |m: &Matcher| {
        let name = if is_classic_label_name(&m.name) { m.name.clone() } else { watchfire_model::labels::quoted(&m.name) };
        format!("{name}{}\"{}\"", m.op.symbol(), m.value.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\""))
    };
    format!("{{{}}}", matchers.iter().map(one).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str, odd: bool) {
        let parsed = parse_matchers(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(show_matchers(&parsed.matchers), expected, "{text}");
        assert_eq!(parsed.odd.is_some(), odd, "{text}: {:?}", parsed.odd);
    }

    #[test]
    fn both_grammars() {
        check("foo=bar", r#"{foo="bar"}"#, false);
        check(" foo = \"bar baz\" ", r#"{foo="bar baz"}"#, false);
        check("{alertname=\"Watchdog\", severity=~\"warning|critical\",}", r#"{alertname="Watchdog",severity=~"warning|critical"}"#, false);
        check("alertname = Watchdog, dings != bums", r#"{alertname="Watchdog",dings!="bums"}"#, false);
        check("a!~\"x,y\"", r#"{a!~"x,y"}"#, false);
        check(r#"{quote=~"She said: \"Hi, all!( How're you…)?\""}"#, r#"{quote=~"She said: \"Hi, all!( How're you…)?\""}"#, false);
        // Only classic: an empty value, blanks without quotes, a backslash that escapes nothing.
        check("foo=", r#"{foo=""}"#, true);
        check("foo=bar baz", r#"{foo="bar baz"}"#, true);
        check(r"foo=~\d+", r#"{foo=~"\\d+"}"#, true);
        check(r#"foo=~"\d+""#, r#"{foo=~"\\d+"}"#, true);
        // Only UTF-8.
        check(r#""my label"="x""#, r#"{"my label"="x"}"#, false);
        check("Προμηθεύς=🙂", "{\"Προμηθεύς\"=\"🙂\"}", false);
        // Both, differently: the classic reading wins.
        check(r#"foo="\xf0\x9f\x99\x82""#, r#"{foo="\\xf0\\x9f\\x99\\x82"}"#, true);
        check("{}", "{}", false);
    }

    #[test]
    fn what_no_grammar_knows_is_refused() {
        for text in ["", "foo", "=bar", "foo=\"bar", "foo=\"b\"a\"r\"", "{{foo=bar}}", "foo=~\"(\"", "a=b c=d\"", "1a=b\"", "a b=c"] {
            assert!(parse_matchers(text).is_err(), "{text}");
        }
        // The classic grammar does not ask whether a brace has its other half.
        check("{foo=bar", r#"{foo="bar"}"#, true);
        check("foo=bar}", r#"{foo="bar"}"#, true);
    }

    #[test]
    fn order_is_that_of_route_keys() {
        let mut matchers = parse_matchers("b=1, a=~2, a=2, a=1").unwrap().matchers;
        sort_matchers(&mut matchers);
        assert_eq!(show_matchers(&matchers), r#"{a="1",a="2",a=~"2",b="1"}"#);
    }
}
