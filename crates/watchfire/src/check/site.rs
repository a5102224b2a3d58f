//! Gathers the files that the doctor looks at side by side: what the settings name, what lies in the monitoring directory, what the
//! command line names. Whether a file is valid is said by those who read it for work; what nobody else reads and cannot be read is
//! said here.

use std::collections::HashSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use watchfire_alert::rules::file::{Language, RuleFile, language_of, read_logs, read_node};
use watchfire_alert::rules::unit;
use watchfire_doctor::{Code, Diagnosis, Document, Kind, Live, Site};
use watchfire_model::document::{Finding, Node, Severity, parse_yaml};
use watchfire_model::order::Order as _;
use watchfire_pack::catalog::Catalogs;

use crate::rule_files;
use crate::serve::prometheus;
use crate::settings::{Environment, ForeignFile, Settings};

/// At most so many files are looked at.
const FILES_MAX: usize = 2_000;
/// At most so many bytes are read from one of them.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// How deep a monitoring directory is searched.
const DEPTH_MAX: usize = 4;

/// The files of one site.
#[derive(Default)]
pub(crate) struct Gathered {
    site: Site,
    known: HashSet<PathBuf>,
    /// Whether there are more files than are looked at.
    full: bool,
    /// Directories that were searched.
    searched: Vec<PathBuf>,
    /// What is to be said of files that are left out.
    left_out: Vec<Diagnosis>,
}

impl Gathered {
    /// Everything that the settings mean. `rules` are the rule files that are loaded.
    pub(crate) fn of_settings(settings: &Settings, rules: Vec<RuleFile>) -> Gathered {
        let mut gathered = Gathered::default();
        // Rules that follow from objectives of our own file need no name either.
        let ours = settings.file.display().to_string();
        let (shipped, own) = rules.into_iter().partition(|f| *f.name == *ours || rule_files::is_shipped(&f.name));
        (gathered.site.shipped_rules, gathered.site.rules) = (shipped, own);
        for rules in &gathered.site.rules {
            gathered.known.insert(same(Path::new(&*rules.name)));
        }
        for foreign in &settings.foreign {
            match &foreign.source {
                ForeignFile::Path(path) => gathered.add(path),
                ForeignFile::Content(node) if foreign.kind.key == "grafana" && node.text().is_some() => gathered.add_ini(&settings.file, node),
                ForeignFile::Content(node) => gathered.site.add(&settings.file.display().to_string(), node.clone()),
            }
        }
        // Without a file of ours, its usual name stands for none.
        if settings.file.exists() {
            gathered.add(&settings.file);
        }
        if let Some(dir) = &settings.monitoring_dir {
            gathered.search(dir, 0);
        }
        gathered
    }

    /// Takes a file that the command line names, and the rules that it loads.
    pub(crate) fn add_named(&mut self, path: &Path) {
        let before = self.site.documents.len();
        self.add(path);
        let asks = |d: &Document| d.kind() == Kind::Prometheus && d.node.get("rule_files").is_some();
        if self.site.documents.get(before).is_some_and(asks) {
            let Some(config) = prometheus::read_file(path, None, &Environment::default()).config else { return };
            for rules in rule_files::load(&config, None, rule_files::Wanted::default()).files {
                if self.known.insert(same(Path::new(&*rules.name))) {
                    self.site.rules.push(rules);
                }
            }
        }
    }

