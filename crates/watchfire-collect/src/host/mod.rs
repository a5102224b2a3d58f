//! The host collector: what node_exporter says about the machine, under the same names, labels and types, and the names that
//! the video management pack uses for disks and interfaces. One small collector per file and one line in `REGISTRY` each.
//! It is not an HTTP face: that renders `HostCollector::families`.

mod arp;
mod conntrack;
mod cpu;
mod cpufreq;
mod diskstats;
mod dmi;
mod edac;
mod entropy;
mod face;
mod filefd;
pub(crate) mod files;
mod filesystem;
mod hwmon;
mod loadavg;
mod mdadm;
mod meminfo;
mod netclass;
mod netdev;
mod netstat;
mod nvme;
mod os;
mod pressure;
mod processes;
mod schedstat;
mod selinux;
mod sockstat;
mod softnet;
mod stat;
mod surveillance;
#[cfg(test)]
mod tests;
mod textfile;
mod thermal_zone;
mod time;
mod timex;
mod udp_queues;
mod uname;
mod vmstat;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use watchfire_model::batch::{Batch, Origin};
use watchfire_model::meter::{Family, Meter};
use watchfire_model::time::SharedClock;
use watchfire_model::write::Sink;

use crate::gather::{Cache, Gather};
use crate::rounds::Rounds;
use files::Files;
use filesystem::{Ask, SharedSizes, Sizes};

/// Why one collector gave nothing, or not everything.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A file could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The path below the root.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file does not look as expected.
    #[error("cannot make sense of {0}")]
    Shape(&'static str),
    /// A thread could not be started.
    #[error("cannot start the thread that asks mounts for their size")]
    Thread(#[source] std::io::Error),
    /// A defect of ours.
    #[error("cannot finish: the collector panicked")]
    Panicked,
    /// A pattern of the settings is no regular expression.
    #[error("cannot use the pattern {pattern}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Why.
        source: regex::Error,
    },
}
impl HostError {
    /// Whether the machine simply has no such thing, which is normal.
    fn is_absence(&self) -> bool {
        matches!(self, HostError::Read { source, .. }
            if matches!(source.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::Unsupported))
    }
}

/// What the host collector needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where `/proc`, `/sys` and `/etc` are; `/` but in tests.
    pub root: PathBuf,
    /// The label `instance`.
    pub instance: String,
    /// The label `job`.
    pub job: String,
    /// Pause between two polls.
    pub interval: Duration,
    /// Collectors that shall not run.
    pub disabled: Vec<String>,
    /// Collectors that are off by default and shall run.
    pub enabled: Vec<String>,
    /// Where other programs leave files with metrics, `*.prom`.
    pub textfile_directories: Vec<PathBuf>,
    /// How long one mount may take to tell its size.
    pub mount_timeout: Duration,
    /// File system types that are left out (regular expression).
    pub filesystem_types_exclude: String,
    /// Mount points that are left out (regular expression).
    pub mount_points_exclude: String,
    /// Disks that are left out (regular expression).
    pub disks_exclude: String,
}
impl Settings {
    /// The defaults for a host of this name; the exclusions are node_exporter's.
    pub fn new(instance: &str) -> Settings {
        Settings {
            root: PathBuf::from("/"),
            instance: instance.to_owned(),
            job: "node".to_owned(),
            interval: Duration::from_secs(15),
            disabled: Vec::new(),
            enabled: Vec::new(),
            textfile_directories: Vec::new(),
            mount_timeout: Duration::from_secs(5),
            filesystem_types_exclude: filesystem::TYPES_EXCLUDE.to_owned(),
            mount_points_exclude: filesystem::MOUNT_POINTS_EXCLUDE.to_owned(),
            disks_exclude: diskstats::DISKS_EXCLUDE.to_owned(),
        }
    }
}

/// One small collector: reads some files, puts some values.
pub(crate) trait Collector: Send {
    /// Puts the current values.
    fn collect(&mut self, files: &mut Files, out: &mut Gather<'_>) -> Result<(), HostError>;
}

/// What a collector may ask for when it is made.
pub(crate) struct Making<'a> {
    settings: &'a Settings,
    clock: &'a SharedClock,
    sizes: &'a SharedSizes,
}

