//! `blackbox.yml`, read as strictly as the original reads it: an unknown key is an error with its place, and what is valid but not carried out
//! here is a warning. It reads no file but those that the configuration names when a probe is made.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use regex::bytes::Regex;
use watchfire_model::document::{Context, Finding, Node, Reader, Severity, parse_yaml};
use watchfire_net::client::{Locate, TlsOptions, read_tls_options};
use watchfire_net::timed::{Family, Preference};

use super::dns::DnsModule;
use super::grpc::GrpcModule;
use super::http::HttpModule;
use super::icmp::IcmpModule;
use super::tcp::TcpModule;
use crate::scrape::config::shown_yaml;

/// Modules that one configuration may have.
pub const MODULES_MAX: usize = 1_000;
/// Regular expressions of one list.
const EXPRESSIONS_MAX: usize = 100;
/// The memory that one compiled expression may take.
const EXPRESSION_BYTES_MAX: usize = 1 << 20;

/// How a target is looked at.
#[derive(Clone, Debug)]
pub struct Module {
    /// The longest that a probe may take, if the module says so.
    pub timeout: Option<Duration>,
    pub(super) kind: Kind,
    /// As it may be shown, secrets replaced.
    pub(super) rendered: String,
}

impl Module {
    /// The kind of its prober.
    pub fn prober(&self) -> &'static str {
        self.kind.word()
    }

    /// The most series that a target has by it, those of scraping included.
    pub fn series_max(&self) -> usize {
        match &self.kind {
            Kind::Http(_) => 28,
            Kind::Tcp(module) => 16 + module.told(),
            Kind::Grpc(_) => 21,
            Kind::Dns(_) => 18,
            Kind::Icmp(_) => 14,
        }
    }
}

/// One kind of prober with its options.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Http(Arc<HttpModule>),
    Tcp(Arc<TcpModule>),
    Dns(Arc<DnsModule>),
    Icmp(IcmpModule),
    Grpc(Arc<GrpcModule>),
}
impl Kind {
    pub(super) fn word(&self) -> &'static str {
        match self {
            Kind::Http(_) => "http",
            Kind::Tcp(_) => "tcp",
            Kind::Dns(_) => "dns",
            Kind::Icmp(_) => "icmp",
            Kind::Grpc(_) => "grpc",
        }
    }
}

/// All modules.
#[derive(Clone, Debug, Default)]
pub struct Modules {
    /// By name.
    pub list: BTreeMap<String, Module>,
    /// The configuration as it may be shown, secrets replaced.
    pub rendered: String,
}

/// Reads a configuration from its text.
pub fn parse(file: &str, text: &str, locate: Locate<'_>) -> (Option<Modules>, Vec<Finding>) {
    match parse_yaml(file, text) {
        Ok(root) => parse_node(file, &root, locate),
        Err(finding) => (None, vec![*finding]),
    }
}

/// Reads a configuration from a document.
pub fn parse_node(file: &str, root: &Node, locate: Locate<'_>) -> (Option<Modules>, Vec<Finding>) {
    let context = Context::new(file);
    let reader = Reader::new(&context, root, "");
    let mut list = BTreeMap::new();
    if let Some(modules) = reader.map("modules") {
        for (key, node) in modules.entries() {
            if list.len() >= MODULES_MAX {
                context.error(key.line, key.column, format!("more than {MODULES_MAX} modules"));
                break;
            }
            let module = Reader::new(&context, node, &modules.path_of(&key.text));
            if let Some(read) = read_module(module, locate) {
                list.insert(key.text.to_string(), read);
            }
        }
    }
    reader.finish();
    let findings = context.into_findings();
    let failed = findings.iter().any(|f| f.severity == Severity::Error);
    ((!failed).then(|| Modules { list, rendered: shown_yaml(root) }), findings)
}

