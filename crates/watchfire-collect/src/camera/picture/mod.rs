//! What a small gray picture shows: whether it is black, covered, blurred, moved or the same as before. `capture` puts a picture that stands by
//! itself together, `decoder` has it decoded. Nothing is recognised here, and no picture is kept but the latest.

pub mod capture;
pub(super) mod decoder;

use std::collections::VecDeque;

/// The size that pictures are looked at in.
pub const WIDTH: usize = 160;
/// Their height.
pub const HEIGHT: usize = 90;
/// Below this mean, of 255, and this spread there is no light.
const DARK: f64 = 20.0;
const DARK_SPREAD: f64 = 10.0;
/// Below this spread there is nothing to be seen but one colour.
const FLAT_SPREAD: f64 = 8.0;
/// A picture has to have this share of the usual sharpness.
const BLURRED_SHARE: f64 = 0.25;
/// Below this likeness to the usual picture the camera looks elsewhere.
const MOVED_LIKENESS: f64 = 0.35;
/// So many pictures make the usual one, and so many in a row are needed to say that something is wrong.
const USUAL_AFTER: u32 = 5;
const IN_A_ROW: usize = 2;
/// How fast the usual picture follows.
const FOLLOW: f64 = 0.1;
/// After so many pictures from elsewhere, that is the usual place.
const SETTLED_AFTER: u32 = 30;

/// A gray picture of [`WIDTH`] by [`HEIGHT`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gray(Vec<u8>);

impl Gray {
    /// A picture of its bytes, row by row; nothing if they are not as many as they should be.
    pub fn new(bytes: Vec<u8>) -> Option<Gray> {
        (bytes.len() == WIDTH * HEIGHT).then_some(Gray(bytes))
    }

    /// The picture as a file of the format BMP, which every browser shows.
    pub fn bmp(&self) -> Vec<u8> {
        const HEAD: u32 = 54 + 1_024;
        let mut out = Vec::with_capacity(HEAD as usize + self.0.len());
        out.extend(b"BM");
        out.extend((HEAD + self.0.len() as u32).to_le_bytes());
        out.extend([0; 4]);
        out.extend(HEAD.to_le_bytes());
        out.extend(40u32.to_le_bytes());
        out.extend((WIDTH as u32).to_le_bytes());
        // A negative height means that rows go from the top down.
        out.extend((-(HEIGHT as i32)).to_le_bytes());
        out.extend([1, 0, 8, 0]);
        out.extend([0; 24]);
        for gray in 0..=255u8 {
            out.extend([gray, gray, gray, 0]);
        }
        out.extend(&self.0);
        out
    }

    fn mean(&self) -> f64 {
        self.0.iter().map(|p| f64::from(*p)).sum::<f64>() / self.0.len() as f64
    }

    fn spread(&self, mean: f64) -> f64 {
        let sum: f64 = self.0.iter().map(|p| (f64::from(*p) - mean).powi(2)).sum();
        (sum / self.0.len() as f64).sqrt()
    }

    /// The variance of the Laplacian: how much there is of edges.
    fn sharpness(&self) -> f64 {
        let at = |x: usize, y: usize| i32::from(self.0[y * WIDTH + x]);
        let (mut sum, mut squares, mut count) = (0f64, 0f64, 0f64);
        for y in 1..HEIGHT - 1 {
            for x in 1..WIDTH - 1 {
                let value = f64::from(at(x - 1, y) + at(x + 1, y) + at(x, y - 1) + at(x, y + 1) - 4 * at(x, y));
                sum += value;
                squares += value * value;
                count += 1.0;
            }
        }
        squares / count - (sum / count).powi(2)
    }
}

/// How alike two pictures are, from -1 to 1, whatever their light: their correlation.
fn likeness(picture: &Gray, usual: &[f64]) -> f64 {
    let (a, b) = (picture.mean(), usual.iter().sum::<f64>() / usual.len() as f64);
    let (mut both, mut own, mut other) = (0.0, 0.0, 0.0);
    for (p, u) in picture.0.iter().zip(usual) {
        let (p, u) = (f64::from(*p) - a, u - b);
        both += p * u;
        own += p * p;
        other += u * u;
    }
    if own <= 0.0 || other <= 0.0 { 0.0 } else { both / (own * other).sqrt() }
}

