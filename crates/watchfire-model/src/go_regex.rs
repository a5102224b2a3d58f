//! Regular expressions as the originals write them, which are Go's, in the syntax of the crate that compiles ours. The two differ in little: a
//! brace that repeats nothing, brackets and operators within classes, `\Q…\E`, and what `\d`, `\w`, `\s` and `\b` mean beyond ASCII.
//! It compiles nothing; what Go refuses and the crate takes is taken.

use std::borrow::Cow;

/// The expression in the syntax of the crate `regex`.
pub fn translated(pattern: &str) -> Cow<'_, str> {
    // What has none of these means the same in both.
    if !pattern.bytes().any(|byte| matches!(byte, b'{' | b'[' | b'\\')) {
        return Cow::Borrowed(pattern);
    }
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let behind = rest.get(c.len_utf8()..).unwrap_or("");
        rest = match c {
            '\\' => escape(behind, false, &mut out),
            '[' => class(behind, &mut out),
            '{' if !is_repetition(behind) => {
                out.push_str("\\{");
                behind
            }
            c => {
                out.push(c);
                behind
            }
        };
    }
    if out == pattern { Cow::Borrowed(pattern) } else { Cow::Owned(out) }
}

/// Whether what stands behind a brace makes it a repetition: `2}`, `2,}`, `2,5}`.
fn is_repetition(behind: &str) -> bool {
    let Some((inner, _)) = behind.split_once('}') else { return false };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match inner.split_once(',') {
        None => is_number(inner),
        Some((least, most)) => is_number(least) && (most.is_empty() || is_number(most)),
    }
}

/// What stands behind a backslash; gives what follows it.
fn escape<'a>(behind: &'a str, in_class: bool, out: &mut String) -> &'a str {
    let Some(c) = behind.chars().next() else {
        out.push('\\');
        return behind;
    };
    let after = behind.get(c.len_utf8()..).unwrap_or("");
    match c {
        'Q' if !in_class => {
            let (plain, after) = after.split_once("\\E").unwrap_or((after, ""));
            for c in plain.chars() {
                if !c.is_alphanumeric() && c.is_ascii() && !c.is_ascii_whitespace() && !matches!(c, '<' | '>') {
                    out.push('\\');
                }
                out.push(c);
            }
            return after;
        }
        'E' if !in_class => {}
        'd' if in_class => out.push_str("0-9"),
        'w' if in_class => out.push_str("0-9A-Za-z_"),
        's' if in_class => out.push_str(r"\t\n\f\r "),
        'd' => out.push_str("[0-9]"),
        'w' => out.push_str("[0-9A-Za-z_]"),
        's' => out.push_str(r"[\t\n\f\r ]"),
        'D' => out.push_str("[^0-9]"),
        'W' => out.push_str("[^0-9A-Za-z_]"),
        'S' => out.push_str(r"[^\t\n\f\r ]"),
        'b' if !in_class => out.push_str(r"(?-u:\b)"),
        // Words begin and end there in ours.
        '<' | '>' => out.push(c),
        'p' | 'P' | 'x' if after.starts_with('{') => {
            // The name of a class, or the number of a character.
            let end = after.find('}').map_or(after.len(), |end| end + 1);
            out.push('\\');
            out.push(c);
            out.push_str(after.get(..end).unwrap_or(""));
            return after.get(end..).unwrap_or("");
        }
        c => {
            out.push('\\');
            out.push(c);
        }
    }
    after
}

