//! Programs that stand beside those that go and stay where they are, and what Watchfire has to do with each. Words only; nothing is decided by them.

use super::component::is_image;

/// Ends of image names, and what there is to say.
const NEIGHBOURS: &[(&[&str], &str)] = &[
    (
        &["victoriametrics/victoria-metrics", "victoriametrics/vmstorage", "victoriametrics/vmselect", "victoriametrics/vminsert"],
        "nothing here answers on its ports; send to it by remote_write, or send to us in its place (docs/guides/existing-cluster.md)",
    ),
    (&["victoriametrics/vmagent"], "its prometheus.yml is carried out here, remote_write included: name it in watchfire.yml, then it can go"),
    (&["victoriametrics/vmalert"], "its files of rules run here: name them under rule_files of prometheus.yml, then it can go"),
    (&["victoriametrics/victoria-logs"], "who pushes lines to it can push them here by the same protocols, to other ports and paths (docs/guides/logs.md)"),
    (&["cadvisor/cadvisor", "google/cadvisor"], "it is scraped as before; containers.socket in watchfire.yml gives its metrics without it"),
    (&["ncabatoff/process-exporter"], "it is scraped as before; processes in watchfire.yml takes its list and gives its metrics without it"),
    (&["nvidia/k8s/dcgm-exporter", "nvidia/dcgm-exporter"], "it is scraped as before; GPUs that Watchfire sees have its names, too (docs/guides/gpu.md)"),
    (
        &["otel/opentelemetry-collector", "otel/opentelemetry-collector-contrib"],
        "its exporters can lead here; without processors of its own, programs can send to ports 4317 and 4318 here themselves",
    ),
    (
        &["fluent/fluent-bit", "fluent/fluentd", "timberio/vector", "telegraf"],
        "it stays as a sender: Loki's, Elasticsearch's and Influx's ways lead here (docs/reference/http-api.md)",
    ),
    (&["opensearchproject/opensearch", "opensearchproject/opensearch-dashboards"], "its interface beyond what Elasticsearch's has is not here"),
];

/// What there is to say of a program that stays.
pub(super) fn note(image: &str) -> Option<&'static str> {
    NEIGHBOURS.iter().find(|(images, _)| images.iter().any(|name| is_image(image, name))).map(|(_, note)| *note)
}
