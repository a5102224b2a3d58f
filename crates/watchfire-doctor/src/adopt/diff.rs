//! The difference of two texts as `diff -u` writes it, so that `patch` can apply it. Small files only: it compares every line with every other.

/// Lines around a change.
const CONTEXT: usize = 3;
/// More lines than this, and the whole file is shown as changed: the table of comparisons grows with the square.
const LINES_MAX: usize = 4_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Keep,
    Remove,
    Add,
}

/// The difference from one text to another, under one file name.
pub(super) fn unified(name: &str, old: &str, new: &str) -> String {
    let (before, after): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let steps = steps(&before, &after);
    let changes: Vec<usize> = steps.iter().enumerate().filter(|(_, s)| **s != Step::Keep).map(|(i, _)| i).collect();
    let mut out = format!("--- {name}\n+++ {name}\n");
    let mut at = 0;
    while at < changes.len() {
        let mut last = at;
        while last + 1 < changes.len() && changes[last + 1] - changes[last] <= 2 * CONTEXT {
            last += 1;
        }
        let range = changes[at].saturating_sub(CONTEXT)..(changes[last] + CONTEXT + 1).min(steps.len());
        hunk(&mut out, &steps, range, &before, &after, (old.ends_with('\n'), new.ends_with('\n')));
        at = last + 1;
    }
    out
}

fn hunk(out: &mut String, steps: &[Step], range: std::ops::Range<usize>, before: &[&str], after: &[&str], ends: (bool, bool)) {
    let count = |part: &[Step], without: Step| part.iter().filter(|s| **s != without).count();
    let (mut i, mut j) = (count(&steps[..range.start], Step::Add), count(&steps[..range.start], Step::Remove));
    let (of_old, of_new) = (count(&steps[range.clone()], Step::Add), count(&steps[range.clone()], Step::Remove));
    // An empty side names the line before it.
    let line = |at: usize, lines: usize| if lines == 0 { at } else { at + 1 };
    out.push_str(&format!("@@ -{},{of_old} +{},{of_new} @@\n", line(i, of_old), line(j, of_new)));
    for step in &steps[range] {
        let (sign, text, unended) = match step {
            Step::Keep => (' ', before[i], i + 1 == before.len() && !ends.0),
            Step::Remove => ('-', before[i], i + 1 == before.len() && !ends.0),
            Step::Add => ('+', after[j], j + 1 == after.len() && !ends.1),
        };
        out.push(sign);
        out.extend([text, "\n"]);
        if unended {
            out.push_str("\\ No newline at end of file\n");
        }
        i += usize::from(*step != Step::Add);
        j += usize::from(*step != Step::Remove);
    }
}

/// The shortest way from one to the other, by the longest common subsequence of what lies between equal ends.
fn steps(before: &[&str], after: &[&str]) -> Vec<Step> {
    let start = before.iter().zip(after).take_while(|(a, b)| a == b).count();
    let end = before[start..].iter().rev().zip(after[start..].iter().rev()).take_while(|(a, b)| a == b).count();
    let (a, b) = (&before[start..before.len() - end], &after[start..after.len() - end]);
    let mut out = vec![Step::Keep; start];
    if a.len() > LINES_MAX || b.len() > LINES_MAX {
        out.extend(std::iter::repeat_n(Step::Remove, a.len()).chain(std::iter::repeat_n(Step::Add, b.len())));
    } else {
        let width = b.len() + 1;
        let mut longest = vec![0_u16; (a.len() + 1) * width];
        for i in (0..a.len()).rev() {
            for j in (0..b.len()).rev() {
                longest[i * width + j] = match a[i] == b[j] {
                    true => longest[(i + 1) * width + j + 1] + 1,
                    false => longest[(i + 1) * width + j].max(longest[i * width + j + 1]),
                };
            }
        }
        let (mut i, mut j) = (0, 0);
        while i < a.len() || j < b.len() {
            let step = match (a.get(i), b.get(j)) {
                (Some(x), Some(y)) if x == y => Step::Keep,
                (Some(_), Some(_)) if longest[(i + 1) * width + j] >= longest[i * width + j + 1] => Step::Remove,
                (Some(_), None) => Step::Remove,
                _ => Step::Add,
            };
            i += usize::from(step != Step::Add);
            j += usize::from(step != Step::Remove);
            out.push(step);
        }
    }
    out.extend(std::iter::repeat_n(Step::Keep, end));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_diff_writes_it() {
        assert_eq!(unified("f", "a\nb\nc\nd\ne\nf\n", "a\nb\nX\nd\ne\nf\n"), "--- f\n+++ f\n@@ -1,6 +1,6 @@\n a\n b\n-c\n+X\n d\n e\n f\n");
        assert_eq!(unified("f", "", "a\n"), "--- f\n+++ f\n@@ -0,0 +1,1 @@\n+a\n");
        assert_eq!(unified("f", "a\n", "a\nb"), "--- f\n+++ f\n@@ -1,1 +1,2 @@\n a\n+b\n\\ No newline at end of file\n");
        assert_eq!(unified("f", "a\n", "a\n"), "--- f\n+++ f\n");
    }

    /// Every two texts of up to four lines out of two.
    #[test]
    fn both_texts_stand_in_the_steps() {
        let texts: Vec<Vec<&str>> =
            (0..=4).flat_map(|len| (0..1_usize << len).map(move |bits| (0..len).map(|i| if bits >> i & 1 == 1 { "x" } else { "y" }).collect())).collect();
        for (a, b) in texts.iter().flat_map(|a| texts.iter().map(move |b| (a, b))) {
            let (mut i, mut j, mut out) = (0, 0, Vec::new());
            for step in steps(a, b) {
                if step != Step::Remove {
                    out.push(if step == Step::Keep { a[i] } else { b[j] });
                    j += 1;
                }
                i += usize::from(step != Step::Add);
            }
            assert_eq!((i, &out), (a.len(), b));
        }
    }
}
