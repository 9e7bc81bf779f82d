//! The plan of a query: what the operators evaluate. All durations, `@` and strings are resolved,
//! and vectors and numbers are different types, so an operator cannot meet an argument of the
//! wrong kind.
//!
//! A plan says *what* to compute, not *when*: a [`Grid`] of steps is handed down when it runs, since
//! a subquery runs its part on another grid than the query around it.
//!
//! Chains such as `a + b + c + …` are deep on the left side only and may be very long, so whatever
//! walks a plan goes down left sides in a loop; so does what drops it.

mod build;
mod chain;
mod duration;
mod grid;
mod invariant;

pub(crate) use build::{Setting, build};
pub(crate) use grid::{Grid, Role, Times};

use ephemeris_model::Matcher;

use super::ast::{AggregateOp, BinaryOp, Extension, Grouping, Position, UnaryOp, VectorMatching};
use super::functions::Function;

/// The plan of a whole query.
#[derive(Debug)]
pub(crate) enum Plan {
    /// One number a step.
    Scalar(Scalar),
    /// A text.
    Text(String),
    /// One sample a series and step.
    Vector(Vector),
    /// The samples of a range selector as they are.
    Samples(Samples),
    /// A subquery as it is.
    Subquery(Box<Subquery>),
}

/// A number at each step.
#[derive(Debug)]
pub(crate) enum Scalar {
    /// The same at each step.
    Constant(f64),
    /// `time()`
    Time,
    /// `scalar(v)`
    FromVector(Box<Vector>),
    /// `a + b`, also comparisons, which give 0 or 1.
    Binary(Box<ScalarPair>),
    /// `-a`
    Negate(Box<Self>),
    /// `min_of(a, b)`
    MinOf(Box<Self>, Box<Self>),
    /// `max_of(a, b)`
    MaxOf(Box<Self>, Box<Self>),
    /// The same at each step, computed once.
    Invariant(Box<Self>),
}

/// An operator between numbers.
#[derive(Debug)]
pub(crate) struct ScalarPair {
    /// Which.
    pub(crate) op: BinaryOp,
    /// Left side.
    pub(crate) lhs: Scalar,
    /// Right side.
    pub(crate) rhs: Scalar,
}

/// An instant vector at each step.
#[derive(Debug)]
pub(crate) enum Vector {
    /// `up`
    Selector(Selector),
    /// `rate(x[5m])`: one value per window of one series.
    Windows(Box<Windows>),
    /// `abs(v)`: one value per value.
    Map(Box<Map>),
    /// `v * 2`
    WithScalar(Box<WithScalar>),
    /// `-v`
    Negate(Box<Self>),
    /// `label_replace(v, …)`, `sort(v)`, `histogram_quantile(…)`: needs all series at once.
    Whole(Box<Whole>),
    /// `sum by (x) (v)`
    Aggregate(Box<Aggregate>),
    /// `a + b`, `a == b`
    Join(Box<Join>),
    /// `a and b`, `a or b`, `a unless b`
    Set(Box<Set>),
    /// `vector(s)`
    FromScalar(Box<Scalar>),
    /// `absent(v)`
    Absent(Box<Absent>),
    /// `info(v, …)`
    Info(Box<Info>),
    /// The same at each step, computed once.
    Invariant(Box<Self>),
}

/// What an instant selector gives of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Give {
    /// Its value.
    Value,
    /// Its timestamp, in seconds.
    Timestamp,
    /// Its start timestamp, in seconds.
    StartTimestamp,
}

/// An instant selector.
#[derive(Clone, Debug)]
pub(crate) struct Selector {
    /// Which series and when.
    pub(crate) samples: Samples,
    /// What is wanted of each sample.
    pub(crate) give: Give,
    /// Where it stands.
    pub(crate) position: Position,
}

/// Series and the times at which they are looked at.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Samples {
    /// Which series.
    pub(crate) matchers: Vec<Matcher>,
    /// `offset` and `@`.
    pub(crate) times: Times,
    /// Length of the range window; the lookback for an instant selector.
    pub(crate) range_ms: i64,
    /// `anchored` or `smoothed`.
    pub(crate) extension: Extension,
    /// Only count and sum of histograms are wanted, so resets are told from them anew.
    pub(crate) stats_only: bool,
}

/// A subquery.
#[derive(Debug)]
pub(crate) struct Subquery {
    /// What it evaluates.
    pub(crate) input: Vector,
    /// Length of its window.
    pub(crate) range_ms: i64,
    /// Distance of its steps, which are multiples of it.
    pub(crate) step_ms: i64,
    /// `offset` and `@`.
    pub(crate) times: Times,
}

/// What a range function reads.
#[derive(Debug)]
pub(crate) enum RangeInput {
    /// Samples as stored.
    Samples(Samples),
    /// Results of a subquery.
    Subquery(Subquery),
}

