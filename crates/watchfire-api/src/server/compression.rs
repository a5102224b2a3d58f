//! Answers on the wire: long texts are packed with gzip for those who take it, piece by piece while they are sent. What is a
//! stream, short, packed already or no text goes as it is. How request bodies are unpacked stands in `body`.

use std::io::Write;

use axum::body::{Body, HttpBody};
use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue};
use http_body_util::BodyExt;

/// Shorter answers fit into one packet anyway.
const PACKED_BYTES_MIN: u64 = 1400;
/// Bytes that are packed at once, between two looks of the runtime at others: about half a millisecond.
const PIECE: usize = 64 << 10;

/// Whether a client takes an encoding: it is named, and not with the weight 0 (RFC 9110, 12.5.3). `*` alone is not enough.
pub(crate) fn accepts(headers: &HeaderMap, encoding: &str) -> bool {
    headers.get_all(ACCEPT_ENCODING).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')).any(|item| {
        let (name, weight) = item.split_once(';').unwrap_or((item, ""));
        let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.trim().parse::<f32>().is_ok_and(|q| q == 0.0));
        name.trim().eq_ignore_ascii_case(encoding) && !refused
    })
}

/// Packs an answer when its client takes gzip (`accepted`) and it is a text whose whole length is known.
pub(super) async fn pack(response: Response, accepted: bool) -> Response {
    let headers = response.headers();
    if headers.contains_key(CONTENT_ENCODING) || !is_text(headers) || response.body().size_hint().exact().is_none_or(|bytes| bytes < PACKED_BYTES_MIN) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // The page's files say it already.
    if !parts.headers.get_all(VARY).iter().any(|known| known == "accept-encoding") {
        parts.headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    }
    if !accepted {
        return Response::from_parts(parts, body);
    }
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    // The length is known, so the bytes are there already: nobody is waited for.
    match body.collect().await {
        Ok(whole) => Response::from_parts(parts, Body::from_stream(futures_util::stream::iter(Pieces::of(whole.to_bytes())))),
        Err(error) => Response::from_parts(parts, Body::from_stream(futures_util::stream::iter([Err::<Bytes, _>(std::io::Error::other(error))]))),
    }
}

fn is_text(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("").split(';').next().unwrap_or("").trim();
    media_type.starts_with("text/")
        || media_type.ends_with("json")
        || media_type.ends_with("xml")
        || matches!(media_type, "application/openmetrics-text" | "application/javascript" | "application/yaml")
}

/// The packed bytes of a text, a piece at a time.
struct Pieces {
    left: Bytes,
    encoder: Option<GzEncoder<Vec<u8>>>,
}

impl Pieces {
    fn of(left: Bytes) -> Pieces {
        Pieces { left, encoder: Some(GzEncoder::new(Vec::new(), Compression::fast())) }
    }

    /// The next bytes, or `None` behind the last.
    fn pack(&mut self) -> std::io::Result<Option<Bytes>> {
        let Some(mut encoder) = self.encoder.take() else { return Ok(None) };
        while !self.left.is_empty() {
            let piece = self.left.split_to(self.left.len().min(PIECE));
            encoder.write_all(&piece)?;
            let packed = std::mem::take(encoder.get_mut());
            if !packed.is_empty() {
                self.encoder = Some(encoder);
                return Ok(Some(packed.into()));
            }
        }
        Ok(Some(encoder.finish()?.into()))
    }
}

impl Iterator for Pieces {
    type Item = std::io::Result<Bytes>;

    fn next(&mut self) -> Option<std::io::Result<Bytes>> {
        self.pack().transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn answer(media_type: &str, text: &str) -> Response {
        let mut response = Response::new(Body::from(text.to_owned()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::try_from(media_type).unwrap());
        response
    }

    async fn bytes(response: Response) -> (Option<String>, Vec<u8>) {
        let encoding = response.headers().get(CONTENT_ENCODING).map(|v| v.to_str().unwrap().to_owned());
        (encoding, response.into_body().collect().await.unwrap().to_bytes().to_vec())
    }

    fn unpacked(packed: &[u8]) -> String {
        let mut text = String::new();
        flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
        text
    }

    #[tokio::test]
    async fn long_texts_are_packed_for_those_who_take_it() {
        for len in [1400, PIECE - 1, PIECE, PIECE + 1, 40 * PIECE + 7] {
            // Not all alike, so that more than one piece comes out.
            let text: String = (0_u32..).map(|i| char::from(b'a' + u8::try_from(i.wrapping_mul(2_654_435_761) >> 28).unwrap())).take(len).collect();
            let response = pack(answer("application/json", &text), true).await;
            assert_eq!(response.headers()[VARY], "accept-encoding");
            let (encoding, body) = bytes(response).await;
            assert_eq!(encoding.as_deref(), Some("gzip"));
            assert!(body.len() < len);
            assert_eq!(unpacked(&body), text);
            let response = pack(answer("application/json", &text), false).await;
            assert_eq!(response.headers()[VARY], "accept-encoding", "a cache must know that there is another form");
            assert_eq!(bytes(response).await, (None, text.into_bytes()));
        }
    }

    #[tokio::test]
    async fn what_is_short_no_text_packed_or_a_stream_goes_as_it_is() {
        let long = "x".repeat(5000);
        let mut packed = answer("text/plain", &long);
        packed.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("snappy"));
        assert_eq!(bytes(pack(packed, true).await).await, (Some("snappy".to_owned()), long.clone().into_bytes()));
        let pieces = [Ok::<_, std::io::Error>(Bytes::from(long.clone()))];
        let mut stream = Response::new(Body::from_stream(futures_util::stream::iter(pieces)));
        stream.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        for left in [answer("image/png", &long), answer("application/x-protobuf", &long), answer("text/plain", &"x".repeat(1399)), stream] {
            assert_eq!(bytes(pack(left, true).await).await.0, None);
        }
    }

    #[test]
    fn weights_of_encodings() {
        let accepts_gzip = |text: &'static str| accepts(&HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(text))]), "gzip");
        for yes in ["gzip", "GZIP", "deflate, gzip;q=0.5", "br;q=1.0, gzip; q=0.001", "gzip, deflate, br"] {
            assert!(accepts_gzip(yes), "{yes}");
        }
        for no in ["", "identity", "gzip;q=0", "gzip; q=0.000, br", "gzips", "*", "gzip;q=0, br;q=0.5"] {
            assert!(!accepts_gzip(no), "{no}");
        }
    }
}
