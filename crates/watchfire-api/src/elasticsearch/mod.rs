//! The Elasticsearch face: bulk requests, searches, and what Filebeat, Logstash, rsyslog, Grafana and the official clients ask before they
//! write or read. What a query means is computed in `watchfire-query`. On the main port it is below `/elasticsearch`.

mod aliases;
mod answer;
mod bulk;
mod cats;
mod cluster;
mod contexts;
mod indices;
mod lookups;
mod manage;
mod paging;
mod search;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};

pub(crate) use self::aliases::Aliases;
use self::answer::EsError;
pub(crate) use self::contexts::Contexts;
use crate::app::App;
use crate::server::{Content, Level, Refusal, Route};

const PREFIX: &str = "/elasticsearch";

/// Refusals of the server itself, in the shape that Elasticsearch's clients read.
fn envelope(refusal: &Refusal) -> Response {
    let kind = match refusal.status.as_u16() {
        401 | 403 => "security_exception",
        405 => "method_not_allowed",
        429 | 503 => "es_rejected_execution_exception",
        500..=599 => "exception",
        _ => "illegal_argument_exception",
    };
    EsError::new(refusal.status, kind, refusal.message.clone()).into_response()
}

/// The routes of the face on the main port.
pub fn routes() -> Vec<Route<Arc<App>>> {
    let mut all: Vec<_> = table().into_iter().map(|route| route.under(PREFIX)).collect();
    all.push(finished(Route::get("/elasticsearch/", Level::Public, cluster::root).hidden()));
    all
}

/// The routes of Elasticsearch's own port.
pub fn port_routes() -> Vec<Route<Arc<App>>> {
    table().into_iter().map(Route::hidden).collect()
}

/// What nobody serves on that port.
pub async fn fallback(request: Request) -> Response {
    let message = format!("no handler found for uri [{}] and method [{}]", request.uri().path(), request.method());
    EsError::new(StatusCode::NOT_FOUND, "illegal_argument_exception", message).into_response()
}

fn finished(route: Route<Arc<App>>) -> Route<Arc<App>> {
    route.errors(envelope).tag("elasticsearch")
}

fn table() -> Vec<Route<Arc<App>>> {
    let all = [writing(), reading(), handshake(), managing()];
    all.into_iter().flatten().map(finished).collect()
}

const BOTH: [Method; 2] = [Method::POST, Method::PUT];
const ASKED: [Method; 2] = [Method::GET, Method::POST];

fn writing() -> Vec<Route<Arc<App>>> {
    let all = vec![
        Route::new(&BOTH, "/_bulk", Level::Ingest, bulk::bulk).summary("Documents, one after the other"),
        Route::new(&BOTH, "/{index}/_bulk", Level::Ingest, bulk::bulk_into).summary("The same, with an index for those that name none"),
        Route::post("/{index}/_doc", Level::Ingest, bulk::document).summary("One document"),
        Route::new(&BOTH, "/{index}/_doc/{id}", Level::Ingest, bulk::document_called).summary("One document with an id"),
        Route::new(&BOTH, "/{index}/_create/{id}", Level::Ingest, bulk::document_called).hidden(),
    ];
    all.into_iter().map(|route| route.takes(Content::Any).telemetry_body()).collect()
}

