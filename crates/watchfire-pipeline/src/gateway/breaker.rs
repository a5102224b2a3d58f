//! A circuit breaker: after some failures in a row an upstream is not asked for a while, then one request tries. It judges
//! nothing; who has asked says how it went.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use watchfire_model::time::SharedClock;

use super::settings::BreakerSettings;

/// What callers may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Ask.
    Closed,
    /// Not ask.
    Open,
    /// Ask, but one at a time.
    HalfOpen,
}
impl State {
    /// The number in `hsi_circuit_breaker_state`.
    pub fn number(self) -> f64 {
        match self {
            State::Closed => 0.0,
            State::Open => 1.0,
            State::HalfOpen => 2.0,
        }
    }
    /// Its word in answers.
    pub fn word(self) -> &'static str {
        match self {
            State::Closed => "closed",
            State::Open => "open",
            State::HalfOpen => "half_open",
        }
    }
}

enum Now {
    Closed { failures: u32 },
    Open { until: Duration },
    HalfOpen { trying: bool },
}

type Told = Box<dyn Fn(State, bool) + Send + Sync>;

/// The breaker of one upstream.
pub(super) struct Breaker {
    settings: BreakerSettings,
    clock: SharedClock,
    now: Mutex<Now>,
    /// Hears every change, and whether it was a trip.
    told: Told,
}

/// The right to ask once. Dropped without a verdict, it leaves everything as it was.
pub(super) struct Pass {
    breaker: Arc<Breaker>,
    tries: bool,
}

impl Breaker {
    pub(super) fn new(settings: BreakerSettings, clock: SharedClock, told: impl Fn(State, bool) + Send + Sync + 'static) -> Arc<Breaker> {
        told(State::Closed, false);
        Arc::new(Breaker { settings, clock, now: Mutex::new(Now::Closed { failures: 0 }), told: Box::new(told) })
    }
    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state at this moment.
    pub(super) fn state(&self) -> State {
        match *self.lock() {
            Now::Closed { .. } => State::Closed,
            Now::Open { until } if self.clock.monotonic() < until => State::Open,
            Now::Open { .. } | Now::HalfOpen { .. } => State::HalfOpen,
        }
    }

    /// How long nobody may ask; `None` when somebody may.
    pub(super) fn closed_for(&self) -> Option<Duration> {
        match *self.lock() {
            Now::Closed { .. } => None,
            Now::Open { until } => until.checked_sub(self.clock.monotonic()).filter(|left| !left.is_zero()),
            Now::HalfOpen { trying } => trying.then_some(Duration::from_secs(1)),
        }
    }

    /// Lets one ask, or says for how long nobody may.
    pub(super) fn admit(self: &Arc<Breaker>) -> Result<Pass, Duration> {
        let mut now = self.lock();
        let tries = match &mut *now {
            Now::Closed { .. } => false,
            Now::Open { until } => {
                if let Some(left) = until.checked_sub(self.clock.monotonic()).filter(|left| !left.is_zero()) {
                    return Err(left);
                }
                *now = Now::HalfOpen { trying: true };
                (self.told)(State::HalfOpen, false);
                true
            }
            Now::HalfOpen { trying: true } => return Err(Duration::from_secs(1)),
            Now::HalfOpen { trying } => {
                *trying = true;
                true
            }
        };
        Ok(Pass { breaker: self.clone(), tries })
    }
}

impl Pass {
    /// It answered.
    pub(super) fn succeeded(&mut self) {
        let mut now = self.breaker.lock();
        match &mut *now {
            Now::Closed { failures } => *failures = 0,
            // An answer to a question from before the trip says nothing about now.
            Now::HalfOpen { .. } if self.tries => {
                *now = Now::Closed { failures: 0 };
                (self.breaker.told)(State::Closed, false);
            }
            Now::HalfOpen { .. } | Now::Open { .. } => {}
        }
        self.tries = false;
    }

    /// It did not.
    pub(super) fn failed(&mut self) {
        let breaker = &self.breaker;
        let mut now = breaker.lock();
        let trips = match &mut *now {
            Now::Closed { failures } => {
                *failures += 1;
                *failures >= breaker.settings.failures
            }
            Now::HalfOpen { .. } => self.tries,
            Now::Open { .. } => false,
        };
        if trips {
            *now = Now::Open { until: breaker.clock.monotonic() + breaker.settings.open };
            (breaker.told)(State::Open, true);
        }
        self.tries = false;
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.tries
            && let Now::HalfOpen { trying } = &mut *self.breaker.lock()
        {
            *trying = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use watchfire_model::time::{ManualClock, Timestamp};

    use super::*;

    #[test]
    fn it_opens_tries_and_closes() {
        let clock = ManualClock::new(Timestamp(0));
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = told.clone();
        let settings = BreakerSettings { failures: 2, open: Duration::from_secs(30) };
        let breaker = Breaker::new(settings, clock.clone(), move |state, trip| heard.lock().unwrap().push((state, trip)));
        let fail = || breaker.admit().ok().unwrap().failed();
        fail();
        breaker.admit().ok().unwrap().succeeded();
        fail();
        assert_eq!(breaker.state(), State::Closed, "not two in a row");
        let mut early = breaker.admit().ok().unwrap();
        fail();
        assert_eq!(breaker.state(), State::Open);
        early.succeeded();
        assert_eq!(breaker.admit().err(), Some(Duration::from_secs(30)));
        clock.advance(Duration::from_secs(10));
        assert_eq!(breaker.closed_for(), Some(Duration::from_secs(20)));
        clock.advance(Duration::from_secs(20));
        assert_eq!((breaker.closed_for(), breaker.state()), (None, State::HalfOpen));
        let undecided = breaker.admit().ok().unwrap();
        assert!(breaker.admit().is_err(), "one at a time");
        drop(undecided);
        fail();
        assert_eq!(breaker.state(), State::Open, "the one that tried failed");
        clock.advance(Duration::from_secs(30));
        breaker.admit().ok().unwrap().succeeded();
        assert_eq!(breaker.state(), State::Closed);
        use State::{Closed, HalfOpen, Open};
        assert_eq!(*told.lock().unwrap(), [(Closed, false), (Open, true), (HalfOpen, false), (Open, true), (HalfOpen, false), (Closed, false)]);
    }
}
