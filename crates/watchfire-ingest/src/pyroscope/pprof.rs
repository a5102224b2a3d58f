//! pprof files: samples of stacks with values of several types, and tables of what stacks are made of. Each set of labels of samples is
//! a series, each type of values a profile. What a file may cost is bounded before it is paid.

use std::borrow::Cow;

use hashbrown::HashMap;
use serde::Deserialize;
use watchfire_model::logs::Nanos;
use watchfire_model::profiles::{DEPTH_MAX, Frame, Frames, NewProfile, ProfileType, StackTree, key};
use watchfire_model::text::cut;

use super::name::UNKNOWN_SERVICE;
use super::series::{Gathering, Stop};
use super::{DecodeError, PushError};
use crate::protobuf::{Message, Value, WireError, numbers};

/// More of them has no file: texts, functions, places, samples.
const STRINGS_MAX: usize = 1 << 19;
const PLACES_MAX: usize = 1 << 19;
const SAMPLES_MAX: usize = 1 << 20;
/// More types of values than this has no file; heap profiles of Go have four.
const TYPES_MAX: usize = 32;
/// More different labels of samples than this has no file.
const SETS_MAX: usize = 1_024;
/// More labels than this has no sample.
const LABELS_MAX: usize = 64;
/// So many frames are looked at, all samples and types together.
const WORK_MAX: usize = 1 << 25;
/// So many nodes have all trees of a file together.
const NODES_MAX: usize = 1 << 20;
/// The longest name of a function or file; longer ones lose their end.
const NAME_BYTES_MAX: usize = 4 << 10;
/// Labels of samples that say to which span they belong.
const SPAN_LABELS: [&str; 2] = ["span_id", "profile_id"];

/// What is known of a file from elsewhere.
pub(super) struct Told<'a> {
    /// When it began, if its sender says so beside it.
    pub(super) time: Option<Nanos>,
    /// How long it was taken, likewise.
    pub(super) duration: Option<u64>,
    /// What its sender calls it.
    pub(super) id: &'a str,
    /// The first part of its type; empty where the types of its values say it.
    pub(super) metric: &'a str,
    /// The labels of all its series.
    pub(super) labels: &'a [(&'a str, &'a str)],
}

/// The types whose values go on from file to file, by the configuration that comes along.
pub(super) fn cumulative_types(config: &[u8]) -> Result<Vec<String>, DecodeError> {
    #[derive(Deserialize)]
    struct TypeJson {
        #[serde(default)]
        cumulative: bool,
    }
    let types: std::collections::HashMap<String, TypeJson> = serde_json::from_slice(config)?;
    Ok(types.into_iter().filter(|(_, kind)| kind.cumulative).map(|(name, _)| name).collect())
}

/// As much of a name as is kept.
pub(super) fn cut_name(name: &str) -> &str {
    cut(name, NAME_BYTES_MAX)
}

/// Reads a file, and the one before it where its values go on.
pub(super) fn read(new: &[u8], before: Option<(&[u8], &[String])>, told: &Told<'_>, gathering: &mut Gathering<'_>) -> Result<(), PushError> {
    let file = File::read(new)?;
    let before = before.map(|(bytes, cumulative)| Ok::<_, DecodeError>((File::read(bytes)?, cumulative))).transpose()?;
    let mut trees = Trees { frames: Frames::default(), sets: HashMap::new(), types: file.types.len(), work: 0, nodes: 0 };
    let mut outcome = trees.add_file(&file, 1, |_| true, gathering);
    if let (Ok(()), Some((before, cumulative))) = (&outcome, &before) {
        outcome = trees.add_file(before, -1, |at| file.types.get(at).is_some_and(|(kind, _)| cumulative.iter().any(|c| c == file.text(*kind))), gathering);
    }
    match outcome {
        Ok(()) => {}
        Err(Stop::Malformed(error)) => return Err(error.into()),
        Err(Stop::TooLarge(error)) => {
            gathering.refuse(1, &error);
            return Ok(());
        }
    }
    let time = told.time.unwrap_or(if file.time > 0 { Nanos(file.time) } else { gathering.now() });
    let duration = told.duration.filter(|duration| *duration > 0).unwrap_or(u64::try_from(file.duration).unwrap_or(0));
    let new = NewProfile { time, duration, period: u64::try_from(file.period).unwrap_or(0), id: told.id };
    let kinds = file.kinds(told.metric);
    let Trees { frames, sets, .. } = trees;
    for (set, trees) in sets {
        let mut labels: Vec<(&str, &str)> = told.labels.iter().copied().filter(|(name, _)| !set.iter().any(|(own, _)| own == name)).collect();
        labels.extend(&set);
        if !labels.iter().any(|(name, value)| *name == key::SERVICE && !value.is_empty()) {
            labels.push((key::SERVICE, UNKNOWN_SERVICE));
        }
        for (kind, tree) in kinds.iter().zip(&trees) {
            gathering.add(kind.borrowed().labels(&labels), &new, &frames, tree)?;
        }
    }
    Ok(())
}

