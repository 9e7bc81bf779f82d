//! PromQL and LogQL for Ephemeris: from the text of a query to its answer. No I/O and no HTTP; what
//! a query reads comes from a [`Source`](ephemeris_model::Source) or a
//! [`LogSource`](ephemeris_model::LogSource).
//!
//! | module | holds |
//! |---|---|
//! | [`promql::parse`] | text to syntax tree, with Prometheus' names and error texts |
//! | [`promql::ast`], [`promql::print`] | the tree, and from it to text |
//! | [`promql::engine`] | plans, rewrites and runs a tree; `plan`, `rewrite`, [`promql::exec`] |
//! | [`promql::functions`], [`promql::histogram`] | what functions and native histograms compute |
//! | [`promql::explain`] | what the operators of a query did |
//! | [`promql::result`], [`promql::annotations`] | the answer: values, warnings, infos, statistics |
//! | [`logs`] | LogQL, laid out the same way; its own table is there |
//! | [`budget`] | what one query may use |
//! | [`script`] | conformance scripts and the source in memory they run on |
//!
//! A query: [`promql::parse::parse`] → [`promql::engine::Engine::instant`] or
//! [`range`](promql::engine::Engine::range) → [`promql::result::Answer`].
//!
//! **Invariants**
//! - A parsed tree is type-checked and at most [`promql::parse::DEPTH_MAX`] levels deep, so
//!   everything behind the parser may recurse over it, but for the left sides of
//!   [chains](promql::ast::Binary).
//! - The answer does not depend on the number of threads.
//! - A query that takes too long, holds too much or is no longer wanted ends by its [`budget`].
//!
//! When you add a function, also add it to `functions/mod.rs` (name and signature), to the place
//! that computes it, and to a script in `tests/promql`.

pub mod budget;
pub mod logs;
pub mod promql;
pub mod script;
