//! The sender against small servers that take, refuse, or never answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use watchfire_model::labels;
use watchfire_model::time::{SystemClock, Timestamp};

use super::*;

fn keep() -> Relabel {
    Arc::new(|labels: &Labels| Some(labels.clone()))
}

fn alert(name: &str) -> OutgoingAlert {
    OutgoingAlert {
        labels: labels!("alertname" => name, "site" => "own"),
        annotations: labels!("summary" => "s"),
        starts_at: Timestamp(1_700_000_000_000),
        ends_at: Timestamp(1_700_000_240_000),
        resolved: false,
        generator_url: "http://w/graph".to_owned(),
    }
}

/// A server that answers every request with a status (or never, for zero) and passes bodies on.
async fn server(status: u16) -> (String, mpsc::UnboundedReceiver<serde_json::Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api/v2/alerts", listener.local_addr().unwrap());
    let (bodies, received) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let bodies = bodies.clone();
            tokio::spawn(async move {
                let mut read = Vec::new();
                let mut piece = [0; 4096];
                loop {
                    let count = stream.read(&mut piece).await.unwrap_or(0);
                    if count == 0 {
                        return;
                    }
                    read.extend_from_slice(&piece[..count]);
                    let Some(head) = read.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
                    let Ok(body) = serde_json::from_slice(&read[head + 4..]) else { continue };
                    bodies.send(body).ok();
                    read.clear();
                    if status > 0 {
                        stream.write_all(format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n").as_bytes()).await.ok();
                    }
                }
            });
        }
    });
    (url, received)
}

fn sender(meter: &Meter) -> Sender {
    let sender = Sender::new(Arc::new(Caller::new(SystemClock::shared())), Handle::current(), Tasks::new(meter), meter);
    let common = Common { external_labels: labels!("site" => "home", "region" => "x"), relabel: keep() };
    sender.set_common(common, HashSet::from(["prometheus_notifications_dropped_total".to_owned()]));
    sender
}

fn target(url: &str) -> Target {
    Target { url: url.to_owned(), options: Arc::default(), timeout: Duration::from_secs(20), relabel: keep(), replaced: false }
}

fn figure(meter: &Meter, series: &str) -> f64 {
    meter.gather().iter().flat_map(|f| f.points.clone()).find(|(labels, _)| labels.to_string() == series).map_or(-1.0, |(_, v)| v)
}

