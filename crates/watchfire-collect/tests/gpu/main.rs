//! The GPU monitor as its users see it, with made-up GPUs: a stub of the driver's library, a scripted `nvidia-smi`, a scripted
//! HTTP server, and a real PostgreSQL. What needs no outside world is tested beside its code.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

mod bench;
mod hailo;
mod postgres;
mod sources;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use watchfire_collect::gpu::{GpuMonitor, Settings};
use watchfire_model::live::{GpuOrigin, GpuView, MOCK_GPU_NAME, MemoryPressure};
use watchfire_model::sample::is_stale;
use watchfire_model::time::Timestamp;

use bench::{Bench, Collected};

#[tokio::test]
async fn gpu_04_without_a_gpu_the_mock_answers_and_nothing_is_stored() {
    let bench = Bench::new();
    let monitor = bench.monitor(|_| {});
    assert!(monitor.current().is_none(), "nothing is claimed before the first look");
    monitor.poll().await;
    let sample = monitor.current().unwrap();
    assert_eq!((sample.name.as_str(), sample.origin), (MOCK_GPU_NAME, GpuOrigin::Mock));
    let figures =
        [sample.utilization, sample.temperature, sample.power_usage, sample.memory_used_mb.map(|v| v as f64), sample.memory_total_mb.map(|v| v as f64)];
    assert_eq!(figures, [None; 5]);
    assert!(bench.sink.batches().is_empty(), "the mock has no series");
    assert_eq!(monitor.history(Timestamp::MIN, 10).await.len(), 1);
    assert_eq!(monitor.database_status().status, "not_configured");
}

#[tokio::test]
async fn gpu_06_inference_fps_needs_detections() {
    let total = Arc::new(Mutex::new(None));
    let asked = total.clone();
    let bench = Bench { detections: Some(Arc::new(move || *asked.lock().unwrap())), ..Bench::new() };
    let monitor = bench.monitor(|_| {});
    let mut seen = Vec::new();
    for value in [None, Some(1000.0), Some(1150.0)] {
        *total.lock().unwrap() = value;
        monitor.poll().await;
        seen.push(monitor.current().unwrap().inference_fps);
        bench.clock.advance(Duration::from_secs(5));
    }
    assert_eq!(seen, [None, None, Some(2.5)]);
}

#[tokio::test]
async fn gpu_07_gpu_10_polls_follow_the_interval() {
    for (seconds, polls_per_minute) in [(1.0, 60), (5.0, 12), (15.0, 4), (60.0, 1)] {
        tokio::time::pause();
        let bench = Bench::new();
        let monitor = bench.monitor(|s| assert!(s.set_poll_interval_seconds(seconds).is_none()));
        let count = Arc::new(Mutex::new(0));
        let counted = count.clone();
        monitor.on_sample(move |_| *counted.lock().unwrap() += 1);
        let ended = tokio::time::timeout(Duration::from_millis(59_900), monitor.run()).await;
        assert!(ended.is_err());
        assert_eq!(*count.lock().unwrap(), polls_per_minute, "every {seconds} s");
        tokio::time::resume();
    }
}

#[tokio::test]
async fn gpu_08_gpu_11_every_poll_adds_to_a_bounded_history() {
    let bench = Bench::new();
    let monitor = bench.monitor(|s| {
        s.set_poll_interval_seconds(5.0);
        s.set_history_minutes(1.0);
    });
    for _ in 0..40 {
        monitor.poll().await;
        bench.clock.advance(Duration::from_secs(5));
    }
    let all = monitor.history(Timestamp::MIN, 1000).await;
    assert_eq!(all.len(), 13);
    assert!(all.is_sorted_by_key(|s| s.recorded_at));
    let newest = monitor.current().unwrap().recorded_at;
    assert_eq!(all.last().unwrap().recorded_at, newest);
    let some = monitor.history(newest.plus_ms(-10_000), 1000).await;
    assert_eq!(some.len(), 3, "since is inclusive");
    let few = monitor.history(Timestamp::MIN, 2).await;
    assert_eq!((few.len(), few[1].recorded_at), (2, newest), "of more than the limit, the newest");
}