/// What is wrong with pictures; all may be right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// There is no light.
    pub black: bool,
    /// There is one colour only.
    pub covered: bool,
    /// There are fewer edges than usual.
    pub blurred: bool,
    /// The camera looks elsewhere.
    pub moved: bool,
    /// The picture is the one before, to the last point.
    pub identical: bool,
}

impl Faults {
    /// Every fault by its word, and whether it is there.
    pub fn all(self) -> [(&'static str, bool); 5] {
        [("black", self.black), ("covered", self.covered), ("blurred", self.blurred), ("moved", self.moved), ("identical", self.identical)]
    }
    /// The words of those that are there.
    pub fn words(self) -> Vec<&'static str> {
        self.all().into_iter().filter(|(_, there)| *there).map(|(word, _)| word).collect()
    }
}

/// What the latest pictures showed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// The mean, from 0 to 255.
    pub brightness: f64,
    /// The variance of the Laplacian.
    pub sharpness: f64,
    /// What is wrong.
    pub faults: Faults,
}

/// Looks at the pictures of one camera, one after the other.
#[derive(Debug, Default)]
pub struct Judge {
    last: Option<Gray>,
    /// The usual picture, its usual sharpness, and of how many pictures they are.
    usual: Option<(Vec<f64>, f64)>,
    seen: u32,
    elsewhere: u32,
    recent: VecDeque<Faults>,
}

impl Judge {
    /// The latest picture.
    pub fn last(&self) -> Option<&Gray> {
        self.last.as_ref()
    }

    /// Looks at the next picture.
    pub fn look(&mut self, picture: Gray) -> Verdict {
        let brightness = picture.mean();
        let (spread, sharpness) = (picture.spread(brightness), picture.sharpness());
        let black = brightness < DARK && spread < DARK_SPREAD;
        let covered = !black && spread < FLAT_SPREAD;
        let mut faults = Faults { black, covered, identical: self.last.as_ref() == Some(&picture), ..Faults::default() };
        if let Some((usual, sharp)) = self.usual.as_ref().filter(|_| self.seen >= USUAL_AFTER && !black && !covered) {
            faults.blurred = sharpness < sharp * BLURRED_SHARE;
            faults.moved = !faults.blurred && likeness(&picture, usual) < MOVED_LIKENESS;
        }
        self.learn(&picture, sharpness, faults);
        self.last = Some(picture);
        if self.recent.len() >= IN_A_ROW {
            self.recent.pop_front();
        }
        self.recent.push_back(faults);
        Verdict { brightness, sharpness, faults: self.steady() }
    }

    /// What was wrong with the last ones one after another: a hand before the lens is no fault.
    fn steady(&self) -> Faults {
        let all = |of: fn(&Faults) -> bool| self.recent.len() >= IN_A_ROW && self.recent.iter().all(of);
        Faults { black: all(|f| f.black), covered: all(|f| f.covered), blurred: all(|f| f.blurred), moved: all(|f| f.moved), identical: all(|f| f.identical) }
    }

