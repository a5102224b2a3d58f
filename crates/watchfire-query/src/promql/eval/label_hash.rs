//! The hash by which `limit_ratio` chooses series: XXH64, seed 0, of labels written as Prometheus' release builds keep them in memory:
//! for each label in order the length of the name, the name, the length of the value, the value. It says nothing about security.

use watchfire_model::labels::Labels;

const PRIMES: [u64; 5] = [0x9e37_79b1_85eb_ca87, 0xc2b2_ae3d_27d4_eb4f, 0x1656_67b1_9e37_79f9, 0x85eb_ca77_c2b2_ae63, 0x27d4_eb2f_1656_67c5];

/// Prometheus' hash of a label set.
pub(super) fn label_hash(labels: &Labels) -> u64 {
    let mut bytes = Vec::with_capacity(64);
    for (name, value) in labels {
        for text in [name, value] {
            push_length(&mut bytes, text.len());
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    xxh64(&bytes)
}

/// One byte up to 254; 255 says that three bytes follow, lowest first.
fn push_length(bytes: &mut Vec<u8>, length: usize) {
    match u8::try_from(length) {
        Ok(short) if short < u8::MAX => bytes.push(short),
        _ => bytes.extend([u8::MAX, length as u8, (length >> 8) as u8, (length >> 16) as u8]),
    }
}

fn round(state: u64, lane: u64) -> u64 {
    state.wrapping_add(lane.wrapping_mul(PRIMES[1])).rotate_left(31).wrapping_mul(PRIMES[0])
}

fn xxh64(bytes: &[u8]) -> u64 {
    let (stripes, tail) = bytes.as_chunks::<32>();
    let mut hash = if stripes.is_empty() {
        PRIMES[4]
    } else {
        let mut lanes = [PRIMES[0].wrapping_add(PRIMES[1]), PRIMES[1], 0, PRIMES[0].wrapping_neg()];
        for stripe in stripes {
            for (lane, word) in lanes.iter_mut().zip(stripe.as_chunks::<8>().0) {
                *lane = round(*lane, u64::from_le_bytes(*word));
            }
        }
        let mixed = [1, 7, 12, 18].iter().zip(lanes).fold(0u64, |sum, (turn, lane)| sum.wrapping_add(lane.rotate_left(*turn)));
        lanes.iter().fold(mixed, |hash, lane| (hash ^ round(0, *lane)).wrapping_mul(PRIMES[0]).wrapping_add(PRIMES[3]))
    };
    hash = hash.wrapping_add(bytes.len() as u64);
    let (words, tail) = tail.as_chunks::<8>();
    for word in words {
        hash = (hash ^ round(0, u64::from_le_bytes(*word))).rotate_left(27).wrapping_mul(PRIMES[0]).wrapping_add(PRIMES[3]);
    }
    let (halves, tail) = tail.as_chunks::<4>();
    for half in halves {
        let lane = u64::from(u32::from_le_bytes(*half)).wrapping_mul(PRIMES[0]);
        hash = (hash ^ lane).rotate_left(23).wrapping_mul(PRIMES[1]).wrapping_add(PRIMES[2]);
    }
    for byte in tail {
        hash = (hash ^ u64::from(*byte).wrapping_mul(PRIMES[4])).rotate_left(11).wrapping_mul(PRIMES[0]);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(PRIMES[1]);
    hash = (hash ^ (hash >> 29)).wrapping_mul(PRIMES[2]);
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values that the reference implementation of XXH64 gives.
    #[test]
    fn hashes_are_xxh64() {
        for (text, hash) in [
            ("", 0xef46_db37_51d8_e999),
            ("a", 0xd24e_c4f1_a98c_6e5b),
            ("abc", 0x44bc_2cf5_ad77_0999),
            ("Nobody inspects the spammish repetition", 0xfbce_a83c_8a37_8bf1),
        ] {
            assert_eq!(xxh64(text.as_bytes()), hash, "{text:?}");
        }
    }

    #[test]
    fn lengths_are_one_or_four_bytes() {
        for (length, bytes) in [(0usize, vec![0u8]), (254, vec![254]), (255, vec![255, 255, 0, 0]), (0x1_0203, vec![255, 3, 2, 1])] {
            let mut got = Vec::new();
            push_length(&mut got, length);
            assert_eq!(got, bytes);
        }
    }
}
