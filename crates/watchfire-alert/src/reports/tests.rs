//! Reports over a house in memory, with a clock that is turned and a mail server that notes what it is told.

use std::sync::Mutex;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use watchfire_model::document::{Context, Reader, parse_yaml};
use watchfire_model::labels;
use watchfire_model::labels::Labels;
use watchfire_model::logs::Nanos;
use watchfire_model::state::{Change, Table};
use watchfire_model::time::ManualClock;
use watchfire_query::promql::Engine;
use watchfire_testkit::logs::Logs;
use watchfire_testkit::memory::Memory;
use watchfire_testkit::state;

use super::*;
use crate::rules::Limits;

/// What a mail server heard, and what it says to recipients.
#[derive(Default)]
struct Heard {
    commands: Vec<String>,
    mails: Vec<String>,
    refuses: bool,
}

async fn mail_server() -> (u16, Arc<Mutex<Heard>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard: Arc<Mutex<Heard>> = Arc::default();
    let noted = heard.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let heard = noted.clone();
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                let mut mail: Option<String> = None;
                let mut reply = Some("220 here".to_owned());
                loop {
                    if let Some(text) = reply.take() {
                        stream.write_all(format!("{text}\r\n").as_bytes()).await.unwrap();
                    }
                    let mut line = String::new();
                    if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                        return;
                    }
                    let line = line.trim_end_matches("\r\n").to_owned();
                    match &mut mail {
                        Some(_) if line == "." => {
                            heard.lock().unwrap().mails.push(mail.take().unwrap());
                            reply = Some("250 taken".to_owned());
                        }
                        Some(text) => {
                            text.push_str(&line);
                            text.push('\n');
                        }
                        None => {
                            let refuses = heard.lock().unwrap().refuses && line.starts_with("RCPT");
                            heard.lock().unwrap().commands.push(line.clone());
                            mail = (line == "DATA").then(String::new);
                            reply = Some(
                                if mail.is_some() {
                                    "354 go on"
                                } else if refuses {
                                    "450 later"
                                } else {
                                    "250 ok"
                                }
                                .to_owned(),
                            );
                        }
                    }
                }
            });
        }
    });
    (port, heard)
}

struct House {
    memory: Arc<Memory>,
    logs: Arc<Logs>,
    kept: Arc<state::Memory>,
    clock: Arc<ManualClock>,
    meter: Meter,
    heard: Arc<Mutex<Heard>>,
    port: u16,
}
impl House {
    async fn at(now: &str) -> House {
        let (port, heard) = mail_server().await;
        let clock = ManualClock::new(Timestamp::parse(now).unwrap());
        House { memory: Arc::new(Memory::new()), logs: Arc::new(Logs::new()), kept: Arc::default(), clock, meter: Meter::new(), heard, port }
    }
    /// Reports as a process has them that has just started.
    fn reports(&self, yaml: &str) -> Reports {
        self.limited(yaml, 50_000_000)
    }
    /// The same where one question may have so many samples.
    fn limited(&self, yaml: &str, samples_max: u64) -> Reports {
        let node = parse_yaml("watchfire.yml", yaml).unwrap();
        let context = Context::new("watchfire.yml");
        let reports = read_list(&Reader::new(&context, &node, ""), &|path| path.into());
        let findings = context.into_findings();
        assert!(findings.is_empty(), "{findings:?}");
        let asker = Asker {
            source: self.memory.clone(),
            logs: Some(self.logs.clone()),
            engine: Engine::default(),
            pool: None,
            limits: Limits { timeout: Duration::from_secs(60), samples_max, memory_max: 1 << 30 },
            clock: self.clock.clone(),
        };
        let smarthost = Some(format!("127.0.0.1:{}", self.port));
        let smtp = Smtp { from: Some("Watchfire <wf@example.com>".to_owned()), smarthost, ..Smtp::default() };
        Reports::new(Parts {
            reports,
            asker,
            state: self.kept.clone(),
            clock: self.clock.clone(),
            meter: self.meter.clone(),
            smtp: Arc::new(move || smtp.clone()),
            spent: Some(Arc::new(|| Spent { month_usd: 12.5, budget_usd: Some(20.0) })),
        })
    }
    fn mails(&self) -> usize {
        self.heard.lock().unwrap().mails.len()
    }
    fn to(&self, now: &str) {
        self.clock.jump_to(Timestamp::parse(now).unwrap());
    }
    /// A value each minute of a stretch.
    fn put(&self, labels: &Labels, from: &str, to: &str, value: impl Fn(i64) -> f64) {
        let (from, to) = (Timestamp::parse(from).unwrap().millis(), Timestamp::parse(to).unwrap().millis());
        self.memory.add_series(labels, (from..=to).step_by(60_000).map(|ms| (ms, value(ms))));
    }
    fn counted(&self, outcome: &str) -> f64 {
        let families = self.meter.gather();
        let family = families.iter().find(|f| &*f.name == "watchfire_reports_total").unwrap();
        family.points.iter().find(|(labels, _)| labels.get("outcome") == Some(outcome)).map_or(0.0, |(_, value)| *value)
    }
}

