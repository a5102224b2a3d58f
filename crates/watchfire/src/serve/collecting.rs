//! Starts what looks at this machine, its processes and containers, servers of language models, and ourselves.

use std::sync::Arc;

use watchfire_collect::containers::ContainerCollector;
use watchfire_collect::host::HostCollector;
use watchfire_collect::llm::LlmCollector;
use watchfire_collect::own::{self, OwnCollector};
use watchfire_collect::process::ProcessCollector;
use watchfire_collect::scrape::{Fetch, NetFetch};
use watchfire_ingest::gate::Gate;
use watchfire_model::meter::Meter;
use watchfire_model::time::SharedClock;
use watchfire_net::client::Caller;
use watchfire_net::tasks::Tasks;

use crate::settings::Settings;

/// What all of them need.
pub(super) struct Parts<'a> {
    pub(super) settings: &'a Settings,
    pub(super) instance: &'a str,
    pub(super) tasks: &'a Tasks,
    pub(super) gate: &'a Arc<Gate>,
    pub(super) meter: &'a Meter,
    pub(super) clock: &'a SharedClock,
}

/// Starts all that is configured.
pub(super) fn start(parts: &Parts<'_>, host: HostCollector, caller: impl Fn() -> Arc<Caller>) {
    let Parts { settings, instance, tasks, gate, meter, clock } = *parts;
    tasks.spawn("host_collector", host.run(gate.clone()));
    let own = own::Settings { instance: instance.to_owned(), interval: settings.host.interval };
    tasks.spawn("own_collector", OwnCollector::new(own, meter.clone(), clock.clone()).run(gate.clone()));
    let processes = &settings.collecting.processes;
    if !processes.rules.is_empty() {
        let collector = ProcessCollector::new(processes.clone(), &settings.host.root, instance, clock.clone(), meter);
        tasks.spawn("process_collector", collector.run(gate.clone()));
    }
    let containers = &settings.collecting.containers;
    if containers.socket.is_some() {
        let collector = ContainerCollector::new(containers.clone(), &settings.host.root, instance, clock.clone(), meter);
        tasks.spawn("container_collector", collector.run(gate.clone()));
    }
    if !settings.collecting.llm_servers.is_empty() {
        let fetch: Arc<dyn Fetch> = Arc::new(NetFetch::through(caller()));
        for server in &settings.collecting.llm_servers {
            let collector = LlmCollector::new(server.clone(), fetch.clone(), clock.clone(), meter);
            tasks.spawn("llm_collector", collector.run(gate.clone()));
        }
    }
}
