//! Containers of this machine under cAdvisor's names: the engine's socket says which there are and what they are called, the kernel's files say
//! what they use. `cgroup` reads, `names` translates. The engine is only asked; off unless a socket is named.

mod cgroup;
mod names;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use watchfire_model::batch::{Batch, Origin};
use watchfire_model::document::Reader;
use watchfire_model::logs::Nanos;
use watchfire_model::meter::{Counter, Gauge, Meter};
use watchfire_model::text::cut;
use watchfire_model::time::SharedClock;
use watchfire_model::write::Sink;
use watchfire_net::blocking::spawn_blocking;
use watchfire_net::unix::UnixError;

use self::cgroup::Place;
use self::names::{NETWORK, Seen};
use crate::engine::{ask, container, list_path, socket_problem};
use crate::gather::{Cache, Gather};
use crate::host::files::{Files, number};
use crate::rounds::Rounds;

/// Containers whose figures are stored.
pub const CONTAINERS_MAX: usize = 200;
/// Labels of a container's own that its series carry.
const LABELS_MAX: usize = 24;
/// The longest value of one of them; what is beyond is cut off.
const VALUE_BYTES_MAX: usize = 512;
/// How often the engine is asked about each container: for its restarts, and whether its process is another.
const INSPECT_EVERY: Duration = Duration::from_secs(60);
/// Interfaces of one container.
const INTERFACES_MAX: usize = 32;
const INTERVAL_MS: u64 = 15_000;
const SHORTEST_MS: u64 = 1_000;

/// What is looked at.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The engine's socket; without one nothing is looked at.
    pub socket: Option<PathBuf>,
    /// Pause between two polls.
    pub interval: Duration,
    /// The label `job`.
    pub job: String,
    /// What the engine is asked to leave out: name → values.
    pub filters: Vec<(String, Vec<String>)>,
    /// The containers' own labels that become labels of series; all of them when nobody says.
    pub labels: Option<Vec<String>>,
}

impl Settings {
    /// Reads the section.
    pub fn read(section: Reader<'_>) -> Settings {
        let interval = section.duration_ms("interval").unwrap_or(INTERVAL_MS);
        if interval < SHORTEST_MS {
            section.error_at("interval", "must be at least 1s");
        }
        let socket = section.text("socket").filter(|text| !text.is_empty());
        let socket = socket.map(|text| PathBuf::from(text.strip_prefix("unix://").unwrap_or(&text)));
        if let Some(path) = &socket {
            match socket_problem(path) {
                _ if !path.is_absolute() => section.error_at("socket", "must be an absolute path or unix:// with one"),
                Some(problem) => section.warning_at("socket", problem),
                None => {}
            }
        }
        let filters = section.maps("filters").into_iter().map(|filter| {
            let read = (filter.required_text("name"), filter.texts("values", true));
            filter.finish();
            read
        });
        let settings = Settings {
            socket,
            interval: Duration::from_millis(interval.max(SHORTEST_MS)),
            job: section.text("job").unwrap_or_else(|| "cadvisor".to_owned()),
            filters: filters.collect(),
            labels: section.raw("labels").is_some().then(|| section.texts("labels", true)),
        };
        section.finish();
        settings
    }
}

/// What the engine said about a container.
#[derive(Clone, Debug, Default)]
struct About {
    pid: Option<u32>,
    started: Option<f64>,
    restarts: Option<f64>,
}

struct Known {
    about: About,
    asked: Duration,
    labels: Vec<(String, String)>,
    place: Option<Place>,
}

#[derive(Default)]
struct Inner {
    known: HashMap<String, Known>,
    cache: Cache,
}

/// Looks at containers. Cheap to clone.
#[derive(Clone)]
pub struct ContainerCollector {
    settings: Arc<Settings>,
    root: PathBuf,
    instance: Arc<str>,
    clock: SharedClock,
    inner: Arc<Mutex<Inner>>,
    figures: Figures,
}

#[derive(Clone)]
struct Figures {
    up: Gauge,
    failed: Counter,
    left_out: Counter,
    hidden: Counter,
    rounds: Rounds,
}