fn reading() -> Vec<Route<Arc<App>>> {
    let all = vec![
        Route::new(&ASKED, "/_search", Level::Read, search::search)
            .summary("A search by query string (q) or by the query DSL")
            .query_parameter("q", "A Lucene query string")
            .query_parameter("language", "kql if q is that")
            .query_parameter("size", "Hits at most, 10 by default")
            .query_parameter("sort", "field:desc, …"),
        Route::new(&ASKED, "/{index}/_search", Level::Read, search::search).summary("The same in some indices"),
        Route::new(&ASKED, "/_count", Level::Read, search::count).summary("How many documents satisfy a query"),
        Route::new(&ASKED, "/{index}/_count", Level::Read, search::count).summary("The same in some indices"),
        Route::new(&ASKED, "/_msearch", Level::Read, search::msearch).summary("Several searches at once"),
        Route::new(&ASKED, "/{index}/_msearch", Level::Read, search::msearch).hidden(),
        Route::new(&ASKED, "/_search/scroll", Level::Read, paging::next).summary("The next page of a search that was begun with scroll"),
        Route::new(&ASKED, "/_search/scroll/{id}", Level::Read, paging::next).hidden(),
        Route::delete("/_search/scroll", Level::Read, paging::clear).summary("Ends scrolls"),
        Route::delete("/_search/scroll/{id}", Level::Read, paging::clear).hidden(),
        Route::post("/{index}/_pit", Level::Read, paging::open).summary("A point in time, for searches that go on by search_after"),
        Route::delete("/_pit", Level::Read, paging::close).summary("Ends a point in time"),
        Route::new(&ASKED, "/_mget", Level::Read, lookups::mget).summary("Documents by their ids"),
        Route::new(&ASKED, "/{index}/_mget", Level::Read, lookups::mget).summary("The same of one index"),
        Route::new(&ASKED, "/_field_caps", Level::Read, lookups::field_caps).summary("Which fields can be asked for"),
        Route::new(&ASKED, "/{index}/_field_caps", Level::Read, lookups::field_caps).summary("The same in some indices"),
        Route::get("/_alias", Level::Read, aliases::list).summary("Indices with their aliases"),
        Route::get("/_aliases", Level::Read, aliases::list).hidden(),
        Route::get("/{index}/_alias", Level::Read, aliases::list).hidden(),
        Route::get("/{index}/_aliases", Level::Read, aliases::list).hidden(),
        // Senders ask for it before they write.
        Route::get("/_alias/{name}", Level::Ingest, aliases::named).summary("Indices that have an alias"),
        Route::get("/{index}/_alias/{name}", Level::Read, aliases::named_of).hidden(),
        Route::get("/_cat/aliases", Level::Read, aliases::cat).summary("Aliases with their indices"),
        Route::get("/_cat/count", Level::Read, cats::count).hidden(),
        Route::get("/_cat/count/{index}", Level::Read, cats::count).hidden(),
        Route::get("/_stats", Level::Read, indices::stats).hidden(),
        Route::get("/{index}/_stats", Level::Read, indices::stats).hidden(),
        Route::get("/_settings", Level::Read, indices::settings).hidden(),
        Route::get("/{index}/_settings", Level::Read, indices::settings).hidden(),
        Route::get("/{index}/_source/{id}", Level::Read, search::source_of).hidden(),
        Route::get("/{index}/_doc/{id}", Level::Read, search::document).summary("A document by its id"),
        Route::get("/_mapping", Level::Read, indices::mapping).summary("Fields of the newest documents with their types"),
        Route::get("/{index}/_mapping", Level::Read, indices::mapping).summary("The same in some indices"),
        Route::get("/_cat/indices", Level::Read, indices::cat).summary("Indices with their sizes"),
        Route::get("/_cat/indices/{index}", Level::Read, indices::cat).hidden(),
        Route::get("/{index}", Level::Read, indices::index).summary("Whether there is an index"),
    ];
    // The query gate and the budget of each query bound these.
    all.into_iter().map(|route| route.takes(Content::Any).time_limit(None)).collect()
}

/// What senders ask before they write. There are no templates, policies and pipelines; those who bring them are told that all is well.
fn handshake() -> Vec<Route<Arc<App>>> {
    let mut all = vec![
        Route::get("/", Level::Public, cluster::root).summary("The version that is claimed"),
        Route::get("/_cluster/health", Level::Public, cluster::health).summary("Health: green, or red when nothing can be written"),
        Route::get("/_cluster/health/{index}", Level::Public, cluster::health).hidden(),
        Route::get("/_cat/health", Level::Read, cats::health).hidden(),
        Route::get("/_cat/nodes", Level::Read, cats::nodes).hidden(),
        Route::get("/_cluster/settings", Level::Read, cluster::settings).hidden(),
        Route::get("/_license", Level::Ingest, cluster::license).summary("A basic license"),
        Route::get("/_xpack", Level::Ingest, cluster::xpack).hidden(),
        Route::get("/_nodes", Level::Ingest, cluster::nodes).hidden(),
        Route::get("/_nodes/{what}", Level::Ingest, cluster::nodes).hidden(),
        Route::new(&ASKED, "/_refresh", Level::Ingest, cluster::refreshed).hidden(),
        Route::new(&ASKED, "/{index}/_refresh", Level::Ingest, cluster::refreshed).hidden(),
        Route::new(&ASKED, "/{index}/_flush", Level::Ingest, cluster::refreshed).hidden(),
    ];
    for path in [
        "/_index_template/{name}",
        "/_component_template/{name}",
        "/_template/{name}",
        "/_ilm/policy/{name}",
        "/_ingest/pipeline/{name}",
        "/_data_stream/{name}",
    ] {
        all.push(Route::get(path, Level::Ingest, cluster::named).hidden());
        all.push(Route::new(&BOTH, path, Level::Ingest, cluster::acknowledged).hidden());
    }
    all.push(Route::put("/{index}", Level::Ingest, cluster::created).takes(Content::Any).hidden());
    all.push(Route::post("/_aliases", Level::Ingest, aliases::update).takes(Content::Any).summary("Adds aliases, and takes them away"));
    for path in ["/{index}/_alias/{name}", "/{index}/_aliases/{name}"] {
        all.push(Route::new(&BOTH, path, Level::Ingest, aliases::put).takes(Content::Any).hidden());
        all.push(Route::delete(path, Level::Ingest, aliases::delete).hidden());
    }
    all.push(Route::put("/{index}/_mapping", Level::Ingest, cluster::acknowledged).hidden());
    all.push(Route::put("/{index}/_settings", Level::Ingest, cluster::acknowledged).hidden());
    // Templates of Beats are large, and nobody looks at them.
    all.into_iter().map(Route::telemetry_body).collect()
}

fn managing() -> Vec<Route<Arc<App>>> {
    vec![
        Route::delete("/{index}", Level::Admin, manage::delete_index).time_limit(None).summary("Deletes what an index holds"),
        Route::post("/{index}/_delete_by_query", Level::Admin, manage::delete_by_query)
            .takes(Content::Any)
            .time_limit(None)
            .summary("Deletes what satisfies a query"),
    ]
}
