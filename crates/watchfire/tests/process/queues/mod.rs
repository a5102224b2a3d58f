//! Queues of the real program: with a producer in Python on a real Redis, over HTTP, and through many deaths.

mod crash;
mod redis;

use serde_json::Value;

use crate::server::{Server, request};

/// Sends a request without headers that matters to nobody else.
fn send(server: &Server, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
    let answer = request(server.address, method, path, &[("content-type", "application/json")], body).unwrap();
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or(Value::Null))
}
