//! Our reading of rule files and of tests beside promtool's: what it takes we take, what it refuses we refuse, and a failed
//! expectation is told in the same words. Skipped, and said so, where promtool is absent.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

use std::process::Command;
use std::sync::Arc;

use watchfire_alert::rules::{Expand, GoTemplates, file, slo, unit};
use watchfire_model::document::parse_yaml;
use watchfire_model::time::{ManualClock, Timestamp};

fn is_there() -> bool {
    let there = Command::new("promtool").arg("--version").output().is_ok();
    if !there {
        eprintln!("SKIPPED: promtool is not installed, so no rule was compared");
    }
    there
}

fn templates() -> Arc<dyn Expand> {
    Arc::new(GoTemplates::new(ManualClock::new(Timestamp(0))))
}

/// Whether promtool takes a file, and what it printed.
fn promtool(command: &str, texts: &[(&str, &str)]) -> (bool, String) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in texts {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let output = Command::new("promtool").args([command, "rules", texts[0].0]).current_dir(dir.path()).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}

/// Files that Prometheus takes.
const GOOD: &[&str] = &[
    "",
    "groups:",
    "groups: []",
    "groups: [{name: g}]",
    "groups: [{name: g, rules: []}, {name: h, interval: 1h30m, limit: 10, rules: [{record: a, expr: up}]}]",
    "groups: [{name: g, limit: -1, rules: [{record: a, expr: up}]}]",
    "groups: [{name: g, rules: [{record: 'a:b:c', expr: 'sum(rate(x[5m])) by (job)', labels: {a: '', b: 5, c: true}}]}]",
    "groups: [{name: g, rules: [{record: a, expr: 1}]}]",
    "groups: [{name: g, rules: [{record: a, expr: up, for: 0s}]}]",
    "groups: [{name: g, rules: [{record: a, expr: up, annotations: {}}]}]",
    "groups: [{name: g, rules: [{alert: 'Any name, even {this}', expr: up == 0, for: 5m, keep_firing_for: 1d, labels: {severity: page}, annotations: {summary: '{{ $value | humanize }}'}}]}]",
    "groups: [{name: g, rules: [{alert: A, expr: up, labels: {alertname: B}, annotations: {a: ''}}]}]",
    "groups: [{name: g, rules: [{alert: A, expr: up, annotations: {x: '{{ if $labels.job }}{{ .Labels.job }}{{ else }}{{ end }}{{ range query \"up\" }}{{ . | value }}{{ end }}'}}]}]",
    "groups: [{name: g, rules: [{alert: A, expr: up}, {alert: A, expr: down}]}]",
    "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: |\n      up\n      # a comment\n      == 0\n",
    "groups: [{name: g, rules: [&x {record: a, expr: up}]}, {name: h, rules: [*x]}]",
];

/// Files that Prometheus refuses, at least since its third version.
const BAD: &[&str] = &[
    "groups: {}",
    "groups: 5",
    "group: []",
    "groups: [{rules: []}]",
    "groups: [{name: '', rules: []}]",
    "groups: [{name: g}, {name: g}]",
    "groups: [{name: g, interval: 5}]",
    "groups: [{name: g, interval: 1m1h}]",
    "groups: [{name: g, limit: many}]",
    "groups: [{name: g, concurrency: 2}]",
    "groups: [{name: g, rules: [{}]}]",
    "groups: [{name: g, rules: [{record: a}]}]",
    "groups: [{name: g, rules: [{alert: A, expr: ''}]}]",
    "groups: [{name: g, rules: [{record: a, alert: A, expr: up}]}]",
    "groups: [{name: g, rules: [{expr: up}]}]",
    "groups: [{name: g, rules: [{record: a, expr: 'sum('}]}]",
    "groups: [{name: g, rules: [{record: a, expr: 'rate(up)'}]}]",
    "groups: [{name: g, rules: [{record: 'a{b=\"c\"}', expr: up}]}]",
    "groups: [{name: g, rules: [{record: a, expr: up, for: 5m}]}]",
    "groups: [{name: g, rules: [{record: a, expr: up, keep_firing_for: 5m}]}]",
    "groups: [{name: g, rules: [{record: a, expr: up, annotations: {x: y}}]}]",
    "groups: [{name: g, rules: [{record: a, expr: up, labels: {__name__: b}}]}]",
    "groups: [{name: g, rules: [{record: a, expr: up, labels: [b]}]}]",
    "groups: [{name: g, rules: [{alert: A, expr: up, for: 5}]}]",
    "groups: [{name: g, rules: [{alert: A, expr: up, foo: 5}]}]",
    "groups: [{name: g, rules: [{alert: A, expr: up, annotations: {x: '{{ $value'}}]}]",
    "groups: [{name: g, rules: [{alert: A, expr: up, annotations: {x: '{{ nonsense }}'}}]}]",
    "groups: [{name: g, rules: [{alert: A, expr: up, labels: {x: '{{ $nothing }}'}}]}]",
    "groups: [{name: g, rules: [{alert: A, expr: up}], rules: []}]",
    "groups:\n- name: g\n\trules: []\n",
];

