//! Annotations: warnings and infos an answer carries beside its values.

use rustc_hash::FxHashSet;

use super::ast::Position;

/// How much an annotation matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The result may be wrong: `PromQL warning: …`.
    Warning,
    /// Worth knowing: `PromQL info: …`.
    Info,
}

/// Annotations of one query, each text and position once.
#[derive(Clone, Debug, Default)]
pub struct Annotations {
    entries: Vec<(Severity, String, Option<Position>)>,
    /// What is there, with the start of its position, all that is shown of it: a query over many
    /// metrics may have an annotation for each.
    known: FxHashSet<(Severity, Option<usize>, String)>,
}

impl Annotations {
    /// Adds an annotation unless it is there already. `text` is without the
    /// `PromQL warning: ` in front, without the position behind.
    pub fn add(&mut self, severity: Severity, text: impl Into<String>, at: Option<Position>) {
        let text = text.into();
        if self.known.insert((severity, at.map(|position| position.start), text.clone())) {
            self.entries.push((severity, text, at));
        }
    }

    /// Takes over all of `other`.
    pub fn merge(&mut self, other: Self) {
        for (severity, text, at) in other.entries {
            self.add(severity, text, at);
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The annotations of `severity` as the HTTP API shows them, `(line:column)` behind those that
    /// have a position. `query` is the text the positions refer to.
    #[must_use]
    pub fn render(&self, severity: Severity, query: &str) -> Vec<String> {
        let kind = match severity {
            Severity::Warning => "warning",
            Severity::Info => "info",
        };
        let entries = self.entries.iter().filter(|(s, ..)| *s == severity);
        entries
            .map(|(_, text, at)| match at {
                Some(position) => {
                    let (line, column) = line_and_column(query, position.start);
                    format!("PromQL {kind}: {text} ({line}:{column})")
                }
                None => format!("PromQL {kind}: {text}"),
            })
            .collect()
    }
}

/// Line and column, both from 1, the column in bytes.
#[must_use]
pub fn line_and_column(query: &str, offset: usize) -> (usize, usize) {
    let before = &query.as_bytes()[..offset.min(query.len())];
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
    (line, column)
}
