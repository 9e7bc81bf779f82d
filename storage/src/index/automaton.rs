//! Regular expressions against sorted dictionaries: literals and prefixes where the pattern is
//! that, else one automaton walked along the front-coded values, so that a shared prefix is read
//! once and what cannot match any more is skipped.

use std::cell::RefCell;
use std::rc::Rc;

use regex_automata::Anchored;
use regex_automata::dfa::{Automaton as _, StartKind, dense};
use regex_automata::util::primitives::StateID;
use regex_automata::util::start;

/// Automatons kept per thread; the same query asks block after block.
const KEPT: usize = 16;
/// Size limits of an automaton, in bytes. A larger one falls back to testing each value.
const STATES_BYTES_MAX: usize = 2 << 20;
const BUILD_BYTES_MAX: usize = 8 << 20;

/// What a pattern asks of a value, as far as can be told without an automaton.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// One of these values.
    Literals(Vec<String>),
    /// Values that start so; the pattern says more.
    Prefix(String),
}

impl Shape {
    /// The shape of an unanchored pattern that was compiled before.
    pub(super) fn of(pattern: &str) -> Self {
        let mut literals = Vec::new();
        let mut literal = String::new();
        let mut chars = pattern.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '|' => literals.push(std::mem::take(&mut literal)),
                '\\' => match chars.next() {
                    Some((_, escaped)) if escaped.is_ascii_punctuation() => literal.push(escaped),
                    _ => return Self::prefix(&literals, literal, &pattern[at..]),
                },
                '?' | '*' | '{' => {
                    literal.pop();
                    return Self::prefix(&literals, literal, &pattern[at..]);
                }
                '.' | '^' | '$' | '+' | '(' | ')' | '[' | ']' | '}' => {
                    return Self::prefix(&literals, literal, &pattern[at..]);
                }
                _ => literal.push(c),
            }
        }
        literals.push(literal);
        Self::Literals(literals)
    }

    /// The prefix before `rest`, unless the pattern has another alternative.
    fn prefix(literals: &[String], prefix: String, rest: &str) -> Self {
        let certain = literals.is_empty() && !may_have_alternative(rest);
        Self::Prefix(if certain { prefix } else { String::new() })
    }
}

/// Whether there may be a `|` outside of parentheses. Classes and escapes can hide parentheses, so
/// with them the answer is yes as soon as there is any `|`.
fn may_have_alternative(rest: &str) -> bool {
    let hidden = rest.contains(['[', '\\']);
    let mut depth = 0u32;
    rest.chars().any(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == '|' && (hidden || depth == 0)
    })
}

/// A pattern as an automaton over whole values.
pub(super) struct Automaton {
    dfa: dense::DFA<Vec<u32>>,
    start: StateID,
}

thread_local! {
    /// The newest last. `None` for a pattern too large.
    static RECENT: RefCell<Vec<(String, Option<Rc<Automaton>>)>> = const { RefCell::new(Vec::new()) };
}

impl Automaton {
    /// The automaton of an anchored pattern; `None` if it would be too large.
    pub(super) fn of(pattern: &str) -> Option<Rc<Self>> {
        RECENT.with_borrow_mut(|recent| {
            if let Some((_, found)) = recent.iter().find(|(kept, _)| kept == pattern) {
                return found.clone();
            }
            let built = Self::build(pattern).map(Rc::new);
            if recent.len() >= KEPT {
                recent.remove(0);
            }
            recent.push((pattern.to_owned(), built.clone()));
            built
        })
    }

    fn build(pattern: &str) -> Option<Self> {
        let config = dense::Config::new()
            .start_kind(StartKind::Anchored)
            .match_kind(regex_automata::MatchKind::All)
            .dfa_size_limit(Some(STATES_BYTES_MAX))
            .determinize_size_limit(Some(BUILD_BYTES_MAX));
        let dfa = dense::Builder::new().configure(config).build(pattern).ok()?;
        let start = dfa.start_state(&start::Config::new().anchored(Anchored::Yes)).ok()?;
        Some(Self { dfa, start })
    }

    /// A walk over sorted values.
    pub(super) fn walk(&self) -> Walk<'_> {
        Walk { automaton: self, states: vec![self.start], dead_from: usize::MAX }
    }
}

/// The states along the value before.
pub(super) struct Walk<'a> {
    automaton: &'a Automaton,
    /// The state after each byte, from none on, up to where it is dead.
    states: Vec<StateID>,
    /// Number of bytes after which nothing matches any more.
    dead_from: usize,
}

impl Walk<'_> {
    /// Whether the value matches that shares its first `shared` bytes with the one before and goes
    /// on with `suffix`.
    pub(super) fn matches(&mut self, shared: usize, suffix: &[u8]) -> bool {
        if shared >= self.dead_from {
            return false;
        }
        self.states.truncate(shared + 1);
        self.dead_from = usize::MAX;
        let dfa = &self.automaton.dfa;
        let mut state = self.states.last().copied().unwrap_or(self.automaton.start);
        for (i, &byte) in suffix.iter().enumerate() {
            state = dfa.next_state(state, byte);
            if dfa.is_dead_state(state) {
                self.dead_from = shared + i + 1;
                return false;
            }
            self.states.push(state);
        }
        dfa.is_match_state(dfa.next_eoi_state(state))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shapes_are_seen() {
        let literals =
            |list: &[&str]| Shape::Literals(list.iter().map(|&s| s.to_owned()).collect());
        let prefix = |text: &str| Shape::Prefix(text.to_owned());
        assert_eq!(Shape::of("abc"), literals(&["abc"]));
        assert_eq!(Shape::of(r"a\.b|c|"), literals(&["a.b", "c", ""]));
        assert_eq!(Shape::of("abc.*"), prefix("abc"));
        assert_eq!(Shape::of("abc*"), prefix("ab"));
        assert_eq!(Shape::of("abc+"), prefix("abc"));
        assert_eq!(Shape::of("ab(c|d)"), prefix("ab"));
        assert_eq!(Shape::of("ab(c|d)|e"), prefix(""));
        assert_eq!(Shape::of("a[(]|b"), prefix(""));
        assert_eq!(Shape::of(r"a\d+"), prefix("a"));
        assert_eq!(Shape::of("(?i)ab"), prefix(""));
        assert_eq!(Shape::of("a|b.*"), prefix(""));
    }

    proptest! {
        #[test]
        fn a_walk_agrees_with_the_pattern(
            values in proptest::collection::btree_set("[ab]{0,5}", 0..40),
            pattern in proptest::sample::select(vec![
                "a.*", ".*b", "(a|b)+", "ab?a*", "", ".*", ".+", "a|ab|abb", "[^a]+", "b{2,3}",
            ])
        ) {
            let anchored = format!("^(?s:{pattern})$");
            let automaton = Automaton::of(&anchored).expect("it is small");
            let reference = ephemeris_model::Matcher::new(
                ephemeris_model::MatchOp::Regex, "x", pattern).expect("it is valid");
            let mut walk = automaton.walk();
            let mut previous = String::new();
            for value in &values {
                let shared = previous.bytes().zip(value.bytes()).take_while(|(a, b)| a == b).count();
                let found = walk.matches(shared, &value.as_bytes()[shared..]);
                prop_assert_eq!(found, reference.matches(value), "{:?}", value);
                if let Shape::Prefix(prefix) = Shape::of(pattern) && found {
                    prop_assert!(value.starts_with(&prefix));
                }
                previous.clone_from(value);
            }
        }
    }
}
