//! OpenTelemetry's components: our own receivers stand in for theirs, and what is received is kept. Spans go on to where they lead, what
//! else leads elsewhere is said.

use std::collections::HashSet;

use watchfire_model::document::{Node, Reader};

use super::flow::Flows;
use super::kinds::Kind;
use super::value::{Export, Settings};
use crate::logs::otlp;

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
    follow(flows, number, &settings, &SIGNALS, &mut seen);
    if seen.is_empty() {
        flows.warn(flows.place(number), format!("{}: it has no output; what is received is kept here all the same", flows.id(number)));
    }
}

fn follow(flows: &mut Flows<'_>, number: usize, settings: &Settings, signals: &[&'static str], seen: &mut HashSet<(usize, &'static str)>) {
    let outputs: Vec<&Settings> = settings.blocks_of("output").collect();
    for signal in signals.iter().copied() {
        for output in &outputs {
            for (to, at) in flows.named(number, output.get(signal), Export::Input) {
                flows.reach(to);
                if !seen.insert((to, signal)) {
                    continue;
                }
                let Some(inner) = flows.settings[to].clone() else { continue };
                match flows.kind(to) {
                    Kind::OtelProcessor => follow(flows, to, &inner, &[signal], seen),
                    Kind::OtlpExporter => exporter(flows, to, signal),
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

/// An exporter that leads to what we stand in for is the end of the way; to another one spans go on.
fn exporter(flows: &mut Flows<'_>, number: usize, signal: &str) {
    let Some(document) = flows.document(number, &["client"]) else { return };
    let clients = document.get("client").and_then(Node::items).unwrap_or(&[]);
    if clients.is_empty() {
        flows.error(flows.place(number), format!("{}: client is missing", flows.id(number)));
    }
    let id = flows.id(number).to_owned();
    for client in clients {
        let endpoint = client.get("traces_endpoint").or_else(|| client.get("endpoint")).unwrap_or(client);
        let host = host_of(endpoint.text().unwrap_or_default()).to_owned();
        if OURS.contains(&host.as_str()) {
            continue;
        }
        if signal != "traces" {
            let words = format!("{id}: {signal} that are received by OTLP are kept here; sending them on to {host} is not carried out");
            flows.context.warning(endpoint.line, endpoint.column, words);
            continue;
        }
        if let Some(auth) = client.get("auth").filter(|auth| !auth.is_null()) {
            flows.context.warning(auth.line, auth.column, format!("{id}: auth is not carried out; say headers instead"));
        }
        let again = document.get("retry_on_failure");
        let place = otlp::of_exporter(client, again, !id.starts_with("otelcol.exporter.otlphttp"), &id);
        let reader = Reader::new(flows.context, &place, &format!("{id}.client"));
        reader.allow(&["auth", "metrics_endpoint", "logs_endpoint"]);
        let output = otlp::read(reader, &flows.outside.lookup);
        flows.collected.span_outputs.extend(output);
    }
}

fn host_of(endpoint: &str) -> &str {
    let rest = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    authority.rsplit_once('@').map_or(authority, |(_, host)| host).split(':').next().unwrap_or("")
}
