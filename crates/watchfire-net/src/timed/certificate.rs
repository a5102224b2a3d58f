//! What an X.509 certificate says of itself: until when it is good, whose it is, who signed it, for which names. Nothing is verified here;
//! the handshake did that. Bytes come from strangers: what cannot be read is left out.

use sha2::{Digest, Sha256};

/// The most alternative names that are read.
const NAMES_MAX: usize = 100;
/// How deep structures are entered.
const CONTEXT_EXTENSIONS: u8 = 0xa3;
const CONTEXT_VERSION: u8 = 0xa0;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const OCTETS: u8 = 0x04;
const BOOLEAN: u8 = 0x01;
/// `subjectAltName` (2.5.29.17).
const SUBJECT_ALT_NAME: [u8; 3] = [0x55, 0x1d, 0x11];
/// A DNS name among alternative names.
const DNS_NAME: u8 = 0x82;

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The last moment at which it is good, in seconds since 1970.
    pub not_after: i64,
    /// The first one.
    pub not_before: i64,
    /// Whose it is, as `CN=…,O=…`.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// DNS names it is for.
    pub names: Vec<String>,
    /// The SHA-256 of its bytes, in hexadecimal digits.
    pub fingerprint: String,
    /// Its serial number, in hexadecimal digits.
    pub serial: String,
}

impl Certificate {
    /// Reads one.
    pub fn read(der: &[u8]) -> Option<Certificate> {
        let (whole, _) = expect(der, SEQUENCE)?;
        let (body, _) = expect(whole, SEQUENCE)?;
        let rest = match element(body)? {
            (CONTEXT_VERSION, _, rest) => rest,
            _ => body,
        };
        let (_, serial, rest) = element(rest)?;
        let (_, rest) = expect(rest, SEQUENCE)?;
        let (issuer, rest) = expect(rest, SEQUENCE)?;
        let (validity, rest) = expect(rest, SEQUENCE)?;
        let (subject, rest) = expect(rest, SEQUENCE)?;
        let (_, rest) = expect(rest, SEQUENCE)?;
        let (kind, text, after) = element(validity)?;
        let not_before = time(kind, text)?;
        let (kind, text, _) = element(after)?;
        let not_after = time(kind, text)?;
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        Some(Certificate {
            not_after,
            not_before,
            subject: name(subject),
            issuer: name(issuer),
            names: alternative_names(rest).unwrap_or_default(),
            fingerprint: hex(&Sha256::digest(der)),
            serial: hex(serial.strip_prefix(&[0]).unwrap_or(serial)),
        })
    }
}

/// One element: its tag, its content, what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0usize, |n, d| n << 8 | usize::from(*d)), rest)
        }
        _ => return None,
    };
    let (content, after) = rest.split_at_checked(length)?;
    Some((tag, content, after))
}

fn expect(bytes: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    element(bytes).filter(|(tag, _, _)| *tag == wanted).map(|(_, content, after)| (content, after))
}

/// `YYMMDDhhmmssZ` or `YYYYMMDDhhmmssZ` as seconds since 1970.
fn time(kind: u8, text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, rest) = match kind {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i64 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let part = |at: usize| rest.get(at..at + 2)?.parse::<i64>().ok();
    let (month, day, hour, minute) = (part(0)?, part(2)?, part(4)?, part(6)?);
    let second = part(8).unwrap_or(0);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    Some(((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

/// Days from 1970-01-01 in the Gregorian calendar; years begin in March here, so that leap days come last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// A distinguished name, the most specific part first, as RFC 2253 writes it.
fn name(mut bytes: &[u8]) -> String {
    let mut parts = Vec::new();
    while let Some((SET, set, rest)) = element(bytes) {
        bytes = rest;
        let Some((pair, _)) = expect(set, SEQUENCE) else { continue };
        let Some((oid, value)) = expect(pair, OID) else { continue };
        let Some((_, text, _)) = element(value) else { continue };
        parts.push(format!("{}={}", short(oid), escaped(&String::from_utf8_lossy(text))));
    }
    parts.reverse();
    parts.join(",")
}

fn short(oid: &[u8]) -> String {
    let known = match oid {
        [0x55, 4, 3] => "CN",
        [0x55, 4, 5] => "SERIALNUMBER",
        [0x55, 4, 6] => "C",
        [0x55, 4, 7] => "L",
        [0x55, 4, 8] => "ST",
        [0x55, 4, 9] => "STREET",
        [0x55, 4, 10] => "O",
        [0x55, 4, 11] => "OU",
        [0x55, 4, 17] => "POSTALCODE",
        _ => return dotted(oid),
    };
    known.to_owned()
}

fn dotted(oid: &[u8]) -> String {
    let first = oid.first().copied().unwrap_or(0);
    let mut text = format!("{}.{}", first / 40, first % 40);
    let mut number = 0u64;
    for byte in oid.iter().skip(1) {
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            text.push_str(&format!(".{number}"));
            number = 0;
        }
    }
    text
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if ",+\"\\<>;".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn alternative_names(mut rest: &[u8]) -> Option<Vec<String>> {
    loop {
        let (tag, content, after) = element(rest)?;
        if tag != CONTEXT_EXTENSIONS {
            rest = after;
            continue;
        }
        let (mut list, _) = expect(content, SEQUENCE)?;
        while let Some((SEQUENCE, extension, after)) = element(list) {
            list = after;
            let (oid, value) = expect(extension, OID)?;
            if oid != SUBJECT_ALT_NAME {
                continue;
            }
            let value = expect(value, BOOLEAN).map_or(value, |(_, rest)| rest);
            let (octets, _) = expect(value, OCTETS)?;
            let (mut names, _) = expect(octets, SEQUENCE)?;
            let mut found = Vec::new();
            while let Some((tag, text, after)) = element(names) {
                names = after;
                if tag == DNS_NAME && found.len() < NAMES_MAX {
                    found.push(String::from_utf8_lossy(text).into_owned());
                }
            }
            return Some(found);
        }
        return None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_certificate_says() {
        let mut params = rcgen::CertificateParams::new(vec!["camera.example".to_owned(), "*.camera.example".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2024, 2, 29);
        params.not_after = rcgen::date_time_ymd(2055, 12, 31);
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "Hill, Co");
        params.distinguished_name.push(rcgen::DnType::CommonName, "camera");
        let key = rcgen::KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap();
        let read = Certificate::read(der.der()).unwrap();
        assert_eq!((read.not_before, read.not_after), (1_709_164_800, 2_713_824_000));
        assert_eq!((read.subject.as_str(), &read.subject), ("CN=camera,O=Hill\\, Co", &read.issuer));
        assert_eq!(read.names, ["camera.example", "*.camera.example"]);
        assert_eq!(read.fingerprint.len(), 64);
        // Every cut and every changed byte is survived.
        for at in 0..der.der().len() {
            Certificate::read(&der.der()[..at]);
            let mut changed = der.der().to_vec();
            changed[at] ^= 0xff;
            Certificate::read(&changed);
        }
    }

    #[test]
    fn times_of_both_kinds() {
        for (kind, text, expected) in [
            (UTC_TIME, "700101000000Z", Some(0)),
            (UTC_TIME, "491231235959Z", Some(2_524_607_999)),
            (GENERALIZED_TIME, "20500101000000Z", Some(2_524_608_000)),
            (GENERALIZED_TIME, "99991231235959Z", Some(253_402_300_799)),
            (UTC_TIME, "701301000000Z", None),
            (UTC_TIME, "70", None),
            (UTC_TIME, "", None),
        ] {
            assert_eq!(time(kind, text.as_bytes()), expected, "{text}");
        }
    }
}
