//! Work that may block, moved off the threads of the runtime. It is `tokio::task::spawn_blocking`, compiled once and not once for every
//! kind of work.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::task::JoinHandle;

/// The work panicked, or the runtime ended before it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panicked;

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("work in the background panicked")
    }
}

impl std::error::Error for Panicked {}

/// Work under way. It goes on when this is dropped.
pub struct Blocking<R> {
    work: JoinHandle<()>,
    result: Arc<Mutex<Option<R>>>,
}

/// Begins work on a thread that may block. Must be called within a tokio runtime.
pub fn spawn_blocking<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> Blocking<R> {
    let result = Arc::new(Mutex::new(None));
    let slot = result.clone();
    let work: Box<dyn FnOnce() + Send> = Box::new(move || {
        let done = work();
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
    });
    Blocking { work: tokio::task::spawn_blocking(work), result }
}

impl<R> Future for Blocking<R> {
    type Output = Result<R, Panicked>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // What failed has left nothing.
        let _ended = ready!(Pin::new(&mut self.work).poll(context));
        Poll::Ready(self.result.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or(Panicked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_gives_its_result_or_says_that_it_panicked() {
        assert_eq!(spawn_blocking(|| 7).await, Ok(7));
        assert_eq!(spawn_blocking(|| panic!("on purpose")).await, Err::<(), _>(Panicked));
    }
}
