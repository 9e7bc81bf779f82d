//! The syntax tree of a log query. A parsed tree is at most
//! `DEPTH_MAX` levels deep, so everything may recurse over it.

use ephemeris_model::Matcher;

/// A query.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// Answers entries.
    Log(LogExpr),
    /// Answers numbers.
    Metric(MetricExpr),
}

/// A selector and what happens to the entries it finds.
#[derive(Clone, Debug, PartialEq)]
pub struct LogExpr {
    /// All must hold.
    pub matchers: Vec<Matcher>,
    /// Applied in this order.
    pub stages: Vec<Stage>,
}

/// A step of a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// `|= "…"` and its kind.
    Line(LineFilter),
    /// `json`: all fields if there are no extractions.
    Json(Vec<Extraction>),
    /// `logfmt`: all fields if there are no extractions.
    Logfmt {
        /// Its flags.
        flags: LogfmtFlags,
        /// Which fields.
        extractions: Vec<Extraction>,
    },
    /// `regexp "…"`
    Regexp(String),
    /// `pattern "…"`
    Pattern(String),
    /// `unpack`
    Unpack,
    /// `| name op value` and combinations.
    Label(LabelFilter),
    /// `line_format "…"`
    LineFormat(String),
    /// `label_format a=b, c="…"`
    LabelFormat(Vec<LabelFormat>),
    /// `decolorize`
    Decolorize,
    /// `drop a, b="…"`
    Drop(Vec<LabelPick>),
    /// `keep a, b="…"`
    Keep(Vec<LabelPick>),
}

/// Keeps lines by their content.
#[derive(Clone, Debug, PartialEq)]
pub struct LineFilter {
    /// How it compares.
    pub op: LineOp,
    /// A positive filter wants one of them in the line, a negative one none. Never empty.
    pub operands: Vec<LineOperand>,
}

/// How a line filter compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineOp {
    /// `|=`
    Contains,
    /// `!=`
    NotContains,
    /// `|~`
    Regex,
    /// `!~`
    NotRegex,
    /// `|>`
    Pattern,
    /// `!>`
    NotPattern,
}

/// What a line filter looks for.
#[derive(Clone, Debug, PartialEq)]
pub enum LineOperand {
    /// A text, regular expression or pattern.
    Text(String),
    /// `ip("…")`
    Ip(String),
}

/// A label and the field it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extraction {
    /// Name of the label.
    pub name: String,
    /// Path of the field.
    pub path: String,
}

/// Flags of `logfmt`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogfmtFlags {
    /// `--strict`: a malformed field is an error.
    pub strict: bool,
    /// `--keep-empty`: fields without value become labels with an empty one.
    pub keep_empty: bool,
}

/// Keeps entries by their labels.
#[derive(Clone, Debug, PartialEq)]
pub enum LabelFilter {
    /// Compares as text.
    Text(Matcher),
    /// Compares as numbers.
    Number(Comparison<f64>),
    /// Compares as durations, in nanoseconds.
    Duration(Comparison<i64>),
    /// Compares as sizes.
    Bytes(Comparison<u64>),
    /// `name = ip("…")`, `name != ip("…")`
    Ip {
        /// Name of the label.
        name: String,
        /// Whether an address must be there or must not.
        op: IpOp,
        /// Address, range or prefix.
        pattern: String,
    },
    /// All must hold; all are evaluated. Never fewer than two.
    And(Vec<LabelFilter>),
    /// One must hold; evaluated up to the first that does. Never fewer than two.
    Or(Vec<LabelFilter>),
}

/// `name op value`
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison<T> {
    /// Name of the label.
    pub name: String,
    /// How to compare.
    pub op: CompareOp,
    /// What to compare with.
    pub value: T,
}

/// How values compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareOp {
    /// `==`, or `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
}

/// Whether an address must be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpOp {
    /// `=`
    Found,
    /// `!=`
    NotFound,
}

/// One part of `label_format`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelFormat {
    /// The label that is set.
    pub name: String,
    /// To what.
    pub value: FormatValue,
}

/// What a label is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormatValue {
    /// The value of another label, which goes.
    Rename(String),
    /// What a template gives.
    Template(String),
}

/// A label of `drop` and `keep`.
#[derive(Clone, Debug, PartialEq)]
pub enum LabelPick {
    /// By name.
    Name(String),
    /// By name and value.
    Matcher(Matcher),
}

/// An expression that gives numbers.
#[derive(Clone, Debug, PartialEq)]
pub enum MetricExpr {
    /// A literal.
    Number(f64),
    /// `vector(1)`
    Vector(f64),
    /// `rate({…}[5m])` and its kind.
    Range(Box<RangeAggregation>),
    /// `sum(…)` and its kind.
    Aggregate(Box<VectorAggregation>),
    /// `a + b`
    Binary(Box<Binary>),
    /// `label_replace(…)`
    LabelReplace(Box<LabelReplace>),
}

/// Which labels are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// Whether the names are kept or dropped.
    pub kind: GroupingKind,
    /// Names of labels.
    pub names: Vec<String>,
}

/// Whether names are kept or dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupingKind {
    /// `by`
    By,
    /// `without`
    Without,
}

