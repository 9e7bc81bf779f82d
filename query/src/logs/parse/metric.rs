//! Operators, vector aggregations, functions and literals.

use super::parser::{Parser, too_deep};
use super::token::TokenKind;
use super::{DEPTH_MAX, check};
use crate::logs::arithmetic::apply;
use crate::logs::ast::{
    Binary, BinaryOp, ComparisonResult, Expr, Grouping, LabelReplace, LogExpr, MatchGroup,
    MatchLabels, Matching, MetricExpr, RangeOp, Side, VectorAggregation, VectorOp,
};
use crate::logs::error::ParseError;
use crate::logs::regexes::{anchored, go_error};

/// A tree and how deep it is.
struct Deep {
    expr: Expr,
    depth: usize,
}

impl Deep {
    fn metric(expr: MetricExpr, depth: usize) -> Result<Self, ParseError> {
        if depth > DEPTH_MAX {
            return Err(too_deep());
        }
        Ok(Self { expr: Expr::Metric(expr), depth })
    }
}

/// What stands between the operands of a binary operator.
struct Operator {
    op: BinaryOp,
    comparison: ComparisonResult,
    matching: Matching,
}

/// How tightly an operator binds.
const fn precedence(op: BinaryOp) -> u8 {
    match op {
        BinaryOp::Or => 1,
        BinaryOp::And | BinaryOp::Unless => 2,
        BinaryOp::Add | BinaryOp::Sub => 4,
        BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod => 5,
        BinaryOp::Pow => 6,
        _ => 3,
    }
}

