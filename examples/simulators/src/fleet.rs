//! Starts the parts of a system as programs of their own, kills and starts them when asked to, and writes down how they are watched. It does
//! none of their work.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Error, ErrorKind, Result, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::http::{self, Request, Response};
use crate::plan::Plan;
use crate::process::Running;
use crate::{clock, scraping, vms};

/// The port at which a run is controlled; who has it has the run's addresses.
const CONTROL_PORT: u16 = 7000;
/// Addresses begin with 127 and one of these.
const NETS: std::ops::Range<u8> = 100..250;
/// How often it is looked whether all parts have ended by themselves, every 50 ms.
const GENTLE_TRIES: u32 = 60;
/// The program that shows how a part is started where a file system can be mounted for it alone.
const MOUNT: &str = "mount -t tmpfs -o \"size=$0\" tmpfs \"$1\" && shift && exec \"$@\"";

/// What the user wants.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) system: String,
    pub(crate) dir: Option<PathBuf>,
    pub(crate) nodes: usize,
    pub(crate) gateways: usize,
    pub(crate) apis: usize,
    pub(crate) cameras: usize,
    pub(crate) watchfire: Option<PathBuf>,
    pub(crate) listen: Option<String>,
}

struct Fleet {
    plan: Plan,
    program: PathBuf,
    /// Whether nodes can have file systems of their own.
    mounts: bool,
    parts: Mutex<BTreeMap<String, Running>>,
    /// Parts that cannot be started.
    held: Mutex<BTreeSet<String>>,
}

/// Runs a system until whoever started it has gone.
pub(crate) fn run(options: &Options) -> Result<()> {
    let (net, control) = net()?;
    let dir = match &options.dir {
        Some(dir) => dir.clone(),
        None => std::env::temp_dir().join(format!("watchfire-simulate-{}-{}", options.system, std::process::id())),
    };
    std::fs::create_dir_all(dir.join("rules"))?;
    let dir = dir.canonicalize()?;
    let watchfire = options.listen.clone().unwrap_or_else(|| format!("{net}.9.1:8000"));
    let plan = Plan {
        system: options.system.clone(),
        net,
        dir,
        nodes: options.nodes,
        gateways: options.gateways,
        apis: options.apis,
        cameras: options.cameras,
        watchfire,
    };
    let fleet = Arc::new(Fleet { program: std::env::current_exe()?, mounts: can_mount(), parts: Mutex::default(), held: Mutex::default(), plan });
    let address = control.local_addr()?.to_string();
    scraping::write(&fleet.plan, &fleet.program, &address)?;
    for name in fleet.plan.parts() {
        fleet.start(&name)?;
    }
    let answering = fleet.clone();
    http::serve(control, Arc::new(move |request| answering.answer(&request)))?;
    let server = options.watchfire.as_deref().map(|program| fleet.watch(program)).transpose()?;
    let told = json!({"control": address, "dir": fleet.plan.dir, "watchfire": fleet.plan.watchfire, "mounts": fleet.mounts, "parts": fleet.list()});
    println!("{told}");
    std::io::stdout().flush()?;
    if server.is_some() {
        eprintln!("Watchfire: http://{}/   faults: curl http://{address}/parts   end: Ctrl-C", fleet.plan.watchfire);
    }
    // Whoever holds the other end keeps us alive. A terminal's end is Ctrl-C, which all parts hear.
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    fleet.end();
    drop(server);
    Ok(())
}

/// Addresses that no other run has, and the port that says so.
fn net() -> Result<(String, TcpListener)> {
    let first = std::process::id() % u32::from(NETS.end - NETS.start);
    let found = NETS.cycle().skip(first as usize).take(NETS.len()).find_map(|second| {
        let net = format!("127.{second}");
        let control = TcpListener::bind(format!("{net}.0.1:{CONTROL_PORT}")).ok()?;
        Some((net, control))
    });
    found.ok_or_else(|| Error::new(ErrorKind::AddrInUse, "cannot start: all addresses are taken by other runs"))
}

fn unshared(bytes: u64, place: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "sh", "-c", MOUNT, &bytes.to_string()]).arg(place);
    command
}

