//! The stage that finds values in the message of a Windows event: lines of a name, a colon and a value.

use std::collections::BTreeMap;

use serde_json::Value;
use watchfire_model::labels::is_classic_label_name;

use super::{Step, Surroundings, Verdict};
use crate::logs::Entry;

/// Finds values in a message.
#[derive(Clone, Debug)]
pub struct EventMessage {
    /// The extracted value that is the message.
    pub source: String,
    /// Whether names that could be no label's are left out; else what they may not have becomes `_`.
    pub drop_invalid: bool,
    /// Whether what is extracted already is written over; else the new value has `_extracted` behind its name.
    pub overwrite: bool,
}
impl EventMessage {
    fn find(&self, message: &str) -> Vec<(String, String)> {
        let pair = |line: &str| {
            let (name, value) = line.split_once(':')?;
            let name = name.trim();
            let kept = match is_classic_label_name(name) {
                true => name.to_owned(),
                false if self.drop_invalid || name.is_empty() => return None,
                false => as_label_name(name),
            };
            Some((kept, value.trim().to_owned()))
        };
        message.lines().filter_map(pair).collect()
    }
}
impl Step for EventMessage {
    fn name(&self) -> &'static str {
        "eventlogmessage"
    }
    fn apply(&self, entry: &mut Entry, around: &Surroundings<'_>) -> Verdict {
        let Some(message) = entry.text(&self.source) else {
            around.figures.stage_failed("eventlogmessage");
            return Verdict::Keep;
        };
        let before: BTreeMap<String, Value> = entry.extracted.clone();
        for (name, value) in self.find(&message) {
            let taken = !self.overwrite && before.contains_key(&name);
            entry.extracted.insert(if taken { name + "_extracted" } else { name }, Value::String(value));
        }
        Verdict::Keep
    }
}

fn as_label_name(name: &str) -> String {
    let safe: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if safe.starts_with(|c: char| c.is_ascii_digit()) { format!("_{safe}") } else { safe }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_of_a_message() {
        let check = |drop_invalid: bool, message: &str, expected: &[(&str, &str)]| {
            let found = EventMessage { source: "message".into(), drop_invalid, overwrite: false }.find(message);
            let found: Vec<(&str, &str)> = found.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            assert_eq!(found, expected, "{message:?}");
        };
        let message = "A service was started.\r\nName: x\r\nStart time: 10:30\r\n\t2nd:\tv\r\n:\r\n";
        check(false, message, &[("Name", "x"), ("Start_time", "10:30"), ("_2nd", "v")]);
        check(true, message, &[("Name", "x")]);
        check(false, "", &[]);
    }
}
