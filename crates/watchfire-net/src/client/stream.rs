//! An answer whose body is read piece by piece, for bodies that are better not held whole.

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::Instant;

use super::{ClientError, Response};
use crate::inflate::{self, Encoding, Limits};

/// Status and headers, and a body to come. The request's deadline holds until its end.
pub struct Stream {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    body: Incoming,
    deadline: Instant,
    timeout: Duration,
    settle: Duration,
}

impl Stream {
    pub(super) fn new(response: http::Response<Incoming>, deadline: Instant, timeout: Duration, settle: Duration) -> Stream {
        let (parts, body) = response.into_parts();
        Stream { status: parts.status, headers: parts.headers, body, deadline, timeout, settle }
    }
    /// The text of a header, if it is there and text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
    /// From now on the next bytes may take so long, whatever was left of the request's time. For bodies without an end; ask again at each piece.
    pub fn wait_at_most(&mut self, timeout: Duration) {
        (self.timeout, self.deadline) = (timeout, Instant::now() + timeout);
    }
    /// The next bytes as they came over the wire, still compressed if they are; `None` at the end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            let frame = tokio::time::timeout_at(self.deadline, self.body.frame()).await.map_err(|_| ClientError::Timeout(self.timeout))?;
            match frame {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(e)) => return Err(ClientError::Body(inflate::InflateError::Transfer(super::chain(&e)))),
            }
        }
    }
    /// The whole body, decompressed.
    pub async fn collect(self, limits: Limits) -> Result<Response, ClientError> {
        let encoding = match self.headers.get(CONTENT_ENCODING).map(|v| v.to_str().unwrap_or("?")) {
            Some(name) => name.parse::<Encoding>()?,
            None => Encoding::Identity,
        };
        let collected = tokio::time::timeout_at(self.deadline, inflate::collect_settled(self.body, encoding, limits, self.settle)).await;
        let body = collected.map_err(|_| ClientError::Timeout(self.timeout))??;
        Ok(Response { status: self.status, headers: self.headers, body })
    }
    /// The begin of the body as text, for messages; whatever goes wrong ends it.
    pub async fn excerpt(mut self, bytes_max: usize) -> String {
        let mut taken = Vec::new();
        while taken.len() < bytes_max
            && let Ok(Some(more)) = self.chunk().await
        {
            taken.extend_from_slice(&more);
        }
        taken.truncate(bytes_max);
        String::from_utf8_lossy(&taken).into_owned()
    }
}