impl ContainerCollector {
    /// A collector that reads below a root, which is `/` outside tests.
    pub fn new(settings: Settings, root: &Path, instance: &str, clock: SharedClock, meter: &Meter) -> ContainerCollector {
        let figures = Figures {
            up: meter.gauge("watchfire_containers_engine_up", "Whether the container engine answered when it was last asked: 1 yes, 0 no.", &[]),
            failed: meter.counter("watchfire_containers_questions_failed_total", "Questions that the container engine did not answer.", &[]),
            left_out: meter.counter("watchfire_containers_left_out_total", "Containers that were not looked at because there were too many.", &[]),
            hidden: meter.counter("watchfire_containers_without_cgroup_total", "Looks at a container whose control group was not found.", &[]),
            rounds: Rounds::new("containers", meter),
        };
        ContainerCollector { settings: Arc::new(settings), root: root.to_owned(), instance: instance.into(), clock, inner: Arc::default(), figures }
    }

    /// One look at all containers, ready to be stored.
    pub async fn poll(&self) -> Result<Batch, UnixError> {
        let listed = self.list().await;
        self.figures.up.set(f64::from(u8::from(listed.is_ok())));
        if listed.is_err() {
            self.figures.failed.inc();
        }
        let listed = listed?;
        let now = self.clock.monotonic();
        for (id, item) in &listed {
            let fresh = self.locked(|inner| inner.known.get(id).is_some_and(|known| now.saturating_sub(known.asked) < INSPECT_EVERY && self.alive(known, id)));
            if fresh {
                continue;
            }
            let about = match self.inspect(id).await {
                Ok(about) => about,
                Err(_) => {
                    self.figures.failed.inc();
                    continue;
                }
            };
            let known = Known { place: None, labels: self.labels(item), asked: now, about };
            self.locked(|inner| inner.known.insert(id.clone(), known));
        }
        let collector = self.clone();
        let ids: Vec<String> = listed.into_iter().map(|(id, _)| id).collect();
        spawn_blocking(move || collector.gather(&ids)).await.map_err(|error| UnixError::Exchange(error.to_string()))
    }

    fn locked<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the container's process is the one that we know. One that we cannot see is taken for it.
    fn alive(&self, known: &Known, id: &str) -> bool {
        let Some(pid) = known.about.pid else { return true };
        match Files::new(&self.root).text(&format!("/proc/{pid}/cgroup")) {
            Ok(text) => text.contains(id),
            Err(_) => known.place.as_ref().is_some_and(|place| place.exists(&Files::new(&self.root))),
        }
    }

    async fn list(&self) -> Result<Vec<(String, Value)>, UnixError> {
        let Some(socket) = &self.settings.socket else { return Ok(Vec::new()) };
        let answer = ask(socket, &list_path(&self.settings.filters)).await?;
        let Some(Value::Array(items)) = answer else { return Err(UnixError::Exchange("the engine's answer is no list".to_owned())) };
        let mut listed: Vec<(String, Value)> = items.into_iter().filter_map(|item| Some((container::id(&item)?, item))).collect();
        self.figures.left_out.add(listed.len().saturating_sub(CONTAINERS_MAX) as u64);
        listed.truncate(CONTAINERS_MAX);
        Ok(listed)
    }

