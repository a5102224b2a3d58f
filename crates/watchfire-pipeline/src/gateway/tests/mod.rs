//! Tests of the gateway against a scripted upstream: what passes, what is counted, what is refused, and what a death leaves.

mod refusals;
mod upstream;

use std::sync::Arc;

use http_body_util::BodyExt;
use tokio::sync::{Semaphore, mpsc};

use super::{Endpoint, Incoming, Price, Question, Settings, Spending};
use upstream::{Act, Bench, answer, chat, chunk, end, json, settings, stream_head, upstream};

const ASKED: &str = r#"{"model":"nano","messages":[{"role":"user","content":"hello world"}]}"#;
const STREAMED: &str = r#"{"model":"nano","stream":true,"messages":[{"role":"user","content":"hello world"}]}"#;

fn delta(text: &str) -> String {
    format!("data: {{\"model\":\"nano\",\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
}
const FINISH: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

async fn body(bench: &Bench, incoming: Incoming) -> (u16, String) {
    let response = bench.gateway.relay(incoming).await.unwrap();
    let status = response.status().as_u16();
    (status, String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap())
}

#[tokio::test]
async fn met_23_an_answer_passes_as_it_is_and_its_cost_is_kept_by_model_camera_day_month_and_event() {
    let told = r#"{ "model":"nano-2026", "choices":[{"message":{"content":"hi"}}], "usage":{"prompt_tokens":1000,"completion_tokens":500} }"#;
    let (url, asked) = upstream(vec![json(told)]).await;
    let price = Price { model: "nano*".into(), input: 1.0, output: 4.0, cached: None };
    let budget = Spending { daily_usd: Some(0.004), monthly_usd: Some(1.0), refuse: false };
    let bench = Bench::new(Settings { upstreams: vec![settings(&url)], prices: vec![price], budget, ..Settings::default() });
    let headers = [("x-camera-id", "front_door"), ("x-watchfire-caller", "analyzer"), ("authorization", "Bearer canary"), ("x-forwarded-for", "1.2.3.4")];
    for _ in 0..2 {
        assert_eq!(body(&bench, chat(ASKED, &headers)).await, (200, told.to_owned()));
    }
    let ever = bench.accounted(2).await;
    assert_eq!((ever.input_tokens, ever.output_tokens, ever.estimated_input_tokens, ever.failed, ever.partial), (2000, 1000, 0, 0, 0));
    let costs = bench.gateway.costs(9, 9);
    assert_eq!((costs.today.line.cost_usd, costs.month.line.cost_usd, costs.today.utilization), (0.006, 0.006, Some(1.5)));
    for (lines, name) in [(&costs.models, "nano"), (&costs.cameras, "front_door"), (&costs.callers, "analyzer"), (&costs.upstreams, "llama")] {
        assert_eq!((lines.len(), lines[0].name.as_str(), lines[0].cost_usd), (1, name, 0.006));
    }
    bench.gateway.tend();
    let said = &bench.observed;
    for (series, expected) in [
        ("inference_requests_total{model=nano}", 2.0),
        ("inference_requests_success_total{}", 2.0),
        ("inference_requests_failed_total{}", 0.0),
        ("inference_tokens_total{model=nano}", 1000.0),
        ("hsi_nemotron_tokens_input_total{camera_id=front_door}", 2000.0),
        ("hsi_nemotron_tokens_output_total{camera_id=front_door}", 1000.0),
        ("hsi_budget_exceeded_total{period=daily}", 1.0),
        ("hsi_budget_exceeded_total{period=monthly}", 0.0),
    ] {
        assert_eq!(said.sum(series), expected, "{series} in {}", said.all());
    }
    for series in [
        "hsi_nemotron_token_cost_usd_total{camera_id=front_door}",
        "hsi_event_analysis_cost_usd_total{camera_id=front_door}",
        "hsi_estimated_cost_usd_total{service=nemotron}",
    ] {
        assert!((said.sum(series) - 0.006).abs() < 1e-12, "{series} in {}", said.all());
    }
    for (series, expected) in [
        ("hsi_daily_cost_usd{}", 0.006),
        ("hsi_monthly_cost_usd{}", 0.006),
        ("hsi_budget_utilization_ratio{period=daily}", 1.5),
        ("hsi_budget_utilization_ratio{period=monthly}", 0.006),
        ("hsi_cost_per_event_usd{}", 0.0015),
        ("inference_healthy{}", 1.0),
        ("hsi_circuit_breaker_state{service=llama,breaker=llama}", 0.0),
        ("hsi_llm_context_utilization_ratio{model=nano}", 1000.0 / 3096.0),
    ] {
        assert!((said.last(series) - expected).abs() < 1e-12, "{series}: {} in {}", said.last(series), said.all());
    }
    let request = asked.lock().unwrap()[0].to_ascii_lowercase();
    assert!(request.starts_with("post /v1/chat/completions http/1.1\r\n") && request.ends_with(ASKED), "{request}");
    assert!(!request.contains("canary") && !request.contains("forwarded") && request.contains("accept-encoding: identity"), "{request}");
}

#[tokio::test]
async fn a_stream_passes_piece_by_piece_as_it_comes() {
    let go_on = Arc::new(Semaphore::new(0));
    // Pieces end in the middle of a character and of an end of an event, and hold less than an event or more.
    let text = format!("{}{}: ping\n\n{FINISH}{USAGE}{DONE}", delta("Hé"), delta(" you"));
    let whole = text.as_bytes();
    let (begin, cut) = (text.find('é').unwrap() + 1, text.find("\n\n").unwrap() + 1);
    let script = vec![
        stream_head(),
        chunk(&whole[..begin]),
        Act::Wait(go_on.clone()),
        chunk(&whole[begin..begin + 3]),
        chunk(&whole[begin + 3..cut]),
        Act::Wait(go_on.clone()),
        chunk(&whole[cut..]),
        end(),
    ];
    let (url, _) = upstream(vec![script]).await;
    let bench = Bench::before(&url);
    let response = bench.gateway.relay(chat(STREAMED, &[])).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
    let mut answer = response.into_body();
    let mut got = Vec::new();
    while let Some(frame) = answer.frame().await {
        got.extend_from_slice(&frame.unwrap().into_data().unwrap());
        // What came is here before more is sent.
        if got.len() == begin || got.len() == cut {
            go_on.add_permits(1);
        }
    }
    assert_eq!(String::from_utf8(got).unwrap(), text);
    let ever = bench.accounted(1).await;
    assert_eq!((ever.input_tokens, ever.output_tokens, ever.partial, ever.estimated_output_tokens), (9, 2, 0, 0));
    assert!(bench.observed.last("hsi_nemotron_tokens_per_second{}") > 0.0);
}

#[tokio::test]
async fn usage_that_was_not_asked_for_is_asked_for_and_kept_back_where_that_is_wanted() {
    let script = vec![stream_head(), chunk(delta("a")), chunk(FINISH), chunk(USAGE), chunk(DONE), end()];
    let (url, asked) = upstream(vec![script]).await;
    let bench = Bench::new(Settings { upstreams: vec![settings(&url)], include_usage: true, ..Settings::default() });
    assert_eq!(body(&bench, chat(STREAMED, &[])).await.1, format!("{}{FINISH}{DONE}", delta("a")));
    assert!(asked.lock().unwrap()[0].ends_with(r#","stream_options":{"include_usage":true}}"#));
    assert_eq!(bench.accounted(1).await.input_tokens, 9);
    let own = STREAMED.replace("\"stream\":true", "\"stream\":true,\"stream_options\":{\"include_usage\":true}");
    assert_eq!(body(&bench, chat(&own, &[])).await.1, format!("{}{FINISH}{USAGE}{DONE}", delta("a")), "who asks gets it");
}

#[tokio::test]
async fn tokens_that_nobody_tells_are_counted() {
    let script = vec![stream_head(), chunk(delta("hello")), chunk(delta(" world")), chunk(FINISH), chunk(DONE), end()];
    let (url, _) = upstream(vec![script]).await;
    let bench = Bench::before(&url);
    body(&bench, chat(STREAMED, &[])).await;
    let ever = bench.accounted(1).await;
    assert_eq!((ever.input_tokens, ever.output_tokens), (0, 0), "what is told and what is counted never mix");
    assert_eq!((ever.estimated_input_tokens, ever.estimated_output_tokens, ever.partial), (2 + 6, 2, 0));
}

#[tokio::test]
async fn llama_cpp_and_ollama_are_understood() {
    let llama = r#"{"content":"yes","stop":true,"tokens_predicted":7,"tokens_evaluated":11}"#;
    let lines = "{\"message\":{\"content\":\"a\"},\"done\":false}\n{\"message\":{\"content\":\"\"},\"done\":true,\"prompt_eval_count\":5,\"eval_count\":3}\n";
    let (url, asked) = upstream(vec![json(llama), answer("200 OK", "application/x-ndjson", lines)]).await;
    let bench = Bench::before(&url);
    let plain = |endpoint, body: &'static str| Incoming { endpoint, ..chat(body, &[]) };
    assert_eq!(body(&bench, plain(Endpoint::LlamaCompletion, r#"{"prompt":"x","n_predict":7}"#)).await.1, llama);
    assert_eq!(body(&bench, plain(Endpoint::OllamaChat, r#"{"model":"m","messages":[]}"#)).await.1, lines);
    let ever = bench.accounted(2).await;
    assert_eq!((ever.input_tokens, ever.output_tokens), (16, 10));
    let paths: Vec<String> = asked.lock().unwrap().iter().map(|r| r.split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(paths, ["/completion", "/api/chat"]);
}

#[tokio::test]
async fn a_caller_that_leaves_ends_the_upstreams_work_and_counts_once() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let (url, _) = upstream(vec![vec![stream_head(), chunk(delta("hello")), chunk(delta(" world")), Act::UntilClosed(tell)]]).await;
    let bench = Bench::before(&url);
    let mut answer = bench.gateway.relay(chat(STREAMED, &[])).await.unwrap().into_body();
    let mut got = 0;
    while got < delta("hello").len() + delta(" world").len() {
        got += answer.frame().await.unwrap().unwrap().into_data().unwrap().len();
    }
    drop(answer);
    told.recv().await.unwrap();
    let ever = bench.accounted(1).await;
    assert_eq!((ever.exchanges, ever.partial, ever.failed, ever.estimated_output_tokens), (1, 1, 0, 2));
    assert_eq!(bench.gateway.costs(1, 1).turns.1, 0, "its turn is free");
}

#[tokio::test]
async fn a_caller_that_leaves_before_the_answer_frees_its_turn() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let (url, _) = upstream(vec![vec![Act::UntilClosed(tell)]]).await;
    let bench = Bench::before(&url);
    let gateway = bench.gateway.clone();
    let asks = tokio::task::spawn(async move { gateway.relay(chat(ASKED, &[])).await.map(drop) });
    while bench.gateway.costs(1, 1).under_way == 0 {
        tokio::task::yield_now().await;
    }
    // It is sent by now or soon; the upstream hears of the end either way only when it was.
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    asks.abort();
    told.recv().await.unwrap();
    let ever = bench.accounted(1).await;
    assert_eq!((ever.partial, ever.input_tokens, bench.gateway.costs(1, 1).turns.1), (1, 0, 0));
}

#[tokio::test]
async fn r58_sums_survive_a_death_in_the_middle_of_a_stream_and_count_nothing_twice() {
    let stuck = Arc::new(Semaphore::new(0));
    let told = json(r#"{"choices":[],"usage":{"prompt_tokens":100,"completion_tokens":10}}"#);
    let streams = vec![stream_head(), chunk(delta("one")), Act::Wait(stuck.clone())];
    let (url, _) = upstream(vec![told.clone(), told.clone(), streams, told]).await;
    let bench = Bench::before(&url);
    body(&bench, chat(ASKED, &[("x-camera-id", "c1")])).await;
    bench.gateway.tend();
    body(&bench, chat(ASKED, &[("x-camera-id", "c1")])).await;
    let mut answer = bench.gateway.relay(chat(STREAMED, &[])).await.unwrap().into_body();
    answer.frame().await.unwrap().unwrap();
    bench.accounted(2).await;
    // The process dies: neither the gateway nor the body has a last word.
    std::mem::forget(answer);
    let reborn = bench.reborn();
    let ever = reborn.gateway.costs(9, 9).ever;
    assert_eq!((ever.exchanges, ever.input_tokens, ever.output_tokens, ever.partial), (3, 200, 20, 1));
    assert!(ever.estimated_input_tokens > 0);
    assert_eq!(reborn.observed.sum("hsi_nemotron_tokens_input_total{camera_id=c1}"), 200.0, "counters go on where they were");
    body(&reborn, chat(ASKED, &[("x-camera-id", "c1")])).await;
    let again = reborn.accounted(4).await;
    assert_eq!((again.input_tokens, again.partial, again.estimated_input_tokens), (300, 1, ever.estimated_input_tokens));
    assert_eq!(reborn.observed.sum("hsi_nemotron_tokens_input_total{camera_id=c1}"), 300.0);
    assert_eq!(reborn.reborn().gateway.costs(9, 9).ever, again);
}

#[tokio::test]
async fn requests_go_to_the_upstream_that_has_the_model_or_is_named() {
    let (a, asked_a) = upstream(vec![json(r#"{"data":[{"id":"nano-8b"}]}"#)]).await;
    let (b, asked_b) = upstream(vec![json(r#"{"data":[{"id":"cloud-1"}]}"#)]).await;
    let first = super::UpstreamSettings { models: vec!["nano*".into()], ..settings(&a) };
    let second = super::UpstreamSettings { name: "cloud".into(), models: vec!["cloud-*".into()], service: "other".into(), ..settings(&b) };
    let bench = Bench::new(Settings { upstreams: vec![first, second], ..Settings::default() });
    let ask = |model: &str, upstream: Option<&str>| {
        let incoming = Incoming { upstream: upstream.map(str::to_owned), ..chat(&format!(r#"{{"model":"{model}"}}"#), &[]) };
        let gateway = bench.gateway.clone();
        async move { gateway.relay(incoming).await.map(drop).map_err(|f| f.code) }
    };
    ask("nano-8b", None).await.unwrap();
    ask("cloud-1", None).await.unwrap();
    ask("nano-8b", Some("cloud")).await.unwrap();
    assert_eq!(ask("else", None).await, Err("model_not_found"));
    assert_eq!(ask("nano", Some("nobody")).await, Err("model_not_found"));
    assert_eq!((asked_a.lock().unwrap().len(), asked_b.lock().unwrap().len()), (1, 2));
    let models = bench.gateway.ask(&http::HeaderMap::new(), &Question::Models, None).await.unwrap().into_body().collect().await.unwrap().to_bytes();
    assert_eq!(models, r#"{"object":"list","data":[{"id":"nano-8b"},{"id":"cloud-1"}]}"#);
    bench.gateway.ask(&http::HeaderMap::new(), &Question::Model("org/cloud-1".into()), Some("cloud")).await.unwrap();
    assert!(asked_b.lock().unwrap().last().unwrap().starts_with("GET /v1/models/org/cloud-1 "));
}
