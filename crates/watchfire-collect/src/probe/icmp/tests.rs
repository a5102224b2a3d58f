//! The prober `icmp` on this machine, where the system gives sockets for it.

use super::super::tests::{has, probe};

#[tokio::test]
async fn prb_07_an_echo_needs_what_the_system_may_refuse() {
    let text = probe("modules: {m: {prober: icmp, timeout: 5s, icmp: {preferred_ip_protocol: ip4, payload_size: 64, ttl: 9}}}", "127.0.0.1").await;
    for phase in ["resolve", "setup", "rtt"] {
        assert!(text.contains(&format!("probe_icmp_duration_seconds{{phase=\"{phase}\"}}")), "{text}");
    }
    // Where neither kind of socket may be opened the probe fails, and says so.
    assert!(has(&text, "probe_success 1") || has(&text, "probe_icmp_duration_seconds{phase=\"rtt\"} 0"), "{text}");
    let text = probe("modules: {m: {prober: icmp}}", "name.invalid").await;
    assert!(has(&text, "probe_success 0") && has(&text, "probe_ip_protocol 0"), "{text}");
}
