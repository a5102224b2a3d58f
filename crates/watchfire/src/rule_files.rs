//! Which rules over metrics there are: files that `prometheus.yml` names, files that lie in the monitoring directory without a name, those of
//! enabled packs, and what becomes of service level objectives. It reads them; what a rule means is for `watchfire_alert`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use watchfire_alert::rules::file::{self, Language, RuleFile};
use watchfire_alert::rules::slo::{self, Slo};
use watchfire_alert::rules::{Expand, GoTemplates, unit};
use watchfire_collect::discovery::glob::{Lookup, is_pattern};
use watchfire_collect::scrape::config::PrometheusConfig;
use watchfire_model::document::{Finding, Node, Severity, parse_yaml};
use watchfire_model::order::Order as _;
use watchfire_model::time::SystemClock;
use watchfire_pack::rules::{self as pack_rules, RuleText};

use crate::log_rules;
use crate::settings::FOREIGN;

/// At most so many rule files are loaded.
pub(crate) const FILES_MAX: usize = 10_000;

/// What came of loading.
#[derive(Default)]
pub(crate) struct Loaded {
    /// The valid files.
    pub(crate) files: Vec<RuleFile>,
    /// Everything there is to say of all files.
    pub(crate) findings: Vec<Finding>,
}

/// What expands templates in rules.
pub(crate) fn templates() -> Arc<dyn Expand> {
    Arc::new(GoTemplates::new(SystemClock::shared()))
}

/// What is wanted beside files.
#[derive(Clone, Copy, Default)]
pub(crate) struct Wanted<'a> {
    /// Packs whose rules and objectives are wanted.
    pub(crate) packs: &'a [String],
    /// Objectives, and the file where they are declared.
    pub(crate) slos: (&'a str, &'a [Slo]),
}

/// Loads everything that a configuration means.
pub(crate) fn load(config: &PrometheusConfig, monitoring_dir: Option<&Path>, wanted: Wanted<'_>) -> Loaded {
    let templates = templates();
    let mut loaded = Loaded::default();
    let mut known: HashSet<PathBuf> = HashSet::new();
    let paths = config.rule_files.iter().flat_map(|pattern| named_by(pattern, config)).collect::<Vec<_>>();
    for path in paths {
        if !known.insert(same(&path)) {
            continue;
        }
        if loaded.files.len() >= FILES_MAX {
            loaded.findings.push(whole(&path.display().to_string(), Severity::Error, format!("more than {FILES_MAX} rule files")));
            break;
        }
        let parsed = read(&path, &*templates);
        loaded.findings.extend(parsed.findings);
        loaded.files.extend(parsed.file);
    }
    for path in monitoring_dir.map(unnamed).unwrap_or_default() {
        if loaded.files.len() < FILES_MAX && known.insert(same(&path)) {
            load_unnamed(&path, Language::Metrics, &*templates, &mut loaded);
        }
    }
    let enabled = |text: &&RuleText| wanted.packs.iter().any(|p| p == text.pack);
    let rules = pack_rules::BUILTIN.iter().filter(enabled).map(|f| file::read(f.path, f.text, Some(&*templates)));
    let slos = pack_rules::SLOS.iter().filter(enabled).map(|f| slo::read_file(f.path, f.text, &*templates));
    for parsed in rules.chain(slos) {
        loaded.findings.extend(parsed.findings);
        loaded.files.extend(parsed.file);
    }
    let (declared_in, slos) = wanted.slos;
    if !slos.is_empty() {
        loaded.files.push(slo::expand(declared_in, slos));
    }
    loaded
}

/// Whether nobody has to name a file, because a pack brings it.
pub(crate) fn is_shipped(name: &str) -> bool {
    pack_rules::BUILTIN.iter().chain(pack_rules::SLOS).any(|shipped| shipped.path == name)
}

/// The files of a pattern. `/etc/prometheus/rules/*.yml`, looked up by its tail, may reach the directory where everything lies;
/// what is named like another program's configuration is not meant then.
fn named_by(pattern: &str, config: &PrometheusConfig) -> Vec<PathBuf> {
    let mut found = config.lookup.files(pattern);
    let foreign = |path: &PathBuf| path.file_name().and_then(|n| n.to_str()).is_some_and(|name| FOREIGN.iter().any(|kind| kind.is_named(name)));
    if is_pattern(pattern) {
        found.retain(|path| !foreign(path) && !log_rules::is_log_rules(path));
    }
    found
}

