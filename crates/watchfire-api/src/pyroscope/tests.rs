//! Tests of the Pyroscope face over the test house: what was pushed comes back as flame graphs in all its forms.

use axum::body::Body;
use axum::extract::Request;
use serde_json::{Value, json};
use watchfire_ingest::protobuf::{Message as Fields, Value as Wire, Writer};

use crate::testing::{Answered, Faces, NOW};

const CPU: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
const QUERIER: &str = "/pyroscope/querier.v1.QuerierService";

async fn send(faces: &Faces, path: &str, media: &str, body: Vec<u8>) -> Answered {
    let request = Request::post(path).header("content-type", media);
    faces.send(request.body(Body::from(body)).unwrap()).await
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// A backend of two moments, a minute apart.
async fn house() -> Faces {
    let faces = Faces::new();
    let seconds = NOW.millis() / 1000;
    for (name, from, body) in [
        ("backend{env=prod}", seconds - 70, "main;detect;nms 3\nmain;detect 1\n"),
        ("backend{env=prod}", seconds - 10, "main;detect;nms 1\nmain;store 2\n"),
        ("ai-yolo26", seconds - 10, "main;infer 4\n"),
    ] {
        let path = format!("/pyroscope/ingest?name={}&from={from}&until={}&sampleRate=100&format=folded", encoded(name), from + 10);
        let answer = send(&faces, &path, "text/plain", body.into()).await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, ""));
    }
    faces
}

