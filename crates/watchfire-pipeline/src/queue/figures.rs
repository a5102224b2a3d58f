//! What queues tell about themselves: the families of the watched product through `Observe`, and our own through the meter.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use watchfire_model::meter::Meter;
use watchfire_model::observe::Observe;

use super::backend::{Depths, Overflow, Pushed};
use super::name::{DeadQueue, QueueName};
use super::{ANALYSIS, DETECTION};

/// Tells figures once anybody uses the queues; before that there is nothing to tell, and zeros would be invented.
pub(super) struct Figures {
    observe: Arc<dyn Observe>,
    meter: Meter,
    used: AtomicBool,
    /// Queues that are nearly full, so that this is logged once.
    pressed: Mutex<BTreeSet<QueueName>>,
}

impl Figures {
    pub(super) fn new(observe: Arc<dyn Observe>, meter: Meter) -> Figures {
        Figures { observe, meter, used: AtomicBool::new(false), pressed: Mutex::default() }
    }
    pub(super) fn is_in_use(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }
    pub(super) fn begin_use(&self) {
        self.used.store(true, Ordering::Relaxed);
    }
    pub(super) fn depths(&self, queue: &QueueName, depths: Depths, room: u64, threshold: f64) {
        if !self.is_in_use() {
            return;
        }
        let family = match queue.as_str() {
            DETECTION => Some("hsi_detection_queue_depth"),
            ANALYSIS => Some("hsi_analysis_queue_depth"),
            _ => None,
        };
        if let Some(family) = family {
            self.observe.observe(family, &[], depths.depth() as f64);
        }
        for (place, count) in [(DeadQueue::Failed(queue.clone()), depths.dead), (DeadQueue::Overflow(queue.clone()), depths.overflow)] {
            self.observe.observe("hsi_dlq_depth", &[("queue_name", &place.to_string())], count as f64);
        }
        let fill = depths.depth() as f64 / room.max(1) as f64;
        self.meter.gauge("watchfire_queue_fill_ratio", "Filled share of a queue.", &[("queue_name", queue.as_str())]).set(fill);
        let leased = self.meter.gauge("watchfire_queue_leased_jobs", "Jobs in workers' hands.", &[("queue_name", queue.as_str())]);
        leased.set(depths.leased as f64);
        self.warn(queue, fill, threshold);
    }
    fn warn(&self, queue: &QueueName, fill: f64, threshold: f64) {
        let mut pressed = self.pressed.lock().unwrap_or_else(PoisonError::into_inner);
        if fill >= threshold && pressed.insert(queue.clone()) {
            tracing::warn!(%queue, fill, "a queue is nearly full; producers are told to slow down");
        } else if fill < threshold && pressed.remove(queue) {
            tracing::info!(%queue, fill, "a queue has room again");
        }
    }
    /// What a push did to jobs that were there already, or to itself.
    pub(super) fn pushed(&self, queue: &QueueName, pushed: &Pushed, policy: Overflow) {
        self.begin_use();
        let label = [("queue_name", queue.as_str())];
        let several = |family: &str, count: u64| {
            if count > 0 {
                self.observe.observe(family, &label, count as f64);
            }
        };
        several("hsi_queue_items_moved_to_dlq_total", pushed.moved);
        several("hsi_queue_items_dropped_total", pushed.dropped);
        several("hsi_queue_items_rejected_total", u64::from(pushed.rejected));
        if pushed.moved + pushed.dropped > 0 || pushed.rejected {
            // Where nothing could make room the job was refused, whatever the policy would have liked.
            let policy = if pushed.rejected { Overflow::Reject } else { policy };
            self.observe.observe("hsi_queue_overflow_total", &[("queue_name", queue.as_str()), ("policy", policy.word())], 1.0);
        }
        self.dead_dropped(&DeadQueue::Overflow(queue.clone()), pushed.dead_dropped);
        if !pushed.rejected {
            self.event(queue, "pushed", 1);
        }
    }
    /// Dead letters that were thrown away because there were too many.
    pub(super) fn dead_dropped(&self, dead: &DeadQueue, count: u64) {
        if count == 0 {
            return;
        }
        let name = dead.to_string();
        tracing::warn!(queue = name, count, "dead letters were dropped: there were too many");
        self.observe.observe("hsi_queue_items_dropped_total", &[("queue_name", &name)], count as f64);
        self.observe.observe("hsi_queue_overflow_total", &[("queue_name", &name), ("policy", Overflow::DropOldest.word())], 1.0);
    }
    /// What happened to jobs.
    pub(super) fn event(&self, queue: &QueueName, event: &str, count: u64) {
        self.begin_use();
        let labels = [("queue_name", queue.as_str()), ("event", event)];
        self.meter.counter("watchfire_queue_jobs_total", "Jobs of queues, by what happened to them.", &labels).add(count);
    }
}
