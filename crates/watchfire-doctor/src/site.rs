//! Everything that is checked together: the files of one site, and what is said when they are seen side by side.

use std::sync::Arc;

use watchfire_alert::rules::file::{Language, RuleFile};
use watchfire_model::document::Node;
use watchfire_model::order::Order as _;
use watchfire_pack::catalog::Catalogs;

use crate::document::{Document, Kind};
use crate::knowledge::{Knowledge, Live};
use crate::report::Diagnosis;
use crate::routing::alerts::{Alert, OnTheWay};
use crate::{agents, compose, dashboard, grafana_ini, routing, rules, scraping};

/// The files of one site.
#[derive(Clone, Default)]
pub struct Site {
    /// Parsed documents; what each is shows by what stands in it.
    pub documents: Vec<Document>,
    /// Rule files that are evaluated.
    pub rules: Vec<RuleFile>,
    /// Rule files of packs, which nobody has to name.
    pub shipped_rules: Vec<RuleFile>,
    /// Texts in the form of `grafana.ini`, by name.
    pub inis: Vec<(Arc<str>, String)>,
    /// Whether there are rules that could not be read: then nobody knows all alerts.
    pub incomplete: bool,
}

impl Site {
    /// Adds a document.
    pub fn add(&mut self, name: &str, node: Node) {
        self.documents.push(Document { name: name.into(), node });
    }

    /// Checks everything, each file by itself and beside the others. Findings come in the order of files and lines.
    pub fn check(&self, catalogs: Arc<Catalogs>, live: Option<Arc<dyn Live>>) -> Vec<Diagnosis> {
        let all: Vec<&RuleFile> = self.rules.iter().chain(&self.shipped_rules).collect();
        let recorded = all.iter().flat_map(|f| rules::of_file(f)).filter(|r| !r.kind.is_alert()).map(|r| r.name.clone());
        let mut knowledge = Knowledge::new(catalogs.clone()).with_recorded(recorded);
        if let Some(jobs) = scraping::jobs(&self.documents, &catalogs) {
            knowledge = knowledge.with_jobs(jobs).with_own_jobs(scraping::own_jobs(&self.documents));
        }
        if let Some(live) = live {
            knowledge = knowledge.with_live(live);
        }
        let mut found = Vec::new();
        let way = OnTheWay::of(&self.documents);
        let (alerts, records) = rules::alone(&all, &knowledge, &way, &mut found);
        crate::beside::check(&alerts, &routing::inhibitions(&self.documents), &mut found);
        crate::beside::records(&records, &mut found);
        let alerts: Vec<_> = alerts.into_iter().map(|known| known.alert).chain(Alert::all_own(&way)).collect();
        let names: Vec<&str> = self.rules.iter().filter(|f| f.language == Language::Metrics && !f.groups.is_empty()).map(|f| &*f.name).collect();
        for document in &self.documents {
            match document.kind() {
                Kind::Prometheus => scraping::check(document, &names, &mut found),
                Kind::Alertmanager => routing::check(document, &self.documents, if self.incomplete { &[] } else { &alerts }, &mut found),
                Kind::Dashboard => dashboard::check(document, &knowledge, &mut found),
                Kind::Promtail => agents::promtail(document, &mut found),
                Kind::Loki => agents::loki(document, &mut found),
                Kind::Filebeat => agents::filebeat(document, &mut found),
                Kind::Rules | Kind::Compose | Kind::Other => {}
            }
        }
        compose::check(&self.documents, &mut found);
        for (name, text) in &self.inis {
            grafana_ini::check(name, text, &mut found);
        }
        found.order_by(|a, b| (&a.file, a.line, a.column, a.code).cmp(&(&b.file, b.line, b.column, b.code)));
        // One place is said once, however many rules follow from it.
        found.dedup_by(|a, b| (&a.file, a.line, a.column, a.code, &a.message) == (&b.file, b.line, b.column, b.code, &b.message));
        found
    }
}
