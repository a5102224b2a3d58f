//! What the `nvidia-smi` program says: one line of CSV per GPU.

use std::ffi::OsString;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

use watchfire_model::live::{GpuOrigin, GpuSample, ViewFuture};
use watchfire_model::time::Timestamp;

use super::{Detail, GPUS_MAX, GpuSource, Kind, Program, Reading, blank, failed};
use crate::gpu::GpuError;

const ORIGIN: GpuOrigin = GpuOrigin::NvidiaSmi;
/// What every version of the program knows, in the order of the original monitor.
const FIELDS: &str = "--query-gpu=temperature.gpu,power.draw,utilization.gpu,memory.used,memory.total,name";
/// What newer versions know, appended. The reasons of lowered clocks have two names, of which a version may know only one.
const MORE_FIELDS: [&str; 2] = [
    ",index,power.limit,clocks_throttle_reasons.active,fan.speed,clocks.sm,clocks.mem,pstate",
    ",index,power.limit,clocks_event_reasons.active,fan.speed,clocks.sm,clocks.mem,pstate",
];
/// What is asked for beside the sample.
const DETAIL_FIELDS: &str = ",utilization.memory,utilization.encoder,utilization.decoder,clocks.max.sm,ecc.errors.corrected.aggregate.total,\
                             ecc.errors.uncorrected.aggregate.total,pcie.link.gen.current,pcie.link.width.current";
/// The same in the order of the fields.
const DETAILS: [Kind; 8] =
    [Kind::MemoryBandwidth, Kind::Encoder, Kind::Decoder, Kind::MaxSmClock, Kind::EccCorrected, Kind::EccUncorrected, Kind::PcieGeneration, Kind::PcieWidth];
/// Where they begin.
const DETAILS_AT: usize = 13;
const FIELDS_MIN: usize = 6;

pub(crate) struct NvidiaSmi {
    program: Program,
    /// Which lists of fields the program takes: all with either name of the reasons (4, 3), those without details (2, 1), the first only (0).
    more: AtomicU8,
    details: Mutex<Vec<Detail>>,
}

impl NvidiaSmi {
    pub(crate) fn new(program: OsString, search_path: Option<OsString>) -> NvidiaSmi {
        NvidiaSmi { program: Program::new(program, search_path, ("LC_ALL", "C")), more: AtomicU8::new(4), details: Mutex::default() }
    }

    async fn ask(&self, at: Timestamp) -> Result<Vec<Reading>, GpuError> {
        let mut refused = String::new();
        for more in (0..=self.more.load(Ordering::Relaxed)).rev() {
            let named = MORE_FIELDS[usize::from(more % 2 == 1)];
            let fields = match more {
                3.. => format!("{FIELDS}{named}{DETAIL_FIELDS}"),
                1 | 2 => format!("{FIELDS}{named}"),
                0 => FIELDS.to_owned(),
            };
            match self.program.run(&[&fields, "--format=csv,noheader,nounits"]).await.map_err(|error| failed(ORIGIN, error.to_string()))? {
                (true, text) => {
                    let readings = parse(&text, at)?;
                    *self.details.lock().unwrap_or_else(PoisonError::into_inner) = details(&text);
                    // It knows these fields only: do not ask for the others again.
                    self.more.store(more, Ordering::Relaxed);
                    return Ok(readings);
                }
                (false, text) => refused = text,
            }
        }
        Err(failed(ORIGIN, first_line(&refused)))
    }
}

impl GpuSource for NvidiaSmi {
    fn origin(&self) -> GpuOrigin {
        ORIGIN
    }

    fn read(&self, at: Timestamp) -> ViewFuture<'_, Result<Vec<Reading>, GpuError>> {
        Box::pin(self.ask(at))
    }

    fn details(&self) -> Vec<Detail> {
        self.details.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default().trim();
    if line.is_empty() { "it failed without a word".to_owned() } else { line.chars().take(200).collect() }
}

/// Reads the program's lines.
fn parse(text: &str, at: Timestamp) -> Result<Vec<Reading>, GpuError> {
    let (mut readings, mut unexpected) = (Vec::new(), None);
    for (line, row) in text.lines().filter(|l| !l.trim().is_empty()).take(GPUS_MAX as usize).zip(0..) {
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        if cells.len() < FIELDS_MIN {
            // One GPU that is lost is a sentence between the lines of the others.
            unexpected.get_or_insert(line);
            continue;
        }
        let index = cells.get(6).and_then(|c| c.parse().ok()).unwrap_or(row);
        readings.push((index, sample(&cells, at)));
    }
    match unexpected {
        _ if !readings.is_empty() => Ok(readings),
        Some(line) => Err(failed(ORIGIN, format!("unexpected answer: {}", first_line(line)))),
        None => Err(failed(ORIGIN, "it knows no GPU")),
    }
}

/// What stands in the lines beside the samples.
fn details(text: &str) -> Vec<Detail> {
    let mut details = Vec::new();
    for (line, row) in text.lines().filter(|l| !l.trim().is_empty()).take(GPUS_MAX as usize).zip(0..) {
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        if cells.len() <= DETAILS_AT {
            continue;
        }
        let gpu = cells.get(6).and_then(|c| c.parse().ok()).unwrap_or(row);
        let figures = DETAILS.into_iter().zip(cells.iter().skip(DETAILS_AT));
        details.extend(figures.filter_map(|(kind, cell)| Detail::of(gpu, kind, value(cell))));
    }
    details
}

