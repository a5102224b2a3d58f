//! Blocks from lines and back: everything, byte for byte, whatever the lines are.

use proptest::prelude::*;
use watchfire_model::labels::Labels;
use zstd::bulk::Decompressor;

use super::block::{Encoded, Row, encode};
use super::tokens::{Needle, pair_hash};
use super::unpack::{Head, filter_excludes};

fn parts(block: &Encoded) -> (&[u8], &[u8], &[u8]) {
    let (filter, rest) = block.bytes.split_at(block.info.filter.len as usize);
    let (head, columns) = rest.split_at(block.info.head.len as usize);
    assert_eq!(columns.len(), block.info.columns as usize);
    (filter, head, columns)
}

fn read(block: &Encoded) -> Option<Vec<(i64, String, String)>> {
    let (_, head, columns) = parts(block);
    let mut decompressor = Decompressor::new().unwrap();
    let head = Head::read(head, &block.info, &mut decompressor)?;
    let mut rows = head.rows(columns, true, &mut decompressor)?;
    let mut out = Vec::new();
    let mut metadata = String::new();
    while let Some(time) = rows.time() {
        let mut line = Vec::new();
        rows.read_metadata(&mut metadata)?;
        rows.read_line(&mut line)?;
        out.push((time, String::from_utf8(line).unwrap(), metadata.clone()));
    }
    Some(out)
}

/// Whether a look at filter and head leaves the block in the question.
fn may_have(block: &Encoded, text: &str) -> bool {
    let (filter, head, columns) = parts(block);
    let needles = [Needle::new(text)];
    let mut decompressor = Decompressor::new().unwrap();
    let head = Head::read(head, &block.info, &mut decompressor).unwrap();
    !filter_excludes(filter, &block.info, &needles, &[]) && head.may_contain(&needles, &mut || Some(columns.to_vec()), &mut decompressor)
}

fn any_line() -> impl Strategy<Value = String> {
    prop_oneof![
        ("[a-c]{0,3}", 0u32..1000, "[0-9a-f]{16}").prop_map(|(a, n, id)| format!(r#"{{"level":"{a}","n":{n},"id":"{id}","deep":{{"x":[1,"{a}"]}}}}"#)),
        ("[a-c]{0,3}", 0u32..1000).prop_map(|(a, n)| format!("level={a} msg=\"took {n} ms\" n={n}")),
        ("[a-c]{0,3}", 0u32..1000).prop_map(|(a, n)| format!("request {a} took {n} ms")),
        "[ -~]{0,40}",
        ".{0,20}",
        Just(String::new()),
    ]
}

proptest! {
    #[test]
    fn lines_and_metadata_come_back(
        lines in proptest::collection::vec((any_line(), proptest::collection::vec(("[a-e]{1,2}", "[x-z0-9]{1,9}"), 0..4), any::<i64>()), 1..60),
        from in 0usize..40, len in 1usize..30,
    ) {
        let metadata: Vec<Labels> = lines.iter().map(|(_, m, _)| Labels::from_pairs(m.iter().map(|(n, v)| (n.as_str(), v.as_str())))).collect();
        let rows: Vec<Row<'_>> = lines.iter().zip(&metadata).map(|((line, _, time), m)| Row { time: *time, line, metadata: m.packed() }).collect();
        let block = encode(&rows).unwrap();
        let expected: Vec<_> = rows.iter().map(|r| (r.time, r.line.to_owned(), r.metadata.to_owned())).collect();
        prop_assert_eq!(read(&block).unwrap(), expected);
        // Nothing that is there is ever left out.
        for row in &rows {
            let part: String = row.line.chars().skip(from).take(len).collect();
            prop_assert!(may_have(&block, &part), "{part:?} of {:?}", row.line);
            let pairs: Vec<Vec<u64>> = Labels::iter_packed(row.metadata).map(|(n, v)| vec![7, pair_hash(n, v)]).collect();
            prop_assert!(!filter_excludes(parts(&block).0, &block.info, &[], &pairs));
        }
    }

    #[test]
    fn damage_gives_nothing_or_the_same(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let lines: Vec<String> = (0..50).map(|n| format!(r#"{{"n":{n},"id":"{:016x}","text":"some {n} words"}}"#, n * 7_777_777)).collect();
        let rows: Vec<Row<'_>> = lines.iter().enumerate().map(|(n, line)| Row { time: n as i64, line, metadata: "" }).collect();
        let mut block = encode(&rows).unwrap();
        let whole = read(&block).unwrap();
        let at = at.index(block.bytes.len() - block.info.filter.len as usize) + block.info.filter.len as usize;
        block.bytes[at] ^= 1 << bit;
        prop_assert!(read(&block).is_none_or(|found| found == whole));
    }
}

#[test]
fn what_is_nowhere_is_seen_without_unpacking() {
    let lines: Vec<String> = (0..3000u64)
        .map(|n| {
            format!(
                r#"{{"level":"info","trace":"{:032x}","user":{},"msg":"user signed in"}}"#,
                u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_0000_1234_5678_9abd),
                n * 37 % 50_000
            )
        })
        .collect();
    let rows: Vec<Row<'_>> = lines.iter().enumerate().map(|(n, line)| Row { time: n as i64 * 1_000_000, line, metadata: "" }).collect();
    let block = encode(&rows).unwrap();
    for absent in ["needle-7f3a9c", "edle-7f3a", "\"level\":\"error\"", "00112233445566778899aabbccddeeff", "signed out"] {
        assert!(!may_have(&block, absent), "{absent}");
    }
    let raw: usize = lines.iter().map(String::len).sum();
    assert!(block.bytes.len() * 4 < raw, "{} of {raw}", block.bytes.len());
}
