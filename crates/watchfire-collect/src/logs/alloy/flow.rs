//! Where lines go: from a source through `loki.process` and `loki.relabel` to where they are written. What forwards to nothing is said, and
//! what is reached from nowhere, too.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use watchfire_ingest::relabel::{self, RelabelConfig};
use watchfire_model::document::{Context, Node, Reader, Value as Tree};

use super::Outside;
use super::graph::Graph;
use super::kinds::Kind;
use super::stages;
use super::syntax::Place;
use super::value::{Export, Settings, Value, Valued, node};
use super::write;
use crate::logs::Collected;
use crate::logs::promtail::stages::Pipeline;
use crate::logs::stages::{Fan, Relabel, Stage};

/// The most components that lines of all sources go through together.
const STEPS_MAX: usize = 10_000;

/// What is known while a file becomes what is to be collected.
pub(super) struct Flows<'a> {
    pub(super) graph: &'a Graph<'a>,
    pub(super) context: &'a Context,
    pub(super) outside: &'a Outside<'a>,
    /// The settings of each component; nothing for those that are not carried out or have errors.
    pub(super) settings: Vec<Option<Settings>>,
    pub(super) collected: Collected,
    /// The outputs of each component that has some, by their places among all; and those to which the source leads that is being read.
    pub(super) outputs_of: HashMap<usize, Vec<usize>>,
    pub(super) leads_to: HashSet<usize>,
    pipelines: HashMap<usize, Pipeline>,
    rules: HashMap<usize, Vec<RelabelConfig>>,
    reached: HashSet<usize>,
    said: HashSet<usize>,
    steps: usize,
}

impl<'a> Flows<'a> {
    pub(super) fn new(graph: &'a Graph<'a>, context: &'a Context, outside: &'a Outside<'a>, settings: Vec<Option<Settings>>) -> Flows<'a> {
        Flows {
            graph,
            context,
            outside,
            settings,
            collected: Collected::default(),
            outputs_of: HashMap::new(),
            leads_to: HashSet::new(),
            pipelines: HashMap::new(),
            rules: HashMap::new(),
            reached: HashSet::new(),
            said: HashSet::new(),
            steps: 0,
        }
    }
    pub(super) fn id(&self, number: usize) -> &'a str {
        &self.graph.components[number].id
    }
    pub(super) fn kind(&self, number: usize) -> Kind {
        self.graph.components[number].kind
    }
    pub(super) fn place(&self, number: usize) -> Place {
        self.graph.components[number].block.name.at
    }
    pub(super) fn warn(&self, at: Place, message: String) {
        self.context.warning(at.line, at.column, message);
    }
    pub(super) fn error(&self, at: Place, message: String) {
        self.context.error(at.line, at.column, message);
    }
    /// Notes that something sends to a component; tells whether it is the first time.
    pub(super) fn reach(&mut self, number: usize) -> bool {
        self.reached.insert(number)
    }
    /// Whether something is to be said of a component for the first time.
    pub(super) fn once(&mut self, number: usize) -> bool {
        self.said.insert(number)
    }
    /// The settings of a component as a document, with blocks that may stand there several times.
    pub(super) fn document(&self, number: usize, lists: &[&str]) -> Option<Node> {
        self.settings.get(number)?.as_ref().map(|settings| settings.node(lists))
    }
    /// Reads the settings of a component; keys that nobody asks for are errors.
    pub(super) fn read<T>(&self, number: usize, lists: &[&str], read: impl FnOnce(&Reader<'_>) -> T) -> Option<T> {
        let node = self.document(number, lists)?;
        let reader = Reader::new(self.context, &node, self.id(number));
        let found = read(&reader);
        reader.finish();
        Some(found)
    }

    /// The components that an attribute's list names, of which each is to give `wanted`.
    pub(super) fn named(&self, number: usize, value: Option<&Valued>, wanted: Export) -> Vec<(usize, Place)> {
        let Some(value) = value else { return Vec::new() };
        let single = std::slice::from_ref(value);
        let items = match &value.value {
            Value::List(items) => items.as_slice(),
            _ => single,
        };
        let mut found = Vec::new();
        for item in items {
            match &item.value {
                Value::Export(export, to) if *export == wanted => found.push((*to, item.at)),
                Value::Null => {}
                other => {
                    let what = if wanted == Export::Receiver {
                        "a receiver, such as loki.write.a_name.receiver"
                    } else {
                        "an input, such as otelcol.exporter.otlp.a_name.input"
                    };
                    self.error(item.at, format!("{}: this must be {what}, not {}", self.id(number), other.shape()));
                }
            }
        }
        found
    }

    /// The stages that lines of a component's `forward_to` go through; nothing when they lead nowhere.
    pub(super) fn forward(&mut self, number: usize) -> Option<Vec<Stage>> {
        let value = self.settings.get(number).and_then(Option::as_ref).and_then(|settings| settings.get("forward_to")).cloned();
        let Some(value) = value else {
            if self.once(number) {
                self.error(self.place(number), format!("{}: forward_to is missing", self.id(number)));
            }
            return None;
        };
        let to = self.named(number, Some(&value), Export::Receiver);
        let mut branches: Vec<Vec<Stage>> = Vec::new();
        for (to, at) in &to {
            if let Some(stages) = self.through(*to, *at) {
                // What is kept without change is kept once, however many places it goes to.
                if !(stages.is_empty() && branches.iter().any(Vec::is_empty)) {
                    branches.push(stages);
                }
            }
        }
        if to.is_empty() && self.once(number) {
            self.warn(value.at, format!("{} forwards to nothing, so its lines are dropped", self.id(number)));
        }
        match branches.len() {
            0 => None,
            1 => branches.pop(),
            _ => Some(vec![Stage::Fan(Arc::new(Fan { branches }))]),
        }
    }

    /// The stages from a receiver on.
    fn through(&mut self, to: usize, at: Place) -> Option<Vec<Stage>> {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            if self.steps == STEPS_MAX + 1 {
                self.error(at, format!("lines go through more than {STEPS_MAX} components"));
            }
            return None;
        }
        self.reach(to);
        self.settings[to].as_ref()?;
        match self.kind(to) {
            Kind::Write => Some(write::stages(self, to)),
            Kind::Process => {
                let mut stages = self.pipeline(to).stages;
                stages.extend(self.forward(to)?);
                Some(stages)
            }
            Kind::Relabel => {
                let mut stages = vec![Stage::step(Relabel(self.rules(to)))];
                if self.once_read(to) {
                    self.read(to, &["rule"], |reader| reader.allow(&["rule", "forward_to", "max_cache_size"]));
                }
                stages.extend(self.forward(to)?);
                Some(stages)
            }
            Kind::Echo => {
                if self.once(to) {
                    self.warn(self.place(to), format!("{}: nothing is printed here; ask for the lines instead", self.id(to)));
                }
                None
            }
            _ => {
                self.error(at, format!("{} takes no log lines", self.id(to)));
                None
            }
        }
    }

