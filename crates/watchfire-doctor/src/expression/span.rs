//! Where the name and the matchers of a selector end within its text; what follows is a range, an offset, a time. It knows the quotes
//! and comments of the language, because values may contain any sign.

use watchfire_query::promql::Node;

/// The byte behind the name and the braces of a selector, whose node is this one.
pub(crate) fn selector_end(node: &Node, text: &str) -> usize {
    let own = text.get(node.start..node.end).unwrap_or("");
    let name = own.len() - own.trim_start_matches(|c: char| c.is_alphanumeric() || matches!(c, '_' | ':')).len();
    let rest = own.get(name..).unwrap_or("");
    let open = rest.len() - without_blanks(rest).len();
    let braces = rest.get(open..).and_then(closing_brace);
    node.start + name + braces.map_or(0, |brace| open + brace + 1)
}

/// Without the blanks and comments at the beginning.
fn without_blanks(text: &str) -> &str {
    let mut rest = text.trim_start();
    while let Some(comment) = rest.strip_prefix('#') {
        rest = comment.split_once('\n').map_or("", |(_, after)| after).trim_start();
    }
    rest
}

/// The byte of the brace that closes the one at the beginning, if there is one.
fn closing_brace(text: &str) -> Option<usize> {
    let mut bytes = text.bytes().enumerate();
    if bytes.next()?.1 != b'{' {
        return None;
    }
    let mut quote = None;
    while let Some((at, byte)) = bytes.next() {
        match (quote, byte) {
            (Some(b'#'), b'\n') => quote = None,
            (Some(b'"' | b'\''), b'\\') => {
                bytes.next();
            }
            (Some(open), _) if open == byte && open != b'#' => quote = None,
            (None, b'"' | b'\'' | b'`' | b'#') => quote = Some(byte),
            (None, b'}') => return Some(at),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use watchfire_query::promql::{NodeKind, parse};

    use super::*;

    #[test]
    fn selectors_end_behind_their_own_braces() {
        for (expr, behind) in [
            ("x[5m]", "[5m]"),
            ("x{a=\"}\"}[5m]", "[5m]"),
            ("x{a=\"\\\"}\", b='}', c=`}\\`}[5m] offset 1m", "[5m] offset 1m"),
            ("{__name__=\"x\"} @ 5", " @ 5"),
            ("{\"a.b}\"} offset 1m", " offset 1m"),
            ("x # }\n{a=\"b\" # }\n} offset 1m", " offset 1m"),
            ("x # }\noffset 1m", " # }\noffset 1m"),
            ("a:b", ""),
        ] {
            let parsed = parse(expr).unwrap();
            let root = parsed.root();
            assert!(matches!(root.kind, NodeKind::Vector(_) | NodeKind::Matrix(_)), "{expr}");
            assert_eq!(expr.get(selector_end(root, expr)..root.end), Some(behind), "{expr}");
        }
    }
}
