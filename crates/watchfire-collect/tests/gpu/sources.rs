//! The order of sources and the change from one to the next.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use watchfire_collect::gpu::GpuMonitor;
use watchfire_model::live::{GpuOrigin, GpuSample, GpuView};
use watchfire_net::client::Client;
use watchfire_net::tls::ClientTls;

use crate::bench::{Bench, Collected, smi_script};

/// Builds the stub of the driver's library; `None` where there is no C compiler.
fn stub_library(bench: &Bench) -> Option<PathBuf> {
    stub_of("-DNEW_DRIVER", bench)
}

fn stub_of(driver: &str, bench: &Bench) -> Option<PathBuf> {
    let library = bench.path("libnvidia-ml-stub.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gpu/stub_nvml.c");
    let steer = format!("-DSTUB_FILE=\"{}\"", bench.path("steer").display());
    let built = Command::new("cc").args(["-shared", "-fPIC", "-w", driver, &steer, "-o"]).arg(&library).arg(source).status();
    match built {
        Ok(status) => {
            assert!(status.success(), "the stub does not compile");
            Some(library)
        }
        Err(error) => {
            eprintln!("SKIPPED: no C compiler ({error}), so NVML was not tested");
            None
        }
    }
}

async fn poll(monitor: &GpuMonitor) -> GpuSample {
    monitor.poll().await;
    monitor.current().unwrap()
}

#[tokio::test]
async fn gpu_01_nvml_comes_first_and_all_gpus_are_stored() {
    let bench = Bench::new();
    let Some(library) = stub_library(&bench) else { return };
    let smi = bench.program("nvidia-smi", &smi_script("heat"));
    let monitor = bench.monitor(|s| {
        s.nvml_library = Some(library.into());
        s.nvidia_smi_program = smi.into();
    });
    let sample = poll(&monitor).await;
    assert_eq!((sample.origin, sample.name.as_str()), (GpuOrigin::Nvml, "NVIDIA RTX A5500"));
    assert_eq!((sample.utilization, sample.temperature, sample.power_usage), (Some(45.0), Some(62.0), Some(125.5)));
    assert_eq!((sample.memory_used_mb, sample.memory_total_mb), (Some(8192), Some(24576)), "whole mebibytes, the rest cut off");
    assert_eq!((sample.power_limit, sample.throttle_reasons, sample.fan_speed), (Some(230.0), Some(4), Some(30.0)));
    assert_eq!((sample.sm_clock, sample.memory_clock, sample.pstate), (Some(1695), Some(8001), Some(2)));
    let batch = bench.sink.batches().pop().unwrap();
    let utilization: Vec<_> = batch.series.iter().filter(|s| s.labels.metric_name() == "watchfire_gpu_utilization_percent").collect();
    let gpus: Vec<_> = utilization.iter().map(|s| (s.labels.get("gpu"), s.labels.get("gpu_name"))).collect();
    assert_eq!(gpus, [(Some("0"), Some("NVIDIA RTX A5500")), (Some("1"), Some("NVIDIA T4"))]);
    let watts = batch.series.iter().filter(|s| s.labels.metric_name() == "watchfire_gpu_power_watts").count();
    assert_eq!(watts, 1, "the second GPU does not tell its power, and no zero is made up");
    let value = |name: &str, labels: &[(&str, &str)]| {
        let fits = |s: &&watchfire_model::batch::SeriesSamples| s.labels.metric_name() == name && labels.iter().all(|(n, v)| s.labels.get(n) == Some(v));
        batch.series.iter().find(fits).map(|s| s.samples.as_slice()[0].value)
    };
    let first = [("gpu", "0"), ("gpu_name", "NVIDIA RTX A5500")];
    for (name, expected) in [
        ("watchfire_gpu_encoder_utilization_percent", Some(7.0)),
        ("watchfire_gpu_decoder_utilization_percent", None),
        ("watchfire_gpu_memory_bandwidth_percent", Some(1.0)),
        ("watchfire_gpu_sm_clock_max_mhz", Some(2100.0)),
        ("watchfire_gpu_ecc_corrected_errors_total", Some(3.0)),
        ("watchfire_gpu_ecc_uncorrected_errors_total", Some(1.0)),
        ("watchfire_gpu_pcie_sent_bytes_per_second", Some(100_000.0)),
        ("watchfire_gpu_pcie_received_bytes_per_second", Some(200_000.0)),
        ("watchfire_gpu_pcie_replays_total", Some(2.0)),
        ("watchfire_gpu_energy_joules_total", Some(5.0)),
        ("watchfire_gpu_power_limit_watts", Some(230.0)),
    ] {
        assert_eq!(value(name, &first), expected, "{name}");
    }
    assert_eq!(value("watchfire_gpu_process_memory_bytes", &[("gpu", "0"), ("pid", "1")]), Some(1_073_741_824.0));
    let many = batch.series.iter().filter(|s| s.labels.metric_name() == "watchfire_gpu_process_memory_bytes" && s.labels.get("gpu") == Some("1")).count();
    assert_eq!(many, 64, "of three hundred processes as many as are told");
    let reason = |reason| value("watchfire_gpu_throttle_reason_active", &[("gpu", "0"), ("reason", reason)]);
    assert_eq!((reason("sw_power_cap"), reason("hw_slowdown")), (Some(1.0), Some(0.0)));
    let dcgm = [("gpu", "0"), ("device", "nvidia0"), ("modelName", "NVIDIA RTX A5500")];
    for (name, expected) in [
        ("DCGM_FI_DEV_GPU_UTIL", 45.0),
        ("DCGM_FI_DEV_FB_USED", 8192.0),
        ("DCGM_FI_DEV_FB_FREE", 16_384.0),
        ("DCGM_FI_DEV_SM_CLOCK", 1695.0),
        ("DCGM_FI_DEV_CLOCK_THROTTLE_REASONS", 4.0),
        ("DCGM_FI_DEV_ENC_UTIL", 7.0),
        ("DCGM_FI_DEV_ECC_DBE_AGG_TOTAL", 1.0),
        ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", 5000.0),
    ] {
        assert_eq!(value(name, &dcgm), Some(expected), "{name}");
    }
}

