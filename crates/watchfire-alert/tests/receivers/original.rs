//! The same configuration and the same alerts in Debian's Alertmanager and in ours: what their places hear must be the same,
//! apart from our own default texts, which the configuration replaces here, and from whom Discord may call. Skipped, and said so, where it is absent.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::setup::{config, deliver_from, high_cpu};
use crate::sink::{Request, Sink};

const ORIGINAL: &str = "/usr/bin/prometheus-alertmanager";

const RECEIVERS: &str = r#"route: {receiver: r, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}
receivers:
- name: r
  slack_configs:
  - api_url: SINK/slack
    send_resolved: true
    channel: '#c'
    username: me
    fallback: '{{ .Status }} & <so on>'
    pretext: pre
    text: '{{ range .Alerts.Firing }}{{ .Annotations.summary }}{{ end }}'
    footer: foot
    icon_emoji: ':x:'
    icon_url: http://i/
    image_url: http://i/1
    thumb_url: http://i/2
    callback_id: cb
    link_names: true
    short_fields: true
    mrkdwn_in: [text]
    fields: [{title: a, value: '{{ .Status }}'}, {title: a, value: b, short: false}]
    actions: [{type: button, text: t, url: 'http://x', style: primary}, {type: button, text: t, name: n, value: v, confirm: {text: sure, title: q, ok_text: y, dismiss_text: n}}]
  pagerduty_configs:
  - routing_key: rk
    url: SINK/pd
    client: cl
    client_url: http://c/
    severity: '{{ .CommonLabels.severity }}'
    class: c
    component: co
    group: g
    details: {firing: '', resolved: r, more: '{{ .Status }}'}
    images: [{src: s}, {alt: nothing}]
    links: [{href: h, text: t}, {text: nothing}]
  - service_key: sk
    client: cl
    client_url: http://c/
    details: {firing: '', resolved: r}
    http_config: {proxy_url: SINK, tls_config: {insecure_skip_verify: true}}
  opsgenie_configs:
  - api_key: k
    api_url: SINK/og
    message: '{{ .CommonAnnotations.summary }} 0123456789'
    description: d
    tags: 'a, b,,c'
    note: n
    entity: e
    actions: x
    responders: [{name: 'x,y', type: teams}, {username: u, type: user}]
    update_alerts: true
    priority: P1
    details: {q: w, severity: own}
  telegram_configs:
  - {bot_token: 'tok:en', api_url: SINK/tg, chat_id: -5, message: '<b>{{ .CommonLabels.instance }}</b>', disable_notifications: true}
  - {bot_token: 'tok:en', api_url: SINK/plain, chat_id: 5, message: '{{ .CommonLabels.instance }}', parse_mode: ''}
  pushover_configs:
  - {token: t, user_key: u, message: ' {{ .Status }} ', url_title: ut, priority: '1', retry: 2m, expire: 3m, sound: s, http_config: {proxy_url: SINK, tls_config: {insecure_skip_verify: true}}}
  - {token: t, user_key: u, message: '<b>{{ .CommonLabels.instance }}</b>', html: true, http_config: {proxy_url: SINK, tls_config: {insecure_skip_verify: true}}}
  discord_configs:
  - {webhook_url: SINK/discord, message: '{{ .Status }}'}
  webhook_configs:
  - {url: SINK/hook}
"#;
/// Requests of a notification that fires; a closed OpsGenie alert takes two fewer.
const FIRING: usize = 12;
const RESOLVED: usize = FIRING - 2;

struct Running(Child);
impl Drop for Running {
    fn drop(&mut self) {
        // A process that has gone cannot be stopped.
        let _gone = self.0.kill();
        let _waited = self.0.wait();
    }
}

/// What was said to whom, in an order of its own: pushover's parameters stand in the address there and in the body here.
fn said(requests: Vec<Request>) -> Vec<(String, Json)> {
    let mut all: Vec<(String, Json)> = requests.into_iter().map(normal).collect();
    all.sort_by(|a, b| (&a.0, a.1.to_string()).cmp(&(&b.0, b.1.to_string())));
    all
}

fn normal(request: Request) -> (String, Json) {
    let (path, query) = request.path.split_once('?').map_or((request.path.as_str(), ""), |(path, query)| (path, query));
    if path == "/1/messages.json" {
        let form = format!("{query}&{}", request.body);
        let pairs: BTreeMap<String, String> = form.split('&').filter_map(|p| p.split_once('=')).map(|(n, v)| (n.to_owned(), percent_decoded(v))).collect();
        return (format!("{} {path}", request.method), json!(pairs));
    }
    let secret = request.header("authorization").unwrap_or_default().to_owned();
    let mut body = request.json();
    // Whom Discord may call is said by us only.
    body.as_object_mut().map(|body| body.remove("allowed_mentions"));
    (format!("{} {} {secret}", request.method, request.path), body)
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let hex: String = rest.by_ref().take(2).map(char::from).collect();
                bytes.push(u8::from_str_radix(&hex, 16).unwrap());
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).unwrap()
}

