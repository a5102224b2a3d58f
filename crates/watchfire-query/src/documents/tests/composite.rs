//! Pages of `composite`: whatever the sources, each bucket comes once. What single pages look like stands in the scripts.

use serde_json::json;

use super::*;

fn page(logs: &Logs, sources: &Value, size: usize, after: Option<&Value>, budget: &Budget) -> Result<Value, String> {
    let mut composite = json!({"sources": sources, "size": size});
    if let Some(after) = after {
        composite["after"] = after.clone();
    }
    let body = json!({"size": 0, "aggs": {"c": {"composite": composite, "aggs": {"n": {"sum": {"field": "n"}}}}}});
    let request = Request::read(&body, &Context::new(now())).map_err(|e| e.to_string())?;
    let answer = search(logs, &everything(), &request, budget).map_err(|e| e.to_string())?;
    Ok(answer.aggregations.unwrap()["c"].clone())
}

#[test]
fn pages_have_each_bucket_once() {
    let logs = Logs::new();
    for i in 0..120i64 {
        // Values of every kind, lists, and documents without one; an hour between two, over a change of the clocks.
        let kinds = ["\"a\"", "7", "7.25", "-0.0", "0", "true", "false", "null", "[\"a\",\"b\",3]", "1e300"];
        let line = format!("{{\"k\":{},\"n\":{},\"l\":[{},{}]}}", kinds[(i % 10) as usize], i - 60, i % 4, i % 3);
        let time = dates::instant("2024-10-24T00:00:00Z").unwrap().0 + i * 3_600_000_000_000;
        logs.add_line(&Labels::from_pairs([("app", "a")]), Nanos(time), &line, &Labels::from_pairs([("_id", format!("d{i}"))]));
    }
    let kind = json!({"kind": {"terms": {"field": "k", "order": "desc", "missing_bucket": true}}});
    let last = json!({"kind": {"terms": {"field": "k", "missing_bucket": true, "missing_order": "last"}}});
    let list = json!({"list": {"terms": {"field": "l"}}});
    let steps = json!({"steps": {"histogram": {"field": "n", "interval": 0.7, "order": "desc"}}});
    let berlin = |how: &str, format: Option<&str>| {
        let mut body = json!({"field": "@timestamp", "time_zone": "Europe/Berlin", "calendar_interval": how});
        if let Some(format) = format {
            body["format"] = format.into();
        }
        json!({"at": {"date_histogram": body}})
    };
    let cases = [
        json!([kind]),
        json!([last, list]),
        json!([list, kind, steps]),
        json!([steps]),
        json!([{"at": {"terms": {"field": "@timestamp"}}}]),
        json!([berlin("hour", None)]),
        json!([berlin("day", Some("dd.MM.yyyy")), kind]),
        // A format that writes several buckets in one way, and one that cannot be read.
        json!([berlin("hour", Some("yyyy-MM-dd HH"))]),
        json!([berlin("hour", Some("yyyy-MM"))]),
        json!([berlin("hour", Some("HH:mm"))]),
        json!([berlin("day", Some("epoch_millis"))]),
        json!([berlin("day", Some("epoch_second"))]),
    ];
    for sources in cases {
        let all = page(&logs, &sources, 10_000, None, &budget()).unwrap();
        let all = all["buckets"].as_array().unwrap();
        assert!(all.len() > 4, "{sources}");
        for size in [1, 20] {
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let mut one = page(&logs, &sources, size, after.as_ref(), &budget()).unwrap();
                let Value::Array(buckets) = one["buckets"].take() else { panic!("{one}") };
                seen.extend(buckets);
                assert!(seen.len() <= all.len(), "{sources}: no bucket comes twice");
                match one.get("after_key") {
                    Some(key) => after = Some(key.clone()),
                    None => break,
                }
            }
            assert_eq!(&seen, all, "{sources} in pages of {size}");
        }
    }
}

#[test]
fn only_a_page_of_buckets_is_held() {
    let logs = Logs::new();
    for i in 0..2_000i64 {
        // The newest bucket is the first of the order, so that each one moves another out of the page.
        logs.add_line(&Labels::from_pairs([("app", "a")]), Nanos(now().0 + i * 1_000_000_000), "{\"n\":1}", &Labels::empty());
    }
    let small = || Budget::new(ManualClock::new(Timestamp(0)), std::time::Duration::from_secs(60), 1 << 20, 50_000);
    let sources = json!([{"at": {"date_histogram": {"field": "@timestamp", "fixed_interval": "1s", "order": "desc"}}}]);
    let found = page(&logs, &sources, 5, None, &small()).unwrap();
    assert_eq!(found["buckets"].as_array().unwrap().len(), 5);
    assert_eq!(page(&logs, &sources, 500, None, &small()).unwrap_err(), "query would need more than 50000 bytes of memory");
}
