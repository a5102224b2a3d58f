//! Two answers about one series become one: every time once, and where both have a time, the first one's sample counts.

use std::collections::HashSet;

use watchfire_model::read::Series;

/// Joins two series of the same labels.
pub(super) fn merge(first: Series, second: Series) -> Series {
    let taken: HashSet<i64> = first.histograms.iter().map(|h| h.time.millis()).chain(first.times.iter().copied()).collect();
    let mut merged = Series { labels: first.labels, ..Series::default() };
    let others = second.times.into_iter().zip(second.values).filter(|(time, _)| !taken.contains(time));
    let mut floats: Vec<(i64, f64)> = first.times.into_iter().zip(first.values).chain(others).collect();
    // Sorting two runs that ascend is a merge; the sort is stable and there are no equal times.
    floats.sort_by_key(|(time, _)| *time);
    (merged.times, merged.values) = floats.into_iter().unzip();
    merged.histograms = first.histograms;
    merged.histograms.extend(second.histograms.into_iter().filter(|h| !taken.contains(&h.time.millis())));
    merged.histograms.sort_by_key(|h| h.time);
    merged
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use watchfire_model::histogram::Histogram;
    use watchfire_model::labels;
    use watchfire_model::sample::HistogramSample;
    use watchfire_model::time::Timestamp;

    use super::*;

    #[test]
    fn the_first_counts() {
        let series = |floats: &[(i64, f64)], histograms: &[(i64, f64)]| Series {
            labels: labels!("__name__" => "m"),
            times: floats.iter().map(|(t, _)| *t).collect(),
            values: floats.iter().map(|(_, v)| *v).collect(),
            histograms: histograms
                .iter()
                .map(|(t, sum)| HistogramSample { time: Timestamp(*t), value: Arc::new(Histogram { sum: *sum, ..Histogram::default() }) })
                .collect(),
        };
        let merged = merge(series(&[(1, 1.0), (4, 4.0)], &[(6, 6.0)]), series(&[(0, 9.0), (1, 9.0), (3, 9.0), (6, 9.0)], &[(4, 9.0), (5, 9.0), (6, 9.0)]));
        assert_eq!((merged.times, merged.values), (vec![0, 1, 3, 4], vec![9.0, 1.0, 9.0, 4.0]));
        assert_eq!(merged.histograms.iter().map(|h| (h.time.millis(), h.value.sum)).collect::<Vec<_>>(), [(5, 9.0), (6, 6.0)]);
    }
}
