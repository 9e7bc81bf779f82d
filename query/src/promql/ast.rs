//! The syntax tree of PromQL. Positions are byte offsets into the query text.

use ephemeris_model::Matcher;

use super::functions::Function;

/// Where a piece of the query stands: bytes `start..end` of its text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// First byte.
    pub start: usize,
    /// First byte after it.
    pub end: usize,
}

/// What an expression evaluates to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// One number a step.
    Scalar,
    /// A text.
    String,
    /// One sample per series a step.
    InstantVector,
    /// A range of samples per series.
    RangeVector,
}

/// An expression and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands.
    pub position: Position,
}

/// The kinds of expression.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// `42`, `0x2a`, `5m`, `Inf`.
    Number(NumberLiteral),
    /// `"text"`.
    String(String),
    /// `up{job="x"}` and its modifiers.
    VectorSelector(VectorSelector),
    /// `up[5m]`; its offset and `@` lie in the selector.
    MatrixSelector(MatrixSelector),
    /// `expr[1h:5m]`.
    Subquery(Box<Subquery>),
    /// `rate(…)`.
    Call(Call),
    /// `sum by (x) (…)`.
    Aggregate(Box<Aggregate>),
    /// `a + b`.
    Binary(Box<Binary>),
    /// `-a`, `+a`.
    Unary(UnaryOp, Box<Expr>),
    /// `(a)`.
    Paren(Box<Expr>),
}

/// A number and whether it was written as a duration (which the printer keeps).
#[derive(Clone, Debug, PartialEq)]
pub struct NumberLiteral {
    /// Its value; a duration counts in seconds.
    pub value: f64,
    /// Written as a duration, as in `5m`.
    pub is_duration: bool,
}

/// Sign operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOp {
    /// `+`
    Plus,
    /// `-`
    Minus,
}

/// The `@` modifier.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AtModifier {
    /// `@ 1609746000`, in milliseconds.
    At(i64),
    /// `@ start()`
    Start,
    /// `@ end()`
    End,
}

/// A duration in a modifier or in brackets.
#[derive(Clone, Debug, PartialEq)]
pub enum Duration {
    /// Known at parse time, in milliseconds.
    Millis(i64),
    /// To be computed when start, end and step of the query are known.
    Expr(Box<DurationExpr>),
}

/// A duration expression: `5m * 2`, `step() + 1`, `max_of(step(), 5s)`. Values are in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct DurationExpr {
    /// What it is.
    pub kind: DurationExprKind,
    /// Where it stands.
    pub position: Position,
}

/// The kinds of duration expression.
#[derive(Clone, Debug, PartialEq)]
pub enum DurationExprKind {
    /// A number or a duration, in seconds.
    Number(NumberLiteral),
    /// `step()`
    Step,
    /// `range()`
    Range,
    /// `min_of(a, b)`
    MinOf(Box<DurationExpr>, Box<DurationExpr>),
    /// `max_of(a, b)`
    MaxOf(Box<DurationExpr>, Box<DurationExpr>),
    /// `+ - * / % ^`
    Binary(BinaryOp, Box<DurationExpr>, Box<DurationExpr>),
    /// `-a`, `+a`
    Unary(UnaryOp, Box<DurationExpr>),
    /// `(a)`
    Paren(Box<DurationExpr>),
}

/// `anchored` or `smoothed` behind a selector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extension {
    /// Neither.
    #[default]
    None,
    /// `anchored`
    Anchored,
    /// `smoothed`
    Smoothed,
}

/// `name{matchers} offset d @ t`.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorSelector {
    /// The metric name as written before the braces, if it was.
    pub name: Option<String>,
    /// All matchers, the one for the metric name included.
    pub matchers: Vec<Matcher>,
    /// `offset`, if written.
    pub offset: Option<Duration>,
    /// `@`, if written.
    pub at: Option<AtModifier>,
    /// `anchored` or `smoothed`.
    pub extension: Extension,
}

