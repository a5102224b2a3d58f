//! The grammar of one line: `measurement,tag=value field=value,field=value time`, with backslashes and quoted texts.

/// One line. Fields without a value hold text.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Line {
    pub(super) measurement: String,
    pub(super) tags: Vec<(String, String)>,
    pub(super) fields: Vec<(String, Option<f64>)>,
    pub(super) time: Option<i64>,
}

/// Lines of a body with their numbers, empty ones and comments left out.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    number: usize,
}
impl<'a> Reader<'a> {
    pub(super) fn new(body: &'a [u8]) -> Reader<'a> {
        Reader { rest: body, number: 0 }
    }
    /// The bytes of the next line. A line feed within quotes belongs to the text.
    fn next_line(&mut self) -> Option<(usize, &'a [u8])> {
        if self.rest.is_empty() {
            return None;
        }
        self.number += 1;
        let first = self.number;
        let (mut quoted, mut escaped, mut more_lines) = (false, false, 0);
        let mut plain_end = None;
        for (at, byte) in self.rest.iter().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                // Quotes mean something in a value only, which follows an equals sign.
                b'"' if quoted || (at > 0 && self.rest[at - 1] == b'=') => quoted = !quoted,
                b'\n' if !quoted => {
                    let (line, rest) = self.rest.split_at(at);
                    self.rest = rest.get(1..).unwrap_or(&[]);
                    self.number += more_lines;
                    return Some((first, line));
                }
                b'\n' => {
                    plain_end = plain_end.or(Some(at));
                    more_lines += 1;
                }
                _ => {}
            }
        }
        // Quotes that never close must not swallow all lines behind them.
        let end = if quoted { plain_end.unwrap_or(self.rest.len()) } else { self.rest.len() };
        let (line, rest) = self.rest.split_at(end);
        self.rest = rest.get(1..).unwrap_or(&[]);
        Some((first, line))
    }
}
impl Iterator for Reader<'_> {
    type Item = (usize, Result<Line, &'static str>);
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (number, line) = self.next_line()?;
            let line = line.trim_ascii();
            if !line.is_empty() && line[0] != b'#' {
                return Some((number, std::str::from_utf8(line).map_err(|_| "it is not UTF-8").and_then(parse)));
            }
        }
    }
}

/// A cursor over a line.
struct Cursor<'a> {
    chars: std::iter::Peekable<std::str::Chars<'a>>,
}
impl Cursor<'_> {
    /// A name or tag value up to one of the stops, which stays. A backslash keeps its meaning before anything but a stop,
    /// a space or itself.
    fn word(&mut self, stops: &[char]) -> String {
        let mut out = String::new();
        while let Some(&c) = self.chars.peek() {
            if stops.contains(&c) {
                break;
            }
            self.chars.next();
            if c != '\\' {
                out.push(c);
                continue;
            }
            match self.chars.peek() {
                Some(&next) if matches!(next, ',' | '=' | ' ' | '\\') => {
                    out.push(next);
                    self.chars.next();
                }
                _ => out.push(c),
            }
        }
        out
    }
    fn eat(&mut self, wanted: char) -> bool {
        self.chars.next_if_eq(&wanted).is_some()
    }
    fn blanks(&mut self) {
        while self.eat(' ') {}
    }
    /// A quoted text behind its opening quote. What it says does not matter.
    fn text(&mut self) -> Result<(), &'static str> {
        loop {
            match self.chars.next() {
                None => return Err("a text has no closing quote"),
                Some('"') => return Ok(()),
                Some('\\') => drop(self.chars.next()),
                Some(_) => {}
            }
        }
    }
}

fn parse(line: &str) -> Result<Line, &'static str> {
    let mut cursor = Cursor { chars: line.chars().peekable() };
    let mut out = Line { measurement: cursor.word(&[',', ' ']), ..Line::default() };
    while cursor.eat(',') {
        let name = cursor.word(&['=', ',', ' ']);
        if !cursor.eat('=') || name.is_empty() {
            return Err("a tag has no name or no value");
        }
        let value = cursor.word(&[',', ' ']);
        if value.is_empty() {
            return Err("a tag has no value");
        }
        out.tags.push((name, value));
    }
    cursor.blanks();
    loop {
        let name = cursor.word(&['=', ',', ' ']);
        if !cursor.eat('=') || name.is_empty() {
            return Err(if out.fields.is_empty() { "it has no fields" } else { "a field has no name or no value" });
        }
        let value = if cursor.eat('"') {
            cursor.text()?;
            None
        } else {
            Some(number(&cursor.word(&[',', ' '])).ok_or("the value of a field is no number, truth or quoted text")?)
        };
        out.fields.push((name, value));
        if !cursor.eat(',') {
            break;
        }
    }
    cursor.blanks();
    let time: String = cursor.chars.collect();
    if !time.is_empty() {
        out.time = Some(time.trim_end().parse().map_err(|_| "the time is no whole number")?);
    }
    Ok(out)
}

