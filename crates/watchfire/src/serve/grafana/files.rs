//! Grafana's provisioning: its files are found below `grafana/` and `provisioning/` of the monitoring directory and where the key `grafana`
//! names them; dashboards are read from the folders that they name, and read again once a file changes. Nothing is written.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use watchfire_api::grafana::provisioning::{self, Provider};
use watchfire_api::grafana::{FixedBoard, FixedOrigin, ProvidedSource, not_followed};
use watchfire_collect::discovery::glob::Lookup;
use watchfire_doctor::grafana_ini;
use watchfire_model::document::{Finding, Node, Severity, parse_yaml};
use watchfire_model::order::Order as _;

use crate::settings::{Environment, ForeignFile, Settings};

/// How deep folders are searched.
const DEPTH_MAX: usize = 6;
/// At most so many files are looked at.
const FILES_MAX: usize = 1_000;
/// The largest file.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// How often folders are looked at that no provider names.
const INTERVAL: Duration = Duration::from_secs(10);

/// Our own port where nobody says another.
const USUAL_PORT: u16 = 8_000;

/// What is to be read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    places: Vec<Place>,
    pub(super) sources: Vec<ProvidedSource>,
}

/// A folder with dashboards.
#[derive(Clone, Debug)]
struct Place {
    dir: PathBuf,
    folder: String,
    folders_from_files: bool,
    changeable: bool,
    interval: Duration,
    /// Whether a provider names it: then everything in it has to be a dashboard.
    named: bool,
}

impl Plan {
    pub(super) fn interval(&self) -> Option<Duration> {
        self.places.iter().map(|place| place.interval).min()
    }
    /// How often the places of a folder are looked at.
    #[cfg(test)]
    pub(super) fn interval_of(&self, folder: &str) -> Option<Duration> {
        self.places.iter().find(|place| place.folder == folder).map(|place| place.interval)
    }
}

/// Reads what the settings name and what lies in the monitoring directory.
pub(crate) fn read(settings: &Settings, environment: &Environment) -> (Plan, Vec<Finding>) {
    let mut reading = Reading { settings, plan: Plan::default(), findings: Vec::new(), roots: Vec::new() };
    let inside = |name: &str| settings.monitoring_dir.as_ref().map(|dir| dir.join(name));
    reading.roots.extend([inside("grafana"), inside("provisioning")].into_iter().flatten().filter(|dir| dir.is_dir()));
    let named = settings.foreign_of("grafana").map(|f| f.source.clone());
    if let Some(ForeignFile::Path(path)) = &named {
        match path.extension().and_then(|e| e.to_str()) {
            _ if path.is_dir() => reading.roots.push(path.clone()),
            Some("yml" | "yaml") => reading.file(path),
            _ => reading.ini(&read_text(path).unwrap_or_default(), path),
        }
    }
    if let Some(ForeignFile::Content(node)) = &named {
        match node.text() {
            Some(ini) => reading.ini(ini, &settings.file),
            None => reading.document(&settings.file.display().to_string(), &settings.file, node),
        }
    }
    if let Some(path) = environment.get("GF_PATHS_PROVISIONING") {
        reading.directory(path, &settings.file);
    }
    reading.search();
    (reading.plan, reading.findings)
}

/// What is said of one provisioning file that somebody checks.
pub(crate) fn check(name: &str, node: &Node, path: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    for provider in provisioning::providers(name, node, &mut findings) {
        if directory(&provider.path, path, None).is_none() {
            findings.push(no_directory(name, &provider));
        }
    }
    sources_of(name, node, USUAL_PORT, &mut findings);
    findings
}

struct Reading<'a> {
    settings: &'a Settings,
    plan: Plan,
    findings: Vec<Finding>,
    /// Directories where everything may lie.
    roots: Vec<PathBuf>,
}

