//! Tests of the configuration: what loads, what is refused and where, what a secret never does.

use std::path::PathBuf;

use watchfire_model::labels::Labels;
use watchfire_model::time::{ManualClock, Timestamp};

use super::*;

fn read_text(text: &str) -> Parsed {
    parse("a.yml", text, &Surroundings { files: &|_| Vec::new(), file: &|f| PathBuf::from(f), clock: ManualClock::new(Timestamp(0)) })
}

fn config(text: &str) -> Config {
    let parsed = read_text(text);
    let Some(config) = parsed.config else { panic!("{:#?}", parsed.findings) };
    config
}

fn check(text: &str, expected: &[&str]) {
    let found: Vec<String> = read_text(text).findings.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected, "{text}");
}

/// A hook that every receiver of these tests may have.
const HOOK: &str = "webhook_configs: [{url: 'http://localhost/'}]";

#[test]
fn errors_have_their_place() {
    let receivers = format!("receivers:\n- name: a\n  {HOOK}\n");
    let check_route = |route: &str, expected: &[&str]| check(&format!("{receivers}{route}"), expected);
    check_route("route: {receiver: a}\n", &[]);
    check_route(
        "route: {receiver: b}\n",
        &[
            "a.yml:2:3: warning: no route names the receiver \"a\": nobody is told by it",
            "a.yml:4:19: error: route.receiver: undefined receiver \"b\" used in route; did you mean \"a\"?",
        ],
    );
    check_route("route: {receiver: a, match: {x: y}}\n", &["a.yml:4:29: error: route.match: root route must not have any matchers"]);
    check_route("route: {receiver: a, group_by: [x, x]}\n", &["a.yml:4:32: error: route.group_by: duplicated label \"x\" in group_by"]);
    check_route(
        "route: {receiver: a, group_by: [x, '...']}\n",
        &["a.yml:4:32: error: route.group_by: cannot have wildcard group_by (`...`) and other labels at the same time"],
    );
    check_route("route: {receiver: a, group_interval: 0s}\n", &["a.yml:4:38: error: route.group_interval: group_interval cannot be zero"]);
    check_route("route: {receiver: a, group_wiat: 1s}\n", &["a.yml:4:22: error: unknown key \"group_wiat\" in route; did you mean \"group_wait\"?"]);
    check_route(
        "route:\n  receiver: a\n  routes:\n  - matchers: ['a=~(']\n",
        &["a.yml:7:16: error: route.routes[0].matchers: cannot compile regular expression \"(\": error: unclosed group"],
    );
    check_route(
        "route: {receiver: a, routes: [{mute_time_intervals: [x]}]}\n",
        &["a.yml:4:53: error: route.routes[0].mute_time_intervals: undefined time interval \"x\" used in route"],
    );
    check("receivers: []\n", &["a.yml:1:1: error: no route provided in config"]);
    check(
        "route: {receiver: a}\nreceivers:\n- name: a\n- name: a\n",
        &[
            "a.yml:3:9: warning: receivers[0].name: the receiver \"a\" has no integration: alerts that go there reach nobody",
            "a.yml:4:9: error: receivers[1].name: notification config name \"a\" is not unique",
            "a.yml:4:9: warning: receivers[1].name: the receiver \"a\" has no integration: alerts that go there reach nobody",
        ],
    );
    check(
        "route: {receiver: a}\nreceivers:\n- name: a\n  webhook_configs:\n  - {}\n",
        &["a.yml:5:5: error: receivers[0].webhook_configs[0]: one of url and url_file must be set"],
    );
    check(
        "route: {receiver: a}\nreceivers:\n- name: a\n  victorops_configs:\n  - {rooting_key: x, routing_key: y, api_key: y, api_key_file: z, state_message: '{{ nope }}'}\n",
        &[
            "a.yml:5:5: warning: victorops_configs is read but this version does not deliver to it: nobody is told by this entry",
            "a.yml:5:6: error: unknown key \"rooting_key\" in receivers[0].victorops_configs[0]; did you mean \"routing_key\"?",
            "a.yml:5:64: error: receivers[0].victorops_configs[0].api_key_file: at most one of api_key and api_key_file may be set",
            "a.yml:5:82: error: receivers[0].victorops_configs[0].state_message: template: text:1: function \"nope\" not defined",
        ],
    );
}

