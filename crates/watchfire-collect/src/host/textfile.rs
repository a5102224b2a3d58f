//! Metrics that other programs leave in files, as node_exporter's collector of this name takes them: `*.prom` in a directory, each taken whole
//! or not at all. It is no scrape: files with times are refused, as there, because nobody would know how old a value is.

use std::collections::{BTreeMap, HashSet};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use watchfire_ingest::exposition::{Entry, Format, Parser};
use watchfire_model::batch::MetricType;

use super::files::Files;
use super::{Collector, HostError};
use crate::gather::Gather;

/// Files of all directories.
const FILES_MAX: usize = 256;
/// The longest file.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Series of all files.
const SERIES_MAX: usize = 10_000;

/// Names that are put after the files.
const OWN: [&str; 2] = ["node_textfile_", "node_scrape_collector_"];

pub(crate) struct TextFile {
    directories: Vec<PathBuf>,
    /// The files that were refused last time, so that each is logged once.
    refused: HashSet<PathBuf>,
}

/// One series of a file.
struct Found {
    family: String,
    kind: MetricType,
    labels: Vec<(String, String)>,
    name: String,
    value: f64,
}

/// What stands in one file.
#[derive(Default)]
struct Content {
    helps: BTreeMap<String, String>,
    found: Vec<Found>,
}

impl TextFile {
    pub(crate) fn new(directories: &[PathBuf]) -> TextFile {
        TextFile { directories: directories.to_vec(), refused: HashSet::new() }
    }

    fn paths(&self, files: &Files) -> (Vec<PathBuf>, bool) {
        let (mut paths, mut failed) = (Vec::new(), false);
        for directory in &self.directories {
            let at = files.at(&directory.to_string_lossy());
            failed |= std::fs::read_dir(&at).is_err();
            let names = files.names(&directory.to_string_lossy());
            paths.extend(names.into_iter().filter(|name| name.ends_with(".prom")).map(|name| directory.join(name)));
        }
        failed |= paths.len() > FILES_MAX;
        paths.truncate(FILES_MAX);
        (paths, failed)
    }
}

impl Collector for TextFile {
    fn collect(&mut self, files: &mut Files, out: &mut Gather<'_>) -> Result<(), HostError> {
        let (paths, mut failed) = self.paths(files);
        let mut known: HashSet<String> = HashSet::new();
        let mut families: BTreeMap<String, (MetricType, String)> = BTreeMap::new();
        let mut refused = HashSet::new();
        for path in paths {
            let shown = path.to_string_lossy().into_owned();
            match read(&files.at(&shown)).and_then(|(content, changed)| put(content, &shown, &mut known, &mut families, out).map(|()| changed)) {
                Ok(changed) => out.gauge("node_textfile_mtime_seconds", &"Unixtime mtime of textfiles successfully read.", &[("file", &shown)], changed),
                Err(reason) => {
                    failed = true;
                    if !self.refused.contains(&path) {
                        tracing::warn!(target: "watchfire::host", file = shown, reason, "a file with metrics is left out");
                    }
                    refused.insert(path);
                }
            }
        }
        self.refused = refused;
        let help = "1 if there was an error opening or reading a file, 0 otherwise";
        out.gauge("node_textfile_scrape_error", &help, &[], f64::from(u8::from(failed)));
        Ok(())
    }
}

/// What stands in a file, and when it was changed.
fn read(path: &Path) -> Result<(Content, f64), String> {
    let io = |error: std::io::Error| format!("cannot read it: {error}");
    // Before it is opened: a pipe would be waited for.
    let about = std::fs::metadata(path).map_err(io)?;
    if !about.is_file() {
        return Err("it is no file".to_owned());
    }
    let file = std::fs::File::open(path).map_err(io)?;
    let mut text = String::new();
    let length = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(io)? as u64;
    if length > FILE_BYTES_MAX {
        return Err(format!("it is longer than {FILE_BYTES_MAX} bytes"));
    }
    if !text.is_empty() && !text.ends_with('\n') {
        return Err("its last line does not end: it is being written".to_owned());
    }
    Ok((parse(&text)?, about.mtime() as f64))
}

