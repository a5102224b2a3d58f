//! OpenTelemetry's components: our own receivers stand in for theirs, and what is received is kept. What leads elsewhere is said.

use std::collections::HashSet;

use super::flow::Flows;
use super::kinds::Kind;
use super::value::{Export, Settings};

/// Names of machines that we stand in for.
const OURS: [&str; 6] = ["jaeger", "tempo", "loki", "prometheus", "watchfire", "localhost"];
/// The blocks that name what comes next.
const SIGNALS: [&str; 3] = ["metrics", "logs", "traces"];

/// Follows data from a receiver to where they are sent.
pub(super) fn read(flows: &mut Flows<'_>, number: usize) {
    if flows.kind(number) != Kind::OtlpReceiver {
        return;
    }
    let Some(settings) = flows.settings[number].clone() else { return };
    flows.read(number, &[], |reader| {
        reader.allow(&["output", "debug_metrics"]);
        for (protocol, port) in [("grpc", "4317"), ("http", "4318")] {
            let Some(inner) = reader.map(protocol) else { continue };
            let endpoint = inner.text("endpoint").unwrap_or_default();
            if endpoint.rsplit_once(':').is_some_and(|(_, theirs)| theirs != port) {
                inner.warning_at("endpoint", format!("OTLP is received where otlp.{protocol} of watchfire.yml says, by default on port {port}"));
            }
        }
    });
    let mut seen = HashSet::new();
    follow(flows, number, &settings, &mut seen);
    if seen.is_empty() {
        flows.warn(flows.place(number), format!("{}: it has no output; what is received is kept here all the same", flows.id(number)));
    }
}

fn follow(flows: &mut Flows<'_>, number: usize, settings: &Settings, seen: &mut HashSet<usize>) {
    let outputs: Vec<&Settings> = settings.blocks_of("output").collect();
    for signal in SIGNALS {
        for output in &outputs {
            for (to, at) in flows.named(number, output.get(signal), Export::Input) {
                flows.reach(to);
                if !seen.insert(to) {
                    continue;
                }
                let Some(inner) = flows.settings[to].clone() else { continue };
                match flows.kind(to) {
                    Kind::OtelProcessor => follow(flows, to, &inner, seen),
                    Kind::OtlpExporter => exporter(flows, to),
                    Kind::OtelToLoki => {
                        let stages = flows.forward(to);
                        if stages.is_some_and(|stages| !stages.is_empty()) {
                            flows.warn(at, format!("{}: logs that are received by OTLP are kept as they come, without the stages of this file", flows.id(to)));
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

/// An exporter that leads to what we stand in for is the end of the way; another one is not carried out yet.
fn exporter(flows: &mut Flows<'_>, number: usize) {
    let clients: Vec<Settings> = flows.settings[number].iter().flat_map(|settings| settings.blocks_of("client")).cloned().collect();
    for client in &clients {
        let Some(endpoint) = client.get("endpoint") else { continue };
        let node = endpoint.node();
        let text = node.text().unwrap_or_default();
        let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host).split(':').next().unwrap_or("");
        if !OURS.contains(&host) {
            flows.warn(endpoint.at, format!("{}: what is received is kept here; sending it on to {host} is not carried out yet", flows.id(number)));
        }
    }
    if clients.is_empty() {
        flows.error(flows.place(number), format!("{}: client is missing", flows.id(number)));
    }
}
