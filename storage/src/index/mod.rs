//! The index of one tenant in a block, shared by metrics and logs: dictionaries of label values,
//! posting lists, label columns; and from matchers to series ids.
//!
//! Series ids inside the index count from 0 for the tenant's first series. Value numbers are
//! ranks, so they sort as the values do.

mod automaton;
mod builder;
mod columns;
mod dictionary;
mod names;
mod packer;
mod postings;
mod select;
mod tenant;

pub use builder::{IndexBuilder, IndexPlace, IndexSections};
pub use packer::{ItemRef, ValueSource};
pub use tenant::{IndexCaches, LabelVisitor, Reading, TenantIndex};

#[cfg(test)]
mod tests;
