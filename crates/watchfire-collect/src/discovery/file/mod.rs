//! `file_sd_configs`: targets in JSON or YAML files that other programs write. Files are looked at again every few
//! seconds and read when they have changed; a file that cannot be read keeps its last good targets and is counted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use watchfire_model::document::{Node, Reader, parse_yaml};
use watchfire_model::meter::Meter;
use watchfire_model::order::Order as _;

use super::glob::Lookup;
use super::static_config::{groups_of, parse_json};
use super::{Discovery, Mechanism, Place, Running, Surroundings, TargetGroup, Update};
use crate::scrape::config::read_text;
use watchfire_net::blocking::spawn_blocking;

/// The registry entry.
pub const MECHANISM: Mechanism = Mechanism { key: "file_sd_configs", read };

/// Every so often files are looked at, whatever `refresh_interval` says: it stands in for a watch on the directory.
pub const POLL_MS: u64 = 5_000;
/// How long Prometheus waits between full readings when the file does not say.
pub const REFRESH_MS_DEFAULT: u64 = 300_000;
/// The label that says which file a target came from.
pub const FILE_LABEL: &str = "__meta_filepath";

/// One entry of `file_sd_configs`.
pub struct FileDiscovery {
    patterns: Vec<PathBuf>,
    refresh_ms: u64,
    seen: Mutex<BTreeMap<PathBuf, Seen>>,
}

/// What is known about one file.
#[derive(Default)]
struct Seen {
    stamp: Option<Stamp>,
    groups: Vec<TargetGroup>,
}

/// Tells two versions of a file apart: a file that is replaced by renaming has another number even in the same moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stamp {
    modified: std::time::SystemTime,
    bytes: u64,
    number: u64,
}

fn read(place: &Place<'_>, node: &Node) -> Vec<Arc<dyn Discovery>> {
    place.each(node, |reader| Some(read_one(reader, place.lookup)))
}

fn read_one(reader: &Reader<'_>, lookup: &Lookup) -> FileDiscovery {
    let names = reader.texts("files", false);
    if names.is_empty() {
        let node = reader.node();
        reader.context().error(node.line, node.column, format!("{} names no file", reader.path_of("files")));
    }
    for (node, name) in reader.list("files").iter().zip(&names) {
        if !is_allowed(name) {
            reader.context().error(node.line, node.column, format!("{name:?} must end in .json, .yml or .yaml, and have a star in its last part only"));
        }
    }
    let refresh_ms = reader.duration_ms("refresh_interval").unwrap_or(REFRESH_MS_DEFAULT);
    FileDiscovery::new(names.iter().map(|name| pattern(name, lookup)).collect(), refresh_ms)
}

fn is_allowed(name: &str) -> bool {
    let (before, last) = name.rsplit_once('/').unwrap_or(("", name));
    let ending = [".json", ".yml", ".yaml"].iter().any(|e| last.to_ascii_lowercase().ends_with(e));
    ending && !before.contains('*')
}

/// Where a pattern points: an absolute one that matches nothing may mean a file in the monitoring directory.
fn pattern(name: &str, lookup: &Lookup) -> PathBuf {
    let own = lookup.join(name);
    match (&lookup.monitoring_dir, lookup.files(name).first()) {
        (Some(_), Some(found)) if !found.starts_with(own.parent().unwrap_or(Path::new("/"))) => {
            found.parent().unwrap_or(Path::new(".")).join(Path::new(name).file_name().unwrap_or_default())
        }
        _ => own,
    }
}

impl FileDiscovery {
    /// Looks at files that match these patterns.
    pub fn new(patterns: Vec<PathBuf>, refresh_ms: u64) -> FileDiscovery {
        FileDiscovery { patterns, refresh_ms, seen: Mutex::default() }
    }

    /// The groups of all files, as they were when they were last looked at.
    fn groups(&self) -> Vec<TargetGroup> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).values().flat_map(|s| s.groups.iter().cloned()).collect()
    }

    /// Looks at all files, reads those that have changed, and tells whether any groups have.
    fn look(&self, meter: &Meter) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut paths: Vec<PathBuf> = self.patterns.iter().flat_map(|p| super::glob::expand(p)).collect();
        paths.order();
        paths.dedup();
        let before = seen.len();
        seen.retain(|path, _| paths.contains(path));
        let mut changed = before != seen.len();
        for path in &paths {
            let stamp = stamp(path);
            let known = seen.entry(path.clone()).or_default();
            if stamp.is_some() && known.stamp == stamp {
                continue;
            }
            known.stamp = stamp;
            match read_file(path) {
                Ok(groups) => {
                    changed |= known.groups != groups;
                    known.groups = groups;
                }
                Err(reason) => {
                    meter.counter("watchfire_discovery_file_errors_total", "Target files that could not be read; their last good targets are kept.", &[]).inc();
                    tracing::warn!(file = %path.display(), reason, "cannot read a target file; its last good targets are kept");
                }
            }
        }
        changed
    }
}

