//! The worker that looks at pictures: movement from one picture to the next, and number plates. Plates are drawn as points, spoilt by the
//! bytes of a real picture, and read back by comparing; how many were read rightly is the accuracy.

use std::collections::{BTreeMap, VecDeque};
use std::io::Result;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock;
use crate::faults::Known;
use crate::http;
use crate::part::Part;
use crate::plan::Plan;

/// Jobs that wait at most; a job that finds no room counts as dropped.
const JOBS_MAX: usize = 200;
const TIMEOUT: Duration = Duration::from_secs(5);
/// A picture whose size differs by more than this share has movement in it.
const MOVEMENT: f64 = 0.002;
const SLOW_MS: u64 = 500;
/// Digits as three by five points, row by row.
const DIGITS: [u16; 10] = [0x7b6f, 0x2c97, 0x73e7, 0x73cf, 0x5bc9, 0x79cf, 0x79ef, 0x7249, 0x7bef, 0x7bcf];

const FAULTS: &[Known] = &[("slow-model", "every job takes half a second longer, so jobs wait")];

struct Job {
    kind: &'static str,
    camera: String,
    picture: Vec<u8>,
}

type Jobs = Arc<Mutex<VecDeque<Job>>>;

pub(crate) fn run(plan: Plan) -> Result<()> {
    let part = Part::new("ai-worker", plan, FAULTS);
    let jobs: Jobs = Arc::default();
    let feeding = jobs.clone();
    part.every(500, move |part| feed(part, &feeding))?;
    let mut before: BTreeMap<String, usize> = BTreeMap::new();
    let mut read: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    part.every(10, move |part| {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        if let Some(job) = job {
            work(part, &job, &mut before, &mut read);
        }
        let waiting = jobs.lock().unwrap_or_else(PoisonError::into_inner);
        for kind in ["motion", "lpr"] {
            part.metrics.set("ai_jobs_queued_total", &[("job_type", kind)], waiting.iter().filter(|job| job.kind == kind).count() as f64);
        }
    })?;
    part.serve("/metrics", |_| None)?;
    part.live()
}

fn feed(part: &Part, jobs: &Jobs) {
    for (camera, node) in part.plan.all_cameras() {
        let Ok((200, picture)) = http::ask(&part.plan.address(&node), "GET", &format!("/frame/{camera}"), b"", TIMEOUT) else { continue };
        for kind in ["motion", "lpr"] {
            let mut jobs = jobs.lock().unwrap_or_else(PoisonError::into_inner);
            if jobs.len() < JOBS_MAX {
                jobs.push_back(Job { kind, camera: camera.clone(), picture: picture.clone() });
            } else {
                part.metrics.add("ai_jobs_processed_total", &[("job_type", kind), ("status", "dropped")], 1.0);
            }
        }
    }
}

fn work(part: &Part, job: &Job, before: &mut BTreeMap<String, usize>, read: &mut BTreeMap<String, (f64, f64)>) {
    let began = clock::now();
    let camera: &[(&str, &str)] = &[("camera_id", &job.camera)];
    if job.kind == "motion" {
        let bytes = job.picture.len();
        let moved = before.insert(job.camera.clone(), bytes).is_some_and(|before| (bytes.abs_diff(before)) as f64 > before as f64 * MOVEMENT);
        part.metrics.add("motion_events_detected_total", camera, f64::from(u8::from(moved)));
    } else {
        let plate: Vec<usize> = job.picture.iter().rev().skip(2).step_by(97).take(6).map(|byte| usize::from(byte % 10)).collect();
        let right = plate.iter().enumerate().filter(|(i, digit)| recognise(spoilt(DIGITS[**digit], &job.picture, *i)) == **digit).count();
        let so_far = read.entry(job.camera.clone()).or_default();
        *so_far = (so_far.0 + right as f64, so_far.1 + plate.len() as f64);
        part.metrics.set("lpr_detection_accuracy", camera, so_far.0 / so_far.1.max(1.0) * 100.0);
    }
    if part.faults.is("slow-model") {
        clock::pause_ms(SLOW_MS);
    }
    part.metrics.set("ai_processing_duration_seconds", &[("job_type", job.kind)], began.elapsed().as_secs_f64());
    part.metrics.add("ai_jobs_processed_total", &[("job_type", job.kind), ("status", "success")], 1.0);
}

/// A digit of which about one point in sixteen is wrong, as the bytes of the picture say.
fn spoilt(points: u16, picture: &[u8], at: usize) -> u16 {
    (0..15).fold(points, |points, bit| {
        let byte = picture.get(700 + at * 15 + bit).copied().unwrap_or(255);
        if byte % 16 == 0 { points ^ (1 << bit) } else { points }
    })
}

/// The digit that has most points in common.
fn recognise(points: u16) -> usize {
    (0..10).min_by_key(|digit| (DIGITS[*digit] ^ points).count_ones()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_read_unless_they_are_too_much_spoilt() {
        for (digit, points) in DIGITS.into_iter().enumerate() {
            assert_eq!(recognise(points), digit);
            assert_eq!(spoilt(points, &[1; 2_000], 0), points);
        }
        assert_ne!(recognise(!DIGITS[1] & 0x7fff), 1);
    }
}
