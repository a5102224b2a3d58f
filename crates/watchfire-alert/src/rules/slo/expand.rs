//! Objectives → rules. For each objective one group: the good part in every window, how fast the budget of errors is spent in each
//! but the period, what is left of the budget, and the alerts.

use watchfire_model::number::format_short;
use watchfire_model::order::Order as _;
use watchfire_query::promql;

use super::{Burn, Share, Slo, WINDOW, Window};
use crate::rules::file::{Language, Place, Rule, RuleExpr, RuleFile, RuleGroup, RuleKind};

/// The rules of objectives as one file.
pub fn expand(file: &str, slos: &[Slo]) -> RuleFile {
    RuleFile { name: file.into(), language: Language::Metrics, groups: slos.iter().map(group).collect() }
}

fn group(slo: &Slo) -> RuleGroup {
    let query_at = match &slo.share {
        Share::Ratio(query) | Share::Events(query, _) => query.at,
    };
    let rule = |name: String, kind: RuleKind, text: &str, labels: Vec<(String, String)>, expr_at: Place| {
        // Names are checked and queries were parsed when they were read.
        let expr = RuleExpr::Metrics(promql::parse(text).ok()?);
        Some(Rule { name, kind, expr, labels, at: slo.at, expr_at })
    };
    let record = |name: String, text: &str, at: Place| rule(name, RuleKind::Record, text, Vec::new(), at);
    let mut rules = Vec::new();
    for window in slo.windows.iter().chain([&slo.period]) {
        rules.extend(record(slo.share_name(window), &share_of(&slo.share, window), query_at));
    }
    let budget = format_short(tidied(1.0 - slo.objective));
    for window in &slo.windows {
        rules.extend(record(slo.burn_name(window), &format!("(1 - {}) / {budget}", slo.share_name(window)), slo.at));
    }
    rules.extend(record(slo.budget_name(), &format!("1 - (1 - {}) / {budget}", slo.share_name(&slo.period)), slo.at));
    for burn in &slo.burns {
        let kind = RuleKind::Alert { for_ms: burn.for_ms, keep_firing_for_ms: 0, annotations: annotations(slo) };
        rules.extend(rule(format!("{}{}", slo.alert_prefix, burn.name), kind, &condition(slo, burn), labels(slo, burn), slo.at));
    }
    RuleGroup { name: format!("slo {}:{}", slo.prefix, slo.name), interval_ms: Some(slo.interval_ms), query_offset_ms: None, limit: 0, rules, at: slo.at }
}

/// The good part in a window. Where there are events and none is good, it is nothing rather than absent; where there are no events,
/// there is no part.
pub(super) fn share_of(share: &Share, window: &Window) -> String {
    let of = |text: &str| text.replace(WINDOW, &window.text);
    match share {
        Share::Ratio(ratio) => of(&ratio.text),
        Share::Events(good, total) => {
            let (good, total) = (of(&good.text), of(&total.text));
            format!("(({good}) or ({total}) * 0) / (({total}) > 0)")
        }
    }
}

fn condition(slo: &Slo, burn: &Burn) -> String {
    let parts: Vec<String> = burn.factors.iter().map(|(window, factor)| format!("{} > {}", slo.burn_name(window), format_short(*factor))).collect();
    parts.join(" and ")
}

fn labels(slo: &Slo, burn: &Burn) -> Vec<(String, String)> {
    let own = [("severity", &burn.severity), ("slo", &slo.name)].map(|(name, value)| (name.to_owned(), value.clone()));
    let mut labels = slo.labels.clone();
    labels.extend(own.into_iter().filter(|(name, _)| !slo.labels.iter().any(|(given, _)| given == name)));
    labels.order();
    labels
}

fn annotations(slo: &Slo) -> Vec<(String, String)> {
    let percent = format_short(tidied(slo.objective * 100.0));
    let usual = [
        ("summary", format!("{} spends its budget of errors {{{{ $value | humanize }}}} times too fast", slo.name)),
        ("description", format!("The objective is {percent} % over {}; at this rate it will not be met.", slo.period.text)),
    ];
    let mut all = slo.annotations.clone();
    let usual = usual.into_iter().filter(|(name, _)| !slo.annotations.iter().any(|(given, _)| given == name));
    all.extend(usual.map(|(name, text)| (name.to_owned(), text)));
    all.order();
    all
}

/// 1 - 0.995 is 0.005 and not 0.0050000000000000044.
fn tidied(value: f64) -> f64 {
    (value * 1e12).round() / 1e12
}