/// What a picture was asked for: a dashboard, a range and a time zone.
type Asked = (String, [i64; 2], Option<String>);

const DAILY: &str = "reports:\n- {name: day, schedule: daily, time: '07:00', timezone: Europe/Berlin, to: 'Anna <a@example.com>, b@example.com'}\n";

#[tokio::test]
async fn a_report_is_sent_once_also_over_restarts() {
    let house = House::at("2025-03-28T12:00:00Z").await;
    let reports = house.reports(DAILY);
    reports.look().await;
    assert_eq!(house.mails(), 0, "what was due before anybody wanted it is not sent");
    for (now, expected) in [
        ("2025-03-29T05:59:59Z", 0),
        ("2025-03-29T06:00:00Z", 1),
        ("2025-03-29T06:00:30Z", 1),
        // Clocks are put forward: seven o'clock is an hour earlier.
        ("2025-03-30T04:59:59Z", 1),
        ("2025-03-30T05:00:00Z", 2),
        ("2025-03-30T06:00:00Z", 2),
    ] {
        house.to(now);
        reports.look().await;
        house.reports(DAILY).look().await;
        assert_eq!(house.mails(), expected, "{now}");
    }
    // Three days without us: one mail, about the last day.
    house.to("2025-04-02T11:00:00Z");
    let later = house.reports(DAILY);
    later.look().await;
    later.look().await;
    assert_eq!(house.mails(), 3);
    let mail = house.heard.lock().unwrap().mails[2].clone();
    assert!(mail.contains("Subject: Daily report 2025-04-02 07:00: Nothing was recorded"), "{mail}");
    assert_eq!(house.heard.lock().unwrap().commands.iter().filter(|c| c.starts_with("RCPT TO:")).count(), 6);
    let status = later.status();
    assert_eq!((status[0].sent.map(Timestamp::rfc3339).as_deref(), status[0].failures, status[0].weekly), (Some("2025-04-02T11:00:00Z"), 0, false));
    assert_eq!(house.counted("sent"), 3.0);
    // A clock that was years ahead does not keep reports back for years.
    house.to("2035-01-01T12:00:00Z");
    later.look().await;
    assert_eq!(house.mails(), 4);
    house.to("2025-04-04T12:00:00Z");
    later.look().await;
    house.to("2025-04-05T12:00:00Z");
    later.look().await;
    assert_eq!(house.mails(), 5);
}

#[tokio::test]
async fn a_refused_report_is_tried_again_later_and_later() {
    let house = House::at("2024-02-28T12:00:00Z").await;
    let reports = house.reports("reports:\n- {name: day, schedule: daily, time: '00:00', to: a@example.com}\n");
    reports.look().await;
    house.heard.lock().unwrap().refuses = true;
    house.to("2024-02-29T00:00:00Z");
    let tries = |house: &House| house.heard.lock().unwrap().commands.iter().filter(|c| c.starts_with("RCPT")).count();
    for (seconds, expected) in [(0, 1), (59, 1), (1, 2), (119, 2), (1, 3), (239, 3), (1, 4)] {
        house.clock.advance(Duration::from_secs(seconds));
        reports.look().await;
        assert_eq!(tries(&house), expected, "{seconds}");
    }
    let status = reports.status();
    assert!(status[0].failures == 4 && status[0].error.as_deref().is_some_and(|e| e.contains("450 later")), "{status:?}");
    // A restart forgets neither.
    let anew = house.reports("reports:\n- {name: day, schedule: daily, time: '00:00', to: a@example.com}\n");
    anew.look().await;
    assert_eq!((tries(&house), anew.status()[0].failures, house.counted("failed")), (4, 4, 4.0));
    house.heard.lock().unwrap().refuses = false;
    house.clock.advance(Duration::from_secs(480));
    anew.look().await;
    assert_eq!((house.mails(), anew.status()[0].failures), (1, 0));
    // One that is never taken makes room for the next one.
    house.heard.lock().unwrap().refuses = true;
    house.to("2024-03-01T00:00:00Z");
    anew.look().await;
    house.heard.lock().unwrap().refuses = false;
    house.to("2024-03-02T00:00:00Z");
    anew.look().await;
    assert_eq!((house.mails(), house.counted("skipped")), (2, 1.0));
    let mails = house.heard.lock().unwrap().mails.clone();
    assert!(mails[1].contains("Subject: Daily report 2024-03-02 00:00"), "{}", mails[1]);
}

