//! Answers one range query: from what is kept as far as that is right, the rest computed.

use ephemeris_model::{TimeRange, TimestampMs};
use ephemeris_query::budget::Budget;
use ephemeris_query::promql::annotations::Annotations;
use ephemeris_query::promql::ast::Expr;
use ephemeris_query::promql::engine::{Engine, RangeQuery};
use ephemeris_query::promql::error::QueryError;
use ephemeris_query::promql::reach::{Reach, reach};
use ephemeris_query::promql::result::{Answer, AnswerValue, MatrixSeries, QueryStats};
use ephemeris_storage::{Reader, Store};

use super::{Kept, Key, Reuse, matrix};

/// Nothing is kept for times beyond, in milliseconds since the epoch or before it.
const TIME_MAX: i64 = 1 << 53;

/// A range query and what answers it.
pub(crate) struct Asked<'a> {
    pub(crate) store: &'a Store,
    pub(crate) tenant: &'a str,
    /// The store's newest change, taken **before** `reader` was made.
    pub(crate) seen: u64,
    pub(crate) reader: &'a Reader,
    pub(crate) engine: &'a Engine,
    pub(crate) query: &'a str,
    /// `query`, parsed.
    pub(crate) expr: &'a Expr,
    pub(crate) range: RangeQuery,
    pub(crate) budget: &'a Budget,
}

/// The first and last of some steps.
type Steps = (i64, i64);

impl Asked<'_> {
    /// The answer without anything that is kept.
    pub(crate) fn compute(&self) -> Result<Answer, QueryError> {
        self.engine.range(self.reader, self.query, self.expr, self.range, self.budget)
    }

    /// The answer for some of the steps; none if more than values belong to it.
    fn compute_values(
        &self,
        (first, last): Steps,
    ) -> Result<Option<Vec<MatrixSeries>>, QueryError> {
        if first > last {
            return Ok(Some(Vec::new()));
        }
        let (start, end) = (TimestampMs(first), TimestampMs(last));
        let range = RangeQuery { start, end, ..self.range };
        let answer = self.engine.range(self.reader, self.query, self.expr, range, self.budget)?;
        Ok(values(answer))
    }

    fn steps(&self) -> Steps {
        let RangeQuery { start, end, step_ms } = self.range;
        (start.0, start.0 + (end.0 - start.0) / step_ms * step_ms)
    }

    fn key(&self) -> Key {
        Key {
            tenant: self.tenant.to_owned(),
            query: self.query.to_owned(),
            step_ms: self.range.step_ms,
            phase_ms: self.range.start.0.rem_euclid(self.range.step_ms),
            lookback_ms: self.engine.options().lookback_ms,
        }
    }

    /// The longest run of steps that are asked for, kept, and still right.
    fn valid(&self, kept: &Kept, reach: Reach) -> Option<Steps> {
        let (first, last) = self.steps();
        let oldest = kept.oldest_ms.max(self.reader.oldest().0);
        let first = first.max(kept.steps.0).max(self.first_above(oldest, reach));
        let last = last.min(kept.steps.1);
        if first > last {
            return None;
        }
        let window = |step: i64| (step - reach.back_ms, step + reach.ahead_ms);
        let samples = (TimestampMs(window(first).0), TimestampMs(window(last).1));
        let samples = TimeRange::inclusive(samples.0, samples.1);
        let changed = self.store.changed_since(kept.seen, self.tenant, samples)?;
        // Steps are free between the last window that touches a piece and the first beyond it.
        let mut best: Option<Steps> = None;
        let mut from = first;
        let ends = changed.iter().map(|piece| (piece.start.0, piece.end.0));
        for (start, end) in ends.chain([(i64::MAX, i64::MAX)]) {
            let to = self.at_or_before(start.saturating_sub(1).saturating_sub(reach.ahead_ms));
            let run = (from, to.min(last));
            if run.0 <= run.1 && best.is_none_or(|best| run.1 - run.0 > best.1 - best.0) {
                best = Some(run);
            }
            from = from.max(self.at_or_after(end.saturating_add(reach.back_ms)));
        }
        best
    }

    /// The first step all whose samples are at `oldest` or later.
    fn first_above(&self, oldest: i64, reach: Reach) -> i64 {
        self.at_or_after(oldest.saturating_add(reach.back_ms))
    }

    /// The first of the steps, wherever they begin, that is not before `time`.
    fn at_or_after(&self, time: i64) -> i64 {
        let before = self.at_or_before(time);
        if before == time { time } else { before.saturating_add(self.range.step_ms) }
    }

    fn at_or_before(&self, time: i64) -> i64 {
        let behind = (i128::from(time) - i128::from(self.range.start.0))
            .rem_euclid(i128::from(self.range.step_ms));
        time.saturating_sub(i64::try_from(behind).unwrap_or(i64::MAX))
    }
}

