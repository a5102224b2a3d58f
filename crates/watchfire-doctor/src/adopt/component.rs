//! Programs that Watchfire replaces: how a container of theirs is recognised, which ports they have and which of ours answers there.
//! It reads no file; the name that a user gave a service never decides anything.

use super::service::is_shell;

/// One program.
#[derive(Debug)]
pub(super) struct Component {
    /// What people call it.
    pub(super) name: &'static str,
    /// Ends of image names, without registry and tag.
    images: &'static [&'static str],
    /// Words of a command line that only this program has: beginnings of flags, or ends of paths.
    marks: &'static [&'static str],
    /// Ports inside its container, and the port of ours that answers the same.
    pub(super) ports: &'static [(u16, u16)],
    /// The flag or variable that moves the first of these ports.
    pub(super) listen: &'static str,
    /// The configuration file that it reads unless told otherwise.
    pub(super) config: &'static str,
    /// The usual name of that file in a monitoring directory; empty where there is nothing to take over.
    pub(super) usual: &'static str,
    /// Where its data lie: volumes there are not taken over.
    pub(super) data: &'static [&'static str],
    /// Megabytes that documents about such stacks name, and where they name them.
    pub(super) quoted: Option<(u64, &'static str)>,
    /// What there is to know before it goes.
    pub(super) note: &'static str,
}

const PI: &str = "a Raspberry Pi 5";

const PLAIN: Component =
    Component { name: "", images: &[], marks: &[], ports: &[], listen: "web.listen-address", config: "", usual: "", data: &[], quoted: None, note: "" };

