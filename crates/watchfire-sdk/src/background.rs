//! A bounded queue with a thread behind it: callers put something in and go on at once, the thread takes it out in batches. What has
//! no room is counted. It knows nothing of what it carries.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How much a queue holds, and when its thread looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The most bytes that wait, by what callers say their things weigh.
    pub(crate) bytes_max: usize,
    /// The most things of one batch.
    pub(crate) batch_max: usize,
    /// With so many things waiting the thread does not wait any longer.
    pub(crate) wake_at: usize,
    /// How long things wait for company.
    pub(crate) interval: Duration,
}

struct State<T> {
    waiting: VecDeque<(T, usize)>,
    bytes: usize,
    /// Flushes that were asked for, and those that are done.
    asked: u64,
    done: u64,
    stop: bool,
    /// The thread is gone.
    over: bool,
}

struct Shared<T> {
    limits: Limits,
    state: Mutex<State<T>>,
    changed: Condvar,
    full: AtomicU64,
}
impl<T> Shared<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Waits until there is something to do; returns it, which flushes it answers, and whether it is the last.
    fn take(&self) -> (Vec<T>, u64, bool) {
        let wants_more = |state: &mut State<T>| !state.stop && state.asked == state.done && state.waiting.len() < self.limits.wake_at;
        let waited = self.changed.wait_timeout_while(self.state(), self.limits.interval, wants_more);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let count = state.waiting.len().min(self.limits.batch_max);
        let taken: Vec<(T, usize)> = state.waiting.drain(..count).collect();
        state.bytes -= taken.iter().map(|(_, weight)| weight).sum::<usize>();
        let emptied = state.waiting.is_empty();
        let answers = if emptied { state.asked } else { state.done };
        (taken.into_iter().map(|(thing, _)| thing).collect(), answers, state.stop && emptied)
    }
}

/// The queue. Dropping it lets the thread work off what is left.
pub(crate) struct Background<T> {
    shared: Arc<Shared<T>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}
impl<T> std::fmt::Debug for Background<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Background").field("limits", &self.shared.limits).finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Background<T> {
    /// A queue whose thread hands batches to `work`.
    pub(crate) fn start(name: &str, limits: Limits, mut work: impl FnMut(Vec<T>) + Send + 'static) -> std::io::Result<Background<T>> {
        let state = State { waiting: VecDeque::new(), bytes: 0, asked: 0, done: 0, stop: false, over: false };
        let shared = Arc::new(Shared { limits, state: Mutex::new(state), changed: Condvar::new(), full: AtomicU64::new(0) });
        let theirs = Over(shared.clone());
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            loop {
                let (batch, answers, last) = theirs.0.take();
                if !batch.is_empty() {
                    work(batch);
                }
                theirs.0.state().done = answers;
                theirs.0.changed.notify_all();
                if last {
                    return;
                }
            }
        })?;
        Ok(Background { shared, thread: Mutex::new(Some(thread)) })
    }
    /// Puts something in that weighs so many bytes. Without room it is dropped and counted.
    pub(crate) fn put(&self, thing: T, weight: usize) {
        let mut state = self.shared.state();
        if state.stop || state.bytes.saturating_add(weight) > self.shared.limits.bytes_max {
            drop(state);
            self.shared.full.fetch_add(1, Ordering::Relaxed);
            return;
        }
        state.bytes += weight;
        state.waiting.push_back((thing, weight));
        let wake = state.waiting.len() == self.shared.limits.wake_at;
        drop(state);
        if wake {
            self.shared.changed.notify_all();
        }
    }
    /// How many things had no room.
    pub(crate) fn full(&self) -> u64 {
        self.shared.full.load(Ordering::Relaxed)
    }
    /// Has everything worked off that is there now, and waits for it at most so long. Returns whether it was.
    pub(crate) fn flush(&self, patience: Duration) -> bool {
        let mut state = self.shared.state();
        state.asked += 1;
        let mine = state.asked;
        self.shared.changed.notify_all();
        let waited = self.shared.changed.wait_timeout_while(state, patience, |state| !state.over && state.done < mine);
        waited.unwrap_or_else(PoisonError::into_inner).0.done >= mine
    }
    /// Takes nothing more, and waits at most so long until the rest is worked off. Returns whether it was.
    pub(crate) fn close(&self, patience: Duration) -> bool {
        let mut state = self.shared.state();
        state.stop = true;
        self.shared.changed.notify_all();
        let waited = self.shared.changed.wait_timeout_while(state, patience, |state| !state.over);
        let over = waited.unwrap_or_else(PoisonError::into_inner).0.over;
        if over {
            // It has nothing left to do; if it panicked, there is nobody left to tell.
            self.thread.lock().unwrap_or_else(PoisonError::into_inner).take().map(JoinHandle::join);
        }
        over
    }
}

/// Says that the thread is gone, however it went.
struct Over<T>(Arc<Shared<T>>);
impl<T> Drop for Over<T> {
    fn drop(&mut self) {
        self.0.state().over = true;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    const PATIENCE: Duration = Duration::from_secs(20);
    const LIMITS: Limits = Limits { bytes_max: 10, batch_max: 3, wake_at: usize::MAX, interval: Duration::from_secs(3_600) };

    #[test]
    fn what_has_no_room_is_counted_and_nobody_waits() {
        let (told, batches) = channel();
        let (go_on, may_go_on) = channel::<()>();
        let queue = Background::start("test", Limits { wake_at: 1, ..LIMITS }, move |batch: Vec<u32>| {
            told.send(batch).unwrap();
            may_go_on.recv().unwrap();
        })
        .unwrap();
        queue.put(0, 1);
        assert_eq!(batches.recv().unwrap(), [0], "the thread is busy from here on");
        (1..=12).for_each(|n| queue.put(n, 1));
        assert_eq!(queue.full(), 2);
        (0..5).for_each(|_| go_on.send(()).unwrap());
        assert!(queue.flush(PATIENCE));
        let sent: Vec<Vec<u32>> = batches.try_iter().collect();
        assert_eq!(sent, [vec![1, 2, 3], vec![4, 5, 6], vec![7, 8, 9], vec![10]]);
    }

    #[test]
    fn closing_works_off_what_is_left_and_takes_nothing_more() {
        let (told, batches) = channel();
        let queue = Background::start("test", LIMITS, move |batch: Vec<u32>| told.send(batch).unwrap()).unwrap();
        (1..=4).for_each(|n| queue.put(n, 1));
        assert!(queue.close(PATIENCE));
        queue.put(5, 1);
        assert_eq!((batches.try_iter().flatten().collect::<Vec<u32>>(), queue.full()), (vec![1, 2, 3, 4], 1));
        assert!(!queue.flush(PATIENCE), "there is nobody who could");
    }
}
