//! gRPC's framing of one message: a byte that says whether it is compressed, four bytes of length, the message.

use bytes::{Buf, Bytes};

/// Why a body is not one message: it is cut short, or holds more or less.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

/// The one message of a unary request, and whether it is compressed.
pub(super) fn message(mut body: Bytes) -> Result<(Bytes, bool), Malformed> {
    if body.len() < 5 {
        return Err(Malformed("the request has no message"));
    }
    let compressed = body.get_u8();
    let length = body.get_u32() as usize;
    if length > body.len() {
        return Err(Malformed("the message is shorter than it says"));
    }
    if length < body.len() {
        return Err(Malformed("the request has more than one message"));
    }
    match compressed {
        0 => Ok((body, false)),
        1 => Ok((body, true)),
        _ => Err(Malformed("the first byte of the frame is neither 0 nor 1")),
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames() {
        let check = |body: &[u8], expected: Result<(&[u8], bool), &'static str>| {
            let expected = expected.map(|(message, compressed)| (Bytes::copy_from_slice(message), compressed)).map_err(Malformed);
            assert_eq!(message(Bytes::copy_from_slice(body)), expected, "{body:?}");
        };
        check(&[0, 0, 0, 0, 2, 7, 8], Ok((&[7, 8], false)));
        check(&[1, 0, 0, 0, 2, 7, 8], Ok((&[7, 8], true)));
        check(&[0, 0, 0, 0, 0], Ok((&[], false)));
        check(&[0, 0, 0, 0], Err("the request has no message"));
        check(&[0, 0, 0, 0, 3, 7, 8], Err("the message is shorter than it says"));
        check(&[0, 0, 0, 0, 1, 7, 8], Err("the request has more than one message"));
        check(&[2, 0, 0, 0, 1, 7], Err("the first byte of the frame is neither 0 nor 1"));
        check(&framed(b"abc"), Ok((b"abc", false)));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(body in prop::collection::vec(any::<u8>(), 0..100)) {
            drop(message(body.into()));
        }
    }
}