fn parse(text: &str) -> Result<Content, String> {
    let mut content = Content::default();
    let mut kinds: BTreeMap<String, MetricType> = BTreeMap::new();
    for entry in Parser::new(Format::PrometheusText, text) {
        match entry.map_err(|error| error.to_string())? {
            Entry::Type { family, kind } => drop(kinds.insert(family.into_owned(), kind)),
            Entry::Help { family, help } => drop(content.helps.insert(family.into_owned(), help.into_owned())),
            Entry::Unit { .. } => {}
            Entry::Sample(sample) => {
                let names = sample.names().map_err(|error| error.to_string())?;
                let name = names.iter().find(|(n, _)| *n == "__name__").map(|(_, v)| v.to_owned()).unwrap_or_default();
                if sample.time.is_some() {
                    return Err(format!("{name} has a time, which is not supported in such files"));
                }
                let labels = names.iter().filter(|(n, v)| *n != "__name__" && !v.is_empty()).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
                let (family, kind) = family_of(&name, &kinds);
                content.found.push(Found { family, kind, labels, name, value: sample.value });
                if content.found.len() > SERIES_MAX {
                    return Err(format!("it has more than {SERIES_MAX} series"));
                }
            }
        }
    }
    Ok(content)
}

/// The family of a series and its type: series of histograms and summaries have other names than their family.
fn family_of(name: &str, kinds: &BTreeMap<String, MetricType>) -> (String, MetricType) {
    let parts = |suffix: &str, wanted: &[MetricType]| {
        let base = name.strip_suffix(suffix)?;
        kinds.get(base).filter(|kind| wanted.contains(kind)).map(|kind| (base.to_owned(), *kind))
    };
    let both = [MetricType::Histogram, MetricType::Summary];
    let found = parts("_bucket", &both[..1]).or_else(|| parts("_sum", &both)).or_else(|| parts("_count", &both));
    found.unwrap_or_else(|| (name.to_owned(), kinds.get(name).copied().unwrap_or(MetricType::Unknown)))
}

