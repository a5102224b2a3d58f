//! Where scrape targets come from. A mechanism is one folder (`static_config`, `file`, `http`, `dns`, `docker`) plus one line in
//! `MECHANISMS`. It finds addresses and labels; it relabels nothing and fetches no metrics.

pub mod dns;
pub mod docker;
pub mod file;
pub mod glob;
pub mod http;
pub mod static_config;

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::mpsc;
use watchfire_model::document::{Context, Node, Reader};
use watchfire_model::meter::{Counter, Meter};
use watchfire_model::order::Order as _;

use glob::Lookup;

/// The label that holds a target's address.
pub const ADDRESS: &str = "__address__";

/// Updates that wait for a slow reader; a mechanism that is ahead of it waits too.
pub const UPDATES_MAX: usize = 16;

/// Targets that share labels and a source; a later group with the same source replaces an earlier one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetGroup {
    /// What the group came from, unique within its mechanism: an index, a file and an index, a URL and an index.
    pub source: String,
    /// The labels of each target, `__address__` among them.
    pub targets: Vec<Vec<(String, String)>>,
    /// The labels of all targets; a target's own label wins.
    pub labels: Vec<(String, String)>,
}

/// All groups that one configured mechanism knows at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// Which of the job's mechanisms speaks (its index in the job's list).
    pub from: usize,
    /// Its groups, all of them.
    pub groups: Vec<TargetGroup>,
}

/// What a running mechanism may use.
#[derive(Clone)]
pub struct Surroundings {
    /// Counts what goes wrong.
    pub meter: Meter,
    /// Makes requests.
    pub fetch: Arc<dyn crate::scrape::fetch::Fetch>,
}

/// Counts what a mechanism finds and there is no room for.
fn left_out(meter: &Meter, mechanism: &str) -> Counter {
    let help = "Targets that discovery found and left out because there were too many, counted at each look.";
    meter.counter("watchfire_discovery_targets_left_out_total", help, &[("mechanism", mechanism)])
}

/// A future that runs until it is dropped.
pub type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One configured way of finding targets.
pub trait Discovery: Send + Sync {
    /// Everything that is known without waiting for anything; `None` when nothing is known before `run` has looked.
    /// May read files. It is asked again whenever the job begins anew.
    fn initial(&self, meter: &Meter) -> Option<Vec<TargetGroup>>;
    /// Keeps looking and sends every change; `None` when nothing can ever change.
    fn run(self: Arc<Self>, from: usize, surroundings: Surroundings, updates: mpsc::Sender<Update>) -> Option<Running>;
}

/// What a mechanism needs to read its part of a job.
pub struct Place<'a> {
    /// Where findings go.
    pub context: &'a Context,
    /// Where paths are looked up.
    pub lookup: &'a Lookup,
    /// The path of the list in the file, for messages: `scrape_configs[0].file_sd_configs`.
    pub path: String,
}
impl Place<'_> {
    /// Reads the items of a `…_sd_configs` list, each a mapping; a mechanism that cannot work is left out.
    fn each<D: Discovery + 'static>(&self, node: &Node, read_one: impl Fn(&Reader<'_>) -> Option<D>) -> Vec<Arc<dyn Discovery>> {
        let items = node.items().unwrap_or_else(|| {
            self.context.error(node.line, node.column, format!("{} must be a list, not {}", self.path, node.value.shape()));
            &[]
        });
        let mut found: Vec<Arc<dyn Discovery>> = Vec::new();
        for (i, item) in items.iter().enumerate() {
            let reader = Reader::new(self.context, item, &format!("{}[{i}]", self.path));
            if let Some(one) = read_one(&reader) {
                found.push(Arc::new(one));
            }
            reader.finish();
        }
        found
    }
}

/// How one kind of discovery is named and read.
pub struct Mechanism {
    /// The key in a scrape configuration.
    pub key: &'static str,
    /// Reads the value of the key (a list).
    pub read: fn(&Place<'_>, &Node) -> Vec<Arc<dyn Discovery>>,
}

/// Every mechanism that works here.
pub const MECHANISMS: [&Mechanism; 5] = [&static_config::MECHANISM, &file::MECHANISM, &http::MECHANISM, &dns::MECHANISM, &docker::MECHANISM];

/// Mechanisms of Prometheus that are known by name and not supported here.
pub const UNSUPPORTED: [&str; 34] = [
    "alibabacloud_sd_configs",
    "aws_sd_configs",
    "azure_sd_configs",
    "consul_sd_configs",
    "digitalocean_sd_configs",
    "dockerswarm_sd_configs",
    "ec2_sd_configs",
    "ecs_sd_configs",
    "elasticache_sd_configs",
    "eureka_sd_configs",
    "gce_sd_configs",
    "hetzner_sd_configs",
    "ionos_sd_configs",
    "kubernetes_sd_configs",
    "kuma_sd_configs",
    "lightsail_sd_configs",
    "linode_sd_configs",
    "marathon_sd_configs",
    "msk_sd_configs",
    "nerve_sd_configs",
    "nomad_sd_configs",
    "openstack_sd_configs",
    "outscale_sd_configs",
    "ovhcloud_sd_configs",
    "puppetdb_sd_configs",
    "rds_sd_configs",
    "scaleway_sd_configs",
    "serverset_sd_configs",
    "stackit_sd_configs",
    "triton_sd_configs",
    "uyuni_sd_configs",
    "vultr_sd_configs",
    "xds_sd_configs",
    "zookeeper_sd_configs",
];

/// What all mechanisms of one job know together.
#[derive(Default)]
pub struct Known {
    by_mechanism: HashMap<usize, Vec<TargetGroup>>,
}
impl Known {
    /// Takes an update over; tells whether it was the mechanism's first.
    pub fn take(&mut self, update: Update) -> bool {
        self.by_mechanism.insert(update.from, update.groups).is_none()
    }
    /// All groups, in the order of the configuration.
    pub fn groups(&self) -> Vec<&TargetGroup> {
        let mut order: Vec<&usize> = self.by_mechanism.keys().collect();
        order.order();
        order.iter().flat_map(|from| self.by_mechanism[from].iter()).collect()
    }
}