/// `op(param, {…}[range]) by (…)`
#[derive(Clone, Debug, PartialEq)]
pub struct RangeAggregation {
    /// What is computed.
    pub op: RangeOp,
    /// The quantile.
    pub param: Option<f64>,
    /// Over which entries.
    pub range: LogRange,
    /// Into which series.
    pub grouping: Option<Grouping>,
}

/// Entries of a window of time.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRange {
    /// The entries.
    pub log: LogExpr,
    /// The label their values come from.
    pub unwrap: Option<Unwrap>,
    /// Length of the window in nanoseconds, above 0.
    pub range_ns: i64,
    /// How far back the window lies.
    pub offset_ns: i64,
}

/// `| unwrap conversion(label) | filter`
#[derive(Clone, Debug, PartialEq)]
pub struct Unwrap {
    /// Name of the label.
    pub label: String,
    /// How its value is read.
    pub conversion: Conversion,
    /// What happens behind.
    pub filters: Vec<LabelFilter>,
}

/// How the value of a label is read as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conversion {
    /// As a number.
    Number,
    /// `bytes(…)`
    Bytes,
    /// `duration(…)`, in seconds
    Duration,
    /// `duration_seconds(…)`, the same
    DurationSeconds,
}

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each is named as it is written")]
        pub enum $name { $($variant,)* }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// As written in a query.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

named! {
    /// What is computed over a window.
    RangeOp {
        Rate = "rate",
        RateCounter = "rate_counter",
        Count = "count_over_time",
        BytesRate = "bytes_rate",
        Bytes = "bytes_over_time",
        Absent = "absent_over_time",
        Sum = "sum_over_time",
        Avg = "avg_over_time",
        Min = "min_over_time",
        Max = "max_over_time",
        First = "first_over_time",
        Last = "last_over_time",
        Stddev = "stddev_over_time",
        Stdvar = "stdvar_over_time",
        Quantile = "quantile_over_time",
    }
}

named! {
    /// What is computed over series.
    VectorOp {
        Sum = "sum",
        Avg = "avg",
        Min = "min",
        Max = "max",
        Count = "count",
        Stddev = "stddev",
        Stdvar = "stdvar",
        Topk = "topk",
        Bottomk = "bottomk",
        ApproxTopk = "approx_topk",
        Sort = "sort",
        SortDesc = "sort_desc",
    }
}

named! {
    /// An operator between two expressions.
    BinaryOp {
        Or = "or",
        And = "and",
        Unless = "unless",
        Equal = "==",
        NotEqual = "!=",
        Greater = ">",
        GreaterOrEqual = ">=",
        Less = "<",
        LessOrEqual = "<=",
        Add = "+",
        Sub = "-",
        Mul = "*",
        Div = "/",
        Mod = "%",
        Pow = "^",
    }
}

impl BinaryOp {
    /// Whether it is `or`, `and` or `unless`.
    #[must_use]
    pub const fn is_set(self) -> bool {
        matches!(self, Self::Or | Self::And | Self::Unless)
    }

    /// Whether it compares.
    #[must_use]
    pub const fn is_comparison(self) -> bool {
        matches!(
            self,
            Self::Equal
                | Self::NotEqual
                | Self::Greater
                | Self::GreaterOrEqual
                | Self::Less
                | Self::LessOrEqual
        )
    }
}

/// `op by (…) (param, …)`
#[derive(Clone, Debug, PartialEq)]
pub struct VectorAggregation {
    /// What is computed.
    pub op: VectorOp,
    /// How many series; 0 for the operators that take no number.
    pub param: usize,
    /// Into which series.
    pub grouping: Option<Grouping>,
    /// Over what.
    pub inner: MetricExpr,
}

/// `lhs op rhs`
#[derive(Clone, Debug, PartialEq)]
pub struct Binary {
    /// The operator.
    pub op: BinaryOp,
    /// What a comparison gives.
    pub comparison: ComparisonResult,
    /// Which series belong together.
    pub matching: Matching,
    /// Left side.
    pub lhs: MetricExpr,
    /// Right side.
    pub rhs: MetricExpr,
}

/// What a comparison gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComparisonResult {
    /// The left value where it holds.
    Filter,
    /// 0 or 1: `bool`.
    Bool,
}

/// Which series of two sides belong together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matching {
    /// By which labels; all if nothing is said.
    pub labels: Option<MatchLabels>,
    /// Whether several of one side may match.
    pub group: Option<MatchGroup>,
}

/// `on (…)` or `ignoring (…)`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MatchLabels {
    /// These labels.
    On(Vec<String>),
    /// All labels but these.
    Ignoring(Vec<String>),
}

/// `group_left (…)` or `group_right (…)`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchGroup {
    /// The side of which several may match.
    pub many: Side,
    /// Labels taken over from the other side.
    pub include: Vec<String>,
}

/// A side of a binary operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Left.
    Left,
    /// Right.
    Right,
}

/// `label_replace(inner, "destination", "replacement", "source", "pattern")`
#[derive(Clone, Debug, PartialEq)]
pub struct LabelReplace {
    /// The series.
    pub inner: MetricExpr,
    /// The label that is set.
    pub destination: String,
    /// To what.
    pub replacement: String,
    /// The label whose value is matched.
    pub source: String,
    /// The pattern, anchored at both ends.
    pub pattern: String,
}
