//! The push service: series of profiles, each in pprof, in protobuf or in JSON.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::series::Gathering;
use super::{DecodeError, Format, INFLATED_BYTES_MAX, PushError, inflated, pprof};
use crate::label_bytes::LABELS_MAX;
use crate::protobuf::{Message, Value, label_pair, text};

/// More profiles than this has no request.
const PROFILES_MAX: usize = 4_096;

pub(super) fn read(body: &[u8], format: Format, gathering: &mut Gathering<'_>) -> Result<(), PushError> {
    let mut reading = Reading { gathering, left: INFLATED_BYTES_MAX, profiles: 0 };
    match format {
        Format::Protobuf => reading.protobuf(body),
        Format::Json => reading.json(body),
    }
}

struct Reading<'a, 'g> {
    gathering: &'a mut Gathering<'g>,
    left: usize,
    profiles: usize,
}

impl Reading<'_, '_> {
    /// PushRequest { 1: RawProfileSeries* { 1: LabelPair*, 2: RawSample* { 1: profile, 2: id } } }.
    fn protobuf(&mut self, body: &[u8]) -> Result<(), PushError> {
        for field in Message::new(body) {
            let (1, Value::Bytes(series)) = field.map_err(DecodeError::Wire)? else { continue };
            let mut labels = Vec::new();
            for field in Message::new(series) {
                if let (1, Value::Bytes(pair)) = field.map_err(DecodeError::Wire)? {
                    add_label(&mut labels, label_pair(pair).map_err(DecodeError::Wire)?)?;
                }
            }
            for field in Message::new(series) {
                let (2, Value::Bytes(sample)) = field.map_err(DecodeError::Wire)? else { continue };
                let (mut profile, mut id) = (&b""[..], "");
                for field in Message::new(sample) {
                    match field.map_err(DecodeError::Wire)? {
                        (1, Value::Bytes(bytes)) => profile = bytes,
                        (2, Value::Bytes(bytes)) => id = text(bytes).map_err(DecodeError::Wire)?,
                        _ => {}
                    }
                }
                self.profile(&labels, profile, id)?;
            }
        }
        Ok(())
    }

    fn json(&mut self, body: &[u8]) -> Result<(), PushError> {
        let request: RequestJson<'_> = serde_json::from_slice(body).map_err(DecodeError::Json)?;
        for series in &request.series {
            let mut labels = Vec::new();
            for pair in &series.labels {
                add_label(&mut labels, (&pair.name, &pair.value))?;
            }
            for sample in &series.samples {
                let profile = STANDARD.decode(sample.profile.as_bytes()).map_err(|_| DecodeError::Malformed("rawProfile is not base64".to_owned()))?;
                self.profile(&labels, &profile, &sample.id)?;
            }
        }
        Ok(())
    }

    fn profile(&mut self, labels: &[(&str, &str)], profile: &[u8], id: &str) -> Result<(), PushError> {
        self.profiles += 1;
        if self.profiles > PROFILES_MAX {
            return Err(DecodeError::TooMany("4096 profiles in a request").into());
        }
        let metric = labels.iter().find(|(name, _)| *name == "__name__").map_or("", |(_, value)| *value);
        let profile = inflated(profile, &mut self.left)?;
        pprof::read(&profile, None, &pprof::Told { time: None, duration: None, id, metric, labels }, self.gathering)
    }
}

fn add_label<'a>(labels: &mut Vec<(&'a str, &'a str)>, pair: (&'a str, &'a str)) -> Result<(), DecodeError> {
    if labels.len() >= LABELS_MAX {
        return Err(DecodeError::TooMany("256 labels"));
    }
    labels.push(pair);
    Ok(())
}

#[derive(Deserialize)]
struct RequestJson<'a> {
    #[serde(borrow, default)]
    series: Vec<SeriesJson<'a>>,
}
#[derive(Deserialize)]
struct SeriesJson<'a> {
    #[serde(borrow, default)]
    labels: Vec<PairJson<'a>>,
    #[serde(borrow, default)]
    samples: Vec<SampleJson<'a>>,
}
#[derive(Deserialize)]
struct PairJson<'a> {
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    value: Cow<'a, str>,
}
#[derive(Deserialize)]
struct SampleJson<'a> {
    #[serde(borrow, rename = "rawProfile", alias = "raw_profile", default)]
    profile: Cow<'a, str>,
    #[serde(borrow, rename = "ID", alias = "id", default)]
    id: Cow<'a, str>,
}
