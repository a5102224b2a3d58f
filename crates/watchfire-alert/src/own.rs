//! The alerts that Watchfire raises by itself: their names and the labels that they always have. When each is raised is said by
//! whoever watches; nothing here fires.

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OwnAlert {
    /// The value of `alertname`.
    pub name: &'static str,
    /// The value of `severity`.
    pub severity: &'static str,
    /// The label that says what is meant: a service, a path, a device.
    pub about: &'static str,
}

/// The value of `job` that all of them have. They also have `instance`, the name of the machine.
pub const JOB: &str = "watchfire";

/// A supervised service does not answer well.
pub const SERVICE_UNHEALTHY: OwnAlert = OwnAlert { name: "ServiceUnhealthy", severity: "warning", about: "service" };
/// A supervised service could not be started again.
pub const SERVICE_RESTART_FAILED: OwnAlert = OwnAlert { name: "ServiceRestartFailed", severity: "error", about: "service" };
/// A supervised service is given up.
pub const SERVICE_FAILED: OwnAlert = OwnAlert { name: "ServiceFailed", severity: "critical", about: "service" };
/// Little of the disk of our data is free.
pub const DISK_NEARLY_FULL: OwnAlert = OwnAlert { name: "DiskNearlyFull", severity: "critical", about: "path" };
/// A GPU is too warm.
pub const GPU_HOT: OwnAlert = OwnAlert { name: "GpuHot", severity: "warning", about: "gpu" };
/// Nobody works on jobs until somebody looks.
pub const JOBS_IN_DEAD_LETTERS: OwnAlert = OwnAlert { name: "JobsInDeadLetters", severity: "warning", about: "queue_name" };
/// Always fires, for whoever listens for its absence.
pub const HEARTBEAT: OwnAlert = OwnAlert { name: "Heartbeat", severity: "none", about: "heartbeat" };

/// All of them.
pub const ALL: [OwnAlert; 7] = [SERVICE_UNHEALTHY, SERVICE_RESTART_FAILED, SERVICE_FAILED, DISK_NEARLY_FULL, GPU_HOT, JOBS_IN_DEAD_LETTERS, HEARTBEAT];