    /// Forgets what others have said of the same places.
    pub(crate) fn forget_said(&mut self, findings: &[Finding]) {
        let said = |d: &Diagnosis| findings.iter().any(|f| (&f.file, f.line, f.column) == (&d.file, d.line, d.column));
        self.left_out.retain(|d| !said(d));
    }
    /// Notes that there are rules that could not be read.
    pub(crate) fn miss_rules(&mut self) {
        self.site.incomplete = true;
    }
    /// The files and directories that were read or searched.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.known.iter().chain(&self.searched)
    }

    /// How many files there are.
    pub(crate) fn files(&self) -> usize {
        self.site.documents.len() + self.site.inis.len() + self.site.rules.len()
    }

    /// What the doctor says.
    pub(crate) fn check(&self, live: Option<Arc<dyn Live>>) -> Vec<Diagnosis> {
        let mut found = self.site.check(Catalogs::builtin(), live);
        found.extend(self.left_out.iter().cloned());
        found
    }

    /// Takes a `grafana.ini` that stands in our own file, moved to where it stands.
    fn add_ini(&mut self, file: &Path, block: &Node) {
        let mut text = "\n".repeat(block.line.saturating_sub(1));
        for line in block.text().unwrap_or_default().lines() {
            text.extend([&" ".repeat(block.column.saturating_sub(1)), line, "\n"]);
        }
        self.site.inis.push((file.display().to_string().into(), text));
    }

    fn search(&mut self, dir: &Path, depth: usize) {
        self.searched.push(dir.to_path_buf());
        let mut paths: Vec<PathBuf> = std::fs::read_dir(dir).into_iter().flatten().filter_map(|e| Some(e.ok()?.path())).collect();
        paths.order();
        for path in paths {
            if path.is_dir() && depth < DEPTH_MAX {
                self.search(&path, depth + 1);
            } else if path.is_file() {
                self.add(&path);
            }
        }
    }

    fn add(&mut self, path: &Path) {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("");
        if !matches!(extension, "yml" | "yaml" | "json" | "ini") {
            return;
        }
        let name = path.display().to_string();
        if self.files() >= FILES_MAX {
            // Once is enough.
            if !self.full {
                self.full = true;
                self.leave_out(&whole(&name, format!("more than {FILES_MAX} files: this and those after it are not looked at")));
            }
            return;
        }
        if !self.known.insert(same(path)) {
            return;
        }
        let text = match read_text(path) {
            Ok(text) => text,
            Err(reason) => return self.leave_out(&whole(&name, reason)),
        };
        if extension == "ini" {
            self.site.inis.push((name.into(), text));
            return;
        }
        let node = match parse_yaml(&name, &text) {
            Ok(node) => node,
            Err(finding) => return self.leave_out(&finding),
        };
        let document = Document { name: name.as_str().into(), node };
        if document.kind() == Kind::Rules && !unit::is_test_file(&document.node) {
            let parsed = match language_of(&name, &document.node) {
                Language::Metrics => read_node(&name, &document.node, None),
                Language::Logs => read_logs(&name, &document.node, None),
            };
            if let Some(error) = parsed.findings.iter().find(|f| f.severity == Severity::Error) {
                self.leave_out(error);
                self.miss_rules();
            }
            self.site.rules.extend(parsed.file);
        }
        self.site.documents.push(document);
    }

    fn leave_out(&mut self, finding: &Finding) {
        self.left_out.push(Diagnosis::of_file(Code::NotLookedAt, finding));
    }
}

/// Where alerts go to what they are about: a warning at every start, because nobody hears of it otherwise.
pub(crate) fn alert_path(settings: &Settings) -> Vec<Diagnosis> {
    let mut gathered = Gathered::default();
    gathered.add(&settings.file);
    for foreign in settings.foreign.iter().filter(|f| matches!(f.kind.key, "prometheus" | "alertmanager")) {
        match &foreign.source {
            ForeignFile::Path(path) => gathered.add(path),
            ForeignFile::Content(node) => gathered.site.add(&settings.file.display().to_string(), node.clone()),
        }
    }
    gathered.check(None).into_iter().filter(|d| d.code == Code::ReceiverIsWatched).collect()
}

/// Two names of one file are one file.
fn same(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

fn read_text(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let cannot = |error: std::io::Error| format!("cannot read the file: {error}");
    let read = std::fs::File::open(path).map_err(cannot)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(cannot)?;
    if read as u64 > FILE_BYTES_MAX { Err(format!("cannot read the file: it is larger than {FILE_BYTES_MAX} bytes")) } else { Ok(text) }
}

fn whole(file: &str, message: String) -> Finding {
    Finding { severity: Severity::Warning, file: file.into(), line: 0, column: 0, message }
}