impl Reuse {
    /// Answers a range query.
    pub(crate) fn range(&self, asked: &Asked<'_>) -> Result<Answer, QueryError> {
        let RangeQuery { start, end, step_ms } = asked.range;
        let found = match self.bytes_max {
            // Sums of times and a step do not overflow then.
            1.. if start.0 >= -TIME_MAX && end.0 <= TIME_MAX && step_ms <= TIME_MAX => {
                reach(asked.expr, asked.engine.options())
            }
            _ => None,
        };
        let Some(reach) = found else { return asked.compute() };
        let key = asked.key();
        if let Some(answer) = self.reused(asked, &key, reach)? {
            return Ok(answer);
        }
        let answer = asked.compute()?;
        // Not before: who is given up here comes again.
        self.misses.add(1);
        let oldest_ms = asked.reader.oldest().0;
        self.keep(asked, key, &answer, (reach, oldest_ms));
        Ok(answer)
    }

    /// The answer with steps that are kept; none if these are too few, or if the other ones are
    /// accompanied by warnings, which belong in the order of one evaluation.
    fn reused(
        &self,
        asked: &Asked<'_>,
        key: &Key,
        reach: Reach,
    ) -> Result<Option<Answer>, QueryError> {
        let Some(kept) = self.get(key) else { return Ok(None) };
        let Some((from, to)) = asked.valid(&kept, reach) else { return Ok(None) };
        let ((first, last), step_ms) = (asked.steps(), asked.range.step_ms);
        let (all, reused) = ((last - first) / step_ms + 1, (to - from) / step_ms + 1);
        if reused * 2 < all {
            return Ok(None);
        }
        let Some(head) = asked.compute_values((first, from - step_ms))? else { return Ok(None) };
        let Some(tail) = asked.compute_values((to + step_ms, last))? else { return Ok(None) };
        let middle = matrix::cut(&kept.matrix, (from, to));
        asked.budget.hold(matrix::load_of(&middle))?;
        asked.budget.check()?;
        let matrix = matrix::append(matrix::append(head, middle), tail);
        let answer = Answer {
            value: AnswerValue::Matrix(matrix),
            annotations: Annotations::default(),
            source_warnings: Vec::new(),
            stats: QueryStats::default(),
        };
        self.hits.add(1);
        self.steps_reused.add(reused.unsigned_abs());
        // What was kept is as of `asked.seen` now: that was taken before it was looked at.
        let oldest_ms = asked.reader.oldest().0.max(kept.oldest_ms);
        self.keep(asked, key.clone(), &answer, (reach, oldest_ms));
        Ok(Some(answer))
    }

    /// Keeps the steps of an answer that have all their samples.
    fn keep(&self, asked: &Asked<'_>, key: Key, answer: &Answer, (reach, oldest_ms): (Reach, i64)) {
        let AnswerValue::Matrix(all) = &answer.value else { return };
        let plain = answer.annotations.is_empty() && answer.source_warnings.is_empty();
        let (first, last) = asked.steps();
        let steps = (first.max(asked.first_above(oldest_ms, reach)), last);
        if !plain || steps.0 > steps.1 || !self.admits(matrix::bytes_of(all)) {
            return;
        }
        let matrix = matrix::cut(all, steps);
        self.put(key, Kept { steps, seen: asked.seen, oldest_ms, matrix });
    }
}

/// The values of an answer that has nothing else.
fn values(answer: Answer) -> Option<Vec<MatrixSeries>> {
    let plain = answer.annotations.is_empty() && answer.source_warnings.is_empty();
    match answer.value {
        AnswerValue::Matrix(matrix) if plain => Some(matrix),
        _ => None,
    }
}
