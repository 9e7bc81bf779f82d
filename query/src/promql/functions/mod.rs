//! The functions of PromQL: names and signatures (Prometheus 3.14, `promql/parser/functions.go`
//! lists the same 90). What they compute lies in the other files of this folder.
//!
//! | file | functions |
//! |---|---|
//! | `window` | one call over range windows; picks the kernel |
//! | `rate`, `rate_series` | `rate`, `increase`, `delta`, `irate`, `idelta`, `resets`, `changes` |
//! | `over_time`, `rank`, `regression` | `*_over_time`, quantiles, `deriv`, `predict_linear` … |
//! | `sliding` | the same for long windows, with the same bits |
//! | `histogram_range`, `extended` | ranges of histograms; `anchored` and `smoothed` |
//! | `elementwise`, `calendar` | one sample at a time: mathematics, clamping, dates |
//! | `vector`, `labels`, `sort` | whole vectors: labels, order |
//! | `histogram_vector`, `classic` | `histogram_quantile(s)`, `histogram_fraction` |
//! | `info` | joining labels of info metrics |
//! | `notes` | what functions have to tell, before it becomes an annotation |
//!
//! When you add a function, also give it a name, a signature and a place in [`Function::ALL`].

mod calendar;
mod classic;
pub mod elementwise;
pub mod extended;
mod format;
mod histogram_range;
mod histogram_vector;
pub mod info;
mod kahan;
mod labels;
pub mod notes;
mod over_time;
mod rank;
mod rate;
mod rate_series;
mod regression;
mod sliding;
mod sort;
pub mod vector;
pub mod window;

pub use extended::{check_extension, smoothed_point};
pub use format::{format_f, format_g, format_open_metrics};
pub use info::{InfoCall, InfoSeries};
pub use kahan::KahanSum;
pub use notes::{Note, NoteKind, Notes};
pub use rank::quantile_of;
pub use rate::possibly_no_counter;
pub use rate_series::RateWindows;
pub use vector::{QueryKind, VectorArg, VectorCall, call_vector};
pub use window::{RangeCall, Window};

use super::ast::ValueType;

/// A function cannot be evaluated: the text for the user, as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FunctionError(pub String);

/// Whether the last argument of a signature may be missing or repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variadic {
    /// Exactly the arguments listed.
    No,
    /// The last argument may be left out.
    Optional,
    /// The last argument may be left out or come any number of times.
    Repeated,
}

/// Arguments and result of a function.
#[derive(Clone, Copy, Debug)]
pub struct Signature {
    /// Types of the arguments.
    pub args: &'static [ValueType],
    /// Whether the last may be missing or repeated.
    pub variadic: Variadic,
    /// Type of the result.
    pub returns: ValueType,
    /// Whether Prometheus hides it behind `promql-experimental-functions`.
    pub experimental: bool,
}

/// A function of PromQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are those of PromQL")]
pub enum Function {
    Abs,
    Absent,
    AbsentOverTime,
    Acos,
    Acosh,
    Asin,
    Asinh,
    Atan,
    Atanh,
    AvgOverTime,
    Ceil,
    Changes,
    Clamp,
    ClampMax,
    ClampMin,
    Cos,
    Cosh,
    CountOverTime,
    DayOfMonth,
    DayOfWeek,
    DayOfYear,
    DaysInMonth,
    Deg,
    Delta,
    Deriv,
    DoubleExponentialSmoothing,
    End,
    Exp,
    FirstOverTime,
    Floor,
    HistogramAvg,
    HistogramCount,
    HistogramFraction,
    HistogramQuantile,
    HistogramQuantiles,
    HistogramStddev,
    HistogramStdvar,
    HistogramSum,
    Hour,
    Idelta,
    Increase,
    Info,
    Irate,
    LabelJoin,
    LabelReplace,
    LastOverTime,
    Ln,
    Log10,
    Log2,
    MadOverTime,
    MaxOf,
    MaxOverTime,
    MinOf,
    MinOverTime,
    Minute,
    Month,
    Pi,
    PredictLinear,
    PresentOverTime,
    QuantileOverTime,
    Rad,
    Range,
    Rate,
    Resets,
    Round,
    Scalar,
    Sgn,
    Sin,
    Sinh,
    Sort,
    SortByLabel,
    SortByLabelDesc,
    SortDesc,
    Sqrt,
    Start,
    StartTimestamp,
    StddevOverTime,
    StdvarOverTime,
    Step,
    SumOverTime,
    Tan,
    Tanh,
    Time,
    Timestamp,
    TsOfFirstOverTime,
    TsOfLastOverTime,
    TsOfMaxOverTime,
    TsOfMinOverTime,
    Vector,
    Year,
}

