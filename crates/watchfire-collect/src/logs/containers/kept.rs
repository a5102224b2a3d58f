//! The places in logs of containers that are kept: whose they are now, and which nobody needs any more.

use std::collections::HashSet;

use watchfire_model::state::Change;

use crate::logs::Surroundings;
use crate::logs::hand_over::LOG_CURSORS;

/// Places of sources that nobody configures any more are kept for so long, should they come back.
const FORGET_SOURCE_AFTER_NS: i64 = 30 * 86_400 * 1_000_000_000;

/// Forgets the places of containers that are gone. Those that a source kept which nobody configures any more are taken over, if it was one
/// of the same kind: a source that has another name now must not read everything again. `ids` are all containers of the engine.
pub(super) fn tidy(parts: &Surroundings, source: &str, names: &HashSet<String>, ids: &HashSet<String>) {
    let all = match parts.state.scan(LOG_CURSORS, "") {
        Ok(all) => all,
        Err(error) => return tracing::warn!(%error, "places in logs of containers cannot be read"),
    };
    let kind = |name: &str| name.split('/').next().map(str::to_owned);
    let own = |id: &str| format!("{source}\n{id}");
    let known: HashSet<&str> = all.iter().map(|(key, _)| key.as_str()).collect();
    let now = parts.clock.now().millis().saturating_mul(1_000_000);
    let is_old = |value: &[u8]| std::str::from_utf8(value).ok().and_then(|text| text.parse::<i64>().ok()).is_none_or(|at| now - at > FORGET_SOURCE_AFTER_NS);
    let mut changes = Vec::new();
    for (key, value) in &all {
        let Some((name, id)) = key.split_once('\n') else { continue };
        let is_there = ids.contains(id);
        let is_orphan = !names.contains(name);
        if is_orphan && is_there && kind(name) == kind(source) && !known.contains(own(id).as_str()) {
            changes.push(Change::Put(LOG_CURSORS, own(id), value.clone()));
            changes.push(Change::Delete(LOG_CURSORS, key.clone()));
        } else if (name == source && !is_there) || (is_orphan && is_old(value)) {
            changes.push(Change::Delete(LOG_CURSORS, key.clone()));
        }
    }
    if !changes.is_empty()
        && let Err(error) = parts.state.commit(&changes)
    {
        tracing::warn!(%error, "places in logs of containers that are gone cannot be forgotten");
    }
}
