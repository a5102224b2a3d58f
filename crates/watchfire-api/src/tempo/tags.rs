//! Names of attributes and values of fields, in the older form and in that with scopes and types.

use std::sync::Arc;

use axum::extract::{MatchedPath, Path, Request, State};
use serde_json::{Value as Json, json};
use url::form_urlencoded;
use watchfire_query::traces::traceql::{Field, Intrinsic, NameScope, Val, field_of, names as find_names, values as find_values};

use super::answer::{Plain, TempoError};
use super::params::Params;
use crate::app::App;
use crate::prometheus::gate::run;

/// So many values come unless fewer are wanted.
const VALUES_MAX: usize = 5_000;

/// The scope of fields that every span has.
const INTRINSIC: &str = "intrinsic";

/// `GET /api/search/tags`, `/api/v2/search/tags`.
pub(super) async fn names(State(app): State<Arc<App>>, path: MatchedPath, request: Request) -> Result<Plain, TempoError> {
    let params = Params::read(request).await?;
    let by_scope = path.as_str().contains("/v2/");
    let wanted = params.get("scope").filter(|scope| *scope != "none");
    let scopes: Vec<NameScope> = NameScope::ALL.into_iter().filter(|scope| wanted.is_none_or(|wanted| wanted == scope.name())).collect();
    if let Some(wanted) = wanted
        && scopes.is_empty()
        && wanted != INTRINSIC
    {
        return Err(TempoError::bad(format!("invalid scope: {wanted}")));
    }
    let with_intrinsics = wanted.is_none_or(|wanted| wanted == INTRINSIC);
    let filter = params.query(&app).unwrap_or(None);
    let (range, limit) = (params.range(&app)?, limit(&params)?);
    run(&app, None, move |app, budget| {
        let found = if scopes.is_empty() { Default::default() } else { find_names(&*app.rooms.spans, &scopes, filter.as_ref(), range, budget)? };
        let intrinsics: Vec<&str> = if with_intrinsics { Intrinsic::names().collect() } else { Vec::new() };
        if !by_scope {
            let mut all: Vec<&str> = found.values().flatten().map(String::as_str).collect();
            if !scopes_are_all(&scopes) {
                all.extend(&intrinsics);
            }
            all.sort_unstable();
            all.dedup();
            all.truncate(limit);
            return Ok(Plain(json!({"tagNames": all})));
        }
        let mut list: Vec<Json> = Vec::new();
        for (scope, names) in found.iter().filter(|(_, names)| !names.is_empty()) {
            list.push(json!({"name": scope.name(), "tags": names.iter().take(limit).collect::<Vec<_>>()}));
        }
        if !intrinsics.is_empty() {
            list.push(json!({"name": INTRINSIC, "tags": intrinsics}));
        }
        Ok(Plain(json!({"scopes": list})))
    })
    .await
}

/// The older form tells attributes only, unless it is asked for the others.
fn scopes_are_all(scopes: &[NameScope]) -> bool {
    scopes.len() == NameScope::ALL.len()
}

fn limit(params: &Params) -> Result<usize, TempoError> {
    Ok(match params.count("limit", VALUES_MAX)? {
        0 => VALUES_MAX,
        limit => limit.min(VALUES_MAX),
    })
}

/// Grafana encodes names twice, and the path is decoded once.
fn decoded(tag: &str) -> String {
    if !tag.contains('%') {
        return tag.to_owned();
    }
    let escaped = tag.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(escaped.as_bytes()).next().map_or_else(String::new, |(name, _)| name.into_owned())
}

async fn found(app: &Arc<App>, field: Field, request: Request) -> Result<Vec<Val<'static>>, TempoError> {
    let params = Params::read(request).await?;
    // While somebody types, a query is not one yet; then all values are told.
    let filter = params.query(app).unwrap_or(None);
    let (range, limit) = (params.range(app)?, limit(&params)?);
    run(app, None, move |app, budget| Ok(find_values(&*app.rooms.spans, &field, filter.as_ref(), range, limit, budget)?)).await
}

/// `GET /api/search/tag/{tag}/values`.
pub(super) async fn values(State(app): State<Arc<App>>, Path(tag): Path<String>, request: Request) -> Result<Plain, TempoError> {
    let all = found(&app, field_of(&decoded(&tag)), request).await?;
    Ok(Plain(json!({"tagValues": all.iter().map(Val::text).collect::<Vec<_>>()})))
}

/// `GET /api/v2/search/tag/{tag}/values`.
pub(super) async fn typed_values(State(app): State<Arc<App>>, Path(tag): Path<String>, request: Request) -> Result<Plain, TempoError> {
    let all = found(&app, field_of(&decoded(&tag)), request).await?;
    let typed = |value: &Val<'_>| {
        let kind = match value {
            Val::Int(_) => "int",
            Val::Float(_) => "float",
            Val::Bool(_) => "bool",
            Val::Duration(_) => "duration",
            Val::Status(_) | Val::Kind(_) => "keyword",
            _ => "string",
        };
        json!({"type": kind, "value": value.text()})
    };
    Ok(Plain(json!({"tagValues": all.iter().map(typed).collect::<Vec<_>>()})))
}

#[cfg(test)]
mod tests {
    use watchfire_query::traces::traceql::Owner;

    use super::*;

    #[test]
    fn names_that_are_encoded_twice() {
        for (encoded, expected) in [
            ("resource.service.name", "resource.service.name"),
            ("span.%22a%20b%22", r#"span."a b""#),
            ("span.a%2Fb", "span.a/b"),
            ("span.a+b%3D", "span.a+b="),
            ("100%", "100%"),
        ] {
            assert_eq!(decoded(encoded), expected);
        }
        assert_eq!(field_of(&decoded("span.%22a%20b%22")), Field::Attribute(Owner::Span, "a b".to_owned()));
    }
}
