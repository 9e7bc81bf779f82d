//! From syntax tree back to text.
//!
//! `Display` gives the canonical form on one line, which parses to the same tree; [`prettify`]
//! spreads what is longer than a line over several.

mod canonical;
pub(crate) mod layout;
mod pretty;

#[cfg(test)]
mod tests;

pub use canonical::format_duration;
pub use layout::{LAYOUT_BYTES_MAX, TooLong};
pub use pretty::prettify;