/// `selector[range]`.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixSelector {
    /// The selector; carries offset, `@` and extension although they are written behind the range.
    pub selector: VectorSelector,
    /// Where the selector stands without the brackets.
    pub selector_position: Position,
    /// The range window.
    pub range: Duration,
}

/// `expr[range:step] offset d @ t`.
#[derive(Clone, Debug, PartialEq)]
pub struct Subquery {
    /// What is evaluated at each step.
    pub expr: Expr,
    /// The range window.
    pub range: Duration,
    /// Its step; the default step if none is written.
    pub step: Option<Duration>,
    /// `offset`, if written.
    pub offset: Option<Duration>,
    /// `@`, if written.
    pub at: Option<AtModifier>,
}

/// A function and its arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Which function.
    pub function: Function,
    /// Arguments, checked against the function's signature.
    pub args: Vec<Expr>,
}

/// Aggregation operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are those of PromQL")]
pub enum AggregateOp {
    Sum,
    Avg,
    Min,
    Max,
    Count,
    Group,
    Stddev,
    Stdvar,
    Topk,
    Bottomk,
    CountValues,
    Quantile,
    Limitk,
    LimitRatio,
}

impl AggregateOp {
    /// Every aggregation.
    pub const ALL: &'static [Self] = &[
        Self::Sum,
        Self::Avg,
        Self::Min,
        Self::Max,
        Self::Count,
        Self::Group,
        Self::Stddev,
        Self::Stdvar,
        Self::Topk,
        Self::Bottomk,
        Self::CountValues,
        Self::Quantile,
        Self::Limitk,
        Self::LimitRatio,
    ];

    /// The aggregation with this name, in lower case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|op| op.as_str() == name)
    }

    /// As written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
            Self::Count => "count",
            Self::Group => "group",
            Self::Stddev => "stddev",
            Self::Stdvar => "stdvar",
            Self::Topk => "topk",
            Self::Bottomk => "bottomk",
            Self::CountValues => "count_values",
            Self::Quantile => "quantile",
            Self::Limitk => "limitk",
            Self::LimitRatio => "limit_ratio",
        }
    }

    /// Whether a parameter comes before the vector.
    #[must_use]
    pub const fn has_param(self) -> bool {
        matches!(
            self,
            Self::Topk
                | Self::Bottomk
                | Self::CountValues
                | Self::Quantile
                | Self::Limitk
                | Self::LimitRatio
        )
    }
}

/// `op by (labels) (param, expr)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// Which aggregation.
    pub op: AggregateOp,
    /// What is aggregated.
    pub expr: Expr,
    /// The parameter of `topk`, `bottomk`, `quantile`, `count_values`, `limitk`, `limit_ratio`.
    pub param: Option<Expr>,
    /// How groups are formed.
    pub grouping: Grouping,
}

/// `by (…)` or `without (…)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// `without` instead of `by`; nothing written is `by ()`.
    pub without: bool,
    /// Label names as written.
    pub labels: Vec<String>,
}

/// Binary operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are those of PromQL")]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    /// `</`
    TrimUpper,
    /// `>/`
    TrimLower,
    Eql,
    Neq,
    Lss,
    Gtr,
    Lte,
    Gte,
    And,
    Or,
    Unless,
}

impl BinaryOp {
    /// As written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Pow => "^",
            Self::Atan2 => "atan2",
            Self::TrimUpper => "</",
            Self::TrimLower => ">/",
            Self::Eql => "==",
            Self::Neq => "!=",
            Self::Lss => "<",
            Self::Gtr => ">",
            Self::Lte => "<=",
            Self::Gte => ">=",
            Self::And => "and",
            Self::Or => "or",
            Self::Unless => "unless",
        }
    }

    /// `== != < > <= >=`
    #[must_use]
    pub const fn is_comparison(self) -> bool {
        matches!(self, Self::Eql | Self::Neq | Self::Lss | Self::Gtr | Self::Lte | Self::Gte)
    }

    /// `and or unless`
    #[must_use]
    pub const fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }
}

