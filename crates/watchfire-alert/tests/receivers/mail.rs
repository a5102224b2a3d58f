//! Mail against a server that notes every command: protection, log-in, refusals, and texts that would like to be commands.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use watchfire_alert::receivers::DeliveryError;
use watchfire_net::secret::Secret;
use watchfire_net::tls::server_config;

use crate::setup::{config, deliver_from, deliver_one, high_cpu, notification, told};

/// What a server does.
#[derive(Clone, Default)]
struct Rules {
    /// What it offers beside `STARTTLS`.
    offers: Vec<&'static str>,
    starttls: bool,
    implicit: bool,
    /// Answers to lines that begin so, instead of the usual ones.
    replies: HashMap<&'static str, &'static str>,
}

#[derive(Clone, Debug, Default)]
struct Heard {
    commands: Vec<String>,
    mails: Vec<String>,
    encrypted: bool,
}

struct MailServer {
    port: u16,
    heard: Arc<Mutex<Heard>>,
    /// What to trust.
    ca: String,
    _dir: tempfile::TempDir,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl MailServer {
    async fn start(rules: Rules) -> MailServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let made = rcgen::generate_simple_self_signed(vec!["mail.example".to_owned()]).unwrap();
        let tls = server_config(&Secret::new(made.cert.pem()), &Secret::new(made.signing_key.serialize_pem())).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let dir = tempfile::tempdir().unwrap();
        let ca = dir.path().join("ca.pem");
        std::fs::write(&ca, made.cert.pem()).unwrap();
        let heard: Arc<Mutex<Heard>> = Arc::default();
        let noted = heard.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (rules, acceptor, heard) = (rules.clone(), acceptor.clone(), noted.clone());
                tokio::spawn(async move {
                    if rules.implicit {
                        let Ok(stream) = acceptor.accept(stream).await else { return };
                        heard.lock().unwrap().encrypted = true;
                        serve(Box::new(stream), &rules, &acceptor, &heard).await
                    } else {
                        serve(Box::new(stream), &rules, &acceptor, &heard).await
                    }
                });
            }
        });
        MailServer { port, heard, ca: ca.display().to_string(), _dir: dir }
    }
    fn heard(&self) -> Heard {
        self.heard.lock().unwrap().clone()
    }
    /// Sends with more keys.
    async fn send(&self, more: &str) -> Result<(), DeliveryError> {
        deliver_one(&self.config(more), &high_cpu(false)).await
    }
    fn config(&self, more: &str) -> String {
        format!("email_configs:\n- to: ops@example.com\n  from: wf@example.com\n  smarthost: 127.0.0.1:{}\n  {}", self.port, more.replace("CA", &self.ca))
    }
}

const TRUST: &str = "tls_config: {ca_file: 'CA', server_name: mail.example}";

async fn serve(stream: Box<dyn Stream>, rules: &Rules, acceptor: &TlsAcceptor, heard: &Mutex<Heard>) {
    let mut stream = BufReader::new(stream);
    let greeting = rules.replies.get("connect").copied().unwrap_or("220 mail.example ready");
    let mut reply = Some(greeting.to_owned());
    let mut mail: Option<String> = None;
    loop {
        if let Some(text) = reply.take()
            && stream.write_all(format!("{text}\r\n").as_bytes()).await.is_err()
        {
            return;
        }
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        let line = line.strip_suffix("\r\n").expect("every line ends as mail's do").to_owned();
        if let Some(text) = &mut mail {
            if line == "." {
                heard.lock().unwrap().mails.push(mail.take().unwrap_or_default());
                reply = Some(rules.replies.get(".").copied().unwrap_or("250 taken").to_owned());
            } else {
                text.push_str(line.strip_prefix('.').unwrap_or(&line));
                text.push('\n');
            }
            continue;
        }
        heard.lock().unwrap().commands.push(line.clone());
        let usual = match line.split(' ').next().unwrap_or_default() {
            "EHLO" => {
                let mut offers = vec!["mail.example"];
                offers.extend(&rules.offers);
                if rules.starttls && !heard.lock().unwrap().encrypted {
                    offers.push("STARTTLS");
                }
                let last = offers.len() - 1;
                offers.iter().enumerate().map(|(at, offer)| format!("250{}{offer}", if at == last { ' ' } else { '-' })).collect::<Vec<_>>().join("\r\n")
            }
            "STARTTLS" => "220 go on".to_owned(),
            "AUTH" if line.starts_with("AUTH LOGIN") => "334 VXNlcm5hbWU6".to_owned(),
            "AUTH" if line.starts_with("AUTH CRAM-MD5") => "334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+".to_owned(),
            "AUTH" => "235 welcome".to_owned(),
            "DATA" => "354 go on".to_owned(),
            "MAIL" | "RCPT" | "QUIT" => "250 ok".to_owned(),
            // Words of a log-in.
            _ if heard.lock().unwrap().commands.iter().rev().nth(1).is_some_and(|before| before == "AUTH LOGIN") => "334 UGFzc3dvcmQ6".to_owned(),
            _ => "235 welcome".to_owned(),
        };
        let own = rules.replies.iter().find(|(begin, _)| line.starts_with(**begin)).map(|(_, text)| (*text).to_owned());
        let text = own.unwrap_or(usual);
        if line == "DATA" && text.starts_with('3') {
            mail = Some(String::new());
        }
        if line == "STARTTLS" && text.starts_with('2') {
            stream.write_all(format!("{text}\r\n").as_bytes()).await.unwrap();
            let Ok(encrypted) = acceptor.accept(stream.into_inner()).await else { return };
            heard.lock().unwrap().encrypted = true;
            stream = BufReader::new(Box::new(encrypted));
            continue;
        }
        reply = Some(text);
    }
}