#[tokio::test]
async fn a_driver_that_knows_the_first_form_of_memory_only_is_understood() {
    let bench = Bench::new();
    let Some(library) = stub_of("-DOLD_DRIVER", &bench) else { return };
    let sample = poll(&bench.monitor(|s| s.nvml_library = Some(library.into()))).await;
    assert_eq!((sample.origin, sample.memory_used_mb, sample.memory_total_mb), (GpuOrigin::Nvml, Some(8192), Some(24576)));
}

#[tokio::test]
async fn what_is_no_library_of_the_driver_is_said() {
    let bench = Bench::new();
    bench.write("libnvidia-ml.so", "no library");
    let library = bench.path("libnvidia-ml.so");
    let monitor = bench.monitor(|s| s.nvml_library = Some(library.into()));
    let log = Collected::default();
    let _guard = log.install();
    assert_eq!(poll(&monitor).await.origin, GpuOrigin::Mock);
    let lines = log.lines();
    assert!(lines.iter().any(|line| line.contains("libnvidia-ml.so")), "{lines:#?}");
}

#[tokio::test]
async fn gpus_of_other_makers_are_stored_and_are_not_the_sample() {
    let bench = Bench::new();
    let card = bench.path("sys/class/drm/card0/device");
    std::fs::create_dir_all(&card).unwrap();
    for (file, text) in [("vendor", "0x1002"), ("device", "0x73bf"), ("gpu_busy_percent", "37"), ("mem_busy_percent", "12")] {
        std::fs::write(card.join(file), text).unwrap();
    }
    let root = bench.path("");
    let monitor = bench.monitor(|s| s.root = root);
    assert_eq!(poll(&monitor).await.origin, GpuOrigin::Mock);
    let batch = bench.sink.batches().pop().unwrap();
    let shown: Vec<String> =
        batch.series.iter().map(|s| format!("{} {}", s.labels.without("job").without("instance"), s.samples.as_slice()[0].value)).collect();
    assert_eq!(
        shown,
        [
            r#"watchfire_gpu_utilization_percent{gpu="card0", gpu_name="AMD GPU 0x73bf"} 37"#,
            r#"watchfire_gpu_memory_bandwidth_percent{gpu="card0", gpu_name="AMD GPU 0x73bf"} 12"#,
        ]
    );
}

#[tokio::test]
async fn gpu_02_nvidia_smi_takes_over_when_nvml_fails_and_hands_back() {
    let bench = Bench::new();
    let Some(library) = stub_library(&bench) else { return };
    let smi = bench.program("nvidia-smi", &smi_script("heat"));
    bench.write("heat", "50");
    let monitor = bench.monitor(|s| {
        s.nvml_library = Some(library.into());
        s.nvidia_smi_program = smi.into();
    });
    let log = Collected::default();
    let _guard = log.install();
    assert_eq!(poll(&monitor).await.origin, GpuOrigin::Nvml);
    bench.write("steer", "fail");
    assert_eq!(poll(&monitor).await.origin, GpuOrigin::NvidiaSmi, "within the same poll");
    std::fs::remove_file(bench.path("steer")).unwrap();
    assert_eq!(poll(&monitor).await.origin, GpuOrigin::NvidiaSmi, "the better source is not tried on every poll");
    bench.clock.advance(Duration::from_secs(31));
    assert_eq!(poll(&monitor).await.origin, GpuOrigin::Nvml, "but now and then");
    let lines = log.lines();
    assert_eq!(lines.iter().filter(|l| l.starts_with("WARN") && l.contains("GPU source fails")).count(), 1, "{lines:#?}");
}

