//! What is found in logs that nobody has described.

use super::super::detect::*;
use super::*;

fn data() -> Logs {
    let logs = Logs::new();
    let (web, db) = (labels!("app" => "web", "pod" => "101"), labels!("app" => "db", "pod" => "102"));
    let mut at = 0;
    let mut add = |stream: &Labels, line: &str, metadata: &Labels| {
        at += 1_000_000_000;
        logs.add_line(stream, Nanos(at), line, metadata);
    };
    for i in 0..4 {
        let trace = labels!("trace" => &format!("t{i}"));
        add(&web, &format!("{{\"level\":\"info\",\"n\":{i},\"took\":\"{i}ms\",\"user\":{{\"id\":\"u{i}\"}},\"app\":\"x\",\"list\":[1]}}"), &trace);
        add(&db, &format!("level=warn ratio=0.{i} ok=true size=10{i}KB empty="), &Labels::empty());
    }
    add(&db, "connection to replica-1 lost", &Labels::empty());
    logs
}

#[test]
fn fields_with_their_kinds() {
    let log = parse_log("{app=~\".+\"}").unwrap();
    let request = FieldsRequest { start: Nanos(0), end: Nanos(i64::MAX), line_limit: 1_000, limit: 100 };
    let fields = detected_fields(&data(), &log, &request, &budget()).unwrap();
    let shown: Vec<String> =
        fields.iter().map(|f| format!("{} {} {} {} {}", f.label, f.kind.name(), f.cardinality, f.parsers.join("+"), f.json_path.join("."))).collect();
    assert_eq!(
        shown,
        [
            "app_extracted string 1 json app",
            "level string 2 json+logfmt level",
            "n int 4 json n",
            "ok boolean 1 logfmt ",
            "ratio float 4 logfmt ",
            "size bytes 4 logfmt ",
            "took duration 4 json took",
            "trace string 4  ",
            "user_id string 4 json user.id",
        ]
    );
    assert_eq!(detected_field_values(&data(), &log, "level", &request, &budget()).unwrap(), ["info", "warn"]);
    assert!(detected_field_values(&data(), &log, "none", &request, &budget()).unwrap().is_empty());
    let few = FieldsRequest { line_limit: 1, limit: 2, ..request };
    assert_eq!(detected_fields(&data(), &log, &few, &budget()).unwrap().len(), 0, "the newest line has no fields");
}

#[test]
fn labels_with_their_cardinality() {
    let labels = detected_labels(&data(), &[], Nanos(0), Nanos(i64::MAX), &budget()).unwrap();
    // Every value of `pod` is a number, which helps nobody to choose.
    assert_eq!(labels, [DetectedLabel { name: "app".to_owned(), cardinality: 2 }]);
}

#[test]
fn patterns_over_time() {
    let log = parse_log("{app=\"db\"}").unwrap();
    let found = patterns(&data(), &log, Nanos(0), Nanos(i64::MAX), Duration::from_secs(4), &budget()).unwrap();
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!((found[0].pattern.as_str(), found[0].level, found[0].total), ("level=warn ratio=<_> ok=true size=<_> empty=", "warn", 4));
    assert_eq!(found[0].samples, [(Nanos(0), 1), (Nanos(4_000_000_000), 2), (Nanos(8_000_000_000), 1)]);
    assert_eq!((found[1].pattern.as_str(), found[1].level), ("connection to <_> lost", "unknown"));
    let filter = parse_log(&format!("{{app=\"db\"}} |> {}", watchfire_model::labels::quoted(&found[0].pattern))).unwrap();
    let request = LinesRequest { start: Nanos(0), end: Nanos(i64::MAX), limit: 100, direction: Direction::Forward, interval: Duration::ZERO };
    assert_eq!(Engine::default().lines(&data(), &filter, &request, &budget()).unwrap().list.len(), 4);
}
