//! Ranges of addresses, as `ip()` takes them: one address, `first-last`, or a network. Also finds addresses within lines.

use std::net::{IpAddr, Ipv4Addr};

/// A range of addresses of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IpRange {
    first: IpAddr,
    last: IpAddr,
}

impl IpRange {
    /// Reads a range.
    pub(crate) fn parse(text: &str) -> Result<IpRange, String> {
        let invalid = || format!("ip: error in parsing {text:?}: neither an address nor a range nor a network");
        let address = |text: &str| text.trim().parse::<IpAddr>().map_err(|_| invalid());
        if let Some((network, bits)) = text.split_once('/') {
            let bits: u32 = bits.trim().parse().map_err(|_| invalid())?;
            return network_range(address(network)?, bits).ok_or_else(invalid);
        }
        if let Some((first, last)) = text.split_once('-') {
            let (first, last) = (address(first)?, address(last)?);
            return if first.is_ipv4() == last.is_ipv4() && first <= last { Ok(IpRange { first, last }) } else { Err(invalid()) };
        }
        let one = address(text)?;
        Ok(IpRange { first: one, last: one })
    }

    /// Whether an address is in it.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.first.is_ipv4() && (self.first..=self.last).contains(&address)
    }

    /// Whether a text has an address of the range anywhere.
    pub(crate) fn found_in(&self, line: &str) -> bool {
        let bytes = line.as_bytes();
        let mut at = 0;
        while let Some(length) = bytes.get(at..).map(|rest| rest.iter().take_while(|b| is_part(**b)).count()) {
            if length > 0 && line.get(at..at + length).is_some_and(|run| self.found_in_run(run)) {
                return true;
            }
            at += length;
            at += bytes.get(at..).map_or(1, |rest| rest.iter().take_while(|b| !is_part(**b)).count().max(1));
            if at >= bytes.len() {
                break;
            }
        }
        false
    }

    /// A run of characters that addresses are made of: perhaps with a port behind it, a dot at its end, or words before it.
    fn found_in_run(&self, run: &str) -> bool {
        let has = |text: &str| text.parse::<IpAddr>().is_ok_and(|address| self.contains(address));
        if self.first.is_ipv4() {
            return run.split(|c: char| !(c.is_ascii_digit() || c == '.')).any(|part| {
                let part = part.trim_matches('.');
                part.len() >= 7 && part.parse::<Ipv4Addr>().is_ok_and(|address| self.contains(IpAddr::V4(address)))
            });
        }
        if !run.contains(':') {
            return false;
        }
        has(run)
            || has(run.trim_end_matches(['.', ':']))
            || has(run.trim_matches('.'))
            || run.split_once(':').is_some_and(|(_, rest)| has(rest.trim_end_matches('.')))
    }
}

fn is_part(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':')
}

fn network_range(address: IpAddr, bits: u32) -> Option<IpRange> {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32u32.checked_sub(bits)?).unwrap_or(0);
            let first = u32::from(v4) & mask;
            Some(IpRange { first: IpAddr::V4(first.into()), last: IpAddr::V4((first | !mask).into()) })
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128u32.checked_sub(bits)?).unwrap_or(0);
            let first = u128::from(v6) & mask;
            Some(IpRange { first: IpAddr::V6(first.into()), last: IpAddr::V6((first | !mask).into()) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_lines() {
        for (range, line, expected) in [
            ("10.0.0.1", "from 10.0.0.1:8080 to x", true),
            ("10.0.0.1", "from 10.0.0.11", false),
            ("10.0.0.1", "110.0.0.1", false),
            ("10.0.0.0/8", "a=10.255.255.255.", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "no address 1.2.3 or 1.2.3.4.5 here", false),
            ("192.168.4.5-192.168.4.20", "peer 192.168.4.20 gone", true),
            ("192.168.4.5-192.168.4.20", "peer 192.168.4.21 gone", false),
            ("2001:db8::/32", "[2001:db8::1]:443 said", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::1", "listening on ::1.", true),
            ("10.0.0.1", "", false),
            ("10.0.0.1", "é10.0.0.1é", true),
        ] {
            assert_eq!(IpRange::parse(range).unwrap().found_in(line), expected, "{range} in {line}");
        }
    }

    #[test]
    fn what_is_no_range() {
        for text in ["", "1.2.3", "10.0.0.0/33", "2::/129", "10.0.0.2-10.0.0.1", "10.0.0.1-::1", "a/8", "10.0.0.1/x"] {
            assert!(IpRange::parse(text).is_err(), "{text}");
        }
        assert!(IpRange::parse("10.0.0.1/0").unwrap().contains("255.1.1.1".parse().unwrap()));
    }
}
