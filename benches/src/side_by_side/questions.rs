//! Queries that are timed, and the comparison of their answers.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::client::{Answer, Client};
use crate::query::{self, Answered};
use crate::report::quantile;
use crate::{Result, fail};

/// One query is asked at most so often …
const REPEATS_MAX: usize = 50;
/// … at least so often …
const REPEATS_MIN: usize = 5;
/// … and no more once it has taken so long.
const ASK_TIME: Duration = Duration::from_secs(4);
/// Values that differ by no more than this share of the larger are equal.
const RELATIVE_ERROR_MAX: f64 = 1e-12;

/// A query.
#[derive(Clone, Debug)]
pub struct Question {
    /// Its name in reports.
    pub name: String,
    /// In PromQL.
    pub expression: String,
    /// The steps it is evaluated at.
    pub when: When,
    /// What its median should not exceed, in milliseconds.
    pub target_ms: Option<f64>,
}

/// The steps of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// One step, in milliseconds.
    At(i64),
    /// Many, in milliseconds.
    Range {
        /// The first step.
        start_ms: i64,
        /// The last.
        end_ms: i64,
        /// From one to the next.
        step_ms: i64,
    },
}

/// What a query took, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Times {
    /// The median.
    pub p50: f64,
    /// With 50 repeats the slowest.
    pub p99: f64,
}

/// How two answers to one query differ.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Difference {
    /// Points compared: in both.
    pub points: usize,
    /// Points that only one of them has.
    pub unpaired: usize,
    /// Pairs that differ by more than rounding.
    pub unequal: usize,
    /// The largest difference as a share of the larger value.
    pub largest: f64,
}

impl Question {
    /// Asks once.
    ///
    /// # Errors
    /// If the connection fails or the answer is not 200.
    pub fn ask(&self, client: &mut Client) -> Result<Answer> {
        let query = self.expression.as_str();
        let answer = match self.when {
            When::At(time_ms) => {
                let time = query::seconds(time_ms);
                client.form("/api/v1/query", &[("query", query), ("time", &time)])?
            }
            When::Range { start_ms, end_ms, step_ms } => {
                let [start, end, step] = [start_ms, end_ms, step_ms].map(query::seconds);
                let parameters =
                    [("query", query), ("start", &start), ("end", &end), ("step", &step)];
                client.form("/api/v1/query_range", &parameters)?
            }
        };
        if answer.status != 200 {
            return fail(format!("query {query}: {} {}", answer.status, answer.excerpt()));
        }
        Ok(answer)
    }

    /// Asks once for the answer, then often enough for times.
    ///
    /// # Errors
    /// As [`Question::ask`].
    pub fn measure(&self, client: &mut Client) -> Result<(Vec<Answered>, Times)> {
        let answered = query::read(&self.expression, &self.ask(client)?)?;
        let (begin, mut times) = (Instant::now(), Vec::new());
        while times.len() < REPEATS_MAX && (times.len() < REPEATS_MIN || begin.elapsed() < ASK_TIME)
        {
            let start = Instant::now();
            self.ask(client)?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        Ok((answered, Times { p50: quantile(&times, 0.5), p99: quantile(&times, 0.99) }))
    }
}

impl Difference {
    /// Whether the answers are the same but for rounding.
    #[must_use]
    pub const fn is_equal(&self) -> bool {
        self.unpaired == 0 && self.unequal == 0
    }

    /// Compares point by point.
    #[must_use]
    pub fn between(ours: &[Answered], theirs: &[Answered]) -> Self {
        let (ours, mut theirs) = (points(ours), points(theirs));
        let mut difference = Self::default();
        for (key, value) in ours {
            match theirs.remove(&key) {
                Some(other) => difference.count(value, other),
                None => difference.unpaired += 1,
            }
        }
        difference.unpaired += theirs.len();
        difference
    }

    fn count(&mut self, value: f64, other: f64) {
        self.points += 1;
        if value.to_bits() == other.to_bits() || (value.is_nan() && other.is_nan()) {
            return;
        }
        let scale = value.abs().max(other.abs());
        let share = if scale > 0.0 { (value - other).abs() / scale } else { 0.0 };
        let share = if share.is_nan() { f64::INFINITY } else { share };
        self.largest = self.largest.max(share);
        self.unequal += usize::from(share > RELATIVE_ERROR_MAX);
    }
}

/// Values by label set and time.
fn points(answered: &[Answered]) -> BTreeMap<(String, i64), f64> {
    let all = answered.iter().flat_map(|one| {
        let labels = one.labels.to_string();
        one.samples.iter().map(move |(time, value)| ((labels.clone(), *time), *value))
    });
    all.collect()
}

#[cfg(test)]
mod tests {
    use ephemeris_model::Labels;

    use super::*;

    fn series(name: &str, values: &[f64]) -> Answered {
        let samples = values.iter().enumerate().map(|(i, v)| (i as i64, *v)).collect();
        Answered { labels: Labels::from_pairs([("s", name)]), samples }
    }

    #[test]
    fn rounding_is_equal_and_everything_else_is_counted() {
        let ours = [series("a", &[1.0, f64::NAN, f64::INFINITY]), series("b", &[3.0])];
        let rounded = [series("b", &[3.0 + 1e-15]), series("a", &[1.0, f64::NAN, f64::INFINITY])];
        let same = Difference::between(&ours, &rounded);
        assert!(same.is_equal() && same.points == 4, "{same:?}");
        let other = [series("a", &[1.1, 1.0]), series("c", &[3.0])];
        let difference = Difference::between(&ours, &other);
        let counts = (difference.points, difference.unequal, difference.unpaired);
        assert_eq!(counts, (2, 2, 3));
        assert_eq!(difference.largest, f64::INFINITY);
    }
}
