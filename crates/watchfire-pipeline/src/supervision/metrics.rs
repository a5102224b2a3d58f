//! What supervision says in figures: about every service in families of our own, and, where a service is a worker of the watched
//! pipeline, in the families that its dashboards know.

use std::sync::{Arc, Mutex, PoisonError};

use watchfire_model::batch::MetricType;
use watchfire_model::meter::{Family, Meter};
use watchfire_model::observe::Observe;

use super::policy::{Notice, Now, Status};
use super::supervisor::{ServiceView, Snapshot};

/// Adds the families to the meter, computed at each reading.
pub(super) fn register(meter: &Meter, snapshot: Arc<Mutex<Arc<Snapshot>>>) {
    meter.on_gather(move |out| {
        let snapshot = snapshot.lock().unwrap_or_else(PoisonError::into_inner).clone();
        out.extend(families(&snapshot));
    });
}

fn families(snapshot: &Snapshot) -> Vec<Family> {
    let gauge = |name, help| Family::new(name, MetricType::Gauge, help);
    let counter = |name, help| Family::new(name, MetricType::Counter, help);
    let mut up = gauge("watchfire_service_up", "Whether a supervised service is healthy.");
    let mut status = gauge("watchfire_service_status", "1 for the status that a supervised service has.");
    let mut attempts = gauge("watchfire_service_restart_attempts", "Restarts of a service without success so far.");
    let mut recent = gauge("watchfire_service_restarts_recent", "Restarts of a service within ten minutes, of which there are 3 at most.");
    let mut maintenance = gauge("watchfire_service_maintenance", "Whether a service is in maintenance.");
    let mut took = gauge("watchfire_service_check_duration_seconds", "How long the last check of a service took.");
    let mut checks = counter("watchfire_service_checks_total", "Checks of services, by what they found.");
    let mut restarts = counter("watchfire_service_restarts_total", "Restarts of services, by how they ended.");
    let mut withheld = counter("watchfire_service_restarts_withheld_total", "Restarts that were due and not made, by reason.");
    for ServiceView { view, .. } in &snapshot.services {
        let service = ("service", view.rules.name.as_str());
        let flag = |is: bool| f64::from(u8::from(is));
        up.point(&[service], flag(view.status == Some(Status::Healthy)));
        for one in Status::ALL {
            status.point(&[service, ("status", one.name())], flag(view.status == Some(one)));
        }
        attempts.point(&[service], f64::from(view.attempts));
        recent.point(&[service], f64::from(view.restarts_recent));
        maintenance.point(&[service], flag(view.maintenance_until.is_some()));
        if let Some(last) = &view.last {
            took.point(&[service], last.took.as_secs_f64());
        }
        for (outcome, n) in ["healthy", "failed", "unknown"].into_iter().zip(view.counts.checks) {
            checks.point(&[service, ("outcome", outcome)], n as f64);
        }
        for (outcome, n) in ["done", "failed"].into_iter().zip(view.counts.restarts) {
            restarts.point(&[service, ("outcome", outcome)], n as f64);
        }
        for (reason, n) in &view.counts.withheld {
            withheld.point(&[service, ("reason", reason)], *n as f64);
        }
    }
    let lost = counter("watchfire_service_records_lost_total", "Changes of services that could not be recorded.").with(&[], snapshot.records_lost as f64);
    vec![up, status, attempts, recent, maintenance, took, checks, restarts, withheld, lost]
}

/// Tells about services that are workers, in the codes 0 stopped, 1 running, 2 restarting, 3 failed.
pub(super) fn observe_workers(observe: &dyn Observe, snapshot: &Snapshot, notices: &[Notice], now: Now) {
    let workers = || snapshot.services.iter().filter_map(|s| Some((s, s.worker.as_deref()?)));
    if workers().next().is_none() {
        return;
    }
    for (service, worker) in workers() {
        let view = &service.view;
        let Some(status) = view.status else { continue };
        let labels = [("worker_name", worker)];
        let state = match status {
            Status::Healthy => 1.0,
            Status::Unhealthy | Status::RestartFailed => 0.0,
            Status::Restarting => 2.0,
            Status::Failed => 3.0,
        };
        observe.observe("hsi_pipeline_worker_state", &labels, state);
        observe.observe("hsi_pipeline_worker_consecutive_failures", &labels, f64::from(view.failures));
        let uptime = if status == Status::Healthy { (now.wall.millis() - view.since.millis()).max(0) as f64 / 1000.0 } else { -1.0 };
        observe.observe("hsi_pipeline_worker_uptime_seconds", &labels, uptime);
        for notice in notices.iter().filter(|n| n.changed && n.service == view.rules.name && n.status == Status::Restarting) {
            observe.observe("hsi_worker_restarts_total", &[("worker_name", worker)], 1.0);
            tracing::debug!(target: "watchfire::services", worker, service = notice.service, "a worker is restarted");
        }
    }
    let active = workers().filter(|(s, _)| s.view.status == Some(Status::Healthy)).count();
    observe.observe("hsi_worker_active_count", &[], active as f64);
}