/// What stands behind an opening bracket; gives what follows the class.
fn class<'a>(behind: &'a str, out: &mut String) -> &'a str {
    out.push('[');
    let mut rest = behind;
    if let Some(after) = rest.strip_prefix('^') {
        out.push('^');
        rest = after;
    }
    let mut first = true;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or("");
        let mut is_set = false;
        rest = match (c, named(after)) {
            (']', _) if !first => {
                out.push(']');
                return after;
            }
            ('\\', _) => {
                is_set = after.starts_with(['d', 'D', 'w', 'W', 's', 'S', 'p', 'P']);
                escape(after, true, out)
            }
            ('[', Some(end)) => {
                is_set = true;
                out.push('[');
                out.push_str(after.get(..end).unwrap_or(""));
                after.get(end..).unwrap_or("")
            }
            (c, _) => {
                // Some of these are operators in ours, alone or twice.
                if matches!(c, '[' | ']' | '&' | '~' | '-' | '^') {
                    out.push('\\');
                }
                out.push(c);
                after
            }
        };
        first = false;
        let range = rest.strip_prefix('-').filter(|end| !is_set && !end.is_empty() && !end.starts_with(']'));
        if let Some(end) = range {
            out.push('-');
            rest = end;
        }
    }
    rest
}

/// How long a class with a name is, `:alpha:]` behind its bracket.
fn named(behind: &str) -> Option<usize> {
    let inner = behind.strip_prefix(':')?;
    let end = inner.find(":]")?;
    inner.get(..end)?.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'^').then_some(end + 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_means_what_it_means_in_go() {
        let check = |pattern: &str, yes: &[&str], no: &[&str]| {
            let compiled = regex::Regex::new(&format!("^(?:{})$", translated(pattern))).unwrap_or_else(|e| panic!("{pattern}: {e}"));
            for text in yes {
                assert!(compiled.is_match(text), "{pattern} {text:?}");
            }
            for text in no {
                assert!(!compiled.is_match(text), "{pattern} {text:?}");
            }
        };
        check("{", &["{"], &["a"]);
        check(r#"{"level":"(info|warn)".*}"#, &[r#"{"level":"info","x":1}"#], &["level"]);
        check("a{,2}", &["a{,2}"], &["aa"]);
        check("a{2}b{1,}c{0,1}", &["aabb", "aabc"], &["abc"]);
        check("[[]x[^[]", &["[xy"], &["[x["]);
        check("[a&&b]+", &["a&b"], &["c"]);
        check("[+--]", &["+", ",", "-"], &["a"]);
        check("[a-c-e]+", &["abc-e"], &["d"]);
        check(r"[\w-x]+", &["a-x"], &["y+"]);
        check("[]a]+", &["]a"], &["b"]);
        check("[^]a]", &["b"], &["]", "a"]);
        check("[a~~b]+", &["a~b"], &["c"]);
        check("[[:alpha:]_]+", &["ab_"], &["1", "ä"]);
        check("[[:^alpha:]]", &["1"], &["a"]);
        check(r"\d\w\s", &["1a ", "1_\t"], &["١a ", "1ä ", "1a\u{a0}"]);
        check(r"\D\W\S", &["äää", "a-b"], &["1-b", "aab"]);
        check(r"[\d.]+[^\w][\S]", &["1.2-x"], &["1.2ax", "1.2- "]);
        check(r"\bü?x\b", &["x"], &["ux"]);
        check(r"\Qa.b{\E+", &["a.b{{"], &["axb{"]);
        check(r"\Qa+", &["a+"], &["aa"]);
        check(r"\<\>\_\/\-", &["<>_/-"], &[]);
        check(r"[\]\[\-\\]+", &["][-\\"], &["a"]);
        check("(?P<n>a)(?i:B)", &["ab"], &["Ab"]);
        check("[-a]+[a-]+", &["-a-"], &["b"]);
    }

    #[test]
    fn what_is_the_same_stays_as_it_is() {
        for pattern in ["", "a|b.*", "(?i)x+?$", "[a-z]+", "[^a-z_.:/ ]", r"\.\*", "a{2}", r"\pL\p{Greek}\x{41}"] {
            assert!(matches!(translated(pattern), Cow::Borrowed(same) if same == pattern), "{pattern}");
        }
        for wrong in ["[a", "a(", "\\", "*a"] {
            assert!(regex::Regex::new(&translated(wrong)).is_err(), "{wrong}");
        }
    }
}
