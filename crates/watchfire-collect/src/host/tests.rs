//! The host collector as a whole, on a small host made of files in `tests/fixtures/host`. What the real machine says is compared
//! with node_exporter in `tests/node_exporter.rs`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use watchfire_model::batch::{Batch, MetricType};
use watchfire_model::meter::Meter;
use watchfire_model::sample::is_stale;
use watchfire_model::time::{ManualClock, Timestamp};

use super::filesystem::{Ask, MountStatus, mounts};
use super::*;

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/host")
}

const STATUS: MountStatus = MountStatus { size: 1000.0, free: 400.0, avail: 300.0, files: 50.0, files_free: 40.0 };

fn host_below(root: &Path, change: impl FnOnce(&mut Settings), ask: Ask) -> HostCollector {
    let mut settings = Settings { root: root.to_owned(), ..Settings::new("pi") };
    change(&mut settings);
    HostCollector::asking(settings, ManualClock::new(Timestamp(1_767_000_500_250)), &Meter::new(), ask).unwrap()
}

fn host() -> HostCollector {
    host_below(&fixture(), |s| s.enabled.push("processes".to_owned()), Arc::new(|_| Ok(STATUS)))
}

/// All series of a batch as `name{labels} value`, without job and instance.
fn lines(batch: &Batch) -> Vec<String> {
    let line = |s: &watchfire_model::batch::SeriesSamples| {
        assert_eq!((s.labels.get("job"), s.labels.get("instance")), (Some("node"), Some("pi")), "{}", s.labels);
        format!("{} {}", s.labels.without("job").without("instance"), s.samples.as_slice()[0].value)
    };
    batch.series.iter().map(line).collect()
}

