//! The prompt for a batch, in the sections that the pipeline's prompts have and that the server knows how to leave out. All in it
//! was measured; how to answer stands at the end.

use crate::jobs::{BatchJob, Detection};

/// Builds the prompt.
pub(crate) fn build(job: &BatchJob) -> String {
    let mut text = String::from("You judge movements that security cameras saw, between 0 (harmless) and 100 (dangerous).\n\n");
    let mut section = |title: &str, lines: &[String]| {
        text.push_str(&format!("## {title}\n"));
        lines.iter().for_each(|line| text.push_str(&format!("{line}\n")));
        text.push('\n');
    };
    section("Scene Analysis", &scene(job));
    section("Detections With All Attributes", &job.detections.iter().enumerate().map(|(i, d)| detection(i, d, job)).collect::<Vec<_>>());
    section("Zone Analysis", &zones(job));
    section("Baseline Comparison", &[baseline(job)]);
    section("Cross Camera Summary", &job.elsewhere.iter().map(|(name, n)| format!("{name}: {n} movements in the last minute")).collect::<Vec<_>>());
    section("Image Quality Context", &quality(job));
    text.push_str("## Output Format\nAnswer with one JSON object and nothing else: {\"risk_score\": 0-100, \"reasoning\": \"one sentence\"}\n");
    text
}

fn scene(job: &BatchJob) -> Vec<String> {
    let (first, last) = (job.detections.first().map_or(0, |d| d.taken_at_ms), job.detections.last().map_or(0, |d| d.taken_at_ms));
    let seconds = (last - first) as f64 / 1000.0;
    vec![format!("Camera: {}", job.camera_id), format!("Batch: {}", job.batch), format!("{} movements within {seconds:.1} s", job.detections.len())]
}

fn detection(i: usize, d: &Detection, job: &BatchJob) -> String {
    let m = &d.motion;
    let since = d.taken_at_ms - job.detections.first().map_or(0, |d| d.taken_at_ms);
    format!(
        "- {}: class unknown, after {since} ms, box {}x{} at ({}, {}), changed {:.1} % of the picture, confidence {:.2}",
        i + 1,
        m.width,
        m.height,
        m.x,
        m.y,
        m.share * 100.0,
        m.confidence
    )
}

/// Thirds of the picture, left to right.
fn zones(job: &BatchJob) -> Vec<String> {
    let mut counts = [0; 3];
    for d in &job.detections {
        let third = (d.motion.x + d.motion.width / 2) * 3 / job.picture_width.max(1);
        if let Some(count) = counts.get_mut(third.min(2)) {
            *count += 1;
        }
    }
    ["left", "middle", "right"].iter().zip(counts).map(|(zone, n)| format!("{zone} third: {n} movements")).collect()
}

fn baseline(job: &BatchJob) -> String {
    let share = job.detections.iter().map(|d| d.motion.share).sum::<f64>() / job.detections.len().max(1) as f64;
    let larger = job.detections.iter().filter(|d| d.usual_share > 0.0 && d.motion.share >= 2.0 * d.usual_share).count();
    match job.usual_movements {
        0 => "this camera saw nothing before".to_owned(),
        n => format!(
            "mean share of the picture: {:.2} % now, {:.2} % in {n} movements before; {larger} now are twice as large",
            share * 100.0,
            job.usual_share * 100.0
        ),
    }
}

fn quality(job: &BatchJob) -> Vec<String> {
    let mean = |of: fn(&Detection) -> f64| job.detections.iter().map(of).sum::<f64>() / job.detections.len().max(1) as f64;
    vec![format!("brightness: {:.0} of 255", mean(|d| d.brightness)), format!("contrast: {:.0}", mean(|d| d.contrast))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::motion::Motion;

    fn job() -> BatchJob {
        let motion = Motion { x: 120, y: 4, width: 20, height: 10, area: 150, share: 0.021, confidence: 0.96 };
        let d = Detection { taken_at_ms: 1_000, motion, brightness: 50.4, contrast: 30.0, usual_share: 0.01 };
        BatchJob {
            demo: "r".into(),
            batch: 7,
            camera_id: "front_door".into(),
            picture_width: 160,
            detections: vec![d.clone(), Detection { taken_at_ms: 1_500, ..d }],
            usual_movements: 4,
            usual_share: 0.01,
            elsewhere: vec![("back_yard".into(), 3)],
            traceparent: None,
        }
    }

    #[test]
    fn all_that_was_measured_stands_in_its_section() {
        let text = build(&job());
        for line in [
            "## Scene Analysis\nCamera: front_door\nBatch: 7\n2 movements within 0.5 s\n",
            "- 2: class unknown, after 500 ms, box 20x10 at (120, 4), changed 2.1 % of the picture, confidence 0.96\n",
            "right third: 2 movements\n",
            "mean share of the picture: 2.10 % now, 1.00 % in 4 movements before; 2 now are twice as large\n",
            "back_yard: 3 movements in the last minute\n",
            "brightness: 50 of 255\n",
        ] {
            assert!(text.contains(line), "{line:?} is missing in {text}");
        }
        assert!(text.ends_with("\"reasoning\": \"one sentence\"}\n"));
    }

    #[test]
    fn an_empty_batch_makes_a_prompt_too() {
        let empty = BatchJob { detections: Vec::new(), picture_width: 0, usual_movements: 0, ..job() };
        assert!(build(&empty).contains("this camera saw nothing before"));
    }
}