fn sample(cells: &[&str], at: Timestamp) -> GpuSample {
    let float = |i: usize| cells.get(i).and_then(|c| value(c));
    let whole = |i: usize| float(i).filter(|v| *v >= 0.0).map(|v| v.round() as u64);
    let hex = |i: usize| cells.get(i).and_then(|c| u64::from_str_radix(c.strip_prefix("0x")?, 16).ok());
    let mut sample = blank(cells.get(5).copied().unwrap_or_default().to_owned(), ORIGIN, at);
    sample.temperature = float(0);
    sample.power_usage = float(1);
    sample.utilization = float(2);
    sample.memory_used_mb = whole(3);
    sample.memory_total_mb = whole(4);
    sample.power_limit = float(7);
    sample.throttle_reasons = hex(8);
    sample.fan_speed = float(9);
    sample.sm_clock = whole(10);
    sample.memory_clock = whole(11);
    sample.pstate = cells.get(12).and_then(|c| c.strip_prefix('P')?.parse().ok());
    sample
}

/// A number, with or without its unit; `[N/A]` and its relatives are unknown.
fn value(cell: &str) -> Option<f64> {
    cell.split_ascii_whitespace().next()?.parse().ok().filter(|v: &f64| v.is_finite())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn gpu_02_nvidia_smi_lines_are_read() {
        let text = "62, 125.50, 45, 8192, 24576, NVIDIA RTX A5500, 0, 230.00, 0x0000000000000004, 30, 1695, 8001, P2\n40, [N/A], [Not Supported], 1, 2, NVIDIA T4, 3\n";
        let readings = parse(text, Timestamp(5)).unwrap();
        let first = &readings[0].1;
        assert_eq!((readings[0].0, first.name.as_str()), (0, "NVIDIA RTX A5500"));
        assert_eq!((first.temperature, first.power_usage, first.utilization), (Some(62.0), Some(125.5), Some(45.0)));
        assert_eq!((first.memory_used_mb, first.memory_total_mb), (Some(8192), Some(24576)));
        assert_eq!((first.power_limit, first.throttle_reasons, first.fan_speed), (Some(230.0), Some(4), Some(30.0)));
        assert_eq!((first.sm_clock, first.memory_clock, first.pstate), (Some(1695), Some(8001), Some(2)));
        assert_eq!((first.recorded_at, first.origin), (Timestamp(5), GpuOrigin::NvidiaSmi));
        let second = &readings[1];
        assert_eq!((second.0, second.1.power_usage, second.1.utilization, second.1.pstate), (3, None, None, None));
    }

    #[test]
    fn what_stands_beside_the_sample_is_read() {
        let text = "62, 125.5, 45, 8192, 24576, X, 1, 230.0, 0x4, 30, 1695, 8001, P2, 17, 5, 8, 2100, 0, [N/A], 4, 16\n40, 1, 2, 3, 4, Y\n";
        let found: Vec<_> = details(text).into_iter().map(|d| (d.gpu, d.kind, d.value)).collect();
        let expected = [
            (1, Kind::MemoryBandwidth, 17.0),
            (1, Kind::Encoder, 5.0),
            (1, Kind::Decoder, 8.0),
            (1, Kind::MaxSmClock, 2100.0),
            (1, Kind::EccCorrected, 0.0),
            (1, Kind::PcieGeneration, 4.0),
            (1, Kind::PcieWidth, 16.0),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn gpus_that_are_lost_or_divided_are_no_hindrance() {
        // With MIG a card does not say how busy it is; one that fell off the bus is a sentence; some figures are errors.
        let text = "Unable to determine the device handle for GPU0000:01:00.0: Unknown Error\n\
                    40, [Insufficient Permissions], [N/A], [N/A], 81559, NVIDIA H100 80GB HBM3, 1, [N/A], [N/A], [N/A], 345, 2619, P0, [N/A], [N/A], ERR!, 1980\n\
                    [GPU is lost], [GPU is lost], nan, inf, -1, NVIDIA T4, 2, [Unknown Error], Active, 30 %, 300 MHz, 405 MHz, P8\n";
        let readings = parse(text, Timestamp(0)).unwrap();
        assert_eq!(readings.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1, 2]);
        let (divided, lost) = (&readings[0].1, &readings[1].1);
        assert_eq!((divided.utilization, divided.memory_used_mb, divided.memory_total_mb), (None, None, Some(81_559)));
        assert_eq!((divided.power_usage, divided.throttle_reasons, divided.sm_clock, divided.pstate), (None, None, Some(345), Some(0)));
        assert_eq!((lost.temperature, lost.utilization, lost.memory_used_mb, lost.memory_total_mb), (None, None, None, None));
        assert_eq!((lost.fan_speed, lost.sm_clock, lost.pstate), (Some(30.0), Some(300), Some(8)));
        let figures: Vec<_> = details(text).into_iter().map(|d| (d.gpu, d.kind, d.value)).collect();
        assert_eq!(figures, [(1, Kind::MaxSmClock, 1980.0)]);
    }

    #[test]
    fn units_and_short_lines() {
        let readings = parse("62, 125.5 W, 45 %, 8192 MiB, 24576 MiB, X\n", Timestamp(0)).unwrap();
        assert_eq!((readings[0].1.power_usage, readings[0].1.memory_used_mb), (Some(125.5), Some(8192)));
        for bad in ["", "\n\n", "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", "1, 2, 3"] {
            assert!(parse(bad, Timestamp(0)).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_output_is_survived(text in "([0-9a-zA-Z\\[\\]/., \\n%-]|\\PC){0,300}") {
            let _outcome = parse(&text, Timestamp(0)).map(|r| r.len());
        }
    }
}
