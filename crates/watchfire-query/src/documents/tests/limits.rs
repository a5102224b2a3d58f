//! Searches that would cost more than anybody has: names of fields, buckets of buckets, words times fields, work per document.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use watchfire_model::time::Clock;

use super::*;

fn one(line: &str) -> Logs {
    let logs = Logs::new();
    logs.add_line(&labels_of("{app=\"a\"}"), now(), line, &Labels::empty());
    logs
}

/// A clock that goes on by a second whenever somebody looks at it.
struct Ticking(AtomicU64);
impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp(0)
    }
    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// Whether a search looks at the clock more often than five times.
fn takes_long(logs: &Logs, filter: &Filter) -> bool {
    let budget = Budget::new(Arc::new(Ticking(AtomicU64::new(0))), Duration::from_secs(5), u64::MAX, u64::MAX);
    match count(logs, &everything(), filter, &budget) {
        Ok(_) => false,
        Err(error) => {
            assert!(error.to_string().contains("timed out"), "{error}");
            true
        }
    }
}

#[test]
fn endless_names_of_fields_are_refused_or_found_nowhere() {
    let job = || {
        let name = format!("x{}", ".raw.keyword".repeat(4_000));
        for (language, text) in [
            ("lucene", format!("{name}:a")),
            ("lucene", format!("{name}:(a b)")),
            ("kql", format!("{name}:a")),
            ("kql", format!("{name} > 5")),
            ("query", format!("{{\"term\":{{\"{name}\":\"a\"}}}}")),
            ("query", format!("{{\"range\":{{\"{name}\":{{\"gte\":1}}}}}}")),
            ("query", format!("{{\"multi_match\":{{\"query\":\"a\",\"fields\":[\"{name}\"]}}}}")),
        ] {
            let error = filter(language, &text).unwrap_err();
            assert!(error.contains("the name of a field is 48001 bytes long"), "{language} {text:.60}: {error:.200}");
        }
        let logs = one("{\"x\":{\"raw\":\"a\"}}");
        // Names of sorts and aggregations may be anything; nobody has such a field.
        let found = searched(&logs, &format!("{{\"sort\":[\"{name}\"],\"aggs\":{{\"c\":{{\"value_count\":{{\"field\":\"{name}\"}}}}}}}}")).unwrap();
        assert!(holds(&found, &serde_json::json!({"hits": {"total": {"value": 1}}, "aggregations": {"c": {"value": 0}}})), "{found}");
        assert_eq!(found["hits"]["hits"][0]["sort"], serde_json::json!([null]));
        let longest = format!("x{}", ".raw".repeat((FIELD_BYTES_MAX - 1) / 4));
        for (field, expected) in [("x.raw", 1), ("x.raw.raw", 1), ("x.raw.keyword", 1), ("x.raw.raw.raw", 0), (longest.as_str(), 0)] {
            let filter = filter("lucene", &format!("{field}:a")).unwrap();
            assert_eq!(count(&logs, &everything(), &filter, &budget()).unwrap(), expected, "{field:.20}");
        }
    };
    std::thread::Builder::new().stack_size(512 << 10).spawn(job).unwrap().join().unwrap();
}

