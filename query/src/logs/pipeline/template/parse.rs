//! Text of a template to a tree.

use crate::logs::units::parse_float;
use crate::promql::text::unquote;

use super::functions;

/// Deepest nesting of blocks and parentheses.
const DEPTH_MAX: usize = 64;

/// A part of a template.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Text(String),
    Action(Pipe),
    /// Conditions and what follows each; the last may have none.
    If(Vec<(Option<Pipe>, Vec<Node>)>),
    Range {
        pipe: Pipe,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
    With {
        pipe: Pipe,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
}

/// Commands, each given what the one before makes.
#[derive(Clone, Debug, Default)]
pub(super) struct Pipe {
    /// Variables that are set.
    pub(super) names: Vec<String>,
    pub(super) commands: Vec<Vec<Operand>>,
}

#[derive(Clone, Debug)]
pub(super) enum Operand {
    Dot,
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// `.a.b`
    Field(Vec<String>),
    /// `$a.b`
    Variable(String, Vec<String>),
    Function(String),
    Pipe(Pipe, Vec<String>),
}

/// A piece between delimiters, or outside of them.
enum Piece<'a> {
    Text(&'a str),
    Action(&'a str),
}

/// Reads a template.
pub(super) fn parse(text: &str) -> Result<Vec<Node>, String> {
    let pieces = pieces(text)?;
    let mut parser = Blocks { pieces: pieces.into_iter(), depth: 0 };
    let (nodes, end) = parser.nodes()?;
    match end {
        None => Ok(nodes),
        Some(word) => Err(format!("unexpected {{{{{word}}}}}")),
    }
}

fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        let mut before = &rest[..start];
        let mut inside = &rest[start + 2..];
        if let Some(trimmed) = inside.strip_prefix("- ") {
            before = before.trim_end();
            inside = trimmed;
        }
        pieces.push(Piece::Text(before));
        let end = action_end(inside).ok_or("unclosed action")?;
        let mut action = &inside[..end];
        rest = &inside[end + 2..];
        if let Some(trimmed) = action.strip_suffix('-').filter(|a| a.ends_with(char::is_whitespace))
        {
            action = trimmed;
            rest = rest.trim_start();
        }
        let action = action.trim();
        if !(action.starts_with("/*") && action.ends_with("*/")) {
            pieces.push(Piece::Action(action));
        }
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

/// Where the delimiter that ends an action is; not one inside a text.
fn action_end(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match quote {
            None if text[at..].starts_with("}}") => return Some(at),
            None if c == '"' || c == '`' || c == '\'' => quote = Some(c),
            Some(open) if c == open && !escaped => quote = None,
            _ => {}
        }
        escaped = quote.is_some_and(|q| q != '`') && c == '\\' && !escaped;
    }
    None
}

struct Blocks<'a> {
    pieces: std::vec::IntoIter<Piece<'a>>,
    depth: usize,
}

