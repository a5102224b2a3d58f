//! What `prometheus.yml` says of series before there are any: the jobs, the labels of their targets; and what in it cannot work.

use std::collections::{BTreeMap, BTreeSet};

use watchfire_model::document::Node;
use watchfire_pack::catalog::Catalogs;

use crate::document::{Document, Kind, host_of_url, items, some_of, text};
use crate::knowledge::Job;
use crate::report::{Code, Diagnosis};

/// The scrape configurations of a document.
pub(crate) fn scrape_configs(document: &Document) -> &[Node] {
    if document.kind() != Kind::Prometheus {
        return &[];
    }
    document.node.items().unwrap_or_else(|| items(&document.node, "scrape_configs"))
}

/// All jobs; `None` when there may be others, or when series may carry names of other jobs.
pub(crate) fn jobs(documents: &[Document], catalogs: &Catalogs) -> Option<BTreeMap<String, Job>> {
    let mut jobs = BTreeMap::new();
    for document in documents.iter().filter(|d| d.kind() == Kind::Prometheus) {
        if document.node.get("scrape_config_files").is_some() {
            return None;
        }
        for config in scrape_configs(document) {
            let name = text(config, "job_name")?;
            let own_job = |n: &Node| text(n, "target_label") == Some("job");
            if [items(config, "relabel_configs"), items(config, "metric_relabel_configs")].concat().iter().any(own_job) {
                return None;
            }
            // What honours labels may bring any job along, unless it is a program that is known to have none.
            let honours = config.get("honor_labels").and_then(Node::as_bool) == Some(true);
            if honours && !catalogs.iter().any(|f| f.jobs().iter().any(|j| j == name)) {
                return None;
            }
            jobs.insert(name.to_owned(), job(config));
        }
    }
    (!jobs.is_empty()).then_some(jobs)
}

/// Jobs of series that the server makes by itself: of the machine, its GPU and what programs report, and those that its own file names.
pub(crate) fn own_jobs(documents: &[Document]) -> Vec<String> {
    let mut jobs = ["node", "gpu", "app", "llm_servers", "ffmpeg"].map(str::to_owned).to_vec();
    for node in documents.iter().map(|document| &document.node) {
        for probe in items(node, "probes") {
            let of_module = || text(probe, "module").map(|module| format!("probe-{module}"));
            jobs.extend(text(probe, "name").map(str::to_owned).or_else(of_module));
        }
        for (section, usual) in [("containers", "cadvisor"), ("processes", "processes")] {
            jobs.extend(node.get(section).map(|section| text(section, "job").unwrap_or(usual).to_owned()));
        }
    }
    jobs
}

/// Service discovery that can add labels of its own choice.
const DISCOVERIES_WITH_LABELS: [&str; 2] = ["file_sd_configs", "http_sd_configs"];

fn job(config: &Node) -> Job {
    let entries = config.entries().unwrap_or(&[]);
    let mut job = Job { open: entries.iter().any(|(key, _)| DISCOVERIES_WITH_LABELS.contains(&&*key.text)), ..Job::default() };
    for group in items(config, "static_configs") {
        let names = group.get("labels").and_then(Node::entries).unwrap_or(&[]).iter();
        job.labels.extend(names.map(|(key, _)| key.text.to_string()).filter(|n| !n.starts_with("__")));
    }
    for rule in items(config, "relabel_configs").iter().chain(items(config, "metric_relabel_configs")) {
        match text(rule, "action").unwrap_or("replace").to_ascii_lowercase().as_str() {
            "labelmap" => job.open = true,
            "labeldrop" | "labelkeep" | "keep" | "drop" | "keepequal" | "dropequal" => {}
            _ => match text(rule, "target_label") {
                Some(label) if label.contains('$') || label == "__name__" => job.open = true,
                Some(label) if !label.starts_with("__") => drop(job.labels.insert(label.to_owned())),
                _ => {}
            },
        }
    }
    job.instances = instances(config);
    job
}

/// The values of `instance`, where the targets stand in the file and nothing changes them on the way.
fn instances(config: &Node) -> Option<BTreeSet<String>> {
    let discovers = config.entries()?.iter().any(|(key, _)| key.text.ends_with("_sd_configs"));
    if discovers || config.get("honor_labels").and_then(Node::as_bool) == Some(true) {
        return None;
    }
    let sets_instance = |rule: &&Node| text(rule, "target_label") == Some("instance");
    for rule in items(config, "relabel_configs").iter().filter(sets_instance) {
        // A plain copy of the address is what it would be anyway.
        let from: Vec<_> = items(rule, "source_labels").iter().filter_map(Node::text).collect();
        let plain = from == ["__address__"] && rule.entries()?.iter().all(|(k, _)| matches!(&*k.text, "source_labels" | "target_label" | "action"));
        if !plain {
            return None;
        }
    }
    if items(config, "metric_relabel_configs").iter().any(|r| sets_instance(&r)) {
        return None;
    }
    if items(config, "static_configs").iter().any(|g| g.get("labels").is_some_and(|l| l.get("instance").is_some())) {
        return None;
    }
    Some(targets(config).filter_map(Node::text).map(str::to_owned).collect())
}

/// The targets that stand in the file.
pub(crate) fn targets(config: &Node) -> impl Iterator<Item = &Node> {
    items(config, "static_configs").iter().flat_map(|group| items(group, "targets"))
}

/// The rule files that a configuration asks for.
fn asks_for_rules(document: &Document) -> bool {
    document.kind() == Kind::Prometheus && !items(&document.node, "rule_files").is_empty()
}

/// What in a `prometheus.yml` cannot work. `rules` are the rule files of the same site.
pub(crate) fn check(document: &Document, rules: &[&str], found: &mut Vec<Diagnosis>) {
    for config in scrape_configs(document) {
        urls_as_targets(document, config, found);
    }
    let whole = document.node.get("scrape_configs").is_some();
    if whole && !rules.is_empty() && !asks_for_rules(document) {
        let message = format!("there is no rule_files, so Prometheus never evaluates {}", some_of(rules.iter().copied()));
        let base = rules.first().and_then(|r| r.rsplit('/').next()).unwrap_or_default();
        let at = document.node.entries().and_then(|e| e.first()).map_or((1, 1), |(key, _)| (key.line, key.column));
        let place = Node { line: at.0, column: at.1, ..document.node.clone() };
        found.push(document.say(&place, Code::RulesNotLoaded, "rule_files", message, Some(format!("add rule_files: [{base}]"))));
    }
}

/// A probe's target is a URL; without relabelling, the URL is taken for the address of the exporter.
fn urls_as_targets(document: &Document, config: &Node, found: &mut Vec<Diagnosis>) {
    let moved = |label: &str| items(config, "relabel_configs").iter().any(|r| text(r, "target_label") == Some(label));
    if moved("__address__") || moved("__param_target") {
        return;
    }
    let name = text(config, "job_name").unwrap_or("a job");
    for target in targets(config).filter(|t| t.text().is_some_and(|t| t.contains("://"))) {
        // The place says which it is; a user, a path or a query may be a secret.
        let host = target.text().and_then(host_of_url).map_or_else(String::new, |host| format!(" of {host}"));
        let message = format!("the target is a URL{host}, which is taken for the host to scrape, and Prometheus refuses it");
        let suggestion = "move it with relabel_configs: __address__ to __param_target, __param_target to instance, and the exporter's address to __address__";
        found.push(document.say(target, Code::TargetIsUrl, name, message, Some(suggestion.to_owned())));
    }
}