#[test]
fn buckets_within_buckets_are_counted_together() {
    let logs = Logs::new();
    for i in 0..40 {
        // Each of the services has two events, a quarter of an hour from each other.
        for seconds in [0, 900] {
            logs.add_line(&Labels::from_pairs([("app", format!("a{i}").as_str())]), Nanos(now().0 + seconds * 1_000_000_000), "x", &Labels::empty());
        }
    }
    let histogram = |interval: &str, rest: &str, inner: &str| {
        format!("{{\"t\":{{\"date_histogram\":{{\"field\":\"@timestamp\",\"fixed_interval\":\"{interval}\"{rest}}}{inner}}}}}")
    };
    let by = |size: usize, inner: &str| format!("{{\"size\":0,\"aggs\":{{\"by\":{{\"terms\":{{\"field\":\"app\",\"size\":{size}}},\"aggs\":{inner}}}}}}}");
    // 900 buckets in each of 40, and 40 around them.
    assert!(searched(&logs, &by(40, &histogram("1s", "", ""))).is_ok());
    let seconds = |from: i64, to: i64| {
        let date = |s: i64| now().0 / 1_000_000 + s * 1_000;
        format!(",\"extended_bounds\":{{\"min\":{},\"max\":{}}}", date(from), date(to))
    };
    let wide = histogram("1s", &seconds(-900, 900), "");
    assert!(searched(&logs, &by(40, &wide)).unwrap_err().contains("too many buckets"));
    // Terms that are not asked for are not written.
    assert!(searched(&logs, &by(30, &wide)).is_ok());
    // Fills within fills.
    let inner = format!(",\"aggs\":{}", histogram("1s", &seconds(0, 1_000), ""));
    let twice = format!("{{\"size\":0,\"aggs\":{}}}", histogram("1s", &seconds(0, 1_000), &inner));
    assert!(searched(&logs, &twice).unwrap_err().contains("too many buckets"));
    let steps = ",\"aggs\":{\"h\":{\"histogram\":{\"field\":\"@timestamp\",\"interval\":10}}}";
    assert!(searched(&logs, &format!("{{\"size\":0,\"aggs\":{}}}", histogram("1d", "", steps))).unwrap_err().contains("too many buckets"));
}

#[test]
fn buckets_cost_what_they_hold() {
    let logs = Logs::new();
    for i in 0..100 {
        logs.add_line(&labels_of("{app=\"a\"}"), Nanos(i), &format!("{{\"k\":\"{i}{}\",\"n\":{i}}}", "x".repeat(10_000)), &Labels::empty());
    }
    let ask = |body: &str, memory: u64| {
        let budget = Budget::new(ManualClock::new(Timestamp(0)), Duration::from_secs(60), 1 << 20, memory);
        let request = Request::read(&serde_json::from_str(body).unwrap(), &Context::new(now())).unwrap();
        search(&logs, &everything(), &request, &budget).map(|a| a.total.unwrap_or(0)).map_err(|e| e.to_string())
    };
    let refused = |memory: u64| format!("query would need more than {memory} bytes of memory");
    // Their keys.
    let terms = |size: usize, inner: &str| format!("{{\"size\":0,\"aggs\":{{\"k\":{{\"terms\":{{\"field\":\"k\",\"size\":{size}}}{inner}}}}}}}");
    assert_eq!(ask(&terms(1, ""), 1_000_000).unwrap_err(), refused(1_000_000));
    assert_eq!(ask(&terms(1, ""), 1_200_000), Ok(100));
    // What each of them counts, although nothing was counted yet.
    let metrics: Vec<String> = (0..100).map(|i| format!("\"m{i}\":{{\"sum\":{{\"field\":\"none\"}}}}")).collect();
    let many = format!(",\"aggs\":{{{}}}", metrics.join(","));
    assert_eq!(ask(&terms(1, &many), 2_000_000).unwrap_err(), refused(2_000_000));
    // What is written of them.
    let filled = "{\"size\":0,\"aggs\":{\"h\":{\"histogram\":{\"field\":\"n\",\"interval\":0.01}}}}";
    assert_eq!(ask(filled, 1_000_000).unwrap_err(), refused(1_000_000));
    assert_eq!(ask(filled, 10_000_000), Ok(100));
    // The documents that are kept in each of them.
    let top =
        |size: usize| format!("{{\"size\":0,\"aggs\":{{\"n\":{{\"terms\":{{\"field\":\"n\"}},\"aggs\":{{\"top\":{{\"top_hits\":{{\"size\":{size}}}}}}}}}}}}}");
    assert_eq!(ask(&top(0), 1_000_000), Ok(100));
    assert_eq!(ask(&top(1), 1_000_000).unwrap_err(), refused(1_000_000));
    assert_eq!(ask(&top(1), 10_000_000), Ok(100));
    // Those that others put out of a bucket are not among them.
    let newest = "{\"size\":0,\"aggs\":{\"top\":{\"top_hits\":{\"size\":1,\"sort\":[{\"n\":\"desc\"}]}}}}";
    assert_eq!(ask(newest, 200_000), Ok(100));
    // What is made of buckets, in each of them.
    let sums: Vec<String> = (0..20).map(|i| format!("\"c{i}\":{{\"cumulative_sum\":{{\"buckets_path\":\"_count\"}}}}")).collect();
    let summed = |inner: &str| format!("{{\"size\":0,\"aggs\":{{\"h\":{{\"histogram\":{{\"field\":\"n\",\"interval\":1}},\"aggs\":{{{inner}}}}}}}}}");
    assert_eq!(ask(&summed(""), 600_000), Ok(100));
    assert_eq!(ask(&summed(&sums.join(",")), 600_000).unwrap_err(), refused(600_000));
    assert_eq!(ask(&summed(&sums.join(",")), 6_000_000), Ok(100));
}

