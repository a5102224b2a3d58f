//! JSON read where it lies: a scanner that copies nothing but texts with escapes. It is lenient about what follows the value.

use std::borrow::Cow;

use super::paths::{Path, Step};

/// How deep objects and arrays may nest.
const DEPTH_MAX: usize = 128;

/// A value. What is inside objects and arrays is visited, not kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Text(Cow<'a, str>),
    Number(&'a str),
    Bool(bool),
    Null,
    /// The text of an object, braces included.
    Object(&'a str),
    /// The text of an array, brackets included.
    Array(&'a str),
}
impl<'a> Value<'a> {
    /// The value as the text of a label; objects and arrays as they stand there.
    pub(crate) fn into_text(self) -> Cow<'a, str> {
        match self {
            Value::Text(text) => text,
            Value::Number(text) | Value::Object(text) | Value::Array(text) => Cow::Borrowed(text),
            Value::Bool(true) => Cow::Borrowed("true"),
            Value::Bool(false) => Cow::Borrowed("false"),
            Value::Null => Cow::Borrowed(""),
        }
    }
}

/// What is wrong with a text, and at which byte.
pub(crate) type Malformed = String;

type Scanned<T> = Result<T, Malformed>;

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str) -> Scanner<'a> {
        Scanner { text, at: 0, depth: 0 }
    }
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }
    fn fail<T>(&self, what: &str) -> Scanned<T> {
        Err(format!("{what} at byte {}", self.at))
    }
    fn expect(&mut self, byte: u8) -> Scanned<()> {
        self.space();
        if self.peek() == Some(byte) {
            self.at += 1;
            return Ok(());
        }
        self.fail(&format!("{:?} expected", char::from(byte)))
    }
    /// Whether a closing byte comes next, which is taken.
    fn closes(&mut self, byte: u8) -> bool {
        self.space();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn string(&mut self) -> Scanned<Cow<'a, str>> {
        self.expect(b'"')?;
        let start = self.at;
        let rest = self.text.as_bytes().get(start..).unwrap_or(&[]);
        let Some(length) = memchr::memchr2(b'"', b'\\', rest) else { return self.fail("text is not closed") };
        self.at += length;
        if rest.get(length) == Some(&b'"') {
            self.at += 1;
            return Ok(Cow::Borrowed(self.text.get(start..start + length).unwrap_or("")));
        }
        let mut out = self.text.get(start..start + length).unwrap_or("").to_owned();
        self.escaped(&mut out)?;
        Ok(Cow::Owned(out))
    }

    fn escaped(&mut self, out: &mut String) -> Scanned<()> {
        loop {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or(&[]);
            let Some(length) = memchr::memchr2(b'"', b'\\', rest) else { return self.fail("text is not closed") };
            out.push_str(self.text.get(self.at..self.at + length).unwrap_or(""));
            self.at += length + 1;
            if rest.get(length) == Some(&b'"') {
                return Ok(());
            }
            let escape = self.peek();
            self.at += 1;
            match escape {
                Some(b'n') => out.push('\n'),
                Some(b't') => out.push('\t'),
                Some(b'r') => out.push('\r'),
                Some(b'b') => out.push('\u{8}'),
                Some(b'f') => out.push('\u{c}'),
                Some(c @ (b'"' | b'\\' | b'/')) => out.push(char::from(c)),
                Some(b'u') => out.push(self.code_point()?),
                _ => return self.fail("unknown escape"),
            }
        }
    }

    fn hex(&mut self) -> Scanned<u32> {
        let digits = self.text.get(self.at..self.at + 4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let Some(code) = digits.and_then(|d| u32::from_str_radix(d, 16).ok()) else { return self.fail("four hexadecimal digits expected") };
        self.at += 4;
        Ok(code)
    }

    /// A `\u` escape, perhaps with the other half of a pair. Half a pair alone becomes the replacement character.
    fn code_point(&mut self) -> Scanned<char> {
        let first = self.hex()?;
        if (0xd800..0xdc00).contains(&first) && self.text.get(self.at..).is_some_and(|t| t.starts_with("\\u")) {
            let back = self.at;
            self.at += 2;
            let second = self.hex()?;
            if (0xdc00..0xe000).contains(&second) {
                return Ok(char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)).unwrap_or('\u{fffd}'));
            }
            self.at = back;
        }
        Ok(char::from_u32(first).unwrap_or('\u{fffd}'))
    }

    fn value(&mut self) -> Scanned<Value<'a>> {
        self.space();
        let start = self.at;
        match self.peek() {
            Some(b'"') => self.string().map(Value::Text),
            Some(b'{') => {
                self.members(&mut |_, scanner| scanner.value().map(drop))?;
                Ok(Value::Object(self.text.get(start..self.at).unwrap_or("")))
            }
            Some(b'[') => {
                self.elements(&mut |_, scanner| scanner.value().map(drop))?;
                Ok(Value::Array(self.text.get(start..self.at).unwrap_or("")))
            }
            Some(b'-' | b'0'..=b'9') => {
                let rest = self.text.as_bytes().get(start..).unwrap_or(&[]);
                self.at += rest.iter().take_while(|b| matches!(b, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E')).count();
                let number = self.text.get(start..self.at).unwrap_or("");
                if number.parse::<f64>().is_ok() { Ok(Value::Number(number)) } else { self.fail("malformed number") }
            }
            _ => {
                for (word, value) in [("true", Value::Bool(true)), ("false", Value::Bool(false)), ("null", Value::Null)] {
                    if self.text.get(start..).is_some_and(|t| t.starts_with(word)) {
                        self.at += word.len();
                        return Ok(value);
                    }
                }
                self.fail("value expected")
            }
        }
    }

    fn deeper(&mut self) -> Scanned<()> {
        self.depth += 1;
        if self.depth > DEPTH_MAX { self.fail("nested too deeply") } else { Ok(()) }
    }

    /// Visits the members of an object. The visitor reads each value.
    fn members(&mut self, visit: &mut dyn FnMut(Cow<'a, str>, &mut Scanner<'a>) -> Scanned<()>) -> Scanned<()> {
        self.deeper()?;
        self.expect(b'{')?;
        if !self.closes(b'}') {
            loop {
                self.space();
                let name = self.string()?;
                self.expect(b':')?;
                visit(name, self)?;
                if self.closes(b'}') {
                    break;
                }
                self.expect(b',')?;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn elements(&mut self, visit: &mut dyn FnMut(usize, &mut Scanner<'a>) -> Scanned<()>) -> Scanned<()> {
        self.deeper()?;
        self.expect(b'[')?;
        if !self.closes(b']') {
            let mut index = 0;
            loop {
                visit(index, self)?;
                index += 1;
                if self.closes(b']') {
                    break;
                }
                self.expect(b',')?;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Whether an object comes next.
    fn begins_object(&mut self) -> bool {
        self.space();
        self.peek() == Some(b'{')
    }

    /// The value at the end of a path; the scanner is behind the value that it began with afterwards.
    fn follow(&mut self, steps: &[Step]) -> Scanned<Option<Value<'a>>> {
        let Some((step, rest)) = steps.split_first() else { return self.value().map(Some) };
        self.space();
        let mut found = None;
        match (step, self.peek()) {
            (Step::Name(wanted), Some(b'{')) => self.members(&mut |name, scanner| {
                if name == wanted.as_str() {
                    found = scanner.follow(rest)?;
                    return Ok(());
                }
                scanner.value().map(drop)
            })?,
            (Step::Index(wanted), Some(b'[')) => self.elements(&mut |index, scanner| {
                if index == *wanted {
                    found = scanner.follow(rest)?;
                    return Ok(());
                }
                scanner.value().map(drop)
            })?,
            _ => drop(self.value()?),
        }
        Ok(found)
    }
}

/// Visits the members of an object: names with values. What was visited before an error stays visited.
pub(crate) fn members<'a>(text: &'a str, visit: &mut dyn FnMut(Cow<'a, str>, Value<'a>)) -> Result<(), Malformed> {
    let mut scanner = Scanner::new(text);
    if !scanner.begins_object() {
        return scanner.fail("object expected");
    }
    scanner.members(&mut |name, scanner| {
        let value = scanner.value()?;
        visit(name, value);
        Ok(())
    })
}

/// Visits the leaves of an object: the names on the way to each, and its value, which is never an object. Arrays are leaves.
pub(crate) fn leaves<'a>(text: &'a str, visit: &mut dyn FnMut(&[Cow<'a, str>], Value<'a>)) -> Result<(), Malformed> {
    let mut scanner = Scanner::new(text);
    if !scanner.begins_object() {
        return scanner.fail("object expected");
    }
    descend(&mut scanner, &mut Vec::new(), visit)
}

fn descend<'a>(scanner: &mut Scanner<'a>, way: &mut Vec<Cow<'a, str>>, visit: &mut dyn FnMut(&[Cow<'a, str>], Value<'a>)) -> Scanned<()> {
    scanner.members(&mut |name, scanner| {
        way.push(name);
        if scanner.begins_object() {
            descend(scanner, way, visit)?;
        } else {
            let value = scanner.value()?;
            visit(way, value);
        }
        way.pop();
        Ok(())
    })
}

/// Visits the elements of an array.
pub(crate) fn elements<'a>(text: &'a str, visit: &mut dyn FnMut(Value<'a>)) -> Result<(), Malformed> {
    let mut scanner = Scanner::new(text);
    scanner.space();
    scanner.elements(&mut |_, scanner| {
        let value = scanner.value()?;
        visit(value);
        Ok(())
    })
}

/// The value at the end of each path, in the order of the paths.
pub(crate) fn at_paths<'a>(text: &'a str, paths: &[Path], visit: &mut dyn FnMut(usize, Option<Value<'a>>)) -> Result<(), Malformed> {
    for (i, path) in paths.iter().enumerate() {
        let mut scanner = Scanner::new(text);
        if !scanner.begins_object() && !matches!(scanner.peek(), Some(b'[')) {
            return scanner.fail("object expected");
        }
        let found = scanner.follow(&path.steps)?;
        visit(i, found);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn flat(text: &str) -> Result<Vec<(String, String)>, Malformed> {
        let mut all = Vec::new();
        leaves(text, &mut |way, value| all.push((way.join("."), value.into_text().into_owned())))?;
        Ok(all)
    }

    #[test]
    fn leaves_of_objects() {
        let text = r#" {"a":"x\n\u00e9\ud83d\ude00","b":{"c":1.5,"d":{"e":true}},"n":null,"l":[1,{"x":2}],"":"empty"} trailing"#;
        let expected = [("a", "x\né😀"), ("b.c", "1.5"), ("b.d.e", "true"), ("n", ""), ("l", "[1,{\"x\":2}]"), ("", "empty")];
        assert_eq!(flat(text).unwrap(), expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
        assert_eq!(flat("{}").unwrap(), []);
        for broken in
            ["", "[]", "x", "{", "{\"a\"", "{\"a\":}", "{\"a\":1,}", "{\"a\":\"x}", "{\"a\":1 \"b\":2}", "{\"a\":tru}", "{\"a\":\"\\x\"}", "{\"a\":1-}"]
        {
            assert!(flat(broken).is_err(), "{broken}");
        }
        let deep = format!("{}1{}", "{\"a\":".repeat(500), "}".repeat(500));
        assert!(flat(&deep).unwrap_err().contains("deeply"));
    }

    #[test]
    fn paths_into_values() {
        let text = r#"{"a":{"b":[10,{"c":"x"}]},"d":"e"}"#;
        let get = |path: &str| {
            let mut found = None;
            at_paths(text, &[Path::parse(path).unwrap()], &mut |_, value| found = value.map(|v| v.into_text().into_owned())).unwrap();
            found
        };
        assert_eq!(get("a.b[0]").as_deref(), Some("10"));
        assert_eq!(get("a.b[1].c").as_deref(), Some("x"));
        assert_eq!(get("a.b").as_deref(), Some("[10,{\"c\":\"x\"}]"));
        assert_eq!(get("d").as_deref(), Some("e"));
        assert_eq!(get("d.x"), None);
        assert_eq!(get("a.b[7]"), None);
    }

    proptest! {
        #[test]
        fn what_serde_writes_is_read(text in ".{0,40}", key in ".{0,10}", number in any::<f64>().prop_filter("finite", |n| n.is_finite())) {
            let value = serde_json::json!({ key.clone(): text.clone(), "number!": number });
            let found = flat(&value.to_string()).unwrap();
            let has = |name: &str, expected: &str| found.iter().any(|(n, v)| n == name && v == expected);
            if key != "number!" { prop_assert!(has(&key, &text)); }
        }

        #[test]
        fn nothing_panics(text in r#"[{}\[\]":,\\u0-9a-e \-.]{0,40}"#) {
            drop(flat(&text));
        }
    }
}
