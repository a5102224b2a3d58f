//! Routes, receivers and inhibition beside rules.

use crate::Code;
use crate::site_tests::{found, has};

const RULES: &str = "groups:
- name: g
  rules:
  - {alert: Down, expr: 'up{job=\"web\"} == 0', labels: {severity: critical, component: web}}
  - {alert: Slow, expr: 'avg by (zone) (answer_seconds) > 1', labels: {severity: warning, component: web}}
  - {alert: Full, expr: 'sum by (instance) (free_bytes) < 1', labels: {severity: warning}}
";
const SCRAPING: &str = "rule_files: [rules.yml]
scrape_configs:
- {job_name: web, static_configs: [{targets: ['web:80']}]}
- {job_name: other, static_configs: [{targets: ['other:80']}]}
";

fn with(manager: &str) -> Vec<crate::Diagnosis> {
    found(&[("prometheus.yml", SCRAPING), ("rules.yml", RULES), ("alertmanager.yml", manager)])
}
fn routes(routes: &str) -> Vec<crate::Diagnosis> {
    with(&format!(
        "route:\n  receiver: all\n  routes:\n{routes}receivers:\n- {{name: all, email_configs: [{{to: a@b}}]}}\n- {{name: hook, webhook_configs: [{{url: 'http://h:1/'}}]}}\n- {{name: hook2, webhook_configs: [{{url: 'http://h:1/', send_resolved: false}}]}}\n- {{name: none}}\n"
    ))
}
fn inhibit(rule: &str) -> Vec<crate::Diagnosis> {
    with(&format!("route: {{receiver: all}}\nreceivers: [{{name: all, email_configs: [{{to: a@b}}]}}]\ninhibit_rules: [{rule}]\n"))
}

#[test]
fn routes_that_no_alert_takes() {
    let dead = routes("  - {receiver: hook, matchers: ['severity=\"page\"']}\n");
    has(&dead, Code::RouteNeverMatches, &["route to hook", "severity=\"page\""]);
    assert_eq!((dead.len(), dead[0].line, dead[0].suggestion.as_deref()), (1, 4, Some("severity is critical, warning")));
    has(&routes("  - {receiver: hook, match: {team: db}}\n"), Code::RouteNeverMatches, &["team=\"db\""]);
    has(&routes("  - {receiver: hook, match: {severity: critical, alertname: Full}}\n"), Code::RouteNeverMatches, &["together"]);
    for good in
        ["match: {severity: warning}", "match_re: {alertname: 'D.*'}", "matchers: ['zone=\"north\"']", "matchers: ['team=\"\"']", "matchers: [severity!=page]"]
    {
        assert_eq!(routes(&format!("  - {{receiver: hook, {good}}}\n")), [], "{good}");
    }
}

#[test]
fn external_labels_are_labels_of_alerts() {
    let manager = "route:\n  receiver: all\n  routes: [{match: {site: north}}, {match: {site: south}}]\nreceivers: [{name: all, email_configs: [{to: a@b}]}]\n";
    let scraping = format!("global: {{external_labels: {{site: north}}}}\n{SCRAPING}");
    let found = found(&[("prometheus.yml", &scraping), ("rules.yml", RULES), ("alertmanager.yml", manager)]);
    has(&found, Code::RouteNeverMatches, &["site=\"south\""]);
    assert_eq!(found.len(), 1, "{found:#?}");
}

/// Where several configurations send alerts, an alert may come from any of them.
#[test]
fn labels_of_several_configurations() {
    let manager = |site: &str| format!("route: {{receiver: all, routes: [{{match: {{{site}}}}}]}}\nreceivers: [{{name: all, email_configs: [{{to: a@b}}]}}]\n");
    let dead = |labels: [&str; 2], site: &str| {
        let configuration = |labels: &str| format!("global: {{external_labels: {{{labels}}}}}\n{SCRAPING}");
        let [first, second] = labels.map(configuration);
        let all = found(&[("a.yml", first.as_str()), ("b.yml", second.as_str()), ("rules.yml", RULES), ("alertmanager.yml", manager(site).as_str())]);
        all.iter().any(|d| d.code == Code::RouteNeverMatches)
    };
    for site in ["site: north", "site: south"] {
        assert!(!dead(["site: north", "site: south"], site), "{site}");
    }
    assert!(dead(["site: north", "site: south"], "site: west"));
    assert!(!dead(["site: north", "zone: x"], "site: ''"), "the second adds none");
    // The second relabels nothing, but the first does.
    let relabels = format!("alerting: {{alert_relabel_configs: [{{target_label: team, replacement: db}}]}}\n{SCRAPING}");
    let all = found(&[("a.yml", &relabels), ("b.yml", SCRAPING), ("rules.yml", RULES), ("alertmanager.yml", &manager("team: db"))]);
    assert!(!all.iter().any(|d| d.code == Code::RouteNeverMatches), "{all:#?}");
}

