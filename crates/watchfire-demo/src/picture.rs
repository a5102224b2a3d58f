//! Grey pictures and their files (binary PGM, `P5`). It reads only what it writes: another depth or a torn file is an error.

use std::io::Write;
use std::path::Path;

/// The most pixels of a picture.
pub(crate) const PIXELS_MAX: usize = 1 << 20;
/// The longest header of a file.
const HEADER_BYTES_MAX: usize = 64;

/// A grey picture, row by row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Picture {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) pixels: Vec<u8>,
}

/// Why a file is no picture.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PictureError {
    #[error("cannot read the picture: {0}")]
    Unreadable(#[from] std::io::Error),
    #[error("cannot read the picture: its header is no grey picture's")]
    Header,
    #[error("cannot read the picture: it has {have} of {want} pixels")]
    Torn { have: usize, want: usize },
}
impl PictureError {
    /// The class of the error, as the pipeline's catalog names it.
    pub(crate) fn class(&self) -> &'static str {
        match self {
            PictureError::Unreadable(error) if error.kind() == std::io::ErrorKind::NotFound => "file_not_found",
            PictureError::Unreadable(_) => "processing_error",
            PictureError::Header | PictureError::Torn { .. } => "invalid_image",
        }
    }
}

impl Picture {
    pub(crate) fn read(path: &Path) -> Result<Picture, PictureError> {
        let length = std::fs::metadata(path)?.len();
        if length > (PIXELS_MAX + HEADER_BYTES_MAX) as u64 {
            return Err(PictureError::Header);
        }
        Picture::parse(&std::fs::read(path)?)
    }
    fn parse(bytes: &[u8]) -> Result<Picture, PictureError> {
        // Three lines: kind, width and height, depth.
        let mut rest = bytes;
        let mut lines = Vec::new();
        while lines.len() < 3 {
            let end = rest.iter().take(HEADER_BYTES_MAX).position(|b| *b == b'\n').ok_or(PictureError::Header)?;
            let (line, tail) = rest.split_at(end);
            lines.push(std::str::from_utf8(line).map_err(|_| PictureError::Header)?);
            rest = tail.get(1..).unwrap_or_default();
        }
        let number = |text: &str| text.parse::<usize>().ok().filter(|n| (1..=PIXELS_MAX).contains(n));
        let sides = lines.get(1).and_then(|line| line.split_once(' ')).and_then(|(w, h)| Some((number(w)?, number(h)?)));
        let (width, height) = sides.ok_or(PictureError::Header)?;
        let want = width.checked_mul(height).filter(|n| *n <= PIXELS_MAX).ok_or(PictureError::Header)?;
        if lines.first() != Some(&"P5") || lines.get(2) != Some(&"255") {
            return Err(PictureError::Header);
        }
        if rest.len() != want {
            return Err(PictureError::Torn { have: rest.len(), want });
        }
        Ok(Picture { width, height, pixels: rest.to_vec() })
    }
    /// Writes the file, under a temporary name first, so that nobody sees half of it; `pixels` tells how many it gets, because the demo
    /// tears some on purpose.
    pub(crate) fn write(&self, path: &Path, pixels: usize) -> std::io::Result<()> {
        let part = path.with_extension("part");
        let mut file = std::fs::File::create(&part)?;
        write!(file, "P5\n{} {}\n255\n", self.width, self.height)?;
        file.write_all(self.pixels.get(..pixels).unwrap_or(&self.pixels))?;
        std::fs::rename(&part, path)
    }
    /// The mean of the pixels, 0 to 255.
    pub(crate) fn brightness(&self) -> f64 {
        self.pixels.iter().map(|p| f64::from(*p)).sum::<f64>() / self.pixels.len().max(1) as f64
    }
    /// How far pixels are from their mean (standard deviation).
    pub(crate) fn contrast(&self) -> f64 {
        let mean = self.brightness();
        let squares: f64 = self.pixels.iter().map(|p| (f64::from(*p) - mean).powi(2)).sum();
        (squares / self.pixels.len().max(1) as f64).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_come_back_and_torn_ones_are_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.pgm");
        let picture = Picture { width: 3, height: 2, pixels: vec![0, 10, 255, 7, 8, 9] };
        picture.write(&path, 6).unwrap();
        assert_eq!(Picture::read(&path).unwrap(), picture);
        picture.write(&path, 4).unwrap();
        assert_eq!(Picture::read(&path).unwrap_err().class(), "invalid_image");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(Picture::read(&path).unwrap_err().class(), "file_not_found");
    }

    #[test]
    fn other_bytes_are_no_picture() {
        for bytes in
            [&b""[..], b"P5\n", b"P6\n1 1\n255\nx", b"P5\n1 1\n65535\nx", b"P5\n0 1\n255\n", b"P5\n1048577 1\n255\n", b"P5\n-1 1\n255\nx", b"P5\n1\n255\nx"]
        {
            assert!(matches!(Picture::parse(bytes), Err(PictureError::Header)), "{bytes:?}");
        }
        assert!(matches!(Picture::parse(b"P5\n2 2\n255\nxxxxx"), Err(PictureError::Torn { have: 5, want: 4 })));
    }

    #[test]
    fn brightness_and_contrast() {
        let picture = Picture { width: 2, height: 1, pixels: vec![10, 30] };
        assert_eq!((picture.brightness(), picture.contrast()), (20.0, 10.0));
    }
}
