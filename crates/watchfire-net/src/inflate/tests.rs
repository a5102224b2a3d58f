//! Bombs, lies and broken ends against every encoding, for whole bodies and for bodies in pieces.

use std::io::Write;

use super::*;

const ALL: [Encoding; 6] = [Encoding::Identity, Encoding::Gzip, Encoding::Deflate, Encoding::Zstd, Encoding::Snappy, Encoding::SnappyFramed];

fn pack(encoding: Encoding, plain: &[u8]) -> Vec<u8> {
    let level = flate2::Compression::new(6);
    match encoding {
        Encoding::Identity => plain.to_vec(),
        Encoding::Gzip => {
            let mut w = flate2::write::GzEncoder::new(Vec::new(), level);
            w.write_all(plain).unwrap();
            w.finish().unwrap()
        }
        Encoding::Deflate => {
            let mut w = flate2::write::ZlibEncoder::new(Vec::new(), level);
            w.write_all(plain).unwrap();
            w.finish().unwrap()
        }
        Encoding::Zstd => zstd::stream::encode_all(plain, 1).unwrap(),
        Encoding::Snappy => snap::raw::Encoder::new().compress_vec(plain).unwrap(),
        Encoding::SnappyFramed => {
            let mut w = snap::write::FrameEncoder::new(Vec::new());
            w.write_all(plain).unwrap();
            w.into_inner().unwrap()
        }
    }
}

fn in_pieces(encoding: Encoding, body: &[u8], piece: usize, limits: Limits) -> Result<Vec<u8>, InflateError> {
    let chunks: Vec<_> = body.chunks(piece).map(|c| Ok::<_, std::convert::Infallible>(http_body::Frame::data(bytes::Bytes::copy_from_slice(c)))).collect();
    let body = http_body_util::StreamBody::new(futures_util::stream::iter(chunks));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(collect(body, encoding, limits)).map(|b| b.to_vec())
}

/// Whole and in pieces must agree on success and on the kind of refusal.
fn both(encoding: Encoding, body: &[u8], limits: Limits) -> Result<Vec<u8>, InflateError> {
    let whole = decode(encoding, body, limits);
    for piece in [1, 7, 4096] {
        if piece < 4096 && body.len() > 1 << 16 {
            continue;
        }
        let parts = in_pieces(encoding, body, piece, limits);
        assert_eq!(
            whole.as_ref().ok(),
            parts.as_ref().ok(),
            "{encoding:?} in pieces of {piece}: {:?} against {:?}",
            whole.as_ref().err(),
            parts.as_ref().err()
        );
        assert_eq!(whole.as_ref().err().map(InflateError::is_too_large), parts.err().as_ref().map(InflateError::is_too_large), "{encoding:?}");
    }
    whole
}

fn noise(len: usize) -> Vec<u8> {
    let mut x = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (x >> 32) as u8
    };
    (0..len).map(|_| next()).collect()
}

#[test]
fn what_was_packed_comes_out() {
    for encoding in ALL {
        for plain in [Vec::new(), b"x".to_vec(), b"metric 1\n".repeat(1000), noise(100_000)] {
            assert_eq!(both(encoding, &pack(encoding, &plain), Limits::default()).as_ref(), Ok(&plain), "{encoding:?} of {}", plain.len());
        }
        let large = b"0123456789abcdef".repeat(400_000);
        assert_eq!(decode(encoding, &pack(encoding, &large), Limits::default()).map(|v| v.len()), Ok(large.len()), "{encoding:?}");
    }
}

#[test]
fn limits_are_exact() {
    let plain = noise(10_000);
    for encoding in ALL {
        let body = pack(encoding, &plain);
        let limits = |compressed, decompressed| Limits { compressed, decompressed };
        assert!(both(encoding, &body, limits(body.len(), plain.len())).is_ok(), "{encoding:?}");
        assert_eq!(both(encoding, &body, limits(body.len() - 1, plain.len())), Err(InflateError::Compressed(body.len() - 1)), "{encoding:?}");
        if encoding != Encoding::Identity {
            assert_eq!(both(encoding, &body, limits(body.len(), plain.len() - 1)), Err(InflateError::Decompressed(plain.len() - 1)), "{encoding:?}");
        }
    }
}

