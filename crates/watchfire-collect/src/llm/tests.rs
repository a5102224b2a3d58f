//! Answers in the shapes that the servers' documents show, and what becomes of them.

use std::collections::HashMap;

use proptest::prelude::*;
use watchfire_model::document::{Context, Severity, parse_yaml};
use watchfire_model::sample::is_stale;
use watchfire_model::time::{ManualClock, Timestamp};

use super::*;
use crate::scrape::fetch::{Answer, FetchError, Fetching};

/// Answers by path; what is not there is an error 404.
#[derive(Default)]
struct Served(Mutex<HashMap<String, String>>);
impl Fetch for Served {
    fn get(&self, request: Request) -> Fetching<'_> {
        let found = self.0.lock().unwrap().get(&request.url).cloned();
        Box::pin(async move {
            match found {
                Some(text) if text == "refused" => Err(FetchError::Connect("x".to_owned())),
                Some(text) => Ok(Answer { status: 200, content_type: String::new(), body: text.into() }),
                None => Ok(Answer { status: 404, ..Answer::default() }),
            }
        })
    }
}

fn servers(text: &str) -> (Vec<Server>, Vec<String>) {
    let context = Context::new("w.yml");
    let node = parse_yaml("w.yml", text).unwrap();
    let reader = Reader::new(&context, &node, "");
    let servers = read(&reader, &|path| path.into());
    reader.finish();
    let errors = context.into_findings().into_iter().filter(|f| f.severity == Severity::Error).map(|f| f.message).collect();
    (servers, errors)
}

struct House {
    served: Arc<Served>,
    collector: LlmCollector,
    meter: Meter,
}

fn house(kind: &str, answers: &[(&str, &str)]) -> House {
    let (mut servers, errors) = servers(&format!("llm_servers: [{{name: nemotron, kind: {kind}, url: 'http://u:secret@ai:8091/', labels: {{room: attic}}}}]"));
    assert!(errors.is_empty(), "{errors:?}");
    let served = Arc::new(Served::default());
    for (path, text) in answers {
        served.0.lock().unwrap().insert(format!("http://u:secret@ai:8091{path}"), (*text).to_owned());
    }
    let meter = Meter::new();
    let collector = LlmCollector::new(servers.remove(0), served.clone(), ManualClock::new(Timestamp(1_000_000)), &meter);
    House { served, collector, meter }
}

impl House {
    /// Series without the labels that all of them have.
    async fn poll(&self) -> Vec<String> {
        let batch = self.collector.poll().await;
        let line = |s: &watchfire_model::batch::SeriesSamples| {
            let of = |name: &str| s.labels.get(name).unwrap_or("");
            assert_eq!((of("job"), of("instance"), of("server"), of("room")), ("llm_servers", "ai:8091", "nemotron", "attic"));
            let labels = ["job", "instance", "server", "room", "gen_ai_provider_name"].iter().fold(s.labels.clone(), |labels, name| labels.without(name));
            let value = s.samples.as_slice()[0].value;
            if is_stale(value) { format!("{labels} stale") } else { format!("{labels} {value}") }
        };
        batch.series.iter().map(line).collect()
    }
    fn figure(&self, name: &str) -> f64 {
        self.meter.gather().iter().find(|f| &*f.name == name).map_or(0.0, |f| f.points.iter().map(|(_, v)| v).sum())
    }
}

fn check(lines: &[String], expected: &[&str]) {
    for line in expected {
        assert!(lines.iter().any(|l| l == line), "{line} is not among {lines:#?}");
    }
}

