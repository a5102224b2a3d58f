//! Counts failed proofs per address: five in a minute, then nothing more is tried for a while. It decides nothing about
//! proofs that are good without a password: a valid token is always let in.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

/// Failures per address and window.
pub(super) const FAILURES_MAX: usize = 5;
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses remembered at once; the one that has been quiet longest makes room.
const ADDRESSES_MAX: usize = 4096;

#[derive(Default)]
pub(super) struct Throttle {
    failures: HashMap<IpAddr, VecDeque<Duration>>,
}
impl Throttle {
    /// How long an address has to wait, if it failed too often.
    pub(super) fn wait(&mut self, ip: IpAddr, now: Duration) -> Option<Duration> {
        let key = key_of(ip);
        let times = self.failures.get_mut(&key)?;
        while times.front().is_some_and(|t| now.saturating_sub(*t) >= WINDOW) {
            times.pop_front();
        }
        if times.is_empty() {
            self.failures.remove(&key);
            return None;
        }
        if times.len() < FAILURES_MAX {
            return None;
        }
        times.front().map(|t| WINDOW.saturating_sub(now.saturating_sub(*t)))
    }
    /// Notes a failure.
    pub(super) fn failed(&mut self, ip: IpAddr, now: Duration) {
        let key = key_of(ip);
        if !self.failures.contains_key(&key) && self.failures.len() >= ADDRESSES_MAX {
            self.failures.retain(|_, times| times.back().is_some_and(|t| now.saturating_sub(*t) < WINDOW));
            if self.failures.len() >= ADDRESSES_MAX
                && let Some(quiet) = self.failures.iter().min_by_key(|(_, times)| times.back().copied()).map(|(ip, _)| *ip)
            {
                self.failures.remove(&quiet);
            }
        }
        let times = self.failures.entry(key).or_default();
        if times.len() >= FAILURES_MAX {
            times.pop_front();
        }
        times.push_back(now);
    }
}

/// A household has a whole IPv6 /64, so that counts as one address.
fn key_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_failures_in_a_minute() {
        let mut throttle = Throttle::default();
        let ip: IpAddr = "192.0.2.1".parse().unwrap();
        for second in 0..5 {
            assert_eq!(throttle.wait(ip, Duration::from_secs(second)), None);
            throttle.failed(ip, Duration::from_secs(second));
        }
        assert_eq!(throttle.wait(ip, Duration::from_secs(10)), Some(Duration::from_secs(50)));
        assert_eq!(throttle.wait("192.0.2.2".parse().unwrap(), Duration::from_secs(10)), None);
        assert_eq!(throttle.wait("::ffff:192.0.2.1".parse().unwrap(), Duration::from_secs(10)), Some(Duration::from_secs(50)));
        assert_eq!(throttle.wait(ip, Duration::from_secs(60)), None);
        assert_eq!(throttle.wait(ip, Duration::from_secs(200)), None);
        assert!(throttle.failures.is_empty());
    }

    #[test]
    fn a_whole_ipv6_network_counts_as_one() {
        let mut throttle = Throttle::default();
        for i in 0..5u64 {
            throttle.failed(format!("fd00::{i}").parse().unwrap(), Duration::from_secs(1));
        }
        assert!(throttle.wait("fd00::99".parse().unwrap(), Duration::from_secs(2)).is_some());
        assert!(throttle.wait("fd00:0:0:1::1".parse().unwrap(), Duration::from_secs(2)).is_none());
    }

    #[test]
    fn memory_is_bounded() {
        let mut throttle = Throttle::default();
        for i in 0..10_000u32 {
            throttle.failed(IpAddr::V4(i.into()), Duration::from_millis(u64::from(i)));
        }
        assert_eq!(throttle.failures.len(), ADDRESSES_MAX);
    }
}
