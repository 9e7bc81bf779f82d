//! `op(param, {…} | … [range] offset …) by (…)`

use super::parser::Parser;
use super::token::TokenKind;
use crate::logs::ast::{Conversion, LogExpr, LogRange, RangeAggregation, RangeOp, Stage, Unwrap};
use crate::logs::error::ParseError;
use crate::logs::units::parse_float;

/// What has been read of entries and their window; its parts come in several orders.
#[derive(Default)]
struct Parts {
    log: Option<LogExpr>,
    unwrap: Option<Unwrap>,
    range_ns: Option<i64>,
    offset_ns: Option<i64>,
}

impl Parser<'_> {
    pub(super) fn range_aggregation(
        &mut self,
        op: RangeOp,
    ) -> Result<RangeAggregation, ParseError> {
        self.advance();
        self.expect("(")?;
        let param = match self.token.kind {
            TokenKind::Number(_) => {
                let text = self.number_text()?;
                self.expect(",")?;
                Some(text)
            }
            _ => None,
        };
        let mut parts = Parts::default();
        self.window(&mut parts)?;
        let (Some(log), Some(range_ns)) = (parts.log, parts.range_ns) else {
            return Err(self.unexpected(&[]));
        };
        self.expect(")")?;
        let param = self.quantile(op, param);
        let grouping = self.grouping()?;
        let offset_ns = parts.offset_ns.unwrap_or_default();
        let range = LogRange { log, unwrap: parts.unwrap, range_ns, offset_ns };
        let aggregation = RangeAggregation { op, param, range, grouping };
        self.check_range_aggregation(&aggregation);
        Ok(aggregation)
    }

    /// The number of `quantile_over_time`, which no other takes.
    fn quantile(&mut self, op: RangeOp, param: Option<String>) -> Option<f64> {
        let name = op.as_str();
        match (param, op) {
            (Some(text), RangeOp::Quantile) => match parse_float(&text) {
                Ok(value) => Some(value),
                Err(error) => {
                    self.note(format!("invalid parameter for operation {name}: {error}"));
                    None
                }
            },
            (Some(text), _) => {
                self.note(format!("parameter {text} not supported for operation {name}"));
                None
            }
            (None, RangeOp::Quantile) => {
                self.note(format!("parameter required for operation {name}"));
                None
            }
            (None, _) => None,
        }
    }

    fn check_range_aggregation(&mut self, aggregation: &RangeAggregation) {
        use RangeOp::{
            Absent, Avg, Bytes, BytesRate, Count, First, Last, Max, Min, Quantile, Rate,
            RateCounter, Stddev, Stdvar, Sum,
        };
        let op = aggregation.op;
        let groups = matches!(op, Avg | Stddev | Stdvar | Quantile | Max | Min | First | Last);
        let unwraps = groups || matches!(op, Sum | Rate | RateCounter | Absent);
        let counts = matches!(op, Bytes | BytesRate | Count | Rate | Absent);
        let name = op.as_str();
        if aggregation.grouping.is_some() && !groups {
            self.note(format!("grouping not allowed for {name} aggregation"));
        }
        match aggregation.range.unwrap {
            Some(_) if !unwraps => self.note(format!("invalid aggregation {name} with unwrap")),
            None if !counts => self.note(format!("invalid aggregation {name} without unwrap")),
            _ => {}
        }
    }

    /// A selector, stages, `unwrap`, range and offset, parts of it in parentheses.
    fn window(&mut self, parts: &mut Parts) -> Result<(), ParseError> {
        if self.accept("(") {
            self.deeper(|parser| parser.window(parts))?;
            self.expect(")")?;
        } else if self.at("{") {
            let matchers = self.selector()?;
            parts.log = Some(LogExpr { matchers, stages: Vec::new() });
        } else {
            return Err(self.unexpected(&[]));
        }
        while self.window_part(parts)? {}
        Ok(())
    }

    /// Reads one more part; tells whether there was one.
    fn window_part(&mut self, parts: &mut Parts) -> Result<bool, ParseError> {
        if let TokenKind::Range(ns) = self.token.kind {
            if parts.range_ns.is_some() {
                return Err(self.unexpected(&[]));
            }
            if ns <= 0 {
                self.note("the range of a window must be above 0");
            }
            parts.range_ns = Some(ns);
            self.advance();
            return Ok(true);
        }
        if self.at("offset") {
            if parts.range_ns.is_none() || parts.offset_ns.is_some() {
                return Err(self.unexpected(&[]));
            }
            self.advance();
            let TokenKind::Duration(ns) = self.token.kind else {
                return Err(self.unexpected(&["DURATION"]));
            };
            parts.offset_ns = Some(ns);
            self.advance();
            return Ok(true);
        }
        if let Some(stage) = self.stage()? {
            if parts.unwrap.is_some() {
                return self.behind_unwrap(parts, stage).map(|()| true);
            }
            if let Some(log) = &mut parts.log {
                log.stages.push(stage);
            }
            return Ok(true);
        }
        if self.at("unwrap") && parts.unwrap.is_none() {
            parts.unwrap = Some(self.unwrap()?);
            return Ok(true);
        }
        Ok(false)
    }

    /// Only label filters may stand behind `unwrap`.
    fn behind_unwrap(&self, parts: &mut Parts, stage: Stage) -> Result<(), ParseError> {
        match (stage, &mut parts.unwrap) {
            (Stage::Label(filter), Some(unwrap)) => {
                unwrap.filters.push(filter);
                Ok(())
            }
            _ => Err(self.unexpected(&[])),
        }
    }

    fn unwrap(&mut self) -> Result<Unwrap, ParseError> {
        self.advance();
        let conversion = match self.word() {
            Some("bytes") => Conversion::Bytes,
            Some("duration") => Conversion::Duration,
            Some("duration_seconds") => Conversion::DurationSeconds,
            _ => {
                let label = self.identifier()?;
                return Ok(Unwrap { label, conversion: Conversion::Number, filters: Vec::new() });
            }
        };
        self.advance();
        self.expect("(")?;
        let label = self.identifier()?;
        self.expect(")")?;
        Ok(Unwrap { label, conversion, filters: Vec::new() })
    }
}
