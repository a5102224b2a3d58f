//! OpenMetrics text with timestamps. The file is read piece by piece, each piece with the last `# TYPE` line before it, so that
//! its size does not matter.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Result, bail};
use watchfire_ingest::exposition::Entry;
use watchfire_ingest::openmetrics::Parser;
use watchfire_model::batch::Metadata;
use watchfire_model::labels::Labels;
use watchfire_model::sample::Sample;

use super::Counts;
use super::target::Target;

/// Lines are parsed when there are this many bytes of them.
const PIECE_BYTES: usize = 4 << 20;
const END: &str = "# EOF\n";

/// Imports a text.
pub(super) fn import(path: &Path, target: &mut Target, counts: &mut Counts) -> Result<()> {
    let mut input = BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut piece = Piece::default();
    let mut line = String::new();
    loop {
        line.clear();
        if input.read_line(&mut line)? == 0 {
            bail!("the text does not end with # EOF");
        }
        if line.trim_end() == END.trim_end() {
            piece.parse(target, counts)?;
            line.clear();
            if input.read_line(&mut line)? > 0 {
                bail!("line {}: there is data after # EOF", piece.first_line);
            }
            return Ok(());
        }
        piece.text.push_str(&line);
        if line.starts_with("# TYPE ") {
            piece.last_type.clone_from(&line);
        }
        if piece.text.len() >= PIECE_BYTES {
            piece.parse(target, counts)?;
        }
    }
}

/// Lines that wait to be parsed.
struct Piece {
    text: String,
    /// Where in the file they begin.
    first_line: usize,
    /// How many lines stand before them that were there before.
    repeated: usize,
    last_type: String,
    families: HashMap<String, Metadata>,
}
impl Default for Piece {
    fn default() -> Piece {
        Piece { text: String::new(), first_line: 1, repeated: 0, last_type: String::new(), families: HashMap::new() }
    }
}

impl Piece {
    fn parse(&mut self, target: &mut Target, counts: &mut Counts) -> Result<()> {
        self.text.push_str(END);
        let (first_line, repeated) = (self.first_line, self.repeated);
        // Samples of one series stand together mostly; they become one write.
        let mut pending: Option<(&str, Labels, Vec<Sample>)> = None;
        for entry in Parser::new(&self.text) {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => bail!("line {}, column {}: {}", first_line + error.line - 1 - repeated, error.column, error.kind),
            };
            let sample = match entry {
                Entry::Sample(sample) => sample,
                Entry::Type { family, kind } => {
                    note(&mut self.families, &family).kind = kind;
                    continue;
                }
                Entry::Help { family, help } => {
                    note(&mut self.families, &family).help = (&*help).into();
                    continue;
                }
                Entry::Unit { family, unit } => {
                    note(&mut self.families, &family).unit = unit.into();
                    continue;
                }
            };
            let Some(time) = sample.time else {
                counts.refuse("no timestamp", 1, || sample.series.to_owned());
                continue;
            };
            let one = Sample { time, value: sample.value };
            match &mut pending {
                Some((key, _, samples)) if *key == sample.series => samples.push(one),
                _ => {
                    let labels = sample.labels()?;
                    if let Some((_, labels, samples)) = pending.replace((sample.series, labels, vec![one])) {
                        target.add(&labels, samples, Vec::new(), counts)?;
                    }
                }
            }
        }
        if let Some((_, labels, samples)) = pending {
            target.add(&labels, samples, Vec::new(), counts)?;
        }
        target.describe(self.families.drain().map(|(_, metadata)| metadata));
        self.first_line += self.text.lines().count() - 1 - self.repeated;
        self.text.clone_from(&self.last_type);
        self.repeated = usize::from(!self.last_type.is_empty());
        Ok(())
    }
}

fn note<'a>(families: &'a mut HashMap<String, Metadata>, family: &str) -> &'a mut Metadata {
    families.entry(family.to_owned()).or_insert_with(|| Metadata {
        family: family.into(),
        kind: watchfire_model::batch::MetricType::Unknown,
        help: "".into(),
        unit: "".into(),
    })
}
