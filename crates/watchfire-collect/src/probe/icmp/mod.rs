//! The prober `icmp`: one echo request. What the system must allow for it is told when it does not.

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use watchfire_model::document::Reader;
use watchfire_net::timed::{Echo, PAYLOAD_BYTES_MAX, Preference, TimedError};

use super::config::{read_preference, read_source};
use super::target::Probe;

const PHASES: &str = "probe_icmp_duration_seconds";
/// Bytes of payload unless told otherwise: those of other echo programs.
const PAYLOAD_BYTES: u64 = 28;

/// All options.
#[derive(Clone, Debug)]
pub(super) struct IcmpModule {
    preference: Preference,
    source: Option<IpAddr>,
    payload_bytes: usize,
    ttl: Option<u32>,
}

impl IcmpModule {
    pub(super) fn read(reader: Reader<'_>) -> IcmpModule {
        if reader.bool("dont_fragment").unwrap_or(false) {
            reader.warning_at("dont_fragment", "is read but not carried out: echo requests may be fragmented");
        }
        let payload_bytes = reader.u64("payload_size").filter(|n| *n > 0).unwrap_or(PAYLOAD_BYTES);
        if payload_bytes > PAYLOAD_BYTES_MAX as u64 {
            reader.error_at("payload_size", format!("must be at most {PAYLOAD_BYTES_MAX}"));
        }
        let ttl = reader.u64("ttl").filter(|n| *n > 0);
        if ttl.is_some_and(|ttl| ttl > 255) {
            reader.error_at("ttl", "must be at most 255");
        }
        let module = IcmpModule {
            preference: read_preference(&reader),
            source: read_source(&reader),
            payload_bytes: payload_bytes.min(PAYLOAD_BYTES_MAX as u64) as usize,
            ttl: ttl.map(|ttl| ttl.min(255) as u32),
        };
        reader.finish();
        module
    }
}

/// Probes a target.
pub(super) async fn probe(work: &mut Probe<'_>, module: &IcmpModule) -> bool {
    for phase in ["resolve", "setup", "rtt"] {
        work.sheet.set(PHASES, &[("phase", phase)], 0.0);
    }
    let Some((ip, took)) = work.resolve(work.target, module.preference).await else { return false };
    work.sheet.phase(PHASES, "resolve", took);
    let echo = Echo { from: module.source, payload_bytes: module.payload_bytes, ttl: module.ttl };
    match work.dialer.echo(ip, echo, work.policy).await {
        Ok(answered) => {
            work.sheet.phase(PHASES, "setup", answered.setup);
            work.sheet.phase(PHASES, "rtt", answered.round_trip);
            if let Some(hops) = answered.hop_limit {
                work.sheet.set("probe_icmp_reply_hop_limit", &[], f64::from(hops));
            }
            true
        }
        Err(error) => {
            if matches!(error, TimedError::Socket { .. }) {
                tracing::warn!(target = work.target, %error, "an ICMP probe cannot be made");
            }
            let reason = work.refused(error);
            work.sheet.say(reason);
            false
        }
    }
}
