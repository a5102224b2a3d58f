//! Painted pictures, looked at pixel by pixel.

use super::*;

const WHITE: Colour = Colour([255; 3]);
const RED: Colour = Colour([200, 0, 0]);

fn painted(picture: &Picture, scale: f64) -> Pixels {
    paint(picture, scale, WHITE, &|| Ok::<_, ()>(())).unwrap()
}
impl Pixels {
    pub(in super::super) fn at(&self, x: usize, y: usize) -> [u8; 3] {
        self.bytes[(y * self.width + x) * 3..][..3].try_into().unwrap()
    }
    /// How many pixels of a part (left, top, right, bottom) are wanted ones.
    pub(in super::super) fn count_in(&self, [left, top, right, bottom]: [usize; 4], wanted: impl Fn([u8; 3]) -> bool) -> usize {
        (top..bottom).map(|y| (left..right).filter(|x| wanted(self.at(*x, y))).count()).sum()
    }
    fn count(&self, wanted: impl Fn([u8; 3]) -> bool) -> usize {
        self.bytes.chunks_exact(3).filter(|p| wanted((*p).try_into().unwrap())).count()
    }
}
fn is_dark(pixel: [u8; 3]) -> bool {
    pixel[1] < 100
}

#[test]
fn rectangles_cover_what_they_say() {
    let mut picture = Picture::new(20.0, 10.0);
    picture.rect([2.0, 3.0, 4.0, 5.0], RED, 1.0);
    picture.rect([10.0, 0.0, 4.0, 10.0], Colour([0, 0, 0]), 0.5);
    for scale in [1, 2, 3] {
        let pixels = painted(&picture, scale as f64);
        assert_eq!((pixels.width, pixels.height, pixels.bytes.len()), (20 * scale, 10 * scale, 600 * scale * scale));
        assert_eq!(pixels.count(|p| p == [200, 0, 0]), 20 * scale * scale, "{scale}");
        assert_eq!(pixels.count(|p| p == [128; 3] || p == [127; 3]), 40 * scale * scale, "{scale}");
        assert_eq!((pixels.at(2 * scale, 3 * scale), pixels.at(2 * scale - 1, 3 * scale)), ([200, 0, 0], [255; 3]));
    }
}

#[test]
fn thin_lines_are_one_row() {
    let mut picture = Picture::new(30.0, 10.0);
    picture.line([0.0, 4.0], [30.0, 4.0], RED, false);
    let pixels = painted(&picture, 1.0);
    assert_eq!(pixels.count(|p| p == [200, 0, 0]), 29, "from the middle of the first pixel to that of the last");
    assert_eq!((pixels.at(5, 3), pixels.at(5, 4), pixels.at(5, 5)), ([255; 3], [200, 0, 0], [255; 3]));
    let mut dashed = Picture::new(30.0, 10.0);
    dashed.line([0.0, 4.0], [30.0, 4.0], RED, true);
    let dashes = painted(&dashed, 1.0);
    assert!(dashes.at(3, 4) == [200, 0, 0] && dashes.at(8, 4) == [255; 3] && dashes.at(13, 4) == [200, 0, 0]);
}

#[test]
fn lines_through_points_have_their_width_everywhere() {
    let mut picture = Picture::new(100.0, 100.0);
    picture.path(vec![[10.0, 10.0], [90.0, 10.0], [90.0, 90.0], [90.0, 10.0], [10.0, 90.0]], RED);
    let pixels = painted(&picture, 4.0);
    let dark_in =
        |x: [usize; 2], y: [usize; 2]| (y[0]..y[1]).flat_map(|y| (x[0]..x[1]).map(move |x| (x, y))).filter(|(x, y)| is_dark(pixels.at(*x, *y))).count();
    assert_eq!(dark_in([200, 201], [30, 50]), 6, "one and a half points at four pixels each");
    assert_eq!(dark_in([350, 370], [200, 201]), 6, "there and back is still one line");
    // The corner itself is filled.
    assert!(is_dark(pixels.at(360, 40)) && is_dark(pixels.at(40, 40)) && !is_dark(pixels.at(40, 60)));
}

