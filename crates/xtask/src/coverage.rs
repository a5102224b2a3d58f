//! `docs/coverage.md`: each behaviour stands there once, and what it says shows it is there: a test that is named after it, or a document.

use std::collections::HashSet;
use std::path::Path;

/// What a row says: the id, and what shows it.
fn rows(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        // A bar within a cell has a backslash before it, so the last cell is counted from behind.
        match cells[..] {
            [_, id, .., shown_by, _] if id.split_once('-').is_some_and(|(_, number)| number.bytes().all(|b| b.is_ascii_digit())) && id.len() > 3 => {
                Some((id, shown_by))
            }
            _ => None,
        }
    })
}

/// Every behaviour that is said to be tested has a test that begins with its id; every document that is named is there.
pub(crate) fn check(root: &Path, text: &str, sources: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let mut seen = HashSet::new();
    for (id, shown_by) in rows(text) {
        if !seen.insert(id) {
            problems.push(format!("docs/coverage.md: {id} stands there twice"));
        }
        let test = shown_by.strip_prefix("test `").or_else(|| shown_by.strip_prefix("tests `")).and_then(|t| t.strip_suffix("…`"));
        if let Some(test) = test {
            // A test may be named after two behaviours; the second follows `_and_`.
            let named = [format!("fn {test}"), format!("\"{test}"), format!("_and_{test}")].iter().any(|n| sources.contains(n.as_str()));
            if !named || !test.starts_with(&format!("{}_", id.to_lowercase().replace('-', "_"))) {
                problems.push(format!("docs/coverage.md: no test is named after {id} ({test}…)"));
            }
            continue;
        }
        // Each link of the cell: `[name](place#part)`.
        let places: Vec<&str> = shown_by.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
        if places.is_empty() {
            problems.push(format!("docs/coverage.md: {id} names neither a test nor a document"));
        }
        for place in places.iter().filter(|place| !root.join("docs").join(place.split('#').next().unwrap_or("")).exists()) {
            problems.push(format!("docs/coverage.md: {id} names {place}, which does not exist"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_without_anything_behind_them_are_said() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let text = "| Id | Behaviour | Shown by |\n|---|---|---|\n| A-01 | `\\|=` | test `a_01_…` |\n| A-02 | x | test `a_02_…` |\n| A-01 | x | [x](coverage.md) |\n| A-03 | x | tests `a_01_…` |\n| A-04 | x | [x](nowhere.md#y) |\n| A-05 | x | y |\n";
        assert_eq!(
            check(&root, text, "fn a_01_x() {}"),
            [
                "docs/coverage.md: no test is named after A-02 (a_02_…)",
                "docs/coverage.md: A-01 stands there twice",
                "docs/coverage.md: no test is named after A-03 (a_01_…)",
                "docs/coverage.md: A-04 names nowhere.md#y, which does not exist",
                "docs/coverage.md: A-05 names neither a test nor a document",
            ]
        );
    }

    /// The catalogue of behaviours, where it is at hand.
    #[test]
    fn every_behaviour_has_its_row() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let Ok(catalogue) = std::fs::read_to_string(root.join("../shared/catalogue/behaviours.tsv")) else {
            eprintln!("SKIPPED: the catalogue of behaviours is not at hand");
            return;
        };
        let text = std::fs::read_to_string(root.join("docs/coverage.md")).unwrap_or_default();
        let have: HashSet<&str> = rows(&text).map(|(id, _)| id).collect();
        let wanted: HashSet<&str> = catalogue.lines().skip(1).filter_map(|line| line.split('\t').next()).filter(|id| !id.is_empty()).collect();
        assert_eq!(wanted.symmetric_difference(&have).collect::<Vec<_>>(), [&""; 0]);
        assert!(wanted.len() > 200);
    }
}
