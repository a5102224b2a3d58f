//! A Sentinel's masters: what it says of each, and how many of their replicas and of the other Sentinels it takes for alive. It only asks.

use redis::Value;
use watchfire_model::text::cut;

use super::info::{Info, Sheet};
use super::link::{Link, text};
use super::pairs;

/// Masters of one Sentinel.
const MASTERS_MAX: usize = 64;
/// Bytes of its words about a quorum, which are a label.
const WORDS_BYTES_MAX: usize = 256;

pub(super) async fn measure(link: &mut Link, info: &Info<'_>, sheet: &mut Sheet) {
    for master in info.numbered("master").take(MASTERS_MAX) {
        let (Some(name), Some(address)) = (master.get("name"), master.get("address")) else { continue };
        let labels = [("master_name", name), ("master_address", address)];
        let status = master.get("status").unwrap_or_default();
        sheet.gauge("redis_sentinel_master_status", &[labels[0], labels[1], ("master_status", status)], f64::from(u8::from(status == "ok")));
        for (part, metric) in [("slaves", "redis_sentinel_master_slaves"), ("sentinels", "redis_sentinel_master_sentinels")] {
            if let Some(value) = master.number(part) {
                sheet.gauge(metric, &labels, value);
            }
        }
        let answer = link.ask(&["SENTINEL", "CKQUORUM", name]).await;
        let words = match &answer {
            Ok(value) => text(value).unwrap_or_default(),
            Err(reason) => reason.clone(),
        };
        let there = f64::from(u8::from(answer.is_ok()));
        sheet.gauge("redis_sentinel_master_ckquorum_status", &[labels[0], ("message", cut(&words, WORDS_BYTES_MAX))], there);
        // It does not count itself among the others.
        for (question, metric, itself) in [("SENTINELS", "redis_sentinel_master_ok_sentinels", 1.0), ("SLAVES", "redis_sentinel_master_ok_slaves", 0.0)] {
            if let Ok(Value::Array(others)) = link.ask(&["SENTINEL", question, name]).await {
                let alive = others.into_iter().map(pairs).filter(|other| is_alive(other)).count();
                sheet.gauge(metric, &labels, alive as f64 + itself);
            }
        }
    }
}

/// Whether neither it alone nor several together take another one for dead.
fn is_alive(other: &[(String, String)]) -> bool {
    other.iter().any(|(name, flags)| name == "flags" && !flags.contains("o_down") && !flags.contains("s_down"))
}
