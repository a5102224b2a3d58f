//! Numbers over time.

use super::*;

/// The numbers of each series, one a hundred seconds.
fn measured(text: &str) -> Vec<String> {
    let steps = Steps::new(Nanos(0), Nanos(500 * SECOND), 100 * SECOND).unwrap();
    let all = measure(&source(), &query(text), &steps, &budget()).unwrap();
    let shown = |series: &Series| {
        let labels: Vec<String> = series.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let samples: Vec<String> = series.samples.iter().map(|(ms, value)| format!("{}:{value}", ms / 1000)).collect();
        format!("{} {}", labels.join(","), samples.join(" "))
    };
    all.iter().map(shown).collect()
}
fn check(text: &str, expected: &[&str]) {
    assert_eq!(measured(text), expected, "{text}");
}

#[test]
fn counts_and_rates() {
    check("{} | count_over_time()", &[r#"__name__="count_over_time" 100:0 200:4 300:2 400:1 500:2"#]);
    check("{} | rate()", &[r#"__name__="rate" 100:0 200:0.04 300:0.02 400:0.01 500:0.02"#]);
    check(
        "{ kind = server } | count_over_time() by(resource.service.name)",
        &[
            r#"resource.service.name="backend" 100:0 200:0 300:1 400:1 500:2"#,
            r#"resource.service.name="database" 100:0 200:2 300:0 400:0 500:0"#,
            r#"resource.service.name="frontend" 100:0 200:1 300:1 400:0 500:0"#,
        ],
    );
    check(r#"{ name = "nothing" } | rate()"#, &[]);
    check("{ .rows > 0 } | count_over_time() by(.nothing, status)", &[".nothing=nil,status=unset 100:0 200:2 300:0 400:0 500:0"]);
}

#[test]
fn values_over_time() {
    check("{} | max_over_time(duration)", &[r#"__name__="max_over_time" 200:0.9 300:0.02 400:5 500:0.003"#]);
    check("{} | min_over_time(.rows)", &[r#"__name__="min_over_time" 200:1"#]);
    check("{} | sum_over_time(.rows)", &[r#"__name__="sum_over_time" 200:8"#]);
    check("{} | avg_over_time(.rows) by(name)", &[r#"name="INSERT" 200:1"#, r#"name="SELECT" 200:7"#]);
    check("{} | avg_over_time(.camera_id)", &[]);
    check(
        "{ .rows > 0 } | histogram_over_time(duration)",
        &["__bucket=0.067108864 100:0 200:1 300:0 400:0 500:0", "__bucket=0.134217728 100:0 200:1 300:0 400:0 500:0"],
    );
    let steps = Steps::whole(Nanos(0), Nanos(500 * SECOND)).unwrap();
    let all = measure(&source(), &query("{} | quantile_over_time(duration, 0, 0.5, 1)"), &steps, &budget()).unwrap();
    let near = |at: usize, expected: f64| {
        let [(500_000, value)] = all[at].samples.as_slice() else { panic!("{all:?}") };
        assert!((value / expected - 1.0).abs() < 0.01, "{value}, not {expected}");
        all[at].labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<String>()
    };
    assert_eq!([near(0, 0.002), near(1, 0.05), near(2, 5.0)], ["p=0.0", "p=0.5", "p=1.0"]);
}

#[test]
fn what_depends_on_the_whole_trace_is_measured_too() {
    check("{ traceDuration > 4s } | count_over_time()", &[r#"__name__="count_over_time" 100:0 200:0 300:0 400:1 500:0"#]);
    check(r#"{ name = "GET /" } >> { } | count_over_time() by(rootServiceName)"#, &[r#"rootServiceName="frontend" 100:0 200:3 300:1 400:0 500:0"#]);
    check("{ nestedSetParent < 0 } | count_over_time()", &[r#"__name__="count_over_time" 100:0 200:1 300:1 400:0 500:0"#]);
    check("{} | by(name) | count() > 1 | count_over_time()", &[r#"__name__="count_over_time" 100:0 200:0 300:0 400:0 500:2"#]);
    check("{ kind = server } | { duration > 1s } | rate() by(name)", &[r#"name="cron" 100:0 200:0 300:0 400:0.01 500:0"#]);
}

#[test]
fn of_each_moment_some_series_stay() {
    check("{ duration > 10ms } | max_over_time(duration) by(name) | topk(1)", &[r#"name="GET /" 200:0.9 300:0.02"#, r#"name="cron" 400:5"#]);
    check("{ .rows > 0 } | max_over_time(.rows) by(name) | bottomk(1)", &[r#"name="INSERT" 200:1"#]);
    check("{} | count_over_time() by(name) > 1", &[r#"name="loop" 500:2"#]);
    check("{} | max_over_time(duration) >= 900ms", &[r#"__name__="max_over_time" 200:0.9 400:5"#]);
}

#[test]
fn comparison_of_some_with_the_others() {
    let all = measured("{} | compare({ status = error }, 1)");
    let has = |line: &str| assert!(all.iter().any(|l| l == line), "{line} in {all:#?}");
    has(r#"__meta_type="selection",span.camera_id="front_door" 100:0 200:1 300:0 400:0 500:0"#);
    has(r#"__meta_type="selection_total",resource.service.name=nil 100:0 200:1 300:0 400:0 500:0"#);
    has(r#"__meta_type="baseline_total",resource.service.name=nil 100:0 200:3 300:2 400:1 500:2"#);
    has(r#"__meta_type="baseline",resource.service.name="backend" 100:0 200:0 300:1 400:1 500:2"#);
    assert_eq!(all.iter().filter(|line| line.starts_with(r#"__meta_type="baseline",resource.service.name="#)).count(), 1, "only the most frequent");
    has(r#"__meta_type="baseline",status=unset 100:0 200:3 300:2 400:1 500:2"#);
    let late = measured(&format!("{{}} | compare({{ status = error }}, 1, {}, {})", 200 * SECOND, 300 * SECOND));
    assert!(!late.iter().any(|line| line.contains("selection")), "{late:#?}");
}

#[test]
fn answers_are_limited() {
    let steps = |end: i64, step: i64| Steps::new(Nanos(0), Nanos(end), step);
    assert!(steps(STEPS_MAX as i64, 1).is_ok() && steps(STEPS_MAX as i64 + 1, 1).is_err());
    assert!(steps(0, 1).is_err() && steps(1, 0).is_err());
    assert!(Steps::new(Nanos::MIN, Nanos::MAX, i64::MAX).is_ok());
    let many = Logs::new();
    for n in 0..SERIES_MAX as i64 + 1 {
        Made(1, 1, 0, "a", "x", 1, 1).put(&many, |span, _| span.attributes = vec![("n".into(), Value::Int(n))]);
    }
    let failed = measure(&many, &query("{} | rate() by(.n)"), &Steps::whole(Nanos(0), Nanos(9 * SECOND)).unwrap(), &budget()).unwrap_err();
    assert!(failed.to_string().contains("more than 2000 series"), "{failed}");
    assert!(measure(&many, &query("{} | rate() by(.m)"), &Steps::whole(Nanos(0), Nanos(9 * SECOND)).unwrap(), &budget()).is_ok());
}
