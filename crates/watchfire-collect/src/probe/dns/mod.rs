//! The prober `dns`: one question over UDP, TCP or TLS, and rules for what must and must not be in the answer.

pub(crate) mod message;
#[cfg(test)]
mod tests;

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};

use regex::bytes::Regex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::time::timeout_at;
use watchfire_model::document::Reader;
use watchfire_net::client::{Locate, TlsOptions};
use watchfire_net::timed::{Link, Preference, measured};

use self::message::{CLASSES, Question, RCODES, TYPES, number_of};
pub use self::message::{Message, MessageError};
use super::config::{read_expressions, read_preference, read_source, read_tls};
use super::target::{Probe, host_and_port};

const PHASES: &str = "probe_dns_duration_seconds";
/// The largest answer over UDP.
const DATAGRAM_BYTES_MAX: usize = 65_535;
/// Answers to other questions that are passed over.
const STRAYS_MAX: usize = 100;
const SOA: u16 = 6;

/// All options.
#[derive(Clone, Debug)]
pub(super) struct DnsModule {
    preference: Preference,
    source: Option<IpAddr>,
    over_tcp: bool,
    over_tls: bool,
    tls: TlsOptions,
    name: String,
    kind: u16,
    class: u16,
    recursion: bool,
    valid_rcodes: Vec<u8>,
    answer: Rules,
    authority: Rules,
    additional: Rules,
}

/// What records must and must not look like.
#[derive(Clone, Debug, Default)]
struct Rules {
    matches: Vec<Regex>,
    all_match: Vec<Regex>,
    not_matches: Vec<Regex>,
    none_matches: Vec<Regex>,
}

impl DnsModule {
    pub(super) fn read(reader: Reader<'_>, locate: Locate<'_>, wanted: bool) -> DnsModule {
        let over_tls = reader.bool("dns_over_tls").unwrap_or(false);
        let transport = reader.word("transport_protocol", &["udp", "tcp"]);
        if over_tls && transport == Some("udp") {
            reader.error_at("transport_protocol", "must not be udp with dns_over_tls");
        }
        let name = reader.text("query_name").unwrap_or_default();
        if wanted && name.is_empty() {
            let node = reader.node();
            reader.context().error(node.line, node.column, format!("{} is missing", reader.path_of("query_name")));
        }
        if let Err(reason) = message::encode_name(&name) {
            reader.error_at("query_name", reason);
        }
        let rules = |key: &'static str| reader.map(key).map(read_rules).unwrap_or_default();
        let rcodes = reader.texts("valid_rcodes", true);
        let rcode = |text: &String| {
            let found = number_of(&RCODES, text);
            if found.is_none() {
                reader.error_at("valid_rcodes", format!("{text:?} is no response code"));
            }
            found.map(|n| n as u8)
        };
        let module = DnsModule {
            preference: read_preference(&reader),
            source: read_source(&reader),
            over_tcp: over_tls || transport == Some("tcp"),
            over_tls,
            tls: read_tls(&reader, locate),
            name,
            kind: read_word(&reader, "query_type", &TYPES, "ANY"),
            class: read_word(&reader, "query_class", &CLASSES, "IN"),
            recursion: reader.bool("recursion_desired").unwrap_or(true),
            valid_rcodes: rcodes.iter().filter_map(rcode).collect(),
            answer: rules("validate_answer_rrs"),
            authority: rules("validate_authority_rrs"),
            additional: rules("validate_additional_rrs"),
        };
        reader.finish();
        module
    }
}