impl Function {
    /// Every function, by name.
    pub const ALL: &'static [Self] = &[
        Self::Abs,
        Self::Absent,
        Self::AbsentOverTime,
        Self::Acos,
        Self::Acosh,
        Self::Asin,
        Self::Asinh,
        Self::Atan,
        Self::Atanh,
        Self::AvgOverTime,
        Self::Ceil,
        Self::Changes,
        Self::Clamp,
        Self::ClampMax,
        Self::ClampMin,
        Self::Cos,
        Self::Cosh,
        Self::CountOverTime,
        Self::DayOfMonth,
        Self::DayOfWeek,
        Self::DayOfYear,
        Self::DaysInMonth,
        Self::Deg,
        Self::Delta,
        Self::Deriv,
        Self::DoubleExponentialSmoothing,
        Self::End,
        Self::Exp,
        Self::FirstOverTime,
        Self::Floor,
        Self::HistogramAvg,
        Self::HistogramCount,
        Self::HistogramFraction,
        Self::HistogramQuantile,
        Self::HistogramQuantiles,
        Self::HistogramStddev,
        Self::HistogramStdvar,
        Self::HistogramSum,
        Self::Hour,
        Self::Idelta,
        Self::Increase,
        Self::Info,
        Self::Irate,
        Self::LabelJoin,
        Self::LabelReplace,
        Self::LastOverTime,
        Self::Ln,
        Self::Log10,
        Self::Log2,
        Self::MadOverTime,
        Self::MaxOf,
        Self::MaxOverTime,
        Self::MinOf,
        Self::MinOverTime,
        Self::Minute,
        Self::Month,
        Self::Pi,
        Self::PredictLinear,
        Self::PresentOverTime,
        Self::QuantileOverTime,
        Self::Rad,
        Self::Range,
        Self::Rate,
        Self::Resets,
        Self::Round,
        Self::Scalar,
        Self::Sgn,
        Self::Sin,
        Self::Sinh,
        Self::Sort,
        Self::SortByLabel,
        Self::SortByLabelDesc,
        Self::SortDesc,
        Self::Sqrt,
        Self::Start,
        Self::StartTimestamp,
        Self::StddevOverTime,
        Self::StdvarOverTime,
        Self::Step,
        Self::SumOverTime,
        Self::Tan,
        Self::Tanh,
        Self::Time,
        Self::Timestamp,
        Self::TsOfFirstOverTime,
        Self::TsOfLastOverTime,
        Self::TsOfMaxOverTime,
        Self::TsOfMinOverTime,
        Self::Vector,
        Self::Year,
    ];

    /// The function with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|function| function.name() == name)
    }

    /// Name as written in a query.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Abs => "abs",
            Self::Absent => "absent",
            Self::AbsentOverTime => "absent_over_time",
            Self::Acos => "acos",
            Self::Acosh => "acosh",
            Self::Asin => "asin",
            Self::Asinh => "asinh",
            Self::Atan => "atan",
            Self::Atanh => "atanh",
            Self::AvgOverTime => "avg_over_time",
            Self::Ceil => "ceil",
            Self::Changes => "changes",
            Self::Clamp => "clamp",
            Self::ClampMax => "clamp_max",
            Self::ClampMin => "clamp_min",
            Self::Cos => "cos",
            Self::Cosh => "cosh",
            Self::CountOverTime => "count_over_time",
            Self::DayOfMonth => "day_of_month",
            Self::DayOfWeek => "day_of_week",
            Self::DayOfYear => "day_of_year",
            Self::DaysInMonth => "days_in_month",
            Self::Deg => "deg",
            Self::Delta => "delta",
            Self::Deriv => "deriv",
            Self::DoubleExponentialSmoothing => "double_exponential_smoothing",
            Self::End => "end",
            Self::Exp => "exp",
            Self::FirstOverTime => "first_over_time",
            Self::Floor => "floor",
            Self::HistogramAvg => "histogram_avg",
            Self::HistogramCount => "histogram_count",
            Self::HistogramFraction => "histogram_fraction",
            Self::HistogramQuantile => "histogram_quantile",
            Self::HistogramQuantiles => "histogram_quantiles",
            Self::HistogramStddev => "histogram_stddev",
            Self::HistogramStdvar => "histogram_stdvar",
            Self::HistogramSum => "histogram_sum",
            Self::Hour => "hour",
            Self::Idelta => "idelta",
            Self::Increase => "increase",
            Self::Info => "info",
            Self::Irate => "irate",
            Self::LabelJoin => "label_join",
            Self::LabelReplace => "label_replace",
            Self::LastOverTime => "last_over_time",
            Self::Ln => "ln",
            Self::Log10 => "log10",
            Self::Log2 => "log2",
            Self::MadOverTime => "mad_over_time",
            Self::MaxOf => "max_of",
            Self::MaxOverTime => "max_over_time",
            Self::MinOf => "min_of",
            Self::MinOverTime => "min_over_time",
            Self::Minute => "minute",
            Self::Month => "month",
            Self::Pi => "pi",
            Self::PredictLinear => "predict_linear",
            Self::PresentOverTime => "present_over_time",
            Self::QuantileOverTime => "quantile_over_time",
            Self::Rad => "rad",
            Self::Range => "range",
            Self::Rate => "rate",
            Self::Resets => "resets",
            Self::Round => "round",
            Self::Scalar => "scalar",
            Self::Sgn => "sgn",
            Self::Sin => "sin",
            Self::Sinh => "sinh",
            Self::Sort => "sort",
            Self::SortByLabel => "sort_by_label",
            Self::SortByLabelDesc => "sort_by_label_desc",
            Self::SortDesc => "sort_desc",
            Self::Sqrt => "sqrt",
            Self::Start => "start",
            Self::StartTimestamp => "start_timestamp",
            Self::StddevOverTime => "stddev_over_time",
            Self::StdvarOverTime => "stdvar_over_time",
            Self::Step => "step",
            Self::SumOverTime => "sum_over_time",
            Self::Tan => "tan",
            Self::Tanh => "tanh",
            Self::Time => "time",
            Self::Timestamp => "timestamp",
            Self::TsOfFirstOverTime => "ts_of_first_over_time",
            Self::TsOfLastOverTime => "ts_of_last_over_time",
            Self::TsOfMaxOverTime => "ts_of_max_over_time",
            Self::TsOfMinOverTime => "ts_of_min_over_time",
            Self::Vector => "vector",
            Self::Year => "year",
        }
    }

    /// Arguments and result.
    #[must_use]
    #[rustfmt::skip]
    pub const fn signature(self) -> Signature {
        use ValueType::{InstantVector as V, RangeVector as M, Scalar as S, String as T};
        use Variadic::{No, Optional, Repeated};
        match self {
            Self::Abs | Self::Absent | Self::Acos | Self::Acosh | Self::Asin | Self::Asinh |
            Self::Atan | Self::Atanh | Self::Ceil | Self::Cos | Self::Cosh | Self::Deg |
            Self::Exp | Self::Floor | Self::HistogramAvg | Self::HistogramCount |
            Self::HistogramStddev | Self::HistogramStdvar | Self::HistogramSum | Self::Ln |
            Self::Log10 | Self::Log2 | Self::Rad | Self::Sgn | Self::Sin | Self::Sinh |
            Self::Sort | Self::SortDesc | Self::Sqrt | Self::Tan | Self::Tanh | Self::Timestamp =>
                of(&[V], No, V, STABLE),
            Self::AbsentOverTime | Self::AvgOverTime | Self::Changes | Self::CountOverTime |
            Self::Delta | Self::Deriv | Self::FirstOverTime | Self::Idelta | Self::Increase |
            Self::Irate | Self::LastOverTime | Self::MaxOverTime | Self::MinOverTime |
            Self::PresentOverTime | Self::Rate | Self::Resets | Self::StddevOverTime |
            Self::StdvarOverTime | Self::SumOverTime =>
                of(&[M], No, V, STABLE),
            Self::Clamp =>
                of(&[V, S, S], No, V, STABLE),
            Self::ClampMax | Self::ClampMin =>
                of(&[V, S], No, V, STABLE),
            Self::DayOfMonth | Self::DayOfWeek | Self::DayOfYear | Self::DaysInMonth |
            Self::Hour | Self::Minute | Self::Month | Self::Year =>
                of(&[V], Optional, V, STABLE),
            Self::DoubleExponentialSmoothing =>
                of(&[M, S, S], No, V, EXPERIMENTAL),
            Self::End | Self::Range | Self::Start | Self::Step =>
                of(&[], No, S, EXPERIMENTAL),
            Self::HistogramFraction =>
                of(&[S, S, V], No, V, STABLE),
            Self::HistogramQuantile =>
                of(&[S, V], No, V, STABLE),
            Self::HistogramQuantiles =>
                of(&[V, T, S], Repeated, V, EXPERIMENTAL),
            Self::Info =>
                of(&[V, V], Optional, V, EXPERIMENTAL),
            Self::LabelJoin =>
                of(&[V, T, T, T], Repeated, V, STABLE),
            Self::LabelReplace =>
                of(&[V, T, T, T, T], No, V, STABLE),
            Self::MadOverTime | Self::TsOfFirstOverTime | Self::TsOfLastOverTime |
            Self::TsOfMaxOverTime | Self::TsOfMinOverTime =>
                of(&[M], No, V, EXPERIMENTAL),
            Self::MaxOf | Self::MinOf =>
                of(&[S, S], No, S, EXPERIMENTAL),
            Self::Pi | Self::Time =>
                of(&[], No, S, STABLE),
            Self::PredictLinear =>
                of(&[M, S], No, V, STABLE),
            Self::QuantileOverTime =>
                of(&[S, M], No, V, STABLE),
            Self::Round =>
                of(&[V, S], Optional, V, STABLE),
            Self::Scalar =>
                of(&[V], No, S, STABLE),
            Self::SortByLabel | Self::SortByLabelDesc =>
                of(&[V, T], Repeated, V, EXPERIMENTAL),
            Self::StartTimestamp =>
                of(&[V], No, V, EXPERIMENTAL),
            Self::Vector =>
                of(&[S], No, V, STABLE),
        }
    }
}

const STABLE: bool = false;
const EXPERIMENTAL: bool = true;

const fn of(
    args: &'static [ValueType],
    variadic: Variadic,
    returns: ValueType,
    experimental: bool,
) -> Signature {
    Signature { args, variadic, returns, experimental }
}