#[test]
fn r34_bombs_are_refused() {
    let zeros = vec![0u8; DECOMPRESSED_BYTES_MAX + 1];
    for encoding in ALL.into_iter().filter(|e| *e != Encoding::Identity) {
        let bomb = pack(encoding, &zeros);
        assert_eq!(both(encoding, &bomb, Limits::default()), Err(InflateError::Decompressed(DECOMPRESSED_BYTES_MAX)), "{encoding:?} of {} bytes", bomb.len());
    }
    // Many members, each of them small.
    let member = pack(Encoding::Gzip, &zeros[..1 << 20]);
    assert!(both(Encoding::Gzip, &member.repeat(40), Limits::default()).unwrap_err().is_too_large());
    let frame = pack(Encoding::Zstd, &zeros[..1 << 20]);
    assert!(both(Encoding::Zstd, &frame.repeat(40), Limits::default()).unwrap_err().is_too_large());
}

#[test]
fn broken_bodies_are_refused() {
    let plain = noise(5_000);
    for encoding in ALL.into_iter().filter(|e| *e != Encoding::Identity) {
        let body = pack(encoding, &plain);
        for cut in [1, body.len() / 2, body.len() - 1] {
            let outcome = both(encoding, &body[..cut], Limits::default());
            assert!(matches!(outcome, Err(InflateError::Malformed(..))), "{encoding:?} cut at {cut}: {:?}", outcome.map(|v| v.len()));
        }
        let mut flipped = body.clone();
        flipped[0] ^= 0xff;
        assert!(both(encoding, &flipped, Limits::default()).is_err(), "{encoding:?} with another first byte");
        assert!(both(encoding, &plain, Limits::default()).is_err(), "{encoding:?} of noise");
    }
}

#[test]
fn declared_lengths_are_not_believed() {
    // A snappy block of a few bytes that declares 31 MiB, one that declares 4 GiB, one with an endless varint.
    for lie in [&[0x80, 0x80, 0xc0, 0x0f, 0x00][..], &[0xff, 0xff, 0xff, 0xff, 0x0f, 0x00], &[0xff; 12]] {
        assert!(decode(Encoding::Snappy, lie, Limits::default()).is_err());
    }
    // A zstd frame with a window of 2 GiB.
    assert!(both(Encoding::Zstd, &[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00], Limits::default()).is_err());
    // The densest honest snappy block passes.
    let zeros = vec![0u8; 1 << 20];
    assert_eq!(decode(Encoding::Snappy, &pack(Encoding::Snappy, &zeros), Limits::default()).map(|v| v.len()), Ok(1 << 20));
}

#[test]
fn bare_deflate_is_recognised() {
    let mut w = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    w.write_all(b"hello hello hello").unwrap();
    assert_eq!(both(Encoding::Deflate, &w.finish().unwrap(), Limits::default()), Ok(b"hello hello hello".to_vec()));
}

#[test]
fn names_of_encodings() {
    for (text, expected) in [
        ("", Ok(Encoding::Identity)),
        ("identity", Ok(Encoding::Identity)),
        ("GZIP", Ok(Encoding::Gzip)),
        ("x-gzip", Ok(Encoding::Gzip)),
        ("identity, gzip", Ok(Encoding::Gzip)),
        ("deflate", Ok(Encoding::Deflate)),
        ("zstd", Ok(Encoding::Zstd)),
        ("snappy", Ok(Encoding::Snappy)),
        ("gzip, gzip", Err(InflateError::Nested)),
        ("gzip,deflate", Err(InflateError::Nested)),
        ("br", Err(InflateError::Unsupported("br".to_owned()))),
        ("?", Err(InflateError::Unsupported("?".to_owned()))),
    ] {
        assert_eq!(text.parse::<Encoding>(), expected, "{text}");
    }
}
