//! For tests: keeps what is observed, sums of counters and last values of gauges. No test stands here.

use std::collections::BTreeMap;
use std::sync::Mutex;

use watchfire_model::observe::Observe;

/// What was told last, by `family{label=value,…}`.
#[derive(Default)]
pub(crate) struct Told(pub(crate) Mutex<BTreeMap<String, f64>>);
impl Told {
    fn key(family: &str, labels: &[(&str, &str)]) -> String {
        let labels: Vec<String> = labels.iter().map(|(n, v)| format!("{n}={v}")).collect();
        format!("{family}{{{}}}", labels.join(","))
    }
    pub(crate) fn get(&self, key: &str) -> Option<f64> {
        self.0.lock().unwrap().get(key).copied()
    }
}
impl Observe for Told {
    fn observe(&self, family: &str, labels: &[(&str, &str)], value: f64) {
        let mut told = self.0.lock().unwrap();
        let entry = told.entry(Told::key(family, labels)).or_default();
        // The video system calls a number of streams a total.
        *entry = if family.ends_with("_total") && family != "active_streams_total" { *entry + value } else { value };
    }
    fn retire(&self, family: &str, labels: &[(&str, &str)]) {
        self.0.lock().unwrap().remove(&Told::key(family, labels));
    }
}