/// A state file on a disk that takes nothing any more.
struct ReadOnly(Arc<state::Memory>);
impl StateStore for ReadOnly {
    fn get(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        self.0.get(table, key)
    }
    fn scan(&self, table: Table, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StateError> {
        self.0.scan(table, prefix)
    }
    fn commit(&self, _: &[Change]) -> Result<(), StateError> {
        Err(StateError { doing: "commit", reason: "read-only".to_owned() })
    }
}

#[tokio::test]
async fn a_report_that_cannot_be_remembered_is_not_sent_again_and_again() {
    let house = House::at("2025-03-28T12:00:00Z").await;
    let mut reports = house.reports(DAILY);
    reports.look().await;
    reports.parts.state = Arc::new(ReadOnly(house.kept.clone()));
    house.to("2025-03-29T06:00:00Z");
    for _ in 0..3 {
        reports.look().await;
    }
    assert_eq!(house.mails(), 0);
    house.reports(DAILY).look().await;
    assert_eq!(house.mails(), 1);
}

#[tokio::test]
async fn a_try_that_ended_the_process_is_made_again_after_a_pause() {
    let house = House::at("2025-03-28T12:00:00Z").await;
    let yaml = "reports:\n- {name: day, schedule: daily, time: '00:00', to: a@example.com, dashboards: [one]}\n";
    let reports = house.reports(yaml);
    reports.look().await;
    let painting = Arc::new(tokio::sync::Notify::new());
    let begun = painting.clone();
    reports.painted_by(Arc::new(move |_, _, _| {
        begun.notify_one();
        Box::pin(std::future::pending())
    }));
    house.to("2025-03-29T00:00:00Z");
    tokio::select! {
        () = reports.look() => panic!("nobody paints"),
        () = painting.notified() => {}
    }
    let anew = house.reports(yaml);
    for (seconds, expected) in [(0, 0), (59, 0), (1, 1)] {
        house.clock.advance(Duration::from_secs(seconds));
        anew.look().await;
        assert_eq!(house.mails(), expected, "{seconds}");
    }
    assert_eq!(anew.status()[0].failures, 0);
}

/// A day in which a camera was away for an hour and a half, an alert fired, a disk grew and a program wrote errors.
async fn eventful() -> House {
    let house = House::at("2025-01-11T12:00:00Z").await;
    let (start, noon, end) = ("2025-01-08T07:01:00Z", "2025-01-09T12:00:00Z", "2025-01-10T07:00:00Z");
    let down = |ms: i64| (1_736_424_000_000..1_736_429_400_000).contains(&ms);
    house.put(&labels!("__name__" => "camera_connection_status", "camera_id" => "front"), start, end, |ms| f64::from(!down(ms)));
    house.put(&labels!("__name__" => "camera_connection_status", "camera_id" => "back"), start, end, |_| 1.0);
    house.put(&labels!("__name__" => "up", "job" => "api", "instance" => "a:1"), start, end, |_| 1.0);
    let alert = labels!("__name__" => "ALERTS", "alertname" => "CameraDown", "alertstate" => "firing", "severity" => "critical", "camera_id" => "front");
    house.put(&alert, noon, "2025-01-09T13:00:00Z", |_| 1.0);
    let old = labels!("__name__" => "ALERTS", "alertname" => "OldOne", "alertstate" => "firing", "severity" => "warning");
    house.put(&old, "2025-01-08T08:00:00Z", "2025-01-08T09:00:00Z", |_| 1.0);
    let gpu = labels!("__name__" => "watchfire_gpu_temperature_celsius", "gpu" => "0");
    house.put(&gpu, start, end, |ms| if (1_736_431_200_000..1_736_431_500_000).contains(&ms) { 87.5 } else { 60.0 });
    // A gibibyte a day.
    let begin = Timestamp::parse(start).unwrap().millis();
    let disk = |name: &str| labels!("__name__" => name, "instance" => "pi", "mountpoint" => "/", "fstype" => "ext4");
    house.put(&disk("node_filesystem_avail_bytes"), start, end, |ms| (12.0 - (ms - begin) as f64 / 86_400_000.0) * 1_073_741_824.0);
    house.put(&disk("node_filesystem_size_bytes"), start, end, |_| 100.0 * 1_073_741_824.0);
    let tokens = labels!("__name__" => "watchfire_gateway_tokens_total", "upstream" => "local", "kind" => "output");
    house.put(&tokens, start, end, |ms| (ms - begin) as f64 / 60_000.0 * 10.0);
    for n in 0..3 {
        let line = format!("level=error msg=\"cannot open <camera> {n}\"");
        house.logs.add_line(&labels!("app" => "recorder"), Nanos::from_millis(1_736_424_000_000 + n), &line, &Labels::empty());
    }
    house.to("2025-01-10T07:00:30Z");
    house
}

#[tokio::test]
async fn a_report_says_what_happened() {
    let house = eventful().await;
    let reports = house.reports("reports:\n- {name: day, schedule: daily, to: a@example.com}\n");
    let text = reports.text("day").await.unwrap();
    for expected in [
        "Daily report: 2025-01-09 07:00 to 2025-01-10 07:00",
        "Worth a look",
        "* Cameras – front: 93.75 %",
        "* Alert: CameraDown, 1 h",
        "* Disk pi /: Full in 10",
        "* Cameras – front: 100.00 % → 93.75 %",
        "* CameraDown fired and had not in the period before",
        "* OldOne had fired in the period before and did not",
        "Watched programs (1): all of the time",
        "2025-01-09 12:00",
        "GPU temperature 0  87.5 °C  2025-01-09 14:",
        "1.0 GiB",
        "14,4",
        "This month so far: 12.50 US-$ of a budget of 20.00 US-$",
        "Lines with errors: 3 (Period before: 0)",
        "cannot open <camera>",
    ] {
        assert!(text.contains(expected), "{expected}:\n{text}");
    }
    assert!(!text.contains("all right") && !text.contains("Could not be found out"), "{text}");
    let html = reports.preview("day").await.unwrap();
    assert!(html.contains("cannot open &lt;camera&gt;") && !html.contains("<camera>") && html.starts_with("<!doctype html>"), "{html}");
    assert!(matches!(reports.preview("nobody").await, Err(ReportError::Unknown)));
    let german = house.reports("reports:\n- {name: day, schedule: daily, to: a@example.com, language: de}\n").text("day").await.unwrap();
    for expected in ["Tagesbericht: 09.01.2025 07:00 bis 10.01.2025 07:00", "* Kameras – front: 93,75 %", "Höchstwerte", "87,5 °C"] {
        assert!(german.contains(expected), "{expected}:\n{german}");
    }
}

#[tokio::test]
async fn a_disk_that_was_seen_for_minutes_is_not_foretold() {
    let house = House::at("2025-01-11T12:00:00Z").await;
    let end = "2025-01-10T07:00:00Z";
    for (name, from) in [("/new", "2025-01-10T06:50:00Z"), ("/known", "2025-01-10T00:50:00Z")] {
        let begin = Timestamp::parse(from).unwrap().millis();
        let disk = |metric: &str| labels!("__name__" => metric, "instance" => "pi", "mountpoint" => name, "fstype" => "ext4");
        house.put(&disk("node_filesystem_avail_bytes"), from, end, |ms| (50.0 - (ms - begin) as f64 / 86_400_000.0 * 10.0) * 1_073_741_824.0);
        house.put(&disk("node_filesystem_size_bytes"), from, end, |_| 100.0 * 1_073_741_824.0);
    }
    house.to("2025-01-10T07:00:30Z");
    let text = house.reports("reports:\n- {name: day, schedule: daily, to: a@example.com}\n").text("day").await.unwrap();
    let row = |name: &str| text.lines().find(|line| line.starts_with(name)).map(str::to_owned).unwrap_or_default();
    assert!(row("pi /known").contains("10.0 GiB") && text.contains("* Disk pi /known: Full in"), "{text}");
    assert!(row("pi /new").contains('–') && !text.contains("* Disk pi /new"), "{text}");
}

#[tokio::test]
async fn a_quiet_day_is_all_right() {
    let house = House::at("2025-01-10T07:00:30Z").await;
    house.put(&labels!("__name__" => "up", "job" => "api", "instance" => "a:1"), "2025-01-08T07:00:00Z", "2025-01-10T07:00:00Z", |_| 1.0);
    let reports = house.reports("reports:\n- {name: day, schedule: daily, to: a@example.com}\n");
    let text = reports.text("day").await.unwrap();
    for expected in ["Everything was all right.", "No alert fired.", "Nothing that stands out."] {
        assert!(text.contains(expected), "{expected}:\n{text}");
    }
    assert!(!text.contains("Worth a look"), "{text}");
}

#[tokio::test]
async fn a_mail_has_text_and_html_with_its_pictures() {
    let house = eventful().await;
    let reports = house.reports("reports:\n- {name: day, schedule: daily, timezone: Europe/Berlin, to: a@example.com, dashboards: [host, gone]}\n");
    let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
    let noted = asked.clone();
    reports.painted_by(Arc::new(move |uid, range, zone| {
        noted.lock().unwrap().push((uid.to_owned(), range, zone.map(str::to_owned)));
        let painted = if uid == "host" { Ok(b"\x89PNG picture".to_vec()) } else { Err("Dashboard not found".to_owned()) };
        Box::pin(async move { painted })
    }));
    reports.send_now("day").await.unwrap();
    // Lines that quoted-printable has broken are whole again.
    let mail = house.heard.lock().unwrap().mails[0].replace("=\n", "");
    for expected in [
        "Subject: Daily report 2025-01-10 07:00: Worth a look (",
        "To: a@example.com\n",
        "From: \"Watchfire\" <wf@example.com>\n",
        "Content-Type: multipart/alternative;",
        "Content-Type: text/plain; charset=UTF-8\n",
        "Content-Type: multipart/related;",
        "Content-Type: text/html; charset=UTF-8\n",
        "Content-ID: <dashboard0>\n",
        "iVBORyBwaWN0dXJl\n",
        "cid:dashboard0",
        "Dashboard not found",
    ] {
        assert!(mail.contains(expected), "{expected}:\n{mail}");
    }
    assert_eq!(mail.matches("Content-Type: image/png").count(), 1);
    let ends = [Timestamp::parse("2025-01-09T06:00:00Z").unwrap().millis(), Timestamp::parse("2025-01-10T06:00:00Z").unwrap().millis()];
    let zone = Some("Europe/Berlin".to_owned());
    assert_eq!(*asked.lock().unwrap(), [("host".to_owned(), ends, zone.clone()), ("gone".to_owned(), ends, zone)]);
    let preview = reports.preview("day").await.unwrap();
    assert!(preview.contains("src=\"data:image/png;base64,iVBORyBwaWN0dXJl\""), "{preview}");
    // Looking at the mail sends none.
    let looked_at = reports.mail("day").await.unwrap();
    assert!(looked_at.contains("\r\nSubject: Daily report 2025-01-10 07:00: Worth a look (") && looked_at.contains("Content-ID: <dashboard0>"), "{looked_at}");
    assert_eq!(house.mails(), 1);
    // Two mails that were asked for are two.
    house.clock.advance(Duration::from_secs(1));
    reports.send_now("day").await.unwrap();
    let id = |at: usize| house.heard.lock().unwrap().mails[at].lines().find(|l| l.starts_with("Message-Id:")).unwrap().to_owned();
    assert_ne!(id(0), id(1));
}

#[tokio::test]
async fn a_mail_holds_no_more_pictures_than_it_may() {
    let house = eventful().await;
    let reports = house.reports("reports:\n- {name: day, schedule: daily, to: a@example.com, dashboards: [one, two, three]}\n");
    let sizes = [("one", PICTURES_BYTES_MAX - 3), ("two", 4), ("three", 3)];
    reports.painted_by(Arc::new(move |uid, _, _| {
        let size = sizes.iter().find(|(known, _)| *known == uid).unwrap().1;
        Box::pin(async move { Ok(vec![0; size]) })
    }));
    let preview = reports.preview("day").await.unwrap();
    assert_eq!(preview.matches("<img ").count(), 2);
    assert!(preview.contains("two cannot be shown: the mail would be too large"));
}

#[tokio::test]
async fn what_is_not_looked_at_is_not_called_well() {
    let house = House::at("2025-01-10T07:00:30Z").await;
    for n in 0..501 {
        let labels = labels!("__name__" => "up", "job" => "api", "instance" => &*format!("a:{n}"));
        house.put(&labels, "2025-01-10T06:00:00Z", "2025-01-10T07:00:00Z", |_| 1.0);
    }
    let text = house.reports("reports:\n- {name: day, schedule: daily, to: a@example.com}\n").text("day").await.unwrap();
    assert!(text.contains("501 rows, of which 500 are looked at") && !text.contains("all right"), "{text}");
}

#[tokio::test]
async fn more_samples_than_a_question_may_have_are_asked_in_parts() {
    let house = House::at("2025-01-10T07:00:30Z").await;
    let down = |ms: i64| (1_736_424_000_000..1_736_445_600_000).contains(&ms);
    for n in 0..3 {
        let labels = labels!("__name__" => "up", "job" => "api", "instance" => &*format!("a:{n}"));
        house.put(&labels, "2025-01-08T07:01:00Z", "2025-01-10T07:00:00Z", |ms| f64::from(n != 1 || !down(ms)));
    }
    let yaml = "reports:\n- {name: day, schedule: daily, to: a@example.com}\n";
    let [whole, parts] = [50_000_000, 1_000].map(|most| house.limited(yaml, most));
    let (whole, parts) = (whole.text("day").await.unwrap(), parts.text("day").await.unwrap());
    assert!(parts.contains("a:1 api: 75.00 %") && !parts.contains("Could not be found out"), "{parts}");
    assert_eq!(parts, whole);
    // Not even an hour of it may be asked for.
    let none = house.limited(yaml, 20).text("day").await.unwrap();
    assert!(none.contains("Could not be found out") && none.contains("more than 20 samples") && !none.contains("all right"), "{none}");
}

#[tokio::test]
async fn one_report_is_made_at_a_time_and_few_wait() {
    let house = eventful().await;
    let reports = Arc::new(house.reports("reports:\n- {name: day, schedule: daily, to: a@example.com}\n"));
    let held = reports.turn.clone().acquire_owned().await.unwrap();
    let waiting: Vec<_> = (0..WAITING_MAX)
        .map(|_| {
            let reports = reports.clone();
            tokio::spawn(async move { reports.text("day").await })
        })
        .collect();
    while reports.places.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    let refused = reports.text("day").await.unwrap_err().to_string();
    assert!(refused.contains("others are being made"), "{refused}");
    drop(held);
    for task in waiting {
        assert!(task.await.unwrap().is_ok());
    }
    assert_eq!(reports.places.available_permits(), WAITING_MAX);
}

#[tokio::test]
async fn a_report_that_comes_back_begins_anew() {
    let house = House::at("2025-03-28T12:00:00Z").await;
    house.reports(DAILY).look().await;
    let state: &dyn StateStore = &*house.kept;
    record::forget_others(state, &["day"]).unwrap();
    assert!(record::read(state, "day").unwrap().is_some());
    // Without any report there is nothing to wait for.
    Arc::new(house.reports("reports: []\n")).run().await;
    assert_eq!(record::read(state, "day").unwrap(), None);
}

#[tokio::test]
async fn without_a_mail_server_it_says_so() {
    let house = eventful().await;
    let mut reports = house.reports("reports:\n- {name: day, schedule: daily, to: a@example.com}\n");
    reports.parts.smtp = Arc::new(Smtp::default);
    let error = reports.send_now("day").await.unwrap_err().to_string();
    assert!(error.contains("there is no mail server") && error.starts_with("cannot send the report"), "{error}");
    assert_eq!(facts::expressions(), [""; 0], "all questions can be read");
}
