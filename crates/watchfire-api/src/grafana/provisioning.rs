//! Grafana's provisioning files: which folders of dashboards are read and which data sources there are. It reads trees, not files; what is
//! not carried out is said with its place.

use watchfire_model::document::{Finding, Node, Severity};

use super::ProvidedSource;

/// How often files are looked at unless it is said, and at least.
const INTERVAL_SECS: u64 = 10;
const INTERVAL_SECS_MAX: u64 = 86_400;
/// The most entries of one file.
const ENTRIES_MAX: usize = 200;

/// A folder of dashboard files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Its name.
    pub name: String,
    /// The folder that its dashboards are shown in; empty for none.
    pub folder: String,
    /// Where the files are.
    pub path: String,
    /// How often they are looked at, in seconds.
    pub interval_secs: u64,
    /// Whether the directories below become folders.
    pub folders_from_files: bool,
    /// Whether its dashboards may be changed by who looks at them.
    pub changeable: bool,
    /// Where its path stands, for findings.
    pub line: usize,
    /// The same.
    pub column: usize,
}

/// A data source with the place of its address.
#[derive(Clone, Debug)]
pub struct PlacedSource {
    /// What is said of it.
    pub source: ProvidedSource,
    /// Where its address stands.
    pub line: usize,
    /// The same.
    pub column: usize,
}

/// Whether a document is one of these.
pub fn is_provisioning(node: &Node) -> bool {
    let has = |key: &str, inside: &str| node.get(key).and_then(Node::items).is_some_and(|l| l.iter().any(|i| i.get(inside).is_some()));
    has("providers", "options") || has("providers", "type") || (node.get("apiVersion").is_some() && has("datasources", "type"))
}

struct Reading<'a> {
    file: &'a str,
    findings: &'a mut Vec<Finding>,
}
impl Reading<'_> {
    fn say(&mut self, severity: Severity, at: &Node, message: String) {
        self.findings.push(Finding { severity, file: self.file.into(), line: at.line, column: at.column, message });
    }
    fn warn(&mut self, at: &Node, message: impl Into<String>) {
        self.say(Severity::Warning, at, message.into());
    }
    /// Names keys that nobody reads.
    fn known(&mut self, node: &Node, what: &str, known: &[&str]) {
        for (key, _) in node.entries().unwrap_or(&[]).iter().filter(|(key, _)| !known.contains(&&*key.text)) {
            let hint = watchfire_model::document::nearest(&key.text, known.iter().copied()).map(|n| format!("; did you mean {n:?}?")).unwrap_or_default();
            let message = format!("{:?} is no key of {what} and does nothing{hint}", &*key.text);
            self.findings.push(Finding { severity: Severity::Warning, file: self.file.into(), line: key.line, column: key.column, message });
        }
    }
    fn organisation(&mut self, node: &Node) {
        if let Some(id) = node.get("orgId").filter(|id| !matches!(id.text(), Some("0" | "1"))) {
            self.warn(id, "there is one organisation here, so all of them mean the same");
        }
    }
}

fn text(node: &Node, key: &str) -> String {
    node.get(key).and_then(Node::text).unwrap_or_default().trim().to_owned()
}
fn flag(node: &Node, key: &str) -> bool {
    node.get(key).and_then(Node::as_bool).unwrap_or(false)
}

/// Reads the providers of dashboards.
pub fn providers(file: &str, node: &Node, findings: &mut Vec<Finding>) -> Vec<Provider> {
    let mut reading = Reading { file, findings };
    let list = node.get("providers").and_then(Node::items).unwrap_or(&[]);
    let mut all = Vec::new();
    for provider in list.iter().take(ENTRIES_MAX) {
        const KEYS: [&str; 10] =
            ["name", "orgId", "org_id", "folder", "folderUid", "type", "disableDeletion", "updateIntervalSeconds", "allowUiUpdates", "options"];
        reading.known(provider, "a provider", &KEYS);
        reading.organisation(provider);
        if let Some(kind) = provider.get("type").filter(|kind| !matches!(kind.text(), Some("file" | ""))) {
            reading.warn(kind, format!("only providers of type file are read, not {:?}", kind.text().unwrap_or_default()));
            continue;
        }
        if let Some(uid) = provider.get("folderUid").filter(|uid| uid.text().is_some_and(|t| !t.is_empty())) {
            reading.warn(uid, "folders of files have uids of their own; this one is not used");
        }
        let options = provider.get("options");
        if let Some(options) = options {
            reading.known(options, "a provider's options", &["path", "folder", "foldersFromFilesStructure"]);
        }
        let Some(path) = options.and_then(|o| o.get("path").or_else(|| o.get("folder"))).filter(|p| p.text().is_some_and(|t| !t.trim().is_empty())) else {
            reading.say(Severity::Error, provider, "options.path, where the dashboards are, is missing".to_owned());
            continue;
        };
        let folders_from_files = options.is_some_and(|o| flag(o, "foldersFromFilesStructure"));
        let folder = text(provider, "folder");
        if folders_from_files && !folder.is_empty() {
            reading.warn(provider, "folder does nothing beside foldersFromFilesStructure");
        }
        let interval_secs = match provider.get("updateIntervalSeconds").map(|n| (n, n.as_f64())) {
            None => INTERVAL_SECS,
            Some((_, Some(secs))) if secs >= 1.0 => (secs as u64).min(INTERVAL_SECS_MAX),
            Some((at, _)) => {
                reading.warn(at, format!("updateIntervalSeconds must be at least 1; files are looked at every {INTERVAL_SECS} seconds"));
                INTERVAL_SECS
            }
        };
        all.push(Provider {
            name: text(provider, "name"),
            folder: if folders_from_files { String::new() } else { folder },
            path: path.text().unwrap_or_default().trim().to_owned(),
            interval_secs,
            folders_from_files,
            changeable: flag(provider, "allowUiUpdates"),
            line: path.line,
            column: path.column,
        });
    }
    all
}

