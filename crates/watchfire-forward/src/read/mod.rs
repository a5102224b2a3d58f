//! Remote read: queries also see what other places have. Local series come first and win; a place that fails becomes a warning beside
//! the answer, as with Prometheus' secondary storages. Names and values of labels, series without samples and metadata are local.

mod endpoint;
mod merge;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::runtime::Handle;
use watchfire_collect::scrape::config::RemoteRead;
use watchfire_model::batch::{Metadata, SeriesExemplars};
use watchfire_model::labels::Labels;
use watchfire_model::meter::Meter;
use watchfire_model::read::{Budget, ReadError, Selection, Series, Source, Visitor, WindowVisitor};
use watchfire_model::windows::Kept;
use watchfire_net::client::Caller;

use endpoint::{Endpoint, Failure};
use merge::merge;

/// What remote read works with.
pub struct Parts {
    /// What is here.
    pub local: Arc<dyn Source>,
    /// From when on everything is here, in milliseconds since 1970; `None` while there is nothing.
    pub local_begin: Arc<dyn Fn() -> Option<i64> + Send + Sync>,
    /// What makes the requests.
    pub caller: Arc<Caller>,
    /// Where figures go.
    pub meter: Meter,
    /// Where requests run.
    pub runtime: Handle,
}

/// What is here and, beside it, what other places have.
pub struct RemoteSource {
    parts: Parts,
    endpoints: RwLock<Vec<Arc<Endpoint>>>,
}

impl RemoteSource {
    /// A source without other places.
    pub fn new(parts: Parts) -> RemoteSource {
        RemoteSource { parts, endpoints: RwLock::default() }
    }

    /// Makes these the other places. Queries under way go on with those of before.
    pub fn apply(&self, configs: &[Arc<RemoteRead>], external: &Labels) {
        let endpoints = configs.iter().map(|c| Arc::new(Endpoint::new(c.clone(), external, self.parts.caller.clone(), &self.parts.meter))).collect();
        *self.endpoints.write().unwrap_or_else(PoisonError::into_inner) = endpoints;
    }

    /// What the other places have of a selection, by labels. What cannot be had becomes a warning.
    fn remote(&self, selection: &Selection, budget: &Budget) -> Result<HashMap<Labels, Series>, ReadError> {
        let endpoints = self.endpoints.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut found = HashMap::new();
        if endpoints.is_empty() {
            return Ok(found);
        }
        let local_begin = (self.parts.local_begin)();
        // All are asked before the first answer is waited for.
        let asked: Vec<_> =
            endpoints.into_iter().filter_map(|endpoint| Some((endpoint.ask(selection, local_begin, budget, &self.parts.runtime)?, endpoint))).collect();
        for (answer, endpoint) in asked {
            match endpoint.take(answer, budget, &mut |series| add(&mut found, series, budget)) {
                Ok(()) => {}
                Err(Failure::Ours(error)) => return Err(error),
                // What came before the failure is no whole answer, but each sample of it is true: it stays, with the warning.
                Err(Failure::Theirs(why)) => budget.warn(format!("remote_read {}: {why}", endpoint.shown_url())),
            }
        }
        Ok(found)
    }
}

/// Adds a series that may have come from another place, or in another part of the answer, before.
fn add(found: &mut HashMap<Labels, Series>, series: Series, budget: &Budget) {
    match found.get_mut(&series.labels) {
        Some(known) => {
            let (before, more) = (known.cost(), series.cost());
            *known = merge(std::mem::take(known), series);
            budget.release_samples((before + more).saturating_sub(known.cost()));
        }
        None => {
            found.insert(series.labels.clone(), series);
        }
    }
}

impl Source for RemoteSource {
    fn select(&self, selection: &Selection, budget: &Budget, visit: &mut Visitor<'_>) -> Result<(), ReadError> {
        let mut remote = self.remote(selection, budget)?;
        if remote.is_empty() {
            return self.parts.local.select(selection, budget, visit);
        }
        let mut over = false;
        self.parts.local.select(selection, budget, &mut |series| {
            let flow = match remote.remove(&series.labels) {
                None => visit(series)?,
                Some(other) => {
                    let before = series.cost() + other.cost();
                    let merged = merge(series, other);
                    budget.release_samples(before.saturating_sub(merged.cost()));
                    visit(merged)?
                }
            };
            over = flow.is_break();
            Ok(flow)
        })?;
        for series in remote.into_values() {
            if over {
                budget.release_samples(series.cost());
            } else {
                over = visit(series)?.is_break();
            }
        }
        Ok(())
    }
    fn series(&self, selection: &Selection, budget: &Budget) -> Result<Vec<Labels>, ReadError> {
        self.parts.local.series(selection, budget)
    }
    fn label_names(&self, selection: &Selection, budget: &Budget) -> Result<Vec<String>, ReadError> {
        self.parts.local.label_names(selection, budget)
    }
    fn label_values(&self, name: &str, selection: &Selection, budget: &Budget) -> Result<Vec<String>, ReadError> {
        self.parts.local.label_values(name, selection, budget)
    }
    fn label_values_at_once(&self, name: &str, selection: &Selection) -> Option<Vec<String>> {
        self.parts.local.label_values_at_once(name, selection)
    }
    fn exemplars(&self, selection: &Selection, budget: &Budget) -> Result<Vec<SeriesExemplars>, ReadError> {
        self.parts.local.exemplars(selection, budget)
    }
    /// Other places give samples only, and these may be of any time: then nobody can say what windows tell.
    fn kept_windows(&self) -> Vec<Kept> {
        if self.endpoints.read().unwrap_or_else(PoisonError::into_inner).is_empty() { self.parts.local.kept_windows() } else { Vec::new() }
    }
    /// Those of here; who asks has seen that there are no other places.
    fn windows(&self, selection: &Selection, resolution_ms: i64, budget: &Budget, visit: &mut WindowVisitor<'_>) -> Result<(), ReadError> {
        self.parts.local.windows(selection, resolution_ms, budget, visit)
    }
    fn metadata(&self) -> Vec<Metadata> {
        self.parts.local.metadata()
    }
}
