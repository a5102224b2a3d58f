//! What one probe found out: values by metric, and a log for people who look for a mistake. It keeps what is known when a probe is cut off.

use std::net::IpAddr;
use std::time::Duration;

use watchfire_model::batch::MetricType;
use watchfire_model::meter::Family;
use watchfire_net::timed::TlsFacts;

/// Lines of the log that are kept.
const LINES_MAX: usize = 200;
/// Bytes of one line.
const LINE_BYTES_MAX: usize = 1_000;

/// Values and log of one probe.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    families: Vec<Family>,
    lines: Vec<String>,
    left_out: usize,
}

impl Sheet {
    /// Sets a value.
    pub(super) fn set(&mut self, name: &'static str, labels: &[(&str, &str)], value: f64) {
        let at = self.families.iter().position(|f| &*f.name == name).unwrap_or_else(|| {
            self.families.push(Family::new(name, MetricType::Gauge, help(name)));
            self.families.len() - 1
        });
        let family = &mut self.families[at];
        let before = family.points.len();
        family.point(labels, value);
        // The last point is the new one; a value of the same series that stood there goes.
        if let Some(known) = family.points[..before].iter().position(|(labels, _)| *labels == family.points[before].0) {
            family.points.swap_remove(known);
        }
    }
    /// Adds to a value.
    pub(super) fn add(&mut self, name: &'static str, labels: &[(&str, &str)], value: f64) {
        let known = self.value(name, labels).unwrap_or(0.0);
        self.set(name, labels, known + value);
    }
    /// Adds a time in seconds to a phase.
    pub(super) fn phase(&mut self, name: &'static str, phase: &str, took: Duration) {
        self.add(name, &[("phase", phase)], took.as_secs_f64());
    }
    /// A value that was set.
    pub(super) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let family = self.families.iter().find(|f| &*f.name == name)?;
        let wanted = Family::new(name, MetricType::Gauge, "").with(labels, 0.0);
        family.points.iter().find(|(known, _)| *known == wanted.points[0].0).map(|(_, value)| *value)
    }

    /// Notes something for people.
    pub(super) fn say(&mut self, line: impl Into<String>) {
        if self.lines.len() >= LINES_MAX {
            self.left_out += 1;
            return;
        }
        let mut line: String = line.into();
        if line.len() > LINE_BYTES_MAX {
            line.truncate(line.floor_char_boundary(LINE_BYTES_MAX));
            line.push('…');
        }
        self.lines.push(line);
    }

    /// Notes the address that was found.
    pub(super) fn address(&mut self, ip: IpAddr, took: Duration) {
        self.set("probe_dns_lookup_time_seconds", &[], took.as_secs_f64());
        self.set("probe_ip_protocol", &[], if ip.is_ipv4() { 4.0 } else { 6.0 });
        self.set("probe_ip_addr_hash", &[], f64::from(hash(ip)));
        self.say(format!("resolved to {ip}"));
    }

    /// Notes that no address was found.
    pub(super) fn no_address(&mut self, took: Duration) {
        self.set("probe_dns_lookup_time_seconds", &[], took.as_secs_f64());
        self.set("probe_ip_protocol", &[], 0.0);
        self.set("probe_ip_addr_hash", &[], 0.0);
    }

    /// Notes what the handshake settled.
    pub(super) fn encryption(&mut self, facts: &TlsFacts, verified: bool) {
        self.set("probe_tls_version_info", &[("version", facts.version)], 1.0);
        self.set("probe_tls_cipher_info", &[("cipher", &facts.cipher)], 1.0);
        self.earliest_expiry(facts);
        let Some(own) = facts.certificates.first() else { return };
        let chain = facts.certificates.iter().map(|c| c.not_after).min().filter(|_| verified);
        // Without a chain that was verified it is the year 1, as it is there.
        self.set("probe_ssl_last_chain_expiry_timestamp_seconds", &[], chain.map_or(-62_135_596_800.0, |t| t as f64));
        let names = own.names.join(",");
        let info = [
            ("fingerprint_sha256", own.fingerprint.as_str()),
            ("subject", &own.subject),
            ("issuer", &own.issuer),
            ("subjectalternative", &names),
            ("serialnumber", &own.serial),
        ];
        self.set("probe_ssl_last_chain_info", &info, 1.0);
    }

    /// Notes when the first certificate of the chain runs out.
    pub(super) fn earliest_expiry(&mut self, facts: &TlsFacts) {
        if let Some(first) = facts.certificates.iter().map(|c| c.not_after).min() {
            self.set("probe_ssl_earliest_cert_expiry", &[], first as f64);
        }
    }

    pub(super) fn into_parts(mut self) -> (Vec<Family>, Vec<String>) {
        if self.left_out > 0 {
            self.lines.push(format!("{} more lines were left out", self.left_out));
        }
        self.families.sort_by(|a, b| a.name.cmp(&b.name));
        (self.families, self.lines)
    }
}

