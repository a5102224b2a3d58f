//! Scrape targets beside the Compose file that runs the scraping: names that no service has, and `localhost`, which is the
//! container itself.

use std::collections::BTreeSet;
use std::net::IpAddr;

use watchfire_model::document::Node;

use crate::document::{Document, Kind, items, text};
use crate::report::{Code, Diagnosis};
use crate::scraping::{scrape_configs, targets};

/// What cannot be reached from the container of Prometheus. Says nothing without a Compose file that runs one.
pub(crate) fn check(documents: &[Document], found: &mut Vec<Diagnosis>) {
    let composes = || documents.iter().filter(|d| d.kind() == Kind::Compose);
    let services: Vec<(&str, &Node)> = composes().filter_map(|d| d.node.get("services")?.entries()).flatten().map(|(k, n)| (&*k.text, n)).collect();
    let runs = |(name, node): &(&str, &Node)| *name == "prometheus" || text(node, "image").is_some_and(|i| i.contains("prom/prometheus"));
    let on_the_host = |node: &Node| text(node, "network_mode") == Some("host");
    if !services.iter().any(|service| runs(service) && !on_the_host(service.1)) {
        return;
    }
    let mut names: BTreeSet<&str> = services.iter().map(|(name, _)| *name).collect();
    for (_, node) in &services {
        names.extend(["container_name", "hostname"].iter().filter_map(|key| text(node, key)));
        names.extend(items(node, "extra_hosts").iter().filter_map(|h| h.text()?.split([':', '=']).next()));
        for (_, network) in node.get("networks").and_then(Node::entries).unwrap_or(&[]) {
            names.extend(items(network, "aliases").iter().filter_map(Node::text));
        }
    }
    for document in documents.iter().filter(|d| d.kind() == Kind::Prometheus) {
        for config in scrape_configs(document) {
            let subject = format!("job {}", text(config, "job_name").unwrap_or_default());
            targets(config).for_each(|target| one(document, target, &subject, &names, found));
        }
        let alerting = document.node.get("alerting").map_or(&[][..], |a| items(a, "alertmanagers"));
        alerting.iter().flat_map(targets).for_each(|target| one(document, target, "alertmanagers", &names, found));
    }
}

/// The port on which Prometheus itself listens, so that `localhost` is right for it.
const OWN_PORT: &str = "9090";

fn one(document: &Document, target: &Node, subject: &str, names: &BTreeSet<&str>, found: &mut Vec<Diagnosis>) {
    let address = target.text().unwrap_or_default();
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    if matches!(host, "localhost" | "127.0.0.1") {
        if port != OWN_PORT {
            let message = format!("inside the container of Prometheus, {address} is that container (Watchfire answers for what it replaces)");
            found.push(document.say(target, Code::TargetNotThere, subject, message, Some("name the service, or host.docker.internal for the host".to_owned())));
        }
        return;
    }
    let outside = host.contains('.') || host.contains("://") || host.parse::<IpAddr>().is_ok() || host.is_empty();
    if !outside && !names.contains(host) {
        let message = format!("no service of the Compose file is called {host} (Watchfire answers for what it replaces)");
        let near = watchfire_model::document::nearest(host, names.iter().copied()).map(|n| format!("did you mean {n}?"));
        found.push(document.say(target, Code::TargetNotThere, subject, message, near.or_else(|| Some("add the service".to_owned()))));
    }
}
