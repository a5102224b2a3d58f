//! What we know ourselves and somebody should be told of: services that do not get well, a disk that is nearly full, a hot GPU,
//! jobs among the dead letters.
//! It turns what other rooms say into alerts that go the way of those of rules; it watches nothing itself and routes nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use watchfire_net::blocking::spawn_blocking;

use watchfire_alert::own::{self, OwnAlert};
use watchfire_alert::rules::{Notify, OutgoingAlert};
use watchfire_collect::gpu::GpuMonitor;
use watchfire_model::labels::Labels;
use watchfire_model::live::{GpuSample, GpuView, ServiceStatus};
use watchfire_model::time::{SharedClock, Timestamp};
use watchfire_pipeline::queue::Queues;
use watchfire_pipeline::queue::backend::Depths;
use watchfire_pipeline::supervision::Supervisor;

/// How often the conditions are looked at.
const INTERVAL: Duration = Duration::from_secs(15);
/// How long an alert holds without being said again.
const HOLDS_MS: i64 = 90_000;
/// A disk that is fuller than this is told of, in percent.
const DISK_PERCENT_MAX: f64 = 90.0;
/// A GPU that is hotter than this is told of, in degrees Celsius.
const GPU_CELSIUS_MAX: f64 = 85.0;

/// Who is asked.
pub(super) struct Watched {
    pub(super) supervisor: Supervisor,
    pub(super) gpu: GpuMonitor,
    pub(super) queues: Arc<Queues>,
    pub(super) data_dir: PathBuf,
    /// Whether there is an alert that always fires, for whoever listens for its absence.
    pub(super) heartbeat: bool,
    /// The name of this machine.
    pub(super) instance: String,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Condition {
    alert: OwnAlert,
    /// What is meant: which service, path or device.
    about: String,
    summary: String,
}
/// What names a condition while it lasts.
type Key = (OwnAlert, String);

/// Looks again and again, for ever.
pub(super) async fn run(watched: Watched, notify: Arc<dyn Notify>, clock: SharedClock) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut since: BTreeMap<Key, (Timestamp, Condition)> = BTreeMap::new();
    loop {
        ticks.tick().await;
        let now = clock.now();
        let used = disk_used_percent(&watched.data_dir);
        let disk = watched.data_dir.display().to_string();
        let mut found = conditions(&watched.supervisor.statuses(), (&disk, used), watched.gpu.current().as_ref());
        for queue in &watched.queues.settings().names {
            found.extend(watched.queues.last_depths(queue.as_str()).into_iter().flat_map(|depths| dead_letters(queue.as_str(), depths)));
        }
        found.extend(watched.heartbeat.then(heartbeat));
        let alerts = alerts(found, &mut since, &watched.instance, now);
        if alerts.is_empty() {
            continue;
        }
        // The Alertmanager inside stores what it takes, which may block.
        let notify = notify.clone();
        if spawn_blocking(move || notify.notify(alerts)).await.is_err() {
            tracing::error!("taking our own alerts panicked");
        }
    }
}

fn disk_used_percent(path: &std::path::Path) -> Option<f64> {
    let stat = rustix::fs::statvfs(path).ok()?;
    let used = stat.f_blocks.saturating_sub(stat.f_bfree) as f64;
    let total = used + stat.f_bavail as f64;
    (total > 0.0).then(|| used * 100.0 / total)
}

/// What is not as it should be.
fn conditions(services: &[ServiceStatus], (disk, used): (&str, Option<f64>), gpu: Option<&GpuSample>) -> Vec<Condition> {
    let mut found = Vec::new();
    for service in services {
        let alert = match service.status {
            "unhealthy" => own::SERVICE_UNHEALTHY,
            "restart_failed" => own::SERVICE_RESTART_FAILED,
            "failed" => own::SERVICE_FAILED,
            _ => continue,
        };
        found.push(Condition { alert, about: service.name.clone(), summary: service.message.clone() });
    }
    if let Some(used) = used.filter(|used| *used > DISK_PERCENT_MAX) {
        let summary = format!("the disk of {disk} is {used:.0} % full");
        found.push(Condition { alert: own::DISK_NEARLY_FULL, about: disk.to_owned(), summary });
    }
    if let Some((gpu, celsius)) = gpu.and_then(|g| Some((g, g.temperature.filter(|t| *t > GPU_CELSIUS_MAX)?))) {
        let summary = format!("the GPU {} has {celsius:.0} °C", gpu.name);
        found.push(Condition { alert: own::GPU_HOT, about: gpu.name.clone(), summary });
    }
    found
}

/// Nothing is wrong: whoever is told of it again and again knows that alerts arrive.
fn heartbeat() -> Condition {
    let summary = "alerts reach you; when this one ends, they may not".to_owned();
    Condition { alert: own::HEARTBEAT, about: "watchfire".to_owned(), summary }
}

/// Jobs of a queue that nobody will work on until somebody looks.
fn dead_letters(queue: &str, depths: Depths) -> Vec<Condition> {
    let places = [(depths.dead, format!("dlq:{queue}"), "failed too often"), (depths.overflow, format!("dlq:overflow:{queue}"), "found no room")];
    let told = places.into_iter().filter(|(count, ..)| *count > 0).map(|(count, place, why)| {
        let summary = format!("{count} jobs of {queue} {why} and wait in {place}");
        Condition { alert: own::JOBS_IN_DEAD_LETTERS, about: place, summary }
    });
    told.collect()
}

