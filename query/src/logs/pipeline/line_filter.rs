//! Line filters: which lines go on.

use aho_corasick::AhoCorasick;
use ephemeris_model::literals::required_literals;
use ephemeris_model::logs::EntryBuffer;
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

    /// Lines of a run that hold the text it looks for, found by one search over all of them;
    /// nothing if it looks for something else.
    pub(super) fn lines_with_text(&self, run: &EntryBuffer) -> Option<Vec<usize>> {
        let [Operand::Text(finder)] = self.operands.as_slice() else { return None };
        let needle = finder.needle().len();
        if !self.keeps || needle == 0 {
            return None;
        }
        let (bytes, ends) = (run.all_lines(), run.line_ends());
        let mut found = Vec::new();
        let (mut at, mut line) = (0, 0);
        while let Some(offset) = finder.find(&bytes[at..]) {
            let start = at + offset;
            line += ends[line..].partition_point(|end| *end <= start);
            let Some(end) = ends.get(line) else { break };
            if start + needle <= *end {
                found.push(line);
                at = *end;
            } else {
                // It only seems to be there, over the end of a line.
                at = start + 1;
            }
        }
        Some(found)
    }

    /// Texts that every line it keeps holds.
    pub(super) fn needles(&self) -> Vec<Vec<u8>> {
        let needles: Vec<Vec<u8>> = match self.operands.as_slice() {
            [Operand::Text(finder)] if self.keeps => vec![finder.needle().to_vec()],
            [Operand::Regex(regex)] if self.keeps => required_literals(regex.as_str()),
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

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn one_search_finds_what_a_search_per_line_finds(
            lines in proptest::collection::vec("[ab]{0,5}", 0..8),
            needle in "[ab]{1,3}",
        ) {
            let mut run = EntryBuffer::default();
            for line in &lines {
                run.push(0, line.as_bytes(), []);
            }
            let operands = vec![LineOperand::Text(needle.clone())];
            let filter = LineFilter { op: LineOp::Contains, operands };
            let filter = CompiledLineFilter::new(&filter).expect("a text is valid");
            let wanted: Vec<usize> =
                (0..lines.len()).filter(|i| lines[*i].contains(&needle)).collect();
            proptest::prop_assert_eq!(filter.lines_with_text(&run), Some(wanted));
        }
    }
}