/// Two names of one file are one file.
pub(crate) fn same(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

/// A file that nobody asked for must not keep anything from starting: what is wrong with it is a warning, and it is left out.
pub(crate) fn load_unnamed(path: &Path, language: Language, templates: &dyn Expand, loaded: &mut Loaded) {
    let name = path.display().to_string();
    let said = |message: &str| whole(&name, Severity::Warning, message.to_owned());
    match read_document(path) {
        Ok(node) if unit::is_test_file(&node) => {}
        Ok(node) if node.get("groups").is_none() => loaded.findings.push(said("is named like a rule file and holds no groups; it is not loaded")),
        Ok(node) => {
            let parsed = match language {
                Language::Metrics => file::read_node(&name, &node, Some(templates)),
                Language::Logs => file::read_logs(&name, &node, Some(templates)),
            };
            let message = match &parsed.file {
                Some(_) => "no rule_files names this file; it is loaded all the same",
                None => "no rule_files names this file, and it is not loaded, because:",
            };
            loaded.findings.push(said(message));
            loaded.findings.extend(parsed.findings.into_iter().map(|f| Finding { severity: Severity::Warning, ..f }));
            loaded.files.extend(parsed.file);
        }
        Err(finding) => loaded.findings.push(Finding { severity: Severity::Warning, ..*finding }),
    }
}

pub(crate) fn whole(file: &str, severity: Severity, message: String) -> Finding {
    Finding { severity, file: file.into(), line: 0, column: 0, message }
}

/// The files of a monitoring directory that are named like rule files, ascending.
pub(crate) fn unnamed(dir: &Path) -> Vec<PathBuf> {
    let files = |dir: &Path| std::fs::read_dir(dir).into_iter().flatten().filter_map(|e| Some(e.ok()?.path())).filter(|p| p.is_file()).collect::<Vec<_>>();
    let name = |path: &Path| path.file_name().and_then(|n| n.to_str()).unwrap_or("").to_owned();
    let mut found: Vec<PathBuf> = files(dir).into_iter().filter(|p| name(p).contains("rules")).chain(files(&dir.join("rules"))).collect();
    found.retain(|p| matches!(p.extension().and_then(|e| e.to_str()), Some("yml" | "yaml")) && !FOREIGN.iter().any(|kind| kind.is_named(&name(p))));
    found.retain(|p| !log_rules::is_log_rules(p));
    found.order();
    found
}

pub(crate) fn read_document(path: &Path) -> Result<Node, Box<Finding>> {
    let name = path.display().to_string();
    parse_yaml(&name, &crate::text_file::read(path)?)
}

/// Reads one rule file.
pub(crate) fn read(path: &Path, templates: &dyn Expand) -> file::Parsed {
    match read_document(path) {
        Ok(node) => file::read_node(&path.display().to_string(), &node, Some(templates)),
        Err(finding) => file::Parsed { file: None, findings: vec![*finding] },
    }
}

/// Reads one file of rules over logs.
pub(crate) fn read_logs(path: &Path, templates: &dyn Expand) -> file::Parsed {
    match read_document(path) {
        Ok(node) => file::read_logs(&path.display().to_string(), &node, Some(templates)),
        Err(finding) => file::Parsed { file: None, findings: vec![*finding] },
    }
}

/// Runs the tests of rules in a file and prints what promtool would; a test that fails is an error.
pub(crate) fn test(path: &Path, name: &str, node: &Node) -> Vec<Finding> {
    let parsed = unit::read_node(name, node);
    let mut findings = parsed.findings;
    let Some(tests) = parsed.file else { return findings };
    let templates = templates();
    let lookup = Lookup::beside(path, None);
    let mut files = Vec::new();
    for pattern in &tests.rule_files {
        let found = lookup.files(pattern);
        if found.is_empty() {
            findings.push(whole(name, Severity::Warning, format!("no file match pattern {pattern}")));
        }
        for path in found {
            let parsed = read(&path, &*templates);
            findings.extend(parsed.findings);
            files.extend(parsed.file);
        }
    }
    if findings.iter().any(|f| f.severity == Severity::Error) {
        return findings;
    }
    println!("Unit Testing:  {name}");
    let failures = unit::run(&tests, &files, &templates);
    if failures.is_empty() {
        println!("  SUCCESS\n");
    } else {
        println!("  FAILED:");
        for failure in &failures {
            println!("{failure}\n");
        }
        findings.push(whole(name, Severity::Error, format!("{} expectations of rules are not met", failures.len())));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_monitoring_directory_are_known_by_their_names() {
        let dir = tempfile::tempdir().unwrap();
        let names = ["alert_rules.yml", "rules/a.yml", "rules/b.txt", "rules.txt", "loki-rules.yml", "prometheus.yml", "my-rules-2.yaml", "deep/rules/c.yml"];
        for name in names {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let found: Vec<String> = unnamed(dir.path()).iter().map(|p| p.strip_prefix(dir.path()).unwrap().display().to_string()).collect();
        assert_eq!(found, ["alert_rules.yml", "my-rules-2.yaml", "rules/a.yml"]);
    }
}
