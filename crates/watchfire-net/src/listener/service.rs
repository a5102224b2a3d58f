//! What answers requests, in one boxed form: connections, the largest machinery of a listener, are compiled once and not for each service.
//! It decides nothing about an answer.

use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use tower::Service;

use super::GuardedBody;

/// The body of an answer.
pub(super) type Answered = Pin<Box<dyn Body<Data = Bytes, Error = std::io::Error> + Send>>;
type Answering = Pin<Box<dyn Future<Output = Response<Answered>> + Send>>;
/// Answers requests.
pub(super) type Answers = Arc<dyn Fn(Request<GuardedBody>) -> Answering + Send + Sync>;

/// Any service in this form.
pub(super) fn boxed<S, B>(service: S) -> Answers
where
    S: Service<Request<GuardedBody>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    Arc::new(move |request| {
        let mut service = service.clone();
        Box::pin(async move {
            let ready = std::future::poll_fn(|cx| service.poll_ready(cx)).await;
            let response = match ready {
                Ok(()) => service.call(request).await,
                Err(never) => match never {},
            };
            match response {
                Ok(response) => response.map(|body| Box::pin(body.map_err(std::io::Error::other)) as Answered),
                Err(never) => match never {},
            }
        })
    })
}
