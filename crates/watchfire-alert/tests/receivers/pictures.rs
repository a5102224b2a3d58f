//! Pictures of panels in notifications: who carries one, and that none holds a notification up.

use std::sync::{Arc, Mutex};

use watchfire_alert::manager::notification::Notification;
use watchfire_alert::receivers::{DeliveryError, Outside, Pictures};
use watchfire_model::meter::Meter;

use crate::setup::{config, notification, one, outside, told};
use crate::sink::{Reply, Request, Sink};

/// What a panel was painted for: dashboards and panels.
type Asked = Arc<Mutex<Vec<(String, u64)>>>;

fn painting(works: bool) -> (Outside, Asked, Meter) {
    let (pictures, meter, asked) = (Pictures::default(), Meter::new(), Asked::default());
    let noted = asked.clone();
    let paint = move |uid: &str, panel: u64| {
        noted.lock().unwrap().push((uid.to_owned(), panel));
        let painted = if works { Ok(b"PNG of it".to_vec()) } else { Err("Panel not found".to_owned()) };
        Box::pin(async move { painted }) as watchfire_alert::receivers::PaintedPanel
    };
    pictures.painted_by(Arc::new(paint), &meter);
    (Outside { pictures: Arc::new(pictures), ..outside() }, asked, meter)
}
fn alert(annotations: &[(&str, &str)]) -> Notification {
    notification(vec![told(&[("alertname", "HighCPU")], annotations, false)])
}
const NAMED: [(&str, &str); 2] = [("__dashboardUid__", "host"), ("__panelId__", "7")];
const DISCORD: &str = "discord_configs: [{webhook_url: 'SINK/d'}]";
const TELEGRAM: &str = "telegram_configs: [{bot_token: '7:tok', api_url: 'SINK', chat_id: 5, message_thread_id: 3}]";

async fn sent(integrations: &str, notification: &Notification, outside: &Outside, reply: Option<Reply>) -> Vec<Request> {
    let sink = Sink::start().await;
    if let Some(reply) = reply {
        sink.reply([Reply::ok(), reply]);
    }
    let config = config(&one(&integrations.replace("SINK", &sink.url())));
    for integration in &config.receiver("r").unwrap().integrations {
        integration.integration.deliver(notification, outside).await.unwrap();
    }
    sink.take()
}

#[tokio::test]
async fn chats_get_the_panel_that_an_alert_names() {
    let (outside, asked, _) = painting(true);
    let requests = sent(DISCORD, &alert(&NAMED), &outside, None).await;
    let [request] = requests.as_slice() else { panic!("{requests:?}") };
    assert!(request.header("content-type").unwrap().starts_with("multipart/form-data; boundary="), "{request:?}");
    for part in [
        "name=\"payload_json\"",
        "\"image\":{\"url\":\"attachment://panel.png\"}",
        "name=\"files[0]\"; filename=\"panel.png\"\r\nContent-Type: image/png\r\n\r\nPNG of it\r\n--",
    ] {
        assert!(request.body.contains(part), "{part}: {}", request.body);
    }
    let requests = sent(TELEGRAM, &alert(&[("watchfire_panel", "gpu/12")]), &outside, None).await;
    let [message, photo] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!((message.path.as_str(), photo.path.as_str()), ("/bot7:tok/sendMessage", "/bot7:tok/sendPhoto"));
    for part in ["name=\"chat_id\"\r\n\r\n5\r\n", "name=\"message_thread_id\"\r\n\r\n3\r\n", "name=\"photo\"; filename=\"panel.png\"", "PNG of it"] {
        assert!(photo.body.contains(part), "{part}: {}", photo.body);
    }
    assert_eq!(*asked.lock().unwrap(), [("host".to_owned(), 7), ("gpu".to_owned(), 12)]);
}

const NTFY: &str = "ntfy_configs: [{url: 'SINK', topic: 'home', token: 'tk_1', message: \"Zeile 1\\nü\", tags: 'a,b', priority: high, markdown: true}]";
const PUSHOVER: &str =
    "pushover_configs: [{token: t, user_key: u, message: 'm & m', http_config: {proxy_url: SINK, tls_config: {insecure_skip_verify: true}}}]";