fn read_module(module: Reader<'_>, locate: Locate<'_>) -> Option<Module> {
    let rendered = shown_yaml(module.node());
    let prober = module.word("prober", &["http", "tcp", "dns", "icmp", "grpc"]);
    if module.raw("prober").is_none() {
        let node = module.node();
        module.context().error(node.line, node.column, format!("{} is missing", module.path_of("prober")));
    }
    let timeout = module.duration_ms("timeout").filter(|ms| *ms > 0).map(Duration::from_millis);
    // Sections of other probers are checked as well: what stands there is meant.
    let nothing = Node { value: watchfire_model::document::Value::Null, line: module.node().line, column: module.node().column };
    let section = |key: &'static str| module.map(key).unwrap_or_else(|| Reader::new(module.context(), &nothing, &module.path_of(key)));
    let http = HttpModule::read(section("http"), locate);
    let tcp = TcpModule::read(section("tcp"), locate);
    let dns = DnsModule::read(section("dns"), locate, prober == Some("dns"));
    let icmp = IcmpModule::read(section("icmp"));
    let grpc = GrpcModule::read(section("grpc"), locate);
    if prober.is_some_and(|wanted| module.entries().iter().any(|(k, _)| matches!(&*k.text, "http" | "tcp" | "dns" | "icmp" | "grpc") && *k.text != *wanted)) {
        module.warning_at("prober", "there are options for another prober, which have no effect");
    }
    module.finish();
    let kind = match prober? {
        "http" => Kind::Http(Arc::new(http)),
        "tcp" => Kind::Tcp(Arc::new(tcp)),
        "dns" => Kind::Dns(Arc::new(dns)),
        "icmp" => Kind::Icmp(icmp),
        _ => Kind::Grpc(Arc::new(grpc)),
    };
    Some(Module { timeout, kind, rendered })
}

/// `preferred_ip_protocol` and `ip_protocol_fallback`: IPv6 first, IPv4 if there is none, unless told otherwise.
pub(super) fn read_preference(reader: &Reader<'_>) -> Preference {
    let family = match reader.word("preferred_ip_protocol", &["ip4", "ip6"]) {
        Some("ip4") => Family::V4,
        _ => Family::V6,
    };
    Preference { family, fallback: reader.bool("ip_protocol_fallback").unwrap_or(true) }
}

pub(super) fn read_source(reader: &Reader<'_>) -> Option<IpAddr> {
    let text = reader.text("source_ip_address").filter(|t| !t.is_empty())?;
    text.parse().map_err(|_| reader.error_at("source_ip_address", format!("must be an address, not {text:?}"))).ok()
}

pub(super) fn read_tls(reader: &Reader<'_>, locate: Locate<'_>) -> TlsOptions {
    read_tls_options(reader, "tls_config", locate)
}

/// A list of regular expressions; one text counts as a list of one.
pub(super) fn read_expressions(reader: &Reader<'_>, key: &'static str) -> Vec<Regex> {
    let texts = reader.texts(key, true);
    if texts.len() > EXPRESSIONS_MAX {
        reader.error_at(key, format!("more than {EXPRESSIONS_MAX} regular expressions"));
    }
    texts.iter().take(EXPRESSIONS_MAX).filter_map(|text| expression(reader, key, text)).collect()
}

pub(super) fn read_expression(reader: &Reader<'_>, key: &'static str) -> Option<Regex> {
    let text = reader.text(key)?;
    expression(reader, key, &text)
}

fn expression(reader: &Reader<'_>, key: &'static str, text: &str) -> Option<Regex> {
    let made = regex::bytes::RegexBuilder::new(&watchfire_model::go_regex::translated(text)).size_limit(EXPRESSION_BYTES_MAX).build();
    made.map_err(|e| reader.error_at(key, format!("{text:?} is no regular expression: {}", last_line(&e.to_string())))).ok()
}

/// The sentence of an error that draws where the mistake is.
fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or(text).trim_start_matches("error: ").to_owned()
}
