//! An answer's body on its way to the caller: every piece passes when it comes, as it is. When the body ends, or the caller goes away,
//! the exchange is accounted for.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};
use watchfire_net::client::{ClientError, RelayedBody};

use super::exchange::{Exchange, Outcome};
use super::watch::Watch;

/// The body of an answer of the gateway.
pub struct AnswerBody(Kind);

enum Kind {
    Relayed(Box<Relay>),
    Whole(Option<Bytes>),
}

struct Relay {
    body: RelayedBody,
    status: StatusCode,
    /// Until the exchange is over.
    under_way: Option<(Exchange, Watch)>,
    /// Whether the end of the body was told.
    ended: bool,
}

impl AnswerBody {
    pub(super) fn relayed(body: RelayedBody, status: StatusCode, exchange: Exchange, watch: Watch) -> AnswerBody {
        AnswerBody(Kind::Relayed(Box::new(Relay { body, status, under_way: Some((exchange, watch)), ended: false })))
    }
    pub(super) fn whole(bytes: Bytes) -> AnswerBody {
        AnswerBody(Kind::Whole(Some(bytes)))
    }
}

type Next = Poll<Option<Result<Frame<Bytes>, ClientError>>>;

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = ClientError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Next {
        match &mut self.0 {
            Kind::Whole(bytes) => Poll::Ready(bytes.take().filter(|b| !b.is_empty()).map(|b| Ok(Frame::data(b)))),
            Kind::Relayed(relay) => relay.poll(cx),
        }
    }
    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Kind::Relayed(relay) => relay.ended || (relay.under_way.is_none() && relay.body.is_end_stream()),
        }
    }
    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Kind::Relayed(relay) if relay.holds() => SizeHint::default(),
            Kind::Relayed(relay) => relay.body.size_hint(),
        }
    }
}

impl Relay {
    fn holds(&self) -> bool {
        self.under_way.as_ref().is_some_and(|(_, watch)| watch.holds())
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Next {
        loop {
            if self.ended {
                return Poll::Ready(None);
            }
            let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(bytes))) => {
                    let passes = self.look(bytes);
                    if !passes.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(passes))));
                    }
                }
                // Trailers are for the connection they came by.
                Some(Ok(Err(_))) => {}
                Some(Err(error)) => {
                    self.ended = true;
                    tracing::debug!(%error, "an answer of an upstream broke off");
                    self.finish(Outcome::Broken);
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    self.ended = true;
                    let rest = self.end();
                    return Poll::Ready((!rest.is_empty()).then(|| Ok(Frame::data(rest.into()))));
                }
            }
        }
    }

    /// Looks at bytes that came and gives those that pass.
    fn look(&mut self, bytes: Bytes) -> Bytes {
        let Some((exchange, watch)) = &mut self.under_way else { return bytes };
        let (mut out, holds) = (Vec::new(), watch.holds());
        watch.take(&bytes, &mut out);
        exchange.came(watch.seen());
        if self.body.is_end_stream() {
            // Of a body whose length was announced nobody asks for the end.
            out.extend(self.end());
        }
        if holds { out.into() } else { bytes }
    }

    /// The body is complete; gives what was held and passes after all.
    fn end(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        if let Some((_, watch)) = &mut self.under_way {
            watch.finish(&mut rest);
            let seen = watch.seen();
            // A stream that just stops, from a server that announces no length, looks like one that is complete.
            let complete = !watch.is_stream() || seen.has_end || seen.has_error || seen.usage.is_some() || !self.status.is_success();
            self.finish(if complete { Outcome::Answered } else { Outcome::Broken });
        }
        rest
    }

    fn finish(&mut self, outcome: Outcome) {
        if let Some((exchange, watch)) = self.under_way.take() {
            exchange.finish(outcome, self.status, watch);
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // Who has read that this is the end need not wait for the end of the body.
        let has_end = self.under_way.as_ref().is_some_and(|(_, watch)| watch.is_stream() && watch.seen().has_end);
        self.finish(if has_end { Outcome::Answered } else { Outcome::Left });
    }
}