#[test]
fn every_collector_reads_the_fixture() {
    let batch = host().poll();
    let lines = lines(&batch);
    for expected in [
        r#"node_cpu_seconds_total{cpu="0", mode="idle"} 450"#,
        r#"node_cpu_seconds_total{cpu="1", mode="steal"} 0.03"#,
        r#"node_cpu_guest_seconds_total{cpu="0", mode="user"} 0.07"#,
        r#"node_cpu_core_throttles_total{core="0", package="0"} 3"#,
        r#"node_cpu_package_throttles_total{package="0"} 5"#,
        r#"node_cpu_scaling_frequency_hertz{cpu="0"} 1500000000"#,
        "node_memory_MemTotal_bytes 3977535488",
        "node_memory_Active_anon_bytes 10240000",
        "node_memory_HugePages_Total 4",
        "node_load1 0.52",
        "node_load15 0.59",
        r#"node_disk_read_bytes_total{device="mmcblk0"} 40960000"#,
        r#"node_disk_io_time_seconds_total{device="mmcblk0"} 9"#,
        r#"node_disk_io_now{device="mmcblk0"} 1"#,
        r#"node_disk_written_bytes_total{device="sda"} 8192000"#,
        // node_exporter counts partitions of SD cards as well; the pack's names do not.
        r#"node_disk_reads_completed_total{device="mmcblk0p1"} 10"#,
        r#"node_disk_info{device="sda", major="8", minor="0"} 1"#,
        r#"node_filesystem_avail_bytes{device="/dev/mmcblk0p2", fstype="ext4", mountpoint="/"} 300"#,
        r#"node_filesystem_readonly{device="/dev/sda1", fstype="xfs", mountpoint="/srv/video archive"} 1"#,
        r#"node_filesystem_device_error{device="nas:/export", fstype="nfs4", mountpoint="/mnt/nas"} 0"#,
        r#"node_network_receive_bytes_total{device="eth0"} 5000000"#,
        r#"node_network_transmit_carrier_total{device="eth0"} 6"#,
        r#"node_network_receive_nohandler_total{device="eth0"} 9"#,
        r#"node_network_info{address="dc:a6:32:01:02:03", device="eth0", operstate="up"} 1"#,
        r#"node_network_up{device="eth0"} 1"#,
        r#"node_network_speed_bytes{device="eth0"} 125000000"#,
        r#"node_network_flags{device="eth0"} 4099"#,
        r#"node_arp_entries{device="eth0"} 2"#,
        "node_netstat_TcpExt_ListenDrops 3",
        "node_netstat_IpExt_OutOctets 5678",
        "node_netstat_Ip_Forwarding 1",
        "node_netstat_Icmp6_InErrors 1",
        "node_sockstat_TCP_mem 3",
        "node_sockstat_sockets_used 27",
        r#"node_softnet_processed_total{cpu="3"} 13964"#,
        r#"node_softnet_dropped_total{cpu="0"} 1"#,
        r#"node_udp_queues{ip="v4", queue="rx"} 34"#,
        "node_nf_conntrack_entries 100",
        "node_nf_conntrack_stat_found 11",
        "node_nf_conntrack_stat_invalid 20",
        "node_nf_conntrack_stat_search_restart 3",
        "node_filefd_allocated 1024",
        "node_filefd_maximum 380000",
        "node_entropy_available_bits 256",
        "node_boot_time_seconds 1767000000",
        "node_context_switches_total 987654",
        "node_procs_blocked 1",
        r#"node_processes_state{state="S"} 1"#,
        "node_processes_threads 4",
        "node_pressure_cpu_waiting_seconds_total 2.5",
        "node_pressure_io_stalled_seconds_total 0.5",
        r#"node_schedstat_timeslices_total{cpu="0"} 77"#,
        "node_vmstat_pgmajfault 30",
        r#"node_os_version{id="debian", name="Debian GNU/Linux"} 12.5"#,
        r#"node_thermal_zone_temp{type="cpu-thermal", zone="0"} 48.686"#,
        r#"node_cooling_device_max_state{name="0", type="pwm-fan"} 4"#,
        r#"node_hwmon_temp_celsius{chip="coretemp", sensor="temp1"} 45"#,
        r#"node_hwmon_temp_crit_alarm_celsius{chip="coretemp", sensor="temp1"} 0"#,
        r#"node_hwmon_sensor_label{chip="coretemp", label="Package id 0", sensor="temp1"} 1"#,
        r#"node_hwmon_fan_rpm{chip="coretemp", sensor="fan2"} 1200"#,
        r#"node_hwmon_in_volts{chip="coretemp", sensor="in0"} 12.06"#,
        r#"node_hwmon_power_average_watt{chip="coretemp", sensor="power1"} 12.5"#,
        r#"node_dmi_info{product_name="Board 1", system_vendor="Acme"} 1"#,
        r#"node_edac_correctable_errors_total{controller="0"} 2"#,
        r#"node_edac_csrow_correctable_errors_total{controller="0", csrow="unknown"} 1"#,
        r#"node_time_clocksource_current_info{clocksource="tsc", device="0"} 1"#,
        "node_time_seconds 1767000500.25",
        r##"node_uname_info{domainname="(none)", nodename="pi", release="6.6.20-rpi", sysname="Linux", version="#1 SMP PREEMPT"} 1"##,
        "node_selinux_enabled 1",
        r#"node_md_disks{device="md0", state="active"} 1"#,
        r#"node_md_state{device="md0", state="recovering"} 1"#,
        r#"node_nvme_info{device="nvme0", model="Fast One", serial="S1", state="live"} 1"#,
        r#"node_scrape_collector_success{collector="hwmon"} 1"#,
        // The pack's own names.
        r#"disk_space_total_bytes{mount_point="/srv/video archive"} 1000"#,
        r#"disk_space_free_bytes{mount_point="/"} 300"#,
        r#"disk_space_used_bytes{mount_point="/"} 600"#,
        r#"disk_io_write_bytes_total{device="sda"} 8192000"#,
        r#"network_bytes_sent_total{interface="eth0"} 7000000"#,
        r#"network_errors_total{interface="eth0"} 7"#,
        r#"network_drops_total{interface="eth0"} 7"#,
    ] {
        assert!(lines.iter().any(|l| l == expected), "missing {expected}; similar: {:#?}", similar(&lines, expected));
    }
    for absent in [
        "loop0",
        r#"disk_io_read_bytes_total{device="mmcblk0p1""#,
        r#"device="sda1""#,
        "bonding_masters",
        "overlay",
        r#"interface="lo""#,
        r#"mount_point="/run""#,
        "nr_free_pages",
    ] {
        assert!(!lines.iter().any(|l| l.contains(absent)), "{absent} should be left out");
    }
}

fn similar<'a>(lines: &'a [String], expected: &str) -> Vec<&'a String> {
    let name = expected.split(['{', ' ']).next().unwrap();
    lines.iter().filter(|l| l.starts_with(name)).collect()
}

#[test]
fn metadata_comes_with_the_first_batch_and_not_with_every_one() {
    let host = host();
    let first = host.poll();
    let kind = |name: &str| first.metadata.iter().find(|m| &*m.family == name).map(|m| m.kind);
    assert_eq!(kind("node_cpu_seconds_total"), Some(MetricType::Counter));
    assert_eq!(kind("node_memory_MemTotal_bytes"), Some(MetricType::Gauge));
    assert_eq!(kind("node_netstat_Tcp_CurrEstab"), Some(MetricType::Unknown));
    assert_eq!(kind("disk_io_latency_ms"), Some(MetricType::Histogram));
    assert_eq!(kind("disk_io_latency_ms_bucket"), None);
    let second = host.poll();
    assert!(second.metadata.is_empty());
    assert_eq!(second.series.len(), first.series.len());
    // The label sets are the same allocation, not only equal.
    let packed = |b: &Batch| b.series.iter().map(|s| s.labels.packed().as_ptr()).collect::<Vec<_>>();
    assert_eq!(packed(&first), packed(&second));
}

