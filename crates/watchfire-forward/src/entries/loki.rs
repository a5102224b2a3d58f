//! Lines as a request of Loki's push: protobuf in one snappy block, streams in the order in which they come first. No sockets.
//!
//! PushRequest { 1: Stream* }, Stream { 1: labels, 2: Entry* }, Entry { 1: Timestamp, 2: line, 3: structured metadata* },
//! Timestamp { 1: seconds, 2: nanoseconds }, a pair of metadata { 1: name, 2: value }.

use std::collections::HashMap;

use bytes::Bytes;
use watchfire_model::labels::Labels;

use super::outcome::Item;

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_number(out: &mut Vec<u8>, field: u64, value: u64) {
    if value != 0 {
        put_varint(out, field << 3);
        put_varint(out, value);
    }
}

fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_varint(out, (field << 3) | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// The body of a request.
pub(super) fn encode(items: &[Item]) -> Bytes {
    let mut streams: Vec<(&Labels, Vec<u8>)> = Vec::new();
    let mut places: HashMap<&Labels, usize> = HashMap::new();
    for item in items {
        let place = *places.entry(&item.labels).or_insert(streams.len());
        if place == streams.len() {
            let mut begin = Vec::new();
            put_bytes(&mut begin, 1, item.labels.to_string().as_bytes());
            streams.push((&item.labels, begin));
        }
        put_bytes(&mut streams[place].1, 2, &entry(item));
    }
    let mut message = Vec::new();
    streams.iter().for_each(|(_, stream)| put_bytes(&mut message, 1, stream));
    match snap::raw::Encoder::new().compress_vec(&message) {
        Ok(block) => block.into(),
        Err(error) => unreachable!("BUG: a batch of {} bytes cannot be compressed: {error}", message.len()),
    }
}

fn entry(item: &Item) -> Vec<u8> {
    let mut time = Vec::new();
    put_number(&mut time, 1, item.time.0.div_euclid(1_000_000_000).cast_unsigned());
    put_number(&mut time, 2, item.time.0.rem_euclid(1_000_000_000).cast_unsigned());
    let mut out = Vec::with_capacity(item.line.len() + 32);
    put_bytes(&mut out, 1, &time);
    put_bytes(&mut out, 2, item.line.as_bytes());
    for (name, value) in &item.metadata {
        let mut pair = Vec::new();
        put_bytes(&mut pair, 1, name.as_bytes());
        put_bytes(&mut pair, 2, value.as_bytes());
        put_bytes(&mut out, 3, &pair);
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use watchfire_ingest::loki;
    use watchfire_model::batch::Origin;
    use watchfire_model::logs::Nanos;

    use super::*;

    proptest! {
        /// What we send is what our own receiver reads.
        #[test]
        fn a_receiver_reads_what_is_sent(raw in proptest::collection::vec((".{0,8}", any::<i64>(), ".{0,60}", ".{0,8}"), 1..30)) {
            let items: Vec<Item> = raw
                .iter()
                .map(|(label, time, line, metadata)| Item {
                    labels: Labels::from_pairs([("job", "a"), ("value", label)]),
                    time: Nanos(*time),
                    line: line.clone(),
                    metadata: Labels::from_pairs([("m", metadata)]),
                    point: None,
                })
                .collect();
            let body = snap::raw::Decoder::new().decompress_vec(&encode(&items)).unwrap();
            let decoded = loki::decode(loki::Format::Protobuf, &body, Origin::new("t")).unwrap();
            let mut found: Vec<_> = decoded.batch.logs.iter().flat_map(|s| s.entries.iter().map(|e| (s.labels.to_string(), e.time.0, e.line.to_string(), e.metadata.to_string()))).collect();
            let mut sent: Vec<_> = items.iter().map(|i| (i.labels.to_string(), i.time.0, i.line.clone(), i.metadata.to_string())).collect();
            found.sort();
            sent.sort();
            prop_assert_eq!(found, sent);
        }
    }
}
