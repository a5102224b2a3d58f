//! How each system is watched: the files that a Watchfire is started with, in the form that the systems' documents have, with the addresses
//! of this run and the documents' names as instances.

use std::io::Result;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::hsi;
use crate::plan::Plan;

/// The pack's probes, and one of the frontend's certificate, which nobody has signed.
const PROBES: &str = include_str!("../../../packs/hsi/probes/blackbox.yml");
const OWN_PROBE: &str = "  frontend_tls:\n    prober: tcp\n    timeout: 5s\n    tcp: {tls: true, tls_config: {insecure_skip_verify: true}}\n";

/// Writes `prometheus.yml` and `watchfire.yml` into the run's directory. Rules that lie in `rules/` are loaded, too.
pub(crate) fn write(plan: &Plan, program: &Path, control: &str) -> Result<()> {
    let jobs = match plan.system.as_str() {
        "vms" => vms(plan),
        "pisovereign" => pisovereign(plan),
        _ => pipeline(plan),
    };
    let head = "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\nrule_files: [rules/*.yml]\nscrape_configs:\n";
    put(&plan.dir.join("prometheus.yml"), &format!("{head}{jobs}"))?;
    let mut text = format!("prometheus: prometheus.yml\npacks: [{}]\n", plan.system);
    if plan.system == "hsi" {
        text.push_str("logs: {rule_files: [log-rules/*.yml]}\nblackbox: blackbox.yml\n");
        text.push_str(&services(plan, program, control));
        std::fs::create_dir_all(plan.dir.join("log-rules"))?;
        put(&plan.dir.join("blackbox.yml"), &format!("{PROBES}{OWN_PROBE}"))?;
    }
    put(&plan.dir.join("watchfire.yml"), &text)
}

/// A file that only we may write: it may name programs that are run.
fn put(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    // One of an earlier run may have other rights.
    drop(std::fs::remove_file(path));
    std::fs::File::options().write(true).create_new(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}

/// Targets of a job, each with the name that the documents give it.
fn targets(plan: &Plan, parts: &[String], port: Option<u16>) -> String {
    let one = |part: &String| {
        let address = port.map_or_else(|| plan.address(part), |port| format!("{}:{port}", plan.ip(part)));
        let port = address.rsplit_once(':').map_or("", |(_, port)| port);
        format!("  - {{targets: ['{address}'], labels: {{instance: '{part}:{port}'}}}}\n")
    };
    parts.iter().map(one).collect()
}

fn job(plan: &Plan, name: &str, path: &str, parts: &[String], port: Option<u16>) -> String {
    format!("- job_name: {name}\n  metrics_path: {path}\n  static_configs:\n{}", targets(plan, parts, port))
}

fn vms(plan: &Plan) -> String {
    let of = |kind: &str| plan.parts().into_iter().filter(|part| part.starts_with(kind)).collect::<Vec<_>>();
    let (nodes, gateways) = (of("recording-node"), of("stream-gateway"));
    [
        job(plan, "recording-nodes", "/metrics", &nodes, None),
        job(plan, "streaming-gateways", "/metrics", &gateways, None),
        job(plan, "api-servers", "/metrics", &of("api-server"), None),
        job(plan, "ai-workers", "/metrics", &of("ai-worker"), None),
        job(plan, "node-exporter", "/metrics", &[nodes, gateways].concat(), Some(9100)),
    ]
    .concat()
}

fn pisovereign(plan: &Plan) -> String {
    let assistant = ["assistant".to_owned()];
    [job(plan, "pisovereign", "/metrics/prometheus", &assistant, None), job(plan, "node-exporter", "/metrics", &assistant, Some(9100))].concat()
}

/// The backend's own page, the JSON exporter's modules and the probes, which Watchfire answers itself.
fn pipeline(plan: &Plan) -> String {
    let backend = format!("http://{}", plan.address("backend"));
    let mut text = job(plan, "hsi-backend-metrics", "/api/metrics", &["backend".to_owned()], None);
    let mut probe = |name: &str, exporter: &str, module: &str, targets: &[String]| {
        let relabel = format!(
            "[{{source_labels: [__address__], target_label: __param_target}}, {{source_labels: [__param_target], target_label: instance}}, \
             {{target_label: __address__, replacement: '{exporter}'}}]"
        );
        let targets: Vec<String> = targets.iter().map(|target| format!("'{target}'")).collect();
        text.push_str(&format!(
            "- job_name: {name}\n  metrics_path: /probe\n  params: {{module: [{module}]}}\n  static_configs: [{{targets: [{}]}}]\n  relabel_configs: {relabel}\n",
            targets.join(", ")
        ));
    };
    for (module, path) in [("health", "/api/system/health"), ("telemetry", "/api/system/telemetry"), ("stats", "/api/system/stats"), ("gpu", "/api/system/gpu")]
    {
        probe(&format!("hsi-{module}"), "json-exporter:7979", module, &[format!("{backend}{path}")]);
    }
    probe("blackbox-http-health", "blackbox-exporter:9115", "http_health", &[format!("{backend}/api/system/health")]);
    probe("blackbox-http-ready", "blackbox-exporter:9115", "http_ready", &[format!("{backend}/api/system/health/ready")]);
    let services = ["ai-yolo26", "ai-llm"].map(|part| format!("http://{}/health", plan.address(part)));
    probe("blackbox-http-2xx", "blackbox-exporter:9115", "http_2xx", &services);
    probe("blackbox-tls", "blackbox-exporter:9115", "frontend_tls", &[format!("{}:{}", plan.ip("frontend"), hsi::TLS_PORT)]);
    probe("blackbox-tcp", "blackbox-exporter:9115", "tcp_connect", &[plan.address("postgres")]);
    text
}

/// The services that Watchfire tends, and how it brings them back: the page not at all, the database after a while, enrichment at once. And
/// where it looks for the GPU.
fn services(plan: &Plan, program: &Path, control: &str) -> String {
    let mut text = format!(
        "gpu: {{ai_service_urls: ['http://{}/health'], poll_interval_seconds: 1.0}}\nservices:\n  interval: 2s\n  timeout: 2s\n  watch:\n",
        plan.address("ai-yolo26")
    );
    for (part, backoff) in [("frontend", None), ("postgres", Some("10.0")), ("ai-enrichment", Some("0.5"))] {
        text.push_str(&format!("  - name: {part}\n    health_url: 'http://{}/health'\n", plan.address(part)));
        if let Some(backoff) = backoff {
            let command = format!("['{}', '--control', '{control}', start, {part}]", program.display());
            text.push_str(&format!("    backoff_base: {backoff}\n    start_period: 2s\n    restart: {{command: {command}}}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_the_video_system_is_scraped_under_its_documents_name() {
        let text = r#"{"system": "vms", "net": "127.9", "dir": "/", "nodes": 6, "gateways": 3, "apis": 2, "cameras": 2, "watchfire": ""}"#;
        let jobs = vms(&Plan::parse(text).unwrap());
        assert_eq!(jobs.matches("targets:").count(), 6 + 3 + 2 + 1 + 9, "{jobs}");
        assert!(jobs.contains("  - {targets: ['127.9.1.6:9100'], labels: {instance: 'recording-node-6:9100'}}\n"), "{jobs}");
    }
}