#[test]
fn combinations_of_lists_are_work() {
    let list = |from: usize| (from..from + 200).map(|i| i.to_string()).collect::<Vec<_>>().join(",");
    let logs = one(&format!("{{\"a\":[{}],\"b\":[{}],\"c\":[{}],\"d\":[{}]}}", list(0), list(200), list(400), list(600)));
    let ask = |fields: &[&str]| {
        let sources: Vec<Value> = fields.iter().map(|field| serde_json::json!({*field: {"terms": {"field": field}}})).collect();
        let body = serde_json::json!({"size": 0, "aggs": {"c": {"composite": {"sources": sources}}}});
        let budget = Budget::new(Arc::new(Ticking(AtomicU64::new(0))), Duration::from_secs(5), u64::MAX, u64::MAX);
        let request = Request::read(&body, &Context::new(now())).unwrap();
        search(&logs, &everything(), &request, &budget).map(|_| ()).map_err(|e| e.to_string())
    };
    assert_eq!(ask(&["a"]), Ok(()));
    assert!(ask(&["a", "b", "c", "d"]).unwrap_err().contains("timed out"));
}

#[test]
fn default_fields_are_shared_by_all_words() {
    let names = |count: usize| (0..count).map(|i| format!("f{i}")).collect::<Vec<_>>();
    let mut context = Context::new(now());
    assert!(context.set_default_fields(names(DEFAULT_FIELDS_MAX + 1)).unwrap_err().to_string().contains("1025 names"));
    assert!(context.set_default_fields(vec!["x".repeat(FIELD_BYTES_MAX + 1)]).unwrap_err().to_string().contains("bytes long"));
    context.set_default_fields(names(DEFAULT_FIELDS_MAX)).unwrap();
    let (Filter::Field(FieldNames::Several(a), _), Filter::Field(FieldNames::Several(b), _)) =
        (lucene::parse_simple("a", &context).unwrap(), lucene::parse("b", &context).unwrap())
    else {
        panic!("words in several fields expected")
    };
    assert!(Arc::ptr_eq(&a, &b));
    // Words times fields is work, for which the clock is looked at also within one document.
    let words = (0..lucene::CLAUSES_MAX).map(|i| format!("w{i}")).collect::<Vec<_>>().join(" ");
    let filter = lucene::parse_simple(&words, &context).unwrap();
    assert!(takes_long(&one("{\"a\":\"b\"}"), &filter));
    assert!(!takes_long(&one("{\"a\":\"b\"}"), &lucene::parse_simple("a b c", &context).unwrap()));
}

#[test]
fn work_within_one_document_is_seen() {
    let words = "a b ".repeat(20_000);
    let logs = one(&words);
    // A phrase whose words are everywhere and nowhere near each other.
    let phrase =
        |asked: &str, slop: usize| filter("query", &format!("{{\"match_phrase\":{{\"message\":{{\"query\":\"{asked}\",\"slop\":{slop}}}}}}}")).unwrap();
    assert!(!takes_long(&logs, &phrase("a b", 1)));
    let asked = format!("{} c", "a b ".repeat(100));
    assert!(!takes_long(&logs, &phrase(&asked, 5)), "a word that is missing ends it");
    let conditions = vec![format!("message:{}", "z".repeat(10)); 200].join(" OR ");
    assert!(takes_long(&logs, &filter("lucene", &conditions).unwrap()));
    // Many conditions on a little text are not much.
    assert!(!takes_long(&one("a b"), &filter("lucene", &conditions).unwrap()));
}

