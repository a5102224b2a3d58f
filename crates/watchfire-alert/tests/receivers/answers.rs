//! What answers mean: again later, when, or never; and where a message may not go.

use std::time::Duration;

use watchfire_alert::receivers::DeliveryError;

use crate::setup::{deliver_one, errors, high_cpu};
use crate::sink::{Reply, Sink};

/// Every kind whose place can be set, with the canary as each of its secrets.
const KINDS: [(&str, &str); 10] = [
    ("slack", "slack_configs: [{api_url: 'SINK/canary-path'}]"),
    ("webhook", "webhook_configs: [{url: 'SINK/canary-path?key=canary-key'}]"),
    ("slack app", "slack_configs: [{app_token: canary-token, app_url: SINK}]"),
    ("pagerduty", "pagerduty_configs: [{routing_key: canary-key, url: SINK}]"),
    ("opsgenie", "opsgenie_configs: [{api_key: canary-key, api_url: SINK}]"),
    ("telegram", "telegram_configs: [{bot_token: 'canary-token', chat_id: 1, api_url: SINK}]"),
    ("discord", "discord_configs: [{webhook_url: 'SINK/canary-path'}]"),
    ("msteams", "msteams_configs: [{webhook_url: 'SINK/canary-path'}]"),
    ("ntfy", "ntfy_configs: [{url: SINK, topic: t, token: canary-token}]"),
    ("gotify", "gotify_configs: [{url: SINK, token: canary-token}]"),
];

#[derive(Debug, PartialEq)]
enum Meaning {
    Later(Option<u64>),
    Never,
}

async fn meaning(integrations: &str, reply: Reply) -> Meaning {
    let sink = Sink::start().await;
    sink.always(reply);
    match deliver_one(&integrations.replace("SINK", &sink.url()), &high_cpu(false)).await {
        Err(DeliveryError::Later { after, .. }) => Meaning::Later(after.map(|after| after.as_millis() as u64)),
        Err(DeliveryError::Never(_)) => Meaning::Never,
        Ok(()) => panic!("{integrations}: delivered"),
    }
}

