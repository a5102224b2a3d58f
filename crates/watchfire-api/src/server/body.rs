//! Request bodies: read within the route's limits, decompressed by the one bounded decoder, and counted against a budget
//! for the whole process, so that many large bodies at once cannot take its memory. What is compressed once more within a
//! body is its handler's to find; the handler decompresses it on the same budget, by what the request holds ([`Held`]).

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use watchfire_net::blocking::spawn_blocking;
use watchfire_net::inflate::{self, Encoding, InflateError, Limits};
use watchfire_net::listener::Pace;

use super::refusal::Refusal;
use super::route::{Content, Spec};

/// Bytes of bodies in memory at once, over all requests.
const BODIES_BYTES_MAX: usize = 96 << 20;
/// The budget is counted in pieces of this size.
const PIECE: usize = 64 << 10;
/// Bodies above this size are decompressed on a blocking thread.
const INLINE_BYTES_MAX: usize = 16 << 10;
/// Large bodies that are decompressed at once.
const INFLATING_MAX: usize = 2;

/// The budget of all bodies.
#[derive(Clone)]
pub(super) struct Bodies {
    pieces: Arc<Semaphore>,
    inflating: Arc<Semaphore>,
}
impl Default for Bodies {
    fn default() -> Bodies {
        Bodies::new(BODIES_BYTES_MAX)
    }
}
/// What a request holds of the budget until it is over. It goes with the request, for handlers that need more.
#[derive(Clone)]
pub(crate) struct Held {
    bodies: Bodies,
    pieces: Arc<Mutex<Pieces>>,
}
/// One of a few that decompress a large body at this moment.
pub(crate) struct Turn(#[expect(dead_code, reason = "it is held, not looked at")] Option<OwnedSemaphorePermit>);

/// Why there is no decompressed body.
pub(crate) enum NotInflated {
    /// It is not what it says, or too large.
    Bad(InflateError),
    /// All bodies together are too large at the moment.
    Refused(Refusal),
}

#[derive(Default)]
struct Pieces(Option<OwnedSemaphorePermit>, usize);

impl Held {
    /// What a request holds; nothing yet, of a budget of its own, when it did not come through the server.
    pub(crate) fn of(request: &Request<Body>) -> Held {
        request.extensions().get::<Held>().cloned().unwrap_or_else(|| Bodies::default().nothing())
    }
    /// Nothing yet, of a budget in bytes.
    #[cfg(test)]
    pub(crate) fn of_budget(bytes: usize) -> Held {
        Bodies::new(bytes).nothing()
    }
    /// Decompresses what the body held, in its stead.
    pub(crate) async fn inflate(&self, encoding: Encoding, bytes: Bytes, limits: Limits) -> Result<Bytes, Refusal> {
        let bytes = self.bodies.inflate(encoding, bytes, limits).await?;
        self.grow(bytes.len())?;
        Ok(bytes)
    }
    /// A turn among the large bodies that are decompressed; small ones need none.
    pub(crate) async fn turn(&self, bytes: &[u8]) -> Turn {
        if bytes.len() <= INLINE_BYTES_MAX {
            return Turn(None);
        }
        Turn(Arc::clone(&self.bodies.inflating).acquire_owned().await.ok())
    }
    /// The same as [`Held::inflate`] for who is on a thread that may block already, and has a turn.
    pub(crate) fn inflate_here(&self, turn: Turn, encoding: Encoding, bytes: &[u8], limits: Limits) -> Result<Vec<u8>, NotInflated> {
        let inflated = inflate::decode(encoding, bytes, limits).map_err(NotInflated::Bad)?;
        drop(turn);
        // Both are there until the request is over.
        self.grow(bytes.len() + inflated.len()).map_err(NotInflated::Refused)?;
        Ok(inflated)
    }
    async fn gather(&self, mut body: Body, max: usize) -> Result<Bytes, Refusal> {
        let mut first = Bytes::new();
        let mut all = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|e| refused(InflateError::Transfer(e.to_string())))?;
            let Ok(data) = frame.into_data() else { continue };
            let total = first.len() + all.len() + data.len();
            if total > max {
                return Err(refused(InflateError::Compressed(max)));
            }
            self.grow(total)?;
            if first.is_empty() && all.is_empty() {
                first = data;
                continue;
            }
            if all.is_empty() {
                all.extend_from_slice(&std::mem::take(&mut first));
            }
            all.extend_from_slice(&data);
        }
        Ok(if all.is_empty() { first } else { all.freeze() })
    }
    /// Makes it so many bytes, if there were fewer.
    fn grow(&self, bytes: usize) -> Result<(), Refusal> {
        let mut held = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = bytes.div_ceil(PIECE);
        let more = wanted.saturating_sub(held.1);
        if more == 0 {
            return Ok(());
        }
        // Waiting here could wait for ever when every request holds a part, so the sender is asked to come again.
        let Ok(permit) = Arc::clone(&self.bodies.pieces).try_acquire_many_owned(u32::try_from(more).unwrap_or(u32::MAX)) else {
            return Err(Refusal::unavailable("too many request bodies at once", 1));
        };
        match &mut held.0 {
            Some(before) => before.merge(permit),
            None => held.0 = Some(permit),
        }
        held.1 = wanted;
        Ok(())
    }
}