impl<'a> Blocks<'a> {
    /// Nodes up to `end` or `else …`, which is given back.
    fn nodes(&mut self) -> Result<(Vec<Node>, Option<&'a str>), String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("blocks are nested too deep; limit is {DEPTH_MAX}"));
        }
        let mut nodes = Vec::new();
        let end = loop {
            match self.pieces.next() {
                None => break None,
                Some(Piece::Text("")) => {}
                Some(Piece::Text(text)) => nodes.push(Node::Text(text.to_owned())),
                Some(Piece::Action(action)) => {
                    let (word, rest) = first_word(action);
                    match word {
                        "end" | "else" => break Some(action),
                        "if" => nodes.push(self.branches(rest)?),
                        "range" | "with" => nodes.push(self.block(word, rest)?),
                        "define" | "block" | "template" | "break" | "continue" => {
                            return Err(format!("{word} is not supported"));
                        }
                        _ => nodes.push(Node::Action(pipe(action)?)),
                    }
                }
            }
        };
        self.depth -= 1;
        Ok((nodes, end))
    }

    fn branches(&mut self, condition: &str) -> Result<Node, String> {
        let mut branches = Vec::new();
        let mut condition = Some(pipe(condition)?);
        loop {
            let (body, end) = self.nodes()?;
            let was_else = condition.is_none();
            branches.push((condition.take(), body));
            let end = end.ok_or("unexpected EOF")?;
            if end == "end" {
                return Ok(Node::If(branches));
            }
            if was_else {
                return Err("unexpected {{else}}".to_owned());
            }
            let (_, rest) = first_word(end);
            if let ("if", rest) = first_word(rest) {
                condition = Some(pipe(rest)?);
            }
        }
    }

    fn block(&mut self, word: &str, rest: &str) -> Result<Node, String> {
        let pipe = pipe(rest)?;
        let (body, mut end) = self.nodes()?;
        let mut otherwise = Vec::new();
        if end.is_some_and(|end| end.starts_with("else")) {
            (otherwise, end) = self.nodes()?;
        }
        if end != Some("end") {
            return Err("unexpected EOF".to_owned());
        }
        Ok(match word {
            "range" => Node::Range { pipe, body, otherwise },
            _ => Node::With { pipe, body, otherwise },
        })
    }
}

fn first_word(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

fn pipe(text: &str) -> Result<Pipe, String> {
    let mut reader = Reader { rest: text, depth: 0 };
    let pipe = reader.pipe()?;
    if reader.rest.is_empty() { Ok(pipe) } else { Err(reader.unexpected()) }
}

/// Reads the inside of an action.
struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl Reader<'_> {
    fn blank(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn unexpected(&self) -> String {
        let part: String = self.rest.chars().take(12).collect();
        format!("unexpected {part:?} in command")
    }

    fn pipe(&mut self) -> Result<Pipe, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("parentheses are nested too deep; limit is {DEPTH_MAX}"));
        }
        self.blank();
        let mut pipe = Pipe { names: self.assigned(), commands: Vec::new() };
        loop {
            let command = self.command()?;
            if command.is_empty() {
                return Err("missing value for command".to_owned());
            }
            pipe.commands.push(command);
            self.blank();
            match self.rest.strip_prefix('|') {
                Some(rest) => self.rest = rest,
                None => break,
            }
        }
        self.depth -= 1;
        Ok(pipe)
    }

    /// `$a, $b :=` or `$a =`
    fn assigned(&mut self) -> Vec<String> {
        let end = self.rest.find(":=").map(|at| (at, 2)).or_else(|| {
            let at = self.rest.find('=')?;
            (self.rest.starts_with('$') && !self.rest[..at].contains('"')).then_some((at, 1))
        });
        let Some((at, length)) = end else { return Vec::new() };
        let names: Vec<&str> = self.rest[..at].split(',').map(str::trim).collect();
        let is_name = |name: &&str| {
            name.strip_prefix('$').is_some_and(|name| {
                !name.is_empty() && name.chars().all(|c| c == '_' || c.is_alphanumeric())
            })
        };
        if !names.iter().all(is_name) {
            return Vec::new();
        }
        let names = names.into_iter().map(|name| name[1..].to_owned()).collect();
        self.rest = &self.rest[at + length..];
        names
    }

    fn command(&mut self) -> Result<Vec<Operand>, String> {
        let mut operands = Vec::new();
        loop {
            self.blank();
            if self.rest.is_empty() || self.rest.starts_with(['|', ')']) {
                return Ok(operands);
            }
            operands.push(self.operand()?);
        }
    }

    fn operand(&mut self) -> Result<Operand, String> {
        let first = self.rest.chars().next().unwrap_or_default();
        match first {
            '(' => {
                self.rest = &self.rest[1..];
                let pipe = self.pipe()?;
                self.blank();
                self.rest = self.rest.strip_prefix(')').ok_or("unclosed left paren")?;
                Ok(Operand::Pipe(pipe, self.fields()))
            }
            '"' | '`' | '\'' => self.text(first),
            '.' if !self.rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                let fields = self.fields();
                if fields.is_empty() {
                    self.rest = &self.rest[1..];
                    return Ok(Operand::Dot);
                }
                Ok(Operand::Field(fields))
            }
            '$' => {
                self.rest = &self.rest[1..];
                let name = self.name().to_owned();
                Ok(Operand::Variable(name, self.fields()))
            }
            '0'..='9' | '-' | '+' | '.' => self.number(),
            _ => self.word(),
        }
    }

    fn name(&mut self) -> &str {
        let end = self.rest.find(|c: char| c != '_' && !c.is_alphanumeric());
        let (name, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        name
    }

    /// `.a.b`
    fn fields(&mut self) -> Vec<String> {
        let mut fields = Vec::new();
        while let Some(rest) = self.rest.strip_prefix('.') {
            if !rest.starts_with(|c: char| c == '_' || c.is_alphabetic()) {
                break;
            }
            self.rest = rest;
            fields.push(self.name().to_owned());
        }
        fields
    }

    fn text(&mut self, quote: char) -> Result<Operand, String> {
        let mut escaped = false;
        let end = self.rest.char_indices().skip(1).find(|(_, c)| {
            let ends = *c == quote && !escaped;
            escaped = quote != '`' && *c == '\\' && !escaped;
            ends
        });
        let (end, _) = end.ok_or("unterminated quoted string")?;
        let (literal, rest) = self.rest.split_at(end + 1);
        self.rest = rest;
        let text = unquote(literal).map_err(|_| "invalid syntax".to_owned())?;
        if quote == '\'' {
            let c = text.chars().next().map_or(0, u32::from);
            return Ok(Operand::Int(i64::from(c)));
        }
        Ok(Operand::Text(text))
    }

    fn number(&mut self) -> Result<Operand, String> {
        let ends = |c: char| c.is_whitespace() || matches!(c, ')' | '|');
        let end = self.rest.find(ends).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        if let Ok(value) = text.parse::<i64>() {
            return Ok(Operand::Int(value));
        }
        parse_float(text).map(Operand::Float).map_err(|_| format!("bad number syntax: {text:?}"))
    }

    fn word(&mut self) -> Result<Operand, String> {
        let unexpected = self.unexpected();
        match self.name() {
            "" => Err(unexpected),
            "true" => Ok(Operand::Bool(true)),
            "false" => Ok(Operand::Bool(false)),
            "nil" => Ok(Operand::Nil),
            name if functions::is_known(name) => Ok(Operand::Function(name.to_owned())),
            name => Err(format!("function {name:?} not defined")),
        }
    }
}

