//! Tokens, and the words errors use for them.

use crate::promql::ast::{AggregateOp, BinaryOp};
use crate::promql::text::quote;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// End of the query.
    Eof,
    /// The lexer met something it cannot read; its message lies in the lexer.
    Error,
    Comma,
    Colon,
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    /// A name without a colon.
    Identifier,
    /// A name with a colon.
    MetricIdentifier,
    Number,
    Duration,
    String,
    /// `=`
    Assign,
    /// `=~`
    AssignRegex,
    /// `!~`
    NotRegex,
    /// `@`
    At,
    /// A binary operator; `!=` in a matcher and the signs are among them.
    Op(BinaryOp),
    Aggregate(AggregateOp),
    Keyword(Keyword),
    Preprocessor(Preprocessor),
}

/// Words with a meaning of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    Bool,
    By,
    Without,
    On,
    Ignoring,
    GroupLeft,
    GroupRight,
    Offset,
    Fill,
    FillLeft,
    FillRight,
    Anchored,
    Smoothed,
}

/// Words that stand for a property of the query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Preprocessor {
    Start,
    End,
    Step,
    Range,
}

/// A token and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: TokenKind,
    pub(super) start: usize,
    pub(super) text: &'a str,
}

impl Token<'_> {
    /// First byte after it.
    pub(super) const fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// As it appears behind "unexpected".
    pub(super) fn describe(&self) -> String {
        match self.kind {
            TokenKind::Eof => "end of input".to_owned(),
            TokenKind::Identifier => format!("identifier {}", quote(self.text)),
            TokenKind::MetricIdentifier => format!("metric identifier {}", quote(self.text)),
            TokenKind::Number => format!("number {}", abbreviated(self.text)),
            TokenKind::Duration => format!("duration {}", abbreviated(self.text)),
            TokenKind::String => format!("string {}", abbreviated(self.text)),
            TokenKind::Keyword(_) => format!("<{}>", self.text),
            TokenKind::Aggregate(_) => format!("<aggr:{}>", self.text),
            TokenKind::Op(_) | TokenKind::AssignRegex | TokenKind::NotRegex | TokenKind::At => {
                format!("<op:{}>", self.text)
            }
            _ => abbreviated(self.text),
        }
    }

    /// Whether it may be the name in front of a selector.
    pub(super) const fn is_metric_name(&self) -> bool {
        matches!(
            self.kind,
            TokenKind::Identifier
                | TokenKind::MetricIdentifier
                | TokenKind::Aggregate(_)
                | TokenKind::Preprocessor(_)
                | TokenKind::Op(BinaryOp::And | BinaryOp::Or | BinaryOp::Unless)
                | TokenKind::Keyword(
                    Keyword::By
                        | Keyword::Without
                        | Keyword::Offset
                        | Keyword::Anchored
                        | Keyword::Smoothed
                )
        )
    }

    /// Whether it may be a label in `by`, `on` and the like.
    pub(super) const fn is_label_name(&self) -> bool {
        self.is_metric_name()
            || matches!(self.kind, TokenKind::Keyword(_) | TokenKind::Op(BinaryOp::Atan2))
    }
}

/// The first ten characters of a long text.
fn abbreviated(text: &str) -> String {
    match text.char_indices().nth(10) {
        Some((end, _)) => format!("{}...", quote(&text[..end])),
        None => quote(text),
    }
}

/// The word in lower case as a keyword, operator, aggregation or special number.
pub(super) fn keyword(word: &str) -> Option<TokenKind> {
    let kind = match word.to_ascii_lowercase().as_str() {
        "and" => TokenKind::Op(BinaryOp::And),
        "or" => TokenKind::Op(BinaryOp::Or),
        "unless" => TokenKind::Op(BinaryOp::Unless),
        "atan2" => TokenKind::Op(BinaryOp::Atan2),
        "inf" | "nan" => TokenKind::Number,
        "bool" => TokenKind::Keyword(Keyword::Bool),
        "by" => TokenKind::Keyword(Keyword::By),
        "without" => TokenKind::Keyword(Keyword::Without),
        "on" => TokenKind::Keyword(Keyword::On),
        "ignoring" => TokenKind::Keyword(Keyword::Ignoring),
        "group_left" => TokenKind::Keyword(Keyword::GroupLeft),
        "group_right" => TokenKind::Keyword(Keyword::GroupRight),
        "offset" => TokenKind::Keyword(Keyword::Offset),
        "fill" => TokenKind::Keyword(Keyword::Fill),
        "fill_left" => TokenKind::Keyword(Keyword::FillLeft),
        "fill_right" => TokenKind::Keyword(Keyword::FillRight),
        "anchored" => TokenKind::Keyword(Keyword::Anchored),
        "smoothed" => TokenKind::Keyword(Keyword::Smoothed),
        "start" => TokenKind::Preprocessor(Preprocessor::Start),
        "end" => TokenKind::Preprocessor(Preprocessor::End),
        "step" => TokenKind::Preprocessor(Preprocessor::Step),
        "range" => TokenKind::Preprocessor(Preprocessor::Range),
        lower => TokenKind::Aggregate(AggregateOp::from_name(lower)?),
    };
    Some(kind)
}
