//! Compose files of our own, and those of the documents where they are at hand.

use super::*;

const STACK: &str = r#"# Everything that watches the house.
services:
  backend:
    image: example/backend:1
    depends_on:
      redis:
        condition: service_started
      jaeger:
        condition: service_started
      prometheus:
        condition: service_healthy
    environment:
      OTEL_EXPORTER_OTLP_ENDPOINT: http://jaeger:4317

  # Metrics.
  prometheus:
    image: registry.local:5000/mirror/metrics:3
    command: --config.file=/etc/prometheus/prometheus.yml --storage.tsdb.retention.time=7d --web.enable-lifecycle --web.cors.origin='.*'
    mem_limit: 512m
    ports: ["127.0.0.1:9090:9090"]
    volumes:
      - ./prometheus:/etc/prometheus:ro
      - prometheus_data:/prometheus

  jaeger:
    image: jaegertracing/all-in-one:1.60
    ports:
      - "16686:16686"
      - "6831:6831/udp"
    environment:
      - SPAN_STORAGE_TYPE=elasticsearch
      - COLLECTOR_OTLP_ENABLED=true
  redis:
    image: redis:7
    ports: ["6379:6379"]
  web:
    image: example/web
    depends_on:
      - jaeger
      - prometheus
      - backend
  lookalike:
    image: example/prometheus
    ports: ["9091:9090"]

volumes:
  prometheus_data:
  redis_data:
"#;

fn adopted(text: &str) -> Adoption {
    read("compose.yml", text).unwrap()
}
fn container<'a>(adoption: &'a Adoption, name: &str) -> &'a Container {
    adoption.containers.iter().find(|c| c.service == name).unwrap()
}
fn findings(adoption: &Adoption) -> Vec<String> {
    adoption.findings.iter().map(ToString::to_string).collect()
}

#[test]
fn what_goes_and_what_stays() {
    let report = adopted(STACK);
    let goes: Vec<_> = report.containers.iter().filter_map(|c| Some((c.service.as_str(), c.replaced?))).collect();
    assert_eq!(goes, [("prometheus", ("Prometheus", Sign::Command)), ("jaeger", ("Jaeger", Sign::Image))]);
    assert_eq!(container(&report, "prometheus").memory, Some(Memory::Limit(512 << 20)));
    assert_eq!(container(&report, "jaeger").memory, None);
    assert_eq!(
        container(&report, "prometheus").files,
        [("./prometheus".to_owned(), Some("/monitoring/prometheus".to_owned())), ("prometheus_data".to_owned(), None)]
    );
    assert_eq!(container(&report, "jaeger").ports, [("16686:16686".to_owned(), Some(16686)), ("6831:6831/udp".to_owned(), None)]);
    let settings: Vec<_> = container(&report, "prometheus").settings.iter().map(|s| (s.written.as_str(), s.outcome.clone())).collect();
    assert_eq!(settings[1], ("--storage.tsdb.retention.time=7d", Outcome::Key("storage.retention.metrics", "7d".to_owned())));
    assert_eq!(settings[2], ("--web.enable-lifecycle", Outcome::Key("server.enable_lifecycle", "true".to_owned())));
    assert!(matches!(&settings[3].1, Outcome::NotHonoured(_)), "{settings:?}");
    assert_eq!(
        findings(&report),
        [
            "compose.yml:18:14: warning: prometheus: --web.cors.origin=.* is not honoured: addresses stand in server.listen, TLS in server.tls",
            "compose.yml:29:9: warning: jaeger: port 6831:6831/udp is not taken over: nothing here answers as Jaeger does there",
            "compose.yml:42:3: warning: lookalike: cannot tell what this is: it has the port of Prometheus, but neither image nor command line say so; it stays",
        ]
    );
}

