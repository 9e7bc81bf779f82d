//! PromQL: parse → plan → rewrite → operators.

pub mod annotations;
pub mod ast;
pub mod engine;
pub mod error;
pub mod exec;
pub mod explain;
pub mod functions;
pub mod histogram;
pub mod light;
pub mod parse;
mod plan;
pub mod print;
pub mod reach;
pub mod result;
mod rewrite;
pub mod text;
