//! Pictures of panels in notifications: which panel an alert names, and what is painted of it while a notification is delivered. It is off
//! unless somebody paints, and a picture that fails holds no notification up.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use url::{Host, Url};
use watchfire_model::meter::{Counter, Meter};
use watchfire_model::time::Timestamp;
use watchfire_net::policy::{Class, class_of};

use crate::manager::notification::Notification;

/// How long a notification waits for its picture; a try to deliver has thirty seconds.
const TIME_MAX: Duration = Duration::from_secs(10);
/// The largest picture: chats refuse more than ten megabytes.
const BYTES_MAX: usize = 4 << 20;
/// The longest name of a dashboard.
const UID_BYTES_MAX: usize = 64;

/// Annotations in which rules of Grafana name their panel, and ours: `<uid>/<panel>`.
const DASHBOARD: &str = "__dashboardUid__";
const PANEL: &str = "__panelId__";
const BOTH: &str = "watchfire_panel";

/// Paints a panel of a dashboard.
pub type PaintPanel = Arc<dyn Fn(&str, u64) -> PaintedPanel + Send + Sync>;
/// A PNG, or why there is none.
pub type PaintedPanel = Pin<Box<dyn Future<Output = Result<Vec<u8>, String>> + Send>>;

/// Who paints, once somebody does.
#[derive(Default)]
pub struct Pictures(OnceLock<(PaintPanel, [Counter; 2])>);

impl Pictures {
    /// Says who paints. The first call counts.
    pub fn painted_by(&self, paint: PaintPanel, meter: &Meter) {
        let help = "Pictures for notifications, by what became of them.";
        let counter = |outcome| meter.counter("watchfire_alert_pictures_total", help, &[("outcome", outcome)]);
        let _first = self.0.get_or_init(|| (paint, ["painted", "failed"].map(counter)));
    }
    /// Where the picture of a notification can be had, for places that fetch it by themselves: the hour up to now, so that it stays the
    /// same. Nothing where nobody else would reach us.
    pub(super) fn address_of(&self, notification: &Notification, now: Timestamp) -> Option<String> {
        self.0.get()?;
        let (uid, panel) = panel_of(notification)?;
        let base = &notification.external_url;
        let to = now.millis();
        Url::parse(base).ok().filter(|url| matches!(url.scheme(), "http" | "https") && is_public(url))?;
        let from = to.saturating_sub(3_600_000);
        Some(format!("{}/render/d-solo/{uid}/panel?panelId={panel}&from={from}&to={to}&width=800&height=400", base.trim_end_matches('/')))
    }
    /// The picture of a notification, if its alerts name a panel.
    pub(super) async fn of(&self, notification: &Notification) -> Option<Vec<u8>> {
        let (paint, [painted, failed]) = self.0.get()?;
        let (uid, panel) = panel_of(notification)?;
        let outcome = match tokio::time::timeout(TIME_MAX, paint(&uid, panel)).await {
            Ok(Ok(png)) if png.len() > BYTES_MAX => Err(format!("it has more than {BYTES_MAX} bytes")),
            Ok(outcome) => outcome,
            Err(_) => Err(format!("it was not painted within {} s", TIME_MAX.as_secs())),
        };
        match outcome {
            Ok(png) => {
                painted.inc();
                Some(png)
            }
            Err(reason) => {
                failed.inc();
                tracing::warn!(receiver = notification.receiver, uid, panel, reason, "a notification goes without its picture");
                None
            }
        }
    }
}

/// Whether others may reach an address: not one of this machine or of a network at home, and no name that only some know.
fn is_public(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            let last = name.rsplit_once('.').map_or("", |(_, last)| last);
            !matches!(last, "" | "localhost" | "local" | "internal" | "lan" | "home" | "arpa")
        }
        Some(Host::Ipv4(ip)) => class_of(ip.into()) == Class::Global,
        Some(Host::Ipv6(ip)) => class_of(ip.into()) == Class::Global,
        None => false,
    }
}

/// The panel that the first alert names which does; those that fire come first.
fn panel_of(notification: &Notification) -> Option<(String, u64)> {
    let firing = notification.alerts.iter().filter(|told| !told.resolved);
    firing.chain(notification.alerts.iter().filter(|told| told.resolved)).find_map(|told| {
        let annotations = &told.alert.annotations;
        let both = annotations.get(BOTH).and_then(|text| text.trim().split_once('/'));
        let (uid, panel) = both.or_else(|| Some((annotations.get(DASHBOARD)?, annotations.get(PANEL)?)))?;
        let is_uid = !uid.is_empty() && uid.len() <= UID_BYTES_MAX && uid.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        is_uid.then_some((uid.to_owned(), panel.trim().parse().ok()?))
    })
}