impl Reading<'_> {
    /// Reads the files below all roots, then adds the roots themselves for dashboards that no provider names.
    fn search(&mut self) {
        let roots: Vec<PathBuf> = std::mem::take(&mut self.roots);
        for root in &roots {
            let mut found = Vec::new();
            list(root, &["yml", "yaml"], 0, &mut found);
            for (path, ..) in found {
                self.file(&path);
            }
        }
        for dir in roots {
            let loose = Place { dir, folder: String::new(), folders_from_files: false, changeable: false, interval: INTERVAL, named: false };
            self.plan.places.push(loose);
        }
    }
    fn file(&mut self, path: &Path) {
        let name = path.display().to_string();
        let parsed = read_text(path).map_err(|reason| Box::new(whole(&name, reason))).and_then(|text| parse_yaml(&name, &text));
        match parsed {
            Ok(node) if provisioning::is_provisioning(&node) => self.document(&name, path, &node),
            // What else lies there is others' business.
            Ok(_) => {}
            Err(finding) => self.findings.push(Finding { severity: Severity::Warning, ..*finding }),
        }
    }
    fn document(&mut self, name: &str, path: &Path, node: &Node) {
        for provider in provisioning::providers(name, node, &mut self.findings) {
            match directory(&provider.path, path, self.settings.monitoring_dir.as_deref()) {
                Some(dir) => self.plan.places.push(place(dir, provider)),
                None => self.findings.push(no_directory(name, &provider)),
            }
        }
        self.plan.sources.extend(sources_of(name, node, self.settings.server.listen.port(), &mut self.findings));
    }
    /// What `grafana.ini` says of places.
    fn ini(&mut self, text: &str, path: &Path) {
        let entries = grafana_ini::entries(text);
        if let Some(entry) = entries.iter().find(|e| e.section == "paths" && e.key == "provisioning") {
            self.directory(entry.value, path);
        }
    }
    fn directory(&mut self, named: &str, beside: &Path) {
        match directory(named, beside, self.settings.monitoring_dir.as_deref()) {
            Some(dir) if self.roots.iter().all(|root| !dir.starts_with(root)) => self.roots.push(dir),
            Some(_) => {}
            None => self.findings.push(whole(&beside.display().to_string(), format!("there is no directory {named}, where provisioning files should be"))),
        }
    }
}

fn place(dir: PathBuf, provider: Provider) -> Place {
    let Provider { folder, interval_secs, folders_from_files, changeable, .. } = provider;
    Place { dir, folder, folders_from_files, changeable, interval: Duration::from_secs(interval_secs), named: true }
}

fn sources_of(name: &str, node: &Node, own_port: u16, findings: &mut Vec<Finding>) -> Vec<ProvidedSource> {
    let mut all = Vec::new();
    for placed in provisioning::sources(name, node, findings) {
        if let Some(reason) = not_followed(&placed.source.kind, &placed.source.url, own_port) {
            let message = format!("data source {:?}: {reason}", placed.source.name);
            findings.push(Finding { severity: Severity::Warning, file: name.into(), line: placed.line, column: placed.column, message });
        }
        all.push(placed.source);
    }
    all
}

fn no_directory(file: &str, provider: &Provider) -> Finding {
    let message = format!(
        "there is no directory {}, so provider {:?} brings no dashboards; they are also found below grafana/ of the monitoring directory",
        provider.path, provider.name
    );
    Finding { severity: Severity::Warning, file: file.into(), line: provider.line, column: provider.column, message }
}

/// The directory that a configured path means: itself, or what its tail names in the monitoring directory.
fn directory(path: &str, beside: &Path, monitoring_dir: Option<&Path>) -> Option<PathBuf> {
    let lookup = Lookup::beside(beside, monitoring_dir);
    lookup.files(path).into_iter().find(|found| found.is_dir())
}

fn whole(file: &str, message: String) -> Finding {
    Finding { severity: Severity::Warning, file: file.into(), line: 0, column: 0, message }
}

fn read_text(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let cannot = |error: std::io::Error| format!("cannot read the file: {error}");
    let read = std::fs::File::open(path).map_err(cannot)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(cannot)?;
    if read as u64 > FILE_BYTES_MAX { Err(format!("cannot read the file: it is larger than {FILE_BYTES_MAX} bytes")) } else { Ok(text) }
}

