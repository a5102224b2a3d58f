//! Queues against a simple oracle: any sequence of steps, restarts included, leaves every job where the oracle has it.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::queue::backend::{Depths, LeaseId, QueueError};
use crate::queue::{Outcome, Picked};

#[derive(Clone, Debug)]
enum Step {
    Push,
    Lease,
    Ack(usize),
    Fail(usize, bool),
    Release(usize),
    Extend(usize),
    Pass(u64),
    Requeue(Option<usize>),
    RequeueAll(bool),
    ClearAndRestore(bool),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => Just(Step::Push),
        5 => Just(Step::Lease),
        2 => (0usize..8).prop_map(Step::Ack),
        4 => (0usize..8, any::<bool>()).prop_map(|(n, hopeless)| Step::Fail(n, hopeless)),
        1 => (0usize..8).prop_map(Step::Release),
        1 => (0usize..8).prop_map(Step::Extend),
        3 => (0u64..12).prop_map(|s| Step::Pass(s * 1000)),
        1 => prop_oneof![Just(None), (0usize..4).prop_map(Some)].prop_map(Step::Requeue),
        1 => any::<bool>().prop_map(Step::RequeueAll),
        1 => any::<bool>().prop_map(Step::ClearAndRestore),
        1 => Just(Step::Restart),
    ]
}

#[derive(Clone, Debug)]
struct Job {
    payload: String,
    failed: u32,
}
#[derive(Default, Debug)]
struct Oracle {
    /// Jobs that were given back untouched: they are next, in any order.
    returned: Vec<Job>,
    waiting: VecDeque<Job>,
    retry: Vec<(i64, Job)>,
    leased: Vec<(LeaseId, i64, Job)>,
    dead: VecDeque<String>,
    overflow: VecDeque<String>,
}

const JOBS: u64 = 6;
const DEAD: usize = 4;

impl Oracle {
    fn depths(&self) -> Depths {
        Depths {
            waiting: (self.returned.len() + self.waiting.len()) as u64,
            retrying: self.retry.len() as u64,
            leased: self.leased.len() as u64,
            dead: self.dead.len() as u64,
            overflow: self.overflow.len() as u64,
        }
    }
    fn bury(&mut self, payload: String) {
        self.dead.push_back(payload);
        if self.dead.len() > DEAD {
            self.dead.pop_front();
        }
    }
    /// Takes the job that was given, if it may be given now.
    fn take(&mut self, payload: &str, now: i64) -> Job {
        let due = self.retry.iter().filter(|(due, _)| *due <= now).map(|(due, _)| *due).min();
        if let Some(due) = due {
            let at = self.retry.iter().position(|(d, j)| *d == due && j.payload == payload);
            return self.retry.remove(at.unwrap_or_else(|| panic!("{payload} before retries that are due: {self:?}"))).1;
        }
        if !self.returned.is_empty() {
            let at = self.returned.iter().position(|j| j.payload == payload);
            return self.returned.remove(at.unwrap_or_else(|| panic!("{payload} before returned jobs: {self:?}")));
        }
        let job = self.waiting.pop_front().expect("a job");
        assert_eq!(job.payload, payload, "out of order");
        job
    }
}

struct Run {
    house: Option<House>,
    oracle: Oracle,
    pushed: usize,
    leases: u64,
}

impl Run {
    fn house(&self) -> &House {
        self.house.as_ref().unwrap()
    }
    fn now(&self) -> i64 {
        use watchfire_model::time::Clock;
        self.house().clock.now().millis()
    }
    async fn payloads(&self, dead: &DeadQueue) -> Vec<String> {
        let jobs = self.house().queues.list(dead, 0, 100).await.unwrap().jobs;
        jobs.iter().map(|j| j.failure["original_job"]["n"].to_string()).collect()
    }

