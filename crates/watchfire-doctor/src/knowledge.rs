//! What is known about series: the catalogs, the names that rules record, the scrape jobs, and on request what is stored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use watchfire_model::batch::MetricType;
use watchfire_model::document::nearest;
use watchfire_pack::catalog::{Catalogs, FamilySpec, Producer};

/// A scrape job of the configuration.
#[derive(Clone, Debug, Default)]
pub struct Job {
    /// Labels that its targets carry beside `job` and `instance`.
    pub labels: BTreeSet<String>,
    /// Whether they may carry others, because what is discovered decides.
    pub open: bool,
    /// All values of `instance` that its series have, where the file says so.
    pub instances: Option<BTreeSet<String>>,
}

/// Asks the running server.
pub trait Live: Send + Sync {
    /// Whether there were series of that name lately; `None` when it cannot be told.
    fn has_series(&self, name: &str) -> Option<bool>;
    /// Whether there were series of that job lately; `None` when it cannot be told.
    fn has_job(&self, job: &str) -> Option<bool>;
}

/// What a server has had lately, read once. Where it has had nothing, or cannot say, nothing is called dead.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The names of series.
    pub names: Option<BTreeSet<String>>,
    /// The values of `job`.
    pub jobs: Option<BTreeSet<String>>,
}
impl Live for Seen {
    fn has_series(&self, name: &str) -> Option<bool> {
        self.names.as_ref().filter(|names| !names.is_empty()).map(|names| names.contains(name))
    }
    fn has_job(&self, job: &str) -> Option<bool> {
        self.jobs.as_ref().filter(|jobs| !jobs.is_empty()).map(|jobs| jobs.contains(job))
    }
}

/// What findings rest on.
#[derive(Clone)]
pub struct Knowledge {
    catalogs: Arc<Catalogs>,
    jobs: Option<BTreeMap<String, Job>>,
    own_jobs: Vec<String>,
    recorded: BTreeSet<String>,
    live: Option<Arc<dyn Live>>,
}

/// Families that the scrape itself and the rules bring along.
const SYNTHETIC: [&str; 9] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
    "scrape_timeout_seconds",
    "scrape_sample_limit",
    "ALERTS",
    "ALERTS_FOR_STATE",
];

/// Labels that configurations usually give to targets. Without a configuration at hand, series may have them.
const USUAL_TARGET_LABELS: [&str; 40] = [
    "app",
    "application",
    "az",
    "cluster",
    "component",
    "container",
    "datacenter",
    "dc",
    "deployment",
    "domain",
    "env",
    "environment",
    "group",
    "host",
    "hostname",
    "location",
    "machine",
    "namespace",
    "node",
    "nodename",
    "owner",
    "pod",
    "product",
    "project",
    "prometheus",
    "region",
    "replica",
    "role",
    "server",
    "service",
    "shard",
    "site",
    "stack",
    "stage_name",
    "system",
    "target",
    "team",
    "tenant",
    "tier",
    "zone",
];

/// Beginnings of names that are declared whole, and those among them that are not.
const WHOLE: [(&str, &[&str]); 2] = [("hsi_", &["hsi_shadow_", "hsi_ab_", "hsi_gpu_"]), ("prometheus_tsdb_storage_", &[])];

impl Knowledge {
    /// What the catalogs say.
    pub fn new(catalogs: Arc<Catalogs>) -> Knowledge {
        Knowledge { catalogs, jobs: None, own_jobs: Vec::new(), recorded: BTreeSet::new(), live: None }
    }
    /// Also that there are these scrape jobs and no others.
    pub fn with_jobs(mut self, jobs: BTreeMap<String, Job>) -> Knowledge {
        self.jobs = Some(jobs);
        self
    }
    /// Also that rules record these names.
    pub fn with_recorded(mut self, names: impl IntoIterator<Item = String>) -> Knowledge {
        self.recorded.extend(names);
        self
    }
    /// Also what a running server has.
    pub fn with_live(mut self, live: Arc<dyn Live>) -> Knowledge {
        self.live = Some(live);
        self
    }
    pub(crate) fn live(&self) -> Option<&dyn Live> {
        self.live.as_deref()
    }

    /// Also that the server makes series of these jobs by itself.
    pub(crate) fn with_own_jobs(mut self, jobs: Vec<String>) -> Knowledge {
        self.own_jobs = jobs;
        self
    }
    /// Jobs of series that nobody scrapes.
    pub(crate) fn own_jobs(&self) -> &[String] {
        &self.own_jobs
    }
    /// The scrape jobs, where they are known.
    pub(crate) fn jobs(&self) -> Option<&BTreeMap<String, Job>> {
        self.jobs.as_ref()
    }
    /// Whether a rule or the scrape makes it.
    pub(crate) fn is_made_here(&self, name: &str) -> bool {
        SYNTHETIC.contains(&name) || self.recorded.contains(name)
    }

