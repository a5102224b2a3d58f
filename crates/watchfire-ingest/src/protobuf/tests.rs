//! The reader and the writer against prost and against each other.

use proptest::prelude::*;
use prost::Message as _;

use super::*;

#[derive(Clone, PartialEq, prost::Message)]
struct Sample {
    #[prost(uint64, tag = "1")]
    uint: u64,
    #[prost(int64, tag = "2")]
    int: i64,
    #[prost(sint64, tag = "3")]
    sint: i64,
    #[prost(double, tag = "4")]
    double: f64,
    #[prost(string, tag = "5")]
    text: String,
    #[prost(message, repeated, tag = "6")]
    inner: Vec<Sample>,
    #[prost(uint32, repeated, tag = "7")]
    numbers: Vec<u32>,
    #[prost(sint64, repeated, tag = "2000")]
    signed: Vec<i64>,
    #[prost(double, repeated, tag = "9")]
    doubles: Vec<f64>,
}
fn write(sample: &Sample, out: &mut Writer) {
    out.uint(1, sample.uint);
    out.int(2, sample.int);
    out.sint(3, sample.sint);
    out.double(4, sample.double);
    out.text(5, &sample.text);
    for inner in &sample.inner {
        out.message(6, |w| write(inner, w));
    }
    out.packed(7, sample.numbers.iter().map(|n| u64::from(*n)));
    out.packed_signed(2000, sample.signed.iter().copied());
    out.packed_doubles(9, &sample.doubles);
}
fn read(bytes: &[u8]) -> Result<Sample, WireError> {
    let mut sample = Sample::default();
    for field in Message::new(bytes) {
        match field? {
            (1, Value::Varint(n)) => sample.uint = n,
            (2, Value::Varint(n)) => sample.int = n.cast_signed(),
            (3, Value::Varint(n)) => sample.sint = signed(n),
            (4, Value::Fixed64(bits)) => sample.double = f64::from_bits(bits),
            (5, Value::Bytes(bytes)) => sample.text = text(bytes)?.to_owned(),
            (6, Value::Bytes(bytes)) => sample.inner.push(read(bytes)?),
            (7, value) => numbers(value, |n| sample.numbers.push(n as u32))?,
            (2000, value) => numbers(value, |n| sample.signed.push(signed(n)))?,
            (9, value) => doubles(value, |n| sample.doubles.push(n))?,
            _ => {}
        }
    }
    Ok(sample)
}

fn samples() -> impl Strategy<Value = Sample> {
    let lists = (prop::collection::vec(any::<u32>(), 0..90), prop::collection::vec(any::<i64>(), 0..9), prop::collection::vec(-9.0..9.0f64, 0..40));
    let leaf = (any::<u64>(), any::<i64>(), any::<i64>(), -9.0..9.0f64, ".{0,200}", lists).prop_map(|(uint, int, sint, double, text, lists)| Sample {
        uint,
        int,
        sint,
        double,
        text,
        inner: Vec::new(),
        numbers: lists.0,
        signed: lists.1,
        doubles: lists.2,
    });
    leaf.prop_recursive(3, 20, 4, |inner| prop::collection::vec(inner, 0..4).prop_map(|inner| Sample { inner, uint: 7, ..Sample::default() }))
}

proptest! {
    #[test]
    fn what_is_written_is_what_prost_writes_and_reads(sample in samples()) {
        let mut out = Writer::new();
        write(&sample, &mut out);
        prop_assert_eq!(&Sample::decode(out.bytes()).unwrap(), &sample);
        prop_assert_eq!(read(out.bytes()).unwrap(), sample.clone());
        prop_assert_eq!(read(&sample.encode_to_vec()).unwrap(), sample);
    }

    #[test]
    fn cut_anywhere_it_is_an_error_or_shorter_and_never_a_panic(sample in samples(), at in any::<prop::sample::Index>()) {
        let bytes = sample.encode_to_vec();
        drop(read(bytes.get(..at.index(bytes.len() + 1)).unwrap()));
    }
}

#[test]
fn lists_may_be_packed_or_not() {
    let mut out = Writer::new();
    out.always_uint(7, 0);
    out.packed(7, [1, 300].into_iter());
    out.always_double(9, 0.0);
    out.packed_doubles(9, &[1.5]);
    let sample = read(out.bytes()).unwrap();
    assert_eq!((sample.numbers, sample.doubles), (vec![0, 1, 300], vec![0.0, 1.5]));
    assert_eq!(read(&[0x3d, 0, 0, 0, 0]), Err(WireError::Kind));
    assert_eq!(read(&[0x4a, 3, 0, 0, 0]), Err(WireError::Truncated));
}

#[test]
fn streams_have_lengths_in_front() {
    let mut stream = Message::new(&[2, 8, 1, 0, 5, 1]);
    assert_eq!(stream.delimited(), Some(Ok(&[8, 1][..])));
    assert_eq!(stream.delimited(), Some(Ok(&[][..])));
    assert_eq!(stream.delimited(), Some(Err(WireError::Truncated)));
    assert_eq!(stream.delimited(), None);
}
