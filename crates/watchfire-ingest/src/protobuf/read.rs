//! Reading: tags, varints, fixed words and length-delimited bytes, borrowed from the input. Lists of numbers may be packed
//! or not, as the format allows.

/// Why bytes are not protobuf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The input ends within a value.
    #[error("it ends within a field")]
    Truncated,
    /// A variable-length number has more than 64 bits.
    #[error("a number has more than 64 bits")]
    Varint,
    /// A group, or a type that does not exist.
    #[error("field {0} has wire type {1}, which is not used here")]
    WireType(u64, u8),
    /// Text that is not UTF-8.
    #[error("a text is not UTF-8")]
    Utf8,
    /// A field has number 0.
    #[error("a field has number 0")]
    Tag,
    /// A field has a value of another kind than its message says.
    #[error("a list has values of a kind that it cannot have")]
    Kind,
}

/// One value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// A variable-length number.
    Varint(u64),
    /// Eight bytes.
    Fixed64(u64),
    /// Four bytes.
    Fixed32(u32),
    /// A text, bytes, a message or a packed list.
    Bytes(&'a [u8]),
}

/// The fields of a message, one after the other. After an error it ends.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    rest: &'a [u8],
}
impl<'a> Message<'a> {
    /// The fields of these bytes.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Message<'a> {
        Message { rest: bytes }
    }
    /// A message with its length in front, as streams have them; `None` at the end. After an error it ends.
    pub fn delimited(&mut self) -> Option<Result<&'a [u8], WireError>> {
        if self.rest.is_empty() {
            return None;
        }
        let read = self.varint().and_then(|len| self.bytes(usize::try_from(len).map_err(|_| WireError::Truncated)?));
        if read.is_err() {
            self.rest = &[];
        }
        Some(read)
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, WireError> {
        // Most numbers of this protocol are one byte: tags and short lengths.
        if let [first, rest @ ..] = self.rest
            && *first < 0x80
        {
            self.rest = rest;
            return Ok(u64::from(*first));
        }
        let mut value = 0u64;
        for (i, byte) in self.rest.iter().enumerate() {
            if i == 9 && *byte > 1 {
                return Err(WireError::Varint);
            }
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte & 0x80 == 0 {
                self.rest = self.rest.get(i + 1..).unwrap_or(&[]);
                return Ok(value);
            }
        }
        Err(WireError::Truncated)
    }

    #[inline]
    fn bytes(&mut self, len: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn field(&mut self) -> Result<(u64, Value<'a>), WireError> {
        let tag = self.varint()?;
        let number = tag >> 3;
        if number == 0 {
            return Err(WireError::Tag);
        }
        let value = match (tag & 7) as u8 {
            0 => Value::Varint(self.varint()?),
            1 => {
                let mut word = [0u8; 8];
                word.copy_from_slice(self.bytes(8)?);
                Value::Fixed64(u64::from_le_bytes(word))
            }
            2 => {
                let len = usize::try_from(self.varint()?).map_err(|_| WireError::Truncated)?;
                Value::Bytes(self.bytes(len)?)
            }
            5 => {
                let mut word = [0u8; 4];
                word.copy_from_slice(self.bytes(4)?);
                Value::Fixed32(u32::from_le_bytes(word))
            }
            other => return Err(WireError::WireType(number, other)),
        };
        Ok((number, value))
    }
}
impl<'a> Iterator for Message<'a> {
    type Item = Result<(u64, Value<'a>), WireError>;
    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// A zigzag number as the signed one that it stands for.
#[inline]
pub fn signed(zigzag: u64) -> i64 {
    (zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed()
}

/// Gives the numbers of one field of a list of varints: a packed run or a single one.
#[inline]
pub fn numbers(value: Value<'_>, mut take: impl FnMut(u64)) -> Result<(), WireError> {
    match value {
        Value::Varint(number) => take(number),
        Value::Bytes(packed) => {
            let mut run = Message::new(packed);
            while !run.rest.is_empty() {
                take(run.varint()?);
            }
        }
        _ => return Err(WireError::Kind),
    }
    Ok(())
}

/// Gives the floats of one field of a list of doubles: a packed run or a single one.
pub fn doubles(value: Value<'_>, mut take: impl FnMut(f64)) -> Result<(), WireError> {
    match value {
        Value::Fixed64(bits) => take(f64::from_bits(bits)),
        Value::Bytes(packed) => {
            let (words, rest) = packed.as_chunks::<8>();
            if !rest.is_empty() {
                return Err(WireError::Truncated);
            }
            words.iter().for_each(|word| take(f64::from_le_bytes(*word)));
        }
        _ => return Err(WireError::Kind),
    }
    Ok(())
}

/// Bytes as text.
#[inline]
pub fn text(bytes: &[u8]) -> Result<&str, WireError> {
    std::str::from_utf8(bytes).map_err(|_| WireError::Utf8)
}