    /// The declarations of a series' name that may be meant: those of the job when one is named and declared.
    pub(crate) fn declarations(&self, name: &str, job: Option<&str>) -> Vec<&FamilySpec> {
        let all: Vec<&FamilySpec> = match self.catalogs.declarations(name).collect::<Vec<_>>() {
            none if none.is_empty() => self.behind_suffix(name),
            some => some,
        };
        let of_job: Vec<&FamilySpec> = all.iter().copied().filter(|f| job.is_some_and(|job| f.jobs().iter().any(|j| j == job))).collect();
        if !of_job.is_empty() {
            return of_job;
        }
        // Jobs that nothing scrapes say nothing about the series that there are.
        let scraped: Vec<&FamilySpec> =
            all.iter().copied().filter(|f| self.jobs.as_ref().is_some_and(|jobs| f.jobs().iter().any(|j| jobs.contains_key(j)))).collect();
        if scraped.is_empty() { all } else { scraped }
    }
    /// Histograms and summaries with a series of that name.
    fn behind_suffix(&self, name: &str) -> Vec<&FamilySpec> {
        let base = ["_bucket", "_sum", "_count"].into_iter().find_map(|suffix| name.strip_suffix(suffix));
        let kinds = [MetricType::Histogram, MetricType::Summary];
        base.map(|base| self.catalogs.declarations(base).filter(|f| kinds.contains(&f.kind)).collect()).unwrap_or_default()
    }

    /// Whether the catalogs would know the name if there were such a metric: all names that begin so are declared.
    pub(crate) fn would_know(&self, name: &str) -> bool {
        WHOLE.iter().any(|(prefix, but)| name.starts_with(prefix) && !but.iter().any(|open| name.starts_with(open)))
    }
    /// Labels that the targets behind families carry beside their own; `None` when there may be any.
    pub(crate) fn target_labels(&self, declared: &[FamilySpec], job: Option<&str>) -> Option<BTreeSet<String>> {
        let mut names = BTreeSet::from(["job".to_owned(), "instance".to_owned()]);
        let Some(jobs) = &self.jobs else {
            names.extend(USUAL_TARGET_LABELS.iter().map(|name| (*name).to_owned()));
            return Some(names);
        };
        let mut add = |job: &Job| {
            names.extend(job.labels.iter().cloned());
            !job.open
        };
        if let Some(job) = job.and_then(|job| jobs.get(job)) {
            return add(job).then_some(names);
        }
        for family in declared {
            let own: Vec<&Job> = match family.jobs() {
                [] => jobs.values().collect(),
                named => named.iter().filter_map(|j| jobs.get(j)).collect(),
            };
            // A job under another name may add labels that nobody knows of.
            if own.is_empty() || !own.into_iter().all(&mut add) {
                return None;
            }
        }
        Some(names)
    }
    /// The values of `instance` that series of jobs have, where all are known.
    pub(crate) fn instances(&self, jobs: &BTreeSet<String>) -> Option<BTreeSet<String>> {
        let known = self.jobs.as_ref()?;
        let each = jobs.iter().filter_map(|job| known.get(job)).map(|job| job.instances.as_ref());
        let all = each.collect::<Option<Vec<_>>>()?;
        (!all.is_empty()).then(|| all.into_iter().flatten().cloned().collect())
    }
    /// The name of a watched product's or the host's metric that was meant, if this one is it but for one letter. Names that several products have
    /// are no product's own, and with scrape jobs at hand only what is scraped counts.
    pub(crate) fn misspelt(&self, name: &str) -> Option<&str> {
        let scraped = |family: &&FamilySpec| self.jobs.as_ref().is_none_or(|jobs| family.jobs().iter().any(|job| jobs.contains_key(job)));
        let near = |family: &&FamilySpec| matches!(family.produced_by, Producer::Application | Producer::Host) && one_letter_apart(name, &family.name);
        let family = self.catalogs.iter().filter(near).find(scraped)?;
        (self.catalogs.declarations(&family.name).count() == 1).then_some(&*family.name)
    }
    /// The declared name that is written most alike.
    pub(crate) fn nearest(&self, name: &str) -> Option<&str> {
        let declared = self.catalogs.iter().filter(|f| f.produced_by != Producer::Watchfire).map(|f| &*f.name);
        nearest(name, declared.chain(self.recorded.iter().map(String::as_str)))
    }
}

/// Names shorter than this are too often near each other by chance.
const TYPO_LENGTH_MIN: usize = 10;

/// Whether a letter was left out, added, replaced, or two were exchanged. Digits tell things apart and are no typing errors.
fn one_letter_apart(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a == b || a.len().min(b.len()) < TYPO_LENGTH_MIN || a.len().abs_diff(b.len()) > 1 {
        return false;
    }
    let before = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let behind = a.iter().rev().zip(b.iter().rev()).take_while(|(x, y)| x == y).count();
    let rest = |name: &[char]| name.get(before..name.len().saturating_sub(behind).max(before)).unwrap_or(&[]).to_vec();
    let (x, y) = (rest(&a), rest(&b));
    let letters = x.iter().chain(&y).all(|c| c.is_ascii_alphabetic() || *c == '_');
    letters && ((x.len() <= 1 && y.len() <= 1) || (x.len() == 2 && y.len() == 2 && x[0] == y[1] && x[1] == y[0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_are_one_letter_apart() {
        let right = "camera_connection_status";
        for wrong in ["camera_conection_status", "camera_connnection_status", "camera_connektion_status", "camera_connectoin_status", "camera_connection_statu"]
        {
            assert!(one_letter_apart(wrong, right) && one_letter_apart(right, wrong), "{wrong}");
        }
        for other in [right, "camera_connection", "camera_connection_state", "kamera_conection_status"] {
            assert!(!one_letter_apart(other, right), "{other}");
        }
        assert!(!one_letter_apart("processor_load_5", "processor_load_1") && !one_letter_apart("heat", "hea"));
    }
}