/// Names of labels the parts of a template look at.
pub(super) fn fields_of(nodes: &[Node], names: &mut Vec<String>) {
    for node in nodes {
        match node {
            Node::Text(_) => {}
            Node::Action(pipe) => fields_of_pipe(pipe, names),
            Node::If(branches) => {
                for (pipe, body) in branches {
                    if let Some(pipe) = pipe {
                        fields_of_pipe(pipe, names);
                    }
                    fields_of(body, names);
                }
            }
            Node::Range { pipe, body, otherwise } | Node::With { pipe, body, otherwise } => {
                fields_of_pipe(pipe, names);
                fields_of(body, names);
                fields_of(otherwise, names);
            }
        }
    }
}

fn fields_of_pipe(pipe: &Pipe, names: &mut Vec<String>) {
    for operand in pipe.commands.iter().flatten() {
        match operand {
            Operand::Function(name) if name == "index" => names.extend(indexed(pipe)),
            Operand::Field(fields) | Operand::Variable(_, fields) => {
                names.extend(fields.first().cloned());
            }
            Operand::Pipe(inner, _) => fields_of_pipe(inner, names),
            _ => {}
        }
    }
}

/// Names given as texts: `index . "name"`.
fn indexed(pipe: &Pipe) -> impl Iterator<Item = String> {
    pipe.commands.iter().flatten().filter_map(|operand| match operand {
        Operand::Text(text) => Some(text.clone()),
        _ => None,
    })
}
