//! From the syntax tree to the plan. The tree was type-checked by the parser; what contradicts its
//! types all the same ends in an error here, not in a panic.

use super::duration;
use super::invariant::is_invariant;
use super::{
    Absent, Aggregate, AggregateParam, Argument, Give, Info, Join, Map, Plan, RangeInput, Samples,
    Scalar, ScalarPair, Selector, Set, Side, Site, Subquery, Times, Vector, Whole, Windows,
    WithScalar, signed,
};
use crate::promql::ast::{
    self, AggregateOp, AtModifier, BinaryOp, Call, Duration, Expr, ExprKind, Extension, Position,
    UnaryOp, ValueType, VectorSelector,
};
use crate::promql::engine::EngineOptions;
use crate::promql::error::QueryError;
use crate::promql::functions::{Function, check_extension};

/// What a plan depends on beside the expression.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting<'a> {
    /// Text of the query, for positions in errors.
    pub(crate) query: &'a str,
    /// First step of the whole query.
    pub(crate) start_ms: i64,
    /// End of the whole query.
    pub(crate) end_ms: i64,
    /// Step of the query; 0 for an instant query.
    pub(crate) step_ms: i64,
    /// Settings of the engine.
    pub(crate) options: &'a EngineOptions,
}

#[expect(clippy::cast_precision_loss, reason = "times are far below 2^53 ms")]
impl Setting<'_> {
    pub(super) fn step_seconds(&self) -> f64 {
        self.step_ms as f64 / 1000.0
    }

    pub(super) fn range_seconds(&self) -> f64 {
        self.end_ms.saturating_sub(self.start_ms) as f64 / 1000.0
    }
}

/// Plans a whole query.
pub(crate) fn build(expr: &Expr, setting: &Setting<'_>) -> Result<Plan, QueryError> {
    let builder = Builder { setting: *setting, pinned: false, stats_only: false };
    let inner = strip(expr);
    Ok(match expr.value_type() {
        ValueType::Scalar => Plan::Scalar(builder.scalar(inner)?),
        ValueType::String => Plan::Text(text(inner)?),
        ValueType::InstantVector => Plan::Vector(builder.vector(inner)?),
        ValueType::RangeVector => match builder.range_input(inner)? {
            RangeInput::Samples(samples) => Plan::Samples(samples),
            RangeInput::Subquery(subquery) => Plan::Subquery(Box::new(subquery)),
        },
    })
}

/// Where in the tree the planner is.
#[derive(Clone, Copy)]
struct Builder<'a> {
    setting: Setting<'a>,
    /// Everything below is evaluated once already.
    pinned: bool,
    /// Only count and sum of histograms are wanted.
    stats_only: bool,
}