    async fn step(&mut self, step: Step) {
        let (queues, queue) = (self.house().queues.clone(), self.house().detection().clone());
        let (dead, overflow) = (DeadQueue::Failed(queue.clone()), DeadQueue::Overflow(queue.clone()));
        let at = |n: usize, oracle: &Oracle| (!oracle.leased.is_empty()).then(|| n % oracle.leased.len().max(1));
        match step {
            Step::Push => self.push(&queue, &overflow).await,
            Step::Lease => {
                // Every lease ends at its own moment, so that the order of ends is known.
                self.leases += 1;
                let lease = Duration::from_millis(10_000 + self.leases);
                let work = queues.lease(&queue, "w", 1, Some(lease), Duration::ZERO).await.unwrap().pop();
                let now = self.now();
                let there = self.oracle.returned.len() + self.oracle.waiting.len() + self.oracle.retry.iter().filter(|(d, _)| *d <= now).count();
                assert_eq!(work.is_some(), there > 0);
                if let Some(work) = work {
                    let value: serde_json::Value = serde_json::from_slice(&work.leased.payload).unwrap();
                    let job = self.oracle.take(&value["n"].to_string(), now);
                    assert_eq!(work.attempt, job.failed + 1);
                    self.oracle.leased.push((work.leased.lease, work.until.millis(), job));
                }
            }
            Step::Ack(n) => {
                let Some(n) = at(n, &self.oracle) else { return };
                let (lease, ..) = self.oracle.leased.remove(n);
                queues.ack(&queue, &lease).await.unwrap();
                assert!(matches!(queues.ack(&queue, &lease).await, Err(QueueError::UnknownLease)));
            }
            Step::Fail(n, hopeless) => {
                let Some(n) = at(n, &self.oracle) else { return };
                let (lease, _, mut job) = self.oracle.leased.remove(n);
                let outcome = queues.fail(&queue, &lease, &Report { retry: hopeless.then_some(false), ..report("x") }).await.unwrap();
                job.failed += 1;
                match outcome {
                    Outcome::Retry { failed, delay, due } => {
                        assert!(!hopeless && failed == job.failed && failed < 3 && due.millis() == self.now() + delay.as_millis() as i64);
                        self.oracle.retry.push((due.millis(), job));
                    }
                    Outcome::Dead { failed, .. } => {
                        assert!(hopeless || failed == 3, "{failed}");
                        self.oracle.bury(job.payload);
                    }
                }
            }
            Step::Release(n) => {
                let Some(n) = at(n, &self.oracle) else { return };
                let (lease, _, job) = self.oracle.leased.remove(n);
                queues.release(&queue, &lease).await.unwrap();
                if job.failed == 0 { self.oracle.returned.push(job) } else { self.oracle.retry.push((self.now(), job)) }
            }
            Step::Extend(n) => {
                let Some(n) = at(n, &self.oracle) else { return };
                self.leases += 1;
                let by = Duration::from_millis(10_000 + self.leases);
                let until = queues.extend(&queue, &self.oracle.leased[n].0, Some(by)).await.unwrap();
                self.oracle.leased[n].1 = until.millis();
            }
            Step::Pass(ms) => {
                self.house().clock.advance(Duration::from_millis(ms));
                queues.keep(true).await;
                self.expire();
            }
            Step::Requeue(which) => self.requeue(&dead, which).await,
            Step::RequeueAll(failed) => {
                let place = if failed { &dead } else { &overflow };
                let moved = queues.requeue(place, &Picked::All, &me()).await.unwrap();
                let lost = if failed { &mut self.oracle.dead } else { &mut self.oracle.overflow };
                let depth = (self.oracle.returned.len() + self.oracle.waiting.len() + self.oracle.retry.len()) as u64;
                let fit = JOBS.saturating_sub(depth).min(lost.len() as u64);
                assert_eq!((moved.moved, moved.full), (fit, fit < lost.len() as u64));
                self.oracle.waiting.extend(lost.drain(..fit as usize).map(|payload| Job { payload, failed: 0 }));
            }
            Step::ClearAndRestore(failed) => {
                let (place, lost) = if failed { (&dead, &self.oracle.dead) } else { (&overflow, &self.oracle.overflow) };
                let cleared = queues.clear(place, &me()).await.unwrap();
                assert_eq!(cleared.cleared, lost.len() as u64);
                assert!(self.payloads(place).await.is_empty());
                if let Some(file) = cleared.undo {
                    assert_eq!(queues.restore(&file, &me()).await.unwrap().restored, lost.len() as u64);
                }
            }
            Step::Restart => self.house = self.house.take().map(House::restart),
        }
        assert_eq!(self.house().queues.depths(&queue).await.unwrap(), self.oracle.depths(), "{:?}", self.oracle);
        assert_eq!(self.payloads(&dead).await, self.oracle.dead.iter().cloned().collect::<Vec<_>>());
        assert_eq!(self.payloads(&overflow).await, self.oracle.overflow.iter().cloned().collect::<Vec<_>>());
    }

