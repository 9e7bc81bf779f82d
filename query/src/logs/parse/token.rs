//! Words of the language.

/// What a token is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind {
    /// The text is at its end.
    End,
    /// A name.
    Identifier(String),
    /// A quoted text.
    Text(String),
    /// A number as written.
    Number(String),
    /// A duration in nanoseconds.
    Duration(i64),
    /// A size in bytes.
    Bytes(u64),
    /// `[5m]`, in nanoseconds.
    Range(i64),
    /// `--strict`
    Flag(String),
    /// A symbol, a reserved word, or the name of a function.
    Word(&'static str),
    /// What cannot be read, and why.
    Invalid(String),
}

/// A token and where it starts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Token {
    /// As errors call it.
    pub(super) fn name(&self) -> &'static str {
        match &self.kind {
            TokenKind::End => "$end",
            TokenKind::Identifier(_) | TokenKind::Invalid(_) => "IDENTIFIER",
            TokenKind::Text(_) => "STRING",
            TokenKind::Number(_) => "NUMBER",
            TokenKind::Duration(_) => "DURATION",
            TokenKind::Bytes(_) => "BYTES",
            TokenKind::Range(_) => "RANGE",
            TokenKind::Flag(_) => "PARSER_FLAG",
            TokenKind::Word(word) => word,
        }
    }
}

/// Symbols, longer ones first.
pub(super) const SYMBOLS: [&str; 29] = [
    "|=", "|~", "|>", "!=", "!~", "!>", "=~", "==", ">=", "<=", "{", "}", "(", ")", ",", ".", "|",
    "=", ">", "<", "+", "-", "*", "/", "%", "^", "[", "]", ":",
];

/// Words that are never names.
const RESERVED: [&str; 22] = [
    "by",
    "without",
    "bool",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "or",
    "and",
    "unless",
    "offset",
    "unwrap",
    "json",
    "regexp",
    "logfmt",
    "unpack",
    "pattern",
    "line_format",
    "label_format",
    "decolorize",
    "drop",
    "keep",
];

/// Words that are names unless a parenthesis or a grouping follows.
const FUNCTIONS: [&str; 33] = [
    "rate",
    "rate_counter",
    "count_over_time",
    "bytes_rate",
    "bytes_over_time",
    "absent_over_time",
    "sum_over_time",
    "avg_over_time",
    "min_over_time",
    "max_over_time",
    "first_over_time",
    "last_over_time",
    "stddev_over_time",
    "stdvar_over_time",
    "quantile_over_time",
    "sum",
    "avg",
    "min",
    "max",
    "count",
    "stddev",
    "stdvar",
    "topk",
    "bottomk",
    "approx_topk",
    "sort",
    "sort_desc",
    "label_replace",
    "vector",
    "bytes",
    "duration",
    "duration_seconds",
    "ip",
];

pub(super) fn reserved(word: &str) -> Option<&'static str> {
    RESERVED.iter().find(|w| **w == word).copied()
}

pub(super) fn function(word: &str) -> Option<&'static str> {
    FUNCTIONS.iter().find(|w| w.eq_ignore_ascii_case(word)).copied()
}
