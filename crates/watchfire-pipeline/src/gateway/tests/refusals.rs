//! Upstreams that fail in every way, and requests that are refused unsent.

use std::time::Duration;

use http_body_util::BodyExt;
use watchfire_net::client::Phases;

use super::upstream::{Act, Bench, answer, chat, chunk, json, settings, stream_head, upstream};
use super::{ASKED, STREAMED, body, delta};
use crate::gateway::{BreakerSettings, Failure, Price, PromptSettings, Question, Settings, Spending, TurnSettings, UpstreamSettings};

async fn refused(bench: &Bench) -> Failure {
    bench.gateway.relay(chat(ASKED, &[])).await.map(drop).unwrap_err()
}

fn told(bench: &Bench, series: &str) -> f64 {
    bench.observed.sum(series)
}

#[tokio::test]
async fn nobody_answers() {
    let bench = Bench::before("http://127.0.0.1:1/v1");
    let failure = refused(&bench).await;
    assert_eq!((failure.status.as_u16(), failure.code), (502, "upstream_unreachable"));
    assert!(!failure.message.contains("127.0.0.1"), "{}", failure.message);
    assert_eq!(told(&bench, "hsi_pipeline_errors_total{error_type=nemotron_connection_error}"), 1.0);
    assert_eq!((told(&bench, "inference_requests_failed_total{}"), bench.accounted(1).await.failed), (1.0, 1));
}

#[tokio::test]
async fn a_request_that_was_here_before_goes_no_further() {
    let (url, asked) = upstream(vec![json("{}")]).await;
    let bench = Bench::before(&url);
    bench.gateway.relay(chat(ASKED, &[("via", "1.1 other")])).await.unwrap();
    let request = asked.lock().unwrap()[0].clone();
    let hops: Vec<&str> = request.lines().filter_map(|line| line.split_once(": ")).filter(|(n, _)| n.eq_ignore_ascii_case("via")).map(|(_, v)| v).collect();
    assert!(hops.len() == 2 && hops[0] == "1.1 other", "{hops:?}");
    let with = |hops: &str| {
        let mut incoming = chat(ASKED, &[]);
        incoming.headers.insert("via", hops.parse().unwrap());
        incoming
    };
    let back = bench.gateway.relay(with(hops[1])).await.map(drop).unwrap_err();
    assert_eq!((back.status.as_u16(), back.code), (508, "loop_detected"));
    let headers = with(&hops.join(", ")).headers;
    let back = bench.gateway.ask(&headers, &Question::Models, None).await.map(drop).unwrap_err();
    assert_eq!((back.status.as_u16(), asked.lock().unwrap().len()), (508, 1));
}

#[tokio::test]
async fn what_is_sent_is_sent_once_whatever_becomes_of_it() {
    for script in [vec![Act::Close], vec![Act::Say(b"nonsense\r\n\r\n".to_vec()), Act::Close], vec![Act::Say(vec![0xff; 5_000]), Act::Close]] {
        let (url, asked) = upstream(vec![script]).await;
        let bench = Bench::before(&url);
        let failure = refused(&bench).await;
        assert_eq!((failure.status.as_u16(), failure.code), (502, "upstream_broken"));
        assert_eq!(asked.lock().unwrap().len(), 1, "not sent again");
        assert_eq!(bench.accounted(1).await.failed, 1);
    }
}

