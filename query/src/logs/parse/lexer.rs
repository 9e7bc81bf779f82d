//! Text to tokens, one at a time.
//!
//! Places are those Loki names: it loses the line of a token of several characters that its lexer
//! looks ahead for, and so does this one.

use super::token::{SYMBOLS, Token, TokenKind, function, reserved};
use crate::logs::units::{parse_bytes, parse_query_duration};
use crate::promql::text::unquote;

/// Reads tokens from a text.
#[derive(Clone, Debug)]
pub(super) struct Lexer<'a> {
    rest: &'a str,
    line: usize,
    column: usize,
}

impl<'a> Lexer<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { rest: text, line: 1, column: 1 }
    }

    /// The next token; behind the last one always [`TokenKind::End`].
    pub(super) fn next(&mut self) -> Token {
        self.skip_blank();
        let (line, column) = (self.line, self.column);
        let kind = self.scan();
        let looked_ahead = match &kind {
            TokenKind::Range(_) | TokenKind::Duration(_) | TokenKind::Bytes(_) => true,
            TokenKind::Word(word) => word.len() == 2 && !word.starts_with(char::is_alphabetic),
            // Only durations and what is no text at all are looked for ahead.
            TokenKind::Invalid(error) => error.contains("duration"),
            _ => false,
        };
        Token { kind, line: if looked_ahead { 0 } else { line }, column }
    }

    fn skip_blank(&mut self) {
        loop {
            let blank = self.rest.find(|c: char| !c.is_whitespace()).unwrap_or(self.rest.len());
            self.take(blank);
            if !self.rest.starts_with('#') {
                return;
            }
            let comment = self.rest.find('\n').unwrap_or(self.rest.len());
            self.take(comment);
        }
    }

    /// Consumes `length` bytes.
    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        for c in taken.chars() {
            if c == '\n' {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
        }
        taken
    }

    fn scan(&mut self) -> TokenKind {
        let mut chars = self.rest.chars();
        let Some(first) = chars.next() else { return TokenKind::End };
        let second = chars.next();
        match first {
            '"' | '`' => self.text(first),
            '[' => self.range(),
            '0'..='9' => self.number(),
            '.' if second.is_some_and(|c| c.is_ascii_digit()) => self.number(),
            '-' if second == Some('-') => self.flag(),
            '-' if second.is_some_and(|c| c.is_ascii_digit()) => self.negative(),
            c if c == '_' || c.is_alphabetic() => self.word(),
            _ => self.symbol(),
        }
    }

    fn text(&mut self, quote: char) -> TokenKind {
        let mut escaped = false;
        let end = self.rest.char_indices().skip(1).find(|(_, c)| {
            let ends = *c == quote && !escaped;
            escaped = quote == '"' && *c == '\\' && !escaped;
            ends
        });
        let Some((end, _)) = end else {
            self.take(self.rest.len());
            return TokenKind::Invalid("literal not terminated".to_owned());
        };
        match unquote(self.take(end + 1)) {
            Ok(text) => TokenKind::Text(text),
            Err(_) => TokenKind::Invalid("invalid syntax".to_owned()),
        }
    }

    fn range(&mut self) -> TokenKind {
        let Some(end) = self.rest.find(']') else {
            self.take(self.rest.len());
            return TokenKind::Invalid("missing closing ']' in duration".to_owned());
        };
        let text = self.take(end + 1);
        match parse_query_duration(&text[1..end]) {
            Ok(ns) => TokenKind::Range(ns),
            Err(error) => TokenKind::Invalid(error),
        }
    }

    fn number(&mut self) -> TokenKind {
        let digits = number_length(self.rest);
        let longer = |wanted: fn(char) -> bool| {
            let behind = &self.rest[digits..];
            digits + behind.find(|c| !wanted(c)).unwrap_or(behind.len())
        };
        let duration = longer(|c| c.is_numeric() || c == '.' || "nu\u{b5}mshdwy".contains(c));
        let bytes = longer(|c| c.is_numeric() || c == '.' || "BikKMGTP".contains(c));
        if duration > digits
            && let Ok(ns) = parse_query_duration(&self.rest[..duration])
        {
            self.take(duration);
            return TokenKind::Duration(ns);
        }
        if bytes > digits
            && let Ok(size) = parse_bytes(&self.rest[..bytes])
        {
            self.take(bytes);
            return TokenKind::Bytes(size);
        }
        TokenKind::Number(self.take(digits).to_owned())
    }

    /// A duration below zero, else the sign alone.
    fn negative(&mut self) -> TokenKind {
        let wanted = |c: char| c.is_numeric() || c == '.' || "nu\u{b5}mshdwy".contains(c);
        let behind = &self.rest[1..];
        let length = 1 + behind.find(|c| !wanted(c)).unwrap_or(behind.len());
        let has_unit = self.rest[..length].ends_with(char::is_alphabetic);
        match parse_query_duration(&self.rest[1..length]) {
            Ok(ns) if has_unit => {
                self.take(length);
                TokenKind::Duration(-ns)
            }
            _ => self.symbol(),
        }
    }

    fn flag(&mut self) -> TokenKind {
        let behind = &self.rest[2..];
        let length = behind.find(|c: char| !(c.is_ascii_alphabetic() || c == '-'));
        let length = length.unwrap_or(behind.len());
        if length == 0 {
            return self.symbol();
        }
        TokenKind::Flag(self.take(2 + length).to_owned())
    }

    fn word(&mut self) -> TokenKind {
        let is_part = |c: char| c == '_' || c.is_alphanumeric();
        let length = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let word = self.take(length);
        if let Some(word) = reserved(word) {
            return TokenKind::Word(word);
        }
        match function(word) {
            Some(name) if self.calls() => TokenKind::Word(name),
            _ => TokenKind::Identifier(word.to_owned()),
        }
    }

    /// Whether a parenthesis or a grouping follows.
    fn calls(&self) -> bool {
        let rest = self.rest.trim_start();
        let word: String = rest.chars().take_while(char::is_ascii_alphabetic).take(8).collect();
        rest.starts_with('(')
            || word.eq_ignore_ascii_case("by")
            || word.eq_ignore_ascii_case("without")
    }

    fn symbol(&mut self) -> TokenKind {
        if let Some(symbol) = SYMBOLS.iter().find(|symbol| self.rest.starts_with(**symbol)) {
            self.take(symbol.len());
            return TokenKind::Word(symbol);
        }
        let length = self.rest.chars().next().map_or(0, char::len_utf8);
        self.take(length);
        TokenKind::Invalid("syntax error: unexpected IDENTIFIER".to_owned())
    }
}

/// Length of the number at the start of `text`, with prefix, fraction and exponent.
fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let prefixed = bytes.len() > 2
        && bytes[0] == b'0'
        && matches!(bytes[1].to_ascii_lowercase(), b'x' | b'o' | b'b')
        && bytes[2].is_ascii_hexdigit();
    let is_hex = prefixed && bytes[1].eq_ignore_ascii_case(&b'x');
    let mut at = if prefixed { 2 } else { 0 };
    while let Some(byte) = bytes.get(at) {
        let digit = byte.is_ascii_digit() || *byte == b'.' || (is_hex && byte.is_ascii_hexdigit());
        if !digit {
            break;
        }
        at += 1;
    }
    let marker = if is_hex { b'p' } else { b'e' };
    if bytes.get(at).is_some_and(|b| b.eq_ignore_ascii_case(&marker)) {
        let sign = usize::from(bytes.get(at + 1).is_some_and(|b| b"+-".contains(b)));
        let digits = bytes[at + 1 + sign..].iter().take_while(|b| b.is_ascii_digit()).count();
        if digits > 0 {
            at += 1 + sign + digits;
        }
    }
    at
}