fn rules(offers: &[&'static str]) -> Rules {
    Rules { offers: offers.to_vec(), ..Rules::default() }
}

#[tokio::test]
async fn a_mail_in_the_clear() {
    let server = MailServer::start(rules(&["8BITMIME"])).await;
    server.send("require_tls: false\n  hello: wf.lan\n  text: 'text {{ .Status }}'\n  html: '<p>{{ .CommonLabels.instance }}</p>'").await.unwrap();
    let heard = server.heard();
    assert_eq!(heard.commands[..4], ["EHLO wf.lan", "MAIL FROM:<wf@example.com>", "RCPT TO:<ops@example.com>", "DATA"]);
    let mail = &heard.mails[0];
    let expected = "Date: Fri, 02 Jan 2026 03:04:05 +0000
Message-Id: <0123456789abcdef0123456789abcdef@watchfire>
MIME-Version: 1.0
Subject: [FIRING:1] HighCPU (a<b critical)
To: ops@example.com
From: wf@example.com
Content-Type: multipart/alternative; boundary=\"=_0123456789abcdef0123456789abcdef\"

--=_0123456789abcdef0123456789abcdef
Content-Type: text/plain; charset=UTF-8
Content-Transfer-Encoding: quoted-printable

text firing
--=_0123456789abcdef0123456789abcdef
Content-Type: text/html; charset=UTF-8
Content-Transfer-Encoding: quoted-printable

<p>a&lt;b</p>
--=_0123456789abcdef0123456789abcdef--
";
    assert_eq!(mail, expected);
}

#[tokio::test]
async fn require_tls_means_it() {
    let server = MailServer::start(rules(&["AUTH PLAIN"])).await;
    let outcome = server.send("auth_username: u\n  auth_password: canary").await;
    assert!(matches!(&outcome, Err(DeliveryError::Later { reason, .. }) if reason.contains("does not offer STARTTLS")), "{outcome:?}");
    let heard = server.heard();
    assert!(heard.mails.is_empty() && heard.commands.iter().all(|c| c.starts_with("EHLO")), "{heard:?}");
    // A certificate that nobody vouches for is no protection.
    let server = MailServer::start(Rules { starttls: true, ..rules(&["AUTH PLAIN"]) }).await;
    let outcome = server.send("auth_username: u\n  auth_password: canary").await;
    assert!(matches!(outcome, Err(DeliveryError::Later { .. })), "{outcome:?}");
    assert!(server.heard().mails.is_empty() && !server.heard().commands.iter().any(|c| c.starts_with("AUTH")));
}

#[tokio::test]
async fn what_comes_before_the_encryption_is_not_believed() {
    let injected = HashMap::from([("STARTTLS", "220 go on\r\n250 injected")]);
    let server = MailServer::start(Rules { starttls: true, replies: injected, ..Rules::default() }).await;
    let outcome = server.send(TRUST).await;
    assert!(matches!(&outcome, Err(DeliveryError::Later { .. })), "{outcome:?}");
    assert!(server.heard().mails.is_empty());
}

/// VMS-32: over port 587 with a user and a password, which go out encrypted only.
#[tokio::test]
async fn vms_32_mail_goes_encrypted_with_user_and_password() {
    let server = MailServer::start(Rules { starttls: true, ..rules(&["AUTH LOGIN PLAIN"]) }).await;
    server.send(&format!("auth_username: vms-alerts@example.com\n  auth_password: password\n  {TRUST}")).await.unwrap();
    let heard = server.heard();
    let commands: Vec<&str> = heard.commands.iter().map(String::as_str).collect();
    // base64 of the user and of the password.
    assert_eq!(commands[..6], ["EHLO localhost", "STARTTLS", "EHLO localhost", "AUTH LOGIN", "dm1zLWFsZXJ0c0BleGFtcGxlLmNvbQ==", "cGFzc3dvcmQ="]);
    assert!(heard.encrypted && heard.mails.len() == 1);
}

#[tokio::test]
async fn ways_to_log_in() {
    let check = async |offers: &'static str, keys: &str, implicit: bool, expected: &[&str]| {
        let server = MailServer::start(Rules { starttls: !implicit, implicit, ..rules(&[offers]) }).await;
        let more = format!("{keys}\n  force_implicit_tls: {implicit}\n  {TRUST}");
        server.send(&more).await.unwrap();
        let heard = server.heard();
        let said: Vec<String> = heard.commands.iter().skip_while(|c| !c.starts_with("AUTH")).take(expected.len()).cloned().collect();
        assert_eq!(said, expected, "{heard:?}");
        assert_eq!(heard.mails.len(), 1);
    };
    check("AUTH PLAIN", "auth_username: tim\n  auth_password: pw\n  auth_identity: me", false, &["AUTH PLAIN bWUAdGltAHB3"]).await;
    check(
        "AUTH CRAM-MD5 PLAIN",
        "auth_username: tim\n  auth_secret: tanstaaftanstaaf",
        true,
        &["AUTH CRAM-MD5", "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw"],
    )
    .await;
    check("AUTH LOGIN", "auth_username: tim\n  auth_password: pw", true, &["AUTH LOGIN", "dGlt", "cHc="]).await;
}