/// Alerts for what is found, and the ends of what was.
fn alerts(found: Vec<Condition>, since: &mut BTreeMap<Key, (Timestamp, Condition)>, instance: &str, now: Timestamp) -> Vec<OutgoingAlert> {
    let mut told = Vec::new();
    let mut lasting = BTreeMap::new();
    for condition in found {
        let key = (condition.alert, condition.about.clone());
        let begun = match since.remove(&key) {
            Some((begun, _)) => begun,
            None => {
                // Services and GPUs are logged by those who watch them.
                match condition.alert {
                    own::DISK_NEARLY_FULL => tracing::error!(severity = "critical", path = condition.about, "{}", condition.summary),
                    own::JOBS_IN_DEAD_LETTERS => tracing::warn!(queue_name = condition.about, "{}", condition.summary),
                    _ => {}
                }
                now
            }
        };
        told.push(alert(&condition, instance, begun, now.plus_ms(HOLDS_MS), false));
        lasting.insert(key, (begun, condition));
    }
    for (begun, condition) in std::mem::replace(since, lasting).into_values() {
        told.push(alert(&condition, instance, begun, now, true));
    }
    told
}

fn alert(condition: &Condition, instance: &str, starts_at: Timestamp, ends_at: Timestamp, resolved: bool) -> OutgoingAlert {
    let labels = [
        ("alertname", condition.alert.name),
        ("severity", condition.alert.severity),
        ("job", own::JOB),
        ("instance", instance),
        (condition.alert.about, &condition.about),
    ];
    OutgoingAlert {
        labels: Labels::from_pairs(labels),
        annotations: Labels::from_pairs([("summary", condition.summary.as_str())]),
        starts_at,
        ends_at,
        resolved,
        generator_url: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(found: &[Condition]) -> Vec<(&'static str, &'static str)> {
        found.iter().map(|c| (c.alert.name, c.alert.severity)).collect()
    }

    fn of_service(status: &'static str) -> Vec<(&'static str, &'static str)> {
        let service = ServiceStatus { name: "redis".to_owned(), status, message: "no answer".to_owned() };
        named(&conditions(&[service], ("/data", Some(10.0)), None))
    }

    #[test]
    fn hlt_12_an_unhealthy_service_is_a_warning() {
        assert_eq!(of_service("unhealthy"), [("ServiceUnhealthy", "warning")]);
        assert_eq!(of_service("healthy"), []);
        assert_eq!(of_service("restarting"), []);
    }

    #[test]
    fn hlt_13_a_failed_restart_is_an_error() {
        assert_eq!(of_service("restart_failed"), [("ServiceRestartFailed", "error")]);
    }

    #[test]
    fn hlt_14_a_service_that_is_given_up_is_critical() {
        assert_eq!(of_service("failed"), [("ServiceFailed", "critical")]);
    }

    #[test]
    fn api_04_a_disk_above_90_percent_is_critical() {
        let at = |used| named(&conditions(&[], ("/data", used), None));
        assert_eq!(at(Some(90.1)), [("DiskNearlyFull", "critical")]);
        assert_eq!(at(Some(90.0)), []);
        assert_eq!(at(None), []);
    }

    #[test]
    fn gpu_27_a_gpu_above_85_degrees_is_a_warning() {
        let gpu = |celsius| GpuSample { temperature: celsius, ..GpuSample::mock(Timestamp(0)) };
        let at = |celsius| named(&conditions(&[], ("/data", None), Some(&gpu(celsius))));
        assert_eq!(at(Some(85.1)), [("GpuHot", "warning")]);
        assert_eq!(at(Some(85.0)), []);
        assert_eq!(at(None), []);
    }

    #[test]
    fn dlq_10_jobs_in_the_dead_letters_are_a_warning() {
        let at = |dead, overflow| {
            let found = dead_letters("detection_queue", Depths { dead, overflow, ..Depths::default() });
            found.into_iter().map(|c| (c.alert.name, c.alert.severity, c.about, c.summary)).collect::<Vec<_>>()
        };
        assert_eq!(at(0, 0), []);
        let told = |place: &str, summary: &str| ("JobsInDeadLetters", "warning", place.to_owned(), summary.to_owned());
        let failed = told("dlq:detection_queue", "2 jobs of detection_queue failed too often and wait in dlq:detection_queue");
        let no_room = told("dlq:overflow:detection_queue", "7 jobs of detection_queue found no room and wait in dlq:overflow:detection_queue");
        assert_eq!(at(2, 0), std::slice::from_ref(&failed));
        assert_eq!(at(2, 7), [failed, no_room]);
    }

    #[test]
    fn the_heartbeat_fires_for_ever() {
        let mut since = BTreeMap::new();
        for now in [1_000, 16_000, 31_000] {
            let told = alerts(vec![heartbeat()], &mut since, "pi", Timestamp(now));
            let shown: Vec<_> = told.iter().map(|a| (a.labels.get("alertname"), a.starts_at.0, a.ends_at.0)).collect();
            assert_eq!(shown, [(Some("Heartbeat"), 1_000, now + HOLDS_MS)]);
        }
    }

    #[test]
    fn what_ends_is_said_once() {
        let mut since = BTreeMap::new();
        let hot = || conditions(&[], ("/data", Some(95.0)), None);
        let first = alerts(hot(), &mut since, "pi", Timestamp(1_000));
        let second = alerts(hot(), &mut since, "pi", Timestamp(16_000));
        let third = alerts(Vec::new(), &mut since, "pi", Timestamp(31_000));
        let times = |all: &[OutgoingAlert]| all.iter().map(|a| (a.starts_at.0, a.ends_at.0, a.resolved)).collect::<Vec<_>>();
        let expected = (vec![(1_000, 91_000, false)], vec![(1_000, 106_000, false)], vec![(1_000, 31_000, true)]);
        assert_eq!((times(&first), times(&second), times(&third)), expected);
        assert!(alerts(Vec::new(), &mut since, "pi", Timestamp(46_000)).is_empty());
    }
}
