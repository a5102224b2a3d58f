//! A mock graphics card. Its memory is memory of this process, its load the share of time in which something ran on it, its warmth what that
//! load puts in and the fan takes out. None of these is a real card's figure, and all follow from what is done.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};

use crate::clock;
use crate::faults::Known;

/// The card's memory, and what the model of the detector takes of it.
const MEMORY_MB: f64 = 64.0;
const MODEL_MB: usize = 20;
/// How far other models fill the memory.
const LARGE_MB: usize = 57;
const HUGE_MB: usize = 63;
const ROOM_CELSIUS: f64 = 22.0;
/// Degrees per second that the card makes when it rests, and more at full load.
const REST_HEAT: f64 = 5.0;
const LOAD_HEAT: f64 = 4.0;
/// The share of its warmth above the room that the fan takes out per second, and what goes without it.
const FAN: f64 = 0.2;
const STILL: f64 = 0.02;
/// Where the card begins to slow itself down, and the most that it can get: it turns itself off.
const THROTTLE_CELSIUS: f64 = 90.0;
const MAX_CELSIUS: f64 = 105.0;
const POWER_LIMIT_WATTS: f64 = 230.0;
const REST_WATTS: f64 = 22.0;

pub(crate) const LARGE: Known = ("large-model", "another model is loaded, 57 of 64 MB of the card are taken");
pub(crate) const HUGE: Known = ("huge-model", "two further models are loaded, 63 of 64 MB of the card are taken");
pub(crate) const NO_FAN: Known = ("no-fan", "the card's fan stands still");

#[derive(Default)]
pub(crate) struct Card(Mutex<State>);

struct State {
    looked: Instant,
    busy_ms: f64,
    frames: u64,
    memory: Vec<u8>,
    utilization: f64,
    celsius: f64,
    fps: f64,
}
impl Default for State {
    fn default() -> State {
        State { looked: clock::now(), busy_ms: 0.0, frames: 0, memory: Vec::new(), utilization: 0.0, celsius: 40.0, fps: 0.0 }
    }
}

impl Card {
    /// Something runs on the card.
    pub(crate) fn work<T>(&self, work: impl FnOnce() -> T) -> T {
        let began = clock::now();
        let done = work();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.busy_ms += clock::ms_since(began);
        state.frames += 1;
        done
    }
    /// Lets a moment pass on the card: about once a second.
    pub(crate) fn pass(&self, is: impl Fn(&str) -> bool) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = state.looked.elapsed().as_secs_f64().max(0.001);
        let busy = (state.busy_ms / 1_000.0 / seconds).min(1.0);
        state.utilization = busy * 100.0;
        state.fps = state.frames as f64 / seconds;
        // A machine that was held up for long makes no card hotter than it can get.
        let cooling = if is(NO_FAN.0) { STILL } else { FAN };
        let step = seconds.min(2.0);
        let heat = REST_HEAT + LOAD_HEAT * busy - cooling * (state.celsius - ROOM_CELSIUS);
        state.celsius = (state.celsius + step * heat).clamp(ROOM_CELSIUS, MAX_CELSIUS);
        let wanted = if is(HUGE.0) {
            HUGE_MB
        } else if is(LARGE.0) {
            LARGE_MB
        } else {
            MODEL_MB
        };
        // Written to, so that it is really taken.
        state.memory.resize(wanted << 20, 1);
        state.memory.shrink_to_fit();
        (state.looked, state.busy_ms, state.frames) = (clock::now(), 0.0, 0);
    }
    /// What the card says.
    pub(crate) fn figures(&self) -> Value {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let used_mb = (state.memory.len() >> 20) as f64;
        let watts = REST_WATTS + (POWER_LIMIT_WATTS - REST_WATTS) * state.utilization / 100.0;
        let throttle = if state.celsius > THROTTLE_CELSIUS { 0x20 } else { 0 };
        json!({
            "device": "mock card", "gpu_utilization": state.utilization, "memory_used": used_mb, "memory_total": MEMORY_MB,
            "vram_used_gb": used_mb / 1024.0, "temperature": state.celsius, "power_usage": watts, "power_watts": watts,
            "power_limit": POWER_LIMIT_WATTS, "throttle_reasons": throttle, "inference_fps": state.fps,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_without_a_fan_gets_hot_and_models_take_memory() {
        let card = Card::default();
        let at = |card: &Card| card.figures()["temperature"].as_f64().unwrap();
        let wait = || card.0.lock().unwrap().looked = clock::now().checked_sub(std::time::Duration::from_secs(1)).unwrap();
        for _ in 0..60 {
            wait();
            card.pass(|_| false);
        }
        assert!((ROOM_CELSIUS + REST_HEAT / FAN - at(&card)).abs() < 1.0, "{}", at(&card));
        for _ in 0..30 {
            wait();
            card.pass(|name| name == NO_FAN.0 || name == LARGE.0);
        }
        assert!(at(&card) > 85.0 && card.figures()["memory_used"] == 57.0, "{}", card.figures());
        for _ in 0..30 {
            wait();
            card.pass(|_| false);
        }
        assert!(at(&card) < 60.0 && card.figures()["memory_used"] == 20.0, "{}", card.figures());
        assert_eq!(card.work(|| 7), 7);
    }
}
