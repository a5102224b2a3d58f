//! Rows of alerts, caused and mended together: what each is caused by, what must fire, and a table of how long it took.

use std::time::Duration;

use serde_json::Value;

use crate::run::{PATIENCE, Run, now, pause};

/// What is done.
#[derive(Clone, Copy)]
pub(crate) enum Cause {
    /// A fault of a part, of one thing or of all.
    Fault(&'static str, &'static str, &'static str),
    /// A part is killed, and started again.
    Killed(&'static str),
    /// Something else, and how it is undone: again and again, until it shows.
    Done(fn(&Run), fn(&Run)),
    /// A part is killed and cannot be started for a while.
    Held(&'static str),
}

impl Cause {
    fn begin(self, run: &Run) {
        match self {
            Cause::Fault(part, name, of) => run.control("POST", &format!("/parts/{part}/fault/{name}?of={of}")),
            Cause::Killed(part) => run.control("POST", &format!("/parts/{part}/kill")),
            Cause::Done(begin, _) => begin(run),
            Cause::Held(part) => run.control("POST", &format!("/parts/{part}/hold")),
        }
    }
    fn mend(self, run: &Run) {
        match self {
            Cause::Fault(part, name, of) => run.control("DELETE", &format!("/parts/{part}/fault/{name}?of={of}")),
            Cause::Killed(part) => run.control("POST", &format!("/parts/{part}/start")),
            Cause::Done(_, mend) => mend(run),
            Cause::Held(part) => run.control("DELETE", &format!("/parts/{part}/hold")),
        }
    }
}

/// One row.
pub(crate) struct Case {
    pub(crate) alert: &'static str,
    /// Labels that it must have.
    pub(crate) labels: &'static [(&'static str, &'static str)],
    pub(crate) causes: &'static [Cause],
    /// What happens, in words for the table.
    pub(crate) what: &'static str,
    /// Whether nothing else may fire under this name: what is wrong is wrong here only, however busy the machine is.
    pub(crate) alone: bool,
    /// Whether it is pending before it fires.
    pub(crate) waits: bool,
}

impl Case {
    fn is(&self, alert: &Value) -> bool {
        alert["labels"]["alertname"] == self.alert && self.labels.iter().all(|(name, value)| alert["labels"][name] == *value)
    }
    /// What was found: one alert with the right labels and texts that were filled in.
    fn check(&self, firing: &[Value]) {
        let named: Vec<&Value> = firing.iter().filter(|alert| alert["labels"]["alertname"] == self.alert).collect();
        assert!(!self.alone || named.len() == 1, "{} fires where nothing was done: {named:?}", self.alert);
        for alert in named {
            let texts = alert["annotations"].as_object().unwrap();
            assert!(!texts.is_empty() && texts.values().all(|text| text.as_str().is_some_and(|t| !t.is_empty() && !t.contains("no value"))), "{alert}");
        }
    }
}

/// How a row went.
pub(crate) struct Row {
    pub(crate) alert: &'static str,
    what: &'static str,
    fired: Duration,
    resolved: Duration,
}

/// Asks until something is so.
#[track_caller]
fn until(what: &str, run: &Run, mut is: impl FnMut(&[Value]) -> bool) {
    let began = now();
    loop {
        let firing = run.firing();
        if is(&firing) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{what} after {} s: {firing:?}\n{}", PATIENCE.as_secs(), run.log());
        pause();
    }
}

/// Causes all rows at once, mends each when it fires, and waits until all have resolved.
pub(crate) fn play(run: &Run, cases: &[Case]) -> Vec<Row> {
    let names = |which: &dyn Fn(&Case) -> bool| cases.iter().filter(|case| which(case)).map(|case| case.alert).collect::<Vec<_>>().join(", ");
    until(&format!("one of {} fires before anything was done", names(&|_| true)), run, |firing| {
        !firing.iter().any(|alert| cases.iter().any(|case| case.is(alert) || (case.alone && alert["labels"]["alertname"] == case.alert)))
    });
    let began = now();
    cases.iter().flat_map(|case| case.causes).for_each(|cause| cause.begin(run));
    let mut fired: Vec<Option<Duration>> = vec![None; cases.len()];
    let mut resolved: Vec<Option<Duration>> = vec![None; cases.len()];
    until(&format!("not all of {} fired and resolved", names(&|_| true)), run, |firing| {
        for (i, case) in cases.iter().enumerate() {
            let fires = firing.iter().any(|alert| case.is(alert));
            if fires && fired[i].is_none() {
                case.check(firing);
                fired[i] = Some(began.elapsed());
                case.causes.iter().for_each(|cause| cause.mend(run));
            } else if let Some(at) = fired[i].filter(|_| !fires && resolved[i].is_none()) {
                resolved[i] = Some(began.elapsed() - at);
            } else if fired[i].is_some() && resolved[i].is_none() {
                case.causes.iter().filter(|cause| matches!(cause, Cause::Done(..))).for_each(|cause| cause.mend(run));
            }
        }
        resolved.iter().all(Option::is_some)
    });
    for case in cases.iter().filter(|case| case.waits) {
        let pending = run.query(&format!("count_over_time(ALERTS{{alertname=\"{}\",alertstate=\"pending\",factor!=\"\"}}[1h])", case.alert));
        let all = || run.query(&format!("count_over_time(ALERTS{{alertname=\"{}\"}}[1h])", case.alert));
        assert!(!pending.is_empty(), "{} fired without being pending: {:?}", case.alert, all());
    }
    let row = |(i, case): (usize, &Case)| Row { alert: case.alert, what: case.what, fired: fired[i].unwrap(), resolved: resolved[i].unwrap() };
    cases.iter().enumerate().map(row).collect()
}

/// Prints how it went.
pub(crate) fn tell(system: &str, rows: &[Row]) {
    println!("\n{system}: {} alerts, times of rules divided by {}", rows.len(), crate::rules::FACTOR);
    println!("{:<34}{:<72}{:>8}{:>10}", "alert", "cause", "fired", "resolved");
    for row in rows {
        println!("{:<34}{:<72}{:>6.1} s{:>8.1} s", row.alert, row.what, row.fired.as_secs_f64(), row.resolved.as_secs_f64());
    }
}

/// Every panel of a pack's dashboards has data, but for those that cannot have any here.
pub(crate) fn panels_have_data(run: &Run, pack: &str, without: &[&str]) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packs").join(pack).join("dashboards");
    let mut queries: Vec<(String, String)> = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let board: Value = serde_json::from_str(&std::fs::read_to_string(file.unwrap().path()).unwrap()).unwrap();
        collect(&board, &mut queries);
    }
    assert!(queries.len() > 15, "{queries:?}");
    let began = now();
    loop {
        queries.retain(|(title, query)| !without.contains(&title.as_str()) && empty(run, query));
        if queries.is_empty() {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "panels without data: {queries:#?}\n{}", run.log());
        pause();
    }
}

/// Titles and queries of panels, rows within rows.
fn collect(value: &Value, queries: &mut Vec<(String, String)>) {
    for panel in value["panels"].as_array().into_iter().flatten() {
        let title = panel["title"].as_str().unwrap_or_default();
        for target in panel["targets"].as_array().into_iter().flatten() {
            queries.push((title.to_owned(), target["expr"].as_str().unwrap_or_default().to_owned()));
        }
        collect(panel, queries);
    }
}

fn empty(run: &Run, query: &str) -> bool {
    let known = [("$__rate_interval", "1m"), ("$__range", "1h"), ("$job", ".+"), ("$instance", ".+"), ("$search", "")];
    let query = known.iter().fold(query.to_owned(), |text, (name, value)| text.replace(name, value));
    if query.contains("{container") {
        return run.lines(&query).is_empty();
    }
    run.query(&query).iter().all(|series| series["value"][1] == "NaN")
}
