//! Where Alertmanagers outside are: discovery as for scraping, relabelled, and made into addresses for the sender.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use watchfire_alert::sender::{Relabel, Sender, Target};
use watchfire_collect::discovery::{self, ADDRESS, Discovery, TargetGroup, UPDATES_MAX, Update};
use watchfire_collect::scrape::config::Alertmanager;
use watchfire_collect::scrape::{Aliases, NetFetch};
use watchfire_ingest::relabel::{self, RelabelConfig, Verdict};
use watchfire_model::labels::{Labels, LabelsBuilder};
use watchfire_model::meter::Meter;
use watchfire_net::blocking::spawn_blocking;
use watchfire_net::client::Caller;
use watchfire_net::tasks::Tasks;

/// The label that holds the path of the interface.
const PATH: &str = "__alerts_path__";
/// The label that holds the scheme.
const SCHEME: &str = "__scheme__";
/// How long the former addresses are kept while slow discovery looks for the first time.
const FIRST_LOOK: Duration = Duration::from_secs(15);

/// Keeps the sender's list of Alertmanagers.
pub(super) struct Discoverer {
    sender: Sender,
    surroundings: discovery::Surroundings,
    aliases: Aliases,
    tasks: Tasks,
    runtime: Handle,
    /// Dropped to stop the search of a former configuration.
    current: Mutex<watch::Sender<()>>,
}

impl Discoverer {
    pub(super) fn new(sender: Sender, caller: Arc<Caller>, aliases: Aliases, tasks: Tasks, meter: Meter, runtime: Handle) -> Discoverer {
        let surroundings = discovery::Surroundings { meter, fetch: Arc::new(NetFetch::through(caller)) };
        Discoverer { sender, surroundings, aliases, tasks, runtime, current: Mutex::new(watch::Sender::new(())) }
    }

    /// Looks for these from now on.
    pub(super) fn apply(&self, alertmanagers: &[Alertmanager]) {
        let next = watch::Sender::new(());
        let mut former = next.subscribe();
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = next;
        let mechanisms = alertmanagers.iter().enumerate().flat_map(|(of, am)| am.discovery.iter().map(move |d| (of, d.clone()))).collect();
        let search = Search {
            sender: self.sender.clone(),
            surroundings: self.surroundings.clone(),
            aliases: self.aliases.clone(),
            alertmanagers: alertmanagers.to_vec(),
            mechanisms,
            known: BTreeMap::new(),
        };
        let _within = self.runtime.enter();
        self.tasks.spawn("alertmanager_discovery", async move {
            tokio::select! {
                () = search.run() => {}
                // Another configuration has taken over.
                _ = former.changed() => {}
            }
        });
    }
}

/// The search of one configuration.
struct Search {
    sender: Sender,
    surroundings: discovery::Surroundings,
    aliases: Aliases,
    alertmanagers: Vec<Alertmanager>,
    /// Every mechanism with the Alertmanager configuration that it belongs to.
    mechanisms: Vec<(usize, Arc<dyn Discovery>)>,
    known: BTreeMap<usize, Vec<TargetGroup>>,
}

impl Search {
    async fn run(mut self) {
        let (mechanisms, meter) = (self.mechanisms.clone(), self.surroundings.meter.clone());
        let initial = spawn_blocking(move || mechanisms.iter().map(|(_, d)| d.initial(&meter)).collect::<Vec<_>>()).await.unwrap_or_default();
        self.known = initial.into_iter().enumerate().filter_map(|(from, groups)| Some((from, groups?))).collect();
        let (updates, mut changes) = mpsc::channel::<Update>(UPDATES_MAX);
        let running = self.mechanisms.iter().enumerate().filter_map(|(from, (_, d))| d.clone().run(from, self.surroundings.clone(), updates.clone()));
        let running = futures_util::future::join_all(running.collect::<Vec<_>>());
        drop(updates);
        let listen = async {
            let mut patience = Box::pin(tokio::time::sleep(FIRST_LOOK));
            let mut patient = true;
            loop {
                if !patient || self.known.len() == self.mechanisms.len() {
                    patient = false;
                    self.tell();
                }
                tokio::select! {
                    Some(update) = changes.recv() => drop(self.known.insert(update.from, update.groups)),
                    () = &mut patience, if patient => patient = false,
                    else => return,
                }
            }
        };
        tokio::join!(running, listen);
    }

