//! Compose files as people really write them: anchors, extended services, profiles, secrets, several of one program, neighbours, forks.

use super::*;

fn adopted(text: &str) -> Adoption {
    read("c.yml", text).unwrap()
}
fn container<'a>(adoption: &'a Adoption, name: &str) -> &'a Container {
    adoption.containers.iter().find(|c| c.service == name).unwrap()
}
fn findings(adoption: &Adoption) -> Vec<String> {
    adoption.findings.iter().map(ToString::to_string).collect()
}
/// Our service in the edited file.
fn own(adoption: &Adoption) -> Node {
    let edited = parse_yaml("edited", adoption.edited.as_deref().unwrap()).unwrap();
    edited.get("services").unwrap().get("watchfire").unwrap().clone()
}
fn list(node: &Node, key: &str) -> Vec<String> {
    node.get(key).and_then(Node::items).unwrap_or(&[]).iter().filter_map(|n| n.text().map(str::to_owned)).collect()
}

#[test]
fn two_of_one_program_give_one_configuration() {
    let report = adopted(
        "services:
  one:
    image: quay.io/prometheus/prometheus:v2.53.0@sha256:aa
    volumes: [./one.yml:/etc/prometheus/prometheus.yml:ro, ./rules:/etc/prometheus/rules, ./log:/var/log:ro]
  two:
    image: prom/prometheus
    ports: [9091:9090]
    volumes: [./two:/etc/prometheus/, ./rules2:/etc/prometheus/rules, ./one.yml:/etc/prometheus/prometheus.yml]
  tail:
    image: grafana/promtail
    volumes: [/srv/log:/var/log, ./log:/var/log:ro]
",
    );
    assert_eq!(
        list(&own(&report), "volumes"),
        [
            "./one.yml:/monitoring/prometheus/prometheus.yml:ro",
            "./rules:/monitoring/prometheus/rules",
            "./log:/var/log:ro",
            "./rules2:/monitoring/two/prometheus/rules",
            "watchfire_data:/var/lib/watchfire"
        ]
    );
    let wanted = "two: ./two is not taken over: one process reads one prometheus.yml, and that of one is it; put what stands here into that";
    let all = findings(&report);
    assert!(all[0].ends_with(wanted) && all[0].starts_with("c.yml:8:15: "), "{all:#?}");
    let moved = "./rules2 is seen at /monitoring/two/prometheus/rules, because something else is at /monitoring/prometheus/rules: name it there";
    assert!(all.iter().any(|f| f.contains(moved)), "{all:#?}");
    assert!(all.iter().any(|f| f.ends_with("tail: /srv/log is not taken over: something else is at /var/log already")), "{all:#?}");
    assert_eq!(container(&report, "two").ports, [("9091:9090".to_owned(), Some(9090))]);
}

#[test]
fn services_are_made_whole_of_what_they_extend() {
    let report = adopted(
        "services:
  base:
    image: prom/prometheus
    command: [--storage.tsdb.retention.time=7d]
    environment: [A=1, TZ=UTC]
    volumes: [./a:/etc/prometheus, data:/prometheus]
  metrics:
    extends: base
    command: [--storage.tsdb.retention.time=9d]
    environment: {A: 2}
    volumes: [./b:/etc/prometheus]
  traces:
    extends: {file: common.yml, service: tracing}
    image: jaegertracing/all-in-one
  other:
    extends: {file: common.yml, service: other}
  round:
    extends: round
",
    );
    let metrics = container(&report, "metrics");
    assert_eq!(metrics.replaced, Some(("Prometheus", Sign::Image)));
    let written: Vec<&str> = metrics.settings.iter().map(|s| s.written.as_str()).collect();
    assert_eq!(written, ["--storage.tsdb.retention.time=9d", "A=2", "TZ=UTC"]);
    assert_eq!(metrics.files.iter().map(|(file, _)| file.as_str()).collect::<Vec<_>>(), ["data", "./b"]);
    let all = findings(&report).join("\n");
    let advice = "which was not looked at; `docker compose config` writes one whole file, which can be read instead";
    assert!(all.contains(&format!("traces: extends tracing of common.yml, {advice}")), "{all}");
    assert!(all.contains(&format!("c.yml:15:3: warning: other: cannot tell what this is: it extends other of common.yml, {advice}")), "{all}");
    assert!(all.contains("round: cannot tell what this is: it extends round"), "{all}");
}

