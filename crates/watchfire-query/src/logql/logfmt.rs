//! Pairs of a logfmt line: `level=info msg="a text" flag`. What is malformed is told, and reading goes on behind it.

use std::borrow::Cow;

/// What a line holds, piece by piece.
#[derive(Debug, PartialEq)]
pub(crate) enum Piece<'a> {
    /// A name with its value; no value without `=`.
    Pair(&'a str, Option<Cow<'a, str>>),
    /// What is no pair, and why.
    Malformed(&'static str),
}

/// Visits the pieces of a line until the visitor has enough.
pub(crate) fn pieces<'a>(line: &'a str, visit: &mut dyn FnMut(Piece<'a>) -> bool) {
    let mut rest = line;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c.is_ascii_control());
        if rest.is_empty() {
            return;
        }
        let length = rest.find(|c: char| c <= ' ' || matches!(c, '=' | '"')).unwrap_or(rest.len());
        let (name, behind) = rest.split_at_checked(length).unwrap_or((rest, ""));
        let (piece, after) = match behind.as_bytes().first() {
            Some(b'=') if name.is_empty() => (Piece::Malformed("'=' without a name"), skip(behind)),
            Some(b'=') => value(name, behind.get(1..).unwrap_or("")),
            Some(b'"') => (Piece::Malformed("quotes in a name"), skip(behind)),
            _ => (Piece::Pair(name, None), behind),
        };
        if !visit(piece) {
            return;
        }
        rest = after;
    }
}

/// Behind the next blank.
fn skip(text: &str) -> &str {
    text.find(|c: char| c <= ' ').and_then(|at| text.get(at..)).unwrap_or("")
}

fn value<'a>(name: &'a str, text: &'a str) -> (Piece<'a>, &'a str) {
    let Some(inner) = text.strip_prefix('"') else {
        let length = text.find(|c: char| c <= ' ').unwrap_or(text.len());
        let (value, behind) = text.split_at_checked(length).unwrap_or((text, ""));
        if value.contains('"') {
            return (Piece::Malformed("quotes within a value"), behind);
        }
        if value.contains('=') {
            return (Piece::Malformed("'=' within a value"), behind);
        }
        return (Piece::Pair(name, Some(Cow::Borrowed(value))), behind);
    };
    let mut escaped = false;
    let mut any = false;
    for (at, byte) in inner.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => (escaped, any) = (true, true),
            b'"' => {
                let (quoted, behind) = (inner.get(..at).unwrap_or(""), inner.get(at + 1..).unwrap_or(""));
                let value = if any { unescaped(quoted).map(Cow::Owned) } else { Some(Cow::Borrowed(quoted)) };
                let piece = value.map_or(Piece::Malformed("unknown escape in a value"), |value| Piece::Pair(name, Some(value)));
                return (piece, behind);
            }
            _ => {}
        }
    }
    (Piece::Malformed("quotes are not closed"), "")
}

fn unescaped(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        out.push(match chars.next()? {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            c @ ('"' | '\\' | '/' | '\'') => c,
            'u' => {
                let digits: String = chars.by_ref().take(4).collect();
                char::from_u32(u32::from_str_radix(&digits, 16).ok()?).unwrap_or('\u{fffd}')
            }
            _ => return None,
        });
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Vec<String> {
        let mut all = Vec::new();
        pieces(line, &mut |piece| {
            all.push(match piece {
                Piece::Pair(name, Some(value)) => format!("{name}={value}"),
                Piece::Pair(name, None) => name.to_owned(),
                Piece::Malformed(why) => format!("!{why}"),
            });
            true
        });
        all
    }

    #[test]
    fn pieces_of_lines() {
        for (line, expected) in [
            (r#"level=info msg="a \"b\" c" n=1.5"#, &["level=info", "msg=a \"b\" c", "n=1.5"][..]),
            ("flag a= b=\"\"", &["flag", "a=", "b="]),
            ("  x=1\ty=2 ", &["x=1", "y=2"]),
            ("a=b=c d=e", &["!'=' within a value", "d=e"]),
            ("=x a=1", &["!'=' without a name", "a=1"]),
            ("a\"b c=1", &["!quotes in a name", "c=1"]),
            ("a=x\"y b=2", &["!quotes within a value", "b=2"]),
            ("a=\"open", &["!quotes are not closed"]),
            ("a=\"x\"b=2", &["a=x", "b=2"]),
            ("", &[]),
            ("msg=\"é\\u00e9\\n\"", &["msg=éé\n"]),
        ] {
            assert_eq!(read(line), expected, "{line}");
        }
    }
}