/// A type whose parts may have been changed: a colon within one would make it another type.
struct Kind<'a>([Cow<'a, str>; 5]);
impl Kind<'_> {
    fn borrowed(&self) -> ProfileType<'_> {
        let [name, sample_type, sample_unit, period_type, period_unit] = &self.0;
        ProfileType { name, sample_type, sample_unit, period_type, period_unit }
    }
}

fn part<'a>(text: &'a str, otherwise: &'a str) -> Cow<'a, str> {
    match text {
        "" => otherwise.into(),
        text if text.contains(':') => text.replace(':', "_").into(),
        text => text.into(),
    }
}

/// The stacks of a file, by the labels of its samples and by type.
struct Trees<'s> {
    frames: Frames<'s>,
    sets: HashMap<Vec<(&'s str, &'s str)>, Vec<StackTree>>,
    types: usize,
    work: usize,
    nodes: usize,
}

/// One sample while it is read.
#[derive(Default)]
struct Sample<'s> {
    locations: Vec<u64>,
    values: Vec<i64>,
    labels: Vec<(&'s str, &'s str)>,
    span: Option<&'s str>,
}

impl<'s> Trees<'s> {
    /// Adds the samples of a file, or takes them back, for the types that are wanted.
    fn add_file(&mut self, file: &'s File<'_>, sign: i64, wanted: impl Fn(usize) -> bool, gathering: &mut Gathering<'_>) -> Result<(), Stop> {
        let mut numbers_of: HashMap<u64, Vec<u32>> = HashMap::with_capacity(file.places.len());
        let (mut sample, mut stack) = (Sample::default(), Vec::new());
        for bytes in &file.samples {
            file.sample(bytes, &mut sample)?;
            stack.clear();
            // Leaf first, as inlined calls stand in a place, too.
            for location in &sample.locations {
                let frames = match numbers_of.get(location) {
                    Some(frames) => frames,
                    None => {
                        let frames = file.frames(*location).map(|frame| self.frames.number(frame)).collect::<Result<Vec<u32>, _>>()?;
                        numbers_of.entry(*location).or_insert(frames)
                    }
                };
                self.work += frames.len() + 1;
                stack.extend(frames);
                if self.work > WORK_MAX {
                    return Err(DecodeError::TooMany("33554432 frames in all stacks").into());
                }
            }
            self.add_sample(&sample, &stack, sign, &wanted, gathering)?;
        }
        Ok(())
    }

    fn add_sample(
        &mut self,
        sample: &Sample<'s>,
        stack: &[u32],
        sign: i64,
        wanted: &impl Fn(usize) -> bool,
        gathering: &mut Gathering<'_>,
    ) -> Result<(), Stop> {
        if !self.sets.contains_key(&sample.labels) {
            if self.sets.len() >= SETS_MAX {
                return Err(DecodeError::TooMany("1024 different sets of labels").into());
            }
            self.sets.insert(sample.labels.clone(), vec![StackTree::default(); self.types]);
        }
        let Some(trees) = self.sets.get_mut(&sample.labels) else { return Ok(()) };
        for (at, value) in sample.values.iter().enumerate().take(self.types).filter(|(at, value)| **value != 0 && wanted(*at)) {
            let tree = &mut trees[at];
            let before = tree.nodes();
            let mut node = StackTree::ROOT;
            for frame in stack.iter().rev().take(DEPTH_MAX) {
                node = tree.callee(node, *frame)?;
            }
            self.work += stack.len();
            self.nodes += tree.nodes() - before;
            if self.work > WORK_MAX || self.nodes > NODES_MAX {
                return Err(DecodeError::TooMany("1048576 places in stacks, or 33554432 frames in all of them").into());
            }
            if sign > 0 {
                gathering.counted().sample(node, *value);
            }
            if node != StackTree::ROOT && *value > 0 {
                tree.add(node, value.saturating_mul(sign), sample.span);
            }
        }
        Ok(())
    }
}