#[test]
fn the_edit_is_a_compose_file_and_small() {
    let report = adopted(STACK);
    let edited = report.edited.as_deref().unwrap();
    let again = adopted(edited);
    let left: Vec<&str> = again.containers.iter().map(|c| c.service.as_str()).collect();
    assert_eq!(left, ["backend", "watchfire", "redis", "web", "lookalike"]);
    assert!(again.edited.is_none(), "nothing is left to replace");
    let node = parse_yaml("e", edited).unwrap();
    let services = node.get("services").unwrap();
    let waits = |name: &str| services.get(name).unwrap().get("depends_on").unwrap();
    assert_eq!(waits("web").items().unwrap().iter().filter_map(Node::text).collect::<Vec<_>>(), ["watchfire", "backend"]);
    assert_eq!(waits("backend").entries().unwrap().iter().map(|(k, _)| &*k.text).collect::<Vec<_>>(), ["redis", "watchfire"]);
    let own = services.get("watchfire").unwrap();
    let list = |key: &str| own.get(key).unwrap().items().unwrap().iter().filter_map(Node::text).collect::<Vec<_>>();
    assert_eq!(list("ports"), ["127.0.0.1:9090:9090", "16686:16686"]);
    assert_eq!(list("volumes"), ["./prometheus:/monitoring/prometheus:ro", "watchfire_data:/var/lib/watchfire"]);
    assert!(list("environment").contains(&"WATCHFIRE_STORAGE_RETENTION_METRICS=7d") && list("environment").contains(&"COLLECTOR_OTLP_ENABLED=true"));
    let aliases = own.get("networks").unwrap().get("default").unwrap().get("aliases").unwrap();
    assert_eq!(aliases.items().unwrap().iter().filter_map(Node::text).collect::<Vec<_>>(), ["prometheus", "jaeger"]);
    assert_eq!(node.get("volumes").unwrap().entries().unwrap().len(), 3);
    // Everything that is not about what goes stands there as before.
    for line in ["# Everything that watches the house.", "    image: redis:7", "  redis_data:"] {
        assert!(edited.lines().any(|l| l == line), "{line} in {edited}");
    }
    assert!(!edited.contains("# Metrics."), "{edited}");
}

