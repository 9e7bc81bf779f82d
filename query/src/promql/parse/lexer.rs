//! Cuts a query into tokens, one at a time, so that an error further on never hides one before it.

use super::token::{Keyword, Preprocessor, Token, TokenKind, keyword};
use crate::promql::ast::BinaryOp;
use crate::promql::text::{is_printable, quote, quote_char};

/// Reads tokens from a query.
pub(super) struct Lexer<'a> {
    input: &'a str,
    /// Next byte to read; always at a border of characters.
    at: usize,
    paren_depth: usize,
    in_braces: bool,
    /// Set between `[` and `]`.
    brackets: Option<Brackets>,
    error: Option<(usize, String)>,
}

/// What was seen since `[`.
#[derive(Clone, Copy, Default)]
struct Brackets {
    value: bool,
    colon: bool,
}

impl<'a> Lexer<'a> {
    pub(super) const fn new(input: &'a str) -> Self {
        Self { input, at: 0, paren_depth: 0, in_braces: false, brackets: None, error: None }
    }

    /// Position and message behind a token of kind [`TokenKind::Error`].
    pub(super) fn take_error(&mut self) -> Option<(usize, String)> {
        self.error.take()
    }

    /// The next token; at the end of the query, [`TokenKind::Eof`] again and again.
    pub(super) fn next_token(&mut self) -> Token<'a> {
        self.skip_space_and_comments();
        let start = self.at;
        let Some(c) = self.peek() else { return self.end_of_input() };
        if self.in_braces {
            return self.in_braces(start, c);
        }
        if let Some(seen) = self.brackets
            && let Some(token) = self.in_brackets(start, c, seen)
        {
            return token;
        }
        match c {
            '"' | '\'' | '`' => self.string(start, c),
            '0'..='9' => self.number(start),
            '.' if self.rest().as_bytes().get(1).is_some_and(u8::is_ascii_digit) => {
                self.number(start)
            }
            'a'..='z' | 'A'..='Z' | '_' | ':' => self.word(start),
            _ => self.symbol(start, c),
        }
    }

    fn rest(&self) -> &'a str {
        &self.input[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn skip_space_and_comments(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r']);
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with('#') {
                return;
            }
            self.at += trimmed.find(['\n', '\r']).unwrap_or(trimmed.len());
        }
    }

    /// The token from `start` up to `end`.
    fn emit(&mut self, kind: TokenKind, start: usize, end: usize) -> Token<'a> {
        self.at = end;
        Token { kind, start, text: &self.input[start..end] }
    }

    fn fail(&mut self, position: usize, message: impl Into<String>) -> Token<'a> {
        self.error = Some((position, message.into()));
        Token { kind: TokenKind::Error, start: position, text: "" }
    }

    fn end_of_input(&mut self) -> Token<'a> {
        let end = self.input.len();
        match self.brackets {
            _ if self.in_braces => self.fail(end, "unexpected end of input inside braces"),
            Some(Brackets { value: false, .. }) => {
                self.fail(end, "unexpected end of input in duration expression")
            }
            _ if self.paren_depth > 0 => self.fail(end, "unclosed left parenthesis"),
            Some(_) => self.fail(end, "unclosed left bracket"),
            None => self.emit(TokenKind::Eof, end, end),
        }
    }

    fn in_braces(&mut self, start: usize, c: char) -> Token<'a> {
        let second = self.rest().as_bytes().get(1).copied();
        let (kind, length) = match c {
            'a'..='z' | 'A'..='Z' | '_' => {
                let word = self.rest().bytes().take_while(|b| is_word_byte(*b)).count();
                (TokenKind::Identifier, word)
            }
            '"' | '\'' | '`' => return self.string(start, c),
            ',' => (TokenKind::Comma, 1),
            '=' if second == Some(b'~') => (TokenKind::AssignRegex, 2),
            '=' => (TokenKind::Assign, 1),
            '!' if second == Some(b'~') => (TokenKind::NotRegex, 2),
            '!' if second == Some(b'=') => (TokenKind::Op(BinaryOp::Neq), 2),
            '!' => {
                let found = self.rest().chars().nth(1);
                let found = found.map_or_else(|| "end of input".to_owned(), quote_char);
                let text = format!("unexpected character after '!' inside braces: {found}");
                return self.fail(start, text);
            }
            '{' => return self.fail(start, "unexpected left brace '{'"),
            '}' => {
                self.in_braces = false;
                (TokenKind::RightBrace, 1)
            }
            _ => {
                let text = format!("unexpected character inside braces: {}", quote_char(c));
                return self.fail(start, text);
            }
        };
        self.emit(kind, start, start + length)
    }

    /// What means something else between `[` and `]` than outside.
    fn in_brackets(&mut self, start: usize, c: char, mut seen: Brackets) -> Option<Token<'a>> {
        match c {
            '0'..='9' | '.' => seen.value = true,
            ':' => {
                if !seen.value {
                    let text = "unexpected colon before duration in duration expression";
                    return Some(self.fail(start + 1, text));
                }
                if seen.colon {
                    let text = "unexpected repeated colon in duration expression";
                    return Some(self.fail(start + 1, text));
                }
                self.brackets = Some(Brackets { colon: true, ..seen });
                return Some(self.emit(TokenKind::Colon, start, start + 1));
            }
            'a'..='z' | 'A'..='Z' | '_' => {
                let length = self.rest().bytes().take_while(|b| is_word_byte(*b)).count();
                let word = &self.rest()[..length];
                let kind = match word.to_ascii_lowercase().as_str() {
                    "step" => TokenKind::Preprocessor(Preprocessor::Step),
                    "range" => TokenKind::Preprocessor(Preprocessor::Range),
                    "min_of" | "max_of" => TokenKind::Identifier,
                    _ => return Some(self.stray_in_brackets(start, c, seen)),
                };
                self.brackets = Some(Brackets { value: true, ..seen });
                return Some(self.emit(kind, start, start + length));
            }
            '(' | ')' | ']' | '+' | '-' | '*' | '/' | '%' | '^' | ',' => {}
            '[' => return Some(self.fail(start, "unexpected left bracket '['")),
            _ => return Some(self.stray_in_brackets(start, c, seen)),
        }
        self.brackets = Some(seen);
        None
    }

    fn stray_in_brackets(&mut self, start: usize, c: char, seen: Brackets) -> Token<'a> {
        let found = quote_char(c);
        if seen.value && !seen.colon {
            return self.fail(start, format!("unexpected character: {found}, expected ':'"));
        }
        self.fail(start, format!("unexpected character in duration expression: {found}"))
    }

    fn symbol(&mut self, start: usize, c: char) -> Token<'a> {
        let second = self.rest().as_bytes().get(1).copied();
        let (kind, length) = match (c, second) {
            (',', _) => (TokenKind::Comma, 1),
            ('*', _) => (TokenKind::Op(BinaryOp::Mul), 1),
            ('/', _) => (TokenKind::Op(BinaryOp::Div), 1),
            ('%', _) => (TokenKind::Op(BinaryOp::Mod), 1),
            ('+', _) => (TokenKind::Op(BinaryOp::Add), 1),
            ('-', _) => (TokenKind::Op(BinaryOp::Sub), 1),
            ('^', _) => (TokenKind::Op(BinaryOp::Pow), 1),
            ('=', Some(b'=')) => (TokenKind::Op(BinaryOp::Eql), 2),
            ('=', Some(b'~')) => {
                return self.fail(start, "unexpected character after '=': '~'");
            }
            ('=', _) => (TokenKind::Assign, 1),
            ('!', Some(b'=')) => (TokenKind::Op(BinaryOp::Neq), 2),
            ('!', _) => {
                let found = self.rest().chars().nth(1);
                let found = found.map_or_else(|| "end of input".to_owned(), quote_char);
                return self.fail(start, format!("unexpected character after '!': {found}"));
            }
            ('<', Some(b'=')) => (TokenKind::Op(BinaryOp::Lte), 2),
            ('<', Some(b'/')) => (TokenKind::Op(BinaryOp::TrimUpper), 2),
            ('<', _) => (TokenKind::Op(BinaryOp::Lss), 1),
            ('>', Some(b'=')) => (TokenKind::Op(BinaryOp::Gte), 2),
            ('>', Some(b'/')) => (TokenKind::Op(BinaryOp::TrimLower), 2),
            ('>', _) => (TokenKind::Op(BinaryOp::Gtr), 1),
            ('@', _) => (TokenKind::At, 1),
            ('(' | ')' | '{' | '[' | ']', _) => return self.bracket(start, c),
            _ => {
                let text = format!("unexpected character: {}", quote_char(c));
                return self.fail(start, text);
            }
        };
        self.emit(kind, start, start + length)
    }

    fn bracket(&mut self, start: usize, c: char) -> Token<'a> {
        let kind = match c {
            '(' => {
                self.paren_depth += 1;
                TokenKind::LeftParen
            }
            ')' => {
                let Some(depth) = self.paren_depth.checked_sub(1) else {
                    return self.fail(start + 1, "unexpected right parenthesis ')'");
                };
                self.paren_depth = depth;
                TokenKind::RightParen
            }
            '{' => {
                self.in_braces = true;
                TokenKind::LeftBrace
            }
            '[' => {
                self.brackets = Some(Brackets::default());
                TokenKind::LeftBracket
            }
            _ => {
                if self.brackets.take().is_none() {
                    return self.fail(start, "unexpected right bracket ']'");
                }
                TokenKind::RightBracket
            }
        };
        self.emit(kind, start, start + 1)
    }

    fn word(&mut self, start: usize) -> Token<'a> {
        let length = self.rest().bytes().take_while(|b| is_word_byte(*b) || *b == b':').count();
        let word = &self.rest()[..length];
        let kind = match keyword(word) {
            // Metrics may bear these names, so they need their parenthesis to be keywords.
            Some(TokenKind::Keyword(Keyword::Fill | Keyword::FillLeft | Keyword::FillRight))
                if !self.rest()[length..]
                    .trim_start_matches([' ', '\t', '\n', '\r'])
                    .starts_with('(') =>
            {
                TokenKind::Identifier
            }
            Some(kind) => kind,
            None if word.contains(':') => TokenKind::MetricIdentifier,
            None => TokenKind::Identifier,
        };
        self.emit(kind, start, start + length)
    }

    fn number(&mut self, start: usize) -> Token<'a> {
        let rest = self.rest().as_bytes();
        let (number_end, is_number) = scan_number(rest);
        if is_number {
            return self.emit(TokenKind::Number, start, start + number_end);
        }
        let (duration_end, is_duration) = scan_duration(rest, number_end);
        if is_duration {
            return self.emit(TokenKind::Duration, start, start + duration_end);
        }
        let bad = quote(&self.rest()[..duration_end]);
        self.fail(start, format!("bad number or duration syntax: {bad}"))
    }

    fn string(&mut self, start: usize, quote: char) -> Token<'a> {
        if quote == '`' {
            return match self.rest()[1..].find('`') {
                Some(length) => self.emit(TokenKind::String, start, start + length + 2),
                None => self.fail(start, "unterminated raw string"),
            };
        }
        let mut chars = self.rest()[1..].char_indices();
        loop {
            match chars.next() {
                None | Some((_, '\n')) => return self.fail(start, "unterminated quoted string"),
                Some((at, c)) if c == quote => {
                    return self.emit(TokenKind::String, start, start + at + 2);
                }
                Some((_, '\\')) => {
                    if let Err(text) = skip_escape(&mut chars, quote) {
                        return self.fail(start, text);
                    }
                }
                Some(_) => {}
            }
        }
    }
}

const fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Checks the escape behind a backslash.
fn skip_escape(chars: &mut std::str::CharIndices<'_>, quote: char) -> Result<(), String> {
    let (count, base, max, mut value) = match chars.next().map(|(_, c)| c) {
        Some('a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\') => return Ok(()),
        Some(c) if c == quote => return Ok(()),
        Some(c @ '0'..='7') => (2, 8, 0xff, c.to_digit(8).unwrap_or_default()),
        Some('x') => (2, 16, 0xff, 0),
        Some('u') => (4, 16, u32::from(char::MAX), 0),
        Some('U') => (8, 16, u32::from(char::MAX), 0),
        Some(c) => return Err(format!("unknown escape sequence {}", code_point(c))),
        None => return Err("escape sequence not terminated".to_owned()),
    };
    for _ in 0..count {
        let c = chars.next().ok_or("escape sequence not terminated")?.1;
        let digit = c
            .to_digit(base)
            .ok_or_else(|| format!("illegal character {} in escape sequence", code_point(c)))?;
        value = value.saturating_mul(base).saturating_add(digit);
    }
    if value > max || (0xd800..0xe000).contains(&value) {
        return Err("escape sequence is an invalid Unicode code point".to_owned());
    }
    Ok(())
}

/// `U+0071 'q'`
fn code_point(c: char) -> String {
    if is_printable(c) {
        format!("U+{:04X} '{c}'", u32::from(c))
    } else {
        format!("U+{:04X}", u32::from(c))
    }
}

/// How far a number reaches, and whether it is one.
fn scan_number(rest: &[u8]) -> (usize, bool) {
    let byte = |at: usize| rest.get(at).copied().unwrap_or(b' ');
    let mut at = 0;
    if byte(0) == b'0' && matches!(byte(1), b'x' | b'X') {
        at = 2;
        while byte(at).is_ascii_hexdigit() || byte(at) == b'_' {
            at += 1;
        }
        return (at, !is_word_byte(byte(at)) && byte(at) != b'.');
    }
    let (mut dot, mut exponent) = (false, false);
    loop {
        match byte(at) {
            b'0'..=b'9' => at += 1,
            b'.' => {
                if dot || matches!(byte(at + 1), b'_' | b'.') {
                    return (at + 1, false);
                }
                dot = true;
                at += 1;
            }
            b'e' | b'E' => {
                if exponent {
                    return (at + 1, false);
                }
                exponent = true;
                at += 1;
                if matches!(byte(at), b'+' | b'-') {
                    at += 1;
                }
                if at == rest.len() {
                    return (at, false);
                }
                if matches!(byte(at), b'.' | b'_' | b'e' | b'E') {
                    return (at + 1, false);
                }
            }
            b'_' => {
                at += 1;
                if at == rest.len() {
                    return (at, false);
                }
                if matches!(byte(at), b'.' | b'_' | b'e' | b'E') {
                    return (at + 1, false);
                }
            }
            _ => return (at, !is_word_byte(byte(at))),
        }
    }
}

/// How far a duration reaches whose first number ends at `at`, and whether it is one.
fn scan_duration(rest: &[u8], mut at: usize) -> (usize, bool) {
    let byte = |at: usize| rest.get(at).copied().unwrap_or(b' ');
    let mut units: &[u8] = b"smhdwy";
    loop {
        if !units.contains(&byte(at)) {
            return (at.min(rest.len()), false);
        }
        at += 1;
        if byte(at) == b's' {
            at += 1;
        }
        if !byte(at).is_ascii_digit() {
            break;
        }
        while byte(at).is_ascii_digit() {
            at += 1;
        }
        units = b"smhdw";
    }
    if is_word_byte(byte(at)) { (at + 1, false) } else { (at, true) }
}
