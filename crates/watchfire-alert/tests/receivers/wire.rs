//! What arrives of each kind that speaks HTTP, to the last key.

use serde_json::{Value as Json, json};

use crate::setup::{config, deliver, deliver_from, high_cpu, notification, one, told};
use crate::sink::{Request, Sink};

/// The name of the group `{}:{alertname="HighCPU"}`, as Alertmanager 0.25 says it.
const GROUP: &str = "9f2a099adf99adbf3e1d24abbd84835468e75b8b96fca010db3f2b763340e4c1";

async fn sent(integrations: &str, resolved: bool) -> Vec<Request> {
    let sink = Sink::start().await;
    let text = one(&integrations.replace("SINK", &sink.url()));
    for (kind, outcome) in deliver(&text, &high_cpu(resolved)).await {
        assert_eq!(outcome, Ok(()), "{kind}");
    }
    sink.take()
}

async fn check(integrations: &str, resolved: bool, path: &str, expected: Json) -> Request {
    let requests = sent(integrations, resolved).await;
    assert_eq!(requests.len(), 1, "{requests:?}");
    let request = requests[0].clone();
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", path));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.json(), expected, "{:#}", request.json());
    request
}

#[tokio::test]
async fn slack() {
    let integrations = "slack_configs:
- api_url: SINK/services/T0/B0
  channel: '#{{ .CommonLabels.severity }}'
  text: '{{ range .Alerts }}{{ .Annotations.summary }}{{ end }}'
  link_names: true
  short_fields: true
  fields: [{title: s, value: '{{ .Status }}'}, {title: t, value: u, short: false}]
  actions: [{type: button, text: t, url: 'http://x'}, {type: button, text: t, name: n, confirm: {text: sure, ok_text: '{{ .Status }}'}}]
";
    let link = "http://watchfire.example/#/alerts?receiver=r";
    let title = "[FIRING:1] HighCPU (a<b critical)";
    let body = |title: &str, color: &str, status: &str| {
        json!({
            "channel": "#critical",
            "username": "Watchfire",
            "link_names": true,
            "attachments": [{
                "title": title,
                "title_link": link,
                "text": "x & y",
                "fallback": format!("{title} {link}"),
                "callback_id": "",
                "footer": "",
                "color": color,
                "mrkdwn_in": ["fallback", "pretext", "text"],
                "fields": [{"title": "s", "value": status, "short": true}, {"title": "t", "value": "u", "short": false}],
                "actions": [
                    {"type": "button", "text": "t", "url": "http://x"},
                    {"type": "button", "text": "t", "name": "n", "confirm": {"text": "sure", "ok_text": status}},
                ],
            }],
        })
    };
    check(integrations, false, "/services/T0/B0", body(title, "danger", "firing")).await;
    check(integrations, true, "/services/T0/B0", body("[RESOLVED] HighCPU (a<b critical)", "good", "resolved")).await;
}

#[tokio::test]
async fn slack_apps_say_who_they_are() {
    let minimal = "slack_configs: [{app_token: xoxb-1, app_url: 'SINK/api/chat.postMessage', channel: c, title: '', title_link: '', fallback: '', username: '', color: '', message_text: hello}]";
    let expected = json!({"channel": "c", "text": "hello", "attachments": [{"text": "", "fallback": "", "callback_id": "", "footer": "", "mrkdwn_in": ["fallback", "pretext", "text"]}]});
    let request = check(minimal, false, "/api/chat.postMessage", expected).await;
    assert_eq!(request.header("authorization"), Some("Bearer xoxb-1"));
}

#[tokio::test]
async fn pagerduty() {
    let integrations = "pagerduty_configs:
- routing_key: '{{ .CommonLabels.severity }}-key'
  url: SINK/v2/enqueue
  severity: '{{ .CommonLabels.severity }}'
  class: c
  images: [{src: s}, {alt: no source}]
  links: [{href: h, text: t}, {text: no place}]
  details: {firing: '', runbook: {url: '{{ .Status }}', list: [a, 1]}}
";
    let body = |action: &str, summary: &str, counts: (&str, &str), resolved: &str, status: &str| {
        json!({
            "routing_key": "critical-key",
            "dedup_key": GROUP,
            "event_action": action,
            "payload": {
                "summary": summary, "source": "Watchfire", "severity": "critical", "class": "c",
                "custom_details": {"firing": "", "runbook": {"url": status, "list": ["a", "1"]}, "resolved": resolved, "num_firing": counts.0, "num_resolved": counts.1},
            },
            "client": "Watchfire",
            "client_url": "http://watchfire.example/#/alerts?receiver=r",
            "images": [{"src": "s", "alt": "", "href": ""}],
            "links": [{"href": "h", "text": "t"}],
        })
    };
    let list = "HighCPU\n  instance: a<b\n  severity: critical\n  summary: x & y\n";
    check(integrations, false, "/v2/enqueue", body("trigger", "[FIRING:1] HighCPU (a<b critical)", ("1", "0"), "", "firing")).await;
    check(integrations, true, "/v2/enqueue", body("resolve", "[RESOLVED] HighCPU (a<b critical)", ("0", "1"), list, "resolved")).await;
}

#[tokio::test]
async fn pagerduty_without_severity_and_with_too_many_details() {
    let requests = sent("pagerduty_configs: [{routing_key: k, url: 'SINK/', severity: '', details: {much: '{{ range stringSlice \"a\" \"b\" \"c\" \"d\" \"e\" \"f\" }}{{ template \"hundred\" }}{{ end }}{{ define \"hundred\" }}HUNDRED{{ end }}'}}]".replace("HUNDRED", &"x".repeat(100_000)).as_str(), false).await;
    let event = requests[0].json();
    assert_eq!(event.pointer("/payload/severity"), Some(&json!("error")));
    let details = event.pointer("/payload/custom_details").unwrap().as_object().unwrap();
    assert_eq!(details.keys().collect::<Vec<_>>(), ["error"]);
    assert!(requests[0].body.len() < 2_000);
}

#[tokio::test]
async fn opsgenie_creates_updates_and_closes() {
    let integrations = "opsgenie_configs:
- api_key: key-1
  api_url: SINK/og
  tags: 'a, b,,c'
  actions: restart
  responders: [{name: 'x,y', type: teams}, {username: u, type: user}, {id: '{{ .CommonLabels.none }}', type: team}]
  update_alerts: true
  priority: P1
  details: {q: w}
";
    let requests = sent(integrations, false).await;
    let lines: Vec<(&str, &str)> = requests.iter().map(|r| (r.method.as_str(), r.path.as_str())).collect();
    let below = format!("/og/v2/alerts/{GROUP}");
    let expected = [
        ("POST", "/og/v2/alerts".to_owned()),
        ("PUT", format!("{below}/message?identifierType=alias")),
        ("PUT", format!("{below}/description?identifierType=alias")),
    ];
    assert_eq!(lines, expected.iter().map(|(m, p)| (*m, p.as_str())).collect::<Vec<_>>());
    assert!(requests.iter().all(|r| r.header("authorization") == Some("GenieKey key-1")));
    let description = "x & y\nFiring:\nHighCPU\n  instance: a<b\n  severity: critical\n  summary: x & y\n";
    let expected = json!({
        "alias": GROUP,
        "message": "[FIRING:1] HighCPU (a<b critical)",
        "description": description,
        "details": {"alertname": "HighCPU", "instance": "a<b", "severity": "critical", "q": "w"},
        "source": "http://watchfire.example/#/alerts?receiver=r",
        "responders": [{"name": "x", "type": "team"}, {"name": "y", "type": "team"}, {"username": "u", "type": "user"}, {"type": "team"}],
        "tags": ["a", " b", "c"],
        "actions": ["restart"],
        "priority": "P1",
    });
    assert_eq!(requests[0].json(), expected, "{:#}", requests[0].json());
    assert_eq!(requests[1].json(), json!({"message": "[FIRING:1] HighCPU (a<b critical)"}));
    assert_eq!(requests[2].json(), json!({"description": description}));
    let closing = sent(integrations, true).await;
    assert_eq!((closing.len(), &*closing[0].method, closing[0].path.clone()), (1, "POST", format!("{below}/close?identifierType=alias")));
    assert_eq!(closing[0].json(), json!({"source": "http://watchfire.example/#/alerts?receiver=r"}));
}

#[tokio::test]
async fn telegram() {
    let integrations = "telegram_configs: [{bot_token: '7:tok', api_url: SINK, chat_id: -1005, message_thread_id: 3, message: '<b>{{ .CommonLabels.instance }}</b>', disable_notifications: true}]";
    let expected = json!({
        "chat_id": "-1005", "text": "<b>a&lt;b</b>", "parse_mode": "HTML", "disable_web_page_preview": "true", "disable_notification": "true", "message_thread_id": "3",
    });
    check(integrations, false, "/bot7:tok/sendMessage", expected).await;
    let plain = "telegram_configs: [{bot_token: '7:tok', api_url: SINK, chat_id: 5, parse_mode: '', message: '{{ .CommonLabels.instance }}'}]";
    check(plain, false, "/bot7:tok/sendMessage", json!({"chat_id": "5", "text": "a<b", "disable_web_page_preview": "true"})).await;
}

#[tokio::test]
async fn telegram_never_cuts_marks_apart() {
    let sink = Sink::start().await;
    let text =
        one(&format!("telegram_configs: [{{bot_token: '7:tok', api_url: '{}', chat_id: 5, message: '<b>{{{{ .CommonLabels.long }}}}</b>'}}]", sink.url()));
    for (length, mode, chars) in [(4089, Some("HTML"), 4096), (4090, None, 4090), (9_000, None, 4096)] {
        let long = "x".repeat(length);
        deliver(&text, &notification(vec![told(&[("alertname", "A"), ("long", &long)], &[], false)])).await.remove(0).1.unwrap();
        let body = sink.take()[0].json();
        assert_eq!((body["parse_mode"].as_str(), body["text"].as_str().unwrap().chars().count()), (mode, chars));
        assert!(mode.is_some() || !body["text"].as_str().unwrap().contains('<'));
    }
    // Marks of Markdown that are cut are refused as well.
    for (length, mode, chars) in [(4094, Some("MarkdownV2"), 4096), (4095, None, 4096)] {
        let long = "x".repeat(length);
        let text = format!("telegram_configs: [{{bot_token: '7:tok', api_url: SINK, chat_id: 5, parse_mode: MarkdownV2, message: '*{long}*'}}]");
        let body = sent(&text, false).await[0].json();
        assert_eq!((body["parse_mode"].as_str(), body["text"].as_str().unwrap().chars().count()), (mode, chars));
    }
}

#[tokio::test]
async fn discord() {
    let integrations = "discord_configs: [{webhook_url: 'SINK/api/webhooks/1/x', username: w, content: '{{ .Status }}'}]";
    let message = |title: &str| format!("# {title}\n\n**HighCPU**\n\n- instance: a<b\n- severity: critical\n- summary: x & y\n\n");
    let body = |title: &str, color: u32, status: &str, head: &str| json!({"content": status, "allowed_mentions": {"parse": []}, "username": "w", "embeds": [{"title": title, "description": message(head), "color": color}]});
    check(integrations, false, "/api/webhooks/1/x", body("[FIRING:1] HighCPU (a<b critical)", 10_038_562, "firing", "Firing")).await;
    check(integrations, true, "/api/webhooks/1/x", body("[RESOLVED] HighCPU (a<b critical)", 3_066_993, "resolved", "Resolved")).await;
}

#[tokio::test]
async fn teams() {
    let text = "# Firing\n\n**HighCPU**\n\n- instance: a<b\n- severity: critical\n- summary: x & y\n\n";
    let title = "[FIRING:1] HighCPU (a<b critical)";
    let card =
        json!({"@context": "http://schema.org/extensions", "type": "MessageCard", "title": title, "summary": title, "text": text, "themeColor": "8C1A1A"});
    check("msteams_configs: [{webhook_url: SINK/hook}]", false, "/hook", card).await;
    let adaptive = json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.2",
                "body": [
                    {"type": "TextBlock", "text": title, "weight": "Bolder", "size": "Medium", "wrap": true, "style": "heading", "color": "Attention"},
                    {"type": "TextBlock", "text": text, "wrap": true},
                ],
                "msteams": {"width": "full"},
            },
        }],
    });
    check("msteamsv2_configs: [{webhook_url: SINK/flow}]", false, "/flow", adaptive).await;
}