impl Builder<'_> {
    fn scalar(&self, expr: &Expr) -> Result<Scalar, QueryError> {
        let expr = strip(expr);
        if let ExprKind::Binary(_) = &expr.kind {
            return self.scalar_chain(expr);
        }
        if !self.pinned && is_invariant(expr) && !matches!(expr.kind, ExprKind::Number(_)) {
            let inner = Self { pinned: true, ..*self }.scalar(expr)?;
            return Ok(Scalar::Invariant(Box::new(inner)));
        }
        match &expr.kind {
            ExprKind::Number(number) => Ok(Scalar::Constant(number.value)),
            ExprKind::Unary(op, inner) => Ok(signed(*op, self.scalar(inner)?)),
            ExprKind::Call(call) => self.scalar_call(call),
            _ => Err(unexpected("scalar")),
        }
    }

    /// Operators between numbers, from the left end of the chain on.
    fn scalar_chain(&self, expr: &Expr) -> Result<Scalar, QueryError> {
        let spine = Spine::of(expr, ValueType::Scalar);
        let once = if self.pinned { 0 } else { spine.invariant_links() };
        let pinned = Self { pinned: self.pinned || once > 0, ..*self };
        let mut lhs = pinned.scalar(spine.leaf)?;
        for (at, (_, binary)) in spine.links.iter().enumerate() {
            let builder = if at < once { pinned } else { *self };
            let (op, rhs) = (binary.op, builder.scalar(&binary.rhs)?);
            lhs = Scalar::Binary(Box::new(ScalarPair { op, lhs, rhs }));
            if at + 1 == once {
                lhs = Scalar::Invariant(Box::new(lhs));
            }
        }
        Ok(lhs)
    }

    #[expect(clippy::cast_precision_loss, reason = "times are far below 2^53 ms")]
    fn scalar_call(&self, call: &Call) -> Result<Scalar, QueryError> {
        let at = |index| argument(call, index);
        let seconds = |millis: i64| Scalar::Constant(millis as f64 / 1000.0);
        Ok(match call.function {
            Function::Time => Scalar::Time,
            Function::Pi => Scalar::Constant(std::f64::consts::PI),
            Function::Start => seconds(self.setting.start_ms),
            Function::End => seconds(self.setting.end_ms),
            Function::Step => Scalar::Constant(self.setting.step_seconds()),
            Function::Range => Scalar::Constant(self.setting.range_seconds()),
            Function::Scalar => Scalar::FromVector(Box::new(self.vector(at(0)?)?)),
            Function::MinOf | Function::MaxOf => {
                let (a, b) = (Box::new(self.scalar(at(0)?)?), Box::new(self.scalar(at(1)?)?));
                if call.function == Function::MinOf {
                    Scalar::MinOf(a, b)
                } else {
                    Scalar::MaxOf(a, b)
                }
            }
            _ => return Err(unexpected("scalar")),
        })
    }

    fn vector(&self, expr: &Expr) -> Result<Vector, QueryError> {
        let expr = strip(expr);
        if let ExprKind::Binary(_) = &expr.kind {
            return self.chain(expr);
        }
        if !self.pinned && is_invariant(expr) {
            let inner = Self { pinned: true, ..*self }.vector(expr)?;
            return Ok(Vector::Invariant(Box::new(inner)));
        }
        match &expr.kind {
            ExprKind::VectorSelector(selector) => {
                self.selector(selector, Give::Value, expr.position)
            }
            ExprKind::Unary(UnaryOp::Plus, inner) => self.vector(inner),
            ExprKind::Unary(UnaryOp::Minus, inner) => {
                Ok(Vector::Negate(Box::new(self.vector(inner)?)))
            }
            ExprKind::Call(call) => self.call(expr, call),
            ExprKind::Aggregate(aggregate) => self.aggregate(expr, aggregate),
            _ => Err(unexpected("instant vector")),
        }
    }

    fn selector(
        &self,
        selector: &VectorSelector,
        give: Give,
        position: Position,
    ) -> Result<Vector, QueryError> {
        let samples = self.samples(selector, self.setting.options.lookback_ms)?;
        Ok(Vector::Selector(Selector { samples, give, position }))
    }

    fn samples(&self, selector: &VectorSelector, range_ms: i64) -> Result<Samples, QueryError> {
        Ok(Samples {
            matchers: selector.matchers.clone(),
            times: self.times(selector.at, selector.offset.as_ref())?,
            range_ms,
            extension: selector.extension,
            stats_only: self.stats_only,
        })
    }

    fn times(
        &self,
        at: Option<AtModifier>,
        offset: Option<&Duration>,
    ) -> Result<Times, QueryError> {
        let at_ms = at.map(|at| match at {
            AtModifier::At(millis) => millis,
            AtModifier::Start => self.setting.start_ms,
            AtModifier::End => self.setting.end_ms,
        });
        let offset_ms = offset.map_or(Ok(0), |offset| duration::any(offset, &self.setting))?;
        Ok(Times { at_ms, offset_ms })
    }

    fn range_input(&self, expr: &Expr) -> Result<RangeInput, QueryError> {
        match &strip(expr).kind {
            ExprKind::MatrixSelector(matrix) => {
                let range_ms = duration::positive(&matrix.range, &self.setting)?;
                Ok(RangeInput::Samples(self.samples(&matrix.selector, range_ms)?))
            }
            ExprKind::Subquery(subquery) => {
                let inside = Self { pinned: false, stats_only: false, ..*self };
                let step_ms = match &subquery.step {
                    Some(step) => duration::positive(step, &self.setting)?,
                    None => self.setting.options.default_subquery_step_ms.max(1),
                };
                Ok(RangeInput::Subquery(Subquery {
                    input: inside.vector(&subquery.expr)?,
                    range_ms: duration::positive(&subquery.range, &self.setting)?,
                    step_ms,
                    times: self.times(subquery.at, subquery.offset.as_ref())?,
                }))
            }
            _ => Err(unexpected("range vector")),
        }
    }

    fn call(&self, expr: &Expr, call: &Call) -> Result<Vector, QueryError> {
        let builder = Self { stats_only: self.stats_below(call.function), ..*self };
        builder.call_inside(expr, call)
    }

    /// Whether only count and sum of histograms are wanted below a call of `function`.
    fn stats_below(&self, function: Function) -> bool {
        match function {
            Function::HistogramCount | Function::HistogramSum | Function::HistogramAvg => true,
            Function::HistogramQuantile
            | Function::HistogramQuantiles
            | Function::HistogramFraction
            | Function::HistogramStddev
            | Function::HistogramStdvar => false,
            _ => self.stats_only,
        }
    }

    fn call_inside(&self, expr: &Expr, call: &Call) -> Result<Vector, QueryError> {
        let first = call.args.first();
        match call.function {
            Function::Absent | Function::AbsentOverTime => return self.absent(call),
            Function::Info => return self.info(call),
            Function::Vector => {
                return Ok(Vector::FromScalar(Box::new(self.scalar(argument(call, 0)?)?)));
            }
            Function::Timestamp | Function::StartTimestamp => {
                let give = match call.function {
                    Function::Timestamp => Give::Timestamp,
                    _ => Give::StartTimestamp,
                };
                if let Some(ExprKind::VectorSelector(selector)) = first.map(|a| &strip(a).kind) {
                    return self.selector(selector, give, site(expr, call).args[0]);
                }
            }
            _ => {}
        }
        let range = call.args.iter().position(|a| a.value_type() == ValueType::RangeVector);
        let site = site(expr, call);
        if let Some(at) = range {
            return self.windows(call, at, site);
        }
        match call.function {
            Function::LabelReplace
            | Function::LabelJoin
            | Function::Sort
            | Function::SortDesc
            | Function::SortByLabel
            | Function::SortByLabelDesc
            | Function::HistogramQuantile
            | Function::HistogramQuantiles
            | Function::HistogramFraction => self.whole(call, site),
            _ => self.map(call),
        }
    }

    fn windows(&self, call: &Call, at: usize, site: Site) -> Result<Vector, QueryError> {
        let input = self.range_input(argument(call, at)?)?;
        if let RangeInput::Samples(samples) = &input {
            extension_fits(call.function, samples.extension)?;
        }
        let others = call.args.iter().enumerate().filter(|(i, _)| *i != at);
        let params = others.map(|(_, a)| self.scalar(a)).collect::<Result<_, _>>()?;
        Ok(Vector::Windows(Box::new(Windows { function: call.function, input, params, site })))
    }

    fn map(&self, call: &Call) -> Result<Vector, QueryError> {
        let input = match call.args.iter().find(|a| a.value_type() == ValueType::InstantVector) {
            Some(vector) => self.vector(vector)?,
            // Date functions without an argument are about the time of the step.
            None => Vector::FromScalar(Box::new(Scalar::Time)),
        };
        let scalars = call.args.iter().filter(|a| a.value_type() == ValueType::Scalar);
        let params = scalars.map(|a| self.scalar(a)).collect::<Result<_, _>>()?;
        Ok(Vector::Map(Box::new(Map { function: call.function, input, params })))
    }

    fn whole(&self, call: &Call, site: Site) -> Result<Vector, QueryError> {
        let mut input = None;
        let mut arguments = Vec::new();
        for arg in &call.args {
            match arg.value_type() {
                ValueType::InstantVector => input = Some(self.vector(arg)?),
                ValueType::Scalar => arguments.push(Argument::Scalar(self.scalar(arg)?)),
                ValueType::String => arguments.push(Argument::Text(text(arg)?)),
                ValueType::RangeVector => return Err(unexpected("instant vector")),
            }
        }
        let input = input.ok_or_else(|| unexpected("instant vector"))?;
        Ok(Vector::Whole(Box::new(Whole { function: call.function, input, arguments, site })))
    }

    fn absent(&self, call: &Call) -> Result<Vector, QueryError> {
        let arg = strip(argument(call, 0)?);
        let matchers = match &arg.kind {
            ExprKind::VectorSelector(selector) => selector.matchers.clone(),
            ExprKind::MatrixSelector(matrix) => matrix.selector.matchers.clone(),
            _ => Vec::new(),
        };
        let over_time = call.function == Function::AbsentOverTime;
        let input = if !over_time {
            self.vector(arg)?
        } else {
            let input = self.range_input(arg)?;
            if let RangeInput::Samples(samples) = &input {
                extension_fits(call.function, samples.extension)?;
            }
            let (function, params) = (Function::PresentOverTime, Vec::new());
            let site = Site { call: arg.position, args: vec![arg.position] };
            Vector::Windows(Box::new(Windows { function, input, params, site }))
        };
        Ok(Vector::Absent(Box::new(Absent { input, matchers, over_time })))
    }

    fn info(&self, call: &Call) -> Result<Vector, QueryError> {
        let base = argument(call, 0)?;
        let matchers = match call.args.get(1).map(|a| &strip(a).kind) {
            Some(ExprKind::VectorSelector(selector)) => selector.matchers.clone(),
            _ => Vec::new(),
        };
        Ok(Vector::Info(Box::new(Info {
            input: self.vector(base)?,
            matchers,
            times: self.times_of_first_selector(base)?.unwrap_or_default(),
            lookback_ms: self.setting.options.lookback_ms,
        })))
    }

    /// When the first selector inside `expr` looks at its series.
    fn times_of_first_selector(&self, expr: &Expr) -> Result<Option<Times>, QueryError> {
        let (outer, inner) = match &expr.kind {
            ExprKind::VectorSelector(s) => return self.times(s.at, s.offset.as_ref()).map(Some),
            ExprKind::MatrixSelector(m) => {
                return self.times(m.selector.at, m.selector.offset.as_ref()).map(Some);
            }
            ExprKind::Number(_) | ExprKind::String(_) => return Ok(None),
            ExprKind::Subquery(s) => {
                (self.times(s.at, s.offset.as_ref())?, self.times_of_first_selector(&s.expr)?)
            }
            ExprKind::Call(call) => {
                for arg in &call.args {
                    if let Some(found) = self.times_of_first_selector(arg)? {
                        return Ok(Some(found));
                    }
                }
                return Ok(None);
            }
            ExprKind::Aggregate(a) => return self.times_of_first_selector(&a.expr),
            ExprKind::Binary(_) => {
                let (mut operands, mut at) = (Vec::new(), expr);
                while let ExprKind::Binary(binary) = &at.kind {
                    operands.push(&binary.rhs);
                    at = &binary.lhs;
                }
                operands.push(at);
                for operand in operands.into_iter().rev() {
                    if let Some(found) = self.times_of_first_selector(operand)? {
                        return Ok(Some(found));
                    }
                }
                return Ok(None);
            }
            ExprKind::Unary(_, e) | ExprKind::Paren(e) => return self.times_of_first_selector(e),
        };
        Ok(inner.map(|inner| match inner.at_ms {
            Some(_) => inner,
            None => Times {
                at_ms: outer.at_ms,
                offset_ms: outer.offset_ms.saturating_add(inner.offset_ms),
            },
        }))
    }

    fn aggregate(&self, expr: &Expr, a: &ast::Aggregate) -> Result<Vector, QueryError> {
        let param = match (&a.param, a.op) {
            (None, _) => AggregateParam::None,
            (Some(param), AggregateOp::CountValues) => AggregateParam::Label(text(param)?),
            (Some(param), _) => AggregateParam::Scalar(self.scalar(param)?, param.position),
        };
        Ok(Vector::Aggregate(Box::new(Aggregate {
            op: a.op,
            input: self.vector(&a.expr)?,
            input_position: a.expr.position,
            param,
            grouping: a.grouping.clone(),
            position: expr.position,
        })))
    }

    /// Operators of which at least one side is a vector, from the left end of the chain on.
    fn chain(&self, expr: &Expr) -> Result<Vector, QueryError> {
        let spine = Spine::of(expr, ValueType::InstantVector);
        // Each link is planned as what is around it wants it.
        let mut builders = Vec::with_capacity(spine.links.len());
        let mut below = *self;
        for (_, binary) in spine.links.iter().rev() {
            let trims = matches!(binary.op, BinaryOp::TrimUpper | BinaryOp::TrimLower);
            below.stats_only &= !trims;
            builders.push(below);
        }
        builders.reverse();
        let once = if self.pinned { 0 } else { spine.invariant_links() };
        let pinned = |builder: Self, pin: bool| Self { pinned: builder.pinned || pin, ..builder };
        let mut lhs = match spine.leaf.value_type() {
            ValueType::Scalar => None,
            _ => Some(pinned(below, once > 0).vector(spine.leaf)?),
        };
        for (at, ((position, binary), builder)) in spine.links.iter().zip(builders).enumerate() {
            let mut vector = pinned(builder, at < once).link(*position, binary, lhs)?;
            if at + 1 == once {
                vector = Vector::Invariant(Box::new(vector));
            }
            lhs = Some(vector);
        }
        lhs.ok_or_else(|| unexpected("instant vector"))
    }

    /// One operator; its left side is a vector, or the number that stands there.
    fn link(
        &self,
        position: Position,
        b: &ast::Binary,
        lhs: Option<Vector>,
    ) -> Result<Vector, QueryError> {
        let (op, return_bool) = (b.op, b.return_bool);
        let (scalar_side, vector, scalar) = match lhs {
            None => (Side::Left, self.vector(&b.rhs)?, self.scalar(&b.lhs)?),
            Some(lhs) if b.rhs.value_type() == ValueType::Scalar => {
                (Side::Right, lhs, self.scalar(&b.rhs)?)
            }
            Some(lhs) => {
                let (rhs, matching) =
                    (self.vector(&b.rhs)?, b.matching.clone().unwrap_or_default());
                return Ok(if op.is_set() {
                    Vector::Set(Box::new(Set { op, lhs, rhs, matching }))
                } else {
                    let join = Join { op, lhs, rhs, return_bool, matching, position };
                    Vector::Join(Box::new(join))
                });
            }
        };
        let node = WithScalar { op, vector, scalar, scalar_side, return_bool, position };
        Ok(Vector::WithScalar(Box::new(node)))
    }
}

