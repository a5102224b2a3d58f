//! `/ws/system`: what happens now, pushed to everybody who listens. The hub keeps the newest message of each kind, so
//! that whoever connects sees the present at once. It stores nothing and computes nothing that nobody listens to.

mod beat;
mod messages;
mod socket;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, mpsc};
use watchfire_model::live::{GpuSample, ServiceStatus};
use watchfire_model::meter::{Counter, Gauge, Meter};
use watchfire_model::time::Timestamp;

pub use beat::{HostFigures, beat};
pub use messages::SystemFigures;

use crate::app::App;
use crate::server::{Level, Route};

/// Clients at the same time.
pub const CLIENTS_MAX: usize = 64;
/// Messages that wait for one client; a client with more is dropped.
pub const QUEUED_MAX: usize = 256;

/// A message as it goes over the wire, shared by all clients.
type Message = Arc<str>;

/// Who listens, and what they should know.
pub struct Hub {
    inner: Mutex<Inner>,
    next: AtomicU64,
    /// Rung when the first client comes, so that it need not wait for the next beat.
    first_came: Notify,
    clients: Gauge,
    sent: Counter,
    slow: Counter,
    refused: Counter,
}

#[derive(Default)]
struct Inner {
    clients: BTreeMap<u64, mpsc::Sender<Message>>,
    gpu: Option<Message>,
    system: Option<Message>,
    services: BTreeMap<String, (ServiceStatus, Message)>,
}

impl Inner {
    /// The newest message of each kind.
    fn present(&self) -> Vec<Message> {
        self.system.iter().chain(self.gpu.iter()).chain(self.services.values().map(|(_, m)| m)).cloned().collect()
    }
}

/// A client's end of the hub. Dropping it ends the subscription.
pub(crate) struct Listener {
    app: Arc<App>,
    id: u64,
    messages: mpsc::Receiver<Message>,
    first: Vec<Message>,
}
impl Drop for Listener {
    fn drop(&mut self) {
        self.app.hub.leave(self.id);
    }
}

impl Hub {
    /// A hub that nobody listens to yet.
    pub fn new(meter: &Meter) -> Hub {
        let dropped =
            |reason| meter.counter("watchfire_websocket_clients_dropped_total", "WebSocket clients that were sent away, by reason.", &[("reason", reason)]);
        Hub {
            inner: Mutex::default(),
            next: AtomicU64::new(0),
            first_came: Notify::new(),
            clients: meter.gauge("watchfire_websocket_clients", "WebSocket clients that listen now.", &[]),
            sent: meter.counter("watchfire_websocket_messages_total", "Messages given to WebSocket clients.", &[]),
            slow: dropped("slow_reader"),
            refused: dropped("too_many"),
        }
    }

    /// Tells everybody about a new GPU sample. Called at every poll.
    pub fn publish_gpu(&self, sample: &GpuSample) {
        let message: Message = messages::gpu_stats(sample).into();
        let mut inner = self.lock();
        inner.gpu = Some(message.clone());
        self.send(&mut inner, &message);
    }

    /// Tells everybody that a service is in another state than before. The same state again is not sent.
    pub fn publish_service(&self, service: &ServiceStatus, now: Timestamp) {
        let mut inner = self.lock();
        if inner.services.get(&service.name).is_some_and(|(known, _)| known.status == service.status) {
            return;
        }
        let message: Message = messages::service_status(service, now).into();
        inner.services.insert(service.name.clone(), (service.clone(), message.clone()));
        self.send(&mut inner, &message);
    }

    /// Forgets services that are not configured any more, so that newcomers are not told of them.
    pub fn keep_services(&self, is_configured: impl Fn(&str) -> bool) {
        self.lock().services.retain(|name, _| is_configured(name));
    }

    /// Tells everybody how the system is. Called every few seconds while somebody listens.
    pub fn publish_system(&self, figures: &SystemFigures, now: Timestamp) {
        let message: Message = messages::system_status(figures, now).into();
        let mut inner = self.lock();
        inner.system = Some(message.clone());
        self.send(&mut inner, &message);
    }

    /// Whether anybody listens.
    pub fn is_heard(&self) -> bool {
        !self.lock().clients.is_empty()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a message to all clients. A client whose queue is full loses its queue, which ends its connection.
    fn send(&self, inner: &mut Inner, message: &Message) {
        inner.clients.retain(|_, queue| match queue.try_send(message.clone()) {
            Ok(()) => {
                self.sent.inc();
                true
            }
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.slow.inc();
                false
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        });
        self.clients.set(inner.clients.len() as f64);
    }

    /// Gives one client everything that it would get on connecting.
    fn repeat(&self, id: u64) {
        let inner = self.lock();
        let Some(queue) = inner.clients.get(&id) else { return };
        for message in inner.present() {
            if queue.try_send(message).is_err() {
                return;
            }
            self.sent.inc();
        }
    }

    fn leave(&self, id: u64) {
        let mut inner = self.lock();
        inner.clients.remove(&id);
        self.clients.set(inner.clients.len() as f64);
    }
}

/// Subscribes a client; `None` when there are too many.
pub(crate) fn listen(app: &Arc<App>) -> Option<Listener> {
    let hub = &app.hub;
    let current = app.rooms.gpu.current();
    let mut inner = hub.lock();
    if inner.clients.len() >= CLIENTS_MAX {
        hub.refused.inc();
        return None;
    }
    let (queue, messages) = mpsc::channel(QUEUED_MAX);
    let id = hub.next.fetch_add(1, Ordering::Relaxed);
    if inner.clients.is_empty() {
        // What was put together while nobody listened is old by now.
        inner.system = None;
        hub.first_came.notify_one();
    }
    if let (None, Some(sample)) = (&inner.gpu, current) {
        inner.gpu = Some(messages::gpu_stats(&sample).into());
    }
    inner.clients.insert(id, queue);
    hub.clients.set(inner.clients.len() as f64);
    let first = inner.present();
    Some(Listener { app: app.clone(), id, messages, first })
}

/// The routes of the live face.
pub fn routes() -> Vec<Route<Arc<App>>> {
    vec![
        Route::websocket("/ws/system", Level::Read, socket::connect)
            .summary("GPU samples, system status and service changes as they happen")
            .description("Messages are JSON objects with a type: gpu_stats, system_status, service_status, error, pong.")
            .tag("live")
            .answers_with(101, "application/json", "The connection becomes a WebSocket"),
    ]
}
