//! `watchfire check`: every file, all findings with file:line:column, exit code 0, 1 or 2. It starts nothing.
//! What files say of each other, and of series, is the doctor's part.

pub(crate) mod said;
pub(crate) mod site;

use std::path::Path;
use std::process::ExitCode;

use watchfire_alert::rules::file::{Language, language_of, read_logs, read_node};
use watchfire_alert::rules::unit;
use watchfire_api::grafana::provisioning;
use watchfire_doctor::{Document, Kind};
use watchfire_model::document::{Finding, Node, Severity, parse_yaml};

use self::site::Gathered;
use crate::command_line::CheckFlags;
use crate::serve::{alertmanager, exporters, grafana, logs, prometheus};
use crate::settings::{self, Environment, FOREIGN, Flags, Foreign, ForeignFile};
use crate::{log_rules, rule_files};

/// Runs the command.
pub(crate) fn run(flags: CheckFlags, environment: &Environment) -> ExitCode {
    let json = flags.json;
    let (findings, gathered) = look(flags, environment);
    said::print(&findings, &gathered.check(None), json)
}

/// Findings about each file, and the files for the doctor.
pub(crate) fn look(flags: CheckFlags, environment: &Environment) -> (Vec<Finding>, Gathered) {
    let mut findings = Vec::new();
    let mut gathered = Gathered::default();
    let files = flags.files;
    let wanted = Flags { config: flags.config, monitoring_dir: flags.monitoring_dir, ..Flags::default() };
    // Without a file of ours to check, only the named files count; a watchfire.yml that happens to lie here is not meant then.
    if wanted.config.is_some() || wanted.monitoring_dir.is_some() || files.is_empty() {
        match settings::load(&wanted, environment) {
            Ok(loaded) => {
                findings.extend(loaded.findings);
                for foreign in loaded.settings.foreign.iter().filter(|f| {
                    !matches!(f.kind.key, "prometheus" | "alertmanager" | "promtail" | "filebeat" | "alloy" | "loki" | "blackbox" | "json_exporter" | "grafana")
                }) {
                    findings.extend(check_foreign(foreign, &loaded.settings.file));
                }
                let (configured, of_prometheus) = prometheus::read_all(&loaded.settings, environment);
                findings.extend(of_prometheus);
                gathered = Gathered::of_settings(&loaded.settings, configured.map(|c| c.rules).unwrap_or_default());
            }
            Err(errors) => findings.extend(errors),
        }
    }
    for file in &files {
        findings.extend(check_file(file));
        gathered.add_named(file);
    }
    gathered.forget_said(&findings);
    (findings, gathered)
}

fn check_foreign(foreign: &Foreign, inside: &Path) -> Vec<Finding> {
    if !foreign.kind.carried_out {
        let message = format!("{} configuration is read, but this version does not carry it out yet", foreign.kind.key);
        let name = match &foreign.source {
            ForeignFile::Path(path) => path.display().to_string(),
            ForeignFile::Content(_) => inside.display().to_string(),
        };
        return vec![whole(&name, Severity::Warning, message)];
    }
    match &foreign.source {
        ForeignFile::Path(path) => check_file(path),
        ForeignFile::Content(_) => Vec::new(),
    }
}

fn whole(file: &str, severity: Severity, message: String) -> Finding {
    Finding { severity, file: file.into(), line: 0, column: 0, message }
}

/// Checks one file by what it claims to be: its name first, then what stands in it.
fn check_file(path: &Path) -> Vec<Finding> {
    let name = path.display().to_string();
    let text = match crate::text_file::read(path) {
        Ok(text) => text,
        Err(finding) => return vec![*finding],
    };
    match path.extension().and_then(|e| e.to_str()) {
        Some("yml" | "yaml" | "json") => match parse_yaml(&name, &text) {
            Ok(node) => check_document(path, &name, &node),
            Err(finding) => vec![*finding],
        },
        Some("alloy") => logs::read_text("alloy", &name, &text, path, None, &Environment::default()).findings,
        Some("env") => check_env(&name, &text),
        Some("ini") => check_ini(&name, &text),
        _ => vec![whole(&name, Severity::Warning, "is of no kind that this version can check".to_owned())],
    }
}

