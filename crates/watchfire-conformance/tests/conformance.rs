//! The specification holds on every subject; the binary over HTTP is asked a part of it here and all of it by `make conformance`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use watchfire_conformance::http::OverHttp;
use watchfire_conformance::local::{InMemory, InStore};
use watchfire_conformance::runner::{Report, run};
use watchfire_conformance::scripts;
use watchfire_conformance::subject::Subject;

/// The families that are asked over HTTP at every test.
const QUICK: [&str; 6] = ["errors", "extended", "histograms", "names", "operators", "oracle_windows"];

fn all(subject: &mut dyn Subject, wanted: impl Fn(&str) -> bool) {
    let mut total = Report::default();
    for (family, text) in scripts().unwrap().iter().filter(|(family, _)| wanted(family)) {
        let report = run(subject, &format!("{family}.test"), text);
        total.cases += report.cases;
        total.skipped += report.skipped;
        total.failures.extend(report.failures);
    }
    assert!(total.failures.is_empty(), "on {}: {} cases, of which fail:\n{}", subject.name(), total.cases, total.text());
    let asked = total.cases - total.skipped;
    assert!(asked * 10 >= total.cases * 9 && asked >= 100, "only {asked} of {} cases were asked", total.cases);
}

#[test]
fn it_holds_in_memory() {
    all(&mut InMemory::default(), |_| true);
}

#[test]
fn it_holds_in_the_head_of_the_store() {
    all(&mut InStore::new(false), |_| true);
}

#[test]
fn it_holds_in_segments_of_the_store() {
    all(&mut InStore::new(true), |_| true);
}

#[test]
fn it_holds_over_http() {
    // The binary lies beside the directory of test programs when the workspace was built.
    let exe = std::env::current_exe().unwrap();
    let binary = exe.ancestors().nth(2).map(|dir| dir.join("watchfire")).filter(|path| path.exists());
    let Some(binary) = binary else {
        eprintln!("SKIPPED: the watchfire binary is not built, nothing to ask over HTTP");
        return;
    };
    all(&mut OverHttp::new(&binary), |family| QUICK.contains(&family));
}

#[test]
fn the_runner_notices_what_is_wrong() {
    const DATA: &str = "load 1m\n  m{a=\"x\"} 1 2 3\n  h {{count:3 sum:4 buckets:[1 2]}}\n\n";
    let failures = |case: &str| run(&mut InMemory::default(), "x", &format!("{DATA}{case}")).text();
    for (case, notice) in [
        ("eval instant at 1m m\n  m{a=\"x\"} 3\n", "instead of"),
        ("eval instant at 1m m\n", "instead of nothing"),
        ("eval instant at 1m m\n  m{a=\"y\"} 2\n", "instead of"),
        ("eval instant at 1m m\n  expect fail\n", "should fail"),
        ("eval instant at 1m m{\n  m{a=\"x\"} 2\n", "fails"),
        ("eval instant at 2m rate(m[2m])\n  {a=\"x\"} 0.016666666666666666\n", "infos"),
        ("eval range from 0 to 2m step 1m m\n  m{a=\"x\"} 1 2 4\n", "instead of"),
        ("eval instant at 1m 1\n  2\n", "instead of"),
        ("eval instant at 1m m\n  m{a=\"x\"} Inf\n", "instead of"),
        ("eval instant at 1m m / 0\n  {a=\"x\"} -Inf\n", "instead of"),
        ("eval instant at 1m m\n  m{a=\"x\"} {{count:2}}\n", "instead of"),
        ("eval instant at 1m h\n  h{} 2\n", "instead of"),
        ("eval instant at 1m h\n  h{} {{count:3 sum:4 buckets:[1 3]}}\n", "instead of"),
        ("eval instant at 1m h\n  h{} {{count:3 sum:4 buckets:[1 2] offset:1}}\n", "instead of"),
        ("eval instant at 1m h\n  h{} {{count:3 sum:4 buckets:[1 2] counter_reset_hint:gauge}}\n", "instead of"),
        ("eval instant at 1m h\n  h{} {{counts:3}}\n", "unknown key"),
        ("evaluate instant at 1m 1\n", "unknown command"),
    ] {
        assert!(failures(case).contains(notice), "{case}{}", failures(case));
    }
    assert_eq!(failures("eval instant at 1m m\n  m{a=\"x\"} 2\n"), "");
}
