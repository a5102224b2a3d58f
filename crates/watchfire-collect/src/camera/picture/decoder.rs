//! Has a picture decoded by `ffmpeg`, where it is installed: the picture goes in by a pipe, a small gray one comes out by another. Started
//! without a shell, killed when it takes too long; only one runs at a time.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::Semaphore;

use super::{Gray, HEIGHT, WIDTH};
use crate::camera::rtsp::codec::Codec;

/// How long it may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Points of a picture, 8192 by 4352: a small file may claim so many that the decoder takes all of a small machine's memory.
const POINTS_MAX: &str = "35651584";

/// Where the decoder is.
pub(in crate::camera) struct Decoder {
    program: Option<PathBuf>,
    turn: Semaphore,
}

impl Decoder {
    /// Looks for `ffmpeg` where programs are.
    pub(in crate::camera) fn new(search_path: Option<&OsString>) -> Decoder {
        let program = search_path.and_then(|path| std::env::split_paths(path).map(|dir| dir.join("ffmpeg")).find(|program| program.is_file()));
        Decoder { program, turn: Semaphore::new(1) }
    }

    /// A small gray picture of one that was captured, or why there is none.
    pub(in crate::camera) async fn decode(&self, codec: Codec, picture: &[u8]) -> Result<Gray, String> {
        let program = self.program.as_ref().ok_or("cannot look at pictures: ffmpeg is not installed")?;
        let format = match codec {
            Codec::H265 => "hevc",
            Codec::Jpeg => "mjpeg",
            _ => "h264",
        };
        let Ok(_turn) = self.turn.acquire().await else { return Err("cannot look at pictures: there is no turn".to_owned()) };
        let failed = |error: std::io::Error| format!("cannot look at a picture with ffmpeg: {error}");
        let filter = format!("scale={WIDTH}:{HEIGHT},format=gray");
        let mut child = Command::new(program)
            .args(["-nostdin", "-loglevel", "quiet", "-threads", "1", "-max_pixels", POINTS_MAX, "-f", format, "-i", "pipe:0", "-frames:v", "1"])
            .args(["-vf", &filter, "-f", "rawvideo", "pipe:1"])
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (Some(mut input), Some(output)) = (input, output) else { return Err("cannot look at a picture with ffmpeg: it has no pipes".to_owned()) };
        let mut bytes = Vec::new();
        let working = async {
            let writing = async {
                // It may have seen enough before all of it is written.
                drop(input.write_all(picture).await);
                drop(input.shutdown().await);
                drop(input);
            };
            let mut bounded = output.take((WIDTH * HEIGHT) as u64 + 1);
            let ((), read) = tokio::join!(writing, bounded.read_to_end(&mut bytes));
            read.map_err(failed)?;
            child.wait().await.map_err(failed)
        };
        tokio::time::timeout(TIMEOUT, working).await.map_err(|_| "cannot look at a picture with ffmpeg within 10 s".to_owned())??;
        Gray::new(bytes).ok_or_else(|| "cannot look at a picture: ffmpeg makes nothing of it".to_owned())
    }
}
