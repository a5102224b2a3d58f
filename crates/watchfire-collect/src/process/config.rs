//! `processes:` of our own configuration: which processes are looked at, and how their groups, labels and cameras are called. The list
//! `process_names` is read as process-exporter reads its own. It looks at no process.

use std::sync::Arc;
use std::time::Duration;

use regex::Regex;
use watchfire_model::document::{Node, Reader};
use watchfire_model::labels::is_classic_label_name;
use watchfire_template::{Form, Functions, MapKind, Templates, Value};

use super::proc::About;
use crate::logs::stages::compile;

/// Entries of `process_names`.
pub const RULES_MAX: usize = 200;
/// The longest name, label or camera that a template makes; what is beyond is cut off.
const MADE_BYTES_MAX: usize = 256;
/// The name of a group when nobody says.
const USUAL_NAME: &str = "{{.ExeBase}}";
const INTERVAL_MS: u64 = 15_000;
const SHORTEST_MS: u64 = 1_000;

/// What is looked at.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Pause between two polls.
    pub interval: Duration,
    /// The label `job`.
    pub job: String,
    /// Whether the children of processes of a group, which belong to none themselves, belong to it.
    pub children: bool,
    /// Whether the share of each process in shared memory is measured, which makes the kernel walk through its pages.
    pub proportional_memory: bool,
    /// The rules; the first that fits a process counts.
    pub rules: Vec<Rule>,
}

/// One entry of `process_names`.
#[derive(Clone)]
pub struct Rule {
    comm: Vec<String>,
    exe: Vec<String>,
    cmdline: Vec<Regex>,
    cgroup: Vec<Regex>,
    name: Made,
    labels: Vec<(String, Made)>,
    camera_id: Option<Made>,
}
impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let labels: Vec<_> = self.labels.iter().map(|(name, made)| (name, &made.text)).collect();
        let camera = self.camera_id.as_ref().map(|made| &made.text);
        write!(f, "Rule({:?} {:?} {:?} {:?} {:?} {labels:?} {camera:?})", self.comm, self.exe, self.cmdline, self.cgroup, self.name.text)
    }
}

/// What a rule says about a process that it fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fit {
    pub(super) group: String,
    pub(super) labels: Vec<(String, String)>,
    /// The camera whose FFmpeg process it is.
    pub(super) camera: Option<String>,
}

/// A text that a template makes of a process.
#[derive(Clone)]
struct Made {
    text: String,
    templates: Arc<Templates>,
}

impl Settings {
    /// Reads the section; `job` is said beside it.
    pub fn read(section: Reader<'_>) -> Settings {
        let interval = section.duration_ms("interval").unwrap_or(INTERVAL_MS);
        if interval < SHORTEST_MS {
            section.error_at("interval", "must be at least 1s");
        }
        let items = section.maps("process_names");
        if items.len() > RULES_MAX {
            section.error_at("process_names", format!("has more than {RULES_MAX} entries"));
        }
        let settings = Settings {
            interval: Duration::from_millis(interval.max(SHORTEST_MS)),
            job: section.text("job").unwrap_or_else(|| "processes".to_owned()),
            children: section.bool("children").unwrap_or(true),
            proportional_memory: section.bool("proportional_memory").unwrap_or(false),
            rules: items.into_iter().take(RULES_MAX).filter_map(read_rule).collect(),
        };
        section.finish();
        settings
    }
}