#[test]
fn every_kind_of_the_original_is_known() {
    for kind in &KINDS {
        // These two do not speak HTTP.
        let http = if ["email", "homeassistant"].contains(&kind.name) { "" } else { "http_config: {follow_redirects: false}, " };
        let text = format!("route: {{receiver: a}}\nreceivers:\n- name: a\n  {}:\n  - {{send_resolved: false, {http}nope: 1}}\n", kind.key);
        let unknown: Vec<String> = read_text(&text).findings.iter().map(ToString::to_string).filter(|f| f.contains("unknown key")).collect();
        assert!(unknown.len() == 1 && unknown[0].contains("unknown key \"nope\""), "{unknown:?}");
    }
    check(
        "route: {receiver: a}\nreceivers:\n- name: a\n  hipchat_configs: []\n",
        &[
            "a.yml:3:9: warning: receivers[0].name: the receiver \"a\" has no integration: alerts that go there reach nobody",
            "a.yml:4:3: error: unknown key \"hipchat_configs\" in receivers[0]; did you mean \"wechat_configs\"?",
        ],
    );
}

#[test]
fn r57_secrets_are_never_shown() {
    let text = "global:
  smtp_auth_password: canary
  slack_api_url: https://canary/x
  http_config: {basic_auth: {username: me, password: canary}}
route: {receiver: a, routes: [{matchers: ['token=x'], match: {password: visible}}]}
receivers:
- name: a
  webhook_configs:
  - url: https://canary/hook
    http_config: {authorization: {credentials: canary}, http_headers: {X: {secrets: [canary], values: [shown]}}}
  pagerduty_configs: [{routing_key: canary, url: 'http://u:canary@h/'}]
  telegram_configs: [{bot_token: canary, chat_id: 5}]
";
    let shown = config(text).shown;
    assert!(!shown.contains("canary"), "{shown}");
    for kept in ["username: me", "visible", "token=x", "- shown", "chat_id: 5", "url: http://u:xxxxx@h/"] {
        assert!(shown.contains(kept), "{kept}: {shown}");
    }
    assert_eq!(shown.matches("<secret>").count(), 8, "{shown}");
    // What is shown can be read again.
    config(&shown);
    let messages: Vec<String> = read_text("route: {receiver: a}\nreceivers: [{name: a, webhook_configs: [{url: 'canary:secret', max_alerts: canary}]}]\n")
        .findings
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(!messages.join("\n").contains("canary:secret"), "{messages:?}");
}

fn ends(config: &Config, labels: &[(&str, &str)]) -> Vec<String> {
    config.route.ends(&Labels::from_pairs(labels.iter().copied())).iter().map(|r| r.receiver.clone()).collect()
}