#[tokio::test]
async fn gpu_22_gpu_24_pressure_is_told_on_change_and_visible_at_once() {
    let bench = Bench::new();
    let smi = bench.program("nvidia-smi", &bench::smi_script("memory"));
    let monitor = bench.monitor(|s| s.nvidia_smi_program = smi.into());
    let changes = Arc::new(Mutex::new(Vec::new()));
    let told = changes.clone();
    monitor.on_pressure(move |new, old| told.lock().unwrap().push((new, old)));
    let mut levels = Vec::new();
    for used in ["100", "8400", "8500", "9400", "9500", "9900", "100"] {
        bench.write("memory", used);
        monitor.poll().await;
        levels.push(monitor.pressure());
    }
    use MemoryPressure::{Critical, Normal, Warning};
    assert_eq!(levels, [Normal, Normal, Warning, Warning, Critical, Critical, Normal]);
    assert_eq!(*changes.lock().unwrap(), [(Warning, Normal), (Critical, Warning), (Normal, Critical)]);
    let stored = bench.sink.values("watchfire_gpu_memory_pressure");
    assert_eq!(stored, [0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 0.0]);
}

#[tokio::test]
async fn gpu_25_the_start_is_logged_with_the_word_gpu_and_the_source() {
    let bench = Bench::new();
    let log = Collected::default();
    let monitor = bench.monitor(|_| {});
    let _guard = log.install();
    let polled = Arc::new(tokio::sync::Notify::new());
    let told = polled.clone();
    monitor.on_sample(move |_| told.notify_one());
    tokio::select! {
        () = monitor.run() => panic!("the monitor has ended"),
        () = polled.notified() => {}
    }
    let lines = log.lines();
    assert!(lines.iter().any(|l| l.starts_with("INFO watchfire::gpu") && l.contains("GPU monitor starts")), "{lines:#?}");
    assert!(lines.iter().any(|l| l.starts_with("INFO") && l.contains("GPU") && l.contains("mock")), "{lines:#?}");
}

#[tokio::test]
async fn gpu_27_heat_warns_once_per_crossing() {
    let bench = Bench::new();
    let smi = bench.program("nvidia-smi", &bench::smi_script("heat"));
    let monitor = bench.monitor(|s| s.nvidia_smi_program = smi.into());
    let log = Collected::default();
    let _guard = log.install();
    let mut warnings = Vec::new();
    for celsius in ["85", "86", "90", "84", "86", "79", "86"] {
        bench.write("heat", celsius);
        monitor.poll().await;
        warnings.push(log.lines().iter().filter(|l| l.starts_with("WARN") && l.contains("GPU temperature is above 85 C")).count());
    }
    assert_eq!(warnings, [0, 1, 1, 1, 1, 1, 2], "85 itself is not above 85, and 84 is not cool enough to warn again");
}

#[tokio::test]
async fn series_have_the_labels_and_end_when_the_gpu_is_gone() {
    let bench = Bench::new();
    let smi = bench.program("nvidia-smi", &bench::smi_script("heat"));
    bench.write("heat", "50");
    let monitor = bench.monitor(|s| s.nvidia_smi_program = smi.clone().into());
    monitor.poll().await;
    let batch = bench.sink.batches().pop().unwrap();
    let series = batch.series.iter().find(|s| s.labels.metric_name() == "watchfire_gpu_memory_total_bytes").unwrap();
    let expected = r#"watchfire_gpu_memory_total_bytes{gpu="0", gpu_name="NVIDIA RTX A5500", instance="testhost", job="gpu"}"#;
    assert_eq!(series.labels.to_string(), expected);
    assert_eq!(series.samples.as_slice()[0].value, 10_000.0 * 1_048_576.0);
    std::fs::remove_file(smi).unwrap();
    monitor.poll().await;
    let last = bench.sink.batches().pop().unwrap();
    assert_eq!(last.series.len(), batch.series.len(), "each series that was written ends");
    assert!(last.series.iter().all(|s| is_stale(s.samples.as_slice()[0].value)));
    assert_eq!(monitor.current().unwrap().origin, GpuOrigin::Mock);
}

#[test]
fn gpu_26_no_hardware_figure_reaches_our_meter() {
    let bench = Bench::new();
    let _monitor: GpuMonitor = bench.monitor(|_| {});
    let families = bench.meter.gather();
    assert!(!families.is_empty());
    assert!(families.iter().all(|f| !f.name.contains("gpu")), "the exposition has no GPU names of ours");
}

#[test]
fn gpu_09_the_time_limit_is_five_seconds_by_default() {
    assert_eq!(Settings::new("x").http_timeout, Duration::from_secs(5));
}