/// The operators of a chain, the leftmost first, and what stands left of them.
struct Spine<'e> {
    leaf: &'e Expr,
    /// Each with where it stands, its left side included.
    links: Vec<(Position, &'e ast::Binary)>,
}

impl<'e> Spine<'e> {
    /// The operators of `expr` that give a `wanted`.
    fn of(expr: &'e Expr, wanted: ValueType) -> Self {
        let (mut leaf, mut links) = (expr, Vec::new());
        while let ExprKind::Binary(binary) = &leaf.kind
            && binary.value_type == wanted
        {
            links.push((leaf.position, &**binary));
            leaf = &binary.lhs;
        }
        links.reverse();
        Self { leaf, links }
    }

    /// How many operators from the left give the same at every step, with all left of them.
    fn invariant_links(&self) -> usize {
        if !is_invariant(self.leaf) {
            return 0;
        }
        self.links.iter().take_while(|(_, binary)| is_invariant(&binary.rhs)).count()
    }
}

/// `expr` without the parentheses around it.
fn strip(mut expr: &Expr) -> &Expr {
    while let ExprKind::Paren(inner) = &expr.kind {
        expr = inner;
    }
    expr
}

fn text(expr: &Expr) -> Result<String, QueryError> {
    match &strip(expr).kind {
        ExprKind::String(text) => Ok(text.clone()),
        _ => Err(unexpected("string")),
    }
}

fn argument(call: &Call, index: usize) -> Result<&Expr, QueryError> {
    call.args.get(index).ok_or_else(|| {
        let name = call.function.name();
        QueryError::execution(format!("argument {} of {name} is missing", index + 1))
    })
}

fn site(expr: &Expr, call: &Call) -> Site {
    Site { call: expr.position, args: call.args.iter().map(|a| a.position).collect() }
}

fn unexpected(wanted: &str) -> QueryError {
    QueryError::execution(format!("expression is no {wanted}"))
}

fn extension_fits(function: Function, extension: Extension) -> Result<(), QueryError> {
    check_extension(function, extension).map_err(|error| QueryError::execution(error.0))
}