type Make = fn(&Making<'_>) -> Result<Box<dyn Collector>, HostError>;

/// One line of the registry.
struct Entry {
    name: &'static str,
    default_on: bool,
    /// Whether its names are node_exporter's, and so stand in an exporter face.
    node: bool,
    make: Make,
}
const fn on(name: &'static str, make: Make) -> Entry {
    Entry { name, default_on: true, node: true, make }
}

/// Every collector there is.
const REGISTRY: &[Entry] = &[
    on("arp", |_| Ok(Box::new(arp::Arp))),
    on("conntrack", |_| Ok(Box::new(conntrack::Conntrack))),
    on("cpu", |_| Ok(Box::new(cpu::Cpu::default()))),
    on("cpufreq", |_| Ok(Box::new(cpufreq::CpuFreq))),
    on("diskstats", |m| Ok(Box::new(diskstats::DiskStats::new(m.settings)?))),
    on("dmi", |_| Ok(Box::new(dmi::Dmi))),
    on("edac", |_| Ok(Box::new(edac::Edac))),
    on("entropy", |_| Ok(Box::new(entropy::Entropy))),
    on("filefd", |_| Ok(Box::new(filefd::FileFd))),
    on("filesystem", |m| Ok(Box::new(filesystem::FileSystem { sizes: m.sizes.clone() }))),
    on("hwmon", |_| Ok(Box::new(hwmon::HwMon))),
    on("loadavg", |_| Ok(Box::new(loadavg::LoadAvg))),
    on("mdadm", |_| Ok(Box::new(mdadm::MdAdm))),
    on("meminfo", |_| Ok(Box::new(meminfo::MemInfo::default()))),
    on("netclass", |_| Ok(Box::new(netclass::NetClass))),
    on("netdev", |_| Ok(Box::new(netdev::NetDev))),
    on("netstat", |_| Ok(Box::new(netstat::NetStat))),
    on("nvme", |_| Ok(Box::new(nvme::Nvme))),
    on("os", |_| Ok(Box::new(os::Os))),
    on("pressure", |_| Ok(Box::new(pressure::Pressure))),
    on("schedstat", |_| Ok(Box::new(schedstat::SchedStat))),
    on("selinux", |_| Ok(Box::new(selinux::SeLinux))),
    on("sockstat", |_| Ok(Box::new(sockstat::SockStat))),
    on("softnet", |_| Ok(Box::new(softnet::SoftNet))),
    on("stat", |_| Ok(Box::new(stat::Stat))),
    on("thermal_zone", |_| Ok(Box::new(thermal_zone::ThermalZone))),
    on("time", |m| Ok(Box::new(time::Time::new(m.clock)))),
    on("timex", |m| Ok(Box::new(timex::Timex::new(&m.settings.root)))),
    on("udp_queues", |_| Ok(Box::new(udp_queues::UdpQueues))),
    on("uname", |_| Ok(Box::new(uname::Uname))),
    on("vmstat", |_| Ok(Box::new(vmstat::VmStat))),
    // After all others: their names are theirs.
    on("textfile", |m| Ok(Box::new(textfile::TextFile::new(&m.settings.textfile_directories)))),
    Entry { name: "processes", default_on: false, node: true, make: |_| Ok(Box::new(processes::Processes)) },
    Entry { name: "surveillance", default_on: true, node: false, make: |m| Ok(Box::new(surveillance::Surveillance::new(m.settings, m.sizes.clone())?)) },
];

struct Running {
    name: &'static str,
    node: bool,
    collector: Box<dyn Collector>,
    failing: bool,
}

struct Inner {
    files: Files,
    running: Vec<Running>,
    cache: Cache,
}

/// All collectors of this host. Cheap to clone; calls block for file reads and, once per stuck mount, for the mount timeout.
#[derive(Clone)]
pub struct HostCollector {
    settings: Arc<Settings>,
    clock: SharedClock,
    inner: Arc<Mutex<Inner>>,
    rounds: Rounds,
}

impl HostCollector {
    /// Makes the collectors that are on.
    pub fn new(settings: Settings, clock: SharedClock, meter: &Meter) -> Result<HostCollector, HostError> {
        HostCollector::asking(settings, clock, meter, Arc::new(filesystem::ask_kernel))
    }

    fn asking(settings: Settings, clock: SharedClock, meter: &Meter, ask: Ask) -> Result<HostCollector, HostError> {
        let sizes = Arc::new(Mutex::new(Sizes::new(&settings, ask)?));
        let making = Making { settings: &settings, clock: &clock, sizes: &sizes };
        let mut running = Vec::new();
        for entry in REGISTRY {
            let asked = settings.enabled.iter().any(|n| n == entry.name);
            let refused = settings.disabled.iter().any(|n| n == entry.name);
            if (entry.default_on || asked) && !refused {
                running.push(Running { name: entry.name, node: entry.node, collector: (entry.make)(&making)?, failing: false });
            }
        }
        let inner = Inner { files: Files::new(&settings.root), running, cache: Cache::default() };
        Ok(HostCollector { rounds: Rounds::new("host", meter), settings: Arc::new(settings), clock, inner: Arc::new(Mutex::new(inner)) })
    }

    /// The names of all collectors, and whether they run by default.
    pub fn known() -> impl Iterator<Item = (&'static str, bool)> {
        REGISTRY.iter().map(|e| (e.name, e.default_on))
    }

    /// One look at the host, ready to be stored. Blocks.
    pub fn poll(&self) -> Batch {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Inner { files, running, cache } = &mut *inner;
        let before = cache.left_out();
        let origin = Origin::new("host");
        let mut out = Gather::batch(cache, origin.clone(), &self.settings.job, &self.settings.instance, self.clock.now());
        collect_all(running.iter_mut(), files, &mut out, &self.clock);
        let batch = out.into_batch().unwrap_or_else(|| Batch::new(origin));
        self.rounds.left_out(inner.cache.left_out() - before);
        batch
    }

    /// Whether a collector of node_exporter's runs here; nothing for a name that is none.
    fn runs(&self, name: &str) -> Option<bool> {
        let known = REGISTRY.iter().any(|entry| entry.node && entry.name == name);
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        known.then(|| inner.running.iter().any(|running| running.name == name))
    }

    /// The names of node_exporter's collectors that run here.
    fn running(&self) -> Vec<String> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.running.iter().filter(|running| running.node).map(|running| running.name.to_owned()).collect()
    }

    /// What node_exporter would answer, for an exporter face. Blocks.
    pub fn families(&self) -> Vec<Family> {
        self.families_of(&[])
    }

    /// The same of some collectors; of all when none is named. Blocks.
    pub fn families_of(&self, wanted: &[String]) -> Vec<Family> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Inner { files, running, .. } = &mut *inner;
        let mut out = Gather::families();
        let chosen = running.iter_mut().filter(|r| r.node && (wanted.is_empty() || wanted.iter().any(|name| name == r.name)));
        collect_all(chosen, files, &mut out, &self.clock);
        out.into_families()
    }

    /// Polls for ever and writes to the sink; ends only when the future is dropped.
    pub async fn run(self, sink: Arc<dyn Sink>) {
        let mut ticks = Rounds::pace(self.settings.interval);
        loop {
            ticks.tick().await;
            let host = self.clone();
            self.rounds.deliver(&sink, Box::new(move || host.poll())).await;
        }
    }
}

