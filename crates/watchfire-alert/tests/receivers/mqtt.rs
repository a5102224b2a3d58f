//! Home Assistant's broker: ours in miniature, and mosquitto where it is installed.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use watchfire_alert::receivers::DeliveryError;

use crate::setup::{deliver_one, high_cpu};

/// A broker that answers one client as told and gives back all that it heard.
async fn broker(answers: &'static [&'static [u8]]) -> (u16, tokio::task::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = Vec::new();
        let mut answers = answers.iter();
        let mut chunk = [0; 8192];
        while let Ok(read @ 1..) = stream.read(&mut chunk).await {
            heard.extend_from_slice(&chunk[..read]);
            if let Some(answer) = answers.next() {
                stream.write_all(answer).await.unwrap();
            }
        }
        heard
    });
    (port, heard)
}

#[tokio::test]
async fn what_a_broker_hears() {
    let (port, heard) = broker(&[&[0x20, 2, 0, 0], &[0x40, 2, 0, 1], &[0x40, 2, 0, 2], &[0x40, 2, 0, 3]]).await;
    deliver_one(&format!("homeassistant_configs: [{{broker: '127.0.0.1:{port}', username: u, password: p}}]"), &high_cpu(false)).await.unwrap();
    let heard = heard.await.unwrap();
    let connect = b"\x10\x29\x00\x04MQTT\x04\xc2\x00\x3c\x00\x17watchfire-0123456789abc\x00\x01u\x00\x01p";
    assert_eq!(&heard[..connect.len()], connect);
    assert_eq!(heard[connect.len()], 0x33, "a message that is kept and confirmed");
    assert!(
        heard.ends_with(b"\x33\x2b\x00\x25watchfire/alerts/9f2a099adf99adbf/state\x00\x03ON\xe0\x00") || heard.ends_with(b"ON\xe0\x00"),
        "{:?}",
        String::from_utf8_lossy(&heard)
    );
}

#[tokio::test]
async fn what_a_broker_says() {
    let check: [(&'static [&'static [u8]], bool); 8] = [
        (&[&[0x20, 2, 0, 1]], false),
        (&[&[0x20, 2, 0, 3]], true),
        (&[&[0x20, 2, 0, 4]], true),
        (&[&[0x20, 2, 0, 5]], true),
        (&[b"HTTP/1.1 400 Bad Request\r\n\r\n"], true),
        (&[&[0x20, 2, 0, 0], &[0x40, 2, 0, 9]], true),
        (&[&[0x20, 0xff, 0xff, 0xff, 0xff]], true),
        (&[], true),
    ];
    for (answers, later) in check {
        let (port, heard) = broker(answers).await;
        let outcome = deliver_one(&format!("homeassistant_configs: [{{broker: '127.0.0.1:{port}', timeout: 300ms}}]"), &high_cpu(false)).await;
        assert_eq!(matches!(outcome, Err(DeliveryError::Later { .. })), later, "{answers:?}: {outcome:?}");
        assert!(outcome.is_err());
        heard.abort();
    }
}

struct Running(Child);
impl Drop for Running {
    fn drop(&mut self) {
        // A process that has gone cannot be stopped.
        let _gone = self.0.kill();
        let _waited = self.0.wait();
    }
}

fn find(name: &str) -> Option<String> {
    ["/usr/sbin/", "/usr/bin/"].iter().map(|dir| format!("{dir}{name}")).find(|path| std::path::Path::new(path).exists())
}

#[tokio::test]
async fn mosquitto_keeps_sensors_and_their_states() {
    let (Some(server), Some(reader)) = (find("mosquitto"), find("mosquitto_sub")) else {
        eprintln!("SKIPPED: mosquitto and mosquitto_sub are not installed, so no real broker was told");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let port = watchfire_testkit::ports::free_port();
    let conf = dir.path().join("mosquitto.conf");
    std::fs::write(&conf, format!("listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nuser root\n")).unwrap();
    let _server = Running(Command::new(server).arg("-c").arg(&conf).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let integrations = format!("homeassistant_configs: [{{broker: '127.0.0.1:{port}', topic: wf/alerts}}]");
    let mut outcome = deliver_one(&integrations, &high_cpu(false)).await;
    // The broker needs a moment to listen.
    for _ in 0..100 {
        if outcome.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        outcome = deliver_one(&integrations, &high_cpu(false)).await;
    }
    outcome.unwrap();
    let kept = |topic: &str| {
        let out = Command::new(&reader).args(["-h", "127.0.0.1", "-p", &port.to_string(), "-C", "1", "-W", "10", "-t", topic]).output().unwrap();
        String::from_utf8(out.stdout).unwrap().trim_end().to_owned()
    };
    let group = "9f2a099adf99adbf";
    let sensor: serde_json::Value = serde_json::from_str(&kept(&format!("homeassistant/binary_sensor/watchfire/{group}/config"))).unwrap();
    assert_eq!((sensor["name"].as_str(), sensor["state_topic"].as_str()), (Some("HighCPU"), Some(format!("wf/alerts/{group}/state").as_str())));
    let attributes: serde_json::Value = serde_json::from_str(&kept(&format!("wf/alerts/{group}/attributes"))).unwrap();
    assert_eq!((attributes["status"].as_str(), attributes["alerts"][0]["labels"]["instance"].as_str()), (Some("firing"), Some("a<b")));
    assert_eq!(kept(&format!("wf/alerts/{group}/state")), "ON");
    deliver_one(&integrations, &high_cpu(true)).await.unwrap();
    assert_eq!(kept(&format!("wf/alerts/{group}/state")), "OFF");
}
