//! Writing: fields into a buffer that is used again. Fields with their default value are left out, as proto3 does;
//! `always_…` writes them all the same, for members of a `oneof`.

/// The wire types that are written.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

/// A message in the making.
#[derive(Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
}
impl Writer {
    /// An empty message.
    pub fn new() -> Writer {
        Writer::default()
    }
    /// What is written so far.
    pub fn bytes(&self) -> &[u8] {
        &self.out
    }
    /// The message; its buffer goes with it.
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }
    /// The length so far, in bytes.
    pub fn len(&self) -> usize {
        self.out.len()
    }
    /// Whether nothing is written yet.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }
    /// Forgets what is written and keeps the buffer.
    pub fn clear(&mut self) {
        self.out.clear();
    }
    /// Appends what another writer has, field by field.
    pub fn append(&mut self, other: &Writer) {
        self.out.extend_from_slice(&other.out);
    }

    /// A number without a field, such as an item of a packed list or a length in front of a message.
    #[inline]
    pub fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.out.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }
    /// A signed number in zigzag form without a field.
    #[inline]
    pub fn zigzag(&mut self, value: i64) {
        self.varint((value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned());
    }
    #[inline]
    fn tag(&mut self, field: u32, wire_type: u64) {
        self.varint(u64::from(field) << 3 | wire_type);
    }

    /// A number.
    #[inline]
    pub fn uint(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.always_uint(field, value);
        }
    }
    /// A number that is written even when it is 0.
    pub fn always_uint(&mut self, field: u32, value: u64) {
        self.tag(field, VARINT);
        self.varint(value);
    }
    /// An `int64` or `int32`.
    #[inline]
    pub fn int(&mut self, field: u32, value: i64) {
        self.uint(field, value.cast_unsigned());
    }
    /// A `sint64` or `sint32`.
    pub fn sint(&mut self, field: u32, value: i64) {
        if value != 0 {
            self.tag(field, VARINT);
            self.zigzag(value);
        }
    }
    /// A float; `-0.0` is not the default.
    #[inline]
    pub fn double(&mut self, field: u32, value: f64) {
        if value.to_bits() != 0 {
            self.always_double(field, value);
        }
    }
    /// A float that is written even when it is 0.
    #[inline]
    pub fn always_double(&mut self, field: u32, value: f64) {
        self.tag(field, FIXED64);
        self.out.extend_from_slice(&value.to_bits().to_le_bytes());
    }
    /// A `fixed64`; zero is left out.
    pub fn fixed64(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.tag(field, FIXED64);
            self.out.extend_from_slice(&value.to_le_bytes());
        }
    }
    /// A `fixed32`; zero is left out.
    pub fn fixed32(&mut self, field: u32, value: u32) {
        if value != 0 {
            self.tag(field, FIXED32);
            self.out.extend_from_slice(&value.to_le_bytes());
        }
    }
    /// A text; an empty one is left out.
    #[inline]
    pub fn text(&mut self, field: u32, text: &str) {
        if !text.is_empty() {
            self.always_bytes(field, text.as_bytes());
        }
    }
    /// Bytes, or an item of a list of texts, which is there even when it is empty.
    #[inline]
    pub fn always_bytes(&mut self, field: u32, bytes: &[u8]) {
        self.tag(field, BYTES);
        self.varint(bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }
    /// A message within, or a packed list. What `fill` writes is its content; it is there even when it is empty.
    #[inline]
    pub fn message(&mut self, field: u32, fill: impl FnOnce(&mut Writer)) {
        self.tag(field, BYTES);
        // Nearly all are shorter than 128 bytes: one byte for the length, and room is made for the others afterwards.
        let start = self.out.len();
        self.out.push(0);
        fill(self);
        let len = self.out.len() - start - 1;
        if let (0..0x80, Some(place)) = (len, self.out.get_mut(start)) {
            *place = len as u8;
            return;
        }
        let mut length = Writer::new();
        length.varint(len as u64);
        self.out.splice(start..=start, length.out);
    }
    /// A packed list of whole numbers; an empty one is left out.
    pub fn packed(&mut self, field: u32, values: impl Iterator<Item = u64> + Clone) {
        if values.clone().next().is_some() {
            self.message(field, |list| values.for_each(|v| list.varint(v)));
        }
    }
    /// A packed list of signed numbers; an empty one is left out.
    pub fn packed_signed(&mut self, field: u32, values: impl Iterator<Item = i64> + Clone) {
        if values.clone().next().is_some() {
            self.message(field, |list| values.for_each(|v| list.zigzag(v)));
        }
    }
    /// A packed list of floats; an empty one is left out.
    pub fn packed_doubles(&mut self, field: u32, values: &[f64]) {
        if !values.is_empty() {
            self.message(field, |list| values.iter().for_each(|v| list.out.extend_from_slice(&v.to_bits().to_le_bytes())));
        }
    }
}