#[test]
fn the_difference_applies_to_the_file() {
    let dir = std::env::temp_dir().join(format!("watchfire-adopt-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("compose.yml");
    std::fs::write(&path, STACK).unwrap();
    let report = adopted(STACK);
    let patch = std::process::Command::new("patch").arg("--quiet").arg(&path).stdin(std::process::Stdio::piped()).spawn();
    let Ok(mut patch) = patch else {
        eprintln!("SKIPPED: there is no patch to try the difference with");
        return;
    };
    std::io::Write::write_all(&mut patch.stdin.take().unwrap(), report.diff.unwrap().as_bytes()).unwrap();
    assert!(patch.wait().unwrap().success());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), report.edited.unwrap());
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn secrets_are_told_nowhere() {
    let text = "services:\n  g:\n    image: grafana/grafana\n    environment:\n      GF_SECURITY_ADMIN_PASSWORD: canary\n      GF_SMTP_PASSWORD: canary\n";
    let report = adopted(text);
    assert!(!format!("{:?}{:?}", report.containers, report.findings).contains("canary"));
    let flags = "services:\n  r:\n    image: oliver006/redis_exporter\n    command: --redis.password=canary\n  s:\n    image: oliver006/redis_exporter\n    environment: {REDIS_PASSWORD: canary2}\n";
    let flags = adopted(flags);
    assert!(!format!("{:?}{:?}", flags.containers, flags.findings).contains("canary"), "{flags:#?}");
    assert!(report.edited.unwrap().contains("GF_SECURITY_ADMIN_PASSWORD=canary"), "the new file holds what the old one did");
}

/// The exporter's password counts with an address beside it, and with the usual one.
#[test]
fn a_password_of_redis_arrives_where_its_address_is() {
    let of = |environment: &str| {
        let report = adopted(&format!("services:\n  r:\n    image: oliver006/redis_exporter\n    environment: {environment}\n"));
        let edited = report.edited.unwrap();
        let lines = edited.lines().filter(|l| l.contains("REDIS")).map(|l| l.trim().trim_start_matches("- ").trim_matches('"').to_owned());
        lines.collect::<Vec<_>>()
    };
    assert_eq!(of("{REDIS_ADDR: 'redis://redis:6379', REDIS_PASSWORD: '${P}'}"), ["REDIS_ADDR=redis://redis:6379", "REDIS_PASSWORD=${P}"]);
    assert_eq!(of("{REDIS_PASSWORD: '${P}'}"), ["WATCHFIRE_REDIS_EXPORTER_PASSWORD=${P}"]);
    assert_eq!(of("[REDIS_PASSWORD]"), ["WATCHFIRE_REDIS_EXPORTER_PASSWORD=${REDIS_PASSWORD}"]);
}

#[test]
fn files_of_other_kinds_and_parts() {
    let error = |text: &str| read("c.yml", text).unwrap_err().to_string();
    assert_eq!(error("scrape_configs: []\n"), "c.yml:1:1: error: cannot find containers: a Compose file has a mapping called services");
    assert!(error("a: [1\n").starts_with("c.yml:2:1: error: "));
    assert!(error("services: [a]\n").contains("cannot find containers"));
    let part = adopted("deploy:\n  resources:\n    limits: {memory: 512M}\n");
    assert_eq!(findings(&part), ["compose.yml:1:1: warning: this is a part of a service, not a Compose file: name the file that says its image"]);
    let flow = adopted("services: {p: {image: prom/prometheus}}\n");
    assert!(flow.edited.is_none() && findings(&flow)[0].contains("no edit is offered"), "{:?}", flow.findings);
    let windows = adopted("services:\r\n  p:\r\n    image: prom/prometheus\r\n");
    assert!(windows.edited.is_none() && windows.containers[0].replaced.is_some(), "{:?}", windows.findings);
    let nowhere = adopted("services:\n  p:\n    image: prom/prometheus\n    command: [--config.file=/etc/prometheus/p.yml]\n");
    assert!(findings(&nowhere)[0].ends_with("no mount holds /etc/prometheus/p.yml; put the file into the monitoring directory"), "{:?}", nowhere.findings);
    let own = adopted("services:\n  watchfire:\n    image: watchfire\n  p:\n    image: prom/prometheus\n");
    assert!(own.edited.is_none() && findings(&own)[0].starts_with("compose.yml:2:3: warning: a service is called watchfire already"));
}

#[test]
fn files_get_their_usual_names() {
    let text = "services:\n  l:\n    image: grafana/loki\n    command: -config.file=/etc/loki/main.yaml\n    volumes: ['./l:/etc/loki', './odd.yml:/etc/odd.yml']\n  b:\n    image: prom/blackbox-exporter\n    command: ['--config.file=/config/probes.yml']\n    volumes: ['./probes.yml:/config/probes.yml']\n  a:\n    image: grafana/alloy:latest\n    command: run --server.http.listen-addr=0.0.0.0:8080 /etc/alloy/my.alloy\n    ports: ['12345:8080']\n    volumes: ['./my.alloy:/etc/alloy/my.alloy:ro', '/run/user/1000/podman/podman.sock:/run/user/1000/podman/podman.sock:ro']\n";
    let report = adopted(text);
    let seen = |name: &str| container(&report, name).files.iter().map(|(_, at)| at.clone().unwrap_or_default()).collect::<Vec<_>>();
    assert_eq!(seen("l"), ["/monitoring/loki", "/monitoring/odd.yml"]);
    assert_eq!(seen("b"), ["/monitoring/blackbox/blackbox.yml"]);
    assert_eq!(seen("a"), ["/monitoring/config/config.alloy", "/run/user/1000/podman/podman.sock"]);
    assert_eq!(container(&report, "a").ports, [("12345:8080".to_owned(), Some(12345))]);
    let all = findings(&report);
    assert!(
        all.iter().any(|f| f.starts_with("compose.yml:5:15: warning: l: main.yaml in ./l is found under its usual name only: call it loki.yml")),
        "{all:?}"
    );
}

#[test]
fn an_application_that_searches_keeps_its_elasticsearch() {
    let text = "services:\n  es:\n    image: elasticsearch:8.11.0\n  shop:\n    image: example/shop\n    environment:\n      SEARCH: http://es:9200\n";
    assert_eq!(findings(&adopted(text)), ["compose.yml:7:15: warning: shop: SEARCH leads to es: if it keeps documents of its own there, es must stay"]);
}

/// The documents' Compose files, where they are at hand.
#[test]
fn the_documents_stacks_go() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/catalogue");
    let seeds = std::env::var_os("WATCHFIRE_SEEDS").map_or(root, std::path::PathBuf::from).join("config_snippets");
    let Ok(entries) = std::fs::read_dir(&seeds) else {
        eprintln!("SKIPPED: the documents' blocks are not at hand (WATCHFIRE_SEEDS)");
        return;
    };
    let mut gone = Vec::new();
    for path in entries.map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "yml")) {
        let (name, text) = (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(&path).unwrap());
        let Ok(report) = read(&name, &text) else { continue };
        assert!(report.findings.iter().all(|f| f.line > 0 && f.column > 0), "{name}: {:?}", report.findings);
        for container in &report.containers {
            gone.push((name.clone(), container.replaced.map_or("", |r| r.0), container.memory.map(Memory::bytes)));
        }
        if let Some(edited) = &report.edited {
            assert!(adopted(edited).containers.iter().all(|c| c.replaced.is_none()), "{name}: {edited}");
            assert_eq!(findings(&report), [""; 0], "{name}");
        }
    }
    gone.sort();
    let expected = |file: &str, program: &'static str, megabytes: Option<u64>| (file.to_owned(), program, megabytes.map(|m| m << 20));
    assert_eq!(
        gone,
        [
            expected("000_323_jaeger_compose_override.yml", "Jaeger", None),
            expected("002_447_loki_compose.yml", "Loki", Some(200)),
            expected("002_74_docker_compose.yml", "Grafana", Some(150)),
            expected("002_74_docker_compose.yml", "Prometheus", Some(100)),
        ]
    );
}
