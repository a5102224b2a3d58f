//! `storage.tiers`: which windows are kept longer than samples. What they are is the store's business.

use std::time::Duration;

use watchfire_model::document::Reader;
use watchfire_model::duration;
use watchfire_store::Tier;

use super::retention;

/// `storage.tiers`: windows of some length are written once samples are so old, and kept so long. A tier may also be one text.
pub(super) fn read(storage: &Reader<'_>) -> Vec<Tier> {
    const WEEK_MS: u64 = 7 * 86_400_000;
    let mut tiers: Vec<Tier> = Vec::new();
    for (i, node) in storage.list("tiers").iter().enumerate() {
        let path = format!("{}[{i}]", storage.path_of("tiers"));
        let wrong = |what: &str| storage.context().error(node.line, node.column, format!("{path}: {what}"));
        let tier = match node.text() {
            Some(text) => tier_of_text(text),
            None => {
                let reader = Reader::new(storage.context(), node, &path);
                let resolution = reader.duration_ms("resolution").map(Duration::from_millis);
                let after = Duration::from_millis(reader.duration_ms("after").unwrap_or(86_400_000));
                let tier = resolution.map(|resolution| Tier { resolution, after, keep: retention(&reader, "keep", 365) });
                reader.finish();
                tier
            }
        };
        let Some(tier) = tier else {
            wrong("must say how long a window is (resolution), as in {resolution: 5m, after: 1d, keep: 90d} or 5m:1d:90d");
            continue;
        };
        let resolution_ms = tier.resolution.as_millis();
        if resolution_ms == 0 || u128::from(WEEK_MS) % resolution_ms != 0 {
            wrong("windows must be a whole part of a week, such as 5m or 1h");
        }
        if tier.keep.is_some_and(|keep| keep <= tier.after) {
            wrong("must keep windows for longer than the time after which they are written");
        }
        if tiers.iter().any(|known| known.resolution == tier.resolution) {
            wrong("another tier has windows of this length");
        }
        tiers.push(tier);
    }
    tiers
}

/// A tier in one text, as the environment has it: resolution, after and keep with colons between.
fn tier_of_text(text: &str) -> Option<Tier> {
    let mut parts = text.split(':');
    let (resolution, after, keep) = (parts.next()?, parts.next()?, parts.next()?);
    let keep = if keep == "unlimited" { None } else { Some(duration::parse(keep)?) };
    let tier = Tier { resolution: duration::parse(resolution)?, after: duration::parse(after)?, keep };
    parts.next().is_none().then_some(tier)
}