#[test]
fn routing_descends_continues_and_inherits() {
    let config = config(&format!(
        "receivers:\n{}route:
  receiver: root
  group_by: [a]
  group_wait: 1s
  repeat_interval: 3h
  routes:
  - match: {{team: x}}
    receiver: x
    group_by: ['...']
    continue: true
    routes:
    - match_re: {{severity: crit.*}}
      receiver: pager
      group_wait: 5s
  - matchers: ['team=~\"x|y\"', 'env!=test']
    receiver: y
  - receiver: z
    matchers: ['{{team=z}}']
",
        ["root", "x", "pager", "y", "z"].map(|n| format!("- name: {n}\n  {HOOK}\n")).concat()
    ));
    assert_eq!(ends(&config, &[("team", "w")]), ["root"]);
    assert_eq!(ends(&config, &[("team", "x"), ("severity", "critical")]), ["pager", "y"]);
    assert_eq!(ends(&config, &[("team", "x"), ("env", "test")]), ["x"]);
    assert_eq!(ends(&config, &[("team", "y")]), ["y"]);
    let pager = &config.route.ends(&Labels::from_pairs([("team", "x"), ("severity", "critical")]))[0];
    assert_eq!((pager.group_wait_ms, pager.repeat_interval_ms, pager.group_by.clone()), (5_000, 3 * 3_600_000, GroupBy::All));
    assert_eq!(pager.key, r#"{}/{team="x"}/{severity=~"crit.*"}"#);
    assert_eq!(pager.group_key(&Labels::from_pairs([("b", "2"), ("a", "1")])), r#"{}/{team="x"}/{severity=~"crit.*"}:{a="1", b="2"}"#);
    assert_eq!(config.route.group_key(&Labels::empty()), "{}:{}");
}

fn seed(name: &str) -> Option<String> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let seeds = std::env::var_os("WATCHFIRE_SEEDS").map_or_else(|| root.join("../shared/catalogue"), PathBuf::from);
    let text = std::fs::read_to_string(seeds.join("config_snippets").join(name)).ok();
    if text.is_none() {
        eprintln!("SKIPPED: the documents' blocks are not at hand (WATCHFIRE_SEEDS)");
    }
    text
}

#[test]
fn pis_18_alerts_are_grouped_by_alertname_and_severity() {
    let Some(text) = seed("002_407_alertmanager.yml") else { return };
    let config = config(&text);
    let root = &config.route;
    assert_eq!(root.group_by, GroupBy::Names(vec!["alertname".into(), "severity".into()]));
    assert_eq!((root.group_wait_ms, root.group_interval_ms, root.repeat_interval_ms, config.global.resolve_timeout_ms), (30_000, 300_000, 14_400_000, 300_000));
}

#[test]
fn pis_19_critical_goes_to_the_webhook() {
    let Some(text) = seed("002_407_alertmanager.yml") else { return };
    let parsed = read_text(&text);
    let nobody = parsed.findings.iter().filter(|f| f.message.contains("has no integration")).count();
    assert_eq!(nobody, 2, "the receivers without a channel are told: {:?}", parsed.findings);
    let config = parsed.config.unwrap();
    for (severity, receiver, integrations) in [("critical", "critical", 1), ("warning", "warning", 0), ("info", "default", 0)] {
        assert_eq!(ends(&config, &[("severity", severity)]), [receiver]);
        assert_eq!(config.receiver(receiver).unwrap().integrations.len(), integrations);
    }
    assert!(config.receiver("critical").unwrap().integrations[0].send_resolved);
}

#[test]
fn vms_25_to_28_routes_of_the_video_system() {
    let Some(text) = seed("004_501_alertmanager.yml") else { return };
    let config = config(&text);
    let at = |severity: &str| config.route.ends(&Labels::from_pairs([("severity", severity)]))[0].clone();
    let (critical, warning, other) = (at("critical"), at("warning"), at("info"));
    assert_eq!((other.group_wait_ms, other.group_interval_ms, other.repeat_interval_ms), (30_000, 300_000, 14_400_000));
    assert_eq!(
        (&*critical.receiver, critical.group_wait_ms, critical.group_interval_ms, critical.repeat_interval_ms),
        ("critical-alerts", 10_000, 300_000, 3_600_000)
    );
    assert_eq!((&*warning.receiver, warning.repeat_interval_ms), ("warning-alerts", 12 * 3_600_000));
    assert_eq!(other.receiver, "default");
    let sms = config.receiver("critical-alerts").unwrap().integrations.iter().find(|i| i.kind == "webhook").unwrap();
    assert!(!sms.send_resolved);
    assert_eq!(config.global.smtp.smarthost.as_deref(), Some("smtp.gmail.com:587"));
    assert!(config.global.smtp.require_tls && config.global.smtp.auth_password.is_some());
}

#[test]
fn somebody_is_told_only_by_a_route_to_an_integration() {
    let tells = |text: &str| config(text).tells_somebody();
    assert!(!tells("route: {receiver: a}\nreceivers: [{name: a}, {name: b, webhook_configs: [{url: 'http://localhost/'}]}]\n"));
    assert!(tells(
        "route: {receiver: a, routes: [{receiver: b, match: {x: y}}]}\nreceivers: [{name: a}, {name: b, webhook_configs: [{url: 'http://localhost/'}]}]\n"
    ));
    assert!(!tells("route: {receiver: a}\nreceivers: [{name: a, sns_configs: [{topic_arn: x, sigv4: {}}]}]\n"), "nobody delivers there");
}
