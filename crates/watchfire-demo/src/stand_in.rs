//! Stands in for a language model where the user names none: a server of OpenAI's chat shape on this machine that computes a risk
//! score by a fixed rule from the numbers of the prompt, and fails on purpose now and then. It is no model, and says so wherever it is seen.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

/// What it calls itself where a model's name stands.
pub(crate) const MODEL: &str = "stand-in-without-a-model";
/// Every so many requests one fails once.
const FAILS_EVERY: u64 = 11;
/// Batches with a number that this divides are refused for ever.
const REFUSES_EVERY: u64 = 8;
/// The largest request.
const BODY_BYTES_MAX: usize = 1 << 20;
const LINE_BYTES_MAX: u64 = 8 << 10;
const HEADER_LINES_MAX: usize = 100;
/// Connections at once; one more is closed.
const CONNECTIONS_MAX: usize = 32;
/// How long a connection may be silent.
const IDLE: Duration = Duration::from_secs(120);

/// A running stand-in. It ends with the process.
pub(crate) struct StandIn {
    pub(crate) address: SocketAddr,
}
impl StandIn {
    pub(crate) fn start() -> std::io::Result<StandIn> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (requests, connections) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicUsize::new(0)));
        std::thread::Builder::new().name("stand-in".into()).spawn(move || {
            for stream in listener.incoming().flatten() {
                let (requests, guard) = (requests.clone(), Guest::enter(&connections));
                if let Some(guard) = guard {
                    // A connection for which there is no thread is closed.
                    drop(std::thread::Builder::new().name("stand-in".into()).spawn(move || serve(stream, &requests, guard)));
                }
            }
        })?;
        Ok(StandIn { address })
    }
    /// Its address as OpenAI's clients are told it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }
}

