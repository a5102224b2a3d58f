//! Which firing alerts keep which others quiet. It keeps, for each rule, the sources by the labels that must be equal, so that
//! asking costs the same however many alerts there are.

use std::collections::{BTreeSet, HashMap};

use watchfire_model::labels::Labels;
use watchfire_model::matcher::matches_all;

use super::alert::Fingerprint;
use super::config::InhibitRule;

/// The rules and the alerts that are a source of any.
#[derive(Default)]
pub(super) struct Inhibitor {
    rules: Vec<Watched>,
}
struct Watched {
    rule: InhibitRule,
    sources: HashMap<Vec<String>, BTreeSet<Fingerprint>>,
}
impl Watched {
    fn key(&self, labels: &Labels) -> Vec<String> {
        self.rule.equal.iter().map(|name| labels.get(name).unwrap_or("").to_owned()).collect()
    }
}

impl Inhibitor {
    /// Rules without any alert yet.
    pub(super) fn new(rules: &[InhibitRule]) -> Inhibitor {
        Inhibitor { rules: rules.iter().map(|rule| Watched { rule: rule.clone(), sources: HashMap::new() }).collect() }
    }
    /// An alert that may be a source, firing or not.
    pub(super) fn insert(&mut self, fingerprint: Fingerprint, labels: &Labels) {
        for watched in self.rules.iter_mut().filter(|w| matches_all(&w.rule.source, labels)) {
            let key = watched.key(labels);
            watched.sources.entry(key).or_default().insert(fingerprint);
        }
    }
    /// An alert that is gone.
    pub(super) fn remove(&mut self, fingerprint: Fingerprint, labels: &Labels) {
        for watched in self.rules.iter_mut().filter(|w| matches_all(&w.rule.source, labels)) {
            let key = watched.key(labels);
            if let Some(sources) = watched.sources.get_mut(&key) {
                sources.remove(&fingerprint);
                if sources.is_empty() {
                    watched.sources.remove(&key);
                }
            }
        }
    }
    /// An alert that keeps this one quiet. `firing` gives the labels of an alert while it fires.
    pub(super) fn inhibiting<'a>(&self, labels: &Labels, firing: impl Fn(Fingerprint) -> Option<&'a Labels>) -> Option<Fingerprint> {
        self.rules.iter().find_map(|watched| {
            if !matches_all(&watched.rule.target, labels) {
                return None;
            }
            // Alerts on both sides of a rule do not keep each other quiet, nor themselves.
            let both = matches_all(&watched.rule.source, labels);
            let sources = watched.sources.get(&watched.key(labels))?;
            sources.iter().copied().find(|source| firing(*source).is_some_and(|l| !(both && matches_all(&watched.rule.target, l))))
        })
    }
}

#[cfg(test)]
mod tests {
    use watchfire_model::matcher::{MatchOp, Matcher};

    use super::*;

    fn rule(source: &[(&str, MatchOp, &str)], target: &[(&str, MatchOp, &str)], equal: &[&str]) -> InhibitRule {
        let matchers = |all: &[(&str, MatchOp, &str)]| all.iter().map(|(n, op, v)| Matcher::new(n, *op, v).unwrap()).collect();
        InhibitRule { source: matchers(source), target: matchers(target), equal: equal.iter().map(|e| (*e).to_owned()).collect() }
    }

    fn check(rule: InhibitRule, source: &[(&str, &str)], target: &[(&str, &str)], quiet: bool) {
        let (source, target) = (Labels::from_pairs(source.iter().copied()), Labels::from_pairs(target.iter().copied()));
        let mut inhibitor = Inhibitor::new(&[rule]);
        for labels in [&source, &target] {
            inhibitor.insert(Fingerprint::of(labels), labels);
        }
        let firing = |f| [&source, &target].into_iter().find(|l| Fingerprint::of(l) == f);
        assert_eq!(inhibitor.inhibiting(&target, firing), quiet.then(|| Fingerprint::of(&source)), "{source} {target}");
        assert_eq!(inhibitor.inhibiting(&target, |_| None), None, "what does not fire keeps nobody quiet");
        inhibitor.remove(Fingerprint::of(&source), &source);
        assert_ne!(inhibitor.inhibiting(&target, firing), Some(Fingerprint::of(&source)));
    }

    /// VMS-31 and contradictions C-25 and C-26: a label that only the source has is not equal.
    #[test]
    fn vms_31_node_down_keeps_alerts_of_its_instance_quiet() {
        let rule = || rule(&[("alertname", MatchOp::Equal, "NodeDown")], &[("alertname", MatchOp::Regex, "Camera.*|High.*")], &["instance"]);
        let down = [("alertname", "NodeDown"), ("instance", "rec-1:9100")];
        check(rule(), &down, &[("alertname", "CameraOffline"), ("instance", "rec-1:9100")], true);
        check(rule(), &down, &[("alertname", "HighCPUUsage"), ("instance", "rec-1:9100")], true);
        check(rule(), &down, &[("alertname", "CameraOffline"), ("instance", "rec-1:9090")], false);
        check(rule(), &down, &[("alertname", "HighAPIErrorRate")], false);
        check(rule(), &down, &[("alertname", "LowCameraFPS"), ("instance", "rec-1:9100")], false);
        check(rule(), &[("alertname", "NodeDown")], &[("alertname", "HighAPIErrorRate")], true);
    }

    #[test]
    fn alerts_on_both_sides_do_not_keep_each_other_quiet() {
        let both = || rule(&[("a", MatchOp::Regex, "x|y")], &[("a", MatchOp::Regex, "y|z")], &[]);
        check(both(), &[("a", "x")], &[("a", "z")], true);
        check(both(), &[("a", "y")], &[("a", "z")], true);
        check(both(), &[("a", "x")], &[("a", "y")], true);
        check(both(), &[("a", "y"), ("b", "1")], &[("a", "y"), ("b", "2")], false);
    }
}