/// All of them.
pub(super) const COMPONENTS: &[Component] = &[
    Component {
        name: "Prometheus",
        images: &["prom/prometheus", "prometheus/prometheus", "bitnami/prometheus", "ubuntu/prometheus"],
        marks: &["--storage.tsdb.", "--config.file=/etc/prometheus/prometheus"],
        ports: &[(9090, 9090)],
        config: "/etc/prometheus/prometheus.yml",
        usual: "prometheus.yml",
        data: &["/prometheus", "/bitnami/prometheus"],
        quoted: Some((100, PI)),
        note: "its data: `watchfire import` reads the blocks of its volume",
        ..PLAIN
    },
    Component {
        name: "Alertmanager",
        images: &["prom/alertmanager", "prometheus/alertmanager", "bitnami/alertmanager"],
        marks: &["--cluster.", "--data.retention", "--config.file=/etc/alertmanager/"],
        ports: &[(9093, 9093)],
        config: "/etc/alertmanager/alertmanager.yml",
        usual: "alertmanager.yml",
        data: &["/alertmanager", "/data"],
        ..PLAIN
    },
    Component {
        name: "Grafana",
        images: &["grafana/grafana", "grafana/grafana-oss", "grafana/grafana-enterprise", "bitnami/grafana"],
        marks: &["--homepath=", "cfg:default.paths"],
        ports: &[(3000, 3002)],
        listen: "GF_SERVER_HTTP_PORT",
        config: "/etc/grafana/grafana.ini",
        usual: "grafana.ini",
        data: &["/var/lib/grafana"],
        quoted: Some((150, PI)),
        note: "dashboards and users that stand only in its database stay there: export the dashboards as JSON first",
    },
    Component {
        name: "Loki",
        images: &["grafana/loki"],
        marks: &["-config.file=/etc/loki/"],
        ports: &[(3100, 3100)],
        listen: "server.http-listen-port",
        config: "/etc/loki/local-config.yaml",
        usual: "loki.yml",
        data: &["/loki", "/tmp/loki"],
        quoted: Some((200, PI)),
        note: "lines that it keeps stay in its volume; until they are old enough, leave it running beside",
    },
    Component {
        name: "Promtail",
        images: &["grafana/promtail"],
        marks: &["-config.file=/etc/promtail/"],
        ports: &[(9080, 12345)],
        listen: "server.http-listen-port",
        config: "/etc/promtail/config.yml",
        usual: "promtail.yml",
        data: &["/tmp/positions", "/run/promtail"],
        quoted: Some((30, PI)),
        ..PLAIN
    },
    Component {
        name: "Alloy",
        images: &["grafana/alloy", "grafana/agent"],
        marks: &["config.alloy", "--server.http.listen-addr"],
        ports: &[(12345, 12345), (4317, 4317), (4318, 4318)],
        listen: "server.http.listen-addr",
        config: "/etc/alloy/config.alloy",
        usual: "config.alloy",
        data: &["/var/lib/alloy"],
        ..PLAIN
    },
    Component {
        name: "Jaeger",
        images: &["jaegertracing/all-in-one", "jaegertracing/jaeger", "jaegertracing/jaeger-collector", "jaegertracing/jaeger-query"],
        marks: &["--span-storage.", "--collector.otlp.", "--query.ui-config"],
        ports: &[(16686, 16686), (4317, 4317), (4318, 4318), (9411, 9411)],
        listen: "query.http-server.host-port",
        data: &["/badger", "/data"],
        ..PLAIN
    },
    Component {
        name: "Tempo",
        images: &["grafana/tempo"],
        marks: &["-config.file=/etc/tempo"],
        ports: &[(3200, 3200), (4317, 4317), (4318, 4318), (9411, 9411)],
        listen: "server.http-listen-port",
        data: &["/var/tempo", "/tmp/tempo"],
        ..PLAIN
    },
    Component { name: "Zipkin", images: &["openzipkin/zipkin", "openzipkin/zipkin-slim"], ports: &[(9411, 9411)], listen: "QUERY_PORT", ..PLAIN },
    Component {
        name: "Elasticsearch",
        images: &["elasticsearch", "elasticsearch/elasticsearch", "bitnami/elasticsearch"],
        ports: &[(9200, 9200)],
        listen: "http.port",
        data: &["/usr/share/elasticsearch/data"],
        quoted: Some((4096, "the usual ES_MEMORY_LIMIT behind Jaeger")),
        note: "as the place of log lines and spans only: an application that searches in it by itself keeps it",
        ..PLAIN
    },
    Component {
        name: "Kibana",
        images: &["kibana", "kibana/kibana", "bitnami/kibana"],
        ports: &[(5601, 3002)],
        listen: "SERVER_PORT",
        data: &["/usr/share/kibana/data"],
        note: "its queries run on the page and on port 9200; saved searches stay with it",
        ..PLAIN
    },
    Component {
        name: "Logstash",
        images: &["logstash", "logstash/logstash", "bitnami/logstash"],
        ports: &[(5044, 5044)],
        listen: "http.port",
        data: &["/usr/share/logstash/data"],
        note: "what Beats send is taken on port 5044; filters of its pipeline are not carried over",
        ..PLAIN
    },
    Component {
        name: "Filebeat",
        images: &["elastic/filebeat", "beats/filebeat"],
        marks: &["filebeat"],
        config: "/usr/share/filebeat/filebeat.yml",
        usual: "filebeat.yml",
        data: &["/usr/share/filebeat/data"],
        ..PLAIN
    },
    Component {
        name: "Pyroscope",
        images: &["grafana/pyroscope", "pyroscope/pyroscope"],
        marks: &["-config.file=/etc/pyroscope"],
        ports: &[(4040, 4040)],
        listen: "server.http-listen-port",
        config: "/etc/pyroscope/config.yaml",
        data: &["/data", "/var/lib/pyroscope"],
        ..PLAIN
    },
    Component {
        name: "blackbox_exporter",
        images: &["prom/blackbox-exporter", "prometheus/blackbox-exporter", "bitnami/blackbox-exporter"],
        marks: &["--config.file=/etc/blackbox"],
        ports: &[(9115, 9115)],
        config: "/etc/blackbox_exporter/config.yml",
        usual: "blackbox.yml",
        ..PLAIN
    },
    Component {
        name: "json_exporter",
        images: &["prometheuscommunity/json-exporter", "prometheus-community/json-exporter"],
        ports: &[(7979, 7979)],
        config: "/config.yml",
        usual: "json-exporter.yml",
        ..PLAIN
    },
    Component {
        name: "redis_exporter",
        images: &["oliver006/redis_exporter", "bitnami/redis-exporter"],
        marks: &["--redis.addr", "-redis.addr"],
        ports: &[(9121, 9121)],
        ..PLAIN
    },
    Component {
        name: "postgres_exporter",
        images: &["prometheuscommunity/postgres-exporter", "wrouesnel/postgres_exporter", "bitnami/postgres-exporter"],
        ports: &[(9187, 9187)],
        ..PLAIN
    },
    Component {
        name: "node_exporter",
        images: &["prom/node-exporter", "prometheus/node-exporter", "bitnami/node-exporter"],
        marks: &["--path.rootfs", "--path.procfs", "--collector.filesystem."],
        ports: &[(9100, 9100)],
        ..PLAIN
    },
    Component {
        name: "Pushgateway",
        images: &["prom/pushgateway", "bitnami/pushgateway"],
        marks: &["--persistence.file", "--push.disable"],
        ports: &[(9091, 8000)],
        ..PLAIN
    },
];

/// How a container was recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// By the name of its image.
    Image,
    /// By its command line, under an image of another name.
    Command,
}

/// The program in a container, by its image and else by its command line.
pub(super) fn recognise(image: &str, words: &[&str]) -> Option<(&'static Component, Sign)> {
    // An image of theirs may run another of their tools, or prepare a directory.
    if let Some(component) = by_image(image) {
        return runs_it(component, words).then_some((component, Sign::Image));
    }
    let marked = |c: &&Component| c.marks.iter().any(|mark| words.iter().any(|w| w.starts_with(mark) || (!mark.starts_with('-') && ends_in(w, mark))));
    COMPONENTS.iter().find(marked).map(|c| (c, Sign::Command))
}