async fn get(faces: &Faces, path: &str) -> Value {
    let answer = faces.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

async fn ask(faces: &Faces, method: &str, question: &Value) -> Value {
    let answer = faces.post(&format!("{QUERIER}/{method}"), "application/json", &question.to_string()).await;
    assert_eq!(answer.status, 200, "{method}: {}", answer.text());
    answer.json()
}

fn range() -> (i64, i64) {
    (NOW.millis() - 3_600_000, NOW.millis())
}

#[tokio::test]
async fn stk_07_a_flame_graph_with_its_timeline() {
    let faces = house().await;
    let query = encoded(&format!("{CPU}{{service_name=\"backend\"}}"));
    let answer = get(&faces, &format!("/pyroscope/render?query={query}&from=now-1h&until=now&format=json")).await;
    assert_eq!(answer["flamebearer"]["names"], json!(["total", "main", "detect", "nms", "store"]));
    let ms = |samples: i64| samples * 10_000_000;
    let levels = json!([[0, ms(7), 0, 0], [0, ms(7), 0, 1], [0, ms(5), ms(1), 2, 0, ms(2), ms(2), 4], [ms(1), ms(4), ms(4), 3]]);
    assert_eq!((&answer["flamebearer"]["levels"], &answer["flamebearer"]["numTicks"]), (&levels, &json!(ms(7))));
    let metadata = json!({"format": "single", "spyName": "", "sampleRate": 1_000_000_000, "units": "samples", "name": "cpu"});
    assert_eq!((&answer["metadata"], &answer["version"]), (&metadata, &json!(1)));
    let timeline = &answer["timeline"];
    let samples: Vec<f64> = timeline["samples"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    assert_eq!((samples.iter().sum::<f64>(), timeline["durationDelta"].as_i64()), (ms(7) as f64, Some(15)));
    let grouped = get(&faces, &format!("/pyroscope/render?query={CPU}&groupBy=service_name")).await;
    assert_eq!(grouped["groups"].as_object().unwrap().keys().collect::<Vec<_>>(), ["ai-yolo26", "backend"]);
    let few = get(&faces, &format!("/pyroscope/render?query={query}&maxNodes=3")).await;
    assert_eq!(few["flamebearer"]["names"], json!(["total", "main", "detect", "other"]));
}

#[tokio::test]
async fn stk_08_before_and_after_side_by_side() {
    let faces = house().await;
    let (seconds, query) = (NOW.millis() / 1000, encoded(&format!("{CPU}{{service_name=\"backend\"}}")));
    let side = |name: &str, from: i64| format!("{name}Query={query}&{name}From={from}&{name}Until={}", from + 20);
    let path = format!("/pyroscope/render-diff?{}&{}", side("left", seconds - 80), side("right", seconds - 20));
    let answer = get(&faces, &path).await;
    assert_eq!((&answer["metadata"]["format"], &answer["leftTicks"], &answer["rightTicks"]), (&json!("double"), &json!(40_000_000), &json!(30_000_000)));
    assert_eq!(answer["flamebearer"]["levels"][0], json!([0, 40_000_000, 0, 0, 30_000_000, 0, 0]));
    let question = |from: i64| json!({"profileTypeID": CPU, "labelSelector": "{service_name=\"backend\"}", "start": from * 1000, "end": (from + 20) * 1000});
    let diff = ask(&faces, "Diff", &json!({"left": question(seconds - 80), "right": question(seconds - 20)})).await;
    assert_eq!((&diff["flamegraph"]["leftTicks"], &diff["flamegraph"]["rightTicks"]), (&json!("40000000"), &json!("30000000")));
    assert_eq!(diff["flamegraph"]["levels"][0]["values"].as_array().unwrap().len(), 7);
}

#[tokio::test]
async fn stk_07_what_grafana_asks_in_json() {
    let faces = house().await;
    let (start, end) = range();
    let types = ask(&faces, "ProfileTypes", &json!({"start": start.to_string(), "end": end})).await;
    let expected =
        json!({"ID": CPU, "name": "process_cpu", "sampleType": "cpu", "sampleUnit": "nanoseconds", "periodType": "cpu", "periodUnit": "nanoseconds"});
    assert_eq!(types, json!({"profileTypes": [expected]}));
    let names = ask(&faces, "LabelNames", &json!({"start": start, "end": end})).await;
    assert!(names["names"].as_array().unwrap().contains(&json!("service_name")));
    let values = ask(&faces, "LabelValues", &json!({"name": "service_name", "matchers": ["{env=\"prod\"}"], "start": start, "end": end})).await;
    assert_eq!(values, json!({"names": ["backend"]}));
    let series = ask(&faces, "Series", &json!({"labelNames": ["service_name"], "start": start, "end": end})).await;
    let of = |name: &str| json!({"labels": [{"name": "service_name", "value": name}]});
    assert_eq!(series, json!({"labelsSet": [of("ai-yolo26"), of("backend")]}));
    let question = json!({"profile_typeID": CPU, "label_selector": "{service_name=\"backend\"}", "start": start, "end": end, "maxNodes": "100"});
    let flame = ask(&faces, "SelectMergeStacktraces", &question).await;
    assert_eq!((&flame["flamegraph"]["total"], &flame["flamegraph"]["maxSelf"]), (&json!("70000000"), &json!("40000000")));
    assert_eq!(flame["flamegraph"]["levels"][0]["values"], json!(["0", "70000000", "0", "0"]));
    let points =
        json!({"profileTypeID": CPU, "labelSelector": "{}", "start": end - 90_000, "end": end, "step": 15.0, "groupBy": ["service_name"], "limit": "1"});
    let told = ask(&faces, "SelectSeries", &points).await;
    assert_eq!(told["series"].as_array().unwrap().len(), 1);
    assert_eq!((&told["series"][0]["labels"][0]["value"], told["series"][0]["points"].as_array().unwrap().len()), (&json!("backend"), 2));
    let pprof = ask(&faces, "SelectMergeProfile", &question).await;
    assert_eq!((pprof["sample"].as_array().unwrap().len(), &pprof["stringTable"][0]), (3, &json!("")));
    assert_eq!(ask(&faces, "SelectMergeStacktraces", &json!({"profileTypeID": "a:b:c:d:e"})).await["flamegraph"]["total"], json!("0"));
}

#[tokio::test]
async fn what_grafana_asks_in_protobuf() {
    let faces = house().await;
    let (start, end) = range();
    let mut question = Writer::new();
    question.text(1, CPU);
    question.text(2, "{service_name=\"backend\"}");
    question.int(3, start);
    question.int(4, end);
    let answer = send(&faces, &format!("{QUERIER}/SelectMergeStacktraces"), "application/proto", question.bytes().to_vec()).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/proto"));
    let mut names = Vec::new();
    let mut levels = 0;
    for field in Fields::new(&answer.body) {
        let (1, Wire::Bytes(flame)) = field.unwrap() else { panic!("an unknown field") };
        for field in Fields::new(flame) {
            match field.unwrap() {
                (1, Wire::Bytes(name)) => names.push(std::str::from_utf8(name).unwrap().to_owned()),
                (2, Wire::Bytes(_)) => levels += 1,
                _ => {}
            }
        }
    }
    assert_eq!((names, levels), (["total", "main", "detect", "nms", "store"].map(str::to_owned).to_vec(), 4));
    // What comes out as pprof goes in again.
    let pprof = send(&faces, &format!("{QUERIER}/SelectMergeProfile"), "application/proto", question.into_bytes()).await;
    let again = send(&faces, "/pyroscope/ingest?name=copy&format=pprof", "application/octet-stream", pprof.body.to_vec()).await;
    assert_eq!((pprof.status.as_u16(), again.status.as_u16()), (200, 200), "{}", again.text());
    let copy = get(&faces, &format!("/pyroscope/render?query={}", encoded(&format!("{CPU}{{service_name=\"copy\"}}")))).await;
    assert_eq!((&copy["flamebearer"]["numTicks"], &copy["flamebearer"]["names"][3]), (&json!(70_000_000), &json!("nms")));
    for method in ["ProfileTypes", "LabelNames", "Series", "GetProfileStats"] {
        assert_eq!(send(&faces, &format!("{QUERIER}/{method}"), "application/proto", Vec::new()).await.status, 200, "{method}");
    }
}

#[tokio::test]
async fn samples_of_a_span_are_a_flame_graph_of_their_own() {
    let faces = Faces::new();
    let (mut file, mut pushed) = (Writer::new(), Writer::new());
    file.message(1, |out| (out.uint(1, 1), out.uint(2, 2)).0);
    for (span, value) in [(5, 30), (0, 10)] {
        file.message(2, |out| {
            out.packed(1, std::iter::once(1));
            out.packed(2, std::iter::once(value));
            if span > 0 {
                out.message(3, |out| (out.uint(1, 4), out.uint(2, span)).0);
            }
        });
    }
    file.message(4, |out| {
        out.uint(1, 1);
        out.message(4, |out| out.uint(1, 1));
    });
    file.message(5, |out| (out.uint(1, 1), out.uint(2, 3)).0);
    ["", "cpu", "nanoseconds", "detect", "span_id", "00f067aa0ba902b7"].iter().for_each(|text| file.always_bytes(6, text.as_bytes()));
    pushed.message(1, |out| {
        out.message(1, |out| (out.text(1, "service_name"), out.text(2, "backend")).0);
        out.message(2, |out| out.always_bytes(1, file.bytes()));
    });
    let answer = send(&faces, "/pyroscope/push.v1.PusherService/Push", "application/proto", pushed.into_bytes()).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type"), answer.body.len()), (200, "application/proto", 0), "{}", answer.text());
    let question = |span: &str| json!({"profileTypeID": CPU, "labelSelector": "{}", "spanSelector": [span], "start": range().0, "end": range().1});
    assert_eq!(ask(&faces, "SelectMergeSpanProfile", &question("00f067aa0ba902b7")).await["flamegraph"]["total"], json!("30"));
    assert_eq!(ask(&faces, "SelectMergeSpanProfile", &question("ffffffffffffffff")).await["flamegraph"]["total"], json!("0"));
}

#[tokio::test]
async fn errors_are_told_as_each_of_the_clients_reads_them() {
    let faces = house().await;
    let ask = async |method: &str, body: &str| {
        let answer = faces.post(&format!("{QUERIER}/{method}"), "application/json", body).await;
        (answer.status.as_u16(), answer.json()["code"].as_str().unwrap().to_owned())
    };
    assert_eq!(ask("SelectMergeStacktraces", "{}").await, (400, "invalid_argument".to_owned()));
    assert_eq!(ask("SelectMergeStacktraces", r#"{"profileTypeID": "cpu"}"#).await, (400, "invalid_argument".to_owned()));
    assert_eq!(ask("SelectMergeStacktraces", r#"{"profileTypeID": "a:b:c:d:e", "format": "PROFILE_FORMAT_TREE"}"#).await, (501, "unimplemented".to_owned()));
    assert_eq!(ask("SelectMergeStacktraces", r#"{"stackTraceSelector": {"callSite": []}}"#).await, (501, "unimplemented".to_owned()));
    assert_eq!(ask("SelectMergeSpanProfile", r#"{"profileTypeID": "a:b:c:d:e"}"#).await, (400, "invalid_argument".to_owned()));
    assert_eq!(ask("LabelValues", "[").await, (400, "invalid_argument".to_owned()));
    assert_eq!(
        ask("SelectSeries", r#"{"profileTypeID": "a:b:c:d:e", "start": 1, "end": 1800000000000, "step": 1}"#).await,
        (400, "invalid_argument".to_owned())
    );
    for (path, status, words) in [
        ("/pyroscope/render", 400, "parameter 'query' is required"),
        ("/pyroscope/render?query=x", 400, "profile-type selection must be of the form"),
        ("/pyroscope/render?query=%7B%7D&from=yesterday", 400, "invalid from: \"yesterday\" is no time"),
        ("/pyroscope/render?query=%7B%7D&format=html", 400, "unknown format \"html\""),
        ("/pyroscope/label-values", 400, "parameter 'label' is required"),
    ] {
        let answer = faces.get(path).await;
        assert!(answer.status == status && answer.json()["message"].as_str().unwrap().starts_with(words), "{path}: {} {}", answer.status, answer.text());
    }
    for (path, status) in [("name=a&format=jfr", 422), ("format=folded", 400), ("name=a&from=x", 400), ("name=a&from=now-400d", 200)] {
        assert_eq!(send(&faces, &format!("/pyroscope/ingest?{path}"), "text/plain", b"a 1".to_vec()).await.status, status, "{path}");
    }
    let future = NOW.millis() / 1000 + 3_600;
    let refused = send(&faces, &format!("/pyroscope/ingest?name=a&from={future}"), "", b"a 1".to_vec()).await;
    assert!(refused.status == 422 && refused.text().contains("too_far_future"), "{}", refused.text());
    assert_eq!(send(&faces, "/pyroscope/push.v1.PusherService/Push", "application/grpc", Vec::new()).await.status, 415);
}

#[tokio::test]
async fn names_and_values_of_labels_as_plain_lists() {
    let faces = house().await;
    assert_eq!(get(&faces, "/pyroscope/label-values?label=service_name").await, json!(["ai-yolo26", "backend"]));
    let query = encoded("{env=\"prod\"}");
    assert_eq!(get(&faces, &format!("/pyroscope/label-values?label=__profile_type__&query={query}")).await, json!([CPU]));
    assert!(get(&faces, "/pyroscope/labels").await.as_array().unwrap().contains(&json!("env")));
    assert_eq!(faces.get("/pyroscope/ready").await.text(), "ready\n");
}
