//! Pairs of a logfmt line, `level=info msg="a text"`, for the stage that reads them. What is malformed is passed over.

/// Visits the pairs of a line.
pub(super) fn pairs(line: &str, visit: &mut dyn FnMut(&str, String)) {
    let mut rest = line;
    loop {
        rest = rest.trim_start_matches(|c: char| c <= ' ' || c == '"');
        let length = rest.find(|c: char| c <= ' ' || c == '=').unwrap_or(rest.len());
        let Some((name, behind)) = rest.split_at_checked(length).filter(|_| !rest.is_empty()) else { return };
        let Some(value) = behind.strip_prefix('=') else {
            rest = behind;
            continue;
        };
        let (value, after) = read_value(value);
        if !name.is_empty() {
            visit(name, value);
        }
        rest = after;
    }
}

fn read_value(text: &str) -> (String, &str) {
    let Some(inner) = text.strip_prefix('"') else {
        let (value, behind) = text.split_at_checked(text.find(|c: char| c <= ' ').unwrap_or(text.len())).unwrap_or((text, ""));
        return (value.to_owned(), behind);
    };
    let mut value = String::new();
    let mut chars = inner.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, inner.get(at + 1..).unwrap_or("")),
            '\\' => match chars.next().map(|(_, c)| c) {
                Some('n') => value.push('\n'),
                Some('t') => value.push('\t'),
                Some('r') => value.push('\r'),
                Some(c) => value.push(c),
                None => {}
            },
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    #[test]
    fn pairs() {
        let mut all = Vec::new();
        super::pairs(r#"level=info flag msg="a \"b\"\n" =x dur=1.5s "#, &mut |name, value| all.push(format!("{name}={value}")));
        assert_eq!(all, ["level=info", "msg=a \"b\"\n", "dur=1.5s"]);
    }
}
