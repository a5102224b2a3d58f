//! What retention removes, and when it holds back: a clock that jumps must never cost data.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::SharedLogs;
use super::flushed::Flushed;
use super::logs::to_millis;
use super::{Engine, Shared, millis};
use crate::file::is_full;
use crate::logs::Signal;
use crate::logs::segment::LogSegment;
use crate::metrics::segment::Segment;
use crate::options::Options;
use crate::stats::{CleanupFile, CleanupPreview};
use watchfire_model::order::Order as _;

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
        let metrics = self.segments.iter().map(|s| (s.footer.min, s.footer.max));
        let mut ranges = metrics.chain(self.head.range()).chain(self.entries.iter().flat_map(SharedLogs::ranges)).peekable();
        let recent = |time: i64| now.saturating_sub(time).saturating_abs() < JUMP_MS;
        ranges.peek().is_none() || ranges.any(|(min, max)| recent(min) && recent(max) && now.saturating_sub(min) >= millis(BELIEVED_AFTER))
    }
}

/// A segment of any signal.
#[derive(Clone)]
enum AnySegment {
    Metrics(Arc<Segment>),
    Entries(Signal, Arc<LogSegment>),
}

impl AnySegment {
    fn id(&self) -> u64 {
        match self {
            AnySegment::Metrics(segment) => segment.id,
            AnySegment::Entries(_, segment) => segment.id,
        }
    }
    fn path(&self) -> &Path {
        match self {
            AnySegment::Metrics(segment) => &segment.path,
            AnySegment::Entries(_, segment) => &segment.path,
        }
    }
    fn bytes(&self) -> u64 {
        match self {
            AnySegment::Metrics(segment) => segment.bytes,
            AnySegment::Entries(_, segment) => segment.bytes,
        }
    }
    /// Samples or entries.
    fn items(&self) -> u64 {
        match self {
            AnySegment::Metrics(segment) => segment.footer.samples,
            AnySegment::Entries(_, segment) => segment.footer.entries,
        }
    }
    /// The times of the first and the last, in milliseconds.
    fn range(&self) -> (i64, i64) {
        match self {
            AnySegment::Metrics(segment) => (segment.footer.min, segment.footer.max),
            AnySegment::Entries(_, segment) => (to_millis(segment.footer.min), to_millis(segment.footer.max)),
        }
    }
    /// What its footer tells of the log.
    fn flushed(&self) -> Flushed {
        match self {
            AnySegment::Metrics(segment) => Flushed { log_before: segment.footer.origin.log_before, ..Flushed::default() },
            AnySegment::Entries(signal, segment) => Flushed::of_entries(*signal, segment.footer.origin.log_before),
        }
    }
    fn doom(&self) {
        match self {
            AnySegment::Metrics(segment) => segment.doom(),
            AnySegment::Entries(_, segment) => segment.doom(),
        }
    }
}

impl Shared {
    fn all_segments(&self) -> impl Iterator<Item = AnySegment> {
        let metrics = self.segments.iter().chain(&self.tiers).cloned().map(AnySegment::Metrics);
        let of_signal = |signal| self.entries[signal].segments.iter().map(move |segment| AnySegment::Entries(signal, segment.clone()));
        metrics.chain(Signal::ALL.into_iter().flat_map(of_signal))
    }
}

impl Engine {
    /// Segments that are due, oldest first, with the reason.
    fn due(&self, by_age: bool) -> Vec<(AnySegment, &'static str)> {
        let mut segments: Vec<_> = self.read().all_segments().collect();
        segments.order_by_key(|s| (s.range().1, s.id()));
        let mut total = self.total_bytes();
        let mut due = Vec::new();
        for segment in segments {
            let reason = match self.options.size_max {
                _ if by_age && self.is_too_old(&segment) => "retention",
                Some(max) if total > max => "size",
                _ => continue,
            };
            total = total.saturating_sub(segment.bytes());
            due.push((segment, reason));
        }
        due
    }

    fn is_too_old(&self, segment: &AnySegment) -> bool {
        let before = |keep: Duration| segment.range().1 < self.now().saturating_sub(millis(keep));
        match segment {
            AnySegment::Entries(signal, _) => self.entry_options(*signal).keep_longest().is_some_and(before),
            AnySegment::Metrics(tier) if tier.footer.tier.is_some() => self.tier_earliest(tier).is_some_and(|earliest| tier.footer.max < earliest),
            // Samples wait until the tiers have them.
            AnySegment::Metrics(metrics) => self.options.retention.is_some_and(before) && self.is_in_tiers(metrics),
        }
    }

    /// Bytes of segments and log.
    fn total_bytes(&self) -> u64 {
        let log = self.writer().wal.bytes();
        self.read().all_segments().map(|s| s.bytes()).sum::<u64>() + log
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

    fn told(&self, due: &[(AnySegment, &'static str)]) -> CleanupPreview {
        let files: Vec<_> = due
            .iter()
            .map(|(segment, reason)| CleanupFile {
                name: segment.path().strip_prefix(&self.options.dir).unwrap_or(segment.path()).display().to_string(),
                bytes: segment.bytes(),
                samples: segment.items(),
                oldest: segment.range().0,
                newest: segment.range().1,
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

    /// Sees to it that what a segment's footer tells of the log is known without it. A full disk is no reason to keep it: what comes
    /// back with the log then is removed again.
    fn may_vanish(&self, segment: &AnySegment) -> bool {
        let told = segment.flushed();
        let others = self.read().all_segments().filter(|s| s.path() != segment.path()).map(|s| s.flushed()).fold(Flushed::default(), Flushed::max);
        if others.max(told) == others {
            return true;
        }
        let kept = self.keep_flushed(told);
        if let Err(error) = &kept {
            tracing::error!(%error, file = %segment.path().display(), "cannot keep what a segment tells of the log");
        }
        kept.map_or_else(|error| is_full(&error), |()| true)
    }

    /// Removes a segment; returns whether it was still there.
    fn remove(&self, segment: &AnySegment, reason: &'static str) -> bool {
        if !self.may_vanish(segment) {
            return false;
        }
        let there = {
            let mut shared = self.modify();
            let before = shared.all_segments().count();
            match segment {
                AnySegment::Entries(signal, entries) => shared.entries[*signal].segments.retain(|s| s.id != entries.id),
                AnySegment::Metrics(metrics) => {
                    shared.segments.retain(|s| s.id != metrics.id);
                    shared.tiers.retain(|s| s.id != metrics.id);
                }
            }
            before > shared.all_segments().count()
        };
        if there {
            tracing::info!(file = %segment.path().display(), bytes = segment.bytes(), reason, "retention removes a segment");
            segment.doom();
            self.counters.deleted.inc();
        }
        there
    }
}
