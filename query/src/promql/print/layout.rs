//! What both printers over several lines write into: text of a bounded length, indented as far as
//! it helps.

use std::fmt::{self, Display, Write};

use thiserror::Error;

/// Longest text laid out, in bytes.
pub const LAYOUT_BYTES_MAX: usize = 16 << 20;
/// Longest text of an expression that stays on one line, in characters.
pub(crate) const LINE_CHARS_MAX: usize = 100;
/// Levels that are indented. What is deeper stands in the same column: else blanks alone would
/// grow with depth times length.
pub(crate) const LEVELS_MAX: usize = 32;

/// A query whose text over several lines would pass [`LAYOUT_BYTES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "the query takes more than {LAYOUT_BYTES_MAX} bytes when laid out; limit is {LAYOUT_BYTES_MAX}"
)]
pub struct TooLong;

/// The text so far.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    text: String,
    /// The next indent is left out: the line has begun.
    begun: bool,
}

impl Layout {
    /// The text that `write` makes.
    ///
    /// # Errors
    /// If it is too long.
    pub(crate) fn of(write: impl FnOnce(&mut Self) -> fmt::Result) -> Result<String, TooLong> {
        let mut layout = Self::default();
        write(&mut layout).map_err(|fmt::Error| TooLong)?;
        Ok(layout.text)
    }

    /// Begins a line at `level`.
    pub(crate) fn indent(&mut self, level: usize) -> fmt::Result {
        if std::mem::take(&mut self.begun) {
            return Ok(());
        }
        write!(self, "{:1$}", "", column(level))
    }

    /// Begins a line at `level` with `text`.
    pub(crate) fn line(&mut self, level: usize, text: impl Display) -> fmt::Result {
        self.indent(level)?;
        write!(self, "{text}")
    }

    /// Takes what follows into the line that has begun.
    pub(crate) fn join(&mut self) {
        self.begun = true;
    }
}

impl Write for Layout {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.len() > LAYOUT_BYTES_MAX - self.text.len() {
            return Err(fmt::Error);
        }
        self.text.push_str(text);
        Ok(())
    }
}

/// The column of a level: two blanks each.
pub(crate) fn column(level: usize) -> usize {
    2 * level.min(LEVELS_MAX)
}

/// The text of `shown`, if it has at most so many characters; more are not written.
pub(crate) fn within(chars_max: usize, shown: &impl Display) -> Option<String> {
    let mut line = Line { text: String::new(), chars_left: chars_max };
    write!(line, "{shown}").is_ok().then_some(line.text)
}

/// Takes as many characters as there is room for.
struct Line {
    text: String,
    chars_left: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // A character has at most four bytes: what is far too long is not counted.
        if text.len() / 4 > self.chars_left {
            return Err(fmt::Error);
        }
        self.chars_left = self.chars_left.checked_sub(text.chars().count()).ok_or(fmt::Error)?;
        self.text.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_ends_at_its_limit() {
        let full = "x".repeat(LAYOUT_BYTES_MAX);
        assert_eq!(Layout::of(|out| out.write_str(&full)).map(|text| text.len()), Ok(16 << 20));
        let error = Layout::of(|out| out.line(1, &full)).expect_err("too long").to_string();
        assert!(error.contains("limit is 16777216"), "{error}");
    }

    #[test]
    fn deep_levels_stand_in_one_column() {
        let text = |level| Layout::of(|out| out.line(level, "x")).expect("short");
        assert_eq!((text(0), text(3)), ("x".to_owned(), "      x".to_owned()));
        assert_eq!(text(LEVELS_MAX + 1), text(LEVELS_MAX));
        assert_eq!(text(LEVELS_MAX).len(), 2 * LEVELS_MAX + 1);
    }

    #[test]
    fn a_line_takes_so_many_characters() {
        assert_eq!(within(3, &"äöü").as_deref(), Some("äöü"));
        assert_eq!(within(2, &"äöü"), None);
    }
}
