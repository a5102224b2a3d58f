//! Who may have which target looked at. Targets that a scrape job or a probe of the configuration names are open to everybody who may read;
//! others are for admins, and never lead to link-local or metadata addresses, nor (with authentication) to this machine.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use watchfire_model::exporter::{Asker, Reply};
use watchfire_model::live::TargetStatus;
use watchfire_model::time::SharedClock;
use watchfire_net::policy::Policy;

use super::target::Trust;

/// How long the set of named targets is believed.
const FRESH: Duration = Duration::from_secs(5);

/// Lists the targets of all jobs.
pub type Listing = Box<dyn Fn() -> Vec<TargetStatus> + Send + Sync>;

/// The rule.
pub struct Access {
    clock: SharedClock,
    listing: OnceLock<Listing>,
    known: Mutex<Option<(Duration, Arc<HashSet<String>>)>>,
    named: Policy,
    adhoc: Policy,
}

impl Access {
    /// A rule with what other targets may lead to.
    pub fn new(clock: SharedClock, adhoc: Policy) -> Access {
        Access { clock, listing: OnceLock::new(), known: Mutex::default(), named: Policy::configured(), adhoc }
    }

    /// Says who knows the targets of all jobs. Until then none is named.
    pub fn listed_by(&self, listing: Listing) {
        drop(self.listing.set(listing));
    }

    /// Where a target comes from and what may be reached for it; a refusal otherwise.
    pub fn judge(&self, target: &str, asker: Asker) -> Result<(Trust, &Policy), Reply> {
        if asker == Asker::Configuration || self.named().contains(target) {
            return Ok((Trust::Named, &self.named));
        }
        match asker {
            Asker::Admin => Ok((Trust::AdHoc, &self.adhoc)),
            _ => Err(Reply::text(403, "no scrape job and no probe of the configuration names this target; others are for admins\n")),
        }
    }

    fn named(&self) -> Arc<HashSet<String>> {
        let now = self.clock.monotonic();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((until, set)) = &*known
            && now < *until
        {
            return set.clone();
        }
        let listed = self.listing.get().map(|listing| listing()).unwrap_or_default();
        let set: HashSet<String> = listed.iter().filter(|t| !t.dropped).filter_map(|t| named_by(&t.scrape_url)).collect();
        let set = Arc::new(set);
        *known = Some((now + FRESH, set.clone()));
        set
    }
}

/// The parameter `target` of a URL.
fn named_by(url: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "target").map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use watchfire_model::labels::Labels;
    use watchfire_model::time::{ManualClock, Timestamp};

    use super::*;

    #[test]
    fn named_targets_are_for_everybody_and_others_for_admins() {
        let clock = ManualClock::new(Timestamp(0));
        let access = Access::new(clock.clone(), Policy::free());
        let listed = Arc::new(Mutex::new(Vec::new()));
        let shared = listed.clone();
        access.listed_by(Box::new(move || shared.lock().unwrap().clone()));
        let trust = |target: &str, asker| access.judge(target, asker).map(|(trust, _)| trust).map_err(|reply| reply.status);
        assert_eq!(trust("http://a/?x=1", Asker::Reader), Err(403));
        listed.lock().unwrap().push(TargetStatus {
            scrape_pool: "j".to_owned(),
            scrape_url: "http://blackbox-exporter:9115/probe?module=m&target=http%3A%2F%2Fa%2F%3Fx%3D1".to_owned(),
            discovered_labels: Labels::empty(),
            labels: Labels::empty(),
            interval_ms: 1,
            timeout_ms: 1,
            dropped: false,
            last: None,
            alias_of: None,
        });
        assert_eq!(trust("http://a/?x=1", Asker::Reader), Err(403), "what was listed is believed for a while");
        clock.advance(FRESH);
        assert_eq!(trust("http://a/?x=1", Asker::Reader), Ok(Trust::Named));
        assert_eq!(trust("http://a/", Asker::Reader), Err(403));
        assert_eq!(trust("http://a/", Asker::Admin), Ok(Trust::AdHoc));
        assert_eq!(trust("http://a/", Asker::Configuration), Ok(Trust::Named));
        assert!(access.judge("http://a/", Asker::Admin).unwrap().1.check("127.0.0.1:80".parse().unwrap()).is_err());
    }
}
