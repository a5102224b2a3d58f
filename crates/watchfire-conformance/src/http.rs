//! The real binary, asked over HTTP: samples go in by remote write, answers come from `/api/v1/query` and `/api/v1/query_range`.
//! It speaks just as much HTTP/1.0 as that takes. To forget everything it starts anew on an empty directory.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value as Json;
use tempfile::TempDir;
use watchfire_model::labels::Labels;
use watchfire_model::time::Timestamp;
use watchfire_query::promql::{Answer, POINTS_PER_SERIES_MAX, Point, Sample, Series, Value};

use crate::remote_write;
use crate::script::{Eval, Stored, When};
use crate::subject::{Outcome, Subject};

const CONFIGURATION: &str = "storage:\n  retention:\n    metrics: unlimited\n";
const START_TRIES: usize = 300;
const START_PAUSE: Duration = Duration::from_millis(20);

/// A program file with whatever process of it runs now.
pub struct OverHttp {
    binary: PathBuf,
    running: Option<Running>,
}

struct Running {
    child: Child,
    address: SocketAddr,
    _dir: TempDir,
}
impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        if self.child.kill().is_ok() {
            self.child.wait().ok();
        }
    }
}

impl OverHttp {
    /// A binary that is started when it is needed.
    pub fn new(binary: &Path) -> OverHttp {
        OverHttp { binary: binary.to_path_buf(), running: None }
    }

    fn address(&mut self) -> Result<SocketAddr, String> {
        if self.running.is_none() {
            self.running = Some(start(&self.binary)?);
        }
        self.running.as_ref().map(|r| r.address).ok_or_else(|| "not started".to_owned())
    }

    fn query(&mut self, eval: &Eval, query: &str) -> Result<Json, String> {
        let seconds = |ms: i64| format!("{}{}.{:03}", if ms < 0 { "-" } else { "" }, ms.unsigned_abs() / 1000, ms.unsigned_abs() % 1000);
        let (path, form) = match eval.when {
            When::Instant(time) => ("/api/v1/query", vec![("query", query.to_owned()), ("time", seconds(time))]),
            When::Range { start, end, step } => {
                ("/api/v1/query_range", vec![("query", query.to_owned()), ("start", seconds(start)), ("end", seconds(end)), ("step", seconds(step as i64))])
            }
        };
        let body: Vec<String> = form.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        let address = self.address()?;
        let (_, answer) =
            request(address, path, &[("Content-Type", "application/x-www-form-urlencoded")], body.join("&").as_bytes()).map_err(|e| e.to_string())?;
        serde_json::from_slice(&answer).map_err(|e| format!("{e}: {}", String::from_utf8_lossy(&answer)))
    }
}

impl Subject for OverHttp {
    fn name(&self) -> &'static str {
        "http"
    }
    fn clear(&mut self) -> Result<(), String> {
        self.running = None;
        Ok(())
    }
    fn load(&mut self, series: &[Stored]) -> Result<(), String> {
        let headers = [("Content-Type", "application/x-protobuf"), ("Content-Encoding", "snappy"), ("X-Prometheus-Remote-Write-Version", "0.1.0")];
        let address = self.address()?;
        let (status, answer) = request(address, "/api/v1/write", &headers, &remote_write::body(series)).map_err(|e| e.to_string())?;
        if matches!(status, 200 | 204) { Ok(()) } else { Err(format!("remote write: {status} {}", String::from_utf8_lossy(&answer))) }
    }
    fn ask(&mut self, eval: &Eval, query: &str) -> Outcome {
        // The interface itself refuses these.
        if let When::Range { start, end, step } = eval.when
            && (end < start || (end - start) as u64 / step.max(1) >= POINTS_PER_SERIES_MAX)
        {
            return Outcome::Skipped;
        }
        match self.query(eval, query) {
            Err(error) => Outcome::Failed(error),
            // Histograms are shown with their buckets' borders there, from which they cannot be told exactly.
            Ok(json) if eval.fail.is_none() && shows_histograms(&json) => Outcome::Skipped,
            Ok(json) if json["status"] == "success" => answer(&json).map_or_else(|| Outcome::Failed(format!("cannot read {json}")), Outcome::Answered),
            Ok(json) => {
                let message = json["error"].as_str().unwrap_or_default();
                let message = message.strip_prefix("invalid parameter \"").and_then(|rest| rest.split_once("\": ")).map_or(message, |(_, rest)| rest);
                Outcome::Failed(message.to_owned())
            }
        }
    }
}

