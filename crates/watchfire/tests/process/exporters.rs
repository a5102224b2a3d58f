//! Faces of exporters on the real binary: scrape jobs of replaced programs are answered within the process, `probes:` need no job, who may
//! have what looked at, and configurations that change with a reload.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

use crate::server::{Answer, Server, request, signal, until};

/// A page that says it is well, in JSON.
fn target() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut heard = [0; 4096];
            let _heard = stream.read(&mut heard);
            let body = r#"{"success": true, "gpu_utilization": 35}"#;
            let said = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            // A prober that has left takes nothing from anybody else.
            let _gone = stream.write_all(said.as_bytes());
        }
    });
    address
}

fn write(dir: &std::path::Path, target: SocketAddr, expression: &str) {
    let module =
        |expression: &str| format!("modules:\n  api:\n    prober: http\n    timeout: 5s\n    http: {{fail_if_body_not_matches_regexp: ['{expression}']}}\n");
    std::fs::write(dir.join("blackbox.yml"), module(expression)).unwrap();
    std::fs::write(dir.join("json-exporter-config.yml"), "modules:\n  gpu:\n    metrics:\n    - {name: hsi_gpu_utilization, path: '{ .gpu_utilization }'}\n")
        .unwrap();
    let relabel = "[{source_labels: [__address__], target_label: __param_target}, {source_labels: [__param_target], target_label: instance}, \
                   {target_label: __address__, replacement: 'blackbox-exporter:9115'}]";
    let jobs = format!(
        "scrape_configs:\n- {{job_name: bb, scrape_interval: 1s, metrics_path: /probe, params: {{module: [api]}}, static_configs: [{{targets: ['http://{target}/x']}}], relabel_configs: {relabel}}}\n\
         - {{job_name: js, scrape_interval: 1s, metrics_path: /probe, params: {{module: [gpu], target: ['http://{target}/x']}}, static_configs: [{{targets: ['json-exporter:7979']}}]}}\n\
         - {{job_name: machine, scrape_interval: 1s, static_configs: [{{targets: ['node-exporter:9100']}}]}}\n"
    );
    std::fs::write(dir.join("prometheus.yml"), jobs).unwrap();
    let ours = format!(
        "monitoring_dir: .\nauth: {{enabled: true, users: [{{name: eva, password: correct-horse, level: read}}]}}\n\
         probes:\n- {{module: api, targets: ['http://{target}/x'], interval: 1s, labels: {{team: home}}}}\n"
    );
    std::fs::write(dir.join("watchfire.yml"), ours).unwrap();
}

/// `eva:correct-horse`
const EVA: &str = "Basic ZXZhOmNvcnJlY3QtaG9yc2U=";

#[test]
fn prb_12_jobs_of_replaced_programs_and_our_own_probes_are_answered_here() {
    let dir = tempfile::tempdir().unwrap();
    let target = target();
    write(dir.path(), target, r#""success":\s*true"#);
    let config = dir.path().join("watchfire.yml").display().to_string();
    let server = Server::start(&dir.path().join("data"), &["--config", &config], &[]);
    let admin = format!("Bearer {}", std::fs::read_to_string(server.data.join("admin.token")).unwrap().trim());
    let get = |path: &str, who: &str| -> Answer { request(server.address, "GET", path, &[("Authorization", who)], b"").unwrap() };
    let value = |expression: &str| {
        let found = get(&format!("/api/v1/query?query={}", crate::server::escape(expression)), &admin).json();
        found["data"]["result"][0]["value"][1].as_str().map(str::to_owned)
    };
    for (expression, expected) in [
        (format!("probe_success{{job=\"bb\",instance=\"http://{target}/x\"}}"), "1"),
        ("hsi_gpu_utilization{job=\"js\"}".to_owned(), "35"),
        ("count(node_load1{job=\"machine\"})".to_owned(), "1"),
        (format!("probe_success{{job=\"probe-api\",team=\"home\",instance=\"http://{target}/x\"}}"), "1"),
    ] {
        until(&expression, || value(&expression), |found| found.as_deref() == Some(expected));
    }
    let probe = |target: &str, more: &str, who: &str| get(&format!("/blackbox/probe?module=api&target={target}{more}"), who);
    let named = format!("http://{target}/x");
    assert!(probe(&named, "", EVA).text().contains("\nprobe_success 1\n"), "what a job names is for everybody");
    assert_eq!(probe(&named, "&debug=true", EVA).status, 403);
    assert_eq!(probe(&named, "&debug=true", &admin).status, 200);
    let other = format!("http://{target}/y");
    assert_eq!((probe(&other, "", EVA).status, probe(&other, "", &admin).status), (403, 403), "this machine is for nobody");
    assert_eq!(probe("http://169.254.169.254/", "", &admin).status, 403);
    assert_eq!(request(server.address, "GET", "/blackbox/metrics", &[], b"").unwrap().status, 401);
    assert!(get("/node/metrics", EVA).text().contains("\nnode_load1 "));
    assert!(get("/redis/metrics", EVA).text().contains("\nredis_up 0\n"));
    assert!(get("/postgres/metrics", EVA).text().contains("\npg_up 0\n"));

    // Modules change with a reload, and what is wrong changes nothing.
    write(dir.path(), target, "never");
    signal(server.pid(), "HUP");
    until("the other module", || probe(&named, "", EVA).text(), |text| text.contains("\nprobe_success 0\n"));
    std::fs::write(dir.path().join("blackbox.yml"), "modules: {api: {prober: htp}}\n").unwrap();
    signal(server.pid(), "HUP");
    until("the refusal", || get("/metrics", EVA).text(), |text| text.contains("\nwatchfire_config_last_reload_successful 0\n"));
    assert!(probe(&named, "", EVA).text().contains("\nprobe_failed_due_to_regex 1\n"));
}