fn check_document(path: &Path, name: &str, node: &Node) -> Vec<Finding> {
    let file = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
    if file.starts_with("watchfire") {
        return settings::load(&Flags { config: Some(path.to_path_buf()), ..Flags::default() }, &Environment::default()).map_or_else(|e| e, |l| l.findings);
    }
    if unit::is_test_file(node) {
        return rule_files::test(path, name, node);
    }
    if node.get("groups").is_some() && node.get("scrape_configs").is_none() {
        let templates = rule_files::templates();
        return match language_of(name, node) {
            Language::Metrics => read_node(name, node, Some(&*templates)).findings,
            Language::Logs => read_logs(name, node, Some(&*templates)).findings,
        };
    }
    // Promtail's file has scrape_configs too.
    let promtail = node.get("clients").is_some() || node.get("positions").is_some();
    if (promtail && node.get("scrape_configs").is_some()) || file.starts_with("promtail") {
        return logs::read_node("promtail", name, node, path, None, &Environment::default()).findings;
    }
    let filebeat = node.entries().unwrap_or(&[]).iter().any(|(key, _)| key.text.starts_with("filebeat"));
    if filebeat || file.starts_with("filebeat") {
        return logs::read_node("filebeat", name, node, path, None, &Environment::default()).findings;
    }
    if (node.get("scrape_configs").is_some() && !promtail) || FOREIGN[0].is_named(file) {
        let mut parsed = prometheus::read_node(name, node, path, None, &Environment::default());
        if let Some(config) = &parsed.config {
            parsed.findings.extend(rule_files::load(config, None, rule_files::Wanted::default()).findings);
        }
        return parsed.findings;
    }
    if (node.get("route").is_some() && node.get("receivers").is_some()) || FOREIGN[1].is_named(file) {
        return alertmanager::read_node(name, node, path, None).findings;
    }
    let probers = |modules: &Node| modules.entries().unwrap_or(&[]).iter().any(|(_, module)| module.get("prober").is_some());
    if node.get("modules").is_some_and(probers) || FOREIGN[2].is_named(file) {
        return exporters::read_probes(name, node, path, None).1;
    }
    let of_json = |modules: &Node| modules.entries().unwrap_or(&[]).iter().any(|(_, module)| module.get("metrics").is_some());
    if node.get("modules").is_some_and(of_json) || FOREIGN[3].is_named(file) {
        return exporters::read_json(name, node, path, None).1;
    }
    if node.get("auth_modules").is_some() {
        return watchfire_collect::postgres::modules::check(name, node);
    }
    if watchfire_collect::postgres::own::is_queries(node) {
        return watchfire_collect::postgres::own::check(name, node);
    }
    if provisioning::is_provisioning(node) {
        return grafana::files::check(name, node, path);
    }
    let kind = Document { name: name.into(), node: node.clone() }.kind();
    if kind == Kind::Loki || node.get("ruler").is_some() || (kind == Kind::Other && file.starts_with("loki")) {
        let mut findings = watchfire_ingest::loki::config::parse_node(name, node).findings;
        findings.extend(log_rules::check(name, node, path));
        return findings;
    }
    if kind != Kind::Other {
        return Vec::new();
    }
    vec![whole(name, Severity::Warning, "is well-formed, but of no kind that this version can check further".to_owned())]
}