#[test]
fn rings_and_dots() {
    let mut picture = Picture::new(100.0, 60.0);
    picture.arc([50.0, 50.0], 30.0, [0.0, std::f64::consts::PI], RED, 10.0);
    let pixels = painted(&picture, 1.0);
    assert!(is_dark(pixels.at(50, 20)) && is_dark(pixels.at(20, 48)) && is_dark(pixels.at(80, 48)));
    assert!(!is_dark(pixels.at(50, 40)) && !is_dark(pixels.at(50, 10)) && !is_dark(pixels.at(20, 53)));
    let area = pixels.count(is_dark) as f64;
    assert!((area - std::f64::consts::PI * 30.0 * 10.0).abs() < 40.0, "{area}");
    let mut half = Picture::new(100.0, 60.0);
    half.arc([50.0, 50.0], 30.0, [0.0, std::f64::consts::FRAC_PI_2], RED, 10.0);
    let left = painted(&half, 1.0);
    assert!(is_dark(left.at(20, 48)) && !is_dark(left.at(80, 48)));
    let mut dot = Picture::new(20.0, 20.0);
    dot.path(vec![[10.0, 10.0]], RED);
    assert!(is_dark(painted(&dot, 1.0).at(10, 10)) && !is_dark(painted(&dot, 1.0).at(14, 10)));
}

#[test]
fn letters_stand_where_they_are_anchored() {
    let columns = |anchor: Anchor| {
        let mut picture = Picture::new(200.0, 40.0);
        picture.text([100.0, 30.0], 20.0, Colour([0; 3]), anchor, "Hg 8%");
        let pixels = painted(&picture, 1.0);
        let dark: Vec<usize> = (0..200).filter(|x| (0..40).any(|y| is_dark(pixels.at(*x, y)))).collect();
        assert!(dark.len() > 30, "{dark:?}");
        // `g` reaches below the base line, nothing stands high above it.
        assert!((0..200).any(|x| is_dark(pixels.at(x, 33))) && (0..200).all(|x| !is_dark(pixels.at(x, 8))));
        (dark[0], dark[dark.len() - 1])
    };
    let (start, end) = (columns(Anchor::Start), columns(Anchor::End));
    let middle = columns(Anchor::Middle);
    assert!(start.0 >= 100 && start.1 > 140 && end.1 <= 100 && end.0 < 60, "{start:?} {end:?}");
    assert!(middle.0 < 100 && middle.1 > 100 && (100 - middle.0).abs_diff(middle.1 - 100) < 5, "{middle:?}");
}

#[test]
fn a_picture_within_another_ends_at_its_sides() {
    let mut inner = Picture::new(10.0, 10.0);
    inner.rect([-5.0, -5.0, 100.0, 100.0], RED, 1.0);
    inner.text([0.0, 9.0], 12.0, WHITE, Anchor::Start, "long text that goes on and on");
    let mut picture = Picture::new(40.0, 40.0);
    picture.inside([20.0, 5.0], inner);
    let pixels = painted(&picture, 1.0);
    assert_eq!(pixels.count(|p| p == [255; 3]) + pixels.count(|p| p != [255; 3]), 1_600);
    assert!((0..40).all(|y| (0..40).all(|x| pixels.at(x, y) == [255; 3] || ((20..30).contains(&x) && (5..15).contains(&y)))));
    assert!(pixels.count(|p| p == [200, 0, 0]) > 40);
}

#[test]
fn whoever_has_no_time_gets_nothing() {
    let mut picture = Picture::new(10.0, 10.0);
    picture.rect([0.0, 0.0, 1.0, 1.0], RED, 1.0);
    assert_eq!(paint(&picture, 1.0, WHITE, &|| Err("late")).err(), Some("late"));
}