fn read_word(reader: &Reader<'_>, key: &'static str, words: &[(u16, &'static str)], usual: &str) -> u16 {
    let text = reader.text(key).filter(|t| !t.is_empty()).unwrap_or_else(|| usual.to_owned());
    number_of(words, &text).unwrap_or_else(|| {
        reader.error_at(key, format!("{text:?} is not known"));
        0
    })
}

fn read_rules(reader: Reader<'_>) -> Rules {
    let rules = Rules {
        matches: read_expressions(&reader, "fail_if_matches_regexp"),
        all_match: read_expressions(&reader, "fail_if_all_match_regexp"),
        not_matches: read_expressions(&reader, "fail_if_not_matches_regexp"),
        none_matches: read_expressions(&reader, "fail_if_none_matches_regexp"),
    };
    reader.finish();
    rules
}

/// Probes a target.
pub(super) async fn probe(work: &mut Probe<'_>, module: &DnsModule) -> bool {
    for phase in ["resolve", "connect", "request"] {
        work.sheet.set(PHASES, &[("phase", phase)], 0.0);
    }
    for name in ["probe_dns_answer_rrs", "probe_dns_authority_rrs", "probe_dns_additional_rrs", "probe_dns_query_succeeded"] {
        work.sheet.set(name, &[], 0.0);
    }
    match ask(work, module).await {
        Ok(answer) => judge(work, module, &answer),
        Err(reason) => {
            work.sheet.say(reason);
            false
        }
    }
}

async fn ask(work: &mut Probe<'_>, module: &DnsModule) -> Result<Message, String> {
    let (host, port) = host_and_port(work.target, Some(if module.over_tls { 853 } else { 53 }))?;
    let Some((ip, took)) = work.resolve(&host, module.preference).await else { return Err("the server has no address".to_owned()) };
    work.sheet.phase(PHASES, "resolve", took);
    // Hashers of the standard library begin at random.
    let id = RandomState::new().hash_one(port) as u16;
    let question = Question { id, name: &module.name, kind: module.kind, class: module.class, recursion: module.recursion };
    let bytes = question.encode()?;
    let to = SocketAddr::new(ip, port);
    if !module.over_tcp {
        let (took, socket) = measured(work.dialer.datagrams(to, module.source, work.policy)).await;
        work.sheet.phase(PHASES, "connect", took);
        let socket = socket.map_err(|e| work.refused(e))?;
        let (took, answer) = measured(timeout_at(work.deadline, converse(&socket, &bytes, id))).await;
        // How long there was no answer is told as well, as it is there.
        work.sheet.phase(PHASES, "request", took);
        return answer.unwrap_or_else(|_| Err("the time was over".to_owned())).map_err(|reason| format!("no answer from {to}: {reason}"));
    }
    let (took, link) = measured(timeout_at(work.deadline, work.dialer.connect(to, module.source, work.policy))).await;
    work.sheet.phase(PHASES, "connect", took);
    let link = link.map_err(|_| "the time was over before there was a connection")?.map_err(|e| work.refused(e))?;
    let (more, link) = measured(encrypt(work, module, &host, link)).await;
    work.sheet.phase(PHASES, "connect", more);
    let (took, answer) = measured(timeout_at(work.deadline, exchange(link?, &bytes))).await;
    work.sheet.phase(PHASES, "request", took);
    let answer = answer.map_err(|_| format!("no answer from {to}: the time was over"))?.map_err(|e| format!("no answer from {to}: {e}"))?;
    let message = Message::read(&answer).map_err(|e| e.to_string())?;
    if message.is_response && message.id == id { Ok(message) } else { Err(format!("{to} answers another question")) }
}

/// Asks by a datagram, and passes over answers to other questions.
async fn converse(socket: &UdpSocket, question: &[u8], id: u16) -> Result<Message, String> {
    socket.send(question).await.map_err(|e| e.to_string())?;
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    for _ in 0..STRAYS_MAX {
        let length = socket.recv(&mut buffer).await.map_err(|e| e.to_string())?;
        let read = Message::read(buffer.get(..length).unwrap_or_default());
        if read.as_ref().is_ok_and(|m| !m.is_response || m.id != id) {
            continue;
        }
        return read.map_err(|e| e.to_string());
    }
    Err("it answers other questions only".to_owned())
}

async fn encrypt(work: &Probe<'_>, module: &DnsModule, host: &str, link: Link) -> Result<Link, String> {
    if !module.over_tls {
        return Ok(link);
    }
    let tls = work.client_tls(&module.tls).await?;
    work.dialer.encrypt(link, work.hostname.unwrap_or(host), &tls, &[b"dot"]).await.map_err(|e| e.to_string())
}

/// Messages over a stream have their length before them.
async fn exchange(mut link: Link, question: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut framed = (question.len() as u16).to_be_bytes().to_vec();
    framed.extend_from_slice(question);
    link.write_all(&framed).await?;
    link.flush().await?;
    let length = link.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    link.read_exact(&mut answer).await?;
    Ok(answer)
}

fn judge(work: &mut Probe<'_>, module: &DnsModule, answer: &Message) -> bool {
    let sheet = &mut *work.sheet;
    sheet.set("probe_dns_query_succeeded", &[], 1.0);
    let parts = [
        ("answer", "probe_dns_answer_rrs", &answer.answers, &module.answer),
        ("authority", "probe_dns_authority_rrs", &answer.authorities, &module.authority),
        ("additional", "probe_dns_additional_rrs", &answer.additionals, &module.additional),
    ];
    for (_, name, records, _) in &parts {
        sheet.set(name, &[], records.len() as f64);
    }
    if module.kind == SOA {
        let serial = answer.answers.iter().find_map(|record| record.serial).unwrap_or(0);
        sheet.set("probe_dns_serial", &[], f64::from(serial));
    }
    let valid = if module.valid_rcodes.is_empty() { answer.rcode == 0 } else { module.valid_rcodes.contains(&answer.rcode) };
    if !valid {
        let word = RCODES.iter().find(|(n, _)| *n == u16::from(answer.rcode)).map_or("unknown", |(_, word)| word);
        sheet.say(format!("the response code {word} is not a valid one"));
        return false;
    }
    for (part, _, records, rules) in parts {
        let texts: Vec<&str> = records.iter().map(|record| record.text.as_str()).collect();
        texts.iter().for_each(|text| sheet.say(format!("{part}: {text}")));
        if let Some(reason) = rules.broken_by(&texts) {
            sheet.say(format!("{part}: {reason}"));
            return false;
        }
    }
    true
}

impl Rules {
    /// Why records break the rules, if they do.
    fn broken_by(&self, records: &[&str]) -> Option<String> {
        if records.is_empty() && !(self.not_matches.is_empty() && self.none_matches.is_empty()) {
            return Some("there are no records, and some must match".to_owned());
        }
        let is = |expression: &Regex, record: &&str| expression.is_match(record.as_bytes());
        for record in records {
            if let Some(bad) = self.matches.iter().find(|e| is(e, record)) {
                return Some(format!("{record:?} matches {bad}"));
            }
            if let Some(missed) = self.not_matches.iter().find(|e| !is(e, record)) {
                return Some(format!("{record:?} does not match {missed}"));
            }
        }
        // Against its name, but as it is there: the probe fails unless all records match.
        let all = |expression: &Regex| records.iter().all(|r| is(expression, r));
        if let Some(missed) = self.all_match.iter().find(|e| !all(e)) {
            return Some(format!("not all records match {missed}"));
        }
        let none = !self.none_matches.is_empty() && !self.none_matches.iter().any(|e| records.iter().any(|r| is(e, r)));
        none.then(|| "no record matches".to_owned())
    }
}
