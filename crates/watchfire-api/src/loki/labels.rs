//! `/loki/api/v1/labels`, `/label/{name}/values` and `/series`.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use watchfire_model::labels::Labels;
use watchfire_model::logs::LogSelection;
use watchfire_model::matcher::Matcher;
use watchfire_model::order::Order as _;
use watchfire_query::logql::{parse_log, parse_selector};

use super::answer::{Data, LokiError};
use super::params::{Params, Range};
use crate::app::App;
use crate::prometheus::gate::run;
use crate::prometheus::labels::LabelsJson;

/// The matchers of a selector; nothing is everything. What stands behind the selector does not matter.
pub(super) fn matchers(text: &str) -> Result<Vec<Matcher>, LokiError> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    match parse_selector(text) {
        Ok(matchers) => Ok(matchers),
        Err(error) => Ok(parse_log(text).map_err(|_| error)?.matchers),
    }
}

pub(super) fn selection(matchers: Vec<Matcher>, range: Range) -> LogSelection {
    LogSelection::new(matchers, range.start, range.end)
}

/// `GET|POST /loki/api/v1/labels`.
pub(super) async fn labels(State(app): State<Arc<App>>, request: Request) -> Result<Data<Vec<String>>, LokiError> {
    let params = Params::read(request).await?;
    let selection = selection(matchers(params.get("query").unwrap_or(""))?, params.labels_range(&app)?);
    run(&app, None, move |app, budget| Ok(Data(app.rooms.logs.log_label_names(&selection, budget)?))).await
}

/// `GET|POST /loki/api/v1/label/{name}/values`.
pub(super) async fn values(State(app): State<Arc<App>>, Path(name): Path<String>, request: Request) -> Result<Data<Vec<String>>, LokiError> {
    let params = Params::read(request).await?;
    let selection = selection(matchers(params.get("query").unwrap_or(""))?, params.labels_range(&app)?);
    run(&app, None, move |app, budget| Ok(Data(app.rooms.logs.log_label_values(&name, &selection, budget)?))).await
}

/// `GET|POST /loki/api/v1/series`.
pub(super) async fn series(State(app): State<Arc<App>>, request: Request) -> Result<Data<Vec<StreamLabels>>, LokiError> {
    let params = Params::read(request).await?;
    let range = params.labels_range(&app)?;
    let mut sets = params.all("match[]").chain(params.all("match")).map(matchers).collect::<Result<Vec<_>, _>>()?;
    if sets.is_empty() {
        sets.push(Vec::new());
    }
    run(&app, None, move |app, budget| {
        let mut all: Vec<Labels> = Vec::new();
        for set in sets {
            let found = app.rooms.logs.log_volume(&selection(set, range), budget)?;
            all.extend(found.into_iter().map(|volume| volume.labels));
        }
        all.order();
        all.dedup();
        Ok(Data(all.into_iter().map(StreamLabels).collect()))
    })
    .await
}

/// Labels as a JSON object.
#[derive(Clone)]
pub(super) struct StreamLabels(pub(super) Labels);
impl serde::Serialize for StreamLabels {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        LabelsJson(&self.0).serialize(serializer)
    }
}
