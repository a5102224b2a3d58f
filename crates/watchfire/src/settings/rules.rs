//! `rules:`: what Prometheus takes as flags of its rule manager.

use std::time::Duration;

use watchfire_model::document::Reader;

/// `rules:`
#[derive(Debug)]
pub(crate) struct RuleSettings {
    /// Where links in alerts lead; our own address when nothing is said.
    pub(crate) external_url: Option<String>,
    /// How often a firing alert is told again.
    pub(crate) resend_delay: Duration,
    /// How long an outage may be after which pending alerts go on.
    pub(crate) for_outage_tolerance: Duration,
    /// How soon after an outage an alert with a long `for` may fire.
    pub(crate) for_grace_period: Duration,
}
impl RuleSettings {
    pub(super) fn read(rules: Reader<'_>) -> RuleSettings {
        let millis = |key, default| Duration::from_millis(rules.duration_ms(key).unwrap_or(default));
        let external_url = rules.text("external_url").map(|url| url.trim_end_matches('/').to_owned()).filter(|url| !url.is_empty());
        if external_url.as_ref().is_some_and(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
            rules.error_at("external_url", "must begin with http:// or https://");
        }
        let settings = RuleSettings {
            external_url,
            resend_delay: millis("resend_delay", 60_000),
            for_outage_tolerance: millis("for_outage_tolerance", 3_600_000),
            for_grace_period: millis("for_grace_period", 600_000),
        };
        rules.finish();
        settings
    }
}
