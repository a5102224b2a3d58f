//! What one execution may cost: steps, nesting, bytes made. It only counts; the engine asks it before it goes on.

use super::print::TEXT_RESULT_BYTES_MAX;
use super::value::Value;

/// Nodes and calls of one execution.
pub(super) const STEPS_MAX: u64 = 1_000_000;
/// Blocks, calls and parentheses that are open at once: a stack of 2 MiB holds them also without optimisation.
pub(super) const NESTING_MAX: usize = 160;
/// Bytes of all texts and lists that were made and written. Variables hold nothing else beside the data, so it bounds them, too.
pub(super) const MADE_BYTES_MAX: usize = 64 << 20;
/// So many bytes of text that a function reads count as a step.
const BYTES_PER_STEP: usize = 256;
/// What an element of a list or a map takes, about.
const ELEMENT_BYTES: usize = 64;

/// Which limit was reached.
pub(super) type Reached = &'static str;

/// The counters of one execution.
#[derive(Default)]
pub(super) struct Meter {
    pub(super) steps: u64,
    nesting: usize,
    made: usize,
}

impl Meter {
    pub(super) fn step(&mut self) -> Result<(), Reached> {
        self.steps += 1;
        if self.steps > STEPS_MAX { Err("it takes too many steps") } else { Ok(()) }
    }

    /// Texts that a function is about to read.
    pub(super) fn read(&mut self, arguments: &[Value]) -> Result<(), Reached> {
        let bytes: usize = arguments.iter().filter_map(Value::as_text).map(str::len).sum();
        self.steps += (bytes / BYTES_PER_STEP) as u64;
        if self.steps > STEPS_MAX { Err("it takes too many steps") } else { Ok(()) }
    }

    /// A value that a function has made.
    pub(super) fn made(&mut self, value: &Value) -> Result<(), Reached> {
        if value.as_text().is_some_and(|text| text.len() > TEXT_RESULT_BYTES_MAX) {
            return Err("it makes a text that is too long");
        }
        self.bytes(weight(value, MADE_BYTES_MAX.saturating_sub(self.made)))
    }

    /// A list of values that were there before.
    pub(super) fn listed(&mut self, value: &Value) -> Result<(), Reached> {
        self.bytes(match value {
            Value::List(list) => list.items.len() * ELEMENT_BYTES,
            Value::Map(map) => map.entries.len() * ELEMENT_BYTES,
            Value::Text(text) | Value::Html(text) => text.len(),
            _ => 0,
        })
    }

    pub(super) fn bytes(&mut self, count: usize) -> Result<(), Reached> {
        self.made = self.made.saturating_add(count);
        if self.made > MADE_BYTES_MAX { Err("it makes too much text") } else { Ok(()) }
    }

    /// Opens a block, a call or parentheses, which [`Meter::leave`] closes.
    pub(super) fn enter(&mut self) -> Result<(), Reached> {
        if self.nesting >= NESTING_MAX {
            return Err("its blocks and templates go too deeply into each other");
        }
        self.nesting += 1;
        Ok(())
    }
    pub(super) fn leave(&mut self) {
        self.nesting -= 1;
    }
}

/// What a value takes, about; counting ends where it is more than `most`.
fn weight(value: &Value, most: usize) -> usize {
    let sum = |elements: &mut dyn Iterator<Item = (usize, &Value)>| {
        let mut total = 0usize;
        for (name, element) in elements {
            total = total.saturating_add(ELEMENT_BYTES + name);
            if total > most {
                break;
            }
            total = total.saturating_add(weight(element, most - total));
        }
        total
    };
    match value {
        Value::Text(text) | Value::Html(text) => text.len(),
        Value::List(list) => sum(&mut list.items.iter().map(|item| (0, item))),
        Value::Map(map) => sum(&mut map.entries.iter().map(|(name, item)| (name.len(), item))),
        Value::Record(record) => sum(&mut record.fields.iter().map(|(_, item)| (0, item))),
        _ => 0,
    }
}
