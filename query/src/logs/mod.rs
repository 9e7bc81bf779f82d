//! LogQL: parse → pipeline and operators.
//!
//! The server parses once (`parse::parse`) and asks by kind: a [`ast::Expr::Metric`] through
//! [`engine::LogEngine::instant`] or [`engine::LogEngine::range`], a [`ast::Expr::Log`] through
//! [`engine::LogEngine::entries`], whose answer groups its entries for either encoding with
//! [`result::EntriesAnswer::streams`].

pub mod ast;
pub mod engine;
pub mod error;
mod exec;
pub mod labels;
pub mod parse;
pub mod result;