#[test]
fn patterns_of_fields_that_come_with_hits_are_work() {
    let members: Vec<String> = (0..1_000).map(|i| format!("\"f{i}\":{i}")).collect();
    let logs = one(&format!("{{{}}}", members.join(",")));
    let ask = |patterns: usize| {
        let body = serde_json::json!({"fields": vec!["*f*1".repeat(250); patterns]});
        let budget = Budget::new(Arc::new(Ticking(AtomicU64::new(0))), Duration::from_secs(5), u64::MAX, u64::MAX);
        search(&logs, &everything(), &Request::read(&body, &Context::new(now())).unwrap(), &budget).map(|_| ()).map_err(|e| e.to_string())
    };
    assert_eq!(ask(1), Ok(()));
    assert!(ask(200).unwrap_err().contains("timed out"));
    let long = serde_json::json!({"fields": ["*".repeat(FIELD_BYTES_MAX + 1)]});
    assert!(Request::read(&long, &Context::new(now())).unwrap_err().to_string().contains("bytes long"));
}

#[test]
fn fields_beyond_those_that_are_read_are_not_copied() {
    let members: Vec<String> = (0..200_000).map(|i| format!("\"f{i}\":{i}")).collect();
    let logs = one(&format!("{{{},\"l\":[{}]}}", members.join(","), vec!["1"; 200_000].join(",")));
    let has = |field: &str| count(&logs, &everything(), &filter("lucene", &format!("_exists_:{field}")).unwrap(), &budget()).unwrap();
    assert_eq!((has("f0"), has("f999"), has("f1000"), has("l")), (1, 1, 0, 0));
    let deep = format!("{}1{}", format!("{{\"{}\":", "n".repeat(200)).repeat(100), "}".repeat(100));
    let name = vec!["n".repeat(200); 5].join(".");
    assert_eq!(count(&one(&deep), &everything(), &filter("lucene", &format!("_exists_:{name}")).unwrap(), &budget()).unwrap(), 0);
}

#[test]
fn many_values_are_one_condition() {
    let logs = one("{\"status\":4200,\"text\":\"Some w4000 here\",\"ok\":true,\"at\":1.50}");
    let terms = |field: &str, values: &[String]| {
        let values: Vec<String> = values.iter().map(|v| format!("\"{v}\"")).collect();
        let filter = filter("query", &format!("{{\"terms\":{{\"{field}\":[{}]}}}}", values.join(","))).unwrap();
        assert!(matches!(filter, Filter::Field(..)));
        count(&logs, &everything(), &filter, &budget()).unwrap()
    };
    let numbers = |from: usize| (from..from + 10_000).map(|i| i.to_string()).collect::<Vec<_>>();
    assert_eq!((terms("status", &numbers(0)), terms("status", &numbers(5_000))), (1, 0));
    let words = |from: usize| (from..from + 10_000).map(|i| format!("w{i}")).collect::<Vec<_>>();
    assert_eq!((terms("text", &words(0)), terms("text.keyword", &words(0)), terms("text", &words(5_000))), (1, 0, 0));
    let texts = |all: &[&str]| all.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
    assert_eq!((terms("ok", &texts(&["true", "x"])), terms("ok", &texts(&["false", "x"]))), (1, 0));
    assert_eq!((terms("at", &texts(&["1.5", "x"])), terms("at", &texts(&["1.4", "x"]))), (1, 0));
    assert_eq!((terms("@timestamp", &texts(&["2024-05-15", "x"])), terms("@timestamp", &texts(&["2024-05-14", "now"]))), (1, 0));
}

#[test]
fn percentiles_of_one_aggregation_are_limited() {
    let ask = |count: usize| {
        searched(&one("{\"x\":1}"), &format!("{{\"aggs\":{{\"p\":{{\"percentiles\":{{\"field\":\"x\",\"percents\":[{}]}}}}}}}}", vec!["50"; count].join(",")))
    };
    assert!(ask(256).is_ok());
    assert_eq!(ask(257).unwrap_err(), "[percents] has 257 values, more than 256");
}
