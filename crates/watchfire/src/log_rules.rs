//! Which rules over logs there are: files that `logs.rule_files` names, those in the directory of Loki's ruler, and those of the
//! monitoring directory that are named like them. It reads them; what a rule means is for `watchfire_alert`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use watchfire_alert::rules::file::{Language, language_of};
use watchfire_collect::discovery::glob::Lookup;
use watchfire_model::document::{Finding, Node, Severity};
use watchfire_model::duration::parse_millis;
use watchfire_model::order::Order as _;

use crate::rule_files::{FILES_MAX, Loaded, load_unnamed, read_document, read_logs, same, templates, whole};
use crate::settings::{ForeignFile, Settings};

/// How often groups are evaluated that do not say so, unless Loki's configuration does: as Loki has it.
const INTERVAL_MS: u64 = 60_000;
/// The tenant that Loki has when there is only one.
const TENANT: &str = "fake";
/// Keys of the ruler that mean something to Loki only, and what is done here instead.
const ELSEWHERE: [(&str, &str); 5] = [
    (
        "alertmanager_url",
        "alerts of rules over logs go the way of those over metrics: alerting.alertmanagers of prometheus.yml names others than the one inside",
    ),
    ("external_url", "links lead to rules.external_url of watchfire.yml"),
    ("external_labels", "external_labels of prometheus.yml are added to alerts"),
    ("alert_relabel_configs", "alert_relabel_configs of prometheus.yml are carried out"),
    ("remote_write", "what rules record is stored here, and remote_write of prometheus.yml sends it on"),
];

/// What Loki's configuration says of rules.
#[derive(Debug, PartialEq, Eq)]
struct Ruler {
    directories: Vec<PathBuf>,
    interval_ms: u64,
}
impl Default for Ruler {
    fn default() -> Ruler {
        Ruler { directories: Vec::new(), interval_ms: INTERVAL_MS }
    }
}

/// Loads everything that the settings mean.
pub(crate) fn load(settings: &Settings) -> Loaded {
    let monitoring_dir = settings.monitoring_dir.as_deref();
    let mut loaded = Loaded::default();
    let mut known = HashSet::new();
    let ruler = match settings.foreign_of("loki").map(|f| &f.source) {
        Some(ForeignFile::Path(path)) => match read_document(path) {
            Ok(node) => of_loki(&path.display().to_string(), &node, path, monitoring_dir, &mut loaded.findings),
            // Whoever reads the rest of the file says so.
            Err(_) => Ruler::default(),
        },
        Some(ForeignFile::Content(node)) => of_loki(&settings.file.display().to_string(), node, &settings.file, monitoring_dir, &mut loaded.findings),
        None => Ruler::default(),
    };
    let lookup = Lookup::beside(&settings.file, monitoring_dir);
    for pattern in &settings.logs.rule_files {
        let found = lookup.files(pattern);
        if found.is_empty() {
            loaded.findings.push(whole(&settings.file.display().to_string(), Severity::Warning, format!("logs.rule_files: no file matches {pattern:?}")));
        }
        add(found, &mut known, &mut loaded);
    }
    add(ruler.directories.iter().flat_map(|dir| files_of(dir)).collect(), &mut known, &mut loaded);
    for path in monitoring_dir.map(unnamed).unwrap_or_default() {
        if loaded.files.len() < FILES_MAX && known.insert(same(&path)) {
            load_unnamed(&path, Language::Logs, &*templates(), &mut loaded);
        }
    }
    set_interval(&mut loaded, ruler.interval_ms);
    loaded
}

/// What is to be said of a `loki.yml` that the command line names, and of the rule files that it means.
pub(crate) fn check(name: &str, node: &Node, path: &Path) -> Vec<Finding> {
    let mut loaded = Loaded::default();
    let ruler = of_loki(name, node, path, None, &mut loaded.findings);
    add(ruler.directories.iter().flat_map(|dir| files_of(dir)).collect(), &mut HashSet::new(), &mut loaded);
    loaded.findings
}

fn add(paths: Vec<PathBuf>, known: &mut HashSet<PathBuf>, loaded: &mut Loaded) {
    for path in paths {
        if !known.insert(same(&path)) {
            continue;
        }
        if loaded.files.len() >= FILES_MAX {
            loaded.findings.push(whole(&path.display().to_string(), Severity::Error, format!("more than {FILES_MAX} rule files over logs")));
            return;
        }
        let parsed = read_logs(&path, &*templates());
        loaded.findings.extend(parsed.findings);
        loaded.files.extend(parsed.file);
    }
}