/// The program that an image is made for, whatever a container of it runs.
pub(super) fn by_image(image: &str) -> Option<&'static Component> {
    COMPONENTS.iter().find(|c| c.images.iter().any(|name| is_image(image, name)))
}

/// Whether a command line of its image starts the program itself. Of a shell its name has to stand where a command begins.
fn runs_it(component: &Component, words: &[&str]) -> bool {
    let Some(first) = words.first() else { return true };
    if !is_shell(first) {
        return !["promtool", "amtool", "logcli", "lokitool", "grafana-cli"].contains(&file(first));
    }
    let starts = |word: &&str| {
        let word = file(word).replace('-', "_");
        word == "run.sh" || component.images.iter().any(|image| word.starts_with(&file(image).replace('-', "_")))
    };
    let begins = |before: &str| is_shell(before) || before == "exec" || before.ends_with(['&', ';', '|']);
    words.iter().zip(words.iter().skip(1)).any(|(before, word)| begins(before) && starts(word))
}

/// The last part of a path.
fn file(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether an image has this name, under any registry, tag and digest. What Bitnami no longer maintains has another owner.
pub(super) fn is_image(image: &str, name: &str) -> bool {
    let repository = repository(image);
    ends_in(repository, name)
        || name
            .strip_prefix("bitnami/")
            .is_some_and(|name| ["bitnamilegacy", "bitnamisecure"].iter().any(|owner| ends_in(repository, &format!("{owner}/{name}"))))
}

/// Whether an image is our own.
pub(super) fn is_own(image: &str) -> bool {
    ends_in(repository(image), "watchfire")
}

/// The program whose usual port a container has, for a hint where nothing else speaks for it.
pub(super) fn by_port(port: u16) -> Option<&'static Component> {
    COMPONENTS.iter().find(|c| c.ports.first().is_some_and(|(inside, _)| *inside == port))
}

/// The name of an image without tag and digest.
fn repository(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    match image.rsplit_once(':') {
        // A colon before a slash belongs to the registry's port.
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    }
}

/// Whether a path ends in whole parts of another one.
fn ends_in(path: &str, end: &str) -> bool {
    path.strip_suffix(end).is_some_and(|before| before.is_empty() || before.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_known_by_image_and_command_and_never_by_name() {
        let check = |image: &str, words: &[&str], expected: Option<(&str, Sign)>| {
            assert_eq!(recognise(image, words).map(|(c, sign)| (c.name, sign)), expected, "{image} {words:?}");
        };
        check("prom/prometheus:latest", &[], Some(("Prometheus", Sign::Image)));
        check("prom/prometheus@sha256:0123", &[], Some(("Prometheus", Sign::Image)));
        check("quay.io:443/prometheus/node-exporter", &[], Some(("node_exporter", Sign::Image)));
        check("docker.elastic.co/elasticsearch/elasticsearch:8.11.0", &[], Some(("Elasticsearch", Sign::Image)));
        check("docker.elastic.co/beats/filebeat:8.11.0", &[], Some(("Filebeat", Sign::Image)));
        check("registry.local:5000/mirror/metrics:1", &["--storage.tsdb.path=/data"], Some(("Prometheus", Sign::Command)));
        check("registry.local:5000/logs", &["-config.file=/etc/loki/local.yaml"], Some(("Loki", Sign::Command)));
        check("prom/prometheus", &["promtool", "check", "config"], None);
        check("prom/prometheus", &["/bin/promtool", "check", "config"], None);
        check("prom/prometheus", &["sh", "exec", "/bin/prometheus", "--config.file=/c.yml"], Some(("Prometheus", Sign::Image)));
        check("grafana/grafana", &["/bin/sh", "chown", "-R", "472", "/var/lib/grafana"], None);
        check("prom/node-exporter", &["sh", "sleep", "3;", "/bin/node_exporter"], Some(("node_exporter", Sign::Image)));
        check("bitnamilegacy/grafana:11", &[], Some(("Grafana", Sign::Image)));
        check("docker.io/bitnamisecure/prometheus@sha256:1", &[], Some(("Prometheus", Sign::Image)));
        check("victoriametrics/victoria-metrics", &["-storageDataPath=/s", "-retentionPeriod=12"], None);
        check("victoriametrics/vmagent", &["-promscrape.config=/etc/prometheus/prometheus.yml"], None);
        check("example/prometheus", &[], None);
        check("example/my-elasticsearch", &[], None);
        check("prometheus", &[], None);
        assert!(is_own("watchfire:latest") && is_own("registry.local/team/watchfire:1") && !is_own("example/not-watchfire"));
        check("redis:7", &["redis-server"], None);
        check("postgres:16", &["postgres", "-c", "log_duration=on"], None);
    }

    #[test]
    fn every_component_is_whole() {
        for component in COMPONENTS {
            assert!(!component.images.is_empty(), "{}", component.name);
            assert!(component.config.is_empty() || component.config.starts_with('/'), "{}", component.name);
        }
    }
}