#[tokio::test]
async fn ntfy_and_gotify() {
    let message = "Firing:\nHighCPU\n  instance: a<b\n  severity: critical\n  summary: x & y";
    let title = "[FIRING:1] HighCPU (a<b critical)";
    let link = "http://watchfire.example/#/alerts?receiver=r";
    let expected = json!({"topic": "ops", "title": title, "message": message, "priority": 5, "tags": ["rotating_light"], "click": link});
    let request = check("ntfy_configs: [{url: SINK, topic: ops, token: tk_1}]", false, "/", expected).await;
    assert_eq!(request.header("authorization"), Some("Bearer tk_1"));
    let basic = sent("ntfy_configs: [{url: SINK, topic: ops, priority: low, tags: '', http_config: {basic_auth: {username: u, password: p}}}]", true).await;
    assert_eq!((basic[0].header("authorization"), &basic[0].json()["priority"]), (Some("Basic dTpw"), &json!(2)));
    let expected = json!({"title": title, "message": message, "priority": 9, "extras": {"client::notification": {"click": {"url": link}}}});
    let request = check("gotify_configs: [{url: SINK/gotify/, token: A1}]", false, "/gotify/message", expected).await;
    assert_eq!(request.header("x-gotify-key"), Some("A1"));
}

/// R44: a value never calls a whole channel; the texts of the configuration may.
#[tokio::test]
async fn r44_values_have_no_meaning_of_their_own() {
    let sink = Sink::start().await;
    let text = one(&format!(
        "slack_configs: [{{api_url: '{0}/s', text: '<!here> {{{{ .CommonAnnotations.bad }}}}'}}, {{api_url: '{0}/t', link_names: true, text: '{{{{ .CommonAnnotations.named }}}}'}}]\ndiscord_configs: [{{webhook_url: '{0}/d', content: '@here {{{{ .CommonAnnotations.bad }}}}'}}]",
        sink.url()
    ));
    let bad = "<!channel> @everyone <@U1> \u{1b}[31m\u{202e}x\0 @ever\u{1b}yone @EVERY\u{202e}ONE @he\0re <\u{2066}!channel> <\u{7f}@U2>";
    for (_, outcome) in deliver(&text, &notification(vec![told(&[("alertname", "A")], &[("bad", bad), ("named", "@everyone")], false)])).await {
        outcome.unwrap();
    }
    let mut requests = sink.take();
    requests.sort_by(|a, b| a.path.cmp(&b.path));
    assert_eq!(
        requests[0].json()["content"],
        "@here <!channel> @\u{200b}everyone <@\u{200b}U1> [31mx @\u{200b}everyone @\u{200b}EVERYONE @\u{200b}here <!channel> <@\u{200b}U2>"
    );
    assert_eq!(requests[0].json()["allowed_mentions"], json!({"parse": ["everyone"]}), "the configuration itself says @here");
    assert_eq!(requests[1].json()["attachments"][0]["text"], "<!here> &lt;!channel> @everyone &lt;@U1> [31mx @everyone @EVERYONE @here &lt;!channel> &lt;@U2>");
    assert_eq!(requests[2].json()["attachments"][0]["text"], "@\u{200b}everyone");
    let parts = [("alertname", "A"), ("a", "@every"), ("b", "one")];
    let joined = one(&format!("discord_configs: [{{webhook_url: '{}/d', content: '{{{{ .CommonLabels.a }}}}{{{{ .CommonLabels.b }}}}'}}]", sink.url()));
    for (_, outcome) in deliver(&joined, &notification(vec![told(&parts, &[], false)])).await {
        outcome.unwrap();
    }
    assert_eq!(sink.take()[0].json()["allowed_mentions"], json!({"parse": []}), "nobody is called by what values make together");
}