#[tokio::test]
async fn r60_statuses() {
    for (name, integrations) in KINDS {
        for (reply, expected) in [
            (Reply::new("500 X", "", ""), Meaning::Later(None)),
            (Reply::new("503 X", "Retry-After: 7\r\n", ""), Meaning::Later(Some(7_000))),
            (Reply::new("429 X", "Retry-After: Fri, 02 Jan 2026 03:04:35 GMT\r\n", ""), Meaning::Later(Some(30_000))),
            (Reply::new("429 X", "", r#"{"retry_after": 1.25}"#), Meaning::Later(Some(1_250))),
            (Reply::new("429 X", "", r#"{"ok":false,"parameters":{"retry_after":9}}"#), Meaning::Later(Some(9_000))),
            (Reply::new("408 X", "", ""), Meaning::Later(None)),
            (Reply::new("400 X", "", "no"), Meaning::Never),
            (Reply::new("413 X", "", ""), Meaning::Never),
            (Reply::new("401 X", "", ""), Meaning::Later(None)),
            (Reply::new("403 X", "", ""), Meaning::Later(None)),
            (Reply::new("404 X", "", ""), Meaning::Later(None)),
            (Reply::Raw("not http at all\r\n\r\n".into()), Meaning::Later(None)),
            (Reply::Raw(String::new()), Meaning::Later(None)),
            (Reply::Raw(format!("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n{}", "x".repeat(100_000))), Meaning::Later(None)),
        ] {
            let shown = format!("{reply:.60?}");
            assert_eq!(meaning(integrations, reply).await, expected, "{name}: {shown}");
        }
    }
}

#[tokio::test]
async fn success_that_is_none() {
    let json = |body: &str| Reply::new("200 OK", "Content-Type: application/json\r\n", body);
    let slack = KINDS[0].1;
    assert_eq!(meaning(slack, json(r#"{"ok":false,"error":"channel_not_found"}"#)).await, Meaning::Never);
    assert_eq!(meaning(slack, json(r#"{"ok":false,"error":"ratelimited"}"#)).await, Meaning::Later(None));
    assert_eq!(meaning(slack, json("{")).await, Meaning::Later(None));
    assert_eq!(meaning(slack, Reply::new("200 OK", "", "no_service")).await, Meaning::Never);
    let teams = "msteams_configs: [{webhook_url: 'SINK/x'}]";
    let said = |status: u16| {
        Reply::new("200 OK", "", &format!("Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error {status} with ContextId x"))
    };
    assert_eq!(meaning(teams, said(429)).await, Meaning::Later(None));
    assert_eq!(meaning(teams, said(413)).await, Meaning::Never);
}

#[tokio::test]
async fn a_place_that_hangs_holds_nobody_up() {
    for integrations in [
        "slack_configs: [{api_url: 'SINK/x', timeout: 200ms}]",
        "webhook_configs: [{url: 'SINK/x', timeout: 200ms}]",
        "pagerduty_configs: [{routing_key: k, url: SINK, timeout: 200ms}]",
        "ntfy_configs: [{url: SINK, topic: t, timeout: 200ms}]",
        "gotify_configs: [{url: SINK, token: t, timeout: 200ms}]",
    ] {
        let tried = tokio::time::timeout(Duration::from_secs(20), meaning(integrations, Reply::Hang)).await;
        assert_eq!(tried, Ok(Meaning::Later(None)), "{integrations}");
    }
}

/// R57: a place that sends back all it got, and one that nobody answers at.
#[tokio::test]
async fn r57_no_secret_in_a_message() {
    let sink = Sink::start().await;
    for (name, integrations) in KINDS {
        for (reply, url) in [(Reply::Echo(400), sink.url()), (Reply::Echo(500), sink.url()), (Reply::ok(), "http://127.0.0.1:1".to_owned())] {
            sink.always(reply);
            let error = deliver_one(&integrations.replace("SINK", &url), &high_cpu(false)).await.unwrap_err();
            assert!(!format!("{error} {error:?}").contains("canary"), "{name}: {error}");
        }
    }
}

/// R53: a message and its keys go to the configured host, whoever redirects them.
#[tokio::test]
async fn r53_redirects_lead_nowhere_else() {
    let (trap, sink) = (Sink::start().await, Sink::start().await);
    for (name, integrations) in KINDS {
        let integrations = integrations.replace("SINK", &sink.url());
        for status in [301, 302, 303, 307, 308] {
            for place in [trap.url(), format!("http://localhost:{}", trap.port), "file:///etc/passwd".to_owned(), "http://169.254.169.254/".to_owned()] {
                sink.always(Reply::new(&format!("{status} X"), &format!("Location: {place}\r\n"), ""));
                let outcome = deliver_one(&integrations, &high_cpu(false)).await;
                assert!(matches!(outcome, Err(DeliveryError::Never(_))), "{name} {status} {place}: {outcome:?}");
            }
        }
    }
    assert_eq!(trap.take().len(), 0);
    sink.take();
    sink.always(Reply::new("307 X", "Location: /again\r\n", ""));
    let outcome = deliver_one("gotify_configs: [{url: SINK, token: t}]".replace("SINK", &sink.url()).as_str(), &high_cpu(false)).await;
    assert!(matches!(outcome, Err(DeliveryError::Never(_))), "{outcome:?}");
    assert_eq!(sink.take().len(), 4, "three redirects are followed on the same host");
    sink.always(Reply::ok());
    sink.reply([Reply::new("308 X", "Location: /moved\r\n", "")]);
    deliver_one("gotify_configs: [{url: SINK, token: t}]".replace("SINK", &sink.url()).as_str(), &high_cpu(false)).await.unwrap();
    let requests = sink.take();
    assert_eq!((requests[1].path.as_str(), requests[1].header("x-gotify-key"), requests[1].body == requests[0].body), ("/moved", Some("t"), true));
}

/// R53: an address is never built from labels.
#[test]
fn r53_addresses_are_no_templates() {
    for integrations in [
        "slack_configs: [{api_url: 'http://{{ .CommonLabels.x }}/'}]",
        "slack_configs: [{app_token: t, app_url: 'http://{{ .CommonLabels.x }}/'}]",
        "webhook_configs: [{url: 'http://{{ .CommonLabels.x }}/'}]",
        "pagerduty_configs: [{routing_key: k, url: 'http://{{ .CommonLabels.x }}/'}]",
        "opsgenie_configs: [{api_key: k, api_url: 'http://{{ .CommonLabels.x }}/'}]",
        "telegram_configs: [{bot_token: t, chat_id: 1, api_url: 'http://{{ .CommonLabels.x }}/'}]",
        "discord_configs: [{webhook_url: 'http://{{ .CommonLabels.x }}/'}]",
        "msteams_configs: [{webhook_url: 'http://{{ .CommonLabels.x }}/'}]",
        "msteamsv2_configs: [{webhook_url: 'http://{{ .CommonLabels.x }}/'}]",
        "ntfy_configs: [{url: 'http://{{ .CommonLabels.x }}/', topic: t}]",
        "gotify_configs: [{url: 'http://{{ .CommonLabels.x }}/', token: t}]",
        "homeassistant_configs: [{broker: '{{ .CommonLabels.x }}'}]",
        "email_configs: [{to: a@b.c, from: a@b.c, smarthost: '{{ .CommonLabels.x }}:25'}]",
    ] {
        let found = errors(integrations);
        assert!(!found.is_empty() && !found.join("").contains("CommonLabels"), "{integrations}: {found:?}");
    }
}

#[test]
fn what_must_be_there() {
    for (integrations, expected) in [
        ("slack_configs: [{}]", "there is no Slack address"),
        ("webhook_configs: [{}]", "one of url and url_file must be set"),
        ("webhook_configs: [{url: 'ftp://h/'}]", "must be a URL"),
        ("slack_configs: [{api_url: 'http://h/', fields: [{title: x}]}]", "fields[0].value is missing"),
        ("slack_configs: [{api_url: 'http://h/', actions: [{type: button, text: t}]}]", "actions[0]: one of url and name must be set"),
        ("slack_configs: [{api_url: 'http://h/', fields: [{title: x, value: y, shrot: true}]}]", "unknown key \"shrot\""),
        ("pagerduty_configs: [{}]", "one of routing_key and service_key must be set"),
        ("pagerduty_configs: [{routing_key: k, details: {a: {b: '{{ nope }}'}}}]", "details.a.b: template: text:1: function \"nope\" not defined"),
        ("opsgenie_configs: [{}]", "there is no API key"),
        ("opsgenie_configs: [{api_key: k, responders: [{type: team}]}]", "one of id, name and username must be set"),
        ("opsgenie_configs: [{api_key: k, responders: [{name: n, type: tem}]}]", "did you mean \"team\"?"),
        ("pushover_configs: [{token: t}]", "user_key and token must be set"),
        ("pushover_configs: [{token: t, user_key: u, html: true, monospace: true}]", "must not be set together with html"),
        ("telegram_configs: [{bot_token: t}]", "one of chat_id and chat_id_file must be set"),
        ("telegram_configs: [{bot_token: t, chat_id: x}]", "must be a whole number, not \"x\""),
        ("telegram_configs: [{bot_token: t, chat_id: 1, parse_mode: html}]", "must be one of"),
        ("discord_configs: [{}]", "there is no address"),
        ("msteams_configs: [{}]", "one of webhook_url and webhook_url_file must be set"),
        ("msteamsv2_configs: [{webhook_url: 'ftp://h/'}]", "must be a URL"),
        ("ntfy_configs: [{topic: a/b}]", "letters, digits"),
        ("ntfy_configs: [{topic: a, url: 'http://h/a'}]", "the topic has a key of its own"),
        ("gotify_configs: [{url: 'http://h/'}]", "one of token and token_file must be set"),
        ("homeassistant_configs: [{broker: h, topic: 'a/#'}]", "without wildcards"),
        ("homeassistant_configs: [{broker: h, password: p}]", "a password needs its username"),
        ("email_configs: [{to: a@b.c, from: a@b.c}]", "there is no mail server"),
        ("email_configs: [{to: a@b.c, smarthost: 'h:25'}]", "there is no sender"),
        ("email_configs: [{to: nobody, from: a@b.c, smarthost: 'h:25'}]", "must be addresses"),
        ("email_configs: [{from: a@b.c, smarthost: 'h:25'}]", "to is missing"),
        ("email_configs: [{to: a@b.c, from: a@b.c, smarthost: 'h:25', headers: {subject: a, Subject: b}}]", "stands there twice"),
        ("email_configs: [{to: a@b.c, from: a@b.c, smarthost: 'h:25', headers: {\"a b\": c}}]", "no name of a header"),
    ] {
        let found = errors(integrations).join("\n");
        assert!(found.contains(expected), "{integrations}: {found}");
    }
}