#[tokio::test]
async fn ntfy_and_pushover_get_the_picture_with_the_message() {
    let (outside, _, _) = painting(true);
    let requests = sent(NTFY, &alert(&NAMED), &outside, None).await;
    let [request] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!((request.method.as_str(), request.path.as_str(), request.body.as_str()), ("PUT", "/home", "PNG of it"));
    for (name, value) in [
        ("filename", "panel.png"),
        ("message", "=?utf-8?B?WmVpbGUgMQrDvA==?="),
        ("tags", "a,b"),
        ("priority", "4"),
        ("markdown", "true"),
        ("authorization", "Bearer tk_1"),
        ("content-type", "image/png"),
    ] {
        assert_eq!(request.header(name), Some(value), "{name}");
    }
    assert!(request.header("title").is_some_and(|title| title.contains("HighCPU")), "{request:?}");
    let requests = sent(PUSHOVER, &alert(&NAMED), &outside, None).await;
    let [request] = requests.as_slice() else { panic!("{requests:?}") };
    assert!(request.body.ends_with("&attachment_base64=UE5HIG9mIGl0&attachment_type=image%2Fpng") && request.body.contains("message=m+%26+m"), "{request:?}");
}

/// Whoever does not take pictures is told without one.
#[tokio::test]
async fn a_message_that_is_refused_with_its_picture_goes_without() {
    for (integrations, content_type) in [(NTFY, "application/json"), (DISCORD, "application/json"), (PUSHOVER, "application/x-www-form-urlencoded")] {
        let (outside, _, _) = painting(true);
        let sink = Sink::start().await;
        sink.reply([Reply::new("413 Payload Too Large", "", "attachments are not allowed"), Reply::ok()]);
        let config = config(&one(&integrations.replace("SINK", &sink.url())));
        config.receiver("r").unwrap().integrations[0].integration.deliver(&alert(&NAMED), &outside).await.unwrap();
        let requests = sink.take();
        let [_, without] = requests.as_slice() else { panic!("{requests:?}") };
        assert_eq!(without.header("content-type"), Some(content_type));
        assert!(!without.body.contains("panel.png") && !without.body.contains("attachment_base64") && !without.body.is_empty(), "{without:?}");
    }
    // A place that is busy is asked again, with the picture.
    let (outside, _, _) = painting(true);
    let sink = Sink::start().await;
    sink.reply([Reply::new("503 Service Unavailable", "", "")]);
    let config = config(&one(&NTFY.replace("SINK", &sink.url())));
    let outcome = config.receiver("r").unwrap().integrations[0].integration.deliver(&alert(&NAMED), &outside).await;
    assert!(matches!(outcome, Err(DeliveryError::Later { .. })) && sink.take().len() == 1);
}