/// No rule file defines them, and their routes stand in the documentation.
#[test]
fn alerts_of_our_own_take_routes_and_start_inhibition() {
    for alive in [
        "match: {alertname: Heartbeat}",
        "matchers: [alertname=\"ServiceFailed\", job=watchfire, service=~\".+\"]",
        "match: {alertname: DiskNearlyFull, severity: critical}",
        "match_re: {alertname: 'Gpu.*', gpu: '.+'}",
        "match: {severity: none}",
        "match: {severity: error}",
        "match: {queue_name: 'dlq:frames'}",
    ] {
        assert_eq!(routes(&format!("  - {{receiver: hook, {alive}}}\n")), [], "{alive}");
    }
    has(&routes("  - {receiver: hook, match: {alertname: GpuHot, severity: critical}}\n"), Code::RouteNeverMatches, &["together"]);
    has(&routes("  - {receiver: hook, match: {alertname: Heartbeat, service: x}}\n"), Code::RouteNeverMatches, &["together"]);
    let misspelt = routes("  - {receiver: hook, match: {alertname: HeartBeat}}\n");
    assert_eq!(misspelt[0].suggestion.as_deref(), Some("did you mean \"Heartbeat\"?"), "{misspelt:#?}");
    assert_eq!(inhibit("{source_match: {alertname: ServiceFailed}, target_match: {severity: warning}, equal: [instance]}"), []);
    let apart = inhibit("{source_match: {alertname: ServiceFailed}, target_match: {alertname: Slow}, equal: [instance]}");
    has(&apart, Code::InhibitionNeverMatches, &["ServiceFailed never silences Slow", "no label instance"]);
    // They make no inhibition of others look possible.
    has(&inhibit("{source_match: {severity: critical}, target_match: {alertname: Slow}, equal: [instance]}"), Code::InhibitionNeverMatches, &["Down", "Slow"]);
}

#[test]
fn alerts_that_nobody_is_told_of() {
    let found = routes("  - {receiver: none, match: {severity: warning}}\n");
    has(&found, Code::SilentReceiver, &["receiver none", "Slow", "Full"]);
    assert_eq!(found.len(), 1, "{found:#?}");
}

#[test]
fn alerts_that_are_told_twice() {
    let twice = routes("  - {receiver: hook, match: {severity: critical}, continue: true}\n  - {receiver: hook2, match: {component: web}}\n");
    has(&twice, Code::DeliveredTwice, &["Down", "line 4", "h:1 of them"]);
    assert_eq!(twice.len(), 1, "{twice:#?}");
    assert_eq!(routes("  - {receiver: hook, match: {severity: critical}}\n  - {receiver: hook2, match: {component: web}}\n"), []);
    assert_eq!(routes("  - {receiver: hook, match: {severity: critical}, continue: true}\n  - {receiver: all, match: {component: web}}\n"), []);
}

/// Findings are read by whoever may read; what lets write or log in somewhere is not for them.
#[test]
fn no_finding_shows_a_secret() {
    const KINDS: [(&str, &str, &str); 21] = [
        ("webhook", "url: 'https://u:S3CRET@hooks.example/S3CRET?t=S3CRET'", "hooks.example"),
        ("webhook", "url: 'https://u:S3CRET/x@hooks.example/'", "webhook"),
        ("webhook", "url: S3CRET", "webhook"),
        ("discord", "webhook_url: 'https://discord.example/api/webhooks/1/S3CRET'", "discord.example"),
        ("msteams", "webhook_url: 'https://teams.example/S3CRET'", "teams.example"),
        ("msteamsv2", "webhook_url: 'https://teams.example/S3CRET'", "teams.example"),
        ("slack", "api_url: 'https://hooks.slack.example/S3CRET', channel: '#ops'", "#ops"),
        ("slack", "api_url: 'https://hooks.slack.example/S3CRET'", "hooks.slack.example"),
        ("slack", "app_token: S3CRET", "slack"),
        ("email", "to: a@b, auth_password: S3CRET, auth_secret: S3CRET", "a@b"),
        ("pagerduty", "routing_key: S3CRET", "pagerduty"),
        ("pagerduty", "service_key: S3CRET, url: 'https://pd.example/S3CRET'", "pd.example"),
        ("opsgenie", "api_key: S3CRET", "opsgenie"),
        ("pushover", "user_key: S3CRET, token: S3CRET", "pushover"),
        ("telegram", "bot_token: S3CRET, chat_id: -17", "-17"),
        ("webex", "room_id: room, http_config: {authorization: {credentials: S3CRET}}", "room"),
        ("victorops", "api_key: S3CRET, routing_key: S3CRET", "victorops"),
        ("gotify", "url: 'http://gotify.example/', token: S3CRET", "gotify.example"),
        ("ntfy", "topic: S3CRET, token: S3CRET", "ntfy"),
        ("homeassistant", "webhook_url: 'http://home.example:8123/api/webhook/S3CRET'", "home.example:8123"),
        ("mqtt", "broker: 'mqtt://u:S3CRET@broker.example:1883'", "broker.example:1883"),
    ];
    for (kind, item, shown) in KINDS {
        let manager = format!(
            "route:\n  receiver: a\n  routes: [{{receiver: a, continue: true}}, {{receiver: b}}]\nreceivers:\n- {{name: a, {kind}_configs: [{{{item}}}]}}\n- {{name: b, {kind}_configs: [{{{item}}}]}}\n"
        );
        let twice = with(&manager);
        has(&twice, Code::DeliveredTwice, &[&format!("has told {shown} of them")]);
        assert!(!format!("{twice:?}").contains("S3CRET"), "{twice:#?}");
    }
    for target in ["http://u:S3CRET@web:80/", "https://web/S3CRET", "http://web/?token=S3CRET", "http://u:S3CRET/x@web/"] {
        let scraping = format!("scrape_configs: [{{job_name: web, static_configs: [{{targets: ['{target}']}}]}}]\n");
        let manager = "route: {receiver: a}\nreceivers: [{name: a, webhook_configs: [{url: 'http://x:S3CRET@web/S3CRET'}]}]\n";
        let found = found(&[("prometheus.yml", &scraping), ("rules.yml", RULES), ("alertmanager.yml", manager)]);
        has(&found, Code::TargetIsUrl, &["web", "is a URL"]);
        assert!(!format!("{found:?}").contains("S3CRET"), "{found:#?}");
    }
}