#[test]
fn families_for_an_exporter_face_hold_nodes_names_only() {
    let families = host().families();
    assert!(families.iter().all(|f| f.name.starts_with("node_")), "the pack's names do not belong there");
    assert!(families.is_sorted_by(|a, b| a.name < b.name));
    let load = families.iter().find(|f| &*f.name == "node_load1").unwrap();
    assert_eq!(load.points[0].0.to_string(), "node_load1");
}

/// A copy of the fixture that a test may change.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_series_that_vanishes_is_ended_once() {
    let dir = tempfile::tempdir().unwrap();
    copy(&fixture(), dir.path());
    let host = host_below(dir.path(), |_| {}, Arc::new(|_| Ok(STATUS)));
    host.poll();
    std::fs::remove_dir_all(dir.path().join("sys/class/thermal/thermal_zone0")).unwrap();
    let ended =
        |b: &Batch| -> Vec<String> { b.series.iter().filter(|s| is_stale(s.samples.as_slice()[0].value)).map(|s| s.labels.metric_name().to_owned()).collect() };
    assert_eq!(ended(&host.poll()), ["node_thermal_zone_temp"]);
    assert!(ended(&host.poll()).is_empty());
}

#[test]
fn disk_latency_is_a_histogram_of_what_happened_between_polls() {
    let dir = tempfile::tempdir().unwrap();
    copy(&fixture(), dir.path());
    let host = host_below(dir.path(), |_| {}, Arc::new(|_| Ok(STATUS)));
    let value =
        |batch: &Batch, start: &str| lines(batch).iter().find(|l| l.starts_with(start)).and_then(|l| l.rsplit(' ').next()?.parse::<f64>().ok()).unwrap();
    assert_eq!(value(&host.poll(), r#"disk_io_latency_ms_count{device="sda", operation="read"}"#), 0.0);
    // Ten more reads that took 200 ms together: 20 ms each.
    let text = "   8       0 sda 510 0 40000 2700 100 0 16000 900 0 1200 3400\n";
    std::fs::write(dir.path().join("proc/diskstats"), text).unwrap();
    let batch = host.poll();
    assert_eq!(value(&batch, r#"disk_io_latency_ms_bucket{device="sda", le="10.0", operation="read"}"#), 0.0);
    assert_eq!(value(&batch, r#"disk_io_latency_ms_bucket{device="sda", le="25.0", operation="read"}"#), 10.0);
    assert_eq!(value(&batch, r#"disk_io_latency_ms_bucket{device="sda", le="+Inf", operation="read"}"#), 10.0);
    assert_eq!(value(&batch, r#"disk_io_latency_ms_sum{device="sda", operation="read"}"#), 200.0);
    assert_eq!(value(&batch, r#"disk_io_latency_ms_count{device="sda", operation="write"}"#), 0.0);
}

/// A mount that hangs until it is let go.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
    asked: AtomicBool,
}
impl Gate {
    fn wait(&self) {
        self.asked.store(true, Ordering::SeqCst);
        let mut open = self.open.lock().unwrap();
        while !*open {
            open = self.opened.wait(open).unwrap();
        }
    }
    fn release(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

#[test]
fn a_stuck_mount_does_not_stop_the_others_and_comes_back() {
    let gate = Arc::new(Gate::default());
    let behind = gate.clone();
    let ask: Ask = Arc::new(move |path| {
        if path.ends_with("mnt/nas") {
            behind.wait();
        }
        Ok(STATUS)
    });
    let host = host_below(&fixture(), |s| s.mount_timeout = Duration::from_millis(500), ask);
    let error = r#"node_filesystem_device_error{device="nas:/export", fstype="nfs4", mountpoint="/mnt/nas"} 1"#.to_owned();
    let root = r#"node_filesystem_size_bytes{device="/dev/mmcblk0p2", fstype="ext4", mountpoint="/"} 1000"#.to_owned();
    for poll in 0..3 {
        let lines = lines(&host.poll());
        assert!(lines.contains(&error) && lines.contains(&root), "poll {poll}");
        // Only the first poll asks: a stuck mount is left alone.
        assert_eq!(gate.asked.swap(false, Ordering::SeqCst), poll == 0, "poll {poll}");
    }
    gate.release();
    let back = (0..200).any(|_| {
        std::thread::yield_now();
        !lines(&host.poll()).contains(&error)
    });
    assert!(back, "the mount answers again and is asked again");
}

#[test]
fn a_mount_that_refuses_is_an_error_of_that_mount() {
    let ask: Ask = Arc::new(|path| if path.ends_with("mnt/nas") { Err(io::Error::other("stale handle")) } else { Ok(STATUS) });
    let lines = lines(&host_below(&fixture(), |_| {}, ask).poll());
    assert!(lines.iter().any(|l| l.starts_with("node_filesystem_device_error{device=\"nas:/export\"") && l.ends_with(" 1")));
    assert!(!lines.iter().any(|l| l.starts_with("node_filesystem_size_bytes{device=\"nas:/export\"")));
}

#[test]
fn a_collector_that_panics_does_not_cost_the_others() {
    struct Defect;
    impl Collector for Defect {
        fn collect(&mut self, _: &mut Files, _: &mut Gather<'_>) -> Result<(), HostError> {
            panic!("a defect");
        }
    }
    let host = host();
    let defect = Running { name: "defect", node: true, collector: Box::new(Defect), failing: false };
    host.inner.lock().unwrap().running.insert(0, defect);
    let lines = lines(&host.poll());
    assert!(lines.contains(&"node_load1 0.52".to_owned()));
    assert!(lines.contains(&r#"node_scrape_collector_success{collector="defect"} 0"#.to_owned()));
}

#[test]
fn a_host_without_anything_gives_no_values_and_no_panic() {
    let dir = tempfile::tempdir().unwrap();
    let lines = lines(&host_below(dir.path(), |_| {}, Arc::new(|_| Ok(STATUS))).poll());
    assert!(lines.contains(&r#"node_scrape_collector_success{collector="cpu"} 0"#.to_owned()));
    assert!(!lines.iter().any(|l| l.starts_with("node_cpu_seconds_total")));
}

#[test]
fn collectors_can_be_switched_off_and_bad_patterns_are_refused() {
    let off = host_below(&fixture(), |s| s.disabled.push("cpu".to_owned()), Arc::new(|_| Ok(STATUS)));
    assert!(!lines(&off.poll()).iter().any(|l| l.starts_with("node_cpu_seconds_total")));
    let settings = Settings { disks_exclude: "(".to_owned(), ..Settings::new("pi") };
    let Err(error) = HostCollector::new(settings, ManualClock::new(Timestamp(0)), &Meter::new()) else { panic!("accepted") };
    assert_eq!(error.to_string(), "cannot use the pattern (");
}

#[test]
fn processor_time_never_slips_back_unless_the_processor_was_away() {
    let dir = tempfile::tempdir().unwrap();
    copy(&fixture(), dir.path());
    let host = host_below(dir.path(), |_| {}, Arc::new(|_| Ok(STATUS)));
    let idle = |ticks: u32| {
        std::fs::write(dir.path().join("proc/stat"), format!("cpu0 1 1 1 {ticks} 1 1 1 1 1 1\n")).unwrap();
        lines(&host.poll()).into_iter().find(|l| l.contains(r#"node_cpu_seconds_total{cpu="0", mode="idle"}"#)).unwrap()
    };
    for (ticks, seconds) in [(45_000, "450"), (44_990, "450"), (45_100, "451"), (10, "0.1")] {
        assert!(idle(ticks).ends_with(&format!(" {seconds}")), "{ticks}");
    }
}

proptest::proptest! {
    #[test]
    fn any_text_in_any_file_is_survived(text in "(\\PC|[ \n:0-9a-z]){0,200}") {
        let dir = tempfile::tempdir().unwrap();
        for file in ["proc/stat", "proc/meminfo", "proc/diskstats", "proc/1/mounts", "proc/net/dev", "proc/net/netstat", "proc/net/snmp6",
            "proc/net/sockstat", "proc/net/softnet_stat", "proc/net/stat/nf_conntrack", "proc/schedstat", "proc/vmstat", "etc/os-release"] {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, &text).unwrap();
        }
        let _batch = host_below(dir.path(), |_| {}, Arc::new(|_| Ok(STATUS))).poll();
    }
}

#[test]
fn mount_tables_are_unescaped_and_repeats_left_out() {
    let found = mounts("/dev/a /x\\040y ext4 ro 0 0\n/dev/a /x\\040y ext4 rw 0 0\nshort\n");
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].mount_point.as_str(), found[0].read_only), ("/x y", true));
}
