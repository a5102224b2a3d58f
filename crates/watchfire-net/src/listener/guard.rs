//! Deadlines on one connection: who sends no head, no body or reads no answer is cut off. It wraps the socket and shares
//! a small state with the service, which knows where messages begin and end. It parses nothing.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::Limits;

/// Where a connection is in its conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Between two requests.
    Idle = 0,
    /// The head of a request is on its way.
    Head = 1,
    /// The body of a request is on its way.
    Body = 2,
    /// The answer is being made or sent.
    Answer = 3,
    /// The connection belongs to another protocol now.
    Upgraded = 4,
}

/// What the socket and the service know together.
pub(super) struct Shared {
    phase: AtomicU8,
    /// Milliseconds since `born` at which the phase began.
    since_ms: AtomicU64,
    body_bytes: AtomicU64,
    /// Whether the body under way may be as slow as it likes.
    unhurried: AtomicBool,
    born: Instant,
    /// Whether several requests may be under way at once. Single heads are then not watched, only the whole connection.
    multiplexed: bool,
    /// Requests under way.
    under_way: AtomicUsize,
}
impl Shared {
    pub(super) fn new(multiplexed: bool) -> Arc<Shared> {
        Arc::new(Shared {
            phase: AtomicU8::new(Phase::Head as u8),
            since_ms: AtomicU64::new(0),
            body_bytes: AtomicU64::new(0),
            unhurried: AtomicBool::new(false),
            born: Instant::now(),
            multiplexed,
            under_way: AtomicUsize::new(0),
        })
    }
    pub(super) fn enter(&self, phase: Phase) {
        if self.phase.load(Ordering::Relaxed) == Phase::Upgraded as u8 {
            return;
        }
        self.since_ms.store(self.born.elapsed().as_millis() as u64, Ordering::Relaxed);
        self.body_bytes.store(0, Ordering::Relaxed);
        self.phase.store(phase as u8, Ordering::Relaxed);
    }
    fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Idle,
            1 => Phase::Head,
            2 => Phase::Body,
            4 => Phase::Upgraded,
            _ => Phase::Answer,
        }
    }
    /// The moment by which the next byte must have come.
    fn read_deadline(&self, limits: &Limits) -> Option<Instant> {
        let since = self.born + Duration::from_millis(self.since_ms.load(Ordering::Relaxed));
        match self.phase() {
            Phase::Idle => Some(since + limits.idle),
            Phase::Head => Some(since + limits.head),
            Phase::Body if self.unhurried.load(Ordering::Relaxed) => None,
            Phase::Body => {
                let earned = self.body_bytes.load(Ordering::Relaxed) as f64 / limits.body_bytes_per_second.max(1) as f64;
                Some(since + limits.body_grace + Duration::from_secs_f64(earned))
            }
            Phase::Answer | Phase::Upgraded => None,
        }
    }
    fn took(&self, bytes: usize) {
        match self.phase() {
            // With HTTP/2 these are the preface, settings, pings: signs of life, and no request yet.
            Phase::Idle | Phase::Head if self.multiplexed => self.enter(Phase::Idle),
            Phase::Idle => self.enter(Phase::Head),
            Phase::Body => {
                self.body_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
            }
            _ => {}
        }
    }
}

/// What a request says about the pace of its own body.
#[derive(Clone)]
pub struct Pace(Arc<Shared>);
impl Pace {
    pub(super) fn new(shared: &Arc<Shared>) -> Pace {
        Pace(shared.clone())
    }
    /// Lets the body come as slowly as it likes, for bodies that are streams: whoever reads it sees to how long it may be silent. Where several
    /// requests share a connection the least rate stays, because it is that of all of them.
    pub fn unhurried(&self) {
        self.0.unhurried.store(!self.0.multiplexed, Ordering::Relaxed);
    }
}

/// A request under way. When the last one of a connection is over, however it ends, the connection is idle.
pub(super) struct Turn(Arc<Shared>);
impl Turn {
    pub(super) fn new(shared: &Arc<Shared>) -> Turn {
        shared.under_way.fetch_add(1, Ordering::Relaxed);
        Turn(shared.clone())
    }
}
impl Drop for Turn {
    fn drop(&mut self) {
        if self.0.under_way.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.enter(Phase::Idle);
        }
    }
}

/// A socket that gives up on a peer that is too slow.
pub(super) struct GuardedSocket<T> {
    inner: T,
    shared: Arc<Shared>,
    limits: Limits,
    read_timer: Pin<Box<Sleep>>,
    stalled: Option<Stalled>,
}