#[tokio::test]
async fn refusals() {
    for (begin, reply, later) in [
        ("connect", "554 no", true),
        ("connect", "421 busy", true),
        ("connect", "SSH-2.0-OpenSSH", true),
        ("AUTH", "535 wrong", true),
        ("MAIL", "550 no", false),
        ("MAIL", "451 busy", true),
        ("RCPT", "550 no such user", false),
        ("RCPT", "450 greylisted", true),
        ("DATA", "554 no", false),
        (".", "554 spam", false),
        (".", "452 full", true),
    ] {
        let server = MailServer::start(Rules { starttls: true, replies: HashMap::from([(begin, reply)]), ..rules(&["AUTH PLAIN"]) }).await;
        let outcome = server.send(&format!("auth_username: u\n  auth_password: canary-pw\n  {TRUST}")).await;
        assert_eq!(matches!(outcome, Err(DeliveryError::Later { .. })), later, "{begin} {reply}: {outcome:?}");
        let error = outcome.unwrap_err();
        assert!(!error.to_string().contains("canary"), "{error}");
    }
}

#[tokio::test]
async fn one_bad_recipient_does_not_cost_the_others_their_mail() {
    let replies = HashMap::from([("RCPT TO:<gone@", "550 no such user")]);
    let server = MailServer::start(Rules { replies, ..Rules::default() }).await;
    let text = server.config("require_tls: false").replace("to: ops@example.com", "to: 'gone@example.com, Ops <ops@example.com>'");
    deliver_one(&text, &high_cpu(false)).await.unwrap();
    let heard = server.heard();
    assert_eq!(heard.commands.iter().filter(|c| c.starts_with("RCPT")).count(), 2);
    assert_eq!(heard.mails.len(), 1);
}

/// R44: line ends, dots and control characters in labels stay text.
#[tokio::test]
async fn r44_labels_are_no_commands_and_no_headers() {
    let server = MailServer::start(Rules::default()).await;
    let bad = "x\r\nBcc: evil@example.com\r\n.\r\nQUIT\r\nMAIL FROM:<evil@example.com>\r\n\0\u{1b}[2J";
    let more = "require_tls: false\n  headers: {Subject: 'a {{ .CommonAnnotations.bad }}', x-more: '{{ .CommonAnnotations.bad }}'}\n  text: '{{ .CommonAnnotations.bad }}'\n  html: ''";
    deliver_one(&server.config(more), &notification(vec![told(&[("alertname", "A")], &[("bad", bad)], false)])).await.unwrap();
    let heard = server.heard();
    let before_goodbye = heard.commands.iter().filter(|c| *c != "QUIT").count();
    assert_eq!(before_goodbye, 4, "EHLO, MAIL, RCPT, DATA: {:?}", heard.commands);
    assert_eq!(heard.mails.len(), 1);
    let (head, body) = heard.mails[0].split_once("\n\n").unwrap();
    assert!(head.contains("\nSubject: a x Bcc: evil@example.com . QUIT MAIL FROM:<evil@example.com> [2J\n"), "{head}");
    assert!(head.contains("\nX-More: x Bcc:") && !head.contains("\nBcc:") && !head.contains('\u{1b}'), "{head}");
    assert!(body.contains("\nx\nBcc: evil@example.com\n=2E\nQUIT\n"), "{body}");
    // The recipients are text of the configuration or one more check.
    let text = server.config("require_tls: false").replace("ops@example.com", "'{{ .CommonAnnotations.bad }}'");
    let outcome = deliver_one(&text, &notification(vec![told(&[("alertname", "A")], &[("bad", "a@b.c>\r\nRCPT TO:<x@y.z")], false)])).await;
    assert!(matches!(outcome, Err(DeliveryError::Never(_))), "{outcome:?}");
}