    fn once_read(&mut self, number: usize) -> bool {
        // Settings are read once, so that what is wrong with them is said once.
        self.pipelines.insert(number, Pipeline::default()).is_none()
    }

    /// The stages of a `loki.process`, the same ones for everybody who sends to it.
    fn pipeline(&mut self, number: usize) -> Pipeline {
        if let Some(known) = self.pipelines.get(&number) {
            return known.clone();
        }
        let Some(settings) = self.settings[number].clone() else { return Pipeline::default() };
        let pipeline = stages::read(self.context, self.id(number), &settings);
        let own = Settings { blocks: Vec::new(), ..settings };
        let node = own.node(&[]);
        let reader = Reader::new(self.context, &node, self.id(number));
        reader.allow(&["forward_to"]);
        reader.finish();
        self.collected.metrics.extend(pipeline.metrics.iter().cloned());
        self.pipelines.insert(number, pipeline.clone());
        pipeline
    }

    /// The rules of a component, read once.
    pub(super) fn rules(&mut self, number: usize) -> Vec<RelabelConfig> {
        if let Some(known) = self.rules.get(&number) {
            return known.clone();
        }
        let Some(settings) = self.settings[number].as_ref() else { return Vec::new() };
        let list = node(Tree::List(settings.blocks_of("rule").map(|rule| rule.node(&[])).collect()), settings.at);
        let rules = relabel::read_list(self.context, Some(&list), &format!("{}.rule", self.id(number)));
        self.rules.insert(number, rules.clone());
        rules
    }

    /// The rules that an attribute `relabel_rules` names.
    pub(super) fn relabel_rules(&mut self, number: usize) -> Vec<RelabelConfig> {
        let value = self.settings[number].as_ref().and_then(|settings| settings.get("relabel_rules")).cloned();
        match value.as_ref().map(|value| &value.value) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Export(Export::Rules, of)) => {
                self.reach(*of);
                self.rules(*of)
            }
            Some(other) => {
                let at = value.as_ref().map_or(Place::default(), |value| value.at);
                self.error(
                    at,
                    format!("{}: relabel_rules must be the rules of a component, such as loki.relabel.a_name.rules, not {}", self.id(number), other.shape()),
                );
                Vec::new()
            }
        }
    }

    /// Says which components nothing sends to.
    pub(super) fn say_unreached(&mut self) {
        for number in 0..self.graph.components.len() {
            let what = match self.kind(number) {
                Kind::Process | Kind::Relabel | Kind::Write | Kind::RemoteWrite | Kind::MetricRelabel => "nothing is sent here",
                Kind::OtelProcessor | Kind::OtlpExporter | Kind::OtelToLoki => "nothing is sent here",
                Kind::DiscoverDocker | Kind::DiscoverRelabel | Kind::FileMatch => "nothing that is carried out uses what is found here",
                _ => continue,
            };
            if self.settings[number].is_some() && !self.reached.contains(&number) {
                self.warn(self.place(number), format!("{}: {what}", self.id(number)));
            }
        }
    }
}
