//! What stands behind a selector: line filters, parsers, formats.

use super::parser::Parser;
use super::token::TokenKind;
use crate::logs::ast::{
    Extraction, FormatValue, LabelFormat, LabelPick, LineFilter, LineOp, LineOperand, LogfmtFlags,
    Stage,
};
use crate::logs::error::ParseError;

impl Parser<'_> {
    /// The stage that starts here, if one does. `unwrap` is none.
    pub(super) fn stage(&mut self) -> Result<Option<Stage>, ParseError> {
        if let Some(op) = self.line_op() {
            self.advance();
            return self.line_filter(op).map(Some);
        }
        if !self.at("|") {
            return Ok(None);
        }
        self.advance();
        if self.at("unwrap") {
            return Ok(None);
        }
        self.piped_stage().map(Some)
    }

    fn line_op(&self) -> Option<LineOp> {
        match self.word()? {
            "|=" => Some(LineOp::Contains),
            "!=" => Some(LineOp::NotContains),
            "|~" => Some(LineOp::Regex),
            "!~" => Some(LineOp::NotRegex),
            "|>" => Some(LineOp::Pattern),
            "!>" => Some(LineOp::NotPattern),
            _ => None,
        }
    }

    fn line_filter(&mut self, op: LineOp) -> Result<Stage, ParseError> {
        let mut operands = vec![self.line_operand()?];
        while self.accept("or") {
            operands.push(self.line_operand()?);
        }
        if matches!(op, LineOp::Regex | LineOp::NotRegex) {
            for operand in &operands {
                if let LineOperand::Text(pattern) = operand {
                    self.charged(pattern);
                }
            }
        }
        Ok(Stage::Line(LineFilter { op, operands }))
    }

    fn line_operand(&mut self) -> Result<LineOperand, ParseError> {
        if self.at("ip") {
            return self.ip_pattern().map(LineOperand::Ip);
        }
        match self.token.kind {
            TokenKind::Text(_) => self.text().map(LineOperand::Text),
            _ => Err(self.unexpected(&["STRING", "ip"])),
        }
    }

    /// What stands behind `|`.
    fn piped_stage(&mut self) -> Result<Stage, ParseError> {
        let Some(word) = self.word().filter(|word| *word != "(") else {
            return self.label_filter().map(Stage::Label);
        };
        let stage = match word {
            "json" | "logfmt" | "regexp" | "pattern" | "unpack" | "line_format"
            | "label_format" | "decolorize" | "drop" | "keep" => {
                self.advance();
                word
            }
            _ => return Err(self.unexpected(&[])),
        };
        Ok(match stage {
            "json" => Stage::Json(self.extractions()?),
            "logfmt" => {
                let flags = self.logfmt_flags()?;
                Stage::Logfmt { flags, extractions: self.extractions()? }
            }
            "regexp" => {
                let pattern = self.text()?;
                self.charged(&pattern);
                Stage::Regexp(pattern)
            }
            "pattern" => Stage::Pattern(self.text()?),
            "unpack" => Stage::Unpack,
            "line_format" => Stage::LineFormat(self.text()?),
            "label_format" => Stage::LabelFormat(self.label_formats()?),
            "drop" => Stage::Drop(self.picks()?),
            "keep" => Stage::Keep(self.picks()?),
            _ => Stage::Decolorize,
        })
    }

    fn logfmt_flags(&mut self) -> Result<LogfmtFlags, ParseError> {
        let mut flags = LogfmtFlags::default();
        while let TokenKind::Flag(flag) = &self.token.kind {
            match flag.as_str() {
                "--strict" => flags.strict = true,
                "--keep-empty" => flags.keep_empty = true,
                _ => return Err(self.unexpected(&[])),
            }
            self.advance();
        }
        Ok(flags)
    }

    /// `a="b.c", d`, or nothing.
    fn extractions(&mut self) -> Result<Vec<Extraction>, ParseError> {
        let mut extractions = Vec::new();
        while matches!(self.token.kind, TokenKind::Identifier(_)) {
            let name = self.identifier()?;
            let path = if self.accept("=") { self.text()? } else { name.clone() };
            extractions.push(Extraction { name, path });
            if !self.accept(",") {
                break;
            }
            if !matches!(self.token.kind, TokenKind::Identifier(_)) {
                return Err(self.unexpected(&["IDENTIFIER"]));
            }
        }
        Ok(extractions)
    }

    fn label_formats(&mut self) -> Result<Vec<LabelFormat>, ParseError> {
        let mut formats = Vec::new();
        loop {
            let name = self.identifier()?;
            self.expect("=")?;
            let value = match self.token.kind {
                TokenKind::Identifier(_) => FormatValue::Rename(self.identifier()?),
                TokenKind::Text(_) => FormatValue::Template(self.text()?),
                _ => return Err(self.unexpected(&["IDENTIFIER", "STRING"])),
            };
            formats.push(LabelFormat { name, value });
            if !self.accept(",") {
                return Ok(formats);
            }
        }
    }

    fn picks(&mut self) -> Result<Vec<LabelPick>, ParseError> {
        let mut picks = Vec::new();
        loop {
            let name = self.identifier()?;
            match self.match_op() {
                // An operator behind a name belongs to the name, as in Loki.
                Some(op) => {
                    self.advance();
                    let value = self.text()?;
                    picks.extend(self.matcher(op, name, &value).map(LabelPick::Matcher));
                }
                None => picks.push(LabelPick::Name(name)),
            }
            if !self.accept(",") {
                return Ok(picks);
            }
        }
    }
}
