//! Pyroscope's ways in: `/ingest` with folded stacks or pprof, and the push service with pprof. Both become profiles of the series of
//! their labels (`watchfire_model::profiles`). Input is already decompressed as HTTP says; a pprof file may be compressed once more.
//! What queries mean is not known here.

mod folded;
mod multipart;
mod name;
mod pprof;
mod push;
mod series;
#[cfg(test)]
mod tests;
pub mod time;

use std::sync::{Arc, Mutex, PoisonError};

use watchfire_model::batch::Origin;
use watchfire_model::logs::Nanos;
use watchfire_model::meter::{Counter, Meter};
use watchfire_model::time::SharedClock;
use watchfire_model::write::{LogsWritten, WriteError};
use watchfire_net::inflate::{self, Encoding, InflateError, Limits};

use crate::gate::Gate;
use crate::protobuf::WireError;

use name::Name;
use series::Gathering;

/// The most bytes that the compressed files of one request have together once they are decompressed.
const INFLATED_BYTES_MAX: usize = 64 << 20;
/// The first bytes of what gzip made.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// How often a sampler looks where its sender does not say so.
const SAMPLE_RATE: u32 = 100;

/// Why a request cannot be read. Nothing of it was taken.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// It is not the protobuf message that it should be.
    #[error("cannot read the profile: {0}")]
    Wire(#[from] WireError),
    /// It is not the JSON that it should be.
    #[error("cannot read the profile: {}", watchfire_model::text::shortened(&.0.to_string()))]
    Json(#[from] serde_json::Error),
    /// It cannot be decompressed.
    #[error(transparent)]
    Inflate(#[from] InflateError),
    /// It is something else.
    #[error("cannot read the profile: {0}")]
    Malformed(String),
    /// More than a request may have.
    #[error("cannot take a profile with more than {0}")]
    TooMany(&'static str),
    /// A format that is not taken.
    #[error("cannot take profiles as {0}: folded, lines and pprof are taken")]
    Unsupported(String),
}

/// Why a request was not taken as a whole.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// Sending it again will not help.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// It can be sent again later.
    #[error(transparent)]
    Later(#[from] WriteError),
}

/// What became of a request.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// The profiles, one for each series and type, by what became of them.
    pub profiles: LogsWritten,
    /// One example of a refusal in words.
    pub example: Option<String>,
}

/// How a message of the push service is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `application/proto`.
    Protobuf,
    /// `application/json`.
    Json,
}

/// What the address of `/ingest` says.
#[derive(Clone, Debug, Default)]
pub struct Ingest<'a> {
    /// The program and its labels: `backend{env=prod}`.
    pub name: &'a str,
    /// When the profile began.
    pub from: Option<Nanos>,
    /// When it ended.
    pub until: Option<Nanos>,
    /// Samples a second.
    pub sample_rate: Option<u32>,
    /// How the stacks are written; empty where the type of the body says it.
    pub format: &'a str,
    /// The type of the body.
    pub content_type: &'a str,
}

/// Takes what is pushed. Share it in an `Arc`; every method may be called from any thread and may block.
pub struct Pyroscope {
    gate: Arc<Gate>,
    clock: SharedClock,
    /// Held while a request is read: what it decompresses and the trees that it makes are in memory once, however many send.
    turn: Mutex<()>,
    requests: Counter,
    malformed: Counter,
    samples: Counter,
    dropped: Dropped,
}

/// Samples that are in no profile, by reason.
#[derive(Clone)]
pub(crate) struct Dropped {
    negative: Counter,
    unknown: Counter,
}

impl Pyroscope {
    /// A receiver that writes through the gate.
    pub fn new(gate: Arc<Gate>, clock: SharedClock, meter: &Meter) -> Pyroscope {
        let dropped =
            |reason| meter.counter("watchfire_pyroscope_samples_dropped_total", "Samples of profiles that were not kept, by reason.", &[("reason", reason)]);
        Pyroscope {
            gate,
            clock,
            turn: Mutex::default(),
            requests: meter.counter("watchfire_pyroscope_requests_total", "Requests with profiles that were read.", &[]),
            malformed: meter.counter("watchfire_pyroscope_malformed_total", "Requests with profiles that could not be read.", &[]),
            samples: meter.counter("watchfire_pyroscope_samples_total", "Samples of profiles that were read.", &[]),
            dropped: Dropped { negative: dropped("negative"), unknown: dropped("unknown_stack") },
        }
    }