impl Discovery for FileDiscovery {
    fn initial(&self, meter: &Meter) -> Option<Vec<TargetGroup>> {
        self.look(meter);
        Some(self.groups())
    }

    fn run(self: Arc<Self>, from: usize, surroundings: Surroundings, updates: mpsc::Sender<Update>) -> Option<Running> {
        let period = Duration::from_millis(self.refresh_ms.clamp(1, POLL_MS));
        Some(Box::pin(async move {
            loop {
                tokio::time::sleep(period).await;
                let (this, meter) = (self.clone(), surroundings.meter.clone());
                let look = spawn_blocking(move || this.look(&meter).then(|| this.groups()));
                let Ok(Some(groups)) = look.await else { continue };
                if updates.send(Update { from, groups }).await.is_err() {
                    return;
                }
            }
        }))
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(path).ok()?;
    Some(Stamp { modified: metadata.modified().ok()?, bytes: metadata.len(), number: metadata.ino() })
}

/// Reads one file, of JSON or YAML by its ending.
fn read_file(path: &Path) -> Result<Vec<TargetGroup>, String> {
    let name = path.display().to_string();
    let text = read_text(path)?;
    let is_json = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    let root = if is_json { parse_json(&name, text.as_bytes())? } else { parse_yaml(&name, &text).map_err(|f| f.to_string())? };
    let mut groups = if root.is_null() { Vec::new() } else { groups_of(&name, &root)? };
    for group in &mut groups {
        group.labels.push((FILE_LABEL.to_owned(), name.clone()));
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(groups: &[TargetGroup]) -> Vec<String> {
        groups.iter().flat_map(|g| g.targets.iter().map(|t| t[0].1.clone())).collect()
    }

    #[test]
    fn files_change_break_and_vanish() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let temporary = dir.path().join("writing");
            std::fs::write(&temporary, text).unwrap();
            std::fs::rename(&temporary, dir.path().join(name)).unwrap();
        };
        write("a.json", r#"[{"targets": ["one:1", "two:2"], "labels": {"zone": "x"}}]"#);
        write("b.yml", "- targets: ['three:3']\n");
        let meter = Meter::new();
        let files = FileDiscovery::new(vec![dir.path().join("*.json"), dir.path().join("*.yml")], 1_000);
        // The groups if they have changed.
        let look = || files.look(&meter).then(|| files.groups());
        let first = look().unwrap();
        assert_eq!(addresses(&first), ["one:1", "two:2", "three:3"]);
        assert!(first[0].labels.iter().any(|(n, v)| n == "zone" && v == "x"));
        assert!(first[0].labels.iter().any(|(n, v)| n == FILE_LABEL && v.ends_with("a.json")));
        assert_eq!(look(), None);
        assert_eq!(files.initial(&meter), Some(first));
        write("a.json", r#"[{"targets": ["one:1"]}]"#);
        assert_eq!(addresses(&look().unwrap()), ["one:1", "three:3"]);
        for broken in ["[{\"targets\": [", "[{\"targetz\": [\"x:1\"]}]", "{}", "[{\"targets\": 5}]", "", "[null]"] {
            write("a.json", broken);
            assert_eq!(look(), None, "{broken}");
        }
        assert_eq!(meter.counter("watchfire_discovery_file_errors_total", "", &[]).get(), 6);
        std::fs::remove_file(dir.path().join("b.yml")).unwrap();
        assert_eq!(addresses(&look().unwrap()), ["one:1"]);
        write("a.json", "[]");
        assert_eq!(addresses(&look().unwrap()), [""; 0]);
        // JSON escapes what is beyond its first plane in two halves. A file of YAML may be empty.
        write("a.json", r#"[{"targets":["h:1"],"labels":{"room":"\ud83d\ude00\/\u00e9"}},{"targets":null,"labels":null}]"#);
        let groups = look().unwrap();
        assert_eq!(addresses(&groups), ["h:1"]);
        assert!(groups[0].labels.contains(&("room".to_owned(), "\u{1f600}/é".to_owned())), "{groups:?}");
        write("b.yml", "- targets: [b:1]\n");
        assert_eq!(addresses(&look().unwrap()), ["h:1", "b:1"]);
        write("b.yml", "");
        assert_eq!(addresses(&look().unwrap()), ["h:1"]);
    }
}
