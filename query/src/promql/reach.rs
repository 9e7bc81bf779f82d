//! Which samples the value of an expression at a step depends on, seen from the step; and whether it
//! depends on anything else. What does not, can be computed for some steps now and for others later.

use ephemeris_model::{METRIC_NAME, MatchOp, Matcher};

use super::ast::{AggregateOp, Binary, Call, Duration, Expr, ExprKind, Extension, VectorSelector};
use super::engine::EngineOptions;
use super::functions::Function;

/// Longest reach, in milliseconds: a thousand years.
const REACH_MAX: i64 = 1000 * 366 * 24 * 3_600_000;
/// Levels of an expression that is looked at; one that is deeper is left alone.
const DEPTH_MAX: usize = 100;

/// The value at step `t` depends on samples from `t - back_ms` to `t + ahead_ms`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// How far back, in milliseconds; negative if all lies ahead.
    pub back_ms: i64,
    /// How far ahead, in milliseconds; negative if all lies back.
    pub ahead_ms: i64,
}

/// The reach of `expr` at each step of a range query; none if the answer at a step may depend on
/// which other steps are asked for, or on nothing stored at all.
///
/// These do:
/// - `@`, `start()`, `end()`, `range()` and computed durations;
/// - series that have the same labels once their name is gone, which is an error if both are there
///   anywhere in the range: so each selector must name its metric, and nothing below a subquery may
///   mix series;
/// - `topk` and its kind, which tell equals by the order in which series are found, and that is
///   another for other ranges;
/// - `histogram_count` and its kind, which tell resets from the sample before the first window;
/// - `info`, `anchored`, `smoothed`, and start timestamps: left out to be safe.
///
/// Sums of floats depend on the order in which series are found, too, in their last bits only.
#[must_use]
pub fn reach(expr: &Expr, options: &EngineOptions) -> Option<Reach> {
    if options.delayed_name_removal || options.use_start_timestamps {
        return None;
    }
    let walk = Walk { lookback_ms: options.lookback_ms, in_subquery: false, depth: 0 };
    let reach = walk.expr(expr)??;
    let fits = |ms: i64| (-REACH_MAX..=REACH_MAX).contains(&ms);
    (fits(reach.back_ms) && fits(reach.ahead_ms)).then_some(reach)
}

#[derive(Clone, Copy)]
struct Walk {
    lookback_ms: i64,
    in_subquery: bool,
    depth: usize,
}

/// `None` if an expression depends on other steps; inside, `None` if it depends on no sample.
type Found = Option<Option<Reach>>;

impl Walk {
    fn expr(self, mut expr: &Expr) -> Found {
        if self.depth >= DEPTH_MAX {
            return None;
        }
        let below = Self { depth: self.depth + 1, ..self };
        let mut all = None;
        // Chains are deep on the left.
        while let ExprKind::Binary(binary) = &expr.kind {
            below.allows(binary)?;
            all = both(all, below.expr(&binary.rhs)?);
            expr = &binary.lhs;
        }
        let one = match &expr.kind {
            ExprKind::Number(_) | ExprKind::String(_) => None,
            ExprKind::VectorSelector(selector) => Some(samples(selector, self.lookback_ms)?),
            ExprKind::MatrixSelector(matrix) => {
                Some(samples(&matrix.selector, millis(Some(&matrix.range))?)?)
            }
            ExprKind::Subquery(subquery) => {
                if subquery.at.is_some() {
                    return None;
                }
                // Its step is known if it is written as it is, or not at all.
                millis(subquery.step.as_ref())?;
                let inside = Self { in_subquery: true, ..below };
                let range = millis(Some(&subquery.range))?;
                let offset = millis(subquery.offset.as_ref())?;
                inside.expr(&subquery.expr)?.map(|inner| Reach {
                    back_ms: inner.back_ms.saturating_add(range).saturating_add(offset),
                    ahead_ms: inner.ahead_ms.saturating_sub(offset),
                })
            }
            ExprKind::Call(call) => below.call(call)?,
            ExprKind::Aggregate(aggregate) => {
                let picks = matches!(
                    aggregate.op,
                    AggregateOp::Topk
                        | AggregateOp::Bottomk
                        | AggregateOp::Limitk
                        | AggregateOp::LimitRatio
                );
                if picks {
                    return None;
                }
                let param = aggregate.param.as_ref().map_or(Some(None), |p| below.expr(p))?;
                both(param, below.expr(&aggregate.expr)?)
            }
            // Gone down above.
            ExprKind::Binary(_) => return None,
            ExprKind::Unary(_, inner) | ExprKind::Paren(inner) => below.expr(inner)?,
        };
        Some(both(all, one))
    }

