//! Messages over both ways, through rules and stages.

use std::io::Write;
use std::sync::Mutex;

use watchfire_model::batch::Batch;
use watchfire_model::state::{Change, StateError, StateStore, Table};
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_model::write::{Sink, WriteError, Written};

use super::*;
use crate::discovery::glob::Lookup;
use crate::logs::{Collected, promtail};

#[derive(Default)]
struct House {
    lines: Mutex<Vec<String>>,
}
impl Sink for House {
    fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        for stream in batch.logs {
            self.lines.lock().unwrap().extend(stream.entries.iter().map(|e| format!("{} {} {}", e.time.0, stream.labels, e.line)));
        }
        Ok(Written::default())
    }
}
impl StateStore for House {
    fn get(&self, _table: Table, _key: &str) -> Result<Option<Vec<u8>>, StateError> {
        Ok(None)
    }
    fn scan(&self, _table: Table, _prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StateError> {
        Ok(Vec::new())
    }
    fn commit(&self, _changes: &[Change]) -> Result<(), StateError> {
        Ok(())
    }
}

fn read(text: &str) -> Collected {
    let parsed = promtail::parse("promtail.yml", text, &Lookup::default());
    assert_eq!(parsed.findings, []);
    parsed.config.unwrap()
}

const JOB: &str = "
scrape_configs:
- job_name: devices
  syslog:
    listen_address: 127.0.0.1:{port}
    listen_protocol: {protocol}
    label_structured_data: true
    use_incoming_timestamp: true
    labels: {job: devices}
  relabel_configs:
  - {source_labels: [__syslog_message_hostname], target_label: host}
  - {source_labels: [__syslog_message_severity], target_label: level}
  - {source_labels: [__syslog_message_sd_meta_zone], target_label: zone}
  - {source_labels: [__syslog_message_app_name], regex: noise, action: drop}
  pipeline_stages:
  - regex: {expression: 'camera=(?P<camera>\\w+)'}
  - labels: {camera: }
";

/// What becomes of messages that are sent again until something arrived.
async fn arrived(protocol: &str, send: impl Fn(u16)) -> Vec<String> {
    let port = watchfire_testkit::ports::free_port();
    let source = read(&JOB.replace("{port}", &port.to_string()).replace("{protocol}", protocol)).syslog.remove(0);
    assert_eq!(source.name, "promtail/devices");
    let house = Arc::new(House::default());
    let parts = Surroundings::new(house.clone(), house.clone(), ManualClock::new(Timestamp(5_000)), &Meter::new());
    let listening = tokio::spawn(run(source, parts));
    loop {
        send(port);
        tokio::time::sleep(Duration::from_millis(300)).await;
        let mut lines = house.lines.lock().unwrap().clone();
        if lines.len() >= 2 {
            listening.abort();
            lines.sort();
            lines.dedup();
            return lines;
        }
    }
}

const MESSAGES: [&str; 3] = [
    "<34>1 1970-01-01T00:00:02Z cam-1 recorder 7 - [meta@1 zone=\"north\"] camera=front is down",
    "<14>1 - cam-1 noise - - - nobody needs this",
    "<14>1 - cam-2 recorder - - - fine",
];
const EXPECTED: [&str; 2] = [
    "2000000000 {camera=\"front\", host=\"cam-1\", job=\"devices\", level=\"critical\", zone=\"north\"} camera=front is down",
    "5000000000 {host=\"cam-2\", job=\"devices\", level=\"informational\"} fine",
];

#[tokio::test]
async fn datagrams_go_through_the_stages() {
    let found = arrived("udp", |port| {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        MESSAGES.iter().for_each(|message| drop(socket.send_to(message.as_bytes(), ("127.0.0.1", port))));
    });
    assert_eq!(found.await, EXPECTED);
}

#[tokio::test]
async fn so_do_lines_of_connections() {
    let found = arrived("tcp", |port| {
        let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) else { return };
        stream.write_all((MESSAGES.join("\n") + "\n").as_bytes()).unwrap();
    });
    assert_eq!(found.await, EXPECTED);
}

#[test]
fn what_is_opened_and_what_is_wrong() {
    let source = read("scrape_configs: [{job_name: a, syslog: {}}, {job_name: a, syslog: {listen_address: ':601', use_rfc5424_message: true}}]\n").syslog;
    let shown: Vec<_> = source.iter().map(|s| (s.name.as_str(), s.address.to_string(), s.datagrams, s.whole, s.use_incoming_timestamp)).collect();
    assert_eq!(shown, [("promtail/a", "0.0.0.0:1514".to_owned(), false, false, false), ("promtail/a 2", "0.0.0.0:601".to_owned(), false, true, false)]);
    let wrong = promtail::parse("p.yml", "scrape_configs: [{job_name: a, syslog: {listen_address: nowhere}}]\n", &Lookup::default());
    let said: Vec<String> = wrong.findings.iter().map(ToString::to_string).collect();
    assert_eq!(said, ["p.yml:1:57: error: scrape_configs[0].syslog.listen_address: must be an address with a port, not \"nowhere\""]);
}

#[test]
fn strangers_may_not_send() {
    let house = Arc::new(House::default());
    let parts = Surroundings::new(house.clone(), house.clone(), ManualClock::new(Timestamp(0)), &Meter::new()).trusting(["10.1.0.0/16".parse().unwrap()]);
    let inlet = Inlet { queue: mpsc::channel(1).0, parts };
    let allows = |peer: &str| inlet.allows(peer.parse().unwrap());
    assert_eq!((allows("127.0.0.1"), allows("10.1.2.3"), allows("10.2.0.1"), allows("::1")), (true, true, false, true));
}