#[tokio::test]
async fn gpu_02_a_program_that_hangs_or_fails_is_not_waited_for() {
    let bench = Bench::new();
    let old = "case \"$1\" in *pstate*) echo 'Field \"pstate\" is not a valid field to query.'; exit 2;; esac\necho '40, [N/A], 7, 1, 2, NVIDIA Old'\n";
    let smi = bench.program("nvidia-smi", old);
    let monitor = bench.monitor(|s| s.nvidia_smi_program = smi.into());
    let sample = poll(&monitor).await;
    assert_eq!((sample.name.as_str(), sample.utilization, sample.power_usage), ("NVIDIA Old", Some(7.0), None));
    let broken = Bench::new();
    let smi = broken.program("nvidia-smi", "echo 'NVIDIA-SMI has failed'; exit 9\n");
    let monitor = broken.monitor(|s| s.nvidia_smi_program = smi.into());
    assert_eq!(poll(&monitor).await.origin, GpuOrigin::Mock);
    let hanging = Bench::new();
    // `exec`, so that the process that is killed is the one that hangs.
    let smi = hanging.program("nvidia-smi", "echo $$ > $DIR/pid\nexec tail -f /dev/null\n");
    let monitor = hanging.monitor(|s| s.nvidia_smi_program = smi.into());
    assert_eq!(poll(&monitor).await.origin, GpuOrigin::Mock);
    let pid = std::fs::read_to_string(hanging.path("pid")).unwrap();
    let gone = (0..500).any(|_| {
        std::thread::yield_now();
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    });
    assert!(gone, "the program was killed");
}

/// Serves one answer to every connection; `None` accepts and stays silent.
fn serve(answer: Option<&'static str>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut silent = Vec::new();
        for mut stream in listener.incoming().flatten() {
            let Some(answer) = answer else {
                silent.push(stream);
                continue;
            };
            let mut request = [0; 1024];
            let _read = stream.read(&mut request);
            let _sent = stream.write_all(answer.as_bytes());
        }
    });
    format!("http://{address}/health")
}

const BODY: &str = "HTTP/1.0 200 OK\r\n\r\n{\"status\":\"healthy\",\"device\":\"cuda:0\",\"vram_used_gb\":4.5,\"gpu_utilization\":35,\"temperature\":61.5}";

#[tokio::test]
async fn gpu_03_the_ai_service_is_asked_last_and_nothing_is_invented() {
    let bench = Bench { fetch: Some(Arc::new(Client::new(ClientTls::default()))), ..Bench::new() };
    let urls = vec![
        "http://127.0.0.1:1/health".to_owned(),
        serve(Some("HTTP/1.0 503 no\r\n\r\n{}")),
        serve(Some("HTTP/1.0 200 OK\r\n\r\n{\"device\":\"cpu\"}")),
        serve(Some(BODY)),
    ];
    let monitor = bench.monitor(|s| s.ai_health_urls = urls);
    let sample = poll(&monitor).await;
    assert_eq!((sample.origin, sample.name.as_str()), (GpuOrigin::AiService, "cuda:0"));
    assert_eq!((sample.memory_used_mb, sample.memory_total_mb, sample.power_usage), (Some(4608), None, None));
    assert_eq!((sample.utilization, sample.temperature), (Some(35.0), Some(61.5)));
    assert!(bench.sink.values("watchfire_gpu_memory_pressure").is_empty(), "no total, no pressure");
}

#[tokio::test]
async fn gpu_03_gpu_09_a_silent_ai_service_costs_no_more_than_the_time_limit() {
    let bench = Bench { fetch: Some(Arc::new(Client::new(ClientTls::default()))), ..Bench::new() };
    let url = serve(None);
    let monitor = bench.monitor(|s| {
        s.ai_health_urls = vec![url];
        s.set_http_timeout_seconds(0.2);
    });
    let done = tokio::time::timeout(Duration::from_secs(5), poll(&monitor)).await;
    assert_eq!(done.unwrap().origin, GpuOrigin::Mock);
}

#[tokio::test]
async fn gpu_04_a_gpu_that_appears_later_is_found() {
    let bench = Bench::new();
    let path = bench.path("nvidia-smi");
    let monitor = bench.monitor(|s| s.nvidia_smi_program = path.into());
    assert_eq!(poll(&monitor).await.origin, GpuOrigin::Mock);
    bench.program("nvidia-smi", &smi_script("heat"));
    bench.write("heat", "50");
    assert_eq!(poll(&monitor).await.origin, GpuOrigin::Mock, "not asked on every poll");
    bench.clock.advance(Duration::from_secs(31));
    assert_eq!(poll(&monitor).await.origin, GpuOrigin::NvidiaSmi);
}