/// `NAME=value` lines, comments and blank lines; `export` in front is allowed.
fn check_env(name: &str, text: &str) -> Vec<Finding> {
    let bad = |line: &str| {
        let line = line.trim().trim_start_matches("export ");
        let key = line.split_once('=').map(|(k, _)| k.trim());
        !line.is_empty() && !line.starts_with('#') && !key.is_some_and(|k| !k.is_empty() && k.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
    };
    line_findings(name, text, bad, "must be NAME=value")
}

/// `[section]`, `key = value`, comments with `;` or `#`.
fn check_ini(name: &str, text: &str) -> Vec<Finding> {
    let bad = |line: &str| {
        let line = line.trim();
        let section = line.starts_with('[') && line.ends_with(']');
        !(line.is_empty() || line.starts_with([';', '#']) || section || line.contains('='))
    };
    line_findings(name, text, bad, "must be a [section] or key = value")
}

fn line_findings(name: &str, text: &str, bad: impl Fn(&str) -> bool, message: &str) -> Vec<Finding> {
    let finding = |(i, _): (usize, &str)| Finding { severity: Severity::Error, file: name.into(), line: i + 1, column: 1, message: message.to_owned() };
    text.lines().enumerate().filter(|(_, l)| bad(l)).map(finding).collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn check(file: &str, text: &str, expected: &[&str]) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(file);
        std::fs::write(&path, text).unwrap();
        let found: Vec<String> = check_file(&path).iter().map(|f| f.to_string().replace(&format!("{}/", dir.path().display()), "")).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn files_are_checked_by_what_they_claim_to_be() {
        check("a.env", "# x\nA=1\nexport B=2\nC 3\n", &["a.env:4:1: error: must be NAME=value"]);
        check("a.ini", "[s]\nk = v\n; c\nnonsense\n", &["a.ini:4:1: error: must be a [section] or key = value"]);
        check("x.yml", "a: [1\n", &["x.yml:2:1: error: while parsing a flow sequence, expected ',' or ']'"]);
        check("x.yml", "a: 1\n", &["x.yml: warning: is well-formed, but of no kind that this version can check further"]);
        check("config.alloy", "loki.write \"w\" {\n  endpoint { url = 1 + }\n}\n", &["config.alloy:2:24: error: expected a value, not }"]);
        check("x.bin", "", &["x.bin: warning: is of no kind that this version can check"]);
        check(
            "rules.yml",
            "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: sum(\n",
            &["rules.yml:5:11: error: groups[0].rules[0].expr: could not parse expression: 1:5: parse error: unclosed left parenthesis"],
        );
        check(
            "rules.yml",
            "groups:\n- name: g\n  rules:\n  - record: a\n    alert: A\n    expr: up\n",
            &["rules.yml:4:5: error: groups[0].rules[0]: only one of 'record' and 'alert' must be set"],
        );
    }

    /// The documents' blocks of configuration, where they are at hand.
    fn block(name: &str) -> Option<String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let seeds = std::env::var_os("WATCHFIRE_SEEDS").map_or_else(|| root.join("../shared/catalogue"), PathBuf::from);
        let text = std::fs::read_to_string(seeds.join("config_snippets").join(name)).ok();
        if text.is_none() {
            eprintln!("SKIPPED: the documents' {name} is not at hand (WATCHFIRE_SEEDS)");
        }
        text
    }
    /// What is said of a monitoring directory with these files.
    fn of_directory(files: &[(&str, &str)]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let flags = CheckFlags { config: None, monitoring_dir: Some(dir.path().to_path_buf()), json: false, files: Vec::new() };
        let (findings, gathered) = look(flags, &Environment::default());
        let diagnoses = gathered.check(None);
        let all = findings.into_iter().chain(diagnoses.iter().map(watchfire_doctor::Diagnosis::finding));
        all.map(|f| f.to_string().replace(&format!("{}/", dir.path().display()), "")).collect()
    }

    #[test]
    fn c_66_retention_as_one_key_is_said_to_be_odd() {
        let Some(text) = block("002_557_prometheus_reduced_memory.yml") else { return };
        let found = of_directory(&[("prometheus.yml", &text)]);
        for key in ["retention.time", "retention.size"] {
            assert!(found.iter().any(|l| l.starts_with("prometheus.yml:") && l.contains("warning") && l.contains(key)), "{key} in {found:#?}");
        }
    }

    #[test]
    fn the_doctor_sees_a_monitoring_directory_whole() {
        let rules = "groups:\n- name: g\n  rules:\n  - {alert: Gone, expr: 'up{job=\"wep\"} == 0'}\n";
        let scraping = "rule_files: [/etc/prometheus/rules/*.yml]\nscrape_configs:\n- job_name: web\n  static_configs: [{targets: ['w:80']}]\n";
        let board = "{\"panels\": [{\"title\": \"P\", \"targets\": [{\"expr\": \"hsi_detection_queue_size\"}]}]}";
        let ini = "[session]\nprovider = memory\n";
        let files = [("prometheus.yml", scraping), ("rules/a.yml", rules), ("grafana/dashboards/b.json", board), ("grafana.ini", ini)];
        let found = of_directory(&files);
        let has = |begin: &str, words: &str| assert!(found.iter().any(|l| l.starts_with(begin) && l.contains(words)), "{begin} {words}: {found:#?}");
        has("rules/a.yml:4:25: warning: Gone:", "did you mean job=\"web\"? [unknown-job]");
        has("grafana/dashboards/b.json:1:", "panel \"P\": no catalog declares hsi_detection_queue_size");
        has("grafana.ini:1:1: warning: [session]:", "[setting-ignored]");
        assert!(!found.iter().any(|l| l.contains("rules-not-loaded")), "{found:#?}");
    }

    /// Files that nobody reads for work are no reason not to start, but what is in them is not looked at either.
    #[test]
    fn files_that_cannot_be_looked_at_are_named() {
        let board = "{\"panels\": [";
        let rules = "groups:\n- name: g\n  rules:\n  - {alert: A, expr: 'sum('}\n";
        let files = [("prometheus.yml", "scrape_configs: []\n"), ("grafana/b.json", board), ("more/alerts.yml", rules), ("rules/r.yml", rules)];
        let found = of_directory(&files);
        let of = |begin: &str| found.iter().filter(|l| l.starts_with(begin) && !l.contains("rule_files")).collect::<Vec<_>>();
        let named = |begin: &str| of(begin).iter().any(|l| l.ends_with("[not-looked-at]"));
        assert!(named("grafana/b.json:") && named("more/alerts.yml:4:22: warning: file: groups[0].rules[0].expr: "), "{found:#?}");
        assert_eq!(of("rules/r.yml").len(), 1, "whoever reads it has said so: {found:#?}");
        assert_eq!(of("watchfire.yml").len(), 0, "there is none: {found:#?}");
    }

    /// Files on the command line are one site, too, and rule files that one of them names belong to it.
    #[test]
    fn named_files_are_seen_side_by_side() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str, text: &str| {
            std::fs::write(dir.path().join(name), text).unwrap();
            dir.path().join(name)
        };
        path("rules.yml", "groups: [{name: g, rules: [{alert: Gone, expr: 'up{job=\"wep\"} == 0'}]}]\n");
        let scraping = path("prometheus.yml", "rule_files: [rules.yml]\nscrape_configs: [{job_name: web}]\n");
        let flags = CheckFlags { config: None, monitoring_dir: None, json: false, files: vec![scraping] };
        let found = look(flags, &Environment::default()).1.check(None);
        assert_eq!(found.iter().map(|d| (d.subject.as_str(), d.code.name())).collect::<Vec<_>>(), [("Gone", "unknown-job")]);
    }

    /// What the acceptance of the documents' files asks for.
    #[test]
    fn the_documents_files_are_found_out_and_nothing_else() {
        let together = |files: &[(&str, &str)]| -> Option<Vec<String>> {
            let texts: Option<Vec<_>> = files.iter().map(|(block_name, name)| Some((*name, block(block_name)?))).collect();
            Some(of_directory(&texts?.iter().map(|(n, t)| (*n, t.as_str())).collect::<Vec<_>>()))
        };
        let names = |found: &[String], name: &str| found.iter().any(|l| l.contains(name));
        let of_rule = |found: &[String], name: &str| found.iter().any(|l| l.starts_with("alert_rules.yml:") && l.contains(name));
        let vms =
            [("004_73_prometheus.yml", "prometheus.yml"), ("004_334_alert_rules.yml", "alert_rules.yml"), ("004_501_alertmanager.yml", "alertmanager.yml")];
        if let Some(found) = together(&vms) {
            assert!(!names(&found, "error:"), "{found:#?}");
            for name in ["HighDiskLatency", "SlowAPIResponses", "NodeDown"] {
                assert!(names(&found, name), "{name}: {found:#?}");
            }
            assert!(!of_rule(&found, "CameraOffline"), "{found:#?}");
        }
        let pisovereign =
            [("002_186_prometheus.yml", "prometheus.yml"), ("002_317_alert_rules.yml", "alert_rules.yml"), ("002_407_alertmanager.yml", "alertmanager.yml")];
        if let Some(found) = together(&pisovereign) {
            assert!(!names(&found, "error:"), "{found:#?}");
            assert!(of_rule(&found, "HighErrorRate") && of_rule(&found, "HighTokenUsage"), "{found:#?}");
            assert!(!of_rule(&found, "PiSovereignDown"), "{found:#?}");
        }
    }

    /// Every block of the documents' configuration loads: it is clean or has warnings only.
    #[test]
    fn all_blocks_of_the_documents_are_readable() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let seeds = std::env::var_os("WATCHFIRE_SEEDS").map_or_else(|| root.join("../shared/catalogue"), PathBuf::from);
        let Ok(entries) = std::fs::read_dir(seeds.join("config_snippets")) else {
            eprintln!("SKIPPED: the documents' blocks are not at hand (WATCHFIRE_SEEDS)");
            return;
        };
        let mut seen = 0;
        for entry in entries {
            let errors: Vec<_> = check_file(&entry.unwrap().path()).into_iter().filter(|f| f.severity == Severity::Error).collect();
            assert!(errors.is_empty(), "{errors:?}");
            seen += 1;
        }
        assert!(seen > 40, "{seen}");
    }
}
