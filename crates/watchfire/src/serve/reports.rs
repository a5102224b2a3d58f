//! Reports by mail, put together: whom they ask, where they remember, how they are sent. What they say is decided in
//! `watchfire_alert::reports`.

use std::sync::Arc;

use watchfire_alert::reports::{Parts, Reports, Spent};

use super::{alerting, rooms};
use crate::settings::Settings;

/// Those that are configured.
pub(super) fn open(house: &rooms::Parts, settings: &Settings) -> Arc<Reports> {
    let (alertmanager, gateway) = (house.alertmanager.clone(), house.gateway.clone());
    let asker = alerting::asker(settings, house.query_source.clone(), house.store.clone(), house.query_memory.clone(), house.clock.clone());
    Arc::new(Reports::new(Parts {
        reports: settings.reports.clone(),
        asker,
        state: house.store.state(),
        clock: house.clock.clone(),
        meter: house.meter.clone(),
        // It may change with a reload.
        smtp: Arc::new(move || alertmanager.config().global.smtp.clone()),
        spent: Some(Arc::new(move || {
            let month = gateway.costs(0, 0).month;
            Spent { month_usd: month.line.cost_usd, budget_usd: month.budget_usd }
        })),
    }))
}
