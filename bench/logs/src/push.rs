//! Loki's push requests: protobuf in a snappy block.

/// A request under way.
#[derive(Default)]
pub(crate) struct Push {
    raw: Vec<u8>,
    stream: Vec<u8>,
    entry: Vec<u8>,
}

pub(crate) const HEADERS: &str = "Content-Type: application/x-protobuf\r\n";

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A field that has a length.
fn field(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    varint(out, number << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

impl Push {
    /// Begins a stream.
    pub(crate) fn stream(&mut self, labels: &str) {
        self.end_stream();
        field(&mut self.stream, 1, labels.as_bytes());
    }

    /// Adds an entry to the stream that was begun last.
    pub(crate) fn entry(&mut self, time_ms: i64, line: &str) {
        self.entry.clear();
        let mut time = Vec::with_capacity(16);
        varint(&mut time, 1 << 3);
        varint(&mut time, time_ms.div_euclid(1_000) as u64);
        varint(&mut time, 2 << 3);
        varint(&mut time, (time_ms.rem_euclid(1_000) * 1_000_000) as u64);
        field(&mut self.entry, 1, &time);
        field(&mut self.entry, 2, line.as_bytes());
        field(&mut self.stream, 2, &self.entry);
    }

    fn end_stream(&mut self) {
        if !self.stream.is_empty() {
            field(&mut self.raw, 1, &self.stream);
            self.stream.clear();
        }
    }

    /// The body; what comes next begins another one.
    pub(crate) fn finish(&mut self) -> anyhow::Result<Vec<u8>> {
        self.end_stream();
        let packed = snap::raw::Encoder::new().compress_vec(&self.raw)?;
        self.raw.clear();
        Ok(packed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_those_of_loki() {
        let mut push = Push::default();
        push.stream("{a=\"b\"}");
        push.entry(1_500, "x");
        let raw = snap::raw::Decoder::new().decompress_vec(&push.finish().unwrap()).unwrap();
        let expected: &[&[u8]] = &[&[0x0a, 24, 0x0a, 7], b"{a=\"b\"}", &[0x12, 13, 0x0a, 8, 8, 1, 16, 0x80, 0xca, 0xb5, 0xee, 1, 0x12, 1], b"x"];
        assert_eq!(raw, expected.concat());
        assert_eq!(push.finish().unwrap(), snap::raw::Encoder::new().compress_vec(&[]).unwrap());
    }
}
