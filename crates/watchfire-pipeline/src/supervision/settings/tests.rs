//! Tests of reading the section `services:`.

use std::path::Path;

use watchfire_model::document::{Context, Reader, parse_yaml};

use super::*;

fn read_with(text: &str, environment: &[(&str, &str)], commands: Result<(), String>) -> (Settings, Vec<String>) {
    let node = parse_yaml("w.yml", text).unwrap();
    let context = Context::new("w.yml");
    let variables = |name: &str| environment.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
    let outside = Outside { environment: &variables, commands, base: Path::new("/etc"), root: Path::new("/"), engine: None, systemctl: None };
    let settings = Settings::read(Reader::new(&context, &node, "services"), outside);
    (settings, context.into_findings().iter().map(ToString::to_string).collect())
}

fn read(text: &str) -> (Settings, Vec<String>) {
    read_with(text, &[], Ok(()))
}

#[test]
fn hlt_05_a_service_is_name_health_url_max_retries_and_backoff_base() {
    let (settings, findings) = read("watch:\n  - {name: rtdetr, health_url: http://localhost:8090/health, max_retries: 3, backoff_base: 5.0}\n");
    assert_eq!(findings, Vec::<String>::new());
    let service = &settings.services[0];
    assert_eq!((service.rules.name.as_str(), service.check_kind, service.check.target().as_str()), ("rtdetr", "http", "http://localhost:8090/health"));
    assert_eq!((service.rules.max_retries, service.rules.backoff_base, service.rules.restart.as_deref()), (3, Duration::from_secs(5), None));
    assert_eq!((service.rules.interval, service.rules.timeout), (Duration::from_secs(15), Duration::from_secs(5)));
    for (text, expected) in [("5s", 5_000), ("2.5", 2_500), ("1m", 60_000)] {
        let (settings, findings) = read(&format!("watch:\n  - {{name: x, health_url: http://x/, backoff_base: {text}}}\n"));
        assert_eq!((findings.len(), settings.services[0].rules.backoff_base.as_millis()), (0, expected), "{text}");
    }
}

#[test]
fn hlt_01_known_services_are_checked_as_they_were() {
    let environment = [("DATABASE_URL", "postgresql+asyncpg://u:hunter2@db/security"), ("REDIS_URL", "redis://:hunter2@redis:6379/0")];
    let (settings, findings) = read_with("watch: [rtdetr, nemotron, redis, database]\n", &environment, Ok(()));
    assert_eq!(findings, Vec::<String>::new());
    let shown: Vec<_> = settings.services.iter().map(|s| (s.rules.name.as_str(), s.check_kind, s.check.target())).collect();
    assert_eq!(
        shown,
        [
            ("rtdetr", "http", "http://localhost:8090/health".to_owned()),
            ("nemotron", "http", "http://localhost:8091/health".to_owned()),
            ("redis", "redis", "redis:6379".to_owned()),
            ("database", "postgresql", "db:5432/security".to_owned()),
        ]
    );
    assert!(!format!("{settings:?}").contains("hunter2"));
    let remote: Vec<_> = settings.services.iter().map(|s| s.rules.remote.as_deref()).collect();
    assert_eq!(remote, [None, None, Some("redis"), Some("db")]);
    let (settings, findings) = read_with("watch: redis\n", &[("REDIS_ADDR", "cache:7000"), ("REDIS_PASSWORD", "hunter2")], Ok(()));
    assert_eq!((findings.len(), settings.services[0].check.target()), (0, "cache:7000".to_owned()));
}