/// Reads data sources.
pub fn sources(file: &str, node: &Node, findings: &mut Vec<Finding>) -> Vec<PlacedSource> {
    let mut reading = Reading { file, findings };
    let list = node.get("datasources").and_then(Node::items).unwrap_or(&[]);
    let mut all: Vec<PlacedSource> = Vec::new();
    for source in list.iter().take(ENTRIES_MAX) {
        const KEYS: [&str; 17] = [
            "name",
            "type",
            "access",
            "orgId",
            "uid",
            "url",
            "user",
            "database",
            "basicAuth",
            "basicAuthUser",
            "withCredentials",
            "isDefault",
            "jsonData",
            "secureJsonData",
            "version",
            "editable",
            "apiVersion",
        ];
        reading.known(source, "a data source", &KEYS);
        reading.organisation(source);
        let (name, kind) = (text(source, "name"), text(source, "type"));
        if name.is_empty() || kind.is_empty() {
            reading.say(Severity::Error, source, "a data source needs name and type".to_owned());
            continue;
        }
        let uid = Some(text(source, "uid")).filter(|uid| !uid.is_empty());
        if let Some(bad) = uid.as_deref().filter(|uid| !super::boards::is_uid(uid)) {
            reading.say(
                Severity::Error,
                source.get("uid").unwrap_or(source),
                format!("the uid {bad:?} has other characters than letters, digits, - and _, or more than 40"),
            );
            continue;
        }
        if all.iter().any(|s| s.source.name == name) {
            reading.warn(source, format!("there is another data source of the name {name:?}; the first counts"));
            continue;
        }
        let at = source.get("url").or_else(|| source.get("type")).unwrap_or(source);
        let access = Some(text(source, "access")).filter(|a| !a.is_empty()).unwrap_or_else(|| "proxy".to_owned());
        let provided = ProvidedSource { name, kind, uid, url: text(source, "url"), access, is_default: flag(source, "isDefault") };
        all.push(PlacedSource { source: provided, line: at.line, column: at.column });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchfire_model::document::parse_yaml;

    fn said(findings: &[Finding]) -> Vec<String> {
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn providers_and_what_is_said_of_them() {
        let read = |text: &str| {
            let node = parse_yaml("d.yml", text).unwrap();
            assert!(is_provisioning(&node), "{text}");
            let mut findings = Vec::new();
            let found = providers("d.yml", &node, &mut findings);
            (found, said(&findings))
        };
        let (found, findings) =
            read("apiVersion: 1\nproviders:\n- {name: P, folder: F, type: file, disableDeletion: false, updateIntervalSeconds: 30, options: {path: /x}}\n");
        assert_eq!(findings, [""; 0]);
        let expected = Provider {
            name: "P".to_owned(),
            folder: "F".to_owned(),
            path: "/x".to_owned(),
            interval_secs: 30,
            folders_from_files: false,
            changeable: false,
            line: 3,
            column: 103,
        };
        assert_eq!(found, [expected]);
        for (text, words) in [
            ("providers:\n- {type: file, options: {}}\n", "d.yml:2:3: error: options.path"),
            ("providers:\n- {type: s3, options: {path: x}}\n", "d.yml:2:10: warning: only providers of type file"),
            ("providers:\n- {type: file, orgId: 2, options: {path: x}}\n", "d.yml:2:23: warning: there is one organisation"),
            ("providers:\n- {type: file, updateIntervalSeconds: 0, options: {path: x}}\n", "must be at least 1"),
            ("providers:\n- {type: file, optionz: 1, options: {path: x}}\n", "did you mean \"options\""),
            ("providers:\n- {type: file, folder: F, options: {path: x, foldersFromFilesStructure: true}}\n", "does nothing beside"),
        ] {
            let (_, findings) = read(text);
            assert!(findings.len() == 1 && findings[0].contains(words), "{text}: {findings:?}");
        }
    }

    #[test]
    fn data_sources_and_what_is_said_of_them() {
        let read = |text: &str| {
            let node = parse_yaml("s.yml", &format!("apiVersion: 1\ndatasources:\n{text}")).unwrap();
            assert!(is_provisioning(&node), "{text}");
            let mut findings = Vec::new();
            let found = sources("s.yml", &node, &mut findings);
            (found, said(&findings))
        };
        let (found, findings) = read("- {name: P, type: prometheus, url: 'http://prometheus:9090', isDefault: true}\n");
        assert_eq!((findings.len(), found.len(), found[0].line, found[0].source.is_default, &*found[0].source.access), (0, 1, 3, true, "proxy"));
        for (text, words) in [
            ("- {type: loki}\n", "s.yml:3:3: error: a data source needs name and type"),
            ("- {name: a, type: loki, uid: 'a b'}\n", "error: the uid \"a b\""),
            ("- {name: a, type: loki}\n- {name: a, type: loki}\n", "s.yml:4:3: warning: there is another"),
            ("- {name: a, type: loki, ulr: x}\n", "did you mean \"url\""),
        ] {
            let (_, findings) = read(text);
            assert!(findings.len() == 1 && findings[0].contains(words), "{text}: {findings:?}");
        }
    }
}
