//! One group: its families, when it was pushed, and its record in the state store.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use watchfire_model::batch::{Metadata, MetricType};
use watchfire_model::labels::{Labels, METRIC_NAME};
use watchfire_model::time::Timestamp;

use super::Key;
use super::parse::{Family, OWN, Pushed};

/// The version of the record.
const VERSION: u32 = 1;

/// What a group holds. Times are milliseconds since 1970, 0 for never.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Group {
    pub(super) families: BTreeMap<String, Family>,
    pub(super) pushed_ms: i64,
    pub(super) failed_ms: i64,
}

/// A group as it is kept. Values are bits, so that every NaN comes back as it was.
#[derive(Serialize, Deserialize)]
struct Record {
    v: u32,
    pushed_ms: i64,
    failed_ms: i64,
    families: Vec<FamilyRecord>,
}
#[derive(Serialize, Deserialize)]
struct FamilyRecord {
    name: String,
    kind: String,
    help: String,
    pushed_ms: i64,
    samples: Vec<(Vec<(String, String)>, u64)>,
}

impl Group {
    /// Takes over a push.
    pub(super) fn take(&mut self, pushed: Pushed, replace: bool, now: Timestamp) {
        if replace {
            self.families.clear();
        }
        self.pushed_ms = now.millis();
        let stamped = pushed.families.into_iter().map(|(name, family)| (name, Family { pushed_ms: now.millis(), ..family }));
        self.families.extend(stamped);
    }

    /// All series with the labels of the group, those of the gateway itself included.
    pub(super) fn series(&self, key: &Key) -> Vec<(Labels, f64)> {
        let pushed = self.families.values().flat_map(|f| &f.samples).map(|(labels, value)| (key.complete(labels), *value));
        let times = [self.pushed_ms, self.failed_ms];
        let own = OWN.iter().zip(times).map(|(name, ms)| (key.complete(&Labels::from_pairs([(METRIC_NAME, *name)])), ms as f64 / 1000.0));
        pushed.chain(own).collect()
    }

    /// Types and help texts.
    pub(super) fn metadata(&self) -> Vec<Metadata> {
        let of = |name: &str, kind, help: &str| Metadata { family: name.into(), kind, help: help.into(), unit: "".into() };
        let pushed = self.families.iter().map(|(name, family)| of(name, family.kind, &family.help));
        pushed.chain(OWN.iter().zip(OWN_HELP).map(|(name, help)| of(name, MetricType::Gauge, help))).collect()
    }

    /// The record.
    pub(super) fn render(&self) -> Vec<u8> {
        let families = self.families.iter().map(|(name, family)| {
            let pairs = |labels: &Labels| labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            let samples = family.samples.iter().map(|(labels, value)| (pairs(labels), value.to_bits())).collect();
            FamilyRecord { name: name.clone(), kind: family.kind.name().to_owned(), help: family.help.clone(), pushed_ms: family.pushed_ms, samples }
        });
        let record = Record { v: VERSION, pushed_ms: self.pushed_ms, failed_ms: self.failed_ms, families: families.collect() };
        serde_json::to_vec(&record).expect("BUG: records are plain JSON")
    }

    /// Reads a record.
    pub(super) fn parse(bytes: &[u8]) -> Option<Group> {
        let record: Record = serde_json::from_slice(bytes).ok().filter(|r: &Record| r.v == VERSION)?;
        let families = record.families.into_iter().map(|f| {
            let samples = f.samples.into_iter().map(|(pairs, bits)| (Labels::from_pairs(pairs), f64::from_bits(bits))).collect();
            let kind = MetricType::from_name(&f.kind).unwrap_or_default();
            (f.name, Family { kind, help: f.help, pushed_ms: f.pushed_ms, samples })
        });
        Some(Group { families: families.collect(), pushed_ms: record.pushed_ms, failed_ms: record.failed_ms })
    }
}

/// Help texts of the gateway's own metrics.
pub(super) const OWN_HELP: [&str; 2] =
    ["Last Unix time when changing this group in the Pushgateway succeeded.", "Last Unix time when changing this group in the Pushgateway failed."];
