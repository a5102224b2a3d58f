//! Markdown tables of what was measured of several servers, with the ratios of ours to the others.

use std::time::Duration;

/// Says on the side how far a benchmark has come.
pub fn progress(benchmark: &str, what: &str) {
    eprintln!("{benchmark}: {what}");
}

/// What was not done must be seen among the tables.
pub fn skipped(what: &str) {
    println!("SKIPPED: {what}\n");
}

/// Milliseconds.
pub fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The value in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The machine: processors and load.
pub fn machine() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{cpus} processors, load at the end {}", load.split(' ').take(3).collect::<Vec<_>>().join(" "))
}

/// Enough digits to read, no more.
pub fn number(value: f64) -> String {
    match value.abs() {
        v if !v.is_finite() => "–".to_owned(),
        v if v >= 10_000.0 => {
            let text = format!("{value:.0}");
            let mut out = String::new();
            for (i, c) in text.chars().enumerate() {
                if i > 0 && (text.len() - i).is_multiple_of(3) {
                    out.push(',');
                }
                out.push(c);
            }
            out
        }
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        0.0 => "0".to_owned(),
        _ => format!("{value:.3}"),
    }
}

/// Tables with a column for each server and one for each ratio.
pub struct Table {
    names: Vec<&'static str>,
    ours: &'static str,
    text: String,
}

impl Table {
    /// Tables about these servers, one of which may be ours.
    pub fn new(names: Vec<&'static str>, ours: &'static str) -> Table {
        Table { names, ours, text: String::new() }
    }

    /// The servers that ours is compared with.
    fn others(&self) -> Vec<usize> {
        let all = 0..self.names.len();
        if self.names.contains(&self.ours) { all.filter(|i| self.names[*i] != self.ours).collect() } else { Vec::new() }
    }

    /// Text between the tables.
    pub fn text(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Begins a table.
    pub fn head(&mut self, title: &str) {
        let ratios = self.others().into_iter().map(|i| format!("us / {}", self.names[i]));
        let all: Vec<String> = self.names.iter().map(|n| (*n).to_owned()).chain(ratios).collect();
        let lines = "---|".repeat(all.len());
        self.text.push_str(&format!("\n| {title} | {} |\n|---|{lines}\n", all.join(" | ")));
    }

    /// Adds a row with a value of each server; what is not a number was not measured.
    pub fn row(&mut self, title: &str, values: &[f64]) {
        let of = |i: usize| values.get(i).copied().unwrap_or(f64::NAN);
        let ours = self.names.iter().position(|n| *n == self.ours).map_or(f64::NAN, of);
        let mut cells: Vec<String> = (0..self.names.len()).map(|i| number(of(i))).collect();
        cells.extend(self.others().into_iter().map(|i| {
            let ratio = ours / of(i);
            if ratio.is_finite() { format!("**{ratio:.2}**") } else { "–".to_owned() }
        }));
        self.text.push_str(&format!("| {title} | {} |\n", cells.join(" | ")));
    }

    /// Everything.
    pub fn finish(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [(0.0, "0"), (0.12345, "0.123"), (12.34, "12.3"), (1234.5, "1234"), (1_234_567.0, "1,234,567"), (f64::NAN, "–")] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn ours_is_divided_by_the_others() {
        let mut table = Table::new(vec!["a", "us"], "us");
        table.head("x");
        table.row("r", &[2.0, 1.0]);
        table.row("none", &[f64::NAN, 1.0]);
        assert_eq!(table.finish(), "\n| x | a | us | us / a |\n|---|---|---|---|\n| r | 2.000 | 1.000 | **0.50** |\n| none | – | 1.000 | – |\n");
        let mut alone = Table::new(vec!["us"], "us");
        alone.row("r", &[1.0]);
        assert_eq!(alone.finish(), "| r | 1.000 |\n");
    }
}