impl RangeInput {
    /// The selector, if it is one.
    pub(crate) const fn samples(&self) -> Option<&Samples> {
        match self {
            Self::Samples(samples) => Some(samples),
            Self::Subquery(_) => None,
        }
    }
}

/// A range function.
#[derive(Debug)]
pub(crate) struct Windows {
    /// Which.
    pub(crate) function: Function,
    /// Its range vector.
    pub(crate) input: RangeInput,
    /// Its scalar arguments, in order.
    pub(crate) params: Vec<Scalar>,
    /// Where it stands.
    pub(crate) site: Site,
}

/// Where a call and its arguments stand, for annotations.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    /// The call.
    pub(crate) call: Position,
    /// Its arguments.
    pub(crate) args: Vec<Position>,
}

/// A function of single values.
#[derive(Debug)]
pub(crate) struct Map {
    /// Which.
    pub(crate) function: Function,
    /// Its vector.
    pub(crate) input: Vector,
    /// Its scalar arguments, in order.
    pub(crate) params: Vec<Scalar>,
}

/// An argument of a function of whole vectors.
#[derive(Debug)]
pub(crate) enum Argument {
    /// A number a step.
    Scalar(Scalar),
    /// A text.
    Text(String),
}

/// A function of whole vectors.
#[derive(Debug)]
pub(crate) struct Whole {
    /// Which.
    pub(crate) function: Function,
    /// Its vector.
    pub(crate) input: Vector,
    /// Its other arguments, in order.
    pub(crate) arguments: Vec<Argument>,
    /// Where it stands.
    pub(crate) site: Site,
}

/// The side of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Before the operator.
    Left,
    /// Behind it.
    Right,
}

/// An operator between a vector and a number.
#[derive(Debug)]
pub(crate) struct WithScalar {
    /// Which.
    pub(crate) op: BinaryOp,
    /// The vector.
    pub(crate) vector: Vector,
    /// The number.
    pub(crate) scalar: Scalar,
    /// Where the number stands.
    pub(crate) scalar_side: Side,
    /// Give 0 and 1 instead of leaving samples out.
    pub(crate) return_bool: bool,
    /// Where the operation stands.
    pub(crate) position: Position,
}

/// The parameter of an aggregation.
#[derive(Debug)]
pub(crate) enum AggregateParam {
    /// There is none.
    None,
    /// `topk(k, …)` and its kind.
    Scalar(Scalar, Position),
    /// `count_values("label", …)`
    Label(String),
}

/// An aggregation.
#[derive(Debug)]
pub(crate) struct Aggregate {
    /// Which.
    pub(crate) op: AggregateOp,
    /// What is aggregated.
    pub(crate) input: Vector,
    /// Where that stands.
    pub(crate) input_position: Position,
    /// Its parameter.
    pub(crate) param: AggregateParam,
    /// How groups are formed.
    pub(crate) grouping: Grouping,
    /// Where it stands.
    pub(crate) position: Position,
}

/// An operator between vectors that computes.
#[derive(Debug)]
pub(crate) struct Join {
    /// Which.
    pub(crate) op: BinaryOp,
    /// Left side.
    pub(crate) lhs: Vector,
    /// Right side.
    pub(crate) rhs: Vector,
    /// Give 0 and 1 instead of leaving samples out.
    pub(crate) return_bool: bool,
    /// How series are matched.
    pub(crate) matching: VectorMatching,
    /// Where it stands.
    pub(crate) position: Position,
}

/// A set operator.
#[derive(Debug)]
pub(crate) struct Set {
    /// Which.
    pub(crate) op: BinaryOp,
    /// Left side.
    pub(crate) lhs: Vector,
    /// Right side.
    pub(crate) rhs: Vector,
    /// How series are matched.
    pub(crate) matching: VectorMatching,
}

/// `absent` and `absent_over_time`.
#[derive(Debug)]
pub(crate) struct Absent {
    /// What may be absent; `present_over_time` for `absent_over_time`.
    pub(crate) input: Vector,
    /// The matchers of the selector it is applied to; empty if that is no selector.
    pub(crate) matchers: Vec<Matcher>,
    /// `absent_over_time`, to which it does not matter which labels are left without names.
    pub(crate) over_time: bool,
}

/// `info(v, {matchers})`.
#[derive(Debug)]
pub(crate) struct Info {
    /// The series that get labels.
    pub(crate) input: Vector,
    /// The matchers as written.
    pub(crate) matchers: Vec<Matcher>,
    /// When info series are looked at: as the series of the first selector inside `input`.
    pub(crate) times: Times,
    /// The lookback.
    pub(crate) lookback_ms: i64,
}

/// Applies a sign to a number.
pub(crate) fn signed(op: UnaryOp, scalar: Scalar) -> Scalar {
    match op {
        UnaryOp::Plus => scalar,
        UnaryOp::Minus => Scalar::Negate(Box::new(scalar)),
    }
}