#[test]
fn every_kind_is_read() {
    let text = r#"
container_socket: /run/docker.sock
maintenance: [{days: [sun], at: "03:00", for: 1h}]
watch:
  - {name: a, check: {http: {url: "https://x:8443/h?key=${KEY}", method: HEAD, headers: {X-Key: "${KEY}"}, status: [200, 3xx, 404-410], body_matches: ok, json: {status: ok}, tls: {insecure_skip_verify: true}}}, restart: {systemd: a.service}}
  - {name: b, check: {tcp: "[::1]:80"}, restart: {container: b}}
  - {name: c, check: {redis: {url: rediss://x, user: u, password: "${KEY}"}}, restart: {command: [/bin/true, "$(id)"]}}
  - {name: d, check: {postgresql: {url: "postgres://u@h/d"}}}
  - {name: e, check: {process: {command_line: rtdetr, at_least: 2}}, depends_on: [a, b]}
  - {name: f, check: {process: {pid_file: run/x.pid}}}
  - {name: g, check: {container: g}, interval: 1m, timeout: 30s, failures: 5, max_retries: 2, start_period: 2m, restarts_max: 1}
  - {name: h, check: {systemd: h.service}}
  - {name: i, check: {command: [/bin/true]}, worker: detection_worker, maintenance: [{at: "01:00", for: 10m}]}
"#;
    let (settings, findings) = read_with(text, &[("KEY", "hunter2")], Ok(()));
    assert_eq!(findings, Vec::<String>::new());
    let shown: Vec<_> = settings.services.iter().map(|s| format!("{} {} {:?}", s.check_kind, s.check.target(), s.rules.restart)).collect();
    assert_eq!(
        shown,
        [
            r#"http https://x:8443/h Some("systemd a.service")"#,
            r#"tcp [::1]:80 Some("container b")"#,
            r#"redis x:6379 Some("command /bin/true $(id)")"#,
            "postgresql h:5432/d None",
            "process command line rtdetr None",
            "process pid file /etc/run/x.pid None",
            "container g None",
            "systemd h.service None",
            "command /bin/true None",
        ]
    );
    assert_eq!((settings.services[0].rules.maintenance.len(), settings.services[8].rules.maintenance.len()), (1, 2));
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn what_is_wrong_is_said_in_its_place() {
    let check = |text: &str, expected: &str| {
        let (settings, findings) = read(text);
        let all = findings.join("\n");
        assert!(findings.len() == 1 && all.contains(expected), "{text}: {all}");
        let _read = settings;
    };
    let one = |rest: &str| format!("watch:\n  - {{name: x, {rest}}}\n");
    check("watch: [nginx]\n", "w.yml:1:9: error: services.watch[0]: \"nginx\" alone says nothing");
    check("watch: [database]\n", "needs the environment variable DATABASE_URL");
    check("wach: []\n", "did you mean \"watch\"");
    check("watch:\n  - {name: x}\n", "services.watch[0].check is missing, and so is health_url");
    check("watch:\n  - {health_url: http://x/}\n", "services.watch[0].name is missing");
    check(&one("health_url: ftp://x/"), "must begin with http:// or https://");
    check(&one("check: {tcp: x}"), "must be a host and a port");
    check(&one("check: {tcp: 'x:1', redis: 'x:1'}"), "must have one of http, tcp");
    check(&one("health_url: 'http://${NOWHERE}/'"), "needs the environment variable \"NOWHERE\"");
    check(&one("health_url: http://x/, failures: 2"), "failures: must be between 3 and 100");
    check(&one("health_url: http://x/, restarts_max: 4"), "restarts_max: must be between 1 and 3");
    check(&one("health_url: http://x/, timeout: 20s"), "not longer than the interval");
    check(&one("health_url: http://x/, interval: 100ms"), "must be at least 1s");
    check(&one("health_url: http://x/, restart: {command: [restart.sh]}"), "absolute path");
    check(&one("health_url: http://x/, restart: {command: /bin/true}"), "must be a list");
    check(&one("health_url: http://x/, restart: {systemd: --help}"), "must be the name of a unit");
    check(&one("health_url: http://x/, restart: {container: x}"), "needs services.container_socket");
    check(&one("health_url: http://x/, depends_on: y"), "depends_on names \"y\", which is not watched");
    check(&(one("health_url: http://x/, depends_on: y") + "  - {name: y, health_url: 'http://${NOWHERE}/'}\n"), "needs the environment variable \"NOWHERE\"");
    check(&one("health_url: http://x/, depends_on: x"), "depends on itself");
    check(&one("health_url: http://x/, max_retrys: 3"), "did you mean \"max_retries\"");
    check("watch:\n  - {name: x, health_url: http://x/}\n  - {name: x, health_url: http://x/}\n", "another service is called \"x\"");
    check(&one("check: {http: {url: http://x/, body_matches: '('}}"), "is no regular expression");
    check(&one("check: {http: {url: http://x/, status: 99}}"), "must be statuses");
    check(&one("check: {process: {name: a, pid_file: b}}"), "must have one of name, command_line and pid_file");
}

#[test]
fn r54_names_hold_nothing_but_letters_digits_and_three_signs() {
    let corpus = [
        "; id",
        "$(id)",
        "`id`",
        "a b",
        "a/b",
        "../../etc/passwd",
        "a\\nb",
        "a|b",
        "a&b",
        "a>b",
        "-rf",
        ".hidden",
        "ä",
        "a'b",
        "a%2fb",
        "a{b}",
        "a*",
        "audit",
        "@steady",
        "__________________________________________________________________x",
    ];
    for name in corpus {
        let (settings, findings) = read(&format!("watch:\n  - {{name: \"{}\", health_url: \"http://x/\"}}\n", name.replace('\\', "\\\\")));
        assert_eq!((settings.services.len(), findings.len()), (0, 1), "{name}: {findings:?}");
    }
}

#[test]
fn r54_commands_and_restarts_come_from_a_trusted_file_only() {
    let refused = || Err("commands are taken only from a file that nobody else may write".to_owned());
    for text in [
        "watch:\n  - {name: x, health_url: http://x/, restart: {command: [/bin/true]}}\n",
        "watch:\n  - {name: x, health_url: http://x/, restart: {systemd: x.service}}\n",
        "container_socket: /x\nwatch:\n  - {name: x, health_url: http://x/, restart: {container: x}}\n",
        "watch:\n  - {name: x, check: {command: [/bin/true]}}\n",
        "systemctl: /tmp/systemctl\n",
    ] {
        let (_, findings) = read_with(text, &[], refused());
        assert!(!findings.is_empty() && findings.iter().all(|f| f.contains("nobody else may write")), "{text}: {findings:?}");
    }
    let (settings, findings) = read_with("watch:\n  - {name: x, check: {systemd: x.service}}\n", &[], refused());
    assert_eq!((settings.services.len(), findings.len()), (1, 0), "looking needs no trust");
}
