//! What a picture consists of: shapes in the order in which they are drawn, in points from the upper left. What becomes of them is the
//! affair of two writers, one of SVG and one of PNG. It knows no panels.

use super::font;

/// A colour: red, green, blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Colour(pub(super) [u8; 3]);

/// Where a text stands from its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// One thing to draw.
pub(super) enum Shape {
    /// x, y, width, height.
    Rect {
        at: [f64; 4],
        fill: Colour,
        opacity: f64,
    },
    /// A thin straight line.
    Line {
        from: [f64; 2],
        to: [f64; 2],
        stroke: Colour,
        dashed: bool,
    },
    /// A line through points.
    Path {
        points: Vec<[f64; 2]>,
        stroke: Colour,
    },
    Dot {
        at: [f64; 2],
        fill: Colour,
    },
    /// Part of a ring, from one angle to another in radians, clockwise from the left.
    Arc {
        centre: [f64; 2],
        radius: f64,
        angles: [f64; 2],
        stroke: Colour,
        width: f64,
    },
    Text {
        at: [f64; 2],
        size: f64,
        fill: Colour,
        anchor: Anchor,
        text: String,
    },
    /// Another picture at a place; nothing of it reaches beyond its sides.
    Inside {
        at: [f64; 2],
        picture: Picture,
    },
}

/// How wide a line through points is.
pub(super) const PATH_WIDTH: f64 = 1.5;
/// How far a dot reaches.
pub(super) const DOT_RADIUS: f64 = 2.0;
/// Dashes and the gaps between them.
pub(super) const DASH: [f64; 2] = [6.0, 4.0];

/// A picture under construction.
pub(super) struct Picture {
    pub(super) size: [f64; 2],
    pub(super) shapes: Vec<Shape>,
    bytes: usize,
}

impl Picture {
    pub(super) fn new(width: f64, height: f64) -> Picture {
        Picture { size: [width, height], shapes: Vec::new(), bytes: 0 }
    }
    /// What it holds in memory, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
    fn put(&mut self, shape: Shape) {
        self.bytes += size_of::<Shape>();
        self.bytes += match &shape {
            Shape::Path { points, .. } => size_of_val(points.as_slice()),
            Shape::Text { text, .. } => text.len(),
            Shape::Inside { picture, .. } => picture.bytes,
            _ => 0,
        };
        self.shapes.push(shape);
    }
    pub(super) fn inside(&mut self, at: [f64; 2], picture: Picture) {
        self.put(Shape::Inside { at, picture });
    }
    pub(super) fn rect(&mut self, at: [f64; 4], fill: Colour, opacity: f64) {
        if at[2] > 0.0 && at[3] > 0.0 {
            self.put(Shape::Rect { at, fill, opacity });
        }
    }
    pub(super) fn line(&mut self, from: [f64; 2], to: [f64; 2], stroke: Colour, dashed: bool) {
        self.put(Shape::Line { from, to, stroke, dashed });
    }
    /// A line through points; a single one is a dot.
    pub(super) fn path(&mut self, points: Vec<[f64; 2]>, stroke: Colour) {
        match points.as_slice() {
            [] => {}
            [only] => self.put(Shape::Dot { at: *only, fill: stroke }),
            _ => self.put(Shape::Path { points, stroke }),
        }
    }
    pub(super) fn arc(&mut self, centre: [f64; 2], radius: f64, angles: [f64; 2], stroke: Colour, width: f64) {
        self.put(Shape::Arc { centre, radius, angles, stroke, width });
    }
    pub(super) fn text(&mut self, at: [f64; 2], size: f64, fill: Colour, anchor: Anchor, text: &str) {
        self.put(Shape::Text { at, size, fill, anchor, text: text.to_owned() });
    }
}

/// As much of a text as fits.
pub(super) fn fitting(text: &str, size: f64, width: f64) -> String {
    if font::width(text, size) <= width {
        return text.to_owned();
    }
    let room = width - font::width("…", size);
    let mut out = String::new();
    let mut used = 0.0;
    for c in text.chars() {
        used += font::advance(c) * size;
        if used > room && !out.is_empty() {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_where_their_room_ends() {
        assert_eq!(fitting("short", 11.0, 400.0), "short");
        let long = "camera{camera_id=front, job=recorder}";
        let cut = fitting(long, 11.0, 100.0);
        assert!(cut.ends_with('…') && long.starts_with(cut.trim_end_matches('…')) && font::width(&cut, 11.0) <= 100.0, "{cut}");
        assert_eq!(fitting("wide", 11.0, 0.0), "w…");
        assert_eq!(fitting("", 11.0, -5.0), "…");
    }

    #[test]
    fn what_is_empty_is_no_shape() {
        let mut picture = Picture::new(10.0, 10.0);
        picture.rect([0.0, 0.0, 0.0, 5.0], Colour([0; 3]), 1.0);
        picture.path(Vec::new(), Colour([0; 3]));
        assert!(picture.shapes.is_empty() && picture.bytes() == 0);
        picture.path(vec![[1.0, 2.0]], Colour([0; 3]));
        assert!(matches!(picture.shapes.as_slice(), [Shape::Dot { at: [1.0, 2.0], .. }]) && picture.bytes() > 0);
    }
}