/// A frame in a place: texts by their numbers, or the number of an address that has no name.
enum Line {
    Known { name: usize, file: usize, line: u32 },
    Unknown(usize),
}

/// A file with its tables read.
struct File<'a> {
    strings: Vec<Cow<'a, str>>,
    types: Vec<(u64, u64)>,
    period_type: (u64, u64),
    period: i64,
    time: i64,
    duration: i64,
    samples: Vec<&'a [u8]>,
    places: HashMap<u64, Vec<Line>>,
    unknown: Vec<String>,
}

impl<'a> File<'a> {
    /// Profile { 1: ValueType* type, 2: Sample*, 3: Mapping*, 4: Location*, 5: Function*, 6: text*, 9: time, 10: duration, 11: ValueType
    /// of the period, 12: period }.
    fn read(bytes: &'a [u8]) -> Result<File<'a>, DecodeError> {
        let mut file = File {
            strings: Vec::new(),
            types: Vec::new(),
            period_type: (0, 0),
            period: 0,
            time: 0,
            duration: 0,
            samples: Vec::new(),
            places: HashMap::new(),
            unknown: Vec::new(),
        };
        let (mut functions, mut mappings, mut locations) = (HashMap::new(), HashMap::new(), Vec::new());
        for field in Message::new(bytes) {
            match field? {
                (1, Value::Bytes(kind)) if file.types.len() < TYPES_MAX => file.types.push(value_type(kind)?),
                (1, _) => return Err(DecodeError::TooMany("32 types of values")),
                (2, Value::Bytes(sample)) if file.samples.len() < SAMPLES_MAX => file.samples.push(sample),
                (2, _) => return Err(DecodeError::TooMany("1048576 samples")),
                (3, Value::Bytes(mapping)) => {
                    let [id, name] = fields(mapping, [1, 5])?;
                    mappings.insert(id, name);
                }
                (4, Value::Bytes(location)) => locations.push(location),
                (5, Value::Bytes(function)) => {
                    let [id, name, system_name, file] = fields(function, [1, 2, 3, 4])?;
                    functions.insert(id, (if name == 0 { system_name } else { name }, file));
                }
                (6, Value::Bytes(text)) if file.strings.len() < STRINGS_MAX => file.strings.push(String::from_utf8_lossy(text)),
                (6, _) => return Err(DecodeError::TooMany("524288 texts")),
                (9, Value::Varint(time)) => file.time = time.cast_signed(),
                (10, Value::Varint(duration)) => file.duration = duration.cast_signed(),
                (11, Value::Bytes(kind)) => file.period_type = value_type(kind)?,
                (12, Value::Varint(period)) => file.period = period.cast_signed(),
                _ => {}
            }
            if functions.len() > PLACES_MAX || mappings.len() > PLACES_MAX || locations.len() > PLACES_MAX {
                return Err(DecodeError::TooMany("524288 functions or places"));
            }
        }
        if file.types.is_empty() && !bytes.is_empty() {
            return Err(DecodeError::Malformed("it is no pprof file: it names no type of values".to_owned()));
        }
        for location in locations {
            file.place(location, &functions, &mappings)?;
        }
        Ok(file)
    }

    /// Location { 1: id, 2: mapping, 3: address, 4: Line* { 1: function, 2: line } }, the innermost call first.
    fn place(&mut self, bytes: &[u8], functions: &HashMap<u64, (u64, u64)>, mappings: &HashMap<u64, u64>) -> Result<(), DecodeError> {
        let [id, mapping, address] = fields(bytes, [1, 2, 3])?;
        let mut lines = Vec::new();
        for field in Message::new(bytes) {
            let (4, Value::Bytes(line)) = field? else { continue };
            let [function, line] = fields(line, [1, 2])?;
            let known = functions.get(&function).filter(|(name, _)| !self.text(*name).is_empty());
            if let (Some((name, file)), true) = (known, lines.len() < DEPTH_MAX) {
                lines.push(Line::Known { name: *name as usize, file: *file as usize, line: u32::try_from(line).unwrap_or(0) });
            }
        }
        if lines.is_empty() {
            let binary = mappings.get(&mapping).map_or("", |name| self.text(*name));
            let binary = cut_name(binary.rsplit('/').next().unwrap_or(""));
            let name = if binary.is_empty() { format!("0x{address:x}") } else { format!("{binary} 0x{address:x}") };
            lines.push(Line::Unknown(self.unknown.len()));
            self.unknown.push(name);
        }
        self.places.insert(id, lines);
        Ok(())
    }

    fn text(&self, number: u64) -> &str {
        usize::try_from(number).ok().and_then(|number| self.strings.get(number)).map_or("", |text| text)
    }

    /// The frames of a place, innermost first.
    fn frames(&self, location: u64) -> impl Iterator<Item = Frame<'_>> {
        self.places.get(&location).into_iter().flatten().map(|line| match line {
            Line::Known { name, file, line } => Frame { name: cut_name(self.text(*name as u64)), file: cut_name(self.text(*file as u64)), line: *line },
            Line::Unknown(number) => Frame { name: self.unknown.get(*number).map_or("", String::as_str), file: "", line: 0 },
        })
    }

