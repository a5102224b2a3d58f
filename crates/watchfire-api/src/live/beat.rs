//! The heartbeat of `/ws/system`: every five seconds, and only while somebody listens, the system's state is put together
//! from what is recorded here. Services are watched all the time, because changes matter to whoever connects later.

use std::sync::Arc;
use std::time::Duration;

use watchfire_model::read::Budget;

use super::SystemFigures;
use crate::app::App;
use crate::native::{health, stats, telemetry};
use crate::prometheus::answer::ApiError;
use crate::prometheus::gate::run;
use crate::prometheus::promql::number;

/// How often the state is sent.
const EVERY: Duration = Duration::from_secs(5);
/// How long putting it together may take.
const WORK_MAX: Duration = Duration::from_secs(4);

/// The machine, as far as it is recorded by the host collector (`job="node"`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostFigures {
    /// Share of processor time in use, in percent.
    pub cpu_percent: Option<f64>,
    /// Load average of one minute.
    pub load1: Option<f64>,
    /// Memory in use.
    pub memory_used_bytes: Option<f64>,
    /// Memory in all.
    pub memory_total_bytes: Option<f64>,
    /// The fullest file system, in percent.
    pub disk_used_percent: Option<f64>,
    /// Bytes per second in, all interfaces but loopback.
    pub network_receive_bytes_per_second: Option<f64>,
    /// Bytes per second out.
    pub network_transmit_bytes_per_second: Option<f64>,
    /// Time since the machine started.
    pub uptime_seconds: Option<f64>,
}

/// Keeps the hub supplied; never returns. The binary runs it as one of its tasks.
pub async fn beat(app: Arc<App>) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = app.hub.first_came.notified() => {}
        }
        let services = (app.rooms.services)();
        app.hub.keep_services(|name| services.iter().any(|s| s.name == name));
        // The supervisor tells of its services itself, at once and in order.
        for service in services.into_iter().filter(|s| !app.rooms.supervisor.watches(&s.name)) {
            app.hub.publish_service(&service, app.now());
        }
        if !app.hub.is_heard() {
            continue;
        }
        match figures(&app).await {
            Ok(figures) => app.hub.publish_system(&figures, app.now()),
            Err(error) => tracing::warn!(error = error.message, "cannot put the system's state together"),
        }
    }
}

/// The state of the whole system now.
pub(super) async fn figures(app: &Arc<App>) -> Result<SystemFigures, ApiError> {
    run(app, Some(WORK_MAX), |app, budget| {
        Ok(SystemFigures {
            gpu: app.rooms.gpu.current(),
            cameras: cameras(app, budget),
            queues: telemetry::queues(app, budget)?,
            health: health::overall_status(app),
            host: host(app, budget)?,
        })
    })
    .await
}

fn cameras(app: &App, budget: &Budget) -> Option<(u64, u64)> {
    let total = stats::cameras(app, budget).ok()?;
    let active = number(app, budget, r#"count(count by (camera_id) ({__name__=~"hsi_.*", camera_id!=""}))"#).ok()?;
    Some((active.map_or(0, |n| n as u64), total))
}

fn host(app: &App, budget: &Budget) -> Result<HostFigures, ApiError> {
    let ask = |query: &str| number(app, budget, query);
    let total = ask(r#"max(node_memory_MemTotal_bytes{job="node"})"#)?;
    let available = ask(r#"max(node_memory_MemAvailable_bytes{job="node"})"#)?;
    let started = ask(r#"max(node_boot_time_seconds{job="node"})"#)?;
    Ok(HostFigures {
        cpu_percent: ask(r#"100 * (1 - avg(rate(node_cpu_seconds_total{job="node",mode="idle"}[1m])))"#)?,
        load1: ask(r#"max(node_load1{job="node"})"#)?,
        memory_used_bytes: total.zip(available).map(|(t, a)| t - a),
        memory_total_bytes: total,
        disk_used_percent: ask(r#"100 * max(1 - node_filesystem_avail_bytes{job="node",fstype!~"tmpfs|overlay|squashfs"} / node_filesystem_size_bytes)"#)?,
        network_receive_bytes_per_second: ask(r#"sum(rate(node_network_receive_bytes_total{job="node",device!="lo"}[1m]))"#)?,
        network_transmit_bytes_per_second: ask(r#"sum(rate(node_network_transmit_bytes_total{job="node",device!="lo"}[1m]))"#)?,
        uptime_seconds: started.map(|s| app.now().secs_f64() - s),
    })
}