const VMS: &str = include_str!("vms.yml");

/// VMS-30, and what the SMS gateway of VMS-26 gets beside it.
#[tokio::test]
async fn vms_30_slack_has_the_name_and_all_descriptions() {
    let sink = Sink::start().await;
    let text = VMS.replace("https://hooks.slack.com", &sink.url()).replace("http://localhost:5000", &sink.url());
    let config = config(&text);
    let critical = notification(vec![
        told(&[("alertname", "CameraOffline"), ("severity", "critical"), ("camera", "1")], &[("description", "Camera 1 is offline.")], false),
        told(&[("alertname", "CameraOffline"), ("severity", "critical"), ("camera", "2")], &[("description", "Camera 2 is offline.")], false),
    ]);
    let receiver = config.receiver("critical-alerts").unwrap();
    let kinds: Vec<(&str, bool)> = receiver.integrations.iter().map(|i| (i.kind, i.send_resolved)).collect();
    assert_eq!(kinds, [("webhook", false), ("email", false), ("slack", false)], "SMS hears nothing of ends");
    let without_mail = text.replace("smtp.gmail.com:587", "127.0.0.1:1");
    let outcomes = deliver_from(&crate::setup::config(&without_mail), "critical-alerts", &critical).await;
    assert!(outcomes.iter().all(|(kind, outcome)| outcome.is_ok() == (*kind != "email")), "{outcomes:?}");
    let requests = sink.take();
    assert_eq!((requests[0].path.as_str(), requests[0].json()["alerts"].as_array().unwrap().len()), ("/send-sms", 2));
    let slack = requests[1].json();
    assert_eq!((requests[1].path.as_str(), slack["channel"].as_str()), ("/services/YOUR/WEBHOOK/URL", Some("#vms-alerts")));
    assert_eq!(slack["attachments"][0]["title"], "CameraOffline");
    assert_eq!(slack["attachments"][0]["text"], "Camera 1 is offline.Camera 2 is offline.");
}
