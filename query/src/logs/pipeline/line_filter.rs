//! Line filters: which lines go on.

use ephemeris_model::{LineMatch, LineSearch};

use super::ip::IpMatcher;
use super::pattern::LinePattern;
use crate::logs::ast::{LineFilter, LineOp, LineOperand};
use crate::logs::regexes;

/// A compiled line filter.
#[derive(Debug)]
pub(super) enum CompiledLineFilter {
    /// One a store can evaluate.
    Search(LineSearch),
    /// Whether a match of any operand keeps the line.
    Any { keeps: bool, operands: Vec<Operand> },
}

#[derive(Debug)]
pub(super) enum Operand {
    Search(LineSearch),
    Pattern(LinePattern),
    Ip(IpMatcher),
}

impl Operand {
    fn matches(&self, line: &[u8]) -> bool {
        match self {
            Self::Search(search) => search.keeps(line),
            Self::Pattern(pattern) => pattern.matches(line),
            Self::Ip(ip) => ip.is_in(line),
        }
    }
}

impl CompiledLineFilter {
    pub(super) fn new(filter: &LineFilter) -> Result<Self, String> {
        if let Some(search) = search(filter)? {
            return Ok(Self::Search(search));
        }
        let keeps = matches!(filter.op, LineOp::Contains | LineOp::Regex | LineOp::Pattern);
        let operands = filter.operands.iter().map(|operand| compile(filter.op, operand));
        Ok(Self::Any { keeps, operands: operands.collect::<Result<_, _>>()? })
    }

    pub(super) fn keeps(&self, line: &[u8]) -> bool {
        match self {
            Self::Search(search) => search.keeps(line),
            Self::Any { keeps, operands } => {
                operands.iter().any(|operand| operand.matches(line)) == *keeps
            }
        }
    }

    /// What every line it keeps fulfils, if it is not evaluated by the store itself.
    pub(super) fn implied(&self) -> Vec<LineSearch> {
        match self {
            Self::Any { keeps: true, operands } => match operands.as_slice() {
                [Operand::Pattern(pattern)] => pattern.literals().map(LineSearch::text).collect(),
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }
}

/// The filter as a search, if all it looks for is texts or regular expressions.
fn search(filter: &LineFilter) -> Result<Option<LineSearch>, String> {
    let op = match filter.op {
        LineOp::Contains => LineMatch::Contains,
        LineOp::NotContains => LineMatch::NotContains,
        LineOp::Regex => LineMatch::Regex,
        LineOp::NotRegex => LineMatch::NotRegex,
        LineOp::Pattern | LineOp::NotPattern => return Ok(None),
    };
    let text = |operand: &LineOperand| match operand {
        LineOperand::Text(text) => Some(text.clone()),
        LineOperand::Ip(_) => None,
    };
    let Some(texts) = filter.operands.iter().map(text).collect::<Option<Vec<String>>>() else {
        return Ok(None);
    };
    let told = |error: String| {
        let is_regex = matches!(op, LineMatch::Regex | LineMatch::NotRegex);
        let worded = texts.iter().filter(|_| is_regex).find_map(|t| regexes::anywhere(t).err());
        worded.unwrap_or(error)
    };
    LineSearch::new(op, &texts).map(Some).map_err(|error| told(error.to_string()))
}

fn compile(op: LineOp, operand: &LineOperand) -> Result<Operand, String> {
    match (operand, op) {
        (LineOperand::Ip(pattern), LineOp::Contains | LineOp::NotContains) => {
            IpMatcher::new(pattern).map(Operand::Ip)
        }
        (LineOperand::Ip(_), _) => Err("ip: invalid operation".to_owned()),
        (LineOperand::Text(text), LineOp::Pattern | LineOp::NotPattern) => {
            LinePattern::new(text).map(Operand::Pattern)
        }
        // A text among addresses.
        (LineOperand::Text(text), _) => Ok(Operand::Search(LineSearch::text(text.as_bytes()))),
    }
}
