//! Whose turn it is: so many exchanges at once as the GPU's memory allows, and a queue in which every caller has a lane of its own, so
//! that one that asks a lot delays itself. It knows no upstream.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use watchfire_model::live::MemoryPressure;
use watchfire_model::meter::{Gauge, Meter};

use super::settings::TurnSettings;

/// Why there is no turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoTurn {
    /// Too many wait already.
    Full,
    /// It did not come within the time one waits.
    Late,
}

/// Gives turns. Cheap to clone.
#[derive(Clone)]
pub(super) struct Turns(Arc<Shared>);

struct Shared {
    settings: TurnSettings,
    state: Mutex<State>,
    limit: Gauge,
    running: Gauge,
    waiting: Gauge,
}

struct State {
    limit: usize,
    running: usize,
    waiting: usize,
    lanes: VecDeque<Lane>,
    /// Names those who wait.
    next: u64,
    /// How long an exchange took lately, in milliseconds.
    mean_ms: f64,
}

struct Lane {
    caller: Arc<str>,
    places: VecDeque<(u64, oneshot::Sender<Turn>)>,
}

/// A turn, until it is dropped.
pub(super) struct Turn(Option<Arc<Shared>>);

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(shared) = self.0.take() else { return };
        let mut state = shared.lock();
        state.running -= 1;
        shared.advance(&mut state);
    }
}

/// A place in the queue, which is left when the caller goes away.
struct Place {
    shared: Arc<Shared>,
    id: u64,
}
impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let mut left = 0;
        for lane in &mut state.lanes {
            let before = lane.places.len();
            lane.places.retain(|(id, _)| *id != self.id);
            left += before - lane.places.len();
        }
        state.waiting -= left;
        state.lanes.retain(|lane| !lane.places.is_empty());
        self.shared.show(&state);
    }
}

impl Turns {
    pub(super) fn new(settings: TurnSettings, meter: &Meter) -> Turns {
        let gauge = |name, help| meter.gauge(name, help, &[]);
        let shared = Shared {
            settings,
            state: Mutex::new(State { limit: settings.max.max(1), running: 0, waiting: 0, lanes: VecDeque::new(), next: 0, mean_ms: 1_000.0 }),
            limit: gauge("watchfire_gateway_turns_limit", "Exchanges with language models that may run at once now."),
            running: gauge("watchfire_gateway_turns_running", "Exchanges with language models that run."),
            waiting: gauge("watchfire_gateway_turns_waiting", "Requests that wait for their turn."),
        };
        shared.show(&shared.lock());
        Turns(Arc::new(shared))
    }

    /// Takes over a level of memory pressure. Exchanges that run go on; fewer, or more, begin from now on.
    pub(super) fn set_pressure(&self, level: MemoryPressure) {
        let TurnSettings { max, warning, critical, .. } = self.0.settings;
        let share = match level {
            MemoryPressure::Normal => 1.0,
            MemoryPressure::Warning => warning,
            MemoryPressure::Critical => critical,
        };
        let mut state = self.0.lock();
        // One always goes: with none at all the queue would stand still, and memory might never be given back.
        state.limit = ((max as f64 * share).floor() as usize).clamp(1, max.max(1));
        self.0.advance(&mut state);
    }

    /// How many may run, do run, and wait.
    pub(super) fn figures(&self) -> (usize, usize, usize) {
        let state = self.0.lock();
        (state.limit, state.running, state.waiting)
    }

    /// Waits for a turn.
    pub(super) async fn take(&self, caller: &str) -> Result<Turn, NoTurn> {
        let (place, turn) = {
            let mut state = self.0.lock();
            if state.running < state.limit && state.waiting == 0 {
                state.running += 1;
                self.0.show(&state);
                return Ok(Turn(Some(self.0.clone())));
            }
            if state.waiting >= self.0.settings.queue {
                return Err(NoTurn::Full);
            }
            state.next += 1;
            state.waiting += 1;
            let id = state.next;
            let (give, turn) = oneshot::channel();
            match state.lanes.iter_mut().find(|lane| &*lane.caller == caller) {
                Some(lane) => lane.places.push_back((id, give)),
                None => state.lanes.push_back(Lane { caller: caller.into(), places: VecDeque::from([(id, give)]) }),
            }
            self.0.show(&state);
            (Place { shared: self.0.clone(), id }, turn)
        };
        let waited = tokio::time::timeout(self.0.settings.patience, turn).await;
        drop(place);
        match waited {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(NoTurn::Late),
        }
    }

    /// Takes over how long an exchange took.
    pub(super) fn took(&self, ms: f64) {
        let mut state = self.0.lock();
        state.mean_ms += (ms - state.mean_ms) * 0.2;
    }

