//! The windows of one chunk of a tier to bytes and back, bit for bit: one column per figure, each packed as a chunk's float
//! values are, or said to be the same as an earlier one (the last value of a counter is its greatest).

use watchfire_model::windows::Window;

use super::values::{self, Scratch};
use crate::encoding::Input;

/// The kind of values that says "windows".
pub(super) const KIND: u8 = 5;

/// A column follows. Another number n says: the same as column n − 1.
const OWN: u8 = 0;

/// The columns in their order in the file.
const COLUMNS: usize = 9;

fn columns(window: &Window) -> [u64; COLUMNS] {
    let offset = |time: i64| time.wrapping_sub(window.start) as f64;
    let figures = [
        window.count.into(),
        offset(window.first_time),
        offset(window.last_time),
        window.first,
        window.last,
        window.min,
        window.max,
        window.sum,
        window.correction,
    ];
    figures.map(f64::to_bits)
}

/// Appends the values of a chunk.
pub(super) fn encode(out: &mut Vec<u8>, windows: &[Window], scratch: &mut Scratch) {
    out.push(KIND);
    let mut all: [Vec<u64>; COLUMNS] = Default::default();
    for window in windows {
        all.iter_mut().zip(columns(window)).for_each(|(column, bits)| column.push(bits));
    }
    for (number, column) in all.iter().enumerate() {
        match all[..number].iter().position(|earlier| earlier == column) {
            Some(same) => out.push(same as u8 + 1),
            None => {
                out.push(OWN);
                values::encode(out, column, scratch);
            }
        }
    }
}

/// Reads the windows that begin at these times; the kind has been read. `None` on nonsense.
pub(super) fn decode(input: &mut Input<'_>, starts: &[i64], scratch: &mut Scratch) -> Option<Vec<Window>> {
    let mut all: Vec<Vec<u64>> = Vec::with_capacity(COLUMNS);
    for _ in 0..COLUMNS {
        let column = match input.u8()? {
            OWN => {
                let mut column = Vec::new();
                values::decode(input, starts.len(), &mut column, scratch)?;
                column
            }
            same => all.get(usize::from(same) - 1)?.clone(),
        };
        all.push(column);
    }
    let window = |(at, start): (usize, &i64)| {
        let figure = |column: usize| Some(f64::from_bits(*all.get(column)?.get(at)?));
        let time = |column: usize| Some(start.wrapping_add(figure(column)? as i64));
        Some(Window {
            start: *start,
            count: figure(0)? as u32,
            first_time: time(1)?,
            last_time: time(2)?,
            first: figure(3)?,
            last: figure(4)?,
            min: figure(5)?,
            max: figure(6)?,
            sum: figure(7)?,
            correction: figure(8)?,
        })
    };
    starts.iter().enumerate().map(window).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use watchfire_model::windows::reduce;

    proptest! {
        #[test]
        fn windows_survive(raw in proptest::collection::vec((1i64..9000, any::<u64>(), any::<bool>()), 1..200), resolution in 1i64..100_000) {
            let mut time = -40_000;
            let (times, values): (Vec<i64>, Vec<f64>) = raw.iter().map(|(gap, bits, whole)| {
                time += gap;
                (time, if *whole { (bits % 1000) as f64 } else { f64::from_bits(*bits) })
            }).unzip();
            let windows = reduce(&times, &values, resolution);
            let starts: Vec<i64> = windows.iter().map(|w| w.start).collect();
            let mut out = Vec::new();
            encode(&mut out, &windows, &mut Scratch::default());
            let mut input = Input::new(&out[1..]);
            prop_assert_eq!(decode(&mut input, &starts, &mut Scratch::default()).unwrap(), windows);
            prop_assert!(input.is_empty());
        }
        #[test]
        fn nonsense_does_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), count in 1usize..300) {
            let _ignored = decode(&mut Input::new(&bytes), &vec![0; count], &mut Scratch::default());
        }
    }
}