impl Parser<'_> {
    /// All of the text.
    pub(super) fn query(&mut self) -> Result<Expr, ParseError> {
        let deep = self.expression(1)?;
        self.end()?;
        Ok(deep.expr)
    }

    /// Operators that bind at least as tightly as `least`.
    fn expression(&mut self, least: u8) -> Result<Deep, ParseError> {
        self.deeper(|parser| {
            let mut lhs = parser.operand()?;
            loop {
                let op = parser.word().and_then(binary_op);
                let Some(op) = op.filter(|op| precedence(*op) >= least) else { return Ok(lhs) };
                let operator = parser.operator(op)?;
                // A power is the only operator that groups to the right.
                let next = precedence(op) + u8::from(op != BinaryOp::Pow);
                let rhs = parser.expression(next)?;
                lhs = parser.binary(operator, lhs, rhs)?;
            }
        })
    }

    fn operator(&mut self, op: BinaryOp) -> Result<Operator, ParseError> {
        self.advance();
        let bool_given = self.accept("bool");
        let comparison = if bool_given { ComparisonResult::Bool } else { ComparisonResult::Filter };
        let labels = match self.word() {
            Some("on") => {
                self.advance();
                Some(MatchLabels::On(self.names()?))
            }
            Some("ignoring") => {
                self.advance();
                Some(MatchLabels::Ignoring(self.names()?))
            }
            _ => None,
        };
        let side = match self.word() {
            Some("group_left") if labels.is_some() => Some(Side::Left),
            Some("group_right") if labels.is_some() => Some(Side::Right),
            _ => None,
        };
        let group = match side {
            Some(many) => {
                self.advance();
                Some(MatchGroup { many, include: self.included_names()? })
            }
            None => None,
        };
        if bool_given && !op.is_comparison() {
            self.note(format!("unexpected bool modifier for operation {}", op.as_str()));
        }
        Ok(Operator { op, comparison, matching: Matching { labels, group } })
    }

    /// The names behind `group_left`, which may be missing; an operand in parentheses may follow.
    fn included_names(&mut self) -> Result<Vec<String>, ParseError> {
        if !self.at("(") {
            return Ok(Vec::new());
        }
        self.names()
    }

    fn binary(&mut self, operator: Operator, lhs: Deep, rhs: Deep) -> Result<Deep, ParseError> {
        let depth = lhs.depth.max(rhs.depth) + 1;
        let op = operator.op;
        let lhs = self.leg(lhs.expr, op, "left");
        let rhs = self.leg(rhs.expr, op, "right");
        if op.is_set() {
            for (leg, side) in [(&lhs, "left"), (&rhs, "right")] {
                if let MetricExpr::Number(value) = leg {
                    self.note(format!(
                        "unexpected literal for {side} leg of logical/set binary operation ({}): \
                         {value:.6}",
                        op.as_str()
                    ));
                }
            }
        }
        if let (MetricExpr::Number(a), MetricExpr::Number(b)) = (&lhs, &rhs)
            && !op.is_set()
        {
            return Deep::metric(MetricExpr::Number(apply(op, *a, *b)), 1);
        }
        let Operator { op, comparison, matching } = operator;
        let binary = Binary { op, comparison, matching, lhs, rhs };
        Deep::metric(MetricExpr::Binary(Box::new(binary)), depth)
    }

    /// A side of an operator, which must be a metric.
    fn leg(&mut self, expr: Expr, op: BinaryOp, side: &str) -> MetricExpr {
        match expr {
            Expr::Metric(metric) => metric,
            Expr::Log(log) => {
                let kind = if log.stages.is_empty() { "MatchersExpr" } else { "PipelineExpr" };
                self.note(format!(
                    "unexpected type for {side} leg of binary operation ({}): *syntax.{kind}",
                    op.as_str()
                ));
                MetricExpr::Vector(0.0)
            }
        }
    }

    fn operand(&mut self) -> Result<Deep, ParseError> {
        match &self.token.kind {
            TokenKind::Number(_) => {
                let text = self.number_text()?;
                let value = self.float(&text);
                return Deep::metric(MetricExpr::Number(value), 1);
            }
            TokenKind::Word(_) => {}
            _ => return Err(self.unexpected(&[])),
        }
        match self.word().unwrap_or_default() {
            "{" => {
                let log = self.log()?;
                Ok(Deep { expr: Expr::Log(log), depth: 1 })
            }
            "(" => {
                self.advance();
                let inner = self.expression(1)?;
                self.expect(")")?;
                Ok(inner)
            }
            "-" => self.signed(-1.0),
            "+" => self.signed(1.0),
            word => self.call(word),
        }
    }

    fn signed(&mut self, sign: f64) -> Result<Deep, ParseError> {
        self.advance();
        let text = self.number_text()?;
        let value = sign * self.float(&text);
        Deep::metric(MetricExpr::Number(value), 1)
    }

    /// A selector with its stages.
    fn log(&mut self) -> Result<LogExpr, ParseError> {
        let matchers = self.selector()?;
        let mut stages = Vec::new();
        while let Some(stage) = self.stage()? {
            stages.push(stage);
        }
        if self.at("unwrap") {
            return Err(self.unexpected(&[]));
        }
        Ok(LogExpr { matchers, stages })
    }

    /// Matchers of which at least one wants a value.
    pub(super) fn selector(&mut self) -> Result<Vec<ephemeris_model::Matcher>, ParseError> {
        let matchers = self.matchers()?;
        if matchers.iter().all(ephemeris_model::Matcher::matches_empty) {
            self.note(check::NO_SELECTIVE_MATCHER);
        }
        Ok(matchers)
    }

    fn call(&mut self, word: &'static str) -> Result<Deep, ParseError> {
        if let Some(op) = RangeOp::ALL.iter().find(|op| op.as_str() == word) {
            let aggregation = self.range_aggregation(*op)?;
            return Deep::metric(MetricExpr::Range(Box::new(aggregation)), 1);
        }
        if let Some(op) = VectorOp::ALL.iter().find(|op| op.as_str() == word) {
            return self.vector_aggregation(*op);
        }
        match word {
            "vector" => {
                self.advance();
                self.expect("(")?;
                let text = self.number_text()?;
                let value = self.float(&text);
                self.expect(")")?;
                Deep::metric(MetricExpr::Vector(value), 1)
            }
            "label_replace" => self.label_replace(),
            _ => Err(self.unexpected(&[])),
        }
    }

    fn vector_aggregation(&mut self, op: VectorOp) -> Result<Deep, ParseError> {
        self.advance();
        let mut grouping = self.grouping()?;
        self.expect("(")?;
        let mut param = None;
        if let TokenKind::Number(text) = &self.token.kind {
            // A number may also be the start of the expression.
            let text = text.clone();
            if self.comma_follows() {
                self.advance();
                self.expect(",")?;
                param = Some(text);
            }
        }
        let inner = self.expression(1)?;
        self.expect(")")?;
        if grouping.is_none() {
            grouping = self.grouping()?;
        }
        let param = self.vector_param(op, param.as_deref(), grouping.as_ref());
        let Expr::Metric(metric) = inner.expr else {
            return Err(self.unexpected(&[]));
        };
        let aggregation = VectorAggregation { op, param, grouping, inner: metric };
        Deep::metric(MetricExpr::Aggregate(Box::new(aggregation)), inner.depth + 1)
    }

    fn comma_follows(&self) -> bool {
        self.peek().kind == TokenKind::Word(",")
    }

    /// How many series are wanted.
    fn vector_param(
        &mut self,
        op: VectorOp,
        param: Option<&str>,
        grouping: Option<&Grouping>,
    ) -> usize {
        let name = op.as_str();
        let picks = matches!(op, VectorOp::Topk | VectorOp::Bottomk | VectorOp::ApproxTopk);
        let ungrouped = matches!(op, VectorOp::Sort | VectorOp::SortDesc | VectorOp::ApproxTopk);
        let count = match param {
            Some(text) if picks => match text.parse::<usize>() {
                Ok(0) => {
                    self.note(format!("invalid parameter (must be greater than 0) {name}({text},"));
                    0
                }
                Ok(count) => count,
                Err(_) => {
                    self.note(format!("invalid parameter {name}({text},"));
                    0
                }
            },
            Some(text) => {
                self.note(format!("unsupported parameter for operation {name}({text},"));
                0
            }
            None => {
                if picks {
                    self.note(format!("parameter required for operation {name}"));
                }
                0
            }
        };
        if ungrouped && grouping.is_some() {
            self.note(format!("grouping not allowed for {name} aggregation"));
        }
        count
    }

    fn label_replace(&mut self) -> Result<Deep, ParseError> {
        self.advance();
        self.expect("(")?;
        let inner = self.expression(1)?;
        let mut texts = [String::new(), String::new(), String::new(), String::new()];
        for text in &mut texts {
            self.expect(",")?;
            *text = self.text()?;
        }
        self.expect(")")?;
        let Expr::Metric(metric) = inner.expr else {
            return Err(self.unexpected(&[]));
        };
        let [destination, replacement, source, pattern] = texts;
        if let Some(Err(error)) = self.charged(&pattern).map(anchored) {
            let cause = go_error(&pattern, &error);
            self.note(format!("invalid regex in label_replace: {cause}"));
        }
        let replace = LabelReplace { inner: metric, destination, replacement, source, pattern };
        Deep::metric(MetricExpr::LabelReplace(Box::new(replace)), inner.depth + 1)
    }
}

fn binary_op(word: &str) -> Option<BinaryOp> {
    BinaryOp::ALL.iter().find(|op| op.as_str() == word).copied()
}
