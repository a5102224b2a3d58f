//! File patterns as Go's `filepath.Glob` understands them (`*`, `?`, `[a-z]`, never across a `/`), and the place where
//! configured paths are looked up. It reads directories only; it opens no file.

use std::path::{Component, Path, PathBuf};

use regex::Regex;
use watchfire_model::order::Order as _;

/// At most so many paths come back for one pattern; more are left out.
pub const MATCHES_MAX: usize = 10_000;

/// Where the paths of a foreign configuration file are looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lookup {
    /// The directory of the configuration file: relative paths start here.
    pub directory: PathBuf,
    /// The directory that stands in for `/etc/prometheus` and the like, when there is one.
    pub monitoring_dir: Option<PathBuf>,
}

impl Lookup {
    /// Looks beside one configuration file.
    pub fn beside(file: &Path, monitoring_dir: Option<&Path>) -> Lookup {
        let directory = file.parent().map(Path::to_path_buf).unwrap_or_default();
        Lookup { directory, monitoring_dir: monitoring_dir.map(Path::to_path_buf) }
    }

    /// The full form of a configured path, whether it exists or not.
    pub fn join(&self, path: &str) -> PathBuf {
        self.directory.join(path)
    }

    /// The files that a pattern names, ascending. An absolute pattern that matches nothing is tried by its tail inside
    /// the monitoring directory: `/etc/prometheus/rules/*.yml` as `prometheus/rules/*.yml`, `rules/*.yml`, `*.yml`.
    pub fn files(&self, pattern: &str) -> Vec<PathBuf> {
        let found = expand(&self.join(pattern));
        if !found.is_empty() || !Path::new(pattern).is_absolute() {
            return found;
        }
        let Some(root) = &self.monitoring_dir else { return found };
        let parts: Vec<Component<'_>> = Path::new(pattern).components().filter(|c| matches!(c, Component::Normal(_))).collect();
        let tails = (0..parts.len()).map(|skip| parts.iter().skip(skip).collect::<PathBuf>());
        tails.map(|tail| expand(&root.join(tail))).find(|found| !found.is_empty()).unwrap_or_default()
    }

    /// One configured file: itself when it exists, else its tail inside the monitoring directory, else itself.
    pub fn file(&self, path: &str) -> PathBuf {
        self.files(path).into_iter().next().unwrap_or_else(|| self.join(path))
    }
}

/// Whether a text has a character that is special in patterns.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// The existing paths that a pattern names, ascending; a bad pattern names nothing.
pub fn expand(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let text = part.as_os_str().to_string_lossy();
        found = match part {
            Component::Normal(_) if is_pattern(&text) => {
                let Some(wanted) = compile(&text) else { return Vec::new() };
                found.iter().flat_map(|dir| children(dir, &wanted)).take(MATCHES_MAX).collect()
            }
            _ => found.into_iter().map(|dir| dir.join(part)).collect(),
        };
    }
    found.retain(|path| path.exists());
    found.order();
    found
}

fn children(dir: &Path, wanted: &Regex) -> Vec<PathBuf> {
    let listed = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let Ok(entries) = std::fs::read_dir(listed) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| wanted.is_match(name)).map(|name| dir.join(name)).collect()
}

/// One path component of a pattern as an anchored regular expression; `None` when a bracket does not close.
fn compile(part: &str) -> Option<Regex> {
    let mut out = String::from("^(?s:");
    let mut chars = part.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' => out.push_str(".*"),
            '?' => out.push('.'),
            '\\' => out.push_str(&regex::escape(&chars.next()?.to_string())),
            '[' => {
                let class: String = chars.by_ref().take_while(|c| *c != ']').collect();
                if class.is_empty() || !chars_close(part, &class) {
                    return None;
                }
                out.push_str(&format!("[{}]", class.replace('\\', r"\\").replace('[', r"\[")));
            }
            c => out.push_str(&regex::escape(&c.to_string())),
        }
    }
    out.push_str(")$");
    Regex::new(&out).ok()
}

fn chars_close(part: &str, class: &str) -> bool {
    part.contains(&format!("[{class}]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_within_one_directory_level() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.yml", "b.yml", "c.json", "sub/d.yml", "rules/r1.yml", "rules/r2.yml"] {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let check = |pattern: &str, expected: &[&str]| {
            let lookup = Lookup { directory: dir.path().to_path_buf(), monitoring_dir: Some(dir.path().to_path_buf()) };
            let found: Vec<String> = lookup.files(pattern).iter().map(|p| p.strip_prefix(dir.path()).unwrap().to_string_lossy().into_owned()).collect();
            assert_eq!(found, expected, "{pattern}");
        };
        check("*.yml", &["a.yml", "b.yml"]);
        check("?.yml", &["a.yml", "b.yml"]);
        check("[ac].*", &["a.yml", "c.json"]);
        check("[^a].yml", &["b.yml"]);
        check("*/*.yml", &["rules/r1.yml", "rules/r2.yml", "sub/d.yml"]);
        check("a.yml", &["a.yml"]);
        check("missing.yml", &[]);
        check("[a.yml", &[]);
        check("/etc/prometheus/rules/*.yml", &["rules/r1.yml", "rules/r2.yml"]);
        check("/etc/prometheus/c.json", &["c.json"]);
    }
}