    fn tell(&self) {
        let mut targets = Vec::new();
        for (from, (of, _)) in self.mechanisms.iter().enumerate() {
            let groups = self.known.get(&from).map_or(&[][..], Vec::as_slice);
            targets.extend(self.alertmanagers.get(*of).map(|am| targets_of(am, groups, &self.aliases)).unwrap_or_default());
        }
        self.sender.set_targets(targets);
    }
}

/// The relabelling of alerts by rules.
pub(super) fn relabel_with(rules: &[RelabelConfig]) -> Relabel {
    let rules = rules.to_vec();
    Arc::new(move |labels: &Labels| {
        if rules.is_empty() {
            return Some(labels.clone());
        }
        let mut builder = LabelsBuilder::from(labels);
        match relabel::apply(&rules, &mut builder) {
            Verdict::Keep => Some(builder.build()),
            Verdict::Drop => None,
        }
    })
}

/// The Alertmanagers of some groups of targets.
fn targets_of(am: &Alertmanager, groups: &[TargetGroup], aliases: &Aliases) -> Vec<Target> {
    let each = groups.iter().flat_map(|g| g.targets.iter().map(move |own| (g, own)));
    let address = |(group, own): (&TargetGroup, &Vec<(String, String)>)| {
        let mut labels = LabelsBuilder::new();
        labels.set(SCHEME, am.scheme).set(PATH, &path(&am.path_prefix));
        for (name, value) in group.labels.iter().chain(own) {
            labels.set(name, value);
        }
        if relabel::apply(&am.relabel, &mut labels) == Verdict::Drop {
            return None;
        }
        let address = labels.get(ADDRESS);
        // An address with a password in it would be shown; such belong into basic_auth.
        if address.is_empty() || address.contains(['/', '@']) {
            tracing::warn!("this is no address of an Alertmanager; it is not told");
            return None;
        }
        let (host, port) = address.rsplit_once(':').unwrap_or((address, "9093"));
        Some(Target {
            url: format!("{}://{address}{}", labels.get(SCHEME), labels.get(PATH)),
            options: am.http.clone(),
            timeout: Duration::from_millis(am.timeout_ms),
            relabel: relabel_with(&am.alert_relabel),
            replaced: port.parse().ok().and_then(|port| aliases(host, port)).is_some(),
        })
    };
    each.filter_map(address).collect()
}

/// The path of the interface behind a prefix.
fn path(prefix: &str) -> String {
    let prefix = prefix.trim_matches('/');
    if prefix.is_empty() { "/api/v2/alerts".to_owned() } else { format!("/{prefix}/api/v2/alerts") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchfire_collect::scrape::no_aliases;

    fn urls(config: &str) -> Vec<String> {
        let outside = watchfire_collect::scrape::config::Outside { environment: &|_| None, lookup: Default::default() };
        let parsed = watchfire_collect::scrape::config::parse("p.yml", config, &outside);
        let config = parsed.config.unwrap_or_else(|| panic!("{:?}", parsed.findings));
        let am = &config.alerting.alertmanagers[0];
        let groups: Vec<_> = am.discovery.iter().flat_map(|d| d.initial(&Meter::new()).unwrap()).collect();
        targets_of(am, &groups, &no_aliases()).into_iter().map(|t| t.url).collect()
    }

    #[test]
    fn addresses_are_made_as_prometheus_makes_them() {
        let check = |am: &str, expected: &[&str]| assert_eq!(urls(&format!("alerting:\n  alertmanagers:\n  - {am}\n")), expected, "{am}");
        check("static_configs: [{targets: ['a:9093', 'b:1']}]", &["http://a:9093/api/v2/alerts", "http://b:1/api/v2/alerts"]);
        check("{scheme: https, path_prefix: /am/, static_configs: [{targets: ['a:9093']}]}", &["https://a:9093/am/api/v2/alerts"]);
        let relabelled = "{static_configs: [{targets: ['a:9093', 'b:1'], labels: {x: y}}], relabel_configs: [{source_labels: [__address__], regex: 'a.*', action: drop}, \
                          {source_labels: [x], regex: y, target_label: __alerts_path__, replacement: /other}]}";
        check(relabelled, &["http://b:1/other"]);
    }
}
