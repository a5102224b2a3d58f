//! The Alertmanager inside as somebody who takes alerts of rules. It decides and stores; here only the words are changed.

use std::sync::Arc;

use crate::manager::Manager;
use crate::manager::alert::NewAlert;
use crate::rules::{Notify, OutgoingAlert};

/// Hands alerts to the Alertmanager inside. They are stored when it returns.
pub struct Inside(pub Arc<Manager>);

impl Notify for Inside {
    fn notify(&self, alerts: Vec<OutgoingAlert>) {
        self.0.take(alerts.into_iter().map(new_alert).collect());
    }
}

fn new_alert(alert: OutgoingAlert) -> NewAlert {
    let pairs = |labels: &watchfire_model::labels::Labels| labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    NewAlert {
        labels: pairs(&alert.labels),
        annotations: pairs(&alert.annotations),
        starts_at: Some(alert.starts_at),
        ends_at: Some(alert.ends_at),
        generator_url: alert.generator_url,
    }
}
