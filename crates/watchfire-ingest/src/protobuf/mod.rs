//! The protobuf wire format, both ways, by hand: the few messages of Prometheus' protocols are hot paths and small.
//! It knows no message: who reads names the fields it wants and passes over the others, who writes says field by field
//! what it has. Readers borrow from their input; nothing is allocated by a declared length.

mod read;
#[cfg(test)]
mod tests;
mod write;

pub use read::{Message, Value, WireError, doubles, numbers, signed, text};
pub use write::Writer;
