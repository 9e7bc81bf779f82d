//! Steps of a query, and the times selectors look at for each of them.

use super::Subquery;

/// Evenly spaced steps; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    /// The first step, in milliseconds since the epoch.
    pub(crate) start_ms: i64,
    /// Distance of steps, above 0.
    pub(crate) step_ms: i64,
    /// Number of steps.
    pub(crate) count: usize,
    /// Whose steps they are.
    pub(crate) role: Role,
}

/// Whose steps a grid has. It decides where samples looked at are counted, as Prometheus does:
/// those below a subquery are not, since the function above counts what the subquery gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The query's own.
    Query,
    /// One step that serves this many of the query's own.
    Once(usize),
    /// Those inside a subquery.
    Subquery,
}

impl Grid {
    /// The one step at `at_ms`.
    pub(crate) const fn single(at_ms: i64) -> Self {
        Self { start_ms: at_ms, step_ms: 1, count: 1, role: Role::Query }
    }

    /// Its first step alone, for what is the same at all of them.
    pub(crate) const fn once(&self) -> Self {
        let role = match self.role {
            Role::Query => Role::Once(self.count),
            other => other,
        };
        Self { count: 1, role, ..*self }
    }

    /// `start`, `start + step`, … up to `end`; none if `end` lies before `start`, or if there were
    /// more steps than can be counted.
    pub(crate) fn between(start_ms: i64, end_ms: i64, step_ms: i64) -> Option<Self> {
        if end_ms < start_ms || step_ms <= 0 {
            return None;
        }
        let count = (i128::from(end_ms) - i128::from(start_ms)) / i128::from(step_ms) + 1;
        Some(Self { start_ms, step_ms, count: usize::try_from(count).ok()?, role: Role::Query })
    }

    /// The time of step `index`.
    #[inline]
    pub(crate) const fn at(&self, index: usize) -> i64 {
        self.start_ms.saturating_add((index as i64).saturating_mul(self.step_ms))
    }
}

/// `offset` and `@`: which time is looked at when a step is evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Times {
    /// `@`, in milliseconds since the epoch.
    pub(crate) at_ms: Option<i64>,
    /// `offset`, positive into the past.
    pub(crate) offset_ms: i64,
}

impl Times {
    /// The time looked at when step `index` of `grid` is evaluated.
    #[inline]
    pub(crate) const fn of(&self, grid: &Grid, index: usize) -> i64 {
        match self.at_ms {
            Some(at) => at.saturating_sub(self.offset_ms),
            None => grid.at(index).saturating_sub(self.offset_ms),
        }
    }

    /// The first and the last time looked at.
    pub(crate) const fn bounds(&self, grid: &Grid) -> (i64, i64) {
        (self.of(grid, 0), self.of(grid, grid.count - 1))
    }
}

impl Subquery {
    /// The steps inside, when the subquery is evaluated at the steps of `outer`: all multiples of
    /// the step that lie in one of its windows. None if there are none.
    pub(crate) fn grid(&self, outer: &Grid) -> Option<Grid> {
        let (first, last) = self.times.bounds(outer);
        let before = first.saturating_sub(self.range_ms);
        let start = before.div_euclid(self.step_ms).checked_add(1)?.checked_mul(self.step_ms)?;
        let grid = Grid::between(start, last, self.step_ms)?;
        Some(Grid { role: Role::Subquery, ..grid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_a_step_only_if_it_is_hit() {
        let grid = Grid { start_ms: 0, step_ms: 4, count: 3, role: Role::Query };
        assert_eq!(Grid::between(0, 10, 4), Some(grid));
        assert_eq!(Grid::between(-8, 0, 4).map(|g| (g.count, g.at(g.count - 1))), Some((3, 0)));
        assert_eq!(Grid::between(1, 0, 1), None);
        assert_eq!(Grid::between(i64::MIN, i64::MAX, 1), None);
    }

    #[test]
    fn at_pins_the_time_and_offset_moves_it() {
        let grid = Grid { start_ms: 100, step_ms: 10, count: 3, role: Role::Query };
        let pinned = Times { at_ms: Some(50), offset_ms: 5 };
        assert_eq!(pinned.bounds(&grid), (45, 45));
        assert_eq!(Times { at_ms: None, offset_ms: -5 }.bounds(&grid), (105, 125));
    }
}
