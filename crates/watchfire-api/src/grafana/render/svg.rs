//! A picture as SVG: shapes and texts, escaped, with numbers of one decimal.

use std::fmt::Write as _;

use super::list::{Anchor, Colour, DASH, DOT_RADIUS, PATH_WIDTH, Picture, Shape};

impl std::fmt::Display for Colour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

/// The text of a picture.
pub(super) fn write(picture: &Picture) -> String {
    let mut svg = Svg(String::with_capacity(picture.bytes()));
    svg.picture(picture);
    svg.0
}

struct Svg(String);

impl Svg {
    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _infallible = self.0.write_fmt(text);
    }
    fn picture(&mut self, picture: &Picture) {
        let [width, height] = picture.size;
        self.put(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" font-family=\"system-ui, sans-serif\">"
        ));
        for shape in &picture.shapes {
            self.shape(shape);
        }
        self.0.push_str("</svg>");
    }
    fn shape(&mut self, shape: &Shape) {
        match shape {
            Shape::Rect { at: [x, y, width, height], fill, opacity } => {
                self.put(format_args!(
                    "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{fill}\" fill-opacity=\"{opacity}\"/>"
                ));
            }
            Shape::Line { from, to, stroke, dashed } => {
                self.put(format_args!("<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{stroke}\"", from[0], from[1], to[0], to[1]));
                if *dashed {
                    self.put(format_args!(" stroke-dasharray=\"{} {}\"", DASH[0], DASH[1]));
                }
                self.0.push_str("/>");
            }
            Shape::Path { points, stroke } => {
                self.put(format_args!("<polyline fill=\"none\" stroke=\"{stroke}\" stroke-width=\"{PATH_WIDTH}\" points=\""));
                for point in points {
                    self.put(format_args!("{:.1},{:.1} ", point[0], point[1]));
                }
                self.0.push_str("\"/>");
            }
            Shape::Dot { at, fill } => self.put(format_args!("<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"{DOT_RADIUS}\" fill=\"{fill}\"/>", at[0], at[1])),
            Shape::Arc { centre, radius, angles: [from, to], stroke, width } => {
                let point = |angle: f64| [centre[0] - radius * angle.cos(), centre[1] - radius * angle.sin()];
                let ([x1, y1], [x2, y2]) = (point(*from), point(*to));
                let large = u8::from(to - from > std::f64::consts::PI);
                self.put(format_args!(
                    "<path d=\"M{x1:.1} {y1:.1}A{radius:.1} {radius:.1} 0 {large} 1 {x2:.1} {y2:.1}\" fill=\"none\" stroke=\"{stroke}\" stroke-width=\"{width:.1}\"/>"
                ));
            }
            Shape::Text { at, size, fill, anchor, text } => {
                let anchor = match anchor {
                    Anchor::Start => "start",
                    Anchor::Middle => "middle",
                    Anchor::End => "end",
                };
                self.put(format_args!("<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"{size:.1}\" fill=\"{fill}\" text-anchor=\"{anchor}\">", at[0], at[1]));
                self.escaped(text);
                self.0.push_str("</text>");
            }
            Shape::Inside { at: [x, y], picture } => {
                self.put(format_args!("<g transform=\"translate({x:.1} {y:.1})\">"));
                self.picture(picture);
                self.0.push_str("</g>");
            }
        }
    }
    fn escaped(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '&' => self.0.push_str("&amp;"),
                '"' => self.0.push_str("&quot;"),
                // XML has no other control characters.
                c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => self.0.push(' '),
                c => self.0.push(c),
            }
        }
    }
}
