//! The cameras: each draws a picture twice a second, writes it to a file and tells the backend, as a camera's upload does.

use std::io::Result;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::scene;
use crate::faults::Known;
use crate::http;
use crate::part::Part;
use crate::plan::Plan;

pub(crate) const CAMERAS: [&str; 2] = ["front_door", "back_yard"];
/// Files of one camera; older ones are written over.
const FILES_MAX: usize = 2_000;
const TIMEOUT: Duration = Duration::from_secs(5);

const FAULTS: &[Known] = &[
    ("torn", "only half of each picture is written (of=CAMERA)"),
    ("crowd", "fifteen things are in each picture (of=CAMERA)"),
    ("off", "no pictures are taken (of=CAMERA)"),
];

pub(crate) fn run(plan: Plan) -> Result<()> {
    let part = Part::new("cameras", plan, FAULTS);
    part.serve("/metrics", |_| None)?;
    for (i, camera) in CAMERAS.into_iter().enumerate() {
        let dir = part.plan.dir.join("frames").join(camera);
        std::fs::create_dir_all(&dir)?;
        let mut step = i * 31;
        part.every(500, move |part| {
            step += 1;
            // A picture that cannot be written or told of is missed, as one of a camera would be.
            if !part.faults.is_of("off", camera) {
                drop(take(part, camera, &dir, step));
            }
        })?;
    }
    part.live()
}

fn take(part: &Part, camera: &str, dir: &Path, step: usize) -> Result<()> {
    let picture = scene::draw(&boxes(step, part.faults.is_of("crowd", camera)), step);
    let whole = if part.faults.is_of("torn", camera) { picture.len() / 2 } else { picture.len() };
    let path = dir.join(format!("{:05}.pgm", step % FILES_MAX));
    // Under another name first, so that nobody sees half of it unless it is to be torn.
    let written = path.with_extension("part");
    std::fs::write(&written, picture.get(..whole).unwrap_or_default())?;
    std::fs::rename(written, &path)?;
    let body = json!({"camera_id": camera, "file_path": path}).to_string();
    http::ask(&part.plan.address("backend"), "POST", "/api/ingest", body.as_bytes(), TIMEOUT).map(|_| ())
}

/// One thing crosses the picture, of another shape each time; or there is a crowd.
fn boxes(step: usize, crowd: bool) -> Vec<(usize, usize, usize, usize)> {
    if crowd {
        return (0..15).map(|i| (4 + i % 5 * 31 + step % 4, 4 + i / 5 * 39, 10, 28)).collect();
    }
    let shape = [(10, 28), (36, 14), (14, 14)];
    let (width, height) = shape.get(step / 30 % 3).copied().unwrap_or((10, 28));
    vec![(step % 30 * 4 + 2, 40, width, height)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_picture_shows_what_was_put_into_it() {
        let classes = |step: usize| scene::detect(&scene::draw(&boxes(step, false), step)).unwrap().iter().map(|f| f.class).collect::<Vec<_>>();
        assert_eq!((classes(0), classes(31), classes(62)), (vec!["person"], vec!["car"], vec!["cat"]));
        for step in 0..12 {
            let crowd = scene::detect(&scene::draw(&boxes(step, true), step)).unwrap();
            assert_eq!(crowd.len(), 15, "{step}");
        }
    }
}