    /// Good pictures make what is usual; where a camera looks for long is where it is meant to look.
    fn learn(&mut self, picture: &Gray, sharpness: f64, faults: Faults) {
        let points = || picture.0.iter().map(|p| f64::from(*p));
        self.elsewhere = if faults.moved { self.elsewhere + 1 } else { 0 };
        if self.elsewhere >= SETTLED_AFTER {
            self.usual = Some((points().collect(), sharpness));
            self.elsewhere = 0;
        }
        if faults.black || faults.covered || faults.blurred || faults.moved {
            return;
        }
        self.seen = self.seen.saturating_add(1);
        match &mut self.usual {
            None => self.usual = Some((points().collect(), sharpness)),
            Some((usual, sharp)) => {
                for (known, now) in usual.iter_mut().zip(points()) {
                    *known += (now - *known) * FOLLOW;
                }
                *sharp += (sharpness - *sharp) * FOLLOW;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A scene with edges, seen from a place, in some light, with the noise of a sensor.
    fn scene(place: usize, light: f64, noise: u64) -> Gray {
        let mut state = noise.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let points = (0..WIDTH * HEIGHT).map(|at| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let (x, y) = (at % WIDTH + place, at / WIDTH + place / 2);
            let block = (x / 13 * 7 + y / 11 * 5 + x / 29 * y / 17 * 3) % 9;
            ((30.0 + block as f64 * 22.0) * light + (state % 7) as f64).clamp(0.0, 255.0) as u8
        });
        Gray::new(points.collect()).unwrap()
    }

    fn blurred(picture: &Gray) -> Gray {
        let mut points = picture.0.clone();
        for _ in 0..6 {
            let before = points.clone();
            for y in 1..HEIGHT - 1 {
                for x in 1..WIDTH - 1 {
                    let sum: u32 = [0, 1, 2].iter().flat_map(|dy| [0, 1, 2].map(|dx| (y + dy - 1) * WIDTH + x + dx - 1)).map(|at| u32::from(before[at])).sum();
                    points[y * WIDTH + x] = (sum / 9) as u8;
                }
            }
        }
        Gray::new(points).unwrap()
    }

    /// A judge that knows what is usual.
    fn settled() -> Judge {
        let mut judge = Judge::default();
        for noise in 1..20 {
            assert_eq!(judge.look(scene(0, 0.6 + noise as f64 / 50.0, noise)).faults, Faults::default(), "{noise}");
        }
        judge
    }

    #[test]
    fn good_pictures_in_any_light_are_good() {
        let verdict = settled().look(scene(0, 0.5, 99));
        assert_eq!(verdict.faults, Faults::default());
        assert!(verdict.brightness > 20.0 && verdict.sharpness > 50.0, "{verdict:?}");
    }

    #[test]
    fn each_fault_is_told_when_it_stays() {
        let flat = |light: u8| Gray::new((0..WIDTH * HEIGHT).map(|at| light + (at % 3) as u8).collect()).unwrap();
        for (name, faulty, expected) in [
            ("black", [flat(2), flat(3)], Faults { black: true, ..Faults::default() }),
            ("covered", [flat(120), flat(121)], Faults { covered: true, ..Faults::default() }),
            ("blurred", [blurred(&scene(0, 1.0, 50)), blurred(&scene(0, 1.0, 51))], Faults { blurred: true, ..Faults::default() }),
            ("moved", [scene(61, 1.0, 60), scene(61, 1.0, 61)], Faults { moved: true, ..Faults::default() }),
        ] {
            let mut judge = settled();
            let [first, second] = faulty;
            assert_eq!(judge.look(first).faults, Faults::default(), "{name}: once is no fault");
            assert_eq!(judge.look(second).faults, expected, "{name}");
            assert_eq!(judge.look(scene(0, 1.0, 70)).faults, Faults::default(), "{name}: it is over");
        }
    }

    #[test]
    fn the_same_picture_again_and_again() {
        let mut judge = settled();
        let picture = scene(0, 1.0, 5);
        assert!(!judge.look(picture.clone()).faults.identical);
        assert!(!judge.look(picture.clone()).faults.identical);
        assert!(judge.look(picture).faults.identical);
        assert!(!judge.look(scene(0, 1.0, 6)).faults.identical);
    }

    #[test]
    fn where_a_camera_looks_for_long_is_its_place() {
        let mut judge = settled();
        let last = (0..SETTLED_AFTER + 3).map(|noise| judge.look(scene(61, 1.0, u64::from(noise) + 100)).faults.moved).collect::<Vec<_>>();
        assert!(last[2] && !last[last.len() - 1], "{last:?}");
    }

    #[test]
    fn pictures_as_files() {
        let file = scene(0, 1.0, 1).bmp();
        assert_eq!(
            (&file[..2], file.len(), u32::from_le_bytes(file[2..6].try_into().unwrap()) as usize),
            (b"BM".as_slice(), 54 + 1_024 + WIDTH * HEIGHT, file.len())
        );
        assert_eq!(Gray::new(vec![0; 3]), None);
    }
}
