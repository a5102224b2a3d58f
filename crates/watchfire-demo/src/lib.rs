//! `watchfire demo`: a small pipeline that really works, so that the house has something to show. ffmpeg draws camera pictures with moving
//! boxes, a detector compares them, batches go to a language model, answers become events; jobs pass through the server's queues, and some
//! end as dead letters. It is a program like the user's own: it links the SDK and speaks HTTP, and knows nothing of the server's inside.
//! What is not real in it (the scene, a stand-in for the model) says so.

mod analyse;
mod bell;
mod camera;
mod crew;
mod detect;
mod history;
mod house;
mod http;
mod jobs;
mod ledger;
mod motion;
mod picture;
mod prompt;
mod stand_in;
mod summary;
mod traces;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use watchfire_model::time::SharedClock;
use watchfire_sdk::queue::{Job, Producer, Settings as QueueSettings};
use watchfire_sdk::{MetricsService, Settings};

use camera::{Camera, SCENES};
use crew::Member;
use history::History;
use house::{House, Queue, Start};
use http::Http;
use ledger::{Ledger, Line};
use stand_in::StandIn;
use summary::Voice;
use traces::Spans;

pub use bell::Bell;
pub use summary::Summary;

/// Pictures per second that a camera may take at most.
pub const FPS_MAX: u32 = 25;
/// Workers that ask the model.
const ANALYSERS: usize = 2;
const TICK: Duration = Duration::from_millis(500);
/// How long jobs may take to come to their end after the last picture: three attempts and the waits between them.
const DRAIN_TICKS: u32 = 240;
/// The server writes recorded values into its store this often; one of our own ends after the last time.
const RECORDED_AFTER: Duration = Duration::from_secs(6);

/// What the user wants.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where a server is looked for.
    pub url: String,
    /// The token for it.
    pub token: Option<String>,
    /// Whether to start a server although there is one.
    pub serve: bool,
    /// Where a server of our own keeps its data, and where they stay; a temporary directory otherwise.
    pub data_dir: Option<PathBuf>,
    /// A server of OpenAI's shape, up to the version; a stand-in answers otherwise.
    pub llm: Option<String>,
    /// A file with its key.
    pub llm_key_file: Option<PathBuf>,
    /// The model to ask for; the first that it names otherwise.
    pub model: Option<String>,
    /// Pictures per second and camera.
    pub fps: u32,
    /// How long to take pictures; until the bell rings otherwise.
    pub duration: Option<Duration>,
    /// Whether the summary is for a program, on standard output, and all else beside it.
    pub json: bool,
    /// The program that is started as a server.
    pub program: PathBuf,
    /// The environment for it.
    pub environment: Vec<(String, String)>,
}

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The server.
    #[error("cannot use a server: {0}")]
    Server(String),
    /// The queues have jobs of somebody else.
    #[error("cannot work at {0}: its queues have jobs in them, and the demo takes nobody's work; --serve starts a server of its own")]
    InUse(String),
    /// The model.
    #[error("cannot use the language model: {0}")]
    Model(String),
    /// A camera.
    #[error("{0} (the demo needs ffmpeg: apt-get install ffmpeg)")]
    Camera(String),
    /// A file.
    #[error("cannot {what}: {error}")]
    File {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        error: std::io::Error,
    },
    /// A thread.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

/// Who answers.
struct Model {
    http: Http,
    name: String,
    is_stand_in: bool,
    is_behind_gateway: bool,
}

/// A run, as its threads share it.
struct Run {
    id: String,
    clock: SharedClock,
    metrics: MetricsService,
    spans: Spans,
    ledger: Ledger,
    history: History,
    voice: Voice,
    house: House,
    model: Model,
    token: Option<String>,
    detection_queue: String,
    analysis_queue: String,
    cameras_over: Bell,
    detecting_over: Bell,
    analysing_over: Bell,
    broke_off: Mutex<Option<String>>,
    batches: AtomicU64,
    events: Mutex<std::fs::File>,
}