    /// Takes the body of `/ingest`. What is good of it is stored when this returns.
    pub fn ingest(&self, ingest: &Ingest<'_>, body: &[u8], origin: Origin) -> Result<Received, PushError> {
        self.counted(|gathering| self.read_ingest(ingest, body, gathering), origin)
    }

    /// Takes a message of the push service.
    pub fn push(&self, body: &[u8], format: Format, origin: Origin) -> Result<Received, PushError> {
        self.counted(|gathering| push::read(body, format, gathering), origin)
    }

    fn counted(&self, read: impl FnOnce(&mut Gathering<'_>) -> Result<(), PushError>, origin: Origin) -> Result<Received, PushError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Nanos::from_millis(self.clock.now().millis());
        let mut gathering = Gathering::new(&self.gate, origin, now, self.dropped.clone());
        let outcome = read(&mut gathering);
        if let Err(PushError::Malformed(_)) = &outcome {
            self.malformed.inc();
        }
        outcome?;
        self.requests.inc();
        self.samples.add(gathering.samples());
        Ok(gathering.finish()?)
    }

    fn read_ingest(&self, ingest: &Ingest<'_>, body: &[u8], gathering: &mut Gathering<'_>) -> Result<(), PushError> {
        let name = Name::parse(ingest.name)?;
        let multipart = multipart::boundary(ingest.content_type);
        let mut left = INFLATED_BYTES_MAX;
        match ingest.format {
            "pprof" => {}
            "" if multipart.is_some() => {}
            "" | "folded" | "collapsed" | "groups" if !ingest.content_type.contains('+') => {
                return folded::read(&inflated(body, &mut left)?, true, &name, ingest, gathering);
            }
            "lines" => return folded::read(&inflated(body, &mut left)?, false, &name, ingest, gathering),
            "" => return Err(DecodeError::Unsupported(ingest.content_type.chars().take(60).collect()).into()),
            other => return Err(DecodeError::Unsupported(other.chars().take(60).collect()).into()),
        }
        let (new, before, config) = match multipart {
            None => (body, None, None),
            Some(boundary) => {
                let parts = multipart::parts(body, &boundary)?;
                let part = |name: &str| parts.iter().find(|(n, _)| *n == name).map(|(_, bytes)| *bytes);
                let profile = part("profile").ok_or_else(|| DecodeError::Malformed("the form has no part \"profile\"".to_owned()))?;
                (profile, part("prev_profile"), part("sample_type_config"))
            }
        };
        let cumulative = config.map(pprof::cumulative_types).transpose()?.unwrap_or_default();
        let new = inflated(new, &mut left)?;
        let before = before.map(|bytes| inflated(bytes, &mut left)).transpose()?;
        let duration = ingest.until.zip(ingest.from).and_then(|(until, from)| u64::try_from(until.0.saturating_sub(from.0)).ok());
        let told = pprof::Told { time: ingest.from, duration, id: "", metric: "", labels: &name.labels_for(name.full) };
        pprof::read(&new, before.as_deref().map(|before| (before, cumulative.as_slice())), &told, gathering)
    }
}

/// A file as it is, or decompressed, which takes from what is left.
fn inflated<'a>(bytes: &'a [u8], left: &mut usize) -> Result<std::borrow::Cow<'a, [u8]>, DecodeError> {
    if !bytes.starts_with(&GZIP) {
        return Ok(bytes.into());
    }
    let limits = Limits { compressed: bytes.len(), decompressed: inflate::DECOMPRESSED_BYTES_MAX.min(*left) };
    let plain = inflate::decode(Encoding::Gzip, bytes, limits)?;
    *left -= plain.len();
    Ok(plain.into())
}
