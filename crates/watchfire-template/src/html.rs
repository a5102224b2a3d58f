//! Values in HTML: escaped as Go's `html/template` does in text and attributes; an address in `href` or `src` may only name what a
//! browser opens without running it. No parser of HTML.

/// `& < > " '` and what `html/template` adds to them. It ends once it is longer than a text may be.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if out.len() > super::print::TEXT_RESULT_BYTES_MAX {
            break;
        }
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '\0' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A value behind what was written so far.
pub(super) fn place(before: &str, text: &str) -> String {
    let escaped = |text: &str| escape(text).replace('+', "&#43;");
    match open_attribute(before) {
        Some((name, value)) if matches!(name.as_str(), "href" | "src" | "action") => {
            if value.is_empty() && !is_harmless(text) {
                return "#ZgotmplZ".to_owned();
            }
            escaped(&normalized(text))
        }
        _ => escaped(text),
    }
}

/// The attribute whose quotes are open at the end, with its value so far.
fn open_attribute(before: &str) -> Option<(String, &str)> {
    let tag = before.rfind('<').and_then(|at| before.get(at..))?;
    let (mut rest, mut quote) = (tag, None::<(char, usize)>);
    let mut from = 0;
    while let Some(n) = rest.find(['"', '\'', '>']) {
        let c = rest.get(n..).and_then(|r| r.chars().next())?;
        let at = from + n;
        match quote {
            None if c == '>' => return None,
            None => quote = Some((c, at)),
            Some((open, _)) if open == c => quote = None,
            Some(_) => {}
        }
        from = at + 1;
        rest = tag.get(from..)?;
    }
    let (_, at) = quote?;
    let name = tag.get(..at)?.trim_end().strip_suffix('=')?.trim_end();
    let name = name.rsplit(|c: char| c.is_whitespace() || c == '<').next()?;
    Some((name.to_ascii_lowercase(), tag.get(at + 1..)?))
}

/// A relative address or one with a scheme that only opens something.
fn is_harmless(address: &str) -> bool {
    match address.split_once(':') {
        Some((scheme, _)) if !scheme.contains('/') => ["http", "https", "mailto"].iter().any(|s| scheme.eq_ignore_ascii_case(s)),
        _ => true,
    }
}

/// An address with everything percent-encoded that cannot stand in one.
fn normalized(address: &str) -> String {
    let mut out = String::with_capacity(address.len());
    for byte in address.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => out.push(byte as char),
            _ if b"-._~!#$&*+,/:;=?@[]%".contains(&byte) => out.push(byte as char),
            _ => out += &format!("%{byte:02x}"),
        }
    }
    out
}
