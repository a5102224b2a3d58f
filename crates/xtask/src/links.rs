//! Links between documents: the file is there, and the heading. Links to other places are nobody's business here.

use std::collections::{HashMap, HashSet};
use std::path::{Component, Path, PathBuf};

/// Every problem of every link. Documents come with their text.
pub(crate) fn check(root: &Path, documents: &[(PathBuf, String)]) -> Vec<String> {
    let headings: HashMap<&Path, HashSet<String>> = documents.iter().map(|(path, text)| (path.as_path(), anchors(text))).collect();
    let mut problems = Vec::new();
    for (path, text) in documents {
        for (line, target) in links(text).into_iter().filter(|(_, target)| !target.contains(':')) {
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let folder = path.parent().unwrap_or(root);
            let wanted = if file.is_empty() { path.clone() } else { plain(&folder.join(file)) };
            let shown = path.strip_prefix(root).unwrap_or(path).display();
            let known = headings.get(wanted.as_path());
            if !file.is_empty() && !wanted.exists() {
                problems.push(format!("{shown}:{line}: {target} does not exist"));
            } else if !anchor.is_empty() && known.is_some_and(|known| !known.contains(anchor)) {
                problems.push(format!("{shown}:{line}: {target}: there is no such heading"));
            }
        }
    }
    problems
}

/// A path without `..` in it.
fn plain(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(out.pop()),
            Component::CurDir => {}
            other => out.push(other),
        }
    }
    out
}

/// Lines outside of fenced blocks, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut code = false;
    text.lines().enumerate().filter_map(move |(i, line)| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        (!code && !fence).then_some((i + 1, line))
    })
}

/// The targets of `[name](target)`, outside of code.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut out = Vec::new();
    for (number, line) in prose(text).filter(|(_, line)| !line.starts_with("    ")) {
        let outside: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        let targets = outside.split("](").skip(1).filter_map(|rest| rest.split(')').next()).filter(|target| !target.contains(' ') && !target.is_empty());
        out.extend(targets.map(|target| (number, target.to_owned())));
    }
    out
}

/// The anchors of headings, as they are made where documents are shown: a second one of a name has a number.
fn anchors(text: &str) -> HashSet<String> {
    let mut out = HashSet::new();
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (_, line) in prose(text).filter(|(_, line)| line.starts_with('#')) {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let name: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let count = seen.entry(name.clone()).and_modify(|n| *n += 1).or_default();
        out.insert(if *count == 0 { name } else { format!("{name}-{count}") });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_nowhere_is_said() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let here = |text: &str| check(root, &[(root.join("src/x.md"), text.to_owned())]);
        assert_eq!(here("[a](main.rs) [b](../Cargo.toml) [c](https://x/y) [d](#a-b_c)\n# A `b_c`!\n"), [""; 0]);
        assert_eq!(here("`[a](b.md)`\n```\n[a](b.md)\n```\n    [a](b.md)\n"), [""; 0], "code is no link");
        assert_eq!(here("# A\n# A\n[a](#a-1) [b](#a-2)\n[c](b.md)"), ["src/x.md:3: #a-2: there is no such heading", "src/x.md:4: b.md does not exist"]);
    }
}
