//! What the server is asked about the traces, the paths of that, and how much an answer must find.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use bench_harness::client::encoded;
use serde_json::Value;

use crate::otlp::{Span, int};
use crate::workload::{Plan, SERVICES};

/// As many traces as a search may give.
const LIMIT: u64 = 20;
const CHECKOUT: usize = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    ById,
    AbsentId,
    SlowOfService,
    FailedOfService,
    TraceQl,
    Structure,
    Rate,
}

impl Ask {
    pub(crate) const ALL: [Ask; 7] = [Ask::ById, Ask::AbsentId, Ask::SlowOfService, Ask::FailedOfService, Ask::TraceQl, Ask::Structure, Ask::Rate];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Ask::ById => "a trace by its id (Jaeger)",
            Ask::AbsentId => "an id that no trace has (Jaeger)",
            Ask::SlowOfService => "20 traces of `checkout` with a span above 300 ms (Jaeger)",
            Ask::FailedOfService => "20 traces of `checkout` with status 500 above 100 ms (Jaeger)",
            Ask::TraceQl => "20 traces of `checkout` with a span above 300 ms (TraceQL)",
            Ask::Structure => "20 traces in which a slow `frontend` has a failed descendant (TraceQL)",
            Ask::Rate => "spans a second by service over the hour (TraceQL)",
        }
    }

    /// The path that asks this about the whole hour.
    pub(crate) fn path(self, plan: &Plan) -> String {
        let (start, end) = (plan.start_nanos() / 1_000, plan.end_nanos / 1_000 + 60_000_000);
        let jaeger = |more: &str| format!("/jaeger/api/traces?service=checkout&start={start}&end={end}&limit={LIMIT}{more}");
        let (from, to) = (start / 1_000_000, end / 1_000_000);
        let tempo = |query: &str| format!("/tempo/api/search?q={}&start={from}&end={to}&limit={LIMIT}", encoded(query));
        match self {
            Ask::ById => format!("/jaeger/api/traces/{}", hex(&Plan::id(plan.traces / 3))),
            Ask::AbsentId => format!("/jaeger/api/traces/{}", hex(&Plan::id(plan.traces + 1))),
            Ask::SlowOfService => jaeger("&minDuration=300ms"),
            Ask::FailedOfService => jaeger(&format!("&minDuration=100ms&tags={}", encoded("{\"http.response.status_code\":\"500\"}"))),
            Ask::TraceQl => tempo("{ resource.service.name = \"checkout\" && duration > 300ms }"),
            Ask::Structure => tempo("{ resource.service.name = \"frontend\" && duration > 300ms } >> { status = error }"),
            Ask::Rate => {
                let query = encoded("{ } | rate() by (resource.service.name)");
                format!("/tempo/api/metrics/query_range?q={query}&start={from}&end={to}&step=60s")
            }
        }
    }

    /// The status that the answer has.
    pub(crate) fn status(self) -> u16 {
        if self == Ask::AbsentId { 404 } else { 200 }
    }

    /// How many spans, traces or series an answer has.
    pub(crate) fn found(self, body: &str) -> Result<u64> {
        let answer: Value = serde_json::from_str(body).context("the answer is not JSON")?;
        let count = |value: &Value| value.as_array().map_or(0, |a| a.len() as u64);
        Ok(match self {
            Ask::ById | Ask::AbsentId => count(&answer["data"][0]["spans"]),
            Ask::SlowOfService | Ask::FailedOfService => count(&answer["data"]),
            Ask::TraceQl | Ask::Structure => count(&answer["traces"]),
            Ask::Rate => count(&answer["series"]),
        })
    }

    fn is_met(self, trace: &[(usize, Span)]) -> bool {
        let length = |s: &Span| s.end_time_unix_nano - s.start_time_unix_nano;
        let of_checkout = |test: &dyn Fn(&Span) -> bool| trace.iter().any(|(service, span)| *service == CHECKOUT && test(span));
        let failed = int("http.response.status_code", 500);
        match self {
            Ask::SlowOfService => of_checkout(&|s| length(s) >= 300_000_000),
            Ask::TraceQl => of_checkout(&|s| length(s) > 300_000_000),
            Ask::FailedOfService => of_checkout(&|s| length(s) >= 100_000_000 && s.attributes.contains(&failed)),
            // The first span is the root, of which all others are descendants; the second is also of `frontend`.
            Ask::Structure => {
                let slow = |i: usize| length(&trace[i].1) > 300_000_000;
                let failed_from = |i: usize| trace[i..].iter().any(|(_, s)| s.status.is_some());
                (slow(0) && failed_from(1)) || (slow(1) && failed_from(2))
            }
            Ask::ById | Ask::AbsentId | Ask::Rate => false,
        }
    }
}

/// What each question must find, by the traces themselves.
pub(crate) fn expected(plan: &Plan) -> Vec<(Ask, u64)> {
    let searches = [Ask::SlowOfService, Ask::FailedOfService, Ask::TraceQl, Ask::Structure];
    let mut found = searches.map(|ask| (ask, 0u64));
    for n in 0..plan.traces {
        let trace = plan.trace(n);
        found.iter_mut().filter(|(ask, _)| ask.is_met(&trace)).for_each(|(_, count)| *count += 1);
        if found.iter().all(|(_, count)| *count >= LIMIT) {
            break;
        }
    }
    let fixed = [(Ask::ById, crate::workload::SPANS), (Ask::AbsentId, 0), (Ask::Rate, SERVICES.len() as u64)];
    fixed.into_iter().chain(found.map(|(ask, count)| (ask, count.min(LIMIT)))).collect()
}

fn hex(id: &[u8]) -> String {
    id.iter().fold(String::new(), |mut text, byte| {
        // Writing to a text cannot fail.
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted() {
        assert_eq!(Ask::ById.found(r#"{"data":[{"spans":[{},{}]}]}"#).unwrap(), 2);
        assert_eq!(Ask::AbsentId.found(r#"{"data":[],"errors":[{}]}"#).unwrap(), 0);
        assert_eq!(Ask::TraceQl.found(r#"{"traces":[{},{},{}]}"#).unwrap(), 3);
        assert_eq!(Ask::Rate.found(r#"{"series":[{}]}"#).unwrap(), 1);
        assert!(Ask::Rate.found("no").is_err());
    }

    #[test]
    fn there_is_enough_to_find() {
        let plan = Plan { traces: 20_000, end_nanos: 1_767_052_800_000_000_000 };
        for (ask, count) in expected(&plan) {
            assert_eq!(count == 0, ask == Ask::AbsentId, "{ask:?}");
        }
    }
}