    /// Sample { 1: location*, 2: value*, 3: Label* { 1: key, 2: text, 3: number } }.
    fn sample<'s>(&'s self, bytes: &[u8], sample: &mut Sample<'s>) -> Result<(), DecodeError> {
        sample.locations.clear();
        sample.values.clear();
        sample.labels.clear();
        sample.span = None;
        for field in Message::new(bytes) {
            match field? {
                (1, value) => numbers(value, |location| sample.locations.push(location))?,
                (2, value) => numbers(value, |number| sample.values.push(number.cast_signed()))?,
                (3, Value::Bytes(label)) => {
                    let [name, value] = fields(label, [1, 2])?;
                    let (name, value) = (self.text(name), self.text(value));
                    // Numbers are no labels: each would make a series.
                    if name.is_empty() || value.is_empty() || sample.labels.len() >= LABELS_MAX {
                        continue;
                    }
                    if SPAN_LABELS.contains(&name) { sample.span = Some(value) } else { sample.labels.push((name, value)) }
                }
                _ => {}
            }
        }
        sample.labels.sort_unstable();
        sample.labels.dedup_by_key(|(name, _)| *name);
        Ok(())
    }

    /// The types of the values. A file that does not say what a sample was taken for has one for each value.
    fn kinds<'s>(&'s self, metric: &'s str) -> Vec<Kind<'s>> {
        let metric = if metric.is_empty() { self.metric() } else { metric };
        let period = (self.text(self.period_type.0), self.text(self.period_type.1));
        let kind = |(kind, unit): &(u64, u64)| {
            let own = (part(self.text(*kind), "samples"), part(self.text(*unit), "count"));
            let period = if period.0.is_empty() { own.clone() } else { (part(period.0, ""), part(period.1, "count")) };
            Kind([part(metric, "process_cpu"), own.0, own.1, period.0, period.1])
        };
        self.types.iter().map(kind).collect()
    }

    /// What a file is about, by the types of its values.
    fn metric(&self) -> &str {
        let names: Vec<&str> = self.types.iter().map(|(kind, _)| self.text(*kind)).collect();
        let any = |known: &[&str]| names.iter().any(|name| known.contains(name));
        match () {
            () if any(&["wall"]) => "wall",
            () if any(&["cpu"]) => "process_cpu",
            () if any(&["inuse_space", "inuse_objects", "alloc_space", "alloc_objects", "space", "objects"]) => "memory",
            () if any(&["contentions", "delay"]) => "mutex",
            () if any(&["goroutine", "goroutines"]) => "goroutines",
            () if any(&["sample", "samples"]) => "process_cpu",
            () => names.first().copied().unwrap_or(""),
        }
    }
}

/// ValueType { 1: type, 2: unit }.
fn value_type(bytes: &[u8]) -> Result<(u64, u64), WireError> {
    let [kind, unit] = fields(bytes, [1, 2])?;
    Ok((kind, unit))
}

/// Some whole numbers of a message by their fields; those that are not there are 0.
fn fields<const N: usize>(bytes: &[u8], wanted: [u64; N]) -> Result<[u64; N], WireError> {
    let mut found = [0; N];
    for field in Message::new(bytes) {
        if let (number, Value::Varint(value)) = field?
            && let Some(at) = wanted.iter().position(|field| *field == number)
        {
            found[at] = value;
        }
    }
    Ok(found)
}
