//! The switches of a part: which faults it has at the moment. Switching one on changes nothing but what the part really does; no metric is
//! set here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use serde_json::json;

use crate::http::{Request, Response};

/// A fault's name and what happens.
pub(crate) type Known = (&'static str, &'static str);

/// Faults that a part can have.
pub(crate) struct Faults {
    known: &'static [Known],
    /// By name, what each is about (a camera); empty for all.
    on: Mutex<BTreeMap<String, BTreeSet<String>>>,
}

impl Faults {
    pub(crate) fn new(known: &'static [Known]) -> Faults {
        Faults { known, on: Mutex::default() }
    }
    /// Whether a fault is on, whatever it is about.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.on.lock().unwrap_or_else(PoisonError::into_inner).contains_key(name)
    }
    /// Whether a fault is on for one thing.
    pub(crate) fn is_of(&self, name: &str, what: &str) -> bool {
        let on = self.on.lock().unwrap_or_else(PoisonError::into_inner);
        on.get(name).is_some_and(|of| of.contains("") || of.contains(what))
    }
    /// `GET /faults`, `POST /fault/NAME?of=…`, `DELETE /fault/NAME?of=…`.
    pub(crate) fn answer(&self, request: &Request) -> Option<Response> {
        if request.path == "/faults" {
            return Some(self.list());
        }
        let name = request.path.strip_prefix("/fault/")?;
        if !self.known.iter().any(|(known, _)| *known == name) {
            return Some(Response::text(404, format!("there is no fault {name:?} here; GET /faults lists those that there are\n")));
        }
        let of = request.query.get("of").cloned().unwrap_or_default();
        let mut on = self.on.lock().unwrap_or_else(PoisonError::into_inner);
        match request.method.as_str() {
            "POST" => {
                on.entry(name.to_owned()).or_default().insert(of);
            }
            "DELETE" if of.is_empty() => {
                on.remove(name);
            }
            "DELETE" => {
                let rest = on.remove(name).map(|mut all| {
                    all.remove(&of);
                    all
                });
                if let Some(rest) = rest.filter(|rest| !rest.is_empty()) {
                    on.insert(name.to_owned(), rest);
                }
            }
            _ => return Some(Response::text(405, "POST begins a fault, DELETE ends it\n".to_owned())),
        }
        drop(on);
        Some(self.list())
    }
    fn list(&self) -> Response {
        let on = self.on.lock().unwrap_or_else(PoisonError::into_inner);
        let all: Vec<_> = self.known.iter().map(|(name, what)| json!({"name": name, "what": what, "on": on.get(*name)})).collect();
        Response::json(&json!(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_begin_and_end_for_all_or_for_one() {
        let faults = Faults::new(&[("stop", "it stands still")]);
        let ask = |method: &str, target: &str| faults.answer(&Request::of(method, target)).map(|r| r.status);
        assert_eq!((ask("POST", "/fault/stop?of=a"), faults.is_of("stop", "a"), faults.is_of("stop", "b"), faults.is("stop")), (Some(200), true, false, true));
        assert_eq!((ask("POST", "/fault/stop"), faults.is_of("stop", "b")), (Some(200), true));
        assert_eq!((ask("DELETE", "/fault/stop"), faults.is("stop")), (Some(200), false));
        assert_eq!((ask("POST", "/fault/stop?of=a"), ask("DELETE", "/fault/stop?of=b"), faults.is("stop")), (Some(200), Some(200), true));
        assert_eq!((ask("DELETE", "/fault/stop?of=a"), faults.is("stop")), (Some(200), false));
        assert_eq!((ask("POST", "/fault/other"), ask("GET", "/fault/stop"), ask("GET", "/faults"), ask("GET", "/x")), (Some(404), Some(405), Some(200), None));
    }
}