#[tokio::test]
async fn an_upstream_that_is_too_slow() {
    let never = || Act::Wait(std::sync::Arc::new(tokio::sync::Semaphore::new(0)));
    let ms = Duration::from_millis;
    let hasty = |url: &str| {
        let phases = Phases { head: ms(60), idle: ms(60), total: ms(5_000) };
        Bench::new(Settings { upstreams: vec![UpstreamSettings { phases, ..settings(url) }], ..Settings::default() })
    };
    let (url, _) = upstream(vec![vec![never()]]).await;
    let bench = hasty(&url);
    let failure = refused(&bench).await;
    assert_eq!((failure.status.as_u16(), failure.code), (504, "upstream_timeout"));
    assert_eq!(told(&bench, "hsi_pipeline_errors_total{error_type=nemotron_timeout}"), 1.0);
    let (url, _) = upstream(vec![vec![stream_head(), chunk(delta("a")), never()]]).await;
    let bench = hasty(&url);
    let answer = bench.gateway.relay(chat(STREAMED, &[])).await.unwrap().into_body();
    assert!(answer.collect().await.is_err(), "the caller is told that it is not complete");
    let ever = bench.accounted(1).await;
    assert_eq!((ever.partial, ever.failed, ever.estimated_output_tokens), (1, 1, 1));
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_no_answer() {
    let cut = vec![stream_head(), chunk(delta("a")), Act::Say(b"40\r\nhalf".to_vec()), Act::Close];
    // Without lengths, the end of the connection is the end of the body, so only the stream itself can tell.
    let open = vec![Act::Say(format!("HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n{}", delta("a")).into_bytes()), Act::Close];
    let (url, _) = upstream(vec![cut, open]).await;
    let bench = Bench::before(&url);
    assert!(bench.gateway.relay(chat(STREAMED, &[])).await.unwrap().into_body().collect().await.is_err());
    assert_eq!(body(&bench, chat(STREAMED, &[])).await, (200, delta("a")));
    let ever = bench.accounted(2).await;
    assert_eq!((ever.exchanges, ever.partial, ever.failed), (2, 2, 2));
}

#[tokio::test]
async fn errors_of_an_upstream_pass_and_garbage_is_counted() {
    let over = answer("503 Busy", "application/json", r#"{"error":{"message":"loading"}}"#);
    let mine = answer("400 Bad", "application/json", r#"{"error":{"message":"no"}}"#);
    let page = answer("200 OK", "text/html", "<html>");
    let half = json(r#"{"choices":["#);
    let failed = vec![stream_head(), chunk("data: {\"error\":{\"message\":\"out of memory\"}}\n\n"), super::end()];
    let (url, _) = upstream(vec![over, mine, page, half, failed]).await;
    let mut one = settings(&url);
    one.breaker.failures = 100;
    let bench = Bench::new(Settings { upstreams: vec![one], ..Settings::default() });
    for expected in [(503, r#"{"error":{"message":"loading"}}"#), (400, r#"{"error":{"message":"no"}}"#), (200, "<html>"), (200, r#"{"choices":["#)] {
        let (status, text) = body(&bench, chat(ASKED, &[])).await;
        assert_eq!((status, text.as_str()), expected);
    }
    body(&bench, chat(STREAMED, &[])).await;
    let ever = bench.accounted(5).await;
    assert_eq!((ever.failed, ever.input_tokens + ever.estimated_input_tokens), (5, 0));
    assert_eq!(told(&bench, "hsi_pipeline_errors_total{error_type=nemotron_server_error}"), 2.0, "{}", bench.observed.all());
    assert_eq!(told(&bench, "hsi_pipeline_errors_total{error_type=nemotron_client_error}"), 1.0);
    assert_eq!(told(&bench, "hsi_pipeline_errors_total{error_type=malformed_response}"), 2.0);
    assert_eq!(told(&bench, "inference_requests_total{model=other}"), 5.0, "a model that nobody answered for is not told apart");
}

#[tokio::test]
async fn redirects_and_refused_keys_stay_here() {
    let away = vec![Act::Say(b"HTTP/1.1 307 Go\r\nlocation: http://evil.example/\r\ncontent-length: 0\r\n\r\n".to_vec())];
    let key = answer("401 No", "application/json", r#"{"error":{"message":"Incorrect key sk-canary"}}"#);
    let (url, _) = upstream(vec![away, key]).await;
    let bench = Bench::before(&url);
    let (first, second) = (refused(&bench).await, refused(&bench).await);
    assert_eq!((first.status.as_u16(), first.code, second.status.as_u16(), second.code), (502, "upstream_redirects", 502, "upstream_refuses_key"));
    assert!(!format!("{first:?}{second:?}").contains("canary") && !format!("{first:?}").contains("evil"));
}

#[tokio::test]
async fn an_upstream_that_fails_is_given_a_rest_and_tried_again() {
    let (url, asked) = upstream(vec![vec![Act::Close], vec![Act::Close], json("{}"), json("{}")]).await;
    let one = UpstreamSettings { breaker: BreakerSettings { failures: 2, open: Duration::from_millis(150) }, ..settings(&url) };
    let bench = Bench::new(Settings { upstreams: vec![one], ..Settings::default() });
    assert_eq!((refused(&bench).await.code, refused(&bench).await.code), ("upstream_broken", "upstream_broken"));
    let open = refused(&bench).await;
    assert_eq!((open.status.as_u16(), open.code, open.retry_after_secs), (503, "circuit_open", Some(1)));
    assert_eq!(asked.lock().unwrap().len(), 2, "nothing is sent while it is open");
    bench.gateway.tend();
    assert_eq!((bench.observed.last("inference_healthy{}"), told(&bench, "hsi_circuit_breaker_trips_total{service=llama,breaker=llama}")), (0.0, 1.0));
    while bench.gateway.costs(1, 1).states[0].breaker.word() == "open" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(body(&bench, chat(ASKED, &[])).await.0, 200);
    assert_eq!(bench.observed.last("hsi_circuit_breaker_state{service=llama,breaker=llama}"), 0.0);
    assert_eq!(told(&bench, "inference_requests_failed_total{}"), 3.0, "to its caller a refusal is a failure");
}

#[tokio::test]
async fn who_waits_too_long_or_is_one_too_many_hears_when_to_come_again() {
    let never = Act::Wait(std::sync::Arc::new(tokio::sync::Semaphore::new(0)));
    let (url, _) = upstream(vec![vec![never]]).await;
    let turns = TurnSettings { max: 1, queue: 1, patience: Duration::from_millis(200), ..TurnSettings::default() };
    let bench = Bench::new(Settings { upstreams: vec![settings(&url)], turns, ..Settings::default() });
    let ask = || {
        let gateway = bench.gateway.clone();
        tokio::task::spawn(
            async move { gateway.relay(chat(ASKED, &[])).await.map(drop).map_err(|f| (f.status.as_u16(), f.code, f.retry_after_secs.is_some())) },
        )
    };
    let first = ask();
    while bench.gateway.costs(1, 1).turns.1 == 0 {
        tokio::task::yield_now().await;
    }
    let second = ask();
    while bench.gateway.costs(1, 1).turns.2 == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(ask().await.unwrap(), Err((429, "queue_full", true)));
    assert_eq!(second.await.unwrap(), Err((503, "queue_deadline", true)));
    first.abort();
}

#[tokio::test]
async fn prompts_are_checked_and_shortened_where_that_is_wanted() {
    let (url, asked) = upstream(vec![json("{}")]).await;
    let long =
        format!(r#"{{"model":"m","messages":[{{"role":"user","content":"Intro.\n## Weather Context\n{}\n## Question\nWhat?"}}]}}"#, "rain ".repeat(5_000));
    let with = |check, truncate| Bench::new(Settings { upstreams: vec![settings(&url)], prompts: PromptSettings { check, truncate }, ..Settings::default() });
    let failure = with(true, false).gateway.relay(chat(&long, &[])).await.map(drop).unwrap_err();
    assert_eq!((failure.status.as_u16(), failure.code), (400, "context_length_exceeded"));
    assert!(failure.message.contains("3096 are available"), "{}", failure.message);
    let bench = with(true, true);
    bench.gateway.relay(chat(&long, &[])).await.unwrap();
    let sent = asked.lock().unwrap()[0].clone();
    assert!(sent.contains("What?") && sent.len() < 1_000, "{sent}");
    assert_eq!(told(&bench, "hsi_prompt_truncated_total{section_name=weather_context}"), 1.0);
    with(false, false).gateway.relay(chat(&long, &[])).await.unwrap();
    assert!(asked.lock().unwrap()[1].ends_with(&long), "nobody asked for a check");
}

#[tokio::test]
async fn a_budget_that_is_used_up_refuses_where_that_is_wanted() {
    let (url, _) = upstream(vec![json(r#"{"usage":{"prompt_tokens":1000000,"completion_tokens":0}}"#)]).await;
    let prices = vec![Price { model: "*".into(), input: 1.0, output: 1.0, cached: None }];
    let budget = Spending { daily_usd: Some(1.0), monthly_usd: None, refuse: true };
    let bench = Bench::new(Settings { upstreams: vec![settings(&url)], prices, budget, ..Settings::default() });
    body(&bench, chat(ASKED, &[])).await;
    bench.accounted(1).await;
    let failure = refused(&bench).await;
    assert_eq!((failure.status.as_u16(), failure.code, failure.message.as_str()), (429, "insufficient_quota", "the budget of this day is used up"));
    assert_eq!(bench.reborn().gateway.relay(chat(ASKED, &[])).await.map(drop).unwrap_err().code, "insufficient_quota", "a restart forgives nothing");
}