fn number(text: &str) -> Option<f64> {
    let truth = match text {
        "t" | "T" | "true" | "True" | "TRUE" => Some(1.0),
        "f" | "F" | "false" | "False" | "FALSE" => Some(0.0),
        _ => None,
    };
    if truth.is_some() {
        return truth;
    }
    if let Some(whole) = text.strip_suffix('i') {
        return whole.parse::<i64>().ok().map(|n| n as f64);
    }
    if let Some(whole) = text.strip_suffix('u') {
        return whole.parse::<u64>().ok().map(|n| n as f64);
    }
    text.parse::<f64>().ok().filter(|n| n.is_finite() && !text.starts_with(|c: char| c.is_ascii_alphabetic()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(measurement: &str, tags: &[(&str, &str)], fields: &[(&str, Option<f64>)], time: Option<i64>) -> Line {
        let own = |text: &str| text.to_owned();
        Line {
            measurement: own(measurement),
            tags: tags.iter().map(|(n, v)| (own(n), own(v))).collect(),
            fields: fields.iter().map(|(n, v)| (own(n), *v)).collect(),
            time,
        }
    }

    #[test]
    fn lines() {
        let check = |text: &str, expected: Result<Line, &str>| {
            let all: Vec<_> = Reader::new(text.as_bytes()).collect();
            assert_eq!(all, [(1, expected.map_err(|e| Box::leak(e.to_owned().into_boxed_str()) as &'static str))], "{text}");
        };
        check("cpu,host=a usage=0.5 17", Ok(line("cpu", &[("host", "a")], &[("usage", Some(0.5))], Some(17))));
        check(
            "cpu usage=5i,idle=7u,up=t,down=FALSE,e=-1e3\r\n",
            Ok(line("cpu", &[], &[("usage", Some(5.0)), ("idle", Some(7.0)), ("up", Some(1.0)), ("down", Some(0.0)), ("e", Some(-1000.0))], None)),
        );
        check(
            r#"my\,cpu\ x,a\=b=c\,d\ e,p=C:\dir x\ y="a \" = , b",z=1"#,
            Ok(line("my,cpu x", &[("a=b", "c,d e"), ("p", r"C:\dir")], &[("x y", None), ("z", Some(1.0))], None)),
        );
        check("m f=\"two\nlines\" 5", Ok(line("m", &[], &[("f", None)], Some(5))));
        check("m  f=1  -5 ", Ok(line("m", &[], &[("f", Some(1.0))], Some(-5))));
        check(r#"m,t="quoted" f=1"#, Ok(line("m", &[("t", "\"quoted\"")], &[("f", Some(1.0))], None)));
        check("größe,ort=köln wert=1", Ok(line("größe", &[("ort", "köln")], &[("wert", Some(1.0))], None)));
        check("m", Err("it has no fields"));
        check("m,t f=1", Err("a tag has no name or no value"));
        check("m,t= f=1", Err("a tag has no value"));
        check("m f=", Err("the value of a field is no number, truth or quoted text"));
        check("m f=nan", Err("the value of a field is no number, truth or quoted text"));
        check("m f=1x", Err("the value of a field is no number, truth or quoted text"));
        check("m f=9223372036854775808i", Err("the value of a field is no number, truth or quoted text"));
        check("m f=1,=2", Err("a field has no name or no value"));
        check("m f=1 12.5", Err("the time is no whole number"));
        check("m f=\"x", Err("a text has no closing quote"));
    }

    #[test]
    fn numbers_of_lines_and_lost_quotes() {
        let found: Vec<_> = Reader::new(b"# comment\n\nm f=\"a\nb\"\nm f=\"open\nm f=1\n\nm x\n").map(|(n, l)| (n, l.is_ok())).collect();
        assert_eq!(found, [(3, true), (5, false), (6, true), (8, false)]);
        let found: Vec<_> = Reader::new(b"\xff f=1\nm f=1").map(|(n, l)| (n, l.is_ok())).collect();
        assert_eq!(found, [(1, false), (2, true)]);
    }

    proptest! {
        #[test]
        fn garbage_never_panics_and_ends(body in prop::collection::vec(prop_oneof![Just(b'"'), Just(b'\\'), Just(b'\n'), Just(b'='), Just(b','), Just(b' '), any::<u8>()], 0..200)) {
            prop_assert!(Reader::new(&body).count() <= body.len());
        }
    }
}
