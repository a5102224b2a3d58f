//! The dead man's heartbeat: heard while all is well, missed when it is not, and never elsewhere than where it was told to go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use watchfire_alert::receivers::heartbeat::Heartbeat;
use watchfire_model::document::{Context, Reader, parse_yaml};
use watchfire_model::meter::Meter;
use watchfire_net::client::SecretSource;
use watchfire_net::secret::Secret;

use crate::setup::outside;
use crate::sink::{Reply, Sink};

fn beating(url: &str, well: &Arc<AtomicBool>, meter: &Meter) {
    let heartbeat = Heartbeat { url: Some(SecretSource::Inline(Secret::new(url))), interval: Duration::from_millis(5), alert: false };
    let (well, meter) = (well.clone(), meter.clone());
    tokio::spawn(async move { heartbeat.run(outside(), &meter, || if well.load(Ordering::SeqCst) { Ok(()) } else { Err("no".to_owned()) }).await });
}

/// How many beats were missed for a reason.
fn missed(meter: &Meter, reason: &str) -> u64 {
    meter.counter("watchfire_heartbeat_missed_total", "", &[("reason", reason)]).get()
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap_or_else(|_| panic!("{what} does not come"));
}

#[tokio::test]
async fn r60_a_heartbeat_is_heard_only_while_all_is_well() {
    let sink = Sink::start().await;
    let (well, meter) = (Arc::new(AtomicBool::new(true)), Meter::new());
    beating(&format!("{}/ping/canary", sink.url()), &well, &meter);
    let mut heard = Vec::new();
    until("a second beat", || {
        heard.extend(sink.take());
        heard.len() > 1
    })
    .await;
    assert_eq!((heard[0].method.as_str(), heard[0].path.as_str(), heard[0].body.as_str()), ("GET", "/ping/canary", ""));
    well.store(false, Ordering::SeqCst);
    until("silence", || missed(&meter, "unwell") > 1).await;
    sink.take();
    let before = missed(&meter, "unwell");
    until("more silence", || missed(&meter, "unwell") > before + 3).await;
    assert_eq!(sink.take().len(), 0, "who is not well says nothing");
    well.store(true, Ordering::SeqCst);
    until("the heart", || !sink.take().is_empty()).await;
}

#[tokio::test]
async fn r53_a_heartbeat_goes_nowhere_else() {
    let (trap, sink) = (Sink::start().await, Sink::start().await);
    sink.always(Reply::new("307 X", &format!("Location: {}/\r\n", trap.url()), ""));
    let (well, meter) = (Arc::new(AtomicBool::new(true)), Meter::new());
    beating(&sink.url(), &well, &meter);
    until("a beat that is not heard", || missed(&meter, "not_delivered") > 1).await;
    let sent = meter.counter("watchfire_heartbeat_sent_total", "", &[]).get();
    assert_eq!((trap.take().len(), sent), (0, 0));
}

#[test]
fn what_a_heartbeat_is_told() {
    let read = |text: &str| {
        let node = parse_yaml("w.yml", text).unwrap();
        let context = Context::new("w.yml");
        let heartbeat = Heartbeat::read(Reader::new(&context, &node, "heartbeat"), &|path| path.into());
        (heartbeat, context.into_findings().iter().map(|f| f.message.clone()).collect::<Vec<_>>().join("; "))
    };
    let (heartbeat, found) = read("{url: 'https://ping.example/canary', interval: 5m, alert: true}");
    assert_eq!((heartbeat.interval, heartbeat.alert, found.as_str()), (Duration::from_secs(300), true, ""));
    assert!(!format!("{heartbeat:?}").contains("canary"), "{heartbeat:?}");
    assert_eq!(read("{}").0, Heartbeat { url: None, interval: Duration::from_secs(60), alert: false });
    for (text, expected) in [("{interval: 1s}", "at least 10 s"), ("{url: 'canary'}", "must be a URL"), ("{urll: x}", "did you mean")] {
        let found = read(text).1;
        assert!(found.contains(expected) && !found.contains("canary"), "{text}: {found}");
    }
}
