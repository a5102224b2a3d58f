//! Containers in networks become targets; the engine is a made one. Prometheus' own list is compared in `tests/docker_discovery.rs`.

use watchfire_model::document::{Context, Severity, parse_yaml};

use super::*;

fn discovery(text: &str) -> (Option<DockerDiscovery>, Vec<String>) {
    let context = Context::new("p.yml");
    let node = parse_yaml("p.yml", text).unwrap();
    let reader = Reader::new(&context, &node, "docker_sd_configs[0]");
    let one = read_one(&reader, &Lookup::default());
    reader.finish();
    let errors = context.into_findings().into_iter().filter(|f| f.severity == Severity::Error).map(|f| f.message).collect();
    (one, errors)
}

fn targets(text: &str, containers: &str) -> Vec<BTreeMap<String, String>> {
    let (one, errors) = discovery(text);
    assert!(errors.is_empty(), "{errors:?}");
    let networks = r#"[{"Id":"n1","Name":"front","Scope":"local","Internal":true,"Labels":{"a.b":"c"}},{"Id":"n2","Name":"back"}]"#;
    let (group, left_out) = one.unwrap().group(&serde_json::from_str(containers).unwrap(), &serde_json::from_str(networks).unwrap());
    assert_eq!(left_out, 0);
    group.targets.into_iter().map(|labels| labels.into_iter().collect()).collect()
}

const WEB: &str = r#"[{"Id":"w1","Names":["/web"],"Labels":{"com.x":"y"},"HostConfig":{"NetworkMode":"front"},
 "Ports":[{"PrivatePort":80,"PublicPort":8080,"IP":"0.0.0.0","Type":"tcp"},{"PrivatePort":53,"Type":"udp"},{"PrivatePort":81,"Type":"tcp"}],
 "NetworkSettings":{"Networks":{"front":{"IPAddress":"10.0.0.2","NetworkID":"n1"},"back":{"IPAddress":"10.1.0.2","NetworkID":"n2"}}}},
 {"Id":"s1","Names":["/side"],"HostConfig":{"NetworkMode":"container:w1"}},
 {"Id":"h1","Names":["/host"],"HostConfig":{"NetworkMode":"host"},"NetworkSettings":{"Networks":{"host":{"IPAddress":"","NetworkID":"n9"}}}},
 {"Id":"v1","Names":["/six"],"HostConfig":{"NetworkMode":"x"},"NetworkSettings":{"Networks":{"x":{"IPAddress":"fd00::2","NetworkID":"n9"},"y":null}}},
 {"Id":"x1","Names":[]}, 7]"#;

#[test]
fn every_port_in_every_network_is_a_target() {
    let host = "host: unix:///nonexistent/engine.sock";
    let addresses = |text: &str| targets(text, WEB).iter().map(|t| t[ADDRESS].clone()).collect::<Vec<_>>();
    assert_eq!(addresses(&format!("{{{host}}}")), ["10.1.0.2:80", "10.1.0.2:81", "10.1.0.2:80", "localhost", "[fd00::2]:80"]);
    let all = format!("{{{host}, match_first_network: false, port: 9, host_networking_host: here}}");
    assert_eq!(addresses(&all), ["10.1.0.2:80", "10.1.0.2:81", "10.0.0.2:80", "10.0.0.2:81", "10.1.0.2:9", "10.0.0.2:9", "here", "[fd00::2]:9"]);
    let found = targets(&all, WEB);
    let expected = [
        ("__address__", "10.0.0.2:80"),
        ("__meta_docker_container_id", "w1"),
        ("__meta_docker_container_label_com_x", "y"),
        ("__meta_docker_container_name", "/web"),
        ("__meta_docker_container_network_mode", "front"),
        ("__meta_docker_network_id", "n1"),
        ("__meta_docker_network_ingress", "false"),
        ("__meta_docker_network_internal", "true"),
        ("__meta_docker_network_ip", "10.0.0.2"),
        ("__meta_docker_network_label_a_b", "c"),
        ("__meta_docker_network_name", "front"),
        ("__meta_docker_network_scope", "local"),
        ("__meta_docker_port_private", "80"),
        ("__meta_docker_port_public", "8080"),
        ("__meta_docker_port_public_ip", "0.0.0.0"),
    ];
    assert_eq!(found[2].iter().map(|(n, v)| (n.as_str(), v.as_str())).collect::<Vec<_>>(), expected);
}

#[test]
fn what_is_no_list_has_no_targets() {
    for text in ["{}", "[]", "null", r#"[{"Names":["/x"],"Ports":{"a":1}}]"#] {
        assert!(targets("{host: 'tcp://engine:2375'}", text).is_empty(), "{text}");
    }
    // Two that share each other's network are not followed for ever.
    let circle =
        r#"[{"Id":"a","Names":["/a"],"HostConfig":{"NetworkMode":"container:b"}},{"Id":"b","Names":["/b"],"HostConfig":{"NetworkMode":"container:a"}}]"#;
    assert!(targets("{host: 'https://engine'}", circle).is_empty());
}

#[test]
fn mistakes_are_said() {
    for (text, expected) in [
        ("{}", "host"),
        ("{host: ftp://x}", "must begin with unix://"),
        ("{host: 'tcp://x', port: 70000}", "at most 65535"),
        ("{host: 'tcp://x', ports: 1}", "ports"),
    ] {
        let (_, errors) = discovery(text);
        assert!(errors.iter().any(|e| e.contains(expected)), "{text}: {errors:?}");
    }
}

#[test]
fn targets_that_are_too_many_are_counted() {
    let one = discovery("{host: unix:///nonexistent/engine.sock}").0.unwrap();
    let network = serde_json::json!({"front": {"IPAddress": "10.0.0.2", "NetworkID": "n1"}});
    let ports: Vec<Value> = (1..=30).map(|port| serde_json::json!({"PrivatePort": port, "Type": "tcp"})).collect();
    let container = |n: usize, ports: &[Value]| serde_json::json!({"Id": n.to_string(), "Names": [format!("/{n}")], "Ports": ports, "NetworkSettings": {"Networks": network}});
    let mut all: Vec<Value> = (0..TARGETS_MAX / 30).map(|n| container(n, &ports)).collect();
    let before = all.len() * 30;
    all.extend([container(90_000, &ports), container(90_001, &[])]);
    let (group, left_out) = one.group(&Value::from(all), &Value::Null);
    assert_eq!((group.targets.len(), left_out as usize), (TARGETS_MAX, before + 31 - TARGETS_MAX));
}
