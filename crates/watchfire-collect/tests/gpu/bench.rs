//! What the tests put around a monitor: a clock, a sink, a directory for programs, a log.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::{Layer, Registry};
use watchfire_collect::gpu::source::Fetch;
use watchfire_collect::gpu::{DetectionsTotal, GpuMonitor, Parts, Settings};
use watchfire_model::batch::Batch;
use watchfire_model::meter::Meter;
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_model::write::{Sink, WriteError, Written};

/// Keeps what it is given.
#[derive(Default)]
pub(crate) struct Kept(Mutex<Vec<Batch>>);
impl Kept {
    pub(crate) fn batches(&self) -> Vec<Batch> {
        self.0.lock().unwrap().clone()
    }
    /// All values of a name in the order of arrival.
    pub(crate) fn values(&self, name: &str) -> Vec<f64> {
        let batches = self.batches();
        let series = batches.iter().flat_map(|b| &b.series).filter(|s| s.labels.metric_name() == name);
        series.map(|s| s.samples.as_slice()[0].value).collect()
    }
}
impl Sink for Kept {
    fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        self.0.lock().unwrap().push(batch);
        Ok(Written::default())
    }
}

pub(crate) struct Bench {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) sink: Arc<Kept>,
    pub(crate) meter: Meter,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) fetch: Option<Arc<dyn Fetch>>,
    pub(crate) detections: Option<Arc<DetectionsTotal>>,
}
impl Bench {
    pub(crate) fn new() -> Bench {
        Bench {
            clock: ManualClock::new(Timestamp(1_767_089_700_000)),
            sink: Arc::default(),
            meter: Meter::new(),
            dir: tempfile::tempdir().unwrap(),
            fetch: None,
            detections: None,
        }
    }

    /// A monitor that finds nothing but what the test gives it.
    pub(crate) fn monitor(&self, change: impl FnOnce(&mut Settings)) -> GpuMonitor {
        let mut settings = Settings::new("testhost");
        settings.nvml_library = Some(self.path("no-such-library.so").into());
        settings.nvidia_smi_program = self.path("no-such-program").into();
        settings.hailortcli_program = self.path("no-such-program").into();
        change(&mut settings);
        let parts = Parts {
            clock: self.clock.clone(),
            sink: self.sink.clone(),
            meter: self.meter.clone(),
            detections: self.detections.clone(),
            fetch: self.fetch.clone(),
        };
        GpuMonitor::new(settings, parts)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// A shell script of the test's own; `$DIR` is the bench's directory.
    pub(crate) fn program(&self, name: &str, script: &str) -> PathBuf {
        let path = self.path(name);
        let text = format!("#!/bin/sh\nDIR='{}'\n{script}", self.dir.path().display());
        // Written under another name and renamed: a file that is still open for writing cannot be run, and a child that another
        // test starts meanwhile may hold it open for a moment.
        let draft = self.path(&format!("{name}.draft"));
        std::fs::write(&draft, text).unwrap();
        std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o755)).unwrap();
        let copied = std::process::Command::new("cp").args(["-p"]).arg(&draft).arg(&path).status().unwrap();
        assert!(copied.success());
        path
    }
}

/// An `nvidia-smi` of 10,000 MB whose heat or memory in use stands in a file of that name.
pub(crate) fn smi_script(moving: &str) -> String {
    let (heat, memory) = if moving == "heat" { ("$(cat $DIR/heat)", "100") } else { ("50", "$(cat $DIR/memory)") };
    format!("echo \"{heat}, 125.50, 45, {memory}, 10000, NVIDIA RTX A5500, 0, 230.00, 0x0, 30, 1695, 8001, P2\"\n")
}

/// Log lines as `LEVEL target message field=value …`.
#[derive(Clone, Default)]
pub(crate) struct Collected(Arc<Mutex<Vec<String>>>);
impl Collected {
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
    /// Collects what this thread logs until the guard is dropped.
    pub(crate) fn install(&self) -> tracing::subscriber::DefaultGuard {
        tracing::subscriber::set_default(Registry::default().with(self.clone()))
    }
}
impl<S: tracing::Subscriber> Layer<S> for Collected {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        struct Line(String);
        impl tracing::field::Visit for Line {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                let _written = write!(self.0, " {}={value:?}", field.name());
            }
        }
        let mut line = Line(format!("{} {}", event.metadata().level(), event.metadata().target()));
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }
}
