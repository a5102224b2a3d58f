//! Whether a receiver needs to hear of a group again: Alertmanager's rules, over what it was told last.

use std::collections::BTreeSet;

use crate::manager::alert::Fingerprint;

/// Which alerts fired and which had ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sets {
    pub(super) firing: BTreeSet<Fingerprint>,
    pub(super) resolved: BTreeSet<Fingerprint>,
}

/// Why somebody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Alerts fire of which they do not know.
    NewAlerts,
    /// All alerts they know of have ended.
    AllResolved,
    /// Some have ended.
    NewResolved,
    /// It was long ago.
    Repeat,
}

/// Why somebody has to be told, if so. `last` is what they were told, or will be before this; `long_ago` says whether the time to
/// repeat has come.
pub(super) fn need(last: Option<&Sets>, now: &Sets, send_resolved: bool, long_ago: bool) -> Option<Need> {
    let Some(last) = last else { return (!now.firing.is_empty()).then_some(Need::NewAlerts) };
    if !now.firing.is_subset(&last.firing) {
        return Some(Need::NewAlerts);
    }
    // Also for those who do not hear of ends, so that an alert that fires again is new.
    if now.firing.is_empty() {
        return (!last.firing.is_empty()).then_some(Need::AllResolved);
    }
    if send_resolved && !now.resolved.is_subset(&last.resolved) {
        return Some(Need::NewResolved);
    }
    long_ago.then_some(Need::Repeat)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(firing: &[u64], resolved: &[u64]) -> Sets {
        let set = |all: &[u64]| all.iter().map(|n| Fingerprint(*n)).collect();
        Sets { firing: set(firing), resolved: set(resolved) }
    }

    #[test]
    fn who_needs_to_hear() {
        let check = |last: Option<(&[u64], &[u64])>, now: (&[u64], &[u64]), send_resolved, long_ago, expected| {
            let last = last.map(|(f, r)| sets(f, r));
            assert_eq!(need(last.as_ref(), &sets(now.0, now.1), send_resolved, long_ago), expected, "{last:?} {now:?}");
        };
        check(None, (&[1], &[]), true, false, Some(Need::NewAlerts));
        check(None, (&[], &[1]), true, true, None);
        check(Some((&[1], &[])), (&[1], &[]), true, false, None);
        check(Some((&[1], &[])), (&[1], &[]), true, true, Some(Need::Repeat));
        check(Some((&[1], &[])), (&[1, 2], &[]), true, false, Some(Need::NewAlerts));
        check(Some((&[1, 2], &[])), (&[1], &[]), true, false, None);
        check(Some((&[1, 2], &[])), (&[1], &[2]), true, false, Some(Need::NewResolved));
        check(Some((&[1, 2], &[])), (&[1], &[2]), false, false, None);
        check(Some((&[1], &[2])), (&[1], &[2]), true, false, None);
        check(Some((&[1], &[])), (&[], &[1]), true, false, Some(Need::AllResolved));
        check(Some((&[1], &[])), (&[], &[1]), false, false, Some(Need::AllResolved));
        check(Some((&[], &[1])), (&[], &[1, 2]), true, true, None);
        check(Some((&[], &[1])), (&[1], &[]), true, false, Some(Need::NewAlerts));
    }
}