#[test]
fn what_promtool_takes_we_take_and_what_it_refuses_we_refuse() {
    let all = GOOD.iter().map(|t| (*t, true)).chain(BAD.iter().map(|t| (*t, false)));
    let there = is_there();
    let mut problems = Vec::new();
    for (text, good) in all {
        let ours = file::read("r.yml", text, Some(&*templates()));
        if ours.file.is_some() != good {
            problems.push(format!("ours: {text}\n  {:?}", ours.findings.iter().map(ToString::to_string).collect::<Vec<_>>()));
        }
        if there {
            let (theirs, said) = promtool("check", &[("r.yml", text)]);
            if theirs != good {
                problems.push(format!("promtool: {text}\n  {said}"));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

const RULES: &str = "groups:\n- name: one\n  interval: 5m\n  rules:\n  - record: job:x:sum\n    expr: sum by (job) (x)\n  - record: half\n    expr: sum(job:x:sum) / 2\n    labels: {kind: half, job: ''}\n\
                     - name: two\n  rules:\n  - alert: High\n    expr: x > 5\n    for: 3m\n    keep_firing_for: 2m\n    labels: {severity: '{{ if gt $value 8.0 }}page{{ else }}note{{ end }}'}\n    \
                     annotations: {summary: '{{ $labels.i }} has {{ $value }}', site: '{{ $externalLabels.site }}{{ $externalURL }}'}\n  - alert: Gone\n    expr: absent(y)\n";

/// Tests with expectations that hold, and those that do not, one at a time.
const EXPECTATIONS: &[(&str, bool)] = &[
    (
        "promql_expr_test: [{expr: 'job:x:sum', eval_time: 2m, exp_samples: [{labels: 'job:x:sum{job=\"a\"}', value: 5}, {labels: 'job:x:sum{job=\"b\"}', value: 7}]}]",
        true,
    ),
    ("promql_expr_test: [{expr: 'job:x:sum', eval_time: 2m, exp_samples: [{labels: 'job:x:sum{job=\"a\"}', value: 5}]}]", false),
    ("promql_expr_test: [{expr: 'half', eval_time: 2m, exp_samples: [{labels: 'half{kind=\"half\"}', value: 1}]}]", false),
    ("promql_expr_test: [{expr: 'rate(x{i=\"1\"}[5m])', eval_time: 10m, exp_samples: [{labels: '{job=\"a\", i=\"1\"}', value: 0.016666666666666666}]}]", true),
    (
        "promql_expr_test: [{expr: 'x{i=\"3\"}', eval_time: 4m}, {expr: 'x{i=\"3\"}', eval_time: 6m, exp_samples: [{labels: 'x{i=\"3\", job=\"c\"}', value: -1}]}]",
        true,
    ),
    ("promql_expr_test: [{expr: 'no', eval_time: 4m, exp_samples: []}]", true),
    ("promql_expr_test: [{expr: 'x{i=\"9\"}', eval_time: 4m, exp_samples: [{labels: '{}', value: 1e6}]}]", false),
    ("promql_expr_test: [{expr: '1 / 0', eval_time: 0s, exp_samples: [{labels: '{}', value: .inf}]}]", true),
    ("alert_rule_test: [{eval_time: 2m, alertname: High}]", true),
    (
        "alert_rule_test: [{eval_time: 6m, alertname: High, exp_alerts: [{exp_labels: {i: '2', job: b, severity: note}, exp_annotations: {summary: 2 has 7, site: 'home'}}]}]",
        true,
    ),
    (
        "alert_rule_test: [{eval_time: 6m, alertname: High, exp_alerts: [{exp_labels: {i: '2', job: b, severity: note}, exp_annotations: {summary: 2 has 8, site: 'home'}}]}]",
        false,
    ),
    ("alert_rule_test: [{eval_time: 6m, alertname: High}]", false),
    ("alert_rule_test: [{eval_time: 6m30s, alertname: Gone, exp_alerts: [{}]}]", true),
    ("alert_rule_test: [{eval_time: 2m, alertname: Nobody, exp_alerts: [{}]}]", false),
    ("alert_rule_test: [{eval_time: 9m, alertname: High, exp_alerts: [{exp_labels: {i: '1', job: a, severity: page}}, {exp_labels: {i: '2'}}]}]", false),
];

fn test_file(expectation: &str) -> String {
    format!(
        "rule_files: [r.yml]\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  external_labels: {{site: home}}\n  input_series:\n  - {{series: 'x{{job=\"a\", i=\"1\"}}', values: '3+1x20'}}\n  \
         - {{series: 'x{{job=\"b\", i=\"2\"}}', values: '7x6 _ stale'}}\n  - {{series: 'x{{job=\"c\", i=\"3\"}}', values: '_x5 4 -1-1x3'}}\n  {expectation}\n"
    )
}

#[test]
fn tests_of_rules_end_as_with_promtool() {
    let rules = file::read("r.yml", RULES, Some(&*templates())).file.unwrap();
    let there = is_there();
    for (expectation, holds) in EXPECTATIONS {
        let text = test_file(expectation);
        let parsed = unit::read_node("t.yml", &parse_yaml("t.yml", &text).unwrap());
        let file = parsed.file.unwrap_or_else(|| panic!("{expectation}: {:?}", parsed.findings));
        let failures = unit::run(&file, std::slice::from_ref(&rules), &templates());
        assert_eq!(failures.is_empty(), *holds, "{expectation}: {failures:?}");
        if there {
            let (theirs, said) = promtool("test", &[("t.yml", &text), ("r.yml", RULES)]);
            assert_eq!(theirs, *holds, "{expectation}: {said}");
            for failure in failures {
                assert!(said.contains(&failure), "{expectation}: ours\n{failure}\ntheirs\n{said}");
            }
        }
    }
}

/// The six series of service levels of the home security pipeline, from probes and stages over a month.
#[test]
fn met_27_six_recording_rules_make_the_hsi_series() {
    let rules = file::read("recording.yml", &text_of_pack("hsi", "rules"), Some(&*templates())).file.unwrap();
    let objectives = slo::read_file("service_levels.yml", &text_of_pack("hsi", "slos"), &*templates()).file.unwrap();
    let names: Vec<_> = rules.groups.iter().chain(&objectives.groups).flat_map(|g| &g.rules).map(|r| r.name.as_str()).collect();
    for name in [
        "hsi:api_requests:success_rate_5m",
        "hsi:detection_latency:p95_5m",
        "hsi:analysis_latency:p95_5m",
        "hsi:gpu:memory_utilization",
        "hsi:error_budget:api_availability_remaining",
        "hsi:burn_rate:api_availability_1h",
    ] {
        assert_eq!(names.iter().filter(|known| **known == name).count(), 1, "{name} in {names:?}");
    }
    // The probe failed once in 200 minutes, and that was in the last five.
    let probe = "1x193 0 1x5";
    let bucket = |stage: &str, le: &str, by: &str| {
        format!("  - {{series: 'hsi_stage_duration_seconds_bucket{{stage=\"{stage}\", le=\"{le}\"}}', values: '0+{by}x200'}}\n")
    };
    let mut tests = format!(
        "rule_files: [r.yml]\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  input_series:\n  - {{series: 'probe_success{{job=\"blackbox-http-ready\", instance=\"b\"}}', values: '{probe}'}}\n"
    );
    for (stage, le, by) in [
        ("detect", "1", "80"),
        ("detect", "2.5", "90"),
        ("detect", "5", "100"),
        ("detect", "+Inf", "100"),
        ("analyze", "10", "0"),
        ("analyze", "30", "10"),
        ("analyze", "+Inf", "10"),
    ] {
        tests.push_str(&bucket(stage, le, by));
    }
    tests.push_str("  - {series: 'hsi_gpu_memory_used_mb{job=\"g\"}', values: '6144x200'}\n  - {series: 'hsi_gpu_memory_total_mb{job=\"g\"}', values: '24576x200'}\n  promql_expr_test:\n");
    let labels = "{job=\"blackbox-http-ready\", instance=\"b\"}";
    for (expr, labels, value) in [
        ("hsi:api_requests:success_rate_5m", labels, "0.8"),
        ("round(hsi:detection_latency:p95_5m, 0.0001)", "{}", "3.75"),
        ("round(hsi:analysis_latency:p95_5m, 0.0001)", "{}", "29"),
        ("hsi:gpu:memory_utilization", "{job=\"g\"}", "0.25"),
        // One of 199 probes failed, and one of 200 may; in the last hour it was one of 60.
        ("round(hsi:error_budget:api_availability_remaining, 0.0001)", labels, "-0.005"),
        ("round(hsi:burn_rate:api_availability_1h, 0.0001)", labels, "3.3333"),
    ] {
        let name = if expr.starts_with("round") { String::new() } else { expr.to_owned() };
        tests.push_str(&format!("  - {{expr: '{expr}', eval_time: 198m, exp_samples: [{{labels: '{name}{labels}', value: {value}}}]}}\n"));
    }
    let parsed = unit::read_node("t.yml", &parse_yaml("t.yml", &tests).unwrap());
    let file = parsed.file.unwrap_or_else(|| panic!("{:?}", parsed.findings));
    assert_eq!(unit::run(&file, &[rules, objectives], &templates()), [""; 0]);
}

/// The first file in a folder of a pack, read where it lies.
fn text_of_pack(name: &str, folder: &str) -> String {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packs").join(name).join(folder);
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    std::fs::read_to_string(&files[0]).unwrap()
}