async fn wait_for(sink: &Sink, count: usize) -> Vec<Request> {
    let mut all = Vec::new();
    for _ in 0..600 {
        all.extend(sink.take());
        if all.len() >= count {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    all
}

fn add(port: u16, more: &[&str]) -> bool {
    let mut amtool = Command::new("amtool");
    amtool.arg(format!("--alertmanager.url=http://127.0.0.1:{port}")).args(["alert", "add", "HighCPU", "instance=a<b", "severity=critical"]);
    amtool.args(["--annotation=summary=x & y", "--start=2026-01-02T03:03:05Z"]).args(more).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

#[tokio::test]
async fn places_hear_the_same_of_both() {
    if !std::path::Path::new(ORIGINAL).exists() {
        eprintln!("SKIPPED: prometheus-alertmanager is not installed, so no message was compared");
        return;
    }
    let (theirs, ours) = (Sink::start().await, Sink::start().await);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("alertmanager.yml");
    std::fs::write(&file, RECEIVERS.replace("SINK", &theirs.url())).unwrap();
    let port = watchfire_testkit::ports::free_port();
    let mut original = Command::new(ORIGINAL);
    original.arg(format!("--config.file={}", file.display())).arg(format!("--storage.path={}", dir.path().display()));
    original.arg(format!("--web.listen-address=127.0.0.1:{port}")).args(["--cluster.listen-address=", "--web.external-url=http://watchfire.example"]);
    let _original = Running(original.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    for _ in 0..300 {
        if add(port, &[]) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let config = config(&RECEIVERS.replace("SINK", &ours.url()));
    for (resolved, count) in [(false, FIRING), (true, RESOLVED)] {
        if resolved {
            assert!(add(port, &["--end=2026-01-02T03:04:05Z"]));
        }
        let expected = said(wait_for(&theirs, count).await);
        for (kind, outcome) in deliver_from(&config, "r", &high_cpu(resolved)).await {
            assert_eq!(outcome, Ok(()), "{kind}");
        }
        let found = said(ours.take());
        assert_eq!(expected.len(), count, "{expected:#?}");
        for (theirs, ours) in expected.iter().zip(&found) {
            assert_eq!(ours, theirs, "ours {:#}\ntheirs {:#}", ours.1, theirs.1);
        }
        assert_eq!(found.len(), count);
    }
}

const MAIL_SERVER: &str = r#"
import asyncore, email, email.policy, json, smtpd, sys
class Server(smtpd.SMTPServer):
    def process_message(self, peer, sender, people, data, **more):
        mail = email.message_from_bytes(data, policy=email.policy.default)
        parts = [[p.get_content_type(), p.get_content().strip()] for p in mail.walk() if not p.is_multipart()]
        headers = {k: str(v) for k, v in mail.items() if k not in ("Date", "Content-Type", "Message-Id", "Message-ID")}
        print(json.dumps({"sender": sender, "people": people, "headers": headers, "parts": parts, "kind": mail.get_content_type(), "dated": mail["Date"].datetime is not None, "defects": [str(d) for d in mail.defects]}), flush=True)
server = Server(("127.0.0.1", 0), None)
print(server.socket.getsockname()[1], flush=True)
asyncore.loop()
"#;

/// Python's own mail server and parser are the judge of both.
#[tokio::test]
async fn mails_are_read_the_same() {
    use std::io::{BufRead, BufReader};
    let python = Command::new("python3").args(["-W", "ignore", "-c", "import smtpd"]).stderr(Stdio::null()).status();
    if !python.is_ok_and(|s| s.success()) || !std::path::Path::new(ORIGINAL).exists() {
        eprintln!("SKIPPED: python3 with smtpd or prometheus-alertmanager is not installed, so no mail was compared");
        return;
    }
    let mut server = Running(Command::new("python3").args(["-W", "ignore", "-c", MAIL_SERVER]).stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(server.0.stdout.take().unwrap()).lines();
    let port: u16 = lines.next().unwrap().unwrap().parse().unwrap();
    let text = format!(
        "route: {{receiver: r, group_by: [alertname], group_wait: 0s}}
receivers:
- name: r
  email_configs:
  - to: 'ops@example.com, Bob <bob@example.com>'
    from: 'Watch <wf@example.com>'
    smarthost: 127.0.0.1:{port}
    require_tls: false
    headers: {{subject: 'Ärger: {{{{ .CommonAnnotations.summary }}}}', X-Own: '{{{{ .Status }}}}'}}
    html: '<p>{{{{ .CommonLabels.instance }}}} ü</p>'
    text: |
      {{{{ .CommonLabels.instance }}}} ü =20
      .
      From {}
",
        "long ".repeat(60)
    );
    deliver_from(&config(&text), "r", &high_cpu(false)).await.remove(0).1.unwrap();
    let ours: Json = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("alertmanager.yml");
    std::fs::write(&file, &text).unwrap();
    let listen = watchfire_testkit::ports::free_port();
    let mut original = Command::new(ORIGINAL);
    original.arg(format!("--config.file={}", file.display())).arg(format!("--storage.path={}", dir.path().display()));
    original.arg(format!("--web.listen-address=127.0.0.1:{listen}")).arg("--cluster.listen-address=");
    let _original = Running(original.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    for _ in 0..300 {
        if add(listen, &[]) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let theirs: Json = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!((ours["defects"].clone(), ours["dated"].clone(), ours["kind"].clone()), (json!([]), json!(true), json!("multipart/alternative")));
    for key in ["sender", "people", "parts", "kind"] {
        assert_eq!(ours[key], theirs[key], "{key}");
    }
    for header in ["Subject", "To", "From", "X-Own"] {
        let plain = |mail: &Json| mail["headers"][header].as_str().unwrap().replace('"', "");
        assert_eq!(plain(&ours), plain(&theirs), "{header}");
    }
}
