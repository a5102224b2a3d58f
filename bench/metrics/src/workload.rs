//! N instances of the template, moving in simulated time, as remote write requests. The same seed gives the same bytes, so that
//! every server gets the same samples and what was acknowledged can be checked later.

use crate::template::{Motion, Template};

/// Between two scrapes of an instance.
pub(crate) const INTERVAL_MS: i64 = 15_000;
/// Series in one request.
pub(crate) const REQUEST_SERIES: usize = 2_000;
/// In this last part of the data no instance is replaced, so that instant queries know what to find.
const CHURN_ENDS_BEFORE_MS: i64 = 900_000;

/// What is generated.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) instances: usize,
    pub(crate) rounds: usize,
    /// The time of the first round.
    pub(crate) start_ms: i64,
    /// The part of instances that is replaced by new ones, per hour.
    pub(crate) churn_per_hour: f64,
    pub(crate) seed: u64,
}

impl Plan {
    pub(crate) fn samples(&self, template: &Template) -> u64 {
        (self.instances * self.rounds * template.series.len()) as u64
    }
    pub(crate) fn end_ms(&self) -> i64 {
        self.start_ms + self.rounds as i64 * INTERVAL_MS
    }
    /// Instances per request, and how many such groups there are.
    pub(crate) fn groups(&self, template: &Template) -> (usize, usize) {
        let per_request = (REQUEST_SERIES / template.series.len()).max(1);
        (per_request, self.instances.div_ceil(per_request))
    }
}

/// SplitMix64: small, fast, good enough for noise.
#[derive(Clone)]
struct Random(u64);
impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// From 0 up to 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
    /// Nearly normal, deviation 1: four uniform numbers.
    fn normal(&mut self) -> f64 {
        (self.unit() + self.unit() + self.unit() + self.unit() - 2.0) * 3f64.sqrt()
    }
}

/// One instance at one moment.
pub(crate) struct Instance {
    number: usize,
    generation: u32,
    random: Random,
    phase_ms: i64,
    /// What is not rounded yet, per series: of a counter its total, of a gauge its value, of a bucket its own count.
    exact: Vec<f64>,
    /// What is exposed, per series.
    pub(crate) values: Vec<f64>,
    /// The labels of all series as protobuf, and where each ends.
    encoded: Vec<u8>,
    ends: Vec<u32>,
}

impl Instance {
    fn new(number: usize, template: &Template, seed: u64) -> Instance {
        let mut random = Random(seed ^ (number as u64 + 1).wrapping_mul(0xd134_2543_de82_ef95));
        let phase_ms = (random.next() % INTERVAL_MS as u64) as i64;
        let mut instance = Instance { number, generation: 0, random, phase_ms, exact: Vec::new(), values: Vec::new(), encoded: Vec::new(), ends: Vec::new() };
        instance.begin(template);
        instance
    }

    /// The value of the label `instance`.
    pub(crate) fn name(number: usize, generation: u32) -> String {
        if generation == 0 { format!("host-{number:05}.example.net:9100") } else { format!("host-{number:05}-{generation}.example.net:9100") }
    }

    pub(crate) fn current_name(&self) -> String {
        Instance::name(self.number, self.generation)
    }

    fn begin(&mut self, template: &Template) {
        self.exact.clear();
        self.values = vec![0.0; template.series.len()];
        self.encoded.clear();
        self.ends.clear();
        let name = self.current_name();
        for series in &template.series {
            // No two instances start from the same totals, but all are in the same range.
            let spread = 0.5 + self.random.unit();
            self.exact.push(match &series.motion {
                Motion::Constant(value) => *value,
                Motion::Counter { base, .. } | Motion::Bucket { base, .. } => (base * spread).floor(),
                Motion::Gauge { mean, .. } => *mean,
                Motion::Same(_) => 0.0,
            });
            let mut labels: Vec<(&str, &str)> = series.labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            let at = labels.partition_point(|(n, _)| *n < "instance");
            labels.insert(at, ("instance", &name));
            for (name, value) in labels {
                put_label(&mut self.encoded, name, value);
            }
            self.ends.push(self.encoded.len() as u32);
        }
    }

    /// Moves to the next round.
    fn step(&mut self, template: &Template) {
        let seconds = INTERVAL_MS as f64 / 1000.0;
        let mut below = 0.0;
        for (i, series) in template.series.iter().enumerate() {
            let random = &mut self.random;
            let exact = &mut self.exact[i];
            self.values[i] = match &series.motion {
                Motion::Constant(value) => *value,
                Motion::Counter { rate, scale, .. } => {
                    *exact += rate * seconds * (0.3 + 1.4 * random.unit());
                    (*exact * scale).floor() / scale
                }
                Motion::Bucket { rate, first, .. } => {
                    if *rate > 0.0 {
                        *exact += rate * seconds * (0.3 + 1.4 * random.unit());
                    }
                    below = if *first { exact.floor() } else { below + exact.floor() };
                    below
                }
                Motion::Gauge { mean, deviation, changes, scale, negative } => {
                    if random.unit() < *changes {
                        *exact = mean + 0.8 * (*exact - mean) + 0.6 * deviation * random.normal();
                    }
                    let value = (*exact * scale).round() / scale;
                    if *negative { value } else { value.max(0.0) }
                }
                Motion::Same(other) => self.values[*other],
            };
        }
    }
}

