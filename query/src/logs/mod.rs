//! LogQL: parse → pipeline and operators.
//!
//! | file | holds |
//! |---|---|
//! | `parse`, `ast`, `print` | text to tree and back |
//! | `pipeline` | what happens to one entry: filters, parsers, formats |
//! | `deletion` | the query of a deletion |
//! | `exec` | reads streams and computes |
//! | `engine`, `result`, `error`, `labels` | what callers see |
//! | `script` | conformance scripts and the entries in memory they run on |
//! | `units`, `regexes`, `arithmetic` | Go's numbers and durations, RE2's patterns, operators |
//!
//! The server parses once ([`parse::parse`]) and asks by kind: a [`ast::Expr::Metric`] through
//! [`engine::LogEngine::instant`] or [`engine::LogEngine::range`], a [`ast::Expr::Log`] through
//! [`engine::LogEngine::entries`], whose answer groups its entries for either encoding with
//! [`result::EntriesAnswer::streams`].

mod arithmetic;
pub mod ast;
pub mod deletion;
pub mod engine;
pub mod error;
mod exec;
pub mod labels;
pub mod parse;
mod pipeline;
pub mod print;
mod regexes;
pub mod result;
pub mod script;
mod units;