/// Whether this machine mounts a file system for one process.
fn can_mount() -> bool {
    let status = unshared(1 << 20, Path::new("/tmp")).arg("true").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

impl Fleet {
    fn parts(&self) -> MutexGuard<'_, BTreeMap<String, Running>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Starts a part and waits until it is there.
    fn start(&self, name: &str) -> Result<()> {
        if self.parts().get_mut(name).is_some_and(|part| !part.has_ended()) {
            return Ok(());
        }
        if self.held.lock().unwrap_or_else(PoisonError::into_inner).contains(name) {
            return Err(Error::other("it is held and cannot be started"));
        }
        let place = self.plan.dir.join(name).join("recordings");
        std::fs::create_dir_all(&place)?;
        let mut command = match self.mounts && name.starts_with("recording-node-") {
            true => {
                let mut command = unshared(vms::DISK_BYTES, &place);
                command.arg(&self.program);
                command
            }
            false => Command::new(&self.program),
        };
        command.args(["--part", &self.plan.to_json().to_string(), name]);
        let mut part = Running::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()))?;
        let out = part.child().stdout.take().ok_or_else(|| Error::other("cannot hear the part: it has no pipe"))?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        if line.trim() != "ready" {
            return Err(Error::other(format!("cannot start {name}: it ended")));
        }
        self.parts().insert(name.to_owned(), part);
        Ok(())
    }
    /// Lets the parts end by themselves, with what they have started; those that do not are killed.
    fn end(&self) {
        let mut parts = std::mem::take(&mut *self.parts());
        parts.values_mut().for_each(|part| drop(part.child().stdin.take()));
        for _ in 0..GENTLE_TRIES {
            if parts.values_mut().all(Running::has_ended) {
                return;
            }
            clock::pause_ms(50);
        }
    }
    fn list(&self) -> Value {
        let mut parts = self.parts();
        let of = |name: &String| json!({"name": name, "address": self.plan.address(name)});
        let mut all: Vec<Value> = self.plan.parts().iter().map(of).collect();
        for part in &mut all {
            let name = part["name"].as_str().unwrap_or_default().to_owned();
            part["pid"] = parts.get_mut(&name).and_then(|part| (!part.has_ended()).then(|| part.pid())).into();
        }
        all.into()
    }
    /// `/parts`, `/parts/NAME/kill`, `/parts/NAME/start`, `/parts/NAME/hold` (DELETE lets it go), and what is passed on to the part: `/parts/NAME/faults`, `/parts/NAME/fault/…`.
    fn answer(&self, request: &Request) -> Response {
        if request.path == "/parts" {
            return Response::json(&self.list());
        }
        let wanted = request.path.strip_prefix("/parts/").and_then(|rest| rest.split_once('/'));
        let Some((name, what)) = wanted.filter(|(name, _)| self.plan.parts().iter().any(|part| part == name)) else {
            return Response::text(404, "GET /parts lists what there is\n".to_owned());
        };
        let done = match (request.method.as_str(), what) {
            ("POST", "kill") => {
                // Taken out first, so that nobody waits for the list while it ends.
                drop(self.parts().remove(name));
                Ok(Response::json(&self.list()))
            }
            ("POST", "hold") => {
                self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
                drop(self.parts().remove(name));
                Ok(Response::json(&self.list()))
            }
            ("DELETE", "hold") => {
                self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
                self.start(name).map(|()| Response::json(&self.list()))
            }
            ("POST", "start") => self.start(name).map(|()| Response::json(&self.list())),
            _ => self.pass_on(name, what, request),
        };
        done.unwrap_or_else(|error| Response::text(502, format!("{name}: {error}\n")))
    }
    fn pass_on(&self, name: &str, what: &str, request: &Request) -> Result<Response> {
        let query: Vec<String> = request.query.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let target = format!("/{what}?{}", query.join("&"));
        let (status, body) = http::ask(&self.plan.address(name), &request.method, &target, &request.body, Duration::from_secs(10))?;
        Ok(Response::text(status, String::from_utf8_lossy(&body).into_owned()))
    }
    /// Starts a server that watches this system, and waits for it.
    fn watch(&self, program: &Path) -> Result<Running> {
        let mut command = Command::new(program);
        command.args(["serve", "--listen", &self.plan.watchfire, "--data-dir"]).arg(self.plan.dir.join("data"));
        command.arg("--config").arg(self.plan.dir.join("watchfire.yml")).current_dir(&self.plan.dir);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(std::fs::File::create(self.plan.dir.join("watchfire.log"))?);
        let mut server = Running::start(&mut command)?;
        while http::ask(&self.plan.watchfire, "GET", "/health", b"", Duration::from_secs(2)).is_err() {
            if server.has_ended() {
                return Err(Error::other(format!("cannot start {}: see {}", program.display(), self.plan.dir.join("watchfire.log").display())));
            }
            clock::pause_ms(100);
        }
        Ok(server)
    }
}