#[test]
fn receivers_that_live_on_what_is_watched() {
    let manager = |url: &str| format!("route: {{receiver: a}}\nreceivers: [{{name: a, webhook_configs: [{{url: '{url}'}}]}}]\n");
    has(&with(&manager("http://web/alerts")), Code::ReceiverIsWatched, &["web:80", "job web"]);
    for good in ["http://web:81/", "http://elsewhere/", "https://web/"] {
        assert_eq!(with(&manager(good)), [], "{good}");
    }
}

/// Whatever is scraped, probed or supervised may be down when somebody must be told.
#[test]
fn receivers_behind_probes_mail_servers_and_supervised_services() {
    let scraping = "scrape_configs: [{job_name: probe, static_configs: [{targets: ['http://app:8000/health', 'mail:25']}], relabel_configs: [{target_label: __address__, replacement: 'b:9115'}]}]\n";
    let services = "services: {watch: [{name: hub, health_url: 'http://hub:7000/health'}]}\n";
    let found = |receivers: &str| {
        let manager = format!("global: {{smtp_smarthost: 'mail:25', smtp_from: a@b.c}}\nroute: {{receiver: a}}\nreceivers: [{{name: a, {receivers}}}]\n");
        let all = crate::site_tests::found(&[("prometheus.yml", scraping), ("watchfire.yml", services), ("alertmanager.yml", &manager)]);
        all.into_iter().filter(|d| d.code == Code::ReceiverIsWatched).map(|d| d.message).collect::<Vec<_>>()
    };
    for (receivers, words) in [
        ("webhook_configs: [{url: 'http://app:8000/hook'}]", "app:8000, which the job probe watches"),
        ("email_configs: [{to: x@y.z}]", "mail:25, which the job probe watches"),
        ("slack_configs: [{api_url: 'http://hub:7000/slack', channel: c}]", "hub:7000, which the supervision of hub watches"),
    ] {
        let found = found(receivers);
        assert!(found.len() == 1 && found[0].contains(words), "{receivers}: {found:?}");
    }
    for receivers in
        ["email_configs: [{to: x@y.z, smarthost: 'smtp.example.com:587'}]", "webhook_configs: [{url: 'http://app:8001/'}]", "webhook_configs: [{url_file: /x}]"]
    {
        assert_eq!(found(receivers), [""; 0], "{receivers}");
    }
}

#[test]
fn inhibition_that_never_happens() {
    has(&inhibit("{source_match: {alertname: Gone}, target_match: {severity: warning}}"), Code::InhibitionNeverMatches, &["alertname=\"Gone\"", "starts"]);
    has(&inhibit("{source_match: {alertname: Down}, target_match: {severity: info}}"), Code::InhibitionNeverMatches, &["severity=\"info\"", "silenced"]);
    let summed = inhibit("{source_match: {alertname: Down}, target_match: {alertname: Slow}, equal: [instance]}");
    has(&summed, Code::InhibitionNeverMatches, &["Down never silences Slow", "no label instance"]);
    let apart = inhibit("{source_match: {alertname: Down}, target_match_re: {alertname: 'Slow|Full'}, equal: [zone, component]}");
    has(&apart, Code::InhibitionNeverMatches, &["Down never silences Full"]);
    let unnamed = inhibit("{source_match: {alertname: Down}, target_match: {severity: warning}, equal: [zone, component]}");
    assert_eq!(unnamed, [], "whichever alerts happen to fit are meant");
    let fixed = inhibit("{source_match: {alertname: Down}, target_match: {alertname: Slow}, equal: [severity]}");
    has(&fixed, Code::InhibitionNeverMatches, &["critical", "warning"]);
    for good in [
        "{source_match: {alertname: Down}, target_match: {severity: warning}}",
        "{source_match: {alertname: Down}, target_match: {alertname: Full}, equal: [instance]}",
        "{source_matchers: [severity=critical], target_matchers: [severity=warning], equal: [component]}",
    ] {
        assert_eq!(inhibit(good), [], "{good}");
    }
}