fn start(binary: &Path) -> Result<Running, String> {
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let configuration = dir.path().join("watchfire.yml");
    std::fs::write(&configuration, CONFIGURATION).map_err(|e| e.to_string())?;
    let address = TcpListener::bind(("127.0.0.1", 0)).and_then(|l| l.local_addr()).map_err(|e| e.to_string())?;
    let log = std::fs::File::create(dir.path().join("log")).map_err(|e| e.to_string())?;
    let child = Command::new(binary)
        .args(["serve", "--listen", &address.to_string(), "--data-dir"])
        .arg(dir.path().join("data"))
        .arg("--config")
        .arg(&configuration)
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map_err(|e| format!("cannot start {}: {e}", binary.display()))?;
    let running = Running { child, address, _dir: dir };
    for _ in 0..START_TRIES {
        if request(address, "/api/v1/query?query=1", &[("Content-Type", "application/x-www-form-urlencoded")], b"").is_ok_and(|(status, _)| status == 200) {
            return Ok(running);
        }
        pause();
    }
    let log = std::fs::read_to_string(running._dir.path().join("log")).unwrap_or_default();
    Err(format!("{} does not answer: {log}", binary.display()))
}

/// Waits for the other process, which has no clock that could be turned.
#[expect(clippy::disallowed_methods, reason = "real processes live in real time")]
fn pause() {
    std::thread::sleep(START_PAUSE);
}

/// Sends a POST; gives status and body.
fn request(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: &[u8]) -> std::io::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(40)))?;
    let mut head = format!("POST {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut raw = Vec::new();
    stream.read_to_end(&mut raw)?;
    let split = raw.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or(raw.len());
    let head = String::from_utf8_lossy(raw.get(..split).unwrap_or_default()).into_owned();
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    Ok((status, raw.get(split + 4..).unwrap_or_default().to_vec()))
}

fn escaped(text: &str) -> String {
    text.bytes().map(|b| if b.is_ascii_alphanumeric() || b"-._~".contains(&b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

fn shows_histograms(json: &Json) -> bool {
    let rows = json["data"]["result"].as_array().map_or(&[][..], Vec::as_slice);
    rows.iter().any(|row| row.get("histogram").is_some() || row.get("histograms").is_some())
}

/// The JSON of an answer as what the engine itself would have given.
fn answer(json: &Json) -> Option<Answer> {
    let texts = |key: &str| json[key].as_array().map(|list| list.iter().filter_map(|t| t.as_str().map(str::to_owned)).collect()).unwrap_or_default();
    let result = &json["data"]["result"];
    let value = match json["data"]["resultType"].as_str()? {
        "scalar" => Value::Scalar(point(result)?),
        "string" => Value::String { time: time(&result[0])?, text: result[1].as_str()?.to_owned() },
        "vector" => Value::Vector(result.as_array()?.iter().map(sample).collect::<Option<_>>()?),
        "matrix" => Value::Matrix(result.as_array()?.iter().map(series).collect::<Option<_>>()?),
        _ => return None,
    };
    Some(Answer { value, warnings: texts("warnings"), infos: texts("infos") })
}

fn time(json: &Json) -> Option<Timestamp> {
    Some(Timestamp((json.as_f64()? * 1000.0).round() as i64))
}

fn point(json: &Json) -> Option<Point> {
    Some(Point { time: time(&json[0])?, value: json[1].as_str()?.parse().ok()? })
}

fn labels(json: &Json) -> Option<Labels> {
    let pairs: Option<Vec<_>> = json.as_object()?.iter().map(|(name, value)| Some((name.as_str(), value.as_str()?))).collect();
    Some(Labels::from_pairs(pairs?))
}

fn sample(json: &Json) -> Option<Sample> {
    let Point { time, value } = point(&json["value"])?;
    Some(Sample { labels: labels(&json["metric"])?, time, value, histogram: None })
}

fn series(json: &Json) -> Option<Series> {
    let points: Option<Vec<Point>> = json["values"].as_array()?.iter().map(point).collect();
    Some(Series { labels: labels(&json["metric"])?, points: points?, histograms: Vec::new() })
}
