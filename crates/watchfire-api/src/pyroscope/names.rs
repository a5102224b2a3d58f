//! `/labels` and `/label-values`: names and values, each a plain list.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use watchfire_query::profiles;

use super::answer::PyroscopeError;
use super::params::Params;
use crate::app::App;
use crate::prometheus::answer::{json, to_json};
use crate::prometheus::gate::run;

fn sets(params: &Params) -> Result<Vec<Vec<watchfire_model::matcher::Matcher>>, PyroscopeError> {
    Ok(params.get("query").map(profiles::parse).transpose()?.into_iter().collect())
}

/// `GET /labels`.
pub(super) async fn labels(State(app): State<Arc<App>>, request: Request) -> Result<Response, PyroscopeError> {
    let params = Params::read(request).await?;
    let (range, sets) = (params.range(&app, "from", "until")?, sets(&params)?);
    let names = run(&app, None, move |app, budget| Ok::<_, PyroscopeError>(profiles::label_names(&*app.rooms.profiles, &sets, range, budget)?));
    Ok(json(StatusCode::OK, to_json(&names.await?)))
}

/// `GET /label-values`.
pub(super) async fn label_values(State(app): State<Arc<App>>, request: Request) -> Result<Response, PyroscopeError> {
    let params = Params::read(request).await?;
    let name = params.get("label").ok_or_else(|| PyroscopeError::bad("parameter 'label' is required"))?.to_owned();
    let (range, sets) = (params.range(&app, "from", "until")?, sets(&params)?);
    let values = run(&app, None, move |app, budget| Ok::<_, PyroscopeError>(profiles::label_values(&*app.rooms.profiles, &name, &sets, range, budget)?));
    Ok(json(StatusCode::OK, to_json(&values.await?)))
}
