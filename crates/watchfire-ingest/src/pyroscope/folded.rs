//! Folded stacks: a line has a stack, root first, its frames separated by semicolons, and a count behind a space. In the form `lines`
//! there is no count: each line is one sample.

use watchfire_model::profiles::{DEPTH_MAX, Frame, NewProfile, StackTree};
use watchfire_model::text::shortened;

use super::name::Name;
use super::pprof::cut_name;
use super::series::Gathering;
use super::{DecodeError, Ingest, PushError, SAMPLE_RATE};

const SECOND: u64 = 1_000_000_000;

pub(super) fn read(body: &[u8], counts: bool, name: &Name<'_>, ingest: &Ingest<'_>, gathering: &mut Gathering<'_>) -> Result<(), PushError> {
    let text = String::from_utf8_lossy(body);
    let (kind, service) = name.folded_type();
    let rate = u64::from(ingest.sample_rate.filter(|rate| *rate > 0).unwrap_or(SAMPLE_RATE));
    // Samples of time stand for the time between two of them.
    let period = if matches!(kind.name, "process_cpu" | "wall") { (SECOND / rate).max(1) } else { 1 };
    let labels = kind.labels(&name.labels_for(service));
    let from = ingest.from.unwrap_or(gathering.now());
    let duration = ingest.until.map_or(0, |until| u64::try_from(until.0.saturating_sub(from.0)).unwrap_or(0));
    let new = NewProfile { time: from, duration, period, id: "" };
    gathering.series(labels, &new, |frames, tree, counted| {
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let (stack, count) = if counts { split(line).ok_or_else(|| no_count(number, line))? } else { (line, 1) };
            let mut node = StackTree::ROOT;
            for name in stack.split(';').filter(|name| !name.is_empty()).take(DEPTH_MAX) {
                node = tree.callee(node, frames.number(Frame { name: cut_name(name.trim()), file: "", line: 0 })?)?;
            }
            counted.sample(node, count);
            if node != StackTree::ROOT && count > 0 {
                tree.add(node, count.saturating_mul(period.cast_signed()), None);
            }
        }
        Ok(())
    })
}

fn split(line: &str) -> Option<(&str, i64)> {
    let (stack, count) = line.trim_end().rsplit_once([' ', '\t'])?;
    Some((stack, count.parse().ok()?))
}

fn no_count(number: usize, line: &str) -> DecodeError {
    DecodeError::Malformed(format!("line {} has no count behind its stack: {:?}", number + 1, shortened(line)))
}