/// The kinds that a receiver of the video system tells, who gets its mail, and under which subject.
async fn vms_mail(receiver: &str) -> (Vec<&'static str>, Vec<String>, String) {
    let server = MailServer::start(Rules { starttls: true, ..rules(&["AUTH PLAIN"]) }).await;
    let text = include_str!("vms.yml").replace("smtp.gmail.com:587", &format!("127.0.0.1:{}", server.port));
    let text = text.replace("  resolve_timeout: 5m", &format!("  smtp_tls_config: {{ca_file: '{}', server_name: mail.example}}", server.ca));
    let text = text.replace("https://hooks.slack.com", "http://127.0.0.1:1").replace("localhost:5000", "127.0.0.1:1");
    let outcomes = deliver_from(&config(&text), receiver, &notification(vec![told(&[("alertname", "CameraOffline")], &[], false)])).await;
    assert_eq!(outcomes.iter().find(|(kind, _)| *kind == "email").unwrap().1, Ok(()));
    let heard = server.heard();
    assert!(heard.commands.contains(&"MAIL FROM:<vms-alerts@example.com>".to_owned()));
    let people = heard.commands.iter().filter_map(|c| c.strip_prefix("RCPT TO:<")).map(|c| c.trim_end_matches('>').to_owned()).collect();
    let subject = heard.mails[0].lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap().to_owned();
    (outcomes.iter().map(|(kind, _)| *kind).collect(), people, subject)
}

#[tokio::test]
async fn vms_26_critical_alerts_go_to_two_people_slack_and_sms() {
    let (kinds, people, _) = vms_mail("critical-alerts").await;
    assert_eq!(kinds, ["webhook", "email", "slack"]);
    assert_eq!(people, ["ops-team@example.com", "managers@example.com"]);
}

#[tokio::test]
async fn vms_27_warnings_go_by_mail_only() {
    let (kinds, people, _) = vms_mail("warning-alerts").await;
    assert_eq!((kinds, people), (vec!["email"], vec!["ops-team@example.com".to_owned()]));
}

#[tokio::test]
async fn vms_28_other_alerts_go_by_mail() {
    let (kinds, people, _) = vms_mail("default").await;
    assert_eq!((kinds, people), (vec!["email"], vec!["ops-team@example.com".to_owned()]));
}

#[tokio::test]
async fn vms_29_subjects_name_severity_and_alert() {
    assert_eq!(vms_mail("critical-alerts").await.2, "[CRITICAL] VMS Alert: CameraOffline");
    assert_eq!(vms_mail("warning-alerts").await.2, "[WARNING] VMS Alert: CameraOffline");
}

#[tokio::test]
async fn mails_about_one_group_are_tied_together() {
    let server = MailServer::start(Rules::default()).await;
    server.send("require_tls: false\n  threading: {enabled: true, thread_by_date: none}").await.unwrap();
    let mail = &server.heard().mails[0];
    let name = "<9f2a099adf99adbf3e1d24abbd84835468e75b8b96fca010db3f2b763340e4c1@watchfire>";
    assert!(mail.contains(&format!("\nReferences: {name}\nIn-Reply-To: {name}\n")), "{mail}");
}

#[tokio::test]
async fn a_mail_shows_the_panel_that_an_alert_names() {
    let server = MailServer::start(Rules::default()).await;
    let pictures = watchfire_alert::receivers::Pictures::default();
    let painted = |_: &str, _: u64| Box::pin(async { Ok(b"PNG".to_vec()) }) as watchfire_alert::receivers::PaintedPanel;
    pictures.painted_by(Arc::new(painted), &watchfire_model::meter::Meter::new());
    let outside = watchfire_alert::receivers::Outside { pictures: Arc::new(pictures), ..crate::setup::outside() };
    let config = config(&crate::setup::one(&server.config("require_tls: false")));
    let alert = notification(vec![told(&[("alertname", "HighCPU")], &[("__dashboardUid__", "host"), ("__panelId__", "7")], false)]);
    for integration in &config.receiver("r").unwrap().integrations {
        integration.integration.deliver(&alert, &outside).await.unwrap();
    }
    let mail = server.heard().mails.remove(0).replace("=\n", "");
    for part in ["Content-Type: multipart/related;", "<img src=3D\"cid:panel\"", "Content-ID: <panel>\n", "UE5H\n"] {
        assert!(mail.contains(part), "{part}: {mail}");
    }
    assert!(mail.find("cid:panel").unwrap() < mail.find("</body>").unwrap_or(usize::MAX));
}
