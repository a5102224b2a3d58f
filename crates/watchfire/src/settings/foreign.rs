//! Configuration files of other programs: where they are named, and how a monitoring directory is searched for them.
//! It finds and reads text; what the text means is for the room that carries it out.

use std::path::{Path, PathBuf};

use watchfire_model::document::{Context, Finding, Node, Reader, Severity, Value};
use watchfire_model::order::Order as _;

use super::Settings;

/// The programs whose configuration is taken over. Each is a key of `watchfire.yml`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ForeignKind {
    /// The key.
    pub(crate) key: &'static str,
    /// Whether this version carries such a file out.
    pub(crate) carried_out: bool,
    /// Whether a file name in a monitoring directory is one of these.
    matches: fn(&str) -> bool,
}

impl ForeignKind {
    /// Whether a file name is usual for this kind.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        (self.matches)(name)
    }
}

/// All kinds, in the order in which a file name is tried.
pub(crate) const FOREIGN: [ForeignKind; 10] = [
    ForeignKind { key: "prometheus", carried_out: true, matches: |n| matches!(n, "prometheus.yml" | "prometheus.yaml") },
    ForeignKind { key: "alertmanager", carried_out: true, matches: |n| is_yaml(n) && n.starts_with("alertmanager") },
    ForeignKind { key: "blackbox", carried_out: true, matches: |n| is_yaml(n) && n.starts_with("blackbox") },
    ForeignKind { key: "json_exporter", carried_out: true, matches: |n| is_yaml(n) && (n.starts_with("json-exporter") || n.starts_with("json_exporter")) },
    ForeignKind { key: "loki", carried_out: true, matches: |n| is_yaml(n) && n.starts_with("loki") && !n.contains("rules") },
    ForeignKind { key: "promtail", carried_out: true, matches: |n| is_yaml(n) && n.starts_with("promtail") },
    ForeignKind { key: "alloy", carried_out: true, matches: |n| n.ends_with(".alloy") },
    ForeignKind { key: "filebeat", carried_out: true, matches: |n| matches!(n, "filebeat.yml" | "filebeat.yaml") },
    ForeignKind { key: "grafana", carried_out: true, matches: |n| n == "grafana.ini" },
    ForeignKind { key: "pyroscope", carried_out: false, matches: |n| is_yaml(n) && n.starts_with("pyroscope") },
];

fn is_yaml(name: &str) -> bool {
    name.ends_with(".yml") || name.ends_with(".yaml")
}

/// One foreign configuration.
#[derive(Clone, Debug)]
pub(crate) struct Foreign {
    pub(crate) kind: ForeignKind,
    pub(crate) source: ForeignFile,
}

/// Where its content is.
#[derive(Clone, Debug)]
pub(crate) enum ForeignFile {
    /// In a file.
    Path(PathBuf),
    /// In `watchfire.yml` itself.
    Content(Node),
}

impl Foreign {
    /// What `watchfire.yml` says about one kind: a path or the content itself.
    pub(crate) fn named(root: &Reader<'_>, kind: ForeignKind, base: &Path) -> Option<Foreign> {
        let node = root.raw(kind.key)?;
        let source = match &node.value {
            // Alloy's language is no YAML; its text is read where it is carried out.
            Value::Scalar { text, .. } if text.contains('\n') && kind.key == "alloy" => ForeignFile::Content(node.clone()),
            // Grafana's main file is none either; its other files are.
            Value::Scalar { text, .. } if kind.key == "grafana" && text.lines().any(|line| line.trim_start().starts_with('[')) => {
                ForeignFile::Content(node.clone())
            }
            Value::Scalar { text, .. } if text.contains('\n') => match parse_inside(root.context().file(), node, text) {
                Ok(content) => ForeignFile::Content(content),
                Err(finding) => {
                    root.context().error(finding.line, finding.column, finding.message);
                    return None;
                }
            },
            Value::Scalar { text, .. } => {
                let path = base.join(&**text);
                if let Err(error) = std::fs::File::open(&path) {
                    root.error_at(kind.key, format!("cannot read {}: {error}", path.display()));
                }
                ForeignFile::Path(path)
            }
            Value::Map(_) => ForeignFile::Content(node.clone()),
            _ => {
                root.error_at(kind.key, "must be a path or the content of the file");
                return None;
            }
        };
        Some(Foreign { kind, source })
    }
}

