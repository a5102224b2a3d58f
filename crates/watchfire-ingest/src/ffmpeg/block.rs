//! The text that FFmpeg's `-progress` writes: lines of `key=value`, in blocks that end with `progress=continue` or `progress=end`. Bytes may be
//! cut anywhere. It stores nothing.

/// The longest line; a longer one is left out.
const LINE_BYTES_MAX: usize = 1_024;
/// What may come before a block is complete; a real one has some hundred bytes.
const BLOCK_BYTES_MAX: usize = 64 << 10;

/// What one block says. What FFmpeg does not know is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Block {
    pub(super) frames: Option<f64>,
    pub(super) fps: Option<f64>,
    pub(super) bits_per_second: Option<f64>,
    pub(super) bytes: Option<f64>,
    pub(super) seconds: Option<f64>,
    pub(super) duplicated: Option<f64>,
    pub(super) dropped: Option<f64>,
    pub(super) speed: Option<f64>,
    /// Whether it is the last one.
    pub(super) end: bool,
}

/// Reads blocks from pieces.
#[derive(Default)]
pub(super) struct Blocks {
    line: Vec<u8>,
    overlong: bool,
    block: Block,
    bytes: usize,
    /// Lines that are no `key=value`, or too long.
    pub(super) strange: u64,
}

/// What comes is no progress of FFmpeg.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoProgress;

impl Blocks {
    /// Takes some bytes; the blocks that they complete go to `out`.
    pub(super) fn take(&mut self, bytes: &[u8], out: &mut Vec<Block>) -> Result<(), NoProgress> {
        for byte in bytes {
            self.bytes += 1;
            if self.bytes > BLOCK_BYTES_MAX {
                return Err(NoProgress);
            }
            match byte {
                b'\n' if std::mem::take(&mut self.overlong) => self.line.clear(),
                b'\n' => {
                    let line = std::mem::take(&mut self.line);
                    self.read(line.trim_ascii(), out);
                    // The room is used again.
                    self.line = line;
                    self.line.clear();
                }
                _ if self.overlong => {}
                _ if self.line.len() >= LINE_BYTES_MAX => {
                    self.overlong = true;
                    self.strange += 1;
                }
                byte => self.line.push(*byte),
            }
        }
        Ok(())
    }

    fn read(&mut self, line: &[u8], out: &mut Vec<Block>) {
        let Some((key, value)) = std::str::from_utf8(line).ok().and_then(|line| line.split_once('=')) else {
            self.strange += u64::from(!line.is_empty());
            return;
        };
        let value = value.trim();
        let block = &mut self.block;
        match key {
            "frame" => block.frames = count(value),
            "fps" => block.fps = count(value),
            "bitrate" => block.bits_per_second = value.strip_suffix("kbits/s").and_then(|kilobits| count(kilobits.trim())).map(|kilobits| kilobits * 1000.0),
            "total_size" => block.bytes = count(value),
            // Both are microseconds, whatever the second is called; older versions know only that one.
            "out_time_us" | "out_time_ms" => block.seconds = count(value).map(|micros| micros / 1e6).or(block.seconds),
            "dup_frames" => block.duplicated = count(value),
            "drop_frames" => block.dropped = count(value),
            "speed" => block.speed = value.strip_suffix('x').and_then(|speed| count(speed.trim())),
            "progress" => {
                block.end = value == "end";
                out.push(std::mem::take(block));
                self.bytes = 0;
            }
            // Qualities of single streams, and what later versions may have.
            _ => {}
        }
    }
}

/// A number that is neither less than nothing nor infinite.
fn count(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0)
}