/// FNV-1a of the bytes of an address, by which a change of it shows.
fn hash(ip: IpAddr) -> u32 {
    let of = |bytes: &[u8]| bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    match ip {
        IpAddr::V4(v4) => of(&v4.octets()),
        IpAddr::V6(v6) => of(&v6.octets()),
    }
}

fn help(name: &str) -> &'static str {
    match name {
        "probe_dns_additional_rrs" => "Records in the additional section of the answer.",
        "probe_dns_answer_rrs" => "Records in the answer section of the answer.",
        "probe_dns_authority_rrs" => "Records in the authority section of the answer.",
        "probe_dns_duration_seconds" => "How long each phase of the question took.",
        "probe_dns_lookup_time_seconds" => "How long it took to find the target's address.",
        "probe_dns_query_succeeded" => "Whether the server answered the question.",
        "probe_dns_serial" => "Serial number of the zone.",
        "probe_duration_seconds" => "How long the whole probe took.",
        "probe_expect_info" => "Parts of what the target said, as the configuration picks them.",
        "probe_failed_due_to_regex" => "Whether a regular expression made the probe fail.",
        "probe_grpc_duration_seconds" => "How long each phase of the check took.",
        "probe_grpc_healthcheck_response" => "What the health service answered: 1 for its word.",
        "probe_grpc_ssl" => "Whether the connection was encrypted.",
        "probe_grpc_status_code" => "Status code of gRPC.",
        "probe_http_content_length" => "Length of the body as the answer declares it, -1 if it does not.",
        "probe_http_duration_seconds" => "How long each phase of the request took, redirects included.",
        "probe_http_last_modified_timestamp_seconds" => "When the page says it was last changed (Unix time).",
        "probe_http_redirects" => "Redirects that were followed.",
        "probe_http_ssl" => "Whether the last connection was encrypted.",
        "probe_http_status_code" => "Status code of the HTTP answer; 0 when there was none.",
        "probe_http_uncompressed_body_length" => "Length of the body after decompression.",
        "probe_http_version" => "Version of HTTP that the answer names.",
        "probe_icmp_duration_seconds" => "How long each phase of the echo took.",
        "probe_icmp_reply_hop_limit" => "Hop limit with which the answer arrived.",
        "probe_ip_addr_hash" => "A hash of the address, which shows when it changes.",
        "probe_ip_protocol" => "Version of IP that was used: 4 or 6.",
        "probe_ssl_earliest_cert_expiry" => "When the first certificate of the chain expires (Unix time).",
        "probe_ssl_last_chain_expiry_timestamp_seconds" => "When the chain that was believed expires (Unix time).",
        "probe_ssl_last_chain_info" => "What the target's own certificate says.",
        "probe_success" => "Whether the probe succeeded: 1 yes, 0 no.",
        "probe_tls_cipher_info" => "The cipher suite in use.",
        "probe_tls_version_info" => "The version of TLS in use.",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_replace_one_another_and_lines_have_a_limit() {
        let mut sheet = Sheet::default();
        sheet.set("probe_success", &[], 0.0);
        sheet.set("probe_success", &[], 1.0);
        sheet.phase("probe_http_duration_seconds", "tls", Duration::from_secs(1));
        sheet.phase("probe_http_duration_seconds", "tls", Duration::from_secs(2));
        sheet.say("x".repeat(5_000));
        (0..300).for_each(|n| sheet.say(n.to_string()));
        assert_eq!((sheet.value("probe_success", &[]), sheet.value("probe_http_duration_seconds", &[("phase", "tls")])), (Some(1.0), Some(3.0)));
        let (families, lines) = sheet.into_parts();
        assert!(families.iter().all(|f| f.points.len() == 1 && !f.help.is_empty()));
        assert_eq!((lines.len(), lines[LINES_MAX].as_str()), (LINES_MAX + 1, "101 more lines were left out"));
        assert!(lines[0].len() < 1_010);
    }

    #[test]
    fn an_address_has_the_hash_that_it_has_in_the_original() {
        assert_eq!(hash("127.0.0.1".parse().unwrap()), 3_668_918_509);
    }
}