    async fn inspect(&self, id: &str) -> Result<About, UnixError> {
        let Some(socket) = &self.settings.socket else { return Ok(About::default()) };
        // One that was removed meanwhile is not there in the next list.
        let answer = ask(socket, &format!("/containers/{id}/json")).await?.unwrap_or(Value::Null);
        let pid = answer.pointer("/State/Pid").and_then(Value::as_u64).and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0);
        let started = answer.pointer("/State/StartedAt").and_then(Value::as_str).and_then(Nanos::parse_rfc3339);
        let restarts = answer.get("RestartCount").and_then(Value::as_f64);
        Ok(About { pid, started: started.map(|at| at.0 as f64 / 1e9).filter(|at| *at > 0.0), restarts })
    }

    /// The labels of a container's series, but for the name of its control group.
    fn labels(&self, item: &Value) -> Vec<(String, String)> {
        let name = container::name(item);
        let image = item.get("Image").and_then(Value::as_str).unwrap_or("");
        let mut labels = vec![("name".to_owned(), name.trim_start_matches('/').to_owned()), ("image".to_owned(), cut(image, VALUE_BYTES_MAX).to_owned())];
        let wanted = |key: &str| self.settings.labels.as_ref().is_none_or(|wanted| wanted.iter().any(|one| one == key));
        for (key, value) in container::given(item).filter(|(key, _)| wanted(key)).take(LABELS_MAX) {
            labels.push((format!("container_label_{}", container::sanitized(key)), cut(value, VALUE_BYTES_MAX).to_owned()));
        }
        labels
    }

    /// Reads the kernel's files. Blocks.
    fn gather(&self, ids: &[String]) -> Batch {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Inner { known, cache } = &mut *inner;
        known.retain(|id, _| ids.contains(id));
        let mut files = Files::new(&self.root);
        let devices = devices(&mut files);
        let (now, origin, before) = (self.clock.now(), Origin::new("host/containers"), cache.left_out());
        let mut out = Gather::batch(cache, origin.clone(), &self.settings.job, &self.instance, now);
        for (id, container) in known.iter_mut() {
            if container.place.as_ref().is_none_or(|place| !place.exists(&files)) {
                container.place = find(&mut files, id, container.about.pid);
                let named = container.place.as_ref().map(|place| ("id".to_owned(), place.id.clone()));
                container.labels.retain(|(name, _)| name != "id");
                container.labels.extend(named);
            }
            let usage = match &container.place {
                Some(place) => place.usage(&mut files),
                None => {
                    self.figures.hidden.inc();
                    continue;
                }
            };
            let network = container.about.pid.map(|pid| network(&mut files, pid)).unwrap_or_default();
            let seen = Seen {
                labels: &container.labels,
                usage: &usage,
                network: &network,
                devices: &|number| devices.get(number).cloned(),
                started: container.about.started,
                restarts: container.about.restarts,
                now: now.secs_f64(),
            };
            names::put(&seen, &mut out);
        }
        let batch = out.into_batch().unwrap_or_else(|| Batch::new(origin));
        self.figures.rounds.left_out(cache.left_out() - before);
        batch
    }

    /// What is stored when the engine does not answer: nothing is known of any container any more.
    fn none(&self) -> Batch {
        self.gather(&[])
    }

    /// Polls for ever and writes to the sink; ends only when the future is dropped.
    pub async fn run(self, sink: Arc<dyn Sink>) {
        let mut ticks = Rounds::pace(self.settings.interval);
        let mut told = false;
        loop {
            ticks.tick().await;
            let batch = match self.poll().await {
                Ok(batch) => {
                    told = false;
                    batch
                }
                Err(error) => {
                    if !std::mem::replace(&mut told, true) {
                        let problem = self.settings.socket.as_deref().and_then(socket_problem).unwrap_or_else(|| error.to_string());
                        tracing::warn!(target: "watchfire::containers", problem, "containers cannot be listed; it is tried again");
                    }
                    self.none()
                }
            };
            self.figures.rounds.deliver(&sink, Box::new(move || batch)).await;
        }
    }
}

/// The control group of a container: that of its process, or where engines usually put it.
fn find(files: &mut Files, id: &str, pid: Option<u32>) -> Option<Place> {
    let named = pid.and_then(|pid| Place::read(files.text(&format!("/proc/{pid}/cgroup")).ok()?, id));
    // Within a container of our own the kernel shows paths that do not lead there.
    named.filter(|place| place.exists(files)).or_else(|| Place::usual(files, id))
}

/// What the kernel counts of the interfaces in a process's network, but for the loopback one.
fn network(files: &mut Files, pid: u32) -> Vec<(String, [f64; NETWORK.len()])> {
    let Ok(text) = files.text(&format!("/proc/{pid}/net/dev")) else { return Vec::new() };
    let read = |line: &str| {
        let (name, counts) = line.split_once(':')?;
        let cells: Vec<f64> = counts.split_ascii_whitespace().filter_map(number).collect();
        let of = |at: usize| cells.get(at).copied();
        let counts = [of(0)?, of(1)?, of(2)?, of(3)?, of(8)?, of(9)?, of(10)?, of(11)?];
        Some((name.trim().to_owned(), counts))
    };
    text.lines().filter_map(read).filter(|(name, _)| name != "lo").take(INTERFACES_MAX).collect()
}

/// Names of devices by their numbers.
fn devices(files: &mut Files) -> HashMap<String, String> {
    let Ok(text) = files.text("/proc/diskstats") else { return HashMap::new() };
    let read = |line: &str| {
        let mut cells = line.split_ascii_whitespace();
        let number = format!("{}:{}", cells.next()?, cells.next()?);
        Some((number, cells.next()?.to_owned()))
    };
    text.lines().filter_map(read).collect()
}
