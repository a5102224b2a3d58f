//! Bytes of the engine → lines. Without a terminal, the engine sends frames that tell the stream and their length; with one, plain bytes.
//! Each line begins with its time. Frames may be cut anywhere, and a long line comes in several frames.

use watchfire_template::GoTime;

use crate::logs::files::LINE_BYTES_MAX;

/// The most frames of one line whose times are looked for.
const JOINTS_MAX: usize = 64;
/// The longest time.
const TIME_BYTES_MAX: usize = 40;

/// A line of a container.
#[derive(Debug, PartialEq)]
pub(super) struct Line {
    /// 0 is the standard output, 1 are errors.
    pub(super) stream: usize,
    /// When the engine took it, in nanoseconds.
    pub(super) time: Option<i64>,
    pub(super) text: String,
    pub(super) shortened: bool,
}

#[derive(Debug, Default)]
struct Open {
    bytes: Vec<u8>,
    shortened: bool,
    /// Whether the next bytes begin a frame.
    fresh: bool,
    /// Where frames begin that go on with the line: each has a time of its own in front.
    joints: Vec<usize>,
}

/// Takes the bytes.
pub(super) struct Frames {
    terminal: bool,
    header: Vec<u8>,
    stream: usize,
    left: usize,
    open: [Open; 2],
}

impl Frames {
    pub(super) fn new(terminal: bool) -> Frames {
        Frames { terminal, header: Vec::new(), stream: 0, left: 0, open: [Open::default(), Open::default()] }
    }

    pub(super) fn take(&mut self, mut bytes: &[u8], out: &mut Vec<Line>) {
        if self.terminal {
            self.content(0, bytes, out);
            return;
        }
        while !bytes.is_empty() {
            if self.left == 0 {
                let (header, rest) = bytes.split_at_checked(8 - self.header.len()).unwrap_or((bytes, &[]));
                self.header.extend_from_slice(header);
                bytes = rest;
                if let [stream, _, _, _, a, b, c, d] = self.header[..] {
                    self.stream = usize::from(stream == 2);
                    self.left = u32::from_be_bytes([a, b, c, d]) as usize;
                    self.open[self.stream].fresh = true;
                    self.header.clear();
                }
                continue;
            }
            let (content, rest) = bytes.split_at_checked(self.left).unwrap_or((bytes, &[]));
            self.left -= content.len();
            self.content(self.stream, content, out);
            bytes = rest;
        }
    }

    fn content(&mut self, stream: usize, bytes: &[u8], out: &mut Vec<Line>) {
        let open = &mut self.open[stream];
        if std::mem::take(&mut open.fresh) && !open.bytes.is_empty() && open.joints.len() < JOINTS_MAX {
            open.joints.push(open.bytes.len());
        }
        for part in bytes.split_inclusive(|b| *b == b'\n') {
            let complete = part.last() == Some(&b'\n');
            let content = part.strip_suffix(b"\n").unwrap_or(part);
            let room = LINE_BYTES_MAX.saturating_sub(open.bytes.len());
            open.shortened |= content.len() > room;
            open.bytes.extend_from_slice(content.get(..room).unwrap_or(content));
            if complete {
                out.extend(open.close(stream));
            }
        }
    }

    /// The last lines have no end.
    pub(super) fn end(&mut self, out: &mut Vec<Line>) {
        for stream in 0..2 {
            if !self.open[stream].bytes.is_empty() {
                out.extend(self.open[stream].close(stream));
            }
        }
    }
}

impl Open {
    fn close(&mut self, stream: usize) -> Option<Line> {
        let mut bytes = std::mem::take(&mut self.bytes);
        for joint in self.joints.drain(..).rev() {
            let rest = bytes.get(joint..).unwrap_or(&[]);
            let end = rest.iter().take(TIME_BYTES_MAX).position(|b| *b == b' ');
            if let Some(end) = end.filter(|end| rest.get(..*end).and_then(time_of).is_some()) {
                bytes.drain(joint..=joint + end);
            }
        }
        let shortened = std::mem::take(&mut self.shortened);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(&bytes);
        let end = bytes.iter().position(|b| *b == b' ').unwrap_or(bytes.len());
        let time = bytes.get(..end).and_then(time_of);
        let content = if time.is_some() { bytes.get(end + 1..).unwrap_or(&[]) } else { bytes };
        Some(Line { stream, time, text: String::from_utf8_lossy(content).into_owned(), shortened })
    }
}

fn time_of(bytes: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() >= 20)?;
    GoTime::parse("2006-01-02T15:04:05Z07:00", text, "UTC").ok()?.part("UnixNano")
}