    /// Vectors are mixed nowhere below a subquery.
    fn allows(self, binary: &Binary) -> Option<()> {
        (!self.in_subquery || binary.matching.is_none()).then_some(())
    }

    fn call(self, call: &Call) -> Found {
        match call.function {
            Function::Start
            | Function::End
            | Function::Range
            | Function::Info
            | Function::HistogramCount
            | Function::HistogramSum
            | Function::HistogramAvg => return None,
            Function::LabelReplace | Function::LabelJoin if self.in_subquery => return None,
            _ => {}
        }
        call.args.iter().try_fold(None, |all, arg| Some(both(all, self.expr(arg)?)))
    }
}

/// The reach of a selector with a window of `range_ms`.
fn samples(selector: &VectorSelector, range_ms: i64) -> Option<Reach> {
    let named = |matcher: &Matcher| matcher.name == METRIC_NAME && matcher.op == MatchOp::Equal;
    let plain = selector.at.is_none() && selector.extension == Extension::None;
    if !plain || !selector.matchers.iter().any(named) {
        return None;
    }
    let offset = millis(selector.offset.as_ref())?;
    Some(Reach { back_ms: range_ms.saturating_add(offset), ahead_ms: offset.saturating_neg() })
}

/// A duration that does not depend on the times of the query; 0 if there is none.
const fn millis(duration: Option<&Duration>) -> Option<i64> {
    match duration {
        None => Some(0),
        Some(Duration::Millis(millis)) => Some(*millis),
        Some(Duration::Expr(_)) => None,
    }
}

fn both(a: Option<Reach>, b: Option<Reach>) -> Option<Reach> {
    match (a, b) {
        (Some(a), Some(b)) => {
            Some(Reach { back_ms: a.back_ms.max(b.back_ms), ahead_ms: a.ahead_ms.max(b.ahead_ms) })
        }
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::parse::parse;

    const MINUTE: i64 = 60_000;

    fn minutes(query: &str) -> Option<(i64, i64)> {
        let expr = parse(query).expect("the query is good");
        let found = reach(&expr, &EngineOptions::default())?;
        Some((found.back_ms / MINUTE, found.ahead_ms / MINUTE))
    }

    #[test]
    fn windows_and_offsets_add_up() {
        assert_eq!(minutes("up"), Some((5, 0)));
        assert_eq!(minutes("sum by (x) (rate(a[10m])) / 2"), Some((10, 0)));
        assert_eq!(minutes("up offset 1h"), Some((65, -60)));
        assert_eq!(minutes("up offset -1h"), Some((-55, 60)));
        assert_eq!(minutes("a + b offset -3m or c offset 2m"), Some((7, 3)));
        assert_eq!(minutes("max_over_time(rate(a[10m] offset 1m)[1h:] offset 5m)"), Some((76, -6)));
        assert_eq!(minutes("quantile(scalar(q offset 20m), a)"), Some((25, 0)));
    }

    #[test]
    fn what_depends_on_other_steps_has_none() {
        for query in [
            "1",
            "time()",
            "up @ 5",
            "up @ end()",
            "up + start()",
            "up + range()",
            "rate(up[step()])",
            "up offset (1m + 1m)",
            "{job=\"x\"}",
            "{__name__=~\"a|b\"}",
            "topk(3, up)",
            "limitk(3, up)",
            "histogram_count(rate(h[5m]))",
            "info(up)",
            "increase(up[5m] anchored)",
            "max_over_time((a or b)[1h:])",
            "max_over_time(label_replace(a, \"b\", \"$1\", \"c\", \"(.*)\")[1h:])",
            "max_over_time(a[1h:] @ 5)",
        ] {
            assert_eq!(minutes(query), None, "{query}");
        }
    }
}
