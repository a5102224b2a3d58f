//! An API server: people log in, get a token with an end, and ask for cameras and recordings. Its table of recordings is one that it keeps
//! itself, behind one lock, and fills from the nodes.

use std::io::{Error, Result};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::clock;
use crate::faults::Known;
use crate::http::{self, Request, Response};
use crate::part::Part;
use crate::plan::Plan;

/// How long a token is good.
const TOKEN_MS: u64 = 5_000;
/// How long somebody who tidies up the table keeps it, and lets others in between.
const LOCKED_MS: u64 = 1_800;
const LET_IN_MS: u64 = 20;
/// Rows of the table; the oldest go.
const ROWS_MAX: usize = 5_000;
const TIMEOUT: Duration = Duration::from_secs(5);
const SECONDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

const FAULTS: &[Known] = &[("database-gone", "every query fails"), ("database-locked", "somebody tidies up the table and keeps it for 1.8 s each time")];

#[derive(Clone)]
struct Row {
    camera: String,
    name: String,
    first_ms: u64,
}

struct Api {
    part: Arc<Part>,
    table: Mutex<Vec<Row>>,
    active: AtomicUsize,
}

pub(crate) fn run(name: &str, plan: Plan) -> Result<()> {
    let part = Part::new(name, plan, FAULTS);
    let api = Arc::new(Api { part: part.clone(), table: Mutex::default(), active: AtomicUsize::new(0) });
    part.metrics.set("active_connections_total", &[], 0.0);
    let filling = api.clone();
    part.every(1_000, move |part| part.plan.all_cameras().iter().for_each(|(camera, node)| filling.fill(camera, node)))?;
    let tidying = api.clone();
    part.every(LET_IN_MS, move |part| {
        let table = tidying.table.lock().unwrap_or_else(PoisonError::into_inner);
        if part.faults.is("database-locked") {
            clock::pause_ms(LOCKED_MS);
        }
        drop(table);
    })?;
    part.serve("/metrics", move |request| api.answer(request))?;
    part.live()
}

impl Api {
    /// A query of the table, measured with the time that it waits for it.
    fn query<T>(&self, kind: &str, work: impl FnOnce(&mut Vec<Row>) -> T) -> Result<T> {
        let began = clock::now();
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let done =
            if self.part.faults.is("database-gone") { Err(Error::other("cannot query the recordings: the database is gone")) } else { Ok(work(&mut table)) };
        drop(table);
        self.part.metrics.observe("database_query_duration_seconds", SECONDS, &[("query_type", kind)], began.elapsed().as_secs_f64());
        done
    }
    /// Takes what a node has of a camera into the table.
    fn fill(&self, camera: &str, node: &str) {
        let Ok((200, body)) = http::ask(&self.part.plan.address(node), "GET", &format!("/segments/{camera}"), b"", TIMEOUT) else { return };
        let Ok(Value::Array(segments)) = serde_json::from_slice(&body) else { return };
        let rows =
            segments.iter().filter_map(|s| Some(Row { camera: camera.to_owned(), name: s["name"].as_str()?.to_owned(), first_ms: s["first_ms"].as_u64()? }));
        let rows: Vec<Row> = rows.collect();
        // While the database is gone nothing is written into it; the next round does it.
        drop(self.query("insert", |table| {
            let newest = table.iter().filter(|row| row.camera == camera).map(|row| row.first_ms).max().unwrap_or(0);
            table.extend(rows.into_iter().filter(|row| row.first_ms > newest));
            let over = table.len().saturating_sub(ROWS_MAX);
            table.drain(..over);
        }));
    }
    fn answer(&self, request: &Request) -> Option<Response> {
        let endpoint = request.path.strip_prefix("/api/").map(|_| request.path.as_str())?;
        let began = clock::now();
        let active = |by: usize| self.part.metrics.set("active_connections_total", &[], by as f64);
        active(self.active.fetch_add(1, Ordering::Relaxed) + 1);
        let response = self.respond(request);
        active(self.active.fetch_sub(1, Ordering::Relaxed) - 1);
        let method = request.method.to_ascii_lowercase();
        let known = if matches!(endpoint, "/api/login" | "/api/cameras" | "/api/recordings") { endpoint } else { "other" };
        let status = response.status.to_string();
        self.part.metrics.add("http_requests_total", &[("method", &method), ("endpoint", known), ("status", &status)], 1.0);
        self.part.metrics.observe("http_request_duration_seconds", SECONDS, &[("method", &method), ("endpoint", known)], began.elapsed().as_secs_f64());
        Some(response)
    }
    fn respond(&self, request: &Request) -> Response {
        if request.path == "/api/login" {
            let user = request.json()["user"].as_str().unwrap_or_default().replace('.', "");
            return Response::json(&json!({"token": self.token(&user, clock::unix_ms() + TOKEN_MS)}));
        }
        let result = self.check(request.header("authorization").trim_start_matches("Bearer "));
        self.part.metrics.add("jwt_token_validations_total", &[("result", result)], 1.0);
        if result != "valid" {
            return Response::status_json(401, &json!({"error": format!("the token is {result}")}));
        }
        let answer = match request.path.as_str() {
            "/api/cameras" => self.query("count", |table| {
                let cameras = self.part.plan.all_cameras();
                json!(cameras.iter().map(|(c, _)| json!({"camera": c, "recordings": table.iter().filter(|r| r.camera == *c).count()})).collect::<Vec<_>>())
            }),
            "/api/recordings" => self.query("select", |table| {
                let camera = request.query.get("camera").map_or("", String::as_str);
                json!(table.iter().rev().filter(|row| row.camera == camera).take(20).map(|row| &row.name).collect::<Vec<_>>())
            }),
            _ => return Response::status_json(404, &json!({"error": "there is nothing here"})),
        };
        answer.map_or_else(|error| Response::status_json(500, &json!({"error": error.to_string()})), |value| Response::json(&value))
    }
    /// A user, an end, and what proves that we said so.
    fn token(&self, user: &str, end_ms: u64) -> String {
        let proof = Sha256::digest(format!("{}.{user}.{end_ms}", self.part.plan.dir.display()));
        format!("{user}.{end_ms}.{}", proof.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }
    fn check(&self, token: &str) -> &'static str {
        let mut parts = token.split('.');
        let (Some(user), Some(end)) = (parts.next(), parts.next().and_then(|end| end.parse::<u64>().ok())) else { return "invalid" };
        match self.token(user, end) == token {
            false => "invalid",
            true if end < clock::unix_ms() => "expired",
            true => "valid",
        }
    }
}