/// `lhs op [bool] [on|ignoring (…)] [group_left|group_right (…)] [fill…] rhs`.
///
/// Operators of the same kind group to the left, so a chain `a + b + c + …` is a tree that is deep
/// on its left side only. Such a chain may have very many links: whatever walks a tree goes down
/// left sides in a loop, as cloning and dropping do here, and recurses elsewhere. `==` and `{:?}` do
/// recurse; they are for tests.
#[derive(Debug, PartialEq)]
pub struct Binary {
    /// The operator.
    pub op: BinaryOp,
    /// Left side.
    pub lhs: Expr,
    /// Right side.
    pub rhs: Expr,
    /// `bool` was written.
    pub return_bool: bool,
    /// How series are matched; absent if one side is a scalar.
    pub matching: Option<VectorMatching>,
    /// What it evaluates to, settled when types are checked.
    pub value_type: ValueType,
}

impl Clone for Binary {
    fn clone(&self) -> Self {
        let (mut links, mut at) = (Vec::new(), &self.lhs);
        while let ExprKind::Binary(link) = &at.kind {
            links.push((link, at.position));
            at = &link.lhs;
        }
        let mut lhs = at.clone();
        for (link, position) in links.into_iter().rev() {
            lhs = Expr { kind: ExprKind::Binary(Box::new(link.with_left(lhs))), position };
        }
        self.with_left(lhs)
    }
}

impl Binary {
    /// A copy with another left side.
    fn with_left(&self, lhs: Expr) -> Self {
        Self {
            op: self.op,
            lhs,
            rhs: self.rhs.clone(),
            return_bool: self.return_bool,
            matching: self.matching.clone(),
            value_type: self.value_type,
        }
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        let mut lhs = std::mem::replace(&mut self.lhs, Expr::nothing());
        while let ExprKind::Binary(link) = &mut lhs.kind {
            lhs = std::mem::replace(&mut link.lhs, Expr::nothing());
        }
    }
}

/// How many series of each side belong together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cardinality {
    /// One and one.
    #[default]
    OneToOne,
    /// `group_left`
    ManyToOne,
    /// `group_right`
    OneToMany,
    /// Set operators.
    ManyToMany,
}

/// `on`/`ignoring`, `group_*` and `fill*`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VectorMatching {
    /// Cardinality of the match.
    pub cardinality: Cardinality,
    /// `on` rather than `ignoring`; nothing written is `ignoring ()`.
    pub on: bool,
    /// Labels of `on` or `ignoring`.
    pub labels: Vec<String>,
    /// Labels of `group_left` or `group_right`.
    pub include: Vec<String>,
    /// Value for a missing left side.
    pub fill_left: Option<f64>,
    /// Value for a missing right side.
    pub fill_right: Option<f64>,
}

impl Expr {
    /// Stands where an expression was taken away.
    const fn nothing() -> Self {
        let number = NumberLiteral { value: 0.0, is_duration: false };
        Self { kind: ExprKind::Number(number), position: Position { start: 0, end: 0 } }
    }

    /// What the expression evaluates to. The tree was type-checked when it was parsed.
    #[must_use]
    pub fn value_type(&self) -> ValueType {
        match &self.kind {
            ExprKind::Number(_) => ValueType::Scalar,
            ExprKind::String(_) => ValueType::String,
            ExprKind::VectorSelector(_) | ExprKind::Aggregate(_) => ValueType::InstantVector,
            ExprKind::MatrixSelector(_) | ExprKind::Subquery(_) => ValueType::RangeVector,
            ExprKind::Call(call) => call.function.signature().returns,
            ExprKind::Binary(b) => b.value_type,
            ExprKind::Unary(_, inner) | ExprKind::Paren(inner) => inner.value_type(),
        }
    }
}