    /// In how many seconds somebody who is refused may have better luck: when those who wait now have had their turns.
    pub(super) fn retry_after_secs(&self) -> u64 {
        let state = self.0.lock();
        let rounds = (state.waiting + 1) as f64 / state.limit.max(1) as f64;
        ((rounds * state.mean_ms / 1000.0).ceil() as u64).clamp(1, 60)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives turns to those who wait, lane by lane.
    fn advance(self: &Arc<Shared>, state: &mut State) {
        while state.running < state.limit {
            let Some(mut lane) = state.lanes.pop_front() else { break };
            let Some((_, give)) = lane.places.pop_front() else { continue };
            if !lane.places.is_empty() {
                state.lanes.push_back(lane);
            }
            state.waiting -= 1;
            state.running += 1;
            if let Err(mut turn) = give.send(Turn(Some(self.clone()))) {
                // Nobody waits there any more. The turn must not come back through its own drop while the lock is held.
                turn.0 = None;
                state.running -= 1;
            }
        }
        self.show(state);
    }

    fn show(&self, state: &State) {
        self.limit.set(state.limit as f64);
        self.running.set(state.running as f64);
        self.waiting.set(state.waiting as f64);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn turns(max: usize, queue: usize) -> Turns {
        let settings = TurnSettings { max, queue, warning: 0.5, critical: 0.25, patience: Duration::from_secs(10) };
        Turns::new(settings, &Meter::new())
    }

    /// Lets everything that can go on go on.
    async fn settle() {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn gpu_23_concurrency_follows_memory_pressure_and_never_exceeds_its_bound() {
        let turns = turns(8, 100);
        let mut held = Vec::new();
        for _ in 0..8 {
            held.push(turns.take("a").await.ok().unwrap());
        }
        assert_eq!(turns.figures(), (8, 8, 0), "never above AI_MAX_CONCURRENT_INFERENCES");
        turns.set_pressure(MemoryPressure::Warning);
        let waiting = {
            let turns = turns.clone();
            tokio::task::spawn(async move { turns.take("a").await })
        };
        settle().await;
        held.drain(..4);
        settle().await;
        assert_eq!(turns.figures(), (4, 4, 1), "those that run go on, no new one begins until there are fewer than half");
        turns.set_pressure(MemoryPressure::Critical);
        held.pop();
        settle().await;
        assert_eq!(turns.figures(), (2, 3, 1));
        turns.set_pressure(MemoryPressure::Normal);
        settle().await;
        assert_eq!(turns.figures(), (8, 4, 0), "it returns when pressure falls");
        held.push(waiting.await.unwrap().ok().unwrap());
        assert_eq!(turns.figures().1, held.len());
        let one = Turns::new(TurnSettings { max: 1, critical: 0.0, ..TurnSettings::default() }, &Meter::new());
        one.set_pressure(MemoryPressure::Critical);
        assert_eq!(one.figures().0, 1, "one always goes");
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_asks_a_lot_delays_itself() {
        let turns = turns(1, 100);
        let first = turns.take("greedy").await.ok().unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for caller in ["greedy", "greedy", "greedy", "modest", "greedy", "other"] {
            let (turns, order) = (turns.clone(), order.clone());
            tasks.push(tokio::task::spawn(async move {
                let turn = turns.take(caller).await.ok().unwrap();
                order.lock().unwrap().push(caller);
                drop(turn);
            }));
            settle().await;
        }
        drop(first);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), ["greedy", "modest", "other", "greedy", "greedy", "greedy"]);
        assert_eq!(turns.figures(), (1, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_refuses_and_waiting_ends() {
        let turns = turns(1, 1);
        let running = turns.take("a").await.ok().unwrap();
        let waiting = {
            let turns = turns.clone();
            tokio::task::spawn(async move { turns.take("b").await.err() })
        };
        settle().await;
        assert_eq!(turns.take("c").await.err(), Some(NoTurn::Full));
        turns.took(9_000.0);
        assert!(turns.retry_after_secs() > 1);
        assert_eq!(waiting.await.unwrap(), Some(NoTurn::Late), "after ten seconds of a clock that is turned");
        assert_eq!(turns.figures(), (1, 1, 0));
        // Who goes away leaves no hole.
        let gone = {
            let turns = turns.clone();
            tokio::task::spawn(async move { turns.take("d").await.map(drop) })
        };
        settle().await;
        gone.abort();
        settle().await;
        assert_eq!(turns.figures(), (1, 1, 0));
        drop(running);
        assert_eq!(turns.figures(), (1, 0, 0));
    }
}