const LLAMA_METRICS: &str = "\
# HELP llamacpp:prompt_tokens_total Number of prompt tokens processed.
# TYPE llamacpp:prompt_tokens_total counter
llamacpp:prompt_tokens_total 1200
# TYPE llamacpp:prompt_seconds_total counter
llamacpp:prompt_seconds_total 1.5
# TYPE llamacpp:tokens_predicted_total counter
llamacpp:tokens_predicted_total 340
# TYPE llamacpp:tokens_predicted_seconds_total counter
llamacpp:tokens_predicted_seconds_total 6.25
# TYPE llamacpp:n_decode_total counter
llamacpp:n_decode_total 360
# TYPE llamacpp:n_busy_slots_per_decode counter
llamacpp:n_busy_slots_per_decode 1.2
# TYPE llamacpp:prompt_tokens_seconds gauge
llamacpp:prompt_tokens_seconds 800
# TYPE llamacpp:predicted_tokens_seconds gauge
llamacpp:predicted_tokens_seconds 54.4
# TYPE llamacpp:requests_processing gauge
llamacpp:requests_processing 1
# TYPE llamacpp:requests_deferred gauge
llamacpp:requests_deferred 2
";

#[tokio::test]
async fn llama_cpp_has_the_one_set_of_names() {
    let slots = r#"[{"id":0,"n_ctx":8192,"is_processing":true,"params":{},"next_token":{}},{"id":1,"n_ctx":8192,"is_processing":false}]"#;
    let props = r#"{"default_generation_settings":{"id":0,"n_ctx":8192},"total_slots":2,"model_path":"/models/nemotron-3-nano.gguf","chat_template":"x","build_info":"b1-abc"}"#;
    let house = house("llama.cpp", &[("/metrics", LLAMA_METRICS), ("/slots", slots), ("/props", props)]);
    let found = house.poll().await;
    check(
        &found,
        &[
            "gen_ai_server_up 1",
            r#"gen_ai_server_info{version="b1-abc"} 1"#,
            r#"gen_ai_server_tokens_total{gen_ai_token_type="input"} 1200"#,
            r#"gen_ai_server_tokens_total{gen_ai_token_type="output"} 340"#,
            r#"gen_ai_server_tokens_per_second{gen_ai_token_type="output"} 54.4"#,
            r#"gen_ai_server_compute_seconds_total{phase="prompt"} 1.5"#,
            r#"gen_ai_server_compute_seconds_total{phase="generation"} 6.25"#,
            "gen_ai_server_executions_total 360",
            "gen_ai_server_requests_running 1",
            "gen_ai_server_requests_waiting 2",
            r#"gen_ai_server_slots{state="busy"} 1"#,
            r#"gen_ai_server_slots{state="idle"} 1"#,
            r#"gen_ai_server_context_tokens{gen_ai_request_model="nemotron-3-nano.gguf"} 8192"#,
            r#"gen_ai_server_model_loaded{gen_ai_request_model="nemotron-3-nano.gguf"} 1"#,
            "inference_healthy 1",
            "inference_tokens_total 340",
        ],
    );
    // It counts no requests, so neither do we.
    assert!(!found.iter().any(|l| l.starts_with("inference_requests")), "{found:#?}");
    // Metrics and slots are off unless they are asked for, and earlier versions had a number for the state.
    let house = house_without_metrics().await;
    check(&house.poll().await, &["gen_ai_server_up 1", r#"gen_ai_server_slots{state="busy"} 1"#]);
    assert_eq!(house.figure("watchfire_llm_questions_failed_total"), 2.0);
}

async fn house_without_metrics() -> House {
    house("llama.cpp", &[("/slots", r#"[{"id":0,"state":1},{"id":1,"state":0}]"#)])
}

#[tokio::test]
async fn vllm_counts_once_what_has_two_names_and_knows_the_earlier_ones() {
    let both = "\
vllm:gpu_prefix_cache_hits_total{engine=\"0\",model_name=\"m\"} 40.0
vllm:gpu_prefix_cache_queries_total{engine=\"0\",model_name=\"m\"} 100.0
vllm:gpu_cache_usage_perc{model_name=\"m\"} 0.5
vllm:time_per_output_token_seconds_count{engine=\"0\",model_name=\"m\"} 3.0
";
    let labels = r#"{engine="0", gen_ai_request_model="m"}"#;
    let found = house("vllm", &[("/metrics", both)]).poll().await;
    let earlier = [format!("gen_ai_server_prefix_cache_hits_total{labels} 40"), format!("gen_ai_server_prefix_cache_queries_total{labels} 100")];
    check(&found, &[earlier[0].as_str(), earlier[1].as_str(), r#"gen_ai_server_cache_usage_ratio{gen_ai_request_model="m"} 0.5"#]);
    let later = "vllm:prefix_cache_hits_total{engine=\"0\",model_name=\"m\"} 41.0\nvllm:kv_cache_usage_perc{model_name=\"m\"} NaN\nvllm:inter_token_latency_seconds_count 5\n";
    let text: &'static str = Box::leak(format!("{later}{both}").into_boxed_str());
    let found = house("vllm", &[("/metrics", text)]).poll().await;
    // The first line of an answer counts as well as any other.
    check(&found, &[&format!("gen_ai_server_prefix_cache_hits_total{labels} 41"), earlier[1].as_str(), "gen_ai_server_time_per_output_token_seconds_count 5"]);
    assert!(
        !found.iter().any(|line| line.contains("cache_usage_ratio") || line.starts_with("gen_ai_server_time_per_output_token_seconds_count{")),
        "{found:#?}"
    );
}

#[tokio::test]
async fn ollama_says_nothing_odd_about_models_without_a_gpu_or_an_end() {
    let ps = r#"{"models":[{"name":"a","size":100,"size_vram":0,"expires_at":"2318-08-24T07:29:00+02:00"},{"model":"b","size":null,"expires_at":"0001-01-01T00:00:00Z"},{"size":1},7]}"#;
    let found = house("ollama", &[("/api/ps", ps), ("/api/tags", r#"{"models":null}"#), ("/api/version", "[]")]).poll().await;
    check(
        &found,
        &[
            r#"gen_ai_server_models{state="loaded"} 4"#,
            r#"gen_ai_server_models{state="available"} 0"#,
            r#"gen_ai_server_model_gpu_memory_bytes{gen_ai_request_model="a"} 0"#,
            r#"gen_ai_server_model_memory_bytes{gen_ai_request_model="a"} 100"#,
            r#"gen_ai_server_model_loaded{gen_ai_request_model="b"} 1"#,
        ],
    );
    assert!(!found.iter().any(|line| line.contains("expiry")), "no time that is none: {found:#?}");
}

#[tokio::test]
async fn vllm_has_the_one_set_of_names() {
    let text = "\
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine=\"0\",model_name=\"llama\"} 3.0
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine=\"0\",model_name=\"llama\"} 0.25
vllm:gpu_cache_usage_perc{engine=\"0\",model_name=\"llama\"} 0.24
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine=\"0\",model_name=\"llama\"} 1000.0
vllm:generation_tokens_total{engine=\"0\",model_name=\"llama\"} 200.0
vllm:generation_tokens_created{engine=\"0\",model_name=\"llama\"} 1.7e9
# TYPE vllm:request_success_total counter
vllm:request_success_total{engine=\"0\",finished_reason=\"stop\",model_name=\"llama\"} 7.0
vllm:request_success_total{engine=\"0\",finished_reason=\"length\",model_name=\"llama\"} 2.0
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{engine=\"0\",le=\"0.1\",model_name=\"llama\"} 4.0
vllm:time_to_first_token_seconds_bucket{engine=\"0\",le=\"+Inf\",model_name=\"llama\"} 9.0
vllm:time_to_first_token_seconds_count{engine=\"0\",model_name=\"llama\"} 9.0
vllm:time_to_first_token_seconds_sum{engine=\"0\",model_name=\"llama\"} 1.75
";
    let house = house("vllm", &[("/metrics", text)]);
    let batch = house.collector.poll().await;
    let kind = batch.metadata.iter().find(|m| &*m.family == "gen_ai_server_time_to_first_token_seconds").map(|m| m.kind);
    assert_eq!(kind, Some(watchfire_model::batch::MetricType::Histogram));
    check(
        &house.poll().await,
        &[
            r#"gen_ai_server_requests_running{engine="0", gen_ai_request_model="llama"} 3"#,
            r#"gen_ai_server_cache_usage_ratio{engine="0", gen_ai_request_model="llama"} 0.25"#,
            r#"gen_ai_server_tokens_total{engine="0", gen_ai_request_model="llama", gen_ai_token_type="output"} 200"#,
            r#"gen_ai_server_requests_total{engine="0", finish_reason="stop", gen_ai_request_model="llama", outcome="success"} 7"#,
            r#"gen_ai_server_time_to_first_token_seconds_bucket{engine="0", gen_ai_request_model="llama", le="0.1"} 4"#,
            r#"gen_ai_server_time_to_first_token_seconds_sum{engine="0", gen_ai_request_model="llama"} 1.75"#,
            "inference_requests_total 9",
            "inference_requests_success_total 9",
            "inference_tokens_total 200",
        ],
    );
}

#[tokio::test]
async fn ollama_has_the_one_set_of_names_and_models_come_and_go() {
    let ps = r#"{"models":[{"name":"llava:7b","model":"llava:7b","size":6654289920,"digest":"x","details":{"family":"llama"},"expires_at":"2025-12-30T10:15:00.5Z","size_vram":5333539264,"context_length":4096}]}"#;
    let tags = r#"{"models":[{"name":"llava:7b","size":4733363377,"modified_at":"2025-11-04T14:56:49.277302595-07:00"},{"name":"gemma3","size":3338801804}]}"#;
    let house = house("ollama", &[("/api/ps", ps), ("/api/tags", tags), ("/api/version", r#"{"version":"0.12.6"}"#)]);
    let llava = |name: &str, value: &str| format!(r#"{name}{{gen_ai_request_model="llava:7b"}} {value}"#);
    let found = house.poll().await;
    check(
        &found,
        &[
            r#"gen_ai_server_models{state="loaded"} 1"#,
            r#"gen_ai_server_models{state="available"} 2"#,
            &llava("gen_ai_server_model_loaded", "1"),
            &llava("gen_ai_server_model_memory_bytes", "6654289920"),
            &llava("gen_ai_server_model_gpu_memory_bytes", "5333539264"),
            &llava("gen_ai_server_context_tokens", "4096"),
            &llava("gen_ai_server_model_expiry_timestamp_seconds", "1767089700.5"),
            r#"gen_ai_server_model_disk_bytes{gen_ai_request_model="gemma3"} 3338801804"#,
            r#"gen_ai_server_info{version="0.12.6"} 1"#,
        ],
    );
    house.served.0.lock().unwrap().insert("http://u:secret@ai:8091/api/ps".to_owned(), r#"{"models":[]}"#.to_owned());
    check(&house.poll().await, &[r#"gen_ai_server_models{state="loaded"} 0"#, &llava("gen_ai_server_model_loaded", "stale")]);
    // A server that is away is down, and nothing else is known of it.
    house.served.0.lock().unwrap().values_mut().for_each(|text| "refused".clone_into(text));
    let away = house.poll().await;
    check(&away, &["gen_ai_server_up 0", "inference_healthy 0", r#"gen_ai_server_models{state="loaded"} stale"#]);
    assert_eq!(away.iter().filter(|l| !l.ends_with("stale")).count(), 2, "{away:#?}");
}

#[tokio::test]
async fn triton_has_the_one_set_of_names() {
    let text = "\
# HELP nv_inference_request_success Number of successful inference requests, all batch sizes
# TYPE nv_inference_request_success counter
nv_inference_request_success{model=\"yolo\",version=\"1\"} 10
# TYPE nv_inference_request_failure counter
nv_inference_request_failure{model=\"yolo\",reason=\"REJECTED\",version=\"1\"} 1
nv_inference_request_failure{model=\"yolo\",reason=\"OTHER\",version=\"1\"} 2
nv_inference_count{model=\"yolo\",version=\"1\"} 40
nv_inference_exec_count{model=\"yolo\",version=\"1\"} 12
nv_inference_request_duration_us{model=\"yolo\",version=\"1\"} 2500000
nv_inference_queue_duration_us{model=\"yolo\",version=\"1\"} 500000
nv_inference_compute_infer_duration_us{model=\"yolo\",version=\"1\"} 1500000
nv_inference_pending_request_count{model=\"yolo\",version=\"1\"} 3
nv_gpu_utilization{gpu_uuid=\"GPU-x\"} 0.5
";
    let yolo = |name: &str, more: &str, after: &str, value: &str| {
        format!(r#"{name}{{gen_ai_request_model="yolo"{more}, version="1"{after}}} {value}"#).replace("\", , ", "\", ")
    };
    let house = house("triton", &[("/metrics", text)]);
    let found = house.poll().await;
    check(
        &found,
        &[
            &yolo("gen_ai_server_requests_total", r#", outcome="success""#, "", "10"),
            &yolo("gen_ai_server_requests_total", r#", outcome="failure""#, "", "3"),
            &yolo("gen_ai_server_inferences_total", "", "", "40"),
            &yolo("gen_ai_server_executions_total", "", "", "12"),
            &yolo("gen_ai_server_request_duration_seconds_sum", "", "", "2.5"),
            &yolo("gen_ai_server_request_duration_seconds_count", "", "", "10"),
            &yolo("gen_ai_server_request_duration_seconds_bucket", r#", le="+Inf""#, "", "10"),
            &yolo("gen_ai_server_time_in_queue_seconds_sum", "", "", "0.5"),
            &yolo("gen_ai_server_compute_seconds_total", r#", phase="inference""#, "", "1.5"),
            &yolo("gen_ai_server_requests_waiting", "", "", "3"),
            "inference_requests_total 13",
            "inference_requests_failed_total 3",
        ],
    );
    assert!(!found.iter().any(|l| l.contains("nv_gpu")), "the GPU is watched elsewhere");
}

#[tokio::test]
async fn answers_that_are_none_are_counted() {
    let house = house("ollama", &[("/api/ps", "<html>"), ("/api/tags", "{}")]);
    check(&house.poll().await, &["gen_ai_server_up 1"]);
    assert_eq!(house.figure("watchfire_llm_answers_unread_total"), 2.0);
}

#[tokio::test]
async fn series_that_are_too_many_are_counted() {
    let models: String = (0..2_010).map(|n| format!("nv_inference_count{{model=\"m{n}\",version=\"1\"}} 1\n")).collect();
    let house = house("triton", &[("/metrics", &models)]);
    let stored = house.poll().await.len();
    assert!((2_000..2_010).contains(&stored), "{stored}");
    for family in ["watchfire_llm_series_left_out_total", "watchfire_collect_series_left_out_total"] {
        assert_eq!(house.figure(family), 10.0, "{family}");
    }
}

#[test]
fn mistakes_are_said() {
    let entry = "name: a, kind: vllm, url: 'http://x'";
    for (text, expected) in [
        ("{name: a, url: 'http://x'}".to_owned(), "needs a kind"),
        ("{name: a, kind: vlm, url: 'http://x'}".to_owned(), "did you mean \"vllm\""),
        ("{name: a, kind: vllm, url: x}".to_owned(), "must begin with http://"),
        (format!("{{{entry}, timeout: 20s}}"), "no longer than interval"),
        (format!("{{{entry}, labels: {{server: x}}}}"), "cannot be a label here"),
        (format!("{{{entry}}}, {{{entry}}}"), "more than one entry"),
        (format!("{{{entry}, colour: red}}"), "colour"),
    ] {
        let (_, errors) = servers(&format!("llm_servers: [{text}]"));
        assert!(errors.len() == 1 && errors[0].contains(expected), "{text}: {errors:?}");
    }
}

proptest! {
    #[test]
    fn any_answer_is_survived(text in "(\\PC|[\\[\\]{}\",:0-9]|models|vllm:request_success_total){0,200}") {
        for kind in [Kind::LlamaCpp, Kind::Vllm, Kind::Ollama, Kind::Triton] {
            for question in kind.questions() {
                let _said = (question.read)(&text, &mut Sheet::default());
            }
        }
    }
}