    async fn push(&mut self, queue: &QueueName, overflow: &DeadQueue) {
        let queues = self.house().queues.clone();
        let number = self.pushed.to_string();
        self.pushed += 1;
        let depths = self.oracle.depths();
        let many = (depths.depth() + 1).saturating_sub(JOBS) as usize;
        let policy = queues.settings().room.overflow;
        let pushed = queues.push(queue, Bytes::from(format!("{{\"n\": {number}}}"))).await;
        let refused = many > 0 && (policy == Overflow::Reject || many as u64 > depths.waiting);
        assert_eq!(pushed.is_err(), refused, "{policy:?} {:?}", self.oracle);
        if refused {
            return;
        }
        if policy == Overflow::Dlq {
            // Of jobs that were given back, any may be the oldest.
            let now = self.payloads(overflow).await;
            let seen = &now[now.len() - many.min(DEAD)..];
            // The overflow has no room for all of them: the first ones are gone already.
            for _ in seen.len()..many {
                match self.oracle.returned.iter().position(|j| !seen.contains(&j.payload)) {
                    Some(at) => drop(self.oracle.returned.remove(at)),
                    None => drop(self.oracle.waiting.pop_front().unwrap()),
                }
            }
            for left in seen {
                let job = match self.oracle.returned.iter().position(|j| j.payload == *left) {
                    Some(at) => self.oracle.returned.remove(at),
                    None => self.oracle.waiting.pop_front().unwrap(),
                };
                assert_eq!(job.payload, *left);
                self.oracle.overflow.push_back(job.payload);
            }
            while self.oracle.overflow.len() > DEAD {
                self.oracle.overflow.pop_front();
            }
        } else {
            self.oracle.waiting.drain(..many);
        }
        self.oracle.waiting.push_back(Job { payload: number, failed: 0 });
    }

    fn expire(&mut self) {
        let now = self.now();
        self.oracle.leased.sort_by_key(|(_, until, _)| *until);
        while self.oracle.leased.first().is_some_and(|(_, until, _)| *until <= now) {
            let (_, _, mut job) = self.oracle.leased.remove(0);
            job.failed += 1;
            if job.failed < 3 { self.oracle.retry.push((now, job)) } else { self.oracle.bury(job.payload) }
        }
    }

    async fn requeue(&mut self, dead: &DeadQueue, which: Option<usize>) {
        let queues = self.house().queues.clone();
        if self.oracle.dead.is_empty() {
            return;
        }
        let at = which.unwrap_or(0) % self.oracle.dead.len();
        let picked = match which {
            None => Picked::Oldest,
            Some(_) => Picked::These(vec![queues.list(dead, at as u64, 1).await.unwrap().jobs.pop().unwrap().id]),
        };
        let moved = queues.requeue(dead, &picked, &me()).await.unwrap();
        assert_eq!(moved.full, self.oracle.depths().depth() >= JOBS);
        if moved.moved == 1 {
            let payload = self.oracle.dead.remove(at).unwrap();
            self.oracle.waiting.push_back(Job { payload, failed: 0 });
        }
    }
}

fn run(ground: &Ground, policy: Overflow, steps: Vec<Step>, runtime: &tokio::runtime::Runtime) {
    runtime.block_on(async {
        let house = House::new(ground.clone(), |s| {
            s.room.jobs = JOBS;
            s.room.dead = DEAD as u64;
            s.room.overflow = policy;
        });
        let mut run = Run { house: Some(house), oracle: Oracle::default(), pushed: 0, leases: 0 };
        for step in steps {
            // Which of several returned jobs is dropped cannot be seen from outside.
            if !(policy == Overflow::DropOldest && matches!(step, Step::Release(_))) {
                run.step(step).await;
            }
        }
    });
}

fn check(ground: &Ground, cases: u32) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let policy = prop_oneof![Just(Overflow::Dlq), Just(Overflow::Reject), Just(Overflow::DropOldest)];
    let config = ProptestConfig { cases, ..ProptestConfig::default() };
    proptest!(config, |(policy in policy, steps in proptest::collection::vec(step(), 1..70))| {
        match ground {
            Ground::Embedded(memory) => memory.0.lock().unwrap().clear(),
            Ground::Redis(server) => drop(server.ask(&["FLUSHALL"])),
        }
        run(ground, policy, steps, &runtime);
    });
}

#[test]
fn r60_the_embedded_queues_are_those_of_the_oracle() {
    check(&Ground::Embedded(Arc::default()), 200);
}

#[test]
fn r60_the_queues_in_redis_are_those_of_the_oracle() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let Some(server) = runtime.block_on(RedisServer::start(&["--appendonly", "no"])) else { return };
    check(&Ground::Redis(Arc::new(server)), 60);
}