/// Puts what stands in a file, or says what of it contradicts what is there already.
fn put(
    content: Content,
    file: &str,
    known: &mut HashSet<String>,
    families: &mut BTreeMap<String, (MetricType, String)>,
    out: &mut Gather<'_>,
) -> Result<(), String> {
    let key = |found: &Found| format!("{}{:?}", found.name, found.labels);
    let (mut fresh, mut seen) = (HashSet::new(), HashSet::new());
    for found in &content.found {
        let family = found.family.as_str();
        match families.get(family) {
            Some((kind, _)) if *kind != found.kind => return Err(format!("{family} has another type in another file")),
            None if seen.insert(family) && (OWN.iter().any(|own| family.starts_with(own)) || out.has(family)) => {
                return Err(format!("{family} is a name of this machine's own"));
            }
            _ => {}
        }
        let key = key(found);
        if known.contains(&key) || !fresh.insert(key) {
            return Err(format!("{} stands there twice with the same labels", found.name));
        }
    }
    if known.len() + fresh.len() > SERIES_MAX {
        return Err(format!("all files have more than {SERIES_MAX} series"));
    }
    known.extend(fresh);
    for found in content.found {
        let help = content.helps.get(&found.family);
        let (_, help) =
            families.entry(found.family.clone()).or_insert_with(|| (found.kind, help.cloned().unwrap_or_else(|| format!("Metric read from {file}"))));
        let labels: Vec<(&str, &str)> = found.labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        out.series((&found.family, found.kind), &found.name, help, &labels, found.value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use watchfire_ingest::exposition::render;

    use super::*;

    fn collected(files: &[(&str, &str)]) -> String {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("var/metrics/folder.prom")).unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join("var/metrics").join(name), text).unwrap();
        }
        let mut out = Gather::families();
        out.gauge("node_load1", &"1m load average.", &[], 1.0);
        TextFile::new(&["/var/metrics".into()]).collect(&mut Files::new(dir.path()), &mut out).unwrap();
        render(Format::PrometheusText, &out.into_families())
    }

    fn has(text: &str, line: &str) -> bool {
        text.lines().any(|known| known == line)
    }

    #[test]
    fn files_are_taken_as_node_exporter_takes_them() {
        let good = "# HELP jobs Jobs that ran.\n# TYPE jobs counter\njobs{a=\"b\",none=\"\"} 1\nnohelp 2\n";
        let shapes = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 3\ns_count 2\n";
        let text = collected(&[("a.prom", good), ("b.prom", shapes), ("c.prom", ""), ("d.txt", "other 1\n"), ("e.prom", "jobs{a=\"c\"} NaN\n")]);
        for line in [
            "# HELP jobs Jobs that ran.",
            "# TYPE jobs counter",
            "jobs{a=\"b\"} 1",
            "# HELP nohelp Metric read from /var/metrics/a.prom",
            "# TYPE nohelp untyped",
            "# TYPE h histogram",
            "h_bucket{le=\"+Inf\"} 2",
            "h_sum 3",
            "# TYPE s summary",
            "s_count 2",
        ] {
            assert!(has(&text, line), "{line} in {text}");
        }
        assert!(text.contains("node_textfile_mtime_seconds{file=\"/var/metrics/c.prom\"}") && !text.contains("other 1"), "{text}");
        // A folder and a file without a type for a name that has one are errors; the others are not lost.
        assert!(has(&text, "node_textfile_scrape_error 1") && !text.contains("a=\"c\""), "{text}");
    }

    #[test]
    fn a_file_is_taken_whole_or_not_at_all() {
        for bad in [
            "good 1\nbad{ 1\n",
            "good 1\ntimed 1 1700000000000\n",
            "good 1\nunfinished 1",
            "good 1\ncrlf 1\r\n",
            "good 1\ngood 2\n",
            "good{a=\"1\",b=\"2\"} 1\ngood{b=\"2\",a=\"1\"} 1\n",
            "good 1\nnode_load1 5\n",
            "good 1\nnode_textfile_scrape_error 5\n",
        ] {
            let text = collected(&[("0.prom", "first 1\n"), ("bad.prom", bad)]);
            assert!(has(&text, "first 1") && has(&text, "node_textfile_scrape_error 1"), "{bad}: {text}");
            assert!(!text.contains("good") && !text.contains("bad.prom"), "{bad}: {text}");
        }
        assert!(collected(&[("long.prom", &format!("# {}\n", "x".repeat(FILE_BYTES_MAX as usize)))]).contains("node_textfile_scrape_error 1"));
    }

    #[test]
    fn a_pipe_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        assert!(std::process::Command::new("mkfifo").arg(dir.path().join("a.prom")).status().unwrap().success());
        std::fs::write(dir.path().join("b.prom"), "well 1\n").unwrap();
        let mut out = Gather::families();
        TextFile::new(&["/".into()]).collect(&mut Files::new(dir.path()), &mut out).unwrap();
        let text = render(Format::PrometheusText, &out.into_families());
        assert!(has(&text, "well 1") && has(&text, "node_textfile_scrape_error 1"), "{text}");
    }

    #[test]
    fn without_a_directory_nothing_is_wrong() {
        let text = |directories: &[PathBuf]| {
            let mut out = Gather::families();
            TextFile::new(directories).collect(&mut Files::new(Path::new("/nonexistent")), &mut out).unwrap();
            render(Format::PrometheusText, &out.into_families())
        };
        assert!(has(&text(&[]), "node_textfile_scrape_error 0"));
        assert!(has(&text(&["/here".into()]), "node_textfile_scrape_error 1"));
    }
}