/// Reads a document that stands in another as a block of text, moved to where it stands so that findings name the place
/// in the file around it.
fn parse_inside(file: &str, block: &Node, text: &str) -> Result<Node, Box<Finding>> {
    let mut moved = "\n".repeat(block.line.saturating_sub(1));
    for line in text.lines() {
        moved.extend([&" ".repeat(block.column.saturating_sub(1)), line, "\n"]);
    }
    watchfire_model::document::parse_yaml(file, &moved)
}

impl Settings {
    /// Looks through the monitoring directory for files that are not named yet.
    pub(crate) fn find_foreign(&mut self, context: &Context) -> Vec<Finding> {
        let Some(dir) = self.monitoring_dir.clone() else { return Vec::new() };
        let mut files = Vec::new();
        let mut seen = Vec::new();
        if let Err(e) = list(&dir, 0, &mut seen, &mut files) {
            context.error(0, 0, format!("cannot read the monitoring directory {}: {e}", dir.display()));
            return Vec::new();
        }
        files.order();
        let mut findings = Vec::new();
        for path in files {
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
            let Some(kind) = FOREIGN.iter().find(|k| (k.matches)(name)) else { continue };
            let known = self.foreign.iter().any(|f| f.kind.key == kind.key);
            let message = match (kind.carried_out, known) {
                (true, false) => {
                    self.foreign.push(Foreign { kind: *kind, source: ForeignFile::Path(path) });
                    continue;
                }
                (true, true) => format!("another {} configuration is used already; this one is not", kind.key),
                (false, _) => format!("this is configuration for {}, which this version does not carry out yet", kind.key),
            };
            findings.push(Finding { severity: Severity::Warning, file: path.display().to_string().into(), line: 0, column: 0, message });
        }
        findings
    }

    /// The one configuration of a kind.
    pub(crate) fn foreign_of(&self, key: &str) -> Option<&Foreign> {
        self.foreign.iter().find(|f| f.kind.key == key)
    }
}

/// Lists files up to three levels deep; a monitoring directory is not deeper, and a wrong path must not cost minutes. Hidden directories are left
/// out: a mounted ConfigMap keeps its files there and links to them. What is no file, such as a pipe, would never end. A directory that links lead to
/// twice is looked at once; a link that leads nowhere is a file that cannot be read.
fn list(dir: &Path, depth: usize, seen: &mut Vec<PathBuf>, out: &mut Vec<PathBuf>) -> std::io::Result<()> {
    seen.push(dir.canonicalize()?);
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let hidden = path.file_name().and_then(|n| n.to_str()).is_none_or(|n| n.starts_with('.'));
        match std::fs::metadata(&path) {
            Ok(meta) if meta.is_dir() => {
                if depth < 3 && !hidden && path.canonicalize().is_ok_and(|whole| !seen.contains(&whole)) {
                    list(&path, depth + 1, seen, out)?;
                }
            }
            Ok(meta) if !meta.is_file() => {}
            _ => out.push(path),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Environment, Flags, load};
    use super::*;

    #[test]
    fn odd_directories_are_searched_to_an_end() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        // As Kubernetes mounts a ConfigMap.
        std::fs::create_dir_all(at("..2026_11")).unwrap();
        std::fs::write(at("..2026_11/prometheus.yml"), "global: {}\n").unwrap();
        let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, at(name)).unwrap();
        link("..2026_11", "..data");
        link("..data/prometheus.yml", "prometheus.yml");
        link(".", "round");
        link("/nonexistent", "loki.yml");
        std::fs::create_dir(at("alertmanager.yml")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(at("promtail.yml")).status().unwrap().success());
        let flags = Flags { monitoring_dir: Some(dir.path().to_path_buf()), ..Flags::default() };
        let loaded = load(&flags, &Environment::of(&[])).unwrap_or_else(|f| panic!("{f:?}"));
        let found: Vec<(&str, PathBuf)> = loaded
            .settings
            .foreign
            .iter()
            .filter_map(|f| match &f.source {
                ForeignFile::Path(path) => Some((f.kind.key, path.strip_prefix(dir.path()).unwrap().to_path_buf())),
                ForeignFile::Content(_) => None,
            })
            .collect();
        assert_eq!(found, [("loki", PathBuf::from("loki.yml")), ("prometheus", PathBuf::from("prometheus.yml"))]);
        assert_eq!(loaded.findings.iter().map(ToString::to_string).collect::<Vec<_>>(), [""; 0]);
    }
}
