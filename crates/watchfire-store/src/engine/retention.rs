//! What retention removes, and when it holds back: a clock that jumps must never cost data.

use std::sync::Arc;
use std::time::Duration;

use super::{Engine, Shared, millis};
use crate::metrics::segment::Segment;
use crate::options::Options;
use crate::stats::{CleanupFile, CleanupPreview};

/// The wall clock may move this far against the monotonic one before retention by age holds back.
const JUMP_MS: i64 = 24 * 3_600_000;
/// After a jump the new time must stand for so long before it is believed.
const BELIEVED_AFTER: Duration = Duration::from_secs(3600);
/// Between two removals by age.
pub(super) const REMOVAL_PAUSE: Duration = Duration::from_secs(60);

/// Watches the wall clock against the monotonic one.
pub(super) struct ClockWatch {
    /// Wall minus monotonic, as it was believed last; none when a start has found no reason to believe it.
    believed: Option<i64>,
    /// A jump under observation: wall minus monotonic since when.
    jumped: Option<(i64, Duration)>,
}

impl ClockWatch {
    /// Starts with the present time. It is believed at once if what is stored vouches for it; a machine that was off for long,
    /// or started with a wrong clock, has to wait.
    pub(super) fn new(options: &Options, shared: &Shared) -> ClockWatch {
        let (now, monotonic) = (options.clock.now().millis(), options.clock.monotonic());
        let offset = now.saturating_sub(millis(monotonic));
        let vouched = shared.vouches_for(now);
        ClockWatch { believed: vouched.then_some(offset), jumped: (!vouched).then_some((offset, monotonic)) }
    }

    /// Looks at the clock; returns whether it may be believed.
    pub(super) fn look(&mut self, options: &Options) -> bool {
        let monotonic = options.clock.monotonic();
        let offset = options.clock.now().millis().saturating_sub(millis(monotonic));
        let near = |a: i64| offset.saturating_sub(a).saturating_abs() < JUMP_MS;
        match self.jumped {
            Some((to, since)) if near(to) => {
                if monotonic.saturating_sub(since) < BELIEVED_AFTER {
                    return false;
                }
                self.jumped = None;
                self.believed = Some(offset);
                true
            }
            _ if self.believed.is_some_and(near) => {
                // Slow drift is followed; a jump back ends the suspicion.
                self.jumped = None;
                self.believed = Some(offset);
                true
            }
            _ => {
                tracing::warn!("the clock has jumped by more than a day; retention by age waits until the new time has stood for an hour");
                self.jumped = Some((offset, monotonic));
                false
            }
        }
    }

    /// Whether a jump is under observation.
    pub(super) fn holds(&self) -> bool {
        self.jumped.is_some()
    }
}

impl Shared {
    /// Whether the samples of the last day reach back an hour or more. One recent sample says nothing: a wrong clock has written
    /// it itself, perhaps, just before a restart. Nothing stored is nothing to lose.
    fn vouches_for(&self, now: i64) -> bool {
        let mut ranges = self.segments.iter().map(|s| (s.footer.min, s.footer.max)).chain(self.head.range()).peekable();
        let recent = |time: i64| now.saturating_sub(time).saturating_abs() < JUMP_MS;
        ranges.peek().is_none() || ranges.any(|(min, max)| recent(min) && recent(max) && now.saturating_sub(min) >= millis(BELIEVED_AFTER))
    }
}

impl Engine {
    /// Segments that are due, oldest first, with the reason.
    fn due(&self, by_age: bool) -> Vec<(Arc<Segment>, &'static str)> {
        let mut segments: Vec<_> = {
            let shared = self.read();
            shared.segments.iter().chain(&shared.tiers).cloned().collect()
        };
        segments.sort_by_key(|s| (s.footer.max, s.id));
        let earliest = self.options.retention.filter(|_| by_age).map(|keep| self.now().saturating_sub(millis(keep)));
        let mut total = self.total_bytes();
        let mut due = Vec::new();
        for segment in segments {
            let of_tier = segment.footer.tier.is_some();
            let keeps_from = if of_tier { self.tier_earliest(&segment).filter(|_| by_age) } else { earliest };
            let reason = match (keeps_from, self.options.size_max) {
                // Samples wait until the tiers have them.
                (Some(earliest), _) if segment.footer.max < earliest && (of_tier || self.is_in_tiers(&segment)) => "retention",
                (_, Some(max)) if total > max => "size",
                _ => continue,
            };
            total = total.saturating_sub(segment.bytes);
            due.push((segment, reason));
        }
        due
    }

    /// Bytes of segments and log.
    fn total_bytes(&self) -> u64 {
        let log = self.writer().wal.bytes();
        {
            let shared = self.read();
            shared.segments.iter().chain(&shared.tiers).map(|s| s.bytes).sum::<u64>() + log
        }
    }

    /// See `Store::cleanup_preview`.
    pub(crate) fn cleanup_preview(&self) -> CleanupPreview {
        let due = self.due(true);
        self.told(&due)
    }

    /// See `Store::cleanup`.
    pub(crate) fn cleanup(&self) -> CleanupPreview {
        let believed = self.schedule().clock.look(&self.options);
        // The keeper may remove the same one meanwhile: only what this call took away counts.
        let removed: Vec<_> = self.due(believed).into_iter().filter(|(segment, reason)| self.remove(segment, reason)).collect();
        self.told(&removed)
    }

    fn told(&self, due: &[(Arc<Segment>, &'static str)]) -> CleanupPreview {
        let files: Vec<_> = due
            .iter()
            .map(|(segment, reason)| CleanupFile {
                name: segment.path.strip_prefix(&self.options.dir).unwrap_or(&segment.path).display().to_string(),
                bytes: segment.bytes,
                samples: segment.footer.samples,
                oldest: segment.footer.min,
                newest: segment.footer.max,
                reason,
            })
            .collect();
        CleanupPreview {
            bytes: files.iter().map(|f| f.bytes).sum(),
            oldest: files.iter().map(|f| f.oldest).min(),
            newest: files.iter().map(|f| f.newest).max(),
            files,
            held: self.schedule().clock.holds(),
        }
    }

    /// Removes the oldest segment that is due, if one is.
    pub(super) fn remove_one(&self, by_age: bool) {
        if let Some((segment, reason)) = self.due(by_age).into_iter().next() {
            self.remove(&segment, reason);
        }
    }

    /// Removes a segment; returns whether it was still there.
    fn remove(&self, segment: &Segment, reason: &'static str) -> bool {
        let there = {
            let mut shared = self.modify();
            let before = shared.segments.len() + shared.tiers.len();
            shared.segments.retain(|s| s.id != segment.id);
            shared.tiers.retain(|s| s.id != segment.id);
            before > shared.segments.len() + shared.tiers.len()
        };
        if there {
            tracing::info!(file = %segment.path.display(), bytes = segment.bytes, reason, "retention removes a segment");
            segment.doom();
            self.counters.deleted.inc();
        }
        there
    }
}
