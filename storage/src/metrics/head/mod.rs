//! The head: what was written and is not sealed yet, in memory.
//!
//! | module | holds |
//! |---|---|
//! | [`identity`] | who the series are: hashes of label bytes, ids, labels, posting lists |
//! | [`maker`] | the way of new series there, many at a time |
//! | [`generation`] | the samples written between two rotations |
//!
//! Identities live as long as series are active; generations of samples are freed whole.

pub(crate) mod generation;
pub(crate) mod identity;
pub(crate) mod maker;

mod arena;
mod canonical;
mod chunk;
mod extent;
pub(crate) mod mix;
mod postings;
mod tenant;

#[cfg(test)]
mod tests;
