//! The prober `tcp`: a connection, TLS over it, and a conversation of lines that are expected and sent.

#[cfg(test)]
pub(in crate::probe) mod tests;

use std::net::{IpAddr, SocketAddr};

use regex::bytes::Regex;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use watchfire_model::document::Reader;
use watchfire_net::client::{Locate, TlsOptions};
use watchfire_net::timed::{Link, Preference};

use super::config::{read_expression, read_preference, read_source, read_tls};
use super::target::{Probe, host_and_port};

/// Steps of one conversation.
const STEPS_MAX: usize = 100;
/// The longest line that is read.
const LINE_BYTES_MAX: u64 = 64 << 10;
/// Lines that are looked at for one expectation.
const LINES_MAX: usize = 10_000;

/// All options.
#[derive(Clone, Debug)]
pub(super) struct TcpModule {
    preference: Preference,
    source: Option<IpAddr>,
    steps: Vec<Step>,
    encrypted: bool,
    tls: TlsOptions,
}

/// One step of the conversation.
#[derive(Clone, Debug, Default)]
struct Step {
    expect: Option<Regex>,
    /// Labels that parts of the expected line give.
    labels: Vec<(String, String)>,
    send: Option<String>,
    starttls: bool,
}

impl TcpModule {
    /// Steps that tell parts of what they hear, a series each.
    pub(super) fn told(&self) -> usize {
        self.steps.iter().filter(|step| !step.labels.is_empty()).count()
    }
    pub(super) fn read(reader: Reader<'_>, locate: Locate<'_>) -> TcpModule {
        let steps = reader.maps("query_response");
        if steps.len() > STEPS_MAX {
            reader.error_at("query_response", format!("more than {STEPS_MAX} steps"));
        }
        let module = TcpModule {
            preference: read_preference(&reader),
            source: read_source(&reader),
            steps: steps.into_iter().take(STEPS_MAX).map(read_step).collect(),
            encrypted: reader.bool("tls").unwrap_or(false),
            tls: read_tls(&reader, locate),
        };
        reader.finish();
        module
    }
}

fn read_step(step: Reader<'_>) -> Step {
    let labels = step.maps("labels").into_iter().map(|label| {
        let pair = (label.required_text("name"), label.text("value").unwrap_or_default());
        if !watchfire_model::labels::is_classic_label_name(&pair.0) {
            label.error_at("name", format!("{:?} is no name of a label", pair.0));
        }
        label.finish();
        pair
    });
    let labels: Vec<_> = labels.collect();
    let read = Step {
        expect: read_expression(&step, "expect"),
        labels,
        send: step.text("send").filter(|text| !text.is_empty()),
        starttls: step.bool("starttls").unwrap_or(false),
    };
    step.finish();
    read
}

/// Probes a target.
pub(super) async fn probe(work: &mut Probe<'_>, module: &TcpModule) -> bool {
    work.sheet.set("probe_failed_due_to_regex", &[], 0.0);
    match talk(work, module).await {
        Ok(()) => true,
        Err(reason) => {
            work.sheet.say(reason);
            false
        }
    }
}

async fn talk(work: &mut Probe<'_>, module: &TcpModule) -> Result<(), String> {
    let (host, port) = host_and_port(work.target, None)?;
    let Some((ip, _)) = work.resolve(&host, module.preference).await else { return Err("there is no address".to_owned()) };
    let link = work.dialer.connect(SocketAddr::new(ip, port), module.source, work.policy).await.map_err(|e| work.refused(e))?;
    work.sheet.say(format!("connected to {ip}:{port}"));
    let name = work.hostname.unwrap_or(&host).to_owned();
    let link = if module.encrypted { encrypt(work, module, &name, link).await? } else { link };
    let mut link = BufReader::new(link);
    for step in &module.steps {
        // A text takes its parts from the line that the same step expects.
        let mut captured: Option<(Regex, Vec<u8>)> = None;
        if let Some(expect) = &step.expect {
            let line = expected(work, expect, &mut link).await?;
            note(work, step, expect, &line);
            captured = Some((expect.clone(), line));
        }
        if let Some(send) = &step.send {
            let mut bytes = expanded(send, captured.as_ref());
            work.sheet.say(format!("sending {} bytes", bytes.len()));
            bytes.push(b'\n');
            let sent = async {
                link.write_all(&bytes).await?;
                link.flush().await
            };
            sent.await.map_err(|e| format!("cannot send: {e}"))?;
        }
        if step.starttls {
            // What was read ahead is not part of the encrypted conversation.
            link = BufReader::new(encrypt(work, module, &name, link.into_inner()).await?);
        }
    }
    Ok(())
}

async fn encrypt(work: &mut Probe<'_>, module: &TcpModule, host: &str, link: Link) -> Result<Link, String> {
    let tls = work.client_tls(&module.tls).await?;
    let link = work.dialer.encrypt(link, host, &tls, &[]).await.map_err(|e| e.to_string())?;
    if let Some(facts) = &link.tls {
        work.sheet.encryption(facts, !module.tls.insecure_skip_verify);
    }
    Ok(link)
}

/// Reads lines until one matches.
async fn expected(work: &mut Probe<'_>, expect: &Regex, link: &mut BufReader<Link>) -> Result<Vec<u8>, String> {
    for _ in 0..LINES_MAX {
        let mut line = Vec::new();
        let read = link.take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await.map_err(|e| format!("cannot read a line: {e}"))?;
        if read == 0 {
            break;
        }
        let end = line.iter().rposition(|b| !matches!(b, b'\r' | b'\n')).map_or(0, |at| at + 1);
        line.truncate(end);
        if expect.is_match(&line) {
            work.sheet.set("probe_failed_due_to_regex", &[], 0.0);
            work.sheet.say(format!("a line matches {expect}"));
            return Ok(line);
        }
    }
    work.sheet.set("probe_failed_due_to_regex", &[], 1.0);
    Err(format!("no line matches {expect}"))
}

/// Labels with parts of the expected line.
fn note(work: &mut Probe<'_>, step: &Step, expect: &Regex, line: &[u8]) {
    if step.labels.is_empty() {
        return;
    }
    let captured = (expect.clone(), line.to_vec());
    let values: Vec<(&str, String)> =
        step.labels.iter().map(|(name, value)| (name.as_str(), String::from_utf8_lossy(&expanded(value, Some(&captured))).into_owned())).collect();
    let labels: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    work.sheet.set("probe_expect_info", &labels, 1.0);
}

/// A text with `${1}` replaced by what the expected line had there.
fn expanded(text: &str, captured: Option<&(Regex, Vec<u8>)>) -> Vec<u8> {
    let Some((expect, line)) = captured else { return text.as_bytes().to_vec() };
    let mut out = Vec::new();
    match expect.captures(line) {
        Some(captures) => captures.expand(text.as_bytes(), &mut out),
        None => out.extend_from_slice(text.as_bytes()),
    }
    out
}