impl Run {
    fn queue_settings(&self, queue: &str, worker: &str, count: usize) -> QueueSettings {
        QueueSettings { token: self.token.clone(), count, wait: TICK, ..QueueSettings::new(&self.house.url, queue, worker) }
    }
    fn next_batch(&self) -> u64 {
        self.batches.fetch_add(1, Ordering::Relaxed) + 1
    }
    fn write_event(&self, event: &Value) -> std::io::Result<()> {
        let mut file = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(format!("{event}\n").as_bytes())
    }
    /// A job that is not of this run: it is given back, and the demo ends before it takes more of them.
    fn meet_stranger(&self, job: Job) {
        // Dropped, it would be given back as well; this one tells when that fails.
        if let Err(error) = job.release() {
            self.voice.say(&error.to_string());
        }
        self.break_off("somebody else works with these queues; the demo takes nobody's work".to_owned());
    }
    /// Ends the run early.
    fn break_off(&self, why: String) {
        self.voice.say(&why);
        self.broke_off.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
        self.cameras_over.ring();
    }
    fn has_broken_off(&self) -> bool {
        self.broke_off.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
    fn queues(&self) -> Result<(Queue, Queue), DemoError> {
        Ok((self.house.queue(&self.detection_queue)?, self.house.queue(&self.analysis_queue)?))
    }
}

/// Runs the demo until its time is over or the bell rings, and tells how it went.
pub fn run(options: &Options, end: &Arc<Bell>, clock: &SharedClock) -> Result<Summary, DemoError> {
    let file = |what| move |error| DemoError::File { what, error };
    let folder = tempfile::Builder::new().prefix("watchfire-demo-").tempdir().map_err(file("make a temporary directory"))?;
    let mut run = prepare(options, folder.path(), clock.clone())?;
    let (detection, analysis) = run.queues()?;
    if [detection, analysis].iter().any(|q| q.waiting + q.leased > 0) {
        return Err(DemoError::InUse(run.house.url.clone()));
    }
    let mut cameras = Vec::new();
    for scene in &SCENES {
        cameras.push(Camera::start(scene, options.fps.clamp(1, FPS_MAX), folder.path()).map_err(|error| DemoError::Camera(error.to_string()))?);
    }
    greet(&run, options);
    work(&run, cameras, options, end)?;
    let (detection_after, analysis_after) = run.queues()?;
    let lines = (
        Line::of(&run.ledger.detection, detection.depths(), detection_after.depths()),
        Line::of(&run.ledger.analysis, analysis.depths(), analysis_after.depths()),
    );
    let unreported = report_the_rest(&run);
    run.house.end();
    let broke_off = run.broke_off.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let summary = Summary::new(&run.ledger, lines, unreported, run.model.is_stand_in, broke_off);
    summary.lines().iter().for_each(|line| run.voice.say(line));
    Ok(summary)
}

/// Finds or starts what the run needs.
fn prepare(options: &Options, folder: &Path, clock: SharedClock) -> Result<Run, DemoError> {
    camera::look_for_ffmpeg().map_err(|error| DemoError::Camera(error.to_string()))?;
    let stand_in = match options.llm {
        Some(_) => None,
        None => Some(StandIn::start().map_err(|error| DemoError::Model(error.to_string()))?),
    };
    let is_stand_in = stand_in.is_some();
    let llm = options.llm.clone().or_else(|| stand_in.as_ref().map(StandIn::url)).unwrap_or_default();
    let there = if options.serve { None } else { House::find(&options.url, options.token.as_deref())? };
    let house = match there {
        Some(house) => house,
        None => own_house(options, folder, &llm, is_stand_in)?,
    };
    let model = model(options, &house, &llm, is_stand_in)?;
    let token = options.token.clone().filter(|_| !house.is_ours());
    let settings = Settings { url: house.url.clone(), token: token.clone(), ..Settings::default() };
    let events_dir = options.data_dir.as_deref().filter(|_| house.is_ours()).unwrap_or(folder);
    let events = std::fs::File::options().create(true).append(true).open(events_dir.join("demo-events.jsonl"));
    Ok(Run {
        id: format!("{:x}-{:x}", clock.now().millis(), std::process::id()),
        metrics: MetricsService::start(settings).map_err(DemoError::Thread)?,
        clock,
        spans: Spans::default(),
        ledger: Ledger::default(),
        history: History::default(),
        voice: Voice { is_stand_in, aside: options.json },
        house,
        model,
        token,
        detection_queue: "detection_queue".to_owned(),
        analysis_queue: "analysis_queue".to_owned(),
        cameras_over: Bell::default(),
        detecting_over: Bell::default(),
        analysing_over: Bell::default(),
        broke_off: Mutex::default(),
        batches: AtomicU64::new(0),
        events: Mutex::new(events.map_err(|error| DemoError::File { what: "write the file of events", error })?),
    })
}

fn own_house(options: &Options, folder: &Path, llm: &str, is_stand_in: bool) -> Result<House, DemoError> {
    let data = options.data_dir.clone().unwrap_or_else(|| folder.join("data"));
    std::fs::create_dir_all(&data).map_err(|error| DemoError::File { what: "make the data directory", error })?;
    let data = data.canonicalize().map_err(|error| DemoError::File { what: "find the data directory", error })?;
    let key_file = match &options.llm_key_file {
        Some(path) => Some(path.canonicalize().map_err(|error| DemoError::File { what: "find the file with the key", error })?),
        None => None,
    };
    let configuration = configuration(llm, key_file.as_deref(), is_stand_in);
    House::start(&Start { program: &options.program, folder, data: &data, environment: &options.environment, configuration })
}

/// The configuration of a server of our own: the model behind its gateway. A stand-in has a small window, so that prompts have to be cut,
/// and an example of prices, so that there are costs; a real model keeps the defaults and has none.
fn configuration(llm: &str, key_file: Option<&Path>, is_stand_in: bool) -> String {
    let quoted = |text: &str| Value::from(text).to_string();
    let name = if is_stand_in { "stand-in" } else { "model" };
    let key = key_file.map(|path| format!(", api_key_file: {}", quoted(&path.display().to_string()))).unwrap_or_default();
    let mut text = format!("gateway:\n  upstreams: [{{name: {name}, url: {}{key}}}]\n", quoted(llm));
    if is_stand_in {
        text.push_str(&format!("  prices: [{{model: {}, input_per_million: 0.05, output_per_million: 0.20}}]\n", stand_in::MODEL));
        text.push_str("llm: {context_window: 1800, max_output_tokens: 400}\n");
    }
    text
}

fn model(options: &Options, house: &House, llm: &str, is_stand_in: bool) -> Result<Model, DemoError> {
    let behind_ours = house.is_ours();
    let key = match &options.llm_key_file {
        Some(path) if !behind_ours => Some(std::fs::read_to_string(path).map_err(|error| DemoError::File { what: "read the file with the key", error })?),
        _ => None,
    };
    let address = if behind_ours { format!("{}/llm/v1", house.url) } else { llm.to_owned() };
    let is_behind_gateway = behind_ours || address.starts_with(&format!("{}/llm/", house.url));
    let token = key.as_deref().map(str::trim).or(options.token.as_deref().filter(|_| is_behind_gateway && !behind_ours));
    let http = Http::new(&address, token);
    let name = match (&options.model, is_stand_in) {
        (Some(name), _) => name.clone(),
        (None, true) => stand_in::MODEL.to_owned(),
        (None, false) => house::first_model(&http)?,
    };
    Ok(Model { http, name, is_stand_in, is_behind_gateway })
}

fn greet(run: &Run, options: &Options) {
    let ours = if run.house.is_ours() { "a server of the demo's own" } else { "the server that is there" };
    run.voice.say(&format!("reports to {} ({ours}); the page is {}/", run.house.url, run.house.url));
    let way = if run.model.is_behind_gateway { "through the gateway" } else { "directly, not through the gateway" };
    run.voice.say(&format!("asks {} {way}", run.model.name));
    if run.model.is_stand_in {
        run.voice.say("risk scores follow a fixed rule and costs an example of prices: both mean nothing");
    }
    if !run.house.is_ours() {
        run.voice.say("its figures stand under the same names as those of a pipeline that reports to this server");
    }
    let names: Vec<&str> = SCENES.iter().map(|scene| scene.camera).collect();
    let end = options.duration.map_or_else(|| "until Ctrl-C".to_owned(), |d| format!("for {} s", d.as_secs()));
    run.voice.say(&format!("ffmpeg draws {} pictures per second for each of {} {end}; one in 40 is torn on purpose", options.fps, names.join(", ")));
}

/// Starts everybody, waits for the end, and lets jobs come to theirs.
fn work(run: &Run, cameras: Vec<Camera<'_>>, options: &Options, end: &Bell) -> Result<(), DemoError> {
    let detector = Member::new("demo-detector");
    let analysers: Vec<Member> = (1..=ANALYSERS).map(|i| Member::new(&format!("demo-analyser-{i}"))).collect();
    let members: Vec<&Member> = std::iter::once(&detector).chain(&analysers).collect();
    std::thread::scope(|scope| {
        // Whatever happens here, everybody has to hear of the end, or the scope never ends.
        let started = (|| {
            start(scope, "detector", || detector.keep_at(run, &run.detecting_over, detect::work))?;
            for member in &analysers {
                start(scope, "analyser", move || member.keep_at(run, &run.analysing_over, analyse::work))?;
            }
            for camera in cameras {
                start(scope, "camera", move || film(run, camera))?;
            }
            Ok(())
        })();
        if started.is_ok() {
            watch(run, &members, options, end);
        }
        run.cameras_over.ring();
        settle(run, &members, |(detection, _)| detection.waiting == 0);
        run.detecting_over.ring();
        settle(run, &members, |(detection, analysis)| detection.leased + analysis.waiting + analysis.leased == 0);
        run.analysing_over.ring();
        started
    })?;
    members.iter().for_each(|member| member.report(run));
    Ok(())
}

fn start<'scope>(scope: &'scope std::thread::Scope<'scope, '_>, name: &str, work: impl FnOnce() + Send + 'scope) -> Result<(), DemoError> {
    std::thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, work).map(drop).map_err(DemoError::Thread)
}