/// A connection that counts.
struct Guest(Arc<AtomicUsize>);
impl Guest {
    fn enter(connections: &Arc<AtomicUsize>) -> Option<Guest> {
        let guest = Guest(connections.clone());
        (connections.fetch_add(1, Ordering::Relaxed) < CONNECTIONS_MAX).then_some(guest)
    }
}
impl Drop for Guest {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn serve(mut stream: TcpStream, requests: &AtomicU64, _guest: Guest) {
    let Ok(theirs) = stream.set_read_timeout(Some(IDLE)).and_then(|()| stream.try_clone()) else { return };
    let mut reader = BufReader::new(theirs);
    while let Some((line, body)) = read(&mut reader) {
        let (status, answer) = match line.as_str() {
            "GET /v1/models" => ("200 OK", json!({"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "watchfire demo"}]})),
            "POST /v1/chat/completions" => match serde_json::from_slice::<Value>(&body) {
                Ok(asked) => chat(&asked, requests.fetch_add(1, Ordering::Relaxed) + 1),
                Err(_) => ("400 Bad Request", error("the body is no JSON")),
            },
            _ => ("404 Not Found", error("the stand-in answers chats only")),
        };
        let answer = answer.to_string();
        let sent = write!(stream, "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{answer}", answer.len());
        if sent.is_err() {
            return;
        }
    }
}

/// One request: method and path, and the body. `None` ends the connection.
fn read(reader: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let mut first = None;
    let mut length = 0;
    for _ in 0..HEADER_LINES_MAX {
        let mut line = String::new();
        if reader.by_ref().take(LINE_BYTES_MAX).read_line(&mut line).ok()? == 0 || !line.ends_with('\n') {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            return first.map(|line| (line, body));
        }
        match line.split_once(':') {
            _ if first.is_none() => first = Some(line.split(' ').take(2).collect::<Vec<_>>().join(" ")),
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.trim().parse().ok().filter(|n| *n <= BODY_BYTES_MAX)?,
            Some((name, _)) if name.eq_ignore_ascii_case("transfer-encoding") => return None,
            _ => {}
        }
    }
    None
}

fn error(message: &str) -> Value {
    json!({"error": {"message": message, "type": "stand_in", "code": null}})
}

/// The answer to a chat; `number` counts requests from one.
fn chat(asked: &Value, number: u64) -> (&'static str, Value) {
    let contents = asked["messages"].as_array().into_iter().flatten().filter_map(|m| m["content"].as_str());
    let prompt = contents.collect::<Vec<_>>().join("\n");
    let figures = Figures::read(&prompt);
    if figures.batch.is_some_and(|batch| batch % REFUSES_EVERY == 0) {
        return ("500 Internal Server Error", error("the stand-in refuses every 8th batch on purpose"));
    }
    if number.is_multiple_of(FAILS_EVERY) {
        return ("500 Internal Server Error", error("the stand-in fails at every 11th request on purpose"));
    }
    let content = json!({"risk_score": figures.risk(), "reasoning": figures.reasoning()}).to_string();
    let choice = json!({"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}});
    // It tells no usage: it has no tokens of its own, and who wants to know counts the texts.
    ("200 OK", json!({"id": format!("stand-in-{number}"), "object": "chat.completion", "created": 0, "model": MODEL, "choices": [choice]}))
}

/// The numbers of a prompt that the rule uses.
#[derive(Debug, Default, PartialEq)]
struct Figures {
    batch: Option<u64>,
    detections: u64,
    share_max: f64,
}
impl Figures {
    fn read(prompt: &str) -> Figures {
        let mut figures = Figures::default();
        for line in prompt.lines() {
            if let Some(number) = line.strip_prefix("Batch: ") {
                figures.batch = number.trim().parse().ok();
            }
            if let Some((_, rest)) = line.split_once("changed ")
                && line.starts_with("- ")
                && let Some(percent) = rest.split(' ').next().and_then(|p| p.trim_end_matches(',').parse::<f64>().ok())
            {
                figures.detections += 1;
                figures.share_max = figures.share_max.max(percent / 100.0);
            }
        }
        figures
    }
    /// More detections and larger ones are riskier: a rule, no judgement.
    fn risk(&self) -> u64 {
        let risk = 10.0 + 2.0 * self.detections.min(20) as f64 + 500.0 * self.share_max;
        risk.clamp(0.0, 100.0).round() as u64
    }
    fn reasoning(&self) -> String {
        format!("No model judged this: a stand-in counted {} detections, the largest {:.1} % of the picture.", self.detections, self.share_max * 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(prompt: &str) -> Value {
        json!({"messages": [{"role": "user", "content": prompt}]})
    }

    #[test]
    fn the_score_follows_the_numbers_of_the_prompt() {
        let (status, answer) = chat(&asked("Batch: 3\n- 1: changed 2.0 % of the picture\n- 2: changed 4.0 % of it"), 1);
        assert_eq!(status, "200 OK");
        let content: Value = serde_json::from_str(answer["choices"][0]["message"]["content"].as_str().unwrap()).unwrap();
        assert_eq!(content["risk_score"], 34);
        assert!(content["reasoning"].as_str().unwrap().contains("stand-in"));
        assert_eq!(Figures { batch: None, detections: 90, share_max: 1.0 }.risk(), 100);
        assert_eq!(Figures::read("changed nothing\n- changed x %"), Figures::default());
    }

    #[test]
    fn it_fails_on_purpose_and_says_so() {
        for (prompt, number) in [("Batch: 8", 1), ("Batch: 16", 2), ("Batch: 3", 11)] {
            let (status, answer) = chat(&asked(prompt), number);
            assert_eq!(status, "500 Internal Server Error");
            assert!(answer["error"]["message"].as_str().unwrap().ends_with("on purpose"));
        }
    }

    #[test]
    fn it_answers_over_a_socket_and_hangs_up_on_nonsense() {
        let stand_in = StandIn::start().unwrap();
        let http = crate::http::Http::new(&stand_in.url(), None);
        let time = Duration::from_secs(10);
        assert_eq!(http.get("/models", time).unwrap().json()["data"][0]["id"], MODEL);
        assert_eq!(http.post("/chat/completions", &asked("Batch: 1"), &[], time).unwrap().status, 200);
        assert_eq!(http.get("/nothing", time).unwrap().status, 404);
        for nonsense in [
            &b"\xff\xfe\n\n"[..],
            b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 99999999\r\n\r\n",
            b"GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n",
        ] {
            let mut stream = TcpStream::connect(stand_in.address).unwrap();
            stream.write_all(nonsense).unwrap();
            let mut answer = Vec::new();
            // It may hang up before everything was read, which the other side sees as a reset.
            drop(stream.read_to_end(&mut answer));
            assert!(answer.is_empty(), "{nonsense:?}: {}", String::from_utf8_lossy(&answer));
        }
    }
}