#[tokio::test]
async fn slacks_apps_put_the_picture_below_the_message() {
    const SLACK: &str = "slack_configs: [{app_token: 'xoxb-1', app_url: 'SINK/api/chat.postMessage', channel: '#a'}]";
    let told = |body: &str| Reply::new("200 OK", "Content-Type: application/json\r\n", body);
    let (outside, _, _) = painting(true);
    let sink = Sink::start().await;
    let place = format!(r#"{{"ok": true, "upload_url": "{}/upload/v1/abc", "file_id": "F1"}}"#, sink.url());
    sink.reply([told(r#"{"ok": true, "channel": "C1", "ts": "17.5"}"#), told(&place), Reply::ok(), told(r#"{"ok": true}"#)]);
    let config = config(&one(&SLACK.replace("SINK", &sink.url())));
    let slack = &config.receiver("r").unwrap().integrations[0].integration;
    slack.deliver(&alert(&NAMED), &outside).await.unwrap();
    let requests = sink.take();
    let [message, asked, upload, shown] = requests.as_slice() else { panic!("{requests:?}") };
    assert!(message.path == "/api/chat.postMessage" && message.json()["attachments"][0]["image_url"].is_null(), "{message:?}");
    assert_eq!((asked.path.as_str(), asked.body.as_str()), ("/api/files.getUploadURLExternal", "filename=panel.png&length=9"));
    assert_eq!((upload.path.as_str(), upload.body.as_str(), upload.header("authorization")), ("/upload/v1/abc", "PNG of it", None));
    assert_eq!(shown.path, "/api/files.completeUploadExternal");
    assert_eq!(shown.json(), serde_json::json!({"files": [{"id": "F1", "title": "panel"}], "channel_id": "C1", "thread_ts": "17.5"}));
    for with_token in [message, asked, shown] {
        assert_eq!(with_token.header("authorization"), Some("Bearer xoxb-1"));
    }
    // An app that may write no files, and a place that is not protected: the message is there all the same.
    for second in [r#"{"ok": false, "error": "missing_scope"}"#, r#"{"ok": true, "upload_url": "http://elsewhere.example/x", "file_id": "F1"}"#, "[]"] {
        sink.reply([told(r#"{"ok": true, "channel": "C1", "ts": "17.5"}"#), told(second)]);
        slack.deliver(&alert(&NAMED), &outside).await.unwrap();
        assert_eq!(sink.take().len(), 2, "{second}");
    }
}

/// A webhook of Slack takes no files: Slack fetches the picture itself, where it can.
#[tokio::test]
async fn slacks_webhooks_get_an_address_that_others_can_reach() {
    const SLACK: &str = "slack_configs: [{api_url: 'SINK/hook'}]";
    let (outside, asked, _) = painting(true);
    for (external, expected) in [
        (
            "https://watch.example.com/",
            Some("https://watch.example.com/render/d-solo/host/panel?panelId=7&from=1767319445000&to=1767323045000&width=800&height=400"),
        ),
        (
            "http://93.184.216.34:8000/x",
            Some("http://93.184.216.34:8000/x/render/d-solo/host/panel?panelId=7&from=1767319445000&to=1767323045000&width=800&height=400"),
        ),
        ("http://localhost:8000", None),
        ("http://pi:8000", None),
        ("http://pi.local", None),
        ("http://192.168.1.5:8000", None),
        ("http://127.0.0.1:8000", None),
        ("http://[::1]:8000", None),
        ("http://[fd00::1]:8000", None),
        ("ftp://watch.example.com", None),
        ("nonsense", None),
    ] {
        let notification = Notification { external_url: external.into(), ..alert(&NAMED) };
        let requests = sent(SLACK, &notification, &outside, None).await;
        assert_eq!(requests[0].json()["attachments"][0]["image_url"].as_str(), expected, "{external}");
    }
    let own = "slack_configs: [{api_url: 'SINK/hook', image_url: 'https://example.com/own.png'}]";
    let notification = Notification { external_url: "https://watch.example.com".into(), ..alert(&NAMED) };
    assert_eq!(sent(own, &notification, &outside, None).await[0].json()["attachments"][0]["image_url"], "https://example.com/own.png");
    // Nobody paints, or no panel is named.
    let nobody = sent(SLACK, &notification, &crate::setup::outside(), None).await;
    assert!(nobody[0].json()["attachments"][0]["image_url"].is_null());
    assert_eq!(asked.lock().unwrap().len(), 0, "nothing is painted for it");
}

#[tokio::test]
async fn a_notification_does_not_wait_for_a_picture_that_fails() {
    let (outside, asked, meter) = painting(false);
    let requests = sent(DISCORD, &alert(&NAMED), &outside, None).await;
    assert_eq!((requests.len(), requests[0].header("content-type"), asked.lock().unwrap().len()), (1, Some("application/json"), 1));
    let families = meter.gather();
    let family = families.iter().find(|f| &*f.name == "watchfire_alert_pictures_total").unwrap();
    assert!(family.points.iter().any(|(labels, value)| labels.get("outcome") == Some("failed") && *value == 1.0));
    // A picture that is not taken after its message is no reason for a second message.
    let (outside, _, _) = painting(true);
    let requests = sent(TELEGRAM, &alert(&NAMED), &outside, Some(Reply::new("500 Internal Server Error", "", ""))).await;
    assert_eq!(requests.len(), 2);
}

#[tokio::test]
async fn alerts_that_name_no_panel_have_none() {
    let (outside, asked, _) = painting(true);
    for annotations in [
        &[("summary", "x")][..],
        &[("__dashboardUid__", "host")],
        &[("__dashboardUid__", "host"), ("__panelId__", "x")],
        &[("watchfire_panel", "../etc/7")],
        &[("watchfire_panel", "/7")],
        &[("watchfire_panel", "host?x=1/7")],
        &[("watchfire_panel", "host/-7")],
    ] {
        let requests = sent(DISCORD, &alert(annotations), &outside, None).await;
        assert_eq!(requests[0].header("content-type"), Some("application/json"), "{annotations:?}");
    }
    assert_eq!(asked.lock().unwrap().len(), 0);
    // Nobody paints.
    let requests = sent(TELEGRAM, &alert(&NAMED), &crate::setup::outside(), None).await;
    assert_eq!(requests.len(), 1);
}
