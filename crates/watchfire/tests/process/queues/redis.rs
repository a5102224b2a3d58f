//! The lists of a real Redis: a program in Python fills them, and what it sent comes back to it byte for byte.

use std::process::{Child, Command, Stdio};

use serde_json::json;

use super::send;
use crate::python::python;
use crate::server::{Peer, Server, free_port, installed, until};

/// A Redis on a free port.
struct Redis {
    _child: Peer,
    port: u16,
    _dir: tempfile::TempDir,
}
impl Redis {
    fn start() -> Option<Redis> {
        if !installed("redis-server") || !installed("redis-cli") {
            return None;
        }
        // Somebody else may take a free port before we do: then the one that answers there is not ours.
        (0..5).find_map(|_| Redis::on(free_port())).or_else(|| panic!("no port for Redis"))
    }
    fn on(port: u16) -> Option<Redis> {
        let dir = tempfile::tempdir().unwrap();
        let child: Child =
            Command::new("redis-server").args(["--port", &port.to_string(), "--save", "", "--dir"]).arg(dir.path()).stdout(Stdio::null()).spawn().unwrap();
        let own = format!("process_id:{}", child.id());
        let redis = Redis { _child: Peer(child), port, _dir: dir };
        let told = until("Redis answers", || redis.ask(&["INFO", "server"]), |answer| answer.contains("process_id:"));
        told.lines().any(|line| line.trim() == own).then_some(redis)
    }
    fn ask(&self, arguments: &[&str]) -> String {
        let output = Command::new("redis-cli").args(["-p", &self.port.to_string(), "--raw"]).args(arguments).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned()
    }
    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

#[test]
fn dead_letters_in_a_real_redis_are_listed_and_requeued() {
    let Some(redis) = Redis::start() else { return };
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[], &[("REDIS_ADDR", &redis.url())]);
    for n in 0..120 {
        let entry = format!(
            r#"{{"original_job": {{"file_path": "/x/{n}.jpg", "camera_id": "front_door"}}, "error": "Connection timeout", "attempt_count": 3, "first_failed_at": "2025-12-30T10:00:00Z", "last_failed_at": "2025-12-30T10:01:30Z", "queue_name": "detection_queue"}}"#
        );
        redis.ask(&["RPUSH", "dlq:detection_queue", &entry]);
    }
    let stats = server.json("/api/system/dlq/stats");
    assert_eq!((&stats["detection_queue_count"], &stats["total_count"], &stats["backend"]), (&json!(120), &json!(120), &json!("redis")));
    let page = server.json("/api/dlq/jobs/dlq:detection_queue?start=50&limit=50");
    assert_eq!((page["jobs"].as_array().unwrap().len(), &page["total"]), (50, &json!(120)));
    assert_eq!(page["jobs"][0]["original_job"]["file_path"], "/x/50.jpg");
    assert_eq!(server.get("/api/dlq/jobs/dlq:nope").unwrap().status, 422);
    let (status, moved) = send(&server, "POST", "/api/system/dlq/requeue-all?queue=dlq:detection_queue", b"");
    assert_eq!((status, &moved["message"]), (200, &json!("Requeued 120 jobs from dlq:detection_queue to detection_queue")));
    assert_eq!((redis.ask(&["LLEN", "dlq:detection_queue"]), redis.ask(&["LLEN", "detection_queue"])), ("0".to_owned(), "120".to_owned()));
    assert_eq!(redis.ask(&["LINDEX", "detection_queue", "0"]), r#"{"file_path": "/x/0.jpg", "camera_id": "front_door"}"#);
    // What others do to the lists is seen within the interval.
    redis.ask(&["DEL", "detection_queue"]);
    redis.ask(&["RPUSH", "analysis_queue", "1"]);
    let metrics = || server.get("/metrics").unwrap().text();
    until("the depth is told", metrics, |text| text.contains("\nhsi_analysis_queue_depth 1") && text.contains("\nhsi_detection_queue_depth 0"));
    assert_eq!(server.json("/api/system/telemetry")["queues"], json!({ "detection_queue": 0, "analysis_queue": 1 }));
    assert_eq!(server.json("/api/system/health")["services"]["redis"], "healthy");
    drop(redis);
    until("Redis is missed", || server.json("/api/system/health")["services"]["redis"].clone(), |status| status == "unhealthy");
    let answer = server.get("/api/dlq/stats").unwrap();
    assert_eq!(answer.status, 503, "{}", answer.text());
}

#[test]
fn what_a_python_producer_sent_comes_back_byte_for_byte() {
    let (Some(redis), Some(python)) = (Redis::start(), python()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[], &[("REDIS_URL", &redis.url())]);
    // Jobs as the pipeline makes them, one that no JSON library would write like this, and one that is no text at all.
    let script = r#"
import base64, json, sys, urllib.request
import redis
client = redis.Redis.from_url(sys.argv[1])
url = sys.argv[2]
jobs = [
    json.dumps({"file_path": "/export/foscam/front_door/\u00fc.jpg", "camera_id": "front_door", "confidence": 0.1, "big": 12345678901234567890}).encode(),
    b'{"b" :1.50 , "a":[ 1,2 ],"a":3e2, "t": "\\u00e9/"}',
    b"Z:KLUv/QBY",
    bytes(range(256)),
]
def call(path, body=b""):
    request = urllib.request.Request(url + path, data=body, method="POST", headers={"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(request))
client.rpush("detection_queue", *jobs)
for job in jobs:
    one = call("/api/queues/detection_queue/lease?worker=python&wait_ms=20000")["jobs"][0]
    got = one["payload"].encode() if one["payload"] is not None else base64.b64decode(one["payload_base64"])
    assert got == job, got
    call("/api/queues/detection_queue/leases/" + one["lease"] + "/fail", json.dumps({"error": "on purpose", "retry": False}).encode())
assert client.llen("dlq:detection_queue") == len(jobs)
first = json.loads(client.lindex("dlq:detection_queue", 0))
assert first["original_job"] == json.loads(jobs[0]) and first["queue_name"] == "detection_queue", first
call("/api/dlq/requeue-all/dlq:detection_queue")
assert client.lrange("detection_queue", 0, -1) == jobs, client.lrange("detection_queue", 0, -1)
print("done", len(jobs))
"#;
    let output = Command::new(python).args(["-c", script, &redis.url(), &server.url()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "done 4");
}