/// An answer that the peer does not take as fast as it is made.
struct Stalled {
    since: Instant,
    written: usize,
    timer: Pin<Box<Sleep>>,
}
impl<T> GuardedSocket<T> {
    pub(super) fn new(inner: T, shared: Arc<Shared>, limits: Limits) -> GuardedSocket<T> {
        let read_timer = Box::pin(tokio::time::sleep(limits.head));
        GuardedSocket { inner, shared, limits, read_timer, stalled: None }
    }

    /// Pending until the peer's time is up: the patience of an idle connection, and more for what was taken meanwhile.
    fn poll_slow_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if self.shared.phase() == Phase::Upgraded {
            return Poll::Pending;
        }
        let patience = self.limits.idle;
        let stalled = self.stalled.get_or_insert_with(|| Stalled { since: Instant::now(), written: 0, timer: Box::pin(tokio::time::sleep(patience)) });
        let earned = stalled.written as f64 / self.limits.body_bytes_per_second.max(1) as f64;
        let deadline = stalled.since + patience + Duration::from_secs_f64(earned);
        if stalled.timer.deadline() != deadline {
            stalled.timer.as_mut().reset(deadline);
        }
        ready!(stalled.timer.as_mut().poll_sleep(cx));
        Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read its answer"))
    }

    fn wrote(&mut self, outcome: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(outcome) = outcome {
            // A few bytes now and then do not make a peer that reads: only a flush, when all is taken, begins anew.
            if let (Some(stalled), Ok(bytes)) = (&mut self.stalled, &outcome) {
                stalled.written += bytes;
            }
            return Poll::Ready(outcome);
        }
        self.poll_slow_write(cx).map(Err)
    }
}

/// `Sleep` is a future; this names what is done with it.
trait PollSleep {
    fn poll_sleep(self, cx: &mut Context<'_>) -> Poll<()>;
}
impl PollSleep for Pin<&mut Sleep> {
    fn poll_sleep(self, cx: &mut Context<'_>) -> Poll<()> {
        std::future::Future::poll(self, cx)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for GuardedSocket<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if let Poll::Ready(outcome) = Pin::new(&mut self.inner).poll_read(cx, buffer) {
            let taken = buffer.filled().len() - before;
            if taken > 0 {
                self.shared.took(taken);
            }
            return Poll::Ready(outcome);
        }
        let Some(deadline) = self.shared.read_deadline(&self.limits) else { return Poll::Pending };
        if self.read_timer.deadline() != deadline {
            self.read_timer.as_mut().reset(deadline);
        }
        ready!(self.read_timer.as_mut().poll_sleep(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer is too slow")))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for GuardedSocket<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.wrote(outcome, cx)
    }
    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write_vectored(cx, bytes);
        self.wrote(outcome, cx)
    }
    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(outcome) = Pin::new(&mut self.inner).poll_flush(cx) {
            self.stalled = None;
            return Poll::Ready(outcome);
        }
        self.poll_slow_write(cx).map(Err)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// A request's body that tells when it has ended, so that the time of the handler is not taken for slowness of the peer.
pub struct GuardedBody {
    inner: hyper::body::Incoming,
    shared: Arc<Shared>,
    /// Whether somebody asked for it: until then nothing is read, and a peer is not slow because we are.
    wanted: bool,
}
impl GuardedBody {
    pub(super) fn new(inner: hyper::body::Incoming, shared: Arc<Shared>) -> GuardedBody {
        shared.unhurried.store(false, Ordering::Relaxed);
        shared.enter(Phase::Answer);
        GuardedBody { inner, shared, wanted: false }
    }
}
impl Body for GuardedBody {
    type Data = Bytes;
    type Error = hyper::Error;
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if !self.wanted && !self.inner.is_end_stream() {
            self.wanted = true;
            self.shared.enter(Phase::Body);
        }
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if frame.is_none() || self.inner.is_end_stream() {
            self.shared.enter(Phase::Answer);
        }
        Poll::Ready(frame)
    }
    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }
    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for GuardedBody {
    fn drop(&mut self) {
        // A handler may drop a body unread; what is left of it is the connection's business and no reason to cut the handler off.
        if self.shared.phase() == Phase::Body {
            self.shared.enter(Phase::Answer);
        }
    }
}

/// An answer's body that tells when it has been handed over: the connection is idle then.
pub(super) struct AnswerBody<B> {
    pub(super) inner: B,
    /// Ends with the body.
    pub(super) _turn: Turn,
}
impl<B: Body + Unpin> Body for AnswerBody<B> {
    type Data = B::Data;
    type Error = B::Error;
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }
    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }
    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
