//! Steps of a query, and which of them see a moment through their window.

use ephemeris_model::logs::NanoRange;

use crate::logs::engine::MetricRange;

/// Evenly spaced moments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    start: i64,
    step: i64,
    count: usize,
}

impl Grid {
    pub(super) const fn single(at: i64) -> Self {
        Self { start: at, step: 1, count: 1 }
    }

    /// Nothing if there is no step, or more than can be counted.
    pub(super) fn new(range: MetricRange) -> Option<Self> {
        let MetricRange { start_ns, end_ns, step_ns } = range;
        if step_ns <= 0 || end_ns < start_ns {
            return None;
        }
        let steps = end_ns.checked_sub(start_ns)? / step_ns;
        let count = usize::try_from(steps).ok()?.checked_add(1)?;
        Some(Self { start: start_ns, step: step_ns, count })
    }

    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// When step `k` is.
    pub(super) fn time(&self, k: usize) -> i64 {
        // In range: k is below the number of steps that fit before the end.
        self.start.saturating_add(self.step.saturating_mul(i64::try_from(k).unwrap_or(i64::MAX)))
    }
}

/// Windows of one length that end at each step, shifted back by an offset.
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows {
    grid: Grid,
    range: i64,
}

impl Windows {
    pub(super) fn new(grid: &Grid, range_ns: i64, offset_ns: i64) -> Self {
        let start = grid.start.saturating_sub(offset_ns);
        Self { grid: Grid { start, ..*grid }, range: range_ns }
    }

    pub(super) const fn count(&self) -> usize {
        self.grid.count
    }

    /// All moments that any window sees.
    pub(super) fn covered(&self) -> NanoRange {
        let last = self.grid.time(self.grid.count - 1);
        NanoRange {
            start: self.grid.start.saturating_sub(self.range).saturating_add(1),
            end: last.saturating_add(1),
        }
    }

    /// What the window of step `k` sees: its start is excluded, its end included.
    pub(super) fn window(&self, k: usize) -> NanoRange {
        let end = self.grid.time(k);
        NanoRange {
            start: end.saturating_sub(self.range).saturating_add(1),
            end: end.saturating_add(1),
        }
    }

    /// Whether the same windows see all moments of a range.
    pub(super) fn is_whole(&self, range: NanoRange) -> bool {
        range.start >= range.end || self.steps(range.start) == self.steps(range.end - 1)
    }

    /// First step whose window sees `at`, and the one behind the last; empty in a gap.
    pub(super) fn steps(&self, at: i64) -> std::ops::Range<usize> {
        let from_start = at.saturating_sub(self.grid.start);
        let first = index(div_ceil(from_start, self.grid.step));
        let end = index(div_ceil(from_start.saturating_add(self.range), self.grid.step));
        first.min(self.grid.count)..end.min(self.grid.count)
    }
}

fn index(k: i64) -> usize {
    usize::try_from(k).unwrap_or(0)
}

/// Rounds up; `by` is above 0.
const fn div_ceil(a: i64, by: i64) -> i64 {
    let down = a.div_euclid(by);
    if a.rem_euclid(by) > 0 { down + 1 } else { down }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_belongs_to_windows_that_end_at_or_after_it() {
        let grid = Grid::new(MetricRange { start_ns: 60, end_ns: 180, step_ns: 30 });
        let grid = grid.expect("five steps");
        for (range, offset) in [(60, 0), (10, 0), (30, 20), (200, -40)] {
            let windows = Windows::new(&grid, range, offset);
            for at in -300..400 {
                let wanted = (0..grid.count()).filter(|k| {
                    let window = windows.window(*k);
                    window.start <= at && at < window.end
                });
                let got: Vec<usize> = windows.steps(at).collect();
                assert_eq!(got, wanted.collect::<Vec<_>>(), "{at} in {range} offset {offset}");
            }
        }
    }

    #[test]
    fn extremes_do_not_overflow() {
        let range = MetricRange { start_ns: i64::MIN, end_ns: i64::MAX, step_ns: 1 };
        assert!(Grid::new(range).is_none());
        let windows = Windows::new(&Grid::single(i64::MIN), i64::MAX, i64::MAX);
        let _ = (windows.covered(), windows.steps(i64::MAX), windows.steps(i64::MIN));
    }
}