fn collect_all<'a>(running: impl Iterator<Item = &'a mut Running>, files: &mut Files, out: &mut Gather<'_>, clock: &SharedClock) {
    files.poll += 1;
    for one in running {
        let began = clock.monotonic();
        let before = out.written();
        // A defect in one collector must not cost the figures of all the others.
        let collecting = AssertUnwindSafe(|| one.collector.collect(files, out));
        let outcome = catch_unwind(collecting).unwrap_or(Err(HostError::Panicked));
        let took = clock.monotonic().saturating_sub(began).as_secs_f64();
        let success = match &outcome {
            Ok(()) => out.written() > before,
            Err(error) => {
                report(one, error);
                false
            }
        };
        one.failing = outcome.as_ref().is_err_and(|e| !e.is_absence());
        if one.node {
            let labels = [("collector", one.name)];
            out.gauge("node_scrape_collector_duration_seconds", &"Time that one collector took.", &labels, took);
            out.gauge("node_scrape_collector_success", &"Whether one collector gave values.", &labels, f64::from(u8::from(success)));
        }
    }
}

/// Says once that a collector fails; what a machine does not have is no failure.
fn report(one: &Running, error: &HostError) {
    if error.is_absence() {
        tracing::debug!(target: "watchfire::host", collector = one.name, error = error as &dyn std::error::Error, "nothing to collect");
    } else if !one.failing {
        tracing::warn!(target: "watchfire::host", collector = one.name, error = error as &dyn std::error::Error, "collector fails");
    }
}