/// A file, when it was changed, and how long it is.
type Stamp = (PathBuf, SystemTime, u64);

/// The files below a directory, in order of name.
fn list(dir: &Path, extensions: &[&str], depth: usize, out: &mut Vec<Stamp>) {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.order();
    for path in paths {
        let hidden = path.file_name().and_then(|n| n.to_str()).is_none_or(|n| n.starts_with('.'));
        // A mounted ConfigMap keeps its files in hidden directories and links to them.
        if hidden || out.len() >= FILES_MAX {
            continue;
        }
        let Ok(meta) = std::fs::metadata(&path) else { continue };
        if meta.is_dir() && depth < DEPTH_MAX {
            list(&path, extensions, depth + 1, out);
        } else if meta.is_file() && path.extension().and_then(|e| e.to_str()).is_some_and(|e| extensions.contains(&e)) {
            out.push((path, meta.modified().unwrap_or(UNIX_EPOCH), meta.len()));
        }
    }
}

/// What was read, and from which state of its file.
struct Known {
    changed: SystemTime,
    bytes: u64,
    /// The folder that it belongs to, and whether it may be changed on the page.
    belongs: (String, bool),
    board: Option<FixedBoard>,
}

/// The dashboards of files.
#[derive(Default)]
pub(super) struct Files {
    pub(super) plan: Plan,
    known: BTreeMap<PathBuf, Known>,
}

impl Files {
    #[cfg(test)]
    pub(super) fn of(plan: Plan) -> Files {
        Files { plan, known: BTreeMap::new() }
    }
    /// Looks at all files, reads those that have changed, and tells whether there were any.
    pub(super) fn look(&mut self) -> bool {
        let mut there: BTreeMap<PathBuf, (SystemTime, u64, usize)> = BTreeMap::new();
        for (index, place) in self.plan.places.iter().enumerate() {
            let mut found = Vec::new();
            list(&place.dir, &["json"], 0, &mut found);
            for (path, changed, bytes) in found {
                // The first place counts: those that a provider names come before the whole directory.
                there.entry(path).or_insert((changed, bytes, index));
            }
        }
        let before = self.known.len();
        self.known.retain(|path, _| there.contains_key(path));
        let mut any = self.known.len() != before;
        for (path, (changed, bytes, index)) in there {
            let known = self.known.get(&path);
            let folder = self.plan.places.get(index).map(|place| folder_of(place, &path)).unwrap_or_default();
            let Some(place) = self.plan.places.get(index) else { continue };
            let belongs = (folder.clone(), place.changeable);
            if known.is_some_and(|k| k.changed == changed && k.bytes == bytes && k.belongs == belongs) {
                continue;
            }
            any = true;
            let board = match read_board(place, &path, &folder, changed) {
                Ok(board) => Some(board),
                Err(reason) => {
                    if place.named {
                        tracing::warn!(path = %path.display(), reason, "a dashboard file cannot be read");
                    }
                    // Half a file is no reason to forget the dashboard that was there.
                    self.known.remove(&path).and_then(|k| k.board)
                }
            };
            self.known.insert(path, Known { changed, bytes, belongs, board });
        }
        any
    }
    /// All dashboards that could be read.
    pub(super) fn boards(&self) -> Vec<FixedBoard> {
        self.known.values().filter_map(|known| known.board.clone()).collect()
    }
}

fn folder_of(place: &Place, path: &Path) -> String {
    if !place.folders_from_files {
        return place.folder.clone();
    }
    let parent = path.parent().filter(|parent| *parent != place.dir);
    parent.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn read_board(place: &Place, path: &Path, folder: &str, changed: SystemTime) -> Result<FixedBoard, String> {
    let changed_ms = changed.duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX));
    let origin = FixedOrigin::File { path: path.display().to_string(), changeable: place.changeable };
    let board = FixedBoard::read(read_text(path)?, folder, origin, changed_ms)?;
    if !place.named && !board.has_panels() {
        return Err("it has no panels".to_owned());
    }
    Ok(board)
}
