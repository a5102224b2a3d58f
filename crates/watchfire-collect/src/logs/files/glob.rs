//! Patterns of paths as log collectors have them: `*`, `?`, `[a-z]`, `{a,b}` within a name, and `**` for any number of directories.
//! It lists directories; it opens no file.

use std::path::{Component, Path, PathBuf};

use regex::Regex;
use watchfire_model::order::Order as _;

/// The most paths that one pattern gives.
const MATCHES_MAX: usize = 10_000;
/// How deep `**` goes.
const DEPTH_MAX: usize = 16;

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a pattern of paths: {1}")]
pub struct GlobError(String, &'static str);

/// A pattern.
#[derive(Clone, Debug)]
pub struct Glob {
    text: String,
    whole: Regex,
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Plain(PathBuf),
    Any,
    Pattern(Regex),
}

impl Glob {
    /// Reads a pattern.
    pub fn new(text: &str) -> Result<Glob, GlobError> {
        let bad = |why| GlobError(text.to_owned(), why);
        let parts = Path::new(text).components().map(|part| match part {
            Component::Normal(name) => {
                let name = name.to_str().ok_or_else(|| bad("it is not UTF-8"))?;
                match name {
                    "**" => Ok(Part::Any),
                    name if name.contains(['*', '?', '[', '{']) => {
                        let compiled = Regex::new(&format!("^(?s:{})$", translate(name).ok_or_else(|| bad("a bracket does not close"))?));
                        compiled.map(Part::Pattern).map_err(|_| bad("a bracket is not well-formed"))
                    }
                    name => Ok(Part::Plain(name.into())),
                }
            }
            other => Ok(Part::Plain(other.as_os_str().into())),
        });
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        // `**/` may also be nothing, so the whole pattern is put together with care.
        let mut whole = String::new();
        let names: Vec<&str> = text.split('/').collect();
        for (i, part) in names.iter().copied().enumerate() {
            if i > 0 && !whole.ends_with("(?:.*/)?") {
                whole.push('/');
            }
            match part {
                "**" if i + 1 == names.len() => whole.push_str(".*"),
                "**" => whole.push_str("(?:.*/)?"),
                part => whole.push_str(&translate(part).ok_or_else(|| bad("a bracket does not close"))?),
            }
        }
        let whole = Regex::new(&format!("^(?s:{whole})$")).map_err(|_| bad("a bracket is not well-formed"))?;
        Ok(Glob { text: text.to_owned(), whole, parts })
    }
    /// The pattern as written.
    pub fn text(&self) -> &str {
        &self.text
    }
    /// Whether a path is one of these.
    pub fn matches(&self, path: &Path) -> bool {
        path.to_str().is_some_and(|text| self.whole.is_match(text))
    }
    /// The existing files, ascending, at most [`MATCHES_MAX`].
    pub fn files(&self) -> Vec<PathBuf> {
        let mut found = vec![PathBuf::new()];
        for (i, part) in self.parts.iter().enumerate() {
            found = match part {
                Part::Plain(name) => found.into_iter().map(|dir| dir.join(name)).collect(),
                Part::Pattern(wanted) => found.iter().flat_map(|dir| children(dir)).filter(|path| name_of(path).is_some_and(|n| wanted.is_match(n))).collect(),
                Part::Any => {
                    let mut all = Vec::new();
                    found.iter().for_each(|dir| below(dir, 0, i + 1 == self.parts.len(), &mut all));
                    all
                }
            };
            found.truncate(MATCHES_MAX);
        }
        found.retain(|path| path.is_file());
        found.order();
        found.dedup();
        found
    }
}
impl PartialEq for Glob {
    fn eq(&self, other: &Glob) -> bool {
        self.text == other.text
    }
}

fn name_of(path: &Path) -> Option<&str> {
    path.file_name().and_then(|n| n.to_str())
}

fn children(dir: &Path) -> Vec<PathBuf> {
    let listed = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let Ok(entries) = std::fs::read_dir(listed) else { return Vec::new() };
    entries.filter_map(|entry| Some(dir.join(entry.ok()?.file_name()))).take(MATCHES_MAX).collect()
}

/// The directory and all directories below it; with `files` everything below it.
fn below(dir: &Path, depth: usize, files: bool, out: &mut Vec<PathBuf>) {
    if out.len() >= MATCHES_MAX || depth > DEPTH_MAX {
        return;
    }
    out.push(dir.to_path_buf());
    for child in children(dir) {
        // A link to a directory above would never end.
        match std::fs::symlink_metadata(&child) {
            Ok(about) if about.is_dir() => below(&child, depth + 1, files, out),
            Ok(_) if files => out.push(child),
            _ => {}
        }
    }
}

/// One name of a pattern as a regular expression; nothing when a bracket does not close.
fn translate(name: &str) -> Option<String> {
    let mut out = String::new();
    let mut chars = name.chars().peekable();
    let mut open = 0;
    while let Some(c) = chars.next() {
        match c {
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '\\' => out.push_str(&regex::escape(&chars.next()?.to_string())),
            '{' => {
                open += 1;
                out.push_str("(?:");
            }
            ',' if open > 0 => out.push('|'),
            '}' if open > 0 => {
                open -= 1;
                out.push(')');
            }
            '[' => {
                out.push('[');
                if let Some('!' | '^') = chars.peek() {
                    chars.next();
                    out.push('^');
                }
                loop {
                    match chars.next()? {
                        ']' => break,
                        c @ ('\\' | '[' | '&' | '~') => out.extend(['\\', c]),
                        c => out.push(c),
                    }
                }
                out.push(']');
            }
            c => out.push_str(&regex::escape(&c.to_string())),
        }
    }
    (open == 0).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, path, expected) in [
            ("/var/log/*.log", "/var/log/a.log", true),
            ("/var/log/*.log", "/var/log/x/a.log", false),
            ("/var/log/**/*.log", "/var/log/x/y/a.log", true),
            ("/var/log/**/*.log", "/var/log/a.log", true),
            ("/var/log/{a,b}*.l?g", "/var/log/b1.log", true),
            ("/var/log/{a,b}*.log", "/var/log/c.log", false),
            ("/v/[!a]x", "/v/bx", true),
            ("/v/[!a]x", "/v/ax", false),
            ("/v/a.log", "/v/aXlog", false),
            ("/v/**", "/v/x/y", true),
        ] {
            assert_eq!(Glob::new(pattern).unwrap().matches(Path::new(path)), expected, "{pattern} {path}");
        }
        assert!(Glob::new("/v/[a").is_err() && Glob::new("/v/{a").is_err());
    }

    #[test]
    fn files_that_are_there() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        for name in ["1.log", "a/2.log", "a/b/3.log", "a/b/4.txt"] {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        let files = |pattern: &str| {
            let found = Glob::new(&format!("{}/{pattern}", dir.path().display())).unwrap().files();
            found.iter().map(|p| p.strip_prefix(dir.path()).unwrap().display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(files("*.log"), ["1.log"]);
        assert_eq!(files("**/*.log"), ["1.log", "a/2.log", "a/b/3.log"]);
        assert_eq!(files("a/**"), ["a/2.log", "a/b/3.log", "a/b/4.txt"]);
        assert_eq!(files("a/*/{3,4}*"), ["a/b/3.log", "a/b/4.txt"]);
    }
}