impl Bodies {
    /// A budget in bytes.
    pub(super) fn new(bytes: usize) -> Bodies {
        Bodies { pieces: Arc::new(Semaphore::new(bytes.div_ceil(PIECE))), inflating: Arc::new(Semaphore::new(INFLATING_MAX)) }
    }
    /// The part of a request that has no body yet.
    fn nothing(&self) -> Held {
        Held { bodies: self.clone(), pieces: Arc::default() }
    }

    /// Replaces a request's body by one that is complete, decompressed and within the limits.
    pub(super) async fn read(&self, spec: &Spec, request: Request<Body>) -> Result<(Request<Body>, Held), Refusal> {
        let (mut parts, body) = request.into_parts();
        // Several headers of this name are one list, and a second encoding must not hide in the second of them.
        let named: Vec<&str> = parts.headers.get_all(CONTENT_ENCODING).iter().map(|v| v.to_str().unwrap_or("?")).collect();
        let encoding = named.join(",").parse::<Encoding>().map_err(refused)?;
        if spec.content == Content::Stream {
            // What the handler never sees whole cannot be on the budget either.
            if encoding != Encoding::Identity {
                return Err(refused(InflateError::Unsupported(named.join(","))));
            }
            if let Some(pace) = parts.extensions.get::<Pace>() {
                pace.unhurried();
            }
            return Ok((Request::from_parts(parts, body), self.nothing()));
        }
        // A type that is not taken is refused unread, except where the type of nothing does not matter.
        if spec.content != Content::Form {
            check_content(spec.content, &parts.headers, false)?;
        }
        // Snappy stays as it is: its two forms share one name, and the handler of the protocol knows which is meant.
        let snappy = matches!(encoding, Encoding::Snappy | Encoding::SnappyFramed);
        if snappy && matches!(spec.content, Content::Json | Content::Form) {
            return Err(refused(InflateError::Unsupported("snappy".to_owned())));
        }
        let encoding = if snappy { Encoding::Identity } else { encoding };
        let limits = spec.body_limits;
        let wire_max = if encoding == Encoding::Identity { limits.decompressed.min(limits.compressed) } else { limits.compressed };
        let declared = parts.headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|t| t.parse::<usize>().ok());
        if declared.is_some_and(|n| n > wire_max) {
            return Err(refused(InflateError::Compressed(wire_max)));
        }
        let held = self.nothing();
        let mut bytes = held.gather(body, wire_max).await?;
        check_content(spec.content, &parts.headers, bytes.is_empty())?;
        if encoding != Encoding::Identity && !bytes.is_empty() {
            bytes = held.inflate(encoding, bytes, limits).await?;
            parts.headers.remove(CONTENT_ENCODING);
            parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        }
        parts.extensions.insert(held.clone());
        Ok((Request::from_parts(parts, Body::from(bytes)), held))
    }
    async fn inflate(&self, encoding: Encoding, bytes: Bytes, limits: Limits) -> Result<Bytes, Refusal> {
        if bytes.len() <= INLINE_BYTES_MAX {
            return inflate::decode(encoding, &bytes, limits).map(Bytes::from).map_err(refused);
        }
        let _turn = self.inflating.acquire().await;
        let work = spawn_blocking(move || inflate::decode(encoding, &bytes, limits));
        work.await.map_err(|_| Refusal::internal())?.map(Bytes::from).map_err(refused)
    }
}

fn refused(error: InflateError) -> Refusal {
    let message = error.to_string();
    if error.is_too_large() {
        return Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message);
    }
    if error.is_unsupported() {
        return Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", message);
    }
    Refusal::bad_request(message)
}

fn check_content(content: Content, headers: &HeaderMap, empty: bool) -> Result<(), Refusal> {
    let media = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let fits = match content {
        Content::Nothing | Content::Any | Content::Stream => true,
        Content::Json => media == "application/json" || media.ends_with("+json"),
        Content::Form => empty || media == "application/x-www-form-urlencoded",
        Content::Types(types) => types.contains(&media.as_str()),
    };
    if fits {
        Ok(())
    } else {
        Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_content_type", format!("a body of type {media:?} is not taken here")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{Level, Route};

    #[tokio::test]
    async fn what_a_handler_decompresses_is_on_the_budget_too() {
        let bodies = Bodies::new(4 * PIECE);
        let spec = Route::<()>::post("/x", Level::Public, |_: Request<Body>| async { "" }).spec;
        let request = || Request::post("/x").body(Body::from(vec![0u8; PIECE])).unwrap();
        let (first, first_held) = bodies.read(&spec, request()).await.unwrap();
        assert_eq!(bodies.pieces.available_permits(), 3);
        let zeros = |bytes: usize| Bytes::from(zstd::bulk::compress(&vec![0u8; bytes], 3).unwrap());
        let inflated = Held::of(&first).inflate(Encoding::Zstd, zeros(3 * PIECE), Limits::default()).await.unwrap();
        assert_eq!((inflated.len(), bodies.pieces.available_permits()), (3 * PIECE, 1));
        let (second, _second_held) = bodies.read(&spec, request()).await.unwrap();
        let refusal = Held::of(&second).inflate(Encoding::Zstd, zeros(2 * PIECE), Limits::default()).await.unwrap_err();
        assert_eq!(refusal.status, StatusCode::SERVICE_UNAVAILABLE);
        drop((first, first_held));
        assert_eq!(bodies.pieces.available_permits(), 3, "given back with the request");
    }
}
