//! Line filters: which lines go on.

use aho_corasick::AhoCorasick;
use memchr::memmem;
use regex::bytes::Regex;

use super::ip::IpMatcher;
use super::pattern::LinePattern;
use crate::logs::ast::{LineFilter, LineOp, LineOperand};
use crate::logs::regexes;

/// A compiled line filter.
#[derive(Debug)]
pub(super) struct CompiledLineFilter {
    /// Whether a match keeps the line.
    keeps: bool,
    operands: Vec<Operand>,
}

#[derive(Debug)]
enum Operand {
    Text(Box<memmem::Finder<'static>>),
    AnyText(AhoCorasick),
    Regex(Regex),
    Pattern(LinePattern),
    Ip(IpMatcher),
}

impl Operand {
    fn matches(&self, line: &[u8]) -> bool {
        match self {
            Self::Text(finder) => finder.find(line).is_some(),
            Self::AnyText(finder) => finder.is_match(line),
            Self::Regex(regex) => regex.is_match(line),
            Self::Pattern(pattern) => pattern.matches(line),
            Self::Ip(ip) => ip.is_in(line),
        }
    }
}

impl CompiledLineFilter {
    pub(super) fn new(filter: &LineFilter) -> Result<Self, String> {
        let keeps = matches!(filter.op, LineOp::Contains | LineOp::Regex | LineOp::Pattern);
        let operands = match any_text(filter) {
            Some(operand) => vec![operand],
            None => {
                let operands = filter.operands.iter();
                operands.map(|operand| compile(filter.op, operand)).collect::<Result<_, _>>()?
            }
        };
        Ok(Self { keeps, operands })
    }

    pub(super) fn keeps(&self, line: &[u8]) -> bool {
        self.operands.iter().any(|operand| operand.matches(line)) == self.keeps
    }

    /// Texts that every line it keeps holds.
    pub(super) fn needles(&self) -> Vec<Vec<u8>> {
        let needles: Vec<Vec<u8>> = match self.operands.as_slice() {
            [Operand::Text(finder)] if self.keeps => vec![finder.needle().to_vec()],
            [Operand::Pattern(pattern)] if self.keeps => {
                pattern.literals().map(<[u8]>::to_vec).collect()
            }
            _ => Vec::new(),
        };
        needles.into_iter().filter(|needle| !needle.is_empty()).collect()
    }
}

/// Several texts searched for at once.
fn any_text(filter: &LineFilter) -> Option<Operand> {
    if filter.operands.len() < 2 || !matches!(filter.op, LineOp::Contains | LineOp::NotContains) {
        return None;
    }
    let texts: Option<Vec<&String>> = filter
        .operands
        .iter()
        .map(|operand| match operand {
            LineOperand::Text(text) => Some(text),
            LineOperand::Ip(_) => None,
        })
        .collect();
    AhoCorasick::new(texts?).ok().map(Operand::AnyText)
}

fn compile(op: LineOp, operand: &LineOperand) -> Result<Operand, String> {
    let text = match (operand, op) {
        (LineOperand::Ip(pattern), LineOp::Contains | LineOp::NotContains) => {
            return IpMatcher::new(pattern).map(Operand::Ip);
        }
        (LineOperand::Ip(_), _) => return Err("ip: invalid operation".to_owned()),
        (LineOperand::Text(text), _) => text,
    };
    let contains = |text: &str| {
        let finder = memmem::Finder::new(text.as_bytes()).into_owned();
        Operand::Text(Box::new(finder))
    };
    match op {
        LineOp::Contains | LineOp::NotContains => Ok(contains(text)),
        LineOp::Regex | LineOp::NotRegex => {
            let regex = regexes::anywhere(text)?;
            // A pattern without operators is a text.
            let plain = |b: u8| b.is_ascii_alphanumeric() || b" _-=:/\"',;<>@#%&~!".contains(&b);
            if text.bytes().all(plain) { Ok(contains(text)) } else { Ok(Operand::Regex(regex)) }
        }
        LineOp::Pattern | LineOp::NotPattern => LinePattern::new(text).map(Operand::Pattern),
    }
}