fn film(run: &Run, mut camera: Camera<'_>) {
    let producer = Producer::new(&run.queue_settings(&run.detection_queue, "", 1));
    if let Err(error) = camera.run(run, &producer) {
        run.break_off(error.to_string());
    }
}

fn watch(run: &Run, members: &[&Member], options: &Options, end: &Bell) {
    let began = run.clock.monotonic();
    let enough = |now: Duration| options.duration.is_some_and(|duration| now.saturating_sub(began) >= duration);
    while !run.cameras_over.has_rung() && !enough(run.clock.monotonic()) && !end.wait(TICK) {
        members.iter().for_each(|member| member.report(run));
        run.spans.send(&run.house.http);
    }
    run.voice.say("no further pictures; jobs come to their end");
}

/// Waits until the queues are as they should be, or for as long as jobs may take.
fn settle(run: &Run, members: &[&Member], settled: impl Fn(&(Queue, Queue)) -> bool) {
    let never = Bell::default();
    for _ in 0..DRAIN_TICKS {
        members.iter().for_each(|member| member.report(run));
        // A server that is away is asked again; what remains is told at the end.
        if run.has_broken_off() || run.queues().is_ok_and(|queues| settled(&queues)) {
            return;
        }
        never.wait(TICK);
    }
}

/// Sends what is left of metrics and spans; returns how many of them never arrived.
fn report_the_rest(run: &Run) -> u64 {
    let arrived = run.metrics.flush(Duration::from_secs(10));
    run.spans.send(&run.house.http);
    if run.house.is_ours() {
        Bell::default().wait(RECORDED_AFTER);
    }
    let dropped = run.metrics.dropped();
    dropped.full + dropped.refused + dropped.unanswered + u64::from(!arrived) + run.spans.lost()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_quote_what_they_are_told() {
        let text = configuration("http://h/v1\"]}\nx: 1", Some(Path::new("/a \"b\"/key")), false);
        assert_eq!(text, "gateway:\n  upstreams: [{name: model, url: \"http://h/v1\\\"]}\\nx: 1\", api_key_file: \"/a \\\"b\\\"/key\"}]\n");
        assert!(configuration("u", None, true).contains("context_window: 1800"));
    }
}
