//! `_cat` about the whole: health, nodes and counts, as lines for people or as JSON. Indices and aliases have theirs beside them.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use serde_json::{Map, Value};
use url::form_urlencoded;
use watchfire_model::order::Order as _;
use watchfire_query::documents::{self, Filter};

use super::answer::{EsError, answer, text};
use super::search::selection;
use crate::app::App;
use crate::prometheus::gate::run;

/// Rows of named columns, as the address wants them: `h` chooses columns, `s` orders rows, `v` shows names, `format=json` is JSON.
pub(super) fn table(query: &str, columns: &[&str], mut rows: Vec<Vec<String>>) -> Response {
    let asked: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().take(64).collect();
    let get = |name: &str| asked.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let place = |name: &str| columns.iter().position(|column| *column == name);
    // An address has room for thousands of names; no more of them than there are columns are carried out.
    for key in get("s").into_iter().flat_map(|keys| keys.split(',').take(columns.len())).collect::<Vec<_>>().into_iter().rev() {
        let (name, descending) = key.split_once(':').map_or((key, false), |(name, order)| (name, order == "desc"));
        let Some(at) = place(name) else { continue };
        let number = |row: &[String]| row.get(at).and_then(|text| text.trim_end_matches('b').parse::<u64>().ok());
        rows.order_by(|a, b| {
            let order = number(a).cmp(&number(b)).then_with(|| a.get(at).cmp(&b.get(at)));
            if descending { order.reverse() } else { order }
        });
    }
    let chosen: Vec<usize> = match get("h").filter(|names| !names.is_empty()) {
        Some(names) => names.split(',').filter_map(place).take(columns.len()).collect(),
        None => (0..columns.len()).collect(),
    };
    let picked = |row: &[String]| chosen.iter().filter_map(|at| row.get(*at).cloned()).collect::<Vec<_>>();
    if get("format") == Some("json") {
        let names = || chosen.iter().filter_map(|at| columns.get(*at)).map(|name| (*name).to_owned());
        let objects: Vec<Map<String, Value>> = rows.iter().map(|row| names().zip(picked(row).into_iter().map(Value::from)).collect()).collect();
        return answer(StatusCode::OK, &objects);
    }
    let head = get("v").filter(|v| *v != "false").map(|_| columns.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    text(head.iter().chain(&rows).map(|row| format!("{}\n", picked(row).join(" "))).collect())
}

/// The same of one row.
fn row(query: &str, columns: &[(&str, String)]) -> Response {
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    table(query, &names, vec![columns.iter().map(|(_, value)| value.clone()).collect()])
}

/// The seconds since 1970, and the time of day.
fn time(app: &App) -> [(&'static str, String); 2] {
    let seconds = app.now().millis().div_euclid(1_000);
    let of_day = seconds.rem_euclid(86_400);
    [("epoch", seconds.to_string()), ("timestamp", format!("{:02}:{:02}:{:02}", of_day / 3_600, of_day / 60 % 60, of_day % 60))]
}

/// `GET /_cat/health`.
pub(super) async fn health(State(app): State<Arc<App>>, request: Request) -> Response {
    let status = if (app.rooms.storage)().failure.is_some() { "red" } else { "green" };
    let rest = [
        ("cluster", "watchfire"),
        ("status", status),
        ("node.total", "1"),
        ("node.data", "1"),
        ("shards", "1"),
        ("pri", "1"),
        ("relo", "0"),
        ("init", "0"),
        ("unassign", "0"),
        ("pending_tasks", "0"),
        ("max_task_wait_time", "-"),
        ("active_shards_percent", "100.0%"),
    ];
    let columns: Vec<_> = time(&app).into_iter().chain(rest.map(|(name, value)| (name, value.to_owned()))).collect();
    row(request.uri().query().unwrap_or(""), &columns)
}

/// `GET /_cat/nodes`: the one that there is.
pub(super) async fn nodes(request: Request) -> Response {
    let columns = [("ip", "127.0.0.1"), ("node.role", "dim"), ("master", "*"), ("name", "watchfire")].map(|(name, value)| (name, value.to_owned()));
    row(request.uri().query().unwrap_or(""), &columns)
}

/// `GET /_cat/count` and `/_cat/count/{index}`.
pub(super) async fn count(State(app): State<Arc<App>>, index: Option<Path<String>>, request: Request) -> Result<Response, EsError> {
    let query = request.uri().query().unwrap_or("").to_owned();
    run(&app, None, move |app, budget| {
        let selection = selection(app, budget, index.as_ref().map(|index| index.0.as_str()), false)?;
        let count = documents::count(&*app.rooms.logs, &selection, &Filter::All, budget)?;
        let columns: Vec<_> = time(app).into_iter().chain([("count", count.to_string())]).collect();
        Ok(row(&query, &columns))
    })
    .await
}
