//! The payloads of both queues. Every job of a run carries the run's name, so that the demo never does somebody else's work.

use serde::{Deserialize, Serialize};

use crate::motion::Motion;

/// A picture that waits for the detector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PictureJob {
    /// The run.
    pub(crate) demo: String,
    pub(crate) camera_id: String,
    pub(crate) file_path: String,
    /// The intact picture before it, to compare with; the first has none.
    pub(crate) previous_path: Option<String>,
    pub(crate) taken_at_ms: i64,
    /// The context of the trace that it belongs to.
    #[serde(default)]
    pub(crate) traceparent: Option<String>,
}

/// A movement in a picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Detection {
    pub(crate) taken_at_ms: i64,
    pub(crate) motion: Motion,
    pub(crate) brightness: f64,
    pub(crate) contrast: f64,
    /// The mean share of the picture that movements of this camera changed before.
    pub(crate) usual_share: f64,
}

/// Detections of one camera that wait for the language model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct BatchJob {
    /// The run.
    pub(crate) demo: String,
    /// Its number in the run.
    pub(crate) batch: u64,
    pub(crate) camera_id: String,
    pub(crate) picture_width: usize,
    pub(crate) detections: Vec<Detection>,
    /// Movements of this camera before, and the mean share of the picture that changed.
    pub(crate) usual_movements: usize,
    pub(crate) usual_share: f64,
    /// Movements of other cameras lately.
    pub(crate) elsewhere: Vec<(String, usize)>,
    /// The context of the trace that its first detection belongs to.
    #[serde(default)]
    pub(crate) traceparent: Option<String>,
}
