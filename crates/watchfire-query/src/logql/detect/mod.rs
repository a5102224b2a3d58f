//! What is in logs that nobody has described: the patterns of lines, the fields of lines with their types, and which labels tell
//! streams apart. For helping who asks, not for counting: fields are looked for in some of the lines.

mod fields;
mod labels;
mod patterns;

pub use fields::{DetectedField, FieldType, FieldsRequest, detected_field_values, detected_fields};
pub use labels::{DetectedLabel, detected_labels};
pub use patterns::{LinePattern, patterns};
