//! gRPC's framing of one message: a byte that says whether it is compressed, four bytes of length, the message.

use bytes::{Buf, Bytes};
use watchfire_net::inflate::{Encoding, InflateError, Limits, decode};

/// Why a body is not one message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FrameError {
    /// It is cut short, or holds more or less than one message.
    Malformed(&'static str),
    /// The encoding of the message is not one of ours.
    Encoding,
    /// The message is too large.
    TooLarge(String),
}

/// The one message of a unary request. `encoding` is the header `grpc-encoding`.
pub(super) fn message(mut body: Bytes, encoding: &str) -> Result<Bytes, FrameError> {
    if body.len() < 5 {
        return Err(FrameError::Malformed("the request has no message"));
    }
    let compressed = body.get_u8();
    let length = body.get_u32() as usize;
    if length > body.len() {
        return Err(FrameError::Malformed("the message is shorter than it says"));
    }
    if length < body.len() {
        return Err(FrameError::Malformed("the request has more than one message"));
    }
    match compressed {
        0 => Ok(body),
        1 => {
            let encoding: Encoding = encoding.parse().map_err(|_| FrameError::Encoding)?;
            match decode(encoding, &body, Limits::default()) {
                Ok(message) => Ok(message.into()),
                Err(error @ (InflateError::Compressed(_) | InflateError::Decompressed(_))) => Err(FrameError::TooLarge(error.to_string())),
                Err(_) => Err(FrameError::Malformed("the message cannot be decompressed")),
            }
        }
        _ => Err(FrameError::Malformed("the first byte of the frame is neither 0 nor 1")),
    }
}

/// A message in its frame.
pub(super) fn framed(message: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(message.len() + 5);
    out.push(0);
    out.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(message);
    out.into()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames() {
        let check = |body: &[u8], encoding: &str, expected: Result<&[u8], FrameError>| {
            assert_eq!(message(Bytes::copy_from_slice(body), encoding), expected.map(Bytes::copy_from_slice), "{body:?}");
        };
        check(&[0, 0, 0, 0, 2, 7, 8], "", Ok(&[7, 8]));
        check(&[0, 0, 0, 0, 0], "gzip", Ok(&[]));
        check(&[0, 0, 0, 0], "", Err(FrameError::Malformed("the request has no message")));
        check(&[0, 0, 0, 0, 3, 7, 8], "", Err(FrameError::Malformed("the message is shorter than it says")));
        check(&[0, 0, 0, 0, 1, 7, 8], "", Err(FrameError::Malformed("the request has more than one message")));
        check(&[2, 0, 0, 0, 1, 7], "", Err(FrameError::Malformed("the first byte of the frame is neither 0 nor 1")));
        check(&[1, 0, 0, 0, 1, 7], "br", Err(FrameError::Encoding));
        check(&[1, 0, 0, 0, 1, 7], "gzip", Err(FrameError::Malformed("the message cannot be decompressed")));
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"hello").unwrap();
        let mut body = framed(&gzip.finish().unwrap()).to_vec();
        body[0] = 1;
        check(&body, "gzip", Ok(b"hello"));
        check(&framed(b"abc"), "", Ok(b"abc"));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(body in prop::collection::vec(any::<u8>(), 0..100), encoding in "(gzip|zstd|deflate|snappy|identity|[a-z]{0,4})") {
            drop(message(body.into(), &encoding));
        }
    }
}