/// Groups get the interval of the ruler; the one of `prometheus.yml` is not theirs, and neither is its offset.
fn set_interval(loaded: &mut Loaded, interval_ms: u64) {
    for group in loaded.files.iter_mut().flat_map(|file| &mut file.groups) {
        group.interval_ms.get_or_insert(interval_ms);
        group.query_offset_ms.get_or_insert(0);
    }
}

/// Reads the part about rules of a Loki configuration. Nothing in it keeps us from starting.
fn of_loki(name: &str, root: &Node, path: &Path, monitoring_dir: Option<&Path>, findings: &mut Vec<Finding>) -> Ruler {
    let mut warn = |at: &Node, message: String| {
        findings.push(Finding { severity: Severity::Warning, file: name.into(), line: at.line, column: at.column, message });
    };
    let ruler = root.get("ruler");
    let text = |node: Option<&Node>| node.and_then(Node::text).filter(|text| !text.is_empty()).map(str::to_owned);
    let below = |keys: &[&str]| keys.iter().try_fold(root, |node, key| node.get(key));
    for (key, instead) in ELSEWHERE {
        if let Some(at) = ruler.and_then(|ruler| ruler.get(key)).filter(|at| !at.is_null()) {
            warn(at, format!("ruler.{key} has no effect: {instead}"));
        }
    }
    if let Some(kind) = below(&["ruler", "storage", "type"]).filter(|kind| kind.text() != Some("local")) {
        warn(kind, format!("ruler.storage.type: rules are read from files only, not from {:?}", kind.text().unwrap_or_default()));
    }
    let mut interval_ms = INTERVAL_MS;
    if let Some(at) = below(&["ruler", "evaluation_interval"]) {
        match at.text().and_then(parse_millis).filter(|ms| *ms > 0) {
            Some(ms) => interval_ms = ms,
            None => warn(at, "ruler.evaluation_interval must be a duration such as 1m; rules are evaluated every minute".to_owned()),
        }
    }
    // The last is where Loki copies rules to, and with some configurations the only place that is named.
    let places = [&["ruler", "storage", "local", "directory"][..], &["common", "storage", "filesystem", "rules_directory"], &["ruler", "rule_path"]];
    let lookup = Lookup::beside(path, monitoring_dir);
    let named: Vec<(&Node, String)> = places.iter().filter_map(|keys| below(keys).and_then(|at| Some((at, text(Some(at))?)))).collect();
    let found = named.iter().map(|(_, text)| lookup.file(text)).find(|dir| dir.is_dir());
    if let (None, Some((at, text)), Some(_)) = (&found, named.first(), ruler) {
        warn(at, format!("there is no directory {text}, so no rules over logs are read from it"));
    }
    Ruler { directories: found.into_iter().collect(), interval_ms }
}

/// The rule files of a ruler's directory: those of the only tenant, and whatever else in it or below it is LogQL and no PromQL. Rules
/// over metrics may lie there as well, when the directory stands for one within a container.
fn files_of(dir: &Path) -> Vec<PathBuf> {
    let entries = |dir: &Path| std::fs::read_dir(dir).into_iter().flatten().filter_map(|e| Some(e.ok()?.path())).take(FILES_MAX).collect::<Vec<_>>();
    let (dirs, mut files): (Vec<_>, Vec<_>) = entries(dir).into_iter().partition(|path| path.is_dir());
    files.extend(dirs.iter().flat_map(|tenant| entries(tenant)));
    files.retain(|path| path.is_file() && matches!(path.extension().and_then(|e| e.to_str()), Some("yml" | "yaml")));
    let of_tenant = |path: &Path| path.parent().and_then(Path::file_name).is_some_and(|name| name == TENANT);
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let of_logs = |path: &Path| read_document(path).is_ok_and(|node| node.get("groups").is_some() && language_of(&name(path), &node) == Language::Logs);
    files.retain(|path| of_tenant(path) || of_logs(path));
    files.order();
    files
}

/// The files of a monitoring directory that are named like rules of Loki and hold such.
fn unnamed(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = [dir.to_path_buf(), dir.join("rules")]
        .iter()
        .flat_map(|dir| std::fs::read_dir(dir).into_iter().flatten().filter_map(|e| Some(e.ok()?.path())).collect::<Vec<_>>())
        .filter(|path| path.is_file() && is_log_rules(path))
        .collect();
    found.order();
    found
}

