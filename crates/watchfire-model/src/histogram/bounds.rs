//! Where exponential buckets begin and end. A bound's index and schema give one float, the same everywhere in the world:
//! producers, Prometheus and we must agree to the last bit.

use std::sync::LazyLock;

/// 2^(2^-n) for n = 1 … 8 as the reference implementations have them: the first one is one bit below the nearest float.
const FACTORS: [f64; 8] = [
    std::f64::consts::SQRT_2.next_down(),
    1.189_207_115_002_721,
    1.090_507_732_665_257_7,
    1.044_273_782_427_413_8,
    1.021_897_148_654_116_6,
    1.010_889_286_051_700_5,
    1.005_429_901_112_802_7,
    1.002_711_275_050_202_5,
];

/// The bounds of the finest schema between 0.5 and 1. Coarser ones have every second, fourth, … of them.
static FRACTIONS: LazyLock<[f64; 256]> = LazyLock::new(|| {
    let mut fractions = [0.5; 256];
    for (n, factor) in FACTORS.iter().enumerate() {
        let distance = 128 >> n;
        for i in (distance..256).step_by(2 * distance) {
            fractions[i] = fractions[i - distance] * factor;
        }
    }
    fractions
});

/// The upper bound of an exponential bucket; the bound of `index - 1` is its lower one.
///
/// The last bucket of ordinary numbers ends at the greatest one, so that the bucket above it holds infinities only.
pub fn exponential_bound(index: i32, schema: i8) -> f64 {
    let schema = schema.clamp(super::SCHEMA_MIN, super::SCHEMA_MAX);
    let (fraction, exponent) = if schema < 0 {
        (0.5, (i64::from(index) << -schema) + 1)
    } else {
        let within = (index & ((1 << schema) - 1)) as usize;
        (FRACTIONS[within << (8 - schema)], i64::from(index >> schema) + 1)
    };
    if fraction == 0.5 && exponent == 1025 { f64::MAX } else { scaled(fraction, exponent) }
}

/// `fraction` · 2^`exponent`, rounded once.
fn scaled(fraction: f64, exponent: i64) -> f64 {
    let exponent = exponent.clamp(-1200, 1200);
    let half = exponent / 2;
    fraction * power_of_two(half) * power_of_two(exponent - half)
}

/// 2^`exponent` for exponents of normal numbers.
fn power_of_two(exponent: i64) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

/// The index of the bucket of a coarser schema that holds a bucket; `levels` is the difference of the schemas.
pub(super) fn coarser_index(index: i32, levels: u32) -> i32 {
    (index.wrapping_sub(1) >> levels.min(31)).wrapping_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_those_of_the_reference() {
        let check = |index, schema, expected: f64| assert_eq!(exponential_bound(index, schema), expected, "{index} of schema {schema}");
        check(0, 0, 1.0);
        check(1, 0, 2.0);
        check(-3, 0, 0.125);
        check(1, 1, std::f64::consts::SQRT_2.next_down());
        check(-1, 1, std::f64::consts::SQRT_2.next_down() / 2.0);
        check(3, 2, 1.6817928305074288);
        check(-1, 3, 0.9170040432046711);
        check(-3, 4, 0.8781260801866495);
        check(-127, 7, 0.5027149505564014);
        check(-255, 8, 0.5013556375251013);
        check(-253, 8, 0.5040779490592088);
        check(1, -1, 4.0);
        check(-1, -4, 2f64.powi(-16));
        check(64, -4, f64::MAX);
        check(65, -4, f64::INFINITY);
        check(1024, 0, f64::MAX);
        check(1025, 0, f64::INFINITY);
        check(1023, 0, 2f64.powi(1023));
        check(-1074, 0, f64::from_bits(1));
        check(i32::MIN, 0, 0.0);
        check(i32::MAX, 8, f64::INFINITY);
    }

    #[test]
    fn bounds_ascend_and_coarser_schemas_share_them() {
        for schema in super::super::SCHEMA_MIN..=super::super::SCHEMA_MAX {
            for index in -600..600 {
                let (lower, upper) = (exponential_bound(index - 1, schema), exponential_bound(index, schema));
                assert!(lower < upper || upper.is_infinite() || lower == 0.0, "{index} {schema}");
                if schema < super::super::SCHEMA_MAX {
                    assert_eq!(upper, exponential_bound(index * 2, schema + 1));
                    assert_eq!((coarser_index(index * 2, 1), coarser_index(index * 2 - 1, 1)), (index, index));
                }
            }
        }
    }
}
