//! What streaming servers say of their streams: MediaMTX, go2rtc, Frigate, nginx-rtmp. Their pages are fetched as the configuration says, and told
//! by the names that the video system has. `config` reads `streams:`; a kind of server is a file and a line in [`kind::KINDS`]. No stream is
//! received.

pub mod config;
pub mod kind;
mod tally;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use tokio::sync::oneshot;
use url::Url;
use watchfire_model::camera::StreamServerStatus;
use watchfire_model::observe::Observe;
use watchfire_model::time::SharedClock;
use watchfire_net::client::{Caller, Request, Response};
use watchfire_net::inflate::Limits;
use watchfire_net::tasks::Tasks;

pub use self::config::Server;
use self::kind::Found;
use self::tally::Tally;

/// Bytes of one page.
const PAGE_BYTES_MAX: usize = 4 << 20;
/// Redirects of one request.
const REDIRECTS_MAX: usize = 3;

/// What looking at servers needs from outside.
pub struct Surroundings {
    /// Takes what is seen.
    pub observe: Arc<dyn Observe>,
    /// The time.
    pub clock: SharedClock,
    /// Makes requests.
    pub caller: Arc<Caller>,
    /// Where looking runs.
    pub tasks: Tasks,
}

/// Looks at streaming servers. Share it in an `Arc`.
pub struct Streams {
    outside: Surroundings,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: Vec<Running>,
    tally: Tally,
    /// Ids of cameras that are watched themselves: of them nothing is told twice.
    watched: BTreeSet<String>,
}

struct Running {
    server: Arc<Server>,
    status: StreamServerStatus,
    /// Ends looking when it is dropped.
    _stop: oneshot::Sender<()>,
}

impl Streams {
    /// Looks at none yet.
    pub fn new(outside: Surroundings) -> Streams {
        Streams { outside, state: Mutex::default() }
    }

    /// Looks at these from now on. Cameras with these ids are watched themselves.
    pub fn apply(self: &Arc<Self>, servers: &[Arc<Server>], watched: impl Iterator<Item = String>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.watched = watched.collect();
        let mut before = std::mem::take(&mut state.running);
        for server in servers {
            let same = before.iter().position(|old| old.server == *server);
            let running = match same {
                Some(at) => before.swap_remove(at),
                None => self.start(server),
            };
            state.running.push(running);
        }
        for gone in before {
            state.tally.forget(&gone.server.name);
        }
        let State { tally, watched, .. } = &mut *state;
        tally.tell(watched, &*self.outside.observe);
    }

    fn start(self: &Arc<Self>, server: &Arc<Server>) -> Running {
        let (stop, stopped) = oneshot::channel::<()>();
        let (house, looked) = (self.clone(), server.clone());
        self.outside.tasks.spawn("streams", async move {
            tokio::select! {
                () = house.look(&looked) => {}
                // Whether it is told or the other side is gone, it is over.
                _over = stopped => {}
            }
        });
        let status =
            StreamServerStatus { name: server.name.clone(), kind: server.kind.name, url: server.shown.clone(), up: false, streams: 0, viewers: 0, error: None };
        Running { server: server.clone(), status, _stop: stop }
    }

    async fn look(&self, server: &Arc<Server>) {
        let mut ticks = tokio::time::interval(server.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let found = Box::pin(self.fetch(server)).await;
            self.found(server, found);
        }
    }

    /// All pages of a server, read.
    async fn fetch(&self, server: &Server) -> Result<Found, String> {
        let mut pages = Vec::new();
        for page in server.kind.pages {
            let answer = self.page(server, page.path).await.map_err(|reason| format!("cannot get {}: {reason}", page.path))?;
            match answer.status {
                StatusCode::OK => pages.push(Some(answer.body.to_vec())),
                // What a server does not offer is not known, and no error.
                _ if page.optional => pages.push(None),
                status => return Err(format!("cannot get {}: the server answers {}", page.path, status.as_u16())),
            }
        }
        let pages: Vec<Option<&[u8]>> = pages.iter().map(Option::as_deref).collect();
        (server.kind.read)(&pages).ok_or_else(|| format!("cannot read what the server says as the pages of {}", server.kind.name))
    }

    /// One page. A server may say that it is elsewhere, but not on another one: what it names is nobody's wish.
    async fn page(&self, server: &Server, path: &str) -> Result<Response, String> {
        let mut url = format!("{}{path}", server.url);
        for followed in 0..=REDIRECTS_MAX {
            let request = Request { limits: Limits::both(PAGE_BYTES_MAX), ..Request::get(url.as_str(), server.timeout) };
            let answer = self.outside.caller.send(&server.options, request).await.map_err(|error| error.to_string())?;
            if !server.follows || !answer.status.is_redirection() || followed == REDIRECTS_MAX {
                return Ok(answer);
            }
            let Some(to) = answer.header("location") else { return Ok(answer) };
            url = within(&url, to).ok_or("the server says that it is somewhere else, where nobody is asked")?;
        }
        Err(format!("stopped after {REDIRECTS_MAX} redirects"))
    }

    fn found(&self, server: &Arc<Server>, found: Result<Found, String>) {
        let now = self.outside.clock.monotonic();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { running, tally, watched } = &mut *state;
        // A server that is looked at no more may have answered at the last moment.
        let Some(one) = running.iter_mut().find(|one| Arc::ptr_eq(&one.server, server)) else { return };
        match found {
            Ok(found) => {
                one.status.up = true;
                one.status.streams = found.streams.iter().filter(|s| s.active).count() as u64;
                one.status.viewers = found.streams.iter().filter_map(|s| s.viewers).fold(0, u64::saturating_add);
                one.status.error = None;
                tally.take(&server.name, found, now);
            }
            Err(error) => {
                if one.status.error.as_ref() != Some(&error) {
                    tracing::warn!(server = server.name, error, "a streaming server does not tell its streams");
                }
                one.status = StreamServerStatus { up: false, streams: 0, viewers: 0, error: Some(error), ..one.status.clone() };
                tally.absent(&server.name);
            }
        }
        tally.tell(watched, &*self.outside.observe);
    }

    /// How each server is doing now, in the order of the configuration.
    pub fn statuses(&self) -> Vec<StreamServerStatus> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.running.iter().map(|one| one.status.clone()).collect()
    }
}

/// Where a redirect leads, if it is to the same server. Name and password of the address stay with it.
fn within(url: &str, to: &str) -> Option<String> {
    let here = Url::parse(url).ok()?;
    let mut there = here.join(to).ok().filter(|there| there.origin() == here.origin())?;
    there.set_username(here.username()).ok()?;
    there.set_password(here.password()).ok()?;
    Some(there.into())
}

/// How long a rate looks back at least: two looks right after one another tell none.
const RATE_MIN: Duration = Duration::from_millis(500);
