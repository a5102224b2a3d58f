//! Paints a picture into pixels, without a browser: rectangles, lines, rings and letters become outlines, outlines become how much of each
//! pixel they cover. It makes no file; that is `png`.

mod coverage;
mod outlines;
#[cfg(test)]
mod tests;

use self::coverage::Outline;
use super::font;
use super::list::{Anchor, Colour, DOT_RADIUS, PATH_WIDTH, Picture, Shape};

/// Pixels: rows of red, green, blue.
pub(super) struct Pixels {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) bytes: Vec<u8>,
}

/// The size of a picture in pixels at a scale.
pub(super) fn size(size: [f64; 2], scale: f64) -> [usize; 2] {
    size.map(|side| (side * scale).round().max(1.0) as usize)
}

/// Paints a picture over a colour. `go_on` is asked before each shape; its error ends the work.
pub(super) fn paint<E>(picture: &Picture, scale: f64, ground: Colour, go_on: &dyn Fn() -> Result<(), E>) -> Result<Pixels, E> {
    let [width, height] = size(picture.size, scale);
    let bytes = ground.0.iter().copied().cycle().take(width * height * 3).collect();
    let mut painter = Painter { pixels: Pixels { width, height, bytes }, scale };
    painter.picture(picture, [0.0, 0.0], [0, 0, width, height], go_on)?;
    Ok(painter.pixels)
}

struct Painter {
    pixels: Pixels,
    scale: f64,
}

/// Where shapes are drawn: what is added to their places, and the pixels that they may touch.
#[derive(Clone, Copy)]
struct Frame {
    offset: [f64; 2],
    window: [usize; 4],
}

impl Painter {
    fn picture<E>(&mut self, picture: &Picture, offset: [f64; 2], window: [usize; 4], go_on: &dyn Fn() -> Result<(), E>) -> Result<(), E> {
        let frame = Frame { offset, window };
        for shape in &picture.shapes {
            go_on()?;
            match shape {
                Shape::Inside { at, picture } => {
                    let offset = [offset[0] + at[0], offset[1] + at[1]];
                    self.picture(picture, offset, self.within(window, offset, picture.size), go_on)?;
                }
                other => self.shape(other, frame),
            }
        }
        Ok(())
    }
    /// The part of a window that a picture in it has.
    fn within(&self, window: [usize; 4], offset: [f64; 2], size: [f64; 2]) -> [usize; 4] {
        let at = |n: f64| (n * self.scale).round().max(0.0) as usize;
        let [left, top, right, bottom] = window;
        [left.max(at(offset[0])), top.max(at(offset[1])), right.min(at(offset[0] + size[0])), bottom.min(at(offset[1] + size[1]))]
    }
    fn shape(&mut self, shape: &Shape, frame: Frame) {
        let scale = self.scale;
        let place = |[x, y]: [f64; 2]| [(x + frame.offset[0]) * scale, (y + frame.offset[1]) * scale];
        let mut outline = Outline::default();
        match shape {
            Shape::Rect { at: [x, y, width, height], fill, opacity } => {
                let ([left, top], [right, bottom]) = (place([*x, *y]), place([x + width, y + height]));
                outline.contour(&[[left, top], [right, top], [right, bottom], [left, bottom]]);
                self.fill(outline, frame, *fill, *opacity);
            }
            Shape::Line { from, to, stroke, dashed } => {
                // In the middle of a pixel, so that a thin line is one sharp row and not two pale ones.
                let sharp = |point: [f64; 2]| place(point).map(|n| n.floor() + 0.5);
                outlines::straight(&mut outline, sharp(*from), sharp(*to), scale.round().max(1.0), dashed.then_some(scale));
                self.fill(outline, frame, *stroke, 1.0);
            }
            Shape::Path { points, stroke } => {
                let points: Vec<[f64; 2]> = points.iter().map(|p| place(*p)).collect();
                outlines::through(&mut outline, &points, PATH_WIDTH * scale);
                self.fill(outline, frame, *stroke, 1.0);
            }
            Shape::Dot { at, fill } => {
                outlines::disc(&mut outline, place(*at), DOT_RADIUS * scale);
                self.fill(outline, frame, *fill, 1.0);
            }
            Shape::Arc { centre, radius, angles, stroke, width } => {
                outlines::ring(&mut outline, place(*centre), radius * scale, *angles, width * scale);
                self.fill(outline, frame, *stroke, 1.0);
            }
            Shape::Text { at, size, fill, anchor, text } => self.text(place(*at), size * scale, *anchor, text, frame, *fill),
            // Its caller takes pictures within pictures.
            Shape::Inside { .. } => {}
        }
    }
    fn text(&mut self, at: [f64; 2], size: f64, anchor: Anchor, text: &str, frame: Frame, fill: Colour) {
        let width = font::width(text, size);
        let mut x = match anchor {
            Anchor::Start => at[0],
            Anchor::Middle => at[0] - width / 2.0,
            Anchor::End => at[0] - width,
        };
        for c in text.chars() {
            let advance = font::advance(c) * size;
            // Letters beside the window are many in long texts and show nothing.
            if x + 2.0 * advance > frame.window[0] as f64 && x - advance < frame.window[2] as f64 {
                let mut outline = Outline::default();
                outlines::letter(&mut outline, c, [x, at[1]], size);
                self.fill(outline, frame, fill, 1.0);
            }
            x += advance;
        }
    }
    fn fill(&mut self, outline: Outline, frame: Frame, colour: Colour, opacity: f64) {
        let Pixels { width, bytes, .. } = &mut self.pixels;
        let opacity = opacity.clamp(0.0, 1.0) as f32;
        outline.rows(frame.window, |y, x, covered| {
            let at = (y * *width + x) * 3;
            let Some(row) = bytes.get_mut(at..at + covered.len() * 3) else { return };
            for (pixel, share) in row.chunks_exact_mut(3).zip(covered) {
                let share = (share * opacity * 256.0) as i32;
                if share > 0 {
                    for (below, above) in pixel.iter_mut().zip(colour.0) {
                        let mixed = i32::from(*below) * 256 + (i32::from(above) - i32::from(*below)) * share;
                        *below = ((mixed + 128) >> 8).clamp(0, 255) as u8;
                    }
                }
            }
        });
    }
}
