//! Paths into JSON, as the parser `json` takes them: `request.headers["User-Agent"]`, `servers[0]`. They find nothing by themselves.

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The member of an object.
    Name(String),
    /// The element of an array.
    Index(usize),
}

/// A path, at least one step long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) steps: Vec<Step>,
}

/// The most steps.
const STEPS_MAX: usize = 64;

impl Path {
    /// Reads a path. The error is a sentence without a place.
    pub(crate) fn parse(text: &str) -> Result<Path, String> {
        let invalid = |reason: &str| format!("invalid json expression {text:?}: {reason}");
        let mut steps = Vec::new();
        let mut rest = text;
        loop {
            if let Some(inner) = rest.strip_prefix('[') {
                let (step, behind) = bracket(inner).ok_or_else(|| invalid("a number or a text in quotes stands in brackets"))?;
                steps.push(step);
                rest = behind;
            } else {
                let name = rest.strip_prefix('.').filter(|_| !steps.is_empty()).unwrap_or(rest);
                let length = name.find(['.', '[', ']', '"', ' ']).unwrap_or(name.len());
                let (name, behind) = name.split_at_checked(length).unwrap_or((name, ""));
                if name.is_empty() || (!steps.is_empty() && !rest.starts_with('.')) {
                    return Err(invalid("a name is missing"));
                }
                steps.push(Step::Name(name.to_owned()));
                rest = behind;
            }
            match rest.chars().next() {
                _ if steps.len() > STEPS_MAX => return Err(invalid("it has too many steps")),
                None => return Ok(Path { steps }),
                Some('.' | '[') => {}
                Some(_) => return Err(invalid("a name is followed by a dot or a bracket")),
            }
        }
    }
}

/// What stands behind `[`, and what is behind the bracket.
fn bracket(inner: &str) -> Option<(Step, &str)> {
    if let Some(quoted) = inner.strip_prefix('"') {
        let mut name = String::new();
        let mut chars = quoted.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => name.push(chars.next()?.1),
                '"' => return Some((Step::Name(name), quoted.get(at + 1..)?.strip_prefix(']')?)),
                c => name.push(c),
            }
        }
        return None;
    }
    let (digits, behind) = inner.split_once(']')?;
    Some((Step::Index(digits.parse().ok()?), behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let name = |text: &str| Step::Name(text.to_owned());
        let check = |text: &str, steps: Vec<Step>| assert_eq!(Path::parse(text), Ok(Path { steps }), "{text}");
        check("a", vec![name("a")]);
        check("a.b", vec![name("a"), name("b")]);
        check("a[0].b", vec![name("a"), Step::Index(0), name("b")]);
        check(r#"h["User-Agent"]"#, vec![name("h"), name("User-Agent")]);
        check(r#"["a.b"]["c\"d"]"#, vec![name("a.b"), name("c\"d")]);
        check("@timestamp", vec![name("@timestamp")]);
        check("a-b", vec![name("a-b")]);
        for text in ["", ".", "a.", "a..b", "a[", "a[x]", "a[0", "a]", "[\"a\"]b", "a b", ".a"] {
            assert!(Path::parse(text).is_err(), "{text}");
        }
    }
}