async fn until(mut good: impl FnMut() -> bool) {
    while !good() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn alerts_go_out_as_the_interface_wants_them() {
    let meter = Meter::new();
    let sender = sender(&meter);
    let (url, mut received) = server(200).await;
    sender.set_targets(vec![target(&url)]);
    sender.notify(vec![alert("A")]);
    let expected = serde_json::json!([{
        "labels": {"alertname": "A", "site": "own", "region": "x"},
        "annotations": {"summary": "s"},
        "startsAt": "2023-11-14T22:13:20.000Z",
        "endsAt": "2023-11-14T22:17:20.000Z",
        "generatorURL": "http://w/graph",
    }]);
    assert_eq!(received.recv().await.unwrap(), expected);
    until(|| figure(&meter, &format!("watchfire_notifications_sent_total{{alertmanager=\"{url}\"}}")) == 1.0).await;
    assert_eq!(sender.urls(), [url]);
}

#[tokio::test]
async fn r60_one_that_hangs_or_refuses_delays_no_other_and_is_counted() {
    let meter = Meter::new();
    let sender = sender(&meter);
    let ((hanging, mut _hung), (refusing, _refused), (good, mut received)) = (server(0).await, server(500).await, server(200).await);
    sender.set_targets(vec![target(&hanging), target(&refusing), target(&good)]);
    for _ in 0..3 {
        sender.notify(vec![alert("A"), alert("B")]);
    }
    let mut count = 0;
    while count < 6 {
        count += received.recv().await.unwrap().as_array().unwrap().len();
    }
    until(|| figure(&meter, "watchfire_notifications_dropped_total{reason=\"failed\"}") == 6.0).await;
    assert_eq!(figure(&meter, "prometheus_notifications_dropped_total"), 6.0, "a rule asks for it");
    // What waits for one that is no longer wanted is lost, and told.
    until(|| figure(&meter, &format!("watchfire_notifications_queue_length{{alertmanager=\"{hanging}\"}}")) >= 0.0).await;
    let waiting = figure(&meter, &format!("watchfire_notifications_queue_length{{alertmanager=\"{hanging}\"}}"));
    sender.set_targets(vec![target(&good)]);
    assert_eq!(figure(&meter, "watchfire_notifications_dropped_total{reason=\"target_gone\"}"), waiting);
}

#[tokio::test]
async fn a_full_queue_loses_the_oldest_and_counts_them() {
    let meter = Meter::new();
    let losses = Losses::new(&meter);
    let queue = Queue::new(target("http://127.0.0.1:1/"), 3);
    let names = |list: Vec<OutgoingAlert>| list.iter().map(|a| a.labels.get("alertname").unwrap().to_owned()).collect::<Vec<_>>();
    queue.push(&["A", "B", "C", "D", "E"].map(alert), &losses);
    assert_eq!(names(queue.next()), ["C", "D", "E"]);
    assert_eq!(figure(&meter, "watchfire_notifications_dropped_total{reason=\"queue_full\"}"), 2.0);
}

#[tokio::test]
async fn relabelling_changes_alerts_or_takes_them_out() {
    let meter = Meter::new();
    let sender = sender(&meter);
    let (url, mut received) = server(200).await;
    let without_site: Relabel = Arc::new(|labels| (labels.get("alertname") != Some("B")).then(|| labels.without("site")));
    let only_c: Relabel = Arc::new(|labels| (labels.get("alertname") == Some("C")).then(|| labels.clone()));
    sender.set_common(Common { external_labels: Labels::empty(), relabel: without_site }, HashSet::new());
    sender.set_targets(vec![Target { relabel: only_c, ..target(&url) }]);
    sender.notify(vec![alert("A"), alert("B"), alert("C")]);
    assert_eq!(received.recv().await.unwrap()[0]["labels"], serde_json::json!({"alertname": "C"}));
    assert_eq!(figure(&meter, "watchfire_notifications_relabelled_away_total"), 2.0);
}

/// Remembers what it is told.
#[derive(Default)]
struct Told(Mutex<Vec<OutgoingAlert>>);
impl Notify for Told {
    fn notify(&self, alerts: Vec<OutgoingAlert>) {
        self.0.lock().unwrap().extend(alerts);
    }
}

#[tokio::test]
async fn who_is_inside_gets_alerts_with_external_labels_and_relabelled() {
    let meter = Meter::new();
    let (sender, told) = (sender(&meter), Arc::new(Told::default()));
    sender.set_inside(told.clone());
    sender.notify(vec![alert("A")]);
    assert_eq!(told.0.lock().unwrap()[0].labels, labels!("alertname" => "A", "region" => "x", "site" => "own"));
    let nobody: Relabel = Arc::new(|_| None);
    sender.set_common(Common { external_labels: Labels::empty(), relabel: nobody }, HashSet::new());
    sender.notify(vec![alert("A")]);
    assert_eq!(told.0.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_name_that_stands_for_us_is_no_failure() {
    let meter = Meter::new();
    let sender = sender(&meter);
    sender.set_targets(vec![Target { replaced: true, ..target("http://127.0.0.1:1/api/v2/alerts") }]);
    sender.notify(vec![alert("A")]);
    until(|| figure(&meter, "watchfire_notifications_dropped_total{reason=\"inside\"}") == 1.0).await;
    assert_eq!(figure(&meter, "watchfire_notifications_dropped_total{reason=\"failed\"}"), 0.0);
}

#[tokio::test]
async fn the_way_is_known_with_whether_anybody_takes_alerts_there() {
    let meter = Meter::new();
    let sender = sender(&meter);
    assert_eq!(sender.way(), Way::Unknown);
    sender.set_targets(vec![Target { replaced: true, ..target("http://127.0.0.1:1/api/v2/alerts") }]);
    assert_eq!(sender.way(), Way::Inside);
    let ((refusing, _refused), (good, _received)) = (server(500).await, server(200).await);
    sender.set_targets(vec![target(&refusing), Target { replaced: true, ..target("http://127.0.0.1:1/api/v2/alerts") }]);
    assert_eq!(sender.way(), Way::Outside { failing: false }, "nothing was tried yet");
    sender.notify(vec![alert("A")]);
    until(|| sender.way() == Way::Outside { failing: true }).await;
    sender.set_targets(vec![target(&refusing), target(&good)]);
    assert_eq!(sender.way(), Way::Outside { failing: false }, "one of them may take alerts");
}