/// Whether a file that nobody names holds rules over logs: it is named `loki…rules…`, and what stands in it is no PromQL.
pub(crate) fn is_log_rules(path: &Path) -> bool {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
    let yaml = matches!(path.extension().and_then(|e| e.to_str()), Some("yml" | "yaml"));
    let of_logs = |node: Node| node.get("groups").is_none() || language_of(name, &node) == Language::Logs;
    yaml && name.starts_with("loki") && name.contains("rules") && read_document(path).is_ok_and(of_logs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{self, Environment, Flags};

    const RULES: &str = "groups: [{name: g, rules: [{alert: A, expr: 'sum(rate({a=\"b\"} |= \"c\" [5m])) > 0'}]}]\n";

    /// The names of loaded files with the intervals of their groups, and everything that is said.
    fn loaded(files: &[(&str, &str)], config: &str) -> (Vec<String>, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let mut files = files.to_vec();
        files.push(("w.yml", config));
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let flags = Flags { config: Some(dir.path().join("w.yml")), ..Flags::default() };
        let settings = settings::load(&flags, &Environment::default()).map_err(|f| format!("{f:?}")).ok().unwrap().settings;
        let loaded = load(&settings);
        let short = |text: &str| text.replace(&format!("{}/", dir.path().display()), "");
        let files = loaded.files.iter().map(|f| format!("{} {}", short(&f.name), f.groups[0].interval_ms.unwrap())).collect();
        (files, loaded.findings.iter().map(|f| short(&f.to_string())).collect())
    }

    #[test]
    fn files_of_the_ruler_and_of_our_own_key_are_read() {
        let loki = "ruler:\n  storage: {type: local, local: {directory: /loki/rules}}\n  rule_path: /tmp/scratch\n  evaluation_interval: 30s\n  alertmanager_url: http://am:9093\n";
        let metrics = "groups: [{name: g, rules: [{alert: A, expr: up == 0}]}]\n";
        let files = [
            ("mon/loki.yml", loki),
            ("mon/rules/fake/a.yaml", RULES),
            ("mon/rules/team/b.yml", RULES),
            ("mon/rules/b.txt", RULES),
            ("mon/rules/metrics.yml", metrics),
            ("mon/rules/team/metrics.yml", metrics),
            ("own/c.yml", RULES),
            ("mon/loki-rules.yml", RULES),
        ];
        let (files, said) = loaded(&files, "logs: {rule_files: ['own/*.yml', 'gone/*.yml']}\nmonitoring_dir: mon\n");
        assert_eq!(files, ["own/c.yml 30000", "mon/rules/fake/a.yaml 30000", "mon/rules/team/b.yml 30000", "mon/loki-rules.yml 30000"]);
        assert!(said.iter().any(|s| s.starts_with("mon/loki.yml:5:21: warning: ruler.alertmanager_url has no effect")), "{said:#?}");
        assert!(said.iter().any(|s| s.ends_with("logs.rule_files: no file matches \"gone/*.yml\"")), "{said:#?}");
        assert!(said.iter().any(|s| s.starts_with("mon/loki-rules.yml: warning: no rule_files names this file")), "{said:#?}");
        assert!(said.iter().all(|s| s.contains("warning")), "{said:#?}");
    }

    #[test]
    fn other_places_that_loki_names() {
        let of = |loki: &str| loaded(&[("loki.yml", loki), ("r/fake/a.yml", RULES)], "loki: loki.yml\n");
        assert_eq!(of("common: {storage: {filesystem: {rules_directory: r}}}\n").0, ["r/fake/a.yml 60000"]);
        assert_eq!(of("ruler: {rule_path: r}\n").0, ["r/fake/a.yml 60000"]);
        let (files, said) = of("ruler: {storage: {type: s3, local: {directory: gone}}, evaluation_interval: often}\n");
        assert_eq!((files.len(), said.len()), (0, 3), "{said:#?}");
        assert!(said.iter().any(|s| s.contains("there is no directory gone")) && said.iter().any(|s| s.contains("not from \"s3\"")), "{said:#?}");
    }

    #[test]
    fn what_is_wrong_with_a_named_file_is_an_error_with_its_place() {
        let wrong = "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: sum(rate({a=\"b\"} |= [5m])) > 0\n";
        let (files, said) = loaded(&[("a.yml", wrong)], "logs: {rule_files: a.yml}\n");
        assert_eq!(files.len(), 0);
        assert!(
            said[0].starts_with("a.yml:5:") && said[0].contains("error: groups[0].rules[0].expr: could not parse expression: parse error at line 1, col"),
            "{said:?}"
        );
    }
}
