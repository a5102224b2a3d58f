//! Real clients that push against the real binary: Prometheus' own, Influx', StatsD's.

use std::process::Command;

use crate::python::python;
use crate::server::{Server, free_port, request, until};

const PROGRAM: &str = r#"
import sys
host, port, statsd_port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
from prometheus_client import CollectorRegistry, Gauge, Histogram, push_to_gateway, pushadd_to_gateway, delete_from_gateway
registry = CollectorRegistry()
Gauge("backup_last_success", "When the backup was made", registry=registry).set(17)
Histogram("backup_seconds", "How long it took", registry=registry).observe(0.3)
push_to_gateway(f"{host}:{port}", job="back/up", grouping_key={"instance": "db1"}, registry=registry)
more = CollectorRegistry()
Gauge("backup_bytes", "How much", registry=more).set(5)
pushadd_to_gateway(f"{host}:{port}", job="back/up", grouping_key={"instance": "db1"}, registry=more)
push_to_gateway(f"{host}:{port}", job="gone", registry=more)
delete_from_gateway(f"{host}:{port}", job="gone")

from influxdb_client import InfluxDBClient, Point
from influxdb_client.client.write_api import SYNCHRONOUS
client = InfluxDBClient(url=f"http://{host}:{port}/influx", token="none", org="o")
client.write_api(write_options=SYNCHRONOUS).write(bucket="home", record=Point("room").tag("name", "living room").field("temperature", 21.5).field("open", True).field("note", "x"))

import statsd
for client in [statsd.StatsClient(host, statsd_port), statsd.TCPStatsClient(host, statsd_port)]:
    client.incr("page.views", 2)
    client.timing("page.time", 250)
    client.gauge("queue", 7)
"#;

#[test]
fn pushes_of_real_clients_come_back_by_query() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    let statsd = free_port();
    let data = dir.path().join("data");
    let listen = format!("127.0.0.1:{statsd}");
    let mut server = Server::start(&data, &[], &[("WATCHFIRE_STATSD_LISTEN", &listen)]);
    let arguments = ["127.0.0.1".to_owned(), server.address.port().to_string(), statsd.to_string()];
    let output = Command::new(python).args(["-c", PROGRAM]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let check = |server: &Server, expression: &str| {
        let found = |result: &serde_json::Value| result.as_array().is_some_and(|all| all.len() == 1);
        until(expression, || server.query(expression, None), found);
    };
    for expression in [
        r#"backup_last_success{job="back/up", instance="db1"} == 17"#,
        r#"backup_seconds_bucket{job="back/up", le="0.5"} == 1"#,
        r#"backup_bytes{job="back/up", instance="db1"} == 5"#,
        r#"push_time_seconds{job="back/up"} > 0"#,
        r#"absent(backup_bytes{job="gone"})"#,
        r#"room_temperature{db="home", name="living room"} == 21.5"#,
        "room_open == 1",
        "page_views == 4",
        r#"page_time_bucket{le="0.25"} == 2"#,
        "page_time_sum == 0.5",
        "queue == 7",
    ] {
        check(&server, expression);
    }
    server.kill();
    let server = Server::start(&data, &[], &[]);
    let text = request(server.address, "GET", "/pushgateway/metrics", &[], b"").unwrap().text();
    assert!(text.contains(r#"backup_bytes{instance="db1",job="back/up"} 5"#), "groups survive: {text}");
    assert!(!text.contains("gone"), "{text}");
}
