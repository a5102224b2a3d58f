//! `/api/v1/query_exemplars`: the exemplars of all series that a query selects.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use watchfire_model::labels::Labels;
use watchfire_model::read::{Budget, Selection};
use watchfire_model::sample::Exemplar;
use watchfire_model::time::Timestamp;
use watchfire_query::promql::{format_value, parse};

use super::answer::{ApiError, Success, to_json};
use super::gate::run;
use super::labels::LabelsJson;
use super::number::write_time;
use super::params::Params;
use super::query::text_of;
use crate::app::App;

/// `GET|POST /api/v1/query_exemplars`.
pub(crate) async fn exemplars(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let params = Params::read(request).await?;
    let (start, end) = (params.time_or("start", Timestamp::MIN)?, params.time_or("end", Timestamp::MAX)?);
    if end < start {
        return Err(ApiError::bad_data("end timestamp must not be before start timestamp"));
    }
    let expr = parse(&text_of(&app, &params)?).map_err(|error| ApiError::bad_data(error.to_string()))?;
    let selections: Vec<Selection> = expr.selectors().iter().map(|s| Selection { matchers: s.matchers.clone(), start, end }).collect();
    if selections.is_empty() {
        // A query that selects nothing has nothing to answer, which Prometheus says in this way.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    run(&app, None, move |app, budget| {
        let mut found: BTreeMap<Labels, Vec<Exemplar>> = BTreeMap::new();
        for selection in &selections {
            for series in app.rooms.source.exemplars(selection, budget)? {
                budget.check()?;
                found.insert(series.labels, series.exemplars);
            }
        }
        Ok(render(&found, budget)?.into_response())
    })
    .await
}

fn render(found: &BTreeMap<Labels, Vec<Exemplar>>, budget: &Budget) -> Result<Success, ApiError> {
    let mut out = b"[".to_vec();
    for (labels, exemplars) in found.iter().filter(|(_, exemplars)| !exemplars.is_empty()) {
        let before = out.len();
        if before > 1 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"seriesLabels\":");
        out.extend_from_slice(&to_json(&LabelsJson(labels)));
        out.extend_from_slice(b",\"exemplars\":[");
        for (i, exemplar) in exemplars.iter().enumerate() {
            out.extend_from_slice(if i == 0 { b"{\"labels\":" } else { b",{\"labels\":" });
            out.extend_from_slice(&to_json(&LabelsJson(&exemplar.labels)));
            out.extend_from_slice(format!(",\"value\":\"{}\",\"timestamp\":", format_value(exemplar.value)).as_bytes());
            write_time(&mut out, exemplar.time);
            out.push(b'}');
        }
        out.extend_from_slice(b"]}");
        budget.charge_memory((out.len() - before) as u64)?;
    }
    out.push(b']');
    Ok(Success { data: out, ..Success::default() })
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use watchfire_model::batch::SeriesExemplars;
    use watchfire_model::labels;
    use watchfire_model::sample::Exemplar;
    use watchfire_model::time::Timestamp;

    use crate::testing::Faces;

    #[tokio::test]
    async fn exemplars_look_like_the_originals() {
        let faces = Faces::new();
        let exemplar = |id: &str, ms: i64, value: f64| Exemplar { labels: labels!("trace_id" => id), time: Timestamp(ms), value };
        let series = |name: &str, exemplars: Vec<Exemplar>| SeriesExemplars { labels: labels!("__name__" => name, "job" => "a"), exemplars };
        faces.house.held().exemplars = vec![
            series("b_bucket", vec![exemplar("EpTxMJ40fUus7aGY", 1_600_096_945_479, 6.0), exemplar("x", 1_600_096_946_000, 1e-7)]),
            series("a_total", vec![exemplar("y", 5, 1.0)]),
        ];
        let check = async |query: &str, expected: &str| {
            let answer = faces.get(&format!("/api/v1/query_exemplars?{query}")).await;
            assert_eq!((answer.status, answer.text().as_str()), (StatusCode::OK, format!(r#"{{"status":"success","data":{expected}}}"#).as_str()), "{query}");
        };
        let b = r#"{"seriesLabels":{"__name__":"b_bucket","job":"a"},"exemplars":[{"labels":{"trace_id":"EpTxMJ40fUus7aGY"},"value":"6","timestamp":1600096945.479},{"labels":{"trace_id":"x"},"value":"1e-07","timestamp":1600096946}]}"#;
        check("query=b_bucket", &format!("[{b}]")).await;
        check("query=rate(b_bucket%5B5m%5D)%2Ba_total&start=6", &format!("[{b}]")).await;
        check("query=a_total&end=0.004", "[]").await;
        assert_eq!(faces.get("/api/v1/query_exemplars?query=a_total%2Bb_bucket").await.json()["data"].as_array().unwrap().len(), 2);
        assert_eq!(faces.get("/api/v1/query_exemplars?query=1").await.status, StatusCode::NO_CONTENT, "nothing is selected");
        let late = faces.form("/api/v1/query_exemplars", "query=up&start=2&end=1").await;
        assert_eq!((late.status, late.json()["error"].as_str()), (StatusCode::BAD_REQUEST, Some("end timestamp must not be before start timestamp")));
    }
}
