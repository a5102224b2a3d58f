//! The protobuf wire format, both ways, by hand: the few messages of Prometheus' protocols are hot paths and small.
//! But for two small messages that all of them share (`shared`) it knows none: who reads names the fields it wants and passes over the others, who writes says field by field
//! what it has. Readers borrow from their input; nothing is allocated by a declared length.

mod read;
mod shared;
#[cfg(test)]
mod tests;
mod write;

pub use read::{Message, Value, WireError, doubles, numbers, signed, text};
pub use shared::{bucket_span, label_pair};
pub use write::Writer;
