//! Pages that are fetched for what stands in them, by the rules of probes: the address that is reached is checked, at every redirect, and
//! targets that nobody named get no credentials.

use std::sync::Arc;
use std::time::Duration;

use watchfire_net::client::{Caller, HttpOptions};
use watchfire_net::policy::Policy;
use watchfire_net::timed::Dialer;

use super::http::{self, HttpModule};
use super::sheet::Sheet;
use super::target::{Probe, Trust};

/// Fetches pages.
pub(crate) struct Web {
    dialer: Dialer,
    caller: Arc<Caller>,
}

/// What is fetched, and how.
pub(crate) struct WebRequest<'a> {
    pub(crate) target: &'a str,
    pub(crate) trust: Trust,
    pub(crate) policy: &'a Policy,
    pub(crate) timeout: Duration,
    pub(crate) client: Arc<HttpOptions>,
    pub(crate) headers: Vec<(String, String)>,
    /// What is posted; nothing is got.
    pub(crate) body: Option<String>,
    /// Statuses that are good; none for all of 200 to 299.
    pub(crate) valid_status_codes: Vec<u16>,
    pub(crate) bytes_max: usize,
}

impl Web {
    pub(crate) fn new(caller: Arc<Caller>) -> Web {
        Web { dialer: Dialer::new(), caller }
    }

    /// The body of a page; else whether its address is forbidden, and why there is none.
    pub(crate) async fn fetch(&self, request: WebRequest<'_>) -> Result<Vec<u8>, (bool, String)> {
        let WebRequest { target, trust, policy, timeout, client, headers, body, valid_status_codes, bytes_max } = request;
        let module = HttpModule::fetching(client, headers, body);
        let (mut sheet, mut forbidden) = (Sheet::default(), None);
        let mut work = Probe {
            dialer: &self.dialer,
            policy,
            caller: &self.caller,
            target,
            hostname: None,
            trust,
            timeout,
            deadline: tokio::time::Instant::now() + timeout,
            sheet: &mut sheet,
            last_tls: None,
            forbidden: &mut forbidden,
        };
        let fetched = Box::pin(http::fetch(&mut work, &module, bytes_max)).await;
        let (status, body) = fetched.map_err(|reason| (forbidden.is_some(), reason))?;
        let good = if valid_status_codes.is_empty() { (200..300).contains(&status) } else { valid_status_codes.contains(&status) };
        if good { Ok(body) } else { Err((false, format!("the status is {}", shown(status)))) }
    }
}

/// A status with its words, as the original shows it.
fn shown(status: u16) -> String {
    ::http::StatusCode::from_u16(status).map_or_else(|_| status.to_string(), |status| status.to_string())
}
