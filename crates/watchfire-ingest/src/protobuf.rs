//! The protobuf wire format: tags, varints, fixed words and length-delimited bytes, borrowed from the input.
//! It knows no message; unknown fields are passed over by whoever reads.

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
}

/// One value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32,
    Bytes(&'a [u8]),
}

/// The fields of a message, one after the other. After an error it ends.
pub(crate) struct Message<'a> {
    rest: &'a [u8],
}
impl<'a> Message<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Message<'a> {
        Message { rest: bytes }
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
                self.bytes(4)?;
                Value::Fixed32
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

/// Bytes as text.
#[inline]
pub(crate) fn text(bytes: &[u8]) -> Result<&str, WireError> {
    std::str::from_utf8(bytes).map_err(|_| WireError::Utf8)
}