fn read_rule(item: Reader<'_>) -> Option<Rule> {
    let patterns = |key: &'static str| -> Vec<Regex> {
        let compiled = item.texts(key, true).into_iter().map(|text| compile(&text));
        compiled.filter_map(|made| made.map_err(|reason| item.error_at(key, reason)).ok()).collect()
    };
    let made = |key: &'static str, text: String| Made::new(&text).map_err(|reason| item.error_at(key, reason)).ok();
    let labels = item.text_map("labels");
    let reserved = ["groupname", "job", "instance", "camera_id", "mode", "memtype", "state", "ctxswitchtype"];
    for (name, _) in labels.iter().filter(|(name, _)| !is_classic_label_name(name) || name.starts_with("__") || reserved.contains(&name.as_str())) {
        item.error_at("labels", format!("{name:?} cannot be a label here"));
    }
    let labels = labels.into_iter().filter_map(|(name, text)| Some((name, made("labels", text)?))).collect();
    let rule = Rule {
        comm: item.texts("comm", true),
        exe: item.texts("exe", true),
        cmdline: patterns("cmdline"),
        cgroup: patterns("cgroup"),
        name: made("name", item.text("name").unwrap_or_else(|| USUAL_NAME.to_owned()))?,
        labels,
        camera_id: item.text("camera_id").and_then(|text| made("camera_id", text)),
    };
    let given = ["comm", "exe", "cmdline", "cgroup"].into_iter().any(|key| item.raw(key).is_some_and(|node: &Node| !node.is_null()));
    if !given {
        let node = item.node();
        item.context().error(node.line, node.column, "an entry of process_names needs at least one of comm, exe, cmdline and cgroup");
    }
    item.finish();
    Some(rule)
}

impl Rule {
    /// What the rule says about a process, if it fits. A name or camera that comes out empty is none.
    pub(super) fn fit(&self, about: &About) -> Option<Fit> {
        let any = |words: &[String], fits: &dyn Fn(&str) -> bool| words.is_empty() || words.iter().any(|word| fits(word));
        if !any(&self.comm, &|word| word == about.comm)
            || !any(&self.exe, &|word| if word.contains('/') { word == about.exe } else { word == base(&about.exe) })
        {
            return None;
        }
        let mut matches: Vec<(&str, &str)> = Vec::new();
        let texts = self.cmdline.iter().map(|pattern| (pattern, about.cmdline.as_str()));
        for (pattern, text) in texts.chain(self.cgroup.iter().map(|pattern| (pattern, about.cgroup.as_str()))) {
            let captures = pattern.captures(text)?;
            matches.extend(pattern.capture_names().flatten().filter_map(|name| Some((name, captures.name(name)?.as_str()))));
        }
        let data = data(about, &matches);
        let group = self.name.make(&data).filter(|name| !name.is_empty())?;
        let labels = self.labels.iter().filter_map(|(name, made)| Some((name.clone(), made.make(&data)?))).collect();
        let camera = self.camera_id.as_ref().and_then(|made| made.make(&data)).filter(|camera| !camera.is_empty());
        Some(Fit { group, labels, camera })
    }
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// What templates see, by process-exporter's names.
fn data(about: &About, matches: &[(&str, &str)]) -> Value {
    let cgroups = about.cgroup.lines().map(Value::text).collect();
    Value::record(
        "process",
        vec![
            ("Comm", Value::text(&about.comm)),
            ("ExeBase", Value::text(base(&about.exe))),
            ("ExeFull", Value::text(&about.exe)),
            ("Username", Value::text(&about.username)),
            ("PID", Value::Int(i64::from(about.pid))),
            ("StartTime", Value::text(format!("{:.0}", about.started))),
            ("Cgroups", Value::list(cgroups)),
            ("Matches", Value::texts(MapKind::Texts, matches.iter().copied())),
        ],
    )
}

impl Made {
    /// Reads a template, and tries it, which shows fields that do not exist. The error is a sentence.
    fn new(text: &str) -> Result<Made, String> {
        let mut templates = Templates::new("", Functions::builtin());
        templates.parse("template", text).map_err(|error| format!("invalid template: {error}"))?;
        templates.execute("template", data(&About::default(), &[]), Form::Plain).map_err(|error| format!("invalid template: {error}"))?;
        Ok(Made { text: text.to_owned(), templates: Arc::new(templates) })
    }

    /// The text; nothing when the template fails over this process.
    fn make(&self, data: &Value) -> Option<String> {
        let mut made = self.templates.execute("template", data.clone(), Form::Plain).ok()?;
        made.truncate(made.floor_char_boundary(MADE_BYTES_MAX));
        Some(made)
    }
}
