//! The server that the demo reports to: one that is there already, or one that it starts with a data directory of its own. It asks only
//! by HTTP, as any other program would.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::DemoError;
use crate::bell::Bell;
use crate::http::{Answer, Http, Silence};
use crate::ledger::Depths;

const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a server may take to start.
const STARTS: u32 = 300;
const START_PAUSE: Duration = Duration::from_millis(100);
/// How long one may take to end.
const ENDS: u32 = 600;
/// The address of a server of our own, where it is free.
const USUAL: &str = "127.0.0.1:8000";

/// How a server of our own is started.
pub(crate) struct Start<'a> {
    pub(crate) program: &'a Path,
    pub(crate) folder: &'a Path,
    pub(crate) data: &'a Path,
    pub(crate) environment: &'a [(String, String)],
    pub(crate) configuration: String,
}

/// The server.
pub(crate) struct House {
    pub(crate) url: String,
    pub(crate) http: Http,
    child: Option<Child>,
    log: PathBuf,
}

/// How many jobs of a queue are where.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Queue {
    /// Jobs that wait for a worker or for their next attempt.
    pub(crate) waiting: u64,
    pub(crate) leased: u64,
    /// Dead letters and jobs that found no room.
    pub(crate) dead: u64,
}
impl Queue {
    pub(crate) fn depths(&self) -> Depths {
        Depths { waiting: self.waiting + self.leased, dead: self.dead }
    }
}

impl House {
    /// The server at an address; `None` when nobody listens there.
    pub(crate) fn find(url: &str, token: Option<&str>) -> Result<Option<House>, DemoError> {
        let http = Http::new(url, token);
        match http.get("/health", TIMEOUT) {
            Ok(answer) if answer.status == 200 => Ok(Some(House { url: url.trim_end_matches('/').to_owned(), http, child: None, log: PathBuf::new() })),
            Ok(answer) => Err(DemoError::Server(format!("{url} answers /health with {}", answer.status))),
            Err(Silence::NotConnected(_)) => Ok(None),
            Err(error) => Err(DemoError::Server(format!("{url}: {error}"))),
        }
    }
    /// Starts one.
    pub(crate) fn start(start: &Start<'_>) -> Result<House, DemoError> {
        let failed = |what: &str, error: std::io::Error| DemoError::Server(format!("{what}: {error}"));
        let listen = free_address().map_err(|e| failed("cannot find a free port", e))?;
        let file = start.folder.join("watchfire.yml");
        std::fs::write(&file, &start.configuration).map_err(|e| failed("cannot write its configuration", e))?;
        let log = start.folder.join("server.log");
        let logged = std::fs::File::create(&log).map_err(|e| failed("cannot write its log", e))?;
        // The variables of a pipeline that is at home here (its Redis, its database) are not for this server.
        let child = Command::new(start.program)
            .args(["serve", "--end-with-parent", "--listen", &listen, "--config"])
            .arg(&file)
            .arg("--data-dir")
            .arg(start.data)
            .env_clear()
            .envs(start.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(start.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(logged)
            // Ctrl-C is for the demo, which ends its server last.
            .process_group(0)
            .spawn()
            .map_err(|e| failed("cannot start it", e))?;
        let url = format!("http://{listen}");
        let mut house = House { http: Http::new(&url, None), url, child: Some(child), log };
        house.wait_until_healthy()?;
        Ok(house)
    }
    fn wait_until_healthy(&mut self) -> Result<(), DemoError> {
        let never = Bell::default();
        for _ in 0..STARTS {
            if self.http.get("/health", TIMEOUT).is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            if self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(Some(_)))) {
                break;
            }
            never.wait(START_PAUSE);
        }
        Err(DemoError::Server(format!("it did not start: {}", self.last_words())))
    }
    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(3).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" / ")
    }
    /// Whether it was started by us.
    pub(crate) fn is_ours(&self) -> bool {
        self.child.is_some()
    }
    /// What is in a queue.
    pub(crate) fn queue(&self, name: &str) -> Result<Queue, DemoError> {
        let unusable = |why: String| DemoError::Server(format!("cannot use the queues of {}: {why}", self.url));
        let answer = self.http.get("/api/queues", TIMEOUT).map_err(|e| unusable(e.to_string()))?;
        if answer.status != 200 {
            return Err(unusable(refusal(&answer)));
        }
        let all = answer.json();
        let queue = all.as_array().into_iter().flatten().find(|q| q["name"] == name);
        let queue = queue.ok_or_else(|| unusable(format!("there is no {name}")))?;
        let number = |key: &str| queue[key].as_u64().unwrap_or(0);
        Ok(Queue { waiting: number("waiting") + number("retrying"), leased: number("leased"), dead: number("dead") + number("overflow") })
    }
    /// Ends a server that is ours, in order.
    pub(crate) fn end(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let asked = rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM);
        let never = Bell::default();
        let patience = if asked.is_ok() { ENDS } else { 0 };
        for _ in 0..patience {
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
            never.wait(START_PAUSE);
        }
        // It had a minute.
        drop(child.kill());
        drop(child.wait());
    }
}
impl Drop for House {
    fn drop(&mut self) {
        self.end();
    }
}

/// The usual address if it is free, or another.
fn free_address() -> std::io::Result<String> {
    let listener = TcpListener::bind(USUAL).or_else(|_| TcpListener::bind("127.0.0.1:0"))?;
    Ok(listener.local_addr()?.to_string())
}

fn refusal(answer: &Answer) -> String {
    let words = answer.json()["error"]["message"].as_str().unwrap_or("no reason was given").to_owned();
    match answer.status {
        401 | 403 => format!("{words} (WATCHFIRE_TOKEN needs the level ingest)"),
        404 => "it has none".to_owned(),
        status => format!("it answered {status}: {words}"),
    }
}

/// The first model that a server of OpenAI's shape has.
pub(crate) fn first_model(http: &Http) -> Result<String, DemoError> {
    let answer = http.get("/models", TIMEOUT).map_err(|e| DemoError::Model(e.to_string()))?;
    let told: Value = answer.json();
    let name = told["data"][0]["id"].as_str().or(told["models"][0]["name"].as_str());
    name.map(str::to_owned).ok_or_else(|| DemoError::Model(format!("it names no model at /models ({}); say which with --model", answer.status)))
}