/// The instances of one request.
pub(crate) struct Group {
    pub(crate) instances: Vec<Instance>,
    plan: Plan,
}

impl Group {
    pub(crate) fn new(plan: &Plan, template: &Template, number: usize) -> Group {
        let (per_request, _) = plan.groups(template);
        let first = number * per_request;
        let instances = (first..plan.instances.min(first + per_request)).map(|n| Instance::new(n, template, plan.seed)).collect();
        Group { instances, plan: plan.clone() }
    }

    /// Moves all instances to a round; rounds come in order from 0.
    pub(crate) fn advance(&mut self, round: usize, template: &Template) {
        let per_round = self.plan.churn_per_hour * INTERVAL_MS as f64 / 3_600_000.0;
        let left_ms = (self.plan.rounds - round) as i64 * INTERVAL_MS;
        for instance in &mut self.instances {
            // The first instance stays: the first correct answer is about it.
            if per_round > 0.0 && round > 0 && instance.number > 0 && left_ms > CHURN_ENDS_BEFORE_MS && instance.random.unit() < per_round {
                instance.generation += 1;
                instance.begin(template);
            }
            instance.step(template);
        }
    }

    /// The time of an instance's samples in a round.
    pub(crate) fn time_ms(&self, instance: &Instance, round: usize) -> i64 {
        self.plan.start_ms + round as i64 * INTERVAL_MS + instance.phase_ms
    }

    /// Writes the request of a round, and says how many samples it has.
    pub(crate) fn request(&self, round: usize, out: &mut Vec<u8>) -> usize {
        out.clear();
        let mut sample = Vec::with_capacity(24);
        for instance in &self.instances {
            let time = self.time_ms(instance, round);
            let mut begin = 0;
            for (end, value) in instance.ends.iter().zip(&instance.values) {
                let labels = &instance.encoded[begin as usize..*end as usize];
                begin = *end;
                sample.clear();
                // As the senders' encoders do: a zero is left out.
                if value.to_bits() != 0 {
                    sample.push(0x09);
                    sample.extend_from_slice(&value.to_bits().to_le_bytes());
                }
                sample.push(0x10);
                put_varint(&mut sample, time as u64);
                out.push(0x0a);
                put_varint(out, (labels.len() + 2 + sample.len()) as u64);
                out.extend_from_slice(labels);
                out.extend_from_slice(&[0x12, sample.len() as u8]);
                out.extend_from_slice(&sample);
            }
        }
        self.instances.iter().map(|i| i.values.len()).sum()
    }
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_label(out: &mut Vec<u8>, name: &str, value: &str) {
    let mut label = Vec::new();
    for (field, text) in [(0x0a, name), (0x12, value)] {
        label.push(field);
        put_varint(&mut label, text.len() as u64);
        label.extend_from_slice(text.as_bytes());
    }
    out.push(0x0a);
    put_varint(out, label.len() as u64);
    out.extend_from_slice(&label);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::RECORDING;

    fn plan(churn_per_hour: f64) -> Plan {
        Plan { instances: 3, rounds: 240, start_ms: 1_700_000_000_000, churn_per_hour, seed: 7 }
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_counters_never_fall() {
        let template = Template::parse(RECORDING).unwrap();
        let plan = plan(0.0);
        let (mut a, mut b) = (Group::new(&plan, &template, 0), Group::new(&plan, &template, 0));
        let (mut x, mut y) = (Vec::new(), Vec::new());
        let mut before: Vec<f64> = Vec::new();
        for round in 0..plan.rounds {
            a.advance(round, &template);
            b.advance(round, &template);
            assert_eq!(a.request(round, &mut x), 2_000);
            b.request(round, &mut y);
            assert!(x == y, "round {round}");
            let values = &a.instances[0].values;
            for (i, series) in template.series.iter().enumerate() {
                let grows = matches!(series.motion, Motion::Counter { .. } | Motion::Bucket { .. } | Motion::Same(_));
                assert!(!grows || before.is_empty() || values[i] >= before[i], "{:?}", series.labels);
            }
            before.clone_from(values);
        }
        assert_eq!(Group::new(&plan, &template, 1).instances.len(), 1, "the last group takes what is left");
    }

    #[test]
    fn churn_replaces_instances_but_the_first() {
        let template = Template::parse(RECORDING).unwrap();
        let plan = plan(10.0);
        let mut group = Group::new(&plan, &template, 0);
        for round in 0..plan.rounds {
            group.advance(round, &template);
        }
        assert_eq!(group.instances[0].generation, 0);
        assert!(group.instances[1].generation > 2);
    }
}