#[test]
fn what_stays_and_needs_what_goes_prevents_the_edit() {
    let extended = adopted("services:\n  p: {image: x}\n  q:\n    image: prom/prometheus\n  r:\n    extends: q\n    image: example/r\n");
    assert!(extended.edited.is_none());
    assert_eq!(findings(&extended), ["c.yml:5:3: warning: r stays and extends q, which goes: no edit is offered"]);
    let anchor = "services:\n  q:\n    image: prom/prometheus\n    logging: &l {driver: none}\n    environment: &e {TZ: UTC}\n  r:\n    image: example/r\n    logging: *l\n";
    let report = adopted(anchor);
    assert!(report.edited.is_none());
    assert_eq!(findings(&report), ["c.yml:4:1: warning: l is defined in a service that goes and used by what stays: no edit is offered"]);
    let unused = adopted(&anchor.replace("*l", "{driver: none}"));
    assert!(unused.edited.is_some(), "an anchor that nobody else uses goes with its service: {:?}", unused.findings);
    let first =
        adopted("x-all: &all\n  restart: always\nservices:\n  q:\n    <<: *all\n    image: prom/prometheus\n  r:\n    <<: *all\n    image: example/r\n");
    assert_eq!(findings(&first), [""; 0]);
    assert!(first.edited.is_some());
}

#[test]
fn names_are_known_on_every_network_of_who_goes() {
    let report = adopted(
        "services:\n  a:\n    image: grafana/loki\n    networks: [logs]\n  b:\n    image: prom/prometheus\n  c:\n    image: prom/node-exporter\n    network_mode: host\nnetworks: {logs: {}}\n",
    );
    let own = own(&report);
    let networks: Vec<&str> = own.get("networks").unwrap().entries().unwrap().iter().map(|(k, _)| &*k.text).collect();
    assert_eq!(networks, ["logs", "default"]);
}

#[test]
fn secrets_configs_hosts_profiles_and_users_come_along() {
    let report = adopted(
        "services:
  g:
    image: grafana/grafana-oss:11
    profiles: [watch]
    user: root
    environment: {GF_SECURITY_ADMIN_PASSWORD__FILE: /run/secrets/pw}
    secrets: [pw, {source: other, target: /x, mode: 0440}]
  a:
    image: prom/alertmanager
    profiles: [watch]
    extra_hosts: {host.docker.internal: host-gateway}
    dns: 10.0.0.1
    configs: [{source: am, target: /etc/alertmanager/alertmanager.yml}, /plain]
configs: {am: {file: ./am.yml}}
secrets: {pw: {file: ./pw}}
volumes: {a: {}}
",
    );
    assert_eq!(findings(&report), [""; 0]);
    let own = own(&report);
    assert_eq!((list(&own, "profiles"), own.get("user").unwrap().text()), (vec!["watch".to_owned()], Some("0")));
    assert_eq!(list(&own, "secrets"), ["pw"]);
    assert_eq!(own.get("secrets").unwrap().items().unwrap()[1].get("target").unwrap().text(), Some("/x"));
    let config = &own.get("configs").unwrap().items().unwrap()[0];
    assert_eq!((config.get("source").unwrap().text(), config.get("target").unwrap().text()), (Some("am"), Some("/monitoring/alertmanager/alertmanager.yml")));
    assert_eq!((list(&own, "extra_hosts"), list(&own, "dns")), (vec!["host.docker.internal:host-gateway".to_owned()], vec!["10.0.0.1".to_owned()]));
    assert!(list(&own, "environment").contains(&"GF_SECURITY_ADMIN_PASSWORD__FILE=/run/secrets/pw".to_owned()));
    assert!(list(&own, "command").contains(&"--monitoring-dir".to_owned()));
    let only_one = adopted("services:\n  g:\n    image: grafana/grafana\n    profiles: [watch]\n  p:\n    image: prom/prometheus\n");
    assert_eq!(findings(&only_one), ["c.yml:4:15: warning: g: profiles is not carried over: others that go have other ones, and ours starts always"]);
}

#[test]
fn volumes_in_all_spellings_get_one_more() {
    for volumes in [
        "",
        "volumes:\n",
        "volumes: {}\n",
        "volumes: {a: {}}\n",
        "volumes:\n  a:\n",
        "volumes:\n  a: {}\n\n  b:\n    external: true\n",
        "volumes: # none\n",
        "volumes:\n    a:\n",
    ] {
        for (head, tail) in [(volumes, ""), ("", volumes)] {
            let text = format!("{head}services:\n  p:\n    image: prom/prometheus\n{tail}");
            let report = adopted(&text);
            let edited = parse_yaml("e", report.edited.as_deref().unwrap_or_else(|| panic!("{text}: {:?}", report.findings))).unwrap();
            let names: Vec<&str> = edited.get("volumes").unwrap().entries().unwrap().iter().map(|(k, _)| &*k.text).collect();
            assert!(names.contains(&"watchfire_data") && names.len() == 1 + volumes.matches("a:").count() + volumes.matches("b:").count(), "{text}{names:?}");
        }
    }
}

