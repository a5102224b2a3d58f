//! Variables of Compose within a text, as far as the file itself says what they are: `${NAME:-default}`. What the environment holds is not asked.

/// Defaults within defaults, at most so deep; what is deeper stays as it is written.
const DEPTH_MAX: usize = 8;

/// `${NAME:-default}` becomes `default`, `${NAME:+other}` nothing, `$$` a dollar sign; what has no default stays as it is written.
pub(super) fn defaulted(text: &str) -> String {
    at_depth(text, 0)
}

fn at_depth(text: &str, depth: usize) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('$') {
        out.push_str(before);
        rest = behind;
        if let Some(after) = behind.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(inside) = behind.strip_prefix('{') {
            // Without an end nothing behind it can be told apart.
            let Some((inside, after)) = closed(inside) else { return out + "$" + behind };
            out.push_str(&value(inside, depth));
            rest = after;
        } else {
            out.push('$');
        }
    }
    out + rest
}

/// What stands before the brace that closes, and behind it.
fn closed(text: &str) -> Option<(&str, &str)> {
    let mut open = 1_usize;
    for (i, c) in text.char_indices() {
        match c {
            '{' => open += 1,
            '}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some((text.get(..i)?, text.get(i + 1..)?));
        }
    }
    None
}

fn value(inside: &str, depth: usize) -> String {
    let end = inside.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inside.len());
    let sign = inside.get(end..).unwrap_or_default();
    match sign.strip_prefix(":-").or_else(|| sign.strip_prefix('-')) {
        Some(default) if depth < DEPTH_MAX => at_depth(default, depth + 1),
        _ if sign.starts_with(":+") || sign.starts_with('+') => String::new(),
        _ => format!("${{{inside}}}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_stand_for_variables() {
        for (written, expected) in [
            ("${A:-x}/${B-y}:${C}z${", "x/y:${C}z${"),
            ("${A:-${B:-x}}/y", "x/y"),
            ("${A:-a:-b}", "a:-b"),
            ("${A:?set-it}", "${A:?set-it}"),
            ("${A?no-way}", "${A?no-way}"),
            ("${A:+x}y${B+z}", "y"),
            ("$A/$$b", "$A/$b"),
            ("${A:-}", ""),
            ("${}", "${}"),
            ("", ""),
        ] {
            assert_eq!(defaulted(written), expected, "{written}");
        }
        let deep = "${A:-".repeat(10_000) + "x" + &"}".repeat(10_000);
        assert!(defaulted(&deep).starts_with("${A:-"), "what is too deep stays");
    }
}
