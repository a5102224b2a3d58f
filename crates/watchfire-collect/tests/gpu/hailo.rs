//! Accelerators of Hailo in the store, with made-up files of the kernel and a scripted `hailortcli`.

use std::time::Duration;

use watchfire_collect::gpu::GpuMonitor;

use crate::bench::Bench;

/// A machine with two devices.
fn two() -> Bench {
    let bench = Bench::new();
    for (name, address) in [("hailo0", "0000:01:00.0"), ("hailo1", "0000:02:00.0")] {
        let (class, device) = (bench.path("sys/class/hailo_chardev").join(name), bench.path("sys/bus/pci/devices").join(address));
        std::fs::create_dir_all(&class).unwrap();
        std::fs::create_dir_all(&device).unwrap();
        std::fs::write(class.join("board_location"), address).unwrap();
        std::fs::write(device.join("device"), "0x2864\n").unwrap();
    }
    bench
}

fn monitor(bench: &Bench, script: Option<&str>) -> GpuMonitor {
    let program = script.map(|script| bench.program("hailortcli", script));
    bench.monitor(|s| {
        s.root = bench.path("");
        if let Some(program) = program {
            s.hailortcli_program = program.into();
        }
    })
}

/// What the last look has stored; series that end are left out.
fn shown(bench: &Bench) -> Vec<String> {
    let Some(batch) = bench.sink.batches().pop() else { return Vec::new() };
    let living = batch.series.iter().filter(|s| !s.samples.as_slice()[0].value.is_nan());
    living.map(|s| format!("{} {}", s.labels.without("job").without("instance").without("gpu_name"), s.samples.as_slice()[0].value)).collect()
}

fn answers(first: u8, second: u8) -> Vec<String> {
    [("hailo0", first), ("hailo1", second)].map(|(gpu, value)| format!("watchfire_gpu_firmware_answers{{gpu=\"{gpu}\"}} {value}")).to_vec()
}

#[tokio::test]
async fn the_firmware_of_hailos_is_asked_for_seldom() {
    let bench = two();
    // The second device does not answer, so the program fails.
    let script = "echo run >> $DIR/runs\necho \"$* $HAILORT_LOGGER_PATH\" > $DIR/asked\n\
                  printf 'Executing on device: 0000:01:00.0\\nFirmware Version: 4.20.0\\nDevice Architecture: HAILO8L\\nSerial Number: N/A\\n'\n\
                  printf '\\nExecuting on device: 0000:02:00.0\\n'; exit 31\n";
    let monitor = monitor(&bench, Some(script));
    let runs = || std::fs::read_to_string(bench.path("runs")).unwrap().lines().count();
    monitor.poll().await;
    let mut expected = answers(1, 0);
    expected.insert(1, r#"watchfire_gpu_info{architecture="HAILO8L", firmware="4.20.0", gpu="hailo0"} 1"#.to_owned());
    assert_eq!(shown(&bench), expected);
    assert_eq!(std::fs::read_to_string(bench.path("asked")).unwrap(), "fw-control identify NONE\n");
    bench.clock.advance(Duration::from_secs(299));
    monitor.poll().await;
    assert_eq!((shown(&bench), runs()), (expected, 1), "what it said holds until it is asked again");
    bench.clock.advance(Duration::from_secs(1));
    std::fs::remove_dir_all(bench.path("sys/class/hailo_chardev/hailo0")).unwrap();
    monitor.poll().await;
    assert_eq!((shown(&bench), runs()), (answers(1, 0).split_off(1), 2), "one that is gone has no series any more");
}

#[tokio::test]
async fn a_hailo_without_the_program_is_not_said_to_be_silent() {
    let bench = two();
    std::fs::write(bench.path("sys/bus/pci/devices/0000:01:00.0/power_state"), "D0\n").unwrap();
    monitor(&bench, None).poll().await;
    assert_eq!(shown(&bench), [r#"watchfire_gpu_pcie_power_state{gpu="hailo0"} 0"#]);
}

#[tokio::test]
async fn the_program_of_hailo_is_not_asked_without_a_device() {
    let bench = Bench::new();
    monitor(&bench, Some("echo run >> $DIR/runs\n")).poll().await;
    assert!(!bench.path("runs").exists());
    assert!(bench.sink.batches().is_empty());
}

#[tokio::test]
async fn a_program_of_hailo_that_hangs_or_talks_nonsense_means_silence() {
    let talks = two();
    monitor(&talks, Some("printf 'Executing on device\\n:::\\n\\377\\n'\n")).poll().await;
    assert_eq!(shown(&talks), answers(0, 0));
    let hangs = two();
    let monitor = monitor(&hangs, Some("echo run >> $DIR/runs\nexec tail -f /dev/null\n"));
    monitor.poll().await;
    assert_eq!(shown(&hangs), answers(0, 0));
    monitor.poll().await;
    assert_eq!(std::fs::read_to_string(hangs.path("runs")).unwrap(), "run\n", "it is not tried with every look");
}