#[test]
fn what_a_swarm_and_a_proxy_lose_is_said() {
    let report = adopted(
        "services:
  g:
    image: grafana/grafana
    ports: [3000:3000]
    networks: {a: {ipv4_address: 10.0.0.3}}
    deploy:
      replicas: 2
      mode: replicated
      placement: {constraints: [node.role == manager]}
      labels: [traefik.enable=true, traefik.http.routers.g.rule=x]
      resources: {limits: {memory: 256M}}
  n:
    image: prom/node-exporter
    deploy: {mode: global, replicas: 1}
include: [other.yml]
",
    );
    let all = findings(&report).join("\n");
    for part in [
        "g: deploy.replicas 2 is not carried over: one process keeps the data",
        "g: deploy.placement is not carried over",
        "c.yml:10:16: warning: g: the label traefik.enable is not carried over: lead the proxy to the service watchfire, port 3002",
        "g: ipv4_address is not carried over",
        "n: deploy.mode global is not carried over",
        "c.yml:15:10: warning: files that are included were not looked at; `docker compose config`",
    ] {
        assert!(all.contains(part), "{part} in {all}");
    }
    assert_eq!(findings(&report).len(), 6, "{all}");
    assert_eq!(container(&report, "g").memory, Some(Memory::Limit(256 << 20)));
}

#[test]
fn neighbours_and_the_unknown_stay_with_words() {
    let report = adopted(
        "services:
  vm:
    image: docker.io/victoriametrics/victoria-metrics:v1.100.0
    ports: [8428:8428]
  c:
    image: gcr.io/cadvisor/cadvisor:v0.47.0
  init:
    image: grafana/grafana
    entrypoint: [sh, -c, 'chown -R 472 /var/lib/grafana']
  shell:
    image: prom/prometheus
    entrypoint: [sh, -c, 'exec /bin/prometheus --storage.tsdb.retention.time=3d']
  v:
    image: ${PROM_IMAGE}
  known:
    image: ${REGISTRY:-docker.io}/prom/pushgateway:${TAG}
  app:
    image: example/app:${TAG}
",
    );
    let note = |name: &str| container(&report, name).note.clone();
    assert!(note("vm").starts_with("nothing here answers on its ports"), "{}", note("vm"));
    assert!(note("c").contains("containers.socket"));
    assert_eq!(note("init"), "has the image of Grafana and runs something else");
    assert_eq!(note("app"), "is none of the programs that Watchfire replaces");
    assert!(container(&report, "known").replaced.is_some());
    let shell = container(&report, "shell");
    assert_eq!(shell.settings.last().map(|s| s.outcome.clone()), Some(Outcome::Key("storage.retention.metrics", "3d".to_owned())));
    let all = findings(&report).join("\n");
    assert!(all.contains("v: cannot tell what this is: its image is ${PROM_IMAGE}"), "{all}");
    assert!(all.contains("shell: entrypoint is not carried over: what it does before the program starts is not known"), "{all}");
}

#[test]
fn configuration_is_found_where_an_image_has_it() {
    let seen = |image: &str, mount: &str| {
        let report = adopted(&format!("services:\n  p:\n    image: {image}\n    volumes: ['./x:{mount}:ro']\n"));
        container(&report, "p").files[0].1.clone().unwrap_or_default()
    };
    assert_eq!(seen("bitnami/prometheus:2", "/opt/bitnami/prometheus/conf/prometheus.yml"), "/monitoring/prometheus/prometheus.yml");
    assert_eq!(seen("bitnamilegacy/alertmanager", "/opt/bitnami/alertmanager/conf/config.yml"), "/monitoring/alertmanager/alertmanager.yml");
    assert_eq!(seen("bitnami/prometheus", "/opt/bitnami/prometheus/conf"), "/monitoring/opt/bitnami/prometheus/conf");
    assert_eq!(seen("example/mirror/prom/prometheus", "/config/prometheus.yml"), "/monitoring/prometheus/prometheus.yml");
    assert_eq!(seen("grafana/grafana", "/conf/grafana.ini"), "/monitoring/grafana/grafana.ini");
    assert_eq!(seen("prom/prometheus", "/srv/targets.json"), "/srv/targets.json");
}
